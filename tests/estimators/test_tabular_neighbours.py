"""Networks that tell a row by its neighbours: trained, chosen, counted, exported."""

import numpy as np
import pytest
import threadpoolctl
from scipy.special import softmax

import slimlearn
from slimlearn import (
    NetworkRegressor,
    TabularClassifier,
    TabularRegressor,
    callbacks,
    layers,
)
from slimlearn.estimators.saving import load
from slimlearn.estimators.tables import ensemble, processes, retrieval, training
from slimlearn.estimators.tables.blending import CLEARLY, LIKELY, best_share
from slimlearn.estimators.tables.ensemble import _encoded
from slimlearn.estimators.tables.members import values_of
from slimlearn.estimators.tables.neighbours import Neighbours, told_class, told_number
from slimlearn.estimators.tables.table import open_table

pd = pytest.importorskip("pandas")
RNG = np.random.default_rng(0)
BEST = {
    **{"members": 8, "preset": "best", "random_state": 0, "n_threads": 1},
    **{"max_iter": 2, "hidden_units": (4,)},
}


def clusters(rows: int):
    """Numbers about some places, of which each has a y, and levels that move it."""
    places = RNG.normal(size=(12, 3))
    which, levels = RNG.integers(0, 12, rows), RNG.integers(0, 20, rows)
    frame = pd.DataFrame(
        places[which] + 0.1 * RNG.normal(size=(rows, 3)), None, [*"abc"]
    )
    frame["few"] = pd.Categorical.from_codes(levels % 3, ["u", "v", "w"])
    frame["many"] = pd.Categorical.from_codes(levels, [f"l{i}" for i in range(20)])
    y = np.sin(7.0 * which) + 0.3 * (levels % 3) + 0.05 * RNG.normal(size=rows)
    return frame, 100.0 + 10.0 * y


FRAME, Y = clusters(300)


@pytest.fixture(autouse=True)
def _enough(monkeypatch):
    """As where there are a thousand rows; no process tells what they would."""
    monkeypatch.setattr(ensemble, "_FOR_SEVERAL", 50)
    monkeypatch.setattr(training, "processes_of", lambda *args: [])


def fitted(classes: int, rows: int = 200, **more):
    """A model of the first rows, and how it is asked."""
    if not classes:
        return TabularRegressor(**{**BEST, **more}).fit(FRAME[:rows], Y[:rows])
    return TabularClassifier(**{**BEST, **more}).fit(
        FRAME[:rows], labels(classes)[:rows]
    )


def labels(classes: int):
    names = np.array(["p", "q", "r"])
    return names[np.digitize(Y, np.quantile(Y, np.arange(1, classes) / classes))]


def asked(model):
    regression = isinstance(model, TabularRegressor)
    return model.predict if regression else model.predict_proba


def neighbours(model):
    return [member for member in model.members_ if isinstance(member.net, Neighbours)]


def mean_of_near(own, rows, targets):
    """What places tell by those of others, in float64."""
    apart = np.linalg.norm(own[:, None] - rows, axis=2)
    return softmax(-apart, axis=1) @ targets


