"""The Gaussian process beside networks: solved, counted, saved, exported."""

import numpy as np
import pytest

import slimlearn
from slimlearn import TabularClassifier, TabularRegressor
from slimlearn.estimators.saving import load
from slimlearn.estimators.tables import ensemble, processes, training
from slimlearn.estimators.tables.blending import best_shares
from slimlearn.estimators.tables.closeness import CLOSENESSES
from slimlearn.estimators.tables.ensemble import _encoded
from slimlearn.estimators.tables.evidence import _Block
from slimlearn.estimators.tables.kernels import process_of
from slimlearn.estimators.tables.members import Layout, values_of
from slimlearn.estimators.tables.plans import plans_of
from slimlearn.estimators.tables.table import open_table
from slimlearn.estimators.tables.tower import Near, Tower

pd = pytest.importorskip("pandas")
RNG = np.random.default_rng(0)
FEW = {"random_state": 0, "n_threads": 1, "max_iter": 4}


def waves(rows):
    """A product of two numbers' waves, levels that count, and columns of noise."""
    frame = pd.DataFrame(RNG.normal(size=(rows, 4)), columns=list("abcd"))
    levels = RNG.integers(0, 20, rows)
    names = [f"l{i}" for i in range(20)]
    frame["level"] = pd.Categorical.from_codes(levels, names)
    y = np.sin(2 * frame["a"]) * frame["b"] + np.cos(levels)
    return frame, 10.0 + y.to_numpy() + 0.05 * RNG.normal(size=rows)


FRAME, Y = waves(300)
FORMULAS = {
    "exponential": lambda far: np.exp(-far),
    "matern": lambda far: (1 + far) * np.exp(-far),
    "gaussian": lambda far: np.exp(-far * far / 2),
}


def near(process, Z):
    """The formula of `Process`, row by row in float64."""
    found = np.ones((len(Z), len(process.factors)))
    for i, column in enumerate([*process.numbers, *process.codes]):
        apart = np.abs(Z[:, column, None].astype(float) - process.rows[i])
        numbers = i < len(process.numbers)
        close = apart == 0
        if numbers:
            close = FORMULAS[process.closeness](apart * process.slopes[i])
        found *= 1 + process.counts[i] * close
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("codes", "closeness", "start"),
    [
        (0, "exponential", False),
        (1, "matern", False),
        (2, "exponential", False),
        (0, "gaussian", False),
        (0, "matern", True),
        (2, "matern", True),
    ],
)
def test_each_row_is_told_by_all_others(codes, closeness, start, weighted):
    rows, numbers = 120, 3
    rng = np.random.default_rng(0)
    layout = Layout(numbers, 1, codes)
    Z = rng.normal(size=(rows, layout.width + codes)).astype(np.float32)
    Z[:, layout.width :] = rng.integers(0, 4, (rows, codes))
    y = 1e6 + 1e3 * (np.sin(2 * Z[:, 3]) * Z[:, 4] + (Z[:, -1] > 1))
    weights = rng.uniform(0.5, 2.0, rows) if weighted else None
    index = np.arange(5, rows)
    parts = Z, layout, y[:, None], weights, index, np.random.default_rng(0)
    begun = process_of(*parts).evidence if start else None
    made = process_of(*parts, closeness, start=begun)
    if start:  # what counted for nothing is not looked at again
        assert not made.evidence.counts[begun.counts == 0].any()
    factors, told = made.factors[:, 0], made.told[:, 0]
    assert made.numbers and len(made.codes) <= codes
    own = y[index]
    # The noise is what is left of y, by the factors and the weights.
    share = np.ones(len(own)) if weights is None else weights[index]
    covariance, apart = near(made, Z[index]), own - made.intercept
    left = apart - covariance @ factors
    level = (left * share) @ factors / (factors @ factors)
    noise = level / share
    # Of smooth ones the factors are large, and covariances are of float32.
    most = 2.0 if closeness == "exponential" else 20.0
    np.testing.assert_allclose(left, noise * factors, atol=most)
    for row in (0, 17, 80):
        rest = np.arange(len(own)) != row
        matrix = covariance[np.ix_(rest, rest)] + np.diag(noise[rest])
        by_others = covariance[row, rest] @ np.linalg.solve(matrix, apart[rest])
        assert by_others + made.intercept == pytest.approx(told[row], abs=most)
    assert np.std(own - told) < 0.85 * np.std(own)


