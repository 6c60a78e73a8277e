"""Build slimlearn: the Python packages and one native module, which CMake builds."""

import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SECONDS_PER_FILE = 5  # of processor time, on a machine of 2020


class CMakeBuild(build_ext):
    """Configure and build ``native/`` in a folder that keeps its objects.

    Environment: ``SLIM_WERROR=ON`` makes warnings errors, ``SLIM_SANITIZE=ON`` builds
    with sanitizers, ``SLIM_BUILD_DIR`` names another folder than ``build/``,
    ``SLIM_ISAS`` says for which instruction-set levels: ``native``, the best of this
    machine; ``all``, every one, for wheels that go elsewhere; or names (``"v3 v4"``).
    ``CMAKE_ARGS`` are further arguments of CMake, for a folder of their own.
    """

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        sanitize = os.environ.get("SLIM_SANITIZE", "OFF")
        base = Path(os.environ.get("SLIM_BUILD_DIR", ROOT / "build"))
        further = shlex.split(os.environ.get("CMAKE_ARGS", ""))
        # A folder of its own: CMake remembers what it was once given.
        kind = "further" if further else "native"
        kind = "sanitize" if sanitize == "ON" else kind
        folder = base / f"{kind}-{sys.implementation.cache_tag}"
        folder.mkdir(parents=True, exist_ok=True)
        options = {
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            "SLIM_PYTHON": "ON",
            "SLIM_WERROR": os.environ.get("SLIM_WERROR", "OFF"),
            "SLIM_SANITIZE": sanitize,
            "SLIM_ISAS": os.environ.get("SLIM_ISAS", "native"),
        }
        cmake, ninja = _tool("cmake"), _tool("ninja")
        generator = []
        if ninja:
            generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        configure = [cmake, "-S", ROOT / "native", "-B", folder, *generator]
        configure += [f"-D{name}={value}" for name, value in options.items()]
        configure += further
        jobs = self.parallel or len(os.sched_getaffinity(0))
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at once wait for each other
            subprocess.run(configure, check=True)
            _compile([cmake, "--build", folder, "--parallel", str(jobs)], folder, jobs)
            target = Path(self.get_ext_fullpath(ext.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_suffix(".new")
            shutil.copyfile(folder / target.name, fresh)
            fresh.replace(target)  # a process that has the old module open keeps it
            if not (self.inplace or self.editable_mode or sanitize != "OFF"):
                _add_library(cmake, folder, target.parent)


def _add_library(cmake: str, folder: Path, package: Path) -> None:
    """Put libslim, its headers and what pkg-config asks for into the package."""
    subprocess.run([cmake, "--build", folder, "--target", "slim"], check=True)
    install = [cmake, "--install", folder, "--component", "library"]
    subprocess.run([*install, "--prefix", package], check=True)
    # A wheel has no links, and need not hold the library twice.
    link = package / "lib" / "libslim.so"
    name = os.readlink(link)
    link.unlink()
    link.write_text(f"INPUT({name})\n")  # as linkers read it


def _compile(command: list, folder: Path, jobs: int) -> None:
    """Run the build; of a whole one say before and after how long it takes."""
    whole = not any(folder.glob("_native.*"))
    if whole:
        files = len(json.loads((folder / "compile_commands.json").read_text()))
        minutes = max(1, round(files * SECONDS_PER_FILE / jobs / 60))
        print(
            f"slimlearn: {files} files, some {minutes} min on {jobs} CPUs", flush=True
        )
    start = time.monotonic()
    environment = {"NINJA_STATUS": "[%f/%t, %es] "} | os.environ
    subprocess.run(command, check=True, env=environment)
    if whole:
        print(f"slimlearn: built in {time.monotonic() - start:.0f} s", flush=True)


class CleanCopy(build_py):
    """Copy modules to an empty folder: a deleted one must not live on in a wheel."""

    def run(self) -> None:
        shutil.rmtree(Path(self.build_lib) / "slimlearn", ignore_errors=True)
        super().run()

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple]:
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if module[1] != "setup"]


def _tool(name: str) -> str | None:
    """Find a program that was installed beside this Python, or in PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def _packages() -> list[str]:
    folders = ("estimators", "layers", "backend")
    found = [p.parent for f in folders for p in ROOT.glob(f"{f}/**/__init__.py")]
    names = (".".join(p.relative_to(ROOT).parts) for p in found)
    return ["slimlearn", *sorted(f"slimlearn.{name}" for name in names)]


version = re.search(r'__version__ = "(.+)"', (ROOT / "__init__.py").read_text())[1]

setup(
    version=version,
    packages=_packages(),
    package_dir={"slimlearn": "."},
    package_data={"slimlearn": ["py.typed"]},
    ext_modules=[Extension("slimlearn._native", sources=[])],
    cmdclass={"build_ext": CMakeBuild, "build_py": CleanCopy},
    zip_safe=False,
)
