"""Heads of one label per row: two classes, and more."""

from __future__ import annotations

import numpy as np
from scipy.special import log_expit, log_softmax

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_graph
from slimlearn.estimators.heads.any_library import as_codes, lookup, of_any_library
from slimlearn.estimators.heads.base import Head, mean_of_targets
from slimlearn.estimators.losses import OwnLoss

__all__ = ["BinaryHead", "ClassifierHead", "MulticlassHead", "shares"]


def shares(counts: np.ndarray, prior: float) -> np.ndarray:
    """The classes' shares of the weight, none quite 0."""
    counts = counts + prior
    return np.maximum(counts / counts.sum(), 1e-4)


class ClassifierHead(Head):
    """Base of the classifiers' heads: y holds labels of any type.

    Parameters
    ----------
    classes : ndarray, or list of ndarray
    loss : str, loss object or callable

    Attributes
    ----------
    several : bool
        Whether a row has several labels.
    """

    label_dtype = "i32"
    last_layer = "logits"
    several = False

    def __init__(self, classes, loss):
        super().__init__(loss)
        self.classes = classes
        self.prior: np.ndarray | None = None

    @property
    def probabilistic(self) -> bool:
        return self.formula.probabilistic

    def fit(self, counts: list[np.ndarray], prior: float = 0.0) -> None:
        """Learn what the output starts from: the classes' shares of the weight.

        Parameters
        ----------
        counts : list of ndarray
            The weight of each class of each output.
        prior : float
            What is added to each of them.
        """
        self.prior = shares(counts[0], prior)

    @property
    def starts_at_prior(self) -> bool:
        """Whether logits of the classes' shares are where training should start."""
        return self.formula.probabilistic and not isinstance(self.formula, OwnLoss)

    def encode(self, codes: np.ndarray, precision: str) -> np.ndarray:
        """Class codes as the program reads them."""
        return np.ascontiguousarray(codes, dtype=np.int32)

    def losses(self, raw, y):
        if isinstance(self.formula, OwnLoss):
            loss = mean_of_targets(self.formula(raw, y))
            return loss, loss
        return self._both(lambda formula: self._per_row(formula, raw, y))

    def _both(self, loss_by) -> tuple[Tensor, Tensor]:
        """The losses by the formula that is trained on, and by the reported one."""
        reported = loss_by(self.formula)
        trained = self.formula.trained
        if trained is self.formula or not current_graph().training:
            return reported, reported
        return loss_by(trained), reported

    def _per_row(self, formula, raw, y):
        raise NotImplementedError

    def decide(self, raw: np.ndarray) -> np.ndarray:
        """Class codes of decision values."""
        raise NotImplementedError

    @of_any_library
    def labels(self, raw: np.ndarray) -> np.ndarray:
        """Labels of decision values."""
        codes = self.decide(raw)
        if type(codes) is np.ndarray:
            return self.classes[codes]
        return lookup(self.classes, codes)

    @of_any_library
    def arrange(self, probabilities: np.ndarray):
        """The program's probabilities as scikit-learn gives them."""
        return probabilities


class BinaryHead(ClassifierHead):
    """Two classes: one number per row, positive for the second class."""

    def bias(self):
        if not self.starts_at_prior:
            return None
        return float(np.log(self.prior[1] / self.prior[0]))

    def _per_row(self, formula, raw, y):
        return formula.binary(raw, y)

    def probabilities(self, raw):
        # Both columns from ±z: 1 − p would lose the digits of small probabilities.
        column = ops.reshape(raw, (raw.shape[0], 1))
        return ops.sigmoid(ops.concat([ops.neg(column), column], 1))

    def decide(self, raw):
        above = raw > 0
        return above.astype(np.intp) if type(above) is np.ndarray else as_codes(above)

    def log_proba(self, raw: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities, (n, 2), exact where they underflow."""
        return log_expit(np.stack([-raw, raw], axis=1))


class MulticlassHead(ClassifierHead):
    """Three or more classes: one number per class."""

    flat = False

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def label_shape(self):
        return ()

    def bias(self):
        return np.log(self.prior) if self.starts_at_prior else None

    def _per_row(self, formula, raw, y):
        return formula.multiclass(raw, y)

    def probabilities(self, raw):
        return ops.softmax(raw)

    def decide(self, raw):
        return raw.argmax(axis=1)

    def log_proba(self, raw: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities, (n, k)."""
        return log_softmax(raw, axis=1)
