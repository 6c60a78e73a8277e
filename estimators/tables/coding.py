"""Rows of a table as codes of 16 bits, in which a fit holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from slimlearn.backend.coded import Coded
from slimlearn.estimators.tables.columns import Column, MeasuredColumn
from slimlearn.estimators.tables.encoding import Encoding
from slimlearn.estimators.tables.numbers import clipped
from slimlearn.estimators.tables.table import Table

__all__ = ["code_rows"]

# Parts of the way from one knot of a number to the next, in bits, and the codes that
# there are. Behind the knots stand what is infinitely large, and small, and missing.
_BITS, _CODES, _BESIDE = 6, 2**16, 3

# Codes up to which columns of levels share one.
_TOGETHER = 1024

# Bytes of rows up to which they are not coded.
_FEW = 2**23

# Rows of an array whose columns are read together.
_ROWS = 4096


def code_rows(
    encoding: Encoding, table: Table, views: Sequence[str]
) -> Coded | np.ndarray:
    """The rows that `encoding` encodes, as codes where they are many.

    A number is the place among its knots, and in 64ths of the way to the next one: as
    exact as it is encoded where a column has no more values than knots. What tells that
    it is missing is read from the same code. Columns of few levels share a code.

    Parameters
    ----------
    encoding : Encoding
    table : Table
        The rows of fit.
    views : sequence of str
        "robust" and "scores".

    Returns
    -------
    Coded, or ndarray of float32: of a few MiB, which are read faster, and where a
    column has too many levels or knots for 16 bits
    """
    if 4 * table.shape[0] * encoding.width(views) <= _FEW:
        return encoding.encode(table, views)
    numbers = encoding.numbers
    knots = np.diff(numbers.starts)
    widest = max([0, *((knots + _BESIDE) << _BITS), *encoding.cardinalities])
    if widest > _CODES:
        return encoding.encode(table, views)
    groups = _grouped(_leveled(encoding))
    codes = np.zeros((table.shape[0], len(numbers) + len(groups)), dtype=np.uint16)
    if encoding.plain and table.matrix is not None:
        for begin in range(0, len(codes), _ROWS):
            some = slice(begin, begin + _ROWS)
            part = Table(table.matrix[some], table.names)
            _code_numbers(encoding, part, codes[some])
    else:
        _code_numbers(encoding, table, codes)
    for at, group in enumerate(groups, len(numbers)):
        for levels, stride in zip(group, _strides(group)):
            own = levels.codes(table.column(levels.column.position))
            codes[:, at] += (own * stride).astype(np.uint16)
    return Coded(codes, *_Curves(encoding, views, groups).concluded())


def _code_numbers(encoding: Encoding, table: Table, codes: np.ndarray) -> None:
    """Write the codes of numbers and dates."""
    number = 0
    for column in encoding.measured:
        if not column.width:
            continue
        for _, values in column.parts(table.column(column.position)):
            encoding.fill_block.code(values, codes[:, number], number, 1 << _BITS)
            number += 1


class _Levels(NamedTuple):
    """A column of levels, or of numbers that tells nothing but where it is missing.

    Attributes
    ----------
    column : Column
    codes : callable
        Of what is read of it.
    curves : list of ndarray
        What each of its columns of encoded rows is, by code.
    """

    column: Column
    codes: Callable
    curves: list[np.ndarray]

    @property
    def count(self) -> int:
        return len(self.curves[0])


def _leveled(encoding: Encoding) -> list[_Levels]:
    """Columns that have codes of their own, beside numbers."""
    found = [_Levels(c, c.codes, list(c.table.T)) for c in encoding.leveled]
    found += [_flag(c) for c in encoding.flagged if not c.width]
    pairs = zip(encoding.coded, encoding.cardinalities)
    return found + [_Levels(c, c.codes, [np.arange(count)]) for c, count in pairs]


def _flag(column: MeasuredColumn) -> _Levels:
    def codes(raw) -> np.ndarray:
        return np.isnan(column.parts(raw)[0][1]).astype(np.intp)

    return _Levels(column, codes, [np.array(column.flag)])


def _grouped(columns: list[_Levels]) -> list[list[_Levels]]:
    """Columns that share a code, those of the fewest levels first."""
    groups: list[list[_Levels]] = []
    count = 0
    for levels in sorted(columns, key=lambda levels: levels.count):
        count *= levels.count
        if not groups or count > _TOGETHER:
            groups.append([])
            count = levels.count
        groups[-1].append(levels)
    return groups


def _strides(group: list[_Levels]) -> list[int]:
    """What a code is multiplied by in the shared one."""
    return np.cumprod([1, *(levels.count for levels in group[:-1])]).tolist()


def _shared(groups: list[list[_Levels]], begin: int) -> dict[int, tuple]:
    """The place of the shared code, and the curves by it, by the columns' positions."""
    found = {}
    for at, group in enumerate(groups, begin):
        whole = np.arange(np.prod([levels.count for levels in group]))
        for levels, stride in zip(group, _strides(group)):
            own = whole // stride % levels.count
            found[levels.column.position] = at, [c[own] for c in levels.curves]
    return found


class _Curves:
    """What codes stand for: a row of (column, begin, bits) for each number."""

    def __init__(self, encoding: Encoding, views: Sequence[str], groups: list):
        self._knots: list[np.ndarray] = []
        self._rows: list[tuple[int, int, int]] = []
        self._at = 0
        numbers = encoding.numbers
        for view in views:
            for i in range(len(numbers)):
                self._add(i, _curve(numbers, i, view), _BITS)
        shared = _shared(groups, len(numbers))
        first = np.cumsum([0, *(column.width for column in encoding.measured)])
        place = {c.position: i for c, i in zip(encoding.measured, first.tolist())}
        for column in (*encoding.leveled, *encoding.flagged, *encoding.coded):
            at, curves = shared.get(column.position, (None, ()))
            for curve in curves:
                self._add(at, curve, 0)
            if at is None:
                i, (there, gone) = place[column.position], column.flag
                knots = numbers.starts[i + 1] - numbers.starts[i]
                self._add(i, [there] * (knots + _BESIDE - 1) + [gone], _BITS)

    def _add(self, column: int, knots, bits: int) -> None:
        self._rows.append((column, self._at, bits))
        self._knots.append(np.asarray(knots, dtype=np.float32))
        self._at += len(knots)

    def concluded(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers, and the knots of all."""
        knots = np.concatenate([*self._knots, np.zeros(1, dtype=np.float32)])
        return np.array(self._rows, dtype=np.int64).reshape(-1, 3), knots


def _curve(numbers, i: int, view: str) -> np.ndarray:
    """A view of a number at its knots, and of what stands behind them."""
    own = slice(numbers.starts[i], numbers.starts[i + 1])
    at, median = numbers.at[own], numbers.median[i]
    if view == "scores":
        scores = numbers.scores[own]
        known = np.searchsorted(at, median, side="right") - 1
        with np.errstate(over="ignore"):
            beyond = min(median - at[known], np.finfo(np.float64).max)
        middle = scores[known] + beyond * numbers.slopes[own][known]
        return np.append(scores, (scores[-1], scores[0], middle))
    with np.errstate(over="ignore"):
        at = (at - median) * numbers.factor[i]
    return clipped(np.append(at, (np.inf, -np.inf, 0.0)))
