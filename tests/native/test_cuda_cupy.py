"""CuPy on a GPU, or a fake of it on the host: kernels of users, memory of its pool."""

import faulthandler
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from support.cuda import CUDA
from support.either_cupy import cupy

import slimlearn
from slimlearn import NetworkClassifier, TabularClassifier, layers, ops
from slimlearn.backend import engine
from slimlearn.backend.engine import on_gpu
from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*without converging"),
    pytest.mark.usefixtures("with_cupy"),
]
NEAR = {"rtol": 2e-3, "atol": 2e-3}
X, Y = load_digits(return_X_y=True)
X, Y = (X[:210] / 16).astype(np.float32), Y[:210]


CODE = """
#define EACH(i, n) \\
  long long i = blockIdx.x * blockDim.x + threadIdx.x; i < n; \\
  i += gridDim.x * blockDim.x
extern "C" __global__ void forward(const float* x, float* y, long long n) {
  for (EACH(i, n)) y[i] = x[i] / (1.0f + (x[i] < 0 ? -x[i] : x[i]));
}
extern "C" __global__ void backward(const float* dy, const float* x, float* dx,
                                    long long n) {
  for (EACH(i, n)) {
    const float a = 1.0f + (x[i] < 0 ? -x[i] : x[i]);
    dx[i] = dy[i] / (a * a);
  }
}
"""
FORWARD, BACKWARD = (cupy.RawKernel(CODE, name) for name in ("forward", "backward"))
SEEN = []


def softsign_of(x):
    return x / (1 + np.abs(x))


def softsign_slope(dy, y, x):
    return dy / np.square(1 + np.abs(x))


def gpu_forward(x):
    SEEN.append(x.shape)
    y = cupy.empty_like(x)
    FORWARD((3,), (32,), (x, y, np.int64(x.size)))
    return y


def gpu_slope(dy, y, x):
    dx = cupy.empty_like(x)
    BACKWARD((3,), (32,), (dy, x, dx, np.int64(x.size)))
    return dx


softsign = ops.custom(
    softsign_of, softsign_slope, by_row=True, gpu=(gpu_forward, gpu_slope)
)


def on_host(*arrays):
    raise AssertionError("the host was called")


def plain(x):
    for _ in range(2):
        x = softsign(layers.fully_connected(x, 8, activation_fn=None))
    return x


def plain_of(node):
    return lambda x: node(layers.fully_connected(x, 8, activation_fn=None))


def looped(x):
    x = layers.fully_connected(x, 8, activation_fn=None)
    return ops.scan(lambda h, _: (softsign(h * 2), None), x, length=3)[0]


def fitted(net, device, **options):
    options = {"max_iter": 2, "random_state": 0, "batch_size": 64, **options}
    return NetworkClassifier(net, device=device, **options).fit(X, Y)


@pytest.mark.parametrize("net", [plain, looped])
@pytest.mark.parametrize("options", [{}, {"accumulate": 3}], ids=["whole", "parts"])
def test_a_kernel_of_the_users_trains_as_its_reference(net, options, monkeypatch):
    here = fitted(net, "cpu", **options)
    want = here.predict_proba(X)
    for name in ("forward", "gradient"):
        monkeypatch.setattr(softsign, name, on_host)
    SEEN.clear()
    there = fitted(net, CUDA, **options)
    assert (
        there.program_.text == here.program_.text and "gpu=true" in here.program_.text
    )
    assert {shape[0] for shape in SEEN} >= {64, 18}  # the last batch has fewer
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, **NEAR)
    np.testing.assert_allclose(there.predict_proba(X), want, **NEAR)
    again = pickle.loads(pickle.dumps(there))
    np.testing.assert_array_equal(
        again.predict_proba(X[:5]), there.predict_proba(X[:5])
    )


@pytest.mark.skipif(CUDA == "cuda", reason="a GPU refuses when it likes")
@pytest.mark.parametrize("call", ["cuStreamEndCapture", "cuStreamBeginCapture_v2"])
@pytest.mark.parametrize("after", range(6))
def test_a_piece_between_the_host_s_that_cannot_be_recorded(call, after):
    """What would follow it in the recording does not run; it is recorded again."""
    want = fitted(plain, CUDA, max_iter=1)
    native.refuse_emulated_call(call, after, 901)
    found = fitted(plain, CUDA, max_iter=1)
    native.refuse_emulated_call(call, 0, 0, times=0)
    assert found.program_.params.tobytes() == want.program_.params.tobytes()


def test_a_node_without_a_kernel_goes_through_the_host(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    node = ops.custom(softsign_of, softsign_slope, by_row=True, name="test:of the host")
    net = plain_of(node)
    there, here = (fitted(net, device) for device in (CUDA, "cpu"))
    assert "gpu" not in here.program_.text
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, **NEAR)
    with pytest.raises(
        ImportError, match=r"on a GPU needs CuPy: pip install 'slimlearn"
    ):
        fitted(plain, CUDA)


