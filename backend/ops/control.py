"""Ops that decide at run time what is computed: their regions hold any ops."""

from collections.abc import Callable, Sequence

import numpy as np

from slimlearn.backend.graph import (
    INTEGERS,
    Graph,
    Tensor,
    absolute_scope,
    build_region,
    copy_nodes,
    current_graph,
    drop_unused,
    inside,
    share_parameters,
    storage_of,
    type_text,
)
from slimlearn.backend.op import (
    OPS,
    Op,
    Refusal,
    check_tensor,
    emit,
    public,
    refuse_unless,
    value_text,
)
from slimlearn.backend.ops.fused import check_parameters
from slimlearn.backend.ops.source import constant

BRANCHES = ("then", "otherwise")


class Cond(Op):
    """One of two regions, chosen by a scalar: each takes all operands but the first."""

    name = "cond"
    results = None
    regions = 2

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(bool(types), "needs a predicate")
        refuse_unless(
            types[0] == ("bool", ()),
            f"the predicate is {type_text(*types[0])}, needs bool[]: one value that "
            "decides for all rows (ops.select chooses element by element)",
        )
        refuse_unless(len(regions) == 2, "needs two regions")
        for name, region in zip(BRANCHES, regions, strict=True):
            check_parameters(name, region.parameters, types[1:])
            _check_region(name, region)
        then, otherwise = ([v.type for v in region.returns] for region in regions)
        if then != otherwise:
            raise Refusal(
                f"then gives {_texts(then)}, otherwise gives {_texts(otherwise)}: both "
                "need as many values, of the same types"
            )
        return then

    def reference(self, context, arrays, node):
        chosen = node.regions[0 if arrays[0] else 1]
        return context.region(chosen, arrays[1:])

    def grads(self, node, wanted, *output_gradients):
        """Return the results of one cond, whose regions compute the forward anew."""
        # Autodiff knows all ops, so it is imported when it is needed.
        from slimlearn.backend.autodiff import gradients

        given = [g for g in output_gradients if g is not None]
        operands = [*node.operands[1:], *given]
        regions, slopes = [], []
        for forward in node.regions:
            region = Graph(forward.name, outer=current_graph(), scope=forward.scope)
            own = [region.add_parameter(v.name, *v.type) for v in operands]
            values = dict(zip(forward.parameters, own, strict=False))
            with inside(region):
                copy_nodes(forward, region, values)
                pairs = zip(forward.returns, output_gradients, strict=True)
                ys = [values[y] for y, g in pairs if g is not None]
                xs = [own[i - 1] for i in wanted]
                slopes.append(gradients(ys, xs, own[len(own) - len(given) :]))
            regions.append(region)
        pairs = zip(*slopes, strict=True)
        some = [any(slope is not None for slope in pair) for pair in pairs]
        if not any(some):
            return [None] * len(wanted)
        read = []
        for region, found in zip(regions, slopes, strict=True):
            with inside(region), absolute_scope(f"{region.scope}.g"):
                region.returns = [
                    constant(0.0, *node.operands[i].type) if slope is None else slope
                    for i, slope, used in zip(wanted, found, some, strict=True)
                    if used
                ]
            used = drop_unused(region)
            read.append([p in used for p in region.parameters])
        kept = [any(pair) for pair in zip(*read, strict=True)]
        for region in regions:
            region.parameters = _chosen(region.parameters, kept)
        operands = (node.operands[0], *_chosen(operands, kept))
        made = emit("cond", operands, regions=regions)
        results = iter(made if isinstance(made, tuple) else (made,))
        return [next(results) if used else None for used in some]

    def row_local(self, node):
        # Where the predicate depends on rows, an op before it is not local.
        nodes = (inner for region in node.regions for inner in region.walk())
        return all(OPS[inner.op].row_local(inner) for inner in nodes)


