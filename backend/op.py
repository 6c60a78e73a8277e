"""An op is a class: what it infers, what it computes, and its gradient."""

import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from slimlearn.backend.graph import (
    DTYPES,
    NUMPY_TYPES,
    Graph,
    Tensor,
    current_graph,
    storage_of,
    type_text,
)
from slimlearn.backend.shape import as_dim

_Function = TypeVar("_Function", bound=Callable)

OPS: dict[str, "Op"] = {}
FUNCTIONS: dict[str, Callable] = {}  # of `backend.ops`, by name
PUBLIC: set[str] = set()  # those of them that a network's author calls
_NUMBER = ": write a number as ops.constant(value, dtype)"
_LIST = ": write numbers into the network as ops.array(values, dtype)"
_ADVICE = {
    "int": _NUMBER,
    "float": _NUMBER,
    "bool": ": == and != compare no elements, use ops.equal(a, b) and its like",
    "list": _LIST,
    "ndarray": _LIST,
    "Dim": ": write its size as ops.extent(dim, dtype)",
}
_NO_ATTRIBUTES: dict = {}
_SPELLINGS = {dtype.name: word for word, dtype in NUMPY_TYPES.items()}


class Refusal(ValueError):
    """What `Op.infer` raises: what was needed, what came, what to do."""

    def at(self, op: str, name: str) -> ValueError:
        """Return the error that also says where."""
        return ValueError(f"[{op} {name}] {self}")


def public(function: _Function, *aliases: str) -> _Function:
    """Make `function` one of `backend.ops`, under its name and others.

    Used as a decorator, with other names as `also`. What is written by hand takes the
    place of what a base class made for an op.
    """
    for name in (function.__name__, *aliases):
        FUNCTIONS[name] = function
        PUBLIC.add(name)
    return function


def also(*aliases: str) -> Callable[[_Function], _Function]:
    """Return a decorator that makes a function `public` under several names."""
    return lambda function: public(function, *aliases)


def internal(function: _Function) -> _Function:
    """Make `function` one of `backend.ops` that only slimlearn's own code calls."""
    FUNCTIONS[function.__name__] = function
    return function


def takes(**kinds: type) -> dict[str, type]:
    """Return the attributes of an op by name, as in ``takes(axis=int)``."""
    return kinds


class Op:
    """The base of all ops. A subclass with a `name` registers itself in `OPS`.

    Attributes
    ----------
    name : str
        The word in the program's text, of the native row, the kernel and the tests.
    called : str
        What NumPy calls it, where that is another word: the public function has both.
    attributes : dict of str to type
        What stands in parentheses; ``list`` means a list of numbers.
    elementwise : bool
        Results have the broadcast shape of the operands, each element from its own.
    random : bool
        The value depends on seed, step and row: never shared, folded or moved.
    alias : bool
        The result may be the operand's memory.
    results : int or None
        How many there are; None: as many as its regions yield, or as are declared of
        an op that has no regions.
    regions : int
        How many regions may stand behind the operands.
    tape_region : bool
        Its regions hold elementwise ops alone: they run as a tape.
    in_tape : bool
        May stand in such a region though it is not elementwise.
    sparse : bool
        Takes or gives values that are not dense.
    product : bool
        Sums products of its first two operands: these are rounded to the type that the
        program computes in.
    own : bool
        Its function is for slimlearn's own code.
    """

    name = ""
    called = ""
    attributes: dict[str, type] = takes()
    optional: frozenset[str] = frozenset()
    elementwise = False
    random = False
    alias = False
    in_tape = False
    results: int | None = 1
    regions = 0
    tape_region = False
    sparse = False
    product = False
    own = False

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        if "name" in cls.__dict__:
            if cls.name in OPS:
                raise TypeError(f"op {cls.name!r} is defined twice")
            OPS[cls.name] = cls()

    def checked(self, operands, attributes, declared=None, regions=()) -> list[tuple]:
        """Return what `infer` says of these tensors, if the op knows their storage."""
        if not self.sparse:
            for operand in operands:
                if storage_of(operand.dtype):
                    raise Refusal(not_dense(operand))
            for type_ in declared or ():
                if storage_of(type_[0]):
                    raise Refusal(f"does not give {type_text(*type_)}")
        types = [operand.type for operand in operands]
        return self.infer(types, attributes, declared, regions)

    def infer(self, types, attributes, declared=None, regions=()) -> list[tuple]:
        """Return the (dtype, shape) of each result, or raise `Refusal`.

        Parameters
        ----------
        types : list of (dtype, shape)
            Of the operands.
        attributes : dict
        declared : list of (dtype, shape), optional
            The results' types as written, where the op takes its target from them.
        regions : sequence of Graph
        """
        raise NotImplementedError(self.name)

    def reference(self, context, arrays, node) -> list:
        """Compute the results with NumPy; this is the op's specification.

        Parameters
        ----------
        context : reference.Context
            Sizes of symbols, sources, seed, step.
        arrays : list of ndarray
            The operands.
        node : Node
        """
        raise NotImplementedError(self.name)

    def grad(self, node, index: int, *output_gradients: Tensor) -> Tensor | None:
        """Return the gradient for operand `index`, or None where it is zero.

        The gradient may have any shape that broadcasts to the operand's: it is
        repeated where that is needed. An elementwise op may get such gradients too,
        and return one of the results' shape: the caller sums it to the operand's.
        """
        raise NotImplementedError(
            f"[{self.name} {node.results[0].name}] has no gradient for operand {index}"
        )

    def grads(self, node, wanted, *output_gradients) -> list[Tensor | None]:
        """Return the gradients for the operands whose indices are `wanted`.

        An op with regions computes them in one go; others are asked for each.
        """
        return [self.grad(node, index, *output_gradients) for index in wanted]

    def row_local(self, node) -> bool:
        """Return whether each row of B in the results depends on that row alone."""
        return True