def places_of(member, Z):
    """Where a member puts rows, by numbers, bins, flags and the vectors of codes."""
    weights, inputs = member.program_.weights, member.inputs
    parts = [Z[:, columns].astype(np.float64) for columns in inputs.values()]
    numbers, flags, codes = parts
    bins = []
    for values, edges in zip(numbers.T, member.net.edges):
        own = (values[:, None] - edges[:-1]) / np.diff(edges)
        low, high = np.zeros(own.shape[1]), np.ones(own.shape[1])
        low[0], high[-1] = -np.inf, np.inf
        bins.append(np.clip(own, low, high))
    vectors = weights["codes/embeddings"][codes[:, 0].astype(int)]
    return (
        np.concatenate([numbers, *bins, flags, vectors], axis=1)
        @ weights["place/weights"]
        + weights["place/biases"]
    )


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_row_is_told_by_what_is_near(classes):
    model = fitted(classes)
    Z = _encoded(model.encoder_, open_table(model, FRAME[200:], reset=False))
    own = neighbours(model)
    assert len(own) == 8
    for member in own[:2]:
        weights = member.program_.weights
        rows, targets = weights["rows"].T, weights["output/weights"]
        assert len(rows) == 175  # those that it does not hold out
        told = mean_of_near(places_of(member, Z), rows, targets)
        told += weights["output/biases"]
        if classes:
            got = values_of(member, "predict_proba", Z, "arrange", 1)
            want = np.maximum(told, 1e-7)
            if classes == 2:
                want = np.concatenate((1 - told, told), axis=1).clip(1e-7)
            want /= want.sum(axis=1, keepdims=True)
        else:
            got = values_of(member, "predict", Z, "decode", 1)
            scale, centre = member._head.units()
            want = told[:, 0] * scale + centre
            assert Y.min() - 1 < want.min() and want.max() < Y.max() + 1
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("classes", [0, 2, 5])
@pytest.mark.parametrize("rows", [2, 40])
def test_the_loss_of_a_row_leaves_itself_out(classes, rows):
    X = RNG.normal(size=(rows, 4)).astype(np.float32)
    y = X[:, 0] if not classes else np.arange(rows) * 7 % 11 % classes
    goal = told_class(size=3, classes=classes) if classes else told_number(size=3)
    net = NetworkRegressor(
        lambda x, num_outputs: layers.linear(x, num_outputs),
        **{"loss": goal, "max_iter": 1, "batch_size": rows, "learning_rate": 1e-9},
        **{"precision": "float64", "n_threads": 2, "random_state": 0},
    ).fit(X.astype(np.float64), y.astype(np.float64))
    [weights] = net.coefs_
    apart = np.linalg.norm((X @ weights)[:, None] - X @ weights, axis=2)
    np.fill_diagonal(apart, np.inf)
    near = softmax(-apart, axis=1)
    if classes:
        lost = -np.log((near * (y[:, None] == y)).sum(axis=1) + 1e-7)
    else:
        own = (y - y.mean()) / y.std()
        lost = (near @ own - own) ** 2
    assert net.loss_ == pytest.approx(np.mean(lost), rel=1e-4)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_they_count_where_rows_tell_so(classes, tmp_path):
    model = fitted(classes)
    own, ask = neighbours(model), asked(model)
    assert len(own) == 8 and 0.1 < model.neighbours_share_ <= 0.99
    assert sum(m.share_ for m in own) == pytest.approx(model.neighbours_share_)
    assert sum(m.share_ for m in model.members_) == pytest.approx(1)
    made = ask(FRAME[200:])
    # One by one, a few at once, from a file, and by threads.
    np.testing.assert_allclose(ask(FRAME[200:203]), made[:3], rtol=1e-5, atol=1e-7)
    model.save(tmp_path / "best.slim")
    again = asked(load(tmp_path / "best.slim"))(FRAME[200:])
    np.testing.assert_array_equal(again, made)
    others = fitted(classes, n_jobs=2, n_threads=2)
    np.testing.assert_array_equal(asked(others)(FRAME[200:]), made)


def test_they_count_last(monkeypatch):
    """What processes count, they count in the rest."""
    monkeypatch.setattr(training, "processes_of", processes.processes_of)
    both = fitted(0)
    monkeypatch.setattr(training.Trainer, "neighbours", lambda self, *args: [])
    alone = fitted(0)
    assert alone.neighbours_share_ == 0.0 < alone.near_share_
    rest = 1 - both.neighbours_share_
    assert both.near_share_ == pytest.approx(rest * alone.near_share_)
    assert both.linear_share_ == pytest.approx(rest * alone.linear_share_)
    assert sum(m.share_ for m in both.members_) == pytest.approx(1)
    assert both.members_[-8:] == neighbours(both)


@pytest.mark.parametrize("how", ["default", "weights", "rows", "members", "time"])
def test_where_there_are_none(how):
    more = {
        "default": {"preset": "default"},
        "members": {"members": 4},
        "time": {"time_limit": 60.0},
    }
    rows = 49 if how == "rows" else 60
    weights = np.linspace(1, 2, rows) if how == "weights" else None
    model = TabularRegressor(**{**BEST, **more.get(how, {})})
    model.fit(FRAME[:rows], Y[:rows], weights)
    assert model.neighbours_share_ == 0.0 and not neighbours(model)


