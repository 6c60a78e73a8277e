"""Nodes that users write: a function of NumPy arrays, and its gradient."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from slimlearn.backend.graph import (
    DTYPES,
    FLOATS,
    NUMPY_TYPES,
    TYPE_WORDS,
    Tensor,
    is_symbolic,
)
from slimlearn.backend.op import (
    Op,
    Refusal,
    check_shape,
    check_tensor,
    dtype_of,
    emit,
    internal,
    public,
    refuse_unless,
    takes,
)

# By the names that programs have for them.
_NODES: dict[str, CustomNode] = {}


class Custom(Op):
    """What a function of the user's gives, or the gradients of its operands."""

    name = "custom"
    attributes = takes(function=str, gradient=bool, by_row=bool)
    results = None
    own = True

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(bool(types), "takes 1 operand or more, got 0")
        refuse_unless(bool(attributes["function"]), "needs the name of a function")
        refuse_unless(bool(declared), "needs the types of its results")
        if not attributes["gradient"]:
            refuse_unless(len(declared) == 1, f"has 1 result, got {len(declared)}")
        for dtype, _ in declared:
            if dtype not in DTYPES:
                raise Refusal(f"no type is called {dtype!r}: {', '.join(DTYPES)}")
        return list(declared)

    def reference(self, context, arrays, node):
        types = [context.type(result) for result in node.results]
        function, gradient = node.attributes["function"], node.attributes["gradient"]
        declared = [(TYPE_WORDS[dtype], shape) for dtype, shape in types]
        return call_custom(function, gradient, arrays, declared)[0]

    def grads(self, node, wanted, *output_gradients):
        if node.attributes["gradient"]:
            raise NotImplementedError(
                f"[custom {node.results[0].name}] the gradient of a node of the user's "
                "has no gradient itself"
            )
        known = _NODES.get(node.attributes["function"])
        if known is not None and known.gradient is None:
            raise ValueError(
                f"[custom {node.results[0].name}] {known.name} has no gradient: give "
                "ops.custom(gradient=…), or stop gradients before it by "
                "ops.stop_gradient"
            )
        floats = [i for i, o in enumerate(node.operands) if o.dtype in FLOATS]
        attributes = {**node.attributes, "gradient": True, "by_row": False}
        made = emit(
            "custom",
            (*output_gradients, node.results[0], *node.operands),
            attributes,
            [node.operands[i].type for i in floats],
        )
        found = dict(zip(floats, made if isinstance(made, tuple) else (made,)))
        return [found.get(i) for i in wanted]

    def row_local(self, node):
        rows = any(is_symbolic(o.shape[:1], "B") for o in node.operands)
        return node.attributes["by_row"] or not rows


