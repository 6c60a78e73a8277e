"""Head of several yes-or-no labels per row."""

from __future__ import annotations

import numpy as np
from scipy.special import log_expit

from slimlearn.backend import ops
from slimlearn.estimators.heads.any_library import as_codes, of_any_library
from slimlearn.estimators.heads.labels import SeveralLabelsHead

__all__ = ["MultilabelHead"]


class MultilabelHead(SeveralLabelsHead):
    """Labels that a row has or has not: one number per label, positive for having it.

    The loss of a row is the mean of its labels' losses.
    """

    label_dtype = None

    @property
    def sizes(self):
        return [2] * len(self.classes)

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def fit(self, counts, prior=0.0):
        """Learn each label's share of the weight."""
        without, with_ = np.transpose(counts) + prior
        self.prior = np.clip(with_ / (without + with_), 1e-4, 1 - 1e-4)

    def bias(self):
        return np.log(self.prior / (1 - self.prior)) if self.starts_at_prior else None

    def encode(self, codes, precision):
        dtype = np.float32 if precision == "f32" else np.float64
        return np.ascontiguousarray(codes, dtype=dtype)

    def _per_label(self, formula, raw, y):
        return formula.binary(raw, y)

    def probabilities(self, raw):
        return ops.sigmoid(raw)

    def decide(self, raw):
        above = raw > 0
        return above.astype(np.int64) if type(above) is np.ndarray else as_codes(above)

    @of_any_library
    def labels(self, raw):
        """0 or 1 for each label, (n, k)."""
        return self.decide(raw)

    def log_proba(self, raw: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities of having the labels, (n, k)."""
        return log_expit(raw)
