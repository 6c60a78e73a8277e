"""Model files of estimators: what comes back, what is left out, what is refused."""

import io
import os
import pickle
import re
import subprocess
import sys
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from support.disk import largest_file
from support.estimator_shapes import SHAPES, TwoTargets, tower
from support.model_files import put_together, take_apart, tell, told_by, with_model

import slimlearn
from slimlearn import (
    Adam,
    ConvNetClassifier,
    Cosine,
    DNNClassifier,
    DNNLinearCombinedClassifier,
    DNNRegressor,
    LinearClassifier,
    NetworkClassifier,
    NetworkRegressor,
    SequenceClassifier,
    TabularClassifier,
    TabularRegressor,
    TokenVectorizer,
    callbacks,
    feature_column,
    layers,
    loss,
    ops,
)
from slimlearn.backend import files
from slimlearn.backend.portable import MissingCode
from slimlearn.backend.program import Program
from slimlearn.estimators.saving.kinds import kind_named

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = make_classification(90, 12, n_informative=6, n_classes=3, random_state=0)
HERE = Path(__file__).parent
GIVE = ("predict", "predict_proba", "decision_function", "transform")


def bytes_of(model) -> bytes:
    file = io.BytesIO()
    slimlearn.save(model, file)
    return file.getvalue()


def there_and_back(model):
    """The model that was loaded; saved again it has the same bytes."""
    data = bytes_of(model)
    loaded = slimlearn.load(data)
    assert bytes_of(loaded) == data
    return loaded


def outputs(model, X) -> dict:
    found = {}
    for name in GIVE:
        if hasattr(model, name):
            value = getattr(model, name)(X)
            parts = value if isinstance(value, list) else [value]
            found[name] = [
                (np.asarray(p).dtype, np.asarray(p).shape, np.asarray(p).tobytes())
                if np.asarray(p).dtype != object
                else p.tolist()
                for p in (v.toarray() if hasattr(v, "toarray") else v for v in parts)
            ]
    return found


def short(estimator):
    if "max_iter" in estimator.get_params():
        estimator.set_params(max_iter=2)
    return estimator


# -- every estimator ------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(e, id=f"{shape}-{type(e).__name__}-{i}")
        for shape, all_of in SHAPES.items()
        for i, e in enumerate(all_of)
        if not isinstance(e, TwoTargets)
    ],
)
def test_every_estimator_gives_the_same_bits(estimator):
    fitted = short(clone(estimator)).fit(X, y)
    loaded = there_and_back(fitted)
    assert type(loaded) is type(fitted)
    assert outputs(loaded, X) == outputs(fitted, X)
    assert repr(loaded.get_params(deep=False).keys()) == repr(
        fitted.get_params(deep=False).keys()
    )
    assert pickle.loads(pickle.dumps(loaded)).get_params().keys()
    if hasattr(fitted, "summary"):
        assert str(loaded.summary()) == str(fitted.summary())
    if hasattr(fitted, "score"):
        assert loaded.score(X, y) == fitted.score(X, y)


