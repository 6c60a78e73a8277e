"""What reads feature columns: dense numbers for layers, and a weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import utils
from slimlearn.layers.initializers import (
    truncated_normal_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import model_variable


class Features:
    """The tensors of an estimator's feature columns, as a network function gets them.

    Parameters
    ----------
    columns, linear : sequence of feature columns
        Those of dense layers, and of a linear one beside them.

    Attributes
    ----------
    dense : dict
        Of columns of numbers: a tensor, and from where to where they stand in it.
    sparse : dict
        Sparse rows by the columns whose categories they number, one after the other,
        and by what combines several in a row.
    """

    def __init__(self, columns: Sequence = (), linear: Sequence = ()):
        self.columns, self.linear = list(columns), list(linear)
        self.dense: dict = {}
        self.sparse: dict = {}
        self._tables: dict = {}

    def numbers(self, where: str, columns: Sequence) -> list[Tensor]:
        """Dense tensors [B, n] of columns, neighbours of one source together."""
        known = [self._known(where, self.dense, column, column) for column in columns]
        found = []
        for tensor, spans in groupby(known, key=lambda span: span[0]):
            at = None
            for _, start, stop in spans:
                if at == start:
                    found[-1][2] = stop
                else:
                    found.append([tensor, start, stop])
                at = stop
        return [ops.slice_(t, 1, start, stop) for t, start, stop in found]

    def _known(self, where: str, table: dict, key, column):
        if key not in table:
            raise ValueError(
                f"{where}: {column!r} is not among the estimator's feature_columns: "
                "add it there"
            )
        return table[key]

    def matrix(self, where: str, column, combiner: str) -> Tensor:
        """Sparse rows of one column's categories."""
        return self._known(where, self.sparse, ((column,), combiner), column)


def _check(where: str, features, columns) -> list:
    if not isinstance(features, Features):
        raise TypeError(
            f"{where}: the first argument is what the network function gets from an "
            "estimator with feature_columns=[…], got "
            f"{type(features).__name__}: give the estimator the columns"
        )
    columns = list(columns) if isinstance(columns, (list, tuple)) else [columns]
    if not columns:
        raise ValueError(f"{where}: give one feature column at least")
    return list(dict.fromkeys(columns))


def _vectors(features: Features, where: str, column, collections, trainable) -> Tensor:
    """The product of sparse rows and a trained table of vectors."""
    categories = column.categorical_column
    rows = features.matrix(where, categories, column.combiner)
    table = column.shared_embedding_collection_name
    known = features._tables.get(table) if table else None
    if known is None:
        initializer = column.initializer or truncated_normal_initializer(
            0.0, 1 / math.sqrt(column.dimension)
        )
        with variable_scope(None, table or column.scope):
            known = model_variable(
                "embeddings",
                [categories.num_buckets, column.dimension],
                initializer=initializer,
                trainable=trainable and column.trainable,
                collections=utils.get_variable_collections(collections, "embeddings"),
            )
    if table:
        features._tables[table] = known
    return ops.csr_matmul(rows, known)


