"""Python functions of tensors as native callables: NumPy arrays in and out."""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence

import numpy as np

from slimlearn.backend import engine, ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.cache import Cache
from slimlearn.backend.graph import (
    FLOATS,
    NUMPY_TYPES,
    TYPE_WORDS,
    Model,
    Tensor,
    type_text,
)
from slimlearn.backend.op import value_text
from slimlearn.backend.ops.nested import (
    LEAF,
    Fixed,
    flatten,
    rebuild,
    taken_apart,
)
from slimlearn.backend.program import Program

_F32, _F64 = NUMPY_TYPES["f32"], NUMPY_TYPES["f64"]
_STATIC = (int, bool, str, bytes, type(None), np.dtype, type)
_ROWS = np.arange(1)  # of no batch


class Function:
    """A function of tensors that runs natively; made by `function`.

    Parameters
    ----------
    build : callable
        From tensors, and what is no array, to a tensor or a structure of them.
    n_threads : int or None
    name : str
    origin : tuple, optional
        The function and the method's name and arguments that made this one.
    """

    def __init__(
        self,
        build: Callable,
        n_threads: int | None,
        name: str,
        origin: tuple | None = None,
    ):
        functools.update_wrapper(self, build, updated=())
        self._build, self._n_threads, self._name = build, n_threads, name
        self._origin = origin
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
        return Function, (self._build, self._n_threads, self._name)

    def __call__(self, *args, **kwargs):
        """Compute the result for arrays; with tensors, append it to their graph."""
        leaves, like, precision = self._taken(args, kwargs)
        if precision is None:
            return self._build(*args, **kwargs)
        key = precision, like, tuple([(leaf.dtype, leaf.shape) for leaf in leaves])
        run, made = self._compiled.get(
            key, lambda: self._compile(precision, like, leaves)
        )
        results = run({f"x{i}": leaf for i, leaf in enumerate(leaves)})
        return rebuild(results, made)

    def text(self, *args, **kwargs) -> str:
        """Return the program for arguments like these, as it is compiled."""
        leaves, like, precision = self._taken(args, kwargs)
        return self._trace(precision, like, leaves)[0]

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
            self._n_threads,
            f"grad of {self._name}",
            (self, "grad", argnums),
        )

    def value_and_grad(self, argnums: int | Sequence[int] = 0) -> "Function":
        """Return the function that computes the value and, as `grad`, the gradient."""
        name = f"value_and_grad of {self._name}"
        both = self._both(argnums, name)
        origin = self, "value_and_grad", argnums
        return Function(_renamed(both, self._build), self._n_threads, name, origin)

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

    def _trace(self, precision: str, like, arrays):
        model = Model(precision)
        with model.function("f") as graph:
            tensors = [
                ops.input_(f"x{i}", array.shape, TYPE_WORDS[array.dtype])
                for i, array in enumerate(arrays)
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
        if model.declarations:
            name = next(iter(model.declarations))
            raise ValueError(
                f"[{self._name}] makes the parameter %{name}: a function has none; "
                "take the weights as arguments, or use an estimator"
            )
        return str(model), model, structure

    def _compile(self, precision: str, like, arrays):
        text, model, structure = self._trace(precision, like, arrays)
        compiled, program = engine.compile(text), Program(text, model=model)

        def run(sources):
            return compiled.run(
                "f", sources, program, rows=_ROWS, n_threads=self._n_threads
            )

        return run, structure


def function(fn: Callable, n_threads: int | None = None) -> Function:
    """Compile a function of tensors: it takes NumPy arrays and runs natively.

    Parameters
    ----------
    fn : callable
        Computes with `slimlearn.ops` and operators: loops by `ops.scan` and
        `ops.while_loop`, choices by `ops.cond`. It takes and returns tensors, or
        tuples, lists and dicts of them.
    n_threads : int, optional
        By default as many as OpenMP allows, where they pay.

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
    if not callable(fn):
        raise TypeError(f"[function] needs a function, got {value_text(fn)}")
    return Function(fn, n_threads, getattr(fn, "__name__", type(fn).__name__))


def _made_by(parent: Function, method: str, argnums) -> Function:
    return getattr(parent, method)(argnums)


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
