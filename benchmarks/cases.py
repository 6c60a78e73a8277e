"""What is measured: networks, their data and schedules, the same for everyone.

Needs nothing but numpy and scikit-learn: every contender's environment reads it.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

EVERYONE = ("skorch_net", "sklearn_mlp", "torch_loop", "jax_scan", "keras_fit")
NO_LAYERS = ("skorch_net", "torch_loop", "torch_compiled", "jax_scan", "keras_fit")
TORCH = ("torch_loop", "torch_channels_last", "torch_compiled")
NO_SLOWER = 0.98  # of any peer, where a case sets no other target


@dataclass(frozen=True)
class Case:
    """A training job: Adam at 1e-3, relu, float32, shuffled, nothing held out.

    Classes have the softmax cross-entropy, numbers the squared error.
    """

    name: str
    data: str
    units: tuple[int, ...]  # inputs, hidden layers, classes or 1
    batch: int
    epochs: int
    contenders: tuple[str, ...] = EVERYONE
    # contender -> how many times as fast as it slimlearn must be
    targets: dict[str, float | None] = field(default_factory=dict)
    share: float | None = None  # of the roofline, that is wanted
    threads: int = 2
    rounds: int = 3
    slope: bool = False  # whether steps are timed apart from what a fit costs once
    batch_norm: bool = False
    dropout: float = 0.0
    # Or lbfgs: epochs are iterations, in float64. Or lazy_adam, which moves only what a
    # sparse batch touches; peers that have no such thing take adam.
    optimizer: str = "adam"
    # Of 3×3 convolutions on square images of one channel, a maximum of 2×2 behind each.
    filters: tuple[int, ...] = ()
    ids: int = 0  # of a row, from 0 to units[0] - 1, in the place of numbers
    steady: bool = False  # whether an epoch after the first is timed, and not the fit

    @property
    def hidden(self) -> tuple[int, ...]:
        """Return the widths of the hidden layers."""
        return self.units[1:-1]

    @property
    def regression(self) -> bool:
        """Whether y is a number."""
        return self.units[-1] == 1

    def target(self, contender: str) -> float | None:
        """Return how many times as fast as a peer slimlearn must be."""
        return self.targets.get(contender, NO_SLOWER)

    def steps(self, rows: int, epochs: int) -> int:
        """Return the number of updates; a last batch of one row joins its neighbour."""
        full, rest = divmod(rows, self.batch)
        return epochs * (full + (rest > 1 or (rest == 1 and full == 0)))

    @property
    def side(self) -> int:
        """Return the height and width of images."""
        return math.isqrt(self.units[0])

    def sizes(self) -> dict[str, int]:
        """Return what a run may set, for a contender's command line."""
        return {"threads": self.threads}

    def layers(self) -> list[tuple[int, int]]:
        """Return weights of each layer, and how often a row multiplies each."""
        found, side, inputs = [], self.side, 1
        for filters in self.filters:
            found.append((9 * inputs * filters, side * side))
            side, inputs = side // 2, filters
        first = side * side * inputs if self.filters else self.units[0]
        widths = (first, *self.units[1:])
        return found + [(a * b, 1) for a, b in pairwise(widths)]

    def flops(self) -> float:
        """Return a step's multiply-adds times two; no gradient for the inputs."""
        layers = [weights * times for weights, times in self.layers()]
        return 2.0 * self.batch * (3 * sum(layers) - layers[0])

    def parameters(self) -> int:
        """Return the number of weights and biases."""
        weights = sum(weights for weights, _ in self.layers())
        return weights + sum(self.filters) + sum(self.units[1:])

    def update_bytes(self) -> float:
        """Return Adam's traffic: weight, gradient, two moments read, three written."""
        return 4.0 * 7 * self.parameters()


CASES = {
    case.name: case
    for case in (
        Case(
            "digits-32",
            "digits",
            (64, 100, 10),
            batch=32,
            epochs=20,
            targets={
                "skorch_net": 80,
                "sklearn_mlp": 25,
                "torch_loop": 35,
                "jax_scan": 5,
            },
            slope=True,
            rounds=7,
        ),
        Case(
            "digits-200",
            "digits",
            (64, 100, 10),
            batch=200,
            epochs=40,
            targets={"jax_scan": 5},
            slope=True,
            rounds=7,
        ),
        # The same on one thread, where each peer is at its best.
        Case(
            "digits-32-one",
            "digits",
            (64, 100, 10),
            batch=32,
            epochs=20,
            threads=1,
            slope=True,
            rounds=7,
        ),
        Case(
            "fashion",
            "fashion",
            (784, 256, 128, 10),
            batch=128,
            epochs=1,
            contenders=(*EVERYONE, "torch_compiled"),
            targets={"skorch_net": 4.5, "torch_loop": 2.5, "jax_scan": 1.7},
            share=0.7,
        ),
        # As large as LeNet; the better of PyTorch's memory formats is the one to beat.
        Case(
            "lenet",
            "fashion-10k",
            (784, 128, 10),
            batch=128,
            epochs=1,
            contenders=("skorch_net", *TORCH, "jax_steps", "keras_fit"),
            targets={"skorch_net": 4.5, "torch_loop": 2.5, "torch_channels_last": 2.5},
            share=0.65,
            filters=(32, 64),
        ),
        Case(
            "lenet-one",
            "fashion-10k",
            (784, 128, 10),
            batch=128,
            epochs=1,
            contenders=("skorch_net", *TORCH, "jax_steps", "keras_fit"),
            threads=1,
            filters=(32, 64),
        ),
        Case(
            "fashion-large",
            "fashion-30k",
            (784, 1024, 1024, 10),
            batch=256,
            epochs=1,
            share=0.8,
        ),
        Case(
            "covertype",
            "covertype",
            (54, 256, 256, 7),
            batch=1024,
            epochs=1,
            contenders=NO_LAYERS,
            batch_norm=True,
            dropout=0.1,
        ),
        # Deep and normed: fits of some steps, mostly of launches between products.
        Case(
            "deep",
            "deep",
            (256,) * 81 + (10,),
            batch=128,
            epochs=1,
            contenders=("skorch_net", "torch_loop", "jax_scan"),
            batch_norm=True,
        ),
        Case(
            "regression", "regression", (8, 64, 64, 1), batch=32, epochs=3, slope=True
        ),
        Case(
            "wide",
            "wide",
            (2000, 2000, 2000, 10),
            batch=256,
            epochs=1,
            share=0.8,
        ),
        Case(
            "lbfgs",
            "digits",
            (64, 50, 10),
            batch=0,
            epochs=50,
            contenders=("sklearn_mlp",),
            optimizer="lbfgs",
            rounds=7,
        ),
        Case(
            "text",
            "text",
            (50_000, 64, 4),
            batch=128,
            epochs=2,
            contenders=("skorch_net", "sklearn_mlp", "torch_sparse", "sgd_linear"),
            targets={"sgd_linear": None},  # a smaller model, for its score
            optimizer="lazy_adam",
            rounds=2,
        ),
        # The mean of the vectors of eight numbers a row, and a linear layer.
        Case(
            "embedding",
            "bags",
            (1_000_000, 64, 1),
            batch=1024,
            epochs=4,
            contenders=("torch_bags", "torch_bags_dense"),
            targets={"torch_bags": 1.5, "torch_bags_dense": 20},
            threads=1,
            optimizer="lazy_adam",
            ids=8,
            steady=True,
        ),
    )
}


