"""Operands of 16 bits: numbers that try the rounding, products and their gradients."""

import numpy as np

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.graph.rounding import rounded
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program

# What `slopes` multiplies.
KINDS = ["matmul", "convolution", "pointwise", "depthwise"]


def numbers() -> np.ndarray:
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**32, 30000, dtype=np.uint64).astype(np.uint32)
    near = rng.standard_normal(30000) * np.exp2(rng.uniform(-30, 18, 30000))
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 65504, 65519.996, 65520, 3.39e38]
    rest = np.concatenate([near, special]).astype(np.float32)
    x = np.concatenate([bits.view(np.float32), rest])
    return x[(np.abs(x) >= 2.0**-126) | (x == 0) | np.isnan(x)]  # the rest is flushed


def slopes(kind: str, compute: str) -> tuple[Model, dict]:
    """A product and its gradients, by what it is: returns (y, dx, dw)."""
    rng = np.random.default_rng(2)
    shapes = {
        "matmul": ((B, 70), (70, 33), (B, 33)),
        "convolution": ((B, 12, 12, 16), (3, 3, 16, 32), (B, 12, 12, 32)),
        "pointwise": ((B, 6, 6, 24), (1, 1, 24, 40), (B, 6, 6, 40)),
        "depthwise": ((B, 9, 9, 8), (3, 3, 1, 8), (B, 9, 9, 8)),
    }
    x_shape, w_shape, y_shape = shapes[kind]
    model = Model("f32", compute)
    w = model.parameter("w", w_shape)
    with model.function("f") as graph:
        x, dy = ops.input_("x", x_shape), ops.input_("dy", y_shape)
        if kind == "matmul":
            y = x @ w
        else:
            groups = 8 if kind == "depthwise" else 1
            y = ops.convolution(x, w, padding="SAME", groups=groups)
        graph.return_(y, *gradients([y], [x, w], [dy]))
    arrays = {
        "x": rng.standard_normal((5, *x_shape[1:])).astype(np.float32),
        "dy": rng.standard_normal((5, *y_shape[1:])).astype(np.float32),
        "w": rng.standard_normal(w_shape).astype(np.float32),
    }
    return model, arrays


def assert_slopes_of_rounded(kind: str, compute: str, **where) -> None:
    """Against float64 products of the numbers that the format has."""
    model, arrays = slopes(kind, compute)
    program = Program(model=model)
    program.weights["w"][...] = arrays.pop("w")
    got = engine.compile(program.text, **where).run("f", arrays, program)
    text = program.text.replace(f"compute {compute}\n", "").replace("f32", "f64")
    near = {k: rounded(v, compute).astype(np.float64) for k, v in arrays.items()}
    weights = {"w": rounded(program.weights["w"], compute).astype(np.float64)}
    want = reference.run(parse_program(text), "f", near, weights).returns
    for mine, theirs in zip(got, want, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * scale)
