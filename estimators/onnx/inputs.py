"""What X means, as ONNX: the inputs of a model, or parts of a pipeline's matrix."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.onnx import ML, Unsupported
from slimlearn.backend.shape import B
from slimlearn.estimators.features.categories import CategoryMatrix
from slimlearn.estimators.features.input import FeatureInput
from slimlearn.estimators.inputs.base import Form, Input
from slimlearn.estimators.inputs.images import ImageInput
from slimlearn.estimators.inputs.matrix import DenseInput, SparseInput
from slimlearn.estimators.inputs.named import NamedInput
from slimlearn.estimators.inputs.sequences import SOURCE, SequenceInput
from slimlearn.estimators.inputs.tokens import UNKNOWN, TokenInput
from slimlearn.estimators.onnx.columns import category_inputs, feature_inputs

__all__ = ["model_inputs", "sources_of_matrix"]

_KNOWN = (DenseInput, SparseInput, NamedInput, ImageInput, SequenceInput, TokenInput)


def check_input(estimator, input: Input) -> None:
    """Refuse an X that is made into numbers by code that ONNX does not have."""
    # A subclass encodes X before the program reads it.
    if type(input) not in _KNOWN:
        raise Unsupported(
            f"{type(estimator).__name__} reads X by {type(input).__name__}, which no "
            "step of a pipeline gives in ONNX: convert it by its own to_onnx, which "
            "has an input for each column, or put scikit-learn's encoders before a "
            "DNNClassifier or DNNRegressor"
        )


def model_inputs(writer, estimator, input: Input) -> tuple[list, dict]:
    """Return the inputs of a model of this estimator, and the sources they become.

    Integers are int64, as NumPy's and skl2onnx's are.
    """
    if isinstance(input, CategoryMatrix):
        return category_inputs(writer, estimator, input)
    if isinstance(input, FeatureInput):
        return feature_inputs(writer, estimator, input)
    check_input(estimator, input)
    infos, sources = [], {}
    tokens = getattr(input, "tokens", None)
    for form in input.forms:
        name, dtype = writer.unique(form.name), form.dtype or "f32"
        dtype, shape = "i64" if dtype == "i32" else dtype, (B, *form.shape)
        words = tokens is not None and form.name == SOURCE
        kind = "str" if words else dtype
        infos.append(writer.info(name, kind, shape, rows="N"))
        writer.know_shape(name, shape)
        if words:
            name = _ids(writer, name, tokens)
        sources[form.name] = name, dtype
    return infos, sources


def _ids(writer, words: str, tokens: list[str]) -> str:
    """The ids of words, as `TokenInput` numbers them."""
    return writer.add(
        "LabelEncoder",
        words,
        domain=ML,
        keys_strings=tokens,
        values_int64s=list(range(UNKNOWN + 1, UNKNOWN + 1 + len(tokens))),
        default_int64=UNKNOWN,
    )


def sources_of_matrix(writer, estimator, input: Input, names, kinds) -> dict:
    """Return the sources that columns of a pipeline become.

    Parameters
    ----------
    writer : Writer
    estimator : NetworkEstimator
    input : Input
    names : list of str
        Values [rows, columns], side by side.
    kinds : list of dtype
        Their types.
    """
    check_input(estimator, input)
    parts = [
        name if kind == writer.real else writer.cast(name, "f32")
        for name, kind in zip(names, kinds)
    ]
    whole = parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=1)
    writer.know_shape(whole, (B,))
    if isinstance(input, NamedInput):
        return {
            form.name: (_columns(writer, whole, form, list(found)), "f32")
            for form, found in zip(input.forms, input.positions)
        }
    [form] = input.forms if len(input.forms) == 1 else [None]
    if form is None:
        raise Unsupported(
            f"{type(estimator).__name__} reads sequences with lengths beside them, "
            "which no step of a pipeline gives: convert it by its own to_onnx"
        )
    if isinstance(input, ImageInput):
        whole = writer.add("Reshape", whole, writer.ints(-1, *form.shape))
    return {form.name: (whole, "f32")}


def _columns(writer, whole: str, form: Form, positions: list[int]) -> str:
    index = np.array(positions if form.shape else positions[0], np.int64)
    return writer.add("Gather", whole, writer.constant(index), axis=1)
