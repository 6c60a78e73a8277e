"""A Gaussian process beside an ensemble: few rows are told by those that are near."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from slimlearn.backend.coded import Coded
from slimlearn.estimators.tables.closeness import CLOSENESSES, ROUGH
from slimlearn.estimators.tables.evidence import Evidence, learned
from slimlearn.estimators.tables.members import Layout, telling
from slimlearn.estimators.tables.temperature import best_temperature

__all__ = ["FEWEST_ROWS", "Process", "process_of", "sharpened"]

# Rows for which it is solved.
FEWEST_ROWS = 50

# Columns that it reads, and the numbers among them at least; about the rows of a block
# by which it finds what columns count and reach, and blocks at most; rows whose
# covariances are computed at a time. Where time is given, blocks have more rows.
_COLUMNS, _FEWEST_NUMBERS = 40, 4
_LOOKED_AT, _BLOCKS, _ROWS = 300, 3, 32
_LOOKED_AT_MORE = 400

# Columns that count less are left out.
_LITTLE = 0.01

# Beside the mean: the noise of a row is that of all by its weight.
_LEAST_WEIGHT = 1e-6

# Of noise, as found by the blocks; so many rows say which is best.
_NOISES, _TRIED = (0.5, 1.0, 2.0), 1000

# What a told share of a class is multiplied by before a temperature makes logits of it.
_SHARPNESS = 4.5


class Process(NamedTuple):
    """A Gaussian process of encoded rows.

    The covariance of two rows is the product of 1 + count × closeness over columns,
    which is one of `CLOSENESSES` of |a - b| / reach of numbers, as exp(-|a - b| /
    reach), and of codes whether they are the same: columns add what they tell alone, in
    pairs, and so on.

    Attributes
    ----------
    numbers, codes : list of int
        Columns of encoded rows.
    rows : ndarray of shape (columns, n)
        What the rows of fit have in these.
    counts : ndarray of shape (columns,)
    slopes : ndarray of shape (numbers,)
        1 / reach.
    factors : ndarray of shape (n, outputs)
        Of the covariance with each row.
    intercept : ndarray of shape (outputs,)
    told : ndarray of shape (n, outputs)
        What each row is told to be by all others.
    closeness : str
    evidence : Evidence
        Of the columns that were looked at, in units of their own.
    """

    numbers: list[int]
    codes: list[int]
    rows: np.ndarray
    counts: np.ndarray
    slopes: np.ndarray
    factors: np.ndarray
    intercept: np.ndarray
    told: np.ndarray
    closeness: str
    evidence: Evidence


def process_of(
    Z: Coded | np.ndarray,
    layout: Layout,
    targets: np.ndarray,
    weights: np.ndarray | None,
    index: np.ndarray,
    rng: np.random.Generator,
    closeness: str = ROUGH,
    thorough: bool = False,
    start: Evidence | None = None,
) -> Process | None:
    """The process whose evidence is largest, by some of the rows.

    Parameters
    ----------
    Z : Coded or ndarray of float32
        Encoded rows.
    layout : Layout
    targets : ndarray of shape (n, outputs)
    weights : ndarray or None
    index : index array
        The rows that have weight.
    rng : Generator
    closeness : str
        Of numbers, by its name in `CLOSENESSES`.
    thorough : bool
        Whether to take longer for what columns count and reach.
    start : Evidence or None
        What a process of another closeness found.

    Returns
    -------
    Process or None
        None where y or all columns are constant, or no column counts.

    References
    ----------
    Duvenaud, Nickisch and Rasmussen, "Additive Gaussian processes", 2011.
    """
    rows, y = Z[index], targets[index].astype(np.float64)
    unit = np.max(y.max(axis=0) / 2 - y.min(axis=0) / 2)
    if not unit > 0:
        return None
    y = y / unit
    middle = y.mean(axis=0)
    deviation = np.sqrt(y.var(axis=0).mean())
    y = (y - middle) / deviation
    weights = np.ones(len(y)) if weights is None else weights[index] / 1.0
    weights = np.maximum(weights / weights.mean(), _LEAST_WEIGHT)
    with threadpool_limits(1, "blas"):  # its threads would change bits
        more = rng, closeness, thorough, start
        found = _solved(rows, layout, y, weights, *more)
    if found is None:
        return None
    size = unit * deviation
    return found._replace(
        factors=found.factors * size,
        intercept=middle * unit,
        told=found.told * size + middle * unit,
    )


def _solved(
    rows, layout: Layout, y, weights, rng, closeness: str, thorough: bool, start
) -> Process | None:
    first, end = layout.scores.start, layout.width
    deviation = rows[:, first:end].astype(np.float64).std(axis=0)
    there = first + np.flatnonzero(deviation > 1e-6)
    codes = list(range(end, rows.shape[1]))[:_COLUMNS]
    most = max(_COLUMNS - len(codes), _FEWEST_NUMBERS)
    numbers = np.zeros(0, dtype=np.intp)
    if len(there):
        best = telling(rows[:, there], y, weights, most)
        numbers = there[best]
    if not len(numbers) + len(codes):
        return None
    # Reaches are of deviations.
    units = np.append(deviation[numbers - first], np.ones(len(codes)))
    chosen = [*numbers.tolist(), *codes]
    X = np.ascontiguousarray((rows[:, chosen] / units).T, dtype=np.float32)
    order = rng.permutation(len(y))
    looked_at = _LOOKED_AT_MORE if thorough else _LOOKED_AT
    count = min(_BLOCKS, max(round(len(y) / looked_at), 1))
    blocks = np.array_split(order[: _BLOCKS * looked_at], count)
    blocks = [(X[:, some], y[some], weights[some]) for some in blocks]
    found = learned(blocks, len(numbers), closeness, thorough, start)
    kept = np.flatnonzero(found.counts > _LITTLE)
    if not len(kept):
        return None
    few = int(np.count_nonzero(kept < len(numbers)))
    X, counts, slopes = X[kept], found.counts[kept], 1 / found.reaches[kept[:few]]
    covariance = _covariance(X, counts, slopes, closeness)
    covariance *= np.float32(found.whole)
    if closeness != ROUGH:
        covariance = covariance.astype(np.float64)
    some = order[:_TRIED]
    tried = covariance[np.ix_(some, some)], y[some], weights[some]
    lost = [_left_out(*tried, part * found.noise).lost for part in _NOISES]
    made = _left_out(covariance, y, weights, _NOISES[np.argmin(lost)] * found.noise)
    if not np.isfinite(made.lost):
        return None
    names = [chosen[i] for i in kept]
    return Process(
        numbers=names[:few],
        codes=names[few:],
        rows=X * units[kept].astype(np.float32)[:, None],
        counts=counts,
        slopes=slopes / units[kept[:few]],
        factors=found.whole * made.factors,
        intercept=np.zeros(y.shape[1]),
        told=made.told,
        closeness=closeness,
        evidence=found,
    )


class _LeftOut(NamedTuple):
    """What rows are told to be by all others, and how much amiss."""

    lost: float
    factors: np.ndarray
    told: np.ndarray


def _left_out(covariance, y, weights, noise: float) -> _LeftOut:
    matrix = covariance.copy()
    matrix.flat[:: len(y) + 1] += noise / weights
    names = ("potrf", "potrs", "trtri")
    rooted, solved, inverted = get_lapack_funcs(names, (matrix,))
    root, failed = rooted(matrix.T, overwrite_a=1)
    if failed:
        return _LeftOut(np.inf, y, y)
    factors, _ = solved(root, y)
    # Of the inverse only the diagonal is asked for: the squares of a triangle's rows.
    inverse, failed = inverted(root, overwrite_c=1)
    if failed:
        return _LeftOut(np.inf, y, y)
    factors = factors.astype(np.float64)
    left = factors / np.einsum("ij,ij->i", inverse, inverse)[:, None]
    lost = np.sum(weights @ left**2)
    return _LeftOut(lost if np.isfinite(lost) else np.inf, factors, y - left)


def _covariance(X, counts, slopes, closeness: str) -> np.ndarray:
    """Of rows of `X` (columns, n) with each other; numbers stand before codes."""
    n, near_of = X.shape[1], CLOSENESSES[closeness].near
    found = np.empty((n, n), dtype=np.float32)
    for begin in range(0, n, _ROWS):
        end = min(begin + _ROWS, n)
        part = np.ones((end - begin, end), dtype=np.float32)
        for column, own in enumerate(X):
            near = own[begin:end, None] - own[:end]
            if column < len(slopes):
                near_of(np.abs(near, out=near), slopes[column], near)
            else:
                near = (near == 0).astype(np.float32)
            near *= np.float32(counts[column])
            near += 1
            part *= near
        found[begin:end, :end] = part
        found[:begin, begin:end] = part[:, :begin].T
    return found


def sharpened(process: Process, codes: np.ndarray, weights) -> Process:
    """One that tells logits of classes, and of each row of fit its probabilities.

    Parameters
    ----------
    process : Process
        Of the shares of classes, 1 where a row has it; of two classes the second's.
    codes : ndarray of int, (n,)
        The classes of the rows of fit.
    weights : ndarray or None
        Of these rows.
    """
    two = process.told.shape[1] == 1
    told = process.told
    if two:
        told = np.concatenate((1 - told, told), axis=1)
    found = softmax(_SHARPNESS * told, axis=1)
    sharp = _SHARPNESS / best_temperature(found, codes, weights)
    factors, intercept = process.factors * sharp, process.intercept * sharp
    if two:
        factors, intercept = 2 * factors, 2 * intercept - sharp
    return process._replace(
        factors=factors, intercept=intercept, told=softmax(sharp * told, axis=1)
    )
