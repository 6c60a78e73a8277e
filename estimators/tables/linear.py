"""The linear model beside an ensemble of networks: its columns, found by folds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from slimlearn.backend.coded import Coded
from slimlearn.estimators.tables.members import (
    Layout,
    folds_of,
    most_numbers,
    telling,
)
from slimlearn.estimators.tables.numbers import unclipped
from slimlearn.estimators.tables.solved import (
    Basis,
    Model,
    classes_path,
    numbers_left_out,
    numbers_path,
    probabilities,
)

__all__ = ["Line", "line_of"]

_FOLDS = 5

# Deviations of what is lost by which a simpler model may be worse than the best one:
# where there are few rows, the best by them is best by chance.
_CHANCE = 0.5

# Rows whose deviations are summed together.
_ROWS = 256

# Numbers of rows that are looked at, but rows anyway: of a few MiB, and of more a part
# of all. Levels of codes that count.
_FEW, _FEW_ROWS = 600_000, 2000
_MANY, _MANY_ROWS, _PART = 150_000, 800, 30
_LEVELS = 64

# What is lost beside the least before, from which on weaker penalties are not tried.
_HOPELESS, _ROUNDING = 1.5, 1e-9

# Deviations by which a linear model is worse on the first fold than what networks lose
# there, from which on the others are not looked at: it will not count.
_NO_USE = 2.5

# Work of a decomposition beyond which only columns that tell are looked at.
_WORK = 2e9

_PATHS = {True: numbers_path, False: classes_path}


class Line(NamedTuple):
    """A linear model of encoded rows.

    Attributes
    ----------
    numbers : ndarray of shape (columns, outputs)
        Of the numbers before they were clipped, their scores, and the flags.
    levels : ndarray of shape (levels, outputs)
        Of the codes of all columns, one behind the other.
    intercept : ndarray of shape (outputs,)
    rows : index array
        Those that it was found by.
    told : ndarray of shape (rows, outputs or classes)
        What models of other folds say of them: numbers, or probabilities.
    """

    numbers: np.ndarray
    levels: np.ndarray
    intercept: np.ndarray
    rows: np.ndarray
    told: np.ndarray


class _Columns:
    """Columns of encoded rows that a linear model reads, numbers of deviation 1."""

    def __init__(self, Z: np.ndarray, layout: Layout, cardinalities, weights):
        p, dense = layout.numbers, Z.shape[1] - len(cardinalities)
        self.layout, self.dense = layout, dense
        self.starts = np.cumsum((0, *cardinalities))
        codes = Z[:, dense:].astype(np.intp) + self.starts[: len(cardinalities)]
        counts = np.bincount(codes.ravel(), minlength=self.starts[-1])
        often = np.argsort(-counts, kind="stable")[:_LEVELS]
        self.kept = np.sort(often[counts[often] > 1])
        self.X = np.empty((len(Z), dense + len(self.kept)), dtype=np.float32)
        X = self.X[:, :dense]
        X[...] = Z[:, :dense]
        X[:, :p] = unclipped(X[:, :p])
        share = weights / weights.sum()
        centre, variance = share @ X, 0.0
        for i in range(0, len(X), _ROWS):
            variance = (
                variance + share[i : i + _ROWS] @ (X[i : i + _ROWS] - centre) ** 2
            )
        deviation = np.sqrt(variance)
        self.units = np.where(deviation > 1e-9, deviation, 1.0)
        X /= self.units
        place = np.full(self.starts[-1], -1)
        place[self.kept] = np.arange(dense, self.X.shape[1])
        self.X[:, dense:] = 0.0
        for own in codes.T:
            there = np.flatnonzero(place[own] >= 0)
            self.X[there, place[own[there]]] = 1.0

    def candidates(self) -> list[str]:
        """What is tried, from the simplest on."""
        p, (rows, columns) = self.layout.numbers, self.X.shape
        if p > most_numbers(rows):
            few = min(rows, columns)
            return ["few", "numbers"] if few**2 * columns < _WORK else ["few"]
        return ["numbers", "both"] if p else ["numbers"]

    def chosen(self, candidate: str, training, targets, weights) -> np.ndarray:
        """Columns that a candidate reads, as some rows tell."""
        p = self.layout.numbers
        first, scores = np.arange(p), np.arange(p, 2 * p)
        rest = np.arange(2 * p, self.X.shape[1])
        if candidate == "few":
            most = most_numbers(len(training))
            found = self.X[training][:, p : 2 * p]
            first = np.array(telling(found, targets, weights, most), dtype=np.intp)
        parts = (first, scores, rest) if candidate == "both" else (first, rest)
        return np.concatenate(parts)

    def some(self, rows, chosen) -> np.ndarray:
        """Some columns of some rows."""
        return self.X[np.ix_(rows, chosen)].astype(np.float64)

    def line(self, model: Model, chosen, rows, told) -> Line:
        """The model as one of all columns in their own units."""
        whole = np.zeros((self.X.shape[1], len(model.intercept)))
        whole[chosen] = model.coefficients
        levels = np.zeros((self.starts[-1], whole.shape[1]))
        levels[self.kept] = whole[self.dense :]
        numbers = whole[: self.dense] / self.units[:, None]
        return Line(numbers, levels, model.intercept, rows, told)


def line_of(
    Z: Coded | np.ndarray,
    layout: Layout,
    cardinalities,
    targets: np.ndarray,
    weights: np.ndarray | None,
    index: np.ndarray,
    strata: np.ndarray | None,
    rng: np.random.Generator,
    regression: bool,
    others: Callable[[np.ndarray], np.ndarray] | None = None,
    fold: np.ndarray | None = None,
) -> Line | None:
    """The linear model that tells held-out rows best, or as well as is to be known.

    Parameters
    ----------
    Z : Coded or ndarray of float32
        Encoded rows.
    layout : Layout
    cardinalities : sequence of int
    targets : ndarray of shape (n, outputs)
        Numbers; of classes 1 where a row has it.
    weights : ndarray or None
    index : index array
        The rows that have weight.
    strata : ndarray of int or None
        What folds are to have alike.
    rng : Generator
    regression : bool
    others : callable or None
        Of some rows, the log losses of networks that did not see them, NaN where there
        are none: a linear model of classes that is much worse is not followed further.
    fold : ndarray of int or None
        That of each row among the networks', taken where they are no more than those of
        a linear model: what the first one tells is told of the same rows then.

    Returns
    -------
    Line or None
        None where it is much worse.
    """
    outputs = targets.shape[1]
    width = layout.width + min(sum(cardinalities), _LEVELS) + 8 * outputs
    most = max(_FEW // width, _FEW_ROWS)
    if isinstance(Z, Coded):
        most = max(_MANY, len(Z) * Z.shape[1] // _PART)
        most = max(most // width, _MANY_ROWS)
    if len(index) > most:
        index = np.sort(rng.choice(index, most, replace=False))
    targets = targets[index].astype(np.float64)
    unit, centre = 1.0, 0.0
    if regression:
        unit, centre = _scale(targets)
        targets = targets / unit - centre / unit
    weights = np.ones(len(index)) if weights is None else weights[index]
    strata = None if strata is None else strata[index]
    if fold is not None and fold.max(initial=0) < _FOLDS:
        fold = fold[index]
    else:
        fold = folds_of(strata, len(index), min(_FOLDS, len(index)), rng)
    # BLAS' threads would change bits.
    with threadpool_limits(1, "blas"):
        columns = _Columns(Z[index], layout, cardinalities, weights)
        others = None if others is None else others(index)
        line = _found(columns, targets, weights, fold, index, regression, others)
    if line is None or not regression:
        return line
    return Line(
        line.numbers * unit,
        line.levels * unit,
        line.intercept * unit + centre,
        index,
        line.told * unit + centre,
    )


def _scale(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations, or 1 where there are none, and middles, of numbers of any size."""
    low, high = targets.min(axis=0), targets.max(axis=0)
    half, centre = high / 2 - low / 2, high / 2 + low / 2
    half = np.where(half > 0, half, 1.0)
    deviation = (targets / half - centre / half).std(axis=0)
    return half * np.where(deviation > 0, deviation, 1.0), centre


