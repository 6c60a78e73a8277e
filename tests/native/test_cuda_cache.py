"""The disk cache of compiled kernels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cuda import CUDA
from support.cuda_kernel import kernel

GPU = CUDA == "cuda"

RUN = """
import sys, numpy as np
from slimlearn.backend.engine.native import native
array = np.arange(3.0)
native.run_cuda_kernel([array], sys.stdin.read(), 1, 3, gpu={gpu})
print(array.tolist())
"""


def run_in_a_process(folder: Path, **variables) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(gpu=GPU)],
        input=kernel("x0[threadIdx.x] *= 2;", "double"),
        env=os.environ | {"SLIMLEARN_CACHE": str(folder)} | variables,
        **{"capture_output": True, "text": True, "check": True},
    )
    return done.stdout.strip()


def test_what_was_compiled_is_found_again(tmp_path):
    cache = tmp_path / "a" / "b"
    assert run_in_a_process(cache) == "[0.0, 2.0, 4.0]"
    (file,) = cache.iterdir()
    time = file.stat().st_mtime_ns
    assert run_in_a_process(cache) == "[0.0, 2.0, 4.0]"
    assert file.stat().st_mtime_ns == time and [*cache.iterdir()] == [file]


@pytest.mark.parametrize("damage", ["empty", "short", "changed", "folder"])
def test_a_damaged_file_is_compiled_anew(damage, tmp_path):
    run_in_a_process(tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    else:
        file.write_bytes(
            {"empty": b"", "short": whole[:40], "changed": b"x" + whole[1:]}[damage]
        )
    assert run_in_a_process(tmp_path) == "[0.0, 2.0, 4.0]"
    if damage != "folder":
        assert file.stat().st_size == len(whole)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    assert run_in_a_process(tmp_path / "file" / "cache") == "[0.0, 2.0, 4.0]"
    assert (tmp_path / "file").read_text() == ""
