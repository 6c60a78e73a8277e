"""Sequences of different length in one batch: their lengths, masks, pooling over time.

A batch of sequences is [B, T, …] with T the longest of them; what stands behind a
sequence's end is padding, whose values mean nothing. The function that is being built
knows, for a symbol such as T, a tensor of the lengths. Axes made from T, by strides or
windows without padding, have the lengths that the same rule makes of these.
"""

from __future__ import annotations

from typing import Literal

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_graph, type_text
from slimlearn.backend.shape import Dim, product
from slimlearn.layers import utils
from slimlearn.layers.fully_connected import fully_connected
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope

_LENGTHS = "sequence lengths"
_LENGTHS_ALONG = "sequence lengths of other axes"
_MASKS = "sequence masks"
_VOCABULARY = "sequence vocabulary"
_MODES = ("mean", "max", "last", "attention")


def know_lengths(symbol: str, lengths: Tensor) -> None:
    """Say how long sequences are along the axes of the function that have a symbol.

    Parameters
    ----------
    symbol : str
        Such as ``"T"``.
    lengths : Tensor of i32
        [B]
    """
    current_graph().root.layers.setdefault(_LENGTHS, {})[symbol] = lengths


def sequence_length(inputs: Tensor) -> Tensor | None:
    """Return how long the sequences of a batch are.

    Parameters
    ----------
    inputs : Tensor
        [B, T, …]

    Returns
    -------
    Tensor of i32 or None
        [B], each at most T; None where all are as long as the axis.
    """
    utils.check_tensor("sequence_length", inputs, min_rank=2)
    steps = inputs.shape[1]
    if not isinstance(steps, Dim):
        return None
    known = current_graph().root.layers.get(_LENGTHS, {})
    found = [symbol for symbol in steps.symbols if symbol in known]
    if len(found) != 1 or len(steps.symbols) != 1:
        return None
    return _lengths_along(steps, known[found[0]])


def sequence_mask(inputs: Tensor, sequence_length: Tensor | None = None) -> Tensor:
    """Return which steps are part of their sequence.

    Parameters
    ----------
    inputs : Tensor
        [B, T, …]
    sequence_length : Tensor of i32, optional
        [B]; by default as the function `sequence_length` says.

    Returns
    -------
    Tensor of bool
        [B, T], False in the padding.

    Examples
    --------
    >>> from slimlearn import layers, network, ops
    >>> @network
    ... def share_of_rises(x):  # of a sequence's steps
    ...     mask = layers.sequence_mask(x)
    ...     rises = ops.logical_and(x[:, :, 0] > 0, mask)
    ...     return ops.mean(ops.cast(rises, x.dtype), 1, keepdims=True)
    """
    utils.check_tensor("sequence_mask", inputs, min_rank=2)
    batch, steps = inputs.shape[:2]
    lengths = _lengths("sequence_mask", inputs, sequence_length)
    if lengths is None:
        return ops.constant(True, "bool", (batch, steps), name="mask")
    known = current_graph().layers.setdefault(_MASKS, {})
    key = f"{lengths.name} {steps}"
    if key not in known:
        places = ops.reshape(ops.iota(steps), (1, steps))
        ends = ops.reshape(lengths, (batch, 1))
        known[key] = ops.less(places, ends, name="mask")
    return known[key]


def without_padding(inputs: Tensor, value: float = 0.0) -> Tensor:
    """Return inputs [B, T, …] with a number in the padding, themselves without any."""
    if sequence_length(inputs) is None:
        return inputs
    return _filled(inputs, sequence_mask(inputs), value)


