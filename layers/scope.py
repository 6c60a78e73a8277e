"""Default arguments for layers: `arg_scope`, after TF-Slim.

The scope lives in a context variable, so threads and tasks never see each
other's, and it is restored whatever happens inside the block.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

from slimlearn.layers.recomputing import recompute

_Function = TypeVar("_Function", bound=Callable)

# {undecorated function: {argument: value}}; never changed in place.
_SCOPE: ContextVar[Mapping[Callable, Mapping[str, Any]]] = ContextVar(
    "slimlearn_arg_scope", default=MappingProxyType({})
)


# What Keras and PyTorch call arguments of layers, by what stands for them here.
_ELSEWHERE = {
    "bias": "biases_initializer=None",
    "bias_initializer": "biases_initializer",
    "dilation": "rate",
    "dilation_rate": "rate",
    "filters": "num_outputs",
    "kernel_initializer": "weights_initializer",
    "kernel_regularizer": "weights_regularizer",
    "name": "scope",
    "out_channels": "num_outputs",
    "out_features": "num_outputs",
    "p": "keep_prob=1 - p",
    "rate": "keep_prob=1 - rate",
    "units": "num_outputs",
    "use_bias": "biases_initializer=None",
}


class _Arguments:
    """What a scope may set for one function, read from its signature once."""

    __slots__ = ("any_name", "defaulted", "names", "positional", "recomputes")

    def __init__(self, function: Callable):
        parameters = inspect.signature(function).parameters.values()
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        named = [p for p in parameters if p.kind not in variadic]
        self.positional = tuple(
            p.name for p in named if p.kind is not inspect.Parameter.KEYWORD_ONLY
        )
        self.names = tuple(
            p.name for p in named if p.kind is not inspect.Parameter.POSITIONAL_ONLY
        )
        self.defaulted = tuple(
            p.name for p in named if p.default is not inspect.Parameter.empty
        )
        self.any_name = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        # All take it, without naming it.
        self.recomputes = "recompute" not in self.names
        if self.recomputes:
            self.names += ("recompute",)


def add_arg_scope(function: _Function) -> _Function:
    """Let `arg_scope` set defaults for a function's arguments.

    Parameters
    ----------
    function : callable
        Any function; a layer as a rule.

    Returns
    -------
    callable
        The function with the same signature. An argument that the caller gives,
        by name or by position and even as None, beats the one of the scope. It also
        takes ``recompute=True``, which calls it in a block of `recompute`.
    """
    arguments = _Arguments(function)
    positional = arguments.positional

    @functools.wraps(function)
    def with_scope(*args, **kwargs):
        defaults = _SCOPE.get().get(function)
        if defaults:
            given = positional[: len(args)]
            for name, value in defaults.items():
                if name not in kwargs and name not in given:
                    kwargs[name] = value
        _check_names("", function.__name__, arguments, kwargs)
        if arguments.recomputes and kwargs.pop("recompute", False):
            with recompute():
                return function(*args, **kwargs)
        return function(*args, **kwargs)

    with_scope._key_op = function
    with_scope._arguments = arguments
    return with_scope


@contextmanager
def arg_scope(
    list_ops_or_scope: Sequence[Callable] | Mapping, **kwargs: Any
) -> Iterator[dict]:
    """Give functions default arguments for the length of a `with` block.

    Parameters
    ----------
    list_ops_or_scope : list or tuple of functions, or dict
        Functions decorated with `add_arg_scope`; or a scope that an `arg_scope`
        yielded, which then replaces the scope around it.
    **kwargs
        The defaults. Every function of the list must take every one of them.
        Inner scopes add to outer ones and win where both name an argument.

    Yields
    ------
    dict
        The scope, `{key: {argument: value}}`, to be entered again elsewhere. See
        `arg_scope_func_key` for the key.

    Raises
    ------
    TypeError
        The first argument is no list, tuple or dict; or a function does not take
        one of the arguments.
    ValueError
        A function is not decorated with `add_arg_scope`, or arguments stand
        beside a dict.

    Examples
    --------
    >>> from slimlearn.layers import add_arg_scope, arg_scope
    >>> @add_arg_scope
    ... def area(width, height=1):
    ...     return width * height
    >>> with arg_scope([area], height=3):
    ...     area(2), area(2, height=5), area(2, 7)
    (6, 10, 14)
    """
    if isinstance(list_ops_or_scope, Mapping):
        if kwargs:
            raise ValueError(
                "arg_scope: a scope that is entered again takes no further "
                f"arguments, got {', '.join(sorted(kwargs))}: open a second "
                "arg_scope inside it for these"
            )
        scope = dict(list_ops_or_scope)
    elif isinstance(list_ops_or_scope, (list, tuple)):
        scope = dict(_SCOPE.get())
        for op in list_ops_or_scope:
            _check(op, kwargs)
            key = arg_scope_func_key(op)
            scope[key] = {**scope.get(key, {}), **kwargs}
    else:
        raise TypeError(
            "arg_scope: the first argument must be a list or tuple of functions, or "
            "a scope that an arg_scope yielded; got "
            f"{type(list_ops_or_scope).__name__}"
        )
    token = _SCOPE.set(scope)
    try:
        yield scope
    finally:
        _SCOPE.reset(token)


def current_arg_scope() -> dict:
    """Return the scope in force as `{key: {argument: value}}`."""
    return dict(_SCOPE.get())


def arg_scope_func_key(op: Callable) -> Callable:
    """Return the key of a function in a scope: the function undecorated.

    Parameters
    ----------
    op : callable

    Returns
    -------
    callable
    """
    return getattr(op, "_key_op", op)


def has_arg_scope(func: Callable) -> bool:
    """Tell whether a function is decorated with `add_arg_scope`.

    Parameters
    ----------
    func : callable

    Returns
    -------
    bool
    """
    return hasattr(func, "_key_op")


def arg_scoped_arguments(func: Callable) -> tuple[str, ...]:
    """Return the names of a decorated function's arguments that have a default.

    Parameters
    ----------
    func : callable

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        The function is not decorated with `add_arg_scope`.
    """
    _check(func, {})
    return func._arguments.defaulted


def _check(op: Callable, names: Mapping[str, Any]) -> None:
    title = getattr(op, "__name__", repr(op))
    if hasattr(op, "func"):  # a functools.partial, or a layer as slim.relu is one
        raise ValueError(
            f"arg_scope: {title if title != repr(op) else 'a functools.partial'} "
            "cannot be scoped; name the function that it wraps "
            f"({getattr(op.func, '__name__', op.func)}) instead"
        )
    if not has_arg_scope(op):
        raise ValueError(f"arg_scope: {title} is not decorated with @add_arg_scope")
    _check_names("arg_scope: ", title, op._arguments, names)


def _check_names(where: str, title: str, arguments: _Arguments, names) -> None:
    for name in names:
        if name in arguments.names or arguments.any_name:
            continue
        close = difflib.get_close_matches(name, arguments.names, n=3)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        here = _ELSEWHERE.get(name, "")
        if here.partition("=")[0] in arguments.names:
            hint = f"; here that is {here}"
        raise TypeError(
            f"{where}{title} takes no argument {name!r}{hint} "
            f"({title} takes {', '.join(arguments.names)})"
        )
