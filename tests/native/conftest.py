"""What several files of native tests share, made once."""

import shutil
import sys
from pathlib import Path

import pytest
from support import cudnn, libslim

from slimlearn.backend import engine


@pytest.fixture(scope="session")
def prefix(tmp_path_factory) -> Path:
    """Where libslim is installed."""
    return libslim.installed(tmp_path_factory.mktemp("prefix"))


@pytest.fixture(scope="session")
def programs(prefix, tmp_path_factory) -> Path:
    """The programs of tests/native/cpp, in C and C++."""
    return libslim.build_programs(prefix, tmp_path_factory.mktemp("cpp"))


@pytest.fixture(params=["whole", "launches"])
def step_way(request, monkeypatch):
    """A GPU's step as one kernel, or as a launch for each."""
    if request.param == "launches":
        monkeypatch.setenv("SLIM_CUDA_WHOLE", "0")
    engine.clear_cache()
    yield
    engine.clear_cache()


@pytest.fixture
def by_cudnn(monkeypatch):
    """Convolutions of any size are the library's."""
    if not (cudnn.GPU or shutil.which("c++")):
        pytest.skip("needs a C++ compiler")
    monkeypatch.setenv("SLIM_CUDA_DNN", "1")
    engine.clear_cache()
    yield
    engine.clear_cache()


@pytest.fixture(params=["whole", "launches", "library"])
def each_way(request, monkeypatch):
    """A GPU's step as one kernel, or as a launch for each; products by a library."""
    if request.param == "launches":
        monkeypatch.setenv("SLIM_CUDA_WHOLE", "0")
    if request.param == "library":
        monkeypatch.setenv("SLIM_CUDA_LIBRARY", "1")
    engine.clear_cache()
    yield request.param
    engine.clear_cache()


@pytest.fixture
def with_cupy(monkeypatch):
    """Whatever `import cupy` finds is what `support.either_cupy` has."""
    from support.either_cupy import cupy

    monkeypatch.setitem(sys.modules, "cupy", cupy)
    engine.clear_cache()
    yield
    engine.clear_cache()
