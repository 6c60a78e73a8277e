"""Any allocation may fail: MemoryError, and the process and its objects go on.

A sample is tried here; ``make allocations SECONDS=7200`` tries as many as there is time
for.
"""

import os
import shutil
import subprocess
import sys

import pytest
from support.sanitizer import not_sanitized

SECONDS = 14


@not_sanitized
@pytest.mark.skipif(shutil.which("c++") is None, reason="has no compiler of C++")
@pytest.mark.skipif(sys.platform != "linux", reason="preloads a library")
def test_one_allocation_after_the_other(root, tmp_path):
    folder, library = root / "tests/native/allocations", tmp_path / "fail.so"
    command = ["c++", "-std=c++17", "-O1", "-shared", "-fPIC", folder / "fail.cpp"]
    subprocess.run([*command, "-o", library], check=True)
    done = subprocess.run(
        [sys.executable, folder / "run.py", str(SECONDS)],
        capture_output=True,
        text=True,
        env=os.environ | {"LD_PRELOAD": str(library)},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("tried") == 7 and "tried 0 " not in done.stdout
