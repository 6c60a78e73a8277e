"""Targets whose outliers would hide all other rows."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.telling import warn

__all__ = ["within_reach"]

# Interquartile ranges from the nearer quartile to the furthest value that counts as it
# is. A lognormal target of deviation 2 stays whole in 100,000 rows.
_REACH = 1000.0


def within_reach(y: np.ndarray, weights: np.ndarray | None, who: str) -> np.ndarray:
    """Targets of which some are far beyond all others, those moved to the others' ends.

    A network sees targets in units of their deviation: one of a million in a thousand
    rows, and the others are all the same to it.

    Parameters
    ----------
    y : ndarray of numbers, (rows,) or (rows, outputs)
    weights : ndarray or None
        Rows of weight 0 do not count, and stay as they are; some have more.
    who : str
        Told by the warning.

    Returns
    -------
    ndarray
        `y` itself where no value is out of reach.

    References
    ----------
    Dixon, "Simplified estimation from censored normal samples", 1960: values beyond a
    limit take the nearest one within (winsorizing).
    """
    counted = y if weights is None else y[weights > 0]
    low, high = np.percentile(counted, (25, 75), axis=0)
    # Halves: no difference of finite numbers overflows.
    with np.errstate(over="ignore"):
        half = _REACH * (high / 2 - low / 2)
        lower, upper = low - 2 * half, high + 2 * half
    ordinary = (half == 0) | ((counted >= lower) & (counted <= upper))
    if ordinary.all():
        return y
    least = np.where(ordinary, counted, np.inf).min(axis=0)
    most = np.where(ordinary, counted, -np.inf).max(axis=0)
    moved = np.clip(y, least, most)
    if weights is not None:
        moved = np.where((weights > 0).reshape(-1, *(1,) * (y.ndim - 1)), moved, y)
    far = np.argwhere(moved != y)
    row = int(far[0][0])
    warn(
        f"y has {len(far)} values further from its quartiles than {_REACH:,.0f} times "
        f"the distance between them, the first in row {row}: {y[tuple(far[0])]:.6g}. "
        f"{who} lets them count as the furthest of the others, {np.min(least):.6g} or "
        f"{np.max(most):.6g}; if they are right, fit a transformed y (as by "
        "TransformedTargetRegressor)"
    )
    return moved