def test_what_was_fitted_is_all_there():
    fitted = DNNClassifier(
        (8,),
        max_iter=4,
        early_stopping=True,
        optimizer=Adam(beta1=0.8),
        learning_rate_schedule=Cosine(),
        callbacks=[
            ("stop", callbacks.EarlyStopping()),
            callbacks.EpochScoring("f1_macro"),
        ],
        scoring="accuracy",
        random_state=np.random.RandomState(3),
    ).fit(
        pd.DataFrame(X, columns=[f"c{i}" for i in range(12)]), np.array(list("abc"))[y]
    )
    loaded = there_and_back(fitted)
    assert loaded.classes_.tolist() == ["a", "b", "c"]
    assert loaded.feature_names_in_.tolist() == fitted.feature_names_in_.tolist()
    assert loaded.loss_curve_ == fitted.loss_curve_
    assert loaded.history_.columns == fitted.history_.columns
    assert loaded.optimizer == fitted.optimizer
    assert loaded.callbacks_[0][1].best_ == fitted.callbacks_[0][1].best_
    state, other = loaded.random_state.get_state(), fitted.random_state.get_state()
    assert all(np.array_equal(a, b) for a, b in zip(state, other))
    assert set(vars(loaded)) == set(vars(fitted))
    again = clone(loaded).fit(X, y)
    assert again.n_iter_ >= 1
    # It is the file of its program, too, and says what X is.
    assert Program.load(io.BytesIO(bytes_of(fitted))).text == fitted.program_.text
    [told] = files.read_parts(bytes_of(fitted)).inputs
    assert told["columns"][:2] == ["c0", "c1"]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_goes_on_as_if_nothing_had_been(optimizer):
    est = DNNClassifier((8,), optimizer=optimizer, random_state=0)
    for begin in (0, 30):
        est.partial_fit(X[begin : begin + 30], y[begin : begin + 30], classes=[0, 1, 2])
    loaded = there_and_back(est)
    est.partial_fit(X[60:], y[60:])
    loaded.partial_fit(X[60:], y[60:])
    assert outputs(loaded, X) == outputs(est, X)
    warm = DNNRegressor((8,), max_iter=3, warm_start=True, random_state=0).fit(X, y)
    loaded = there_and_back(warm)
    assert outputs(loaded.fit(X, y), X) == outputs(warm.fit(X, y), X)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ä", "b" * 9, ""]),
        np.array([-(2**62), 0, 2**62]),
        np.array([0.5, 1.5, 2.5]),
        np.array([b"x", b"y", b"zz"]),
        np.array(["x", "\ud800", "z"], dtype=object),
        np.array([1, 2, 3], dtype=np.int8),
    ],
)
def test_labels_of_any_type(labels):
    if labels.dtype.kind in "f":
        labels = labels.astype(int)
    fitted = DNNClassifier((4,), max_iter=1).fit(X, labels[y])
    loaded = there_and_back(fitted)
    assert loaded.classes_.dtype == fitted.classes_.dtype
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()


@pytest.mark.parametrize(
    "y",
    [
        np.eye(3, dtype=int)[y],
        np.column_stack((y, y > 1)),
        (y > 1),
        np.array([True, False, False])[y],
    ],
)
def test_targets_of_classifiers(y):
    fitted = DNNClassifier((4,), max_iter=1, class_weight=None).fit(X, y)
    assert outputs(there_and_back(fitted), X) == outputs(fitted, X)


@pytest.mark.parametrize(
    "loss", ["squared_error", "poisson", "gamma", "tweedie", "gaussian", "quantile"]
)
@pytest.mark.parametrize("targets", [1, 2])
def test_losses_of_numbers(loss, targets):
    quantile = (0.1, 0.9) if loss == "quantile" else None
    target = np.abs(X[:, :targets]) + 0.1
    target = target[:, 0] if targets == 1 else target
    fitted = DNNRegressor((4,), loss=loss, quantile=quantile, max_iter=1)
    fitted.fit(X, target)
    assert outputs(there_and_back(fitted), X) == outputs(fitted, X)


def test_ordered_classes():
    fitted = DNNClassifier((4,), loss="ordinal", max_iter=2).fit(X, y)
    assert outputs(there_and_back(fitted), X) == outputs(fitted, X)


# -- tables, images, columns ----------------------------------------------------------


