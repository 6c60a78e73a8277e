"""Which function writes an op as ONNX nodes, and which ops have no such form."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CONVERTERS", "NO_OPERATOR", "Unsupported", "converts"]

# converter(writer, node, names of its operands) -> names of its results.
CONVERTERS: dict[str, Callable] = {}

_GRADIENT = (
    "it belongs to a gradient, which ONNX has no operators for: let predictions do "
    "without ops.gradients"
)
_RANDOM = (
    "runtimes draw other random numbers: let predictions do without it, or give the "
    "numbers as an input"
)
NO_OPERATOR = {
    "convolution_filter_grad": _GRADIENT,
    "csr_transpose": _GRADIENT,
    "max_pool_grad": _GRADIENT,
    "max_pool_pick": _GRADIENT,
    "pooled_convolution_filter_grad": _GRADIENT,
    "pooled_convolution_input_grad": _GRADIENT,
    "sparse_softmax_cross_entropy_grad": _GRADIENT,
    "sum_pool_grad": _GRADIENT,
    "dropout": _RANDOM,
    "random_normal": _RANDOM,
    "random_uniform": _RANDOM,
    "orthogonal": (
        "ONNX has no QR factorization: compute the matrix before, as a parameter"
    ),
    "custom": (
        "it calls a function of Python or C, which a model file cannot hold: write it "
        "with slimlearn's ops"
    ),
}


class Unsupported(ValueError):
    """A network that ONNX has no form for: the error names op and layer."""


def converts(*ops: str) -> Callable:
    """Return a decorator: the function writes these ops."""

    def register(function: Callable) -> Callable:
        for op in ops:
            if op in CONVERTERS or op in NO_OPERATOR:
                raise TypeError(f"op {op!r} has a converter already")
            CONVERTERS[op] = function
        return function

    return register


def converter_of(node) -> Callable:
    """Return the function that writes a node.

    Raises
    ------
    Unsupported
        If there is none, with op, layer and what to do.
    """
    found = CONVERTERS.get(node.op)
    if found is None:
        raise refusal(node, NO_OPERATOR.get(node.op, "no converter knows it"))
    return found


def refusal(node, why: str) -> Unsupported:
    """Return the error that a node has no form in ONNX."""
    name = node.results[0].name if node.results else node.op
    return Unsupported(f"[{node.op} {name}] cannot be written as ONNX: {why}")
