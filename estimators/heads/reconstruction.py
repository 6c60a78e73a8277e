"""Heads of X itself: what an autoencoder learns to give back."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.backend.shape import B
from slimlearn.estimators.heads.base import Head, refuse_several_numbers
from slimlearn.estimators.heads.regression import (
    LOSS_UNITS,
    RegressionHead,
    state_of,
)
from slimlearn.estimators.inputs import SOURCE

__all__ = ["ReconstructionHead", "ShareHead"]

# The states by which the program centres and scales the rows it reads.
CENTER = "head/center"
SCALE = "head/scale"


class OfX(Head):
    """Targets that the program reads from X, so that nothing is copied for them."""

    flat = False

    def sources(self, target, precision, beside):
        """Nothing: X is there."""
        return {}

    def target(self, raw: Tensor) -> Tensor:
        """The rows of X."""
        return ops.input_(SOURCE, (B, self.outputs), raw.dtype)


class ReconstructionHead(OfX, RegressionHead):
    """The columns of X, centred and scaled where they are read.

    Parameters
    ----------
    loss : str, loss object or callable
    shape : tuple
        (columns of X,).
    """

    target_name = SOURCE

    def __init__(self, loss, shape):
        super().__init__(loss, shape)
        refuse_several_numbers(self.formula, loss, "an autoencoder", "column")

    def settle(self, say):
        if np.all(self.constant):
            super().settle(say)
        # Others may still change: their values are learned, in their own units.
        self.constant = np.zeros_like(self.constant)
        super().settle(say)

    def target(self, raw):
        x = super().target(raw)
        center, scale = (state_of(name, self.outputs) for name in (CENTER, SCALE))
        return ops.div(ops.sub(x, center), scale)

    def decode(self, raw):
        # A column that never changed is given back exactly.
        return raw * self.spread + self.center

    def states(self):
        states = super().states()
        if LOSS_UNITS in states:
            states[LOSS_UNITS] = states[LOSS_UNITS] * ~self.constant
        return {**states, CENTER: self.center, SCALE: self.scale}


class ShareHead(OfX):
    """The columns of X from 0 to 1, given back through a sigmoid.

    Parameters
    ----------
    loss : "log_loss"
    shape : tuple
        (columns of X,).
    """

    def __init__(self, loss, shape: tuple[int, ...]):
        super().__init__(loss)
        [self.outputs] = shape

    def check(self, target):
        low, high = target.min(), target.max()
        if low < 0 or high > 1:
            raise ValueError(
                f"loss={self.loss!r} needs X from 0 to 1; X has values from {low:.3g} "
                f"to {high:.3g}: put MinMaxScaler before, or take another loss, such "
                "as 'squared_error'"
            )

    def begin(self, summary, partial: bool) -> None:
        """Learn where the output starts: the columns' means."""
        # Rows that are still to come count as one of 0 and one of 1.
        prior = 1.0 if partial else 0.0
        rows = summary.rows
        mean = (summary.moments.mean * rows + prior) / (rows + 2 * prior)
        self.mean = np.clip(mean, 1e-4, 1 - 1e-4)

    def go_on(self, summary, partial: bool) -> ShareHead:
        """The head for further rows: itself."""
        return self

    def bias(self):
        return logit(self.mean)

    def losses(self, raw, y):
        loss = ops.reduce_mean(self.formula.binary(raw, y), [1])
        return loss, loss

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Numbers from 0 to 1 from the program's float64 values."""
        return expit(raw)

    def decoded(self, raw):
        return ops.sigmoid(raw)
