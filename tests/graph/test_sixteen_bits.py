"""Products of operands of 16 bits, as NumPy computes them: what the words mean."""

import numpy as np
import pytest
from support.op_cases import CASES

from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.graph.rounding import COMPUTE_TYPES, rounded
from slimlearn.backend.op import OPS
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program, print_program

EPSILON = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
PRODUCTS = [op for op in OPS if OPS[op].product]


def numbers(size: int = 20000, seed: int = 0) -> np.ndarray:
    """Numbers of all sizes that float32 has."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, size, dtype=np.uint64).astype(np.uint32)
    near = rng.standard_normal(size) * np.exp2(rng.uniform(-30, 18, size))
    return np.concatenate([bits.view(np.float32), near.astype(np.float32)])


def test_float16_is_numpys():
    x = numbers()
    with np.errstate(all="ignore"):
        want = x.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(rounded(x, "float16"), want)
    np.testing.assert_array_equal(np.signbit(rounded(x, "float16")), np.signbit(want))


def test_bfloat16_is_the_upper_half_of_float32():
    x = numbers()
    x = x[~np.isnan(x)]
    bits = x.view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    want = bits.astype(np.uint32).view(np.float32)
    np.testing.assert_array_equal(rounded(x, "bfloat16"), want)
    assert np.isnan(rounded(np.array([np.nan], np.float32), "bfloat16"))


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_what_is_there_stays(compute):
    x = rounded(numbers(), compute)
    np.testing.assert_array_equal(rounded(x, compute), x)
    wide = rounded(x.astype(np.float64), compute)
    np.testing.assert_array_equal(wide, x)


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_ties_go_to_even(compute):
    step = 2 * EPSILON[compute]
    x = np.array([1 + step / 2, 1 + 3 * step / 2, 1 + step / 2 + 2.0**-23], np.float32)
    want = np.array([1, 1 + 2 * step, 1 + step], np.float32)
    np.testing.assert_array_equal(rounded(x, compute), want)


def test_the_products_of_the_registry():
    assert set(PRODUCTS) == {
        "matmul",
        "convolution",
        "convolution_input_grad",
        "convolution_filter_grad",
    }


def affine(compute: str) -> Model:
    model = Model("f32", compute)
    w = model.parameter("w", (7, 5))
    with model.function("f") as graph:
        x = ops.input_("x", (B, 7))
        start = ops.input_("dy", (B, 5))
        y = x @ w + 1.0 / 3
        slopes = gradients([y], [x, w], [start])
        graph.return_(y, *slopes)
    return model


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_operands_are_rounded_and_sums_are_not(compute):
    """Forwards and for both gradients, against float64."""
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((9, 7)), rng.standard_normal((9, 5))
    w = rng.standard_normal((7, 5))
    arrays = [a.astype(np.float32) for a in (x, dy, w)]
    x, dy, w = (rounded(a, compute).astype(np.float64) for a in arrays)
    result = reference.run(
        affine(compute), "f", {"x": arrays[0], "dy": arrays[1]}, {"w": arrays[2]}
    )
    for got, want in zip(result.returns, (x @ w + 1 / 3, dy @ w.T, x.T @ dy)):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    full = reference.run(
        affine(""), "f", {"x": arrays[0], "dy": arrays[1]}, {"w": arrays[2]}
    )
    for got, want in zip(result.returns, full.returns):
        error = np.abs(got - want).max()
        assert 0.01 * EPSILON[compute] < error < 30 * EPSILON[compute]


@pytest.mark.parametrize("case", [c for op in PRODUCTS for c in CASES[op]], ids=str)
@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_every_product_is_near_that_of_float64(case, compute):
    model = case.model("f32")
    sources = case.sources("f32", rows=5)
    full = reference.run(case.model("f64"), "f", sources, {}).returns
    model.compute = compute
    for got, want in zip(reference.run(model, "f", sources, {}).returns, full):
        scale = max(np.abs(want).max(), 1.0)
        assert np.abs(got - want).max() < 16 * EPSILON[compute] * scale


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_it_stands_in_the_text(compute):
    model = affine(compute)
    text = print_program(model)
    assert text.splitlines()[1] == f"compute {compute}"
    assert parse_program(text).compute == compute
    assert print_program(parse_program(text)) == text
    assert parse_program(print_program(affine(""))).compute == ""


def test_a_word_that_is_none_is_refused():
    with pytest.raises(ValueError, match="line 2: expected bfloat16 or float16"):
        parse_program("slim 1\ncompute float8\n")
    with pytest.raises(ValueError, match="expected a declaration or 'func'"):
        parse_program("slim 1\nparam %a : f32[2]\ncompute bfloat16\n")
    with pytest.raises(ValueError, match="of a model of precision 'f32'"):
        Model("f64", "bfloat16")
    with pytest.raises(ValueError, match="'bfloat16' or 'float16'"):
        Model("f32", "float8")
