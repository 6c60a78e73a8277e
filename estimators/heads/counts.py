"""Head of numbers above zero, such as counts and amounts: the logarithm of the mean."""

from __future__ import annotations

import numpy as np

from slimlearn.backend import ops
from slimlearn.estimators.heads.any_library import namespace, of_any_library
from slimlearn.estimators.heads.regression import RegressionHead

__all__ = ["LogLinkHead"]

# Where the mean starts for an output of zeros.
_LEAST = 1e-10


class LogLinkHead(RegressionHead):
    """One or many numbers per row, predicted as exp(raw); y is not scaled."""

    _learned = ("_log_mean",)

    def check(self, y):
        wanted = self.formula.domain()
        least = np.min(y)
        if least > 0 or (wanted == ">= 0" and least == 0):
            return
        values = "negative values" if least < 0 else "zeros"
        raise ValueError(
            f"loss={self.loss!r} needs y {wanted}; y has {values}: take another loss, "
            "such as 'squared_error'"
        )

    def fit(self, moments):
        """Learn where the output starts: the logarithm of the mean."""
        self.check(moments.low)
        self._log_mean = np.log(np.maximum(moments.mean, _LEAST))

    def guessed(self):
        """Of which outputs there were zeros alone."""
        return self._log_mean <= np.log(_LEAST)

    def _fit_units(self):
        """Nothing: y is not scaled."""

    @of_any_library
    def decode(self, raw):
        return namespace(raw).exp(raw.reshape((len(raw), *self.shape)))

    def decoded(self, raw):
        return ops.exp(ops.reshape(raw, (raw.shape[0], self.targets)))

    def bias(self):
        return self._log_mean

    def moved(self, before):
        return None if self is before else self._log_mean - before._log_mean

    def states(self):
        return {}

    def losses(self, raw, y):
        loss = self.formula.elementwise(raw, y)
        loss = loss if self.flat else ops.reduce_mean(loss, [1])
        return loss, loss
