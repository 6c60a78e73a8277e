"""Kinds of inputs, and of what they hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from slimlearn.estimators.arrays import Origin
from slimlearn.estimators.features.categories import CategoryMatrix
from slimlearn.estimators.features.columns import FeatureColumn
from slimlearn.estimators.features.input import FeatureInput
from slimlearn.estimators.inputs import (
    DenseInput,
    Form,
    ImageInput,
    NamedInput,
    SequenceInput,
    SparseInput,
    TokenInput,
)
from slimlearn.estimators.saving.checks import (
    anything,
    array,
    count,
    either,
    flag,
    in_tuple,
    listed,
    mapped,
    number,
    numbers,
    of,
    optional,
    text,
    word,
)
from slimlearn.estimators.saving.kinds import Kind
from slimlearn.estimators.tables.columns import CategoryColumn

__all__ = ["rows"]

_SHAPE = in_tuple(count)
_SEEN = {
    "forms": in_tuple(of(Form)),
    "kind": of(np.dtype),
    "range": optional(in_tuple(number)),
    "partial": flag,
    "more": flag,
    "absent": optional(numbers),
}
_MATRIX = {**_SEEN, "accept_sparse": either(text, flag)}
_REQUIRED = frozenset(("forms",))
# What a file says that rows are padded to is memory for each of them.
_MOST_STEPS = 1 << 24


def _make_form(cls, state: dict) -> Form:
    return Form(**state)


def _make_sequences(cls, state: dict) -> SequenceInput:
    made = cls()
    made.__dict__.update(state)
    if made.known_lengths and min(made.sizes, default=0) < 1:
        raise ValueError("sequences of different length without lengths to pad them to")
    if any(a >= b for a, b in pairwise((*made.sizes, _MOST_STEPS))):
        raise ValueError(f"lengths to pad to that do not rise, up to {_MOST_STEPS}")
    return made.with_forms()


def _make_features(cls, state: dict) -> FeatureInput:
    made = FeatureInput(state.pop("columns"), state.pop("linear"))
    made.__dict__.update(state)
    return made


def rows() -> list[Kind]:
    """The kinds of this family."""
    form = {"name": text, "shape": _SHAPE, "dtype": optional(text), "sparse": flag}
    image = {
        **_SEEN,
        "image_shape": anything,
        "resize_to": anything,
        "on_error": word("raise", "skip"),
        "shape": optional(_SHAPE),
        "row_shape": optional(_SHAPE),
        "is_bytes": flag,
        "has_fractions": flag,
    }
    seen = {name: check for name, check in _SEEN.items() if name != "forms"}
    sequences = {
        **seen,
        "steps": number,
        "data_format": word("NTC", "NCT"),
        "vocabulary_size": optional(count),
        "buckets": count,
        "features": optional(count),
        "vocabulary": optional(count),
        "known_lengths": flag,
        "sizes": in_tuple(count),
        "flat": flag,
    }
    named = {
        **_SEEN,
        "wish": mapped(text, anything),
        "positions": in_tuple(in_tuple(count)),
        "columns": optional(either(in_tuple(text), listed(text))),
    }
    matrix = {
        **_MATRIX,
        "numbers": listed(count),
        "leveled": listed(of(CategoryColumn)),
        "coded": listed(of(CategoryColumn)),
        "tables": listed(array),
        "cardinalities": in_tuple(count),
        "names": listed(text),
    }
    features = {
        **{
            name: _SEEN[name] for name in ("kind", "range", "partial", "more", "absent")
        },
        "columns": in_tuple(of(FeatureColumn)),
        "linear": in_tuple(of(FeatureColumn)),
        "described": mapped(text, anything),
    }
    return [
        Kind(
            "Form",
            Form,
            form,
            frozenset(("name", "shape")),
            make=_make_form,
            state=Form._asdict,
        ),
        Kind(
            "Origin",
            Origin,
            {"namespace": text, "device": text},
            frozenset(("namespace", "device")),
        ),
        Kind("DenseInput", DenseInput, _MATRIX, _REQUIRED),
        Kind("SparseInput", SparseInput, _MATRIX, _REQUIRED),
        Kind("ImageInput", ImageInput, image, _REQUIRED),
        Kind(
            "SequenceInput",
            SequenceInput,
            sequences,
            frozenset(("features", "vocabulary", "known_lengths")),
            omitted=frozenset(("forms",)),
            make=_make_sequences,
        ),
        Kind(
            "TokenInput",
            TokenInput,
            {**sequences, "tokens": optional(listed(text))},
            frozenset(("features", "vocabulary", "known_lengths", "tokens")),
            omitted=frozenset(("forms", "_known")),
            make=_make_sequences,
        ),
        Kind(
            "NamedInput",
            NamedInput,
            named,
            _REQUIRED | {"wish", "positions", "columns"},
            own=frozenset(("wish",)),
        ),
        Kind("CategoryMatrix", CategoryMatrix, matrix, frozenset(matrix) - {*_MATRIX}),
        Kind(
            "FeatureInput",
            FeatureInput,
            features,
            frozenset(("columns", "linear")),
            omitted=frozenset(("numeric", "indicators", "sparse", "forms")),
            make=_make_features,
        ),
    ]
