"""A fitted network is sealed: predictions are those of its present weights, always."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from slimlearn import ConvNetClassifier, DNNClassifier
from slimlearn.backend import program as programs
from slimlearn.estimators.callbacks import Callback
from slimlearn.estimators.history import Monitor

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 10, 10, 3)).astype("f4")
Y = (X[:, :5].mean(axis=(1, 2, 3)) > X[:, 5:].mean(axis=(1, 2, 3))).astype(int)
FEW = {"filters": (8, 16), "batch_norm": True, "max_iter": 2, "random_state": 0}


def fitted(**more):
    return ConvNetClassifier(**{**FEW, **more}).fit(X, Y)


def probabilities(est):
    """Predictions that nothing kept can have made: of a program that is not sealed."""
    fresh = est.program_.copy()
    return est._handle.native.run("predict_proba", {"X": X}, fresh)[0]


def check(est):
    want = est.predict_proba(X)
    np.testing.assert_array_equal(want, probabilities(est))
    np.testing.assert_array_equal(est.predict_proba(X[:1]), want[:1])
    return want


def test_weights_of_a_fitted_network_are_read_only():
    est = fitted()
    assert est.program_.sealed
    for array in (
        est.coefs_[0],
        est.intercepts_[0],
        est.program_.weights["conv1/weights"],
        est.program_.states["conv1/BatchNorm/moving_mean"],
        est.program_.params,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    check(est)


def test_predictions_follow_partial_fit_warm_start_and_set_weights():
    est, twin = fitted(warm_start=True), fitted(warm_start=True)
    first = check(est)
    for step in ("partial_fit", "fit", "partial_fit"):
        getattr(est, step)(X, Y)
        getattr(twin, step)(X, Y)
        second = check(est)
        assert not np.array_equal(first, second)
        first = second
    np.testing.assert_array_equal(check(twin), first)
    est.set_weights({"conv1": {"weights": 0.5 * est.coefs_[0]}})
    assert not np.array_equal(check(est), first)
    est.set_weights(twin)
    np.testing.assert_array_equal(check(est), first)
    est.fit(X[:30], Y[:30])
    check(est)


def test_pickles_copies_and_files_predict_the_same(tmp_path):
    est = fitted()
    want, before = check(est), len(pickle.dumps(est))
    assert len(pickle.dumps(est)) == before
    for twin in (pickle.loads(pickle.dumps(est)), copy.deepcopy(est)):
        assert twin.program_.sealed
        np.testing.assert_array_equal(check(twin), want)
        twin.partial_fit(X, Y)
        assert not np.array_equal(check(twin), want)
    np.testing.assert_array_equal(check(est), want)
    est.program_.save(tmp_path / "net")
    other = clone(est).set_params(random_state=3).fit(X, Y)
    check(other)
    np.testing.assert_array_equal(check(other.set_weights(tmp_path / "net")), want)


class Watching(Callback):
    """Predicts within the fit, and writes to weights that it keeps."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, state):
        self.held = state.weights["conv1/weights"]
        self.seen.append(state.estimator.predict_proba(X))


def test_callbacks_predict_with_the_present_weights():
    watching = Watching()
    est = ConvNetClassifier(**{**FEW, "max_iter": 4}, callbacks=[watching])
    est.fit(X, Y)
    [(_, watched)] = est.callbacks_
    assert len(watched.seen) == 4
    for one, two in zip(watched.seen, watched.seen[1:]):
        assert not np.array_equal(one, two)
    want = check(est)
    np.testing.assert_array_equal(watched.seen[-1], want)
    watched.held[...] = 7  # an array of its own by now
    np.testing.assert_array_equal(check(est), want)


def test_the_best_weights_are_those_that_predict():
    est = fitted(early_stopping=True, max_iter=6, learning_rate=0.5)
    check(est)
    assert est.best_iteration_ <= est.n_iter_


def test_an_interrupt_behind_the_end_keeps_what_was_published(monkeypatch):
    calls = []

    def conclude(self):
        calls.append(self)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Monitor, "conclude", conclude)
    est = ConvNetClassifier(**{**FEW, "early_stopping": True})
    with pytest.raises(KeyboardInterrupt):
        est.fit(X, Y)
    assert len(calls) == 2
    check(est)


def test_a_fit_ends_without_a_copy_of_the_weights(monkeypatch):
    sizes = []
    copied = programs.copy_arena

    def counted(arena):
        sizes.append(arena.size)
        return copied(arena)

    est = DNNClassifier((20,), max_iter=2, random_state=0)
    flat = X.reshape(len(X), -1)
    est.fit(flat, Y)
    monkeypatch.setattr(programs, "copy_arena", counted)
    est.fit(flat, Y)
    assert sizes.count(est.program_.params.size) <= 1  # the start's
    monkeypatch.setattr(programs, "copy_arena", copied)
    before = est.predict_proba(flat)
    np.testing.assert_array_equal(est.predict_proba(flat), before)