@pytest.mark.parametrize("closeness", CLOSENESSES)
def test_slopes_of_the_evidence_are_its_differences(closeness):
    X = RNG.normal(size=(3, 40)).astype(np.float32)
    X[2] = RNG.integers(0, 3, 40)
    y = np.sin(X[:1].T) + X[1:2].T
    block = _Block(X, y, RNG.uniform(0.5, 2.0, 40), 2, closeness)
    at = np.log([0.3, 0.4, 0.2, 0.7, 1.3, 0.1, 0.5])

    def value(now):
        return block(np.exp(now[:3]), np.exp(-now[3:5]), *np.exp(now[5:]))

    slope = value(at)[1]
    for i, step in enumerate(0.02 * np.eye(7)):
        found = (value(at + step)[0] - value(at - step)[0]) / 0.04
        assert slope[i] == pytest.approx(found, rel=0.02, abs=0.02)


def test_several_count_as_rows_tell():
    y = RNG.normal(size=400)
    apart = RNG.normal(size=(3, 400))

    def losses(told):
        return (told - y) ** 2

    parts = [y + 0.3 * own for own in apart]
    shares = best_shares(losses, y + 0.6 * apart[0], parts[1:], None)
    # By their variances, 4 to 1.
    np.testing.assert_allclose(shares, [4 / 9, 4 / 9], atol=0.1)
    assert best_shares(losses, parts[0], [y + 9.0, -y], None) == [0.0, 0.0]
    least = best_shares(losses, y + 9 * apart[0], [y, y + 9 * apart[1]], None)
    assert least == pytest.approx([0.95, 0.0])
    # Rows without weight say nothing.
    weights = np.where(np.arange(400) < 200, 1.0, 0.0)
    shut = np.where(weights > 0, y, 99.0)
    [share] = best_shares(losses, parts[0], [shut], weights)
    assert share == pytest.approx(0.95)


@pytest.mark.parametrize("classes", [0, 2])
def test_the_best_have_processes_of_each_closeness(classes, tmp_path, monkeypatch):
    assert not TabularRegressor(preset="best")._several_near(999)
    assert not TabularRegressor()._several_near(2000)
    monkeypatch.setattr(ensemble, "_FOR_SEVERAL", 200)
    # Which train longer, and may tell what processes would.
    monkeypatch.setattr(training.Trainer, "neighbours", lambda self, *args: [])
    y = labels_of(classes) if classes else Y
    make = TabularClassifier if classes else TabularRegressor
    model = make(8, **FEW, preset="best", hidden_units=(16,)).fit(FRAME[:200], y[:200])
    own = [m for m in model.members_ if isinstance(m.net, Near)]
    assert {m.net.closeness for m in own} & {"matern", "gaussian"}
    assert sum(m.share_ for m in own) == pytest.approx(model.near_share_)
    assert sum(m.share_ for m in model.members_) == pytest.approx(1)
    ask, told = ("predict_proba", "arrange") if classes else ("predict", "decode")
    Z = _encoded(model.encoder_, open_table(model, FRAME[200:], reset=False))
    for member in own:
        assert np.isfinite(values_of(member, ask, Z, told, 1)).all()
    made = getattr(model, ask)(FRAME[200:])
    model.save(tmp_path / "best.slim")
    again = getattr(load(tmp_path / "best.slim"), ask)(FRAME[200:])
    np.testing.assert_array_equal(again, made)


def _kinds(rows: int, smooth: bool, monkeypatch, classes: bool = False) -> list[str]:
    """Of the processes of a table whose y is a smooth function of it, or has steps."""
    made = []
    monkeypatch.setattr(
        processes, "near_member", lambda process, *args, **more: made.append(process)
    )
    monkeypatch.setattr(ensemble.TabularEnsemble, "_publish", lambda self, *args: None)
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows, 4))
    y = (X[:, :2] > 0.3).sum(axis=1) % 2 + 0.1 * rng.normal(size=rows)
    if smooth:
        y = np.sin(2 * X[:, 0]) * X[:, 1] + X[:, 2] + 0.2 * rng.normal(size=rows)
    model = TabularClassifier if classes else TabularRegressor
    y = y > 0.5 if classes else y
    weights = np.ones(rows) if rows % 2 else None
    model(**FEW, hidden_units=(4,)).fit(X, y, weights)
    return [process.closeness for process in made]


@pytest.mark.parametrize("rows", [501, 800])
@pytest.mark.parametrize("classes", [False, True])
def test_it_is_as_smooth_as_left_out_rows_tell(rows, classes, monkeypatch):
    if not classes:
        assert _kinds(rows, True, monkeypatch) == ["matern"]
    assert _kinds(rows, False, monkeypatch, classes) == ["exponential"]


