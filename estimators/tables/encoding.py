"""Rows of a table as numbers, by what was learned of its columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimlearn.estimators.tables.columns import (
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    UnreadColumn,
)
from slimlearn.estimators.tables.facts import Facts
from slimlearn.estimators.tables.numbers import Numbers
from slimlearn.estimators.tables.quick import QuickRows
from slimlearn.estimators.tables.table import Table

__all__ = ["Encoding"]

# Rows of a frame whose numbers are brought together at a time.
_ROWS = 4096


class Encoding:
    """What was learned of columns; it encodes rows.

    The views of numbers come first, then columns of levels, columns that tell what is
    missing, and codes.

    Parameters
    ----------
    columns : list of Column
    numbers : Numbers
        Of the columns of numbers and dates.
    named : list or None
        The columns' names, where they have names.

    Attributes
    ----------
    measured, leveled, coded, flagged : list of Column
        Columns of numbers and dates, of few levels, of more, and those that tell what
        is missing.
    plain : bool
        Whether all of an array is read as numbers.
    fill_matrix, fill_block : Filler
        Of X as a matrix, and of its numbers alone.
    quick : QuickRows
    """

    def __init__(self, columns: list[Column], numbers: Numbers, named: list | None):
        self.columns, self.numbers, self.named = columns, numbers, named
        read = [c for c in columns if not isinstance(c, UnreadColumn)]
        self.measured = [c for c in read if not isinstance(c, CategoryColumn)]
        categories = [c for c in read if isinstance(c, CategoryColumn)]
        self.leveled = [c for c in categories if c.table is not None]
        self.coded = [c for c in categories if c.table is None]
        self.flagged = [c for c in self.measured if c.flag is not None]
        self.plain = all(isinstance(c, NumberColumn) for c in read)
        places = [c.position for c in self.measured if c.width]
        self.fill_matrix = numbers.filler(places, self.flagged)
        self.fill_block = numbers.filler(range(len(numbers)))
        self._widths: dict[tuple[str, ...], int] = {}
        self.quick = QuickRows(self)

    @property
    def cardinalities(self) -> list[int]:
        """Of the columns of codes: how many there are, 0 among them."""
        return [len(column.levels) + 1 for column in self.coded]

    def facts(self, views: Sequence[str]) -> Facts:
        """What was learned of each column."""
        return Facts(_fact(column, views) for column in self.columns)

    def width(self, views: Sequence[str]) -> int:
        """How many columns come out."""
        views = tuple(views)
        known = self._widths.get(views)
        if known is None:
            known = self._widths[views] = self._counted(views)
        return known

    def _counted(self, views: tuple[str, ...]) -> int:
        width = sum(self.numbers.width(view) for view in views)
        width += sum(column.table.shape[1] for column in self.leveled)
        return width + len(self.flagged) + len(self.coded)

    def names(self, given: list, views: Sequence[str]) -> list[str]:
        """Names of the columns that come out, by those of X's columns."""
        parts = [
            f"{given[column.position]}{part}"
            for column in self.measured
            if column.width
            for part in column.endings()
        ]
        found = []
        for view in views:
            if view == "bins":
                for part, edges in zip(parts, self.numbers.edges):
                    found += [f"{part}_bin{i}" for i in range(len(edges) - 1)]
            else:
                found += [f"{part}_{view}" for part in parts]
        for column in self.leveled:
            name = given[column.position]
            found += [f"{name}{end}" for end in column.feature_names()]
        found += [f"{given[column.position]}_missing" for column in self.flagged]
        found += [f"{given[column.position]}_code" for column in self.coded]
        return _distinct(found)

    def encode(self, table: Table, views: Sequence[str]) -> np.ndarray:
        """The rows of a checked table in some views, as float32."""
        out = np.empty((table.shape[0], self.width(views)), dtype=np.float32)
        at = sum(self.numbers.width(view) for view in views)
        flags = at + sum(column.table.shape[1] for column in self.leveled)
        if self.plain and table.matrix is not None:
            self._encode_matrix(table.matrix, out, views)
        else:
            self._encode_columns(table, out, views, flags)
        for column in self.leveled:
            part = column.table[column.codes(table.column(column.position))]
            out[:, at : at + part.shape[1]] = part
            at += part.shape[1]
        for at, column in enumerate(self.coded, flags + len(self.flagged)):
            out[:, at] = column.codes(table.column(column.position))
        return out

    def _encode_matrix(self, matrix: np.ndarray, out, views) -> None:
        if matrix.dtype in (np.float32, np.float64):
            self.fill_matrix(matrix, out, views)
            return
        for begin in range(0, len(out), _ROWS):
            some = slice(begin, begin + _ROWS)
            self.fill_matrix(matrix[some].astype(np.float64), out[some], views)

    def _encode_columns(self, table: Table, out, views, flags: int) -> None:
        """Numbers and dates of columns that are read one by one."""
        parts = []
        for column in self.measured:
            own = [values for _, values in column.parts(table.column(column.position))]
            if column.flag is not None:
                out[:, flags] = column.flags(np.isnan(own[0]))
                flags += 1
            parts += own if column.width else []
        for begin in range(0, len(out) if parts else 0, _ROWS):
            some = slice(begin, begin + _ROWS)
            block = np.array([part[some] for part in parts], dtype=np.float64).T
            self.fill_block(block, out[some], views)


def _fact(column: Column, views: Sequence[str]) -> dict:
    features = "-"
    if isinstance(column, CategoryColumn):
        if column.table is None:
            features = f"codes to {len(column.levels):,}"
        else:
            width = column.table.shape[1]
            features = f"{width} column{'s' * (width > 1)}"
    elif not isinstance(column, UnreadColumn):
        told = [*column.kept] if isinstance(column, DateColumn) else []
        told = [*told, *(views if column.width else ())]
        features = ", ".join(told + ["missing"] * (column.flag is not None))
    return {
        "column": column.name,
        "kind": column.kind,
        "missing": column.missing,
        "distinct": column.distinct,
        "features": features,
    }


def _distinct(names: list[str]) -> list[str]:
    """Names with numbers behind those that are there before."""
    seen: set[str] = set()
    for i, name in enumerate(names):
        number = 1
        while names[i] in seen:
            number += 1
            names[i] = f"{name}_{number}"
        seen.add(names[i])
    return names
