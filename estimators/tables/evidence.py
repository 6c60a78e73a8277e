"""What a Gaussian process finds in some rows: what columns count, by their evidence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.optimize import minimize

from slimlearn.estimators.tables.closeness import CLOSENESSES, ROUGH

__all__ = ["Evidence", "learned"]

# Bounds of the logarithms of what columns count, reach, noise and the whole; strengths
# of their priors. Noise is no less, so that float32 is enough.
_BOUNDS = ((-9.0, 3.0), (-2.5, 4.0), (-5.0, 2.0), (-9.0, 4.0))
_COUNT_PRIOR, _REACH_PRIOR = 0.02, 0.5

# Of L-BFGS, by the first rows of several blocks and then by all; columns that count
# less by the first are left out of the rest.
_FIRST_ROWS, _FIRST_STEPS, _STEPS, _LITTLE = 100, 10, 10, 0.003

# Steps by all rows and columns, where time is given: a smooth function of some columns
# is found late.
_MANY_STEPS = 25


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


def learned(
    blocks: list[tuple],
    numbers: int,
    closeness: str,
    thorough: bool,
    start: Evidence | None = None,
) -> Evidence:
    """Find what columns count and reach, the noise, and the size of the whole.

    Parameters
    ----------
    blocks : list of tuple of ndarray
        Rows that are looked at together: their columns (columns, n) in float32, numbers
        of deviation 1 and behind them codes; their y (n, outputs) and weights (n,).
        What makes all blocks most likely, each for itself, is found.
    numbers : int
        How many of the columns are.
    closeness : str
        Of numbers, by its name in `CLOSENESSES`.
    thorough : bool
        Whether to take more steps, all of them by all rows and columns.
    start : Evidence or None
        What another closeness found in rows like these, from which few steps lead on.
    """
    columns = len(blocks[0][0])
    centre = np.log(0.5 / np.sqrt(columns))
    kept, found = np.arange(columns), np.zeros(columns + numbers + 2)
    found[:columns], found[-2:] = centre, np.log([0.1, 0.5])
    steps = _MANY_STEPS if thorough else _FIRST_STEPS + _STEPS
    if start is not None:
        steps, kept = _STEPS, np.flatnonzero(start.counts > 0)
        reaches = start.reaches[kept[kept < numbers]]
        numbers = len(reaches)
        beside = start.noise, start.whole
        found = np.log(np.concatenate((start.counts[kept], reaches, beside)))
    elif len(blocks) > 1 and not thorough:
        first = [
            (X[:, :_FIRST_ROWS], y[:_FIRST_ROWS], weights[:_FIRST_ROWS])
            for X, y, weights in blocks
        ]
        more = centre, closeness, _FIRST_STEPS
        found = _most_likely(first, numbers, found, *more)
        steps = _STEPS
        counting = found[:columns] > np.log(_LITTLE)
        if counting.any():
            kept, reaching = np.flatnonzero(counting), counting[:numbers]
            found = found[np.concatenate((counting, reaching, [True, True]))]
            numbers = int(np.count_nonzero(reaching))
    blocks = [(X[kept], y, w) for X, y, w in blocks]
    more = centre, closeness, steps
    found = np.exp(_most_likely(blocks, numbers, found, *more))
    counts, reaches = np.zeros(columns), np.ones(columns)
    counts[kept] = found[: len(kept)]
    reaches[kept[:numbers]] = found[len(kept) : -2]
    return Evidence(counts, reaches, float(found[-2]), float(found[-1]))


def _most_likely(
    blocks, numbers: int, start, centre: float, closeness: str, steps: int
) -> np.ndarray:
    """Logarithms of counts, reaches, noise and the whole, some steps on from others."""
    parts = [_Block(*block, numbers, closeness) for block in blocks]
    columns = len(blocks[0][0])
    rows = sum(len(y) for _, y, _ in blocks)
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
    return minimize(
        value,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": steps},
    ).x


class _Block:
    """Rows whose evidence is asked for again and again."""

    def __init__(self, X, y, weights, numbers: int, closeness: str):
        self.closeness = CLOSENESSES[closeness]
        # Of smooth functions float32 would find no root.
        kind = np.float32 if closeness == ROUGH else np.float64
        self.y, self.weights, self.numbers = y.astype(kind), weights, numbers
        self.matrix = np.zeros((len(y), len(y)), dtype=kind)
        names = ("potrf", "potrs", "potri")
        self.solvers = get_lapack_funcs(names, (self.matrix,))
        # Of each pair of rows once: the matrices are symmetric.
        one, other = np.tril_indices(len(y), -1)
        self.places = one * len(y) + other
        # Columns of pairs lie in one piece each, as those of X[:, one] would not.
        self.apart = np.abs(X.take(one, axis=1) - X.take(other, axis=1))
        self.same = (self.apart[numbers:] == 0).astype(np.float32)
        self.near = np.empty_like(self.apart)
        self.room = np.empty(len(one), dtype=np.float32)

    def __call__(self, counts, slopes, noise: float, whole: float):
        """How unlikely they are, and its slope by the logarithms; None if undefined."""
        room, numbers = self.room, self.numbers
        pairs = np.full(len(room), whole, dtype=np.float32)
        for column, own in enumerate(self.near):
            count = np.float32(counts[column])
            if column < numbers:
                self.closeness.near(self.apart[column], slopes[column], own)
                own *= count
            else:
                np.multiply(self.same[column - numbers], count, out=own)
            pairs *= np.add(own, 1, out=room)
        itself, noises = whole * np.prod(1 + counts), noise / self.weights
        # Below the diagonal and on it; of its transpose, as LAPACK takes it, above.
        np.put(self.matrix, self.places, pairs)
        np.fill_diagonal(self.matrix, itself + noises)
        rooted, solved, inverted = self.solvers
        root, failed = rooted(self.matrix.T, clean=0, overwrite_a=1)
        if failed:
            return None
        factors, _ = solved(root, self.y)
        size = 2 * np.sum(np.log(np.diag(root)), dtype=np.float64)
        inverse, failed = inverted(root, overwrite_c=1)
        if failed:
            return None
        outputs = self.y.shape[1]
        # What the loss gains by a covariance.
        sloped = outputs * inverse.T - factors @ factors.T
        alone = 0.5 * np.diag(sloped).astype(np.float64)
        inner = np.take(sloped, self.places).astype(np.float32, copy=False) * pairs
        columns = len(counts)
        slope = np.empty(columns + numbers + 2)
        for column, own in enumerate(self.near):
            own /= np.add(own, 1, out=room)
            own *= inner
            slope[column] = own.sum()
            if column < numbers:
                drawn = self.closeness.drawn(own, self.apart[column], slopes[column])
                slope[columns + column] = drawn
        slope[:columns] += np.sum(alone) * itself * counts / (1 + counts)
        slope[-2] = alone @ noises
        slope[-1] = inner.sum(dtype=np.float64) + np.sum(alone) * itself
        lost = np.sum(self.y * factors, dtype=np.float64) + outputs * size
        return 0.5 * lost, slope
