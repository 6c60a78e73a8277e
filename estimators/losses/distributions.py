"""Losses of distributions: several numbers of the network for each target."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np
from scipy.special import ndtr, ndtri, softmax

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.estimators.losses.base import hyper
from slimlearn.estimators.losses.numbers import RegressorLoss

__all__ = ["Distribution", "Gaussian", "GaussianMixture"]

# What is left of an interval after these is less than the last digit of its ends.
_HALVINGS = 54
_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class Distribution(RegressorLoss):
    """Base of the losses that are the negative logarithm of a density.

    Attributes
    ----------
    locations : tuple of int
        Which of the numbers are on the scale of y.
    """

    degree = 0
    has_deviations = True
    locations: tuple[int, ...] = ()

    def check(self):
        self._require("min_std", "a number > 0", lambda v: 0 < v < math.inf)

    def hypers(self):
        return {f"{self.name}/min_std": float(self.min_std)}

    def start(self) -> np.ndarray:
        """Numbers to start from, for targets of mean 0 and deviation 1."""
        raise NotImplementedError

    def mean(self, raw: np.ndarray) -> np.ndarray:
        """The distribution's mean, from float64 numbers in the last axis."""
        raise NotImplementedError

    def deviations(self, raw: np.ndarray) -> np.ndarray:
        """The distribution's standard deviation, from numbers in the last axis."""
        raise NotImplementedError

    def quantiles(self, raw: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """The distribution's quantiles, as a last axis in the place of the numbers."""
        raise NotImplementedError

    def _width(self, raw: Tensor) -> Tensor:
        """Deviations, as graph: smooth, and never below `min_std`."""
        return ops.add(ops.softplus(raw), hyper(f"{self.name}/min_std", raw))

    def _widths(self, raw: np.ndarray) -> np.ndarray:
        return np.logaddexp(0.0, raw) + self.min_std

    def _raw_width(self, width: float) -> float:
        """The number that gives a deviation, or one a little above `min_std`."""
        return math.log(math.expm1(max(width - self.min_std, 0.01)))


class Gaussian(Distribution):
    """The negative log-likelihood of a normal distribution, whose mean and deviation
    the network gives for each row.

    Parameters
    ----------
    min_std : float > 0, default=1e-3
        Least standard deviation, in those of y: rows that the network knows by heart do
        not make the loss fall for ever.

    References
    ----------
    Nix and Weigend, "Estimating the mean and variance of the target probability
    distribution", 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import DNNRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(1000, 1))
    >>> y = 20 + X[:, 0] + np.exp(X[:, 0] - 1) * rng.normal(size=1000)
    >>> reg = DNNRegressor((16,), loss="gaussian", learning_rate=0.01, random_state=0)
    >>> mean, std = reg.fit(X, y).predict([[0.0], [1.0]], return_std=True)
    >>> mean.round().tolist(), std.round(1).tolist()
    ([20.0, 21.0], [0.4, 1.0])
    """

    name = "gaussian"
    numbers = 2
    locations = (0,)

    def __init__(self, min_std: float = 1e-3):
        self.min_std = min_std

    def elementwise(self, raw, y):
        width = self._width(raw[..., 1])
        distance = ops.div(ops.sub(y, raw[..., 0]), width)
        squares = ops.mul(ops.square(distance), 0.5)
        return ops.add(ops.add(ops.log(width), squares), _HALF_LOG_2_PI)

    def start(self):
        return np.array([0.0, self._raw_width(1.0)])

    def mean(self, raw):
        return raw[..., 0]

    def deviations(self, raw):
        return self._widths(raw[..., 1])

    def quantiles(self, raw, levels):
        return self.mean(raw)[..., None] + self.deviations(raw)[..., None] * ndtri(
            levels
        )


class GaussianMixture(Distribution):
    """The negative log-likelihood of a mixture of normal distributions, whose shares,
    means and deviations the network gives for each row: for y that has several likely
    values, or long tails.

    Each target has a mixture of its own.

    Parameters
    ----------
    n_components : int >= 1, default=3
        Normal distributions of each target.
    min_std : float > 0, default=1e-2
        Least standard deviation of a component, in those of y: without, one that sits
        on a single row would make the loss fall for ever.

    References
    ----------
    Bishop, "Mixture density networks", 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import DNNRegressor
    >>> from slimlearn.losses import GaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(size=(1000, 1))
    >>> y = rng.choice([-1, 1], size=1000) * X[:, 0] + 0.05 * rng.normal(size=1000)
    >>> plain = DNNRegressor((16,), loss="gaussian", random_state=0).fit(X, y)
    >>> reg = DNNRegressor((16,), loss=GaussianMixture(n_components=2), random_state=0)
    >>> mean, std = reg.fit(X, y).predict([[0.9]], return_std=True)
    >>> bool(abs(mean[0]) < 0.1), bool(abs(std[0] - 0.9) < 0.1)
    (True, True)
    >>> bool(reg.loss_ < plain.loss_ - 0.5)
    True
    """

    name = "gaussian_mixture"

    def __init__(self, n_components: int = 3, min_std: float = 1e-2):
        self.n_components = n_components
        self.min_std = min_std

    def check(self):
        super().check()
        self._require(
            "n_components",
            "a whole number >= 1",
            lambda v: isinstance(v, Integral) and v >= 1,
        )

    @property
    def numbers(self) -> int:
        return 3 * int(self.n_components)

    @property
    def locations(self) -> tuple[int, ...]:
        count = int(self.n_components)
        return tuple(range(count, 2 * count))

    def structure(self):
        return (type(self).__name__, self.numbers)

    def _parts(self, raw):
        """Raw shares, means and raw deviations, each with an axis of components."""
        count = int(self.n_components)
        return raw[..., :count], raw[..., count : 2 * count], raw[..., 2 * count :]

    def elementwise(self, raw, y):
        shares, means, widths = self._parts(raw)
        width = self._width(widths)
        distance = ops.div(ops.sub(ops.reshape(y, (*y.shape, 1)), means), width)
        squares = ops.mul(ops.square(distance), 0.5)
        logs = ops.sub(ops.sub(ops.log_softmax(shares), ops.log(width)), squares)
        return ops.sub(_HALF_LOG_2_PI, ops.logsumexp(logs, [-1]))

    def start(self):
        # Components that start alike would stay alike where weights start at zero.
        count = int(self.n_components)
        means = ndtri((np.arange(count) + 0.5) / count)
        width = math.sqrt(max(1.0 - np.mean(means**2), 1.0 / count))
        return np.r_[np.zeros(count), means, np.full(count, self._raw_width(width))]

    def mean(self, raw):
        shares, means, _ = self._parts(raw)
        return (softmax(shares, axis=-1) * means).sum(axis=-1)

    def deviations(self, raw):
        shares, means, widths = self._parts(raw)
        apart = means - self.mean(raw)[..., np.newaxis]
        squares = self._widths(widths) ** 2 + apart**2
        return np.sqrt((softmax(shares, axis=-1) * squares).sum(axis=-1))

    def quantiles(self, raw, levels):
        # Axes: … levels, components. A quantile lies among those of the components.
        shares, means, widths = (part[..., None, :] for part in self._parts(raw))
        shares, widths = softmax(shares, axis=-1), self._widths(widths)
        ends = means + widths * ndtri(levels)[:, np.newaxis]
        low, high = ends.min(axis=-1), ends.max(axis=-1)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            below = (shares * ndtr((middle[..., None] - means) / widths)).sum(axis=-1)
            short = below < levels
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return 0.5 * (low + high)
