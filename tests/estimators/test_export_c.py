"""Networks as C: the numbers of Python, by every compiler, and what is refused."""

from __future__ import annotations

import ctypes
import doctest

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from slimlearn import (
    Autoencoder,
    DNNClassifier,
    DNNRegressor,
    LinearRegressor,
    NetworkRegressor,
    layers,
)
from slimlearn.backend import ops
from tests.support.exported_c import COMPILERS, compiled

RNG = np.random.default_rng(0)


def rows_of(width: int, rows: int = 40) -> np.ndarray:
    return RNG.normal(size=(rows, width)).astype(np.float32)


def assert_same(estimator, X, net, tolerance=1e-6) -> None:
    """Probabilities, classes and numbers of C are those of Python."""
    if hasattr(estimator, "classes_"):
        want = estimator.predict_proba(X)
        assert_allclose(net.rows("predict_proba", X), want, rtol=0, atol=tolerance)
        labels = estimator.classes_[net.rows("predict", X)]
        sure = np.sort(want)[:, -1] - np.sort(want)[:, -2] > 2 * tolerance
        assert_array_equal(labels[sure], estimator.predict(X)[sure])
    else:
        want = estimator.predict(X).reshape(len(X), -1)
        scale = np.abs(want).max()
        assert_allclose(net.rows("predict", X), want, rtol=0, atol=tolerance * scale)


