"""Random programs of smooth ops, for tests that compare two ways of running them.

    model = random_model(random.Random(7), "f64")
    sources = random_sources("f64", rows=5)

The function ``f`` returns a scalar and some values on the way to it; ``g`` returns the
gradients of the scalar with respect to the parameters, by name; ``grad`` returns the
scalar, and gives these gradients to the parameters.
"""

import random

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model, Tensor, current_graph
from slimlearn.backend.reference import DTYPES
from slimlearn.backend.shape import B

WIDTHS = (1, 3, 8, 17)

# Smooth and tame for every input, so that long chains stay finite.
UNARY = {
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
    "sin": ops.sin,
    "neg": ops.neg,
    "erf": ops.erf,
    "gauss": lambda a: ops.exp(ops.neg(ops.square(a))),
    "root": lambda a: ops.sqrt(ops.square(a) + 1.0),
    "log": lambda a: ops.log(ops.square(a) + 1.5),
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "half": lambda a: a * 0.5 - 0.25,
    "same": ops.identity,
    "dropout": lambda a: ops.dropout(a, 0.7),
}
BINARY = {
    "add": ops.add,
    "sub": ops.sub,
    "mul": ops.mul,
    "div": lambda a, b: a / (ops.square(b) + 1.0),
    "mix": lambda a, b: ops.select(ops.greater(ops.sin(a * 50), 0), a, b),
    "cross_entropy": ops.sigmoid_cross_entropy,
}


def random_model(rng: random.Random, precision: str, size: int = 14) -> Model:
    """Return a model with the functions ``f``, ``g`` and ``grad``."""
    model = Model(precision)
    state = rng.getstate()
    for function in ("f", "g", "grad"):
        # All functions build the same graph.
        rng.setstate(state)
        with model.function(function) as graph:
            scalar, others = _build(rng, model, precision, size)
            if function == "f":
                graph.return_(scalar, *others)
                continue
            slopes = gradients(scalar, list(model.parameters))
            for parameter, slope in zip(model.parameters, slopes, strict=True):
                if slope is None:
                    slope = ops.constant(0.0, precision, parameter.shape)
                if function == "grad":
                    graph.grad_(parameter, slope)
                else:
                    graph.return_(slope)
            if function == "grad":
                graph.return_(scalar)
    return model


def random_sources(precision: str, rows: int, seed: int = 0) -> dict:
    """Return the sources of any random model."""
    rng = np.random.default_rng([seed, rows])
    return {
        f"x{width}": rng.standard_normal((rows, width)).astype(DTYPES[precision])
        for width in WIDTHS
    }


def random_params(model: Model, seed: int = 0) -> dict:
    """Return arrays for the parameters of `model`."""
    rng = np.random.default_rng(seed)
    dtype = DTYPES[model.precision]
    return {
        p.name: (rng.standard_normal(p.shape) / np.sqrt(p.shape[0])).astype(dtype)
        for p in model.parameters
    }


def _parameter(model: Model, name: str, shape) -> Tensor:
    if name in model.declarations:
        return model.declarations[name]
    return model.parameter(name, shape)


def _build(rng, model, precision, size):
    """Return a scalar that depends on all values nobody else used, and some of them."""
    values = [ops.input_(f"x{w}", (B, w), precision) for w in WIDTHS]
    values += [_parameter(model, f"p{w}", (w,)) for w in WIDTHS[1:]]
    for step in range(size):
        a = rng.choice(values)
        kind = rng.randrange(8)
        if kind == 0 and a.rank == 2:
            width = rng.choice(WIDTHS)
            made = a @ _parameter(model, f"w{step}", (a.shape[1], width))
        elif kind == 1 and a.rank == 2:
            axis, keep = rng.choice([(0, False), (0, True), (1, True)])
            made = ops.reduce_mean(a, axis, keepdims=keep)
        elif kind == 2 and a.shape[-1] > 1:
            cut = rng.randrange(1, a.shape[-1])
            made = ops.concat((a[..., cut:], a[..., :cut]))
        elif kind == 6:
            made = _beside(rng, a, [b for b in values if b.rank == a.rank])
        elif kind == 7 and a.rank == 2:
            made = _rearranged(rng, a)
        elif kind in (3, 4):
            partners = [b for b in values if _fit(a, b)]
            made = BINARY[rng.choice(sorted(BINARY))](a, rng.choice(partners))
        else:
            made = UNARY[rng.choice(sorted(UNARY))](a)
        values.append(made)
    nodes = current_graph().nodes
    used = {operand for node in nodes for operand in node.operands}
    scalar = None
    for value in [v for v in values if v not in used]:
        part = ops.reduce_mean(value)
        scalar = part if scalar is None else scalar + part
    return scalar, values[-3:]


def _beside(rng, a: Tensor, others: list[Tensor]) -> Tensor:
    """Return `a` with another one behind it, along an axis of fixed size."""
    axis = rng.choice([i for i in range(a.rank) if type(a.shape[i]) is int] or [None])
    if axis is None:
        return ops.tanh(a)
    like = [
        b
        for b in others
        if type(b.shape[axis]) is int
        and all(i == axis or a.shape[i] == b.shape[i] for i in range(a.rank))
        and a.shape[axis] + b.shape[axis] < 70
    ]
    return ops.concat((ops.tanh(a), rng.choice(like)), axis) if like else ops.tanh(a)


def _rearranged(rng, a: Tensor) -> Tensor:
    """Return a matrix whose values come from another place of `a`."""
    rows, width = a.shape
    kind = rng.randrange(5)
    if kind == 0:  # of an axis of one element
        reduce = rng.choice([ops.reduce_sum, ops.reduce_max, ops.logsumexp])
        return reduce(ops.reshape(a, (rows, width, 1)), 2)
    if kind == 1 and width % 2 == 0:
        pairs = ops.reshape(a, (rows, 2, width // 2))
        return ops.reshape(ops.transpose(pairs, (0, 2, 1)), (rows, width))
    if kind == 2:
        return ops.softmax(ops.matmul(a, a, transpose_a=True) * 0.3)
    if kind == 3:
        return ops.reduce_max(a[:, : rng.randint(1, width)], 1, keepdims=True)
    return ops.pad(a, ((0, 0), (rng.randrange(3), rng.randrange(3))))


def _fit(a: Tensor, b: Tensor) -> bool:
    """Return whether the shapes broadcast; B never meets a parameter's axis."""
    pairs = zip(reversed(a.shape), reversed(b.shape), strict=False)
    return all(x == y or x == 1 or y == 1 for x, y in pairs)
