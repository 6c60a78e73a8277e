"""Gradients of the loss and of X, against differences and against formulas by hand."""

import doctest

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss, mean_squared_error

from slimlearn import (
    Autoencoder,
    ConvNetClassifier,
    DNNClassifier,
    DNNRegressor,
    GaussianMixture,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    layers,
    network,
    ops,
)
from slimlearn.estimators import derivatives

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(0)
X = RNG.normal(size=(40, 3))
Z = X @ RNG.normal(size=(3, 2)) + 0.1 * RNG.normal(size=(40, 2))
WORDS = np.array(["low", "mid", "top"])[np.digitize(Z[:, 0], [-0.5, 0.5])]
WEIGHTS = 0.5 + RNG.rand(40)
FEW = {"max_iter": 5, "random_state": 0, "precision": "float64"}
SMALL = {"hidden_units": (4,), "activation": "tanh", **FEW}


@network
def pair(x, units=3):
    joined = ops.concat([layers.fully_connected(x["a"], units, "tanh"), x["b"]], 1)
    return layers.fully_connected(joined, units, "tanh")


@network
def with_ids(x):
    rows = layers.embedding(x["kind"], 3, 2)
    return layers.fully_connected(ops.concat([rows, x["num"]], 1), 3, "tanh")


PAIR = {"inputs": {"a": [0, 1], "b": [2]}, **FEW}
ORDERED = np.digitize(Z[:, 0], [-0.5, 0.5])
# estimator, y
CASES = {
    "binary": (DNNClassifier(**SMALL), Z[:, 0] > 0),
    "multiclass": (DNNClassifier(**SMALL), WORDS),
    "deep": (DNNClassifier(**{**SMALL, "hidden_units": (5, 4, 3)}), WORDS),
    "batch norm": (DNNClassifier(batch_norm=True, dropout=0.3, **SMALL), WORDS),
    "focal": (DNNClassifier(loss="focal", **SMALL), WORDS),
    "hinge": (LinearClassifier(loss="hinge", optimizer="adam", **FEW), Z[:, 0] > 0),
    "ordinal": (DNNClassifier(loss="ordinal", **SMALL), ORDERED),
    "multilabel": (DNNClassifier(**SMALL), (Z > 0).astype(int)),
    "multioutput": (DNNClassifier(**SMALL), np.c_[ORDERED, Z[:, 1] > 0]),
    "regression": (DNNRegressor(**SMALL), 100 + 30 * Z[:, 0]),
    "column": (DNNRegressor(**SMALL), 100 + 30 * Z[:, :1]),
    "two targets": (DNNRegressor(**SMALL), Z * [1, 50]),
    "poisson": (DNNRegressor(loss="poisson", **SMALL), np.exp(Z[:, 0])),
    "quantile": (DNNRegressor(loss="quantile", quantile=0.3, **SMALL), 9 * Z[:, 0]),
    "quantiles": (
        DNNRegressor(loss="quantile", quantile=(0.9, 0.5, 0.1), **SMALL),
        9 * Z[:, 0],
    ),
    "gaussian": (DNNRegressor(loss="gaussian", **SMALL), 9 * Z[:, 0]),
    "two gaussians": (DNNRegressor(loss="gaussian", **SMALL), Z * [1, 50]),
    "mixture": (DNNRegressor(loss=GaussianMixture(2), **SMALL), 9 * Z[:, 0]),
    "own loss": (
        DNNRegressor(loss=lambda raw, y: ops.square(raw - y), **SMALL),
        9 * Z[:, 0],
    ),
    "linear": (LinearRegressor(**FEW), Z[:, 0]),
    "images": (ConvNetClassifier(filters=3, **SMALL), WORDS),
    "named": (NetworkClassifier(pair(), **PAIR), WORDS),
    "autoencoder": (Autoencoder((2,), activation="tanh", **FEW), None),
    "shares": (Autoencoder((2,), loss="log_loss", **FEW), None),
}
INPUTS = {"shares": 1 / (1 + np.exp(-X)), "images": RNG.normal(size=(40, 5, 6, 2))}
cases = pytest.mark.parametrize("case", CASES)


