"""X as sequences, one a row: arrays N×T×F or N×T, or lists of arrays of own lengths."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_array

from slimlearn.backend.ragged import Ragged
from slimlearn.backend.shape import symbol
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.inputs.base import Form, Input
from slimlearn.estimators.inputs.matrix import SOURCE, MatrixInput, check_target
from slimlearn.estimators.inputs.sequence_lists import apart, of_parts, refuse_steps
from slimlearn.estimators.inputs.sequence_rows import Sequences, bucket_sizes
from slimlearn.layers.sequence import (
    know_lengths,
    know_vocabulary,
    without_padding,
)

__all__ = ["LENGTHS", "SequenceInput", "T"]

# The symbol of the time axis, and the source of the lengths.
T = symbol("T")
LENGTHS = "lengths"
# Ids are i32.
_MOST_IDS = 1 << 31
# What lengths beyond those of the fit grow by.
_GROWTH = 1.5


class SequenceInput(Input):
    """Sequences that no fit has seen yet, or as a fit has seen them.

    Parameters
    ----------
    data_format : {"NTC", "NCT"}
        Where the features of steps stand.
    vocabulary_size : int or None
        How many ids there may be; None finds it.
    buckets : int
        How many lengths batches have at most.

    Attributes
    ----------
    features : int or None
        Of a step; None are ids. Known once X was seen.
    vocabulary : int or None
        How many ids there are.
    known_lengths : bool
        Whether the program reads lengths; else its batches have none but one.
    flat : bool
        Whether the fit's X was a matrix, whose number of columns is then fixed.
    """

    optional = frozenset({LENGTHS})

    def __init__(self, data_format="NTC", vocabulary_size=None, buckets=8):
        self.data_format = data_format
        self.vocabulary_size = vocabulary_size
        self.buckets = buckets
        self.features: int | None = None
        self.vocabulary: int | None = None
        self.known_lengths = False
        self.flat = False

    # -- the door -------------------------------------------------------------------

    def check(self, estimator, X, *, reset=False, name="X"):
        return self._checked(estimator, X, reset, name)

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        X = self._checked(estimator, X, reset, name)
        return X, check_target(estimator, X, y, regression, name)

    def _checked(self, estimator, X, reset: bool, name: str) -> Sequences:
        who = type(estimator).__name__
        X = to_numpy(X)
        parts = apart(X)
        if isinstance(X, Sequences):
            found = X
        elif parts is not None:
            found = of_parts(parts, self.data_format, name, who)
        elif getattr(X, "ndim", 2) > 2:
            found = self._of_array(estimator, X, name)
        else:
            found = self._of_matrix(estimator, X, reset, name)
            reset = False
        if reset:
            estimator.__dict__.pop("feature_names_in_", None)
            self.flat = False
        found = self._alike(found, name, who)
        if reset:
            estimator.n_features_in_ = 1 if self.features is None else self.features
        return found

    def _of_array(self, estimator, X, name: str) -> Sequences:
        if X.ndim > 3:
            raise ValueError(
                f"{name} has {X.ndim} axes: give sequences as N×T×F, N×T of numbers or "
                "ids, or a list of arrays"
            )
        as_rows = (0, 2, 1) if self.data_format == "NCT" else (0, 1, 2)
        try:
            checked = check_array(
                X, allow_nd=True, ensure_2d=False, estimator=estimator, input_name=name
            )
        except ValueError:
            if X.dtype.kind == "f":
                refuse_steps(X.transpose(as_rows), name)
            raise
        X = checked.transpose(as_rows)
        if 0 in X.shape[1:]:
            raise ValueError(f"{name} has the shape {X.shape}: its sequences are empty")
        return Sequences.of_array(X)

    def _of_matrix(self, estimator, X, reset: bool, name: str) -> Sequences:
        if self.forms and not self.flat and not reset:
            X = check_array(X, estimator=estimator, input_name=name)
        else:
            if reset:
                self.flat = True
            matrix = MatrixInput(accept_sparse=False)
            try:
                X = matrix.check(estimator, X, reset=reset, name=name)
            except ValueError as error:
                told = str(error).rstrip(".")
                if "contains NaN" not in told:
                    raise
                raise ValueError(
                    f"{told}; where NaN pads, give a list of arrays of any lengths"
                ) from None
        return Sequences.of_array(np.asarray(X))

    def _alike(self, X: Sequences, name: str, who: str) -> Sequences:
        """X with features or ids as the fit's, which it decides if it is first."""
        ids = not X.row_shape and X.dtype.kind in "iu"
        first = not self.forms
        if first:
            numbers = X.numbers()
            low = numbers.min() if ids and numbers.size else 0
            if self.vocabulary_size is not None and not ids:
                raise ValueError(
                    f"vocabulary_size={self.vocabulary_size} is for ids, whole numbers "
                    f"N×T or lists of them; {name} has {X.dtype} with features"
                )
            if ids and low < 0 and self.vocabulary_size is None:
                ids = False
            if ids:
                self.vocabulary = min(int(numbers.max(initial=0)) + 1, _MOST_IDS)
                if self.vocabulary_size is not None:
                    self.vocabulary = int(self.vocabulary_size)
            else:
                X = X if X.row_shape else X.with_features()
                self.features = X.row_shape[0]
        elif self.vocabulary is not None:
            if not ids:
                raise ValueError(
                    f"{name} has {X.dtype}, but {who} was fitted on sequences of ids, "
                    "whole numbers: give both alike"
                )
        elif not X.row_shape:
            X = X.with_features()
        if self.vocabulary is not None:
            self._check_ids(X, name)
        elif X.row_shape != (self.features,):
            raise ValueError(
                f"{name} has {X.row_shape[0]} features in a step, but {who} is "
                f"expecting {self.features} features as input: give the same in the "
                f"same order"
            )
        return X

    @property
    def large(self) -> str:
        """The largest id, which says how many vectors a network has for them."""
        if self.vocabulary is None or self.vocabulary_size is not None:
            return ""
        return (
            f"; X has ids up to {self.vocabulary - 1}: number them from 0 on without "
            "gaps, as TokenVectorizer does"
        )

    def _check_ids(self, X: Sequences, name: str) -> None:
        numbers = X.numbers()
        if not numbers.size:
            return
        for bad in (numbers.min(), numbers.max()):
            if 0 <= bad < self.vocabulary:
                continue
            row = next(i for i, part in enumerate(X.as_list()) if np.isin(bad, part))
            raise ValueError(
                f"{name} has the id {bad} in sequence {row}, but ids run from 0 to "
                f"{self.vocabulary - 1}: set vocabulary_size when fitting, or give "
                "unknown ones an id of their own, as TokenVectorizer does"
            )

    def seen(self, X, former=None):
        new = type(self)(self.data_format, self.vocabulary_size, self.buckets)
        new.kind, new.flat = X.dtype, self.flat
        new.features, new.vocabulary = self.features, self.vocabulary
        new.known_lengths = X.array is None or self.partial or self.more
        lengths = X.lengths
        new.steps = max(1.0, float(lengths.mean()))
        if former is not None:
            new._go_on(former, X)
        elif new.known_lengths:
            new.sizes = bucket_sizes(lengths, self.buckets)
        return new.with_forms()

    def with_forms(self) -> SequenceInput:
        """Itself, with the sources that its features or ids are read from."""
        step = () if self.vocabulary is not None else (self.features,)
        dtype = "i32" if self.vocabulary is not None else None
        self.forms = (Form(SOURCE, (T, *step), dtype),)
        if self.known_lengths:
            self.forms += (Form(LENGTHS, (), "i32"),)
        return self

    def _go_on(self, former: SequenceInput, X: Sequences) -> None:
        """Mean the same as `former` does."""
        if former.features != self.features or (
            (former.vocabulary is None) != (self.vocabulary is None)
        ):
            raise ValueError(
                f"X has sequences of {_kind(self)}, but those of the fit that goes on "
                f"were of {_kind(former)}: give both alike, or set warm_start=False"
            )
        if former.vocabulary is not None:
            self.vocabulary = former.vocabulary
            self._check_ids(X, "X")
        if self.known_lengths and not former.known_lengths and X.array is None:
            raise ValueError(
                "X has sequences of different length, but the fit that goes on had "
                "one array, whose network reads no lengths: begin with a list"
            )
        self.known_lengths, self.sizes = former.known_lengths, former.sizes
        self.flat = former.flat

    def alike(self, X, name):
        if not self.known_lengths and X.array is None and len(np.unique(X.lengths)) > 1:
            raise ValueError(
                f"{name} has sequences of different length, but the first ones of this "
                "fit were one array: give a list from the beginning"
            )
        return X

    def _check_range(self, estimator, form, array, kind):
        numbers = array.values if isinstance(array, Ragged) else array
        super()._check_range(estimator, form, numbers, kind)

    def where(self, form, array, bad):
        found = np.flatnonzero(bad(array).reshape(-1, array.shape[-1]).any(axis=0))
        return found[:10].tolist()

    def take(self, X, index):
        if X.array is not None:
            return X.array if index is None else X.array[index]
        return X if index is None else X[index]

    @property
    def key(self):
        return (*super().key, self.vocabulary)

    # -- the program ----------------------------------------------------------------

    def tensors(self, precision):
        x = self.forms[0].tensor(precision)
        if self.known_lengths:
            know_lengths(str(T), self.forms[1].tensor(precision))
            # Whatever a layer makes of the padding then, it is finite.
            x = without_padding(x, 0)
        if self.vocabulary is not None:
            know_vocabulary(self.vocabulary)
        return x

    def _arrays(self, X):
        sizes = self._sizes_for(X)
        numbers = X.array if sizes is None else None
        if numbers is None:
            numbers = Ragged(X.values, X.offsets, sizes)
        if not self.known_lengths:
            return [numbers]
        return [numbers, X.lengths.astype(np.int32)]

    def _sizes_for(self, X) -> tuple[int, ...] | None:
        """What sequences are padded to: for each a function of its length alone.

        None where they are one array, all of it read as it is.
        """
        if not self.known_lengths:
            return None if X.array is not None else _unique(X.lengths)
        sizes, longest = list(self.sizes), int(X.lengths.max(initial=1))
        while sizes[-1] < longest:
            sizes.append(int(np.ceil(sizes[-1] * _GROWTH)))
        return tuple(sizes)

    def sources(self, X):
        arrays = zip(self.forms, self._arrays(X))
        return {form.name: _as_source(array) for form, array in arrays}

    def batches(self, X, chunkable, most=None):
        step = len(X) if most is None or not chunkable else most
        for begin in range(0, len(X), max(step, 1)):
            whole = step >= len(X)
            yield self.sources(X if whole else X[begin : begin + step])

    def few(self, X, most):
        return None


def _unique(lengths: np.ndarray) -> tuple[int, ...]:
    return tuple(int(length) for length in np.unique(lengths)) or (1,)


def _as_source(array):
    from slimlearn.backend.dataset import as_source

    if isinstance(array, Ragged):
        values = as_source(array.values)
        return Ragged(values, array.offsets, array.sizes, array.padding)
    return as_source(array)


def _kind(input: SequenceInput) -> str:
    return "ids" if input.features is None else f"{input.features} features"
