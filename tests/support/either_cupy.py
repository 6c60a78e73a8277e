"""CuPy where the tests have a GPU, else a fake of it on the host."""

import pytest

from support.cuda import CUDA

if CUDA == "cuda":
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
else:
    from support import fake_cupy as cupy

__all__ = ["cupy"]
