"""Nodes that users write: a function of arrays, and its gradient."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from slimlearn.backend.graph import (
    DTYPES,
    FLOATS,
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
from slimlearn.backend.ops.custom_calls import call_checked, differences, require_near

# By the names that programs have for them.
_NODES: dict[str, CustomNode] = {}


class Custom(Op):
    """What a function of the user's gives, or the gradients of its operands."""

    name = "custom"
    attributes = takes(function=str, gradient=bool, by_row=bool, gpu=bool)
    optional = frozenset(("gpu",))
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
    gpu : tuple of (callable, callable or None), optional
        What a GPU computes with in place of forward and gradient.
    """

    def __init__(self, forward, gradient, shape, dtype, by_row, name, gpu=None):
        self.forward, self.gradient, self.gpu = forward, gradient, gpu
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
        known = former is not None and former is not self and former._called
        if known and not all(map(_alike, former.functions, self.functions)):
            warnings.warn(
                f"[custom] {self.name!r} was another node: networks that were made "
                "with it compute with the new functions from now on; give each "
                "its own name=",
                stacklevel=3,
            )
        _NODES[self.name] = self

    @property
    def functions(self) -> tuple:
        """All that it may call: forward, gradient, and those of a GPU."""
        return self.forward, self.gradient, *(self.gpu or (None, None))

    def __repr__(self) -> str:
        return f"<custom node {self.name}>"

    def __reduce__(self):
        module = sys.modules.get(self.__module__)
        if self.__module__ != "__main__":
            for name, value in vars(module).items() if module else ():
                if value is self:
                    return name  # it is found there, as a function is
        parts = (self.forward, self.gradient, self.shape, self.dtype)
        return CustomNode, (*parts, self.by_row, self.name, self.gpu)

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
        if self.gpu is not None:
            attributes["gpu"] = True
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
            slopes = self._called_with(True, [dy, y, *given], types)
        for i, slope in zip(floats, slopes, strict=True):
            found = differences(self.forward, given, i, dy)
            what = f"{self.name}: the gradient of operand {i}"
            require_near(slope, found, rtol, atol, what, "the difference quotient")

    def check_gpu(self, *arrays, rtol: float = 1e-5, atol: float = 1e-6) -> None:
        """Compare what `gpu` computes, on CuPy's current GPU, with the node's own.

        Parameters
        ----------
        *arrays : array-like
            What `forward` takes, in the types that a network has: float32 mostly.
        rtol, atol : float
            Relative and absolute difference that is allowed.

        Raises
        ------
        AssertionError
            Naming the result and the place where they differ most.
        ImportError
            If CuPy is not installed.
        """
        if self.gpu is None:
            raise ValueError(f"{self.name} has nothing for GPUs: give ops.custom(gpu=)")
        cupy = import_cupy(f"{self.name}.check_gpu")
        given = [np.asarray(a) for a in arrays]
        y = np.asarray(self.forward(*given))
        calls = [(False, given, [(TYPE_WORDS[y.dtype], y.shape)])]
        if self.gradient is not None:
            dy = np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)
            floats = [a for a in given if a.dtype.kind == "f"]
            types = [(TYPE_WORDS[a.dtype], a.shape) for a in floats]
            calls.append((True, [dy, y, *given], types))
        for gradient, operands, types in calls:
            want = self._called_with(gradient, operands, types)
            there = [cupy.asarray(a) for a in operands]
            found = self._called_with(gradient, there, types, cupy)
            for i, (one, other) in enumerate(zip(found, want, strict=True)):
                what = f"{self.name}: the GPU's " + (
                    f"gradient of operand {i}" if gradient else "result"
                )
                require_near(one.get(), other, rtol, atol, what, "the node's own")

    def _called_with(self, gradient, operands, types, xp: ModuleType = np) -> list:
        functions = self.functions[:2] if xp is np else self.functions[2:]
        return call_checked(functions, self.name, gradient, operands, types, xp)


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


@public
def custom(
    forward: Callable,
    gradient: Callable | None = None,
    *,
    shape: Sequence | Callable | None = None,
    dtype=None,
    by_row: bool = False,
    gpu: bool | Callable | tuple | None = None,
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
    gpu : True, callable, or tuple of two callables, optional
        What a network on a GPU computes with: functions of CuPy's arrays that stand for
        `forward` and `gradient`, which stay the reference and what a processor
        computes; one alone where there is no gradient. True: the two take either kind
        of array. Without it the host calls them, also for a GPU.
    name : str, optional
        What programs call it; by default module and name of `forward`. A saved program
        has this name in place of code. A network computes with the last node of its
        name: a second one of other functions warns.

    Returns
    -------
    CustomNode
        ``node(*tensors, name=None) -> Tensor``; ``node.check_gradient(*arrays)``
        compares the gradient with difference quotients, ``node.check_gpu(*arrays)``
        what `gpu` gives with the two functions.

    Raises
    ------
    TypeError
        If `forward`, `gradient` or what `gpu` names is no function.
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

    Functions that `gpu` names are called while a step is put on the GPU's stream, which
    is CuPy's current one: what they launch has its turn there, and nobody waits for it.
    Their operands are the network's own memory, to be read until they return; their
    results are copied on the GPU. They are called in each step anew: what is between
    them is replayed, and in a loop, all of it is launched kernel by kernel. They need
    CuPy (``slimlearn[cuda13]``).
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
    there = _functions_of_gpu(gpu, forward, gradient)
    return CustomNode(forward, gradient, shape, dtype, bool(by_row), name, there)


def _functions_of_gpu(gpu, forward, gradient) -> tuple | None:
    if gpu is None or gpu is False:
        return None
    if gpu is True:
        return forward, gradient
    there = tuple(gpu) if isinstance(gpu, (tuple, list)) else (gpu, None)
    needed = 1 if gradient is None else 2
    given = sum(map(callable, there))
    if len(there) != 2 or given != needed or not callable(there[0]):
        raise TypeError(
            f"[custom] gpu is True or {('a function', 'two functions')[needed - 1]} of "
            f"CuPy's arrays, as forward{' and gradient' if needed == 2 else ''}, got "
            f"{gpu!r}"
        )
    return there


@internal
def import_cupy(who: str) -> ModuleType:
    """CuPy, or an error that says who needs it."""
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise ImportError(
            f"{who} needs CuPy: pip install 'slimlearn[cuda13]' ({error})"
        ) from error


@internal
def call_custom(
    function: str,
    gradient: bool,
    operands: list,
    types: list[tuple],
    xp: ModuleType = np,
) -> tuple[list, bool]:
    """Call the node of a name on arrays, and check what it gives.

    Parameters
    ----------
    function : str
    gradient : bool
        Whether its gradient is asked for; then `operands` begin with dy and y.
    operands : list of array
    types : list of (str, tuple of int)
        Of the results.
    xp : module
        Whose arrays they are: NumPy's, or CuPy's for what the node has for a GPU.

    Returns
    -------
    arrays : list of array
        NumPy's are C-contiguous.
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
    if xp is not np and node.gpu is None:
        raise ValueError(
            f"the network was made with a node {function!r} that a GPU computes: give "
            'ops.custom(gpu=), or use device="cpu"'
        )
    with np.errstate(all="ignore"):  # who trains says what is not finite, and where
        try:
            return node._called_with(gradient, operands, types, xp), False
        except KeyboardInterrupt:
            # Who runs the network is told later, so that a step is whole or not there.
            return node._called_with(gradient, operands, types, xp), True
