"""Convolutions by cuDNN, or by a library that stands in for it on the host."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from support import cudnn
from support.op_cases import CASES

from slimlearn import ConvNetClassifier, layers
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import Model
from slimlearn.backend.op import emit
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

CONVOLUTIONS = ("convolution", "convolution_input_grad", "convolution_filter_grad")
# Of each channel alone: by kernels of ours.
ELSEWHERE = ("depthwise", "multiplied", "channels", "pixel", "skipped")

pytestmark = pytest.mark.usefixtures("by_cudnn")


def run(model, sources, device=None, **options):
    text = print_program(model)
    compiled = engine.compile(text, device=device or cudnn.device())
    return compiled.run("f", sources, Program(text, model=model), **options)


def ops_of(model, device=None, rows=8):
    compiled = engine.compile(print_program(model), device=device or cudnn.device())
    return [op for _, op, _ in compiled.info("f", rows)["steps"]]


@pytest.mark.parametrize("compute", ["", "bfloat16", "float16"])
@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_every_window(op, compute):
    """All windows of the registry as one program, for fewer rows than its capacity."""
    cases = {case.label: case for case in CASES[op] if case.label != "two"}
    model = Model("f32", compute)
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
            alone.compute = compute
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


@pytest.mark.parametrize("way", ["kept", "floats", "refused"])
@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
def test_operands_of_16_bits(compute, way, monkeypatch):
    """As they are; where they lie as float32, or the library has no engine for them, in
    TF32, which rounds nothing any more."""
    if cudnn.GPU and way == "refused":
        pytest.skip("it refuses what it is told to, on the host")
    if way == "floats":
        monkeypatch.setenv("SLIM_CUDA_SIXTEEN_BITS", "0")
    if way == "refused":
        monkeypatch.setenv("SLIM_FAKE_CUDNN", "sixteen bits")
    model, device = chain(compute), cudnn.device(f"emulated, {way} in {compute}")
    want = reference.run(model, "f", arrays(), {}).returns
    before = (0, 0) if cudnn.GPU else (cudnn.runs(), cudnn.sixteen_bit_runs())
    got = run(model, arrays(), device)
    np.testing.assert_allclose(got[0], want[0], 4e-6, 4e-6)
    # What the second rounds differs where the first one's sums do in their last bit.
    np.testing.assert_allclose(got[1], want[1], 2e-2, 5e-2)
    if cudnn.GPU:
        return
    assert cudnn.runs() - before[0] == 2
    assert cudnn.sixteen_bit_runs() - before[1] == (2 if way == "kept" else 0)
    # Two operands widened, filters turned, the library's, what follows.
    counts = [ops_of(model, device).count(op) for op in CONVOLUTIONS[:2]]
    assert counts == [5 if way == "refused" else 3] * 2


@pytest.mark.parametrize("dtype", ["u1", "f4"])
@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_a_network_of_16_bits_learns_as_on_the_processor(compute, dtype):
    """Bytes are rounded for the first convolution as other numbers are."""
    X, y = load_digits(return_X_y=True)
    X, y = (X[:55].reshape(-1, 8, 8, 1) * 15).astype(dtype), y[:55]
    here = ConvNetClassifier(
        network, batch_size=24, max_iter=2, random_state=0, precision=compute
    )
    there = clone(here).set_params(device=cudnn.device())
    before = 0 if cudnn.GPU else cudnn.sixteen_bit_runs()
    there.fit(X, y)
    here.fit(X, y)
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, 5e-3)
    raw = [e.predict_proba(X[:30]) for e in (there, here)]
    np.testing.assert_allclose(*raw, 0, 2e-2)
    # In six steps two that are no products, with their gradients but that of X.
    assert cudnn.GPU or cudnn.sixteen_bit_runs() - before >= 6 * 5


def test_tf32_only_where_it_is_asked_for(monkeypatch):
    """Engines that round operands are not for float32."""
    want = reference.run(chain(), "f", arrays(), {}).returns[0]
    full = run(chain(), arrays())[0]
    np.testing.assert_allclose(full, want, 4e-6, 4e-6)
    monkeypatch.setenv("SLIM_CUDA_TF32", "1")
    engine.clear_cache()
    rounded = run(chain(), arrays())[0]
    np.testing.assert_allclose(rounded, want, 1e-2, 1e-2)
    assert np.abs(rounded - want).max() > 1e-4


def test_large_ones_of_large_steps(monkeypatch):
    """From 200 MFLOP on, where all of the graph's are more than 1 GFLOP."""
    monkeypatch.delenv("SLIM_CUDA_DNN")
    monkeypatch.setenv("SLIM_CUDA_DNN_BEHIND", "0")

    def launches(count, rows, size=3):
        model = Model("f32")
        with model.function("f") as graph:
            x = ops.input_("x", (B, 14, 14, 64), "f32")
            f = ops.input_("f", (size, size, 64, 64), "f32")
            for _ in range(count):
                x = ops.relu(ops.convolution(x, f))
            graph.return_(x)
        return len(ops_of(model, rows=rows))

    # 14.5 MFLOP a row; filters turned, the library's, what follows.
    assert [launches(1, rows) for rows in (1, 13, 64)] == [1, 1, 1]
    assert launches(1, 80) == 3
    assert launches(4, 16) == 4 and launches(5, 16) == 15
    # Of one pixel: 1.6 MFLOP a row, by the library for products.
    assert launches(1, 600, 1) == 1 and launches(1, 700, 1) == 2
    monkeypatch.setenv("SLIM_CUDA_DNN", "0")
    engine.clear_cache()
    assert launches(1, 80) == 1
    assert launches(1, 700, 1) == 2
    monkeypatch.setenv("SLIM_CUDA_LIBRARY", "0")
    engine.clear_cache()
    assert launches(1, 700, 1) == 1


