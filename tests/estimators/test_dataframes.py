"""DataFrames and Series of pandas, polars and pyarrow: names, types, missing values."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import _get_feature_names
from support.estimator_shapes import SHAPES

from slimlearn import TabularEncoder
from slimlearn.estimators import (
    DNNClassifier,
    DNNRegressor,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
)
from slimlearn.estimators.callbacks import EpochScoring

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3)).round(2)
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
NAMES = ["age", "height", "mass"]
FRAMES = {"pandas": pd.DataFrame(X, columns=NAMES), "polars": pl.DataFrame(X, NAMES)}
PANDAS, POLARS = FRAMES["pandas"], FRAMES["polars"]
named = pytest.mark.parametrize(
    "library",
    [
        "pandas",
        pytest.param(
            "polars",
            marks=pytest.mark.skipif(
                _get_feature_names(POLARS) is None,
                reason="this scikit-learn sees no names in this polars",
            ),
        ),
    ],
)


def make(kind=DNNClassifier, **options):
    return kind((4,), max_iter=2, random_state=0, **options)


def replaced(frame, values):
    """The frame with another second column."""
    if isinstance(frame, pd.DataFrame):
        return frame.assign(height=values)
    return frame.with_columns(height=values)


def arrow(text):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    return pd.Series([], dtype=text).dtype


# -- X ------------------------------


@named
def test_a_frame_trains_as_its_numbers(library):
    frame = FRAMES[library]
    ours, plain = make().fit(frame, Y), make().fit(X, Y)
    assert ours.feature_names_in_.tolist() == NAMES
    assert ours.program_.params.tobytes() == plain.program_.params.tobytes()
    np.testing.assert_array_equal(ours.predict_proba(frame), plain.predict_proba(X))


@pytest.mark.parametrize(
    "kind, numpys",
    [
        ("Float64", "f8"),
        ("Float32", "f4"),
        ("Int64", "i8"),
        ("UInt8", "u1"),
        ("boolean", "?"),
        ("double[pyarrow]", "f8"),
        ("int32[pyarrow]", "i4"),
        ("bool[pyarrow]", "?"),
    ],
)
def test_nullable_columns_are_numbers(kind, numpys):
    kind = arrow(kind) if kind.endswith("[pyarrow]") else kind
    values = np.abs(X * 3).astype(numpys)
    frame = pd.DataFrame(values, columns=NAMES).astype(kind)
    ours = make(precision="float64").fit(frame, Y)
    plain = make(precision="float64").fit(values.astype("f8"), Y)
    np.testing.assert_array_equal(
        ours.predict_proba(frame), plain.predict_proba(values.astype("f8"))
    )
    frame.loc[5, "height"] = pd.NA
    for method in (ours.predict, lambda rows: ours.partial_fit(rows, Y)):
        with pytest.raises(ValueError, match=r"X contains NaN in columns \['height'\]"):
            method(frame)


@pytest.mark.parametrize("library", FRAMES)
def test_columns_of_several_types(library):
    def columns(frame, flag, small):
        if library == "pandas":
            return frame.assign(age=flag.astype(bool), mass=small)
        return frame.with_columns(age=pl.Series(flag == 1), mass=pl.Series(small))

    flag, small = Y, (X[:, 2] * 3).astype("i1")
    numbers = np.c_[flag, X[:, 1], small]
    ours = make().fit(columns(FRAMES[library], flag, small), Y)
    plain = make().fit(numbers, Y)
    np.testing.assert_array_equal(ours.coefs_[0], plain.coefs_[0])


def test_objects_that_are_numbers():
    numbers = X.copy()
    numbers[:, 1] = Y
    for values in (Y.astype(object), Y.astype(bool).astype(object), Y.astype(str)):
        frame = PANDAS.assign(height=values)
        ours, plain = make().fit(frame, Y), make().fit(numbers, Y)
        np.testing.assert_array_equal(ours.coefs_[0], plain.coefs_[0])


DAYS = pd.date_range("2020-01-01", periods=60)
WORDS = [f"v{i}" for i in range(60)]
REFUSED = {
    "words": (PANDAS, WORDS, r"'v0', in columns 'height' \(.*encode or drop"),
    "objects": (PANDAS, [object()] * 60, r"in columns 'height' \(object\)"),
    "complex": (PANDAS, 1j * X[:, 1], r"Complex data .* 'height' \(complex128\)"),
    "days": (PANDAS, DAYS, r"dates, times or intervals \['height'\].*the weekday"),
    "zone": (PANDAS, DAYS.tz_localize("UTC"), r"dates, .*\['height'\]"),
    "months": (PANDAS, DAYS.to_period("D"), r"dates, .*\['height'\]"),
    "spans": (PANDAS, DAYS - DAYS[0], r"dates, .*\['height'\]"),
    "strings": (POLARS, pl.Series(WORDS), r"'v0', in columns 'height' \(String\)"),
    "dates": (POLARS, pl.date(2020, 1, 1), r"dates, .*\['height'\]"),
    "hours": (POLARS, pl.time(7), r"dates, .*\['height'\]"),
    "codes": (POLARS, pl.lit("x").cast(pl.Categorical), r"categorical.*\['height'\]"),
    "ranks": (POLARS, pl.lit("x").cast(pl.Enum(["x"])), r"categorical.*\['height'\]"),
    "null": (POLARS, pl.lit(None), r"X contains NaN in columns \['height'\]"),
    "some": (
        POLARS,
        pl.Series([1.0, None] * 30, dtype=pl.Object),
        r"X contains NaN in columns \['height'\]",
    ),
    "None": (PANDAS, [1.0, None] * 30, r"X contains NaN in columns \['height'\]"),
    "inf": (POLARS, pl.lit(np.inf), r"inf.* in columns \['height'\]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_columns_that_are_refused_are_named(case):
    frame, values, told = REFUSED[case]
    bad = replaced(frame, values)
    clf = make(categorical_features=None).fit(frame, Y)
    for method in (clf.predict, clf.decision_function, lambda rows: clf.fit(rows, Y)):
        with pytest.raises((ValueError, TypeError), match=told) as error:
            method(bad)
        assert "DNNClassifier" in str(error.value)
    with pytest.raises(
        (ValueError, TypeError), match=told.replace("X contains", "X_val contains")
    ):
        clf.fit(frame, Y, X_val=bad, y_val=Y)


def test_a_frame_without_rows_yet():
    with pytest.raises(TypeError, match=r"X is a LazyFrame.*collect\(\)"):
        make().fit(POLARS.lazy(), Y)


def test_tables_of_pyarrow():
    pa = pytest.importorskip("pyarrow", exc_type=ImportError)
    table = pa.table({name: X[:, i] for i, name in enumerate(NAMES)})
    clf = make().fit(table, Y)
    assert clf.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(clf.predict(table), clf.predict(PANDAS))
    missing = table.set_column(1, "height", pa.array([None, 1.0] * 30))
    with pytest.raises(ValueError, match=r"NaN in columns \['height'\]"):
        clf.predict(missing)
    coded = table.set_column(1, "height", pa.array(WORDS).dictionary_encode())
    with pytest.raises(ValueError, match=r"categorical columns \['height'\]"):
        clf.predict(coded)


# -- names ------------------------------

CALLS = {
    "predict": lambda est, rows: est.predict(rows),
    "predict_proba": lambda est, rows: est.predict_proba(rows),
    "predict_log_proba": lambda est, rows: est.predict_log_proba(rows),
    "decision_function": lambda est, rows: est.decision_function(rows),
    "score": lambda est, rows: est.score(rows, Y),
    "profile": lambda est, rows: est.profile(rows, Y, steps=1),
    "partial_fit": lambda est, rows: est.partial_fit(rows, Y),
    "warm_start": lambda est, rows: est.set_params(warm_start=True).fit(rows, Y),
    "X_val": lambda est, rows: est.fit(PANDAS, Y, X_val=rows, y_val=Y),
}


@named
@pytest.mark.parametrize("call", CALLS)
def test_columns_must_be_those_of_the_fit(library, call):
    frame = FRAMES[library]
    clf = make().fit(frame, Y)
    renamed = dict(zip(NAMES, ["age", "height", "weight"]))
    for rows, told in (
        (frame[NAMES[::-1]], "must be in the same order"),
        (frame[NAMES[:2]], "(?s)now missing:.*- mass"),
        (
            frame.rename(columns=renamed)
            if library == "pandas"
            else frame.rename(renamed),
            "(?s)unseen at fit time:.*- weight",
        ),
    ):
        with pytest.raises(ValueError, match=told):
            CALLS[call](clf, rows)


def test_a_refit_forgets_the_names():
    clf = make().fit(PANDAS, Y)
    clf.fit(PANDAS[NAMES[::-1]], Y)
    assert clf.feature_names_in_.tolist() == NAMES[::-1]
    clf.fit(X, Y)
    assert not hasattr(clf, "feature_names_in_")
    clf.predict(X)


def test_scores_of_the_epochs_do_not_warn_of_names():
    clf = make(early_stopping=True, scoring="accuracy")
    clf.set_params(callbacks=[EpochScoring("roc_auc", on="train")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.fit(PANDAS, Y)
    assert len(clf.validation_scores_) == 2


# -- y and weights ------------------------------


@pytest.mark.parametrize(
    "y, classes",
    [
        (pd.Series(Y), np.array([0, 1])),
        (pd.Series(Y, index=RNG.permutation(60), dtype="Int64"), np.array([0, 1])),
        (pd.Series(Y > 0, dtype="boolean"), np.array([False, True])),
        (pd.Series(np.where(Y, "yes", "no")), np.array(["no", "yes"], dtype=object)),
        (pd.Series(np.where(Y, "yes", "no"), dtype="category"), ["no", "yes"]),
        (pl.Series(Y), np.array([0, 1])),
        (pl.Series(Y > 0), np.array([False, True])),
        (pl.Series(np.where(Y, "yes", "no")), np.array(["no", "yes"])),
        (pl.Series(np.where(Y, "yes", "no"), dtype=pl.Categorical), ["no", "yes"]),
    ],
    ids=lambda value: (
        f"{type(value).__module__.partition('.')[0]}-{value.dtype}"
        if hasattr(value, "to_list")
        else None
    ),
)
def test_labels_of_a_series(y, classes):
    clf = make().fit(X, y)
    assert clf.classes_.tolist() == list(classes)
    if isinstance(classes, np.ndarray):
        assert clf.classes_.dtype == classes.dtype
    np.testing.assert_array_equal(clf.coefs_[0], make().fit(X, Y).coefs_[0])
    codes = np.searchsorted(clf.classes_.tolist(), clf.predict(X).tolist())
    assert clf.score(X, y) == pytest.approx(np.mean(codes == Y))


WORDS_AND_NONE = ["a", "b", None] * 20
MISSING = {
    "pandas integers": pd.Series([0, 1, None] * 20, dtype="Int64"),
    "polars integers": pl.Series([0, 1, None] * 20),
    "floats": np.array([0.0, 1.0, np.nan] * 20),
    "numbers as objects": np.array([0.0, 1.0, None] * 20, dtype=object),
    "NaN among objects": np.array([0.0, 1.0, np.nan] * 20, dtype=object),
    "NA among objects": np.array([0.0, 1.0, pd.NA] * 20, dtype=object),
    "list": [0.0, 1.0, None] * 20,
    "words": np.array(WORDS_AND_NONE, dtype=object),
    "list of words": WORDS_AND_NONE,
    "list of words and NaN": ["a", "b", np.nan] * 20,
    "strings of pandas": pd.Series(WORDS_AND_NONE, dtype="string"),
    "objects of pandas": pd.Series(["a", "b", pd.NA] * 20, dtype=object),
    "categories": pd.Series(WORDS_AND_NONE, dtype="category"),
    "strings of polars": pl.Series(WORDS_AND_NONE),
    "two columns": np.array([[1, 2], [2.0, 1], [None, 1]] * 20, dtype=object),
    "a frame": pd.DataFrame({"a": [1, 2, None] * 20, "b": ["x", "y", "z"] * 20}),
}


@pytest.mark.parametrize("case", MISSING)
def test_missing_targets_are_counted_before_they_are_converted(case):
    y, told = MISSING[case], r"Input {} contains NaN \(20 of 60, first in row 2\)"
    words = "word" in case or "string" in case or "categ" in case or "frame" in case
    names = {"num": ["age", "height"], "cat": ["mass"]}
    several = NetworkClassifier(lambda x: x["num"], inputs=names, max_iter=1)
    fits = [make().fit, several.fit, make().partial_fit]
    if "objects of" not in case and not words:
        fits += [make(DNNRegressor).fit, make(DNNRegressor).partial_fit]
    for fit in fits:
        known = {"classes": [0, 1]} if fit.__name__ == "partial_fit" else {}
        known = {} if isinstance(fit.__self__, DNNRegressor) else known
        with pytest.raises(ValueError, match=told.format("y")):
            fit(PANDAS, y, **known)
    with pytest.raises(ValueError, match="chunk 1: " + told.format("y")):
        make().fit_chunks([(PANDAS, y)])
    if not words and np.ndim(y) == 1:
        for kind in (DNNClassifier, DNNRegressor):
            with pytest.raises(ValueError, match=told.format("y_val")):
                make(kind).fit(PANDAS, Y, X_val=PANDAS, y_val=y)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_missing_values_among_objects(missing):
    told = r"Input {} contains NaN \(1 of 60, first in row 3\)"
    clf = make().fit(X, Y)
    weights = np.ones(60, dtype=object)
    weights[3] = missing
    for form in (weights, weights.tolist(), pd.Series(weights)):
        with pytest.raises(ValueError, match=told.format("sample_weight")):
            clf.fit(X, Y, form)
    y = Y.astype(object)
    y[3] = missing
    with pytest.raises(ValueError, match=told.format("y")):
        clf.score(X, y)
    x = X.astype(object)
    x[3, 1] = missing
    frame = pd.DataFrame(x, columns=NAMES)
    named = make().fit(PANDAS, Y)
    for form, column in ((x, "1"), (x.tolist(), "1"), (frame, "'height'")):
        predict = named.predict if form is frame else clf.predict
        for call in (predict, lambda rows: make().fit(rows, Y)):
            with pytest.raises(ValueError, match=rf"NaN in columns \[{column}\]"):
                call(form)


def test_objects_that_are_targets():
    y = X @ [1.0, 2.0, 3.0]
    plain, ours = make(DNNRegressor).fit(X, y), make(DNNRegressor)
    np.testing.assert_array_equal(
        ours.fit(X, y.astype(object)).predict(X), plain.predict(X)
    )
    y[3] = np.inf
    with pytest.raises(ValueError, match="Input y contains infinity"):
        ours.fit(X, y.astype(object))
    with pytest.raises(ValueError, match="could not convert string"):
        ours.fit(X, np.array(["a"] * 60, dtype=object))


# -- frames without rows ------------------------------

METHODS = [
    *("predict", "predict_proba", "predict_log_proba", "decision_function"),
    *("transform", "reconstruct", "activations", "score", "profile"),
    *("fit", "partial_fit"),
]


@pytest.mark.parametrize("estimator", SHAPES["default"], ids=lambda e: type(e).__name__)
def test_frames_without_rows(estimator):
    estimator = clone(estimator)
    inner = getattr(estimator, "estimator", estimator)
    if "max_iter" in inner.get_params():
        inner.set_params(max_iter=1)
    if getattr(inner, "optimizer", "adam") == "lbfgs":
        inner.set_params(optimizer="adam")
    several = make_several(inner)
    for library in FRAMES:
        frame = FRAMES[library]
        for fitted in (clone(estimator).fit(frame, Y), several.fit(frame, Y)):
            asked = 0
            for name in METHODS:
                method = getattr(fitted, name, None)
                linear = type(fitted).__name__.startswith("Linear")
                if method is None or (linear and name == "activations"):
                    continue
                with pytest.raises(ValueError, match=r"0 sample\(s\)") as error:
                    if name in ("score", "profile", "fit", "partial_fit"):
                        method(frame[:0], Y[:0])
                    else:
                        method(frame[:0])
                assert "encode or" not in str(error.value), name
                asked += 1
            assert asked >= (2 if isinstance(fitted, TabularEncoder) else 3)


def make_several(like):
    """An estimator of several inputs, of the kind of another one."""
    kind = NetworkRegressor if hasattr(like, "quantile") else NetworkClassifier
    inputs = {"num": ["age", "height"], "cat": ["mass"]}
    return kind(lambda x: x["num"] * x["cat"], inputs=inputs, max_iter=1)


def test_other_mistakes_are_not_explained_by_columns_of_words():
    clf = make().fit(PANDAS, Y)
    with pytest.raises(ValueError, match="feature names") as error:
        clf.predict(PANDAS.assign(height=WORDS).rename(columns={"age": "years"}))
    assert "encode" not in str(error.value)
    with pytest.raises(ValueError, match="inconsistent") as error:
        clf.fit(PANDAS, Y[:-1])
    assert "encode" not in str(error.value)


@pytest.mark.parametrize("library", FRAMES)
def test_targets_and_weights_of_a_frame(library):
    frame = FRAMES[library]
    weights = np.arange(60) % 3
    given = (
        pd.Series(weights, dtype="Int64") if library == "pandas" else pl.Series(weights)
    )
    for target, numbers in (
        (frame["age"], X[:, 0]),
        (frame[["age", "height"]], X[:, :2]),
        (frame[["age"]], X[:, :1]),
    ):
        ours = LinearRegressor().fit(frame, target, given)
        plain = LinearRegressor().fit(X, numbers, weights)
        np.testing.assert_array_equal(ours.predict(frame), plain.predict(X))
        score = ours.score(frame, target, weights)
        assert score == pytest.approx(plain.score(X, numbers, weights))
    held = {"X_val": frame, "y_val": frame["age"], "sample_weight_val": given}
    ours = make(DNNRegressor).fit(frame, frame["age"], **held)
    held = {"X_val": X, "y_val": X[:, 0], "sample_weight_val": weights}
    plain = make(DNNRegressor).fit(X, X[:, 0], **held)
    assert ours.validation_loss_curve_ == plain.validation_loss_curve_


def test_several_labels_in_a_frame():
    labels = np.c_[Y, X[:, 2] > 0].astype(int)
    clf = make().fit(X, labels)
    for frame in (
        pd.DataFrame(labels, index=RNG.permutation(60)),
        pl.from_numpy(labels),
    ):
        ours = make().fit(X, frame)
        np.testing.assert_array_equal(ours.predict(X), clf.predict(X))
        assert ours.score(X, frame) == clf.score(X, labels)


# -- pipelines ------------------------------


@named
def test_frames_between_the_steps_of_a_pipeline(library):
    city = np.where(RNG.rand(60) > 0.5, "Rome", "Oslo")
    gaps = np.where(RNG.rand(60) > 0.2, X[:, 0], np.nan)
    if library == "pandas":
        frame = PANDAS.assign(age=gaps, city=pd.Categorical(city))
    else:
        frame = POLARS.with_columns(
            age=pl.Series(gaps), city=pl.Series(city).cast(pl.Categorical)
        )
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["city"]),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), NAMES),
        verbose_feature_names_out=False,
    )
    pipe = make_pipeline(columns, make()).set_output(transform=library)
    pipe.fit(frame, Y)
    expected = ["city_Oslo", "city_Rome", *NAMES, "missingindicator_age"]
    assert pipe[-1].feature_names_in_.tolist() == expected
    arrays = clone(pipe).set_output(transform="default").fit(frame, Y)
    np.testing.assert_array_equal(
        pipe.predict_proba(frame), arrays.predict_proba(frame)
    )
    assert np.isfinite(cross_val_score(pipe, frame, Y, cv=3)).all()