def table(rows: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "n": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "i": rng.integers(0, 5, rows),
            "c": pd.Categorical(rng.choice(["a", "b", "cc"], rows)),
            "t": rng.choice([f"w{i}" for i in range(30)], rows),
            "b": rng.random(rows) < 0.5,
            "d": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 900, rows), "h"),
        }
    )


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_tables_of_mixed_columns(kind, tmp_path):
    frame = table()
    frame["z"] = frame["d"].dt.tz_localize(
        "Europe/Berlin", ambiguous=True, nonexistent="NaT"
    )
    target = np.arange(80) % 3
    fitted = kind(members=3, max_iter=2, hidden_units=(8,), random_state=0)
    fitted.fit(frame, target)
    fitted.save(tmp_path / "m.slim")
    loaded = slimlearn.load(tmp_path / "m.slim")
    assert outputs(loaded, frame) == outputs(fitted, frame)
    assert outputs(loaded, frame[:1]) == outputs(fitted, frame[:1])
    assert str(loaded.encoder_.columns_) == str(fitted.encoder_.columns_)
    assert loaded.encoder_.get_feature_names_out().tolist() == (
        fitted.encoder_.get_feature_names_out().tolist()
    )
    programs = files.read_parts(tmp_path / "m.slim").programs
    assert len(programs) == len(fitted.members_) >= 3
    there_and_back(fitted)


def test_each_program_lies_in_the_file_s_pages(tmp_path):
    fitted = TabularRegressor(members=2, max_iter=1, hidden_units=(64,)).fit(X, y)
    path = tmp_path / "m.slim"
    fitted.save(path)
    header, _ = take_apart(path.read_bytes())
    names = [name for name in header if name.startswith("#1/")]
    assert sorted(n[3:] for n in names) == sorted(
        [*fitted.members_[1].program_.weights, *fitted.members_[1].program_.states]
    )
    assert all(header[name]["data_offsets"][0] % 64 == 0 for name in names)
    for member in slimlearn.load(path).members_:
        assert member.program_.params.ctypes.data % 64 == 0


NUMBER = feature_column.numeric_column("n", default_value=0.0, normalizer_fn=np.tanh)


def of_columns(features):
    net = layers.input_layer(features, [NUMBER])
    return layers.fully_connected(net, 4)


def test_feature_columns_and_categories():
    frame, fc = table().drop(columns="d"), feature_column
    word = fc.categorical_column_with_hash_bucket("t", 16)
    color = fc.categorical_column_with_vocabulary_list("c", ["a", "b", "cc"])
    columns = [
        *(NUMBER, fc.embedding_column(word, 4), fc.indicator_column(color)),
        fc.bucketized_column(fc.numeric_column("i"), [1.0, 3.0]),
    ]
    crossed = fc.crossed_column(["c", "t"], 32)
    for fitted in (
        DNNLinearCombinedClassifier([crossed], columns, (8,), max_iter=2),
        DNNLinearCombinedClassifier(max_iter=2),
        NetworkClassifier(of_columns, feature_columns=[NUMBER], max_iter=2),
        DNNClassifier((8,), max_iter=2),
        LinearClassifier(max_iter=2),
    ):
        plain = isinstance(fitted, (DNNClassifier, LinearClassifier))
        given = frame[["i", "c"]] if plain else frame
        if isinstance(fitted, DNNLinearCombinedClassifier):
            given = (
                frame.drop(columns="b") if fitted.dnn_feature_columns is None else given
            )
            given = given.fillna({"n": 0.0})
        fitted.fit(given, np.arange(80) % 3)
        assert outputs(there_and_back(fitted), given) == outputs(fitted, given)


def test_images_and_named_inputs():
    images = np.random.default_rng(0).integers(0, 256, (30, 9, 9, 1), dtype=np.uint8)
    fitted = ConvNetClassifier(filters=(4,), max_iter=1).fit(images, y[:30])
    assert outputs(there_and_back(fitted), images) == outputs(fitted, images)

    def wide(x):
        return ops.concat([x["a"], layers.fully_connected(x["b"], 4)], 1)

    inputs = {"a": slice(0, 3), "b": [3, 4, 5]}
    fitted = NetworkClassifier(wide, inputs=inputs, max_iter=1).fit(X, y)
    assert outputs(there_and_back(fitted), X) == outputs(fitted, X)


# -- scikit-learn around it -----------------------------------------------------------

