"""Tensors, the functions they are computed in, and the model that holds them."""

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar

from slimlearn.backend.shape import Dim, Shape, as_dim, symbol

DTYPES = ("f32", "f64", "i32", "i64", "bool", "u8")
FLOATS = frozenset(("f32", "f64"))
INTEGERS = frozenset(("i32", "i64"))
NUMBERS = FLOATS | INTEGERS

_NAME = re.compile(r"[A-Za-z0-9_./:@-]+", re.ASCII)
_graph: ContextVar["Graph"] = ContextVar("slimlearn_graph")
_scope: ContextVar[str] = ContextVar("slimlearn_name_scope", default="")


def type_text(dtype: str, shape: tuple) -> str:
    """Return a type as the program's text spells it, such as ``f32[B,64]``."""
    return f"{dtype}[{','.join(map(str, shape))}]"


class Tensor:
    """A value of a graph: its name, shape and type, and the node that computes it.

    Arithmetic (``+ - * / ** @``, comparisons, slices) appends ops to the current
    function. A Python number takes the tensor's type.
    """

    __slots__ = ("dtype", "graph", "name", "node", "shape")
    # NumPy must not take over `array + tensor` element by element.
    __array_ufunc__ = None

    def __init__(self, name, dtype, shape, node=None, graph=None):
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.node = node
        self.graph = graph

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def type(self) -> tuple[str, tuple]:
        """The pair (dtype, shape)."""
        return self.dtype, self.shape

    def get_shape(self) -> Shape:
        """Return the shape as Slim code expects it."""
        return Shape(self.shape)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} %{self.name} : {type_text(*self.type)}>"

    def __bool__(self):
        raise TypeError(
            f"%{self.name} has no truth value while the network is being built: "
            "use select(condition, a, b)"
        )

    def __iter__(self):
        raise TypeError(f"%{self.name} cannot be iterated: slice it, as in x[:, 0:1]")


class Declaration(Tensor):
    """A value that outlives a function: a parameter, a state, a hyper or a slot."""

    __slots__ = ()
    kind = ""


class Parameter(Declaration):
    """A trained array; see `Model.parameter`."""

    __slots__ = ("collections", "initializer", "regularizer", "trainable")
    kind = "param"


class State(Declaration):
    """An array that functions update themselves, such as a moving mean."""

    __slots__ = ("initializer",)
    kind = "state"


class Hyper(Declaration):
    """A number given at run time, such as the learning rate.

    `value` is what the network function asked for, None where only the run knows.
    """

    __slots__ = ("value",)
    kind = "hyper"


class Slot(Declaration):
    """An optimizer's array beside the parameters, such as Adam's first moment."""

    __slots__ = ()
    kind = "slot"


DECLARATIONS = {cls.kind: cls for cls in (Parameter, State, Hyper, Slot)}


class Node:
    """One application of an op: operands in, results out, attributes fixed."""

    __slots__ = ("attributes", "op", "operands", "region", "results")

    def __init__(self, op, operands, attributes, region):
        self.op = op
        self.operands = operands
        self.attributes = attributes
        self.region = region


