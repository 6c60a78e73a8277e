"""What columns hold, and how rows of them are to be encoded."""

from __future__ import annotations

import numpy as np

from slimlearn.estimators.tables.columns import (
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    UnreadColumn,
    column_of,
)
from slimlearn.estimators.tables.encoding import Encoding
from slimlearn.estimators.tables.numbers import Numbers, clipped, robust_scale
from slimlearn.estimators.tables.reading import Raw
from slimlearn.estimators.tables.table import Table

__all__ = ["learn"]


def learn(
    table: Table,
    weights: np.ndarray | None,
    *,
    categorical_features,
    max_one_hot: int,
    max_categories: int,
    n_quantiles: int,
    n_bins: int,
) -> Encoding:
    """Learn from rows that all have weight.

    Parameters
    ----------
    table : Table
    weights : ndarray or None
    categorical_features, max_one_hot, max_categories, n_quantiles, n_bins
        As in `TabularEncoder`.

    Raises
    ------
    TypeError, ValueError
        If a column holds what cannot be read, naming it.
    """
    wished = table.positions_of(categorical_features, "categorical_features")
    numbers, columns = Numbers(n_quantiles, n_bins), []
    if weights is not None:
        weights = weights.astype(np.float64)
    for position, name in enumerate(table.names):
        raw = table.column(position)
        given = position in wished
        column = column_of(
            name, position, raw, given, weights, max_one_hot, max_categories
        )
        if isinstance(column, (NumberColumn, DateColumn)):
            column = _measured(column, raw, weights, numbers)
        elif isinstance(column, CategoryColumn) and not column.varies:
            kind = "constant" if column.distinct == 1 else "of single values"
            column = UnreadColumn(name, position, kind, column.missing, column.distinct)
        columns.append(column)
    numbers.conclude()
    named = table.names if isinstance(table.names, list) else None
    return Encoding(columns, numbers, named)


def _measured(column, raw: Raw, weights, numbers: Numbers) -> Column:
    """A column of numbers or dates, whose parts that vary are learned."""
    varying = [
        part for part, values in column.parts(raw) if numbers.learn(values, weights)
    ]
    if isinstance(column, DateColumn):
        column.kept = tuple(part[1:] for part in varying)
    if column.missing > 0:
        column.flag = _flag(column.missing)
    column.width = len(varying)
    if varying or column.flag is not None:
        return column
    kind = "empty" if column.missing == 1 else "constant"
    return UnreadColumn(column.name, column.position, kind, column.missing)


def _flag(missing: float) -> tuple[float, float]:
    """What says that a number is there, and that it is missing, scaled as numbers."""
    values, weight = np.array([0.0, 1.0]), np.array([1.0 - missing, missing])
    if missing == 1.0:
        values, weight = values[1:], weight[1:]
    median, factor = robust_scale(values, weight)
    return tuple(clipped((np.array([0.0, 1.0]) - median) * factor))
