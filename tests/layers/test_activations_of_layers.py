"""est.activations: what any layer of a fitted network computes for rows."""

import doctest
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import slimlearn.estimators.inspection
from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LinearRegressor,
    NetworkClassifier,
    layers,
    network,
)
from slimlearn.backend import engine, ops

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
FEW = {"hidden_units": (6, 5), "max_iter": 3, "random_state": 0}


@network
def pieces(x, num_classes, inner=False):
    first = layers.fully_connected(x, 6, scope="block/first")
    grid = ops.reshape(first, (first.shape[0], 2, 3), name="grid")
    mean = ops.reduce_mean(first, [0], name="mean")
    ends = {"first": first, "grid": grid, "mean": mean, "width": 6}
    net = layers.flatten(grid)
    return layers.linear(net, num_classes, scope="out"), ends


@network
def wrapped(x, num_classes):
    net = layers.fully_connected(x, 4, scope="before")
    return pieces()(net, num_classes=num_classes), {"before": net}


def dense(values, weights, biases):
    return np.maximum(values @ weights + biases, 0)


@pytest.fixture(scope="module")
def clf():
    return DNNClassifier(dropout=0.5, **FEW).fit(X, Y)


@pytest.fixture(scope="module")
def custom():
    settings = {"max_iter": 3, "random_state": 0, "precision": "float32"}
    return NetworkClassifier(pieces(), **settings).fit(X, Y)


def test_example_in_the_docstring():
    result = doctest.testmod(slimlearn.estimators.inspection)
    assert result.attempted and not result.failed


def test_values_are_those_of_numpy(clf):
    first = dense(X, clf.coefs_[0], clf.intercepts_[0])
    second = dense(first, clf.coefs_[1], clf.intercepts_[1])
    logits = second @ clf.coefs_[2] + clf.intercepts_[2]
    for layer, expected in (
        ("X", X),
        ("fc1", first),
        ("fc2/relu", second),
        (None, second),
        ("logits", logits),
    ):
        values = clf.activations(X, layer)
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)
    before = clf.activations(X, "fc1/add")
    assert before.min() < 0
    np.testing.assert_array_equal(np.maximum(before, 0), clf.activations(X, "fc1"))


def test_a_list_gives_a_dict_of_the_same_bits(clf):
    names = ["fc2", "fc1/matmul", "fc1", "fc2/relu"]
    found = clf.activations(X, names)
    assert list(found) == names
    for name, values in found.items():
        np.testing.assert_array_equal(values, clf.activations(X, name))
    assert list(clf.activations(X, ["fc1"])) == ["fc1"]


def test_end_points_and_scopes(custom):
    first = custom.activations(X, "first")
    assert first.dtype == np.float32
    for name in ("block/first", "block", "block/first/relu"):
        np.testing.assert_array_equal(custom.activations(X, name), first)
    grid = custom.activations(X, "grid")
    assert grid.shape == (150, 2, 3)
    np.testing.assert_array_equal(grid.reshape(150, 6), first)
    np.testing.assert_array_equal(custom.activations(X), first)
    outer = NetworkClassifier(wrapped(), max_iter=2, random_state=0).fit(X, Y)
    assert outer.activations(X, "before").shape == (150, 4)
    with pytest.raises(ValueError, match=r"'first'.*end points: before\."):
        outer.activations(X, "first")


def test_normalized_layers_end_with_their_normalization():
    reg = DNNRegressor(batch_norm=True, activation="linear", **FEW).fit(X, Y)
    net = reg.activations(X, "fc1")
    np.testing.assert_array_equal(net, reg.activations(X, "fc1/BatchNorm"))
    assert not np.allclose(net, reg.activations(X, "fc1/matmul"))
    rows = {line.split()[0]: line.split()[1] for line in reg.summary().splitlines()}
    assert all(len(reg.activations(X, name)) == 150 for name in rows if "fc" in name)


def test_any_input_gives_the_rows_that_predict_gives(clf):
    expected = clf.activations(X, "fc2")
    for rows in (slice(0, 1), slice(3, 10), slice(0, 150)):
        np.testing.assert_array_equal(clf.activations(X[rows], "fc2"), expected[rows])
    fortran, large = np.asfortranarray(X), np.tile(X, (60, 1))
    np.testing.assert_array_equal(clf.activations(fortran, "fc2"), expected)
    np.testing.assert_array_equal(clf.activations(large, "fc2")[-150:], expected)
    np.testing.assert_array_equal(
        clf.activations(large[:, ::-1][:, ::-1], ["fc2"])["fc2"][-150:], expected
    )
    frame = pd.DataFrame(X, columns=list("abcd"))
    named = clone(clf).fit(frame, Y)
    np.testing.assert_array_equal(named.activations(frame, "fc2"), expected)
    with pytest.raises(ValueError, match="feature names"):
        named.activations(frame.rename(columns={"a": "z"}), "fc2")


@pytest.mark.parametrize("threads", [1, 2, None])
def test_any_number_of_threads(clf, threads):
    expected = clf.activations(np.tile(X, (30, 1)))
    clf = pickle.loads(pickle.dumps(clf)).set_params(n_threads=threads)
    np.testing.assert_array_equal(clf.activations(np.tile(X, (30, 1))), expected)


def test_weights_that_are_set_count(clf):
    clf = pickle.loads(pickle.dumps(clf))
    clf.activations(X, "fc1")
    clf.set_weights({"fc1": {"biases": np.full(6, 100.0)}})
    assert clf.activations(X, "fc1").min() > 50


def test_nothing_fitted_changes_and_nothing_compiles_twice(clf, monkeypatch):
    state = pickle.dumps(clf)
    clf.activations(X, "fc1")
    assert pickle.dumps(clf) == state
    monkeypatch.setattr(engine, "compile", lambda text: pytest.fail(text))
    clf.activations(X, "fc1")


@pytest.mark.parametrize(
    ("layer", "error", "told"),
    [
        ("fc9", ValueError, r"no layer 'fc9'.* X, block/first, Flatten, out; end"),
        ("mean", ValueError, r"mean is f32\[6\].*one dense row"),
        ("width", ValueError, "no layer 'width'"),
        ("out/weights", ValueError, "no layer 'out/weights'"),
        ([], TypeError, "list of names"),
        (["first", None], TypeError, "list of names"),
        (["first", "fc9"], ValueError, "no layer 'fc9'"),
    ],
)
def test_what_is_refused(custom, layer, error, told):
    with pytest.raises(error, match=told):
        custom.activations(X, layer)


def test_bad_rows_are_refused_as_by_predict(clf):
    with pytest.raises(ValueError, match="3 features"):
        clf.activations(X[:, :3], "fc1")
    with pytest.raises(ValueError, match="NaN"):
        clf.activations(np.full((2, 4), np.nan), "fc1")
    with pytest.raises(NotFittedError):
        clone(clf).activations(X, "fc1")


def test_a_linear_model_has_no_layer_before_the_last():
    reg = LinearRegressor().fit(X, Y)
    with pytest.raises(ValueError, match="no layer before its last"):
        reg.activations(X)
    values = reg.activations(X, "output") * Y.std() + Y.mean()
    np.testing.assert_allclose(values, reg.predict(X))