def network(x, num_classes):
    """Convolutions with steps, with holes, of one pixel."""
    x = layers.conv2d(x, 8, 3, stride=2, scope="first")
    x = layers.conv2d(x, 8, 1, scope="pixel")
    x = layers.conv2d(x, 6, [3, 2], rate=2, scope="rate")
    return layers.linear(layers.flatten(x), num_classes)


@pytest.mark.filterwarnings("ignore:.*without converging")
def test_a_network_learns_as_on_the_processor():
    """Steps are recorded, the last of an epoch has fewer rows."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:55].reshape(-1, 8, 8, 1) / 16, y[:55]
    here = ConvNetClassifier(network, batch_size=24, max_iter=2, random_state=0)
    there = clone(here).set_params(device=cudnn.device()).fit(X, y)
    here.fit(X, y)
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, 1e-4)
    raw = (e.predict_proba(X[:30]) for e in (there, here))
    np.testing.assert_allclose(*raw, 1e-3, 1e-4)
    again = clone(there).fit(X, y)
    assert again.program_.params.tobytes() == there.program_.params.tobytes()


def test_a_profile_has_their_launches():
    text = print_program(chain())
    compiled = engine.compile(text, device=cudnn.device())
    program = Program(text, model=chain())
    lines = compiled.profile("f", arrays(), program, rounds=1)
    assert [line["op"] for line in lines].count("convolution") == 3
    assert all(line["least"] > 0 and line["roofline"] >= 0 for line in lines)


# -- what does not work is told, and kernels of ours go on -----------------------------

host = pytest.mark.skipif(cudnn.GPU, reason="it fails where it is told to, on the host")


@host
@pytest.mark.parametrize(
    "what, words",
    [
        (
            "cudnnBackendCreateDescriptor",
            "cudnnBackendCreateDescriptor: CUDNN_STATUS_NOT",
        ),
        (
            "cudnnBackendSetAttribute",
            "cudnnBackendSetAttribute: CUDNN_STATUS_BAD_PARAM",
        ),
        ("kind 17", "cudnnBackendFinalize: CUDNN_STATUS_NOT_SUPPORTED"),  # a tensor
        ("kind 15", "cudnnBackendFinalize: CUDNN_STATUS_NOT_SUPPORTED"),  # a graph
        ("kind 4", "cudnnBackendFinalize: CUDNN_STATUS_NOT_SUPPORTED"),  # heuristics
        ("kind 5", "cudnnBackendFinalize: CUDNN_STATUS_NOT_SUPPORTED"),  # a plan
        ("workspace", "it needs 1099511627776 bytes of workspace"),
    ],
)
def test_a_shape_that_is_refused(what, words, monkeypatch):
    monkeypatch.setenv("SLIM_FAKE_CUDNN", what)
    device = cudnn.device(f"emulated, {what} fails")
    before = cudnn.runs()
    want = reference.run(chain(), "f", arrays(), {}).returns
    for got, values in zip(run(chain(), arrays(), device), want, strict=True):
        np.testing.assert_allclose(got, values, 2e-5, 2e-5)
    assert cudnn.runs() == before
    told = native.describe_device(device)
    assert "cuDNN 9.1.2 (of 2 convolutions it refused 2, the last: " in told
    assert words in told


@host
def test_engines_of_the_last_resort(monkeypatch):
    monkeypatch.setenv("SLIM_FAKE_CUDNN", "engines")
    device = cudnn.device("emulated, engines fail")
    before = cudnn.runs()
    run(chain(), arrays(), device)
    assert cudnn.runs() == before + 2
    assert native.describe_device(device).endswith("cuDNN 9.1.2")


@host
def test_a_library_that_does_not_start(monkeypatch):
    monkeypatch.setenv("SLIM_FAKE_CUDNN", "cudnnCreate")
    device = cudnn.device("emulated, cuDNN does not start")
    told = native.describe_device(device)
    assert "no cuDNN (cudnnCreate: CUDNN_STATUS_INTERNAL_ERROR)" in told
    assert ops_of(chain(), device).count("convolution") == 1
    native.register_emulated_device("emulated, no cuDNN", dnn="/nowhere/libcudnn.so.9")
    told = native.describe_device("emulated, no cuDNN")
    assert "no cuDNN (/nowhere/libcudnn.so.9: cannot open" in told


@host
def test_a_run_that_fails(monkeypatch):
    device = cudnn.device("emulated, a run fails")
    run(chain(), arrays(), device)
    monkeypatch.setenv("SLIM_FAKE_CUDNN", "cudnnBackendExecute")
    with pytest.raises(RuntimeError, match=r"cudnnBackendExecute: .*SLIM_CUDA_DNN=0"):
        run(chain(), arrays(), device)


@host
def test_nvrtc_takes_what_stands_around_them():
    name = "emulated with NVRTC and cuDNN"
    try:
        native.register_emulated_device(name, nvrtc=True, dnn=cudnn.library()._name)
    except RuntimeError as error:
        pytest.skip(str(error))
    assert ops_of(chain(), name).count("convolution") == 3
