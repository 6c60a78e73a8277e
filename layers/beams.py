"""Sequences of ids that a model finds likely, searched for inside the graph."""

import functools
import math
from collections.abc import Callable

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import FLOATS, INTEGERS, Tensor, current_graph, type_text
from slimlearn.backend.op import check_tensor, value_text
from slimlearn.backend.ops.nested import flatten, rebuild, structure_text
from slimlearn.backend.ops.source import as_tensor, is_number

_NONE = -math.inf  # the logarithm of what cannot be


def beam_search(
    step: Callable,
    state,
    width: int,
    maximum_length: int,
    end_id: int,
    start_id=None,
    length_penalty: float | Tensor = 0.0,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Find the likeliest sequences of ids, by a beam of them for each row.

    In each step every sequence of a row's beam is continued by every id, and of these
    the `width` with the best scores are kept. A sequence that reached `end_id` stays as
    it is and is compared with the others. The loop is a `slimlearn.ops.while_loop`,
    which ends when all sequences of all rows have ended. With ``width=1`` it takes the
    likeliest id in each step.

    Parameters
    ----------
    step : callable
        ``step(ids, state)``, which returns logits (or logarithms of probabilities) of
        the next id, of shape [N, vocabulary], and the next state. `ids`, i32[N], are
        the last ones, `state` looks as `state` does; N is `width` times the rows. It
        may use tensors, parameters and layers of the function around it.
    state : tensor or structure of tensors
        What the first step gets, one row for each sequence to be found: [rows, ...].
        Each is repeated for the beam, and follows its sequence from step to step. What
        stays the same for a row may be used from outside instead, after
        ``ops.repeat(x, width, 0)``.
    width : int
        How many sequences are kept for each row, at least 1; more than the vocabulary
        has, too.
    maximum_length : int
        The most ids of a sequence, at least 1.
    end_id : int
        The id that ends a sequence.
    start_id : int or Tensor of i32 or i64, optional
        What stands before the first id: a number, or one for each row, of shape
        [rows]. By default `end_id`.
    length_penalty : float or scalar Tensor, default=0.0
        The exponent α of scores: the logarithm of a sequence's probability is divided
        by ``((5 + length) / 6) ** α``. 0 compares probabilities, which favours short
        sequences.
    name : str, optional
        Of the loop, and the name scope of what a step computes.

    Returns
    -------
    ids : Tensor of i32, shape [rows, width, maximum_length]
        The best sequence of each row first; `end_id` behind the end.
    scores : Tensor of floats, shape [rows, width]
        Falling. Of equal scores the continuation of the better sequence comes first,
        then the smaller id. Where there are fewer than `width` sequences, as of a
        vocabulary of two ids in one step, the score is minus infinity and the length
        0.
    lengths : Tensor of i32, shape [rows, width]
        How many ids, with the one that ends it.

    Raises
    ------
    TypeError
        If `step` is no function or does not return a pair, or a value is no tensor.
    ValueError
        If a number is out of range, `state` has no rows, or `step` changes its types
        or shapes.

    References
    ----------
    Wu et al., "Google's neural machine translation system", 2016, formula 14, for the
    length penalty.

    Examples
    --------
    Words from the last state of an encoder, [rows, 64]::

        def step(ids, h):
            x = layers.embedding(ids, 30, 16, scope="letters")
            h = layers.fully_connected(ops.concat([x, h]), 64, ops.tanh, scope="cell")
            return layers.linear(h, 30, scope="logits"), h

        ids, scores, lengths = layers.beam_search(step, encoded, 5, 20, end_id=0)
    """
    wish = name or "beam_search"
    scope = current_graph().scoped_name(wish)
    where = f"[beam_search {scope}]"
    if not callable(step):
        raise TypeError(f"{where} step is a function, got {value_text(step)}")
    called = getattr(step, "__name__", type(step).__name__)
    width = _whole(width, "width", 1, where)
    most = _whole(maximum_length, "maximum_length", 1, where)
    end = _whole(end_id, "end_id", 0, where)
    _check_penalty(length_penalty, where)
    starts, like = flatten(state, scope, "beam_search", "state")
    rows = _rows(starts, start_id, where)
    beams = width * rows  # in order of rows, then of the beam
    number = current_graph().precision
    before = ops.constant(end, "i32", (beams,))
    if isinstance(start_id, Tensor):
        before = ops.repeat(ops.cast(start_id, "i32"), width, 0)
    elif start_id is not None:
        first = _whole(start_id, "start_id", 0, where)
        before = ops.constant(first, "i32", (beams,))

    def scored(total: Tensor, lengths: Tensor) -> Tensor:
        if not isinstance(length_penalty, Tensor) and length_penalty == 0:
            return total
        scale = (5.0 + ops.cast(lengths, number)) / 6.0
        return total / ops.pow(
            scale, ops.cast(as_tensor(length_penalty, number), number)
        )

    def body(carry):
        count, ids, total, lengths, ended, found, held = carry
        returned = step(ids, rebuild(held, like))
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(
                f"{where} {called} must return logits and the next state, as in "
                f"`return logits, state`; got {value_text(returned)}"
            )
        logits = check_tensor(returned[0], "beam_search", f"{scope}: {called} returns")
        after, made = flatten(returned[1], scope, "beam_search", f"{called} returns")
        if made != like:
            raise ValueError(
                f"{where} {called} hands on {structure_text(made)} as state, needs "
                f"{structure_text(like)} as it came"
            )
        size = _vocabulary(logits, beams, end, f"{where} {called}")
        logits = ops.cast(logits, number)
        # Of one sequence, no more than `width` of its continuations can stay.
        few = min(width, size)
        best, chosen = ops.top_k(logits, few)
        best = best - ops.logsumexp(logits, -1, keepdims=True)
        # One that has ended goes on by `end_id` alone, which changes nothing.
        rest = ops.reshape(ended, (beams, 1))
        alone = ops.where(ops.equal(ops.iota(few), 0), ops.constant(0.0, number), _NONE)
        best = ops.where(rest, alone, best)
        chosen = ops.where(rest, end, ops.cast(chosen, "i32"))
        best = ops.reshape(total, (beams, 1)) + best
        longer = lengths + ops.cast(ops.logical_not(ended), "i32")
        scores = scored(best, ops.reshape(longer, (beams, 1)))
        _, places = ops.top_k(ops.reshape(scores, (rows, width * few)), width)
        row = ops.reshape(ops.iota(rows), (rows, 1))
        places = ops.reshape(ops.cast(places, "i32") + row * (width * few), (beams,))
        parents = places // few
        ids = ops.gather(ops.reshape(chosen, (few * beams,)), places)
        total = ops.gather(ops.reshape(best, (few * beams,)), places)
        now = ops.equal(ops.iota(most), count)
        found = ops.where(now, ops.reshape(ids, (beams, 1)), ops.gather(found, parents))
        ended = ops.logical_or(ops.gather(ended, parents), ops.equal(ids, end))
        return (
            count + 1,
            ids,
            total,
            ops.gather(longer, parents),
            ops.logical_or(ended, ops.equal(total, _NONE)),
            found,
            [ops.gather(value, parents) for value in after],
        )

    body = functools.wraps(step, assigned=("__name__",), updated=())(body)
    # One sequence of no ids to begin with; the others of the beam cannot be.
    others = ops.broadcast_to(ops.greater(ops.iota(width), 0), (rows, width))
    others = ops.reshape(others, (beams,))
    _, _, total, lengths, _, found, _ = ops.while_loop(
        lambda carry: ops.any(ops.logical_not(carry[4])),
        body,
        (
            ops.constant(0, "i32"),
            before,
            ops.where(others, ops.constant(_NONE, number), 0.0),
            ops.zeros((beams,), "i32"),
            others,
            ops.constant(end, "i32", (beams, most)),
            [ops.repeat(value, width, 0) for value in starts],
        ),
        maximum_iterations=most,
        name=wish,
    )
    scores = scored(total, lengths)
    missing = ops.equal(total, _NONE)
    lengths = ops.where(missing, 0, lengths)
    found = ops.where(ops.reshape(missing, (beams, 1)), end, found)
    return (
        ops.reshape(found, (rows, width, most)),
        ops.reshape(scores, (rows, width)),
        ops.reshape(lengths, (rows, width)),
    )


def _whole(value, what: str, least: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(
            f"{where} {what} is {value_text(value)}, needs a whole number from {least}"
        )
    if not least <= value < 2**31:
        raise ValueError(f"{where} {what} is {value}, needs {least} to {2**31 - 1}")
    return int(value)


def _check_penalty(value, where: str) -> None:
    if isinstance(value, Tensor):
        fits, got = value.dtype in FLOATS and value.rank == 0, type_text(*value.type)
    else:
        fits, got = is_number(value) and math.isfinite(value), value_text(value)
    if not fits:
        raise ValueError(f"{where} length_penalty is {got}, needs a finite number")


def _rows(starts: list[Tensor], start_id, where: str):
    """Return how many rows there are, once all agree."""
    given = list(starts)
    if isinstance(start_id, Tensor):
        if start_id.dtype not in INTEGERS or start_id.rank != 1:
            raise ValueError(
                f"{where} start_id %{start_id.name} is {type_text(*start_id.type)}, "
                "needs one whole number for each row"
            )
        given.append(start_id)
    if not given:
        raise ValueError(
            f"{where} state holds no tensor, so nothing says how many rows there are: "
            "give start_id, one number for each row"
        )
    for value in given:
        if value.rank == 0 or value.shape[:1] != given[0].shape[:1]:
            raise ValueError(
                f"{where} %{value.name} is {type_text(*value.type)}, needs a row for "
                f"each of %{given[0].name}, {type_text(*given[0].type)}"
            )
    return given[0].shape[0]


def _vocabulary(logits: Tensor, beams, end: int, where: str) -> int:
    shape = logits.shape
    fits = len(shape) == 2 and shape[0] == beams and type(shape[1]) is int
    if logits.dtype not in FLOATS or not fits:
        raise ValueError(
            f"{where} returns {type_text(*logits.type)} as logits, needs floats of "
            f"shape [{beams},vocabulary]"
        )
    if end >= shape[1]:
        raise ValueError(
            f"{where} returns logits of {shape[1]} ids, end_id is {end}: needs 0 to "
            f"{shape[1] - 1}"
        )
    return shape[1]
