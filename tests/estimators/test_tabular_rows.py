"""A few rows of tables: one native call of all members, with the bits of many rows."""

import pickle

import numpy as np
import pandas as pd
import pytest

from slimlearn import TabularClassifier, TabularRegressor
from slimlearn.backend.engine.native import native
from slimlearn.estimators.tables import ensemble, training

SETTINGS = {"max_iter": 2, "hidden_units": (8,), "random_state": 0}
rng = np.random.default_rng(0)
X = rng.normal(size=(120, 5))
X[rng.random(X.shape) < 0.05] = np.nan
TARGETS = {
    "two": np.nan_to_num(X[:, 0]) > 0,
    "five": np.arange(120) % 5,
    "labels": np.nan_to_num(X[:, :3]) > 0,
    "outputs": np.stack([np.arange(120) % 3, np.arange(120) % 2], axis=1),
    "number": np.nan_to_num(X[:, 0]),
    "numbers": np.nan_to_num(X[:, :2]),
    "single": np.nan_to_num(X[:, :1]),
}


def made(kind: str, members: int, **more):
    y = TARGETS[kind]
    make = TabularRegressor if y.dtype.kind == "f" else TabularClassifier
    return make(members, **SETTINGS, **more).fit(X, y)


def listed(found) -> list:
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("members", [1, 2, 9])
@pytest.mark.parametrize("kind", TARGETS)
def test_a_row_alone_has_the_bits_of_many(kind, members, monkeypatch):
    est = made(kind, members)
    ask = est.predict_proba if hasattr(est, "predict_proba") else est.predict
    many = listed(ask(np.tile(X, (80, 1))))  # more numbers than the short road takes
    monkeypatch.setattr(ensemble, "values_of", None)  # which asks members one by one
    for rows in (1, 2, 7):
        for part, whole in zip(listed(ask(X[:rows])), many):
            np.testing.assert_array_equal(part, whole[:rows])
    est.predict(X[:1].astype(np.float32))


@pytest.mark.parametrize("loss", ["poisson", "quantile"])
def test_other_heads_on_the_short_road(loss):
    more = {"quantile": (0.1, 0.5, 0.9)} if loss == "quantile" else {}
    y = np.arange(120) % 7 + 1.0
    reg = TabularRegressor(3, **SETTINGS, loss=loss, **more).fit(X, y)
    many = np.tile(X, (80, 1))
    np.testing.assert_array_equal(reg.predict(X[:1]), reg.predict(many)[:1])
    if more:
        found = reg.predict_quantiles(X[:2])
        np.testing.assert_array_equal(found, reg.predict_quantiles(many)[:2])


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_the_bits_do_not_depend_on_threads(threads):
    est = made("number", 4)
    want = est.predict(X[:3])
    np.testing.assert_array_equal(
        est.set_params(n_threads=threads).predict(X[:3]), want
    )


def test_members_may_be_left_out_or_changed():
    est = made("number", 3)
    whole = est.predict(X[:2])
    est.members_ = est.members_[:1]
    alone = est.predict(X[:2])
    assert not np.array_equal(alone, whole)
    np.testing.assert_array_equal(alone, est.predict(np.tile(X, (80, 1)))[:2])
    again = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(again.predict(X[:2]), alone)


def test_frames_of_any_numbers():
    frame = pd.DataFrame(
        {
            "double": rng.normal(size=60),
            "single": rng.normal(size=60).astype(np.float32),
            "whole": rng.integers(0, 9, 60),
            "small": rng.integers(0, 9, 60).astype(np.int8),
            "code": [f"k{i % 20}" for i in range(60)],
            "level": pd.Categorical.from_codes(np.arange(60) % 3, list("abc")),
            "flag": np.arange(60) % 4 == 0,
        }
    )
    reg = TabularRegressor(2, **SETTINGS).fit(frame, np.arange(60.0))
    quick = reg.encoder_._encoding.quick
    for at in (0, 7, 59):
        row = frame.iloc[at : at + 1]
        views = training.VIEWS
        np.testing.assert_array_equal(
            quick(row, views), reg.encoder_.transform(frame)[at : at + 1]
        )
        np.testing.assert_array_equal(reg.predict(row), reg.predict(frame)[at : at + 1])
    unseen = frame[:1].assign(code="another")
    assert quick(unseen, views) is not None
    np.testing.assert_array_equal(
        reg.predict(unseen), reg.predict(pd.concat([unseen, frame]))[:1]
    )


def test_a_frame_without_blocks_is_read_alike():
    frame = pd.DataFrame(X).rename(columns=str)
    frame["word"] = np.tile(["a", "b", "c"], 40)
    reg = TabularRegressor(2, **SETTINGS).fit(frame, TARGETS["number"])
    quick, row = reg.encoder_._encoding.quick, frame[5:6]
    want = quick(row, training.VIEWS)
    assert want is not None

    class Rows:
        columns, shape = row.columns, row.shape
        iloc = property(lambda self: row.iloc)

        def __len__(self):
            return 1

    np.testing.assert_array_equal(quick(Rows(), training.VIEWS), want)


