"""The layer that is added to a network: ``output`` of a regressor, else ``logits``."""

from __future__ import annotations

import contextlib
import copy
import pickle

import numpy as np
import pytest

from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    NetworkRegressor,
    callbacks,
    layers,
    network,
)
from slimlearn.backend.program import Program
from slimlearn.estimators.build import BUILT
from slimlearn.estimators.heads.base import Head

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
Y = X @ [1.0, 2.0, 3.0]
FEW = {"hidden_units": (4,), "max_iter": 3, "random_state": 0}


@network
def body(x, scope="fc", units=4):
    """Features, to which a last layer is added."""
    return layers.fully_connected(x, units, scope=scope)


def names(estimator):
    return list(estimator.get_weights())


@pytest.mark.parametrize("y", [Y, np.c_[Y, -Y]], ids=["one", "two"])
@pytest.mark.parametrize("loss", ["squared_error", "quantile", "gaussian"])
def test_regressors_have_an_output(loss, y):
    if loss == "quantile" and y.ndim == 2:
        return
    quantile = [0.2, 0.8] if loss == "quantile" else None
    reg = DNNRegressor(loss=loss, quantile=quantile, **FEW).fit(X, y)
    assert {"fc1", "output"} <= set(names(reg)) and "logits" not in str(reg.program_)
    assert "output" in str(reg.summary())
    assert reg.activations(X, "output").shape[0] == 60


def test_classifiers_have_logits():
    for labels in (Y > 0, np.digitize(Y, [-1, 1]), np.c_[Y > 0, Y > 1].astype(int)):
        clf = DNNClassifier(**FEW).fit(X, labels)
        assert names(clf) == ["fc1", "logits"]


def test_the_users_own_layer_may_have_the_name():
    reg = NetworkRegressor(body(scope="output"), max_iter=2, random_state=0).fit(X, Y)
    assert {"output", "output_1"} <= set(names(reg))
    assert np.isfinite(reg.partial_fit(X, Y).predict(X)).all()


@contextlib.contextmanager
def as_before():
    """The time when the last layer was called ``logits`` everywhere."""
    BUILT.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Head, "last_layer", "logits")
        yield
    BUILT.clear()


@pytest.fixture
def older():
    with as_before():
        reg = DNNRegressor(warm_start=True, **FEW).fit(X, Y)
    assert "logits" in names(reg)
    return pickle.loads(pickle.dumps(reg))


def test_the_name_changes_no_number(older):
    fresh = DNNRegressor(**FEW).fit(X, Y)
    assert older.predict(X).tobytes() == fresh.predict(X).tobytes()


def test_older_models_go_on_as_they_would_have(older):
    with as_before():
        twin = copy.deepcopy(older).fit(X, Y).partial_fit(X, Y)
    older.fit(X, Y).partial_fit(X, Y)
    assert older.n_iter_ == twin.n_iter_ == 7
    assert older.predict(X).tobytes() == twin.predict(X).tobytes()
    assert "logits" in names(older)
    anew = older.set_params(warm_start=False).fit(X, Y)
    assert "output" in names(anew)


def test_older_weights_and_files_are_taken_over(older, tmp_path):
    older.program_.save(tmp_path / "older")
    assert "logits/weights" in Program.load(tmp_path / "older").weights
    fresh = DNNRegressor(**{**FEW, "random_state": 1}).fit(X, Y)
    for source in (older, older.get_weights(), tmp_path / "older"):
        fresh.set_weights(source)
        assert fresh.predict(X).tobytes() == older.predict(X).tobytes()
    start = callbacks.StartFrom(older, exclude="output")
    began = DNNRegressor(callbacks=[start], **FEW).fit(X, Y)
    assert began.callbacks_[0][1].names_ == ["fc1/weights", "fc1/biases"]
