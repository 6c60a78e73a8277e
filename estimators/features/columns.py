"""The kinds of feature columns: parameter objects that know how a row is read."""

from __future__ import annotations

import math
import re

import numpy as np

from slimlearn.backend.parameters import Parameters
from slimlearn.estimators.features.hashing import combined, fingerprints
from slimlearn.estimators.features.reading import Ids, Reader, Values

__all__ = [
    "BucketizedColumn",
    "Categorical",
    "CrossedColumn",
    "EmbeddingColumn",
    "FeatureColumn",
    "HashedColumn",
    "IdentityColumn",
    "IndicatorColumn",
    "NumericColumn",
    "SharedEmbeddingColumn",
    "VocabularyColumn",
    "WeightedColumn",
]

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")
# Of TensorFlow's crosses, where no `hash_key` is given.
_HASH_KEY = 0xDECAFCAFFE
# Combinations in one row, beyond which a cross has no meaning.
_MOST = 2**24
# Combinations, and categories, of a cross that exports write as a table.
_MOST_TABLED = 2**18


class FeatureColumn(Parameters):
    """Base of the feature columns.

    Equal columns are read once. The functions of `slimlearn.feature_column` make them.
    """

    @property
    def name(self) -> str:
        """What variables of the column are called."""
        raise NotImplementedError

    @property
    def scope(self) -> str:
        """The name as a scope of layers can have it."""
        return _UNFIT.sub("_", self.name)

    def _keys(self) -> list:
        """The columns of X that it reads."""
        raise NotImplementedError


class NumericColumn(FeatureColumn):
    """Numbers as they are; see `slimlearn.feature_column.numeric_column`.

    Parameters
    ----------
    key, shape, default_value, dtype, normalizer_fn
        As in the function.
    """

    def __init__(
        self, key, shape=(1,), default_value=None, dtype="float32", normalizer_fn=None
    ) -> None:
        self.key = key
        self.shape = shape
        self.default_value = default_value
        self.dtype = dtype
        self.normalizer_fn = normalizer_fn

    @property
    def name(self) -> str:
        return str(self.key)

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return int(np.prod(self.shape))

    def _keys(self) -> list:
        return [self.key]

    def _numbers(self, reader: Reader) -> np.ndarray:
        """Floats [n, width]."""
        who = f"numeric_column({self.key!r})"
        found = reader.numbers(self.key, who)
        found = found.reshape(len(found), -1)
        if found.shape[1] != self.width:
            raise ValueError(
                f"{who}: column {self.key!r} of {reader.name} has {found.shape[1]} "
                f"numbers in a row, shape={self.shape} asks for {self.width}"
            )
        if found.dtype.kind != "f":
            small = found.dtype.itemsize <= 2
            found = found.astype(np.float32 if small else np.float64)
        gone = np.isnan(found)
        if gone.any():
            if self.default_value is None:
                row = int(np.argwhere(gone)[0][0])
                raise ValueError(
                    f"Input {reader.name} contains NaN in column {self.key!r}, first "
                    f"in row {row}: give numeric_column({self.key!r}, default_value=…)"
                    ", or put SimpleImputer(add_indicator=True) before"
                )
            fill = np.broadcast_to(
                np.ravel(self.default_value).astype(found.dtype), found.shape
            )
            found = np.where(gone, fill, found)
        if self.normalizer_fn is not None:
            shape = found.shape
            found = np.asarray(self.normalizer_fn(found))
            if found.shape != shape or found.dtype.kind not in "fiub":
                raise ValueError(
                    f"{who}: normalizer_fn must return numbers of the shape it is "
                    f"given, {shape}; it returned {found.dtype} {found.shape}"
                )
            found = found.astype(np.result_type(found, np.float32), copy=False)
        if not np.isfinite(found).all():
            raise ValueError(
                f"Input {reader.name} contains infinity or NaN in column {self.key!r}"
                + " after normalizer_fn" * (self.normalizer_fn is not None)
                + ": replace or clip such values"
            )
        return found


class Categorical(FeatureColumn):
    """Base of the columns of categories, numbered from 0 to `num_buckets` - 1.

    Attributes
    ----------
    num_buckets : int
    """

    num_buckets: int

    def _ids(self, reader: Reader) -> Ids:
        raise NotImplementedError


