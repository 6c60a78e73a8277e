"""Ctrl-C at every line of the code that counts epochs: books and weights agree."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import slimlearn
from slimlearn import DNNClassifier, callbacks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
CHUNKS = [(X[:9], Y[:9]), (X[9:], Y[9:])]
ROOT = Path(slimlearn.__file__).parent
# Where an epoch is trained, counted and looked at, and a fit published.
WATCHED = {
    str(ROOT / name)
    for name in (
        *("backend/running.py", "backend/engine/trainer.py", "backend/training.py"),
        *("estimators/fitting.py", "estimators/history.py", "estimators/publishing.py"),
        "estimators/callbacks/run.py",
    )
}
EPOCHS = 2


class Watch(callbacks.Callback):
    """Looks at epochs."""


class Steps(callbacks.Callback):
    """Looks between steps."""

    every_steps = 2

    def on_step_end(self, state):
        return False


WAYS = {
    "alone": {},
    "epochs": {"callbacks": [Watch()]},
    "steps": {"callbacks": [Steps()]},
    "accumulated": {"callbacks": [Watch()], "accumulate": 2},
    "held out": {"early_stopping": True, "n_iter_no_change": 99},
    "scored": {"early_stopping": True, "scoring": "accuracy", "n_iter_no_change": 99},
    "L-BFGS": {"optimizer": "lbfgs", "callbacks": [Watch()]},
}


def fitted(estimator, chunked):
    return estimator.fit_chunks(CHUNKS) if chunked else estimator.fit(X, Y)


def interrupted(estimator, chunked, line):
    """Fit with a SIGINT before the watched line of that number; whether it came."""
    left, came = line, False

    def trace(frame, event, argument):
        nonlocal left, came
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line" and not came:
            left -= 1
            if left < 0:
                came = True
                signal.raise_signal(signal.SIGINT)
        return trace

    former = sys.gettrace()
    try:
        sys.settrace(trace)
        fitted(estimator, chunked)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(former)
    return came


@pytest.mark.filterwarnings("ignore:.*without converging")
@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunks"])
@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_at_any_line_leaves_counted_weights(way, chunked):
    options = WAYS[way]
    if chunked and ("early_stopping" in options or way == "L-BFGS"):
        pytest.skip("chunks hold no rows out, and L-BFGS reads none")

    def make(epochs):
        return DNNClassifier(
            (3,), batch_size=4, max_iter=epochs, random_state=0, **options
        )

    if options.get("optimizer") == "lbfgs":
        options = {**options, "tol": 0.0}
    wholes = {n: fitted(make(n), chunked) for n in range(1, EPOCHS + 1)}
    line, seen = 0, set()
    while interrupted(clf := make(EPOCHS), chunked, line):
        line += 1
        if not hasattr(clf, "program_"):
            seen.add(0)
            continue
        seen.add(clf.n_iter_)
        whole = wholes[clf.n_iter_]
        assert clf.loss_curve_ == whole.loss_curve_, line
        for name in ("validation_loss_curve_", "validation_scores_"):
            mine, theirs = getattr(clf, name), getattr(whole, name)
            assert len(mine) == len(theirs), (line, name)
            assert mine[:-1] == theirs[:-1], (line, name)
        if "early_stopping" in options:  # the best of those that were looked at
            whole = wholes[clf.best_iteration_] if clf.best_iteration_ else whole
        for arena in ("params", "state"):
            mine, theirs = (getattr(m.program_, arena) for m in (clf, whole))
            assert mine.tobytes() == theirs.tobytes(), (line, arena)
    assert line > 50
    unwatched = way == "alone" and not chunked  # all epochs are one native call
    assert seen == ({0, EPOCHS} if unwatched else {*range(EPOCHS + 1)})