def emit(
    name: str,
    operands: tuple[Tensor, ...] = (),
    attributes: dict | None = None,
    results: list[tuple] | None = None,
    wish: str | None = None,
    regions: Sequence[Graph] = (),
) -> Tensor | tuple[Tensor, ...]:
    """Append op `name` to the current function, after checking its types.

    Parameters
    ----------
    name : str
        One of `OPS`.
    operands : tuple of Tensor
    attributes : dict, optional
        All of the op's attributes.
    results : list of (dtype, shape), optional
        The results' types, for ops whose target stands in the result (cast, reshape).
    wish : str, optional
        Name of the result, inside the current scope.
    regions : sequence of Graph
        For ops with regions.

    Returns
    -------
    Tensor, or a tuple of them if the op has several results

    Raises
    ------
    TypeError
        If an operand is no tensor.
    ValueError
        If the types do not fit, naming op, value and operands.
    """
    graph = current_graph()
    attributes = _NO_ATTRIBUTES if attributes is None else attributes
    for operand in operands:
        check_tensor(operand, name, wish)
    try:
        types = OPS[name].checked(operands, attributes, results, regions)
    except Refusal as refusal:
        raise refusal.at(name, graph.scoped_name(wish or name)) from None
    made = graph.append(name, operands, attributes, types, wish, regions).results
    return made[0] if len(made) == 1 else made


def check_tensor(value, op: str, name: str | None = None) -> Tensor:
    """Return `value` if a tensor, else raise TypeError that names the op."""
    if isinstance(value, Tensor):
        return value
    raise TypeError(
        f"[{op} {name or op}] needs a tensor of the network being built, "
        f"got {value_text(value)}{advice(value)}"
    )


def not_dense(tensor: Tensor) -> str:
    """Return why a sparse tensor is refused, and what to do."""
    return (
        f"%{tensor.name} is {type_text(*tensor.type)}: only fully_connected and "
        "ops.csr_matmul take sparse rows; densify X, or make it the first layer"
    )


def advice(value) -> str:
    """Return how a number or numbers become a tensor, "" for anything else."""
    return _ADVICE.get(type(value).__name__, "")


def value_text(value) -> str:
    """Return a short description of something that is no tensor."""
    shape = getattr(value, "shape", ())
    if shape:
        return f"{type(value).__name__} of shape {shape}"
    return f"{value!r} of type {type(value).__name__}"