class Graph:
    """The body of one function, or the region of a node.

    Attributes
    ----------
    name : str
        The function's name.
    model : Model or None
        Whose declarations the function may read; None for a region.
    training : bool
        Whether layers build their training form here.
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
    layers : dict
        What the layers remember while they build this function.
    """

    __slots__ = (
        "_collections",
        "_constants",
        "_counts",
        "grads",
        "layers",
        "model",
        "name",
        "nodes",
        "parameters",
        "returns",
        "sample_weight",
        "sets",
        "training",
        "values",
    )  # fmt: skip

    def __init__(self, name="", model=None, training=False):
        self.name = name
        self.model = model
        self.training = training
        self.nodes: list[Node] = []
        self.sets: dict[str, Tensor] = {}
        self.grads: dict[str, Tensor] = {}
        self.returns: list[Tensor] = []
        self.parameters: list[Tensor] = []
        self.values: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._constants: dict[tuple, Tensor] = {}
        self._collections: dict[str, list] = {}
        self.sample_weight: Tensor | None = None
        self.layers: dict = {}

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.nodes)} nodes>"

    def unique_name(self, wish: str) -> str:
        """Return `wish`, or `wish_1`, `wish_2`, … where it is taken."""
        taken = self.model.declarations if self.model is not None else ()
        if wish not in self.values and wish not in taken:
            return wish
        count = self._counts.get(wish, 1)
        while (name := f"{wish}_{count}") in self.values or name in taken:
            count += 1
        self._counts[wish] = count
        return name

    def scoped_name(self, wish: str) -> str:
        """Return a unique name for `wish` inside the current name scope."""
        scope = _scope.get()
        return self.unique_name(f"{scope}/{wish}" if scope else wish)

    def append(self, op, operands, attributes, types, wish=None, region=None) -> Node:
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
        region : Graph, optional
        """
        for operand in operands:
            if operand.graph is not self and operand.graph is not None:
                raise ValueError(
                    f"[{op}] %{operand.name} was computed in function "
                    f"{operand.graph.name!r}, not in {self.name!r}: compute it here too"
                )
        node = Node(op, operands, attributes, region)
        name = wish or op
        scope = _scope.get()
        if scope:
            name = f"{scope}/{name}"
        values = self.values
        results = []
        for dtype, shape in types:
            if name in values or (
                self.model is not None and name in self.model.declarations
            ):
                unique = self.unique_name(name)
            else:
                unique = name
            tensor = Tensor(unique, dtype, shape, node, self)
            values[unique] = tensor
            results.append(tensor)
        node.results = tuple(results)
        self.nodes.append(node)
        return node

    def add_parameter(self, name: str, dtype: str, shape: tuple) -> Tensor:
        """Add an operand of this region."""
        tensor = Tensor(self.unique_name(name), dtype, shape, None, self)
        self.values[tensor.name] = tensor
        self.parameters.append(tensor)
        return tensor

    def set_(self, declaration: Declaration, value: Tensor) -> None:
        """Assign `value` to a parameter, state or slot at the function's end."""
        self._assign(self.sets, "set", declaration, value)

    def grad_(self, parameter: Parameter, value: Tensor) -> None:
        """Give the gradient of a parameter."""
        self._assign(self.grads, "grad", parameter, value)

    def return_(self, *values: Tensor) -> None:
        """Return `values` from the function, after those returned already."""
        for value in values:
            self._check_own("return", value)
        self.returns.extend(values)

    def collection(self, name: str) -> list:
        """Return the function's list called `name`, such as its losses."""
        return self._collections.setdefault(name, [])

    def _assign(self, table, word, target, value):
        if not isinstance(target, Declaration):
            raise TypeError(f"{word}: {target!r} is no parameter, state or slot")
        self._check_own(f"{word} %{target.name}", value)
        if value.dtype != target.dtype or tuple(value.shape) != tuple(target.shape):
            raise ValueError(
                f"[{word} {target.name}] needs {type_text(*target.type)}, "
                f"%{value.name} is {type_text(*value.type)}"
            )
        if target.name in table:
            raise ValueError(f"[{word} {target.name}] is assigned twice")
        table[target.name] = value

    def _check_own(self, word, value):
        if value.graph is not self and value.graph is not None:
            raise ValueError(
                f"{word}: %{value.name} was computed in function "
                f"{value.graph.name!r}, not in {self.name!r}"
            )


class Declarations(list):
    """Declarations of one kind in order; also found by name."""

    def __getitem__(self, key):
        if isinstance(key, str):
            for declaration in self:
                if declaration.name == key:
                    return declaration
            raise KeyError(key)
        return super().__getitem__(key)

    def __contains__(self, key) -> bool:
        return any(d is key or d.name == key for d in self)

    def names(self) -> list[str]:
        """Return the names in order."""
        return [declaration.name for declaration in self]


