"""Operands of 16 bits on a GPU, or by its kernels on the host: rounded and kept."""

import itertools
import re

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from support.cuda import CUDA
from support.op_cases import CASES
from support.sixteen_bits import KINDS, assert_slopes_of_rounded, numbers, slopes
from support.training_case import Case, data, network

from slimlearn import DNNClassifier
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import Model
from slimlearn.backend.graph.rounding import COMPUTE_TYPES, rounded
from slimlearn.backend.op import OPS
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

PRODUCTS = [
    case
    for op in OPS
    if OPS[op].product and not op.startswith("pooled_")
    for case in CASES[op]
]
SHORT = {"bfloat16": "bf16", "float16": "f16"}


@pytest.fixture
def as_floats(monkeypatch):
    """Compile anew with operands that are rounded, and lie there as float32."""

    def again():
        monkeypatch.setenv("SLIM_CUDA_SIXTEEN_BITS", "0")
        engine.clear_cache()

    yield again
    engine.clear_cache()


def run(model, sources, device=CUDA, rows=None):
    text = print_program(model)
    more = {} if rows is None else {"rows": np.arange(rows)}
    compiled = engine.compile(text, device=device)
    return compiled.run("f", sources, Program(text, model=model), **more)


def dump(model, func="f", rows=8, device=CUDA):
    return engine.compile(print_program(model), device=device).dump(func, rows)


# -- what is kept in 16 bits -----------------------------------------------------------


def chain(compute, returned=False, other=False):
    """Two products of which the second reads the first one's weights too."""
    model = Model("f32", compute)
    w = model.parameter("w", (6, 6))
    with model.function("f") as graph:
        x = ops.input_("x", (B, 6), "f32")
        y = ops.relu(x @ w)
        z = ops.matmul(y, w, transpose_b=True)
        more = [ops.round_bfloat16(w)] if returned else []
        more += [ops.round_bfloat16(w) + 1.0] if other else []
        graph.return_(z, *more)
    return model


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_a_value_is_rounded_once_where_it_is_made(compute):
    text, kept = dump(chain(compute)), SHORT[compute]
    outside = re.findall(rf"^  (?:}} : |%.* : )(.*{kept}.*)$", text, re.MULTILINE)
    # Of x and w by kernels of their own, of y behind the first product.
    assert sorted(outside) == [f"{kept}[6,6]", *[f"{kept}[B,6]"] * 2]
    assert text.count(f"round_{compute}(") == 3
    assert f"{kept}[" not in dump(chain(compute), device="cpu")


@pytest.mark.parametrize("how", [{"returned": True}, {"other": True}])
def test_what_others_read_stays_float32(how):
    """A product has two operands of one type, so that neither is kept."""
    text = dump(chain("bfloat16", **how))
    assert "bf16[" not in text and text.count("round_bfloat16(") == 3
    model, x = chain("bfloat16", **how), np.ones((3, 6), np.float32)
    w = np.linspace(-1, 1, 36, dtype=np.float32).reshape(6, 6)
    program = Program(print_program(model), model=model)
    program.weights["w"][...] = w
    got = engine.compile(program.text, device=CUDA).run("f", {"x": x}, program)
    want = reference.run(model, "f", {"x": x}, {"w": w}).returns
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, 1e-6, 1e-6)


def deep(compute, depth):
    """Layers whose gradients read what they give, too."""
    model = Model("f32", compute)
    sizes = [7, *[5] * depth, 3]
    weights = [
        model.parameter(f"w{i}", shape)
        for i, shape in enumerate(itertools.pairwise(sizes))
    ]
    with model.function("grad", training=True) as graph:
        x = ops.input_("X", (B, 7), "f32")
        for w in weights:
            x = ops.tanh(x @ w)
        loss, rows = ops.reduce_sum(x), ops.extent(B, "f64")
        graph.return_(ops.cast(loss, "f64"), rows, rows)
        for w, slope in zip(weights, gradients([loss], weights), strict=True):
            graph.grad_(w, slope)
    return model


@pytest.mark.parametrize("depth", [2, 40])
@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_deep_networks_keep_all_operands(compute, depth):
    """Forwards and for gradients, with one rounding for every value."""
    text = dump(deep(compute, depth), "grad")
    operands = re.findall(r"= matmul\(%([^,]+), %([^,)]+)", text)
    assert len(operands) == 3 * (depth + 1) - 1
    kept = {name for pair in operands for name in pair}
    # Of each layer the weights, what it reads, and the gradient of what it gives.
    assert text.count(f"round_{compute}(") == len(kept) == 3 * (depth + 1)
    assert len(
        re.findall(rf"= round_{compute}\(.*\) : {SHORT[compute]}\[", text)
    ) == len(kept)


def test_they_take_less_memory(as_floats):
    def arena():
        compiled = engine.compile(print_program(deep("bfloat16", 10)), device=CUDA)
        return compiled.info("grad", 1000)["arena_bytes"]

    kept = arena()
    as_floats()
    assert kept < 0.85 * arena()


