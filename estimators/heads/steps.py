"""Head of sequences whose steps have a label each."""

from __future__ import annotations

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.ragged import Ragged
from slimlearn.estimators.heads.classification import MulticlassHead
from slimlearn.estimators.heads.regression import state_of
from slimlearn.estimators.inputs import SOURCE
from slimlearn.layers.sequence import mean_over, without_padding

__all__ = ["StepsHead"]

# The state that holds the factors of the classes.
FACTORS = "head/class_weights"


class StepsHead(MulticlassHead):
    """A number for each class at each step, [B, T, k]; values are those of steps.

    The loss of a row is the mean of its own steps' losses: padding has no part in it.

    Parameters
    ----------
    classes : ndarray
    loss : str, loss object or callable

    Attributes
    ----------
    factors : ndarray or None
        What the losses of steps are multiplied by, by their class; 1 in the mean.
    """

    by_step = True

    def __init__(self, classes, loss):
        super().__init__(classes, loss)
        self.factors: np.ndarray | None = None

    def weigh(self, factors: np.ndarray | None, counts: np.ndarray) -> None:
        """Let the losses of classes count by `factors`, as far as their mean is 1."""
        if factors is not None:
            mean = float(factors @ counts / counts.sum())
            if mean <= 0:
                raise ValueError("class_weight is 0 for every label of y")
            factors = factors / mean
        self.factors = factors

    @property
    def key(self):
        key = super().key
        return key and (*key, self.factors is not None)

    def states(self):
        return {} if self.factors is None else {FACTORS: self.factors}

    def sources(self, target, precision, beside):
        """Codes, as long as the rows of X that stand beside them."""
        x = beside[SOURCE]
        if isinstance(x, Ragged):
            return {"y": Ragged(target.values, target.offsets, x.sizes)}
        return {"y": target.values.reshape(len(target), -1)}

    def target(self, raw):
        return ops.input_("y", raw.shape[:2], self.label_dtype)

    def losses(self, raw, y):
        raw = without_padding(raw)
        rows, steps, outputs = raw.shape
        codes = ops.reshape(y, (rows * steps,))
        raw = ops.reshape(raw, (rows * steps, outputs))
        factors = None
        if self.factors is not None:
            factors = ops.gather(state_of(FACTORS, outputs), codes)
        made = super().losses(raw, codes)

        def of_rows(loss):
            loss = loss if factors is None else ops.mul(loss, factors)
            return mean_over(ops.reshape(loss, (rows, steps)), [1])

        if made[0] is made[1]:
            loss = of_rows(made[0])
            return loss, loss
        return of_rows(made[0]), of_rows(made[1])
