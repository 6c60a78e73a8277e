"""Steps of scikit-learn as graph: what stands before a network in a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from slimlearn.backend import ops
from slimlearn.backend.export_c import NotExportable
from slimlearn.backend.graph import Tensor
from slimlearn.backend.shape import B
from slimlearn.backend.splice import splice
from slimlearn.estimators.exports.doors import Exportable
from slimlearn.estimators.exports.networks import picked

__all__ = ["Rows", "folded", "refuse"]

_STEPS: dict[type, Callable] = {}
_FUNCTIONS = {
    np.log: ops.log,
    np.log1p: ops.log1p,
    np.exp: ops.exp,
    np.expm1: ops.expm1,
    np.sqrt: ops.sqrt,
    np.square: ops.square,
    np.abs: ops.abs,
    np.tanh: ops.tanh,
}


class Rows:
    """Rows on their way through a pipeline.

    Attributes
    ----------
    x : Tensor
        [B, columns].
    columns : list
        What X calls the column that each is, None of those that a step made.
    categories : dict of dict
        What numbers stand for, by the column of X, as far as steps told.
    arrays : dict of ndarray
        Of the parameters of networks among the steps.
    """

    def __init__(self, x: Tensor, columns: list, categories: dict, arrays: dict):
        self.x, self.columns = x, columns
        self.categories, self.arrays = categories, arrays

    def of(self, x: Tensor, columns: list | None = None) -> Rows:
        """The rows that a step made."""
        columns = [None] * x.shape[1] if columns is None else columns
        return Rows(x, columns, self.categories, self.arrays)

    def take(self, places: list[int]) -> Rows:
        """Some of the columns."""
        return self.of(picked(self.x, places), [self.columns[i] for i in places])


def folded(step, rows: Rows, name: str) -> Rows:
    """What a fitted step makes of rows, as graph.

    Raises
    ------
    NotExportable
        If there is no graph for it; the error names the step.
    """
    while isinstance(step, FrozenEstimator):
        step = step.estimator
    if step is None or isinstance(step, str):
        return rows if step != "drop" else rows.take([])
    if isinstance(step, Exportable) and hasattr(step, "transform"):
        return _network(step, rows, name)
    found = _STEPS.get(type(step))
    if found is None and isinstance(step, SelectorMixin):
        return rows.take(step.get_support(indices=True).tolist())
    if found is None:
        refuse(step, name, "has no code in C")
    return found(step, rows, name)


def refuse(step: BaseEstimator, name: str, why: str) -> None:
    """Say which step has no C, and what to do."""
    raise NotExportable(
        f"the step {name!r} ({type(step).__name__}) {why}: do its work before the "
        "call, and export the steps behind it, slimlearn.export_c(pipeline[i:], …)"
    )


def _writes(*kinds: type) -> Callable:
    def register(function: Callable) -> Callable:
        _STEPS.update(dict.fromkeys(kinds, function))
        return function

    return register


def _by_column(op, x: Tensor, values) -> Tensor:
    """An op with a number for each column, or no op where there are none."""
    if values is None:
        return x
    values = np.broadcast_to(np.asarray(values, np.float64), (x.shape[1],))
    return op(x, ops.constant_list(values.tolist(), x.dtype))


def _apart(x: Tensor, values) -> Tensor:
    """Numbers less one for each column, to the last bit that float32 has of them.

    What is subtracted is a sum of two numbers of float32, so that columns of large
    numbers lose nothing of their differences.
    """
    if values is None:
        return x
    values = np.asarray(values, np.float64)
    high = values.astype(np.float32).astype(np.float64)
    x = _by_column(ops.sub, x, high)
    return _by_column(ops.sub, x, values - high) if (values != high).any() else x


@_writes(StandardScaler)
def _standard(step, rows: Rows, name: str) -> Rows:
    x = _apart(rows.x, step.mean_ if step.with_mean else None)
    return rows.of(_by_column(ops.div, x, step.scale_ if step.with_std else None))


@_writes(RobustScaler)
def _robust(step, rows: Rows, name: str) -> Rows:
    x = _apart(rows.x, step.center_ if step.with_centering else None)
    return rows.of(_by_column(ops.div, x, step.scale_ if step.with_scaling else None))


@_writes(MinMaxScaler)
def _min_max(step, rows: Rows, name: str) -> Rows:
    # X·scale + min, as (X - least)·scale + low: large numbers lose no digits.
    least, scale, added = (
        np.asarray(part, np.float64)
        for part in (step.data_min_, step.scale_, step.min_)
    )
    x = _by_column(ops.mul, _apart(rows.x, least), scale)
    x = _by_column(ops.add, x, least * scale + added)
    low, high = step.feature_range
    return rows.of(ops.clip(x, float(low), float(high)) if step.clip else x)


@_writes(MaxAbsScaler)
def _max_abs(step, rows: Rows, name: str) -> Rows:
    x = _by_column(ops.div, rows.x, step.scale_)
    return rows.of(ops.clip(x, -1.0, 1.0) if getattr(step, "clip", False) else x)


@_writes(Normalizer)
def _normalizer(step, rows: Rows, name: str) -> Rows:
    x = rows.x
    if step.norm == "l2":
        size = ops.sqrt(ops.reduce_sum(x * x, [1], keepdims=True))
    elif step.norm == "l1":
        size = ops.reduce_sum(ops.abs(x), [1], keepdims=True)
    else:
        size = ops.reduce_max(ops.abs(x), [1], keepdims=True)
    return rows.of(x / ops.where(ops.equal(size, 0.0), 1.0, size))


@_writes(Binarizer)
def _binarizer(step, rows: Rows, name: str) -> Rows:
    return rows.of(ops.cast(rows.x > float(step.threshold), rows.x.dtype))


@_writes(SimpleImputer)
def _imputer(step, rows: Rows, name: str) -> Rows:
    if any(isinstance(fill, str) for fill in step.statistics_):
        refuse(step, name, "fills texts in, which C has not")
    fills = np.asarray(step.statistics_, np.float64)  # of a constant, objects
    gone = _is_missing(rows.x, step.missing_values)
    kept = np.flatnonzero(~np.isnan(fills)).tolist()
    fill = ops.constant_list(fills[kept].tolist(), rows.x.dtype)
    there = picked(rows.x, kept)
    filled = ops.where(picked(gone, kept), ops.broadcast_to(fill, there.shape), there)
    columns = [rows.columns[i] for i in kept]
    if not step.add_indicator:
        return rows.of(filled, columns)
    told = step.indicator_.features_.tolist()
    flags = ops.cast(picked(gone, told), rows.x.dtype)
    return rows.of(ops.concat([filled, flags], 1), columns + [None] * len(told))


def _is_missing(x: Tensor, value) -> Tensor:
    if isinstance(value, Real) and not np.isnan(value):
        return ops.equal(x, float(value))
    return ops.isnan(x)  # pandas.NA, too


@_writes(PCA)
def _pca(step, rows: Rows, name: str) -> Rows:
    x = _product(_apart(rows.x, step.mean_), step.components_.T)
    if step.whiten:
        x = _by_column(ops.div, x, np.sqrt(step.explained_variance_))
    return rows.of(x)


@_writes(TruncatedSVD)
def _svd(step, rows: Rows, name: str) -> Rows:
    return rows.of(_product(rows.x, step.components_.T))


def _product(x: Tensor, matrix: np.ndarray) -> Tensor:
    flat = ops.constant_list(matrix.astype(float).ravel().tolist(), x.dtype)
    return ops.matmul(x, ops.reshape(flat, matrix.shape))


@_writes(FunctionTransformer)
def _function(step, rows: Rows, name: str) -> Rows:
    if step.func is None:
        return rows
    found = _FUNCTIONS.get(step.func)
    if found is None or step.kw_args:
        refuse(step, name, "calls a function of Python, which C has not")
    return rows.of(found(rows.x))


def _known(step, rows: Rows, i: int, name: str) -> list[float]:
    """The numbers of a column's categories; of texts their places, which are told."""
    known, column = np.asarray(step.categories_[i]), rows.columns[i]
    if known.dtype.kind in "fiub":
        return known.astype(float).tolist()
    if column is None:
        refuse(step, name, "reads texts that a step before it makes, which C has not")
    values = known.tolist()
    told = {number: str(value) for number, value in enumerate(values)}
    if rows.categories.setdefault(column, told) != told:
        refuse(step, name, f"knows other categories of {column!r} than another step")
    return [float(number) for number in range(len(values))]


