"""Category columns of DNN* and Linear*: columns of levels, vectors of many levels."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import OneHotEncoder

from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    TabularEncoder,
)

KINDS = [DNNClassifier, DNNRegressor, LinearClassifier, LinearRegressor]
LEVELS = {"two": 2, "few": 4, "many": 40}


def frame_of(n=300, seed=0, **levels):
    """Numbers and categories, and a target that depends on all of them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"number": rng.normal(size=n)})
    y = frame["number"].to_numpy().copy()
    for name, count in (levels or LEVELS).items():
        codes = rng.integers(0, count, n)
        frame[name] = pd.Categorical.from_codes(
            codes, [f"{name}{i}" for i in range(count)]
        )
        y += np.linspace(-1, 1, count)[codes]
    frame["last"] = rng.normal(size=n)
    return frame, y


def made(kind, **more):
    dnn = {"hidden_units": (16,), "max_iter": 60} if "DNN" in kind.__name__ else {}
    return kind(**{**dnn, "random_state": 0, **more})


def target(kind, y):
    return np.where(y > 0, "high", "low") if is_classifier(kind()) else y


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_with_categories(kind):
    frame, y = frame_of()
    later, y_later = frame_of(seed=1)
    est = made(kind).fit(frame, target(kind, y))
    assert est.score(later, target(kind, y_later)) > 0.8
    assert est.feature_names_in_.tolist() == frame.columns.tolist()
    assert est.n_features_in_ == 5
    whole = est.predict(later)
    for i in (0, 7, 299):
        np.testing.assert_array_equal(est.predict(later[i : i + 1]), whole[i : i + 1])
    again = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(again.predict(later), whole)
    assert clone(est).get_params()["categorical_features"] == "from_dtype"
    with pytest.raises(ValueError, match="feature names should match"):
        est.predict(later[["two", "few", "many", "number", "last"]])
    with pytest.raises(
        ValueError, match=r"column 'few' held categories .* numbers now"
    ):
        est.predict(later.assign(few=1.0))
    with pytest.raises(ValueError, match=r"NaN in columns \['last'\]"):
        est.predict(later.assign(last=np.nan))


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_levels_are_those_of_an_encoder(kind):
    frame, y = frame_of(few=4)
    encoder = make_column_transformer(
        ("passthrough", ["number", "last"]), (OneHotEncoder(), ["few"])
    )
    y, more = target(kind, y), {"precision": "float64"}
    ours = made(kind, **more).fit(frame, y)
    theirs = made(kind, **more).fit(encoder.fit_transform(frame), y)
    np.testing.assert_array_equal(
        ours.predict(frame), theirs.predict(encoder.transform(frame))
    )
    # Unknown and missing categories are none of the levels.
    odd = frame.copy()
    odd["few"] = pd.Categorical([None, "other"] * 150)
    zeros = encoder.transform(frame)
    zeros[:, 2:] = 0
    np.testing.assert_array_equal(ours.predict(odd), theirs.predict(zeros))


def test_many_levels_get_vectors():
    frame, y = frame_of()
    est = made(DNNRegressor).fit(frame, y)
    [name] = [n for n in est.program_.weights if "categories" in n]
    assert est.program_.weights[name].shape == (41, 10)
    one, other = (frame[:1].assign(many=pd.Categorical([level])) for level in "xy")
    np.testing.assert_array_equal(est.predict(one), est.predict(other))
    linear = made(LinearRegressor).fit(frame, y)
    assert linear.coef_.size == 2 + 1 + 4 + 40


@pytest.mark.filterwarnings("ignore:DNNRegressor")  # L-BFGS ends early
@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "sgd"])
def test_only_categories(depth, optimizer):
    frame, y = frame_of(few=5, many=60)
    frame = frame[["few", "many"]]
    est = DNNRegressor((8,) * depth, optimizer=optimizer, max_iter=60, random_state=0)
    weights = np.arange(300.0)
    assert est.fit(frame, y, weights).score(frame, y) > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wish", [[1], [False, True, False], np.array([1])])
def test_numbers_that_are_categories(kind, wish):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    X[:, 1] = rng.integers(0, 3, 200)
    y = target(kind, X[:, 0] + 3 * (X[:, 1] == 1))
    est = made(kind, categorical_features=wish).fit(X, y)
    assert est.score(X, y) > 0.8
    np.testing.assert_array_equal(est.predict(X[:1]), est.predict(X)[:1])
    # Arrays of numbers stay as they are without a wish.
    plain = made(kind).fit(X, y)
    none = made(kind, categorical_features=None).fit(X, y)
    np.testing.assert_array_equal(plain.predict(X), none.predict(X))
    with pytest.raises(ValueError, match="3 features"):
        est.predict(X[:, :2])


