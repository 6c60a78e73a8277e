"""What follows a convolution, by cuDNN in the same kernel."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from support import cudnn

from slimlearn import ConvNetClassifier, layers
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

pytestmark = pytest.mark.usefixtures("by_cudnn")
# Which engines a GPU's library names is its own.
host = pytest.mark.skipif(cudnn.GPU, reason="of the library that runs on the host")
PIXELS, CHANNELS, OUTPUTS = (7, 5), 3, 6


def norm(y, a, b, c):
    return (y - a) * b + c


TAKEN = {
    "bias": lambda y, a, b, c: y + a,
    "relu": lambda y, a, b, c: ops.relu(y),
    "bias, relu": lambda y, a, b, c: ops.relu(a + y),
    "norm": norm,
    "norm, relu": lambda *rows: ops.relu(norm(*rows)),
    "relu, scaled": lambda y, a, b, c: b * ops.relu(y),
    "one row twice": lambda y, a, b, c: ops.relu(y * a + a),
}
LEFT = {
    "another map": lambda y, a, b, c: ops.relu(y + y),
    "tanh": lambda y, a, b, c: ops.tanh(y + a),
    "a constant": lambda y, a, b, c: ops.relu(y + a) * 0.5,
    "turned around": lambda y, a, b, c: a - y,
    "two ways": lambda y, a, b, c: ops.relu(y) + ops.exp(y),
}


def model_of(follows, compute="", again=False):
    """A convolution with steps, what follows it, and another one that reads that."""
    model = Model("f32", compute)
    with model.function("f") as graph:
        x = ops.input_("x", (B, *PIXELS, CHANNELS), "f32")
        f = ops.input_("f", (3, 2, CHANNELS, OUTPUTS), "f32")
        a, b, c = (ops.input_(name, (OUTPUTS,), "f32") for name in "abc")
        y = follows(ops.convolution(x, f, strides=2), a, b, c)
        if again:
            g = ops.input_("g", (2, 2, OUTPUTS, 4), "f32")
            graph.return_(y, ops.convolution(y, g))
        else:
            graph.return_(y)
    return model


def arrays(rows=5, again=False):
    rng = np.random.default_rng(rows)
    shapes = {
        "x": (rows, *PIXELS, CHANNELS),
        "f": (3, 2, CHANNELS, OUTPUTS),
        **dict.fromkeys("abc", (OUTPUTS,)),
        **({"g": (2, 2, OUTPUTS, 4)} if again else {}),
    }
    return {name: rng.standard_normal(shape, "f4") for name, shape in shapes.items()}


def run(model, sources, device=None, **options):
    text = print_program(model)
    compiled = engine.compile(text, device=device or cudnn.device())
    return compiled.run("f", sources, Program(text, model=model), **options)


def launches(model, device=None):
    compiled = engine.compile(print_program(model), device=device or cudnn.device())
    return [op for _, op, _ in compiled.info("f", 5)["steps"]].count("convolution")


@pytest.mark.parametrize("rows", [1, 5, 8])
@pytest.mark.parametrize("compute", ["", "bfloat16", "float16"])
@pytest.mark.parametrize("chain", TAKEN)
def test_it_is_what_a_kernel_of_ours_gives(chain, compute, rows, monkeypatch):
    model, sources = model_of(TAKEN[chain], compute), arrays(rows)
    [want] = reference.run(model, "f", sources, {}).returns
    [got] = run(model, sources, batch=8)
    np.testing.assert_allclose(got, want, 1e-5, 1e-5)
    if not cudnn.GPU:  # filters turned, the library's
        assert launches(model) == 2
    monkeypatch.setenv("SLIM_CUDA_DNN_BEHIND", "0")
    engine.clear_cache()
    [apart] = run(model, sources, batch=8)
    np.testing.assert_allclose(got, apart, 1e-6, 1e-6)
    if not cudnn.GPU:  # and what follows
        assert launches(model) == 3


@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
@pytest.mark.parametrize("chain", TAKEN)
def test_a_result_and_what_it_is_rounded_to(chain, compute):
    """One of float32 for others, one of 16 bits for the convolution that follows."""
    model, sources = model_of(TAKEN[chain], compute, again=True), arrays(again=True)
    want = reference.run(model, "f", sources, {}).returns
    got = run(model, sources)
    np.testing.assert_allclose(got[0], want[0], 1e-5, 1e-5)
    # What is rounded differs where sums do in their last bit.
    np.testing.assert_allclose(got[1], want[1], 2e-2, 5e-2)
    if not cudnn.GPU:
        assert launches(model) == 4


def test_what_it_reads_may_be_a_part_of_something():
    """And then lies at a multiple of a number's bytes alone."""
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, *PIXELS, CHANNELS), "f32")
        f = ops.input_("f", (3, 2, CHANNELS, OUTPUTS), "f32")
        all_ = ops.exp(ops.input_("all", (20,), "f32"))
        y = ops.convolution(x, f) + ops.slice_(all_, 0, 3, 3 + OUTPUTS)
        graph.return_(ops.relu(y), ops.exp(all_))
    sources = {**arrays(), "all": np.linspace(-1, 1, 20, dtype="f4")}
    want = reference.run(model, "f", sources, {}).returns
    for got, values in zip(run(model, sources), want, strict=True):
        np.testing.assert_allclose(got, values, 1e-5, 1e-5)
    if not cudnn.GPU:
        assert launches(model) == 2


