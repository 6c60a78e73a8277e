"""What is measured: one network, its data and its schedule, the same for everyone.

Needs nothing but numpy and scikit-learn: every contender's environment reads it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))


@dataclass(frozen=True)
class Case:
    """A training job: Adam at 1e-3, relu, softmax cross-entropy, float32, shuffled."""

    name: str
    units: tuple[int, ...]  # inputs, hidden layers, classes
    batch: int
    epochs: int
    threads: int
    contenders: tuple[str, ...]
    targets: dict[str, float]  # contender -> how many times faster slimlearn must be
    step_target: float | None = None  # µs

    @property
    def hidden(self) -> tuple[int, ...]:
        """Return the widths of the hidden layers."""
        return self.units[1:-1]

    def steps(self, rows: int, epochs: int) -> int:
        """Return the number of updates; a last batch of one row joins its neighbour."""
        full, rest = divmod(rows, self.batch)
        return epochs * (full + (rest > 1 or (rest == 1 and full == 0)))

    def flops(self) -> float:
        """Return a step's multiply-adds times two; no gradient for the inputs."""
        layers = [a * b for a, b in zip(self.units, self.units[1:])]
        return 2.0 * self.batch * (3 * sum(layers) - layers[0])

    def parameters(self) -> int:
        """Return the number of weights and biases."""
        return sum(a * b + b for a, b in zip(self.units, self.units[1:]))

    def update_bytes(self) -> float:
        """Return Adam's traffic: weight, gradient, two moments read, three written."""
        return 4.0 * 7 * self.parameters()


CASES = {
    case.name: case
    for case in (
        Case(
            "digits",
            units=(64, 100, 10),
            batch=32,
            epochs=20,
            threads=1,
            contenders=("skorch_net", "sklearn_mlp", "torch_loop"),
            targets={"skorch_net": 40, "sklearn_mlp": 15, "torch_loop": 15},
            step_target=25,
        ),
        Case(
            "fashion",
            units=(784, 256, 128, 10),
            batch=128,
            epochs=1,
            threads=2,
            contenders=("skorch_net", "torch_loop"),
            targets={"skorch_net": 3, "torch_loop": 2},
        ),
    )
}


def load(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return X, y to train on and X, y held out; X is float32."""
    if case.name == "fashion":
        import fashion_mnist

        return *fashion_mnist.load("train"), *fashion_mnist.load("test")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    X, X_out, y, y_out = train_test_split(X, y, test_size=1 / 3, random_state=0)
    return X, y, X_out, y_out
