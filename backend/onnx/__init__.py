"""Programs as ONNX: a converter for each op, and the graph that they write.

`Writer` holds a graph in the making. The other modules register a converter for the ops
of a family each, by the ops' names; what has none is named, with a way out, in
`registry.NO_OPERATOR`. The `onnx` package is imported where a graph is written.
"""

from slimlearn.backend.onnx.functions import write_function
from slimlearn.backend.onnx.models import ML, ML_VERSION, finish, require_onnx
from slimlearn.backend.onnx.registry import Unsupported
from slimlearn.backend.onnx.writer import LEAST_OPSET, Writer

__all__ = [
    "LEAST_OPSET",
    "ML",
    "ML_VERSION",
    "Unsupported",
    "Writer",
    "finish",
    "require_onnx",
    "write_function",
]