def test_weights_that_are_alike_are_none():
    make = TabularRegressor(**BEST)
    none = make.fit(FRAME[:60], Y[:60]).predict(FRAME[60:])
    assert make.neighbours_share_ > 0.1
    alike = make.fit(FRAME[:60], Y[:60], np.full(60, 3.0)).predict(FRAME[60:])
    np.testing.assert_allclose(alike, none, rtol=1e-6)


def test_rows_without_weight_are_absent():
    some = np.arange(100) < 60
    made = TabularRegressor(**BEST).fit(FRAME[:100], Y[:100], some.astype(float))
    assert made.neighbours_share_ > 0.1
    assert {len(m.program_.weights["squares"]) for m in neighbours(made)} <= {52, 53}


def test_a_column_of_targets():
    made = TabularRegressor(**BEST).fit(FRAME[:200], Y[:200])
    column = TabularRegressor(**BEST).fit(FRAME[:200], Y[:200, None])
    assert column.neighbours_share_ == made.neighbours_share_ > 0.1
    told = column.predict(FRAME[200:])
    np.testing.assert_array_equal(told[:, 0], made.predict(FRAME[200:]))


@pytest.mark.parametrize("offset", [1e6, 1.7e9])
def test_it_does_not_matter_where_targets_lie(offset):
    made = TabularRegressor(**BEST).fit(FRAME[:200], Y[:200])
    far = TabularRegressor(**BEST).fit(FRAME[:200], Y[:200] + offset)
    assert far.neighbours_share_ == pytest.approx(made.neighbours_share_, abs=0.06)
    told = far.predict(FRAME[200:]) - offset
    np.testing.assert_allclose(told, made.predict(FRAME[200:]), atol=0.5)


def test_threads_of_others_stay_as_they_were():
    def counts():
        return [one["num_threads"] for one in threadpoolctl.threadpool_info()]

    with threadpoolctl.threadpool_limits(2):
        before = counts()
        assert neighbours(fitted(0, n_jobs=2))
        assert counts() == before


