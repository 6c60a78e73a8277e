"""The columns of a checked X, as numbers or as values that categories are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from slimlearn.estimators.missing import missing_in
from slimlearn.estimators.tables.reading import Raw, read, read_objects
from slimlearn.estimators.tables.table import Table

__all__ = ["Ids", "Reader", "Values", "as_numbers", "as_values", "is_list"]

_LISTS = (list, tuple, set, frozenset, np.ndarray)
# Columns, and values, that errors name at most.
_MOST = 10


@dataclass
class Values:
    """What stands in a column, several in a row where it holds lists.

    Attributes
    ----------
    codes : ndarray of int64
        Positions in `levels`, -1 where the value is missing.
    levels : list of str, list of int
    ends : ndarray of int64 of shape (rows + 1,), or None
        Where the values of each row begin and end; None is one a row.
    """

    codes: np.ndarray
    levels: list
    ends: np.ndarray | None = None


@dataclass
class Ids:
    """The categories of a column's rows, by number.

    Attributes
    ----------
    ids : ndarray of int64
        Negative where there is none.
    ends : ndarray of int64 of shape (rows + 1,), or None
        As in `Values`.
    weights : ndarray or None
        Of each; None is 1.
    """

    ids: np.ndarray
    ends: np.ndarray | None = None
    weights: np.ndarray | None = None

    def rows(self) -> np.ndarray:
        """The row of each."""
        if self.ends is None:
            return np.arange(len(self.ids))
        return np.repeat(np.arange(len(self.ends) - 1), np.diff(self.ends))

    def matrix(self, buckets: int, combiner: str) -> csr_array:
        """Sparse rows [n, buckets] whose product with vectors combines these.

        Parameters
        ----------
        buckets : int
        combiner : {"sum", "mean", "sqrtn"}
        """
        count = len(self.ids) if self.ends is None else len(self.ends) - 1
        there = self.ids >= 0
        weights = self.weights
        if self.ends is None and (weights is None or combiner == "sum"):
            ends = np.concatenate([[0], np.cumsum(there)])
            one = np.ones(int(ends[-1]), np.float32)
            data = one if weights is None else weights[there]
            parts = data, self.ids[there].astype(np.int32), ends.astype(np.int32)
            return csr_array(parts, shape=(count, buckets))
        rows = self.rows()[there]
        data = np.ones(len(self.ids), np.float32) if weights is None else weights
        data = data[there].astype(np.float64)
        if combiner != "sum":
            parts = data if combiner == "mean" else data**2
            totals = np.bincount(rows, parts, minlength=count)
            totals = totals if combiner == "mean" else np.sqrt(totals)
            totals[totals == 0] = 1.0
            data = data / totals[rows]
        found = csr_array(
            (data.astype(np.float32), (rows, self.ids[there])), shape=(count, buckets)
        )
        found.sum_duplicates()
        return found


class Reader:
    """Reads each column once, for all feature columns that are made of it.

    Parameters
    ----------
    X : Table, or mapping of arrays
    name : str
        Of X, as the user knows it.
    """

    def __init__(self, X, name: str = "X"):
        self.X, self.name = X, name
        self.count = X.shape[0]
        self._values: dict = {}
        self._ids: dict = {}

    def numbers(self, key, who: str) -> np.ndarray:
        """A column as floats [n] or, where it has several a row, [n, k]; NaN missing.

        Parameters
        ----------
        key : str or int
        who : str
            The feature column that asks, for errors.
        """
        column = self._column(key, who)
        array = isinstance(column, np.ndarray) and column.ndim == 2
        if array and column.dtype.kind in "fiub":
            return column
        flat, ends = self._flat(column, key)
        raw = read(column, key) if ends is None else read_objects(flat, key)
        found = as_numbers(raw)
        if found is None:
            example = next(_examples(raw), raw.kind)
            raise ValueError(
                f"{who}: column {key!r} of {self.name} has no numbers, such as "
                f"{example!r}: give categorical_column_with_vocabulary_list or "
                "categorical_column_with_hash_bucket"
            )
        if ends is None:
            return found
        sizes = np.unique(np.diff(ends))
        if len(sizes) != 1:
            raise ValueError(
                f"{who}: column {key!r} of {self.name} has rows of {sizes[0]} to "
                f"{sizes[-1]} numbers: a numeric column has as many in each row"
            )
        return found.reshape(-1, int(sizes[0]))

    def weights(self, key, ends: np.ndarray | None, who: str) -> np.ndarray:
        """A column of as many numbers in each row as there are categories.

        Parameters
        ----------
        key, who
            As in `numbers`.
        ends : ndarray or None
            Those of the categories.
        """
        column = self._column(key, who)
        flat, own = self._flat(column, key)
        if (ends is None) != (own is None) or not np.array_equal(
            [] if own is None else own, [] if ends is None else ends
        ):
            raise ValueError(
                f"{who}: column {key!r} of {self.name} must have one weight for each "
                "category of its row"
            )
        raw = read(column, key) if own is None else read_objects(flat, key)
        found = as_numbers(raw)
        if found is None:
            raise ValueError(
                f"{who}: column {key!r} of {self.name} has no numbers, such as "
                f"{next(_examples(raw), raw.kind)!r}"
            )
        return found.astype(np.float64)

    def values(self, key, who: str) -> Values:
        """A column as values of categories: texts or whole numbers."""
        if key not in self._values:
            column = self._column(key, who)
            self._values[key] = self._read_values(column, key, who)
        return self._values[key]

    def ids(self, column) -> Ids:
        """The categories of a feature column."""
        if column not in self._ids:
            self._ids[column] = column._ids(self)
        return self._ids[column]

    def _read_values(self, column, key, who: str) -> Values:
        flat, ends = self._flat(column, key)
        raw = _whole(column, key) if ends is None else read_objects(flat, key)
        if raw.kind == "date":
            raise ValueError(
                f"{who}: column {key!r} of {self.name} has dates: derive numbers or "
                "texts from them before"
            )
        found = as_values(raw)
        if found is None:
            odd = raw.values[raw.values != np.floor(raw.values)]
            odd = odd[~np.isnan(odd)][0]
            raise ValueError(
                f"{who}: column {key!r} of {self.name} has fractions, such as "
                f"{odd:.6g}, and categories are texts or whole numbers: give "
                f"bucketized_column(numeric_column({key!r}), boundaries=[…])"
            )
        return Values(*found, ends)

    def _column(self, key, who: str):
        X = self.X
        if isinstance(X, Mapping):
            if key not in X:
                self._refuse(key, who, list(X))
            return X[key]
        names = list(X.names)
        if key in names:
            return single(X, names.index(key))
        if isinstance(key, (int, np.integer)) and 0 <= key < X.shape[1]:
            return single(X, int(key))
        self._refuse(key, who, names)

    def _refuse(self, key, who: str, names: list) -> None:
        known = ", ".join(map(repr, names[:_MOST])) + ", …" * (len(names) > _MOST)
        advice = ""
        if isinstance(names and names[0], int) and isinstance(key, str):
            advice = ": give a DataFrame, or positions as keys"
        raise ValueError(
            f"{who} reads the column {key!r}, and {self.name} has none of that name; "
            f"it has {known}{advice}"
        )

    def _flat(self, column, key) -> tuple[list | None, np.ndarray | None]:
        """The elements of a column of lists and their ends; (None, None) of others."""
        if isinstance(column, np.ndarray) and column.ndim == 2:
            steps = np.arange(len(column) + 1) * column.shape[1]
            return column.ravel().tolist(), steps
        objects = _lists(column)
        if objects is None:
            return None, None
        rows = [_row(value) for value in objects]
        sizes = np.fromiter(map(len, rows), np.int64, len(rows))
        ends = np.concatenate([[0], np.cumsum(sizes)])
        return [value for row in rows for value in row], ends


def is_list(value) -> bool:
    """Whether an element is several values."""
    return isinstance(value, _LISTS)


def _lists(column) -> list | None:
    """The elements of a column that holds lists; None of another."""
    if isinstance(column, np.ndarray):
        if column.dtype != object:
            return None
        values = column.tolist()
    elif hasattr(column, "array"):
        if str(column.dtype) != "object":
            return None
        values = column.tolist()
    else:
        word = str(getattr(column, "dtype", getattr(column, "type", ""))).lower()
        if not (word.startswith(("list", "array", "large_list", "fixed_size_list"))):
            return None
        values = (
            column.to_pylist() if hasattr(column, "to_pylist") else column.to_list()
        )
        return values
    return values if any(map(is_list, values)) else None


def _row(value) -> list:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, _LISTS):
        return list(value)
    gone = np.empty(1, dtype=object)
    gone[0] = value
    return [] if missing_in(gone)[0] else [value]


def _whole(column, key) -> Raw:
    """A column as `read` does, but whole numbers of polars to the last bit."""
    word = str(getattr(column, "dtype", ""))
    whole = hasattr(column, "null_count") and word.startswith(("Int", "UInt"))
    if whole and not column.null_count():
        return read(column.to_numpy(), key)
    return read(column, key)


def as_numbers(raw: Raw) -> np.ndarray | None:
    """A column as numbers, NaN where they are missing; None if it has none."""
    if raw.kind in ("number", "empty"):
        return raw.values
    if raw.kind == "category" and all(
        isinstance(v, (int, float, np.number, np.bool_)) for v in raw.levels
    ):
        levels = np.array([*raw.levels, np.nan], dtype=np.float64)
        return levels[raw.values]
    return None


def _examples(raw: Raw):
    if raw.kind == "category":
        yield from raw.levels
    yield from (v for v in raw.values.tolist() if v is not None)


def as_values(raw: Raw) -> tuple[np.ndarray, list] | None:
    """Codes and levels without what is missing: "" and -1 are, as in TensorFlow."""
    if raw.kind == "empty":
        return np.full(len(raw.values), -1, np.int64), []
    if raw.kind == "number":
        numbers = raw.values
        gone = numbers == -1
        if numbers.dtype.kind == "f":
            gone |= np.isnan(numbers)
            with np.errstate(invalid="ignore"):
                if not (gone | (numbers == np.floor(numbers))).all():
                    return None
                if not np.isfinite(numbers[~gone]).all():
                    return None
        levels, codes = np.unique(
            np.where(gone, 0, numbers).astype(np.int64), return_inverse=True
        )
        return np.where(gone, -1, codes.reshape(-1)), levels.tolist()
    if raw.kind == "category":
        codes, levels = raw.values.astype(np.int64), raw.levels
        if any(isinstance(v, float) and v != int(v) for v in levels):
            return None
        levels = [v if isinstance(v, str) else int(v) for v in levels]
    else:
        table: dict = {}
        found = [table.setdefault(value, len(table)) for value in raw.values.tolist()]
        codes, levels = np.array(found, np.int64).reshape(-1), list(table)
    gone = [value is None or value == "" or value == -1 for value in levels]
    if any(gone):
        kept = np.cumsum(~np.array(gone)) - 1
        kept[np.array(gone)] = -1
        codes = np.append(kept, -1)[codes]
        levels = [value for value, absent in zip(levels, gone) if not absent]
    return codes, levels


def single(table: Table, position: int):
    """A column of a table as it stands there."""
    X = table.X
    if isinstance(X, np.ndarray):
        return X[:, position]
    if hasattr(X, "iloc"):
        return X.iloc[:, position]
    if hasattr(X, "column_names"):
        return X.column(position)
    return X[table.names[position]]
