"""Feature columns of a table that nobody described, and the input that finds them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimlearn.estimators.features.columns import FeatureColumn
from slimlearn.estimators.features.factories import (
    categorical_column_with_vocabulary_list,
    embedding_column,
    indicator_column,
    numeric_column,
)
from slimlearn.estimators.features.input import FeatureInput
from slimlearn.estimators.features.reading import as_numbers, as_values
from slimlearn.estimators.inputs import MatrixInput, frames
from slimlearn.estimators.tables.reading import Raw
from slimlearn.estimators.tables.table import Table, open_table

__all__ = ["DefaultInput", "default_columns"]

# Categories of a column up to which a dense layer reads each of them.
_FEW = 16


@dataclass(frozen=True)
class Standard:
    """Numbers less a mean, in units of a deviation."""

    mean: float
    scale: float

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Apply to an array, in float64: a mean far from 0 leaves differences whole."""
        apart = numbers.astype(np.float64) - self.mean
        return (apart / self.scale).astype(numbers.dtype)


class DefaultInput(MatrixInput):
    """X as one matrix, or by default columns where a frame has texts or categories."""

    def __init__(self, accept_sparse: str | bool = "csr"):
        super().__init__(accept_sparse)
        self.chosen: MatrixInput | FeatureInput = MatrixInput(accept_sparse)

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        former = estimator.__dict__.get("_input")
        if isinstance(former, FeatureInput) and not reset:
            self.chosen = former
        elif reset and frames.is_frame(X) and _holds_categories(X):
            table = open_table(estimator, X, reset=reset, name=name)
            self.chosen = FeatureInput(*default_columns(table))
        return self.chosen.check_fit(
            estimator, X, y, regression=regression, reset=reset, name=name
        )

    def seen(self, X, former=None):
        return self.chosen.seen(X, former)


def default_columns(
    table: Table,
) -> tuple[list[FeatureColumn], list[FeatureColumn]]:
    """The columns for dense layers and for a linear one.

    Parameters
    ----------
    table : Table
    """
    dense, linear = [], []
    for position, name in enumerate(table.names):
        raw = table.column(position)
        if raw.kind == "empty":
            continue
        numbers = None if raw.kind == "date" else as_numbers(raw)
        if numbers is not None:
            column = _numeric(name, numbers)
            dense.append(column)
            linear.append(column)
            continue
        levels = _levels(raw, name)
        if not levels:
            continue
        column = categorical_column_with_vocabulary_list(name, levels)
        linear.append(column)
        few = len(levels) <= _FEW
        size = round(4 * len(levels) ** 0.25)
        dense.append(
            indicator_column(column) if few else embedding_column(column, size)
        )
    return dense, linear


def _numeric(name, numbers: np.ndarray) -> FeatureColumn:
    there = numbers[np.isfinite(numbers)].astype(np.float64)
    mean = float(there.mean()) if there.size else 0.0
    scale = float(there.std()) if there.size else 1.0
    if not scale > 1e-12 * abs(mean):
        scale = 1.0
    return numeric_column(name, default_value=mean, normalizer_fn=Standard(mean, scale))


def _levels(raw: Raw, name) -> list:
    found = None if raw.kind == "date" else as_values(raw)
    if found is None:
        raise ValueError(
            f"column {name!r} has dates, or categories of fractions: derive numbers or "
            "texts from it, or give linear_feature_columns and dnn_feature_columns "
            "that leave it out"
        )
    codes, levels = found
    return [levels[i] for i in np.unique(codes[codes >= 0])]


def _holds_categories(X) -> bool:
    """Whether a frame has columns that are no numbers."""
    for _, dtype in frames.types_of(X) or ():
        kind = getattr(dtype, "kind", None)
        if isinstance(dtype, np.dtype):
            if kind not in "fiub":
                return True
        elif str(dtype).lower().startswith(_WORDS):
            return True
    return False


_WORDS = (
    *("category", "categorical", "enum", "dictionary", "str", "object", "utf8"),
    *("large_string", "large_str", "date", "time", "period"),
)
