"""States of recurrent layers: nested tuples of rows."""

from __future__ import annotations

from typing import Any

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.backend.ops.nested import flatten, rebuild


def zero_state(sizes: Any, batch: Tensor) -> Any:
    """Return zeros [B, size] for each size of a nested tuple."""
    if isinstance(sizes, (tuple, list)):
        return tuple(zero_state(size, batch) for size in sizes)
    return ops.zeros((batch.shape[0], sizes), batch.dtype)


def check_state(where: str, state: Any, sizes: Any, batch: Tensor) -> None:
    """Refuse what is no state of these sizes, nested as they are."""
    if _is_state(state, sizes, batch):
        return
    got = type_text(*state.type) if isinstance(state, Tensor) else repr(state)
    raise ValueError(
        f"{where}: initial_state must be {_state_text(sizes, batch)}, got {got}"
    )


def _is_state(state: Any, sizes: Any, batch: Tensor) -> bool:
    if not isinstance(sizes, (tuple, list)):
        wanted = batch.dtype, (batch.shape[0], sizes)
        return isinstance(state, Tensor) and state.type == wanted
    if not isinstance(state, (tuple, list)) or len(state) != len(sizes):
        return False
    return all(map(_is_state, state, sizes, [batch] * len(sizes)))


def _state_text(sizes: Any, batch: Tensor) -> str:
    if isinstance(sizes, (tuple, list)):
        return f"({', '.join(_state_text(size, batch) for size in sizes)})"
    return type_text(batch.dtype, (batch.shape[0], sizes))


def choose(condition: Tensor, new: Any, old: Any, where: str) -> Any:
    """Return `new` of the rows where a condition [B] holds, else `old`."""
    values, like = flatten(new, where, "rnn", "the state")
    before, _ = flatten(old, where, "rnn", "the state")
    pairs = zip(values, before, strict=True)
    return rebuild([rows_where(condition, a, b) for a, b in pairs], like)


def rows_where(condition: Tensor, a: Tensor, b: Any) -> Tensor:
    """Return `a` where a condition holds of its first axes, else `b`."""
    shape = (*condition.shape, *[1] * (a.rank - condition.rank))
    return ops.where(ops.reshape(condition, shape), a, b)