class _Tried(NamedTuple):
    """A candidate at one penalty: its place in the path, and what it tells."""

    candidate: str
    place: int
    told: np.ndarray
    losses: np.ndarray


def _found(
    columns: _Columns, targets, weights, fold, index, regression: bool, others
) -> Line | None:
    """The simplest of those that are best, or so near that it may be chance."""
    candidates = columns.candidates()
    tried = [
        one
        for candidate in candidates
        for one in _followed(
            columns, candidate, targets, weights, fold, regression, others
        )
    ]
    seen = fold >= 0
    if seen.any() and not tried:
        return None
    if not seen.any():  # each row is the only one of its class
        tried = [_Tried(candidates[0], 0, np.full(targets.shape, np.nan), fold * 0.0)]
        seen = ~seen
    share = weights[seen] / weights[seen].sum()
    losses = np.array([one.losses[seen] for one in tried])
    means = losses @ share
    more = losses - losses[means.argmin()]
    apart = np.sqrt(((more - (more @ share)[:, None]) ** 2) @ share**2)
    near = np.flatnonzero(means <= means.min() + _CHANCE * apart)
    best = tried[min(near, key=lambda i: (tried[i].place, i))]
    every = np.arange(len(fold))
    chosen = columns.chosen(best.candidate, every, targets, weights)
    path = _PATHS[regression](Basis(columns.some(every, chosen), weights), targets)
    model = next(islice(path, best.place, None))
    return columns.line(model, chosen, index, best.told)


