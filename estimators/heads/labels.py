"""The base of the heads of several labels per row: a loss for each, with its weight."""

from __future__ import annotations

import copy

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_graph
from slimlearn.estimators.heads.base import mean_of_targets
from slimlearn.estimators.heads.classification import ClassifierHead
from slimlearn.estimators.heads.regression import state_of
from slimlearn.estimators.losses import ClassifierLoss, OwnLoss

__all__ = ["SeveralLabelsHead"]

# The state with the weight of each class of each label, label by label.
LABEL_WEIGHTS = "head/label_weights"


class SeveralLabelsHead(ClassifierHead):
    """Base: the loss of a row is the mean of its labels' losses.

    Attributes
    ----------
    label_weights : list of ndarray or None
        For each label what the loss of each of its classes is multiplied by.
    weighs_held_out : bool
        Whether the loss on held-out rows is weighted so, too.
    """

    flat = False
    several = True
    label_weights: list[np.ndarray] | None = None
    weighs_held_out = False

    @property
    def sizes(self) -> list[int]:
        """How many classes each label has."""
        raise NotImplementedError

    @property
    def key(self):
        key = super().key
        return key and (*key, self.label_weights is not None, self.weighs_held_out)

    def weighed(
        self,
        factors: list[np.ndarray | None] | None,
        counts: list[np.ndarray],
        prior: float,
        held_out: bool,
    ) -> SeveralLabelsHead:
        """The head with other weights of labels.

        Parameters
        ----------
        factors : list of (ndarray or None) or None
            For each label the factors of its classes. They are scaled to mean 1 over
            all labels of all rows.
        counts : list of ndarray
            The weight of each class of each label.
        prior : float
            As in `fit`.
        held_out : bool
            Whether the rows of validation are some of those of the fit.
        """
        head = copy.copy(self)
        head.label_weights, head.weighs_held_out = None, False
        if factors is None or all(part is None for part in factors):
            return head
        parts = [
            np.ones(len(count)) if part is None else part
            for part, count in zip(factors, counts)
        ]
        weight = sum((part * count).sum() for part, count in zip(parts, counts))
        if not weight > 0:
            raise ValueError(
                "class_weight leaves no weight to any label of any row: at least one "
                "class that y has needs a factor above 0"
            )
        mean = weight / sum(count.sum() for count in counts)
        head.label_weights = [part / mean for part in parts]
        head.weighs_held_out = held_out
        weighted = zip(counts, head.label_weights)
        head.fit([count * part for count, part in weighted], prior)
        return head

    def states(self):
        if self.label_weights is None:
            return {}
        return {LABEL_WEIGHTS: np.concatenate(self.label_weights)}

    def losses(self, raw, y):
        if isinstance(self.formula, OwnLoss):
            loss = self._of_labels(self.formula(raw, y), y)
            return loss, loss
        return self._both(lambda f: self._of_labels(self._per_label(f, raw, y), y))

    def _of_labels(self, loss: Tensor, y: Tensor) -> Tensor:
        """The loss of each row, of its labels' losses."""
        weighs = current_graph().training or self.weighs_held_out
        if weighs and self.label_weights is not None:
            loss = self._weighted(loss, y)
        return mean_of_targets(loss)

    def _per_label(self, formula: ClassifierLoss, raw: Tensor, y: Tensor) -> Tensor:
        """The loss of each label of each row."""
        raise NotImplementedError

    def _weighted(self, loss: Tensor, y: Tensor) -> Tensor:
        if loss.rank == 1:
            raise ValueError(
                "class_weight for several labels multiplies the loss of each label, "
                f"but loss {self.formula.word} returns one number for each row, "
                f"{loss.dtype}[B]: let it return one for each label, "
                f"{loss.dtype}[B,{len(self.sizes)}], whose mean is taken, or set "
                "class_weight=None"
            )
        begins = np.cumsum([0, *self.sizes]).tolist()
        weights = state_of(LABEL_WEIGHTS, begins.pop())
        places = ops.add(ops.cast(y, "i32"), ops.constant_list(begins, "i32"))
        return ops.mul(loss, ops.gather(weights, places))
