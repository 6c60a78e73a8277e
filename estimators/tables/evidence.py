"""What a Gaussian process finds in some rows: what columns count, by their evidence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

__all__ = ["Evidence", "Solved", "learned", "solved"]

# Bounds of the logarithms of what columns count, reach, noise and the whole; strengths
# of their priors. Noise is no less, so that float32 is enough for predictions.
_BOUNDS = ((-9.0, 3.0), (-2.5, 4.0), (-5.0, 2.0), (-9.0, 4.0))
_COUNT_PRIOR, _REACH_PRIOR = 0.02, 0.5

# Of L-BFGS.
_STEPS = 15


class Evidence(NamedTuple):
    """What makes some rows most likely.

    Attributes
    ----------
    counts, reaches : ndarray of shape (columns,)
    noise, whole : float
        Of a row of weight 1, and the size of all covariances.
    """

    counts: np.ndarray
    reaches: np.ndarray
    noise: float
    whole: float


class Solved(NamedTuple):
    """What a positive definite matrix makes of targets.

    Attributes
    ----------
    factors : ndarray of shape (n, outputs)
    inverse : ndarray of shape (n, n)
        Below the diagonal and on it.
    size : float
        The logarithm of the determinant.
    """

    factors: np.ndarray
    inverse: np.ndarray
    size: float


def solved(matrix: np.ndarray, y: np.ndarray) -> Solved | None:
    """Solve for targets; None where the matrix is not positive definite.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        Symmetric; is written over.
    y : ndarray of shape (n, outputs)
    """
    root, failed = lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        return None
    factors, _ = lapack.dpotrs(root, y, lower=1)
    size = 2 * np.sum(np.log(np.diag(root)))
    inverse, failed = lapack.dpotri(root, lower=1, overwrite_c=1)
    return None if failed else Solved(factors, inverse, float(size))


def learned(
    X: np.ndarray, numbers: int, y: np.ndarray, weights: np.ndarray
) -> Evidence:
    """Find what columns count and reach, the noise, and the size of the whole.

    Parameters
    ----------
    X : ndarray of shape (columns, n), float32
        Numbers of deviation 1, and behind them codes.
    numbers : int
        How many of the columns are.
    y : ndarray of shape (n, outputs)
    weights : ndarray of shape (n,)
    """
    (columns, n), outputs = X.shape, y.shape[1]
    # Of each pair of rows once: the matrices are symmetric.
    one, other = np.tril_indices(n, -1)
    # Columns of pairs lie in one piece each, as those of X[:, one] would not.
    apart = np.abs(X.take(one, axis=1) - X.take(other, axis=1))
    same = (apart[numbers:] == 0).astype(np.float32)
    near, room = np.empty_like(apart), np.empty(len(one), dtype=np.float32)
    centre = np.log(0.5 / np.sqrt(columns))
    start = np.concatenate(
        [np.full(columns, centre), np.zeros(numbers), np.log([0.1, 0.5])]
    )
    reach = slice(columns, columns + numbers)

    def value(now: np.ndarray) -> tuple[float, np.ndarray]:
        noise, whole = np.exp(now[-2:])
        counts, slopes = np.exp(now[:columns]), np.exp(-now[reach])
        pairs = np.full(len(one), whole, dtype=np.float32)
        for column, own in enumerate(near):
            if column < numbers:
                np.multiply(apart[column], np.float32(-slopes[column]), out=own)
                np.exp(own, out=own)
                own *= np.float32(counts[column])
            else:
                np.multiply(same[column - numbers], np.float32(counts[column]), out=own)
            pairs *= np.add(own, 1, out=room)
        itself, noises = whole * np.prod(1 + counts), noise / weights
        matrix = np.diag(itself + noises)
        matrix[one, other] = matrix[other, one] = pairs
        made = solved(matrix, y)
        if made is None:
            return 1e10, np.zeros_like(now)
        factors = made.factors
        # What the loss gains by a covariance.
        sloped = outputs * made.inverse - factors @ factors.T
        alone = 0.5 * np.diag(sloped)
        inner = sloped[one, other].astype(np.float32) * pairs
        slope = np.empty_like(now)
        for column, own in enumerate(near):
            own /= np.add(own, 1, out=room)
            own *= inner
            slope[column] = own.sum()
            if column < numbers:
                slope[columns + column] = slopes[column] * (own @ apart[column])
        slope[:columns] += np.sum(alone) * itself * counts / (1 + counts)
        slope[-2] = alone @ noises
        slope[-1] = inner.sum(dtype=np.float64) + np.sum(alone) * itself
        total = 0.5 * (np.sum(y * factors) + outputs * made.size)
        for part, middle, strength in (
            (slice(0, columns), centre, _COUNT_PRIOR),
            (reach, 0.0, _REACH_PRIOR),
        ):
            total += strength * np.sum((now[part] - middle) ** 2)
            slope[part] += 2 * strength * (now[part] - middle)
        return total / n, slope / n

    bounds = [_BOUNDS[0]] * columns + [_BOUNDS[1]] * numbers + list(_BOUNDS[2:])
    told = minimize(
        value,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _STEPS},
    )
    found = np.exp(told.x)
    reaches = np.append(found[reach], np.ones(columns - numbers))
    return Evidence(found[:columns], reaches, float(found[-2]), float(found[-1]))
