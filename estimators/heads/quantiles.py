"""Head of several quantiles of one or many numbers."""

from __future__ import annotations

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import current_model
from slimlearn.estimators.heads.any_library import (
    beside,
    namespace,
    of_any_library,
)
from slimlearn.estimators.heads.several import SeveralNumbersHead
from slimlearn.layers import per_example

__all__ = ["QuantilesHead"]


class QuantilesHead(SeveralNumbersHead):
    """Several quantiles of each target; the loss is the mean of their losses.

    Where the network's quantiles cross, they are put in order, which never makes them
    worse (Chernozhukov, Fernández-Val and Galichon, "Quantile and probability curves
    without crossing", 2010).

    Parameters
    ----------
    loss : "quantile"
    shape : tuple
        Of y behind its rows: () or (k,).
    quantile : tuple of float
        The network's numbers are the quantiles of the first target, then of the next.
    """

    def __init__(self, loss, shape, quantile):
        super().__init__(loss, shape, quantile)
        self.numbers = len(quantile)
        levels = np.array(quantile)
        # Where each quantile stands among them in ascending order.
        self.place = np.argsort(np.argsort(levels))
        self.middle = int(np.argmin(np.abs(levels - 0.5)))

    def _fit_units(self):
        units = np.ravel(self.scale)
        if self.targets == 1:
            self.loss_unit = float(units[0])
        else:
            self.tol_unit = float(units.mean())

    def units(self):
        count = self.numbers
        return np.repeat(self.spread, count), np.repeat(self.center, count)

    @of_any_library
    def decode(self, raw):
        """The median, or what comes nearest to it."""
        return self.quantiles(raw)[..., self.middle]

    @of_any_library
    def quantiles(self, raw):
        xp, shape = namespace(raw), (len(raw), *self.shape, self.numbers)
        place = self.place
        scale, center = (np.asarray(u)[..., None] for u in (self.spread, self.center))
        if xp is not np:
            place, scale, center = beside(raw, place, scale, center)
        ordered = xp.take(xp.sort(raw.reshape(shape), axis=-1), place, axis=-1)
        return ordered * scale + center

    def decoded(self, raw):
        """All quantiles in y's units and in the order asked for, as graph."""
        rows, targets, count = raw.shape[0], self.targets, self.numbers
        numbers = ops.reshape(raw, (rows, targets, count))
        parts = [ops.slice_(numbers, 2, i, i + 1) for i in range(count)]
        # Of so few, exchanging neighbours is as good as any way of sorting.
        for end in range(count - 1, 0, -1):
            for i in range(end):
                a, b = parts[i : i + 2]
                parts[i : i + 2] = ops.minimum(a, b), ops.maximum(a, b)
        ordered = ops.concat([parts[place] for place in self.place], 2)
        for op, own in ((ops.mul, self.spread), (ops.add, self.center)):
            own = np.broadcast_to(own, (targets,)).astype(float).tolist()
            own = ops.reshape(ops.constant_list(own, raw.dtype), (targets, 1))
            ordered = op(ordered, own)
        return ordered

    def hypers(self):
        return {f"quantile{i}": q for i, q in enumerate(self.quantile)}

    def states(self):
        return {} if self.targets == 1 else super().states()

    def losses(self, raw, y):
        hyper, rows, count = current_model().hyper, raw.shape[0], self.numbers
        levels = ops.concat(
            [ops.reshape(hyper(f"quantile{i}"), (1,)) for i in range(count)], 0
        )
        loss = per_example.quantile(
            ops.reshape(raw, (rows, self.targets, count)),
            ops.reshape(y, (rows, self.targets, 1)),
            ops.cast(levels, raw.dtype),
        )
        loss = ops.reduce_mean(loss, [2])
        if self.targets == 1:
            loss = ops.reshape(loss, (rows,))
            return loss, loss
        return self._means(loss)