def _followed(
    columns, candidate, targets, weights, fold, regression, others
) -> list[_Tried]:
    """What a candidate tells of held-out rows, at all penalties; nothing if no use."""
    if regression and candidate != "few":  # others would choose other columns
        return _left_out(columns, candidate, targets, weights)
    told: list[np.ndarray] = []
    places = None
    for number in np.unique(fold[fold >= 0]):
        held, training = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        own, weight = targets[training], weights[training]
        chosen = columns.chosen(candidate, training, own, weight)
        path = None  # of the fold before, with its rows
        path = _PATHS[regression](Basis(columns.some(training, chosen), weight), own)
        X, least, best = columns.some(held, chosen), np.inf, None
        for place, model in enumerate(islice(path, places)):
            if place == len(told):
                told.append(np.full(targets.shape, np.nan))
            found = X @ model.coefficients + model.intercept
            told[place][held] = found if regression else probabilities(found)
            losses = _losses(told[place][held], targets[held], regression)
            lost = np.mean(losses)
            if lost < least:
                least, best = lost, losses
            if lost > _HOPELESS * least + _ROUNDING:
                places = place + 1
                break
        if number == 0 and others is not None and _worse(best - others[held]):
            return []
    return [
        _Tried(candidate, place, told, _losses(told, targets, regression))
        for place, told in enumerate(told[:places])
    ]


def _worse(more: np.ndarray) -> bool:
    """Whether what some rows lose more is no chance; NaN where it is not known."""
    more = more[np.isfinite(more)]
    return len(more) > 1 and more.mean() > _NO_USE * more.std() / np.sqrt(len(more))


def _left_out(columns, candidate, targets, weights) -> list[_Tried]:
    """`_followed`, where each row is told by all others."""
    every, tried, least = np.arange(len(targets)), [], np.inf
    chosen = columns.chosen(candidate, every, targets, weights)
    basis = Basis(columns.some(every, chosen), weights)
    for place, told in enumerate(numbers_left_out(basis, targets)):
        losses = _losses(told, targets, True)
        tried.append(_Tried(candidate, place, told, losses))
        least = min(least, np.mean(losses))
        if np.mean(losses) > _HOPELESS * least + _ROUNDING:
            break
    return tried


def _losses(told: np.ndarray, targets: np.ndarray, regression: bool) -> np.ndarray:
    """Of each row."""
    if regression:
        return np.mean((told - targets) ** 2, axis=1)
    return -np.log(np.maximum(np.sum(told * targets, axis=1), 1e-12))
