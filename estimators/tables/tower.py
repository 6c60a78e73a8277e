"""Networks of members: embeddings and a tower on them; a line; rows that are near."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.estimators.tables.closeness import CLOSENESSES, ROUGH
from slimlearn.estimators.tables.numbers import CLIPPED_WIDE

__all__ = [
    "Near",
    "Sizes",
    "Straight",
    "Tower",
    "embedded",
    "embedded_sizes",
    "in_bins",
]

# What is no weight of a layer is trained at a part of its rate.
_SLOW = 0.1
_NTK = {"parametrization": "ntk", "learning_rate_factor": {"biases": _SLOW}}


class Sizes(NamedTuple):
    """What a network of a member tells of the program that it made.

    Attributes
    ----------
    columns : dict of str to int
        Of inputs.
    shapes : dict of str to tuple
        Of parameters; None for what y or other inputs tell.
    """

    columns: dict[str, int]
    shapes: dict[str, tuple[int | None, ...]]


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

    @property
    def sizes(self) -> Sizes:
        """Of its program."""
        found = embedded_sizes(self.cardinalities, self.embedding_size)
        if self.edges:
            found.columns["numbers"] = len(self.edges)
        named = {f"fc{i}/weights": (None, n) for i, n in enumerate(self.units, start=1)}
        return Sizes(found.columns, {**found.shapes, **named})

    def __call__(self, x, num_outputs: int) -> Tensor:
        """Build the layers."""
        net = embedded(x, self._numbers, self.cardinalities, self.embedding_size)
        function = getattr(layers.activation, self.activation)
        for i, units in enumerate(self.units, start=1):
            net = layers.fully_connected(
                net, units, activation_fn=function, scope=f"fc{i}", **_NTK
            )
            if self.dropout > 0:
                net = layers.dropout(net, 1.0 - self.dropout, scope=f"dropout{i}")
        return layers.linear(net, num_outputs, scope="output", **_NTK)

    def _numbers(self, x: Tensor) -> list[Tensor]:
        if self.embedding == "bins":
            return in_bins(x, self.edges)
        waves = layers.periodic_embedding(
            x, sigma=self.deviation, learning_rate_factor=_SLOW, scope="waves"
        )
        return [waves]


class Straight:
    """A linear model on the inputs ``numbers``, ``flags`` and ``codes``.

    Its numbers are both views, of which it reads the robust one as it was before it was
    clipped.

    Parameters
    ----------
    numbers : int
    cardinalities : tuple of int
    """

    outputs_name = "num_outputs"

    def __init__(self, numbers: int, cardinalities):
        self.numbers = numbers
        self.cardinalities = cardinalities

    @property
    def key(self) -> tuple:
        """What the graph depends on."""
        return ("line", *vars(self).values())

    @property
    def sizes(self) -> Sizes:
        """Of its program."""
        found = embedded_sizes(self.cardinalities, None)
        if self.numbers:
            found.columns["numbers"] = 2 * self.numbers
        return found

    def __call__(self, x, num_outputs: int) -> Tensor:
        """Build the layers."""
        parts, found = [], []
        if "numbers" in x:
            robust = ops.slice_(x["numbers"], 1, 0, self.numbers)
            near = ops.clip(robust, -CLIPPED_WIDE, CLIPPED_WIDE)
            parts.append(near / ops.sqrt(1.0 - near * near / 9.0))
            parts.append(ops.slice_(x["numbers"], 1, self.numbers, 2 * self.numbers))
        if "flags" in x:
            parts.append(x["flags"])
        if parts:
            net = ops.concat(parts, 1) if len(parts) > 1 else parts[0]
            found.append(layers.linear(net, num_outputs, scope="output"))
        if "codes" in x:
            zeros = layers.zeros_initializer()
            told = _vectors(x["codes"], self.cardinalities, num_outputs, zeros)
            found.append(ops.reduce_sum(told, [1]))
        return found[0] if len(found) == 1 else found[0] + found[1]


class Near:
    """A sum over rows by how near they are, on the inputs ``numbers`` and ``codes``.

    Parameters
    ----------
    numbers, codes : int
        Columns of each input.
    rows : int
    closeness : str
        Of numbers, by its name in `CLOSENESSES`.
    """

    outputs_name = "num_outputs"

    def __init__(self, numbers: int, codes: int, rows: int, closeness: str = ROUGH):
        self.numbers = numbers
        self.codes = codes
        self.rows = rows
        self.closeness = closeness

    @property
    def key(self) -> tuple:
        """What the graph depends on."""
        return ("near", *vars(self).values())

    @property
    def sizes(self) -> Sizes:
        """Of its program."""
        columns = {"numbers": self.numbers, "codes": self.codes}
        both = self.numbers + self.codes
        shapes = {"rows": (both, self.rows), "counts": (both,)}
        if self.numbers:
            shapes["slopes"] = (self.numbers,)
        return Sizes(columns, {**shapes, "output/weights": (self.rows, None)})

    def __call__(self, x, num_outputs: int) -> Tensor:
        """Build the layers."""
        columns, zeros = self.numbers + self.codes, layers.zeros_initializer()
        rows = layers.model_variable("rows", (columns, self.rows), initializer=zeros)
        counts = layers.model_variable("counts", (columns,), initializer=zeros)
        slopes, near_of = None, CLOSENESSES[self.closeness].graph
        if self.numbers:
            slopes = layers.model_variable("slopes", (self.numbers,), initializer=zeros)
        found = None
        for column in range(columns):
            number = column < self.numbers
            source, at = ("numbers", column) if number else ("codes", column)
            at = at if number else column - self.numbers
            own = ops.slice_(x[source], 1, at, at + 1)
            row = ops.slice_(rows, 0, column, column + 1)
            count = ops.slice_(counts, 0, column, column + 1)
            if number:
                slope = ops.slice_(slopes, 0, column, column + 1)
                near = count * near_of(ops.abs(own - row) * slope)
            else:
                near = ops.where(ops.equal(own, row), count, 0.0)
            found = 1.0 + near if found is None else found * (1.0 + near)
        return layers.linear(found, num_outputs, scope="output")


def embedded(x, numbers_of: Callable, cardinalities, size: int) -> Tensor:
    """What a network reads of its inputs, beside each other.

    Parameters
    ----------
    x : dict of Tensor
        ``numbers``, ``flags`` and ``codes``, if they are there.
    numbers_of : callable
        What it reads of the numbers, a list of tensors.
    cardinalities : tuple of int
        Of the columns of codes.
    size : int
        The length of the vector that stands for a code.
    """
    parts = []
    if "numbers" in x:
        parts += numbers_of(x["numbers"])
    if "flags" in x:
        parts.append(x["flags"])
    if "codes" in x:
        # One table for all columns of codes: each has its own rows in it.
        initializer = layers.random_normal_initializer()
        found = _vectors(x["codes"], cardinalities, size, initializer)
        parts.append(ops.reshape(found, (found.shape[0], len(cardinalities) * size)))
    return ops.concat(parts, 1) if len(parts) > 1 else parts[0]


def embedded_sizes(cardinalities, size: int | None) -> Sizes:
    """What columns of codes tell, each code of which is a vector of some length."""
    if not cardinalities:
        return Sizes({}, {})
    shape = sum(cardinalities), size
    return Sizes({"codes": len(cardinalities)}, {"codes/embeddings": shape})


def in_bins(x: Tensor, edges) -> list[Tensor]:
    """Numbers, and how far each is in its bins."""
    return [x, layers.piecewise_linear(x, edges, scope="bins")]


def _vectors(x: Tensor, cardinalities, size: int, initializer) -> Tensor:
    """Of each code [B, columns, size]: each column has its own rows in one table."""
    starts = np.cumsum((0, *cardinalities[:-1]))
    if len(starts) > 1:
        x = x + ops.constant_list(starts.astype(float).tolist(), x.dtype)
    return layers.embedding(
        x, sum(cardinalities), size, initializer=initializer, scope="codes"
    )
