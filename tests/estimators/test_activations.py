"""Activations: values and slopes, near zero and far from it."""

import math

import numpy as np
import pytest
from scipy import special
from support.networks import Built, evaluate

from slimlearn import layers as slim
from slimlearn.layers import activation

rng = np.random.default_rng(0)
X = rng.normal(size=(7, 5))


REFERENCES = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "relu6": lambda z: np.clip(z, 0, 6),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: (
        1.0507009873554805
        * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))
    ),
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * special.expit(z),
    "swish": lambda z: z * special.expit(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(z, 0)),
    "softplus": lambda z: np.logaddexp(z, 0),
    "softsign": lambda z: z / (1 + abs(z)),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "hard_sigmoid": lambda z: np.clip(z + 3, 0, 6) / 6,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "hard_swish": lambda z: z * np.clip(z + 3, 0, 6) / 6,
}


def test_every_activation_is_tested():
    assert set(REFERENCES) | {"get"} == set(activation.__all__)


@pytest.mark.parametrize("name", REFERENCES)
def test_activations_have_their_values_and_stay_finite(name):
    z = np.concatenate([np.linspace(-8, 8, 81), [-700.0, 700.0, -1e4, 1e4]])
    out = evaluate(activation.get(name), x=z)
    np.testing.assert_allclose(out, REFERENCES[name](z), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", REFERENCES)
def test_activations_have_their_slopes(name):
    function = activation.get(name)
    built = Built(lambda x: function(slim.bias_add(x, scope="b")), shape=(85,))
    z = np.concatenate([np.linspace(-8.05, 7.95, 81), [-700.0, 700.0, -1e4, 1e4]])
    _, grads = built.train(z[None], np.ones((1, 85)))
    slope = (REFERENCES[name](z + 1e-6) - REFERENCES[name](z - 1e-6)) / 2e-6
    np.testing.assert_allclose(grads["b/biases"], slope, rtol=1e-4, atol=1e-5)


def test_gelu_may_be_approximate():
    z = np.linspace(-4, 4, 33)
    out = evaluate(lambda x: activation.gelu(x, approximate=True), x=z)
    np.testing.assert_allclose(out, z * special.ndtr(z), atol=1e-3)


def test_an_activation_is_got_by_name_function_or_none():
    assert activation.get("tanh") is activation.tanh
    assert activation.get(None) is activation.linear
    assert activation.get(math.sin) is math.sin
    with pytest.raises(ValueError, match="no activation is called 'rleu'"):
        activation.get("rleu")
    with pytest.raises(ValueError, match="alpha must be from 0 to 1"):
        evaluate(lambda x: activation.leaky_relu(x, 2.0), x=X)
