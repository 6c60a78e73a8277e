"""Columns of numbers: robust scale, normal scores, and the edges of bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from slimlearn.backend.engine.native import native

__all__ = [
    "CLIPPED_WIDE",
    "FAR",
    "Filler",
    "Numbers",
    "clipped",
    "robust_scale",
    "unclipped",
]

# A number beyond the outer edges counts as so many bins outwards at most.
_BEYOND = 3.0

# Beyond so many of its units a number is as far as it can be.
FAR = 1e6

# Units up to which what was clipped is told apart, and what they are when clipped.
WIDE = 30.0
CLIPPED_WIDE = WIDE / (1.0 + WIDE * WIDE / 9.0) ** 0.5


def clipped(scaled: np.ndarray) -> np.ndarray:
    """Numbers that end smoothly at -3 and 3."""
    near = np.minimum(np.maximum(scaled, -FAR), FAR)
    return near / np.sqrt(1.0 + near * near / 9.0)


def unclipped(robust: np.ndarray) -> np.ndarray:
    """What `clipped` was given, up to `WIDE` units."""
    near = np.clip(robust, -CLIPPED_WIDE, CLIPPED_WIDE)
    return near / np.sqrt(1.0 - near * near / 9.0)


def robust_scale(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The median, and 1 / the quartiles' distance: of half the range where that is 0.

    Parameters
    ----------
    values : ndarray
        Ascending, each once.
    weight : ndarray
        Of each.
    """
    with np.errstate(over="ignore"):
        median, low, high = _quantiles(values, weight, (0.5, 0.25, 0.75))
        unit = high - low or 0.5 * (values[-1] - values[0])
        return median, 1.0 / unit if unit else 0.0


def _quantiles(values, weight, levels) -> np.ndarray:
    """The least values that have so much of the weight below or at them."""
    total = np.cumsum(weight)
    at = np.searchsorted(total, np.asarray(levels) * total[-1])
    return values[np.minimum(at, len(values) - 1)]


class Numbers:
    """What is known of some columns of numbers, which all vary.

    Attributes
    ----------
    median, factor : ndarray of shape (columns,)
        Of the robust scale; the median stands for what is missing.
    starts : ndarray of shape (columns + 1,)
        Where each column's knots begin in `at`, `scores` and `slopes`.
    edges : list of ndarray
        Of the bins of each column's scores, ascending; two or more.
    """

    def __init__(self, quantiles: int, bins: int):
        self.quantiles, self.bins = quantiles, bins
        self._found: list[tuple] = []
        self.edges: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.median)

    def learn(self, column: np.ndarray, weights: np.ndarray | None) -> bool:
        """Take a column in, if it has two values or more that are finite.

        Parameters
        ----------
        column : ndarray of shape (n,)
        weights : ndarray of shape (n,) or None
            All above 0.
        """
        there = np.isfinite(column)
        column = np.asarray(column[there], dtype=np.float64)
        if weights is None:
            values, weight = np.unique(column, return_counts=True)
        else:
            values, which = np.unique(column, return_inverse=True)
            weight = np.bincount(which, weights[there], len(values))
        if len(values) < 2:
            return False
        total = np.cumsum(weight, dtype=np.float64)
        # A value's rank is the middle of those of its rows.
        scores = ndtri((total - 0.5 * weight) / total[-1])
        edges = _quantiles(scores, weight, np.linspace(0, 1, self.bins + 1))
        self.edges.append(np.unique(edges))
        median, factor = robust_scale(values, weight)
        if len(values) > self.quantiles:
            some = np.linspace(0, 1, self.quantiles) * total[-1]
            some = np.unique(np.searchsorted(total, some).clip(0, len(values) - 1))
            some = np.union1d(some, [0, len(values) - 1])
            values, scores = values[some], scores[some]
        self._found.append((median, factor, values, scores))
        return True

    def conclude(self) -> None:
        """Make arrays of what was learned of all columns."""
        found, self._found = self._found, []
        self.median = np.array([row[0] for row in found], dtype=np.float64)
        self.factor = np.array([row[1] for row in found], dtype=np.float64)
        sizes = [len(row[2]) for row in found]
        self.starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        self.at = np.concatenate([row[2] for row in found] or [np.zeros(0)])
        self.scores = np.concatenate([row[3] for row in found] or [np.zeros(0)])
        slopes = np.zeros_like(self.at)
        with np.errstate(over="ignore"):
            steps = np.diff(self.at)
            steps[self.starts[1:-1] - 1] = 1.0
            if len(slopes):
                slopes[:-1] = np.diff(self.scores) / steps
        slopes[self.starts[1:] - 1] = 0.0
        self.slopes = slopes

    def width(self, view: str) -> int:
        """Columns that a view has."""
        if view != "bins":
            return len(self)
        return sum(len(edges) - 1 for edges in self.edges)

    def filler(self, places: Sequence[int], flagged: Sequence = ()) -> Filler:
        """What writes them where they are read from these places of a matrix.

        Parameters
        ----------
        places : sequence of int
        flagged : sequence of MeasuredColumn
            Columns that tell where they are missing.
        """
        return Filler(self, list(places), flagged)

    def binned(self, scores: np.ndarray) -> np.ndarray:
        """Each of the normal scores in its column's bins."""
        parts = zip(scores.T, self.edges)
        return np.concatenate([_piecewise(s[:, None], e) for s, e in parts], axis=1)


