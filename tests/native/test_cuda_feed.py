"""Rows that have no room on a GPU: they come and go, and training is the same."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from support.coded_rows import coded_rows
from support.cuda import CUDA
from support.training_case import Case, data, network

from slimlearn import DNNClassifier
from slimlearn.backend import engine
from slimlearn.backend.engine.native import native


def trained(sources, device=CUDA, epochs=3, **options):
    """What training leaves, and the bytes of the device that steps read rows from."""
    case = Case(
        network("f32", sizes=(sources["X"].shape[1], 24, 3)), sources, **options
    )
    case.compiled = engine.compile(case.program.text, device=device)
    trainer = case.trainer()
    losses = case.train(epochs, trainer=trainer)
    return losses, case.program.params.tobytes()


@pytest.mark.parametrize("rows", [100, 97, 33, 16, 3])
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.usefixtures("step_way")
def test_windows_give_the_bits_of_rows_that_stay(rows, steps, monkeypatch):
    sources = data(rows, "f32")
    want = trained(sources)
    monkeypatch.setenv("SLIM_CUDA_DATA", str(2 * steps * 16 * (20 * 4 + 4 + 8)))
    assert trained(sources) == want


@pytest.mark.parametrize("kind", ["u1", "i2", "f8"])
def test_rows_of_any_type_and_order_in_memory(kind, monkeypatch):
    sources = data(70, "f32")
    sources["X"] = np.asfortranarray((sources["X"] * 20).astype(kind))
    options = {"index": np.arange(69, 2, -1), "hypers": {}}
    want = trained(sources, **options)
    monkeypatch.setenv("SLIM_CUDA_DATA", "3000")
    assert trained(sources, **options) == want


@pytest.mark.parametrize("rows", [100, 33, 3])
@pytest.mark.parametrize("room", [None, 2 * 2 * 16 * (4 + 4 + 8)])
def test_codes_train_with_the_bits_of_their_numbers(rows, room, monkeypatch):
    sources = data(rows, "f32")
    coded = coded_rows(rows, 20)
    want = trained({**sources, "X": coded[:]})
    if room is not None:
        monkeypatch.setenv("SLIM_CUDA_DATA", str(room))
    assert trained({**sources, "X": coded}) == want


def test_a_run_may_end_within_a_window(monkeypatch):
    sources = data(100, "f32")

    def steps():
        case = Case(network("f32"), sources)
        case.compiled = engine.compile(case.program.text, device=CUDA)
        trainer = case.trainer()
        rates = np.full((7, 1), 1e-2)
        for begin in range(0, 7, 3):
            trainer.native.run(0, begin, 0, 0, 0, rates[begin : begin + 3], False)
        return case.program.params.tobytes()

    want = steps()
    monkeypatch.setenv("SLIM_CUDA_DATA", "6000")
    assert steps() == want


@pytest.mark.skipif(CUDA == "cuda", reason="of a GPU whose memory is small")
def test_the_memory_that_is_free_decides():
    sources = data(3000, "f64", features=300)
    assert sources["X"].nbytes == 7_200_000
    native.register_emulated_device("small", memory=8_000_000)
    few = trained(sources, "small", epochs=1, batch_size=256)
    many = trained(sources, epochs=1, batch_size=256)
    assert few == many


@pytest.mark.skipif(CUDA == "cuda", reason="of a GPU whose memory is small")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_rows_larger_than_all_of_the_memory(precision):
    """They are trained on and predicted; sparse ones, which need room, are told."""
    device = f"smaller, {precision}"
    native.register_emulated_device(device, memory=6 << 20)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((16384, 128), np.float32)
    y = (X[:, 0] > 0).astype(int)
    here = DNNClassifier(
        (4,), batch_size=1024, max_iter=1, precision=precision, random_state=0
    )
    there, wide = (clone(here).set_params(device=d) for d in (device, CUDA))
    assert X.nbytes == 8 << 20
    assert there.fit(X, y).program_.params.tobytes() == (
        wide.fit(X, y).program_.params.tobytes()
    )
    np.testing.assert_array_equal(there.predict_proba(X), wide.predict_proba(X))
    with pytest.raises(MemoryError, match=r"bytes are free; take a smaller batch, or"):
        clone(there).fit(csr_array(X), y)


@pytest.mark.skipif(CUDA == "cuda", reason="of a GPU whose memory is small")
@pytest.mark.parametrize(
    "kilobytes, batch",
    [(1024, 64), (1024, 256), (1024, 1024), (2048, 1024), (3072, 64)],
)
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_a_fit_needs_its_batches_and_little_more(kilobytes, batch):
    """Two batches of rows of 4 MB and a step's values fit, or it is told so."""
    device = f"{kilobytes} KB, batches of {batch}"
    native.register_emulated_device(device, memory=kilobytes << 10)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8192, 128), np.float32)
    y = (X[:, 0] > 0).astype(int)
    here = DNNClassifier(
        (4,), batch_size=batch, max_iter=1, early_stopping=True, random_state=0
    )
    there, wide = (clone(here).set_params(device=d) for d in (device, CUDA))
    needed = 3 * batch * X[0].nbytes
    if needed > kilobytes << 10:
        with pytest.raises(MemoryError, match="batch_size=512 fits"):
            there.fit(X, y)
        there.set_params(batch_size=256).fit(X, y)
        return
    there.fit(X, y), wide.fit(X, y)
    assert there.program_.params.tobytes() == wide.program_.params.tobytes()
    np.testing.assert_array_equal(there.predict_proba(X), wide.predict_proba(X))


@pytest.mark.skipif(CUDA == "cuda", reason="of a GPU whose memory is small")
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_what_calls_keep_for_the_next_is_given_up():
    device = "filled by what is kept"
    native.register_emulated_device(device, memory=2 << 20)
    X = np.random.default_rng(0).standard_normal((256, 600), np.float32)
    options = {"max_iter": 1, "batch_size": 256, "random_state": 0, "device": device}
    DNNClassifier((800,), **options).fit(X[:, :1], X[:, 0] > 0)
    kept = native.idle_bytes()
    DNNClassifier((4,), **options).fit(X, X[:, 0] > 0)
    assert native.idle_bytes() < kept
