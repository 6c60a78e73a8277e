"""A function for one row: sizes are numbers, what weights alone decide is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from slimlearn.backend import reference
from slimlearn.backend.engine.native import native
from slimlearn.backend.export_c.errors import NotExportable, place_of
from slimlearn.backend.export_c.folding import fold_scales
from slimlearn.backend.export_c.network import (
    Network,
    declare,
    nodes_of,
    prune,
    replace,
)
from slimlearn.backend.extract import extract
from slimlearn.backend.graph import (
    FLOATS,
    NUMPY_TYPES,
    Declaration,
    Graph,
    Model,
    Node,
    Tensor,
    element_of,
    storage_of,
)
from slimlearn.backend.op import OPS
from slimlearn.backend.text import parse_program

__all__ = ["fixed", "make_dense"]

# Numbers that a constant may take more of than the arrays it is made from.
_FEW = 64

# What is not known before a call.
_NEVER = frozenset(("input", "custom"))


def fixed(
    model: Model,
    function: str,
    arrays: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    precision: str,
) -> Network:
    """The network of one row, with its constants computed.

    Parameters
    ----------
    model : Model
        Which is changed.
    function : str
    arrays : mapping of str to ndarray
        Its parameters and states.
    sizes : mapping of str to int
        Of all symbols, as the function's loops need them; 1 for B.
    precision : {"f32", "f64"}
        What its real numbers become.

    Raises
    ------
    NotExportable
        If a size is not known, or it reads what is known only where it trains.
    """
    make_dense(model.functions[function])
    outputs = [value.name for value in model.functions[function].returns]
    text = extract(model, function, outputs)
    try:
        text = native.specialise(text, function, dict(sizes))
    except ValueError as error:
        raise NotExportable(str(error)) from None
    whole = parse_program(text)
    graph = whole.functions[function]
    _check_sizes(graph)
    _check_numbers(graph)
    _retype(whole, graph, precision)
    dtype = NUMPY_TYPES[precision]
    values = {
        name: np.asarray(arrays[name]).astype(dtype)
        if whole.declarations[name].dtype == precision
        else np.asarray(arrays[name])
        for name in whole.declarations
        if name in arrays
    }
    shell = Model(precision)
    shell.functions = {function: graph}
    network = Network(shell, function, values)
    _take_declarations(network, whole)
    _compute_constants(network)
    prune(network)
    fold_scales(network)
    prune(network)
    return network


def make_dense(graph: Graph) -> None:
    """Read sparse rows as dense ones."""
    for node in graph.nodes:
        for value in node.results:
            if storage_of(value.dtype) == "csr":
                value.dtype = element_of(value.dtype)
        if node.op == "csr_matmul":
            node.op = "matmul"
            node.attributes = {"transpose_a": False, "transpose_b": False}


def _check_sizes(graph: Graph) -> None:
    for node in nodes_of(graph):
        for value in node.results:
            unknown = [d for d in value.shape if not isinstance(d, int)]
            if unknown:
                raise NotExportable(
                    f"{place_of(node)} has an axis of {unknown[0]} steps, which differ "
                    "from row to row, and C needs a number: say it by length="
                )
            if math.prod(value.shape) >= 2**31:
                raise NotExportable(
                    f"{place_of(node)} has {math.prod(value.shape)} numbers, and C "
                    "exports take less than 2^31 each"
                )


def _check_numbers(graph: Graph) -> None:
    for node in nodes_of(graph):
        for operand in node.operands:
            if isinstance(operand, Declaration) and operand.kind == "hyper":
                raise NotExportable(
                    f"{place_of(node)} reads %{operand.name}, a number that is given "
                    "at run time, and C exports have none: predict without it"
                )


def _retype(model: Model, graph: Graph, precision: str) -> None:
    """Let all real numbers be of one type, and where the program runs."""
    tensors: set[Tensor] = set(model.declarations.values())
    for node in nodes_of(graph):
        tensors.update(node.results, node.operands)
        for region in node.regions:
            tensors.update(region.parameters)
        node.device = ""
    for tensor in tensors:
        if tensor.dtype in ("f32", "f64"):
            tensor.dtype = precision
    for node in nodes_of(graph):
        same = node.op == "cast" and node.operands[0].dtype == node.results[0].dtype
        if same or node.op in ("copy", "recompute", "stop_gradient"):
            node.op, node.operands = "identity", node.operands[:1]


def _take_declarations(network: Network, whole: Model) -> None:
    """Let arrays be parameters, of which passes and emitters know one kind."""
    renamed: dict[Tensor, Tensor] = {}
    for name, array in network.arrays.items():
        old = whole.declarations[name]
        renamed[old] = declare(network, name, array, old.dtype)
    replace(network.graph, renamed)


def _compute_constants(network: Network) -> None:
    """Replace what only arrays decide by one more array, or by a number."""
    graph, known = network.graph, []
    values: set[Tensor] = set(network.model.declarations.values())
    for node in graph.nodes:
        inner = [one for region in node.regions for one in nodes_of(region)]
        given = any(OPS[n.op].random or n.op in _NEVER for n in (node, *inner))
        if not given and values.issuperset(node.operands):
            known.append(node)
            values.update(node.results)
    computed = {node: None for node in known if node.op != "constant" or node.operands}
    kept = [node for node in graph.nodes if node not in set(known)]
    read = {v for node in kept for v in node.operands} | set(graph.returns)
    wanted = [v for node in computed for v in node.results if v in read]
    wanted = [v for v in wanted if _is_worth_it(v, known)]
    if not wanted:
        return
    part = Graph("constants", network.model)
    part.nodes, part.returns = known, wanted
    shell = Model(network.model.precision)
    shell.declarations = network.model.declarations
    shell.parameters = network.model.parameters
    shell.functions = {part.name: part}
    found = reference.run(shell, part.name, {}, network.arrays).returns
    made: dict[Tensor, Tensor] = {}
    for value, array in zip(wanted, found, strict=True):
        if array.shape == () and array.dtype.kind in "fi" and np.isfinite(array):
            number = float(array) if array.dtype.kind == "f" else int(array)
            node = Node("constant", (), {"value": number})
            node.results = (Tensor(value.name, value.dtype, (), node),)
            graph.nodes.insert(0, node)
            made[value] = node.results[0]
        else:
            made[value] = declare(network, value.name, array, value.dtype)
    replace(graph, made)


def _is_worth_it(value: Tensor, known: list[Node]) -> bool:
    """Whether an array takes not much more memory than what it is computed from.

    Programs hold arrays of real numbers alone, and any numbers.
    """
    if value.dtype not in FLOATS and (value.shape or value.dtype == "bool"):
        return False
    (node,) = (node for node in known if value in node.results)
    size = math.prod(value.shape)
    given = sum(math.prod(v.shape) for v in node.operands)
    return node.op != "constant" and (size <= _FEW or size <= 2 * given)
