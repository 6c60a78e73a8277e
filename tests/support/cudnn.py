"""cuDNN for the tests: the library on a GPU, elsewhere one that runs on the host."""

import ctypes
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from slimlearn.backend.engine.native import native
from support.cuda import CUDA

ROOT = Path(__file__).resolve().parents[2]
GPU = CUDA == "cuda"


@cache
def library() -> ctypes.CDLL:
    """Compile tests/support/fake_cudnn.cpp."""
    made = Path(mkdtemp()) / "libfake_cudnn.so"
    source = ROOT / "tests/support/fake_cudnn.cpp"
    includes = f"-I{ROOT / 'native'}"
    command = ["c++", "-std=c++20", "-O1", "-shared", "-fPIC", includes, source]
    subprocess.run([*command, "-o", made], check=True)
    return ctypes.CDLL(str(made))


@cache
def device(name: str = "emulated with cuDNN") -> str:
    """Return a device that has it; each name is another one."""
    if GPU:
        return CUDA
    native.register_emulated_device(name, dnn=library()._name)
    return name


def sixteen_bit_runs() -> int:
    """Return how many of them multiplied operands of sixteen bits."""
    return ctypes.c_int64(library().fake_cudnn_sixteen_bit_runs()).value


def runs() -> int:
    """Return how many convolutions the library computed on the host."""
    return ctypes.c_int64(library().fake_cudnn_runs()).value
