"""Attention, encodings of positions, and a block of a transformer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.layers import activation, sequence, states, utils
from slimlearn.layers.annotations import Activation
from slimlearn.layers.fully_connected import fully_connected
from slimlearn.layers.initializers import (
    random_uniform_initializer,
    xavier_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.normalization import layer_norm
from slimlearn.layers.regularization import dropout as dropped
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import model_variable

_XAVIER = xavier_initializer()
_ZEROS = zeros_initializer()
_HIDDEN = -1e30  # a score whose exponential is 0


@add_arg_scope
def multi_head_attention(
    query: Tensor,
    num_heads: int,
    key_dim: int,
    value: Tensor | None = None,
    key: Tensor | None = None,
    value_dim: int | None = None,
    output_dim: int | None = None,
    attention_mask: Tensor | None = None,
    use_causal_mask: bool = False,
    key_length: Tensor | None = None,
    dropout: float = 0.0,
    return_attention_scores: bool = False,
    weights_initializer: Callable = _XAVIER,
    weights_regularizer: Callable | None = None,
    biases_initializer: Callable | None = _ZEROS,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
):
    """Mix values by how well their keys answer to queries, several times side by side.

    As Keras' MultiHeadAttention and PyTorch's MultiheadAttention: in each head
    softmax(Q Kᵀ / √key_dim) V with linear layers before, and one behind all heads.

    Parameters
    ----------
    query : Tensor
        [B, T, n]
    num_heads : int
    key_dim : int
        The length of a head's queries and keys.
    value : Tensor, optional
        [B, S, m]; by default `query`, which is self-attention.
    key : Tensor, optional
        [B, S, k]; by default `value`.
    value_dim : int, optional
        The length of a head's values; by default `key_dim`.
    output_dim : int, optional
        By default n.
    attention_mask : Tensor of bool, optional
        [T, S], [B, T, S] or [B, num_heads or 1, T, S]: which keys a query sees. A query
        that sees none takes the mean of all values.
    use_causal_mask : bool, default=False
        A query sees the keys up to its own step.
    key_length : Tensor of i32, optional
        [B], how many keys of each row are used, the first ones; by default as
        `layers.sequence_length` of `key` says. What stands behind is not read.
    dropout : float, default=0.0
        In training, the probability of dropping a weight.
    return_attention_scores : bool, default=False
        Return the weights, too.
    weights_initializer, weights_regularizer, biases_initializer, \