def mean_over(
    inputs: Tensor, axes: list[int], keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Return the mean over axes of a row, in which padding has no part."""
    lengths = sequence_length(inputs) if 1 in axes else None
    if lengths is None:
        return ops.reduce_mean(inputs, axes, keepdims, name=name)
    total = ops.reduce_sum(without_padding(inputs), axes, keepdims)
    rest = product([inputs.shape[axis] for axis in axes if axis != 1])
    count = ops.mul(ops.maximum(ops.cast(lengths, inputs.dtype), 1.0), float(rest))
    count = ops.reshape(count, (inputs.shape[0], *[1] * (total.rank - 1)))
    return ops.div(total, count, name=name)


@add_arg_scope
def sequence_pool(
    inputs: Tensor,
    mode: Literal["mean", "max", "last", "attention"] = "mean",
    sequence_length: Tensor | None = None,
    num_units: int | None = None,
    outputs_collections: str | list[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Return one vector for each sequence, of its own steps alone.

    Parameters
    ----------
    inputs : Tensor
        [B, T, n]
    mode : {"mean", "max", "last", "attention"}, default="mean"
        The mean or the largest of each feature over time; the last step of each
        sequence; or a mean of trained weights, the softmax over time of
        v · tanh(W x + b).
    sequence_length : Tensor of i32, optional
        [B], at least 1; by default as the function `sequence_length` says.
    num_units : int, optional
        Of "attention": the length of v, by default n.
    outputs_collections, scope
        As in `fully_connected`; the scope is ``sequence_pool`` by default. The
        variables of "attention" are ``<scope>/hidden/weights``,
        ``<scope>/hidden/biases`` and ``<scope>/score/weights``.

    Returns
    -------
    Tensor
        [B, n]

    References
    ----------
    Yang et al., "Hierarchical attention networks for document classification", 2016.

    Examples
    --------
    >>> from slimlearn import layers, network
    >>> @network
    ... def words(ids, units=32):
    ...     net = layers.embedding(ids, vocab_size=1000, embed_dim=16)
    ...     return layers.sequence_pool(layers.conv1d(net, units, 3), "max")
    """
    where = "sequence_pool"
    utils.check_float(where, inputs)
    if inputs.rank != 3:
        raise ValueError(
            f"{where}: inputs must be [B, T, n], %{inputs.name} is "
            f"{type_text(*inputs.type)}: embed ids first, or reshape it"
        )
    if mode not in _MODES:
        raise ValueError(
            f"{where}: mode must be one of {', '.join(map(repr, _MODES))}; got {mode!r}"
        )
    with variable_scope(scope, where) as opened:
        lengths = _lengths(where, inputs, sequence_length)
        mask = None if lengths is None else sequence_mask(inputs, lengths)
        if mode == "attention":
            outputs = _attended(inputs, mask, num_units)
        else:
            outputs = _POOLS[mode](inputs, lengths, mask)
        return utils.collect_named_outputs(outputs_collections, opened.name, outputs)


def _mean(inputs: Tensor, lengths: Tensor | None, mask: Tensor | None) -> Tensor:
    if mask is None:
        return ops.reduce_mean(inputs, [1])
    total = ops.reduce_sum(_filled(inputs, mask, 0.0), [1])
    count = ops.maximum(ops.cast(lengths, inputs.dtype), 1.0)
    return ops.div(total, ops.reshape(count, (inputs.shape[0], 1)))


def _max(inputs: Tensor, lengths: Tensor | None, mask: Tensor | None) -> Tensor:
    if mask is not None:
        inputs = _filled(inputs, mask, float("-inf"))
    return ops.reduce_max(inputs, [1])


def _last(inputs: Tensor, lengths: Tensor | None, mask: Tensor | None) -> Tensor:
    batch, steps, _ = inputs.shape
    if lengths is None:
        ends = ops.cast(ops.extent(steps, "f64"), "i32")
    else:
        ends = ops.reshape(lengths, (batch, 1))
    places = ops.reshape(ops.iota(steps), (1, steps))
    last = ops.equal(places, ops.sub(ends, 1))
    last = ops.broadcast_to(last, (batch, steps))
    return ops.reduce_sum(_filled(inputs, last, 0.0), [1])


_POOLS = {"mean": _mean, "max": _max, "last": _last}


def _attended(inputs: Tensor, mask: Tensor | None, num_units: int | None) -> Tensor:
    units = utils.feature_count("sequence_pool", inputs)
    if num_units is not None:
        units = utils.check_size("sequence_pool", "num_units", num_units)
    if mask is not None:
        inputs = _filled(inputs, mask, 0.0)
    net = fully_connected(inputs, units, ops.tanh, scope="hidden")
    scores = fully_connected(net, 1, None, biases_initializer=None, scope="score")
    scores = ops.reshape(scores, inputs.shape[:2])
    if mask is not None:
        scores = ops.where(mask, scores, float("-inf"))
    weights = ops.softmax(scores, name="weights")
    weights = ops.reshape(weights, (*inputs.shape[:2], 1))
    return ops.reduce_sum(ops.mul(inputs, weights), [1])


def _filled(inputs: Tensor, mask: Tensor, value: float) -> Tensor:
    """Inputs where the mask [B, T] is true, a number elsewhere, even for NaN."""
    column = ops.reshape(mask, (*inputs.shape[:2], *[1] * (inputs.rank - 2)))
    return ops.where(column, inputs, value)


def _lengths(where: str, inputs: Tensor, given: Tensor | None) -> Tensor | None:
    if given is None:
        return sequence_length(inputs)
    if not isinstance(given, Tensor) or given.type != ("i32", inputs.shape[:1]):
        what = type_text(*given.type) if isinstance(given, Tensor) else repr(given)
        raise ValueError(
            f"{where}: sequence_length must be a tensor i32[{inputs.shape[0]}], got "
            f"{what}"
        )
    return given


def _lengths_along(steps: Dim, lengths: Tensor) -> Tensor:
    """What the rule of an axis, such as (T+1)//2, makes of each sequence's length."""
    [symbol] = steps.symbols
    if steps.multiple_of(symbol) == 1:
        return lengths
    known = current_graph().layers.setdefault(_LENGTHS_ALONG, {})
    key = f"{lengths.name} {steps}"
    if key not in known:
        found = steps.evaluate({symbol: lengths})
        known[key] = ops.maximum(found, 0, name="lengths")
    return known[key]


def know_vocabulary(size: int) -> None:
    """Say how many ids the function's sequences may have."""
    current_graph().root.layers[_VOCABULARY] = size


def vocabulary_in_use() -> int | None:
    """Return how many ids there are, where the function reads ids."""
    return current_graph().root.layers.get(_VOCABULARY)