@pytest.mark.parametrize("rest", ["cpu", CUDA])
def test_a_node_lies_where_it_is_placed(rest):
    kept = len(SEEN)

    def net(node, device):
        def made(x):
            x = layers.fully_connected(x, 8, activation_fn=None)
            with layers.device(device):
                return node(x)

        return made

    here = fitted(plain_of(softsign), "cpu").loss_curve_
    there = fitted(net(softsign, CUDA), rest).loss_curve_
    np.testing.assert_allclose(there, here, **NEAR)
    assert len(SEEN) > kept
    kept = len(SEEN)
    away = fitted(net(softsign, "cpu"), rest).loss_curve_
    np.testing.assert_allclose(away, here, **NEAR)
    assert len(SEEN) == kept
    node = ops.custom(softsign_of, softsign_slope, name="test:placed")
    with pytest.raises(
        ValueError, match=r"has no function for a GPU, and is placed on"
    ):
        fitted(net(node, CUDA), "cpu")


FAULTS = {
    "own": (lambda x: 1 / 0, ZeroDivisionError, "division by zero"),
    "shape": (
        lambda x: cupy.empty((x.shape[0], 3), np.float32),
        ValueError,
        r"forward returned shape \(64, 3\), needed is \(64, 8\)",
    ),
    "dtype": (
        lambda x: cupy.empty(x.shape, np.float64),
        TypeError,
        "forward returned float64, needed is float32",
    ),
    "numpy": (
        lambda x: np.zeros(x.shape, np.float32),
        TypeError,
        "forward returned numpy.ndarray, needed is an array of",
    ),
    "nothing": (
        lambda x: None,
        TypeError,
        "forward returned builtins.NoneType, needed",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_come_out_and_the_device_goes_on(fault):
    wrong, kind, text = FAULTS[fault]
    calls = []

    def forward(x):
        calls.append(x.shape)
        return wrong(x) if 6 <= len(calls) < 12 else gpu_forward(x)

    node = ops.custom(
        softsign_of, softsign_slope, gpu=(forward, gpu_slope), by_row=True,
        name=f"test:{fault}",
    )  # fmt: skip
    net = plain_of(node)
    clf = NetworkClassifier(net, device=CUDA, max_iter=5, batch_size=64, random_state=0)
    with pytest.raises(kind, match=text):
        clf.fit(X, Y)
    assert len(calls) == 6  # no step that cannot count is put there
    calls[:] = [()] * 12
    kept = clf.fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(
        kept, clone_on_host(clf).fit(X, Y).predict_proba(X), **NEAR
    )
    calls[:] = [()] * 5
    with pytest.raises(kind, match=text.replace("(64,", "(210,")):
        clf.predict_proba(X)
    calls[:] = [()] * 12
    np.testing.assert_array_equal(clf.predict_proba(X), kept)


def clone_on_host(clf):
    return NetworkClassifier(**{**clf.get_params(deep=False), "device": "cpu"})


def test_several_operands_types_and_no_gradient():
    """A result that is no float, and an operand whose gradient is zero."""

    def places(x, i):
        return np.where(x > 0, i, -i)

    def there(x, i):
        return cupy.asarray(places(x.get(), i.get()))

    def mixed(x, i):
        return x * 2 + i

    def mixed_slope(dy, y, x, i):
        return dy * 2

    node = ops.custom(places, dtype=np.int64, name="test:places", gpu=there)
    sums = ops.custom(
        mixed, mixed_slope, name="test:mixed",
        gpu=(lambda x, i: cupy.asarray(mixed(x.get(), i.get()).astype(np.float32)),
             lambda dy, y, x, i: None),
    )  # fmt: skip
    model = Model("f32")
    with model.function("f") as graph:
        x, i = ops.input_("X", (B, 3)), ops.input_("I", (B, 3), "i64")
        graph.return_(node(x, i), sums(x, i))
    given = {
        "X": np.array([[1, -1, 2]] * 4, np.float32),
        "I": np.arange(12).reshape(4, 3),
    }
    got = engine.compile(str(model), device=CUDA).run("f", given, Program(model=model))
    np.testing.assert_array_equal(got[0], places(given["X"], given["I"]))
    np.testing.assert_array_equal(got[1], mixed(given["X"], given["I"]))


def test_a_kernel_is_compared_with_its_reference():
    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    softsign.check_gpu(x)
    wrong = ops.custom(
        softsign_of, softsign_slope, gpu=(gpu_forward, lambda dy, y, x: y),
        name="test:wrong on a GPU",
    )  # fmt: skip
    with pytest.raises(AssertionError, match="the GPU's gradient of operand 0 at"):
        wrong.check_gpu(x)
    with pytest.raises(ValueError, match=r"has nothing for GPUs: give ops\.custom"):
        ops.custom(softsign_of, name="test:no").check_gpu(x)
    for bad in (3, (gpu_forward,), (gpu_forward, None), (gpu_forward, gpu_slope, None)):
        with pytest.raises(TypeError, match="gpu is True or two functions of CuPy's"):
            ops.custom(softsign_of, softsign_slope, gpu=bad)
    with pytest.raises(TypeError, match="gpu is True or a function of CuPy's arrays"):
        ops.custom(softsign_of, gpu=(gpu_forward, gpu_slope))
    assert pickle.loads(pickle.dumps(wrong.gpu[0])) is gpu_forward
    both = ops.custom(softsign_of, softsign_slope, gpu=True, name="test:both")
    assert both.gpu == (softsign_of, softsign_slope)


# -- memory ----------------------------------------------------------------------------


def test_memory_is_the_pool_s():
    """And comes back to it, so that CuPy can use it next."""
    before = len(on_gpu._lent)
    want = fitted(plain, "cpu").predict_proba(X)
    clf = fitted(plain, CUDA)
    assert len(on_gpu._lent) > before  # what is idle is kept for the next call
    np.testing.assert_allclose(clf.predict_proba(X), want, **NEAR)
    del clf
    slimlearn.clear_cache()
    assert len(on_gpu._lent) == before


def test_what_waits_on_cupy_s_stream_is_waited_for():
    """The pool gives memory in the order of its stream; programs have their own."""

    def forward(x):
        cupy.cuda.Stream.null.synchronize()  # now at the latest it runs
        return gpu_forward(x)

    node = ops.custom(
        softsign_of, softsign_slope, gpu=(forward, gpu_slope), by_row=True,
        name="test:waits",
    )  # fmt: skip
    net = plain_of(node)
    want = fitted(net, "cpu").predict_proba(X)
    source, under_way = cupy.asarray(np.ones(1 << 12, np.float32)), []
    for n in [*range(128, 1 << 12, 128)] * 4:
        target = cupy.empty((n,), np.float32)
        FORWARD((1,), (32,), (source, target, np.int64(n)))
        under_way.append(target)
    under_way.clear()  # their memory is free before it is written
    del target
    clf = fitted(net, CUDA)
    np.testing.assert_allclose(clf.predict_proba(X), want, **NEAR)


@pytest.mark.parametrize("said", ["0", "1", None])
def test_the_environment_keeps_the_two_apart(said, monkeypatch):
    lenders = []
    native = SimpleNamespace(set_lender=lambda *given: lenders.append(given))
    monkeypatch.setattr(on_gpu, "native", native)
    monkeypatch.setattr(on_gpu, "_asked", False)
    if said is not None:
        monkeypatch.setenv("SLIM_CUDA_CUPY", said)
    for _ in range(2):
        on_gpu.borrow_memory()
    assert len(lenders) == (said != "0")


def test_fits_in_threads_share_the_pool():
    """Who asks for memory takes Python's lock, which others have meanwhile."""
    want = fitted(plain, CUDA).predict_proba(X)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fitted(plain, CUDA).predict_proba(X), range(8)))
    for got in found:
        np.testing.assert_array_equal(got, want)


