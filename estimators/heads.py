"""Heads: what y means. Encode it, write its loss as graph, decode what comes back.

A head is made anew in each fit and is part of the fitted state. Its graph depends on
`key` alone; numbers that come from the data reach the program as hypers, as the output
layer's bias or as a state.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit, log_softmax

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_model
from slimlearn.layers import per_example

__all__ = [
    "CLASSIFIER_LOSSES",
    "REGRESSOR_LOSSES",
    "BinaryHead",
    "Head",
    "MulticlassHead",
    "RegressionHead",
    "make_classifier_head",
]

CLASSIFIER_LOSSES = ("log_loss", "hinge")
REGRESSOR_LOSSES = ("squared_error", "absolute_error", "huber", "quantile", "poisson")
# The state that brings the loss of several outputs back to the units of y.
LOSS_UNITS = "head/loss_units"
# A residual r in units of the deviation s costs s ** degree times as much in y's.
_DEGREE = {"squared_error": 2, "huber": 2, "absolute_error": 1, "quantile": 1}


class Head:
    """Base of the heads.

    Attributes
    ----------
    loss : str
    outputs : int
        Numbers per row that the network has to return.
    flat : bool
        Whether rows have one number, so that values are [B] instead of [B, outputs].
    loss_unit : float
        What a loss of the program is multiplied by to be in the units of y.
    tol_unit : float
        What a tolerance of the scaled loss is multiplied by to be one of the program's.
    """

    loss = ""
    outputs = 1
    flat = True
    loss_unit = 1.0
    tol_unit = 1.0
    label_dtype: str | None = None

    @property
    def probabilistic(self) -> bool:
        """Whether the raw values mean probabilities."""
        return False

    @property
    def key(self) -> tuple:
        """What the head's graph depends on."""
        return (type(self).__name__, self.loss, self.outputs, self.flat)

    def hypers(self) -> dict[str, float]:
        """Run-time numbers that the loss reads."""
        return {}

    def bias(self) -> np.ndarray | float | None:
        """What is added to the output layer's initial bias, or None."""
        return None

    def states(self) -> dict[str, np.ndarray]:
        """Values of the states that `losses` declares."""
        return {}

    def losses(self, raw: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The loss per example that is trained on, and the one that is reported."""
        raise NotImplementedError

    def probabilities(self, raw: Tensor) -> Tensor:
        """Probabilities of the float64 `raw`, as graph."""
        raise NotImplementedError


class ClassifierHead(Head):
    """Base of the classifiers' heads: y holds labels of any type."""

    label_dtype = "i32"

    @property
    def probabilistic(self) -> bool:
        return self.loss == "log_loss"

    def __init__(self, classes: np.ndarray, loss: str):
        self.classes = classes
        self.loss = loss
        self.prior: np.ndarray | None = None

    def fit(
        self, codes: np.ndarray, weights: np.ndarray | None, prior: float = 0.0
    ) -> None:
        """Learn what the output starts from: the classes' shares of the weight."""
        counts = (
            np.bincount(codes, weights=weights, minlength=len(self.classes)) + prior
        )
        self.prior = np.maximum(counts / counts.sum(), 1e-4)

    def encode(self, codes: np.ndarray, precision: str) -> np.ndarray:
        """Class codes as the program reads them."""
        return np.ascontiguousarray(codes, dtype=np.int32)

    def codes(self, y: np.ndarray) -> np.ndarray:
        """Class codes of labels, all of which must be known.

        Raises
        ------
        ValueError
            If y holds a label that is not among the classes.
        """
        position = np.searchsorted(self.classes, y)
        position = np.minimum(position, len(self.classes) - 1)
        unknown = self.classes[position] != y
        if np.any(unknown):
            raise ValueError(
                f"y holds labels that are not among the classes: "
                f"{np.unique(y[unknown])[:5].tolist()}; the classes are "
                f"{self.classes.tolist()}"
            )
        return position


class BinaryHead(ClassifierHead):
    """Two classes: one number per row, positive for the second class."""

    def bias(self):
        if self.loss != "log_loss":
            return None
        return float(np.log(self.prior[1] / self.prior[0]))

    def losses(self, raw, y):
        hinge = self.loss == "hinge"
        formula = per_example.hinge if hinge else per_example.sigmoid_cross_entropy
        loss = formula(raw, y)
        return loss, loss

    def probabilities(self, raw):
        # Both columns from ±z: 1 − p would lose the digits of small probabilities.
        column = ops.reshape(raw, (raw.shape[0], 1))
        return ops.sigmoid(ops.concat([ops.neg(column), column], 1))

    def decide(self, raw: np.ndarray) -> np.ndarray:
        """Class codes of decision values."""
        return (raw > 0).astype(np.intp)

    def proba(self, raw: np.ndarray) -> np.ndarray:
        """Probabilities of decision values, (n, 2)."""
        return expit(np.stack([-raw, raw], axis=1))

    def log_proba(self, raw: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities, (n, 2), exact where they underflow."""
        return log_expit(np.stack([-raw, raw], axis=1))


class MulticlassHead(ClassifierHead):
    """Three or more classes: one number per class."""

    flat = False

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def bias(self):
        return np.log(self.prior) if self.loss == "log_loss" else None

    def losses(self, raw, y):
        if self.loss == "hinge":
            loss = per_example.multiclass_hinge(raw, y)
        else:
            loss = per_example.sparse_softmax_cross_entropy(raw, y)
        return loss, loss

    def probabilities(self, raw):
        return ops.softmax(raw)

    def decide(self, raw: np.ndarray) -> np.ndarray:
        """Class codes of decision values."""
        return raw.argmax(axis=1)

    def proba(self, raw: np.ndarray) -> np.ndarray:
        """Probabilities of decision values, (n, k)."""
        e = np.exp(raw - raw.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def log_proba(self, raw: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities, (n, k)."""
        return log_softmax(raw, axis=1)


def make_classifier_head(classes: np.ndarray, loss: str) -> ClassifierHead:
    """The head of two, or of more classes."""
    return (BinaryHead if len(classes) == 2 else MulticlassHead)(classes, loss)


class RegressionHead(Head):
    """One or many numbers per row, centred and scaled while the network trains.

    Parameters
    ----------
    loss : str
        One of `REGRESSOR_LOSSES`.
    shape : tuple
        Of y behind its rows: () or (k,).
    quantile : float or None
        Of the loss "quantile".
    """

    def __init__(
        self, loss: str, shape: tuple[int, ...], quantile: float | None = None
    ):
        self.loss = loss
        self.shape = shape
        self.quantile = quantile
        self.center: np.ndarray | float = 0.0
        self.scale: np.ndarray | float = 1.0

    @property
    def outputs(self) -> int:
        return self.shape[0] if self.shape else 1

    @property
    def flat(self) -> bool:
        return self.outputs == 1

    def fit(self, y: np.ndarray, weights: np.ndarray | None) -> None:
        """Learn the centre and scale of each output from the training rows."""
        y = np.asarray(y, dtype=np.float64)
        mean = np.average(y, axis=0, weights=weights)
        if self.loss == "poisson":
            if y.min() < 0:
                raise ValueError(
                    "loss='poisson' needs y >= 0; y has negative values: take another "
                    "loss, such as 'squared_error'"
                )
            self._log_mean = np.log(np.maximum(mean, 1e-10))
            return
        centered = y - mean
        deviation = np.sqrt(np.average(centered**2, axis=0, weights=weights))
        # A constant output keeps its unit; rounding must not look like a deviation.
        smallest = 10 * np.finfo(np.float64).eps * np.abs(mean)
        self.center = mean
        self.scale = np.where(deviation > smallest, deviation, 1.0)
        units = np.ravel(self.scale) ** _DEGREE[self.loss]
        if self.flat:
            self.loss_unit = float(units[0])
        else:
            self.tol_unit = float(units.mean())

    def encode(self, y: np.ndarray, precision: str) -> np.ndarray:
        """Targets as the program reads them: (n,) or (n, k), centred and scaled."""
        scaled = (np.asarray(y, dtype=np.float64) - self.center) / self.scale
        if self.flat:
            scaled = scaled.reshape(len(scaled))
        dtype = np.float32 if precision == "f32" else np.float64
        return np.ascontiguousarray(scaled, dtype=dtype)

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Targets in y's units from the program's float64 values."""
        raw = raw.reshape((len(raw), *self.shape))
        if self.loss == "poisson":
            return np.exp(raw)
        return raw * self.scale + self.center

    def hypers(self):
        return {"quantile": self.quantile} if self.loss == "quantile" else {}

    def bias(self):
        return self._log_mean if self.loss == "poisson" else None

    def states(self):
        if self.flat or self.loss == "poisson":
            return {}
        return {LOSS_UNITS: np.asarray(self.scale) ** _DEGREE[self.loss]}

    def losses(self, raw, y):
        loss = self._elementwise(raw, y)
        if self.flat:
            return loss, loss
        trained = ops.reduce_mean(loss, [1])
        if self.loss == "poisson":
            return trained, trained
        model = current_model()
        units = model.declarations.get(LOSS_UNITS)
        if units is None:
            units = model.state(LOSS_UNITS, (self.outputs,), initializer=_ones)
        return trained, ops.reduce_mean(ops.mul(loss, units), [1])

    def _elementwise(self, raw, y):
        if self.loss == "quantile":
            quantile = ops.cast(current_model().hyper("quantile"), raw.dtype)
            return per_example.quantile(raw, y, quantile)
        # The scaled huber is quadratic within one deviation of y, linear beyond.
        return getattr(per_example, self.loss)(raw, y)


def _ones(shape, dtype, name=None):
    return ops.constant(1.0, dtype, shape)