def test_names_and_types_are_both_categories():
    frame, y = frame_of(few=4)
    frame["whole"] = np.arange(300) % 3
    est = made(LinearRegressor, categorical_features=["whole"]).fit(frame, y)
    assert est.coef_.size == 2 + 4 + 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused(kind):
    frame, y = frame_of()
    y = target(kind, y)
    with pytest.raises(
        ValueError, match=r"categorical columns \['two', 'few', 'many'\]"
    ):
        made(kind, categorical_features=None).fit(frame, y)
    with pytest.raises(ValueError, match="names the column 'nothing'"):
        made(kind, categorical_features=["nothing"]).fit(frame, y)
    with pytest.raises(ValueError, match="columns of dates"):
        when = pd.date_range("2020", periods=300)
        made(kind).fit(frame.assign(when=when), y)
    with pytest.raises(ValueError, match="holds dates"):
        made(kind, categorical_features=["when"]).fit(frame.assign(when=when), y)
    with pytest.raises(ValueError, match=r"in columns 'words'"):
        made(kind).fit(frame.assign(words="word"), y)
    with pytest.raises(ValueError, match=r"NaN in columns \['number'\]"):
        made(kind).fit(frame.assign(number=np.nan), y)
    with pytest.raises(ValueError, match="X is sparse"):
        made(kind, categorical_features=[0]).fit(csr_array(np.eye(4)), y[:4])
    twice = pd.concat([frame, frame[["few"]]], axis=1)
    with pytest.raises(ValueError, match="several columns named 'few'"):
        made(kind).fit(twice, y)
    with pytest.raises(ValueError, match="categorical_features"):
        made(kind, categorical_features="few").fit(frame, y)


def test_partial_fits_know_the_levels_of_the_first():
    frame, y = frame_of(few=4)
    est = made(DNNRegressor)
    est.partial_fit(frame[:200], y[:200])
    width = len(est.coefs_[0])
    later = frame[200:].copy()
    later["few"] = pd.Categorical(["another"] * 100)
    est.partial_fit(later, y[200:])
    assert len(est.coefs_[0]) == width == 6
    est.set_params(warm_start=True).fit(frame, y)
    chunks = [(frame[:150], y[:150]), (frame[150:], y[150:])]
    assert made(DNNRegressor).fit_chunks(chunks).score(frame, y) > 0.8


def rows_of(words, kind):
    if kind == "texts":
        return pd.Series(words, dtype=object)
    return pd.Series(pd.Categorical(words, categories=["a", "b", "c"]))


@pytest.mark.parametrize("way", ["partial_fit", "fit_chunks"])
@pytest.mark.parametrize("first", ["a", None])
def test_a_column_that_is_constant_in_the_first_rows_is_kept(way, first):
    rng = np.random.default_rng(0)
    wish = {"categorical_features": ["word"], "max_iter": 30}
    for kind in ("texts", "categories"):
        words = np.array(list("abc"), dtype=object)[rng.integers(0, 3, 400)]
        words[:20] = first
        frame = pd.DataFrame({"number": rng.normal(size=400)})
        frame["word"] = rows_of(words, kind).to_numpy() if kind == "texts" else 0
        if kind == "categories":
            frame["word"] = rows_of(words, kind)
        y = 3.0 * (words == "a") + (words == "b") + 0.1 * frame["number"].to_numpy()
        parts = [(frame[:20], y[:20]), (frame[20:], y[20:])]
        est = made(DNNRegressor, **wish)
        if way == "fit_chunks":
            est.fit_chunks(parts)
        else:
            for _ in range(60):
                for part in parts:
                    est.partial_fit(*part)
        inputs = len(est.coefs_[0])
        if kind == "categories":
            assert inputs == 4 and est.score(frame, y) > 0.95
        elif first is not None:  # what "b" and "c" are nobody knew
            assert inputs == 2 and est.score(frame, y) > 0.7
        else:
            assert inputs == 1


def test_held_out_rows_and_scorers():
    frame, y = frame_of()
    later, y_later = frame_of(seed=1)
    est = made(DNNRegressor, early_stopping=True, scoring="r2", max_iter=10)
    est.fit(frame, y)
    assert len(est.validation_scores_) == est.n_iter_ or est.validation_scores_
    est.fit(frame, y, X_val=later, y_val=y_later)
    assert est.validation_scores_[-1] == pytest.approx(
        est.score(later, y_later), abs=0.5
    )
    assert cross_val_score(made(DNNRegressor), frame, y, cv=3).min() > 0.5


def test_libraries_agree():
    frame, y = frame_of()
    other = pl.DataFrame(
        {
            name: column.tolist()
            if name in ("number", "last")
            else pl.Series(column.tolist(), dtype=pl.Categorical)
            for name, column in frame.items()
        }
    )
    of_pandas, of_polars = (made(DNNRegressor).fit(X, y) for X in (frame, other))
    np.testing.assert_array_equal(of_pandas.predict(frame), of_polars.predict(other))


def test_the_order_of_categories_and_unused_ones_do_not_matter():
    frame, y = frame_of()
    est = made(DNNRegressor).fit(frame, y)
    other = frame.copy()
    for name in LEVELS:
        levels = [*reversed(frame[name].cat.categories), "unused"]
        other[name] = frame[name].astype(object).astype(pd.CategoricalDtype(levels))
    np.testing.assert_array_equal(est.predict(other), est.predict(frame))
    again = made(DNNRegressor).fit(other, y)
    np.testing.assert_array_equal(again.predict(frame), est.predict(frame))


def test_the_encoder_before_it():
    frame, y = frame_of()
    encoder = TabularEncoder(max_one_hot=100).set_output(transform="pandas")
    X = encoder.fit_transform(frame)
    codes = made(DNNRegressor).fit(X, y)
    assert codes.score(X, y) > 0.8
    codes = frame.assign(**{name: frame[name].cat.codes for name in LEVELS})
    est = made(DNNRegressor, categorical_features=list(LEVELS)).fit(codes, y)
    assert est.score(codes, y) > 0.8
