"""The interpreter ends while its threads are in native code: so does the process.

All threads are there before it ends: one in `np.unique` of NumPy 2.3 or newer, which
a fit begins with, would abort, as a destructor of NumPy's asks for the lock.
"""

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import os, sys, threading, time
    import numpy as np
    from slimlearn import ConvNetClassifier, DNNClassifier
    from slimlearn.estimators.callbacks import Callback

    class Busy(Callback):
        def on_epoch_end(self, state):
            tell()
            sum(range(1000))

    X = np.random.default_rng(0).normal(size=(4000, 20))
    y = (X[:, 0] > 0).astype(int)
    clf = DNNClassifier((32,), max_iter=10**7, callbacks=[Busy()], random_state=0)
    begun, there = threading.Event(), set()

    def tell():
        there.add(threading.get_ident())
        if len(there) == 2:
            begun.set()

    def fit():
        clf.fit(X, y)

    def lbfgs():
        clf.set_params(optimizer="lbfgs", tol=0).fit(X, y)

    def images():
        few = ConvNetClassifier(filters=(4,), max_iter=10**7, callbacks=[Busy()])
        few.fit(np.resize(X, (200, 8, 8)), y[:200])

    def predict():
        while True:
            clf.predict_proba(wide)
            tell()

    def save():
        while True:
            clf.program_.save(sys.argv[2])
            tell()

    if sys.argv[1] in ("predict", "save"):
        clf.set_params(max_iter=1).fit(X, y)
        there.clear()
        wide = np.tile(X, (20, 1))
    for _ in range(2):
        threading.Thread(target=globals()[sys.argv[1]], daemon=True).start()
    begun.wait()
    time.sleep(0.03 * int(sys.argv[3]))
"""


@pytest.mark.parametrize("work", ["fit", "lbfgs", "images", "predict", "save"])
def test_a_daemon_thread_in_native_code(work, tmp_path):
    for turn in range(2):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(SCRIPT)]
            + [work, str(tmp_path / "model.slim"), str(turn)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]


FIRST = """
    import builtins, threading, time
    import numpy as np
    from slimlearn import _native

    begun = threading.Event()
    imports = builtins.__import__

    def slowly(*names):
        if threading.current_thread() is not threading.main_thread():
            wait()
        return imports(*names)

    def wait():
        begun.set()
        while True:
            time.sleep(1e-4)

    def first():
        builtins.__import__ = slowly
        _native.write_model(None, "", "", "", None, None, None, {"x": np.ones(3)})
        wait()

    threading.Thread(target=first, daemon=True).start()
    begun.wait()
"""


def test_a_daemon_thread_that_is_the_first_to_give_native_code_an_array():
    """What pybind11 imports for it holds the interpreter's lock in destructors."""
    command = [sys.executable, "-c", textwrap.dedent(FIRST)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
