"""A value of a graph, and the node that computes it."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from slimlearn.backend.shape import Dim, Shape

# Types of elements, as a program's text spells them, and NumPy's.
NUMPY_TYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
    "u8": np.dtype(np.uint8),
}
TYPE_WORDS = {dtype: word for word, dtype in NUMPY_TYPES.items()}
DTYPES = tuple(NUMPY_TYPES)
FLOATS = frozenset(("f32", "f64"))
INTEGERS = frozenset(("i32", "i64"))
NUMBERS = FLOATS | INTEGERS
# What is computed on each device that reads it, and copied to none.
ANYWHERE = frozenset(("constant", "constant_list", "extent", "iota"))
# How elements lie in memory, where not all do: a word before the type, as in "csr f32".
STORAGES = ("csr", "rows")


def storage_of(dtype: str) -> str:
    """Return "csr" or "rows", "" for a dense type."""
    return dtype.rpartition(" ")[0]


def element_of(dtype: str) -> str:
    """Return the type of one element: "f32" of "csr f32" and of "f32"."""
    return dtype.rpartition(" ")[2]


def type_text(dtype: str, shape: tuple) -> str:
    """Return a type as the program's text spells it, such as ``f32[B,64]``."""
    return f"{dtype}[{','.join(map(str, shape))}]"


def is_symbolic(shape: tuple, name: str) -> bool:
    """Return whether some dimension of `shape` mentions the symbol `name`."""
    return any(d.__class__ is Dim and name in d.symbols for d in shape)


class Tensor:
    """A value of a graph: its name, shape and type, and the node that computes it.

    Operators (``+ - * / // % ** @ & | ^ ~``, comparisons, ``abs``, ``round``) and
    ``x[key]`` append ops to the current function. A Python number takes the tensor's
    type. ``==`` asks whether two tensors are the same one: `ops.equal` compares.
    """

    __slots__ = ("dtype", "graph", "name", "node", "shape")

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

    def set_shape(self, shape: Sequence[int | None]) -> None:
        """Check the shape, which Slim code has to tell TensorFlow; None is any size."""
        self.get_shape().assert_is_compatible_with(shape)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} %{self.name} : {type_text(*self.type)}>"

    if TYPE_CHECKING:  # `ops.operators` attaches what computes

        def _two(self, other: Tensor | float) -> Tensor: ...

        def _one(self) -> Tensor: ...

        __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = _two
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = _two
        __pow__ = __rpow__ = __lt__ = __le__ = __gt__ = __ge__ = _two
        __and__ = __or__ = __xor__ = __rand__ = __ror__ = __rxor__ = _two
        __matmul__ = _two
        __neg__ = __pos__ = __abs__ = __invert__ = __floor__ = __ceil__ = _one

        def __getitem__(self, key: Any) -> Tensor: ...

        def __round__(self, digits: int | None = None) -> Tensor: ...

    # What Python and NumPy would do with a value, a tensor has to refuse: it has none
    # before the network runs.

    def __bool__(self):
        raise TypeError(
            f"%{self.name} has no truth value while the network is being built: use "
            "ops.where(condition, a, b), and & | ~ for and, or, not"
        )

    def __eq__(self, other):
        if isinstance(other, Number):
            raise TypeError(
                f"== and != do not compare the elements of %{self.name}: use "
                f"ops.equal(a, {other}) or ops.not_equal(a, {other})"
            )
        return self is other

    __hash__ = object.__hash__

    def __iter__(self):
        raise TypeError(
            f"%{self.name} cannot be iterated: ops compute with all rows at once, and "
            "x[:, i] is a column of them"
        )

    def __len__(self):
        raise TypeError(f"%{self.name} has no length: its shape is {self.shape}")

    def __setitem__(self, key, value):
        raise TypeError(
            f"%{self.name} cannot be changed: make a new tensor, as in "
            "ops.where(condition, value, x)"
        )

    def __float__(self):
        raise TypeError(
            f"%{self.name} has no value while the network is being built: compute "
            "with ops, such as ops.exp(x)"
        )

    __int__ = __float__

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            f"%{self.name} is no array and has no value while the network is being "
            "built: use ops instead of NumPy, such as ops.mean(x, 1)"
        )


class Node:
    """One application of an op: operands in, results out, attributes fixed.

    `block` is what it was made in that gradients compute anew, None for what is kept;
    `device` is where it is computed, "" for wherever the program runs.
    """

    __slots__ = (
        *("attributes", "block", "device", "op"),
        *("operands", "regions", "results"),
    )

    def __init__(self, op, operands, attributes, regions=(), block=None, device=""):
        self.block = block
        self.device = device
        self.op = op
        self.operands = operands
        self.attributes = attributes
        self.regions = regions

    @property
    def name(self) -> str:
        """What Slim code calls an operation: its first result's name."""
        return self.results[0].name if self.results else ""

    @property
    def outputs(self) -> Sequence[Tensor]:
        """The results, by the word that Slim code has for them."""
        return self.results
