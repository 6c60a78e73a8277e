"""`to_onnx`, and what skl2onnx asks of a step of a pipeline."""

from __future__ import annotations

import importlib

import numpy as np
from sklearn.utils.validation import check_is_fitted

__all__ = ["ToONNX"]

_OPSET = 17
_PRECISIONS = ("float32", "float64")


class ToONNX:
    """A mixin: estimators that are written as ONNX, alone and in pipelines.

    skl2onnx finds the three last methods by their names, so that nothing needs to be
    registered before ``skl2onnx.to_onnx(pipeline, X)``.
    """

    def to_onnx(self, *, target_opset: int = _OPSET, precision: str = "float32"):
        """Return the fitted network as an ONNX model, for any number of rows.

        Parameters
        ----------
        target_opset : int, default=17
            The version of ONNX's operators; 17, with format ("IR") version 8, is what
            ONNX Runtime runs from 1.13 on.
        precision : {"float32", "float64"}, default="float32"
            What all floating-point numbers of the model are, X and the results too.
            Runtimes compute convolutions and a few other operators in float32.

        Returns
        -------
        onnx.ModelProto
            Checked by ``onnx.checker``. Input ``X`` of shape (N, n_features), images
            and sequences as their shape is, several inputs by their names; sparse rows
            are given dense. Outputs of classifiers: ``label`` and ``probabilities``,
            or ``scores`` where the loss has none; of regressors: ``variable`` of shape
            (N, n_outputs) in the units of y, with ``std`` or ``quantiles`` where the
            loss tells them.

        Raises
        ------
        ImportError
            If the onnx package is missing: ``pip install "slimlearn[onnx]"``.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the network has an op that ONNX has no form for; the error names op and
            layer.

        Examples
        --------
        A pipeline is converted by skl2onnx, which knows its other steps::

            import skl2onnx
            model = skl2onnx.to_onnx(pipe, X[:1].astype("float32"),
                                     target_opset=17, options={"zipmap": False})
        """
        check_is_fitted(self, "program_")
        if precision not in _PRECISIONS:
            raise ValueError(
                f"precision is 'float32' or 'float64', what the model's numbers are; "
                f"got {precision!r}"
            )
        # All estimators have this method, and few programs call it.
        from slimlearn.backend.onnx import Writer, finish, require_onnx
        from slimlearn.estimators.onnx.inputs import model_inputs

        onnx = require_onnx(target_opset)
        writer = Writer(target_opset, precision)
        infos, sources = model_inputs(writer, self, self._handle.input)
        outputs = self._write_onnx(writer, sources)
        named = []
        for output in outputs:
            name = writer.unique(output.name)
            node = onnx.helper.make_node("Identity", [output.value], [name], name)
            writer.nodes.append(node)
            named.append(_info(onnx, name, output))
        version = importlib.import_module("slimlearn").__version__
        return finish(writer, type(self).__name__, infos, named, version)

    def _write_onnx(self, writer, sources: dict) -> list:
        """Write the network and its head; return the head's `Output`s."""
        from slimlearn.backend.onnx import write_function
        from slimlearn.estimators.onnx.heads import check_head, outputs_of

        check_head(self, self._head)
        program, functions = self.program_, self.program_.model.functions
        whole = "predict_proba" if "predict_proba" in functions else "predict"
        values = write_function(writer, program, whole, sources)
        [returned] = functions[whole].returns
        probabilities = None if whole == "predict" else writer.values[returned]
        [raw] = functions["predict"].returns
        if raw.name not in values:
            values = write_function(writer, program, "predict", sources)
        return outputs_of(writer, self._head, values[raw.name], probabilities)

    # -- what skl2onnx asks -----------------------------------------------------------

    def onnx_parser(self):
        """Return skl2onnx's ``parser``: the names of the results."""

        def parser(scope=None, inputs=None):
            return _of_skl2onnx().parser(self, scope, inputs)

        return parser

    def onnx_shape_calculator(self):
        """Return skl2onnx's ``shape calculator``: the types of the results."""

        def calculate(operator):
            return _of_skl2onnx().calculate(operator)

        return calculate

    def onnx_converter(self):
        """Return skl2onnx's ``converter``: it writes the nodes."""

        def convert(scope, operator, container):
            return _of_skl2onnx().convert(scope, operator, container)

        return convert


def _of_skl2onnx():
    """What imports skl2onnx: it asks, so it is there."""
    return importlib.import_module("slimlearn.estimators.onnx.pipelines")


def _info(onnx, name: str, output):
    if output.dtype == object:
        kind = onnx.TensorProto.STRING
    else:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(output.dtype))
    return onnx.helper.make_tensor_value_info(name, kind, ["N", *output.shape])
