"""Native products of operands of 16 bits, against NumPy's."""

import numpy as np
import pytest
from support.native_run import ISAS, apply, run
from support.op_cases import CASES
from support.sixteen_bits import KINDS, assert_slopes_of_rounded, numbers, slopes
from support.training_case import Case, data, network

from slimlearn import _native
from slimlearn.backend import reference
from slimlearn.backend.graph.rounding import COMPUTE_TYPES, rounded
from slimlearn.backend.op import FUNCTIONS, OPS
from slimlearn.backend.text import print_program

PRODUCTS = [case for op in OPS if OPS[op].product for case in CASES[op]]


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


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("compute", COMPUTE_TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_multiply_rounded_operands(kind, compute, isa):
    assert_slopes_of_rounded(kind, compute, isa=isa)


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
