"""The declarations and functions of one network."""

import contextlib
from collections.abc import Iterator

from slimlearn.backend.graph.copies import copy_function
from slimlearn.backend.graph.declarations import (
    DECLARATIONS,
    Declaration,
    Declarations,
    Hyper,
    Parameter,
    Slot,
    State,
)
from slimlearn.backend.graph.function import Graph, current_graph, inside
from slimlearn.backend.graph.names import absolute_scope, check_name
from slimlearn.backend.graph.rounding import COMPUTE_TYPES
from slimlearn.backend.graph.tensor import FLOATS, type_text
from slimlearn.backend.shape import as_dim, symbol


class Model:
    """The declarations and functions of one network, as they are being built.

    Parameters
    ----------
    precision : {"f32", "f64"}
        The type of parameters, states and slots.
    compute : {"", "bfloat16", "float16"}
        What the operands of products and convolutions are rounded to before they are
        multiplied; all else, the sums of products too, has the precision. Of "f32".

    Attributes
    ----------
    declarations : dict of str to Declaration
        All, in order of declaration.
    parameters, states, hypers, slots : Declarations
    functions : dict of str to Graph
    """

    def __init__(self, precision: str = "f32", compute: str = ""):
        if precision not in FLOATS:
            raise ValueError(f"precision is 'f32' or 'f64'; got {precision!r}")
        if compute and (compute not in COMPUTE_TYPES or precision != "f32"):
            raise ValueError(
                f"compute is {' or '.join(map(repr, COMPUTE_TYPES))}, of a model of "
                f"precision 'f32'; got {compute!r} of {precision!r}"
            )
        self.precision = precision
        self.compute = compute
        self.declarations: dict[str, Declaration] = {}
        self.parameters = Declarations()
        self.states = Declarations()
        self.hypers = Declarations()
        self.slots = Declarations()
        self._kinds = {
            "param": self.parameters,
            "state": self.states,
            "hyper": self.hypers,
            "slot": self.slots,
        }
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
        learning_rate_factor: float = 1.0,
        decay_factor: float | None = None,
    ) -> Parameter:
        """Declare a parameter and add it to `collections`."""
        made = self.declare("param", name, self.precision, shape)
        made.initializer = initializer
        made.regularizer = regularizer
        made.trainable = trainable
        made.learning_rate_factor = learning_rate_factor
        made.decay_factor = decay_factor
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
        self.declarations[name] = made
        self._kinds[kind].append(made)
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
        with inside(graph), absolute_scope(""):
            yield graph

    def branch(self, name: str, of: str, training: bool = False) -> Graph:
        """Make a function `name` that begins as function `of` stands now.

        It is for training if it says so, and has no `sample_weight` yet.
        """
        if name in self.functions:
            raise ValueError(f"function {name} is there already")
        made = copy_function(self.functions[of], check_name(name), training)
        self.functions[name] = made
        return made

    def __str__(self) -> str:
        from slimlearn.backend.text import print_program

        return print_program(self)


def current_model() -> Model:
    """Return the model whose function is being built."""
    return current_graph().model
