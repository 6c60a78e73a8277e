"""What a network's author writes for steps: scan, while_loop and map_fn."""

import functools
import inspect
from collections.abc import Callable

import numpy as np

from slimlearn.backend.graph import (
    Tensor,
    build_region,
    current_graph,
    share_parameters,
    type_text,
)
from slimlearn.backend.op import check_tensor, emit, public, value_text
from slimlearn.backend.ops.nested import flatten, rebuild, structure_text
from slimlearn.backend.shape import Dim, as_dim


@public
def scan(
    step: Callable,
    init,
    xs=None,
    length: int | Dim | None = None,
    reverse: bool = False,
    axis: int = 0,
    recompute: bool = False,
    name: str | None = None,
) -> tuple:
    """Call a function for one slice of `xs` after another, handing values on.

    What ``carry, ys = scan(step, init, xs)`` gives is what this loop would give, but
    `step` is called once, to build the step's graph: neither the graph nor its plan
    grow with the number of steps::

        carry, ys = init, []
        for x in xs:
            carry, y = step(carry, x)
            ys.append(y)
        ys = stack(ys)

    Parameters
    ----------
    step : callable
        ``step(carry, x)``, which returns the next carry, of the same types and shapes,
        and what is stacked of this step. Both, as `init` and `xs`, are a tensor, None,
        or tuples, lists or dicts of them. It may use tensors, parameters and layers
        of the function around it.
    init : tensor or structure of tensors
        What the first step gets. Numbers and arrays are taken as `array` takes them:
        0 is i64, 0.0 of the network's precision.
    xs : tensor or structure of tensors, optional
        All of one length along `axis`; a step gets a slice of each, without that axis.
    length : int or dimension, optional
        The number of steps, where there are no `xs`.
    reverse : bool, default=False
        Begin with the last slice; what is stacked lies where its slice was.
    axis : int, default=0
        Along which `xs` are cut and `ys` are stacked. Sequences of a batch,
        [B, T, features], have their steps along axis 1.
    recompute : bool, default=False
        Keep only what is carried for the gradient, and compute the rest of each step a
        second time. By default all that the gradient reads is kept.
    name : str, optional
        Of the results, and the name scope of what a step computes.

    Returns
    -------
    carry : structure of tensors, as `init`
        What the last step handed on.
    ys : structure of tensors, as the second result of `step`

    Raises
    ------
    TypeError
        If `step` is no function or does not return a pair, or a value is no tensor.
    ValueError
        If lengths differ, a carried value changes its type or shape, or a step reads an
        input or assigns a state.

    Examples
    --------
    A simple recurrent layer over [B, T, features]::

        def step(h, x):
            h = ops.tanh(layers.fully_connected(ops.concat([h, x]), 16))
            return h, h

        last, all_ = ops.scan(step, ops.zeros((B, 16)), x, axis=1)
    """
    graph, wish = current_graph(), name or "scan"
    scope = graph.scoped_name(wish)
    where = f"[scan {scope}]"
    _check_function(step, "step", where, ("carry", "x"))
    starts, carry_like = flatten(init, scope, "scan", "init")
    slices, xs_like = flatten(xs, scope, "scan", "xs")
    axes = [_axis(x, axis, where) for x in slices]
    steps = _length(slices, axes, length, where)
    made: dict = {}

    def build(*values):
        carry, x = values[: len(starts)], values[len(starts) :]
        returned = step(rebuild(carry, carry_like), rebuild(x, xs_like))
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(
                f"{where} {_called(step)} must return the next carry and what is "
                f"stacked, as in `return carry, y` (None for none); got "
                f"{value_text(returned)}"
            )
        after = _carried(returned[0], starts, carry_like, step, scope, "scan")
        ys, made["like"] = flatten(
            returned[1], scope, "scan", f"{_called(step)} returns"
        )
        return [*after, *ys]

    parameters = [(v.name, *v.type) for v in starts]
    for x, at in zip(slices, axes, strict=True):
        parameters.append((x.name, x.dtype, (*x.shape[:at], *x.shape[at + 1 :])))
    region = build_region(
        build, f"{_called(step)} of {where}", graph, f"{scope}/step", parameters
    )
    stacked = region.returns[len(starts) :]
    for y in stacked:
        if not -1 - y.rank <= axis <= y.rank:
            raise ValueError(
                f"{where} {_called(step)} returns {type_text(*y.type)}, which cannot "
                f"be stacked along axis {axis}"
            )
    attributes = {
        "carried": len(starts),
        "scanned": len(slices),
        "axes": axes + [axis % (y.rank + 1) for y in stacked],
        "length": str(steps),
        "counted": False,
        "reverse": bool(reverse),
        "recompute": bool(recompute),
    }
    if not region.returns:
        raise ValueError(f"{where} {_called(step)} hands on and stacks nothing")
    operands = (*starts, *slices, *region.captured)
    results = _results("scan", operands, attributes, [region], wish)
    return (
        rebuild(results[: len(starts)], carry_like),
        rebuild(results[len(starts) :], made["like"]),
    )


