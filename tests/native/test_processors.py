"""Lanes move to processors of their own, and leave threads where these may be."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one processor has no other"
)

RUN = """
import os, sys
import numpy as np
from slimlearn import function

def masks():
    return {t: os.sched_getaffinity(int(t)) for t in os.listdir("/proc/self/task")}

if sys.argv[1] == "one":  # threads that begin later may be on no other
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
mine = os.sched_getaffinity(0)
x = np.random.default_rng(0).normal(size=(400, 300)).astype(np.float32)
run = function(lambda a, b: a @ b, n_threads=2)
first = run(x, x.T)
if sys.argv[1] == "moved":  # both lanes where the calling one is
    here = {min(mine)}
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), here)
        os.sched_setaffinity(int(task), mine)
for _ in range(200):
    assert (run(x, x.T) == first).all()
assert len(masks()) > 1
assert all(mask == mine for mask in masks().values()), masks()
"""


@pytest.mark.parametrize("where", ["anywhere", "moved", "one"])
def test_threads_may_be_where_they_might_before(where):
    environment = os.environ | {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", RUN, where], check=True, timeout=120, env=environment
    )