@public
def cond(
    pred: Tensor, then: Callable, otherwise: Callable, name: str | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Compute one of two things, as a value of the running network decides.

    Only the chosen one is computed, gradients too. Where both are cheap, or rows choose
    for themselves, `select` is better.

    Parameters
    ----------
    pred : Tensor of type bool[]
        One value for all rows, such as ``ops.reduce_mean(x) > 0``.
    then, otherwise : callable
        Functions without arguments that build the two branches: ops and layers on any
        tensors, parameters and inputs of the function around them. Each returns a
        tensor or a tuple of tensors; both as many, of the same types and shapes. What
        else they compute is not known outside.
    name : str, optional
        Of the result, and the name scope of what the branches compute.

    Returns
    -------
    Tensor, or a tuple of them where the branches return several

    Raises
    ------
    TypeError
        If `pred` or what a branch returns is no tensor, or a branch is no function.
    ValueError
        If `pred` is no scalar bool, the branches' results differ in number or type, or
        a branch reads an input or sparse rows, or assigns a state.

    Examples
    --------
    Scale a batch only where one of its values is large::

        level = ops.reduce_max(ops.abs(x))
        x = ops.cond(level > 10, lambda: x / level, lambda: x)
    """
    graph, wish = current_graph(), name or "cond"
    scope = graph.scoped_name(wish)
    where = f"[cond {scope}]"
    if isinstance(pred, (bool, np.bool_)):
        raise TypeError(
            f"{where} the predicate is the Python value {pred}, which is known while "
            "the network is built: use if"
        )
    check_tensor(pred, "cond", scope)
    regions = []
    for branch, body in zip(BRANCHES, (then, otherwise), strict=True):
        if not callable(body):
            raise TypeError(
                f"{where} {branch} is a function without arguments that returns "
                f"tensors, got {value_text(body)}: write lambda: value"
            )

        def build(branch=branch, body=body):
            made = body()
            values = made if isinstance(made, (tuple, list)) else (made,)
            return [
                check_tensor(v, "cond", f"{scope}: {branch} returns") for v in values
            ]

        region = build_region(
            build, f"branch {branch} of {where}", graph, f"{scope}/{branch}"
        )
        regions.append(region)
    operands = (pred, *share_parameters(regions))
    return emit("cond", operands, regions=regions, wish=wish)


@public
def switch(
    index: Tensor, branches: Sequence[Callable], name: str | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Compute one of several things, as a number of the running network says.

    Only the chosen one is computed, gradients too.

    Parameters
    ----------
    index : Tensor of type i32[] or i64[]
        Which one. Below 0 it is the first, beyond the end the last.
    branches : sequence of callable
        As those of `cond`: functions without arguments, which return as many tensors
        of the same types.
    name : str, optional
        Of the result, and the name scope of what the branches compute.

    Returns
    -------
    Tensor, or a tuple of them where the branches return several

    Raises
    ------
    TypeError
        If `index` or what a branch returns is no tensor, or a branch is no function.
    ValueError
        If there is no branch, `index` is no whole scalar, or branches differ.
    """
    scope = current_graph().scoped_name(name or "switch")
    where = f"[switch {scope}]"
    check_tensor(index, "switch", scope)
    if index.dtype not in INTEGERS or index.rank:
        raise ValueError(
            f"{where} the index is {type_text(*index.type)}, needs i32[] or i64[]: one "
            "number that decides for all rows"
        )
    branches = list(branches)
    if not branches:
        raise ValueError(f"{where} needs at least one branch")
    for i, branch in enumerate(branches):
        if not callable(branch):
            raise TypeError(
                f"{where} branch {i} is a function without arguments, got "
                f"{value_text(branch)}"
            )

    def pick(start: int, stop: int, wish: str | None = None):
        if stop - start == 1:
            return branches[start]()
        middle = (start + stop) // 2
        return cond(
            index < middle,
            lambda: pick(start, middle),
            lambda: pick(middle, stop),
            name=wish,
        )

    return pick(0, len(branches), name or "switch")


def _check_region(name: str, region: Graph) -> None:
    refuse_unless(bool(region.returns), f"{name} gives nothing")
    for node in region.nodes:
        where = f"{name} computes [{node.op} {node.results[0].name}]"
        refuse_unless(
            node.op != "input",
            f"{where}: inputs are read outside; use the tensor inside",
        )
        for value in node.results:
            refuse_unless(
                not storage_of(value.dtype),
                f"{where}, {type_text(*value.type)}: what is not dense stands outside",
            )


def _texts(types) -> str:
    return f"({', '.join(type_text(*t) for t in types)})"


def _chosen(items, flags) -> list:
    return [item for item, flag in zip(items, flags, strict=True) if flag]
