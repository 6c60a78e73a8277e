"""Scales behind a product, such as those of a normalization, go into its weights.

y = convolution(x, filters)              y = convolution(x, filters·scale)
c = sub(y, moving_mean)            =>    b = add(y, shift)
n = mul(c, rsqrt(variance + eps))
b = add(n, beta)
"""

from __future__ import annotations

import numpy as np

from slimlearn.backend.export_c.network import Network, declare
from slimlearn.backend.graph import Declaration, Node, Tensor

__all__ = ["fold_scales"]

# Applied to a product and a constant for each column, they move into its weights.
_AFFINE = frozenset(("add", "sub", "mul", "div"))
_PRODUCTS = frozenset(("matmul", "convolution"))


def fold_scales(network: Network) -> None:
    """Fold what can be; weights that are read turned are turned for good."""
    graph = network.graph
    users: dict[Tensor, list[Node]] = {}
    for node in graph.nodes:
        for operand in node.operands:
            users.setdefault(operand, []).append(node)
    for value in graph.returns:
        users.setdefault(value, []).append(None)  # type: ignore[arg-type]
    for node in list(graph.nodes):
        weights = node.operands[1] if node.op in _PRODUCTS else None
        if not isinstance(weights, Declaration):
            continue
        if node.op == "matmul" and weights.rank == 2 and node.attributes["transpose_b"]:
            turned = network.arrays[weights.name].T
            name = f"{node.results[0].name}/weights"
            weights = declare(network, name, turned, weights.dtype)
            node.operands = (node.operands[0], weights)
            node.attributes = {**node.attributes, "transpose_b": False}
        if node.op == "convolution" or weights.rank == 2:
            _fold_behind(network, node, users)


def _fold_behind(network: Network, product: Node, users: dict) -> None:
    """Move scales for each column behind a product into its weights."""
    value = product.results[0]
    columns, last = value.shape[-1], None
    scale, shift = np.ones(columns), np.zeros(columns)
    scaled = False
    while len(users.get(value, ())) == 1:
        (user,) = users[value]
        if user is None or user.op not in _AFFINE or user.results[0].rank != value.rank:
            break
        first = user.operands[0] is value
        other = _column_constant(network, user.operands[1 if first else 0], columns)
        if other is None or (user.op == "div" and not first):
            break
        if user.op == "add":
            shift = shift + other
        elif user.op == "sub":
            sign = 1 if first else -1
            scale, shift = sign * scale, sign * (shift - other)
        else:
            other = 1 / other if user.op == "div" else other
            scale, shift = scale * other, shift * other
        scaled = scaled or user.op in ("mul", "div")
        value, last = user.results[0], user
    if not scaled or not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        return
    name = f"{product.results[0].name}/folded"
    weights = product.operands[1]
    array = network.arrays[weights.name].astype(np.float64) * scale
    folded = declare(network, f"{name}_weights", array, weights.dtype)
    product.operands = (product.operands[0], folded)
    biases = declare(network, f"{name}_biases", shift, weights.dtype)
    last.op, last.attributes = "add", {}
    last.operands = (product.results[0], biases)


def _column_constant(network: Network, value: Tensor, columns: int):
    """The number of each column, float64; None of what is no such constant."""
    if isinstance(value, Declaration):
        array = network.arrays[value.name]
    else:
        made = [n for n in network.graph.nodes if value in n.results]
        if not made or made[0].op != "constant" or value.shape != ():
            return None
        array = np.asarray(made[0].attributes["value"])
    if array.size != 1 and array.shape != (*(1,) * (array.ndim - 1), columns):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (columns,))
