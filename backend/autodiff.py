"""Reverse-mode differentiation: walk back, ask each op for its gradient as graph."""

from slimlearn.backend.graph import (
    FLOATS,
    Tensor,
    absolute_scope,
    current_graph,
    storage_of,
    type_text,
)
from slimlearn.backend.op import OPS
from slimlearn.backend.ops import as_tensor, broadcast_to, sum_to
from slimlearn.backend.ops.slicing import add_padded
from slimlearn.backend.remade import Remade


def gradients(ys, xs, grad_ys=None) -> list[Tensor | None]:
    """Append the gradients of the sum of `ys` to the current function.

    Parameters
    ----------
    ys : Tensor or sequence of Tensor
        What is differentiated, of type f32 or f64.
    xs : Tensor or sequence of Tensor
        Parameters or values of this function.
    grad_ys : sequence of Tensor or None, optional
        The gradients of the `ys`; ones by default.

    Returns
    -------
    list of Tensor or None
        One for each of `xs`, of its shape; None where the `ys` do not depend on it.

    Notes
    -----
    Only nodes between `xs` and `ys` are visited, and the result is ordinary graph, so
    gradients of gradients work. A gradient stays a scalar as long as it is one: it is
    repeated to its value's shape only where an op needs that.
    """
    ys = [ys] if isinstance(ys, Tensor) else list(ys)
    xs = [xs] if isinstance(xs, Tensor) else list(xs)
    grad_ys = [None] * len(ys) if grad_ys is None else list(grad_ys)
    for x in xs:
        if storage_of(x.dtype):
            raise ValueError(
                f"%{x.name} is {type_text(*x.type)}: sparse rows are data and have no "
                "gradient"
            )
    graph = current_graph()
    xs, ys = [graph.seen(x) for x in xs], [graph.seen(y) for y in ys]
    nodes = list(graph.nodes)
    path = _depends_on(xs, nodes)
    sums: dict[Tensor, Tensor] = {}
    for y, seed in zip(ys, grad_ys, strict=True):
        if y.dtype not in FLOATS:
            raise ValueError(
                f"%{y.name} : {type_text(*y.type)} cannot be differentiated: "
                "gradients need f32 or f64"
            )
        if seed is not None and seed.type != y.type:
            raise ValueError(
                f"the gradient of %{y.name} must be {type_text(*y.type)}, "
                f"got {type_text(*seed.type)}"
            )
        if y in path:
            _accumulate(sums, y, as_tensor(1.0, y.dtype) if seed is None else seed)
    keep, remade = set(xs), Remade(graph, nodes)
    device = graph.device
    for node in reversed(nodes):
        if any(result in sums for result in node.results):
            graph.device = node.device
            _backward(node, sums, path, keep, remade)
    graph.device = device
    remade.drop_unused()
    return [broadcast_to(sums[x], x.shape) if x in sums else None for x in xs]


def _depends_on(xs, nodes) -> set[Tensor]:
    """Return `xs` and all float values computed from them."""
    path = set(xs)
    for node in nodes:
        for operand in node.operands:
            if operand in path:
                path.update(r for r in node.results if r.dtype in FLOATS)
                break
    return path


def _backward(node, sums, path, keep, remade) -> None:
    """Hand the gradients of a node's results on to its operands."""
    op = OPS[node.op]
    wanted = [
        i
        for i, operand in enumerate(node.operands)
        if operand in path and operand.dtype in FLOATS
    ]
    results = node.results
    given = [sums.get(r) if r in keep else sums.pop(r, None) for r in results]
    if not wanted:
        return
    twin = remade.twin(node, next(g for g in given if g is not None))
    with absolute_scope(results[0].name + ".g"):
        if not op.elementwise:
            pairs = zip(results, given, strict=True)
            given = [g if g is None else broadcast_to(g, r.shape) for r, g in pairs]
        for i, gradient in zip(wanted, op.grads(twin, wanted, *given), strict=True):
            if gradient is None:
                continue
            operand = node.operands[i]
            if op.elementwise and operand.shape != results[0].shape:
                gradient = broadcast_to(gradient, results[0].shape)
                gradient = sum_to(gradient, operand.shape)
            _accumulate(sums, operand, gradient)


def _accumulate(sums, value, gradient) -> None:
    known = sums.get(value)
    sums[value] = gradient if known is None else add_padded(known, gradient)
