"""Head of several outputs per row, each of several classes."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from slimlearn.backend import ops
from slimlearn.estimators.heads.any_library import of_any_library
from slimlearn.estimators.heads.classification import shares
from slimlearn.estimators.heads.labels import SeveralLabelsHead

__all__ = ["MultioutputHead"]


class MultioutputHead(SeveralLabelsHead):
    """Several outputs: the network's numbers are each output's logits side by side.

    The loss of a row is the mean of its outputs' losses.
    """

    def __init__(self, classes, loss):
        super().__init__(classes, loss)
        self.ends = np.cumsum(self.sizes).tolist()
        self.begins = [end - size for end, size in zip(self.ends, self.sizes)]

    @property
    def sizes(self):
        return [len(c) for c in self.classes]

    @property
    def outputs(self) -> int:
        return self.ends[-1]

    @property
    def label_shape(self):
        return (len(self.classes),)

    @property
    def key(self):
        key = super().key
        return key and (*key, *self.ends)

    def fit(self, counts, prior=0.0):
        """Learn the shares of each output's classes."""
        self.prior = np.concatenate([shares(own, prior) for own in counts])

    def bias(self):
        return np.log(self.prior) if self.starts_at_prior else None

    def _parts(self, raw):
        return [ops.slice_(raw, 1, b, e) for b, e in zip(self.begins, self.ends)]

    def _per_label(self, formula, raw, y):
        losses, rows = [], y.shape[0]
        for i, part in enumerate(self._parts(raw)):
            codes = ops.reshape(ops.slice_(y, 1, i, i + 1), (rows,))
            loss = formula.multiclass(part, codes)
            losses.append(ops.reshape(loss, (rows, 1)))
        return ops.concat(losses, 1)

    def probabilities(self, raw):
        return ops.concat([ops.softmax(part) for part in self._parts(raw)], 1)

    @of_any_library
    def arrange(self, probabilities):
        """A list of (n, classes of the output)."""
        return [probabilities[:, b:e] for b, e in zip(self.begins, self.ends)]

    def decide(self, raw):
        return np.stack([part.argmax(axis=1) for part in self.arrange(raw)], axis=1)

    def labels(self, raw):
        """Labels of decision values, (n, outputs)."""
        codes = self.decide(raw)
        columns = [c[k] for c, k in zip(self.classes, codes.T)]
        kinds = {c.dtype.kind for c in columns}
        dtype = None if len(kinds) == 1 else object
        return np.stack([c.astype(dtype or c.dtype) for c in columns], axis=1)

    def log_proba(self, raw: np.ndarray) -> list[np.ndarray]:
        """Logarithms of the probabilities, a list of (n, classes of the output)."""
        return [log_softmax(part, axis=1) for part in self.arrange(raw)]