def _refuse_joined(step, name: str) -> None:
    joined = getattr(step, "infrequent_categories_", None) or ()
    if any(seldom is not None for seldom in joined):
        refuse(step, name, "joins categories that are seldom, which C does not")


@_writes(OrdinalEncoder)
def _ordinal(step, rows: Rows, name: str) -> Rows:
    _refuse_joined(step, name)
    found = []
    for i in range(rows.x.shape[1]):
        x = ops.slice_(rows.x, 1, i, i + 1)
        code = ops.full_like(x, float(_unknown(step)))
        missing = step._missing_indices.get(i)
        for number, value in enumerate(_known(step, rows, i, name)):
            is_it = ops.isnan(x) if np.isnan(value) else ops.equal(x, value)
            told = step.encoded_missing_value if number == missing else number
            code = ops.where(is_it, float(told), code)
        found.append(code)
    return rows.of(ops.concat(found, 1) if len(found) > 1 else found[0])


def _unknown(step) -> float:
    """What stands for a category that fit did not see: C has no errors to raise."""
    value = step.unknown_value
    return -1.0 if value is None else value


@_writes(OneHotEncoder)
def _one_hot(step, rows: Rows, name: str) -> Rows:
    _refuse_joined(step, name)
    found = []
    for i in range(rows.x.shape[1]):
        x = ops.slice_(rows.x, 1, i, i + 1)
        dropped = None if step.drop_idx_ is None else step.drop_idx_[i]
        for number, value in enumerate(_known(step, rows, i, name)):
            if dropped is None or number != dropped:
                is_it = ops.isnan(x) if np.isnan(value) else ops.equal(x, value)
                found.append(ops.cast(is_it, x.dtype))
    return rows.of(ops.concat(found, 1) if len(found) > 1 else found[0])


