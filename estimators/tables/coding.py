"""Rows of a table as codes of 16 bits, in which a fit holds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimlearn.backend.coded import Coded
from slimlearn.estimators.tables.encoding import Encoding
from slimlearn.estimators.tables.numbers import clipped
from slimlearn.estimators.tables.table import Table

__all__ = ["code_rows"]

# Parts of the way from one knot of a number to the next, in bits, and the codes that
# there are.
_BITS, _CODES = 6, 2**16

# Bytes of rows up to which they are not coded.
_FEW = 2**23

# Rows of an array whose columns are read together.
_ROWS = 4096


def code_rows(
    encoding: Encoding, table: Table, views: Sequence[str]
) -> Coded | np.ndarray:
    """The rows that `encoding` encodes, as codes where they are many.

    A number is the place among its knots, and in 64ths of the way to the next one: as
    exact as it is encoded where a column has no more values than knots.

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
    widest = max([0, *((knots + 2) << _BITS), *encoding.cardinalities])
    if widest > _CODES:
        return encoding.encode(table, views)
    curves = _Curves(encoding, views)
    codes = np.empty((table.shape[0], curves.columns), dtype=np.uint16)
    if encoding.plain and table.matrix is not None:
        for begin in range(0, len(codes), _ROWS):
            some = slice(begin, begin + _ROWS)
            part = Table(table.matrix[some], table.names)
            _code_measured(encoding, part, codes[some])
    else:
        _code_measured(encoding, table, codes)
    at = len(numbers) + len(encoding.flagged)
    for i, column in enumerate((*encoding.leveled, *encoding.coded), at):
        codes[:, i] = column.codes(table.column(column.position))
    return Coded(codes, *curves.concluded())


def _code_measured(encoding: Encoding, table: Table, codes: np.ndarray) -> None:
    """Write the codes of numbers and dates, and then of what is missing."""
    number, flag = 0, len(encoding.numbers)
    for column in encoding.measured:
        parts = [values for _, values in column.parts(table.column(column.position))]
        if column.flag is not None:
            codes[:, flag] = np.isnan(parts[0])
            flag += 1
        for values in parts if column.width else ():
            encoding.fill_block.code(values, codes[:, number], number, 1 << _BITS)
            number += 1


class _Curves:
    """What codes stand for: a row of (column, begin, bits) for each number."""

    def __init__(self, encoding: Encoding, views: Sequence[str]):
        self._knots: list[np.ndarray] = []
        self._rows: list[tuple[int, int, int]] = []
        self._at = 0
        numbers, column = encoding.numbers, len(encoding.numbers)
        flags = column + len(encoding.flagged)
        for view in views:
            for i in range(len(numbers)):
                self._add(i, _curve(numbers, i, view), _BITS)
        for i, leveled in enumerate(encoding.leveled, flags):
            for levels in leveled.table.T:
                self._add(i, levels, 0)
        for i, flagged in enumerate(encoding.flagged, column):
            self._add(i, flagged.flag, 0)
        coded = flags + len(encoding.leveled)
        for i, count in enumerate(encoding.cardinalities, coded):
            self._add(i, np.arange(count), 0)
        self.columns = coded + len(encoding.coded)

    def _add(self, column: int, knots, bits: int) -> None:
        self._rows.append((column, self._at, bits))
        self._knots.append(np.asarray(knots, dtype=np.float32))
        self._at += len(knots)

    def concluded(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers, and the knots of all."""
        knots = np.concatenate([*self._knots, np.zeros(1, dtype=np.float32)])
        return np.array(self._rows, dtype=np.int64).reshape(-1, 3), knots


def _curve(numbers, i: int, view: str) -> np.ndarray:
    """A view of a number at its knots, and of what is infinitely large, and small."""
    own = slice(numbers.starts[i], numbers.starts[i + 1])
    if view == "scores":
        scores = numbers.scores[own]
        return np.append(scores, (scores[-1], scores[0]))
    with np.errstate(over="ignore"):
        at = (numbers.at[own] - numbers.median[i]) * numbers.factor[i]
    return clipped(np.append(at, (np.inf, -np.inf)))
