"""Convolutions by cuDNN, or by a library that stands in for it on the host."""

import shutil

import numpy as np
import pytest
from support import cudnn
from support.op_cases import CASES

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.op import emit
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

CONVOLUTIONS = ("convolution", "convolution_input_grad", "convolution_filter_grad")
# Of each channel alone: by kernels of ours.
ELSEWHERE = ("depthwise", "multiplied", "channels", "pixel", "skipped")

pytestmark = pytest.mark.skipif(
    not (cudnn.GPU or shutil.which("c++")), reason="needs a C++ compiler"
)


@pytest.fixture(autouse=True)
def _by_the_library(monkeypatch):
    """Convolutions of any size are the library's."""
    monkeypatch.setenv("SLIM_CUDA_DNN", "1")
    engine.clear_cache()
    yield
    engine.clear_cache()


def run(model, sources, device=None, **options):
    text = print_program(model)
    compiled = engine.compile(text, device=device or cudnn.device())
    return compiled.run("f", sources, Program(text, model=model), **options)


def ops_of(model, device=None, rows=8):
    compiled = engine.compile(print_program(model), device=device or cudnn.device())
    return [op for _, op, _ in compiled.info("f", rows)["steps"]]


@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_every_window(op):
    """All windows of the registry as one program, for fewer rows than its capacity."""
    cases = {case.label: case for case in CASES[op] if case.label != "two"}
    model = Model("f32")
    sources, want = {}, {}
    with model.function("f") as graph:
        results = []
        for label, case in cases.items():
            own = case.sources("f32", 5)
            inputs = {
                name: ops.input_(f"{name}_{label}", source.shape, "f32")
                for name, source in case.inputs.items()
            }
            results += case.outputs("f32", inputs)
            sources |= {f"{name}_{label}": array for name, array in own.items()}
            alone = case.model("f32")
            [want[label]] = reference.run(alone, "f", own, {}).returns
        graph.return_(*results)
    before = cudnn.runs() if not cudnn.GPU else 0
    got = run(model, sources)
    for label, values in zip(cases, got, strict=True):
        np.testing.assert_allclose(values, want[label], 4e-6, 4e-6, err_msg=label)
    if not cudnn.GPU:
        others = sum(label.startswith(ELSEWHERE) for label in cases)
        assert cudnn.runs() - before == len(cases) - others


def windows(x=(B, 6, 5, 4), f=(3, 3, 4, 6), **how):
    """The attributes of a convolution and the shape of what it gives."""
    model = Model("f32")
    with model.function("f") as graph:
        y = ops.convolution(ops.input_("x", x, "f32"), ops.input_("f", f, "f32"), **how)
    return graph.nodes[-1].attributes, y.shape


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
def test_rows_beyond_the_batch_do_not_add(rows):
    """What lies behind them is of other values, or NaN where nothing was yet."""
    attributes, y = windows()
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 6, 5, 4), "f32")
        d = ops.input_("d", y, "f32")
        filters = [("f32", (3, 3, 4, 6))]
        operands = (ops.exp(x), ops.exp(d))
        graph.return_(emit("convolution_filter_grad", operands, attributes, filters))
    rng = np.random.default_rng(rows)
    sources = {
        "x": rng.standard_normal((rows, 6, 5, 4)).astype("f4"),
        "d": rng.standard_normal((rows, *y[1:])).astype("f4"),
    }
    [want] = reference.run(model, "f", sources, {}).returns
    [got] = run(model, sources)
    np.testing.assert_allclose(got, want, 1e-5)


def chain(compute=""):
    """Bias, relu, a sum with what was before: behind one convolution and another."""
    attributes, y = windows(f=(3, 3, 4, 4))
    model = Model("f32", compute)
    with model.function("f") as graph:
        x = ops.input_("x", (B, 6, 5, 4), "f32")
        f = ops.input_("f", (3, 3, 4, 4), "f32")
        b = ops.input_("b", (4,), "f32")
        y = ops.relu(emit("convolution", (x, f), attributes) + b) + x
        back = emit("convolution_input_grad", (y, f), attributes, [("f32", x.shape)])
        graph.return_(y, ops.where(x > 0, back, back * 0.1))
    return model


def arrays(rows=5):
    rng = np.random.default_rng(rows)
    shapes = {"x": (rows, 6, 5, 4), "f": (3, 3, 4, 4), "b": (4,)}
    return {k: rng.standard_normal(s).astype("f4") for k, s in shapes.items()}


def test_they_end_in_what_follows():
    want = reference.run(chain(), "f", arrays(), {}).returns
    for got, values in zip(run(chain(), arrays()), want, strict=True):
        np.testing.assert_allclose(got, values, 2e-5, 2e-5)
    # Filters turned, the library's, what follows.
    for op in CONVOLUTIONS[:2]:
        assert ops_of(chain()).count(op) == 3
