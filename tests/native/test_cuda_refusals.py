"""What a GPU refuses ends a call, and not the GPU; what ends the GPU says so."""

import threading

import numpy as np
import pytest
from sklearn.datasets import load_digits
from support.cuda import CUDA
from support.training_case import Case, data, network
from test_cuda_training import assert_near, train_alike, twins

from slimlearn import DNNClassifier
from slimlearn.backend import engine
from slimlearn.backend.engine.native import native

pytestmark = pytest.mark.skipif(CUDA == "cuda", reason="a GPU refuses when it likes")

CALLS = (
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuGraphUpload",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cuMemcpyAsync",
    "cuOccupancyMaxActiveBlocksPerMultiprocessor",
    "cuOccupancyMaxActiveClusters",
    "cuStreamEndCapture",
)
MEMORY, RESOURCES, SPOILT, CLUSTER, ILLEGAL = 2, 701, 901, 912, 700


@pytest.fixture(autouse=True)
def _all_that_is_refused_happens():
    yield
    left = {call: native.refuse_emulated_call(call, 0, 0, times=0) for call in CALLS}
    assert not any(left.values()), left


def case(**options):
    made = Case(network("f32"), data(97, "f32"), **options)
    made.compiled = engine.compile(made.program.text, device=CUDA)
    return made


@pytest.mark.parametrize("result", [MEMORY, RESOURCES])
@pytest.mark.parametrize(
    "way, call, after",
    [
        ("whole", "cuLaunchKernelEx", 1),
        ("whole", "cuMemcpyAsync", 3),
        ("launches", "cuGraphLaunch", 5),
        ("predict", "cuLaunchKernel", 0),
    ],
)
def test_a_call_that_is_refused_ends_the_fit(way, call, after, result, monkeypatch):
    monkeypatch.setenv("SLIM_CUDA_WHOLE", "3" if way == "whole" else "0")
    engine.clear_cache()
    want = case()
    losses = want.train(3)
    refused = case()
    trainer = refused.trainer()
    assert trainer.info()
    native.refuse_emulated_call(call, after, result)
    kind = MemoryError if result == MEMORY else RuntimeError
    with pytest.raises(kind, match=call):
        if way == "predict":
            sources = {"X": refused.sources["X"]}
            refused.compiled.run("predict", sources, refused.program)
        else:
            refused.train(3, trainer=trainer)
    again = case()
    assert again.train(3) == losses
    assert again.program.params.tobytes() == want.program.params.tobytes()


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("call", ["cuStreamEndCapture", "cuLaunchKernel"])
def test_a_step_that_cannot_be_recorded(call, accumulate, times, monkeypatch):
    """It is tried again, then done without."""
    monkeypatch.setenv("SLIM_CUDA_WHOLE", "0")
    engine.clear_cache()
    there, here = twins(
        network("f64", split=True), data(97, "f64"), accumulate=accumulate
    )
    after = 2 if call == "cuLaunchKernel" else 0
    native.refuse_emulated_call(call, after, SPOILT, times)
    np.testing.assert_allclose(there.train(3), here.train(3), 1e-10)
    assert_near(there, here, "f64")


@pytest.mark.parametrize("call", ["cuGraphInstantiateWithFlags", "cuGraphUpload"])
def test_a_recording_for_which_there_is_no_memory(call, monkeypatch):
    monkeypatch.setenv("SLIM_CUDA_WHOLE", "0")
    engine.clear_cache()
    native.refuse_emulated_call(call, 0, MEMORY)
    with pytest.raises(MemoryError, match=r"batch_size=\d+ fits"):
        case().train(1)
    assert np.isfinite(case().train(1)).all()


@pytest.mark.parametrize(
    "calls",
    [
        ["cuOccupancyMaxActiveClusters"],
        ["cuOccupancyMaxActiveClusters", "cuOccupancyMaxActiveBlocksPerMultiprocessor"],
    ],
    ids=["cluster", "both"],
)
def test_blocks_that_the_gpu_cannot_run_together(calls, monkeypatch):
    monkeypatch.setenv("SLIM_CUDA_WHOLE", "3")
    engine.clear_cache()
    for call in calls:
        native.refuse_emulated_call(call, 0, CLUSTER)
    train_alike(network("f64"), data(97, "f64"), "f64")


def test_an_estimator_goes_on_after_a_refusal():
    X, y = load_digits(return_X_y=True)
    clf = DNNClassifier((16,), max_iter=3, tol=0, device=CUDA, random_state=0)
    want = clf.fit(X, y).predict_proba(X)
    native.refuse_emulated_call("cuLaunchKernel", 0, RESOURCES)
    with pytest.raises(RuntimeError, match=r"refused: cuLaunch.* other work goes"):
        clf.predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(X), want)


def test_other_threads_do_not_hear_of_it():
    X, y = load_digits(return_X_y=True)
    clf = DNNClassifier((16,), max_iter=2, tol=0, device=CUDA, random_state=0)
    want = clf.fit(X, y).predict_proba(X)
    found = []

    def predict():
        found.append(clf.predict_proba(X))

    native.refuse_emulated_call("cuLaunchKernel", 0, RESOURCES)
    with pytest.raises(RuntimeError, match="refused"):
        clf.predict_proba(X)
    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got in found:
        np.testing.assert_array_equal(got, want)
    assert len(found) == 2


def test_what_ends_the_context_ends_all_work():
    name = "emulated until it ends"
    native.register_emulated_device(name)
    made = Case(network("f32"), data(97, "f32"))
    made.compiled = engine.compile(made.program.text, device=name)
    made.train(1)
    native.refuse_emulated_call("cuMemcpyAsync", 0, ILLEGAL)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"stopped working.*start a new process"):
            made.train(1)
    assert np.isfinite(case().train(1)).all()
