"""A Gaussian process beside an ensemble: few rows are told by those that are near."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from slimlearn.backend.coded import Coded
from slimlearn.estimators.tables.members import Layout, telling

__all__ = ["FEWEST_ROWS", "MOST_ROWS", "Process", "process_of"]

# Rows for which it is solved: the time grows by their cube.
FEWEST_ROWS, MOST_ROWS = 50, 1500

# Columns that it reads, and the numbers among them at least; rows by which it finds
# what columns count and reach, and steps that it takes for this.
_COLUMNS, _FEWEST_NUMBERS = 24, 4
_LOOKED_AT, _STEPS = 300, 15

# Columns that count less are left out.
_LITTLE = 0.01

# Beside the mean: the noise of a row is that of all by its weight.
_LEAST_WEIGHT = 1e-6

# Of noise, as found by some rows: all of them say which is best.
_NOISES = (0.5, 1.0, 2.0)

# Bounds of the logarithms of what columns count, reach, noise and the whole; strengths
# of their priors. Noise is no less, so that float32 is enough for predictions.
_BOUNDS = ((-9.0, 3.0), (-2.5, 4.0), (-5.0, 2.0), (-9.0, 4.0))
_COUNT_PRIOR, _REACH_PRIOR = 0.02, 0.5


class Process(NamedTuple):
    """A Gaussian process of encoded rows.

    The covariance of two rows is the product of 1 + count × closeness over columns,
    which is exp(-|a - b| / reach) of numbers, and of codes whether they are the same:
    columns add what they tell alone, in pairs, and so on.

    Attributes
    ----------
    numbers, codes : list of int
        Columns of encoded rows.
    rows : ndarray of shape (columns, n)
        What the rows of fit have in these.
    counts : ndarray of shape (columns,)
    slopes : ndarray of shape (numbers,)
        1 / reach.
    factors : ndarray of shape (n,)
        Of the covariance with each row.
    intercept : float
    told : ndarray of shape (n,)
        What each row is told to be by all others.
    """

    numbers: list[int]
    codes: list[int]
    rows: np.ndarray
    counts: np.ndarray
    slopes: np.ndarray
    factors: np.ndarray
    intercept: float
    told: np.ndarray


def process_of(
    Z: Coded | np.ndarray,
    layout: Layout,
    targets: np.ndarray,
    weights: np.ndarray | None,
    index: np.ndarray,
    rng: np.random.Generator,
) -> Process | None:
    """The process whose evidence is largest, by some of the rows.

    Parameters
    ----------
    Z : Coded or ndarray of float32
        Encoded rows.
    layout : Layout
    targets : ndarray of shape (n,)
    weights : ndarray or None
    index : index array
        The rows that have weight.
    rng : Generator

    Returns
    -------
    Process or None
        None where y or all columns are constant, or no column counts.

    References
    ----------
    Duvenaud, Nickisch and Rasmussen, "Additive Gaussian processes", 2011.
    """
    rows, y = Z[index], targets[index].astype(np.float64)
    low, high = y.min(), y.max()
    unit = high / 2 - low / 2
    if not unit > 0:
        return None
    y = y / unit
    middle = y.mean()
    deviation = y.std()
    y = (y - middle) / deviation
    weights = np.ones(len(y)) if weights is None else weights[index] / 1.0
    weights = np.maximum(weights / weights.mean(), _LEAST_WEIGHT)
    with threadpool_limits(1, "blas"):  # its threads would change bits
        found = _solved(rows, layout, y, weights, rng)
    if found is None:
        return None
    size = unit * deviation
    return found._replace(
        factors=found.factors * size,
        intercept=float(middle * unit),
        told=found.told * size + middle * unit,
    )


def _solved(rows, layout: Layout, y, weights, rng) -> Process | None:
    first, end = layout.scores.start, layout.width
    deviation = rows[:, first:end].astype(np.float64).std(axis=0)
    there = first + np.flatnonzero(deviation > 1e-6)
    codes = list(range(end, rows.shape[1]))[:_COLUMNS]
    most = max(_COLUMNS - len(codes), _FEWEST_NUMBERS)
    numbers = np.zeros(0, dtype=np.intp)
    if len(there):
        best = telling(rows[:, there], y[:, None], weights, most)
        numbers = there[best]
    if not len(numbers) + len(codes):
        return None
    # Reaches are of deviations.
    units = np.append(deviation[numbers - first], np.ones(len(codes)))
    chosen = [*numbers.tolist(), *codes]
    X = (rows[:, chosen] / units).T.astype(np.float32)
    some = rng.permutation(len(y))[:_LOOKED_AT]
    counts, reaches, noise, whole = _learned(
        X[:, some], len(numbers), y[some], weights[some]
    )
    kept = np.flatnonzero(counts > _LITTLE)
    if not len(kept):
        return None
    few = int(np.count_nonzero(kept < len(numbers)))
    X, counts, slopes = X[kept], counts[kept], 1 / reaches[kept[:few]]
    covariance = whole * _covariance(X, counts, slopes)
    best = None
    for part in _NOISES:
        inverse = _inverse(covariance + np.diag(part * noise / weights))
        if inverse is None:
            continue
        factors = inverse @ y
        left = factors / np.diag(inverse)
        lost = np.average(left**2, weights=weights)
        if np.isfinite(lost) and (best is None or lost < best[0]):
            best = lost, factors, y - left
    if best is None:
        return None
    names = [chosen[i] for i in kept]
    return Process(
        numbers=names[:few],
        codes=names[few:],
        rows=X * units[kept].astype(np.float32)[:, None],
        counts=counts,
        slopes=slopes / units[kept[:few]],
        factors=whole * best[1],
        intercept=0.0,
        told=best[2],
    )


def _covariance(X: np.ndarray, counts: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Of rows of `X` (columns, n) with each other; numbers stand before codes."""
    found = np.ones((X.shape[1], X.shape[1]), dtype=np.float32)
    for column, own in enumerate(X):
        apart = np.abs(own[:, None] - own)
        if column < len(slopes):
            apart *= np.float32(-slopes[column])
            near = np.exp(apart, out=apart)
        else:
            near = (apart == 0).astype(np.float32)
        near *= np.float32(counts[column])
        near += 1
        found *= near
    return found.astype(np.float64)