def fitted(case):
    est, y = CASES[case]
    x = INPUTS.get(case, X)
    return clone(est).fit(x, y), x, y


def loss_of(est, x, y, weights):
    """The validation loss that a fit reports, without moving the weights."""
    twin = clone(est).set_params(
        max_iter=1, warm_start=True, optimizer="sgd", learning_rate=1e-300
    )
    twin.__dict__.update(
        {k: v for k, v in est.__dict__.items() if k.endswith("_") or k[0] == "_"}
    )
    held = {"X_val": x, "sample_weight_val": weights}
    held |= {} if y is None else {"y_val": y}
    return twin.fit(x, y, **held).validation_loss_curve_[-1]


@pytest.mark.parametrize("case", [c for c in CASES if c != "batch norm"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_gradients_are_those_of_differences(case, weights):
    est, x, y = fitted(case)
    found = est.gradients(x, y, weights)
    start, h = est.get_weights(), 1e-6
    assert {k: set(v) for k, v in found.items()} == {
        k: {n for n in v if f"{k}/{n}" in est.program_.weights}
        for k, v in start.items()
        if any(f"{k}/{n}" in est.program_.weights for n in v)
    }
    largest = max(abs(g).max() for layer in found.values() for g in layer.values())
    for layer, gradients in found.items():
        for name, gradient in gradients.items():
            value = start[layer][name]
            assert gradient.shape == value.shape
            for at in list(np.ndindex(value.shape))[:4]:
                moved = []
                for by in (h, -h):
                    other = value.copy()
                    other[at] += by
                    est.set_weights({layer: {name: other}})
                    moved.append(loss_of(est, x, y, weights))
                est.set_weights({layer: {name: value}})
                slope = (moved[0] - moved[1]) / (2 * h)
                assert gradient[at] == pytest.approx(
                    slope, rel=1e-4, abs=1e-6 * largest
                )


def test_gradients_are_those_of_the_network_that_predicts():
    # With batch normalization and dropout, whose training form is another one.
    clf, x, y = fitted("batch norm")
    found, h = clf.gradients(x, y), 1e-6
    start = clf.get_weights()
    for layer, name in [("fc1", "weights"), ("fc1/BatchNorm", "beta")]:
        value, moved = start[layer][name], []
        for by in (h, -h):
            other = value.copy()
            other[..., 1] += by
            clf.set_weights({layer: {name: other}})
            moved.append(log_loss(y, clf.predict_proba(x)))
        clf.set_weights({layer: {name: value}})
        slope = (moved[0] - moved[1]) / (2 * h)
        assert found[layer][name][..., 1].sum() == pytest.approx(slope, rel=1e-5)
    assert set(found["fc1/BatchNorm"]) <= {"beta", "gamma"}  # states have no gradient


def test_gradients_by_hand():
    clf = LinearClassifier(**FEW).fit(X, WORDS)
    apart = clf.predict_proba(X) - (WORDS[:, None] == clf.classes_)
    found = clf.gradients(X, WORDS)["linear"]
    np.testing.assert_allclose(found["weights"], X.T @ apart / 40, atol=1e-14)
    np.testing.assert_allclose(found["biases"], apart.mean(axis=0), atol=1e-14)
    weighted = clf.gradients(X, WORDS, WEIGHTS)["linear"]["weights"]
    by_hand = X.T @ (apart * WEIGHTS[:, None]) / WEIGHTS.sum()
    np.testing.assert_allclose(weighted, by_hand, atol=1e-14)


def test_gradients_vanish_at_the_minimum():
    reg = LinearRegressor(**{**FEW, "max_iter": 200}, tol=1e-12).fit(X, Z[:, 0])
    found = reg.gradients(X, Z[:, 0])["linear"]
    assert max(abs(found["weights"]).max(), abs(found["biases"]).max()) < 1e-8
    assert mean_squared_error(Z[:, 0], reg.predict(X)) < 0.1


@pytest.mark.parametrize("rows", [1, 40, 5000])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_gradients_of_any_number_of_rows(rows, precision):
    clf = DNNClassifier(**{**SMALL, "precision": precision}).fit(X, WORDS)
    times = -(-rows // 40)
    x, y = np.tile(X, (times, 1))[:rows], np.tile(WORDS, times)[:rows]
    found = clf.gradients(x, y)
    parts = [clf.gradients(x[i : i + 1], y[i : i + 1]) for i in range(min(rows, 40))]
    for layer, gradients in found.items():
        for name, gradient in gradients.items():
            assert gradient.dtype == precision
            mean = np.mean([p[layer][name] for p in parts], axis=0)
            np.testing.assert_allclose(gradient, mean, rtol=1e-4, atol=1e-6)


def test_gradients_on_sparse_rows_are_those_on_dense_ones():
    x = np.where(abs(X) > 0.7, X, 0.0)
    dense = DNNClassifier(**SMALL).fit(x, WORDS)
    sparse = DNNClassifier(**SMALL).fit(csr_array(x), WORDS)
    a, b = dense.gradients(x, WORDS), sparse.gradients(csr_array(x), WORDS)
    np.testing.assert_allclose(a["fc1"]["weights"], b["fc1"]["weights"], atol=1e-14)
    c = sparse.gradients(x, WORDS)["fc1"]["weights"]
    np.testing.assert_array_equal(b["fc1"]["weights"], c)


def test_what_gradients_refuse():
    clf = DNNClassifier(**SMALL)
    with pytest.raises(NotFittedError):
        clf.gradients(X, WORDS)
    clf.fit(X, WORDS)
    with pytest.raises(ValueError, match="requires y"):
        clf.gradients(X)
    with pytest.raises(ValueError, match="has 2 features, but"):
        clf.gradients(X[:, :2], WORDS)
    with pytest.raises(ValueError, match="other"):
        clf.gradients(X, np.where(WORDS == "low", "other", WORDS))
    reg = DNNRegressor(**SMALL).fit(X, Z)
    with pytest.raises(ValueError, match=r"has outputs of shape \(2,\)"):
        reg.gradients(X, Z[:, 0])
    before = clf.predict_proba(X)
    clf.gradients(X, WORDS)
    assert np.array_equal(clf.predict_proba(X), before)


def test_the_examples_in_the_docstrings():
    result = doctest.testmod(derivatives)
    assert result.attempted and not result.failed


# -- saliency ------------------------------


def outputs(est, x):
    if hasattr(est, "reconstruct"):
        return est.reconstruct(x)
    if hasattr(est, "classes_"):
        if isinstance(est.classes_, list):  # which has no decision_function
            return np.concatenate(est.predict_log_proba(x), axis=1)
        found = est.decision_function(x)
        return np.c_[-found, found] if found.ndim == 1 else found
    return est.predict(x).reshape(len(x), -1)


@cases
def test_saliency_is_that_of_differences(case):
    est, x, y = fitted(case)
    h, count = 1e-6, outputs(est, x).shape[1]
    if case == "multioutput":  # logits and log-probabilities differ within an output
        a = est.saliency(x, 0) - est.saliency(x, 1)
        b = difference(est, x, h, 0) - difference(est, x, h, 1)
        np.testing.assert_allclose(a, b, atol=1e-6)
        return
    classes = getattr(est, "classes_", None)
    labels = classes is not None and np.ndim(y) == 1
    for column in range(count):
        output = classes[column] if labels else column
        found = est.saliency(x, output)
        if case == "named":
            assert list(found) == ["a", "b"]
            found = np.concatenate([found["a"], found["b"]], axis=1)
        scale = abs(found).max()
        assert found.shape == x.shape and found.dtype == np.float64
        rows = x.reshape(len(x), -1)  # images may come as rows
        np.testing.assert_allclose(
            found.reshape(rows.shape),
            difference(est, rows, h, column),
            rtol=1e-5,
            atol=1e-6 * scale,
        )


def difference(est, x, h, column):
    slopes = np.empty_like(x)
    for j in range(x.shape[1]):
        by = h * (np.arange(x.shape[1]) == j)
        up, down = outputs(est, x + by), outputs(est, x - by)
        slopes[:, j] = (up - down)[:, column] / (2 * h)
    return slopes


def test_saliency_by_hand():
    clf = LinearClassifier(**FEW).fit(X, WORDS)
    at = clf.classes_.searchsorted(clf.predict(X))
    np.testing.assert_array_equal(clf.saliency(X), clf.coef_[at])
    np.testing.assert_array_equal(
        clf.saliency(X, "top"), np.tile(clf.coef_[2], (40, 1))
    )
    two = LinearClassifier(**FEW).fit(X, WORDS == "top")
    sign = np.where(two.predict(X), 1, -1)[:, None]
    np.testing.assert_array_equal(two.saliency(X), sign * two.coef_)
    reg = DNNRegressor(**SMALL).fit(X, 100 + 30 * Z[:, 0])
    first, last = reg.coefs_
    slope = 1 - np.tanh(X @ first + reg.intercepts_[0]) ** 2
    by_hand = (slope * last[:, 0]) @ first.T * (30 * Z[:, 0]).std()
    np.testing.assert_allclose(reg.saliency(X), by_hand, rtol=1e-9)


def test_saliency_of_frames_and_float32():
    frame = pd.DataFrame(X, columns=list("abc"))
    clf = NetworkClassifier(pair(), **{**PAIR, "precision": "float32"})
    clf.fit(frame, WORDS)
    found = clf.saliency(frame)
    assert {k: (v.shape, str(v.dtype)) for k, v in found.items()} == {
        "a": ((40, 2), "float32"),
        "b": ((40, 1), "float32"),
    }
    assert np.array_equal(clf.saliency(frame, inputs="b"), found["b"])
    assert list(clf.saliency(frame, inputs=["b"])) == ["b"]
    whole = DNNRegressor(**SMALL).fit(frame, Z[:, 0])
    assert whole.saliency(frame[:7]).shape == (7, 3)


def test_whole_numbers_have_no_derivative():
    frame = pd.DataFrame({"kind": np.arange(40) % 3, "x": X[:, 0], "y": X[:, 1]})
    inputs = {"kind": "kind", "num": ["x", "y"]}
    clf = NetworkRegressor(with_ids(), inputs=inputs, **FEW).fit(frame, Z[:, 0])
    assert {k: v.shape for k, v in clf.saliency(frame).items()} == {"num": (40, 2)}
    with pytest.raises(ValueError, match=r"inputs\['kind'\] has whole numbers"):
        clf.saliency(frame, inputs=["num", "kind"])
    with pytest.raises(ValueError, match="no input 'age'; there are kind, num"):
        clf.saliency(frame, inputs="age")
    assert clf.gradients(frame, Z[:, 0])["embedding"]["embeddings"].shape == (3, 2)
    alone = NetworkRegressor(
        lambda x: layers.embedding(x["kind"], 3, 2), inputs={"kind": "kind"}, **FEW
    )
    with pytest.raises(ValueError, match="none of the inputs kind has a derivative"):
        alone.fit(frame, Z[:, 0]).saliency(frame)


def test_what_saliency_refuses():
    clf = DNNClassifier(**SMALL)
    with pytest.raises(NotFittedError):
        clf.saliency(X)
    clf.fit(X, WORDS)
    for output in ("best", 1):
        with pytest.raises(ValueError, match=r"is no class; classes_ are \['low'"):
            clf.saliency(X, output)
    with pytest.raises(ValueError, match="was fitted without inputs="):
        clf.saliency(X, inputs="a")
    with pytest.raises(ValueError, match=r"X is sparse, .*X\.toarray"):
        clf.saliency(csr_array(X))
    of_sparse = DNNClassifier(**SMALL).fit(csr_array(X), WORDS)
    with pytest.raises(ValueError, match="X was sparse in fit, and sparse rows have"):
        of_sparse.saliency(X)
    reg = DNNRegressor(**SMALL).fit(X, Z)
    for output in (None, 2, -1, "a"):
        with pytest.raises(ValueError, match="there are 2 outputs, choose one from 0"):
            reg.saliency(X, output)
    compared = NetworkRegressor(lambda x: ops.cast(x > 0, x.dtype), **FEW)
    with pytest.raises(ValueError, match="do not depend on X in a way that has a der"):
        compared.fit(X, Z[:, 0]).saliency(X)
