"""The units of X's columns, in which L-BFGS measures the weights of a linear layer."""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse

from slimlearn.backend.columns import Columns

__all__ = ["columns_of"]

# Numbers that are looked at together.
_SOME = 2**21


def columns_of(layer: str, X, weights: np.ndarray | None) -> Columns:
    """The weighted mean and deviation of each column; 1 where it does not vary.

    Sparse columns are not centred: their root mean square is their scale.

    Parameters
    ----------
    layer : str
        The layer that reads them.
    X : ndarray or CSR matrix of shape (n, columns)
    weights : ndarray of shape (n,) or None
    """
    rows, columns = X.shape
    weights = np.ones(rows) if weights is None else weights.astype(float)
    share = weights / weights.sum()
    if issparse(X):
        centre = np.zeros(columns)
        variance = np.asarray(X.multiply(X).T @ share).ravel()
    else:
        centre = _sum(X, share, lambda part: part)
        variance = _sum(X, share, lambda part: (part - centre) ** 2)
    scale = np.sqrt(variance)
    # What is left of a column that does not vary is rounding.
    varies = (scale > 1e-12 * np.abs(centre)) & np.isfinite(scale)
    return Columns(
        f"{layer}/weights", f"{layer}/biases", centre, np.where(varies, scale, 1.0)
    )


def _sum(X, share, function) -> np.ndarray:
    """The weighted sum of a function of X's rows, some at a time."""
    step = max(1, _SOME // max(X.shape[1], 1))
    with np.errstate(over="ignore", invalid="ignore"):
        return sum(
            share[at : at + step] @ function(X[at : at + step].astype(float))
            for at in range(0, len(X), step)
        )