@public
def while_loop(
    condition: Callable,
    body: Callable,
    init,
    maximum_iterations: int | None = None,
    recompute: bool = False,
    name: str | None = None,
):
    """Call a function again and again, as long as another one says so.

    Parameters
    ----------
    condition : callable
        ``condition(carry)``, a tensor bool[]: whether there is another step. It and
        `body` have one argument, whatever `init` is: TensorFlow's have as many as
        there are loop variables.
    body : callable
        ``body(carry)``, which returns the next carry, of the same types and shapes.
    init : tensor or structure of tensors
        What the first step gets: a tensor, or a tuple, list or dict of them; numbers
        and arrays as of `scan`.
    maximum_iterations : int, optional
        The loop ends after so many steps in any case. Needed for gradients, whose
        memory it bounds.
    recompute : bool, default=False
        As of `scan`.
    name : str, optional
        Of the results, and the name scope of what a step computes.

    Returns
    -------
    structure of tensors, as `init`

    Raises
    ------
    TypeError
        If `condition` or `body` is no function, or a value is no tensor.
    ValueError
        If the condition is no scalar bool, a carried value changes its type or shape,
        or a step reads an input or assigns a state.

    Notes
    -----
    All rows of a batch take the same steps. Where rows end one by one, let them rest
    by ``ops.where(done, x, next_x)`` until all have.

    Examples
    --------
    A square root by Newton's method::

        def better(guess):
            return (guess + x / guess) / 2

        def goes_on(guess):
            return ops.reduce_max(ops.abs(guess * guess - x)) > 1e-5

        root = ops.while_loop(goes_on, better, x, maximum_iterations=50)
    """
    graph, wish = current_graph(), name or "while_loop"
    scope = graph.scoped_name(wish)
    where = f"[while_loop {scope}]"
    _check_function(condition, "condition", where, ("carry",))
    _check_function(body, "body", where, ("carry",))
    most = 0
    if maximum_iterations is not None:
        most = maximum_iterations
        if isinstance(most, bool) or not isinstance(most, (int, np.integer)):
            raise TypeError(
                f"{where} maximum_iterations is {value_text(most)}, needs an integer"
            )
        if not 1 <= most < 2**31:
            raise ValueError(
                f"{where} maximum_iterations is {most}, needs 1 to {2**31 - 1}"
            )
    starts, like = flatten(init, scope, "while_loop", "init")
    if not starts:
        raise ValueError(f"{where} carries nothing: init holds no tensor")

    def decide(*values):
        decided = check_tensor(
            condition(rebuild(values, like)),
            "while_loop",
            f"{scope}: {_called(condition)} returns",
        )
        if decided.type != ("bool", ()):
            raise ValueError(
                f"{where} {_called(condition)} returns {type_text(*decided.type)}, "
                "needs bool[]: one value for all rows, such as ops.reduce_any(x > 0)"
            )
        return [decided]

    def build(*values):
        after = body(rebuild(values, like))
        return _carried(after, starts, like, body, scope, "while_loop")

    parameters = [(v.name, *v.type) for v in starts]
    regions = [
        build_region(
            function,
            f"{_called(what)} of {where}",
            graph,
            f"{scope}/{part}",
            parameters,
        )
        for function, what, part in (
            (decide, condition, "condition"),
            (build, body, "body"),
        )
    ]
    operands = (*starts, *share_parameters(regions, len(starts)))
    attributes = {
        "carried": len(starts),
        "maximum": int(most),
        "recompute": bool(recompute),
    }
    results = _results("while_loop", operands, attributes, regions, wish)
    return rebuild(results[: len(starts)], like)


