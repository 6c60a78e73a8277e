"""Feature columns: what the columns of a table mean to a network, declared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Literal

import numpy as np

from slimlearn.estimators.features.columns import (
    BucketizedColumn,
    Categorical,
    CrossedColumn,
    EmbeddingColumn,
    FeatureColumn,
    HashedColumn,
    IdentityColumn,
    IndicatorColumn,
    NumericColumn,
    SharedEmbeddingColumn,
    VocabularyColumn,
    WeightedColumn,
)

__all__ = [
    "bucketized_column",
    "categorical_column_with_hash_bucket",
    "categorical_column_with_identity",
    "categorical_column_with_vocabulary_list",
    "crossed_column",
    "embedding_column",
    "indicator_column",
    "numeric_column",
    "one_hot_column",
    "real_valued_column",
    "shared_embedding_columns",
    "sparse_column_with_hash_bucket",
    "sparse_column_with_integerized_feature",
    "sparse_column_with_keys",
    "weighted_categorical_column",
    "weighted_sparse_column",
]

_COMBINERS = ("mean", "sqrtn", "sum")


def numeric_column(
    key: str | int,
    shape: int | Sequence[int] = (1,),
    default_value: float | Sequence[float] | None = None,
    dtype: str = "float32",
    normalizer_fn: Callable | None = None,
) -> NumericColumn:
    """Return a column of numbers, which a network reads as they are.

    Parameters
    ----------
    key : str or int
        The column of X: its name, or its position in an array.
    shape : int or sequence of int, default=(1,)
        Of a row's numbers, for columns of lists or arrays of two dimensions.
    default_value : float or sequence of float, optional
        What stands for a missing number; None refuses them.
    dtype : str, default="float32"
        For TensorFlow's sake: the network's `precision` decides.
    normalizer_fn : callable, optional
        ``normalizer_fn(numbers)`` of an array [rows, numbers] returns another of its
        shape, row by row: prediction sees other rows. It must be a function of a
        module to be pickled.

    Returns
    -------
    NumericColumn

    Examples
    --------
    >>> from slimlearn.feature_column import numeric_column
    >>> numeric_column("age", default_value=38.0)
    NumericColumn(key='age', default_value=38.0)
    """
    _check_key("numeric_column", key)
    shape = (shape,) if isinstance(shape, Integral) else tuple(shape)
    for size in shape:
        _check_count("numeric_column", "shape", size)
    if default_value is not None:
        values = np.asarray(default_value)
        if values.dtype.kind not in "fiu" or values.size not in (1, np.prod(shape)):
            raise ValueError(
                "numeric_column: default_value is a number, or one for each of shape "
                f"{shape}; got {default_value!r}"
            )
        if not isinstance(default_value, Real):
            default_value = tuple(np.ravel(default_value).tolist())
    if normalizer_fn is not None and not callable(normalizer_fn):
        raise TypeError(
            f"numeric_column: normalizer_fn is a function, got {normalizer_fn!r}"
        )
    return NumericColumn(key, shape, default_value, dtype, normalizer_fn)


def bucketized_column(
    source_column: NumericColumn, boundaries: Sequence[float]
) -> BucketizedColumn:
    """Return the range of its numbers that each of a column's numbers lies in.

    Dense layers read a number for each range, linear ones its weight.

    Parameters
    ----------
    source_column : NumericColumn
    boundaries : sequence of float
        Ascending. Of ``[0, 1, 2]`` the ranges are below 0, from 0 to below 1, from 1 to
        below 2, and from 2.

    Returns
    -------
    BucketizedColumn
    """
    if not isinstance(source_column, NumericColumn):
        raise TypeError(
            "bucketized_column: source_column is a numeric_column, got "
            f"{source_column!r}"
        )
    given = np.asarray(boundaries, dtype=float)
    good = given.ndim == 1 and len(given) and np.isfinite(given).all()
    if not good or (np.diff(given) <= 0).any():
        raise ValueError(
            f"bucketized_column: boundaries are ascending numbers, got {boundaries!r}"
        )
    return BucketizedColumn(source_column, tuple(given.tolist()))


def categorical_column_with_vocabulary_list(
    key: str | int,
    vocabulary_list: Sequence,
    dtype: str | None = None,
    default_value: int = -1,
    num_oov_buckets: int = 0,
) -> VocabularyColumn:
    """Return the place of a value in a list.

    Parameters
    ----------
    key : str or int
        The column of X: of texts, categories or whole numbers, or of lists of these.
    vocabulary_list : sequence of str or int
    dtype : str, optional
        For TensorFlow's sake: the list says what it has.
    default_value : int, default=-1
        The category of values that are not in the list; -1 is none.
    num_oov_buckets : int, default=0
        Further categories for these, chosen by a hash, in the place of `default_value`.

    Returns
    -------
    VocabularyColumn

    Notes
    -----
    Missing values, "" and -1 are no category, here and in all columns of categories:
    their embedding is zero, and no weight of a linear layer counts.
    """
    where = "categorical_column_with_vocabulary_list"
    _check_key(where, key)
    words = [w.item() if isinstance(w, np.generic) else w for w in vocabulary_list]
    texts = all(isinstance(word, str) for word in words)
    whole = all(isinstance(w, Integral) and not isinstance(w, bool) for w in words)
    if not words or not (texts or whole):
        raise ValueError(
            f"{where}: vocabulary_list has texts or whole numbers, one at least; got "
            f"{vocabulary_list!r:.80}"
        )
    if len(set(words)) < len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise ValueError(f"{where}: vocabulary_list has {twice!r} twice")
    if not _is_whole(num_oov_buckets, 0):
        raise ValueError(
            f"{where}: num_oov_buckets is a whole number >= 0, got {num_oov_buckets!r}"
        )
    if not _is_whole(default_value, -1) or default_value >= len(words):
        raise ValueError(
            f"{where}: default_value is -1 or a place in the list, below {len(words)}; "
            f"got {default_value!r}"
        )
    if num_oov_buckets and default_value != -1:
        raise ValueError(f"{where}: give default_value or num_oov_buckets, not both")
    return VocabularyColumn(key, tuple(words), int(default_value), int(num_oov_buckets))


def categorical_column_with_hash_bucket(
    key: str | int, hash_bucket_size: int, dtype: str | None = None
) -> HashedColumn:
    """Return a category that is computed from the value, so that none need be known.

    Parameters
    ----------
    key : str or int
        The column of X: of texts, categories or whole numbers, or of lists of these.
    hash_bucket_size : int
        How many categories there are; different values may share one.
    dtype : str, optional
        For TensorFlow's sake.

    Returns
    -------
    HashedColumn

    Notes
    -----
    The hash is FNV-1a of 64 bits over the UTF-8 bytes (of a whole number, of its
    digits), finished by the mix of MurmurHash3, modulo the size: the same on any
    machine. TensorFlow's FarmHash gives other categories.
    """
    where = "categorical_column_with_hash_bucket"
    _check_key(where, key)
    return HashedColumn(key, _check_count(where, "hash_bucket_size", hash_bucket_size))


def categorical_column_with_identity(
    key: str | int, num_buckets: int, default_value: int | None = None
) -> IdentityColumn:
    """Return whole numbers that are categories already.

    Parameters
    ----------
    key : str or int
        The column of X, or of lists of whole numbers.
    num_buckets : int
        Numbers are from 0 to this less 1.
    default_value : int, optional
        The category of other numbers; None refuses them. -1 is missing.

    Returns
    -------
    IdentityColumn
    """
    where = "categorical_column_with_identity"
    _check_key(where, key)
    count = _check_count(where, "num_buckets", num_buckets)
    given = default_value is not None
    if given and (not _is_whole(default_value, 0) or default_value >= count):
        raise ValueError(
            f"{where}: default_value is below num_buckets={count}, got "
            f"{default_value!r}"
        )
    return IdentityColumn(key, count, default_value)


def crossed_column(
    keys: Sequence[str | int | Categorical],
    hash_bucket_size: int,
    hash_key: int | None = None,
) -> CrossedColumn:
    """Return a category for each combination of several columns' values, by a hash.

    A linear layer learns what belongs together from it, such as the job and the school.

    Parameters
    ----------
    keys : sequence of str, int or columns of categories
        Two or more: columns of X, whose values are combined as they are, or columns of
        categories, such as a `bucketized_column`. Of rows with lists every combination
        counts; a row in which one is missing has none.
    hash_bucket_size : int
        How many categories there are.
    hash_key : int, optional
        Another number gives other categories.

    Returns
    -------
    CrossedColumn
    """
    if isinstance(keys, str) or len(keys) < 2:
        raise ValueError(f"crossed_column: keys are two or more, got {keys!r}")
    for key in keys:
        if isinstance(key, (NumericColumn, WeightedColumn)) or (
            isinstance(key, FeatureColumn) and not isinstance(key, Categorical)
        ):
            raise TypeError(
                f"crossed_column: {key!r} is no column of categories: give the name of "
                "a column of X, or a bucketized_column"
            )
        if not isinstance(key, FeatureColumn):
            _check_key("crossed_column", key)
    size = _check_count("crossed_column", "hash_bucket_size", hash_bucket_size)
    if hash_key is not None and not _is_whole(hash_key, 0):
        raise ValueError(f"crossed_column: hash_key is whole, got {hash_key!r}")
    return CrossedColumn(tuple(keys), size, hash_key)


def weighted_categorical_column(
    categorical_column: Categorical,
    weight_feature_key: str | int,
    dtype: str = "float32",
) -> WeightedColumn:
    """Return categories that count as much as the numbers of another column say.

    Parameters
    ----------
    categorical_column : column of categories
    weight_feature_key : str or int
        A column of X with a number for each category: of lists where that has lists.
    dtype : str, default="float32"
        For TensorFlow's sake.

    Returns
    -------
    WeightedColumn
    """
    where = "weighted_categorical_column"
    _check_categorical(where, categorical_column)
    _check_key(where, weight_feature_key)
    return WeightedColumn(categorical_column, weight_feature_key, dtype)


def indicator_column(categorical_column: Categorical) -> IndicatorColumn:
    """Return a number for each category: how often it stands in the row.

    For dense layers, and few categories; of many, `embedding_column`.

    Parameters
    ----------
    categorical_column : column of categories

    Returns
    -------
    IndicatorColumn
    """
    _check_categorical("indicator_column", categorical_column)
    return IndicatorColumn(categorical_column)


def embedding_column(
    categorical_column: Categorical,
    dimension: int,
    combiner: Literal["mean", "sqrtn", "sum"] = "mean",
    initializer: Callable | None = None,
    trainable: bool = True,
) -> EmbeddingColumn:
    """Return a trained vector for each category.

    Parameters
    ----------
    categorical_column : column of categories
    dimension : int
        Of the vectors.
    combiner : {"mean", "sqrtn", "sum"}, default="mean"
        Of several categories in a row: the sum of their vectors, divided by their
        number, by its root, or not. A row of none has zeros.
    initializer : callable, optional
        By default truncated normal numbers of deviation 1 / sqrt(dimension).
    trainable : bool, default=True

    Returns
    -------
    EmbeddingColumn
    """
    _check_categorical("embedding_column", categorical_column)
    _check_vectors("embedding_column", combiner, initializer)
    size = _check_count("embedding_column", "dimension", dimension)
    return EmbeddingColumn(categorical_column, size, combiner, initializer, trainable)


def shared_embedding_columns(
    categorical_columns: Sequence[Categorical],
    dimension: int,
    combiner: Literal["mean", "sqrtn", "sum"] = "mean",
    initializer: Callable | None = None,
    shared_embedding_collection_name: str | None = None,
    trainable: bool = True,
) -> list[SharedEmbeddingColumn]:
    """Return columns whose categories have their vectors in one table.

    Parameters
    ----------
    categorical_columns : sequence of columns of categories
        Of as many categories each.
    dimension, combiner, initializer, trainable
        As in `embedding_column`.
    shared_embedding_collection_name : str, optional
        The name of the table; by default made of the names of the columns.

    Returns
    -------
    list of SharedEmbeddingColumn
    """
    where = "shared_embedding_columns"
    columns = list(categorical_columns)
    if not columns:
        raise ValueError(f"{where}: give one column of categories at least")
    for column in columns:
        _check_categorical(where, column)
    counts = {column.name: column.num_buckets for column in columns}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"{where}: columns of one table have as many categories, got {counts}"
        )
    _check_vectors(where, combiner, initializer)
    size = _check_count(where, "dimension", dimension)
    table = shared_embedding_collection_name
    table = table or "_".join(sorted(counts)) + "_shared_embedding"
    return [
        SharedEmbeddingColumn(one, size, combiner, initializer, table, trainable)
        for one in columns
    ]


# -- the names of TF.Learn, tf.contrib.layers ------------------------------------------


def real_valued_column(
    column_name: str | int,
    dimension: int = 1,
    default_value: float | Sequence[float] | None = None,
    dtype: str = "float32",
    normalizer: Callable | None = None,
) -> NumericColumn:
    """Return `numeric_column`, by the name of ``tf.contrib.layers``.

    Parameters
    ----------
    column_name, dimension, default_value, dtype, normalizer
        `key`, `shape`, `default_value`, `dtype` and `normalizer_fn` there.

    Returns
    -------
    NumericColumn
    """
    return numeric_column(column_name, (dimension,), default_value, dtype, normalizer)


def sparse_column_with_hash_bucket(
    column_name: str | int, hash_bucket_size: int
) -> HashedColumn:
    """Return `categorical_column_with_hash_bucket`, by the name of contrib.

    Parameters
    ----------
    column_name, hash_bucket_size
        `key` and `hash_bucket_size` there.

    Returns
    -------
    HashedColumn
    """
    return categorical_column_with_hash_bucket(column_name, hash_bucket_size)


def sparse_column_with_keys(
    column_name: str | int, keys: Sequence, default_value: int = -1
) -> VocabularyColumn:
    """Return `categorical_column_with_vocabulary_list`, by the name of contrib.

    Parameters
    ----------
    column_name, keys, default_value
        `key`, `vocabulary_list` and `default_value` there.

    Returns
    -------
    VocabularyColumn
    """
    return categorical_column_with_vocabulary_list(
        column_name, keys, default_value=default_value
    )


def sparse_column_with_integerized_feature(
    column_name: str | int, bucket_size: int
) -> IdentityColumn:
    """Return `categorical_column_with_identity`, by the name of contrib.

    Parameters
    ----------
    column_name, bucket_size
        `key` and `num_buckets` there.

    Returns
    -------
    IdentityColumn
    """
    return categorical_column_with_identity(column_name, bucket_size)


def weighted_sparse_column(
    sparse_id_column: Categorical, weight_column_name: str | int
) -> WeightedColumn:
    """Return `weighted_categorical_column`, by the name of contrib.

    Parameters
    ----------
    sparse_id_column, weight_column_name
        `categorical_column` and `weight_feature_key` there.

    Returns
    -------
    WeightedColumn
    """
    return weighted_categorical_column(sparse_id_column, weight_column_name)


def one_hot_column(sparse_id_column: Categorical) -> IndicatorColumn:
    """Return `indicator_column`, by the name of contrib.

    Parameters
    ----------
    sparse_id_column : column of categories

    Returns
    -------
    IndicatorColumn
    """
    return indicator_column(sparse_id_column)


def _is_whole(value, least: int) -> bool:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    return whole and value >= least


def _check_count(where: str, name: str, value) -> int:
    if not _is_whole(value, 1) or value >= 2**31:
        raise ValueError(
            f"{where}: {name} is a whole number from 1 to below 2^31, got {value!r}"
        )
    return int(value)


def _check_key(where: str, key) -> None:
    if not isinstance(key, str) and not _is_whole(key, 0):
        raise TypeError(
            f"{where}: a key is the name of a column of X, or its position; got {key!r}"
        )


def _check_categorical(where: str, column) -> None:
    if not isinstance(column, Categorical):
        raise TypeError(
            f"{where}: needs a column of categories, such as "
            f"categorical_column_with_hash_bucket gives; got {column!r}"
        )


def _check_vectors(where: str, combiner, initializer) -> None:
    if combiner not in _COMBINERS:
        raise ValueError(f"{where}: combiner is one of {_COMBINERS}, got {combiner!r}")
    if initializer is not None and not callable(initializer):
        raise TypeError(f"{where}: initializer is a function, got {initializer!r}")
