"""Ctrl-C in a search, in a process of its own."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

SEARCH = """
import sys
from pathlib import Path
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from slimlearn import DNNClassifier

class Begin:
    def __init__(self, path):
        self.path = path
    def get_params(self, deep=True):
        return {"path": self.path}
    def on_epoch_end(self, state):
        Path(self.path).touch()

if __name__ == "__main__":
    X, y = load_iris(return_X_y=True)
    # Hours, if nothing stops it.
    clf = DNNClassifier(max_iter=10**7, callbacks=[Begin(sys.argv[2])])
    search = GridSearchCV(
        clf, {"learning_rate": [0.1, 0.01]}, n_jobs=int(sys.argv[1]), cv=2
    )
    try:
        search.fit(X, y)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    search.set_params(estimator__max_iter=2, estimator__callbacks=None).fit(X, y)
    print(search.predict(X).shape)
"""


# A terminal tells all processes of the group.
@pytest.mark.parametrize("jobs, tell", [(1, os.kill), (2, os.killpg)], ids=["1", "2"])
def test_ctrl_c_ends_a_search(jobs, tell, tmp_path):
    script, begun = tmp_path / "search.py", tmp_path / "begun"
    script.write_text(SEARCH)
    process = subprocess.Popen(
        [sys.executable, script, str(jobs), begun],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(240, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        while not begun.exists() and process.poll() is None:
            time.sleep(0.05)
        tell(process.pid, signal.SIGINT)
        output, _ = process.communicate()
    finally:
        watchdog.cancel()
    assert output.endswith("interrupted\n(150,)\n"), output[-3000:]
    assert process.returncode == 0
