"""Networks of all kinds as C: images, sequences, categories, loops, attention."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from slimlearn import (
    ConvNetClassifier,
    ConvNetRegressor,
    LinearClassifier,
    NetworkClassifier,
    NetworkRegressor,
    SequenceClassifier,
    layers,
    network,
)
from slimlearn.backend import ops
from tests.support.exported_c import compiled
from tests.support.random_nets import RandomNet

RNG = np.random.default_rng(0)
ROWS = 24
CLASSES = np.arange(ROWS) % 3
ONCE = {"max_iter": 1, "random_state": 0}


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=(ROWS, *shape)).astype(np.float32)


def assert_same(estimator, net, X, *sources) -> None:
    got = net.rows("predict_proba", *(sources or (X,)))
    assert_allclose(got, estimator.predict_proba(X), rtol=0, atol=1e-6)


def test_convolutions_that_pool(tmp_path):
    X = normal(13, 11, 2)
    estimator = ConvNetClassifier(**ONCE).fit(X, CLASSES)
    assert_same(estimator, compiled(estimator, tmp_path), X)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_of_images(tmp_path, seed):
    X = normal(*np.random.default_rng(seed).integers(5, 12, size=2), 1 + seed % 4)
    net = RandomNet(seed, depth=2 + 2 * seed)
    estimator = ConvNetRegressor(net, **ONCE).fit(X, X.mean((1, 2, 3)))
    got = compiled(estimator, tmp_path, "-O1").rows("predict", X)
    want = estimator.predict(X)[:, np.newaxis]
    assert_allclose(got, want, rtol=0, atol=1e-6 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("cell", ["lstm", "gru", "conv"])
def test_sequences_of_one_length(tmp_path, cell):
    X = normal(5, 3)
    estimator = SequenceClassifier(cell=cell, **ONCE).fit(X, CLASSES)
    with pytest.raises(ValueError, match=r"an axis of T steps.*say it by length="):
        estimator.export_c(tmp_path / "net.c")
    assert_same(estimator, compiled(estimator, tmp_path, length=5), X)


def test_sequences_of_different_length_are_padded(tmp_path):
    X = [normal(5)[:n] for n in RNG.integers(1, 9, size=ROWS)]
    estimator = SequenceClassifier(cell="gru", **ONCE).fit(X, CLASSES)
    net = compiled(estimator, tmp_path)
    _, ((_, _, count), *_) = net.functions["net_predict_proba"]
    padded = np.full((ROWS, count // 5, 5), 9, np.float32)
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    lengths = np.array([len(x) for x in X])
    assert_same(estimator, net, X, padded, lengths)


def test_embeddings_beside_numbers(tmp_path):
    def net(x, num_outputs):
        words = layers.flatten(layers.embedding(x["words"], 9, 3))
        x = ops.concat([x["numbers"], words], 1)
        return layers.fully_connected(x, num_outputs, activation_fn=None)

    numbers, words = normal(3), RNG.integers(0, 9, size=(ROWS, 4))
    inputs = {"numbers": slice(0, 3), "words": list("abcd")}
    X = pd.DataFrame(numbers, columns=list("xyz"))
    X[list("abcd")] = words
    estimator = NetworkClassifier(net, inputs=inputs, **ONCE).fit(X, CLASSES)
    net = compiled(estimator, tmp_path)
    assert_same(estimator, net, X, numbers, words)
    # Beyond the table: the nearest, and nothing else is read.
    beyond = np.where(words < 4, -(2**31), 2**31 - 1)
    X[list("abcd")] = np.where(words < 4, 0, 8)
    assert_same(estimator, net, X, numbers, beyond)


def test_attention(tmp_path):
    def net(x, num_outputs):
        x = ops.reshape(x, (-1, 6, 5))
        x = layers.layer_norm(layers.multi_head_attention(x, num_heads=3, key_dim=4))
        return layers.fully_connected(
            layers.flatten(x), num_outputs, activation_fn=None
        )

    X = normal(30)
    estimator = NetworkClassifier(net, **ONCE).fit(X, CLASSES)
    assert_same(estimator, compiled(estimator, tmp_path), X)


def test_loops_and_branches(tmp_path):
    def net(x, num_outputs):
        h = layers.fully_connected(x, 5)
        root = ops.while_loop(
            lambda g: ops.reduce_max(ops.abs(g * g - 2.0)) > 1e-5,
            lambda g: (g + 2.0 / g) / 2.0,
            h + 1.0,
            maximum_iterations=40,
        )
        h = ops.cond(ops.reduce_sum(x) > 0.0, lambda: h * 2.0, lambda: ops.tanh(h))
        last, sums = ops.scan(
            lambda c, v: (c + v, ops.tanh(c)), h[:, 0], h, axis=1, reverse=True
        )
        parts = [
            root,
            h,
            ops.reshape(last, (-1, 1)),
            sums,
            ops.pad(x, [[0, 0], [1, 2]]),
        ]
        x = ops.concat(parts, 1)
        return layers.fully_connected(x, num_outputs, activation_fn=None)

    X = normal(6)
    estimator = NetworkRegressor(net, batch_size=1, **ONCE).fit(X, X[:, 0])
    got = compiled(estimator, tmp_path).rows("predict", X)
    want = [estimator.predict(row) for row in X[:, np.newaxis]]
    assert_allclose(got, want, rtol=0, atol=1e-6)


def test_rows_that_were_sparse_are_dense_in_c(tmp_path):
    X = sparse.random_array((ROWS, 20), density=0.2, format="csr", rng=0)
    estimator = LinearClassifier().fit(X, CLASSES)
    assert_same(estimator, compiled(estimator, tmp_path), X, X.toarray())


@network
def towers(x, units=3):
    one, other = x["one"], x["other"]
    return layers.linear(one, units) + layers.linear(other, units)


def test_columns_are_named_in_their_order_where_a_row_is_all_of_them(tmp_path):
    frame = pd.DataFrame(normal(3), columns=["b", "a", "c"])
    made = LinearClassifier(max_iter=200).fit(frame, CLASSES)
    made.export_c(tmp_path / "whole.c")
    assert "* Columns of X: b, a, c\n" in (tmp_path / "whole.h").read_text()
    parts = {"one": ["a", "b"], "other": ["c"]}
    made = NetworkClassifier(towers(), inputs=parts, **ONCE).fit(frame, CLASSES)
    made.export_c(tmp_path / "parts.c")
    header = (tmp_path / "parts.h").read_text()
    assert "const float inputs_one[2], const float inputs_other[1]" in header
    assert "Columns of X" not in header