STEPS = [
    StandardScaler(),
    MinMaxScaler(),
    MaxAbsScaler(),
    RobustScaler(),
    SimpleImputer(add_indicator=True),
    KNNImputer(),
    PolynomialFeatures(2),
    QuantileTransformer(n_quantiles=20),
    PowerTransformer(),
    KBinsDiscretizer(quantile_method="averaged_inverted_cdf"),
    PCA(4),
    TruncatedSVD(4),
    FunctionTransformer(np.arctan),
    FeatureUnion([("a", StandardScaler()), ("b", PCA(2))]),
    ColumnTransformer([("a", StandardScaler(), [0, 1])], remainder="passthrough"),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
def test_steps_of_pipelines(step):
    model = make_pipeline(step, DNNClassifier((4,), max_iter=1)).fit(X, y)
    loaded = there_and_back(model)
    assert outputs(loaded, X) == outputs(model, X)
    assert clone(loaded).fit(X, y).predict(X).shape == y.shape


def test_a_pipeline_of_a_mixed_frame_and_of_texts():
    frame = table().drop(columns="d")
    prepared = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["n", "i"]),
            ("c", OneHotEncoder(handle_unknown="ignore"), make_column_selector("c|b")),
            ("o", OrdinalEncoder(), ["t"]),
        ],
        sparse_threshold=0,
    )
    model = make_pipeline(prepared, DNNClassifier((4,), max_iter=1))
    model.fit(frame, np.arange(80) % 3)
    loaded = there_and_back(model)
    assert outputs(loaded, frame) == outputs(model, frame)
    assert loaded[0].get_feature_names_out().tolist() == (
        model[0].get_feature_names_out().tolist()
    )
    texts = [f"word{i % 80} and word{i % 7}" for i in range(90)]
    for words in (CountVectorizer(), TfidfVectorizer(ngram_range=(1, 2))):
        model = make_pipeline(words, DNNClassifier((4,), max_iter=1)).fit(texts, y)
        assert outputs(there_and_back(model), texts) == outputs(model, texts)
    for analyzer, rows in ("word", texts), (list, [text.split() for text in texts]):
        words = TokenVectorizer(analyzer)
        model = make_pipeline(words, SequenceClassifier(max_iter=1)).fit(rows, y)
        loaded = there_and_back(model)
        assert outputs(loaded, rows) == outputs(model, rows)
        assert loaded[0].get_feature_names_out().tolist() == (
            words.get_feature_names_out().tolist()
        )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_searches():
    model = make_pipeline(StandardScaler(), DNNClassifier((4,), max_iter=1))
    grid = {
        "dnnclassifier__hidden_units": [(4,), (8, 4)],
        "standardscaler": [None, StandardScaler()],
    }
    for search in (
        GridSearchCV(model, grid, cv=2, scoring="f1_macro"),
        GridSearchCV(model, grid, cv=2),
        RandomizedSearchCV(model, grid, n_iter=2, cv=2, random_state=0),
    ):
        search.fit(X, y)
        loaded = slimlearn.load(bytes_of(search))
        assert outputs(loaded, X) == outputs(search, X)
        assert loaded.best_params_.keys() == search.best_params_.keys()
        assert loaded.score(X, y) == search.score(X, y)
        scores = "mean_test_score"
        assert (
            loaded.cv_results_[scores].tolist() == search.cv_results_[scores].tolist()
        )


@pytest.mark.parametrize("words", [("a", "b"), ("items", "memory")])
@pytest.mark.parametrize("ensemble", [VotingClassifier, StackingClassifier])
def test_ensembles_with_names(ensemble, words):
    networks = DNNClassifier((4,), max_iter=1), DNNClassifier((6,), max_iter=1)
    model = ensemble(list(zip(words, networks))).fit(X, y)
    loaded = there_and_back(model)
    assert outputs(loaded, X) == outputs(model, X)
    assert list(loaded.named_estimators_) == list(words)


# -- code of the user -----------------------------------------------------------------