@public
def map_fn(
    fn: Callable,
    xs,
    axis: int = 0,
    recompute: bool = False,
    name: str | None = None,
):
    """Call a function for each slice of `xs` and stack what it returns.

    Parameters
    ----------
    fn : callable
        From a slice to a tensor or a structure of them.
    xs : tensor, or a tuple, list or dict of them
        All of one length along `axis`.
    axis, recompute
        As of `scan`.
    name : str, optional
        Of the results, and the name scope of what a step computes.

    Returns
    -------
    structure of tensors, as `fn` returns

    Notes
    -----
    Slices are computed one after another, each by all threads. What computes with all
    of them at once, as most ops do along their leading axes, is faster.

    Examples
    --------
    The product of each matrix of a [T, n, n] tensor with itself::

        squares = ops.map_fn(lambda a: a @ a, matrices)
    """
    scope = current_graph().scoped_name(name or "map_fn")
    _check_function(fn, "fn", f"[map_fn {scope}]", ("x",))

    @functools.wraps(fn, assigned=("__name__",), updated=())
    def step(_, x):
        return None, fn(x)

    _, ys = scan(step, None, xs, axis=axis, recompute=recompute, name=name or "map_fn")
    return ys


def _results(name: str, operands, attributes: dict, regions, wish: str) -> list:
    made = emit(name, operands, attributes, regions=regions, wish=wish)
    return list(made) if isinstance(made, tuple) else [made]


def _called(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _check_function(function, what: str, where: str, given: tuple[str, ...]) -> None:
    if not callable(function):
        raise TypeError(f"{where} {what} is a function, got {value_text(function)}")
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # what is written in C may have none
        return
    try:
        signature.bind(*given)
    except TypeError:
        raise TypeError(
            f"{where} {what} is called as {_called(function)}({', '.join(given)}), "
            f"but takes {signature}: what is carried comes as one argument, in the "
            "tuple, list or dict that it began in"
        ) from None


def _carried(after, starts, like, step: Callable, scope: str, op: str) -> list[Tensor]:
    """Return what a step hands on, once it is what came."""
    where = f"[{op} {scope}]"
    values, structure = flatten(after, scope, op, f"{_called(step)} returns")
    if structure != like:
        raise ValueError(
            f"{where} {_called(step)} hands on {structure_text(structure)}, init is "
            f"{structure_text(like)}: both need the same structure"
        )
    for i, (value, start) in enumerate(zip(values, starts, strict=True)):
        if value.type == start.type:
            continue
        what = "dtype" if value.dtype != start.dtype else "shape"
        raise ValueError(
            f"{where} {_called(step)} changes the {what} of carried value {i}, "
            f"%{start.name}: it comes as {type_text(*start.type)} and leaves as "
            f"{type_text(*value.type)}"
        )
    return values


def _axis(x: Tensor, axis: int, where: str) -> int:
    if not -x.rank <= axis < x.rank:
        raise ValueError(
            f"{where} %{x.name} is {type_text(*x.type)}, which has no axis {axis} to "
            "be cut along"
        )
    return axis % x.rank


def _length(slices, axes, length, where: str):
    found = [(x, x.shape[at]) for x, at in zip(slices, axes, strict=True)]
    if length is not None:
        length = as_dim(length)
        if isinstance(length, int) and length < 0:
            raise ValueError(f"{where} length is {length}, needs at least 0")
    elif not found:
        raise ValueError(f"{where} without xs, length says how many steps there are")
    else:
        length = found[0][1]
    for x, size in found:
        if size != length:
            raise ValueError(
                f"{where} %{x.name} is {type_text(*x.type)}: {size} slices, needed are "
                f"{length}"
            )
    return length
