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
    "cuEventRecord",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuGraphUpload",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cuMemcpyAsync",
    "cuOccupancyMaxActiveBlocksPerMultiprocessor",
    "cuOccupancyMaxActiveClusters",
    "cuStreamEndCapture",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
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


def calls_of(name):
    """How often what follows makes a call."""
    before = native.emulated_calls(name)
    return lambda: native.emulated_calls(name) - before


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
    trainer = there.trainer()
    native.refuse_emulated_call(call, after, SPOILT, times)
    replayed = calls_of("cuGraphLaunch")
    losses = there.train(3, trainer=trainer)
    np.testing.assert_allclose(losses, here.train(3), 1e-10)
    assert_near(there, here, "f64")
    if accumulate == 1:
        assert replayed() == (3 * trainer.info()["steps"] if times == 1 else 0)


WAYS = {
    "steps": {"optimizer": "adam"},
    "lbfgs": {"optimizer": "lbfgs"},
    "feed": {"optimizer": "sgd"},
}


@pytest.mark.parametrize("call", ["cuMemcpyAsync", "cuStreamSynchronize"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_wherever_it_is_refused_nothing_wrong_comes_of_it(way, call, monkeypatch):
    """A fit raises or is what it is elsewhere, and so is what comes after it."""
    if way == "feed":
        monkeypatch.setenv("SLIM_CUDA_DATA", "20000")
    X, y = load_digits(return_X_y=True)
    X, y = X[:200] / 16, y[:200]
    given = {"max_iter": 2, "tol": 0, "random_state": 0, **WAYS[way]}

    def fitted():
        return DNNClassifier((8,), device=CUDA, batch_size=50, **given).fit(X, y)

    fitted()  # what is made once
    made = calls_of(call)
    want = fitted()
    raw, raised = want.predict_proba(X), 0
    for after in range(0, made(), max(1, made() // 25)):
        native.refuse_emulated_call(call, after, RESOURCES)
        try:
            found = fitted()
        except RuntimeError as error:
            assert call in str(error)
            found, raised = want, raised + 1
        native.refuse_emulated_call(call, 0, 0, times=0)
        np.testing.assert_array_equal(found.predict_proba(X), raw, str(after))
    assert raised > 5


@pytest.mark.parametrize(
    "call", ["cuMemcpyAsync", "cuEventRecord", "cuStreamWaitEvent"]
)
def test_a_trainer_goes_on_with_rows_that_come_and_go(call, monkeypatch):
    monkeypatch.setenv("SLIM_CUDA_DATA", "3000")
    rows = data(97, "f32")
    raised = 0
    for after in range(12):
        there, here = (Case(network("f32"), rows) for _ in range(2))
        for one in (there, here):
            one.compiled = engine.compile(one.program.text, device=CUDA)
        trainers = [one.trainer() for one in (there, here)]
        for one, trainer in zip((there, here), trainers, strict=True):
            one.train(1, trainer=trainer)
        before = there.program.params.copy()
        native.refuse_emulated_call(call, after, RESOURCES)
        try:
            there.train(1, trainer=trainers[0])
        except RuntimeError:
            raised += 1
            np.testing.assert_array_equal(there.program.params, before)
        else:
            here.train(1, trainer=trainers[1])
        native.refuse_emulated_call(call, 0, 0, times=0)
        there.done = here.done  # both go on with the same epoch
        there.train(1, trainer=trainers[0])
        here.train(1, trainer=trainers[1])
        assert there.program.params.tobytes() == here.program.params.tobytes(), after
    assert raised > 3


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
    launched = calls_of("cuLaunchKernelEx")
    train_alike(network("f64"), data(97, "f64"), "f64")
    assert (launched() > 0) == (len(calls) == 1)


def test_an_estimator_goes_on_after_a_refusal():
    X, y = load_digits(return_X_y=True)
    clf = DNNClassifier((16,), max_iter=3, tol=0, device=CUDA, random_state=0)
    want = clf.fit(X, y).predict_proba(X)
    native.refuse_emulated_call("cuLaunchKernel", 0, RESOURCES)
    with pytest.raises(RuntimeError, match=r"refused: cuLaunch.* other work goes"):
        clf.predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(X), want)


def test_one_of_the_calls_that_are_under_way_hears_of_it():
    X, y = load_digits(return_X_y=True)
    clf = DNNClassifier((16,), max_iter=2, tol=0, device=CUDA, random_state=0)
    want = clf.fit(X, y).predict_proba(X)
    together, refused, other = threading.Barrier(3), [], []

    def predict():
        together.wait()
        for _ in range(40):
            try:
                other.append(clf.predict_proba(X))
            except RuntimeError as error:
                refused.append(str(error))

    for after in (40, 90, 150):
        native.refuse_emulated_call("cuLaunchKernel", after, RESOURCES)
        refused.clear()
        threads = [threading.Thread(target=predict) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1 and "refused: cuLaunchKernel" in refused[0]
    for got in other:
        np.testing.assert_array_equal(got, want)


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
