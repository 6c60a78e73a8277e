"""The units of X's columns, in which L-BFGS measures the weights of a linear layer."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, issparse

from slimlearn.backend.columns import Columns
from slimlearn.backend.resident import Resident
from slimlearn.backend.telling import warn

__all__ = ["columns_of", "moments_of", "warn_of_odd"]

# The least variance that is more than rounding.
_LEAST = 1e-300

# Numbers that are looked at together, and parts of a deviation that count.
_SOME, _STEPS = 2**21, 2**20


def columns_of(
    layer: str, X, weights: np.ndarray | None, penalty: float = 0.0
) -> tuple[Columns, np.ndarray]:
    """The weighted mean and deviation of each column; 1 where it does not vary.

    The curvature of the objective by a column's weight is its variance, or the penalty
    where that is more: it alone then says how far the weight is to move.

    Parameters
    ----------
    layer : str
        The layer that reads them.
    X : ndarray, Resident or CSR matrix of shape (n, columns)
    weights : ndarray of shape (n,) or None
    penalty : float
        λ of ½·λ·w² in the objective.

    Returns
    -------
    columns : Columns
    odd : ndarray of bool, (columns,)
        Those that vary by so much or so little that no float64 holds the square.
    """
    weights = np.ones(X.shape[0]) if weights is None else weights.astype(float)
    moments = _sparse_moments if issparse(X) else moments_of
    with np.errstate(over="ignore", invalid="ignore"):
        centre, variance = moments(X, weights / weights.sum())
        scale = np.sqrt(variance)
        large = ~np.isfinite(scale)
        odd = large | _vary(X, (variance < _LEAST) & (np.abs(centre) < _LEAST**0.5))
    # What is left of a column that does not vary is rounding.
    varies = (scale > 1e-12 * np.abs(centre)) & np.isfinite(scale)
    # Some digits are enough, and are the same for dense and for sparse rows.
    scale = np.where(varies, np.maximum(scale, np.sqrt(penalty)), 1.0)
    scale = _rounded(scale)
    centre = np.rint(np.where(large, 0.0, centre) / scale * _STEPS) / _STEPS * scale
    return Columns(f"{layer}/weights", f"{layer}/biases", centre, scale), odd


def warn_of_odd(input, X, odd: np.ndarray) -> None:
    """Name the columns whose units L-BFGS cannot know."""
    if odd.any():
        form = input.forms[0]
        named = input.where(form, X[:1], lambda row: odd.reshape(row.shape))
        warn(
            f"columns {list(named)} of X vary by more than 1e+154 or less than 1e-154, "
            "whose squares no float64 holds: L-BFGS takes them as they are, and may "
            "stop early or leave them out; give them other units, such as a multiple"
        )


def _vary(X, columns: np.ndarray) -> np.ndarray:
    """Which of some columns have several values."""
    found = columns.copy()
    places = np.flatnonzero(columns)
    some = X.columns(places) if isinstance(X, Resident) else X[:, places]
    most, least = some.max(axis=0), some.min(axis=0)
    if issparse(X):
        most, least = most.toarray().ravel(), least.toarray().ravel()
    found[columns] = most > least
    return found


def _rounded(numbers: np.ndarray) -> np.ndarray:
    fraction, exponent = np.frexp(numbers)
    return np.ldexp(np.rint(fraction * _STEPS) / _STEPS, exponent)


def moments_of(X: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the variance of each column, some rows at a time.

    Parameters
    ----------
    X : ndarray or Resident of shape (n, columns)
    share : ndarray of shape (n,)
        The rows' weights; they sum to 1.
    """
    step = max(1, _SOME // max(X.shape[1], 1))

    def total(function):
        return sum(
            share[at : at + step] @ function(np.asarray(X[at : at + step], float))
            for at in range(0, len(X), step)
        )

    centre = total(lambda part: part)
    return centre, total(lambda part: (part - centre) ** 2)


def _sparse_moments(X, share) -> tuple[np.ndarray, np.ndarray]:
    rows = csr_array(X, dtype=float)
    centre = rows.T @ share
    stored = rows.copy()
    stored.data = (stored.data - centre[stored.indices]) ** 2
    stored_share = rows.copy()
    stored_share.data[:] = 1.0
    zeros = np.maximum(1.0 - stored_share.T @ share, 0.0)
    return centre, stored.T @ share + zeros * centre**2
