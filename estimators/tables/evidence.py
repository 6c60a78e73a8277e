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


def learned(blocks: list[tuple], numbers: int) -> Evidence:
    """Find what columns count and reach, the noise, and the size of the whole.

    Parameters
    ----------
    blocks : list of tuple of ndarray
        Rows that are looked at together: their columns (columns, n) in float32, numbers
        of deviation 1 and behind them codes; their y (n, outputs) and weights (n,).
        What makes all blocks most likely, each for itself, is found.
    numbers : int
        How many of the columns are.
    """
    parts = [_Block(*block, numbers) for block in blocks]
    columns = len(blocks[0][0])
    rows = sum(len(y) for _, y, _ in blocks)
    centre = np.log(0.5 / np.sqrt(columns))
    start = np.concatenate(
        [np.full(columns, centre), np.zeros(numbers), np.log([0.1, 0.5])]
    )
    reach = slice(columns, columns + numbers)
    priors = (
        (slice(0, columns), centre, _COUNT_PRIOR * len(parts)),
        (reach, 0.0, _REACH_PRIOR * len(parts)),
    )

    def value(now: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros_like(now)
        for part in parts:
            own = part(np.exp(now[:columns]), np.exp(-now[reach]), *np.exp(now[-2:]))
            if own is None:
                return 1e10, np.zeros_like(now)
            total, slope = total + own[0], slope + own[1]
        for part, middle, strength in priors:
            total += strength * np.sum((now[part] - middle) ** 2)
            slope[part] += 2 * strength * (now[part] - middle)
        return total / rows, slope / rows

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


class _Block:
    """Rows whose evidence is asked for again and again."""

    def __init__(self, X: np.ndarray, y: np.ndarray, weights: np.ndarray, numbers: int):
        self.y, self.weights, self.numbers = y, weights, numbers
        # Of each pair of rows once: the matrices are symmetric.
        self.one, self.other = one, other = np.tril_indices(len(y), -1)
        # Columns of pairs lie in one piece each, as those of X[:, one] would not.
        self.apart = np.abs(X.take(one, axis=1) - X.take(other, axis=1))
        self.same = (self.apart[numbers:] == 0).astype(np.float32)
        self.near = np.empty_like(self.apart)
        self.room = np.empty(len(one), dtype=np.float32)

    def __call__(self, counts, slopes, noise: float, whole: float):
        """How unlikely they are, and its slope by the logarithms; None if undefined."""
        one, other, room, numbers = self.one, self.other, self.room, self.numbers
        pairs = np.full(len(one), whole, dtype=np.float32)
        for column, own in enumerate(self.near):
            count = np.float32(counts[column])
            if column < numbers:
                np.multiply(self.apart[column], np.float32(-slopes[column]), out=own)
                np.exp(own, out=own)
                own *= count
            else:
                np.multiply(self.same[column - numbers], count, out=own)
            pairs *= np.add(own, 1, out=room)
        itself, noises = whole * np.prod(1 + counts), noise / self.weights
        matrix = np.diag(itself + noises)
        matrix[one, other] = matrix[other, one] = pairs
        made = solved(matrix, self.y)
        if made is None:
            return None
        factors, outputs = made.factors, self.y.shape[1]
        # What the loss gains by a covariance.
        sloped = outputs * made.inverse - factors @ factors.T
        alone = 0.5 * np.diag(sloped)
        inner = sloped[one, other].astype(np.float32) * pairs
        columns = len(counts)
        slope = np.empty(columns + numbers + 2)
        for column, own in enumerate(self.near):
            own /= np.add(own, 1, out=room)
            own *= inner
            slope[column] = own.sum()
            if column < numbers:
                slope[columns + column] = slopes[column] * (own @ self.apart[column])
        slope[:columns] += np.sum(alone) * itself * counts / (1 + counts)
        slope[-2] = alone @ noises
        slope[-1] = inner.sum(dtype=np.float64) + np.sum(alone) * itself
        return 0.5 * (np.sum(self.y * factors) + outputs * made.size), slope
