"""Losses of numbers: on scaled targets, or through a log link."""

from __future__ import annotations

import math
from numbers import Real

from slimlearn.backend.graph import Tensor
from slimlearn.estimators.losses.base import Loss, hyper
from slimlearn.layers import per_example

__all__ = [
    "AbsoluteError",
    "Gamma",
    "Huber",
    "Poisson",
    "Quantile",
    "RegressorLoss",
    "SquaredError",
    "Tweedie",
]


class RegressorLoss(Loss):
    """Base of the losses of numbers.

    Attributes
    ----------
    degree : int
        A residual r in units of the deviation s costs s ** degree times as much in
        y's.
    log_link : bool
        Whether the raw values are logarithms of y's mean; then y is not scaled.
    scales_y : bool
        Whether it is given y centred and scaled.
    """

    degree = 1
    log_link = False
    scales_y = True

    def elementwise(self, raw: Tensor, y: Tensor) -> Tensor:
        """The loss, element by element."""
        return getattr(per_example, self.name)(raw, y)

    def domain(self) -> str | None:
        """The y that the loss is made for, ">= 0" or "> 0"; None if it is any."""
        return None


class SquaredError(RegressorLoss):
    """(p - y)²."""

    name = "squared_error"
    degree = 2


class AbsoluteError(RegressorLoss):
    """``|p - y|``."""

    name = "absolute_error"


class Huber(RegressorLoss):
    """½ e² up to the error delta, linear beyond.

    Parameters
    ----------
    delta : float > 0, default=1.0
        In standard deviations of y.

    References
    ----------
    Huber, "Robust estimation of a location parameter", 1964.
    """

    name = "huber"
    degree = 2

    def __init__(self, delta: float = 1.0):
        self.delta = delta

    def check(self):
        self._require("delta", "a number > 0", lambda v: 0 < v < math.inf)

    def hypers(self):
        return {"huber/delta": float(self.delta)}

    def elementwise(self, raw, y):
        return per_example.huber(raw, y, hyper("huber/delta", raw))


class Quantile(RegressorLoss):
    """The pinball loss; the estimator's `quantile` says which."""

    name = "quantile"


class Poisson(RegressorLoss):
    """Half the Poisson deviance, but for what depends on y alone."""

    name = "poisson"
    log_link = True

    def domain(self):
        return ">= 0"


class Gamma(RegressorLoss):
    """Half the Gamma deviance, but for what depends on y alone."""

    name = "gamma"
    log_link = True

    def domain(self):
        return "> 0"


class Tweedie(RegressorLoss):
    """Half the Tweedie deviance, but for what depends on y alone.

    Parameters
    ----------
    power : float >= 1, default=1.5
        The variance of y grows as its mean to this power: 1 is Poisson, 2 is Gamma, 3
        inverse Gaussian. Between 1 and 2, y may be 0 with a probability of its own.

    References
    ----------
    Jørgensen, "Exponential dispersion models", 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import LinearRegressor, Tweedie
    >>> X = np.linspace(0, 2, 50).reshape(-1, 1)
    >>> reg = LinearRegressor(loss=Tweedie(power=1.5), tol=1e-8)
    >>> print(f"{reg.fit(X, np.exp(3 * X[:, 0] - 1)).coef_[0]:.2f}")
    3.00
    """

    name = "tweedie"
    log_link = True

    def __init__(self, power: float = 1.5):
        self.power = power

    def check(self):
        self._require(
            "power",
            "a number >= 1 (below 1 none is a distribution of positive numbers; 0 is "
            "loss='squared_error')",
            lambda v: 1 <= v < math.inf,
        )

    def hypers(self):
        return {} if self.power in (1, 2) else {"tweedie/power": float(self.power)}

    def structure(self):
        return ("Tweedie", self.power if self.power in (1, 2) else None)

    def elementwise(self, raw, y):
        if self.power == 1:
            return per_example.poisson(raw, y)
        if self.power == 2:
            return per_example.gamma(raw, y)
        return per_example.tweedie(raw, y, hyper("tweedie/power", raw))

    def domain(self):
        power = self.power
        return "> 0" if isinstance(power, Real) and power >= 2 else ">= 0"
