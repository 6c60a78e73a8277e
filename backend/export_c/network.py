"""A function for one row: sizes are numbers, and what weights alone decide is computed.

conv  = convolution(x, filters)              conv = convolution(x, filters·scale)
c     = sub(conv, moving_mean)          =>   y    = add(conv, shift)
n     = mul(c, rsqrt(variance + eps))
y     = add(n, beta)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from slimlearn.backend import reference
from slimlearn.backend.engine.native import native
from slimlearn.backend.export_c.errors import NotExportable, place_of
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
from slimlearn.backend.text import parse_program, print_program

__all__ = ["Network", "fixed", "nodes_of", "optimized"]

# Numbers that a constant may take more of than the arrays it is made from.
_FEW = 64

# What is not known before a call.
_NEVER = frozenset(("input", "custom"))

# Applied to a product and a constant for each column, they move into its weights.
_AFFINE = frozenset(("add", "sub", "mul", "div"))
_PRODUCTS = frozenset(("matmul", "convolution"))


class Network(NamedTuple):
    """A program of one function, whose declarations are the arrays it reads."""

    model: Model
    function: str
    arrays: dict[str, np.ndarray]

    @property
    def graph(self) -> Graph:
        return self.model.functions[self.function]


def nodes_of(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and of the regions in it, innermost first."""
    for node in graph.nodes:
        for region in node.regions:
            yield from nodes_of(region)
        yield node


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
    _make_dense(model.functions[function])
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
    _prune(network)
    _fold_scales(network)
    _prune(network)
    return network


def _make_dense(graph: Graph) -> None:
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
        renamed[old] = _declare(network, name, array, old.dtype)
    _replace(network.graph, renamed)


def _declare(network: Network, name: str, array: np.ndarray, dtype: str) -> Tensor:
    declared = network.model.declare("param", name, dtype, array.shape)
    network.arrays[name] = np.ascontiguousarray(array, NUMPY_TYPES[dtype])
    return declared


def _replace(graph: Graph, values: Mapping[Tensor, Tensor]) -> None:
    for node in graph.nodes:
        node.operands = tuple(values.get(v, v) for v in node.operands)
    graph.returns = [values.get(v, v) for v in graph.returns]


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
            made[value] = _declare(network, value.name, array, value.dtype)
    _replace(graph, made)


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


def _fold_scales(network: Network) -> None:
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
            weights = _declare(network, name, turned, weights.dtype)
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
    folded = _declare(network, f"{name}_weights", array, weights.dtype)
    product.operands = (product.operands[0], folded)
    biases = _declare(network, f"{name}_biases", shift, weights.dtype)
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
    if array.size not in (1, columns) or array.shape[-1:] not in ((), (1,), (columns,)):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (columns,))


def _prune(network: Network) -> None:
    """Drop the nodes and the arrays that nothing reads."""
    graph, kept = network.graph, []
    read = set(graph.returns)
    for node in reversed(graph.nodes):
        if node.op == "input" or not read.isdisjoint(node.results):
            read.update(node.operands)
            kept.append(node)
    graph.nodes = kept[::-1]
    model = network.model
    for name in list(model.declarations):
        if model.declarations[name] not in read:
            del model.declarations[name]
            del network.arrays[name]


def optimized(model: Model, function: str) -> tuple[str, Graph]:
    """The text of a function, and what the compiler's passes make of it."""
    text = print_program(model)
    return text, parse_program(native.optimize(text, function, fixed=True)).functions[
        function
    ]