@pytest.mark.parametrize(("least", "most"), [(0, 500), (502, 1000)])
def test_of_few_rows_and_of_many_it_is_rough(least, most, monkeypatch):
    monkeypatch.setattr(processes, "_ENOUGH", least)
    monkeypatch.setattr(processes, "_FEW", most)
    assert _kinds(501, True, monkeypatch) == ["exponential"]


def test_it_counts_where_rows_tell_so(tmp_path):
    reg = TabularRegressor(**FEW).fit(FRAME[:200], Y[:200])
    kinds = [type(member.net) for member in reg.members_]
    assert kinds[:8] == [Tower] * 8 and kinds[-1] is Near and reg.near_share_ > 0.3
    shares = [member.share_ for member in reg.members_]
    assert shares[-1] == reg.near_share_ and sum(shares) == pytest.approx(1)
    assert len(shares) == 8 + (reg.linear_share_ > 0) + 1
    told = reg.predict(FRAME[200:])
    rest = TabularRegressor(**FEW, preset="fast").fit(FRAME[:200], Y[:200])
    assert rest.near_share_ == 0.0
    lost = [np.mean((m - Y[200:]) ** 2) for m in (told, rest.predict(FRAME[200:]))]
    assert lost[0] < 0.7 * lost[1]
    # One by one, all at once, and from a file.
    Z = _encoded(reg.encoder_, open_table(reg, FRAME[200:], reset=False))
    alone = [values_of(m, "predict", Z, "decode", 1) for m in reg.members_]
    mean = np.clip(np.array(shares) @ alone, *reg._range)
    np.testing.assert_allclose(told, mean, rtol=1e-6)
    np.testing.assert_allclose(reg.predict(FRAME[200:203]), told[:3], rtol=1e-6)
    reg.save(tmp_path / "near.slim")
    np.testing.assert_array_equal(
        load(tmp_path / "near.slim").predict(FRAME[200:]), told
    )


def labels_of(classes):
    """Classes that are alike often."""
    names = np.array(["p", "q", "r"])
    return names[np.digitize(Y, np.quantile(Y, np.arange(1, classes) / classes))]


@pytest.mark.parametrize("classes", [2, 3])
def test_it_tells_classes(classes, tmp_path):
    y, small = labels_of(classes), {**FEW, "hidden_units": (16,)}
    weights = np.where(np.arange(200) % 40, 1.0, 0.0)
    if classes == 3:
        y = np.append("s", y[1:])  # a class without weight
    clf = TabularClassifier(**small).fit(FRAME[:200], y[:200], weights)
    process = clf.members_[-1]
    assert type(process.net) is Near and process.share_ == clf.near_share_ > 0.2
    Z = _encoded(clf.encoder_, open_table(clf, FRAME[200:], reset=False))
    alone = [values_of(m, "predict_proba", Z, "arrange", 1) for m in clf.members_]
    assert alone[-1].shape == (100, len(clf.classes_))
    right = np.searchsorted(clf.classes_, y[200:])
    lost = [-np.log(p[np.arange(100), right]).mean() for p in (alone[-1], alone[0])]
    assert lost[0] < np.log(classes) and lost[0] < lost[1]
    mean = np.tensordot([member.share_ for member in clf.members_], alone, 1)
    told = clf.predict_proba(FRAME[200:])
    powers = mean ** (1 / clf.temperature_)
    np.testing.assert_allclose(told, powers / powers.sum(1, keepdims=True), rtol=1e-5)
    clf.save(tmp_path / "near.slim")
    again = load(tmp_path / "near.slim")
    np.testing.assert_array_equal(again.predict_proba(FRAME[200:]), told)
    less = TabularClassifier(**small, preset="fast")
    assert less.fit(FRAME[:200], y[:200]).near_share_ == 0.0


def test_members_of_each_kind_tell_each_row_where_there_are_many():
    plans = plans_of(24, 50, np.arange(50), None, np.random.default_rng(0))
    kinds = {plan.kind for plan in plans}
    assert len(kinds) == 3
    for row in range(50):
        assert {plan.kind for plan in plans if row in plan.held} == kinds