class BucketizedColumn(Categorical):
    """Ranges of numbers; see `slimlearn.feature_column.bucketized_column`.

    Parameters
    ----------
    source_column, boundaries
        As in the function.
    """

    def __init__(self, source_column, boundaries) -> None:
        self.source_column = source_column
        self.boundaries = boundaries

    @property
    def name(self) -> str:
        return f"{self.source_column.name}_bucketized"

    @property
    def num_buckets(self) -> int:
        """One more than there are boundaries, for each number of a row."""
        return self.source_column.width * (len(self.boundaries) + 1)

    def _keys(self) -> list:
        return self.source_column._keys()

    def _ids(self, reader: Reader) -> Ids:
        numbers = self.source_column._numbers(reader)
        found = np.searchsorted(self.boundaries, numbers, side="right")
        count, width = numbers.shape
        found = found + np.arange(width) * (len(self.boundaries) + 1)
        if width == 1:
            return Ids(found[:, 0].astype(np.int64))
        return Ids(found.ravel().astype(np.int64), np.arange(count + 1) * width)


class _OfKey(Categorical):
    """Categories of the values of one column."""

    _maker = ""

    @property
    def name(self) -> str:
        return str(self.key)

    def _keys(self) -> list:
        return [self.key]

    def _who(self) -> str:
        return f"{self._maker}({self.key!r})"

    def _ids(self, reader: Reader) -> Ids:
        values = reader.values(self.key, self._who())
        table = np.append(self._number(values, reader.name), -1)
        return Ids(table[values.codes], values.ends)

    def _number(self, values: Values, called: str) -> np.ndarray:
        """The category of each level."""
        raise NotImplementedError


class VocabularyColumn(_OfKey):
    """Categories that a list names; see
    `slimlearn.feature_column.categorical_column_with_vocabulary_list`.

    Parameters
    ----------
    key, vocabulary_list, default_value, num_oov_buckets
        As in the function.
    """

    _maker = "categorical_column_with_vocabulary_list"

    def __init__(
        self, key, vocabulary_list, default_value=-1, num_oov_buckets=0
    ) -> None:
        self.key = key
        self.vocabulary_list = vocabulary_list
        self.default_value = default_value
        self.num_oov_buckets = num_oov_buckets

    @property
    def num_buckets(self) -> int:
        """Of the vocabulary, and of what is not in it."""
        return len(self.vocabulary_list) + self.num_oov_buckets

    def _number(self, values, called):
        known = {word: i for i, word in enumerate(self.vocabulary_list)}
        kinds = {isinstance(word, str) for word in known}
        if values.levels and {isinstance(v, str) for v in values.levels} != kinds:
            raise ValueError(
                f"{self._who()}: the vocabulary has values such as "
                f"{self.vocabulary_list[0]!r}, column {self.key!r} of {called} such as "
                f"{values.levels[0]!r}: give both as texts or both as whole numbers"
            )
        found = [known.get(value, self.default_value) for value in values.levels]
        numbers = np.array(found, np.int64)
        if self.num_oov_buckets:
            new = np.array([value not in known for value in values.levels], bool)
            marks = fingerprints([v for v, odd in zip(values.levels, new) if odd])
            numbers[new] = len(known) + (
                marks % np.uint64(self.num_oov_buckets)
            ).astype(np.int64)
        return numbers


class HashedColumn(_OfKey):
    """Categories by a number made of their text; see
    `slimlearn.feature_column.categorical_column_with_hash_bucket`.

    Parameters
    ----------
    key, hash_bucket_size
        As in the function.
    """

    _maker = "categorical_column_with_hash_bucket"

    def __init__(self, key, hash_bucket_size) -> None:
        self.key = key
        self.hash_bucket_size = hash_bucket_size

    @property
    def num_buckets(self) -> int:
        """The size of the hash."""
        return self.hash_bucket_size

    def _number(self, values, called):
        marks = fingerprints(values.levels)
        return (marks % np.uint64(self.hash_bucket_size)).astype(np.int64)