class CustomNode:
    """A node of the user's; made by `custom`, called like any of `ops`.

    Parameters
    ----------
    forward, gradient, shape, dtype, by_row, name
        As `custom` says.
    """

    def __init__(self, forward, gradient, shape, dtype, by_row, name):
        self.forward, self.gradient = forward, gradient
        self.shape, self.dtype, self.by_row, self.name = shape, dtype, by_row, name
        called = str(getattr(forward, "__name__", ""))
        self.__name__ = called if called.isidentifier() else "custom"
        self.__doc__ = forward.__doc__
        self.__module__ = getattr(forward, "__module__", __name__)
        self._called = False
        self._register()

    def _register(self) -> None:
        """Stand for the name, and say so where networks have another node's."""
        former = _NODES.get(self.name)
        if former is not None and former is not self and former._called:
            pairs = (former.forward, self.forward), (former.gradient, self.gradient)
            if not all(_alike(a, b) for a, b in pairs):
                warnings.warn(
                    f"[custom] {self.name!r} was another node: networks that were made "
                    "with it compute with the new functions from now on; give each "
                    "its own name=",
                    stacklevel=3,
                )
        _NODES[self.name] = self

    def __repr__(self) -> str:
        return f"<custom node {self.name}>"

    def __reduce__(self):
        module = sys.modules.get(self.__module__)
        if self.__module__ != "__main__":
            for name, value in vars(module).items() if module else ():
                if value is self:
                    return name  # it is found there, as a function is
        parts = (self.forward, self.gradient, self.shape, self.dtype)
        return CustomNode, (*parts, self.by_row, self.name)

    def __call__(self, *tensors: Tensor, name: str | None = None) -> Tensor:
        """Append the node to the network.

        Parameters
        ----------
        *tensors : Tensor
            What `forward` takes, at least one.
        name : str, optional
            Of the result, inside the current scope.

        Returns
        -------
        Tensor
        """
        if not tensors:
            raise TypeError(f"[custom {name or self.__name__}] needs a tensor or more")
        for tensor in tensors:
            check_tensor(tensor, "custom", name or self.__name__)
        shape = self.shape
        if callable(shape):
            shape = shape(*(tensor.shape for tensor in tensors))
        shape = (
            tensors[0].shape if shape is None else check_shape(shape, "custom", name)
        )
        dtype = tensors[0].dtype
        if self.dtype is not None:
            dtype = dtype_of(self.dtype, "custom", name)
        self._register()  # where several have the name, who was called last
        self._called = True
        attributes = {"function": self.name, "gradient": False, "by_row": self.by_row}
        return emit(
            "custom", tensors, attributes, [(dtype, shape)], name or self.__name__
        )

    def check_gradient(self, *arrays, rtol: float = 1e-4, atol: float = 1e-6) -> None:
        """Compare `gradient` with difference quotients, in float64.

        Parameters
        ----------
        *arrays : array-like
            What `forward` takes: a few rows, away from kinks.
        rtol, atol : float
            Relative and absolute difference that is allowed.

        Raises
        ------
        AssertionError
            Naming the operand and the place where they differ most.
        """
        if self.gradient is None:
            raise ValueError(f"{self.name} has no gradient: give ops.custom(gradient=)")
        given = [np.asarray(a) for a in arrays]
        given = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in given]
        y = np.asarray(self.forward(*given), np.float64)
        dy = np.random.default_rng(0).standard_normal(y.shape)
        floats = [i for i, a in enumerate(given) if a.dtype.kind == "f"]
        if not floats:
            raise ValueError(f"{self.name}: no operand is an array of floats")
        types = [(TYPE_WORDS[given[i].dtype], given[i].shape) for i in floats]
        with np.errstate(all="ignore"):
            slopes = _checked(self, True, [dy, y, *given], types)
        for i, slope in zip(floats, slopes, strict=True):
            found = _differences(self.forward, given, i, dy)
            wrong = np.abs(slope - found) - (atol + rtol * np.abs(found))
            if wrong.size and not wrong.max() <= 0:
                at = tuple(map(int, np.unravel_index(np.argmax(wrong), wrong.shape)))
                raise AssertionError(
                    f"{self.name}: the gradient of operand {i} at {at} is "
                    f"{slope[at]:.6g}, the difference quotient {found[at]:.6g}"
                )


def _alike(a, b) -> bool:
    """Whether functions are one, or copies of one that hold the same things."""
    if a is b:
        return True
    code = getattr(a, "__code__", None)
    if code is None or code != getattr(b, "__code__", None):
        return False
    held = [
        [*(f.__defaults__ or ()), *inspect.getclosurevars(f).nonlocals.values()]
        for f in (a, b)
    ]
    return all(
        _alike(x, y) if callable(x) else np.array_equal(x, y)
        for x, y in zip(*held, strict=True)
    )


def _differences(forward, given: list, index: int, dy: np.ndarray) -> np.ndarray:
    found = np.empty(given[index].shape)
    for at in np.ndindex(found.shape):
        step = 1e-6 * max(1.0, abs(given[index][at]))
        ends = []
        for sign in (1, -1):
            moved = [a.copy() for a in given]
            moved[index][at] += sign * step
            ends.append(np.sum(np.asarray(forward(*moved), np.float64) * dy))
        found[at] = (ends[0] - ends[1]) / (2 * step)
    return found