@loss
def squared(raw, y, scale=1.0):
    return ops.square(raw - y) * scale


class Watch(callbacks.Callback):
    def __init__(self, seen=3):
        self.seen = seen

    def on_epoch_end(self, state):
        return None


def test_code_that_predictions_do_without_is_left_out_by_name():
    fitted = NetworkRegressor(
        tower(units=(8,)),
        loss=squared(scale=2.0),
        callbacks=[("watch", Watch(seen=5))],
        scoring=lambda est, X, y: 0.0,
        max_iter=2,
    ).fit(X, y)
    loaded = there_and_back(fitted)
    assert outputs(loaded, X) == outputs(fitted, X)
    assert loaded.get_params()["net__units"] == (8,)
    assert loaded.get_params()["loss__scale"] == 2.0
    assert "missing" in repr(loaded.net)
    assert loaded.activations(X, "fc/fc_1").shape == (90, 8)
    with pytest.raises(MissingCode, match=r"tower is not here .*hand it to set_params"):
        clone(loaded.set_params(callbacks=None, loss="huber", scoring="loss"))
    with pytest.raises(MissingCode, match="needs its net"):
        loaded.fit(X, y)
    assert outputs(pickle.loads(pickle.dumps(loaded)), X) == outputs(fitted, X)
    loaded.set_params(net=tower(), loss="huber", callbacks=None, scoring="loss").fit(
        X, y
    )


def test_code_that_predictions_need_is_refused_by_name(tmp_path):
    path = tmp_path / "m.slim"
    path.write_bytes(b"old")

    def double(values):
        return values * 2

    class Own(StandardScaler):
        pass

    net = DNNClassifier((4,), max_iter=1)
    for model, told in (
        (
            make_pipeline(FunctionTransformer(double), net),
            r"Pipeline.steps\[0\]\[1\].func: a model file .* holds no .*double",
        ),
        (make_pipeline(Own(), net), r"steps\[0\]\[1\]: .* holds no .*Own"),
        (
            make_pipeline(TfidfVectorizer(analyzer=str.split), net),
            r"steps\[0\]\[1\].analyzer",
        ),
    ):
        given = ["a b"] * 45 + ["c"] * 45 if "Tfidf" in repr(model) else X
        model.fit(given, y)
        with pytest.raises(TypeError, match=told):
            slimlearn.save(model, path)
        assert path.read_bytes() == b"old"
    number = feature_column.numeric_column("n", default_value=0.0, normalizer_fn=double)
    model = DNNLinearCombinedClassifier([number], [number], (4,), max_iter=1)
    model.fit(table(), np.arange(80) % 2)
    with pytest.raises(TypeError, match=r"_input.columns\[0\].normalizer_fn.*double"):
        model.save(path)

    @loss(outputs=2, mean=lambda raw: raw[..., 0])
    def two(raw, y):
        return ops.square(raw[..., 0] - y) + ops.square(raw[..., 1])

    model = DNNRegressor((4,), loss=two(), max_iter=1).fit(X, y)
    with pytest.raises(TypeError, match="mean of loss two, which is code"):
        model.save(path)
    with pytest.raises(TypeError, match="TwoTargets: it is of a class of its own"):
        TwoTargets(max_iter=1).fit(X, y).save(path)
    with pytest.raises(TypeError, match="hold BaggingClassifier: of scikit-learn it"):
        slimlearn.save(BaggingClassifier(model), path)
    with pytest.raises(NotFittedError):
        DNNClassifier().save(path)
    with pytest.raises(TypeError, match="cannot hold dict: it is no estimator"):
        slimlearn.save({}, path)
    with pytest.raises(TypeError, match="got None"):
        slimlearn.save(net, None)
    fitted = DNNClassifier((4,), max_iter=1).fit(X, y)
    fitted.note = "mine"
    with pytest.raises(TypeError, match="no place for the attribute 'note'"):
        fitted.save(path)
    assert path.read_bytes() == b"old"


