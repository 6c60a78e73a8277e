"""Uses of scan and while_loop, for the checks that every op of the registry gets."""

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.shape import B
from support.case import Source, case


def recurrent(x, h, w, u, b, **options):
    """A layer over [B, T, features]: what is carried, and all of it."""

    def step(h, x):
        h = ops.tanh(h @ w + x @ u + b)
        return h, h

    return ops.scan(step, h, x, axis=1, **options)


def recurrent_expected(x, h, w, u, b):
    ys = []
    for t in range(x.shape[1]):
        h = np.tanh(h @ w + x[:, t] @ u + b)
        ys.append(h)
    return h, np.stack(ys, 1)


def swaps(x, y):
    """Values that change places, one that stays, and what they were, as stacked."""

    def step(carry, _):
        a, b, c, stays = carry
        return (b, c, a, stays), {"a": a, "twice": (b * 2, b * 2)}

    (a, b, c, stays), ys = ops.scan(step, (x, y, x - y, x * y), length=5)
    return a, b, c, stays, ops.reduce_sum(ys["a"], 0), *ys["twice"]


def swaps_expected(x, y):
    a, b, c, stays = x, y, x - y, x * y
    before, twice = 0, []
    for _ in range(5):
        before, twice = before + a, [*twice, b * 2]
        a, b, c = b, c, a
    return a, b, c, stays, before, np.stack(twice), np.stack(twice)


def hands_on(x, y):
    """What all steps read becomes what is carried, and that moves on as it is."""
    start = (x, y, x * y)
    (a, b, c), ys = ops.scan(lambda c, _: ((y, y, c[0]), c[2]), start, length=4)
    return a, b, c, ys


def nested(x, w):
    """A loop in a loop in a loop; the inner ones read values of all levels."""

    def outer(a, i):
        scale = ops.cast(i, x.dtype) * 0.25

        def middle(b, j):
            _, c = ops.while_loop(
                lambda c: c[0] <= j,
                lambda c: (c[0] + 1, ops.tanh(c[1] @ w + a * scale)),
                (ops.constant(0, "i32"), b),
                maximum_iterations=4,
            )
            return c, ops.reduce_mean(c, 1)

        b, means = ops.scan(middle, a, ops.iota(3))
        return b, ops.reduce_sum(means, 0)

    a, sums = ops.scan(outer, x, ops.iota(2), reverse=True)
    return a, sums


def nested_expected(x, w):
    a, sums = x, [0, 0]
    for i in (1, 0):
        b, means = a, 0
        for j in range(3):
            for _ in range(j + 1):
                b = np.tanh(b @ w + a * (i * 0.25))
            means = means + b.mean(1)
        a, sums[i] = b, means
    return a, np.stack(sums)


def empty(x, w):
    """No step: what is carried comes back, what is stacked is empty."""
    carry, ys = ops.scan(lambda c, v: (c * v, c), x, ops.zeros((0, 4), x.dtype) + w)
    return carry, ops.reduce_sum(ys, 0)


def chooses(x, w):
    """A cond in a step, and a loop in a branch."""

    def step(h, i):
        def longer():
            return ops.scan(lambda a, _: (ops.sin(a) * w, None), h, length=3)[0]

        return ops.cond(ops.equal(i % 2, 0), longer, lambda: h * h), h[:, 0]

    return ops.scan(step, x, ops.iota(4), axis=0)


def chooses_expected(x, w):
    ys = []
    for i in range(4):
        ys.append(x[:, 0])
        if i % 2:
            x = x * x
        else:
            for _ in range(3):
                x = np.sin(x) * w
    return x, np.stack(ys)


def newton(x):
    """A square root; the rows decide together."""

    def goes_on(guess):
        return ops.reduce_max(ops.abs(guess * guess - x)) > 1e-3

    return ops.while_loop(
        goes_on, lambda guess: (guess + x / guess) / 2, x, maximum_iterations=30
    )


def newton_expected(x):
    guess = x
    while np.abs(guess * guess - x).max() > 1e-3:
        guess = (guess + x / guess) / 2
    return guess


def bounded(x, w):
    """So many steps that the bound ends it, and one that the condition ends."""

    def double(carry):
        return carry[0] + 1, ops.tanh(carry[1] * w)

    start = (ops.constant(0, "i32"), x)
    _, some = ops.while_loop(lambda c: c[0] < 100, double, start, maximum_iterations=3)
    count, few = ops.while_loop(lambda c: c[0] < 2, double, start, maximum_iterations=7)
    _, none = ops.while_loop(lambda c: c[0] < 0, double, start, maximum_iterations=7)
    return some, few, none, count


def bounded_expected(x, w):
    once = np.tanh(x * w)
    twice = np.tanh(once * w)
    return np.tanh(twice * w), twice, x, np.int32(2)


def across_rows(x, w):
    """Row after row of the batch: a running product, kept per row."""
    return ops.scan(lambda c, row: (c * 0.5 + row @ w, c), ops.zeros((3,), x.dtype), x)


def across_rows_expected(x, w):
    c, ys = np.zeros(3, x.dtype), []
    for row in x:
        ys.append(c)
        c = c * x.dtype.type(0.5) + row @ w
    return c, np.stack(ys)


_layer = {
    "expect": recurrent_expected,
    "x": Source((B, 6, 3)),
    "h": Source((B, 4)),
    "w": Source((4, 4), "unit"),
    "u": Source((3, 4)),
    "b": Source((4,)),
}
case("scan", recurrent, "recurrent", **_layer)
case(
    "scan",
    lambda **v: recurrent(recompute=True, **v),
    "recompute",
    **_layer,
)
case(
    "scan",
    swaps,
    "swaps",
    expect=swaps_expected,
    x=Source((B, 5)),
    y=Source((B, 5)),
)
case(
    "scan",
    hands_on,
    "hands_on",
    expect=lambda x, y: (y, y, y, np.stack([x * y, x, y, y])),
    x=Source((B, 5)),
    y=Source((B, 5)),
)
_square = {"x": Source((B, 4), "unit"), "w": Source((4, 4), "unit")}
case("scan", nested, "nested", expect=nested_expected, **_square)
case(
    "scan",
    empty,
    "empty",
    expect=lambda x, w: (x, np.zeros_like(x)),
    x=Source((B, 4)),
    w=Source((4,)),
)
case(
    "scan",
    chooses,
    "chooses",
    expect=chooses_expected,
    x=Source((B, 4)),
    w=Source((4,)),
)
case(
    "scan",
    across_rows,
    "across_rows",
    expect=across_rows_expected,
    x=Source((B, 4)),
    w=Source((4, 3)),
)
case(
    "while_loop",
    newton,
    "newton",
    expect=newton_expected,
    smooth=(),
    x=Source((B, 5), "positive"),
)
case(
    "while_loop",
    bounded,
    "bounded",
    expect=bounded_expected,
    x=Source((B, 5)),
    w=Source((5,)),
)