@public
def custom(
    forward: Callable,
    gradient: Callable | None = None,
    *,
    shape: Sequence | Callable | None = None,
    dtype=None,
    by_row: bool = False,
    name: str | None = None,
) -> CustomNode:
    """Make a node of the network from a function of NumPy arrays.

    ::

        def forward(x):
            return x / (1 + np.abs(x))

        def gradient(dy, y, x):
            return dy / np.square(1 + np.abs(x))

        softsign = ops.custom(forward, gradient, by_row=True)

        def net(x, num_classes):
            return layers.fully_connected(softsign(x), num_classes)

    Parameters
    ----------
    forward : callable
        ``forward(*arrays) -> array``, of the node's operands; the same numbers for the
        same arrays.
    gradient : callable, optional
        ``gradient(dy, y, *arrays)``: of the sum of ``dy * y``, for the operands whose
        type is floating: an array for one, a sequence for several, None where it is
        zero. Without it, nothing before the node can be trained.
    shape : sequence of int and dimensions, or callable, optional
        The result's, such as ``(B, 3)``, or of the operands' shapes:
        ``lambda x, w: (x[0], w[1])``; by default the first operand's.
    dtype : str or type, optional
        The result's type; by default the first operand's.
    by_row : bool, default=False
        Whether each row of the result depends on that row of the operands alone. Then
        predictions run on some rows at a time; otherwise on all at once.
    name : str, optional
        What programs call it; by default module and name of `forward`. A saved program
        has this name in place of code. A network computes with the last node of its
        name: a second one of other functions warns.

    Returns
    -------
    CustomNode
        ``node(*tensors, name=None) -> Tensor``; ``node.check_gradient(*arrays)``
        compares the gradient with difference quotients.

    Raises
    ------
    TypeError
        If `forward` or `gradient` is no function.
    ValueError
        If `forward` has no name by which a pickle finds it, or is the method of an
        object, and none is given.

    Notes
    -----
    Each step calls Python, one call at a time in the whole process: 20 microseconds
    and more, and operands and results are copied. A composition of `ops` has none of
    that, and a gradient by itself. Arrays have the network's precision, and so must
    results: ``np.float64`` where float32 is needed is an error. What the functions
    raise comes out of ``fit`` and ``predict`` as it is. The host calls them wherever
    the rest of the network is: with ``device="cuda"`` it then runs the steps, and sends
    to the GPU what its layers read.
    """
    for what, function in (("forward", forward), ("gradient", gradient)):
        if not callable(function) and not (what == "gradient" and function is None):
            raise TypeError(
                f"[custom] {what} is a function of arrays, got {function!r}"
            )
    if name is None:
        module = getattr(forward, "__module__", None)
        qualname = getattr(forward, "__qualname__", "<object>")
        # Methods of several objects have one name.
        bound = inspect.ismethod(forward) and not inspect.isclass(forward.__self__)
        if "<" in qualname or module is None or bound:
            raise ValueError(
                f"[custom] {qualname} has no name by which a pickle finds it: define "
                "it at the top level of a module, or give name="
            )
        name = f"{module}:{qualname}"
    return CustomNode(forward, gradient, shape, dtype, bool(by_row), name)


@internal
def call_custom(
    function: str, gradient: bool, operands: list, types: list[tuple]
) -> tuple[list[np.ndarray], bool]:
    """Call the node of a name on arrays, and check what it gives.

    Parameters
    ----------
    function : str
    gradient : bool
        Whether its gradient is asked for; then `operands` begin with dy and y.
    operands : list of ndarray
    types : list of (str, tuple of int)
        Of the results.

    Returns
    -------
    arrays : list of ndarray
        C-contiguous.
    interrupted : bool
        Whether Ctrl-C came while it ran the first time; it then ran once more.

    Raises
    ------
    ImportError
        If there is no such node in this process.
    TypeError, ValueError
        If a result is of another type or shape.
    """
    node = _NODES.get(function)
    if node is None:
        raise ImportError(
            f"the network has a node {function!r} of the user's, which is not here: "
            "import the module that makes it by ops.custom"
        )
    with np.errstate(all="ignore"):  # who trains says what is not finite, and where
        try:
            return _checked(node, gradient, operands, types), False
        except KeyboardInterrupt:
            # Who runs the network is told later, so that a step is whole or not there.
            return _checked(node, gradient, operands, types), True


def _checked(node: CustomNode, gradient: bool, operands: list, types: list) -> list:
    if not gradient:
        return [_fitting(node.forward(*operands), types[0], f"{node.name}: forward")]
    found = node.gradient(*operands)
    if len(types) == 1 and not isinstance(found, (tuple, list)):
        found = (found,)
    where = f"{node.name}: gradient"
    if not isinstance(found, (tuple, list)) or len(found) != len(types):
        got = len(found) if isinstance(found, (tuple, list)) else type(found).__name__
        raise ValueError(
            f"{where} returned {got}, needed are {len(types)} arrays, one for each "
            "operand of a floating type"
        )
    floats = [a.shape for a in operands[2:] if a.dtype.kind == "f"]
    return [
        np.zeros(shape, NUMPY_TYPES[type_[0]])
        if one is None
        else _fitting(one, (type_[0], shape), f"{where} of operand {i}")
        for i, (one, type_, shape) in enumerate(zip(found, types, floats, strict=True))
    ]


def _fitting(array, type_: tuple, where: str) -> np.ndarray:
    dtype, shape = NUMPY_TYPES[type_[0]], tuple(type_[1])
    array = np.asarray(array)
    if array.shape != shape:
        raise ValueError(f"{where} returned shape {array.shape}, needed is {shape}")
    if array.dtype != dtype:
        raise TypeError(
            f"{where} returned {array.dtype}, needed is {dtype}: use "
            f".astype(np.{dtype}, copy=False)"
        )
    return np.ascontiguousarray(array).reshape(shape)