# -- files ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return make_pipeline(StandardScaler(), DNNClassifier((4,), max_iter=1)).fit(X, y)


def test_a_fresh_process_needs_nothing_else(tmp_path, small):
    path = tmp_path / "m.slim"
    fitted = NetworkClassifier(tower(), max_iter=1).fit(X, y)
    model = make_pipeline(StandardScaler(), fitted).fit(X, y)
    slimlearn.save(model, path)
    np.save(tmp_path / "X.npy", X)
    code = (
        "import slimlearn, numpy as np, sys, pickle\n"
        "def refuse(*a, **k): raise AssertionError\n"
        "pickle.loads = pickle.load = refuse\n"
        "m = slimlearn.load('m.slim')\n"
        "sys.stdout.buffer.write(m.predict_proba(np.load('X.npy')).tobytes())\n"
        "assert 'support.estimator_shapes' not in sys.modules\n"
    )
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, cwd=tmp_path, capture_output=True, check=True)
    assert found.stdout == model.predict_proba(X).tobytes()


def test_safetensors_reads_the_weights(tmp_path, small):
    safe = pytest.importorskip("safetensors.numpy")
    slimlearn.save(small, tmp_path / "m.slim")
    found = safe.load_file(tmp_path / "m.slim")
    for name, array in small[-1].program_.weights.items():
        assert np.array_equal(found[name], array)


def test_files_that_are_none(tmp_path, small):
    path = tmp_path / "m.slim"
    with pytest.raises(FileNotFoundError, match=f": '{re.escape(str(path))}'"):
        slimlearn.load(path)
    for data, told in (
        (
            pickle.dumps(small),
            r"m\.slim is no model file .* it is a pickle; joblib.load",
        ),
        (b"PK\x03\x04" + bytes(30), "zip archive"),
        (b"", "cut short"),
        (b"hello", "cut short|no saved"),
        (bytes_of(small)[:-70], "cut short"),
        (bytes_of(small) + b"1", "too many"),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=told):
            slimlearn.load(path)
    small[-1].program_.save(path)
    with pytest.raises(ValueError, match="a program and no estimator"):
        slimlearn.load(path)
    with pytest.raises(FileNotFoundError):
        slimlearn.load(tmp_path / "none.slim")


def test_versions(small):
    header, arrays = take_apart(bytes_of(small))
    meta = header["__metadata__"]
    assert meta["slimlearn.format"] == "2.3"
    meta["slimlearn.format"] = "3"
    with pytest.raises(ValueError, match=r"file format 3, .* upgrade slimlearn"):
        slimlearn.load(put_together(header, arrays))
    meta["slimlearn.format"] = "2.7"
    meta["slimlearn.more"] = "what later versions add"
    with pytest.warns(UserWarning, match="saved by a newer slimlearn") as newer:
        loaded = slimlearn.load(put_together(header, arrays))
    assert newer[0].filename == __file__
    assert outputs(loaded, X) == outputs(small, X)
    told = told_by(header)
    told["libraries"]["scikit-learn"] = "0.1"
    tell(header, told)
    meta["slimlearn.format"] = "2.3"
    more = meta.pop("slimlearn.more")
    with pytest.warns(InconsistentVersionWarning, match=r"0\.1") as other:
        slimlearn.load(put_together(header, arrays))
    assert other[0].filename == __file__
    meta["slimlearn.more"] = more
    with pytest.raises(ValueError, match=r"unknown key slimlearn\.more"):
        slimlearn.load(put_together(header, arrays))


def test_the_file_that_was_meant(tmp_path, small):
    path = tmp_path / "m.slim"
    slimlearn.save(small, path)
    digest = sha256(path.read_bytes()).hexdigest()
    assert outputs(slimlearn.load(path, sha256=digest), X) == outputs(small, X)
    with pytest.raises(ValueError, match="another one: its SHA-256 is"):
        slimlearn.load(path, sha256="0" * 64)
    with pytest.raises(TypeError, match="bool or 64 digits, got 7"):
        slimlearn.load(path, sha256=7)