def check_shape(shape, op: str, name: str | None = None) -> tuple:
    """Return `shape` as a tuple of ints and Dims, else raise TypeError."""
    try:
        return tuple(map(as_dim, shape))
    except TypeError:
        raise TypeError(
            f"[{op} {name or op}] a shape is a sequence of whole numbers and "
            f"dimensions, such as (B, 6); got {shape!r}"
        ) from None


def dtype_of(dtype, op: str, name: str | None = None) -> str:
    """Return the name of a type that is given as one, or as NumPy would take it.

    Parameters
    ----------
    dtype : str, type or numpy.dtype, or None
        Such as ``"f32"``, ``"float32"``, ``np.float32`` or ``bool``; None is the
        precision of the network being built.
    op, name : str
        For the error.
    """
    if dtype is None:
        return current_graph().precision
    if isinstance(dtype, str) and dtype in DTYPES:
        return dtype
    try:
        found = _SPELLINGS.get(np.dtype(dtype).name)
    except TypeError:
        found = None
    if found is None:
        raise TypeError(
            f"[{op} {name or op}] no type is called {dtype!r}; there are "
            f"{', '.join(DTYPES)}"
        )
    return found


def refuse_unless(ok: bool, text: str) -> None:
    """Raise `Refusal` unless `ok`."""
    if not ok:
        raise Refusal(text)


def check_count(types, count: int) -> None:
    """Refuse a wrong number of operands."""
    if len(types) != count:
        raise Refusal(f"takes {count} operands, got {len(types)}")


def check_dtype(types, allowed, letters="abcdef") -> None:
    """Refuse operands whose dtypes differ from each other or are not in `allowed`.

    `letters` are the operands' names in the message.
    """
    first = types[0][0]
    for letter, (dtype, shape) in zip(letters, types, strict=False):
        if dtype not in allowed:
            wanted = " or ".join(d for d in DTYPES if d in allowed)
            raise Refusal(
                f"{letter} is {type_text(dtype, shape)}, needs {wanted}: cast it"
            )
        if dtype != first:
            raise Refusal(
                f"operands differ in type: {describe(types, letters)}: cast one of them"
            )


def describe(types, letters="abcdefghijklmnopqrstuvwxyz") -> str:
    """Return ``a is f32[B,20], b is f32[21,64]``."""
    pairs = zip(letters, types, strict=False)
    return ", ".join(f"{letter} is {type_text(*t)}" for letter, t in pairs)


def target(declared) -> tuple:
    """Return the one declared result type of an op that takes its target from it."""
    if not declared or len(declared) != 1:
        raise Refusal("needs its one result type")
    dtype = declared[0][0]
    if dtype not in DTYPES:
        raise Refusal(f"no type is called {dtype!r}; there are {', '.join(DTYPES)}")
    return declared[0]


def described(op: Op, function: Callable, parameters: str, returns: str) -> Callable:
    """Give the function made for `op` its names and its docstring.

    Parameters
    ----------
    op : Op
        Its docstring begins the function's; what follows its first line are notes.
    function : callable
    parameters, returns : str
        Entries of these sections, but `name`, which all functions have.
    """
    summary = type(op).__doc__
    first, _, rest = inspect.cleandoc(summary or "").partition("\n")
    text = (
        f"{first}\n\nParameters\n----------\n{parameters}\n"
        "name : str, optional\n    Of the result, inside the current scope.\n\n"
        f"Returns\n-------\n{returns}\n\n"
        "Raises\n------\nTypeError\n    If an operand is neither a tensor nor a number "
        "that fits.\nValueError\n    If types or shapes do not fit."
    )
    notes = rest.strip()
    if notes:
        text += f"\n\nNotes\n-----\n{notes}"
    function.__doc__ = f"{text}\n" if summary else None  # none under ``-OO``
    function.__name__ = function.__qualname__ = op.called or op.name
    function.__module__ = type(op).__module__
    return internal(function) if op.own else public(function, op.name)


def types_text(dtypes) -> str:
    """Return ``f32 or f64`` for a set of types, in their order."""
    *others, last = (dtype for dtype in DTYPES if dtype in dtypes)
    return f"{', '.join(others)} or {last}" if others else last
