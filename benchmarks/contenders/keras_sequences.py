"""Keras' side of layers over sequences, on its JAX backend, the step jitted."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras


def _network(case, x, lengths):
    if case.layer == "block":
        mixed = keras.layers.MultiHeadAttention(4, case.features // 4)(x, x)
        x = keras.layers.LayerNormalization(epsilon=1e-5)(x + mixed)
        inner = keras.layers.Dense(case.units, "relu")(x)
        inner = keras.layers.Dense(case.features)(inner)
        return keras.layers.LayerNormalization(epsilon=1e-5)(x + inner)
    layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[case.layer]
    layer = layer(case.units, return_sequences=True, zero_output_for_mask=True)
    if lengths is None:
        return layer(x)
    steps = keras.ops.arange(case.steps)
    return layer(x, mask=keras.ops.less(steps, lengths[:, None]))


def prepare(case, X, lengths):
    """Return what sums the outputs and finds the gradients."""
    keras.utils.set_random_seed(0)
    x = keras.Input(X.shape[1:])
    n = None if lengths is None else keras.Input((), dtype="int32")
    inputs = x if n is None else [x, n]
    net = keras.Model(inputs, _network(case, x, n))
    given = jax.device_put(X if n is None else [X, lengths])
    fixed = [v.value for v in net.non_trainable_variables]
    weights = [v.value for v in net.trainable_variables]

    def total(weights):
        return net.stateless_call(weights, fixed, given)[0].sum()

    both = jax.jit(jax.value_and_grad(total))
    return lambda: jax.block_until_ready(both(weights))
