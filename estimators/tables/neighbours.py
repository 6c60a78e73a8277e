"""Networks that tell a row by its neighbours: what they learn is what is near."""

from __future__ import annotations

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.estimators.losses import loss
from slimlearn.estimators.tables.tower import (
    Sizes,
    embedded,
    embedded_sizes,
    in_bins,
)

__all__ = ["LEAST", "Embedding", "Neighbours", "told_class", "told_number"]

# Squares of distances are no less, so that their roots have slopes; far away; shares of
# classes are no less, so that they have logarithms.
_CLOSEST, _FAR, LEAST = 1e-12, 1e18, 1e-7


class Embedding:
    """A linear layer on the inputs ``numbers``, ``flags`` and ``codes``.

    Parameters
    ----------
    edges, cardinalities, embedding_size
        As `Tower` takes them.
    """

    outputs_name = "num_outputs"

    def __init__(self, edges, cardinalities, embedding_size: int):
        self.edges = edges
        self.cardinalities = cardinalities
        self.embedding_size = embedding_size

    @property
    def key(self) -> tuple:
        """What the graph depends on."""
        return (type(self).__name__, *vars(self).values())

    def __call__(self, x, num_outputs: int) -> Tensor:
        """Build the layers."""
        more = self.cardinalities, self.embedding_size
        net = embedded(x, lambda numbers: in_bins(numbers, self.edges), *more)
        return layers.linear(net, num_outputs, scope="place")


class Neighbours(Embedding):
    """A mean of what rows are, of which those count that are near.

    Parameters
    ----------
    edges, cardinalities, embedding_size
        As `Tower` takes them.
    size : int
        The numbers that tell the place of a row.
    rows : int
    shares : bool
        Whether shares of classes are told, whose logarithms are to be returned.
    """

    def __init__(
        self, edges, cardinalities, embedding_size: int, size: int, rows: int, shares
    ):
        super().__init__(edges, cardinalities, embedding_size)
        self.size = size
        self.rows = rows
        self.shares = shares

    @property
    def sizes(self) -> Sizes:
        """Of its program."""
        found = embedded_sizes(self.cardinalities, self.embedding_size)
        if self.edges:
            found.columns["numbers"] = len(self.edges)
        shapes = {
            "place/weights": (None, self.size),
            "rows": (self.size, self.rows),
            "squares": (self.rows,),
            "output/weights": (self.rows, None),
        }
        return Sizes(found.columns, {**found.shapes, **shapes})

    def __call__(self, x, num_outputs: int) -> Tensor:
        """Build the layers."""
        place, zeros = super().__call__(x, self.size), layers.zeros_initializer()
        rows = layers.model_variable("rows", (self.size, self.rows), initializer=zeros)
        squares = layers.model_variable("squares", (self.rows,), initializer=zeros)
        own = ops.expand_dims(ops.reduce_sum(place * place, [1]), 1)
        near = _nearness(own + squares - 2.0 * ops.matmul(place, rows))
        told = layers.linear(near, num_outputs, scope="output")
        if not self.shares:
            return told
        logs = ops.log(ops.maximum(told, LEAST))
        if num_outputs == 1:  # the second of two classes
            return logs - ops.log(ops.maximum(1.0 - told, LEAST))
        return logs


@loss(outputs=lambda size: size, mean=lambda raw: raw[..., 0])
def told_number(raw, y, size: int = 2):
    """The squared error of a number that is told by the other rows of a batch."""
    told = ops.matmul(_nearness_of_others(raw), ops.expand_dims(y, 1))
    return ops.square(ops.reshape(told, (raw.shape[0],)) - y)


@loss(outputs=lambda size: size, mean=lambda raw: raw[..., 0], scaled=False)
def told_class(raw, y, size: int = 2, classes: int = 2):
    """The log loss of the number of a class, told by the other rows of a batch."""
    known = ops.constant_list([float(k) for k in range(classes)], y.dtype)
    own = ops.cast(ops.equal(ops.expand_dims(y, 1), known), raw.dtype)
    shares = ops.matmul(_nearness_of_others(raw), own)
    return 0.0 - ops.log(ops.reduce_sum(shares * own, [1]) + LEAST)


def _nearness_of_others(places: Tensor) -> Tensor:
    """What the rows of a batch count for each of them, itself nothing."""
    squares = ops.reduce_sum(places * places, [1])
    both = ops.expand_dims(squares, 1) + ops.expand_dims(squares, 0)
    apart = both - 2.0 * ops.matmul(places, ops.transpose(places, (1, 0)))
    number = ops.iota(places.shape[0])
    itself = ops.equal(ops.expand_dims(number, 1), ops.expand_dims(number, 0))
    return _nearness(ops.where(itself, _FAR, apart))


def _nearness(squares: Tensor) -> Tensor:
    """What rows count, 1 together, by the squares of their distances."""
    return ops.softmax(0.0 - ops.sqrt(ops.maximum(squares, _CLOSEST)))
