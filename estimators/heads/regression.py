"""Head of numbers that are centred and scaled while the network trains."""

from __future__ import annotations

from copy import copy

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_model
from slimlearn.estimators.heads.any_library import beside, of_any_library
from slimlearn.estimators.heads.base import Head, mean_of_targets
from slimlearn.estimators.losses import OwnLoss
from slimlearn.estimators.summary import Moments, Summary
from slimlearn.layers import per_example

__all__ = ["LOSS_UNITS", "RegressionHead", "state_of"]

# The state that brings the loss of several outputs back to the units of y.
LOSS_UNITS = "head/loss_units"

# Rows of partial_fit whose mean and deviation are good enough for all that come.
_ENOUGH = 30


class RegressionHead(Head):
    """One or many numbers per row, centred and scaled while the network trains.

    Parameters
    ----------
    loss : str, loss object or callable
    shape : tuple
        Of y behind its rows: () or (k,).
    quantile : float or None
        Of the loss "quantile".

    Attributes
    ----------
    center, scale : ndarray or float
        Mean and deviation of each output; a constant one has scale 1, and is predicted
        as it is.
    constant : ndarray of bool or bool
        Which outputs are the same in all rows.
    targets : int
        Targets per row.
    has_deviations : bool
        Whether there is a deviation of each prediction.
    """

    target_name = "y"
    has_deviations = False
    # What `fit` learns of each output.
    _learned = ("center", "scale", "constant")
    # Of which outputs further rows may tell more, and what is known so far.
    _open: np.ndarray | bool = False
    _seen: tuple[Moments, int] | None = None

    def __init__(self, loss, shape: tuple[int, ...], quantile: float | None = None):
        super().__init__(loss)
        self.shape = shape
        self.quantile = quantile
        self.targets = shape[0] if shape else 1
        self.center: np.ndarray | float = 0.0
        self.scale: np.ndarray | float = 1.0
        self.constant: np.ndarray | bool = False

    @property
    def outputs(self) -> int:
        return self.targets

    @property
    def flat(self) -> bool:
        return self.outputs == 1

    def fit(self, moments: Moments) -> None:
        """Learn the centre and scale of each output from the training rows."""
        if not self.formula.scales_y:
            return
        mean, deviation = moments.mean, moments.deviation
        # A constant output keeps its unit; rounding must not look like a deviation.
        smallest = 10 * np.finfo(np.float64).eps * np.abs(mean)
        self.constant = ~(deviation > smallest)
        self.center = mean
        self.scale = np.where(self.constant, 1.0, deviation)
        self._fit_units()

    def begin(self, summary: Summary, partial: bool) -> None:
        """`fit`, where more rows may come: of `partial_fit`, or of a warm start."""
        self.fit(summary.moments)
        self._leave_open(summary.moments, summary.rows, partial)

    def go_on(self, summary: Summary, partial: bool) -> RegressionHead:
        """The head for further rows: what was no more than a guess is learned anew.

        A few rows, or some that are all the same, say little of how the others vary.
        """
        if self._seen is None or summary.moments is None:
            return self
        moments, rows = self._seen
        rows += summary.rows
        moments = moments.add(summary.moments, summary.rows / rows)
        new = copy(self)
        new.fit(moments)
        for name in self._learned:
            mine, its = getattr(self, name), getattr(new, name)
            setattr(new, name, np.where(self._open, its, mine))
        new._fit_units()
        new._leave_open(moments, rows, partial)
        return new

    def settle(self, say):
        if np.any(self.guessed()):
            raise ValueError(f"{self.target_name} {say}")
        self._open, self._seen = False, None

    def guessed(self) -> np.ndarray | bool:
        """Of which outputs the rows so far tell nothing."""
        return self.constant

    def _leave_open(self, moments: Moments, rows: int, partial: bool) -> None:
        self._open = np.logical_or(self.guessed(), partial and rows < _ENOUGH)
        self._seen = (moments, rows) if self._open.any() else None

    def _fit_units(self) -> None:
        with np.errstate(over="ignore", under="ignore"):
            units = np.ravel(self.scale) ** self.formula.degree
        if not (np.isfinite(units).all() and np.isfinite(self.center).all()):
            raise ValueError(
                f"{self.target_name} is too large: its loss overflows float64, as "
                f"{self.target_name} deviates by {np.max(self.scale):.2g}: divide "
                f"{self.target_name} by that"
            )
        if self.flat:
            self.loss_unit = float(units[0])
        else:
            self.tol_unit = float(units.mean())

    def encode(self, y: np.ndarray, precision: str) -> np.ndarray:
        """Targets as the program reads them: (n,) or (n, k), centred and scaled."""
        scaled = (np.asarray(y, dtype=np.float64) - self.center) / self.scale
        if not self.label_shape:
            scaled = scaled.reshape(len(scaled))
        dtype = np.float32 if precision == "f32" else np.float64
        return np.ascontiguousarray(scaled, dtype=dtype)

    @property
    def spread(self) -> np.ndarray | float:
        """The scale of what is predicted: 0 where the output never changed."""
        return self.scale * np.logical_not(self.constant)

    def units(self) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Scale and centre of the network's numbers."""
        return self.spread, self.center

    @of_any_library
    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Targets in y's units from the program's float64 values."""
        spread, center = self.spread, self.center
        if type(raw) is not np.ndarray:
            spread, center = beside(raw, spread, center)
        return raw.reshape((len(raw), *self.shape)) * spread + center

    def decoded(self, raw):
        value = ops.reshape(raw, (raw.shape[0], self.targets))
        for op, numbers in ((ops.mul, self.spread), (ops.add, self.center)):
            numbers = np.broadcast_to(numbers, (self.targets,)).astype(float).tolist()
            value = op(value, ops.constant_list(numbers, raw.dtype))
        return value

    def quantiles(self, raw: np.ndarray) -> np.ndarray:
        """The quantiles in y's units and in the order asked for, as a last axis."""
        return self.decode(raw)[..., np.newaxis]

    def with_quantiles(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Targets, and their quantiles."""
        return self.decode(raw), self.quantiles(raw)

    def hypers(self):
        quantile = {} if self.quantile is None else {"quantile": self.quantile}
        return {**super().hypers(), **quantile}

    def states(self):
        if self.flat or isinstance(self.formula, OwnLoss):
            return {}
        return {LOSS_UNITS: np.asarray(self.scale) ** self.formula.degree}

    def losses(self, raw, y):
        if isinstance(self.formula, OwnLoss):
            loss = mean_of_targets(self.formula(raw, y))
            return loss, loss
        loss = self._elementwise(raw, y)
        return (loss, loss) if self.flat else self._means(loss)

    def _means(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        """Means over the targets: as they are, and in the units of y."""
        units = state_of(LOSS_UNITS, loss.shape[1])
        trained = ops.reduce_mean(loss, [1])
        return trained, ops.reduce_mean(ops.mul(loss, units), [1])

    def _elementwise(self, raw, y):
        if self.quantile is not None:
            quantile = ops.cast(current_model().hyper("quantile"), raw.dtype)
            return per_example.quantile(raw, y, quantile)
        # The scaled huber is quadratic within delta deviations of y, linear beyond.
        return self.formula.elementwise(raw, y)


def state_of(name: str, size: int) -> Tensor:
    """A state [size] that the fit sets, declared where it is first read."""
    model = current_model()
    state = model.declarations.get(name)
    if state is None:
        state = model.state(name, (size,), initializer=_ones)
    return state


def _ones(shape, dtype, name=None):
    return ops.constant(1.0, dtype, shape)
