"""A network of one program as C: which function, from which sources."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.export_c import Wish
from slimlearn.backend.extract import extract
from slimlearn.backend.graph import Model, Tensor, inside
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program
from slimlearn.estimators import inputs
from slimlearn.estimators.features.categories import CategoryMatrix
from slimlearn.estimators.features.input import FeatureInput
from slimlearn.estimators.heads import (
    ClassifierHead,
    Head,
    QuantilesHead,
    TokensHead,
)
from slimlearn.estimators.tensors import FUNCTION

__all__ = [
    "Exported",
    "columns_of",
    "exported_layer",
    "exported_network",
    "order_of",
    "picked",
    "plain",
    "sizes_of",
    "sources_of",
]

# What the network reads is what a caller of C has in its hands.
_INPUTS = (
    inputs.DenseInput,
    inputs.ImageInput,
    inputs.NamedInput,
    inputs.SequenceInput,
    inputs.SparseInput,
)

# What it reads of columns that are brought to numbers before, in C too.
_COLUMNS = CategoryMatrix, FeatureInput

# What autoencoders offer, and what it gives.
_AGAIN = "reconstruct", "reconstruction"


class Exported(NamedTuple):
    """What C is made of.

    Attributes
    ----------
    model : Model
    function : str
    arrays : mapping of str to ndarray
        Of the model's declarations.
    wish : Wish
    who : str
        What it was made from, for the header.
    head : Head or None
        What results mean; None of features.
    classes : ndarray or None
    categories : mapping
        As in `ExportedC`: by column the texts by their numbers.
    """

    model: Model
    function: str
    arrays: Mapping[str, np.ndarray]
    wish: Wish
    who: str
    head: Head | None = None
    classes: np.ndarray | None = None
    categories: Mapping = MappingProxyType({})


def exported_network(estimator, name: str) -> Exported:
    """What `export_c` writes of an estimator with one program.

    Parameters
    ----------
    estimator : NetworkEstimator
    name : str
        In C.
    """
    who = type(estimator).__name__
    _check_input(estimator)
    program = estimator.program_
    model = parse_program(program.text)
    head = estimator._head
    if isinstance(head, TokensHead):
        raise ValueError(
            f"{who} searches for sequences, which C exports do not give: predict by "
            "libslim or in Python, from a file of est.save, or by est.to_onnx"
        )
    function, wish = "predict", None
    if isinstance(head, ClassifierHead):
        probable = "predict_proba" in model.functions and head.probabilistic
        function = "predict_proba" if probable else "predict"
        says = "probabilities" if probable else "decisions"
        compute = "predict_proba" if probable else "decision_function"
        one = not (head.by_step or head.several)
        wish = Wish(name, compute, says, plain(head.classes) if one else None)
    else:
        graph = model.functions["predict"]
        with inside(graph):
            graph.returns = [head.decoded(graph.returns[0])]
        what = ("predict", "prediction") if hasattr(estimator, "predict") else _AGAIN
        if isinstance(head, QuantilesHead):
            what = "predict_quantiles", "quantiles"
        wish = Wish(name, *what)
    wish = wish._replace(about=order_of(head))
    arrays = {**program.weights, **program.states}
    classes = getattr(estimator, "classes_", None)
    made = Exported(model, function, arrays, wish, who, head, classes)
    return _from_columns(estimator, made)


def _from_columns(estimator, made: Exported) -> Exported:
    """With what brings columns to numbers, where something does."""
    if not isinstance(estimator._input, _COLUMNS):
        return made
    # It is made of this module's parts.
    from slimlearn.estimators.exports.columns import with_columns

    return with_columns(estimator, made)


def sources_of(estimator, X) -> dict:
    """What an exported network reads of rows of X, by source."""
    if not isinstance(estimator._input, _COLUMNS):
        return estimator._input.sources(
            estimator._input.check(estimator, X, name="X_calibration")
        )
    from slimlearn.estimators.exports.columns import rows_of_columns

    return rows_of_columns(estimator, X)


def _check_input(estimator) -> None:
    if not isinstance(estimator._input, (*_INPUTS, *_COLUMNS)):
        raise ValueError(
            f"{type(estimator).__name__} turns X into numbers in Python before its "
            "network sees them, which C exports cannot: export a network that reads "
            "numbers and category numbers, such as NetworkClassifier with inputs=, or "
            "a TabularClassifier"
        )


def exported_layer(estimator, layer: str | None, name: str, who: str) -> Exported:
    """What `export_c` writes of a layer, as features of a row."""
    _check_input(estimator)
    tensor, program = estimator.tensor_of(layer), estimator.program_
    model = parse_program(extract(program.model, FUNCTION, [tensor.name]))
    graph = model.functions[FUNCTION]
    with inside(graph):
        width = prod(tensor.shape[1:])
        graph.returns = [ops.reshape(graph.returns[0], (B, width))]
    arrays = {**program.weights, **program.states}
    made = Exported(model, FUNCTION, arrays, Wish(name, "transform", "features"), who)
    return _from_columns(estimator, made)


def sizes_of(estimator, length: int | None) -> Mapping[str, int]:
    """The sizes of a program's symbols, for one row."""
    input = getattr(estimator, "_input", None)
    sequences = isinstance(input, inputs.SequenceInput)
    if length is None:
        longest = max(input.sizes, default=0) if sequences else 0
        return {"B": 1, "T": longest} if longest else {"B": 1}
    if not sequences:
        raise ValueError(f"length={length!r} is for sequences, and X holds none")
    if not isinstance(length, (int, np.integer)) or length < 1:
        raise ValueError(f"length is a number of steps, at least 1; got {length!r}")
    return {"B": 1, "T": int(length)}