biases_regularizer, reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`, for all four linear layers.
    scope : str, optional
        ``multi_head_attention`` by default; variables are ``<scope>/query/weights`` of
        shape [n, num_heads · key_dim], ``key/weights``, ``value/weights``,
        ``output/weights``, and their ``biases``.

    Returns
    -------
    outputs : Tensor
        [B, T, output_dim]
    scores : Tensor
        [B, num_heads, T, S], only with `return_attention_scores`.

    Raises
    ------
    ValueError
        If a tensor is not [B, steps, features], `key` and `value` have not the same
        steps, or the mask has another shape.

    References
    ----------
    Vaswani et al., "Attention is all you need", 2017.
    """
    where = "multi_head_attention"
    value = query if value is None else value
    key = value if key is None else key
    for what, tensor in (("query", query), ("value", value), ("key", key)):
        utils.check_float(where, tensor)
        if tensor.rank != 3:
            raise ValueError(
                f"{where}: {what} must be [B, steps, features], %{tensor.name} is "
                f"{type_text(*tensor.type)}"
            )
    if key.shape[:2] != value.shape[:2]:
        raise ValueError(
            f"{where}: there is a value for each key, but %{key.name} is "
            f"{type_text(*key.type)} and %{value.name} {type_text(*value.type)}"
        )
    num_heads = utils.check_size(where, "num_heads", num_heads)
    key_dim = utils.check_size(where, "key_dim", key_dim)
    value_dim = utils.check_size(where, "value_dim", value_dim or key_dim)
    width = utils.feature_count(where, query)
    output_dim = utils.check_size(where, "output_dim", output_dim or width)
    keep = _keep(where, dropout)

    def project(x: Tensor, units: int, name: str) -> Tensor:
        return fully_connected(
            x,
            units,
            None,
            weights_initializer=weights_initializer,
            weights_regularizer=weights_regularizer,
            biases_initializer=biases_initializer,
            biases_regularizer=biases_regularizer,
            variables_collections=variables_collections,
            trainable=trainable,
            scope=name,
        )

    def heads(x: Tensor, size: int, name: str) -> Tensor:
        x = project(x, num_heads * size, name)
        x = ops.reshape(x, (*x.shape[:2], num_heads, size))
        return ops.transpose(x, (0, 2, 1, 3))

    with variable_scope(scope, where, reuse=reuse) as layer:
        mask = _mask(query, key, num_heads, attention_mask, use_causal_mask)
        if key_length is None:
            key_length = sequence.sequence_length(key)
        if key_length is not None:
            used = sequence.sequence_mask(key, key_length)
            alike = key is value
            key = states.rows_where(used, key, 0.0)
            value = key if alike else states.rows_where(used, value, 0.0)
            used = ops.reshape(used, (used.shape[0], 1, 1, used.shape[1]))
            mask = used if mask is None else ops.logical_and(mask, used)
        query = sequence.without_padding(query)
        q = heads(query, key_dim, "query")
        k, v = heads(key, key_dim, "key"), heads(value, value_dim, "value")
        scores = ops.mul(ops.matmul(q, k, transpose_b=True), 1 / math.sqrt(key_dim))
        if mask is not None:
            scores = ops.where(mask, scores, _HIDDEN)
        scores = ops.softmax(scores, name="scores")
        mixed = ops.matmul(dropped(scores, keep) if keep < 1 else scores, v)
        mixed = ops.transpose(mixed, (0, 2, 1, 3))
        mixed = ops.reshape(mixed, (*query.shape[:2], num_heads * value_dim))
        outputs = project(mixed, output_dim, "output")
        utils.collect_named_outputs(outputs_collections, layer.name, outputs)
        return (outputs, scores) if return_attention_scores else outputs


@add_arg_scope
def positional_encoding(
    inputs: Tensor,
    kind: Literal["sinusoidal", "learned"] = "sinusoidal",
    max_length: int | None = None,
    max_wavelength: float = 10_000.0,
    initializer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Tensor:
    """Add to each step a vector that says where it stands.

    Parameters
    ----------
    inputs : Tensor
        [B, T, n]
    kind : {"sinusoidal", "learned"}, default="sinusoidal"
        Sines of step t at the even features 2i, cosines at the odd ones, of
        t / max_wavelength^(2i / n); or a trained vector for each step.
    max_length : int, optional
        Of "learned": for how many steps there are vectors; by default T, where it is
        fixed.
    max_wavelength : float, default=10000.0
        Of "sinusoidal".
    initializer : callable, optional
        Of the vectors; by default uniform within ±0.05.
    reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    scope : str, optional
        ``positional_encoding`` by default; the variable is ``<scope>/positions``.

    Returns
    -------
    Tensor
        As `inputs`.

    Raises
    ------
    ValueError
        If n is odd ("sinusoidal"), or there are more steps than vectors ("learned").

    References
    ----------
    Vaswani et al., "Attention is all you need", 2017. Gehring et al., "Convolutional
    sequence to sequence learning", 2017.
    """
    where = "positional_encoding"
    utils.check_float(where, inputs, min_rank=3)
    if kind not in ("sinusoidal", "learned"):
        raise ValueError(
            f"{where}: kind must be 'sinusoidal' or 'learned', got {kind!r}"
        )
    steps, size = inputs.shape[1], utils.feature_count(where, inputs)
    with variable_scope(scope, where, reuse=reuse) as layer:
        if kind == "sinusoidal":
            utils.check_positive(where, "max_wavelength", max_wavelength)
            vectors = _waves(where, steps, size, max_wavelength, inputs.dtype)
        else:
            if max_length is None and not isinstance(steps, int):
                raise ValueError(
                    f"{where}: the number of steps of %{inputs.name}, "
                    f"{type_text(*inputs.type)}, is not fixed: give max_length"
                )
            length = utils.check_size(where, "max_length", max_length or steps)
            if isinstance(steps, int) and steps > length:
                raise ValueError(
                    f"{where}: %{inputs.name} has {steps} steps, max_length is {length}"
                )
            table = model_variable(
                "positions",
                [length, size],
                initializer=initializer or random_uniform_initializer(-0.05, 0.05),
                trainable=trainable,
                collections=utils.get_variable_collections(
                    variables_collections, "positions"
                ),
            )
            vectors = table
            if steps != length:
                vectors = ops.gather(table, ops.iota(steps))
        outputs = ops.add(inputs, vectors)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def transformer_encoder(
    inputs: Tensor,
    num_heads: int,
    intermediate_dim: int,
    dropout: float = 0.0,
    activation_fn: Activation | None = activation.relu,
    normalize_first: bool = False,
    attention_mask: Tensor | None = None,
    use_causal_mask: bool = False,
    sequence_length: Tensor | None = None,
    epsilon: float = 1e-5,
    weights_initializer: Callable = _XAVIER,
    weights_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Tensor:
    """A block of a transformer: self-attention, then two layers for each step alone.

    As PyTorch's TransformerEncoderLayer and KerasHub's TransformerEncoder: what each
    half computes is added to what it reads, and normalized::

        x = norm(x + attention(x))
        x = norm(x + linear(activation(linear(x))))

    Parameters
    ----------
    inputs : Tensor
        [B, T, n]
    num_heads : int
        They divide n: a head has n / num_heads features.
    intermediate_dim : int
        The units between the two layers.
    dropout : float, default=0.0
        In training, the probability of dropping a weight of the attention or an
        element of what a half adds.
    activation_fn : callable, str or None, default=relu
        See `slimlearn.layers.activation`.
    normalize_first : bool, default=False
        Normalize what each half reads instead: x + attention(norm(x)).
    attention_mask, use_causal_mask
        As in `multi_head_attention`.
    sequence_length : Tensor of i32, optional
        [B], how many steps of each row are used; by default as
        `layers.sequence_length` says.
    epsilon : float, default=1e-5
        Of `layer_norm`.
    weights_initializer, weights_regularizer, reuse, variables_collections, \
outputs_collections, trainable
        As in `fully_connected`.
    scope : str, optional
        ``transformer_encoder`` by default; inside are ``attention``,
        ``attention_norm``, ``intermediate``, ``output`` and ``output_norm``.

    Returns
    -------
    Tensor
        As `inputs`. Behind a row's end it means nothing.

    Raises
    ------
    ValueError
        If `num_heads` does not divide n.

    References
    ----------
    Vaswani et al., "Attention is all you need", 2017. Xiong et al., "On layer
    normalization in the transformer architecture", 2020.

    Examples
    --------
    >>> from slimlearn import NetworkClassifier, layers, network, ops
    >>> @network
    ... def encoder(x, num_outputs, depth=2):
    ...     x = ops.reshape(x, (-1, 8, 8))  # eight steps of eight pixels
    ...     x = layers.positional_encoding(layers.linear(x, 32))
    ...     x = layers.repeat(x, depth, layers.transformer_encoder, 4, 64)
    ...     return layers.linear(layers.sequence_pool(x), num_outputs)
    >>> clf = NetworkClassifier(encoder(), random_state=0)
    """
    where = "transformer_encoder"
    utils.check_float(where, inputs, min_rank=3)
    size = utils.feature_count(where, inputs)
    num_heads = utils.check_size(where, "num_heads", num_heads)
    if size % num_heads:
        raise ValueError(
            f"{where}: num_heads={num_heads} must divide the {size} features of "
            f"%{inputs.name}"
        )
    keep = _keep(where, dropout)
    weights = {
        "weights_initializer": weights_initializer,
        "weights_regularizer": weights_regularizer,
        "variables_collections": variables_collections,
        "trainable": trainable,
    }

    def norm(x: Tensor, name: str) -> Tensor:
        return layer_norm(
            x,
            begin_norm_axis=-1,
            epsilon=epsilon,
            variables_collections=variables_collections,
            trainable=trainable,
            scope=name,
        )

    def attention(x: Tensor) -> Tensor:
        return multi_head_attention(
            x,
            num_heads,
            size // num_heads,
            attention_mask=attention_mask,
            use_causal_mask=use_causal_mask,
            key_length=sequence_length,
            dropout=dropout,
            scope="attention",
            **weights,
        )

    def feed_forward(x: Tensor) -> Tensor:
        x = fully_connected(
            x, intermediate_dim, activation_fn, scope="intermediate", **weights
        )
        return fully_connected(x, size, None, scope="output", **weights)

    def half(x: Tensor, compute: Callable, name: str) -> Tensor:
        made = compute(norm(x, name) if normalize_first else x)
        x = ops.add(x, dropped(made, keep) if keep < 1 else made)
        return x if normalize_first else norm(x, name)

    with variable_scope(scope, where, reuse=reuse) as layer:
        if sequence_length is None:
            inputs = sequence.without_padding(inputs)
        else:
            used = sequence.sequence_mask(inputs, sequence_length)
            inputs = states.rows_where(used, inputs, 0.0)
        outputs = half(inputs, attention, "attention_norm")
        outputs = half(outputs, feed_forward, "output_norm")
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def _keep(where: str, dropout: float) -> float:
    utils.check_probability(where, "dropout", dropout)
    return 1 - dropout


def _mask(query, key, num_heads, given, causal) -> Tensor | None:
    """Return which keys a query sees, [B or 1, heads or 1, T, S]; None: all."""
    mask = None
    if given is not None:
        shape = (query.shape[0], num_heads, query.shape[1], key.shape[1])
        fits = isinstance(given, Tensor) and given.dtype == "bool"
        fits = fits and given.shape in (
            shape[2:],
            (shape[0], *shape[2:]),
            shape,
            (shape[0], 1, *shape[2:]),
        )
        if not fits:
            what = type_text(*given.type) if isinstance(given, Tensor) else repr(given)
            raise ValueError(
                "multi_head_attention: attention_mask must be "
                f"{type_text('bool', shape)}, or without heads or without rows; got "
                f"{what}"
            )
        ahead = {2: (1, 1), 3: (shape[0], 1), 4: given.shape[:2]}[given.rank]
        mask = ops.reshape(given, (*ahead, *shape[2:]))
    if causal:
        rows = ops.reshape(ops.iota(query.shape[1]), (1, 1, query.shape[1], 1))
        columns = ops.reshape(ops.iota(key.shape[1]), (1, 1, 1, key.shape[1]))
        seen = ops.less_equal(columns, rows)
        mask = seen if mask is None else ops.logical_and(mask, seen)
    return mask


def _waves(where: str, steps, size: int, longest: float, dtype: str) -> Tensor:
    if size % 2:
        raise ValueError(
            f"{where}: sines and cosines need an even number of features, got {size}"
        )
    rates = [longest ** (-2 * i / size) for i in range(size // 2)]
    places = ops.reshape(ops.cast(ops.iota(steps), dtype), (steps, 1))
    angles = ops.mul(places, ops.constant_list(rates, dtype))
    pairs = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
    return ops.reshape(pairs, (steps, size))
