"""How close two numbers are to a Gaussian process, by their distance in reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor

__all__ = ["CLOSENESSES", "ROUGH", "SMOOTHER", "Closeness"]


class Closeness(NamedTuple):
    """A function of a distance, which is 1 at 0 and falls to 0.

    Attributes
    ----------
    near : callable
        ``near(apart, slope, out)`` writes it for distances times a slope.
    drawn : callable
        ``drawn(weights, apart, slope)`` is the sum of weights times its part that it
        gains as the logarithm of the reach does: its derivative over itself.
    graph : callable
        It as graph, of distances times slopes.
    """

    near: Callable[[np.ndarray, float, np.ndarray], object]
    drawn: Callable[[np.ndarray, np.ndarray, float], float]
    graph: Callable[[Tensor], Tensor]


def _exponential(apart, slope, out) -> None:
    np.multiply(apart, np.float32(-slope), out=out)
    np.exp(out, out=out)


def _matern(apart, slope, out) -> None:
    far = apart * np.float32(slope)
    np.exp(-far, out=out)
    far += 1
    out *= far


def _matern_drawn(weights, apart, slope) -> float:
    far = apart * np.float32(slope)
    return weights @ (far * far / (1 + far))


def _gaussian(apart, slope, out) -> None:
    np.multiply(apart, np.float32(slope), out=out)
    np.square(out, out=out)
    out *= np.float32(-0.5)
    np.exp(out, out=out)


def _gaussian_drawn(weights, apart, slope) -> float:
    far = apart * np.float32(slope)
    return weights @ np.square(far, out=far)


# What is told by rows that are near: without a slope where it passes a row, with one,
# and with slopes of all orders.
ROUGH, SMOOTHER = "exponential", "matern"
CLOSENESSES = {
    ROUGH: Closeness(
        _exponential,
        lambda weights, apart, slope: slope * (weights @ apart),
        lambda apart: ops.exp(0.0 - apart),
    ),
    SMOOTHER: Closeness(
        _matern,
        _matern_drawn,
        lambda apart: (1.0 + apart) * ops.exp(0.0 - apart),
    ),
    "gaussian": Closeness(
        _gaussian,
        _gaussian_drawn,
        lambda apart: ops.exp(apart * apart * -0.5),
    ),
}
