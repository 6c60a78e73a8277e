"""Ensembles of tables as ONNX: columns of any kind by name, as Python reads them."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import slimlearn
from slimlearn import (
    DNNClassifier,
    DNNLinearCombinedClassifier,
    DNNLinearCombinedRegressor,
    LinearClassifier,
    TabularClassifier,
    TabularRegressor,
)
from slimlearn import feature_column as fc
from slimlearn.estimators.features.defaults import Standard

pd = pytest.importorskip("pandas")
pytest.importorskip("skl2onnx", reason="the onnx extra is not installed")
rt = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

RNG = np.random.default_rng(0)
ROWS = 200
FAST = {"preset": "fast", "max_iter": 2, "random_state": 0}
CODES = RNG.integers(0, 3, ROWS)
TYPES = {"tensor(string)": object, "tensor(int64)": np.int64}
TYPES |= {"tensor(float)": np.float32, "tensor(double)": np.float64}


def table():
    """Columns of each kind: missing values, distant ones, few and many levels."""
    frame = pd.DataFrame(
        {
            "half": RNG.normal(size=ROWS),
            "year": RNG.integers(1990, 2020, ROWS),
            "far": 1e6 + RNG.normal(size=ROWS),
            "letter": RNG.choice(list("xyü"), ROWS),
            "word": [f"w{i}" for i in RNG.integers(0, 20, ROWS)],
            "truth": RNG.random(ROWS) > 0.4,
            "same": 1,
            "size": pd.Categorical(RNG.integers(5, 9, ROWS)),
            "part": pd.Categorical(RNG.integers(1, 4, ROWS) / 2),
        }
    )
    frame.loc[::7, "half"] = np.nan
    frame.loc[3, "half"] = 1e9
    return frame.astype({"half": np.float32, "far": np.float32})


FRAME = table()


def compute(made, X, rows=slice(None)):
    runtime = rt.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {}
    for given in runtime.get_inputs():
        values = X if given.name == "X" else np.asarray(X[given.name])[:, None]
        feeds[given.name] = values.astype(TYPES[given.type])[rows]
    names = [output.name for output in runtime.get_outputs()]
    return dict(zip(names, runtime.run(None, feeds)))


@pytest.mark.parametrize(
    "y",
    [CODES, np.array(["no", "yes"])[CODES // 2], np.eye(3, dtype=int)[CODES][:, :2]]
    + [np.c_[CODES, RNG.integers(5, 9, ROWS)]],
    ids=["classes", "two", "labels", "outputs"],
)
def test_classes(y):
    clf = TabularClassifier(**FAST).fit(FRAME, y)
    clf.temperature_ = 0.8  # of few rows that tell nothing it is 1
    want = clf.predict_proba(FRAME)
    want = np.hstack(want) if isinstance(want, list) else want
    for precision in ("float32", "float64"):
        made = clf.to_onnx(precision=precision)
        assert "same" not in [given.name for given in made.graph.input]
        for rows in (slice(1), slice(None)):
            got = compute(made, FRAME, rows)
            np.testing.assert_allclose(got["probabilities"], want[rows], atol=1e-5)
            assert (got["label"] == clf.predict(FRAME)[rows]).all()


def test_unseen_and_missing_categories():
    clf = TabularClassifier(**FAST).fit(FRAME, CODES)
    odd = FRAME[:4].assign(word="?", letter="").astype({"size": int})
    odd["size"], odd["half"] = 77, np.float32([np.nan, np.inf, -np.inf, 0])
    missing = odd.assign(letter=None)
    got = compute(clf.to_onnx(), odd)["probabilities"]
    np.testing.assert_allclose(got, clf.predict_proba(missing), atol=1e-5)


@pytest.mark.parametrize(
    "params", [{}, {"loss": "quantile", "quantile": (0.9, 0.1, 0.5)}], ids=str
)
@pytest.mark.parametrize("several", [False, True])
def test_numbers(params, several):
    y = 100 + 5 * np.c_[FRAME["year"] % 7, FRAME["truth"] + RNG.normal(size=ROWS)]
    reg = TabularRegressor(**FAST, **params).fit(FRAME, y if several else y[:, 1])
    got = compute(reg.to_onnx(), FRAME)
    want = reg.predict(FRAME)
    np.testing.assert_allclose(got["variable"].reshape(want.shape), want, rtol=1e-5)
    if params:
        want = reg.predict_quantiles(FRAME)
        np.testing.assert_allclose(got["quantiles"], want, rtol=1e-5)


def test_a_matrix_alone_in_a_pipeline_and_calibrated():
    X = RNG.normal(size=(ROWS, 5)).astype(np.float32)
    X[:, 2], X[::3, 1], X[:, 4] = RNG.integers(0, 4, ROWS), np.nan, 7
    for params in ({}, {"categorical_features": [2]}):
        clf = TabularClassifier(**FAST, **params)
        around = (
            make_pipeline(StandardScaler(with_mean=False, with_std=False), clf),
            CalibratedClassifierCV(clf, cv=2),
        )
        for model in around:
            got = compute(slimlearn.to_onnx(model.fit(X, CODES > 0), X), X)
            want = model.predict_proba(X)
            np.testing.assert_allclose(got["probabilities"], want, atol=1e-5)
        clf.fit(X, CODES)
        names = {f"x{i}": X[:, i] for i in range(5)}
        got = compute(clf.to_onnx(), names if params else X)["probabilities"]
        np.testing.assert_allclose(got, clf.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("zone", [None, "UTC", "-03:30"])
def test_dates(zone):
    """Days around leap days of all kinds, before 1970 too, hours, and missing ones."""
    seconds = RNG.integers(-3 * 10**9, 4 * 10**9, ROWS)
    odd = "2000-02-28 2000-02-29 1900-02-28 1900-03-01 2023-12-31 2024-02-29"
    odd = [*odd.split(), "1970-01-01", "1969-12-30T23:59:59"]
    seconds[:8] = np.array(odd, "M8[s]").astype(np.int64)
    when = pd.Series(pd.to_datetime(seconds, unit="s"))
    if zone is not None:
        when = when.dt.tz_localize("UTC").dt.tz_convert(zone)
    day = pd.Series(pd.to_datetime(RNG.integers(0, 9999, ROWS), unit="D"))
    when[9::11] = pd.NaT
    frame = FRAME[["half", "letter"]].assign(when=when, day=day)
    clf = TabularClassifier(**FAST).fit(frame, CODES)
    fed = frame.assign(day=day.astype("M8[us]").astype("i8"))
    fed["when"] = when.to_numpy("M8[us]").view("i8")
    for precision, most in (("float32", 1e-5), ("float64", 1e-6)):
        got = compute(clf.to_onnx(precision=precision), fed)["probabilities"]
        np.testing.assert_allclose(got, clf.predict_proba(frame), atol=most)
    # Of an array, whose columns have no names.
    alone = day.to_numpy("M8[s]")[:, None]
    clf = TabularClassifier(**FAST).fit(alone, CODES)
    made, given = clf.to_onnx(), pd.DataFrame({"x0": fed["day"]})
    got = compute(made, given)["probabilities"]
    np.testing.assert_allclose(got, clf.predict_proba(alone), atol=1e-5)


def test_what_has_no_form_is_named():
    when = pd.date_range("2020", periods=ROWS, tz="Europe/Berlin")
    clf = TabularClassifier(**FAST).fit(FRAME[["half"]].assign(when=when), CODES)
    with pytest.raises(ValueError, match=r"'when' by the clock of Europe/Berlin"):
        clf.to_onnx()
    mixed = FRAME[["half"]].assign(mix=pd.Categorical(["a", 1] * (ROWS // 2)))
    clf = TabularClassifier(**FAST).fit(mixed, CODES)
    with pytest.raises(ValueError, match=r"'mix' has levels of several types"):
        clf.to_onnx()


def test_category_columns_of_networks():
    for embeds in (DNNClassifier, LinearClassifier):
        hidden = {"hidden_units": (8,)} if embeds is DNNClassifier else {}
        clf = embeds(max_iter=2, optimizer="adam", **hidden)
        # no column far from 0: these networks take numbers as they are, and what they
        # make of 10^6 has lost its sixth digit before anybody writes it down
        frame = FRAME.drop(columns="half").assign(
            far=FRAME["far"] - 1e6,
            year=FRAME["year"] - 2000,
            many=pd.Categorical([f"k{i}" for i in RNG.integers(0, 40, ROWS)]),
            letter=FRAME["letter"].astype("category"),
            word=FRAME["year"] - 2000,
        )
        made = clf.fit(frame, CODES).to_onnx()
        odd = frame.assign(letter="?", size=77, truth=frame["truth"])
        odd = odd.astype({"letter": "category", "size": "category"})
        for rows in (frame, odd):
            got = compute(made, rows)["probabilities"]
            np.testing.assert_allclose(got, clf.predict_proba(rows), atol=1e-5)


def test_feature_columns():
    year = fc.numeric_column("year", normalizer_fn=Standard(2005.0, 8.0))
    half = fc.numeric_column("half", default_value=0.5)
    decade = fc.bucketized_column(fc.numeric_column("year"), [1995, 2000, 2010])
    letter = fc.categorical_column_with_vocabulary_list(
        "letter", ["x", "ü"], default_value=1
    )
    word = fc.categorical_column_with_vocabulary_list("word", ["w3", "w4", "w5"])
    size = fc.categorical_column_with_identity("size", 9)
    crossed = fc.crossed_column([letter, decade, word], 40, hash_key=3)
    again = fc.crossed_column([crossed, size], 9)
    deep = [
        year,
        half,
        fc.indicator_column(letter),
        fc.embedding_column(word, 3),
        decade,
    ]
    frame = FRAME.assign(size=FRAME["size"].astype(int), half=FRAME["half"].clip(-9, 9))
    wide = [letter, size, decade, year, crossed, again]
    for make, y in (
        (DNNLinearCombinedClassifier, CODES),
        (DNNLinearCombinedRegressor, FRAME["year"] - 2000.0),
    ):
        est = make(wide, deep, (8,), max_iter=2).fit(frame, y)
        got = compute(est.to_onnx(), frame)
        if make is DNNLinearCombinedRegressor:
            got, want = got["variable"][:, 0], est.predict(frame)
        else:
            got, want = got["probabilities"], est.predict_proba(frame)
        np.testing.assert_allclose(got, want, atol=1e-5)
    found = DNNLinearCombinedClassifier(max_iter=2).fit(
        FRAME.drop(columns="part"), CODES
    )
    got = compute(found.to_onnx(), FRAME.assign(truth=FRAME["truth"].astype(int)))
    want = found.predict_proba(FRAME.drop(columns="part"))
    np.testing.assert_allclose(got["probabilities"], want, atol=1e-5)
    hashed = fc.categorical_column_with_hash_bucket("word", 50)
    for odd, who in (
        (hashed, "HashedColumn 'word'"),
        (fc.crossed_column(["word", decade], 50), "CrossedColumn 'word_X_year"),
        (fc.crossed_column([hashed, decade], 50), "HashedColumn 'word'"),
    ):
        est = DNNLinearCombinedClassifier([odd], [year], (4,), max_iter=1)
        with pytest.raises(ValueError, match=rf"{who}.*vocabulary_list"):
            est.fit(frame, CODES).to_onnx()
    own = fc.numeric_column("year", normalizer_fn=np.log1p)
    est = DNNLinearCombinedClassifier([own], [own], (4,), max_iter=1)
    with pytest.raises(ValueError, match=r"'year'\) has a normalizer_fn"):
        est.fit(frame, CODES).to_onnx()
