"""Native products of operands of 16 bits, against NumPy's."""

import numpy as np
import pytest
from support.native_run import ISAS, apply, run
from support.op_cases import CASES
from support.training_case import Case, data, network

from slimlearn import _native
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.graph.rounding import COMPUTE_TYPES, rounded
from slimlearn.backend.op import FUNCTIONS, OPS
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program, print_program

PRODUCTS = [case for op in OPS if OPS[op].product for case in CASES[op]]


def numbers() -> np.ndarray:
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**32, 30000, dtype=np.uint64).astype(np.uint32)
    near = rng.standard_normal(30000) * np.exp2(rng.uniform(-30, 18, 30000))
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 65504, 65519.996, 65520, 3.39e38]
    rest = np.concatenate([near, special]).astype(np.float32)
    x = np.concatenate([bits.view(np.float32), rest])
    return x[(np.abs(x) >= 2.0**-126) | (x == 0) | np.isnan(x)]  # the rest is flushed


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_rounding_has_the_bits_of_the_reference(compute, isa):
    x, op = numbers(), FUNCTIONS[f"round_{compute}"]
    want = rounded(x, compute)
    got = apply(lambda a: op(a), {"a": x}, isa)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(
        np.signbit(got[~np.isnan(x)]), np.signbit(want[~np.isnan(x)])
    )
    with np.errstate(invalid="ignore"):
        wide = {"a": x.astype(np.float64)}
    np.testing.assert_array_equal(apply(lambda a: op(a), wide, isa), want)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("compute", COMPUTE_TYPES)
@pytest.mark.parametrize("case", PRODUCTS, ids=str)
def test_products_are_those_of_the_reference(case, compute, isa):
    for rows in (1, 5, 37):
        model, sources = case.model("f32"), case.sources("f32", rows=rows)
        model.compute = compute
        want = reference.run(model, "f", sources, {}).returns
        for got, expected in zip(run(model, sources, isa, rows=np.arange(rows)), want):
            scale = max(np.abs(expected).max(), 1.0)
            np.testing.assert_allclose(got, expected, rtol=0, atol=4e-5 * scale)


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


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("compute", COMPUTE_TYPES)
@pytest.mark.parametrize("kind", ["matmul", "convolution", "pointwise", "depthwise"])
def test_gradients_multiply_rounded_operands(kind, compute, isa):
    """Against float64 products of the numbers that the formats have."""
    model, arrays = slopes(kind, compute)
    program = Program(model=model)
    program.weights["w"][...] = arrays.pop("w")
    got = engine.compile(program.text, isa=isa).run("f", arrays, program)
    text = program.text.replace(f"compute {compute}\n", "").replace("f32", "f64")
    near = {k: rounded(v, compute).astype(np.float64) for k, v in arrays.items()}
    weights = {"w": rounded(program.weights["w"], compute).astype(np.float64)}
    want = reference.run(parse_program(text), "f", near, weights).returns
    for mine, theirs in zip(got, want, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_native_text_is_pythons(compute):
    text = print_program(slopes("matmul", compute)[0])
    assert _native.roundtrip(text) == text
    with pytest.raises(ValueError, match="line 2: expected bfloat16 or float16"):
        _native.roundtrip("slim 1\ncompute float8\n")
    with pytest.raises(ValueError, match="param, state, hyper, slot or func"):
        _native.roundtrip("slim 1\nstate %a : f32[2]\ncompute bfloat16\n")


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_training_is_near_numpys(compute):
    model = network("f32")
    model.compute = compute
    case = Case(model, data(precision="f32"))
    oracle, twin = case.oracle()
    trainer = case.trainer()
    steps = trainer.info()["steps"]
    for epoch in range(3):
        rates = np.full(steps, 1e-2)
        mine = trainer.epoch(epoch, epoch * steps, rates)
        theirs = oracle.epoch(epoch, epoch * steps, rates)
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=3e-3)
    for name, weights in case.program.weights.items():
        np.testing.assert_allclose(weights, twin.weights[name], rtol=0, atol=2e-2)


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_the_bits_do_not_depend_on_threads(compute):
    found = []
    for threads in (1, 2, 5):
        model = network("f32", sizes=(20, 300, 3))
        model.compute = compute
        case = Case(model, data(2000, precision="f32"), batch_size=500)
        case.train(2, n_threads=threads)
        found.append(case.program.params.copy())
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
