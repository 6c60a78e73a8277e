"""Where no thread can be made, a call has one lane, and its results their bits."""

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import hashlib, os, resource, sys
    import numpy as np
    from slimlearn import DNNClassifier
    from slimlearn.backend import engine

    X = np.random.default_rng(0).normal(size=(4000, 64))
    y = (X[:, 0] > 0).astype(int)
    clf = DNNClassifier((256, 256), max_iter=1, batch_size=1000, random_state=0)
    clf.set_params(n_threads=int(sys.argv[2]))

    def told():
        clf.fit(X, y)
        return hashlib.sha256(clf.predict_proba(X).tobytes()).hexdigest()

    if sys.argv[1] == "address space":
        from slimlearn import _native
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        clf.set_params(n_threads=1)
        told()  # what one lane needs is there
        clf.set_params(n_threads=int(sys.argv[2]))
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + (6 << 20),) * 2)
    if sys.argv[1] == "processes":
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        if os.getuid() == 0:
            os.setuid(12345)
    print(told())
"""
STACKS = {"stack": "64G", "stack in kilobytes": "100000000000", "small": " 512 k "}


def run(limit, threads, stack=None):
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "2"}
    if stack:
        environment["OMP_STACKSIZE"] = stack
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), limit, str(threads)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )


@pytest.fixture(scope="module")
def bits():
    done = run("none", 1)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("limit", ["processes", "address space", *STACKS])
def test_a_fit_goes_on_with_one_lane(limit, bits):
    done = run(limit, 2, STACKS.get(limit))
    assert done.returncode == 0, done.stderr
    assert done.stdout == bits