class Model:
    """The declarations and functions of one network, as they are being built.

    Parameters
    ----------
    precision : {"f32", "f64"}
        The type of parameters, states and slots.

    Attributes
    ----------
    declarations : dict of str to Declaration
        All, in order of declaration.
    parameters, states, hypers, slots : Declarations
    functions : dict of str to Graph
    """

    def __init__(self, precision: str = "f32"):
        if precision not in FLOATS:
            raise ValueError(f"precision is 'f32' or 'f64'; got {precision!r}")
        self.precision = precision
        self.declarations: dict[str, Declaration] = {}
        self.parameters = Declarations()
        self.states = Declarations()
        self.hypers = Declarations()
        self.slots = Declarations()
        self.functions: dict[str, Graph] = {}
        self._collections: dict[str, list] = {}

    def parameter(
        self,
        name: str,
        shape,
        *,
        initializer=None,
        regularizer=None,
        trainable: bool = True,
        collections=(),
    ) -> Parameter:
        """Declare a parameter and add it to `collections`."""
        made = self.declare("param", name, self.precision, shape)
        made.initializer = initializer
        made.regularizer = regularizer
        made.trainable = trainable
        made.collections = tuple(collections)
        for collection in collections:
            self.collection(collection).append(made)
        return made

    def state(self, name: str, shape, *, initializer=None, dtype=None) -> State:
        """Declare a state."""
        made = self.declare("state", name, dtype or self.precision, shape)
        made.initializer = initializer
        return made

    def hyper(self, name: str, value: float | None = None) -> Hyper:
        """Return the run-time scalar of this name, declared at its first use."""
        made = self.declarations.get(name)
        if not isinstance(made, Hyper):
            made = self.declare("hyper", name, "f64", ())
        if value is not None:
            made.value = value
        return made

    def slot(self, name: str, shape=None) -> Slot:
        """Declare an optimizer's array; by default it is shaped as the parameters."""
        shape = (symbol("P"),) if shape is None else shape
        return self.declare("slot", name, self.precision, shape)

    def declare(self, kind: str, name: str, dtype: str, shape) -> Declaration:
        """Declare `name`; functions that used the name for a value rename theirs."""
        check_name(name)
        if name in self.declarations:
            other = self.declarations[name]
            raise ValueError(
                f"{kind} %{name} is already declared as {other.kind} "
                f"{type_text(*other.type)}: choose another name or scope"
            )
        shape = tuple(map(as_dim, shape))
        made = DECLARATIONS[kind](name, dtype, shape)
        if kind == "param":
            made.initializer = made.regularizer = None
            made.trainable, made.collections = True, ()
        elif kind == "state":
            made.initializer = None
        elif kind == "hyper":
            made.value = None
        self.declarations[name] = made
        getattr(self, _LISTS[kind]).append(made)
        for function in self.functions.values():
            value = function.values.pop(name, None)
            if value is not None:
                value.name = function.unique_name(name)
                function.values[value.name] = value
        return made

    def collection(self, name: str) -> list:
        """Return the list called `name`, empty at first; append to add to it."""
        return self._collections.setdefault(name, [])

    @contextlib.contextmanager
    def function(self, name: str, training: bool = False) -> Iterator[Graph]:
        """Make `name` the function that ops are appended to, inside the block."""
        graph = self.functions.get(name)
        if graph is None:
            check_name(name)
            graph = self.functions[name] = Graph(name, self, training)
        token = _graph.set(graph)
        outer = _scope.set("")
        try:
            yield graph
        finally:
            _scope.reset(outer)
            _graph.reset(token)

    def __str__(self) -> str:
        from slimlearn.backend.text import print_program

        return print_program(self)


_LISTS = {"param": "parameters", "state": "states", "hyper": "hypers", "slot": "slots"}


def current_graph() -> Graph:
    """Return the function that ops are being appended to."""
    try:
        return _graph.get()
    except LookupError:
        raise RuntimeError(
            "no function is being built: ops are used inside "
            "`with model.function(name):`, and layers inside a network function"
        ) from None


def current_model() -> Model:
    """Return the model whose function is being built."""
    return current_graph().model


@contextlib.contextmanager
def inside(graph: Graph) -> Iterator[Graph]:
    """Append ops to `graph` (a function or a region) inside the block."""
    token = _graph.set(graph)
    try:
        yield graph
    finally:
        _graph.reset(token)


def current_scope() -> str:
    """Return the full name scope, "" at the top."""
    return _scope.get()


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Prefix names of values with `name` inside the block; yields the full scope."""
    check_name(name)
    outer = _scope.get()
    token = _scope.set(f"{outer}/{name}" if outer else name)
    try:
        yield _scope.get()
    finally:
        _scope.reset(token)


@contextlib.contextmanager
def absolute_scope(scope: str) -> Iterator[str]:
    """Replace the whole name scope inside the block."""
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


def check_name(name: str) -> str:
    """Return `name` if the program's text can hold it, else raise ValueError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"a name consists of letters, digits and _ . / : @ -; got {name!r}"
        )
    return name


def is_symbolic(shape: tuple, name: str) -> bool:
    """Return whether some dimension of `shape` mentions the symbol `name`."""
    return any(d.__class__ is Dim and name in d.symbols for d in shape)