def columns_of(estimator, source: str, x: Tensor) -> Tensor:
    """What a source of a network is of rows that a step before it gives.

    Parameters
    ----------
    estimator : NetworkEstimator
    source : str
    x : Tensor
        [B, columns].
    """
    input = estimator._input
    if isinstance(input, _COLUMNS):
        return x
    forms = {form.name: form for form in input.forms}
    form = forms[source]
    if isinstance(input, inputs.NamedInput):
        places = dict(zip(forms, input.positions))[source]
        found = picked(x, list(places))
        return found if form.shape else ops.reshape(found, (B,))
    if isinstance(input, inputs.SequenceInput):
        raise ValueError(
            f"{type(estimator).__name__} reads sequences, which no step before it "
            "gives in C: export it alone"
        )
    shaped = isinstance(input, inputs.ImageInput)
    return ops.reshape(x, (B, *form.shape)) if shaped else x


def picked(x: Tensor, places: list[int]) -> Tensor:
    """Columns of a matrix, in this order; neighbours as one piece."""
    if places == list(range(x.shape[1])):
        return x
    pieces, begin = [], 0
    for end in range(1, len(places) + 1):
        if end == len(places) or places[end] != places[end - 1] + 1:
            pieces.append(ops.slice_(x, 1, places[begin], places[end - 1] + 1))
            begin = end
    return pieces[0] if len(pieces) == 1 else ops.concat(pieces, 1)


def order_of(head: Head) -> list[str]:
    """What the header says of the order of numbers that no table of labels tells."""
    if isinstance(head, QuantilesHead):
        told = "Quantiles, of each target" if head.targets > 1 else "Quantiles"
        return [f"{told}: {', '.join(map(str, head.quantile))}"]
    if not isinstance(head, ClassifierHead):
        return []
    if isinstance(head.classes, list):
        told = "; ".join(", ".join(map(str, plain(c))) for c in head.classes)
        return [f"Of one output after the other, of its classes: {told}"]
    if head.several:
        return ["Of each label, in the order of y's columns"]
    told = ", ".join(map(str, plain(head.classes)))
    return [f"Of each step, of: {told}"] if head.by_step else []


def plain(classes: np.ndarray) -> list:
    """Labels as text or numbers."""
    if classes.dtype.kind == "b":
        return [int(label) for label in classes]
    if classes.dtype.kind in "iuf":
        return classes.tolist()
    return [str(label) for label in classes]
