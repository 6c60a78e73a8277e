"""A written graph as an ONNX model, checked."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from numbers import Integral

from slimlearn.backend.onnx.writer import LEAST_OPSET, Writer

__all__ = ["ML", "ML_VERSION", "finish", "require_onnx"]

# The domain of operators of machine learning.
ML = "ai.onnx.ml"
# Before ONNX Runtime 1.13, operators of machine learning ended with this version.
ML_VERSION = 3
# What a protocol buffer can hold.
_MOST_BYTES = 2**31 - 2**16


def require_onnx(opset: int = LEAST_OPSET):
    """Return the onnx package; check the version of the operators.

    Raises
    ------
    ImportError
        If the package is not installed.
    ValueError
        If it does not know the version.
    """
    try:
        onnx = importlib.import_module("onnx")
    except ImportError as error:
        raise ImportError(
            f"to_onnx needs the onnx package, which could not be imported ({error}): "
            'pip install "slimlearn[onnx]"'
        ) from error
    newest = onnx.defs.onnx_opset_version()
    whole = isinstance(opset, Integral)
    if not whole or not LEAST_OPSET <= opset <= newest:
        raise ValueError(
            f"target_opset={opset!r}: networks are written with the operators of "
            f"version {LEAST_OPSET} to {newest}, the newest that the installed onnx "
            f"{onnx.__version__} knows; 17 is what ONNX Runtime 1.13 and newer run"
        )
    return onnx


def finish(
    writer: Writer, name: str, inputs: Sequence, outputs: Sequence, version: str
):
    """Return the graph as a checked model.

    Parameters
    ----------
    writer : Writer
    name : str
        Of the graph.
    inputs, outputs : sequence of ValueInfoProto
    version : str
        Of slimlearn.

    Raises
    ------
    ValueError
        If the model is larger than an ONNX file can be.
    """
    onnx = require_onnx()
    size = sum(array.nbytes for array in writer.arrays.values())
    if size > _MOST_BYTES:
        raise ValueError(
            f"the network has {size / 1e9:.1f} GB of numbers, an ONNX file holds 2 GB: "
            "save it by est.save, which libslim reads"
        )
    graph = onnx.helper.make_graph(writer.nodes, name, inputs, outputs, writer.needed())
    imports = [onnx.helper.make_opsetid("", writer.opset)]
    if any(node.domain == ML for node in writer.nodes):
        imports.append(onnx.helper.make_opsetid(ML, ML_VERSION))
    model = onnx.helper.make_model(
        graph,
        opset_imports=imports,
        ir_version=onnx.helper.find_min_ir_version_for(imports),
        producer_name="slimlearn",
        producer_version=version,
    )
    onnx.checker.check_model(model, full_check=True)
    return model
