"""Microseconds of a training step on a GPU for each kind of network.

    python benchmarks/gpu_kinds.py [results.json]

Loops over sequences of one length and of several, convolutions, a table, rows that come
and go though there is room for them, sparse rows, and functions of the user's: of
NumPy's arrays, and on a GPU of CuPy's. `SLIM_GPU_DEVICE` names another device, as the
kernels on the host, where a few small steps say that all of them run: "emulated".
"""

import json
import os
import sys
import time

import numpy as np
from scipy import sparse

from slimlearn import (
    ConvNetClassifier,
    DNNClassifier,
    NetworkClassifier,
    SequenceClassifier,
    layers,
)
from slimlearn.backend import ops

DEVICE = os.environ.get("SLIM_GPU_DEVICE", "cuda")
SMALL = DEVICE == "emulated"
rng = np.random.default_rng(0)


def rows(many, few):
    """Return how many rows there are."""
    return few if SMALL else many


def noise(count, *shape):
    """Return rows of noise and two classes."""
    X = rng.random((count, *shape), np.float32)
    return X, rng.integers(0, 2, count)


def recurrent(x):
    """A gated cell over the steps of a sequence."""
    return layers.lstm(x, 8 if SMALL else 64)


def lengths(least, most):
    """Return sequences of so many steps, and two classes."""
    count = rows(4096, 8)
    X = np.empty(count, object)
    X[:] = [
        rng.random((n, 8), np.float32) for n in rng.integers(least, most + 1, count)
    ]
    return X, rng.integers(0, 2, count)


def called(x, num_outputs, node=None):
    """A layer whose activation is NumPy's, or that of another node."""
    x = layers.fully_connected(x, 64, activation_fn=None)
    return layers.linear((node or CALLED)(x), num_outputs)


def launched(x, num_outputs):
    """The same with CuPy's."""
    return called(x, num_outputs, LAUNCHED)


def tanh_there(x):
    """Return a new array; CuPy is where there is a GPU."""
    import cupy

    return cupy.tanh(x)


def slope(dy, y, x):
    """Return the gradient of tanh, in arrays of either kind."""
    return dy * (1 - y * y)


CALLED = ops.custom(np.tanh, slope, name="gpu:tanh", by_row=True)
LAUNCHED = ops.custom(
    np.tanh, slope, name="gpu:cupy", by_row=True, gpu=(tanh_there, slope)
)
DENSE = {"hidden_units": (256, 128), "batch_size": 128}
IMAGES = noise(rows(8192, 16), 28, 28, 1)
TABLE = noise(rows(60_000, 64), 784)

SPARSE = sparse.random_array(
    (rows(20_000, 16), 20_000), density=0.002, rng=rng, dtype=np.float32, format="csr"
)

# name: (estimator, its parameters, X and y, the environment)
CASES = {
    "dense 784-256-128": (DNNClassifier, DENSE, TABLE, {}),
    "the same, rows that come and go": (
        DNNClassifier,
        DENSE,
        TABLE,
        {"SLIM_CUDA_DATA": str(rows(64 << 20, 1))},
    ),
    "the same, bytes that come and go": (
        DNNClassifier,
        DENSE,
        ((TABLE[0] * 255).astype("u1"), TABLE[1]),
        {"SLIM_CUDA_DATA": str(rows(16 << 20, 1))},
    ),
    "convolutions 28x28": (ConvNetClassifier, {"batch_size": 128}, IMAGES, {}),
    "LSTM, 40 steps": (
        SequenceClassifier,
        {"net": recurrent, "batch_size": 64},
        lengths(40, 40),
        {},
    ),
    "LSTM, 5 to 40 steps": (
        SequenceClassifier,
        {"net": recurrent, "batch_size": 64},
        lengths(5, 40),
        {},
    ),
    "sparse rows, 20,000 columns": (
        DNNClassifier,
        {"hidden_units": (64,), "batch_size": 128},
        (SPARSE, rng.integers(0, 2, SPARSE.shape[0])),
        {},
    ),
    "the same, gradients kept as rows": (
        DNNClassifier,
        {"hidden_units": (64,), "batch_size": 128, "optimizer": "adagrad"},
        (SPARSE, rng.integers(0, 2, SPARSE.shape[0])),
        {},
    ),
    "a function of NumPy": (
        NetworkClassifier,
        {"net": called, "batch_size": 128},
        (TABLE[0][: rows(6400, 64)], TABLE[1][: rows(6400, 64)]),
        {},
    ),
}
if not SMALL:
    CASES["a function of CuPy"] = (
        NetworkClassifier,
        {"net": launched, "batch_size": 128},
        (TABLE[0][:6400], TABLE[1][:6400]),
        {},
    )


def step(kind, options, X, y):
    """Return seconds of a step: the slope between a short and a long fit."""
    steps = -(-np.shape(X)[0] // options["batch_size"])
    few, more = (1, 2) if SMALL else (2, max(4, 2 + 400 // steps))
    times = []
    for epochs in (1, few, more):
        est = kind(
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=more + 1,
            random_state=0,
            device=DEVICE,
            **options,
        )
        start = time.perf_counter()
        est.fit(X, y)
        times.append(time.perf_counter() - start)
    return (times[2] - times[1]) / (more - few) / steps, times[0]


def main():
    """Print the table; write it where the command line says."""
    if SMALL:
        from slimlearn.backend.engine.native import native

        native.register_emulated_device(DEVICE)
    found = {}
    for name, (kind, options, (X, y), variables) in CASES.items():
        os.environ.pop("SLIM_CUDA_DATA", None)
        os.environ.update(variables)
        try:
            seconds, first = step(kind, options, X, y)
        except Exception as error:  # one that fails must not end the others
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            continue
        found[name] = seconds * 1e6
        print(
            f"{name}: {seconds * 1e6:.1f} us a step, the first fit {first:.1f} s",
            flush=True,
        )
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump(found, file, indent=1)
    if len(found) < len(CASES):
        sys.exit(f"{len(CASES) - len(found)} of {len(CASES)} failed")


if __name__ == "__main__":
    main()
