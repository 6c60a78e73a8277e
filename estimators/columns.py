"""The units of X's columns, in which L-BFGS measures the weights of a linear layer."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, issparse

from slimlearn.backend.columns import Columns

__all__ = ["columns_of"]

# Numbers that are looked at together, and parts of a deviation that count.
_SOME, _STEPS = 2**21, 2**20


def columns_of(layer: str, X, weights: np.ndarray | None) -> Columns:
    """The weighted mean and deviation of each column; 1 where it does not vary.

    Parameters
    ----------
    layer : str
        The layer that reads them.
    X : ndarray or CSR matrix of shape (n, columns)
    weights : ndarray of shape (n,) or None
    """
    weights = np.ones(X.shape[0]) if weights is None else weights.astype(float)
    moments = _sparse_moments if issparse(X) else _dense_moments
    with np.errstate(over="ignore", invalid="ignore"):
        centre, variance = moments(X, weights / weights.sum())
        scale = np.sqrt(variance)
    # What is left of a column that does not vary is rounding.
    varies = (scale > 1e-12 * np.abs(centre)) & np.isfinite(scale)
    # Some digits are enough, and are the same for dense and for sparse rows.
    scale = _rounded(np.where(varies, scale, 1.0))
    centre = np.rint(centre / scale * _STEPS) / _STEPS * scale
    return Columns(f"{layer}/weights", f"{layer}/biases", centre, scale)


def _rounded(numbers: np.ndarray) -> np.ndarray:
    fraction, exponent = np.frexp(numbers)
    return np.ldexp(np.rint(fraction * _STEPS) / _STEPS, exponent)


def _dense_moments(X, share) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the variance of each column, some rows at a time."""
    step = max(1, _SOME // max(X.shape[1], 1))

    def total(function):
        return sum(
            share[at : at + step] @ function(X[at : at + step].astype(float))
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
