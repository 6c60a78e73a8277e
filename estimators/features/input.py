"""The input that feature columns describe: numbers, and categories as sparse rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import hstack, issparse

from slimlearn.estimators.compat import safe_indexing
from slimlearn.estimators.features.columns import (
    BucketizedColumn,
    Categorical,
    EmbeddingColumn,
    FeatureColumn,
    IndicatorColumn,
    NumericColumn,
)
from slimlearn.estimators.features.reading import Reader, is_list
from slimlearn.estimators.inputs.base import Form, Input
from slimlearn.estimators.inputs.matrix import check_target
from slimlearn.estimators.tables.table import open_table
from slimlearn.layers.feature_columns import Features

__all__ = ["INDICATORS", "NUMBERS", "FeatureInput", "check_columns"]

# Before the sources' names, which a column of X may have too.
_SCOPE = "columns/"
NUMBERS, INDICATORS = _SCOPE + "numbers", _SCOPE + "indicators"
# Numbers of indicators for each row, from which on they are a mistake.
_WIDEST = 100_000


@dataclass
class Read:
    """A checked X.

    Attributes
    ----------
    whole : frame, array or dict of arrays
    arrays : list of ndarray or CSR matrix
        Of each source.
    shape : tuple of int
        Of X.
    """

    whole: object
    arrays: list = field(repr=False)
    shape: tuple[int, int] = (0, 0)


class _Arrays(dict):
    """X as arrays by name, with the shape of a table."""

    shape: tuple[int, int]


class FeatureInput(Input):
    """X as feature columns read it.

    Parameters
    ----------
    columns : sequence of FeatureColumn
        Those of the network.
    linear : sequence of FeatureColumn, optional
        Those of a linear layer beside it, which reads its categories as one matrix.
    """

    named = True

    def __init__(
        self,
        columns: Sequence[FeatureColumn],
        linear: Sequence[FeatureColumn] = (),
    ):
        self.columns, self.linear = tuple(columns), tuple(linear)
        every = tuple(dict.fromkeys([*self.columns, *self.linear]))
        self.numeric = tuple(c for c in every if isinstance(c, NumericColumn))
        # Ranges are read densely by some layers and sparsely by others.
        dense = [
            c
            for c in self.columns
            if isinstance(c, (IndicatorColumn, BucketizedColumn))
        ]
        self.indicators = tuple(dict.fromkeys(dense))
        #: Sparse sources: columns that one matrix has, how a row's are combined.
        self.sparse: dict[tuple, tuple[tuple, str]] = {}
        for column in self.columns:
            if isinstance(column, EmbeddingColumn):
                self._add((column.categorical_column,), column.combiner)
            elif isinstance(column, Categorical):
                self._add((column,), "sum")
        categorical = tuple(c for c in self.linear if isinstance(c, Categorical))
        if categorical:
            self._add(categorical, "sum")
        forms = []
        if self.numeric:
            forms.append(Form(NUMBERS, (sum(c.width for c in self.numeric),)))
        if self.indicators:
            width = sum(map(_buckets, self.indicators))
            if width > _WIDEST:
                raise ValueError(
                    f"indicator_column: {width:,} numbers a row are too many: give "
                    "embedding_column"
                )
            forms.append(Form(INDICATORS, (width,)))
        for name, (columns, _) in self.sparse.items():
            width = sum(column.num_buckets for column in columns)
            if width >= 2**31:
                raise ValueError(
                    f"{len(columns)} columns have {width:,} categories together, more "
                    "than 2^31: give them smaller hashes"
                )
            forms.append(Form(name, (width,), sparse=True))
        self.forms = tuple(forms)
        self.described: dict[str, list] = {}

    def _add(self, columns: tuple, combiner: str) -> None:
        known = [pair for pair in self.sparse.values() if pair == (columns, combiner)]
        if known:
            return
        word = columns[0].scope if len(columns) == 1 else "linear"
        name = _SCOPE + word + (f"/{combiner}" if combiner != "sum" else "")
        count, free = 1, name
        while free in self.sparse:
            count += 1
            free = f"{name}_{count}"
        self.sparse[free] = (columns, combiner)

    @property
    def key(self):
        return (*super().key, self.columns, self.linear)

    @property
    def optional(self) -> frozenset[str]:
        """Sources that a network may leave unread: ranges are there in two forms."""
        bare = {c for c in self.columns if isinstance(c, BucketizedColumn)}
        found = {
            name
            for name, (columns, _) in self.sparse.items()
            if bare.issuperset(columns)
        }
        if bare.issuperset(self.indicators):
            found.add(INDICATORS)
        return frozenset(found)

    # -- the door -------------------------------------------------------------------

    def check(self, estimator, X, *, reset=False, name="X"):
        table = _opened(estimator, X, reset, name)
        reader = Reader(table, name)
        arrays = []
        for form in self.forms:
            if form.name == NUMBERS:
                parts = [column._numbers(reader) for column in self.numeric]
                arrays.append(_side_by_side(parts))
            elif form.name == INDICATORS:
                arrays.append(
                    _side_by_side([_dense(reader, c) for c in self.indicators])
                )
            else:
                arrays.append(_sparse(reader, *self.sparse[form.name]))
        return Read(X, arrays, (reader.count, table.shape[1]))

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        read = self.check(estimator, X, reset=reset, name=name)
        return read, check_target(estimator, read, y, regression, name)

    def seen(self, X, former=None):
        new = FeatureInput(self.columns, self.linear)
        kinds = [
            a.dtype
            for form, a in zip(self.forms, X.arrays)
            if form.name == NUMBERS and a.dtype.kind == "f"
        ]
        new.kind = kinds[0] if kinds else np.dtype(np.int64)
        return new

    def where(self, form, array, bad):
        if form.name != NUMBERS:
            return [form.name.removeprefix(_SCOPE)]
        found = []
        odd = bad(array).any(axis=0)
        for column, (start, stop) in self._spans(self.numeric, _width).items():
            if odd[start:stop].any():
                found.append(column.key)
        return found

    def take(self, X, index):
        if index is None:
            return X.whole
        if isinstance(X.whole, Mapping):
            return {name: np.asarray(a)[index] for name, a in X.whole.items()}
        return safe_indexing(X.whole, index)

    def few(self, X, most):
        return None if any(form.sparse for form in self.forms) else super().few(X, most)

    def _arrays(self, X):
        return X.arrays

    # -- the program ----------------------------------------------------------------

    def tensors(self, precision):
        tensors = {form.name: form.tensor(precision) for form in self.forms}
        found = Features(self.columns, self.linear)
        for columns, width, name in (
            (self.numeric, _width, NUMBERS),
            (self.indicators, _buckets, INDICATORS),
        ):
            for column, span in self._spans(columns, width).items():
                found.dense[column] = (tensors[name], *span)
        for name, (columns, combiner) in self.sparse.items():
            found.sparse[columns, combiner] = tensors[name]
        return found

    def _spans(self, columns, width) -> dict:
        found, at = {}, 0
        for column in columns:
            found[column] = at, at + width(column)
            at += width(column)
        return found

    def _columns(self, form, names):
        if form.name == NUMBERS:
            columns = self.numeric
        elif form.name == INDICATORS:
            columns = self.indicators
        else:
            columns = self.sparse[form.name][0]
        return {"columns": [column.name for column in columns]}


def check_columns(parameter: str, columns) -> tuple:
    """A parameter that has feature columns, checked.

    Parameters
    ----------
    parameter : str
        Its name.
    columns : sequence of FeatureColumn
    """
    if isinstance(columns, FeatureColumn) or not isinstance(columns, (list, tuple)):
        raise TypeError(
            f"{parameter} is a list of feature columns, of slimlearn.feature_column; "
            f"got {columns!r}"
        )
    for column in columns:
        if not isinstance(column, FeatureColumn):
            raise TypeError(
                f"{parameter} has {column!r}, which is no feature column: make one by "
                "a function of slimlearn.feature_column"
            )
    return tuple(dict.fromkeys(columns))


def _opened(estimator, X, reset: bool, name: str):
    if not isinstance(X, Mapping):
        return open_table(estimator, X, reset=reset, name=name)
    found = _Arrays((key, _as_column(values)) for key, values in X.items())
    sizes = {key: len(array) for key, array in found.items()}
    if set(sizes.values()) == {0}:
        raise ValueError(
            f"Found array with 0 sample(s) in {name}'s columns while a minimum of 1 is "
            f"required by {type(estimator).__name__}."
        )
    if len(set(sizes.values())) != 1:
        raise ValueError(
            f"{name} is a dict of columns, which needs one at least, all of as many "
            f"rows; got {dict(list(sizes.items())[:10])}"
        )
    found.shape = next(iter(sizes.values())), len(found)
    if reset:
        estimator.n_features_in_ = len(found)
        estimator.__dict__.pop("feature_names_in_", None)
        if all(isinstance(key, str) for key in found):
            estimator.feature_names_in_ = np.array(list(found), dtype=object)
    return found


def _as_column(values):
    """Lists as arrays: of objects, where they are no plain numbers."""
    if hasattr(values, "dtype"):
        return values
    values = list(values)
    if not any(map(is_list, values)):
        array = np.asarray(values)
        if array.dtype.kind not in "SU":  # in which a missing value would be a word
            return array
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _width(column: NumericColumn) -> int:
    return column.width


def _buckets(column) -> int:
    return getattr(column, "categorical_column", column).num_buckets


def _dense(reader: Reader, column) -> np.ndarray:
    """How often each category stands in a row; in bytes, where they hold it."""
    categories = getattr(column, "categorical_column", column)
    matrix = reader.ids(categories).matrix(categories.num_buckets, "sum")
    data = matrix.data
    small = data.size == 0 or (
        data.min() >= 0 and data.max() <= 255 and (data == np.floor(data)).all()
    )
    return (matrix.astype(np.uint8) if small else matrix).toarray()


def _sparse(reader: Reader, columns: tuple, combiner: str):
    parts = [reader.ids(c).matrix(c.num_buckets, combiner) for c in columns]
    return parts[0] if len(parts) == 1 else hstack(parts, format="csr")


def _side_by_side(parts: list[np.ndarray]) -> np.ndarray:
    if issparse(parts[0]) or len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis=1)
