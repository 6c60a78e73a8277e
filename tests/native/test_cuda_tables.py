"""Tables on a GPU, or by its kernels on the host."""

import pickle

import numpy as np
import pandas as pd
import pytest
from support.cuda import CUDA

from slimlearn import TabularClassifier, TabularRegressor
from slimlearn.backend.coded import Coded
from slimlearn.estimators.tables import coding, ensemble, retrieval, training

OPTIONS = {
    "members": 2,
    "hidden_units": (8,),
    "max_iter": 3,
    "batch_size": 32,
    "random_state": 0,
}


def table(rows=90):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "c"])
    frame.loc[::7, "b"] = np.nan
    frame["kind"] = pd.Categorical(rng.choice([*"abcdefgxyz", "more"], rows))
    return frame, frame["a"] + (frame["kind"] == "x")


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_a_table_trains_alike(kind, monkeypatch):
    X, y = table()
    if kind is TabularClassifier:
        y = (y > 0).to_numpy()
    here = kind(**OPTIONS).fit(X, y)
    monkeypatch.setattr(coding, "_FEW", 0)  # where there are many rows, codes hold them
    held = []
    trained = training.Trainer.train
    monkeypatch.setattr(
        training.Trainer, "train",
        lambda self, *given: held.append(self.rows) or trained(self, *given),
    )  # fmt: skip
    there = kind(**OPTIONS, device=CUDA).fit(X, y)
    assert held and all(isinstance(rows, Coded) for rows in held)
    devices = {member._handle.native._wanted[1] for member in there.members_}
    assert CUDA in devices
    raw = "predict_proba" if kind is TabularClassifier else "predict"
    want = getattr(here, raw)(X)
    for rows in (X, X[:1]):
        got = getattr(there, raw)(rows)
        np.testing.assert_allclose(got, want[: len(rows)], 2e-3, 2e-3)
    moved = pickle.loads(pickle.dumps(there))
    np.testing.assert_array_equal(getattr(moved, raw)(X), getattr(there, raw)(X))


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_what_stands_beside_the_networks_predicts_there(kind, monkeypatch):
    monkeypatch.setattr(ensemble, "_FOR_SEVERAL", 50)
    X, y = table(120)
    if kind is TabularClassifier:
        y = (y > 0).to_numpy()
    trained, of = [], retrieval._Retrieval.concluded
    monkeypatch.setattr(
        retrieval._Retrieval, "concluded",
        lambda self: trained.append(self.embedder) or of(self),
    )  # fmt: skip
    options = {**OPTIONS, "members": 5, "preset": "best"}
    here = kind(**options).fit(X, y)
    del trained[:]
    there = kind(**options, device=CUDA).fit(X, y)
    kinds = {type(member.net).__name__ for member in there.members_}
    assert len(kinds) > 1
    assert len(trained) == 5
    for member in [*there.members_, *trained]:
        assert member._handle.native._wanted[1] == CUDA
    raw = "predict_proba" if kind is TabularClassifier else "predict"
    for rows in (X, X[:1]):
        want, got = (getattr(model, raw)(rows) for model in (here, there))
        np.testing.assert_allclose(got, want, 2e-3, 2e-3)


def test_another_device_predicts_with_what_was_fitted():
    X, y = table()
    there = TabularRegressor(**OPTIONS, device=CUDA).fit(X, y)
    want = there.predict(X[:5])
    for device in ("cpu", CUDA):
        assert there.set_params(device=device) is there
        assert {member.device for member in there.members_} == {device}
        got = there.predict(X[:5])
        np.testing.assert_allclose(got, want, 1e-5, 1e-5)
        devices = {member._handle.native._wanted[1] for member in there.members_}
        assert devices == {device}
        moved = pickle.loads(pickle.dumps(there))
        np.testing.assert_array_equal(moved.predict(X[:5]), got)


def test_members_are_trained_at_once():
    X, y = table()
    one, two = (
        TabularRegressor(**OPTIONS, device=CUDA, n_jobs=n).fit(X, y) for n in (1, 2)
    )
    np.testing.assert_array_equal(one.predict(X), two.predict(X))


def test_a_device_that_is_not_there_is_refused():
    X, y = table(30)
    with pytest.raises(ValueError, match="'device' parameter of TabularRegressor"):
        TabularRegressor(**OPTIONS, device="cuda:77").fit(X, y)
