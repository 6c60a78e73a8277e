"""Random values: Philox, keyed by seed and stream, counted by step, row and column."""

import zlib

import numpy as np

from slimlearn.backend import philox
from slimlearn.backend.graph import FLOATS, Tensor, current_graph, type_text
from slimlearn.backend.op import (
    Op,
    Refusal,
    check_count,
    check_dtype,
    check_shape,
    check_tensor,
    describe,
    dtype_of,
    emit,
    public,
    refuse_unless,
    takes,
    target,
)
from slimlearn.backend.ops import structure
from slimlearn.backend.ops.fused import infer_region
from slimlearn.backend.ops.source import as_tensor, is_number


class _Random(Op):
    attributes = takes(stream=int)
    random = True

    def row_local(self, node):
        return structure.leads(node.results[0].shape)


class _Distribution(_Random):
    # A region finishes each piece of what is drawn, whose shape then has no symbols.
    results = None
    regions = 1
    tape_region = True

    def infer(self, types, attributes, declared=None, regions=()):
        _check_stream(attributes)
        if not regions:
            check_count(types, 0)
            refuse_unless(target(declared)[0] in FLOATS, "the result is f32 or f64")
            return [declared[0]]
        refuse_unless(bool(regions[0].parameters), "the region takes what is drawn")
        dtype, shape = drawn = regions[0].parameters[0].type
        refuse_unless(dtype in FLOATS, "draws f32 or f64")
        refuse_unless(
            bool(shape) and all(isinstance(dim, int) for dim in shape),
            f"has a region only where its shape is of numbers, not {type_text(*drawn)}",
        )
        return infer_region(regions[0], [drawn, *types], shape)

    def reference(self, context, arrays, node):
        drawn = node.regions[0].parameters[0] if node.regions else node.results[0]
        dtype, shape = context.type(drawn)
        numbers = self.draw(
            *context.random_key(node), context.rows(drawn), shape, dtype
        )
        numbers = numbers.reshape(shape).astype(dtype)
        if not node.regions:
            return [numbers]
        return context.region(node.regions[0], [numbers, *arrays])


class RandomUniform(_Distribution):
    """Uniform in [0, 1)."""

    name = "random_uniform"

    def draw(self, *arguments):
        return philox.uniform(*arguments)


class RandomNormal(_Distribution):
    """Normal with mean 0 and deviation 1."""

    name = "random_normal"

    def draw(self, *arguments):
        return philox.normal(*arguments)


class Dropout(_Random):
    """Each element times 1/keep_prob with probability keep_prob, else 0."""

    name = "dropout"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        check_dtype(types, FLOATS)
        if types[1][1] != ():
            raise Refusal(f"keep_prob must be a scalar: {describe(types)}")
        _check_stream(attributes)
        return [types[0]]

    def reference(self, context, arrays, node):
        x, keep_prob = arrays
        rows = context.rows(node.results[0])
        kept = philox.keep(
            *context.random_key(node),
            rows,
            x.shape,
            float(keep_prob),
        ).reshape(x.shape)
        scale = x.dtype.type(1) / keep_prob.astype(x.dtype)
        return [np.where(kept, x * scale, x.dtype.type(0))]

    def grad(self, node, index, dy):
        if index:
            return None
        return emit("dropout", (dy, node.operands[1]), node.attributes)


def stream_of(name: str) -> int:
    """Return the random stream of the value called `name`."""
    return zlib.crc32(name.encode())


@public
def random_uniform(
    shape,
    dtype=None,
    low: float = 0.0,
    high: float = 1.0,
    name: str | None = None,
    stream: str | None = None,
) -> Tensor:
    """Return random numbers, uniform in [low, high).

    Parameters
    ----------
    shape : sequence of int or dimensions
        ``x.shape`` gives each row numbers of its own, the same in any batch.
    dtype : "f32" or "f64", optional
        By default the precision of the network. Numbers of f32 and of f64 come
        from other random bits.
    low, high : float
    name : str, optional
        Of the result.
    stream : str, optional
        What the random stream follows from; by default the result's full name.

    Returns
    -------
    Tensor
        Drawn anew in each step, from the estimator's `random_state`.
    """
    value = _draw("random_uniform", shape, dtype, name, stream)
    if high - low != 1:
        value = value * (high - low)
    return value + low if low != 0 else value


@public
def random_normal(
    shape,
    dtype=None,
    mean: float = 0.0,
    stddev: float = 1.0,
    name: str | None = None,
) -> Tensor:
    """Return normally distributed random numbers.

    Parameters
    ----------
    shape : sequence of int or dimensions
        ``x.shape`` gives each row numbers of its own, the same in any batch.
    dtype : "f32" or "f64", optional
        By default the precision of the network. Numbers of f32 are those of
        f64, rounded.
    mean, stddev : float
    name : str, optional
        Of the result; the random stream follows from it.

    Returns
    -------
    Tensor
        Drawn anew in each step, from the estimator's `random_state`.
    """
    value = _draw("random_normal", shape, dtype, name)
    if stddev != 1:
        value = value * stddev
    return value + mean if mean != 0 else value


@public
def dropout(x: Tensor, keep_prob, name: str | None = None) -> Tensor:
    """Return elements zeroed at random and the others scaled up, always.

    `layers.dropout` does so in training only.

    Parameters
    ----------
    x : Tensor
    keep_prob : float or scalar Tensor
        Probability to keep an element, 0 < keep_prob <= 1.
    name : str, optional
        Of the result; the random stream follows from it.

    Returns
    -------
    Tensor
        As `x`, each element divided by `keep_prob` or 0.

    Raises
    ------
    ValueError
        If `keep_prob` is out of range.
    """
    check_tensor(x, "dropout", name)
    if is_number(keep_prob) and not 0 < keep_prob <= 1:
        raise ValueError(
            f"[dropout {name or 'dropout'}] keep_prob must be in (0, 1], "
            f"got {keep_prob}"
        )
    keep_prob = as_tensor(keep_prob, x.dtype)
    wish = name or "dropout"
    stream = stream_of(current_graph().scoped_name(wish))
    return emit("dropout", (x, keep_prob), {"stream": stream}, None, wish)


def _draw(
    word: str, shape, dtype, name: str | None, stream: str | None = None
) -> Tensor:
    wish = name or word
    dtype = dtype_of(dtype, word, name)
    shape = check_shape(shape, word, name)
    number = stream_of(stream or current_graph().scoped_name(wish))
    return emit(word, (), {"stream": number}, [(dtype, shape)], wish)


def _check_stream(attributes) -> None:
    stream = attributes["stream"]
    refuse_unless(0 <= stream < 2**32, f"stream {stream} is no 32-bit number")
