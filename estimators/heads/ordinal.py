"""Head of classes in order: one number per row and thresholds between neighbours."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from slimlearn.backend import ops
from slimlearn.backend.graph import current_model
from slimlearn.estimators.heads.classification import MulticlassHead
from slimlearn.estimators.labels import listed

__all__ = ["OrdinalHead"]

# The first threshold, then the logarithms of the gaps to the next ones.
THRESHOLDS = "ordinal/thresholds"


class OrdinalHead(MulticlassHead):
    """Three or more classes in order, by the proportional-odds model.

    P(y <= j) = σ(θ_j − f) for the network's number f and thresholds θ_1 < θ_2 < …,
    which are trained too. The raw values are the logarithms of the probabilities, in
    the order of `classes`.

    Parameters
    ----------
    classes : ndarray
    loss : str or Ordinal
    order : sequence or None
        The order that y itself tells, if any.
    """

    outputs = 1
    flat = True

    def __init__(self, classes: np.ndarray, loss, order=None):
        super().__init__(classes, loss)
        self.rank = self._rank(self.formula.labels or order)

    def _rank(self, order) -> np.ndarray:
        """The place of each class in the order."""
        labels = self.classes.tolist()
        if order is None:
            if self.classes.dtype.kind not in "iuf":
                raise ValueError(
                    "loss='ordinal' needs the order of the labels: make y an ordered "
                    "categorical, use numbers, or pass loss=Ordinal(order=[…]) with "
                    "the labels from the lowest to the highest; they are "
                    f"{listed(labels)}"
                )
            return np.arange(len(labels))
        places = {label: place for place, label in enumerate(order)}
        missing = [label for label in labels if label not in places]
        if missing:
            raise ValueError(
                f"the order of the labels, {listed(order)}, lacks {listed(missing)}: "
                "it must name every label of y"
            )
        # Labels of the order that y does not have leave no gap.
        return np.argsort(np.argsort([places[label] for label in labels]))

    @property
    def key(self):
        return (*super().key, tuple(self.rank.tolist()))

    def bias(self):
        return None

    def parameters(self):
        cumulative = np.cumsum(self.prior[np.argsort(self.rank)])
        thresholds = logit(cumulative[:-1] / cumulative[-1])
        return {
            THRESHOLDS: np.concatenate([thresholds[:1], np.log(np.diff(thresholds))])
        }

    def link(self, raw):
        model, between = current_model(), len(self.classes) - 1
        steps = model.declarations.get(THRESHOLDS)
        if steps is None:
            steps = model.parameter(THRESHOLDS, (between,), initializer=_zeros)
        # A class without rows draws its thresholds together, but not to log(0).
        gaps = ops.exp(ops.maximum(ops.slice_(steps, 0, 1, between), -20.0))
        # θ_j is the first threshold and all gaps up to j: a product with a triangle.
        steps = ops.concat([ops.slice_(steps, 0, 0, 1), gaps], 0)
        ones = np.triu(np.ones((between, between)))
        triangle = ops.constant_list(ones.ravel().tolist(), raw.dtype)
        theta = ops.matmul(
            ops.reshape(steps, (1, between)), ops.reshape(triangle, (between, between))
        )
        rows = raw.shape[0]
        distance = ops.sub(theta, ops.reshape(raw, (rows, 1)))
        below = ops.neg(ops.softplus(ops.neg(distance)))  # log P(y <= j)
        above = ops.neg(ops.softplus(distance))  # log P(y > j)
        # σ(a) − σ(b) = σ(a) · σ(−b) · (1 − exp(b − a)), with nothing cancelled.
        apart = ops.log(ops.neg(ops.expm1(ops.neg(gaps))))
        inner = ops.add(
            ops.add(
                ops.slice_(below, 1, 1, between), ops.slice_(above, 1, 0, between - 1)
            ),
            apart,
        )
        ordered = ops.concat(
            [
                ops.slice_(below, 1, 0, 1),
                inner,
                ops.slice_(above, 1, between - 1, between),
            ],
            1,
        )
        ranks = self.rank.tolist()
        if ranks == sorted(ranks):
            return ordered
        return ops.concat([ops.slice_(ordered, 1, r, r + 1) for r in ranks], 1)


def _zeros(shape, dtype, name=None):
    return ops.constant(0.0, dtype, shape)