@pytest.mark.skipif(CUDA == "cuda", reason="CuPy's pool has memory")
def test_any_lane_may_ask_while_python_waits():
    """Members predict a row on lanes of their own, whose memory CuPy lends."""
    few, options = X[:, 10:14], {"members": 4, "hidden_units": (8,), "max_iter": 1}
    clf = TabularClassifier(**options, random_state=0, device=CUDA, n_threads=2)
    want = clf.fit(few, Y).predict_proba(few[:9])
    # A deadlock keeps Python's lock.
    faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)
    for row in range(9):
        slimlearn.clear_cache()
        got = clf.predict_proba(few[row : row + 1])
        np.testing.assert_allclose(got, want[row : row + 1], **NEAR)
    faulthandler.cancel_dump_traceback_later()


def test_a_pool_without_memory_is_done_without(monkeypatch):
    with_pool = fitted(looped, CUDA).predict_proba(X)
    slimlearn.clear_cache()
    lent, asked = len(on_gpu._lent), cupy.calls.allocate
    net = lambda x: layers.fully_connected(x, 8)  # noqa: E731
    monkeypatch.setattr(cupy.calls, "refuse", True)
    want = fitted(net, "cpu").predict_proba(X)
    np.testing.assert_allclose(fitted(net, CUDA).predict_proba(X), want, **NEAR)
    assert (len(on_gpu._lent), cupy.calls.allocate) == (lent, asked)
    monkeypatch.setattr(cupy.calls, "refuse", False)
    np.testing.assert_array_equal(fitted(looped, CUDA).predict_proba(X), with_pool)