@_writes(Pipeline)
def _pipeline(step, rows: Rows, name: str) -> Rows:
    for inner, one in step.steps:
        rows = folded(one, rows, f"{name}/{inner}")
    return rows


def _together(parts: list[Rows], rows: Rows) -> Rows:
    parts = [part for part in parts if part.columns]
    columns = [column for part in parts for column in part.columns]
    whole = ops.concat([part.x for part in parts], 1) if len(parts) > 1 else parts[0].x
    return rows.of(whole, columns)


@_writes(FeatureUnion)
def _union(step, rows: Rows, name: str) -> Rows:
    weights = step.transformer_weights or {}
    parts = []
    for inner, one in step.transformer_list:
        if isinstance(one, str) and one == "drop":
            continue
        part = folded(one, rows, f"{name}/{inner}")
        weight = weights.get(inner)
        parts.append(part if weight is None else part.of(part.x * float(weight)))
    return _together(parts, rows)


@_writes(ColumnTransformer)
def _columns(step, rows: Rows, name: str) -> Rows:
    parts = []
    for inner, one, _ in step.transformers_:
        places = list(step._transformer_to_input_indices[inner])
        if not places or (isinstance(one, str) and one == "drop"):
            continue
        parts.append(folded(one, rows.take(places), f"{name}/{inner}"))
    return _together(parts, rows)


def _network(step, rows: Rows, name: str) -> Rows:
    """The features that a network among the steps finds."""
    made = step._exported_step("step")
    [found] = splice(
        *(made.model, made.function, made.arrays),
        lambda source: step._export_columns(source, rows.x),
        rows.arrays,
        f"{name}/",
    )
    return rows.of(ops.reshape(found, (B, found.shape[1])))
