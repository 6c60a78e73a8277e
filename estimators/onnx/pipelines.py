"""Steps of skl2onnx: the parser, the types and the nodes of an estimator."""

from __future__ import annotations

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx._parse import _parse_sklearn_simple_model
from skl2onnx.common import data_types
from skl2onnx.common._registration import _converter_pool

from slimlearn.backend.onnx import LEAST_OPSET, ML, ML_VERSION, Writer

__all__ = ["calculate", "convert", "parser", "register"]

# Results of a step, in skl2onnx's order; what else a network tells stays behind.
_STEP = ("label", "probabilities", "scores", "variable")
# Options that pipelines give all classifiers; probabilities stay one tensor.
_OPTIONS = {"zipmap": None, "nocl": None, "raw_scores": [True, False]}

_KINDS = {
    data_types.FloatTensorType: np.dtype(np.float32),
    data_types.DoubleTensorType: np.dtype(np.float64),
    data_types.Int64TensorType: np.dtype(np.int64),
    data_types.Int32TensorType: np.dtype(np.int32),
    data_types.BooleanTensorType: np.dtype(np.bool_),
    data_types.UInt8TensorType: np.dtype(np.uint8),
}
_TYPES = {
    np.dtype(np.float32): data_types.FloatTensorType,
    np.dtype(np.float64): data_types.DoubleTensorType,
    np.dtype(np.int64): data_types.Int64TensorType,
    np.dtype(np.bool_): data_types.BooleanTensorType,
    np.dtype(object): data_types.StringTensorType,
}


def parser(estimator, scope, inputs):
    """The names and types of a step's results."""
    register(type(estimator))
    return [
        (output.name, _TYPES[np.dtype(output.dtype)]([None, *output.shape]))
        for output in _written(estimator, inputs, LEAST_OPSET)[1]
    ]


def calculate(operator) -> None:
    """Set the types of a step's results."""
    _, outputs = _written(operator.raw_operator, operator.inputs, LEAST_OPSET)
    rows = operator.inputs[0].type.shape[:1] or [None]
    for variable, output in zip(operator.outputs, outputs):
        variable.type = _TYPES[np.dtype(output.dtype)]([*rows, *output.shape])


def convert(scope, operator, container) -> None:
    """Write the nodes of a step."""
    names = [variable.full_name for variable in operator.inputs]
    opset = container.target_opset_any_domain("")
    prefix = scope.get_unique_operator_name("slimlearn") + "/"
    options = container.get_options(operator.raw_operator, {"raw_scores": False})
    writer, outputs = _written(
        *(operator.raw_operator, operator.inputs, opset, prefix, names),
        raw=options.get("raw_scores", False),
    )
    container.initializers.extend(writer.needed())
    for node in writer.nodes:
        container.nodes.append(node)
        version = ML_VERSION if node.domain == ML else opset
        container.node_domain_version_pair_sets.add((node.domain, version))
    for variable, output in zip(operator.outputs, outputs):
        name = scope.get_unique_operator_name("Identity")
        container.add_node("Identity", output.value, variable.full_name, name=name)


def _written(estimator, inputs, opset: int, prefix: str = "", names=None, raw=False):
    kinds = [_kind(estimator, variable) for variable in inputs]
    real = "float64" if np.dtype(np.float64) in kinds else "float32"
    writer = Writer(opset, real, prefix)
    names = names or [f"input{i}" for i in range(len(kinds))]
    sources = estimator._onnx_sources(writer, names, kinds)
    outputs = estimator._write_onnx_step(writer, sources, raw)
    return writer, [output for output in outputs if output.name in _STEP]


def _kind(estimator, variable) -> np.dtype:
    found = _KINDS.get(type(variable.type))
    if found is None:
        raise TypeError(
            f"{type(estimator).__name__} reads numbers, and the step before gives "
            f"{variable.raw_name!r} as {type(variable.type).__name__}: put an encoder "
            "between, or name initial_types of numbers"
        )
    return found


def register(kind: type) -> None:
    """Make a class known by name: options of pipelines and of what is around it."""
    alias = f"Slimlearn{kind.__name__}"
    if alias in _converter_pool:
        return

    def parse(scope, model, inputs, custom_parsers=None):
        return _parse_sklearn_simple_model(
            scope, model, inputs, custom_parsers=custom_parsers, alias=alias
        )

    update_registered_converter(
        kind, alias, calculate, convert, parser=parse, options=_OPTIONS
    )
