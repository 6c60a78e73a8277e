"""Recurrent layers over sequences [B, T, features]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import activation, cells, utils
from slimlearn.layers.annotations import Activation
from slimlearn.layers.initializers import (
    orthogonal_initializer,
    xavier_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.stepping import rnn

_XAVIER = xavier_initializer()
_ORTHOGONAL = orthogonal_initializer()
_ZEROS = zeros_initializer()


@add_arg_scope
def simple_rnn(
    inputs: Tensor,
    units: int,
    activation_fn: Activation | None = activation.tanh,
    initial_state: Tensor | None = None,
    sequence_length: Tensor | None = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    recurrent_dropout: float = 0.0,
    layer_norm: bool = False,
    weights_initializer: Callable = _XAVIER,
    recurrent_initializer: Callable = _ORTHOGONAL,
    biases_initializer: Callable | None = _ZEROS,
    weights_regularizer: Callable | None = None,
    recurrent_regularizer: Callable | None = None,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
):
    """Hand a state from step to step: h' = tanh(x W + h U + b).

    As Keras' SimpleRNN and PyTorch's RNN, whose two biases add up to `b`.

    Parameters
    ----------
    inputs : Tensor
        [B, T, features]
    units : int
        The length of the state, which is the output.
    activation_fn : callable, str or None, default=tanh
        See `slimlearn.layers.activation`.
    initial_state : Tensor, optional
        [B, units]; zeros by default.
    sequence_length, return_sequences, return_state, go_backwards
        As in `rnn`.
    recurrent_dropout : float, default=0.0
        In training, the probability with which an element of the state is hidden from
        its product: one draw for all steps of a sequence.
    layer_norm : bool, default=False
        Normalize both products of each step, and scale them.
    weights_initializer, recurrent_initializer, biases_initializer : callable
        Of `W`, `U` and `b`: Xavier, orthogonal and zeros. Without
        `biases_initializer` there are no biases.
    weights_regularizer, recurrent_regularizer, biases_regularizer : callable, optional
        See `slimlearn.layers.regularizers`.
    reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    scope : str, optional
        ``simple_rnn`` by default; variables are ``<scope>/weights`` of shape
        [features, units], ``recurrent_weights`` [units, units] and ``biases``.

    Returns
    -------
    outputs : Tensor
        [B, units], or [B, T, units] with `return_sequences`.
    state : Tensor
        [B, units], only with `return_state`.

    References
    ----------
    Elman, "Finding structure in time", 1990. Gal and Ghahramani, "A theoretically
    grounded application of dropout in recurrent neural networks", 2016. Ba et al.,
    "Layer normalization", 2016.
    """
    return _layer(cells.simple_rnn_cell, "simple_rnn", **locals())


@add_arg_scope
def lstm(
    inputs: Tensor,
    units: int,
    activation_fn: Activation | None = activation.tanh,
    initial_state: tuple[Tensor, Tensor] | None = None,
    sequence_length: Tensor | None = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    recurrent_dropout: float = 0.0,
    layer_norm: bool = False,
    unit_forget_bias: bool = True,
    weights_initializer: Callable = _XAVIER,
    recurrent_initializer: Callable = _ORTHOGONAL,
    biases_initializer: Callable | None = _ZEROS,
    weights_regularizer: Callable | None = None,
    recurrent_regularizer: Callable | None = None,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
):
    """Hand a state from step to step that gates write, keep and show.

    As Keras' and PyTorch's LSTM, gates in their order; PyTorch's weights are these
    transposed, its two biases add up to `b`::

        i, f, g, o = x W + h U + b
        c' = σ(f) c + σ(i) tanh(g)
        h' = σ(o) tanh(c')

    Parameters
    ----------
    inputs : Tensor
        [B, T, features]
    units : int
        The length of h and c; h is the output.
    activation_fn : callable, str or None, default=tanh
        In the place of both tanh.
    initial_state : pair of Tensor, optional
        h and c, [B, units] each; zeros by default.
    sequence_length, return_sequences, return_state, go_backwards
        As in `rnn`.
    recurrent_dropout
        As in `simple_rnn`.
    layer_norm : bool, default=False
        Normalize both products of each step, and scale them; normalize c' where it is
        shown.
    unit_forget_bias : bool, default=True
        The biases of `f` start at 1.
    weights_initializer, recurrent_initializer, biases_initializer, \
weights_regularizer, recurrent_regularizer, biases_regularizer, reuse, \
variables_collections, outputs_collections, trainable
        As in `simple_rnn`.
    scope : str, optional
        ``lstm`` by default; variables are ``<scope>/weights`` of shape
        [features, 4 · units], ``recurrent_weights`` [units, 4 · units] and ``biases``.

    Returns
    -------
    outputs : Tensor
        [B, units], or [B, T, units] with `return_sequences`.
    state : pair of Tensor
        h and c, only with `return_state`.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", 1997. Gers et al., "Learning
    to forget", 2000. Ba et al., "Layer normalization", 2016.

    Examples
    --------
    Two layers with dropout between them, over sequences of different length::

        net = slim.lstm(x, 64, sequence_length=n, return_sequences=True)
        net = slim.lstm(slim.dropout(net, 0.8), 64, sequence_length=n)
    """
    return _layer(cells.lstm_cell, "lstm", **locals())


@add_arg_scope
def gru(
    inputs: Tensor,
    units: int,
    activation_fn: Activation | None = activation.tanh,
    initial_state: Tensor | None = None,
    sequence_length: Tensor | None = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    recurrent_dropout: float = 0.0,
    layer_norm: bool = False,
    weights_initializer: Callable = _XAVIER,
    recurrent_initializer: Callable = _ORTHOGONAL,
    biases_initializer: Callable | None = _ZEROS,
    weights_regularizer: Callable | None = None,
    recurrent_regularizer: Callable | None = None,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
):
    """Hand a state from step to step that gates update and reset.

    As Keras' GRU (``reset_after=True``) and PyTorch's, gates in Keras' order; PyTorch's
    stands r, z, n::

        xz, xr, xn = x W + b,  hz, hr, hn = h U + d
        z = σ(xz + hz),  r = σ(xr + hr)
        n = tanh(xn + r hn)
        h' = z h + (1 - z) n

    Parameters
    ----------
    inputs : Tensor
        [B, T, features]
    units : int
        The length of the state, which is the output.
    activation_fn : callable, str or None, default=tanh
        In the place of tanh.
    initial_state : Tensor, optional
        [B, units]; zeros by default.
    sequence_length, return_sequences, return_state, go_backwards
        As in `rnn`.
    recurrent_dropout, layer_norm, weights_initializer, recurrent_initializer, \
