"""The regressors' side: numbers in, numbers out, in their own units."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import elsewhere
from slimlearn.estimators.base import NetworkEstimator, can_fit_partially
from slimlearn.estimators.compat import available_if
from slimlearn.estimators.heads import Head, make_regressor_head
from slimlearn.estimators.losses import (
    REGRESSOR_LOSSES,
    Distribution,
    RegressorLoss,
    make_loss,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Regressor"]


def _has_quantiles(estimator) -> bool:
    head = estimator.__dict__.get("_head")
    if (estimator if head is None else head).quantile is None:
        raise AttributeError(
            "predict_quantiles needs quantile=, such as quantile=(0.1, 0.5, 0.9), and "
            "loss='quantile' or a distribution, such as loss='gaussian'"
        )
    return True


def _needs_positive(loss) -> bool:
    if isinstance(loss, str):
        loss = REGRESSOR_LOSSES[loss]() if loss in REGRESSOR_LOSSES else None
    return isinstance(loss, RegressorLoss) and loss.domain() is not None


class Regressor(RegressorMixin, NetworkEstimator):
    """Base of the regressors."""

    _regression = True

    @available_if(can_fit_partially)
    @elsewhere.method
    def partial_fit(self, X, y, sample_weight=None) -> Self:
        """Train one epoch on some of the rows, going on from the fitted state.

        How targets are centred and scaled is settled by the first 30 rows, and of an
        output that they all have alike when it first varies.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            Scaled to mean 1 over the rows of this call.

        Returns
        -------
        self
        """
        return self._fit(1, True, (X, y, sample_weight), partial=True)

    def _encode_target(self, y, former, given):
        if former is not None and y.shape[1:] != former["_head"].shape:
            raise ValueError(
                f"y has shape {y.shape}, but the fitted estimator has outputs of shape "
                f"{former['_head'].shape}: set warm_start=False"
            )
        return None, y

    def _levels(self) -> float | tuple[float, ...] | None:
        """The quantile, or several of them, checked."""
        needed = isinstance(self.loss, str) and self.loss == "quantile"
        if needed != (self.quantile is not None) and not (
            self.quantile is not None and isinstance(make_loss(self.loss), Distribution)
        ):
            raise ValueError(
                "loss='quantile' and quantile= belong together (and a distribution, "
                "such as loss='gaussian', may have quantile=): got "
                f"loss={self.loss!r} and quantile={self.quantile!r}"
            )
        if self.quantile is None or isinstance(self.quantile, Real):
            return None if self.quantile is None else float(self.quantile)
        levels = tuple(self.quantile)
        numbers = bool(levels) and all(isinstance(q, Real) for q in levels)
        if not (numbers and all(0 < q < 1 for q in levels)):
            raise ValueError(
                f"The 'quantile' parameter of {type(self).__name__} must be numbers in "
                f"(0, 1). Got {self.quantile!r} instead."
            )
        if len(set(levels)) < len(levels):
            raise ValueError(f"quantile={self.quantile!r} names a quantile twice")
        return tuple(map(float, levels))

    def _fit_head(self, classes, shape, summary, former, partial, order) -> Head:
        if former is not None:
            head = self._former_head(former).go_on(summary, partial)
            if head.quantile != self._levels():
                raise ValueError(
                    f"warm_start: the fitted estimator has quantile={head.quantile!r}, "
                    f"now it is {self.quantile!r}: set warm_start=False"
                )
            return head
        head = self._new_head(shape)
        head.begin(summary, partial)
        return head

    def _new_head(self, shape: tuple[int, ...]) -> Head:
        return make_regressor_head(self.loss, shape, self._levels())

    @overload
    def predict(
        self,
        X,
        return_std: Literal[False] = ...,
        return_quantiles: Literal[False] = ...,
    ) -> np.ndarray: ...
    @overload
    def predict(
        self, X, return_std: bool = ..., return_quantiles: bool = ...
    ) -> tuple[np.ndarray, np.ndarray]: ...

    @elsewhere.prediction
    def predict(self, X, return_std=False, return_quantiles=False):
        """Predict the targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether the standard deviation of each target is returned too, by a loss
            that knows it, such as "gaussian". A pipeline passes it on:
            ``pipe.predict(X, return_std=True)``; under ``enable_metadata_routing`` of
            scikit-learn, where ``set_predict_request(return_std=True)`` was called.
        return_quantiles : bool, default=False
            Whether all quantiles are returned too, as `predict_quantiles` gives them. A
            pipeline passes it on.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), as y was
            Float64, in the units of y. Of several quantiles the median, or what comes
            nearest to it; of a distribution its mean.
        std : ndarray, as y was
            Only with `return_std`, in the units of y.
        quantiles : ndarray of shape (n_samples, n_quantiles), or \
(n_samples, n_outputs, n_quantiles)
            Only with `return_quantiles`.

        Raises
        ------
        ValueError
            If deviations or quantiles are asked of what was fitted without them, or
            both at a time.
        """
        if return_std and return_quantiles:
            raise ValueError(
                "return_std and return_quantiles are asked for one at a time: "
                "predict_quantiles gives the other"
            )
        if return_std:
            self._check_fitted_for("return_std")
            return self._values("predict", X, "predict", "with_deviations")
        if return_quantiles:
            self._check_fitted_for("return_quantiles")
            return self._values("predict", X, "predict", "with_quantiles")
        return self._values("predict", X, "predict", "decode")

    def _check_fitted_for(self, wish: str) -> None:
        """Refuse what the fitted loss does not give."""
        check_is_fitted(self, "program_")
        head = self._head
        if wish == "return_std" and not head.has_deviations:
            raise ValueError(
                "return_std=True needs a fit with a loss that knows deviations, such "
                "as loss='gaussian', or an own one with @loss(outputs=…, mean=…, "
                f"std=…); it was fitted with loss={head.loss!r}"
            )
        if wish == "return_quantiles" and head.quantile is None:
            raise ValueError(
                "return_quantiles=True needs a fit with loss='quantile' and quantile=, "
                f"such as quantile=(0.1, 0.5, 0.9); it was fitted with "
                f"loss={head.loss!r}"
            )

    @available_if(_has_quantiles)
    @elsewhere.prediction
    def predict_quantiles(self, X) -> np.ndarray:
        """Predict the quantiles that `quantile` names.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            Float64, in the units of y and the order of `quantile`; they do not cross.
            Several outputs: (n_samples, n_outputs, n_quantiles).

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from slimlearn import LinearRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> reg = LinearRegressor(
        ...     loss="quantile", quantile=(0.1, 0.5, 0.9), optimizer="adam"
        ... )
        >>> reg.set_params(learning_rate=0.1, random_state=0).fit(X, y).predict(X).shape
        (442,)
        >>> low, middle, high = reg.predict_quantiles(X).T
        >>> print(f"{((low <= y) & (y <= high)).mean():.1f}")
        0.8
        """
        return self._values("predict", X, "predict_quantiles", "quantiles")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = _needs_positive(self.loss)
        return tags
