"""`to_onnx`, and what skl2onnx asks of a step of a pipeline."""

from __future__ import annotations

import importlib

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

__all__ = ["ToONNX", "to_onnx"]

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

            Sequences of different length are padded, and ``lengths`` tells how many
            steps each has; words are given as texts. Taggers give ``label`` and
            ``probabilities`` of each step, of padding too. `Seq2Seq` searches with its
            beams: ``sequences`` (N, beam_width, max_length), the best one first, of
            which the first ``n_tokens`` count, and their ``scores``.

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
        check_is_fitted(self)
        if precision not in _PRECISIONS:
            raise ValueError(
                f"precision is 'float32' or 'float64', what the model's numbers are; "
                f"got {precision!r}"
            )
        # All estimators have this method, and few programs call it.
        from slimlearn.backend.onnx import Writer, finish, require_onnx

        onnx = require_onnx(target_opset)
        writer = Writer(target_opset, precision)
        infos, sources = self._onnx_inputs(writer)
        outputs = self._write_onnx(writer, sources)
        named = []
        for output in outputs:
            name = writer.unique(output.name)
            node = onnx.helper.make_node("Identity", [output.value], [name], name)
            writer.nodes.append(node)
            named.append(_info(onnx, name, output))
        version = importlib.import_module("slimlearn").__version__
        return finish(writer, type(self).__name__, infos, named, version)

    # -- what is written: estimators whose networks are not one have their own ---------

    def _onnx_inputs(self, writer) -> tuple[list, dict]:
        """Return the inputs of a model, and the sources that they become."""
        from slimlearn.estimators.onnx.inputs import model_inputs

        return model_inputs(writer, self, self._handle.input)

    def _onnx_sources(self, writer, names: list, kinds: list) -> dict:
        """Return the sources that the values of a pipeline's step become."""
        from slimlearn.estimators.onnx.inputs import sources_of_matrix

        return sources_of_matrix(writer, self, self._handle.input, names, kinds)

    def _write_onnx(self, writer, sources: dict, raw: bool = False) -> list:
        """Write what methods of prediction give; return the `Output`s.

        `raw` asks for scores where there are probabilities.
        """
        from slimlearn.estimators.onnx.heads import outputs_of_network

        return outputs_of_network(writer, self, sources, raw)

    def _write_onnx_step(self, writer, sources: dict, raw: bool = False) -> list:
        """Write what the steps behind this one in a pipeline get."""
        return self._write_onnx(writer, sources, raw)

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


def to_onnx(model, X=None, *, target_opset: int = _OPSET):
    """Return a fitted model as ONNX: a network, or what scikit-learn has around some.

    Parameters
    ----------
    model : estimator
        Of slimlearn, or a pipeline, search, calibration or ensemble of scikit-learn
        around some, which skl2onnx converts. Of a search it is the best estimator.
    X : array-like or DataFrame, optional
        A row or more such as will come, for estimators of scikit-learn: its type says
        whether the model reads float32 or float64, and names of columns become inputs.
    target_opset : int, default=17
        As in the method `to_onnx` of estimators.

    Returns
    -------
    onnx.ModelProto
        Of classifiers ``label`` and ``probabilities``, of others ``variable``.

    Raises
    ------
    ImportError
        If onnx or skl2onnx is missing: ``pip install "slimlearn[onnx]"``.
    ValueError
        If X is missing where it is needed, or a part has no form in ONNX.

    Examples
    --------
    ::

        made = slimlearn.to_onnx(search, X[:1])
        session = onnxruntime.InferenceSession(made.SerializeToString())
    """
    if not isinstance(model, BaseEstimator):
        raise TypeError(f"to_onnx takes a fitted estimator; got {model!r:.60}")
    if isinstance(model, ToONNX):
        return model.to_onnx(target_opset=target_opset)
    check_is_fitted(model)
    # It imports what most programs have no use for.
    around = importlib.import_module("slimlearn.estimators.onnx.around")
    return around.converted(model, X, target_opset)