def test_the_digest_that_a_file_tells_of_itself(tmp_path, small):
    path = tmp_path / "m.slim"
    slimlearn.save(small, path)
    data = path.read_bytes()
    assert data == bytes_of(small)
    told = take_apart(data)[0]["__metadata__"]["slimlearn.sha256"]
    assert told == sha256(data.replace(told.encode(), b"0" * 64)).hexdigest()
    for file in (path, data, io.BytesIO(data)):
        assert outputs(slimlearn.load(file, sha256=True), X) == outputs(small, X)
    # What the quick checksums of the parts do not see.
    spaced = put_together(*take_apart(data))
    for changed, message in (
        (data.replace(b'"2.3"', b'"2.2"'), "its SHA-256 is [0-9a-f]{64}, not"),
        (data.replace(told.encode(), b"f" * 64), "its SHA-256 is .*, not f"),
        (spaced, "written anew by another program"),
    ):
        path.write_bytes(changed)
        for file in (path, changed):
            assert outputs(slimlearn.load(file), X) == outputs(small, X)
            with pytest.raises(ValueError, match=message):
                slimlearn.load(file, sha256=True)
    with pytest.raises(ValueError, match="its SHA-256 is no 64 digits"):
        slimlearn.load(data.replace(told.encode(), told.upper().encode()))
    with pytest.raises(ValueError, match="does not tell its SHA-256"):
        slimlearn.load(HERE / "golden/table-2.1.slim", sha256=True)


def test_large_files_go_to_paths_pipes_and_streams_alike(tmp_path):
    """Their digest is made beside the writing; of a pipe, before it."""
    wide = np.tile(X, (1, 250)).astype("f4")
    net = DNNClassifier((400,), max_iter=1, random_state=0).fit(wide, y)
    path, stream = tmp_path / "m.slim", io.BytesIO()
    slimlearn.save(net, path)
    slimlearn.save(net, stream)
    assert stream.getvalue() == path.read_bytes()
    assert len(stream.getvalue()) > 2**20
    slimlearn.load(path, sha256=True)
    os.mkfifo(tmp_path / "pipe")
    code = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    command = [sys.executable, "-c", code, tmp_path / "pipe"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
        slimlearn.save(net, tmp_path / "pipe")
        assert reader.communicate()[0] == stream.getvalue()


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk_leaves_the_old_file(tmp_path, small):
    path = tmp_path / "m.slim"
    slimlearn.save(small, path)
    before = path.read_bytes()
    big = DNNClassifier((300,), max_iter=1).fit(X, y)
    with largest_file(4096), pytest.raises(OSError):
        big.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.slim"]
    with pytest.raises(OSError):
        big.save(tmp_path / "none" / "m.slim")


# -- nothing in a file is trusted -----------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m.update({"=": "os.system"}), "is no word of this slimlearn"),
        (lambda m: m.update({"=": "__class__"}), "is no word"),
        (lambda m: m.pop("="), "does not say what it is"),
        (lambda m: m.update(__class__="x"), "has no '__class__'"),
        (lambda m: m.update(n_threads=-1), "n_threads is -1"),
        (lambda m: m.update(n_iter_="x"), "n_iter_ is 'x'"),
        (lambda m: m.pop("_head"), "lacks _head"),
        (lambda m: m.update(_head=m["_input"]), "_head is"),
        (lambda m: m.update(program_={"=": "program", "of": 1}), "no program of the"),
        (
            lambda m: m.update(tol={"=": "function", "of": "os.system"}),
            "is no function",
        ),
        (lambda m: m.update(tol={"=": "type", "of": "type"}), "is no type"),
        (lambda m: m.update(tol={"=": "again", "of": 10**6}), "is no object before"),
        (lambda m: m.update(tol={"=": "array", "of": "77"}), "array '77' is missing"),
        (lambda m: m.update(tol={"=": "zone", "of": "../../etc/passwd"}), "time zone"),
        (lambda m: m.update(tol={"=": "dtype", "of": "V1000000"}), "no type of arrays"),
        (
            lambda m: m.update(tol={"=": "objects", "of": [], "shape": [2**40, 0]}),
            None,
        ),
        (
            lambda m: m.update(tol={"=": "objects", "of": [1], "shape": [2**40]}),
            "reshape",
        ),
    ],
)
def test_fields_that_cannot_be(change, told):
    data = bytes_of(DNNClassifier((4,), max_iter=1).fit(X, y))
    changed = with_model(data, lambda all_of: change(all_of["model"]))
    if told is None:
        slimlearn.load(changed)
        return
    with pytest.raises(ValueError, match=f"the saved model is damaged.*{told}"):
        slimlearn.load(changed)