def test_no_text_has_such_types():
    text = print_program(chain("bfloat16")).replace(": f32[6,6]", ": bf16[6,6]")
    with pytest.raises(ValueError, match="expected one of f32 f64 i32 i64 bool u8"):
        native.Model(text, "cpu")


# -- numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_a_kept_number_has_the_bits_of_the_reference(compute, each_way):
    """Times one, by itself: what is infinite or NaN meets no other number."""
    x = numbers()[:, None]
    model = Model("f32", compute)
    with model.function("f") as graph:
        one = ops.input_("one", (1, 1), "f32")
        graph.return_(ops.matmul(ops.input_("x", (B, 1), "f32"), one))
    [got] = run(model, {"x": x, "one": np.ones((1, 1), np.float32)})
    assert f"{SHORT[compute]}[B,1]" in dump(model)
    np.testing.assert_array_equal(got, rounded(x, compute))


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
@pytest.mark.parametrize("case", PRODUCTS, ids=str)
def test_products_are_those_of_the_reference(case, compute):
    model, sources = case.model("f32"), case.sources("f32", rows=11)
    model.compute = compute
    want = reference.run(model, "f", sources, {}).returns
    for got, expected in zip(run(model, sources, rows=11), want, strict=True):
        scale = max(np.abs(expected).max(), 1.0)
        np.testing.assert_allclose(got, expected, rtol=0, atol=4e-5 * scale)


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_multiply_rounded_operands(kind, compute, each_way):
    assert_slopes_of_rounded(kind, compute, device=CUDA)


@pytest.mark.parametrize("rows", [1, 97])
@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_training_has_the_bits_of_rounded_floats(compute, rows, each_way, as_floats):
    """To keep numbers in 16 bits that have no more changes none: with full batches, a
    tail, and rows of it that do not count."""

    def trained():
        model = network("f32")
        model.compute = compute
        case = Case(model, data(rows, "f32"))
        case.compiled = engine.compile(case.program.text, device=CUDA)
        losses = case.train(3)
        return losses, case.program.params.copy()

    losses, params = trained()
    as_floats()
    others, floats = trained()
    if each_way == "library" and CUDA == "cuda":  # which adds up in another order
        np.testing.assert_allclose(losses, others, 2e-3)
    else:
        assert losses == others and params.tobytes() == floats.tobytes()


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_behind_sparse_rows(compute, each_way, as_floats):
    """The first product is of float32; what it gives is rounded where it is made."""

    def trained():
        model = network("f32", sparse=True)
        model.compute = compute
        sources = data(37, "f32")
        sources["X"] = csr_array(np.where(sources["X"] > 0.5, sources["X"], 0))
        case = Case(model, sources)
        case.compiled = engine.compile(case.program.text, device=CUDA)
        text = case.compiled.dump("grad", 16)
        return case.train(2), f"{SHORT[compute]}[B,24]" in text

    losses, kept = trained()
    as_floats()
    others, still = trained()
    assert kept and not still
    np.testing.assert_allclose(losses, others, 1e-6)


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_a_fit_is_near_the_processor_s(compute, each_way):
    X, y = load_digits(return_X_y=True)
    here = DNNClassifier(
        (20, 12), precision=compute, batch_size=64, max_iter=2, random_state=0
    )
    there = clone(here).set_params(device=CUDA).fit(X[:150] / 16, y[:150])
    here.fit(X[:150] / 16, y[:150])
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, 2e-3)
    raw = [fitted.predict_proba(X[150:200] / 16) for fitted in (there, here)]
    np.testing.assert_allclose(*raw, 0, 5e-3)
    if each_way != "library":
        np.testing.assert_array_equal(there.predict_proba(X[150:157] / 16), raw[0][:7])


# -- a library that has no product of 16 bits ------------------------------------------


@pytest.fixture(scope="module")
def float32_alone():
    name = "emulated, float32 alone"
    native.register_emulated_device(name, sixteen_bits=False)
    return name


@pytest.mark.skipif(CUDA == "cuda", reason="NVIDIA's has all of them")
@pytest.mark.parametrize("rows", [1, 3, 8])
@pytest.mark.parametrize("compute", COMPUTE_TYPES)
def test_what_the_library_refuses_is_widened(compute, rows, float32_alone, monkeypatch):
    """To float32, and multiplied in TF32; weights' gradients without other rows."""
    monkeypatch.setenv("SLIM_CUDA_LIBRARY", "1")
    engine.clear_cache()
    model, arrays = slopes("matmul", compute)
    program = Program(model=model)
    program.weights["w"][...] = arrays.pop("w")
    arrays = {key: array[:1].repeat(rows, 0) for key, array in arrays.items()}
    found = {}
    for device in (CUDA, float32_alone):
        compiled = engine.compile(program.text, device=device)
        found[device] = compiled.run("f", arrays, program)
    for got, want in zip(found[float32_alone], found[CUDA], strict=True):
        np.testing.assert_array_equal(got, want)
    launches = [
        engine.compile(program.text, device=d).info("f", 8)["launches"] for d in found
    ]
    assert launches[1] - launches[0] == 6  # two operands of three products
    engine.clear_cache()
