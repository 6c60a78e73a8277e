"""Exported C, compiled with warnings as errors and run on rows by a small program."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

__all__ = ["COMPILERS", "Compiled", "build", "compiled"]

WARNINGS = "-std=c99 -Wall -Wextra -Werror -pedantic"
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]

_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int32_t": np.int32,
    "int64_t": np.int64,
    "uint8_t": np.uint8,
}


def build(command: str, folder: Path) -> None:
    """Run a compiler in a folder; fail with what it says."""
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def functions_of(header: str) -> dict[str, tuple[str, list[tuple[str, str, int]]]]:
    """What a header declares: by name the result and (type, name, count) of each."""
    found = {}
    for kind, name, words in re.findall(r"^(\w+) (\w+)\((.*)\);$", header, re.M):
        parts = re.findall(r"(\w+) (\w+)\[(\d+)\]", words)
        found[name] = kind, [(t, n, int(c)) for t, n, c in parts]
    return found


class Compiled:
    """A library of one exported file.

    Parameters
    ----------
    folder : Path
        That holds ``net.c`` and ``net.h``.
    compiler, flags : str
    """

    def __init__(self, folder: Path, compiler: str = "gcc", flags: str = "-O2"):
        name = f"net-{compiler}{flags}.so".replace(" ", "")
        options = f"{WARNINGS} {flags} -shared -fPIC net.c -o {name} -lm"
        build(f"{compiler} {options}", folder)
        self.functions = functions_of((folder / "net.h").read_text())
        self._library = ctypes.CDLL(str(folder / name))

    def rows(self, name: str, *sources: np.ndarray) -> np.ndarray:
        """What a function gives for each row of its inputs, in their order."""
        kind, parts = self.functions[f"net_{name}"]
        function = getattr(self._library, f"net_{name}")
        function.restype = None if kind == "void" else ctypes.c_int32
        arrays = [
            np.ascontiguousarray(source, _TYPES[part[0]]).reshape(len(source), -1)
            for source, part in zip(sources, parts, strict=False)
        ]
        assert [a.shape[1] for a in arrays] == [count for _, _, count in parts][
            : len(arrays)
        ]
        results = []
        for row in zip(*arrays, strict=True):
            pointers = [ctypes.c_void_p(part.ctypes.data) for part in row]
            if kind == "void":
                word, _, count = parts[-1]
                out = np.full(count, 77, _TYPES[word])
                function(*pointers, ctypes.c_void_p(out.ctypes.data))
                results.append(out)
            else:
                results.append(function(*pointers))
        return np.array(results)


def compiled(estimator, folder: Path, flags: str = "-O2", compiler="gcc", **options):
    """Export an estimator and compile it; skip where there is no compiler."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    estimator.export_c(folder / "net.c", **options)
    return Compiled(folder, compiler, flags)
