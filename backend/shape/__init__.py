"""Dimensions and shapes: integers, symbols (B the batch) and polynomials of them."""

from slimlearn.backend.shape.dim import B, Dim, as_dim, evaluate, exact_divide, symbol
from slimlearn.backend.shape.parser import parse_dim
from slimlearn.backend.shape.shapes import Shape, broadcast_shapes, product

__all__ = [
    "B", "Dim", "Shape", "as_dim", "broadcast_shapes", "evaluate", "exact_divide",
    "parse_dim", "product", "symbol",
]  # fmt: skip