# Depth, widths that no block divides, classes, activations, normalization.
@pytest.mark.parametrize(
    ("width", "hidden", "classes", "options"),
    [
        (1, (1,), 2, {}),
        (4, (16, 16), 3, {"batch_norm": True}),
        (7, (5, 3, 13), 11, {"activation": "gelu", "batch_norm": True}),
        (33, (65, 31), 2, {"activation": "tanh", "dropout": 0.2}),
        (3, (6,) * 20, 4, {"activation": "selu"}),
        (5, (9,), 5, {"loss": "ordinal"}),
    ],
)
def test_classifiers(tmp_path, width, hidden, classes, options):
    X = rows_of(width)
    y = np.arange(len(X)) % classes
    estimator = DNNClassifier(hidden, max_iter=2, random_state=0, **options).fit(X, y)
    assert_same(estimator, X, compiled(estimator, tmp_path))


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("flags", ["-O0", "-O2"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_compilers_and_precisions(tmp_path, compiler, flags, precision):
    X = rows_of(6).astype(np.float64)
    y = 1e3 + 50 * X[:, :2]
    estimator = DNNRegressor((8, 8), activation="softplus", max_iter=3, random_state=0)
    estimator.fit(X, y)
    net = compiled(estimator, tmp_path, flags, compiler, precision=precision)
    tolerance = 1e-13 if precision == "float64" else 1e-6
    assert_same(estimator, X, net, tolerance)


def test_what_outputs_mean(tmp_path):
    X = rows_of(4)
    once = {"max_iter": 2, "random_state": 0}
    labels = (X[:, :3] > 0).astype(int)
    several = DNNClassifier((8,), **once).fit(X, labels)
    got = compiled(several, tmp_path).rows("predict_proba", X)
    assert_allclose(got, several.predict_proba(X), rtol=0, atol=1e-6)
    [header] = tmp_path.rglob("net.h")
    assert "Of each label, in the order of y's columns" in header.read_text()
    outputs = np.array(["b", "a */", "c"])[labels.sum(1) % 3], labels[:, 0]
    outputs = np.stack(outputs, 1).astype(str)
    several = DNNClassifier((8,), **once).fit(X, outputs)
    (folder := tmp_path / "outputs").mkdir()
    got = compiled(several, folder).rows("predict_proba", X)
    assert_allclose(got, np.hstack(several.predict_proba(X)), rtol=0, atol=1e-6)
    [header] = folder.rglob("net.h")
    assert "its classes: a * /, b, c; 0, 1" in header.read_text()
    apart = DNNClassifier((8,), loss="hinge", **once).fit(X, labels[:, 0])
    net = compiled(apart, tmp_path)
    want = apart.decision_function(X)[:, np.newaxis]
    assert_allclose(net.rows("decision_function", X), want, rtol=0, atol=1e-6)
    assert_array_equal(apart.classes_[net.rows("predict", X)], apart.predict(X))
    counts = DNNRegressor((8,), loss="poisson", **once).fit(X, np.abs(X[:, 0]))
    assert_same(counts, X, compiled(counts, tmp_path))
    low = DNNRegressor((8,), loss="quantile", quantile=0.1, **once).fit(X, X[:, 0])
    assert_same(low, X, compiled(low, tmp_path))
    linear = LinearRegressor().fit(X, 1e4 + X[:, 0])
    assert_same(linear, X, compiled(linear, tmp_path))
    coder = Autoencoder((3,), **once).fit(X)
    got = compiled(coder, tmp_path).rows("reconstruct", X)
    assert_allclose(got, coder.reconstruct(X), rtol=0, atol=1e-6)


def test_labels_are_a_table(tmp_path):
    X, y = rows_of(3), np.array(["plain", 'a "b"\\?', "Äpfel"] * 13 + ["plain"])
    estimator = DNNClassifier((4,), max_iter=1, random_state=0).fit(X, y)
    net = compiled(estimator, tmp_path)
    table = (ctypes.c_char_p * 3).in_dll(net._library, "net_labels")
    assert [label.decode() for label in table] == estimator.classes_.tolist()


@pytest.mark.parametrize("first", [-(2**63), -(2**31), 2**40, 2**64 - 3])
def test_labels_are_numbers_of_any_size(first, tmp_path):
    dtype = np.uint64 if first >= 2**63 else np.int64
    labels = np.array([first, first + 1, first + 2], dtype)
    X, y = rows_of(3), labels[np.arange(40) % 3]
    estimator = DNNClassifier((4,), max_iter=1, random_state=0).fit(X, y)
    net = compiled(estimator, tmp_path)
    kind = ctypes.c_uint64 if dtype is np.uint64 else ctypes.c_int64
    assert list((kind * 3).in_dll(net._library, "net_labels")) == labels.tolist()


def test_batch_norm_is_folded_into_the_weights(tmp_path):
    X = rows_of(4)
    kinds = {"max_iter": 1, "random_state": 0}
    plain = DNNRegressor((16, 16), **kinds).fit(X, X[:, 0])
    normal = DNNRegressor((16, 16), batch_norm=True, **kinds).fit(X, X[:, 0])
    with_norm = normal.export_c(tmp_path / "normal.c")
    assert with_norm.weight_bytes == plain.export_c(tmp_path / "plain.c").weight_bytes


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestFinder().find(DNNClassifier.export_c, "export_c", globs={})
    example = next(test for test in found if test.examples)
    assert doctest.DocTestRunner().run(example).failed == 0


def test_refusals_name_what_to_do(tmp_path):
    X = rows_of(4)
    with pytest.raises(NotFittedError):
        DNNRegressor().export_c(tmp_path / "net.c")
    estimator = DNNRegressor((4,), max_iter=1).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"ends in \.c; got"):
        estimator.export_c(tmp_path / "net.h")
    for name in ("while", "9net", "a-b", "größe"):
        with pytest.raises(ValueError, match=r"is no name in C.*name="):
            estimator.export_c(tmp_path / f"{name}.c")
        with pytest.raises(ValueError, match=r"is no name in C.*another"):
            estimator.export_c(tmp_path / "net.c", name=name)
    with pytest.raises(ValueError, match="name 3 is no name in C"):
        estimator.export_c(tmp_path / "net.c", name=3)
    with pytest.raises(ValueError, match=r"'int8'; got \['int8'\]"):
        estimator.export_c(tmp_path / "net.c", precision=["int8"])
    with pytest.raises(ValueError, match="'float32', 'float64', 'int8'; got 'half'"):
        estimator.export_c(tmp_path / "net.c", precision="half")
    with pytest.raises(ValueError, match="'static' or 'caller'"):
        estimator.export_c(tmp_path / "net.c", arena="heap")
    with pytest.raises(ValueError, match="length=3 is for sequences"):
        estimator.export_c(tmp_path / "net.c", length=3)
    with pytest.raises(ValueError, match="loss='quantile' with quantile="):
        DNNRegressor((4,), loss="gaussian", max_iter=1).fit(X, X[:, 0]).export_c(
            tmp_path / "net.c"
        )
    assert list(tmp_path.iterdir()) == []


def test_scopes_that_c_has_other_things_for(tmp_path):
    names = ("double", "log", "window", "matmul_f32", "net", "memory", "net_run", "y0")
    names += ("net_predict", "1st", "run-2", "run.2", "arena", "X", "slim_exp_f32")

    def net(x, num_outputs):
        for name in names:
            x = ops.exp(layers.fully_connected(x, 3, scope=name) * -1.0, name=name)
        return layers.fully_connected(x, num_outputs, activation_fn=None)

    X = rows_of(3)
    estimator = NetworkRegressor(net, max_iter=1, random_state=0).fit(X, X[:, 0])
    assert_same(estimator, X, compiled(estimator, tmp_path))


def test_an_unknown_layer_is_named(tmp_path):
    def net(x, num_outputs):
        x = layers.fully_connected(x, 4, scope="before")
        best, _ = ops.top_k(x, 2, name="best/two")
        return layers.fully_connected(best, num_outputs, activation_fn=None)

    X = rows_of(4)
    estimator = NetworkRegressor(net, max_iter=1).fit(X, X[:, 0])
    words = (
        r"NetworkRegressor: C exports have no code for top_k of layer 'best'.*libslim"
    )
    with pytest.raises(ValueError, match=words):
        estimator.export_c(tmp_path / "net.c")
    assert list(tmp_path.iterdir()) == []


def test_older_files_stay_whole_where_new_ones_cannot_be_written(tmp_path):
    X = rows_of(4)
    estimator = DNNRegressor((4,), max_iter=1).fit(X, X[:, 0])
    with pytest.raises(FileNotFoundError, match=r"missing"):
        estimator.export_c(tmp_path / "missing" / "net.c")
    estimator.export_c(tmp_path / "net.c")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "net.c").mkdir()
    with pytest.raises(IsADirectoryError):
        estimator.export_c(tmp_path / "other" / "net.c")
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["net.c"]
    (tmp_path / "other" / "net.h").write_bytes(b"mine: \xff")
    with pytest.raises(IsADirectoryError):
        estimator.export_c(tmp_path / "other" / "net.c")
    assert (tmp_path / "other" / "net.h").read_bytes() == b"mine: \xff"
    before = (tmp_path / "net.c").read_bytes()
    estimator.fit(X, X[:, 1])
    estimator.export_c(tmp_path / "net.c")
    assert (tmp_path / "net.c").read_bytes() != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.c", "net.h", "other"]