@pytest.mark.parametrize("chain", LEFT)
def test_all_else_is_a_kernel_of_ours(chain):
    model, sources = model_of(LEFT[chain]), arrays()
    [want] = reference.run(model, "f", sources, {}).returns
    np.testing.assert_allclose(run(model, sources)[0], want, 1e-5, 1e-5)
    if not cudnn.GPU:
        assert launches(model) == 3


@pytest.mark.parametrize("chain", ["relu", "bias, relu", "norm, relu"])
@pytest.mark.parametrize("tf32", ["0", "1"])
@pytest.mark.parametrize("compute", ["", "bfloat16", "float16"])
def test_what_is_not_finite_goes_on(chain, compute, tf32, monkeypatch):
    """Relu leaves NaN what it is: training tells by it that something went wrong."""
    monkeypatch.setenv("SLIM_CUDA_TF32", tf32)
    model, sources = model_of(TAKEN[chain], compute), arrays()
    sources["x"][1, 2, 2] = np.nan
    sources["x"][3, 4, 4, 1] = np.inf
    with np.errstate(invalid="ignore"):
        [want] = reference.run(model, "f", sources, {}).returns
    [got] = run(model, sources)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


@host
@pytest.mark.parametrize("what", ["steps", "engines"])
def test_without_an_engine_a_kernel_of_ours_follows(what, monkeypatch):
    """None takes the graph, or only one of the last resort."""
    monkeypatch.setenv("SLIM_FAKE_CUDNN", what)
    device = cudnn.device(f"emulated, no {what} behind")
    model, sources = model_of(TAKEN["bias, relu"]), arrays()
    [want] = reference.run(model, "f", sources, {}).returns
    before = cudnn.runs()
    np.testing.assert_allclose(run(model, sources, device)[0], want, 1e-5, 1e-5)
    assert cudnn.runs() == before + 1
    assert launches(model, device) == 3
    assert native.describe_device(device).endswith("cuDNN 9.1.2")


def network(x, num_classes):
    x = layers.conv2d(x, 8, 3, stride=2, scope="first")
    x = layers.conv2d(x, 6, 2, normalizer_fn=layers.batch_norm, scope="normed")
    return layers.linear(layers.flatten(x), num_classes)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_a_network_learns_as_before(precision, monkeypatch):
    """Steps are recorded; predictions take norms, too."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:55].reshape(-1, 8, 8, 1) / 16, y[:55]
    options = {"batch_size": 24, "max_iter": 2, "random_state": 0}
    there = ConvNetClassifier(
        network, **options, precision=precision, device=cudnn.device()
    ).fit(X, y)
    raw = there.predict_proba(X[:30])
    monkeypatch.setenv("SLIM_CUDA_DNN_BEHIND", "0")
    engine.clear_cache()
    apart = clone(there).fit(X, y)
    near = (1e-5, 1e-5) if precision == "float32" else (2e-2, 2e-2)
    np.testing.assert_allclose(there.loss_curve_, apart.loss_curve_, near[0])
    np.testing.assert_allclose(raw, apart.predict_proba(X[:30]), *near)