def test_groups_are_checked():
    handles = [member._handle for member in made("number", 2).members_[:2]]
    predictors = [handle.predictor("predict", 1) for handle in handles]
    columns = [
        [list(range(form.shape[0])) for form in handle.input.forms]
        for handle in handles
    ]
    group = native.PredictorGroup(predictors, columns, 1)
    rows = np.zeros((2, 20), dtype=np.float32)
    assert group(rows).shape == (2, 2)
    assert group(np.full_like(rows, np.nan)) is None
    units = np.array([[[2.0], [1.0]], [[3.0], [-1.0]]])
    scaled = units[:, 0] * group(rows) + units[:, 1]
    shares = np.array([0.25, 0.75])
    for given, want in (
        ((units, None), scaled.sum(0) / 2),
        ((None, None), group(rows).sum(0) / 2),
        ((units, shares), 0.25 * scaled[0] + 0.75 * scaled[1]),
    ):
        np.testing.assert_array_equal(group.mean(rows, *given), want)
    assert group.mean(np.full_like(rows, np.nan), None, None) is None
    with pytest.raises(ValueError, match="a share for each"):
        group.mean(rows, None, shares[:1])
    with pytest.raises(ValueError, match="a factor and a summand"):
        group.mean(rows, units[:1], None)
    with pytest.raises(ValueError, match=r"needs rows of .* columns"):
        group(rows[:, :1].copy())
    with pytest.raises(TypeError):
        group(rows.astype(float))
    first, second = columns
    for wrong, told in (
        ([first, [[], *second[1:]]], "given 0 columns"),
        ([first, []], r"reads \d+ sources"),
        ([first, [[-1] * len(second[0]), *second[1:]]], "count from 0"),
        ([first], "columns of each"),
    ):
        with pytest.raises(ValueError, match=told):
            native.PredictorGroup(predictors, wrong, 1)
    with pytest.raises(ValueError, match="a predictor or more"):
        native.PredictorGroup([], [], 1)


def test_views_are_checked():
    ones, knots = np.ones(1), np.arange(3.0)
    tables = (ones, ones, [0, 3], knots, knots, np.zeros(3))
    views = native.NumberViews([1], *tables, [0], [0.0, 1.0])
    out = np.empty((2, 3), dtype=np.float32)
    X = np.array([[np.nan, 1.0], [0.0, np.inf]])
    views.fill(X, out, 0, 1, 2)
    assert out[:, 1:].tolist() == [[1.0, 1.0], [2.0, 0.0]]
    for wrong in (X[:, :1], X[:1], X[0]):
        with pytest.raises(ValueError, match="do not fit"):
            views.fill(wrong, out, 0, 1, 2)
    for at in ((3, 1, 2), (0, 3, 2), (0, 1, 3)):
        with pytest.raises(ValueError, match="do not fit"):
            views.fill(X, out, *at)
    with pytest.raises(ValueError, match="float32 or float64"):
        views.fill(X.astype(np.float16), out, 0, 1, 2)
    with pytest.raises(ValueError, match="place and knots"):
        native.NumberViews([1], ones, ones, [0, 4], knots, knots, knots, [], [])
    with pytest.raises(ValueError, match="fit each other"):
        native.NumberViews([1, 2], *tables, [], [])


@pytest.mark.parametrize("value", [[1], {}, {"a": 1}, np.array([1, 2]), np.array(1.0)])
def test_a_row_that_is_refused_is_told_as_two_are(value):
    frame = pd.DataFrame({"number": X[:, 1], "word": np.tile(["a", "b", "c"], 40)})
    y = TARGETS["two"]
    model = TabularClassifier(2, **SETTINGS).fit(frame, y)
    row = pd.DataFrame({"number": [1.0], "word": pd.Series([value], dtype=object)})
    told = []
    for rows in (row, pd.concat([row, row])):
        with pytest.raises(TypeError, match="column 'word' holds elements of") as error:
            model.predict(rows)
        told.append(str(error.value))
    assert told[0] == told[1]


@pytest.mark.parametrize("rows", [1, 2])
def test_a_whole_number_beyond_floats_names_its_column(rows):
    frame = pd.DataFrame({"number": X[:, 1], "word": np.tile(["a", "b", "c"], 40)})
    model = TabularClassifier(2, **SETTINGS).fit(frame, TARGETS["two"])
    numbers = pd.Series([10**400] * rows, dtype=object)  # pandas 3.0 infers no type
    asked = pd.DataFrame({"number": numbers, "word": ["a"] * rows})
    with pytest.raises(ValueError, match="column 'number' has a whole number beyond"):
        model.predict(asked)