@pytest.mark.parametrize("seed", range(3))
def test_of_noise_it_counts_nothing(seed):
    """Where evidence finds something in twenty columns, as it always does."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(100, 20)), rng.normal(size=100)
    for model, own in ((TabularRegressor, y), (TabularClassifier, y > 0)):
        none = model(**FEW, hidden_units=(4,)).fit(X, own).near_share_
        assert none == 0.0 and isinstance(none, float)


@pytest.mark.parametrize(
    ("classes", "more"), [(0, {}), (2, {}), (3, {"members": 8, "preset": "best"})]
)
def test_it_is_exported_as_a_part_of_the_whole(classes, more, monkeypatch):
    monkeypatch.setattr(ensemble, "_FOR_SEVERAL", 200)
    monkeypatch.setattr(training.Trainer, "neighbours", lambda self, *args: [])
    pytest.importorskip("skl2onnx", reason="the onnx extra is not installed")
    rt = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    if classes:
        small = {"hidden_units": (16,)}
        model, y = TabularClassifier(**FEW, **small, **more), labels_of(classes)
    else:
        model, y = TabularRegressor(**FEW), Y
    model.fit(FRAME[:200], y[:200])
    assert isinstance(model.members_[-1].net, Near)
    made = slimlearn.to_onnx(model)
    session = rt.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = {one.name: one.type for one in session.get_inputs()}
    ask = model.predict_proba if classes else model.predict
    for some in (FRAME[200:203], FRAME[200:260]):
        feeds = {c: some[[c]].to_numpy(np.float32) for c in "abcd"}
        feeds["level"] = some[["level"]].to_numpy(object)
        feeds = {
            name: own.astype(np.float64) if "double" in names[name] else own
            for name, own in feeds.items()
        }
        told, want = session.run(None, feeds)[1 if classes else 0], ask(some)
        if isinstance(told, list):
            told = np.array([[row[k] for k in model.classes_] for row in told])
        np.testing.assert_allclose(told.reshape(want.shape), want, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("how", ["rows", "members", "loss", "outputs", "time"])
def test_where_it_is_not_tried(how):
    X, y, more = RNG.normal(size=(60, 2)), RNG.normal(size=60), {}
    if how == "rows":
        X, y = X[:49], y[:49]
    elif how == "outputs":
        y = np.stack((y, y * y), axis=1)
    else:
        given = {"members": 4, "loss": "absolute_error", "time": 60.0}
        more = {"time_limit" if how == "time" else how: given[how]}
    reg = TabularRegressor(**FEW, **more, hidden_units=(4,)).fit(X, y)
    assert reg.near_share_ == 0.0
    assert not any(isinstance(member.net, Near) for member in reg.members_)


def test_constant_columns_and_targets_tell_nothing():
    layout, rng = Layout(1, 0, 0), np.random.default_rng(0)
    Z, y = np.zeros((60, 2), np.float32), RNG.normal(size=(60, 1))
    assert process_of(Z, layout, y, None, np.arange(60), rng) is None
    Z[:, 1] = y[:, 0]
    assert (
        process_of(Z, layout, np.full((60, 1), 1e300), None, np.arange(60), rng) is None
    )
    assert process_of(Z, layout, y * 1e300, None, np.arange(60), rng) is not None


def test_weights_of_any_size():
    layout, rows = Layout(1, 0, 0), 60
    Z = RNG.normal(size=(rows, 2)).astype(np.float32)
    weights = np.where(np.arange(rows) % 3, 1e300, 1e-300)
    parts = Z, layout, np.sin(Z[:, 1:]), weights, np.arange(rows)
    made = process_of(*parts, np.random.default_rng(0))
    assert np.isfinite(made.told).all() and np.isfinite(made.factors).all()


@pytest.mark.parametrize("preset", ["default", "best"])
def test_it_is_exported_in_8_bits(preset, tmp_path, monkeypatch):
    """What counts rows cancels: of integers it would be lost, and stays real."""
    monkeypatch.setattr(ensemble, "_FOR_SEVERAL", 50)
    frame = FRAME.drop(columns="level")
    model = TabularRegressor(**FEW, hidden_units=(8,), preset=preset)
    model.fit(frame[:200], Y[:200])
    assert model.near_share_ > 0.5
    some = {"X_calibration": frame[:200], "y_calibration": Y[:200]}
    plain = model.export_c(tmp_path / "net.c")
    made = model.export_c(tmp_path / "net.c", precision="int8", **some)
    assert made.loss.real >= 1 and made.weight_bytes < 0.8 * plain.weight_bytes
    assert made.loss.score == pytest.approx(made.loss.score_before, abs=0.01)