def test_what_was_done_counts_when_a_fit_is_interrupted(monkeypatch):
    monkeypatch.setattr(training, "processes_of", processes.processes_of)
    model = TabularRegressor(**BEST)

    def stop(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Trainer, "neighbours", stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(FRAME[:200], Y[:200])
    assert model.near_share_ > 0.1 and model.neighbours_share_ == 0.0
    assert np.isfinite(model.predict(FRAME[200:])).all()


@pytest.mark.parametrize("jobs", [None, 2])
def test_an_interrupt_while_they_are_trained(monkeypatch, jobs):
    calls = []

    def lost(self, epoch):
        calls.append(epoch)
        if len(calls) == 35:  # of the fourth member
            raise KeyboardInterrupt
        return float(epoch)

    monkeypatch.setattr(retrieval._Retrieval, "_lost", lost)
    model = TabularRegressor(**BEST, n_jobs=jobs)
    with pytest.raises(KeyboardInterrupt):
        model.fit(FRAME[:200], Y[:200])
    assert model.neighbours_share_ == 0.0 and len(model.members_) >= 8
    assert np.isfinite(model.oof_predictions_).all()
    alone = TabularRegressor(**{**BEST, "preset": "default"}).fit(FRAME[:200], Y[:200])
    wanted = alone.predict(FRAME[200:])
    np.testing.assert_allclose(model.predict(FRAME[200:]), wanted, rtol=1e-12)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("jobs", [None, 2])
def test_a_fit_tells_of_them(classes, jobs, capsys):
    heard = []

    class Hears(callbacks.Callback):
        def on_epoch_end(self, state):
            heard.append(state.last_epoch)

    model = fitted(classes, verbose=1, n_jobs=jobs, callbacks=[Hears()])
    *lines, last = capsys.readouterr().out.splitlines()
    name = type(model).__name__
    assert [line.split(":")[1] for line in lines] == [" a member of 8"] * 8 + [
        " neighbours of 8"
    ] * 8
    for line, one in zip(lines[8:], neighbours(model)):
        told = f"{one.best_loss_:.4g} after {one.best_iteration_}"
        assert line == f"{name}: neighbours of 8: 40 epochs, validation loss {told}"
    assert f"neighbours {model.neighbours_share_:.2f}; " in last
    assert f"{model.oof_score_:.4g} of held-out rows" in last
    # What they train tells no y, and what scores epochs hears nothing of it.
    assert heard == [2] * 16
    fitted(classes, verbose=2, rows=60)
    assert capsys.readouterr().out.count("neighbours of 8") == 8


def test_the_epoch_that_is_best_for_the_rows_held_out_counts(monkeypatch):
    ends, wanted, make = [], [], retrieval.neighbours_member

    def kept(embedder, *args, **more):
        ends.append(embedder.best_iteration_)
        return make(embedder, *args, **more)

    def lost(self, epoch):
        best = 4 * (1 + int(self.held[0]) % 7)
        wanted.append(best)
        return abs(epoch - best)

    monkeypatch.setattr(retrieval, "neighbours_member", kept)
    monkeypatch.setattr(retrieval._Retrieval, "_lost", lost)
    fitted(0)
    assert len(set(ends)) > 1
    np.testing.assert_array_equal(np.repeat(ends, 10), wanted)


@pytest.mark.parametrize("classes", [0, 3])
def test_what_is_lost_of_rows_that_were_held_out(classes, monkeypatch):
    """By the weights that are kept it is what the member itself loses."""
    made, lost_of = [], retrieval._Retrieval._lost

    def concluded(self):
        member, held, told = conclude(self)
        made.append((self, lost_of(self, self.embedder.best_iteration_), held, told))
        return member, held, told

    conclude = retrieval._Retrieval.concluded
    monkeypatch.setattr(retrieval._Retrieval, "concluded", concluded)
    model = fitted(classes)
    for one, lost, held, told in made:
        own = one.targets[held]
        if classes:
            want = -np.log((told * own).sum(axis=1)).sum()
        else:
            want = np.sum((told - own[:, 0]) ** 2)
        assert lost == pytest.approx(want, rel=1e-2)
    for member, (_, lost, held, _) in zip(neighbours(model), made):
        assert member.best_loss_ == pytest.approx(lost / len(held))
        assert member.n_iter_ == 40 == len(member.validation_loss_curve_)
    assert len(made) == 8 == len(neighbours(model))


def test_levels_of_classes_that_one_row_has():
    y = np.array([f"k{i}" for i in range(60)])
    model = TabularClassifier(**BEST).fit(FRAME[:60], y)
    assert model.neighbours_share_ == 0.0  # no row is held out


def test_of_noise_they_do_no_harm():
    rng, lost = np.random.default_rng(1), []
    for seed in range(3):
        X, y = rng.normal(size=(400, 10)), rng.normal(size=400)
        model = TabularRegressor(**{**BEST, "random_state": seed}).fit(X[:100], y[:100])
        lost.append(np.mean((model.predict(X[100:]) - y[100:]) ** 2))
    assert np.mean(lost) < 1.1


def test_how_sure_it_must_be_that_networks_of_another_kind_help():
    rng = np.random.default_rng(0)
    y, apart = rng.normal(size=200), rng.normal(size=(2, 200))
    nets, others = y + 0.3 * apart[0], y + 0.62 * apart[1]

    def losses(told):
        return (told - y) ** 2

    found = [best_share(losses, nets, others, None, by) for by in (LIKELY, CLEARLY)]
    assert found[0] > 0.05 and found[1] == 0.0
    assert best_share(losses, y, others, None, LIKELY) == 0.0


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_they_are_exported_as_a_part_of_the_whole(classes):
    pytest.importorskip("skl2onnx", reason="the onnx extra is not installed")
    rt = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = fitted(classes)
    made = slimlearn.to_onnx(model)
    session = rt.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = {one.name: one.type for one in session.get_inputs()}
    some, feeds = FRAME[200:260], {}
    for name, kind in names.items():
        own = some[[name]]
        number = np.float64 if "double" in kind else np.float32
        feeds[name] = own.to_numpy(object if "string" in kind else number)
    told, want = session.run(None, feeds)[1 if classes else 0], asked(model)(some)
    if isinstance(told, list):
        told = np.array([[row[k] for k in model.classes_] for row in told])
    np.testing.assert_allclose(told.reshape(want.shape), want, rtol=2e-4, atol=1e-6)
