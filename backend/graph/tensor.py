"""A value of a graph, and the node that computes it."""

from slimlearn.backend.shape import Dim, Shape

DTYPES = ("f32", "f64", "i32", "i64", "bool", "u8")
FLOATS = frozenset(("f32", "f64"))
INTEGERS = frozenset(("i32", "i64"))
NUMBERS = FLOATS | INTEGERS


def type_text(dtype: str, shape: tuple) -> str:
    """Return a type as the program's text spells it, such as ``f32[B,64]``."""
    return f"{dtype}[{','.join(map(str, shape))}]"


def is_symbolic(shape: tuple, name: str) -> bool:
    """Return whether some dimension of `shape` mentions the symbol `name`."""
    return any(d.__class__ is Dim and name in d.symbols for d in shape)


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


class Node:
    """One application of an op: operands in, results out, attributes fixed."""

    __slots__ = ("attributes", "op", "operands", "region", "results")

    def __init__(self, op, operands, attributes, region):
        self.op = op
        self.operands = operands
        self.attributes = attributes
        self.region = region