class IdentityColumn(_OfKey):
    """Whole numbers that are the categories; see
    `slimlearn.feature_column.categorical_column_with_identity`.

    Parameters
    ----------
    key, num_buckets, default_value
        As in the function.
    """

    _maker = "categorical_column_with_identity"

    def __init__(self, key, num_buckets, default_value=None) -> None:
        self.key = key
        self.num_buckets = num_buckets
        self.default_value = default_value

    def _number(self, values, called):
        words = [value for value in values.levels if isinstance(value, str)]
        if words:
            raise ValueError(
                f"{self._who()}: column {self.key!r} of {called} has texts, such as "
                f"{words[0]!r}: give categorical_column_with_vocabulary_list"
            )
        numbers = np.array(values.levels, np.int64)
        odd = (numbers < 0) | (numbers >= self.num_buckets)
        if odd.any():
            if self.default_value is None:
                raise ValueError(
                    f"{self._who()}: column {self.key!r} of {called} has "
                    f"{numbers[odd][0]}, and num_buckets={self.num_buckets} allows 0 "
                    f"to {self.num_buckets - 1}: raise it, or give default_value"
                )
            numbers[odd] = self.default_value
        return numbers


class CrossedColumn(Categorical):
    """Combinations of categories; see `slimlearn.feature_column.crossed_column`.

    Parameters
    ----------
    keys, hash_bucket_size, hash_key
        As in the function.
    """

    def __init__(self, keys, hash_bucket_size, hash_key=None) -> None:
        self.keys = keys
        self.hash_bucket_size = hash_bucket_size
        self.hash_key = hash_key

    @property
    def name(self) -> str:
        parts = (getattr(key, "name", None) or str(key) for key in self.keys)
        return "_X_".join(sorted(parts))

    @property
    def num_buckets(self) -> int:
        """The size of the hash."""
        return self.hash_bucket_size

    def _keys(self) -> list:
        return [
            one
            for key in self.keys
            for one in (key._keys() if isinstance(key, FeatureColumn) else [key])
        ]

    def table(self) -> np.ndarray | None:
        """The category of each combination, where that can be listed.

        Returns
        -------
        ndarray of int64, or None
            Of an axis for each column, whose place 0 is no category, and which gives
            none, -1; its category i has the place i + 1. None where values of X are
            combined as they are, or combinations or categories are too many.
        """
        parts = [key for key in self.keys if isinstance(key, Categorical)]
        sizes = [key.num_buckets + 1 for key in parts]
        most = max(math.prod(sizes), self.hash_bucket_size)
        if len(parts) < len(self.keys) or most > _MOST_TABLED:
            return None
        marks = self._start()
        for key in parts:
            marks = combined(marks[..., None], np.arange(key.num_buckets, dtype="u8"))
        found = np.full(sizes, -1)
        found[(slice(1, None),) * len(sizes)] = self._bucket(marks)
        return found

    def _start(self) -> np.ndarray:
        seed = _HASH_KEY if self.hash_key is None else self.hash_key
        return np.array(seed % 2**64, np.uint64)

    def _ids(self, reader: Reader) -> Ids:
        parts = [self._part(reader, key) for key in self.keys]
        start = self._start()
        if all(ends is None for _, _, ends in parts):
            marks = np.full(reader.count, start)
            there = np.ones(reader.count, bool)
            for part, present, _ in parts:
                marks, there = combined(marks, part), there & present
            return Ids(np.where(there, self._bucket(marks), -1))
        rows, marks = np.arange(reader.count), np.full(reader.count, start)
        for part, present, ends in parts:
            if ends is None:
                ends = np.arange(reader.count + 1)
            # What is missing is combined with nothing.
            kept = np.concatenate([[0], np.cumsum(present)])
            part, ends = part[present], kept[ends]
            sizes = np.diff(ends)[rows]
            if sizes.sum() > max(_MOST, 64 * reader.count):
                raise ValueError(
                    f"crossed_column({self.keys!r}): rows have {sizes.sum()} "
                    "combinations together: cross fewer columns of lists"
                )
            before = np.repeat(np.cumsum(sizes) - sizes, sizes)
            at = np.repeat(ends[rows], sizes) + np.arange(sizes.sum()) - before
            rows = np.repeat(rows, sizes)
            marks = combined(np.repeat(marks, sizes), part[at])
        counts = np.bincount(rows, minlength=reader.count)
        ends = np.concatenate([[0], np.cumsum(counts)])
        return Ids(self._bucket(marks), ends)

    def _part(self, reader: Reader, key):
        """Marks of a column's values, which of them are there, and their ends."""
        if isinstance(key, Categorical):
            ids = reader.ids(key)
            return ids.ids.astype(np.uint64), ids.ids >= 0, ids.ends
        values = reader.values(key, f"crossed_column({self.keys!r})")
        marks = np.append(fingerprints(values.levels), np.uint64(0))
        return marks[values.codes], values.codes >= 0, values.ends

    def _bucket(self, marks: np.ndarray) -> np.ndarray:
        return (marks % np.uint64(self.hash_bucket_size)).astype(np.int64)


