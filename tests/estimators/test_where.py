"""Which device a fit takes, and what it says where its memory ends."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from support.devices import LEVEL, MIRROR

from slimlearn import DNNClassifier
from slimlearn.backend import engine
from slimlearn.backend.engine import trainer
from slimlearn.backend.engine.native import native
from slimlearn.estimators import where
from slimlearn.estimators.arrays import device_of

X, Y = load_iris(return_X_y=True)


@pytest.mark.parametrize(
    "process, gpus, wanted",
    [
        ("MainProcess", "0,1,2", "cuda"),
        ("LokyProcess-1", "0,1,2", "cuda"),
        ("LokyProcess-2", "0,1,2", "cuda:1"),
        ("LokyProcess-3", "0,1,2", "cuda:2"),
        ("LokyProcess-4", "0,1,2", "cuda"),
        ("SpawnPoolWorker-2", "5", "cuda"),
        ("LokyProcess-2", "", "cuda"),
    ],
)
def test_workers_are_dealt_over_gpus(process, gpus, wanted, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    monkeypatch.setattr(
        where.multiprocessing, "current_process", lambda: SimpleNamespace(name=process)
    )
    monkeypatch.setattr(engine, "has", lambda device: True)
    assert where.where("auto") == wanted
    assert where.where("cuda:1") == "cuda:1"


def test_gpus_are_those_that_the_driver_lists(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(where, "_GPUS", tmp_path / "none")
    assert where._count() == 1
    monkeypatch.setattr(where, "_GPUS", tmp_path)
    for name in ("0000:01:00.0", "0000:41:00.0"):
        (tmp_path / name).mkdir()
    assert where._count() == 2


class On:
    """An array of a GPU that comes to the host when it is asked to."""

    def __init__(self, values, number, kind=2):
        self.values, self.told = values, (kind, number)
        self.shape = values.shape

    def __dlpack_device__(self):
        return self.told

    def get(self):
        return self.values


@pytest.mark.parametrize(
    "array, wanted",
    [
        (On(X, 0), "cuda"),
        (On(X, 1), "cuda:1"),
        (On(X, 1, kind=13), "cuda:1"),
        (On(X, 7), "cuda"),  # which this process does not see
        (On(X, 1, kind=1), "cuda"),  # the host's
        (X, "cuda"),
        (X.tolist(), "cuda"),
    ],
)
def test_auto_is_where_x_lies(array, wanted, monkeypatch):
    monkeypatch.setattr(engine, "has", lambda device: device != "cuda:7")
    assert device_of("auto", array) == wanted
    assert device_of("cuda:2", array) == "cuda:2"
    assert device_of("cpu", array) == "cpu"


def test_a_fit_goes_where_x_lies(monkeypatch):
    """And what predicts stays there; what is unpickled is anywhere."""
    monkeypatch.setattr(where, "GPU", MIRROR)
    monkeypatch.setenv("SLIM_ISA", LEVEL)  # the CPU's bits are of one level, too
    second = f"{MIRROR}:1"
    native.register_test_device(second, LEVEL)
    clf = DNNClassifier((4,), max_iter=2, random_state=0, device="auto")
    assert clone(clf).fit(X, Y)._handle.native.device == MIRROR
    clf.fit(On(X, 1), Y)
    assert clf._handle.native.device == second
    want = clone(clf).set_params(device="cpu").fit(X, Y)
    for rows in (X, On(X, 0), On(X, 1)):
        np.testing.assert_array_equal(clf.predict_proba(rows), want.predict_proba(X))
    other = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(other.predict_proba(X), want.predict_proba(X))
    assert other._handle.native.device == MIRROR


@pytest.mark.parametrize(
    "most, told", [(10, "batch_size=8 fits"), (0, "no batch_size")]
)
def test_what_does_not_fit_names_a_batch_that_does(most, told, monkeypatch):
    """The processor goes on in the same process."""
    plain = trainer.native.Trainer

    def small(model, sources, index, batch_size, *rest):
        if batch_size > most and model.device != "cpu":
            raise MemoryError("the GPU has no 512 bytes left: 384 bytes are free")
        return plain(model, sources, index, batch_size, *rest)

    monkeypatch.setattr(trainer, "native", SimpleNamespace(Trainer=small))
    clf = DNNClassifier((4,), max_iter=2, batch_size=64, device=MIRROR)
    with pytest.raises(
        MemoryError, match=f"no 512 bytes left: 384 bytes are free; {told}"
    ):
        clf.fit(X, Y)
    clf.set_params(device="cpu").fit(X, Y)
    if most:
        clf.set_params(device=MIRROR, batch_size=8).fit(X, Y)
    assert np.isfinite(clf.loss_)
