"""Sparse rows: what they compute and train is what dense rows do, bit for bit."""

import numpy as np
import pytest
from scipy import sparse
from training_case import CLASSES, Case, data, network

from slimlearn.backend.optimizer import SGD

FEATURES = 50


def sources(rows=100, precision="f32", seed=0, density=0.1, features=FEATURES):
    """Return the sources of a sparse X, with an empty row and an explicit zero."""
    rng = np.random.default_rng(seed)
    made = data(rows, precision, seed, features, CLASSES)
    made["X"][rng.random(made["X"].shape) > density] = 0
    made["X"][3] = 0
    csr = sparse.csr_array(made["X"])
    csr.data[5] = 0
    return {**made, "X": csr}


def dense(made: dict) -> dict:
    return {**made, "X": made["X"].toarray()}


def case(made, *, is_sparse=True, optimizer=None, options=None, **network_options):
    sizes = (made["X"].shape[1], 24, CLASSES)
    options = {"hypers": {"keep_prob": 0.7}, **(options or {})}
    precision = {"f4": "f32", "f8": "f64"}[made["X"].dtype.str[1:]]
    model = network(
        precision,
        optimizer,
        sparse=is_sparse,
        sizes=sizes,
        **network_options,
    )
    return Case(
        model, made if is_sparse else dense(made), optimizer=optimizer, **options
    )


def arenas(trained):
    return trained.program.params, trained.program.state, trained.slots


def assert_same_bytes(a, b):
    for one, other in zip(arenas(a), arenas(b), strict=True):
        np.testing.assert_array_equal(one, other)


RUNS = {
    "sgd": {"optimizer": SGD(momentum=0.0)},
    "momentum": {"optimizer": SGD()},
    "adam": {},
    "dropout": {"dropout": True},
    "center": {"center": True},
    "all": {"dropout": True, "center": True, "clip": True, "l2": True},
}


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("run", RUNS)
def test_training_has_the_bytes_of_dense_rows(run, precision):
    made = sources(99, precision)
    options = {"batch_size": 16}
    if run == "all":
        options |= {"clip_norm": 0.5, "segments": [{"l2": 1e-3}] * 4}
    one, other = (
        case(made, is_sparse=is_sparse, options=options, **RUNS[run])
        for is_sparse in (True, False)
    )
    assert one.train(3) == other.train(3)
    assert_same_bytes(one, other)