@add_arg_scope
def input_from_feature_columns(
    columns_to_tensors: Features,
    feature_columns: Sequence,
    weight_collections: Sequence[str] | Mapping | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Tensor:
    """Return the numbers of feature columns side by side, for dense layers.

    Parameters
    ----------
    columns_to_tensors : Features
        What the network function gets from an estimator with ``feature_columns``.
    feature_columns : sequence of feature columns
        Numeric, bucketized, indicator and embedding columns.
    weight_collections : sequence of str or dict, optional
        Lists of the model for the embeddings, as `variables_collections` of
        `fully_connected`.
    trainable : bool, default=True
        False keeps the initial embeddings.
    scope : str, optional
        ``input_from_feature_columns`` by default; embeddings are
        ``<scope>/<column>_embedding/embeddings``.

    Returns
    -------
    Tensor
        [B, n]: first the columns of numbers and indicators in their order, then the
        embeddings.
    """
    where = "input_from_feature_columns"
    columns = _check(where, columns_to_tensors, feature_columns)
    embedded = [c for c in columns if hasattr(c, "combiner")]
    plain = [c for c in columns if not hasattr(c, "combiner")]
    for column in plain:
        if column not in columns_to_tensors.dense and hasattr(column, "num_buckets"):
            raise ValueError(
                f"{where}: {column!r} has categories, which dense layers read through "
                "indicator_column or embedding_column"
            )
    with variable_scope(scope, where):
        parts = columns_to_tensors.numbers(where, plain)
        parts += [
            _vectors(columns_to_tensors, where, one, weight_collections, trainable)
            for one in embedded
        ]
        return ops.concat(parts, axis=1)


@add_arg_scope
def weighted_sum_from_feature_columns(
    columns_to_tensors: Features,
    feature_columns: Sequence,
    num_outputs: int,
    weight_collections: Sequence[str] | Mapping | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> tuple[Tensor, dict, Tensor]:
    """Return a linear model of feature columns, whose categories stay sparse.

    A step reads and moves the weights of the categories that its rows have, and no
    others, where the optimizer allows it, as Ftrl and Adagrad do.

    Parameters
    ----------
    columns_to_tensors : Features
        What the network function gets from an estimator with ``feature_columns``.
    feature_columns : sequence of feature columns
        Numeric ones and columns of categories.
    num_outputs : int
    weight_collections : sequence of str or dict, optional
        Lists of the model for the variables.
    trainable : bool, default=True
        False keeps the initial weights, which are 0.
    scope : str, optional
        ``weighted_sum_from_feature_columns`` by default; variables are
        ``<scope>/<column>/weights``, ``<scope>/numbers/weights`` of all numeric ones,
        and ``<scope>/bias_weight``.

    Returns
    -------
    outputs : Tensor
        [B, num_outputs]
    column_to_variable : dict
        The variables of each column, in a list.
    bias : Tensor
    """
    where = "weighted_sum_from_feature_columns"
    columns = _check(where, columns_to_tensors, feature_columns)
    num_outputs = utils.check_size(where, "num_outputs", num_outputs)
    made = {
        "trainable": trainable,
        "initializer": zeros_initializer(),
        "collections": utils.get_variable_collections(weight_collections, "weights"),
    }
    with variable_scope(scope, where):
        terms, variables = _terms(columns_to_tensors, where, columns, num_outputs, made)
        bias = model_variable("bias_weight", [num_outputs], **made)
        for term in terms[1:]:
            terms[0] = ops.add(terms[0], term)
        return ops.add(terms[0], bias), variables, bias


def _terms(features: Features, where: str, columns: list, outputs: int, made: dict):
    """The product of each source and its weights; these by column."""
    variables: dict = {}
    terms = []
    for column in columns:
        if not (hasattr(column, "num_buckets") or hasattr(column, "width")):
            raise ValueError(
                f"{where}: {column!r} is dense, and a linear layer reads categories as "
                "they are: give its categorical_column"
            )
    numeric = [column for column in columns if hasattr(column, "width")]
    sparse = tuple(column for column in columns if hasattr(column, "num_buckets"))
    if numeric:
        parts = features.numbers(where, numeric)
        numbers = ops.concat(parts, axis=1)
        with variable_scope(None, "numbers"):
            weights = model_variable("weights", [numbers.shape[1], outputs], **made)
        terms.append(ops.matmul(numbers, weights))
        variables |= {column: [weights] for column in numeric}
    together = features.sparse.get((sparse, "sum")) if len(sparse) > 1 else None
    groups = [sparse] if together is not None else [(column,) for column in sparse]
    for group in groups:
        rows, word = together, "categories"
        if rows is None:
            rows, word = features.matrix(where, group[0], "sum"), group[0].scope
        with variable_scope(None, word):
            weights = model_variable("weights", [rows.shape[1], outputs], **made)
        terms.append(ops.csr_matmul(rows, weights))
        variables |= {column: [weights] for column in group}
    return terms, variables


@add_arg_scope
def input_layer(
    features: Features,
    feature_columns: Sequence,
    weight_collections: Sequence[str] | Mapping | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Tensor:
    """Return `input_from_feature_columns`, by the name of ``tf.feature_column``.

    Parameters
    ----------
    features, feature_columns, weight_collections, trainable
        As there.
    scope : str, optional
        ``input_layer`` by default.

    Returns
    -------
    Tensor
        [B, n]
    """
    return input_from_feature_columns(
        features,
        feature_columns,
        weight_collections,
        trainable,
        scope="input_layer" if scope is None else scope,
    )


@add_arg_scope
def linear_model(
    features: Features,
    feature_columns: Sequence,
    units: int = 1,
    weight_collections: Sequence[str] | Mapping | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Tensor:
    """Return the sum of `weighted_sum_from_feature_columns` alone.

    Parameters
    ----------
    features, feature_columns, weight_collections, trainable
        As there.
    units : int, default=1
        `num_outputs` there.
    scope : str, optional
        ``linear_model`` by default.

    Returns
    -------
    Tensor
        [B, units]
    """
    outputs, _, _ = weighted_sum_from_feature_columns(
        features,
        feature_columns,
        units,
        weight_collections,
        trainable,
        scope="linear_model" if scope is None else scope,
    )
    return outputs
