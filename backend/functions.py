"""Python functions of tensors as native callables: NumPy arrays in and out."""

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any, NamedTuple, overload

import numpy as np

from slimlearn.backend import engine, ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.cache import Cache
from slimlearn.backend.function_options import (
    Options,
    check_shape,
    symbols_of,
    whole,
)
from slimlearn.backend.function_state import collected
from slimlearn.backend.graph import (
    FLOATS,
    NUMPY_TYPES,
    TYPE_WORDS,
    Model,
    Tensor,
    type_text,
)
from slimlearn.backend.op import OPS, value_text
from slimlearn.backend.ops.nested import (
    LEAF,
    Fixed,
    flatten,
    rebuild,
    taken_apart,
)
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

_F32, _F64 = NUMPY_TYPES["f32"], NUMPY_TYPES["f64"]
_STATIC = (int, bool, str, bytes, type(None), np.dtype, type)
_ROWS = np.arange(1)  # of no batch


class Compiled(NamedTuple):
    """What a function is for arguments of some types and shapes."""

    model: engine.NativeModel
    program: Program
    like: object  # the structure of results
    starts: dict[str, np.ndarray]  # of its states
    draws: bool  # random numbers


class Function:
    """A function of tensors that runs natively; made by `function`.

    Parameters
    ----------
    build : callable
        From tensors, and what is no array, to a tensor or a structure of them.
    options : Options
    name : str
    origin : tuple, optional
        The function and the method's name and arguments that made this one.
    """

    def __init__(
        self,
        build: Callable,
        options: Options,
        name: str,
        origin: tuple | None = None,
    ):
        functools.update_wrapper(self, build, updated=())
        self._build, self._options, self._name = build, options, name
        self._origin = origin
        self._attribute = ""  # of a class, that it is a method of
        self._lock = threading.RLock()  # for what calls leave behind
        self._calls = 0  # that drew random numbers
        self._kept: dict[str, np.ndarray] = {}  # states, where no program holds them
        self._holder: Compiled | None = None
        self._signature = inspect.signature(build)
        kinds = [p.kind for p in self._signature.parameters.values()]
        plain = all(kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for kind in kinds)
        self._plain = len(kinds) if plain else -1  # arguments that need no binding
        self._compiled: Cache = Cache(64)

    def __repr__(self) -> str:
        return f"<slimlearn.function {self._name}>"

    def __reduce__(self):
        if self._origin is not None:
            return _made_by, self._origin
        module, name = sys.modules.get(self.__module__), getattr(self, "__name__", "")
        if self.__module__ != "__main__" and getattr(module, name, None) is self:
            return name  # it is found there, as a function is
        left = {"_calls": self._calls, "_kept": self.state}
        return Function, (self._build, self._options, self._name), left

    def __set_name__(self, owner: type, name: str):
        self._attribute = name

    def __get__(self, instance, owner=None) -> "Function":
        """Return the method of an object, which stays with it."""
        if instance is None:
            return self
        method = Function(
            MethodType(self._build, instance),
            self._options,
            self._name,
            (instance, self._attribute),
        )
        known = getattr(instance, "__dict__", {})  # none: of __slots__
        if self._attribute:
            method = known.setdefault(self._attribute, method)
        return method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result for arrays; with tensors, append it to their graph."""
        leaves, like, precision = self._taken(args, kwargs)
        if precision is None:
            return self._build(*args, **kwargs)
        rows = _ROWS
        shapes = [leaf.shape for leaf in leaves]
        if self._options.symbols:
            shapes, rows = self._shapes(like, leaves)
        key = precision, like, tuple([leaf.dtype for leaf in leaves]), tuple(shapes)
        compiled = self._compiled.get(
            key, lambda: self._compile(precision, like, leaves, shapes)
        )
        sources = {f"x{i}": leaf for i, leaf in enumerate(leaves)}
        if compiled.starts or compiled.draws:
            with self._lock:
                results = self._run(compiled, sources, rows, self._calls)
                self._calls += compiled.draws
        else:
            results = self._run(compiled, sources, rows, 0)
        return rebuild(results, compiled.like)

    def _run(self, compiled: Compiled, sources: dict, rows, step: int):
        if compiled.starts:
            self._hold(compiled)
        return compiled.model.run(
            next(iter(compiled.program.model.functions)),
            sources,
            compiled.program,
            rows=rows,
            seed=self._options.random_state,
            step=step,
            n_threads=self._options.n_threads,
        )

    def _hold(self, compiled: Compiled) -> None:
        """Give a program the states that the last call left."""
        if self._holder is compiled:
            return
        kept = self.state
        for name, start in compiled.starts.items():
            value = kept.get(name, start)
            if (value.dtype, value.shape) != (start.dtype, start.shape):
                raise ValueError(
                    f"[{self._name}] the state {name} is {value.dtype} of shape "
                    f"{value.shape}, for these arguments it would be {start.dtype} of "
                    f"shape {start.shape}: call reset() to begin anew"
                )
        for name, start in compiled.starts.items():
            compiled.program.states[name][...] = kept.get(name, start)
        self._kept, self._holder = kept, compiled

    @property
    def state(self) -> dict[str, np.ndarray]:
        """What calls have left, by name: copies."""
        with self._lock:
            found = dict(self._kept)
            if self._holder is not None:
                held = self._holder.program.states
                found |= {name: held[name].copy() for name in self._holder.starts}
            return found

    def reset(self, state: Mapping | None = None) -> None:
        """Forget what calls have left, random numbers too.

        Parameters
        ----------
        state : dict of str to ndarray, optional
            What states are to begin with, such as `state` was at another time; the
            others begin as the function says.
        """
        kept = {name: np.array(value) for name, value in (state or {}).items()}
        with self._lock:
            self._kept, self._holder, self._calls = kept, None, 0

    def text(self, *args, **kwargs) -> str:
        """Return the program for arguments like these, as it is compiled."""
        leaves, like, precision = self._taken(args, kwargs)
        shapes = [leaf.shape for leaf in leaves]
        if self._options.symbols:
            shapes, _ = self._shapes(like, leaves)
        return self._trace(precision, like, leaves, shapes)[0]

    def _shapes(self, like, arrays) -> tuple[list, np.ndarray]:
        """Return shapes with the symbol in the place of its size, and the rows."""
        wanted = dict(self._options.symbols)
        symbol = self._options.symbols[0][1][0]
        values = rebuild(arrays, like)
        shapes, sizes = [], {}
        for name, value in zip(self._signature.parameters, values, strict=True):
            for array in leaves_of(value, self._name)[0]:
                shape = np.shape(array)
                if name in wanted:
                    check_shape(shape, wanted[name], f"[{self._name}] {name}")
                    sizes.setdefault(shape[0], name)
                    shape = (B, *shape[1:])
                shapes.append(shape)
        if len(sizes) != 1:
            got = ", ".join(f"{size} of {name}" for size, name in sizes.items())
            raise ValueError(
                f"[{self._name}] the symbol {symbol} is {got or 'of no array'}: needs "
                "one size"
            )
        return shapes, np.arange(next(iter(sizes)))

    def _taken(self, args, kwargs) -> tuple[list, tuple, str | None]:
        """Return arrays, the structure they come in, and the type of numbers.

        The type is None where a tensor is among them.
        """
        if kwargs or len(args) != self._plain:
            given = self._signature.bind(*args, **kwargs)
            given.apply_defaults()
            args = tuple(given.arguments.values())
        leaves, like = leaves_of(args, self._name)
        types = {getattr(leaf, "dtype", None) for leaf in leaves}
        if any(isinstance(leaf, Tensor) for leaf in leaves):
            return leaves, like, None
        single = _F32 in types and _F64 not in types
        wanted = _F32 if single else _F64
        for i, leaf in enumerate(leaves):
            if type(leaf) is float:
                leaves[i] = np.asarray(leaf, wanted)
        return leaves, like, "f32" if single else "f64"

    def grad(self, argnums: int | Sequence[int] = 0) -> "Function":
        """Return the function that computes the gradient.

        Parameters
        ----------
        argnums : int or sequence of int
            Which arguments it is taken for: arrays of floats, or structures of them.

        Returns
        -------
        Function
            Of the same arguments. It returns what looks like the argument; for several
            `argnums` a tuple. It has gradients too.
        """
        both = self._both(argnums, f"grad of {self._name}")
        return Function(
            _renamed(lambda *args, **kwargs: both(*args, **kwargs)[1], self._build),
            self._options,
            f"grad of {self._name}",
            (self, "grad", argnums),
        )

    def value_and_grad(self, argnums: int | Sequence[int] = 0) -> "Function":
        """Return the function that computes the value and, as `grad`, the gradient."""
        name = f"value_and_grad of {self._name}"
        both = self._both(argnums, name)
        origin = self, "value_and_grad", argnums
        return Function(_renamed(both, self._build), self._options, name, origin)

    def _both(self, argnums, name: str) -> Callable:
        single = isinstance(argnums, (int, np.integer))
        chosen = [argnums] if single else list(argnums)
        parameters = list(self._signature.parameters)
        for number in chosen:
            if not -len(parameters) <= number < len(parameters):
                raise ValueError(
                    f"[{name}] argnums={argnums}: {self._name} has {len(parameters)} "
                    "arguments"
                )

        def both(*args, **kwargs):
            given = self._signature.bind(*args, **kwargs)
            given.apply_defaults()
            value = self._build(*args, **kwargs)
            if (
                not isinstance(value, Tensor)
                or value.shape != ()
                or value.dtype not in FLOATS
            ):
                got = (
                    type_text(*value.type)
                    if isinstance(value, Tensor)
                    else value_text(value)
                )
                raise ValueError(
                    f"[{name}] {self._name} returns {got}, needs one float: sum it up"
                )
            values = list(given.arguments.values())
            pairs = [
                flatten(values[number], name, "gradient", f"argument {number}")
                for number in chosen
            ]
            xs = [tensor for tensors, _ in pairs for tensor in tensors]
            for x in xs:
                if x.dtype not in FLOATS:
                    raise ValueError(
                        f"[{name}] %{x.name} is {type_text(*x.type)}: only floats have "
                        "a gradient"
                    )
            found = [
                ops.zeros_like(x) if slope is None else slope
                for x, slope in zip(xs, gradients(value, xs), strict=True)
            ]
            results = []
            for tensors, like in pairs:
                results.append(rebuild(found[: len(tensors)], like))
                found = found[len(tensors) :]
            return value, results[0] if single else tuple(results)

        return both

    def _trace(self, precision: str, like, arrays, shapes):
        model = Model(precision)
        with model.function("f") as graph, collected() as starts:
            tensors = [
                ops.input_(f"x{i}", shape, TYPE_WORDS[array.dtype])
                for i, (array, shape) in enumerate(zip(arrays, shapes, strict=True))
            ]
            names = self._signature.parameters
            again = inspect.BoundArguments(
                self._signature,
                dict(zip(names, rebuild(tensors, like), strict=True)),
            )
            made = self._build(*again.args, **again.kwargs)
            results, structure = flatten(made, self._name, "function", "returns")
            if not results:
                raise ValueError(f"[{self._name}] returns no tensor")
            graph.return_(*results)
        for name in model.declarations:
            if name not in starts:
                raise ValueError(
                    f"[{self._name}] makes the parameter %{name}: a function has none; "
                    "take the weights as arguments, use slimlearn.state, or an "
                    "estimator"
                )
        if starts:  # of the names that native code knows, the one that may set states
            graph.name = "grad"
            model.functions = {"grad": graph}
        return str(model), model, structure, starts

    def _compile(self, precision: str, like, arrays, shapes) -> Compiled:
        text, model, structure, starts = self._trace(precision, like, arrays, shapes)
        (graph,) = model.functions.values()
        draws = any(OPS[node.op].random for node in graph.walk())
        program = Program(text, model=model)
        return Compiled(engine.compile(text), program, structure, starts, draws)


@overload
def function(
    fn: Callable,
    n_threads: int | None = ...,
    random_state: int = ...,
    symbols: Mapping[str, tuple] | None = ...,
) -> Function: ...
@overload
def function(
    fn: None = ...,
    n_threads: int | None = ...,
    random_state: int = ...,
    symbols: Mapping[str, tuple] | None = ...,
) -> Callable[[Callable], Function]: ...


def function(
    fn: Callable | None = None,
    n_threads: int | None = None,
    random_state: int = 0,
    symbols: Mapping[str, tuple] | None = None,
):
    """Compile a function of tensors: it takes NumPy arrays and runs natively.

    Parameters
    ----------
    fn : callable
        Computes with `slimlearn.ops` and operators: loops by `ops.scan` and
        `ops.while_loop`, choices by `ops.cond`. It takes and returns tensors, or
        tuples, lists and dicts of them.
    n_threads : int, optional
        By default as many as OpenMP allows, where they pay.
    random_state : int, default=0
        What random numbers follow from. Each call draws others, as of a NumPy
        generator that lives with the function; `Function.reset` begins anew.
    symbols : dict of str to tuple, optional
        Arguments whose length may change without another compilation: a name and
        sizes, or ``...`` for the rest as it comes. ``{"x": ("N", 3), "y": ("N", ...)}``
        are arguments of as many rows each. There is one symbol, first in a shape; in
        the function it is a dimension (`ops.extent` is its number).

    Returns
    -------
    Function
        To be called as `fn`, with arrays (float32, float64, int32, int64, bool, uint8)
        and Python floats for tensors; whole numbers, texts, None, types and functions
        are handed to `fn` as they are. Floats and constants are float32 where arrays
        are float32 and none is float64, else float64. The first call with other shapes,
        types or values of what is no array compiles, in milliseconds; the others run
        what was compiled. Its methods ``grad(argnums=0)`` and
        ``value_and_grad(argnums=0)`` return functions for gradients, which have these
        methods too; ``text(...)`` is the program. Called with tensors, it is `fn`.
        What it keeps between calls are ``slimlearn.state``: ``state`` shows them,
        ``reset()`` begins anew.

    Notes
    -----
    A method is compiled for its object, whose attributes are read at the first call
    alone; what changes is an argument or a state. A function and its gradients have
    states of their own.

    Examples
    --------
    >>> import numpy as np
    >>> import slimlearn
    >>> from slimlearn import ops
    >>> @slimlearn.function
    ... def energy(x, steps):
    ...     y, _ = ops.scan(lambda y, _: (ops.sin(y), None), x, length=steps)
    ...     return ops.reduce_sum(ops.square(y))
    >>> x = np.array([0.5, 1.0])
    >>> round(float(energy(x, 1000)), 6)
    0.005937
    >>> energy.grad()(x, 10).round(3)
    array([0.28 , 0.073])
    """
    options = Options(
        whole(n_threads, "n_threads", 1, "None or "),
        whole(random_state, "random_state", 0),
        (),
    )
    if fn is None:
        return functools.partial(
            function, n_threads=n_threads, random_state=random_state, symbols=symbols
        )
    if not callable(fn):
        raise TypeError(f"[function] needs a function, got {value_text(fn)}")
    name = getattr(fn, "__name__", type(fn).__name__)
    options = options._replace(symbols=symbols_of(symbols, fn, name))
    return Function(fn, options, name)


def _made_by(parent, attribute: str, *arguments) -> Function:
    found = getattr(parent, attribute)
    return found(*arguments) if arguments else found


def _renamed(build: Callable, like: Callable) -> Callable:
    return functools.update_wrapper(build, like, updated=())


# A structure of arguments: (True,) stands for an array, (False, value) for the rest.


def leaves_of(value, name: str) -> tuple[list, object]:
    """Return the arrays, tensors and floats of a structure, and the rest of it."""

    def leaf(value):
        if isinstance(value, Tensor) or type(value) is float:
            return value, LEAF
        if isinstance(value, (np.ndarray, np.generic)):
            if value.dtype not in TYPE_WORDS:
                known = ", ".join(map(str, TYPE_WORDS))
                raise TypeError(f"[{name}] takes arrays of {known}; got {value.dtype}")
            return np.asarray(value), LEAF
        if isinstance(value, _STATIC) or callable(value):
            return None, Fixed.of(value)
        raise TypeError(f"[{name}] takes arrays and numbers, got {value_text(value)}")

    return taken_apart(value, leaf)
