"""TabularClassifier and TabularRegressor: mixed tables, members, what embarrasses."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import special
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeCV,
)
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import TabularClassifier, TabularRegressor
from slimlearn.callbacks import Callback, TimeLimit
from slimlearn.estimators.tables import coding
from slimlearn.estimators.tables.blending import best_share
from slimlearn.estimators.tables.members import folds_of, telling
from slimlearn.estimators.tables.outliers import within_reach
from slimlearn.estimators.tables.temperature import best_temperature
from slimlearn.estimators.tables.tower import Tower

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_numbers():
    """Each test draws the same numbers, whichever ran before it."""
    global rng
    rng = np.random.default_rng(0)


SMALL = {"members": 3, "max_iter": 8, "hidden_units": (16,), "random_state": 0}


def mixed(n=240, seed=0):
    """A frame of mixed columns, a number that depends on all, and its sign."""
    rng = np.random.default_rng(seed)
    number, place = rng.normal(size=n), rng.integers(0, 15, n)
    color, when = rng.integers(0, 3, n), rng.integers(0, 700, n)
    y = number + np.linspace(-2, 2, 15)[place] + (color == 1) + when / 350
    frame = pd.DataFrame(
        {
            "number": np.where(rng.random(n) < 0.1, np.nan, number),
            "place": [f"place {p}" for p in place],
            "color": pd.Categorical.from_codes(color, ["red", "green", "blue"]),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(when, unit="D"),
            "flag": rng.random(n) < 0.5,
        }
    )
    frame.loc[3, "place"] = None
    return frame, y, np.where(y > np.median(y), "high", "low")


FRAME, Y, LABELS = mixed()


@pytest.fixture(scope="module")
def classifier():
    return TabularClassifier(**SMALL).fit(FRAME, LABELS)


@pytest.fixture(scope="module")
def regressor():
    return TabularRegressor(**SMALL).fit(FRAME, Y)


def test_a_frame_as_it_is(classifier, regressor):
    kinds = [row["kind"] for row in classifier.columns_]
    assert kinds == ["numbers", "categories", "categories", "dates", "categories"]
    later, y, labels = mixed(seed=1)
    later.loc[:9, "place"] = "never seen"
    assert classifier.score(later, labels) > 0.75
    assert regressor.score(later, y) > 0.5
    assert classifier.classes_.tolist() == ["high", "low"]
    p = classifier.predict_proba(later)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(
        classifier.predict(later), classifier.classes_[p.argmax(axis=1)]
    )
    decided = classifier.decision_function(later)
    np.testing.assert_allclose(1 / (1 + np.exp(-decided)), p[:, 1], rtol=1e-9)
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(later)), p)


def test_rows_alone_have_the_same_bits(classifier, regressor):
    for model, method in ((classifier, "predict_proba"), (regressor, "predict")):
        ask = getattr(model, method)
        whole = ask(FRAME)
        for i in (0, 3, 77):
            np.testing.assert_array_equal(ask(FRAME.iloc[i : i + 1])[0], whole[i])
        again = getattr(pickle.loads(pickle.dumps(model)), method)
        np.testing.assert_array_equal(again(FRAME), whole)


@pytest.mark.parametrize("jobs", [2, 3])
def test_the_bytes_do_not_depend_on_jobs(classifier, jobs):
    model = clone(classifier).set_params(n_jobs=jobs, n_threads=1)
    again = model.fit(FRAME, LABELS)
    for one, other in zip(classifier.members_, again.members_):
        assert one.program_.params.tobytes() == other.program_.params.tobytes()
    np.testing.assert_array_equal(
        again.predict_proba(FRAME), classifier.predict_proba(FRAME)
    )


def test_members_of_one_kind_share_a_program():
    X, y = rng.normal(size=(90, 3)), rng.normal(size=90)
    model = TabularRegressor(**{**SMALL, "members": 8, "max_iter": 1}).fit(X, y)
    texts = {
        member.program_.text
        for member in model.members_
        if isinstance(member.net, Tower)
    }
    # Bins, and periodic embeddings of two deviations.
    assert len(texts) == 3


def test_rows_out_of_fold(classifier):
    # Three members of five folds.
    p = classifier.oof_predictions_
    seen = np.isfinite(p).all(axis=1)
    assert p.shape == (240, 2) and seen.sum() == 144
    right = classifier.classes_[p.argmax(axis=1)] == LABELS
    assert classifier.oof_score_ == right[seen].mean()
    # Beside other losses there is no linear model.
    regressor = TabularRegressor(**SMALL, loss="absolute_error").fit(FRAME, Y)
    assert regressor.oof_predictions_.shape == (240,)
    seen = np.isfinite(regressor.oof_predictions_)
    found, y = regressor.oof_predictions_[seen], Y[seen]
    residual = np.mean((found - y) ** 2)
    assert regressor.oof_score_ == pytest.approx(1 - residual / y.var())
    # They are what one of the members says, which did not train on the row.
    said = np.clip(_of_members(regressor), Y.min(), Y.max())[:, seen]
    apart = np.abs(said - found)
    assert np.bincount(apart.argmin(axis=0)).tolist() == [48, 48, 48]
    assert apart.min(axis=0).max() < 1e-9


@pytest.mark.parametrize("members", [5, 8])
def test_as_many_members_as_folds_see_every_row_once(members):
    model = TabularRegressor(members, max_iter=1, hidden_units=(4,), random_state=0)
    model.fit(FRAME, Y)
    assert np.isfinite(model.oof_predictions_).all()


def _of_members(model):
    from slimlearn.estimators.tables.ensemble import _encoded
    from slimlearn.estimators.tables.members import values_of
    from slimlearn.estimators.tables.table import open_table

    Z = _encoded(model.encoder_, open_table(model, FRAME, reset=False))
    return [values_of(m, "predict", Z, "decode", 1) for m in model.members_]


def test_probabilities_become_surer_where_that_is_no_chance():
    own = np.random.default_rng(0)
    for rows, near in ((50, (0.75, 1.0)), (20_000, (0.48, 0.55))):
        logits = own.normal(size=rows)
        odds = np.stack((np.zeros(rows), logits), axis=1)
        told = special.softmax(odds, axis=1)
        codes = (own.random(rows) < special.expit(2 * logits)).astype(int)
        best = best_temperature(told, codes, None)
        found = best_temperature(told, codes, None, surely=True)
        assert near[0] < found < near[1] and best <= found
        weights = np.repeat((1.0, 0.0), (rows, 5))
        more = np.concatenate((told, told[:5])), np.append(codes, 1 - codes[:5])
        again = best_temperature(*more, weights, surely=True)
        np.testing.assert_allclose(again, found, rtol=1e-6)
        sure = special.softmax(8 * odds, axis=1)
        assert best_temperature(sure, codes, None, surely=True) > 2  # as the best is


def test_a_temperature_lowers_the_log_loss():
    X, y = load_breast_cancer(return_X_y=True)
    model = TabularClassifier(**{**SMALL, "max_iter": 40}).fit(X, y)
    seen = np.isfinite(model.oof_predictions_).all(axis=1)
    p, power = model.oof_predictions_[seen], 1 / model.temperature_
    calibrated = p**power / (p**power).sum(axis=1, keepdims=True)
    assert log_loss(y[seen], calibrated) <= log_loss(y[seen], p)
    plain = clone(model).set_params(calibrate=False).fit(X, y)
    assert plain.temperature_ == 1
    np.testing.assert_array_equal(plain.predict(X), model.predict(X))


def test_one_member_holds_out_a_fifth():
    model = TabularRegressor(**{**SMALL, "members": 1}).fit(FRAME, Y)
    assert sum(isinstance(member.net, Tower) for member in model.members_) == 1
    assert np.isfinite(model.oof_predictions_).sum() == 48
    assert np.isfinite(model.oof_score_)


def test_presets_count_members():
    presets = ("fast", "default", "best")
    for rows, counts in (
        (50, [2, 8, 24]),
        (25_000, [2, 8, 24]),
        (100_000, [2, 4, 12]),
        (10**7, [2, 4, 4]),
    ):
        assert [TabularClassifier(preset=p)._count(rows) for p in presets] == counts
    assert TabularClassifier(5, preset="best")._count(10**7) == 5
    assert TabularClassifier()._steps(100) == (64, 192)
    assert TabularClassifier()._steps(5000) == (128, 32)
    assert TabularClassifier()._steps(10_000) == (128, 32)
    assert TabularClassifier()._steps(100_000) == (256, 5)
    assert TabularClassifier()._steps(1_000_000) == (256, 4)
    assert TabularClassifier(preset="fast")._steps(1_000_000) == (256, 4)
    epochs = [TabularClassifier()._steps(n)[1] for n in (1100, 1250, 1999)]
    assert epochs == [64, 60, 48]
    assert [TabularRegressor()._steps(n) for n in (800, 1120, 1999)] == [
        (64, 64), (64, 50), (64, 32)
    ]  # fmt: skip
    assert TabularClassifier()._patience(1600) == 12
    assert TabularClassifier()._patience(10_000) == 8
    for whole in (TabularClassifier(max_iter=40), TabularRegressor()):
        assert whole._patience(1600) > whole._steps(1600)[1]
    rates = [TabularRegressor()._settings(n)["learning_rate"] for n in (250, 800, 9000)]
    assert rates == pytest.approx([0.05, 0.16, 0.2])


def test_networks_beside_a_process_are_smaller():
    for kind, epochs in (
        (TabularClassifier, [28, 25, 20]),
        (TabularRegressor, [28, 19, 14]),
    ):
        steps = [kind()._steps(n, True) for n in (800, 1280, 1999)]
        assert steps == [(64, own) for own in epochs]
        assert kind()._steps(100, True) == (64, 192)
        assert kind()._steps(2000, True) == kind()._steps(2000)
        assert kind(max_iter=7)._steps(800, True) == (64, 7)
    assert TabularClassifier()._patience(1999, True) == 10
    assert [TabularClassifier()._every(14, beside) for beside in (False, True)] == [
        1,
        2,
    ]
    assert TabularClassifier(max_iter=14)._every(14, True) == 1
    assert TabularRegressor(hidden_units=8)._units(True) == (8,)
    with pytest.raises(ValueError, match="hidden_units"):
        TabularRegressor(hidden_units="wide").fit(FRAME, Y)


@pytest.mark.parametrize(
    ("settings", "rows", "width"),
    [
        ({"members": 5}, 144, 96),
        ({"members": 5}, 40, 128),
        ({"members": 4}, 144, 128),
        ({"members": 5, "preset": "fast"}, 144, 128),
        ({"members": 5, "time_limit": 60}, 144, 128),
        ({"members": 5, "loss": "absolute_error"}, 144, 128),
    ],
)
def test_networks_are_wider_where_no_process_is_tried(settings, rows, width):
    model = TabularRegressor(**settings, max_iter=1, random_state=0)
    model.fit(FRAME[:rows], Y[:rows])
    assert model.members_[0].program_.weights["fc3/weights"].shape == (width, width)
    two = TabularRegressor(5, max_iter=1, random_state=0).fit(FRAME, np.c_[Y, Y])
    assert two.members_[0].program_.weights["fc3/weights"].shape == (128, 128)


def test_members_that_become_no_better_end_before():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1400, 3))
    y = rng.integers(0, 2, len(X))
    clf = TabularClassifier(members=1, hidden_units=8, random_state=0).fit(X, y)
    member = clf.members_[0]
    epochs = clf._steps(1120)[1]
    waited = clf._patience(1120)
    assert member.n_iter_ == member.best_iteration_ + waited < epochs
    curve = member.validation_loss_curve_
    assert len(curve) == member.n_iter_
    # Held-out rows are asked after every other epoch, and after the last one.
    assert curve[2::2] == curve[1:-1:2] and len(set(curve)) > len(curve) // 2
    whole = TabularClassifier(1, hidden_units=8, max_iter=epochs, random_state=0)
    assert whole.fit(X, y).n_iter_ == epochs
    assert len(set(whole.members_[0].validation_loss_curve_)) == epochs


def test_weights_of_zero_count_as_absent():
    weights = rng.integers(0, 2, len(Y)).astype(float)
    spoiled, y = FRAME.copy(), Y.copy()
    spoiled.loc[weights == 0, "number"], y[weights == 0] = 1e6, 1e6
    one = TabularRegressor(**SMALL).fit(FRAME, Y, weights)
    other = TabularRegressor(**SMALL).fit(spoiled, y, weights)
    assert np.isnan(one.oof_predictions_[weights == 0]).all()
    assert np.isfinite(one.oof_predictions_).sum() == pytest.approx(
        0.6 * weights.sum(), abs=3
    )
    inside = FRAME[weights > 0]
    np.testing.assert_array_equal(
        one.encoder_.transform(inside), other.encoder_.transform(inside)
    )
    assert (
        one.members_[0].program_.params.tobytes()
        == other.members_[0].program_.params.tobytes()
    )


def test_class_weights_move_predictions():
    plain = TabularClassifier(**SMALL).fit(FRAME, LABELS)
    moved = clone(plain).set_params(class_weight={"high": 20.0, "low": 1.0})
    moved.fit(FRAME, LABELS)
    high = [np.mean(m.predict(FRAME) == "high") for m in (plain, moved)]
    assert high[1] > high[0]
    balanced = clone(plain).set_params(class_weight="balanced").fit(FRAME, LABELS)
    np.testing.assert_allclose(
        balanced.predict_proba(FRAME), plain.predict_proba(FRAME), atol=0.1
    )


def test_several_labels_and_outputs():
    several = np.stack([Y > 0, Y > 1, FRAME["flag"]], axis=1).astype(int)
    model = TabularClassifier(**SMALL).fit(FRAME, several)
    assert model.predict_proba(FRAME).shape == (240, 3)
    assert set(np.unique(model.predict(FRAME))) <= {0, 1}
    assert model.score(FRAME, several) > 0.3
    assert model.decision_function(FRAME).shape == (240, 3)
    words = np.stack([LABELS, np.array(["a", "b", "c"])[np.arange(240) % 3]], axis=1)
    model = TabularClassifier(**SMALL).fit(FRAME, words)
    assert [p.shape for p in model.predict_proba(FRAME)] == [(240, 2), (240, 3)]
    assert model.predict(FRAME).shape == (240, 2)
    assert not hasattr(model, "decision_function")
    assert [p.shape for p in model.oof_predictions_] == [(240, 2), (240, 3)]
    both = TabularRegressor(**SMALL).fit(FRAME, np.stack([Y, 100 * Y], axis=1))
    assert both.predict(FRAME).shape == both.oof_predictions_.shape == (240, 2)
    assert both.score(FRAME, np.stack([Y, 100 * Y], axis=1)) > 0.5
    column = TabularRegressor(**SMALL).fit(FRAME, Y[:, None])
    assert column.predict(FRAME).shape == (240, 1)


def test_quantiles():
    levels = (0.1, 0.5, 0.9)
    model = TabularRegressor(**SMALL, loss="quantile", quantile=levels).fit(FRAME, Y)
    low, middle, high = model.predict_quantiles(FRAME).T
    assert (low <= middle).all() and (middle <= high).all()
    np.testing.assert_allclose(model.predict(FRAME), middle)
    assert 0.5 < np.mean((low <= Y) & (high >= Y)) < 1
    assert not hasattr(TabularRegressor(), "predict_quantiles")
    counts = rng.poisson(np.exp(FRAME["number"].fillna(0)))
    assert (
        TabularRegressor(**SMALL, loss="poisson").fit(FRAME, counts).predict(FRAME) >= 0
    ).all()


class Epochs(Callback):
    """Counts the epochs of a member."""

    def on_fit_begin(self, state):
        self.count_ = 0

    def on_epoch_end(self, state):
        self.count_ += 1


def test_callbacks_are_each_members_own():
    model = TabularRegressor(**SMALL, callbacks=[Epochs()]).fit(FRAME, Y)
    counts = [callback.count_ for m in model.members_ for _, callback in m.callbacks_]
    assert counts == [8, 8, 8]


class Interrupt(Callback):
    """Ctrl-C in the second member."""

    begun = 0

    def on_fit_begin(self, state):
        Interrupt.begun += 1
        if Interrupt.begun == 2:
            raise KeyboardInterrupt


def test_what_is_done_when_interrupted_is_kept():
    Interrupt.begun = 0
    model = TabularRegressor(**SMALL, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(FRAME, Y)
    assert sum(isinstance(member.net, Tower) for member in model.members_) == 1
    assert np.isfinite(model.predict(FRAME)).all()


def test_time_that_is_up_leaves_a_fitted_model():
    model = TabularRegressor(
        **{**SMALL, "members": 8, "max_iter": 200}, time_limit=1e-3
    )
    model.fit(FRAME, Y)
    assert 1 <= sum(isinstance(member.net, Tower) for member in model.members_) < 8
    assert np.isfinite(model.predict(FRAME)).all()
    enough = TabularRegressor(**{**SMALL, "members": 4}, time_limit=600.0).fit(FRAME, Y)
    assert sum(isinstance(member.net, Tower) for member in enough.members_) == 4


def test_a_search_over_members(regressor):
    model = clone(regressor)
    ranges = model.param_distributions()
    assert set(ranges) <= set(model.get_params())
    defaults = TabularRegressor().get_params()
    for name, values in ranges.items():
        assert not isinstance(values, list) or defaults[name] in values
    search = HalvingRandomSearchCV(
        model.set_params(max_iter=2),
        ranges,
        n_candidates=3,
        factor=3,
        resource="members",
        max_resources=3,
        cv=2,
        random_state=0,
    )
    search.fit(FRAME, Y)
    assert search.best_estimator_.members == 3
    assert search.cv_results_["n_resources"].tolist() == [1, 1, 1, 3]


@pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
def test_a_search_over_epochs(kind):
    y = Y if kind is TabularRegressor else LABELS
    model = kind(1, hidden_units=(8,), random_state=0)
    ranges = {**model.param_distributions(), "hidden_units": [(8,), (8, 8)]}
    search = HalvingRandomSearchCV(
        model,
        ranges,
        n_candidates=4,
        resource="max_iter",
        min_resources=2,
        max_resources=8,
        factor=2,
        cv=2,
        random_state=0,
    ).fit(FRAME, y)
    assert search.best_estimator_.max_iter == 8
    assert search.n_candidates_ == [4, 2, 1]
    assert search.score(FRAME, y) > 0.3


def test_a_failed_fit_leaves_no_trace(classifier):
    model = clone(classifier).fit(FRAME, LABELS)
    before = model.predict_proba(FRAME)
    with pytest.raises(ValueError, match="only one class"):
        model.fit(FRAME[["number"]], ["a"] * len(FRAME))
    assert model.n_features_in_ == 5
    np.testing.assert_array_equal(model.predict_proba(FRAME), before)


def test_what_is_refused(classifier):
    with pytest.raises(TypeError, match=r"X is sparse \(csr\), and TabularClassifier"):
        classifier.fit(csr_array(np.eye(4)), [0, 1, 0, 1])
    with pytest.raises(AttributeError) as error:
        classifier.partial_fit(FRAME, LABELS)
    told = "TabularClassifier has no partial_fit: what it knows of columns"
    assert told in str(error.value.__cause__)
    missing = Y.copy()
    missing[5] = np.nan
    with pytest.raises(ValueError, match="first in row 5"):
        TabularRegressor().fit(FRAME, missing)
    with pytest.raises(ValueError, match="1 sample"):
        TabularRegressor().fit([[1.0]], [2.0])
    renamed = FRAME.rename(columns={"color": "colour"})
    with pytest.raises(ValueError, match="colour"):
        classifier.predict(renamed)
    with pytest.raises(
        ValueError, match="'number' held numbers in fit, and holds texts"
    ):
        classifier.predict(FRAME.assign(number="many"))


def test_html_shows_the_columns(classifier):
    html = classifier._repr_html_()
    assert "<summary>Columns</summary>" in html and "<td>place</td>" in html
    assert "<summary>Columns</summary>" not in clone(classifier)._repr_html_()


def test_folds_are_even_within_strata():
    strata = np.repeat([0, 1, 2, 3], [40, 16, 3, 1])
    fold = folds_of(strata, 60, 4, np.random.default_rng(0))
    counts = [np.bincount(fold[strata == k], minlength=4) for k in range(3)]
    assert all(count.max() - count.min() <= 1 for count in counts)
    assert fold[-1] == -1


# -- never embarrassing --------------------------------------------------------------


def test_fifty_rows_and_one_column():
    X = rng.normal(size=(50, 1))
    y = 3 * X[:, 0] + rng.normal(size=50) * 0.1
    model = TabularRegressor(2, random_state=0).fit(X, y)
    assert model.oof_score_ > 0.9
    assert TabularClassifier(2, random_state=0).fit(X, y > 0).oof_score_ > 0.8


def test_as_good_as_a_linear_model():
    X, y = load_diabetes(return_X_y=True)
    train = np.arange(len(y)) % 3 > 0
    linear = LinearRegression().fit(X[train], y[train]).score(X[~train], y[~train])
    model = TabularRegressor(4, random_state=0).fit(X[train], y[train])
    assert model.score(X[~train], y[~train]) > linear - 0.08


def wrong(model, rows, X, y):
    """The error of rows that were not fitted: of numbers, or the log loss."""
    model.fit(X[:rows], y[:rows])
    if y.dtype.kind == "f":
        return np.sqrt(np.mean((model.predict(X[rows:]) - y[rows:]) ** 2))
    return log_loss(y[rows:], model.predict_proba(X[rows:]))


@pytest.mark.parametrize("truth", ["linear", "noise"])
@pytest.mark.parametrize("rows, columns", [(50, 20), (100, 5), (300, 40)])
def test_no_worse_than_a_linear_model_or_a_constant(rows, columns, truth):
    X = rng.normal(size=(rows + 2000, columns))
    y = rng.normal(size=len(X))
    if truth == "linear":
        y = X @ rng.normal(size=columns) + 0.3 * y
    if truth == "linear":
        known = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    else:
        known = DummyRegressor()
    assert wrong(TabularRegressor(random_state=0), rows, X, y) < 1.05 * wrong(
        known, rows, X, y
    )
    if truth == "linear":
        penalties = {"C": np.logspace(-4, 2, 7)}
        known = GridSearchCV(LogisticRegression(), penalties, scoring="neg_log_loss")
    else:
        known = DummyClassifier()
    bound = 1.05 if rows > 50 else 1.2
    found = wrong(TabularClassifier(random_state=0), rows, X, y > 0)
    assert found < bound * wrong(known, rows, X, y > 0)


def test_a_thousand_columns_of_noise_beside_five():
    X = rng.normal(size=(600, 1005))
    y = X[:, ::201].sum(axis=1)
    model = TabularRegressor(2, random_state=0).fit(X[:500], y[:500])
    linear = Ridge(100.0).fit(X[:500], y[:500])
    assert model.score(X[500:], y[500:]) > linear.score(X[500:], y[500:])


@pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
def test_noise_columns(kind):
    X = rng.normal(size=(300, 405))
    y = X[:, :5].sum(axis=1)
    y = y if kind is TabularRegressor else np.where(y > 0, "a", "b")
    model = kind(members=2, random_state=0, hidden_units=(32, 32)).fit(X, y)
    assert model.oof_score_ > 0.6
    # Each of the two members reads the numbers that tell most in its own 150 rows.
    for member in model.members_[:2]:
        chosen = member.inputs["numbers"]
        assert len(chosen) in (60, 120)
        assert {i % 405 for i in chosen} >= {0, 1, 2, 3, 4}


def test_numbers_that_tell_by_their_squares():
    scores = rng.normal(size=(500, 300))
    weights = rng.random(500)
    targets = np.stack([scores[:, 7] ** 2, -scores[:, 299]], axis=1)
    assert telling(scores, targets, weights, 2) == [7, 299]
    assert len(telling(scores, targets, None, 40)) == 40


def test_outliers_of_y_count_as_the_furthest_others():
    X = rng.normal(size=(300, 3))
    ordinary = X[:, 0] + 5
    y = ordinary.copy()
    far = rng.permutation(300)[:6]
    y[far] = [1e6, -1e6, 1e300, -1.7e308, 1e7, 1e9]
    others = np.delete(ordinary, far)
    row = far.min()
    with pytest.warns(UserWarning, match=f"y has 6 values .* first in row {row}: "):
        p = TabularRegressor(**SMALL).fit(X, y).predict(X)
    reach = others.max() - others.min()
    assert p.min() >= others.min() - reach and p.max() <= others.max() + reach
    assert np.sqrt(np.mean((p - ordinary) ** 2)) < 0.7


def test_truth_values_and_digits_are_targets():
    X = rng.normal(size=(60, 2))
    y = X[:, 0] > 0
    found = TabularRegressor(**SMALL).fit(X, y).predict(X)
    for same in (y.astype(float), y.astype(int).astype(str)):
        other = TabularRegressor(**SMALL).fit(X, same).predict(X)
        np.testing.assert_array_equal(other, found)
    with pytest.raises(ValueError, match="could not convert string to float"):
        TabularRegressor(**SMALL).fit(X, y.astype(str))


def test_outliers_of_y_by_output_and_weight():
    X = rng.normal(size=(300, 3))
    y = np.stack([X[:, 0], np.exp(2 * X[:, 1]), np.zeros(300)], axis=1)
    y[7], y[8, 0] = 1e9, 1e9
    y[9, 2] = 1.0  # most are 0: what is far, nobody can tell
    weights = np.ones(300)
    weights[8] = 0
    with pytest.warns(UserWarning, match="y has 3 values .* first in row 7: 1e\\+09"):
        moved = within_reach(y, None, "it")
    others = np.delete(y, [7, 8], axis=0)
    np.testing.assert_array_equal(moved[7], [*others[:, :2].max(axis=0), 1e9])
    with pytest.warns(UserWarning, match="y has 2 values"):
        moved = within_reach(y, weights, "it")
    np.testing.assert_array_equal(np.delete(moved, 7, axis=0), np.delete(y, 7, axis=0))
    assert within_reach(others, None, "it") is others
    huge = np.array([-1e308, -1e307, 0.0, 1e307, 1e308])
    assert within_reach(huge, None, "it") is huge


def test_targets_without_weight_are_told_before_outliers_are_looked_for():
    with pytest.raises(ValueError, match=r"weight|sample"):
        TabularRegressor(**SMALL).fit(FRAME, Y, sample_weight=np.zeros(len(Y)))


def test_missing_y_and_names_that_came_twice_are_told():
    spoiled = Y.copy()
    spoiled[3] = np.nan
    with pytest.raises(ValueError, match="y contains NaN"):
        TabularRegressor(**SMALL).fit(FRAME, spoiled)
    twice = pd.concat([FRAME, FRAME[["color"]]], axis=1)
    with pytest.raises(ValueError, match="several columns named 'color'"):
        TabularRegressor(**SMALL).fit(twice, Y)
    with pytest.raises(TypeError, match=r"column 'lists' .* of type list"):
        TabularRegressor(**SMALL).fit(FRAME.assign(lists=[[1, 2]] * len(Y)), Y)


def test_categories_of_another_order_or_type_later(regressor):
    want = regressor.predict(FRAME)
    levels = [*reversed(FRAME["color"].cat.categories), "unused"]
    other = FRAME["color"].astype(object)
    for column in (other, other.astype(pd.CategoricalDtype(levels))):
        np.testing.assert_array_equal(
            regressor.predict(FRAME.assign(color=column)), want
        )
    with pytest.raises(ValueError, match="column 'color' held categories such as"):
        regressor.predict(FRAME.assign(color=1.5))


def test_classes_of_three_rows_and_of_one():
    X = rng.normal(size=(66, 2))
    y = np.repeat([0, 1, 2, 3], [31, 31, 3, 1])
    X[:, 0] += 4 * y
    model = TabularClassifier(2, random_state=0).fit(X, y)
    assert model.classes_.tolist() == [0, 1, 2, 3]
    assert model.score(X, y) > 0.9
    # The only row of its class is in all members.
    assert np.isnan(model.oof_predictions_[-1]).all()


def test_ten_thousand_levels():
    n = 4000
    frame = pd.DataFrame({"id": [f"u{i}" for i in rng.integers(0, 10_000, n)]})
    frame["x"] = rng.normal(size=n)
    model = TabularRegressor(members=2, max_iter=6, random_state=0)
    model.fit(frame, frame["x"] + rng.normal(size=n) * 0.1)
    assert model.oof_score_ > 0.8


def test_columns_that_tell_nothing_predict_the_prior():
    X = pd.DataFrame({"a": [None] * 40, "b": [1.0] * 40})
    y = np.arange(40) % 4 == 0
    p = TabularClassifier(**SMALL).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(p[:, 1], 0.25, atol=0.1)


def linear_table(kind, rows=400, seed=0):
    """Rows that a linear model tells best, and others."""
    own = np.random.default_rng(seed)
    X = own.normal(size=(rows + 1000, 12))
    y = X @ own.normal(size=12) + 0.1 * own.normal(size=len(X))
    y = y if kind is TabularRegressor else np.where(y > 0, "yes", "no")
    return X[:rows], y[:rows], X[rows:], y[rows:]


@pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
def test_a_linear_model_where_it_is_better(kind):
    X, y, others, truth = linear_table(kind)
    est = kind(4, max_iter=20, random_state=0).fit(X, y)
    assert est.linear_share_ > 0.8
    line = RidgeCV(np.logspace(-3, 3, 7)) if est._regression else LogisticRegression()
    wrong, known = (1 - m.score(others, truth) for m in (est, line.fit(X, y)))
    assert wrong < 1.1 * known


@pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
def test_a_linear_model_beside_networks(kind):
    X, y, others, truth = linear_table(TabularRegressor, 200)
    y, truth = (t + np.abs(Z[:, 4]) for t, Z in ((y, X), (truth, others)))
    if kind is TabularClassifier:
        y, truth = y > 1, truth > 1
    est = kind(4, max_iter=20, random_state=0).fit(X, y)
    assert 0 < est.linear_share_ < 1
    assert [isinstance(m.net, Tower) for m in est.members_] == [True] * 4 + [False]
    shares = [member.share_ for member in est.members_]
    assert shares[4] == est.linear_share_ and sum(shares) == pytest.approx(1)
    alone = clone(est).fit(X, y)
    for member in alone.members_:
        del member.share_
    alone.members_ = alone.members_[:4]
    wrong, before = 1 - est.score(others, truth), 1 - alone.score(others, truth)
    assert wrong < before
    # Out of fold they count as much.
    told, first = est.oof_predictions_, alone._mean(X[:1], alone._asked)
    assert told.shape == (len(X), *first.shape[1:])
    assert np.isfinite(told).mean() == pytest.approx(0.8, abs=0.01)
    assert est.oof_score_ == pytest.approx(est.score(others, truth), abs=0.05)
    # One by one, all together, and after a pickle: the same bits.
    many = est.predict(np.tile(others, (3, 1)))[:1000]
    np.testing.assert_array_equal(
        many[:5], [est.predict(row[None])[0] for row in others[:5]]
    )
    again = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(again.predict(others), many)
    both = clone(est).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(both.predict(others), many)


@pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
def test_linear_models_are_left_out_where_they_are_worse(kind):
    own = np.random.default_rng(0)
    X = own.normal(size=(400, 3))
    y = np.sin(3 * X[:, 0]) * X[:, 1]
    y = y if kind is TabularRegressor else y > 0
    est = kind(2, max_iter=20, random_state=0).fit(X, y)
    assert est.linear_share_ <= 0.05


@pytest.mark.parametrize("weighted", [False, True])
def test_shares_of_linear_models(weighted):
    own = np.random.default_rng(0)
    y = own.normal(size=300)
    weights = own.integers(0, 3, 300).astype(float) if weighted else None

    def share(nets, lines):
        return best_share(lambda told: (told - y) ** 2, nets, lines, weights)

    near, far = y + 0.1 * own.normal(size=300), y + own.normal(size=300)
    assert share(far, near) == 0.99
    assert share(near, far) <= 0.05
    # Of two that tell the same the simpler one is taken.
    assert share(far, far) == 0.99
    other = y + own.permutation(far - y)
    assert 0.3 < share(far, other) < 0.7


@pytest.mark.parametrize("loss", ["absolute_error", "poisson", "quantile"])
def test_other_losses_have_networks_only(loss):
    X, y, _, _ = linear_table(TabularRegressor, 100)
    more = {"quantile": 0.5} if loss == "quantile" else {}
    est = TabularRegressor(2, loss=loss, max_iter=2, random_state=0, **more)
    est.fit(X, np.abs(y))
    assert len(est.members_) == 2 and est.linear_share_ == 0.0


def test_a_fit_on_codes_has_the_bits_of_one_on_floats(regressor, monkeypatch):
    """Where each value has a knot, as in a few rows."""
    monkeypatch.setattr(coding, "_FEW", 0)
    model = TabularRegressor(**SMALL).fit(FRAME, Y)
    np.testing.assert_array_equal(model.predict(FRAME), regressor.predict(FRAME))


def test_a_fit_holds_less_than_two_floats_a_column():
    own, n = np.random.default_rng(0), 40_000
    frame = pd.DataFrame(own.normal(size=(n, 38)), columns=[f"n{i}" for i in range(38)])
    frame.iloc[::7, :10] = np.nan
    for i in range(12):
        codes = own.integers(0, 5 if i % 2 else 60, n)
        levels = [f"l{k}" for k in range(60)]
        frame[f"c{i}"] = pd.Categorical.from_codes(codes, levels)
    y = frame["n20"] + (frame["c0"] == "l3")
    small = {**SMALL, "hidden_units": (4,), "max_iter": 1}
    TabularRegressor(**small).fit(frame[:100], y[:100])
    tracemalloc.start()
    model = TabularRegressor(**small).fit(frame, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # As float32, two views of numbers and a column a level take three times X.
    assert peak < 1.6 * (4 * frame.size)
    assert np.isfinite(model.oof_score_)


def test_parameters_of_named_callbacks():
    limit = ("limit", TimeLimit(30.0))
    model = TabularRegressor(2, callbacks=[limit], max_iter=1, hidden_units=(4,))
    assert model.get_params()["callbacks__limit__seconds"] == 30.0
    assert "callbacks__limit" not in model.get_params(deep=False)
    grid = {"callbacks__limit__seconds": [20.0, 40.0]}
    X = np.arange(40.0)[:, np.newaxis]
    best = GridSearchCV(model, grid, cv=2).fit(X, X[:, 0]).best_estimator_
    assert best.members_[0].callbacks_[0][1].seconds in (20.0, 40.0)
    assert limit[1].seconds == 30.0
    with pytest.raises(ValueError, match="has no callback 'other'"):
        model.set_params(callbacks__other__seconds=1.0)
