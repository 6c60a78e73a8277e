"""Sparse X in the estimators: what it trains and predicts is what dense X does."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.optimizer import SGD
from slimlearn.estimators import (
    DNNClassifier,
    DNNRegressor,
    LayerTransformer,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    network,
)
from slimlearn.estimators.callbacks import Checkpoint, EpochScoring

RNG = np.random.RandomState(0)
X = RNG.normal(size=(120, 30))
X[RNG.rand(*X.shape) > 0.2] = 0
X[3] = 0
Y = (X[:, 0] + X[:, 1] + 0.1 * RNG.normal(size=120) > 0).astype(int)
WEIGHTS = RNG.randint(0, 4, 120)
CSR = sparse.csr_array(X)


@network
def tower(x, units=(8,), keep_prob=0.8):
    return layers.dropout(layers.stack(x, layers.fully_connected, units), keep_prob)


def same_bytes(ours, plain):
    assert ours.loss_curve_ == plain.loss_curve_
    assert ours.validation_loss_curve_ == plain.validation_loss_curve_
    assert ours.program_.params.tobytes() == plain.program_.params.tobytes()
    assert ours.program_.state.tobytes() == plain.program_.state.tobytes()


def results(est, rows):
    names = ("predict", "predict_proba", "predict_log_proba", "decision_function")
    found = {n: getattr(est, n)(rows) for n in names if hasattr(est, n)}
    if getattr(est, "quantile", None) is not None:
        found["predict_quantiles"] = est.predict_quantiles(rows)
    return found


# -- the bytes of dense X ------------------------------

ESTIMATORS = [
    DNNClassifier((8,)),
    DNNRegressor((8,)),
    LinearClassifier(),
    LinearRegressor(),
    NetworkClassifier(tower()),
    NetworkRegressor(tower()),
    DNNClassifier((8,), batch_norm=True, l2_regularization=0.01, precision="float32"),
    DNNClassifier((8,), early_stopping=True, scoring="accuracy"),
    DNNClassifier((8,), class_weight="balanced", gradient_clip_norm=0.5),
    DNNRegressor((8,), optimizer="lbfgs", early_stopping=True),
    DNNRegressor((8,), loss="quantile", quantile=(0.1, 0.5, 0.9)),
    DNNClassifier((8,), optimizer=SGD(momentum=0.0), precision="float32"),
    DNNClassifier((8,), optimizer="adagrad"),
    DNNClassifier((8,), optimizer="ftrl"),
    DNNRegressor((8,), optimizer="rmsprop"),
]


@pytest.mark.parametrize("est", ESTIMATORS, ids=lambda e: " ".join(repr(e).split()))
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_a_fit_has_the_bytes_of_the_dense_one(est):
    est = clone(est).set_params(max_iter=4, random_state=0)
    held = {"X_val": X[:9], "y_val": Y[:9], "sample_weight_val": WEIGHTS[:9] + 1}
    plain = clone(est).fit(X, Y, WEIGHTS, **held)
    ours = clone(est).fit(CSR, Y, WEIGHTS, **{**held, "X_val": CSR[:9]})
    same_bytes(ours, plain)
    expected = results(plain, X)
    for one, rows in ((ours, CSR), (ours, X), (plain, CSR)):
        for name, values in results(one, rows).items():
            np.testing.assert_array_equal(values, expected[name])
    assert ours.score(CSR, Y, WEIGHTS) == plain.score(X, Y, WEIGHTS)


@pytest.mark.parametrize("targets", ["labels", "classes", "numbers"])
def test_several_outputs(targets):
    y = {
        "labels": np.c_[Y, X[:, 2] > 0].astype(int),
        "classes": np.c_[Y, np.arange(120) % 3],
        "numbers": np.c_[X[:, 0], X[:, 1] + X[:, 2]],
    }[targets]
    est = DNNRegressor((8,)) if targets == "numbers" else DNNClassifier((8,))
    est.set_params(max_iter=3, random_state=0)
    ours, plain = clone(est).fit(CSR, y), clone(est).fit(X, y)
    same_bytes(ours, plain)
    np.testing.assert_array_equal(ours.predict(CSR), plain.predict(X))
    assert ours.score(CSR, y) == plain.score(X, y)


def wide(csr):
    """The same matrix with 64-bit indices."""
    made = csr.copy()
    made.indices, made.indptr = made.indices.astype("i8"), made.indptr.astype("i8")
    return made


def unsorted(csr):
    """The same matrix, not canonical: falling columns, the last element in halves."""
    bounds = zip(csr.indptr[:-1], csr.indptr[1:])
    order = np.concatenate([np.arange(begin, end)[::-1] for begin, end in bounds])
    data, columns = csr.data[order], csr.indices[order]
    data = np.r_[data[:-1], data[-1] / 2, data[-1] / 2]
    offsets = np.r_[csr.indptr[:-1], len(data)]
    return sparse.csr_array((data, np.r_[columns, columns[-1]], offsets), csr.shape)


def read_only(csr):
    made = csr.copy()
    for part in (made.data, made.indices, made.indptr):
        part.flags.writeable = False
    return made


FORMS = {
    "read-only": read_only,
    "matrix": sparse.csr_matrix,
    "csc": sparse.csc_array,
    "coo": sparse.coo_array,
    "lil": sparse.lil_array,
    "dok": sparse.dok_matrix,
    "bsr": lambda csr: csr.tobsr((4, 5)),
    "wide": wide,
    "unsorted": unsorted,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_sparse_matrix(form):
    given = FORMS[form](CSR)
    plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(X, Y)
    ours = clone(plain).fit(given, Y)
    same_bytes(ours, plain)
    np.testing.assert_array_equal(ours.predict_proba(given), plain.predict_proba(X))
    if form == "unsorted":
        assert not given.has_canonical_format  # the user's matrix stays as it was


@pytest.mark.parametrize("dtype", ["f4", "g", "i1", "u2", "i8", "?"])
def test_every_type_of_element(dtype):
    dense = (2 * X).astype(dtype)
    plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(dense, Y)
    ours = clone(plain).fit(sparse.csr_array(dense), Y)
    assert ours.program_.model.precision == plain.program_.model.precision
    same_bytes(ours, plain)


def test_columns_of_a_frame_that_are_sparse():
    frame = pd.DataFrame.sparse.from_spmatrix(CSR, columns=[f"c{i}" for i in range(30)])
    clf = DNNClassifier((4,), max_iter=2, random_state=0).fit(frame, Y)
    assert clf.feature_names_in_[-1] == "c29" and "csr f64 N×30" in clf.summary()
    plain = clone(clf).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(frame), plain.predict_proba(X))


# -- from dense to sparse and back ------------------------------


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_warm_starts_and_pieces_go_on_in_either_form(optimizer):
    plain = DNNClassifier((4,), optimizer=optimizer, max_iter=2, random_state=0)
    ours = clone(plain.set_params(warm_start=True))
    for rows in (CSR, X, CSR):
        plain.fit(X, Y)
        same_bytes(ours.fit(rows, Y), plain)
    for rows in (X, CSR, X):
        plain.partial_fit(X, Y)
        same_bytes(ours.partial_fit(rows, Y), plain)
    twin = pickle.loads(pickle.dumps(ours.partial_fit(CSR, Y)))
    np.testing.assert_array_equal(twin.predict_proba(X), ours.predict_proba(CSR))


def test_rows_are_converted_in_pieces(monkeypatch):
    from slimlearn.estimators.inputs import base

    clf = DNNClassifier((8, 4), max_iter=2, random_state=0)
    fits = [clone(clf).fit(X, Y), clone(clf).fit(CSR, Y)]
    proba, both = fits[0].predict_proba(X), fits[0].activations(X, ["fc1", "fc2"])
    monkeypatch.setattr(base, "_CHUNK", 7 * X.shape[1])
    for est in fits:
        for rows in (X, CSR):
            np.testing.assert_array_equal(est.predict_proba(rows), proba)
            np.testing.assert_array_equal(est.predict_proba(rows[:1]), proba[:1])
            for name, values in est.activations(rows, ["fc1", "fc2"]).items():
                np.testing.assert_array_equal(values, both[name])


def test_a_network_that_mixes_rows_sees_them_whole():
    def mixing(x):
        net = layers.fully_connected(x, 4)
        return net - ops.reduce_mean(net, [0], keepdims=True)

    clf = NetworkClassifier(mixing, max_iter=2, random_state=0).fit(X, Y)
    ours = clone(clf).fit(CSR, Y)
    same_bytes(ours, clf)
    expected = clf.predict_proba(X)
    np.testing.assert_array_equal(ours.predict_proba(CSR), expected)
    np.testing.assert_array_equal(ours.predict_proba(X), expected)
    with pytest.raises(ValueError, match=r"mixes rows.*give X\.toarray\(\)"):
        clf.predict(CSR)


def test_chunks():
    chunks = [(CSR[:50], Y[:50]), (CSR[50:].tocsc(), Y[50:])]
    clf = DNNClassifier((4,), max_iter=3, random_state=0)
    plain = clone(clf).fit_chunks([(X[:50], Y[:50]), (X[50:], Y[50:])])
    same_bytes(clone(clf).fit_chunks(chunks), plain)
    same_bytes(clone(clf).fit_chunks([chunks[0], (X[50:], Y[50:])]), plain)
    with pytest.raises(ValueError, match=r"chunk 2: X is sparse.*give both alike"):
        clf.fit_chunks([(X[:50], Y[:50]), chunks[1]])


# -- what is refused ------------------------------


@pytest.mark.parametrize("value, told", [(np.nan, "NaN"), (np.inf, "inf")])
def test_numbers_that_are_none_name_their_columns(value, told):
    bad = CSR.copy()
    bad.data[7] = value
    columns = rf"{told}.* in columns \[{bad.indices[7]}\]"
    clf = DNNClassifier((4,), max_iter=1).fit(CSR, Y)
    for method in (clf.predict, clf.predict_proba, lambda rows: clf.fit(rows, Y)):
        for rows in (bad, bad.tocsc()):
            with pytest.raises(ValueError, match=columns):
                method(rows)
    with pytest.raises(ValueError, match=f"Input X_val contains {columns}"):
        clf.fit(CSR, Y, X_val=bad, y_val=Y)


def test_what_is_refused_of_sparse_rows():
    clf = DNNClassifier((4,), max_iter=1, precision="float32").fit(CSR, Y)
    far = CSR.copy()
    far.data[7] = 1e300
    for method in (clf.predict, lambda rows: clf.fit(rows, Y)):
        told = rf"too large for float32, in columns \[{far.indices[7]}\]"
        with pytest.raises(ValueError, match=told):
            method(far)
    with pytest.raises(ValueError, match="7 features, but DNNClassifier is expecting"):
        clf.predict(CSR[:, :7])
    with pytest.raises(ValueError, match=r"X_val is sparse.*give both alike"):
        clf.fit(X, Y, X_val=CSR, y_val=Y)
    with pytest.raises(ValueError, match="0 sample"):
        clf.predict(CSR[:0])
    nothing = sparse.csr_array(X.shape)
    assert np.ptp(clf.predict_proba(nothing)[:, 0]) == 0
    clf.fit(nothing, Y)


def test_the_first_layer_must_take_sparse_rows():
    def dropped(x):
        return layers.fully_connected(layers.dropout(x, 0.5), 4)

    def added(x):
        return layers.fully_connected(x + 1.0, 4)

    for net, name in ((dropped, "dropout"), (added, "add")):
        told = rf"{name}.*%X is csr f64\[B,30\].*make it the first layer"
        with pytest.raises((TypeError, ValueError), match=told):
            NetworkClassifier(net).fit(CSR, Y)
        NetworkClassifier(net, max_iter=1).fit(X, Y)


# -- what is around ------------------------------


def test_scores_profile_and_features():
    clf = DNNClassifier(
        (8, 4),
        max_iter=3,
        early_stopping=True,
        callbacks=[EpochScoring("roc_auc", on="train")],
        random_state=0,
    )
    plain = clone(clf).fit(X, Y)
    same_bytes(clf.fit(CSR, Y), plain)
    assert clf.callbacks_[0][1].scores_ == plain.callbacks_[0][1].scores_
    assert any("fc1" in row["name"] for row in clf.profile(CSR, Y, steps=2))
    np.testing.assert_array_equal(clf.activations(CSR), plain.activations(X))
    features = LayerTransformer(clone(clf)).fit(CSR, Y)
    np.testing.assert_array_equal(features.transform(CSR), plain.activations(X))


def test_a_checkpoint_knows_its_rows(tmp_path):
    def fitted(rows, epochs):
        saver = Checkpoint(tmp_path)
        clf = DNNClassifier((4,), max_iter=epochs, callbacks=[saver], random_state=0)
        return clf.fit(rows, Y)

    fitted(CSR, 3)
    same_bytes(
        fitted(CSR, 6), DNNClassifier((4,), max_iter=6, random_state=0).fit(X, Y)
    )
    other = CSR.copy()
    other.data[0] += 1
    fitted(other, 1)
    assert len(list(tmp_path.iterdir())) == 2


# -- text ------------------------------

WORDS = {
    "food": "soup bread cheese apple dinner taste salt cook oven plate",
    "sport": "ball goal team match race runner score win league coach",
    "music": "song piano guitar melody chord concert band drum tune choir",
}
COMMON = "the a of and to with some very good new old day time people"


def corpus(size=240):
    rng = np.random.RandomState(0)
    topics = rng.choice(list(WORDS), size)
    texts = [
        " ".join([*rng.choice(WORDS[topic].split(), 3), *rng.choice(COMMON.split(), 9)])
        for topic in topics
    ]
    return texts, topics


def test_text_classification_in_a_search():
    texts, topics = corpus()
    for clf in (
        LinearClassifier(),
        DNNClassifier((16,), max_iter=15, learning_rate=0.01, random_state=0),
        DNNClassifier(
            (16,),
            optimizer="lazy_adam",
            max_iter=15,
            learning_rate=0.01,
            random_state=0,
        ),
    ):
        name = type(clf).__name__.lower()
        search = GridSearchCV(
            make_pipeline(TfidfVectorizer(), clf),
            {
                "tfidfvectorizer__ngram_range": [(1, 1), (1, 2)],
                f"{name}__l2_regularization": [1e-4, 1e-3],
            },
            cv=2,
        )
        search.fit(texts[:200], topics[:200])
        assert search.score(texts[200:], topics[200:]) > 0.9
        assert search.predict(["the goal of a new team"]).tolist() == ["sport"]


BIG = """
import resource
import numpy as np
from scipy import sparse
from slimlearn import DNNClassifier
rows, columns, stored = 20_000, 200_000, 30
rng = np.random.default_rng(0)
columns_of = np.sort(rng.integers(0, columns, (rows, stored)), axis=1).ravel()
values = rng.random(rows * stored, dtype=np.float32)
offsets = np.arange(0, rows * stored + 1, stored)
X = sparse.csr_array((values, columns_of, offsets), shape=(rows, columns))
X.sum_duplicates()
y = rng.integers(0, 2, rows)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
clf = DNNClassifier((64,), max_iter=1, optimizer="lazy_adam", random_state=0)
clf.fit(X[:100, :10], y[:100])
before = peak()
clf.fit(X, y).predict_proba(X)
print(peak() - before)
"""


def test_the_memory_of_many_columns():
    done = subprocess.run(
        [sys.executable, "-c", BIG],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    # The weights are 51 MB, and dense X would be 16 GB.
    assert float(done.stdout) < 400
