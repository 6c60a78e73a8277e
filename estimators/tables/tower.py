"""The network of a member: embeddings of numbers and codes, and a tower on them."""

from __future__ import annotations

import math

import numpy as np

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor

__all__ = ["Tower"]

# Numbers are trained at a tenth of the rate where they are a tenth of what acts.
_SLOW = 0.1


class Tower:
    """A network on the inputs ``numbers``, ``flags`` and ``codes``, if they are there.

    Parameters
    ----------
    units : tuple of int
    activation : str
    dropout : float
    embedding : {"periodic", "bins"}
        Of the numbers.
    deviation : float
        Of the first frequencies of periodic embeddings.
    edges : tuple of tuple of float
        Of the bins of each number.
    cardinalities : tuple of int
        Of the columns of codes.
    embedding_size : int
        The length of the vector that stands for a code.
    """

    outputs_name = "num_outputs"

    def __init__(
        self,
        units,
        activation,
        dropout,
        embedding,
        deviation,
        edges,
        cardinalities,
        embedding_size,
    ):
        self.units = units
        self.activation = activation
        self.dropout = dropout
        self.embedding = embedding
        self.deviation = deviation
        self.edges = edges
        self.cardinalities = cardinalities
        self.embedding_size = embedding_size

    @property
    def key(self) -> tuple:
        """What the graph depends on."""
        return ("table", *vars(self).values())

    def __call__(self, x, num_outputs: int) -> Tensor:
        """Build the layers."""
        parts = []
        if "numbers" in x:
            parts += self._numbers(x["numbers"])
        if "flags" in x:
            parts.append(x["flags"])
        if "codes" in x:
            parts.append(self._codes(x["codes"]))
        net = ops.concat(parts, 1) if len(parts) > 1 else parts[0]
        function = getattr(layers.activation, self.activation)
        for i, units in enumerate(self.units, start=1):
            net = function(_dense(net, units, f"fc{i}"))
            if self.dropout > 0:
                net = layers.dropout(net, 1.0 - self.dropout, scope=f"dropout{i}")
        return _dense(net, num_outputs, "output")

    def _numbers(self, x: Tensor) -> list[Tensor]:
        if self.embedding == "bins":
            return [x, _bins(x, self.edges)]
        return [_periodic(x, self.deviation), x]

    def _codes(self, x: Tensor) -> Tensor:
        """One table for all columns of codes: each has its own rows in it."""
        starts = np.cumsum((0, *self.cardinalities[:-1]))
        if len(starts) > 1:
            x = x + ops.constant_list(starts.astype(float).tolist(), x.dtype)
        found = layers.embedding(
            x,
            sum(self.cardinalities),
            self.embedding_size,
            initializer=layers.random_normal_initializer(),
            scope="codes",
        )
        return ops.reshape(found, (x.shape[0], len(starts) * self.embedding_size))


def _dense(x: Tensor, units: int, scope: str) -> Tensor:
    n = x.shape[1]
    with layers.variable_scope(scope):
        weights = layers.model_variable(
            "weights",
            [n, units],
            initializer=layers.random_normal_initializer(stddev=1.0),
        )
        biases = layers.model_variable(
            "biases", [units], initializer=layers.zeros_initializer()
        )
    return ops.matmul(x, weights) * (1 / math.sqrt(n)) + biases * _SLOW


def _periodic(x: Tensor, deviation: float, size: int = 16, length: int = 3) -> Tensor:
    count = x.shape[1]
    normal, uniform = (
        layers.random_normal_initializer,
        layers.random_uniform_initializer,
    )
    most = 1 / math.sqrt(size) / _SLOW
    with layers.variable_scope("periodic"):
        w1 = layers.model_variable(
            "frequencies",
            [count, 1, size],
            initializer=normal(stddev=deviation / _SLOW),
        )
        b1 = layers.model_variable(
            "phases",
            [count, 1, size],
            initializer=uniform(-math.pi / _SLOW, math.pi / _SLOW),
        )
        w2 = layers.model_variable(
            "weights", [count, size, length], initializer=uniform(-most, most)
        )
        b2 = layers.model_variable(
            "biases", [count, 1, length], initializer=uniform(-most, most)
        )
    z = ops.reshape(ops.transpose(x, (1, 0)), (count, x.shape[0], 1))
    z = ops.cos(z * (w1 * (2 * math.pi * _SLOW)) + b1 * _SLOW)
    z = ops.matmul(z, w2 * _SLOW) + b2 * _SLOW
    return ops.reshape(ops.transpose(z, (1, 0, 2)), (x.shape[0], count * length))


def _bins(x: Tensor, edges) -> Tensor:
    """The place of each number in each of its bins, of which the outer are open."""
    most = max(map(len, edges)) - 1
    low, factor = np.zeros((len(edges), most)), np.zeros((len(edges), most))
    least, largest = np.zeros((len(edges), most)), np.zeros((len(edges), most))
    for j, own in enumerate(edges):
        count = len(own) - 1
        low[j, :count], factor[j, :count] = own[:-1], 1 / np.diff(own)
        largest[j, :count] = 1.0
        least[j, 0], largest[j, count - 1] = -3.0, 3.0
    low, factor, least, largest = map(ops.array, (low, factor, least, largest))
    z = (ops.reshape(x, (*x.shape, 1)) - low) * factor
    z = ops.maximum(ops.minimum(z, largest), least)
    return ops.reshape(z, (x.shape[0], len(edges) * most))
