"""The body of a function: its nodes, what it assigns and what it returns."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from slimlearn.backend.graph.declarations import Declaration, Parameter
from slimlearn.backend.graph.names import absolute_scope, check_name, current_scope
from slimlearn.backend.graph.tensor import (
    ANYWHERE,
    Node,
    Tensor,
    storage_of,
    type_text,
)

_graph: ContextVar["Graph"] = ContextVar("slimlearn_graph")


class Graph:
    """The body of one function, or a region of a node.

    A region is isolated: its nodes read its own parameters and values only. One that is
    built inside a function knows its `outer` graph: what its nodes read of the graphs
    around it, and of the model's declarations, becomes a parameter by itself.

    Attributes
    ----------
    name : str
        The function's name; of a region what errors call it.
    model : Model or None
        Whose declarations the graph may read; None for a region made by hand.
    outer : Graph or None
        The graph that a region is being built in.
    captured : dict of Tensor to Tensor
        The region's parameters by the values of the outer graph that they stand for.
    scope : str
        A region's name scope, with which all names in it begin.
    training : bool
        Whether layers build their training form here.
    block : object or None
        What nodes are being made in that gradients compute anew; see `Node`.
    device : str
        Where nodes are being placed, as `layers.device` says; "" for wherever the
        program runs.
    placed : bool
        Whether some node was placed.
    copied : dict
        The copies on other devices, by value and device.
    asked : bool
        Whether a layer of this function asked for what differs in training: `training`,
        or `sample_weight`.
    nodes : list of Node
        In an order that computes.
    sets, grads : dict of str to Tensor
        What is assigned to declarations at the function's end.
    returns : list of Tensor
        What the function returns (a region: yields).
    parameters : list of Tensor
        A region's own operands; empty in a function.
    sample_weight : Tensor or None
        The weights of the rows, [B], for layers whose statistics use them.
    constants : dict
        The scalar constants built so far, by type and value.
    collections : dict of str to list
        The function's lists by name, such as its losses.
    layers : dict
        What the layers remember while they build this function.
    """

    __slots__ = (
        "_counts",
        "_sample_weight",
        "_training",
        "asked",
        "block",
        "captured",
        "collections",
        "constants",
        "copied",
        "device",
        "grads",
        "layers",
        "model",
        "name",
        "nodes",
        "outer",
        "parameters",
        "placed",
        "returns",
        "scope",
        "sets",
        "values",
    )

    def __init__(self, name="", model=None, training=False, *, outer=None, scope=""):
        self.name = name
        self.model = model if outer is None else outer.model
        self._training = training
        self._sample_weight: Tensor | None = None
        self.asked = False
        self.block: object | None = None
        self.device = ""
        self.placed = False
        self.copied: dict[tuple[Tensor, str], Tensor] = {}
        self.outer = outer
        self.scope = scope
        self.captured: dict[Tensor, Tensor] = {}
        self.nodes: list[Node] = []
        self.sets: dict[str, Tensor] = {}
        self.grads: dict[str, Tensor] = {}
        self.returns: list[Tensor] = []
        self.parameters: list[Tensor] = []
        self.values: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self.constants: dict[tuple, Tensor] = {}
        self.collections: dict[str, list] = {}
        self.layers: dict = {}

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.nodes)} nodes>"

    @property
    def root(self) -> "Graph":
        """The function that a region is built in; of a function itself."""
        graph = self
        while graph.outer is not None:
            graph = graph.outer
        return graph

    @property
    def training(self) -> bool:
        self.root.asked = True
        return self.root._training

    @property
    def sample_weight(self) -> Tensor | None:
        self.root.asked = True
        return self.root._sample_weight

    @sample_weight.setter
    def sample_weight(self, weights: Tensor | None) -> None:
        self._sample_weight = weights

    @property
    def precision(self) -> str:
        """The model's, which numbers have where no type is asked for."""
        return "f32" if self.model is None else self.model.precision

    def walk(self) -> Iterator[Node]:
        """Yield all nodes, each before those of its regions."""
        for node in self.nodes:
            yield node
            for region in node.regions:
                yield from region.walk()

    def get_operations(self) -> list[Node]:
        """Return the nodes, as Slim code asks for them."""
        return list(self.nodes)

    def needed(self) -> list[Node]:
        """Return the nodes that what is returned or assigned is computed from."""
        needed = {*self.returns, *self.sets.values(), *self.grads.values()}
        kept = []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.results):
                needed.update(node.operands)
                kept.append(node)
        return kept[::-1]

    def keep_needed(self) -> None:
        """Drop all other nodes."""
        self.nodes = self.needed()
        self.values = {r.name: r for node in self.nodes for r in node.results}

    def unique_name(self, wish: str) -> str:
        """Return `wish`, or `wish_1`, `wish_2`, … where it is taken."""
        isolated = self.model is None or self.outer is not None
        taken = () if isolated else self.model.declarations
        if wish not in self.values and wish not in taken:
            return wish
        count = self._counts.get(wish, 1)
        while (name := f"{wish}_{count}") in self.values or name in taken:
            count += 1
        self._counts[wish] = count
        return name

    def scoped_name(self, wish: str) -> str:
        """Return a unique name for `wish` inside the current name scope."""
        check_name(wish)
        scope = current_scope()
        if not scope.startswith(self.scope):
            scope = f"{self.scope}/{scope}" if scope else self.scope
        return self.unique_name(f"{scope}/{wish}" if scope else wish)

    def append(self, op, operands, attributes, types, wish=None, regions=()) -> Node:
        """Append a node without checking its types (`op.emit` checks).

        Parameters
        ----------
        op : str
            Name of the op.
        operands : tuple of Tensor
        attributes : dict
        types : iterable of (dtype, shape)
            One per result.
        wish : str, optional
            Name of the first result inside the current name scope; the op's by default.
        regions : sequence of Graph
        """
        for operand in operands:
            if operand.graph is not self:
                operands = tuple([self.own(o, f"[{op}]") for o in operands])
                break
        device = self.device
        if self.placed:
            if op in ANYWHERE:
                device = ""
            elif op != "copy":
                operands = tuple([self._here(operand, op) for operand in operands])
        node = Node(op, operands, attributes, tuple(regions), self.block, device)
        results = []
        for dtype, shape in types:
            name = self.scoped_name(wish or op)
            tensor = self.values[name] = Tensor(name, dtype, shape, node, self)
            results.append(tensor)
        node.results = tuple(results)
        self.nodes.append(node)
        return node

    def _here(self, value: Tensor, op: str) -> Tensor:
        """Return `value` on the device where nodes are being placed."""
        node, device = value.node, self.device
        if node is None or node.device == device or node.op in ANYWHERE:
            return value
        known = self.copied.get((value, device))
        if known is None:
            if storage_of(value.dtype):
                raise ValueError(
                    f"[{op}] %{value.name} is {type_text(*value.type)}: what is not "
                    f"dense stays where it is, and is not copied to "
                    f"{device or 'another device'}; take this layer out of "
                    "layers.device, or densify its input"
                )
            wish = f"{value.name}.there"
            with absolute_scope(""):
                made = self.append("copy", (value,), {}, [value.type], wish)
            known = self.copied[value, device] = made.results[0]
        return known

    def add_parameter(self, name: str, dtype: str, shape: tuple) -> Tensor:
        """Add an operand of this region."""
        tensor = Tensor(self.unique_name(name), dtype, shape, None, self)
        self.values[tensor.name] = tensor
        self.parameters.append(tensor)
        return tensor

    def own(self, value: Tensor, where: str) -> Tensor:
        """Return `value` as the nodes of this graph read it.

        A region captures what belongs to the graphs around it. Errors begin with
        `where`.
        """
        if value.graph is self:
            return value
        if self.outer is None:
            self._check_own(where, value)
            return value
        value = self.outer.own(value, where)
        known = self.captured.get(value)
        if known is None:
            if storage_of(value.dtype):
                raise ValueError(
                    f"{where} %{value.name} is {type_text(*value.type)}: sparse rows "
                    f"cannot be read in {self.name}; use them outside, and what is "
                    "computed of them inside"
                )
            known = self.add_parameter(value.name, *value.type)
            self.captured[value] = known
        return known

    def seen(self, value: Tensor) -> Tensor:
        """Return what stands for `value` in this graph, itself where nothing does."""
        if self.outer is None or value.graph is self:
            return value
        value = self.outer.seen(value)
        return self.captured.get(value, value)

    def set_(self, declaration: Declaration, value: Tensor) -> None:
        """Assign `value` to a parameter, state or slot at the function's end."""
        self._assign(self.sets, "set", declaration, value)

    def grad_(self, parameter: Parameter, value: Tensor) -> None:
        """Give the gradient of a parameter."""
        self._assign(self.grads, "grad", parameter, value)

    def return_(self, *values: Tensor) -> None:
        """Return `values` from the function, after those returned already."""
        for value in values:
            self._check_own("return:", value)
            if storage_of(value.dtype):
                raise ValueError(
                    f"%{value.name} is {type_text(*value.type)}: what a function "
                    "returns is dense"
                )
        self.returns.extend(values)

    def collection(self, name: str) -> list:
        """Return the function's list called `name`, such as its losses."""
        return self.root.collections.setdefault(name, [])

    def _assign(self, table, word, target, value):
        if not isinstance(target, Declaration):
            raise TypeError(f"{word}: {target!r} is no parameter, state or slot")
        if self.outer is not None:
            raise ValueError(
                f"[{word} {target.name}] {self.name} cannot assign: a layer that "
                "updates its state (batch_norm in training) stands outside; else "
                "return the value from there and assign it outside"
            )
        self._check_own(f"{word} %{target.name}:", value)
        dtypes = (target.dtype, f"rows {target.dtype}" if word == "grad" else "")
        if value.dtype not in dtypes or tuple(value.shape) != tuple(target.shape):
            raise ValueError(
                f"[{word} {target.name}] needs {type_text(*target.type)}, "
                f"%{value.name} is {type_text(*value.type)}"
            )
        if target.name in table:
            raise ValueError(f"[{word} {target.name}] is assigned twice")
        table[target.name] = value

    def _check_own(self, where: str, value: Tensor) -> None:
        """Refuse what was made for another function or another network."""
        graph, model = value.graph, self.model
        if graph is self:
            return
        if graph is None:
            # Declarations belong to all functions of their model.
            if model is None:
                raise ValueError(
                    f"{where} %{value.name} is a {value.kind}, no value of the "
                    f"{self.name}: give it to the node as an operand"
                )
            if model.declarations.get(value.name) is value:
                return
        elif graph.root is self:
            raise ValueError(
                f"{where} %{value.name} was computed in {graph.name}, which may not "
                "run: return it from there to use it elsewhere"
            )
        elif graph.model is model or model is None or graph.model is None:
            raise ValueError(
                f"{where} %{value.name} was computed in function {graph.root.name!r}, "
                f"not in {self.name!r}: compute it here too"
            )
        raise ValueError(
            f"{where} %{value.name} belongs to another network, or to an earlier build "
            "of this one: use only the network function's own inputs and what is made "
            "of them here, and keep no tensors between calls"
        )


def current_graph() -> Graph:
    """Return the function that ops are being appended to."""
    try:
        return _graph.get()
    except LookupError:
        raise RuntimeError(
            "no function is being built: ops are used inside "
            "`with model.function(name):`, and layers inside a network function"
        ) from None


@contextlib.contextmanager
def inside(graph: Graph) -> Iterator[Graph]:
    """Append ops to `graph` (a function or a region) inside the block."""
    token = _graph.set(graph)
    try:
        yield graph
    finally:
        _graph.reset(token)