@pytest.mark.parametrize("sizes", [[], [0], [0, 4], [4, 2], [3, 3], [1, 2**31]])
def test_lengths_that_nothing_is_padded_to_are_refused(sizes):
    rows = [np.ones((length, 2), np.float32) for length in (1, 3, 2, 4)]
    data = bytes_of(SequenceClassifier(max_iter=1).fit(rows, [0, 1, 0, 1]))

    def change(told):
        told["model"]["_input"]["sizes"] = {"=": "tuple", "of": sizes}

    with pytest.raises(ValueError, match="lengths to pad"):
        slimlearn.load(with_model(data, change))


def test_deep_wide_and_long_values_are_refused():
    data = bytes_of(DNNClassifier((4,), max_iter=1).fit(X, y))
    header, arrays = take_apart(data)
    for text, told in (
        ('{"model":' + "[" * 70 + "]" * 70 + "}", "more than 64 levels"),
        ('{"model":[' + "0," * 1_000_001 + "0]}", "too many values"),
        ('{"model":"' + "x" * (17 << 20) + '"}', "longer than 16 MB"),
        ('{"model":1,"model":2}', "stands twice"),
        ('{"model":NaN}', "found|expected|number"),
        ("[]", "expected"),
    ):
        tell(header, text)
        with pytest.raises(ValueError, match=told):
            slimlearn.load(put_together(header, arrays))


@pytest.mark.parametrize("jobs", [[], "two", 2**30, True, 1.5])
def test_jobs_are_a_whole_number(jobs):
    data = (HERE / "golden/table-2.1.slim").read_bytes()
    changed = with_model(data, lambda told: told["model"].update(n_jobs=jobs))
    with pytest.raises(ValueError, match="n_jobs"):
        slimlearn.load(changed)


# -- later versions -------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted(HERE.glob("golden/*.slim")), ids=lambda p: p.stem
)
def test_files_of_former_versions_are_read(path):
    """`golden/make.py` wrote them once; they are never written anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        loaded = slimlearn.load(path, sha256=not path.stem.endswith(("2.1", "2.2")))
    kept = np.load(path.with_name(f"{path.stem}.npz"))
    given = kept["X"]
    if hasattr(loaded, "feature_names_in_"):
        given = pd.DataFrame(given, columns=loaded.feature_names_in_)
    assert np.allclose(loaded.predict_proba(given), kept["proba"], atol=1e-5)
    assert loaded.predict(given).tolist() == kept["labels"].tolist()


def test_a_parameter_that_is_newer_than_the_file_has_its_default(small):
    def without(told):
        net = told["model"]["steps"][1]["of"][1]
        del net["accumulate"], net["tol"]

    loaded = slimlearn.load(with_model(bytes_of(small), without))
    assert loaded[-1].accumulate == 1
    assert outputs(loaded, X) == outputs(small, X)


def test_every_public_estimator_has_a_place():
    for name in slimlearn.__all__:
        value = getattr(slimlearn, name)
        if isinstance(value, type) and hasattr(value, "fit"):
            assert kind_named(name) is not None, name
