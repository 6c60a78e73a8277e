"""Random steps of nested loops: native = reference, forwards and gradients."""

import numpy as np
import pytest

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

MOST = 3  # loops in each other


def build(rng, depth, pool, count, w, axis):
    """Return `count` values to hand on and one to stack, of rows of four numbers.

    Each may be what came in, a view of it, or computed, and may be taken twice; inner
    loops take and leave slices of `axis`.
    """
    pool = list(pool)

    def pick():
        return pool[rng.integers(len(pool))]

    def later():
        return np.random.default_rng(rng.integers(1 << 30))

    for _ in range(rng.integers(1, 7)):
        a, b = pick(), pick()
        kind = rng.integers(9 if depth < MOST else 7)
        if kind == 0:
            made = [ops.sin(a)]
        elif kind == 1:
            made = [(a + b) * 0.5]
        elif kind == 2:
            made = [ops.reshape(ops.reshape(a, (-1, 2, 2)), (-1, 4))]
        elif kind == 3:
            made = [ops.concat([a[:, 2:], b[:, :2]], 1)]
        elif kind == 4:
            made = [ops.softmax(a) - b * 0.3]
        elif kind == 5:
            made = [ops.tanh(a @ w)]
        elif kind == 6:
            made = [a - ops.reduce_mean(b, 1, keepdims=True)]
        elif kind == 7:
            inner, outside = later(), pick()
            start = tuple(pick() for _ in range(rng.integers(1, 3)))

            def step(carry, x, inner=inner, outside=outside):
                pool = [*carry, x, outside]
                return build(inner, depth + 1, pool, len(carry), w, axis)

            options = {"reverse": bool(rng.integers(2)), "axis": axis}
            options["recompute"] = bool(rng.integers(2))
            last, ys = ops.scan(step, start, ops.stack([a, b], axis), **options)
            made = [*last, ops.reduce_sum(ys, axis)]
        else:
            inner, outside = later(), pick()

            def body(carry, inner=inner, outside=outside):
                count, *values = carry
                pool = [*values, outside]
                after, _ = build(inner, depth + 1, pool, 2, w, axis)
                return count + 1, *after

            start = (ops.constant(0, "i32"), a, b)
            most = int(rng.integers(1, 4))
            made = ops.while_loop(
                lambda c: c[0] < 2, body, start, maximum_iterations=most
            )[1:]
        pool.extend(made)
    return tuple(pick() for _ in range(count)), pick()


# Of few rows slices and carried values are copied; of many, 4 KiB, they are read and
# left where they lie.
@pytest.mark.parametrize(("rows", "axis"), [(5, 1), (128, 0)])
@pytest.mark.parametrize("seed", [*range(24), 31, 41, 67, 72, 83, 93, 143])
def test_random_loops(seed, rows, axis):
    rng = np.random.default_rng(seed)
    model = Model("f64")
    w = model.parameter("w", (4, 4))
    with model.function("f") as graph:
        x, y = ops.input_("X", (B, 4), "f64"), ops.input_("Y", (B, 4), "f64")
        start = (x, y, x * y)[: rng.integers(1, 4)]
        last, ys = ops.scan(
            lambda c, _: build(rng, 1, [*c, x, y], len(c), w, axis),
            start,
            length=int(rng.integers(0, 5)),
            axis=int(rng.integers(2)),
            reverse=bool(rng.integers(2)),
            recompute=bool(rng.integers(2)),
        )
        loss = ops.reduce_sum(ys) + sum(ops.reduce_sum(v) for v in last)
        found = [g for g in gradients(loss, [x, y, w]) if g is not None]
        graph.return_(*last, ys, *found)
    program = Program(model=model)
    program.weights["w"][...] = rng.normal(size=(4, 4)) * 0.5
    sources = {name: rng.normal(size=(rows, 4)) for name in "XY"}
    want = reference.run(model, "f", sources, dict(program.weights)).returns
    for threads in (1, 2):
        got = engine.compile(program.text).run("f", sources, program, n_threads=threads)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, 1e-8, 1e-8)
