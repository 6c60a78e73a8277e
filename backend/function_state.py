"""What a function of tensors keeps from one call to the next."""

import contextlib
import contextvars
from collections.abc import Iterator

import numpy as np

from slimlearn.backend.graph import (
    FLOATS,
    NUMPY_TYPES,
    TYPE_WORDS,
    Tensor,
    current_graph,
)
from slimlearn.backend.graph.declarations import State
from slimlearn.backend.op import value_text
from slimlearn.backend.ops.source import as_tensor

# Of the function that is being traced: what its states begin with.
_starts: contextvars.ContextVar[dict[str, np.ndarray] | None] = contextvars.ContextVar(
    "starts", default=None
)


@contextlib.contextmanager
def collected() -> Iterator[dict[str, np.ndarray]]:
    """Collect what the states of the function that is traced begin with."""
    starts: dict[str, np.ndarray] = {}
    token = _starts.set(starts)
    try:
        yield starts
    finally:
        _starts.reset(token)


def state(name: str, start) -> Tensor:
    """Return what a function keeps under a name from one call to the next.

    It stands in a function that `slimlearn.function` compiles; `assign` says what it is
    in the next call.

    Parameters
    ----------
    name : str
        Inside the current name scope; one that is taken gets a number behind it.
    start : number, or array of float32 or float64
        What it is in the first call. A Python number gets the function's precision.

    Returns
    -------
    Tensor
        What the last call assigned; the same throughout a call.

    Raises
    ------
    RuntimeError
        Outside of such a function.
    TypeError
        If `start` is something else.

    Examples
    --------
    A running mean:

    >>> import numpy as np
    >>> import slimlearn
    >>> @slimlearn.function
    ... def mean(x):
    ...     count = slimlearn.state("count", 0.0)
    ...     last = slimlearn.state("mean", np.zeros(2))
    ...     after = last + (x - last) / (count + 1)
    ...     slimlearn.assign(count, count + 1)
    ...     return slimlearn.assign(last, after)
    >>> mean(np.array([1.0, 5.0]))
    array([1., 5.])
    >>> mean(np.array([2.0, 1.0]))
    array([1.5, 3. ])
    >>> mean.state["count"]
    array(2.)
    """
    starts = _starts.get()
    if starts is None:
        raise RuntimeError(
            f"[state {name}] stands in no function that slimlearn.function compiles"
        )
    graph = current_graph()
    full = graph.scoped_name(name)
    whole = isinstance(start, (int, np.integer)) and not isinstance(start, bool)
    if whole or type(start) is float:
        start = np.asarray(start, NUMPY_TYPES[graph.precision])
    array = np.array(start)
    if TYPE_WORDS.get(array.dtype) not in FLOATS:
        raise TypeError(
            f"[state {full}] starts with {value_text(start)}, needs a number or an "
            "array of float32 or float64"
        )
    starts[full] = array
    return graph.root.model.state(full, array.shape, dtype=TYPE_WORDS[array.dtype])


def assign(state: Tensor, value) -> Tensor:
    """Say what a state of a function is in the next call.

    Parameters
    ----------
    state : Tensor
        From `state`, whose value in this call stays what it is.
    value : Tensor or number
        Of its type and shape, from outside of loops and branches: these hand on what
        they computed.

    Returns
    -------
    Tensor
        `value`.

    Raises
    ------
    TypeError
        If `state` is no state.
    ValueError
        If `value` is of another type, `state` is assigned twice, or this stands in a
        loop or a branch.
    """
    if not isinstance(state, State):
        raise TypeError(
            f"[assign] needs what slimlearn.state returned, got {value_text(state)}"
        )
    value = as_tensor(value, state.dtype)
    current_graph().set_(state, value)
    return value