def _piecewise(score: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The place of each score in each bin, from 0 before it to 1 behind it.

    The outer bins are open.
    """
    place = (score - edges[:-1]) / np.diff(edges)
    low, high = np.zeros(len(edges) - 1), np.ones(len(edges) - 1)
    low[0], high[-1] = -_BEYOND, _BEYOND
    return np.clip(place, low, high)


class Filler:
    """Writes views of numbers, and what tells where they are missing.

    Parameters
    ----------
    numbers : Numbers
    places : list of int
        Of each of the numbers among the columns of a matrix.
    flagged : sequence of MeasuredColumn
        Columns of the matrix that tell where they are missing, one behind the other.
    """

    def __init__(self, numbers: Numbers, places: list[int], flagged: Sequence):
        self._numbers, self._places = numbers, places
        self._missing = [column.position for column in flagged]
        self._flags = [end for column in flagged for end in column.flag]
        self._views = None
        self._places_of: dict[tuple[str, ...], tuple[int, int, int, int]] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_views": None}

    def __call__(self, matrix: np.ndarray, out: np.ndarray, views) -> None:
        """Write the views to the first columns of `out`, and the flags behind them.

        Parameters
        ----------
        matrix : ndarray of float32 or float64
        out : ndarray of float32
        views : sequence of str
        """
        fill, views = (self._views or self._bind()).fill, tuple(views)
        places = self._places_of.get(views)
        if places is None:
            places = self._places_of[views] = self._found_places(views)
        *most, bins = places
        fill(matrix, out, *most)
        if bins >= 0:
            scores = np.empty((len(out), len(self._numbers)), dtype=np.float32)
            fill(matrix, scores, -1, 0, -1)
            binned = self._numbers.binned(scores.astype(np.float64))
            out[:, bins : bins + binned.shape[1]] = binned

    def _found_places(self, views: tuple[str, ...]) -> tuple[int, int, int, int]:
        """Where robust numbers, scores, flags and bins begin; -1: nowhere."""
        at, width = {"robust": -1, "scores": -1, "bins": -1}, 0
        for view in views:
            at[view], width = width, width + self._numbers.width(view)
        return at["robust"], at["scores"], width, at["bins"]

    def code(self, column: np.ndarray, out: np.ndarray, number: int, parts: int):
        """Write a number's places among its knots, in parts of the way to the next.

        Parameters
        ----------
        column : ndarray of shape (n,)
        out : ndarray of uint16, (n,)
        number : int
        parts : int
            Behind the last knot stand what is infinitely large, what is infinitely
            small, and what is missing.
        """
        (self._views or self._bind()).code(column, out, number, parts)

    def _bind(self):
        n = self._numbers
        self._views = native.NumberViews(
            *(self._places, n.median, n.factor, n.starts, n.at, n.scores, n.slopes),
            *(self._missing, self._flags),
        )
        return self._views
