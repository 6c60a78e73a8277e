"""Pipelines and ensembles of tables as C: what stands before a network too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

import slimlearn
from slimlearn import (
    Autoencoder,
    ConvNetClassifier,
    DNNClassifier,
    DNNLinearCombinedClassifier,
    DNNRegressor,
    LayerTransformer,
    NetworkClassifier,
    SequenceTagger,
    TabularClassifier,
    TabularRegressor,
    ops,
)
from slimlearn import feature_column as fc
from slimlearn.estimators.features.defaults import Standard
from slimlearn.estimators.tables import ensemble, training
from tests.support.exported_c import ON_ONE_ISA, Compiled, compiled

pytestmark = ON_ONE_ISA

RNG = np.random.default_rng(0)
ROWS = 120
CODES = RNG.integers(0, 3, ROWS)
X = RNG.normal(size=(ROWS, 6)).astype(np.float32)
X[:, 1] = 1e5 + X[:, 1]
X[:, 2] = 40 + 1e-3 * X[:, 2]
HOLES = X.copy()
HOLES[::5, 0] = HOLES[1::7, 3] = np.nan
FAST = {"preset": "fast", "max_iter": 2, "random_state": 0}


def net(**params):
    return DNNClassifier((8,), max_iter=2, random_state=0, **params)


def piped(model, folder, **params) -> Compiled:
    slimlearn.export_c(model, folder / "net.c", **params)
    return Compiled(folder)


STEPS = {
    "standard": StandardScaler(),
    "centre": StandardScaler(with_std=False),
    "robust": RobustScaler(),
    "range": MinMaxScaler((-1, 2), clip=True),
    "largest": MaxAbsScaler(),
    "rows": make_pipeline(StandardScaler(), Normalizer("l1"), Normalizer()),
    "binary": Binarizer(threshold=0.5),
    "imputed": make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
    "pca": make_pipeline(StandardScaler(), PCA(3, whiten=True), MinMaxScaler()),
    "svd": make_pipeline(StandardScaler(), TruncatedSVD(2)),
    "selected": make_pipeline(
        SelectKBest(k=4), VarianceThreshold(), StandardScaler(), "passthrough"
    ),
    "functions": make_pipeline(
        FunctionTransformer(np.abs),
        FunctionTransformer(np.log1p),
        FunctionTransformer(),
    ),
    "union": FeatureUnion(
        [("a", StandardScaler()), ("b", MinMaxScaler()), ("c", "drop")],
        transformer_weights={"b": 2.0},
    ),
    "columns": make_column_transformer(
        (StandardScaler(), [1, 0]), ("drop", [2]), remainder="passthrough"
    ),
    "features": make_pipeline(StandardScaler(), LayerTransformer(net())),
    "codes": make_pipeline(StandardScaler(), Autoencoder((3,), max_iter=2)),
}


@pytest.mark.parametrize(
    "encoder",
    [
        OrdinalEncoder(encoded_missing_value=-7),
        make_pipeline(OrdinalEncoder(), SimpleImputer(add_indicator=True)),
        make_pipeline(
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
            SimpleImputer(strategy="constant", fill_value=9),
        ),
        OneHotEncoder(sparse_output=False, drop="if_binary"),
        OneHotEncoder(sparse_output=False, drop="first", handle_unknown="ignore"),
    ],
    ids=["a number", "filled", "unknown", "binary", "one less"],
)
def test_what_is_missing_is_a_category(tmp_path, encoder):
    rows = np.stack([CODES, CODES % 2, RNG.integers(0, 4, ROWS)], 1).astype(float)
    rows[::7, 0] = rows[::5, 2] = np.nan
    model = make_pipeline(encoder, net()).fit(rows, CODES)
    got = piped(model, tmp_path).rows("predict_proba", rows)
    assert_allclose(got, model.predict_proba(rows), rtol=0, atol=2e-6)


@pytest.mark.parametrize("encoder", [OrdinalEncoder, OneHotEncoder])
def test_categories_that_are_joined_are_refused(tmp_path, encoder):
    rows = np.stack([CODES, RNG.integers(0, 5, ROWS)], 1)
    model = make_pipeline(encoder(max_categories=2), net()).fit(rows, CODES)
    with pytest.raises(ValueError, match=f"{encoder.__name__}.* joins categories"):
        slimlearn.export_c(model, tmp_path / "net.c")


@pytest.mark.parametrize("name", STEPS)
def test_steps(tmp_path, name):
    rows = HOLES if name == "imputed" else X
    model = Pipeline([("first", STEPS[name]), ("net", net())]).fit(rows, CODES)
    library = piped(model, tmp_path)
    # Of float32, scikit-learn loses digits of columns whose mean is far from 0.
    rows = rows.astype(np.float64)
    got = library.rows("predict_proba", rows)
    assert_allclose(got, model.predict_proba(rows), rtol=0, atol=2e-6)
    assert (library.rows("predict", rows) == model.predict(rows)).all()


def test_categories_among_the_columns(tmp_path):
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    frame["size"] = RNG.choice([3, 5, 9], ROWS)
    frame["colour"] = RNG.choice(["red", "*/ blue"], ROWS)
    columns = make_column_transformer(
        (OneHotEncoder(drop="if_binary", sparse_output=False), ["colour", "size"]),
        (OrdinalEncoder(), ["colour", "size"]),
        (StandardScaler(), list("abc")),
    )
    search = GridSearchCV(make_pipeline(columns, net()), {}, cv=2).fit(frame, CODES)
    made = slimlearn.export_c(search, tmp_path / "net.c")
    assert made.categories == {"colour": {0: "*/ blue", 1: "red"}}
    header = (tmp_path / "net.h").read_text()
    assert "colour: 0 * / blue; 1 red" in header
    assert "* Columns of X: a, b, c, size, colour\n" in header
    rows = frame.assign(colour=(frame["colour"] == "red").astype(int))
    got = Compiled(tmp_path).rows("predict_proba", rows.to_numpy(np.float32))
    small = slimlearn.export_c(
        search, tmp_path / "small.c", precision="int8", X_calibration=frame
    )
    assert small.loss.agreement > 0.9
    frame = frame.astype(dict.fromkeys("abc", np.float64))
    assert_allclose(got, search.predict_proba(frame), rtol=0, atol=2e-6)


def test_other_ends_of_a_pipeline(tmp_path):
    def two(x):
        return ops.concat([x["left"], x["right"]], 1)

    inputs = {"left": [0, 5], "right": slice(1, 3)}
    ends = [
        DNNRegressor((8,), loss="quantile", quantile=(0.9, 0.1, 0.5), max_iter=2),
        NetworkClassifier(two, inputs=inputs, max_iter=2),
        ConvNetClassifier(image_shape=(2, 3, 1), max_iter=1),
        LayerTransformer(net()),
        TabularClassifier(**FAST),
    ]
    for i, end in enumerate(ends):
        (folder := tmp_path / str(i)).mkdir()
        model = make_pipeline(StandardScaler(), end).fit(X, CODES)
        library = piped(model, folder)
        [name] = [n for n in library.functions if not n.endswith("_predict")]
        got = library.rows(name.removeprefix("net_"), X)
        tell = getattr(end, name.removeprefix("net_"))
        want = tell(model[:-1].transform(X.astype(np.float64))).reshape(ROWS, -1)
        assert_allclose(got, want, rtol=0, atol=3e-6, err_msg=str(end))
    assert "Quantiles: 0.9, 0.1, 0.5" in (tmp_path / "0" / "net.h").read_text()
    small = slimlearn.export_c(
        make_pipeline(StandardScaler(), net()).fit(X, CODES),
        *(tmp_path / "small.c",),
        precision="int8",
        X_calibration=X,
        y_calibration=CODES,
    )
    assert small.loss.rows == ROWS and small.loss.agreement > 0.9


TABLE = pd.DataFrame(
    {
        "half": HOLES[:, 0],
        "year": RNG.integers(1990, 2020, ROWS),
        "letter": RNG.choice(list("xyü"), ROWS),
        "word": [f"w{i}" for i in RNG.integers(0, 20, ROWS)],
        "truth": RNG.random(ROWS) > 0.4,
        "same": 1,
        "size": pd.Categorical(RNG.integers(5, 9, ROWS)),
    }
)


def in_numbers(frame, made) -> np.ndarray:
    """Rows of a table as a caller of C has them."""
    frame = frame.copy()
    for column, known in made.categories.items():
        numbers = {value: number for number, value in known.items()}
        frame[column] = [numbers.get(value, 0) for value in frame[column]]
    return frame.astype(np.float32).to_numpy()


@pytest.mark.parametrize("kind", ["classes", "labels", "outputs", "numbers"])
def test_tables(tmp_path, kind):
    y = {
        "classes": np.array(["a", "b", "c"])[CODES],
        "labels": np.eye(3, dtype=int)[CODES][:, :2],
        "outputs": np.c_[CODES, RNG.integers(5, 9, ROWS)],
        "numbers": 100 + X[:, :2] ** 2,
    }[kind]
    make = TabularRegressor if kind == "numbers" else TabularClassifier
    model = make(**FAST).fit(TABLE, y)
    made = model.export_c(tmp_path / "net.c")
    assert list(made.categories) == ["letter", "word"]
    odd = TABLE.assign(word="?", size=77).astype({"size": "category"})
    library, told = Compiled(tmp_path), "predict" if kind == "numbers" else ""
    for frame in (TABLE, odd):
        want = (model.predict if told else model.predict_proba)(frame)
        want = np.hstack(want) if isinstance(want, list) else want
        got = library.rows(told or "predict_proba", in_numbers(frame, made))
        assert_allclose(got, want, rtol=2e-6, atol=2e-6)
    if kind == "classes":
        chosen = library.rows("predict", in_numbers(TABLE, made))
        assert (model.classes_[chosen] == model.predict(TABLE)).all()
        small = model.export_c(
            *(tmp_path / "small.c",),
            precision="int8",
            X_calibration=TABLE,
            y_calibration=y,
        )
        assert small.weight_bytes < 0.6 * made.weight_bytes
        assert small.loss.agreement > 0.9


@pytest.mark.parametrize("preset", ["default", "best"])
@pytest.mark.parametrize("make", [TabularRegressor, TabularClassifier])
def test_tables_told_by_what_is_near(tmp_path, make, preset, monkeypatch):
    if preset == "best":  # which tries processes before neighbours
        monkeypatch.setattr(ensemble, "_FOR_SEVERAL", 100)
        monkeypatch.setattr(training, "processes_of", lambda *args: [])
    rows = np.random.default_rng(5).uniform(-2, 2, (160, 3)).round(3)
    y = np.sin(2 * rows[:, 0]) * rows[:, 1]
    y = y if make is TabularRegressor else np.digitize(y, [-0.3, 0.3])
    more = {"preset": preset, "hidden_units": (8,), "members": 8}
    model = make(**{**FAST, **more}).fit(rows, y)
    counts = model.neighbours_share_ if preset == "best" else model.near_share_
    assert counts > 0.1
    told = "predict" if make is TabularRegressor else "predict_proba"
    # Other rows: of fit's, their own neighbours, float32 loses how near they are.
    rows, most = rows + 0.03, 2e-4 if preset == "best" else 2e-5
    want = getattr(model, told)(rows)
    for precision in ("float32", "float64"):
        got = compiled(model, tmp_path, precision=precision).rows(told, rows)
        assert_allclose(got.reshape(want.shape), want, rtol=most, atol=most)


def test_seconds_and_large_identities_of_tables(tmp_path):
    frame = pd.DataFrame({"half": HOLES[:, 0], "when": 1.7e9 + RNG.permutation(ROWS)})
    frame["id"] = pd.Categorical(2**30 + RNG.integers(0, 4, ROWS))
    model = TabularClassifier(**FAST).fit(frame, CODES)
    made = model.export_c(tmp_path / "net.c", precision="float64")
    assert list(made.categories["id"].values())[1] == 2**30
    codes = {value: number for number, value in made.categories["id"].items()}
    rows = frame.assign(id=[codes[value] for value in frame["id"]]).to_numpy(float)
    rows[:3, 1] = 0, 1e300, np.inf
    frame.loc[:2, "when"] = rows[:3, 1]
    got = Compiled(tmp_path).rows("predict_proba", rows)
    assert_allclose(got, model.predict_proba(frame), rtol=0, atol=1e-6)


def test_category_columns_of_networks(tmp_path):
    frame = TABLE[["year", "letter", "word", "size"]].assign(truth=TABLE["truth"])
    frame = frame.astype({"letter": "category", "word": "category"})
    model = DNNClassifier((8,), max_iter=2, random_state=0).fit(frame, CODES)
    made = model.export_c(tmp_path / "net.c")
    assert list(made.categories) == ["letter", "word"]
    odd = frame.assign(letter="?", size=77).astype({"letter": "category"})
    library = Compiled(tmp_path)
    for rows in (frame, odd.astype({"size": "category"})):
        got = library.rows("predict_proba", in_numbers(rows, made))
        assert_allclose(got, model.predict_proba(rows), rtol=0, atol=1e-6)
    path = tmp_path / "small.c"
    small = model.export_c(path, precision="int8", X_calibration=frame)
    assert small.loss.agreement > 0.9


def test_dates_of_tables(tmp_path):
    """As days since 1970; whole ones lose nothing in float32."""
    days, when = RNG.integers(-30_000, 30_000, (2, ROWS)) + np.array([[0.0], [0.75]])
    frame = TABLE[["half"]].assign(
        day=pd.to_datetime(days, unit="D"),
        when=pd.to_datetime(when, unit="D", utc=True).tz_convert("-03:30"),
    )
    frame.loc[::9, "day"], days[::9] = pd.NaT, np.nan
    model = TabularClassifier(**FAST).fit(frame, CODES)
    rows = np.c_[frame["half"], days, when]
    want = model.predict_proba(frame)
    for precision in ("float32", "float64"):
        got = compiled(model, tmp_path, precision=precision).rows("predict_proba", rows)
        assert_allclose(got, want, rtol=0, atol=1e-6)
    [header, *_] = tmp_path.rglob("net.h")
    assert "dates, as days since 1970-01-01 in UTC: day, when" in header.read_text()
    path = tmp_path / "small.c"
    small = model.export_c(path, precision="int8", X_calibration=frame)
    assert small.loss.agreement > 0.9


def test_feature_columns(tmp_path):
    year = fc.numeric_column("year", normalizer_fn=Standard(2005.0, 8.0))
    half = fc.numeric_column("half", default_value=0.5)
    decade = fc.bucketized_column(fc.numeric_column("year"), [1995, 2000, 2010])
    letter = fc.categorical_column_with_vocabulary_list(
        "letter", ["x", "ü"], default_value=1
    )
    size = fc.categorical_column_with_identity("size", 9)
    deep = [year, half, fc.indicator_column(letter), fc.embedding_column(size, 3)]
    crossed = fc.crossed_column([letter, decade, size], 40, hash_key=3)
    again = fc.crossed_column([crossed, letter], 9)
    frame = TABLE[["half", "year", "letter", "size"]].astype({"size": int})
    wide = [letter, decade, size, crossed, again]
    model = DNNLinearCombinedClassifier(wide, deep, (8,), max_iter=2)
    made = model.fit(frame, CODES).export_c(tmp_path / "net.c")
    assert made.categories["letter"] == {0: "x", 1: "ü", -1: "(missing, or any other)"}
    frame.loc[::4, "letter"] = None  # crosses of it have no category
    codes = {"x": 0, "ü": 1, "y": 7, None: -1}
    rows = frame.assign(letter=frame["letter"].map(codes)).to_numpy(np.float32)
    got = Compiled(tmp_path).rows("predict_proba", rows)
    assert_allclose(got, model.predict_proba(frame), rtol=0, atol=1e-6)
    path = tmp_path / "small.c"
    small = model.export_c(path, precision="int8", X_calibration=frame)
    assert small.loss.agreement > 0.9
    hashed = fc.categorical_column_with_hash_bucket("letter", 50)
    for odd, who in (
        (hashed, "HashedColumn 'letter'"),
        (fc.crossed_column(["letter", decade], 50), "CrossedColumn 'letter_X_year"),
        (fc.crossed_column([hashed, decade], 50), "HashedColumn 'letter'"),
    ):
        model = DNNLinearCombinedClassifier([odd], [year], (4,), max_iter=1)
        with pytest.raises(ValueError, match=rf"{who}.*vocabulary_list"):
            model.fit(frame, CODES).export_c(tmp_path / "no.c")


def test_labels_of_steps(tmp_path):
    steps = [RNG.normal(size=(n, 3)).astype(np.float32) for n in (3, 5, 4) * 10]
    tags = [np.array(["a", "b"])[(part[:, 0] > 0).astype(int)] for part in steps]
    tagger = SequenceTagger(max_iter=1, cell="gru").fit(steps, tags)
    library = compiled(tagger, tmp_path)
    [header] = tmp_path.rglob("net.h")
    assert "Of each step, of: a, b" in header.read_text()
    rows = np.zeros((30, 5, 3), np.float32)
    for row, part in zip(rows, steps):
        row[: len(part)] = part
    lengths = np.array([len(part) for part in steps])
    got = library.rows("predict_proba", rows, lengths).reshape(30, 5, 2)
    for told, want in zip(got, tagger.predict_proba(steps)):
        assert_allclose(told[: len(want)], want, rtol=0, atol=1e-6)


def test_what_has_no_code_is_named(tmp_path):
    path = tmp_path / "net.c"
    with pytest.raises(TypeError, match="Pipeline that ends in StandardScaler"):
        slimlearn.export_c(make_pipeline(StandardScaler()).fit(X), path)
    for step, why in (
        (
            QuantileTransformer(n_quantiles=10),
            r"'first' \(QuantileTransformer\) has no code in C",
        ),
        (PolynomialFeatures(), r"\(PolynomialFeatures\) has no code.*pipeline\[i:\]"),
        (FunctionTransformer(np.sin), r"calls a function of Python"),
    ):
        model = Pipeline([("first", step), ("net", net())]).fit(X, CODES)
        with pytest.raises(ValueError, match=why):
            slimlearn.export_c(model, path)
    for first, row in (TfidfVectorizer(), "aa bb"), (DictVectorizer(), {"a": 1}):
        model = make_pipeline(first, net()).fit([row, row], [0, 1])
        with pytest.raises(ValueError, match=rf"\({type(first).__name__}\) .* no code"):
            slimlearn.export_c(model, path)
    model = make_pipeline(StandardScaler(), net()).fit(X, CODES)
    for rows, why in (
        (X[:, :2], r"shape \(120, 2\), and the pipeline reads 6 columns"),
        (X.astype(str), "column 0 has texts, and the model reads numbers"),
    ):
        with pytest.raises(ValueError, match=why):
            slimlearn.export_c(model, path, precision="int8", X_calibration=rows)
    with pytest.raises(TypeError, match=r"end in one; got int$"):
        slimlearn.export_c(3, path)
    when = pd.date_range("2020", periods=ROWS, tz="Europe/Berlin")
    dates = TABLE[["half"]].assign(when=when)
    with pytest.raises(ValueError, match=r"'when' by the clock of Europe/Berlin"):
        TabularClassifier(**FAST).fit(dates, CODES).export_c(path)
    words = ["abc", "ab", "cab"] * 10
    with pytest.raises(ValueError, match=r"Seq2Seq searches .*libslim"):
        slimlearn.Seq2Seq(max_iter=1).fit(words, words).export_c(path)
    assert not path.exists()
