"""Build slimlearn: the Python packages and one native module, which CMake builds."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    """Configure and build ``native/`` in a folder that keeps its objects.

    Environment: ``SLIM_WERROR=ON`` makes warnings errors, ``SLIM_SANITIZE=ON`` builds
    with sanitizers, ``SLIM_BUILD_DIR`` names another folder than ``build/``,
    ``SLIM_LEVELS="v3"`` builds these instruction-set levels alone.
    """

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        sanitize = os.environ.get("SLIM_SANITIZE", "OFF")
        base = Path(os.environ.get("SLIM_BUILD_DIR", ROOT / "build"))
        kind = "sanitize" if sanitize == "ON" else "native"
        folder = base / f"{kind}-{sys.implementation.cache_tag}"
        folder.mkdir(parents=True, exist_ok=True)
        options = {
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            "SLIM_PYTHON": "ON",
            "SLIM_WERROR": os.environ.get("SLIM_WERROR", "OFF"),
            "SLIM_SANITIZE": sanitize,
            "SLIM_LEVELS": os.environ.get("SLIM_LEVELS", "generic v3 v4").replace(
                " ", ";"
            ),
        }
        cmake, ninja = _tool("cmake"), _tool("ninja")
        generator = []
        if ninja:
            generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        configure = [cmake, "-S", ROOT / "native", "-B", folder, *generator]
        configure += [f"-D{name}={value}" for name, value in options.items()]
        jobs = str(self.parallel or os.cpu_count() or 1)
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at once wait for each other
            subprocess.run(configure, check=True)
            subprocess.run([cmake, "--build", folder, "--parallel", jobs], check=True)
            target = Path(self.get_ext_fullpath(ext.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_suffix(".new")
            shutil.copyfile(folder / target.name, fresh)
            fresh.replace(target)  # a process that has the old module open keeps it


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
