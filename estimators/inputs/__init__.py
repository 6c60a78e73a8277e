"""Inputs: what X means. Check it, say what the program reads of it, and hand that over.

An input begins as a wish, `Input.check` reads the X of a fit by it, and `Input.seen` is
what the fit then knows and predict goes by: part of the fitted state, as the head is.
Its graph depends on `key` alone.
"""

from slimlearn.estimators.inputs.base import Form, Input
from slimlearn.estimators.inputs.images import ImageInput
from slimlearn.estimators.inputs.matrix import (
    SOURCE,
    DenseInput,
    MatrixInput,
    SparseInput,
    check_matrix,
)
from slimlearn.estimators.inputs.named import NamedInput
from slimlearn.estimators.inputs.sequences import SequenceInput
from slimlearn.estimators.inputs.tokens import TokenInput

__all__ = [
    "SOURCE",
    "DenseInput",
    "Form",
    "ImageInput",
    "Input",
    "MatrixInput",
    "NamedInput",
    "SequenceInput",
    "SparseInput",
    "TokenInput",
    "check_matrix",
]