biases_initializer, weights_regularizer, recurrent_regularizer, biases_regularizer, \
reuse, variables_collections, outputs_collections, trainable
        As in `simple_rnn`.
    scope : str, optional
        ``gru`` by default; variables are ``<scope>/weights`` of shape
        [features, 3 · units], ``recurrent_weights`` [units, 3 · units], ``biases`` and
        ``recurrent_biases``.

    Returns
    -------
    outputs : Tensor
        [B, units], or [B, T, units] with `return_sequences`.
    state : Tensor
        [B, units], only with `return_state`.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation", 2014.
    """
    return _layer(cells.gru_cell, "gru", **locals())


def bidirectional(
    inputs: Tensor,
    layer: Callable,
    *args: Any,
    merge_mode: Literal["concat", "sum", "mul", "ave"] | None = "concat",
    scope: str | None = None,
    **kwargs: Any,
):
    """Run a recurrent layer forwards and, with variables of its own, backwards.

    Parameters
    ----------
    inputs : Tensor
        [B, T, features]
    layer : callable
        `lstm`, `gru`, `simple_rnn`, or what takes `go_backwards` and `scope` as these.
    *args, **kwargs
        Its arguments, such as ``64, return_sequences=True``. With `return_state` the
        states come as a pair, forwards and backwards; so does `initial_state`.
    merge_mode : {"concat", "sum", "mul", "ave"} or None, default="concat"
        What becomes of the two outputs; None returns the pair.
    scope : str, optional
        ``bidirectional`` by default; the layers are ``<scope>/forward`` and
        ``<scope>/backward``.

    Returns
    -------
    outputs : Tensor or pair of Tensor
        Of each step both layers have read it and what stands before or behind it.
    states : pair
        Only with ``return_state=True``.

    Raises
    ------
    ValueError
        If `merge_mode` is none of these.
    TypeError
        If `layer` cannot be called.

    References
    ----------
    Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997.

    Examples
    --------
    >>> from slimlearn import NetworkClassifier, layers, network, ops
    >>> @network
    ... def both_ways(x, num_outputs, units=32):
    ...     x = ops.reshape(x, (-1, 8, 8))  # eight steps of eight pixels
    ...     x = layers.bidirectional(x, layers.gru, units)
    ...     return layers.linear(x, num_outputs)
    >>> clf = NetworkClassifier(both_ways(), random_state=0)
    """
    if merge_mode not in _MERGED:
        names = ", ".join(map(repr, _MERGED))
        raise ValueError(
            f"bidirectional: merge_mode must be one of {names}, got {merge_mode!r}"
        )
    if not callable(layer):
        raise TypeError(
            "bidirectional: layer must be lstm, gru, simple_rnn or their like, as in "
            f"bidirectional(x, lstm, 64); got {layer!r}"
        )
    start = kwargs.pop("initial_state", None)
    if start is None:
        start = (None, None)
    if not isinstance(start, (tuple, list)) or len(start) != 2:
        raise ValueError(
            "bidirectional: initial_state is a pair, forwards and backwards; got "
            f"{start!r}"
        )
    with variable_scope(scope, "bidirectional"):
        made = [
            layer(
                inputs,
                *args,
                initial_state=state,
                go_backwards=backwards,
                scope="backward" if backwards else "forward",
                **kwargs,
            )
            for backwards, state in zip((False, True), start, strict=True)
        ]
        if not kwargs.get("return_state", False):
            return _MERGED[merge_mode](*made)
        outputs, states = zip(*made, strict=True)
        return _MERGED[merge_mode](*outputs), states


_MERGED = {
    "concat": lambda a, b: ops.concat([a, b], axis=-1),
    "sum": ops.add,
    "mul": ops.mul,
    "ave": lambda a, b: (a + b) * 0.5,
    None: lambda a, b: (a, b),
}


def _layer(make: Callable, name: str, inputs, units, scope, reuse, **given):
    """Run a cell whose variables stand in the layer's own scope."""
    utils.check_float(name, inputs, min_rank=3)
    utils.check_size(name, "units", units)
    utils.check_probability(name, "recurrent_dropout", given["recurrent_dropout"])
    run = {
        word: given.pop(word)
        for word in (
            "initial_state",
            "sequence_length",
            "return_sequences",
            "return_state",
            "go_backwards",
            "outputs_collections",
        )
    }
    with variable_scope(scope, name, reuse=reuse) as layer:
        return rnn(inputs, make(units, scope=layer, **given), scope=layer, **run)
