"""The regressors' side: numbers in, numbers out, in their own units."""

from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from slimlearn.estimators.base import NetworkEstimator, can_fit_partially
from slimlearn.estimators.heads import RegressionHead

__all__ = ["Regressor"]


class Regressor(RegressorMixin, NetworkEstimator):
    """Base of the regressors."""

    _regression = True

    @available_if(can_fit_partially)
    def partial_fit(self, X, y, sample_weight=None):
        """Train one epoch on some of the rows, going on from the fitted state.

        The first call fixes how targets are centred and scaled.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            Scaled to mean 1 over the rows of this call.

        Returns
        -------
        self
        """
        data = (X, y, sample_weight, None, None, None)
        return self._fit(1, True, data, partial=True)

    def _encode_target(self, y, former, given):
        if former is not None and y.shape[1:] != former["_head"].shape:
            raise ValueError(
                f"y has shape {y.shape}, but the fitted estimator has outputs of shape "
                f"{former['_head'].shape}: set warm_start=False"
            )
        return None, y

    def _encode_held_out(self, y, classes):
        return y

    def _check_target(self, classes, y) -> None:
        if (self.loss == "quantile") != (self.quantile is not None):
            raise ValueError(
                "loss='quantile' and quantile= belong together: got "
                f"loss={self.loss!r} and quantile={self.quantile!r}"
            )

    def _class_weighted(self, weights, target, classes):
        return weights

    def _fit_head(self, classes, y, weights, former, partial) -> RegressionHead:
        if former is not None:
            return self._former_head(former)
        quantile = None if self.quantile is None else float(self.quantile)
        head = RegressionHead(self.loss, y.shape[1:], quantile)
        head.fit(y, weights)
        return head

    def predict(self, X) -> np.ndarray:
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), as y was
            Float64, in the units of y.
        """
        raw = self._values("predict", X)
        return self._head.decode(raw)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
