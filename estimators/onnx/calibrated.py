"""Isotonic calibration as scikit-learn predicts it: skl2onnx takes the nearest step."""

from __future__ import annotations

import numpy as np
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType
from skl2onnx.proto import TensorProto

from slimlearn.backend.onnx import ML, ML_VERSION, Unsupported

__all__ = ["convert"]

_ALIAS = "SklearnCalibratedClassifierCV"


def convert(scope, operator, container) -> None:
    """Write isotonic calibration by this module, another as skl2onnx does."""
    isotonic = operator.raw_operator.method == "isotonic"
    (_convert if isotonic else get_converter(_ALIAS))(scope, operator, container)


def _convert(scope, operator, container) -> None:
    """The mean of what each fold's classifier and its steps say."""
    write = _Nodes(scope, operator, container)
    model = operator.raw_operator
    told = [write.calibrated(fold, model) for fold in model.calibrated_classifiers_]
    total = write.node("Sum", *told)
    label, probabilities = (variable.full_name for variable in operator.outputs)
    count = write.numbers(len(told))
    write.node("Div", total, count, result=probabilities)
    place = write.node("ArgMax", probabilities, axis=1, keepdims=0)
    classes = np.asarray(model.classes_)
    if classes.dtype.kind in "OUS":
        words = [str(name).encode() for name in classes]
        known = write.constant(TensorProto.STRING, words)
    else:
        known = write.constant(TensorProto.INT64, classes.astype(np.int64))
    write.node("Gather", known, place, result=label)


class _Nodes:
    """Nodes behind the inputs of an operator."""

    def __init__(self, scope, operator, container):
        self.scope, self.operator, self.container = scope, operator, container
        double = isinstance(operator.inputs[0].type, DoubleTensorType)
        self.real = TensorProto.DOUBLE if double else TensorProto.FLOAT
        self.dtype = np.float64 if double else np.float32

    def node(self, op: str, *inputs: str, result: str | None = None, **attributes):
        """Write a node, and return the name of its result."""
        result = result or self.scope.get_unique_variable_name(op.lower())
        name = self.scope.get_unique_operator_name(op)
        if op == "ArrayFeatureExtractor":
            attributes |= {"op_domain": ML, "op_version": ML_VERSION}
        self.container.add_node(op, list(inputs), result, name=name, **attributes)
        return result

    def constant(self, kind: int, values) -> str:
        """Return the name of a constant."""
        name = self.scope.get_unique_variable_name("known")
        shape, flat = np.shape(values), np.ravel(values).tolist()
        self.container.add_initializer(name, kind, shape, flat)
        return name

    def numbers(self, values) -> str:
        """Return the name of a constant of numbers."""
        return self.constant(self.real, np.asarray(values, self.dtype))

    def calibrated(self, fold, model) -> str:
        """Probabilities [rows, classes] of a classifier and its calibrators."""
        base, classes = fold.estimator, len(model.classes_)
        if len(base.classes_) != classes:
            raise Unsupported(
                f"a fold of CalibratedClassifierCV was fitted on {len(base.classes_)} "
                f"of {classes} classes, which ONNX has no form for: take fewer folds, "
                "or serve it by slimlearn.save"
            )
        scores = self._scores(base)
        first = 1 if classes == 2 else 0
        told = []
        for place, calibrator in enumerate(fold.calibrators, first):
            at = self.constant(TensorProto.INT64, [place])
            column = self.node("ArrayFeatureExtractor", scores, at)
            told.append(self._stairs(column, calibrator))
        if classes == 2:
            other = self.node("Sub", self.numbers(1), told[0])
            return self.node("Concat", other, told[0], axis=1)
        found = self.node("Concat", *told, axis=1)
        total = self.node("ReduceSum", found, self.constant(TensorProto.INT64, [1]))
        nothing = self.node("Equal", total, self.numbers(0))
        shares = self.node(
            "Div", found, self.node("Where", nothing, self.numbers(1), total)
        )
        return self.node("Where", nothing, self.numbers(1 / classes), shares)

    def _scores(self, base) -> str:
        """What a classifier says before it is calibrated."""
        scope, container = self.scope, self.container
        inner = scope.declare_local_operator(
            sklearn_operator_name_map[type(base)], base
        )
        if hasattr(base, "decision_function"):
            container.add_options(id(base), {"raw_scores": True})
            scope.add_options(id(base), {"raw_scores": True})
        inner.inputs = self.operator.inputs
        label = scope.declare_local_variable("label", Int64TensorType())
        kind = type(self.operator.inputs[0].type)
        scores = scope.declare_local_variable("scores", kind())
        inner.outputs.append(label)
        inner.outputs.append(scores)
        # A forest tells float32, whatever it reads.
        return self.node("Cast", scores.full_name, to=self.real)

    def _stairs(self, x: str, calibrator) -> str:
        """The line between the two of the calibrator's points that x is between."""
        points = np.asarray(calibrator.X_thresholds_, np.float64)
        levels = np.asarray(calibrator.y_thresholds_, np.float64)
        slopes = np.append(np.diff(levels) / np.diff(points), 0.0)
        x = self.node("Max", x, self.numbers(points[0]))
        x = self.node("Min", x, self.numbers(points[-1]))
        beyond = self.node("GreaterOrEqual", x, self.numbers(points[1:].reshape(1, -1)))
        beyond = self.node("Cast", beyond, to=TensorProto.INT64)
        axis = self.constant(TensorProto.INT64, [1])
        place = self.node("ReduceSum", beyond, axis)
        begin, level, slope = (
            self.node("Gather", self.numbers(values), place)
            for values in (points, levels, slopes)
        )
        apart = self.node("Mul", self.node("Sub", x, begin), slope)
        return self.node("Add", level, apart)
