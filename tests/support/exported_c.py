"""Exported C, compiled with warnings as errors and run on rows by a small program."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from slimlearn.backend import engine

__all__ = ["COMPILERS", "ON_ONE_ISA", "Compiled", "build", "compiled", "run_program"]

# Of files that no test on a lower instruction set would find different.
ON_ONE_ISA = pytest.mark.skipif(
    engine.isa() != engine.available_isas()[-1],
    reason="exported C is the same on all instruction sets: the best one tries it",
)
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
    """Run a compiler in a folder; fail with what it says, skip where it is not."""
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"no {command.split()[0]} here")
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
        header = (folder / "net.h").read_text()
        self.functions = functions_of(header)
        self.takes_arena = ", net_arena *arena)" in header
        self.arena_bytes = int(re.search(r"NET_ARENA_BYTES (\d+)", header)[1])
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
        # Of the caller, where the functions take one: filled with what nobody expects.
        arena = np.full(self.arena_bytes // 8 + 1, np.nan)
        own = [ctypes.c_void_p(arena.ctypes.data)] if self.takes_arena else []
        for row in zip(*arrays, strict=True):
            pointers = [ctypes.c_void_p(part.ctypes.data) for part in row]
            if kind == "void":
                word, _, count = parts[-1]
                out = np.full(count, 77, _TYPES[word])
                function(*pointers, ctypes.c_void_p(out.ctypes.data), *own)
                results.append(out)
            else:
                results.append(function(*pointers, *own))
        return np.array(results)


def run_program(folder: Path, compiler: str, runner: str, X: np.ndarray) -> np.ndarray:
    """What a program of one file prints of rows, built by a compiler with options."""
    header = (folder / "net.h").read_text()
    (name, (_, [(_, _, width), (_, _, count)])), *_ = functions_of(header).items()
    assert X[0].size == width
    rows = ",\n".join(
        "{" + ", ".join(f"{value!r}f" for value in row.ravel().tolist()) + "}"
        for row in X.astype(np.float32)
    )
    (folder / "main.c").write_text(f"""
#include <stdio.h>
#include "net.h"

static const float rows[{len(X)}][{width}] = {{{rows}}};

int main(void) {{
  for (int i = 0; i < {len(X)}; ++i) {{
    float y[{count}];
    {name}(rows[i], y);
    for (int j = 0; j < {count}; ++j) printf("%.9g ", y[j]);
  }}
  return 0;
}}
""")
    build(f"{compiler} {WARNINGS} main.c net.c -o main -lm", folder)
    # The libraries of a sanitizer are for Python alone.
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    done = subprocess.run(
        [*runner.split(), "./main"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return np.array(done.stdout.split(), float).reshape(len(X), count)


def compiled(estimator, folder: Path, flags: str = "-O2", compiler="gcc", **options):
    """Export an estimator and compile it; skip where there is no compiler."""
    own = Path(tempfile.mkdtemp(dir=folder))  # a library is loaded once by its path
    estimator.export_c(own / "net.c", **options)
    return Compiled(own, compiler, flags)
