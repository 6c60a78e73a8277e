"""Columns of X as graph: feature columns, and categories beside numbers, for C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.export_c import NotExportable, make_dense
from slimlearn.backend.graph import Model, Tensor
from slimlearn.backend.shape import B
from slimlearn.backend.splice import splice
from slimlearn.estimators.exports.networks import Exported, picked
from slimlearn.estimators.features.categories import CategoryMatrix
from slimlearn.estimators.features.columns import (
    BucketizedColumn,
    Categorical,
    CrossedColumn,
    IdentityColumn,
    NumericColumn,
    VocabularyColumn,
)
from slimlearn.estimators.features.defaults import Standard
from slimlearn.estimators.features.input import INDICATORS, NUMBERS, FeatureInput
from slimlearn.estimators.features.reading import as_numbers, as_values
from slimlearn.estimators.tables.program import OTHER, are_numbers, code_of
from slimlearn.estimators.tables.table import Table, open_table

__all__ = ["in_numbers", "rows_of_columns", "with_columns"]

_SOURCE = "X"


def with_columns(estimator, made: Exported) -> Exported:
    """A network whose input makes numbers of X's columns, with what that computes.

    A row in C has a number for each column of X: where values are texts, their place.

    Parameters
    ----------
    estimator : NetworkEstimator
        That reads X by feature columns, or has category columns.
    made : Exported
        Its network.
    """
    model, arrays = Model(made.model.precision), {}
    make_dense(made.model.functions[made.function])
    with model.function(made.function) as graph:
        x = ops.input_(_SOURCE, (B, estimator.n_features_in_), "f32")
        read = _Columns(estimator, x)
        if isinstance(estimator._input, CategoryMatrix):
            sources = read.of_categories(estimator._input)
        else:
            sources = read.of_features(estimator._input)
        parts = made.model, made.function, made.arrays
        graph.return_(*splice(*parts, sources.__getitem__, arrays))
    return made._replace(model=model, arrays=arrays, categories=read.told)


def rows_of_columns(estimator, X) -> dict[str, np.ndarray]:
    """What such a network reads of rows of a frame or an array."""
    told = estimator._exported("net").categories
    table = open_table(estimator, X, reset=False, name="X_calibration")
    return {_SOURCE: in_numbers(table, table.names, told)}


def in_numbers(table: Table, names: Sequence, told: Mapping) -> np.ndarray:
    """The rows of a table as a caller of C has them.

    Parameters
    ----------
    table : Table
    names : sequence
        What its columns are called in `told`.
    told : mapping
        As `ExportedC.categories`: by column the values of its numbers.
    """
    found = np.zeros(table.shape, dtype=np.float32)
    for place, name in enumerate(names):
        raw, known = table.column(place), told.get(name)
        if known is None:
            numbers = as_numbers(raw)
            if raw.kind == "text":
                raise ValueError(
                    f"X_calibration: column {name!r} has texts, and the model reads "
                    "numbers there"
                )
            found[:, place] = 0 if numbers is None else numbers
            continue
        by_value = {value: number for number, value in known.items()}
        other = by_value.get(OTHER, -1)
        codes, levels = as_values(raw)
        numbers = [by_value.get(level, other) for level in levels]
        found[:, place] = np.array([*numbers, other], np.float32)[codes]
    return found


def _listed(values, kind: str) -> Tensor:
    return ops.constant_list(np.asarray(values, np.float64).tolist(), kind)


def _side_by_side(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else ops.concat(parts, 1)


class _Columns:
    """The columns of a row, and what texts of them stand for."""

    def __init__(self, estimator, x: Tensor):
        self.who, self.x = type(estimator).__name__, x
        names = getattr(estimator, "feature_names_in_", None)
        self.names = list(range(x.shape[1])) if names is None else names.tolist()
        self.told: dict = {}

    def _column(self, key) -> Tensor:
        place = self.names.index(key) if key in self.names else int(key)
        return ops.slice_(self.x, 1, place, place + 1)

    def of_categories(self, input: CategoryMatrix) -> dict[str, Tensor]:
        """The source of a matrix with category columns."""
        parts = [picked(self.x, input.numbers)] if input.numbers else []
        for column, table in zip(input.leveled, input.tables):
            flat = _listed(np.ravel(table), self.x.dtype)
            table = ops.reshape(flat, np.shape(table))
            parts.append(ops.gather(table, self._code(column)))
        for column in input.coded:
            code = ops.reshape(self._code(column), (B, 1))
            parts.append(ops.cast(code, self.x.dtype))
        [form] = input.forms
        return {form.name: _side_by_side(parts)}

    def _code(self, column) -> Tensor:
        if not are_numbers(column):
            self.told[column.name] = dict(enumerate([OTHER, *column.levels]))
        x = ops.slice_(self.x, 1, column.position, column.position + 1)
        return code_of(x, column, _listed)

    def of_features(self, input: FeatureInput) -> dict[str, Tensor]:
        """The sources of feature columns."""
        found = {}
        for form in input.forms:
            if form.name == NUMBERS:
                parts = [self._numbers(column) for column in input.numeric]
            elif form.name == INDICATORS:
                parts = [
                    self._counts(getattr(column, "categorical_column", column))
                    for column in input.indicators
                ]
            else:
                parts = [self._counts(column) for column in input.sparse[form.name][0]]
            found[form.name] = _side_by_side(parts)
        return found

    def _numbers(self, column: NumericColumn) -> Tensor:
        if column.width != 1:
            self._refuse(column, "has several numbers in a row")
        x = self._column(column.key)
        if column.default_value is not None:
            fill = float(np.ravel(column.default_value)[0])
            x = ops.where(ops.isnan(x), fill, x)
        normal = column.normalizer_fn
        if isinstance(normal, Standard):
            high = float(np.float32(normal.mean))
            x = x - high
            rest = float(normal.mean) - high
            return (x - rest if rest else x) / float(normal.scale)
        if normal is not None:
            self._refuse(column, "has a normalizer_fn, a function of Python")
        return x

    def _counts(self, column: Categorical) -> Tensor:
        """Of each category whether it is the row's, [B, num_buckets]."""
        if isinstance(column, BucketizedColumn):
            x = self._numbers(column.source_column)
            edges = _listed(column.boundaries, x.dtype)
            beyond = ops.cast(x >= edges, x.dtype)
            one = ops.full_like(x, 1.0)
            since, until = (
                ops.concat(pair, 1)
                for pair in ([one, beyond], [beyond, ops.zeros_like(x)])
            )
            return since - until
        if isinstance(column, VocabularyColumn) and not column.num_oov_buckets:
            known = list(column.vocabulary_list)
            if isinstance(known[0], str):
                self.told[column.key] = {**dict(enumerate(known)), -1: OTHER}
                known = range(len(known))
            return self._equal(column, known)
        if isinstance(column, IdentityColumn):
            return self._equal(column, range(column.num_buckets))
        if isinstance(column, CrossedColumn) and column.table() is not None:
            return self._crossed(column)
        self._refuse(column, "numbers categories by a hash, or weighs them")

    def _crossed(self, column: CrossedColumn) -> Tensor:
        """The category of a combination, by a table of all of them."""
        table, place = column.table(), None
        for key, size in zip(column.keys, table.shape):
            places = _listed(range(1, size), self.x.dtype)
            part = ops.reduce_sum(self._counts(key) * places, [1])
            place = part if place is None else place * float(size) + part
        flat = _listed(table.ravel(), self.x.dtype)
        found = ops.gather(flat, ops.cast(place, "i32"))
        every = _listed(range(column.num_buckets), self.x.dtype)
        found = ops.equal(ops.reshape(found, (B, 1)), every)
        return ops.cast(found, self.x.dtype)

    def _equal(self, column, known) -> Tensor:
        x = self._column(column.key)
        found = ops.cast(ops.equal(x, _listed(known, x.dtype)), x.dtype)
        other = column.default_value
        if other is None or other < 0:
            return found
        # What is missing, -1, has no category, even where what is unknown has one.
        there = ops.reduce_sum(found, [1], keepdims=True)
        there = ops.where(ops.equal(x, -1.0), 1.0, there)
        place = (np.arange(len(list(known))) == other).astype(float)
        return found + (1.0 - there) * _listed(place, x.dtype)

    def _refuse(self, column, why: str) -> None:
        raise NotExportable(
            f"{type(column).__name__} {column.name!r} of {self.who} {why}, which C "
            "exports have no code for: compute it before, or name categories by "
            "categorical_column_with_vocabulary_list, and cross such columns"
        )
