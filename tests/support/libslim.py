"""libslim and programs that use it, built with the objects of the build here."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slimlearn.backend import engine

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SLIM_BUILD_DIR", ROOT / "build"))
BUILD /= f"native-{sys.implementation.cache_tag}"
EXAMPLES = ROOT / "examples" / "c_api"


def tool(name: str) -> str | None:
    return shutil.which(
        name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )


def cmake(*words) -> None:
    call(tool("cmake"), *words)


def call(*words, **options) -> str:
    """What a command writes; an assertion with all of it where it fails."""
    options = {"capture_output": True, "text": True} | options
    done = subprocess.run([str(word) for word in words], **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


def require(*programs: str) -> None:
    """Skip where one of these programs is missing."""
    missing = [name for name in programs if tool(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")


def installed(folder: Path) -> Path:
    """The library as ``cmake --install`` leaves it."""
    if not (BUILD / "CMakeCache.txt").exists() or tool("cmake") is None:
        pytest.skip("no folder of a build stands beside these sources")
    with open(BUILD / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cmake("--build", BUILD, "--target", "slim", "slim_static")
        cmake("--install", BUILD, "--prefix", folder)
    return folder


def build_programs(prefix: Path, folder: Path, *more: str) -> Path:
    """The programs of tests/native/cpp, made with what is installed."""
    options = [f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release", *more]
    cmake("-S", ROOT / "tests/native/cpp", "-B", folder, *options)
    cmake("--build", folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    """The variables of a program that is to have the bits of this process."""
    return os.environ | {"SLIM_ISA": engine.isa()} | more


def run(program: Path, *words) -> subprocess.CompletedProcess:
    command = [str(program), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment())