def load(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return X, y to train on and X, y held out; X is float32, numbers y too."""
    return _DATA[case.data](case)


def _fashion(case, rows=None):
    import fashion_mnist

    X, y = fashion_mnist.load("train")
    return X[:rows], y[:rows], *fashion_mnist.load("test")


def _digits(case):
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    X = X.astype(np.float64 if case.optimizer == "lbfgs" else np.float32)
    X, X_out, y, y_out = train_test_split(X, y, test_size=1 / 3, random_state=0)
    return X, y, X_out, y_out


def _taught(case, rows, held_out=10_000, noise=0.3):
    """Draw normal rows and let a random tanh network of 32 units label them."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows + held_out, case.units[0]), dtype=np.float32)
    first = rng.standard_normal((case.units[0], 32)) / np.sqrt(case.units[0])
    second = rng.standard_normal((32, case.units[-1]))
    raw = np.tanh(2.0 * (X @ first.astype(np.float32))) @ second.astype(np.float32)
    raw += noise * rng.standard_normal(raw.shape, dtype=np.float32)
    y = raw.argmax(axis=1)
    if case.regression:
        y = (raw[:, 0] - raw.mean()) / raw.std()
    return X[:rows], y[:rows], X[rows:], y[rows:]


def _text(case, rows=10_000, held_out=2_000, words=40):
    """Draw rows of words as frequent as Zipf has it, some of them of a class."""
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    columns, classes = case.units[0], case.units[-1]
    y = rng.integers(classes, size=rows + held_out)
    ids = rng.zipf(1.2, size=(len(y), words)) % columns
    own = rng.random(ids.shape) < 0.15
    ids[own] = (ids * classes + y[:, None])[own] % columns
    ones = np.full(ids.size, words**-0.5, np.float32)
    offsets = np.arange(0, ids.size + 1, words)
    X = csr_matrix((ones, ids.ravel(), offsets), shape=(len(y), columns))
    X.sum_duplicates()
    return X[:rows], y[:rows], X[rows:], y[rows:]


def _bags(case, rows=16 * 1024, held_out=2_000, popular=500):
    """Draw numbers, half of them popular, that each have a worth; y is their sum."""
    rng = np.random.default_rng(0)
    shape = (rows + held_out, case.ids)
    X = rng.integers(case.units[0], size=shape)
    X = np.where(rng.random(shape) < 0.5, X % popular, X)
    y = rng.standard_normal(case.units[0], dtype=np.float32)[X].mean(axis=1)
    y /= y.std()
    return X[:rows], y[:rows], X[rows:], y[rows:]


_DATA = {
    "bags": _bags,
    "text": _text,
    "digits": _digits,
    "fashion": _fashion,
    "fashion-10k": lambda case: _fashion(case, 10_000),
    "fashion-30k": lambda case: _fashion(case, 30_000),
    "covertype": lambda case: _taught(case, 500_000),
    "deep": lambda case: _taught(case, 1_280, 1_000),
    "regression": lambda case: _taught(case, 20_000),
    "wide": lambda case: _taught(case, 5_120),
}

# What is predicted, searched and started is the network of digits.
PREDICTED = {1: 500, 100: 500, 100_000: 1}  # rows: calls to a mean
SEARCHED = [(1, "loky"), (2, "loky"), (2, "threading")]
SEARCHERS = ("skorch_net", "sklearn_mlp")
SEARCH_TARGETS = {"skorch_net": 50}
# Every contender's names for these are in its own module.
SEARCH = {
    "hidden": [(32,), (64,), (100,), (128,)],
    "rate": [1e-3, 3e-3, 1e-2],
    "batch": [32, 64],
}
SEARCH_EPOCHS = 10  # the best candidates are there, those of small rates are not

# What a second job is worth in a search of so many epochs, and what it must be.
SHARED = [(10, "loky"), (10, "threading"), (50, "loky"), (50, "threading")]
SHARED_TARGET = 1.8