class WeightedColumn(Categorical):
    """Categories that count as much as another column says; see
    `slimlearn.feature_column.weighted_categorical_column`.

    Parameters
    ----------
    categorical_column, weight_feature_key, dtype
        As in the function.
    """

    def __init__(self, categorical_column, weight_feature_key, dtype="float32") -> None:
        self.categorical_column = categorical_column
        self.weight_feature_key = weight_feature_key
        self.dtype = dtype

    @property
    def name(self) -> str:
        return f"{self.categorical_column.name}_weighted_by_{self.weight_feature_key}"

    @property
    def num_buckets(self) -> int:
        """Of the categories."""
        return self.categorical_column.num_buckets

    def _keys(self) -> list:
        return [*self.categorical_column._keys(), self.weight_feature_key]

    def _ids(self, reader: Reader) -> Ids:
        ids = reader.ids(self.categorical_column)
        who = f"weighted_categorical_column(…, {self.weight_feature_key!r})"
        weights = reader.weights(self.weight_feature_key, ids.ends, who)
        there = ids.ids >= 0
        if not np.isfinite(weights[there]).all():
            raise ValueError(
                f"{who}: column {self.weight_feature_key!r} of {reader.name} has NaN "
                "or infinity where there is a category: give a weight to each"
            )
        return Ids(ids.ids, ids.ends, np.where(there, weights, 0).astype(np.float32))


class _OfCategories(FeatureColumn):
    """Dense numbers made of categories."""

    def _keys(self) -> list:
        return self.categorical_column._keys()


class IndicatorColumn(_OfCategories):
    """A number for each category; see `slimlearn.feature_column.indicator_column`.

    Parameters
    ----------
    categorical_column
        As in the function.
    """

    def __init__(self, categorical_column) -> None:
        self.categorical_column = categorical_column

    @property
    def name(self) -> str:
        return f"{self.categorical_column.name}_indicator"


class EmbeddingColumn(_OfCategories):
    """A trained vector for each category; see
    `slimlearn.feature_column.embedding_column`.

    Parameters
    ----------
    categorical_column, dimension, combiner, initializer, trainable
        As in the function.
    """

    def __init__(
        self,
        categorical_column,
        dimension,
        combiner="mean",
        initializer=None,
        trainable=True,
    ) -> None:
        self.categorical_column = categorical_column
        self.dimension = dimension
        self.combiner = combiner
        self.initializer = initializer
        self.trainable = trainable

    # Columns of one table of vectors have its name.
    shared_embedding_collection_name = None

    @property
    def name(self) -> str:
        return f"{self.categorical_column.name}_embedding"


class SharedEmbeddingColumn(EmbeddingColumn):
    """A vector of a table that several columns share; see
    `slimlearn.feature_column.shared_embedding_columns`.

    Parameters
    ----------
    categorical_column, dimension, combiner, initializer, trainable
        As in the function.
    shared_embedding_collection_name : str
        The name of the table.
    """

    def __init__(
        self,
        categorical_column,
        dimension,
        combiner="mean",
        initializer=None,
        shared_embedding_collection_name=None,
        trainable=True,
    ) -> None:
        super().__init__(
            categorical_column, dimension, combiner, initializer, trainable
        )
        self.shared_embedding_collection_name = shared_embedding_collection_name

    @property
    def name(self) -> str:
        return f"{self.categorical_column.name}_shared_embedding"