def _inverse(matrix: np.ndarray) -> np.ndarray | None:
    """Of a positive definite matrix; None where it is not."""
    root, failed = lapack.dpotrf(matrix, lower=1)
    if failed:
        return None
    found, failed = lapack.dpotri(root, lower=1)
    if failed:
        return None
    return np.tril(found) + np.tril(found, -1).T


def _learned(X: np.ndarray, numbers: int, y: np.ndarray, weights: np.ndarray) -> tuple:
    """What columns count and reach, the noise, and the size of the whole."""
    columns, n = X.shape
    apart = np.abs(X[:, :, None] - X[:, None, :])
    same = apart[numbers:] == 0
    count = np.log(0.5 / np.sqrt(columns))
    start = np.concatenate(
        [np.full(columns, count), np.zeros(numbers), np.log([0.1, 0.5])]
    )
    reach = slice(columns, columns + numbers)

    def value(now: np.ndarray) -> tuple[float, np.ndarray]:
        noise, whole = np.exp(now[-2:])
        near = np.empty_like(apart)
        slopes = np.exp(-now[reach]).astype(np.float32)[:, None, None]
        np.exp(-apart[:numbers] * slopes, out=near[:numbers])
        near[numbers:] = same
        near *= np.exp(now[:columns]).astype(np.float32)[:, None, None]
        covariance = whole * np.prod(1 + near, axis=0).astype(np.float64)
        noises = noise / weights
        inverse = _inverse(covariance + np.diag(noises))
        if inverse is None:
            return 1e10, np.zeros_like(now)
        factors = inverse @ y
        sign, size = np.linalg.slogdet(inverse)
        if not sign > 0:
            return 1e10, np.zeros_like(now)
        sloped = 0.5 * (inverse - np.outer(factors, factors))
        inner = (sloped * covariance).astype(np.float32)
        parts = near / (1 + near)
        parts *= inner
        slope = np.empty_like(now)
        slope[:columns] = parts.sum(axis=(1, 2))
        parts[:numbers] *= apart[:numbers]
        slope[reach] = (parts[:numbers].sum(axis=(1, 2))) * slopes[:, 0, 0]
        slope[-2] = np.diag(sloped) @ noises
        slope[-1] = inner.sum(dtype=np.float64)
        total = 0.5 * (y @ factors - size)
        for part, centre, strength in (
            (slice(0, columns), count, _COUNT_PRIOR),
            (reach, 0.0, _REACH_PRIOR),
        ):
            total += strength * np.sum((now[part] - centre) ** 2)
            slope[part] += 2 * strength * (now[part] - centre)
        return total / n, slope / n

    bounds = [_BOUNDS[0]] * columns + [_BOUNDS[1]] * numbers + list(_BOUNDS[2:])
    options = {"maxiter": _STEPS}
    told = minimize(
        value, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    found = np.exp(told.x)
    reaches = np.append(found[reach], np.ones(columns - numbers))
    return found[:columns], reaches, found[-2], found[-1]
