"""Printed source as a library: compiled by the system's compiler, called by ctypes."""

import ctypes
import os
import platform
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np

from slimlearn.backend import engine
from slimlearn.backend.engine.source import Argument, Kernel
from slimlearn.backend.reference import DTYPES
from slimlearn.backend.shape import evaluate
from slimlearn.backend.shape.parser import parse_dim

X86 = platform.machine() in ("x86_64", "AMD64")

# The kernels' floating-point mode for the thread that calls: denormals are zeros.
MODE = """
#include <xmmintrin.h>
unsigned slim_test_flush(unsigned on) {
  _mm_setcsr(on ? _mm_getcsr() | 0x8040 : _mm_getcsr() & ~0x8040u);
  return 0;
}
"""

FLAGS = "-std=c99 -O1 -fPIC -shared -Wall -Wextra -Werror -pedantic -fno-math-errno"


def compiler() -> list[str] | None:
    """Return the command of the system's C compiler, None where there is none."""
    words = shlex.split(os.environ.get("CC", "cc"))
    return words if words and shutil.which(words[0]) else None


class Library:
    """A file of printed functions, compiled for the kernels of one level.

    Parameters
    ----------
    functions : dict of str to (str, str)
        As `engine.source` takes them.
    isa : str
    folder : Path
    """

    def __init__(self, functions: dict, isa: str, folder: Path):
        self.source = engine.source(functions)
        (folder / "tapes.c").write_text(self.source.text)
        files = ["tapes.c"]
        flags = shlex.split(FLAGS)
        if isa == "generic":
            flags.append("-DSLIM_NO_FMA")
        elif X86:
            flags.append("-mfma")
        if X86:
            (folder / "mode.c").write_text(MODE)
            files.append("mode.c")
        command = [*compiler(), *flags, *files, "-o", "tapes.so", "-lm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:4000]
        self._library = ctypes.CDLL(str(folder / "tapes.so"))
        self._kernels: dict[str, list[Kernel]] = {}
        for kernel in self.source.kernels:
            prefix = kernel.name.rpartition("_")[0]
            self._kernels.setdefault(prefix, []).append(kernel)

    def kernels(self, prefix: str) -> list[Kernel]:
        """Return the functions with this prefix, in order."""
        return self._kernels.get(prefix, [])

    def call(self, kernel: Kernel, rows: int, operands, results) -> None:
        """Run a function on arrays, whose first elements it is given."""
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*operands, *results)]
        function = getattr(self._library, kernel.name)
        function.restype = None
        if X86:
            self._library.slim_test_flush(1)
        try:
            function(ctypes.c_int64(rows), *pointers)
        finally:
            if X86:
                self._library.slim_test_flush(0)

    def run(self, prefix: str, text: str, values: dict, rows: int) -> tuple:
        """Return what a function of tapes and broadcasts returns.

        Parameters
        ----------
        prefix : str
        text : str
            The program with the function ``f``, as optimized.
        values : dict of str to ndarray
            By the names of inputs; gets those of all other values.
        rows : int
        """
        wide = dict(re.findall(r"^  %(\S+) = broadcast\(%(\S+)\)", text, re.M))
        for kernel in self.kernels(prefix):
            for operand in kernel.operands:
                if operand.name in wide:
                    whole = empty(operand, rows)
                    whole[...] = values[wide[operand.name]]
                    values[operand.name] = whole
            operands = [values[operand.name] for operand in kernel.operands]
            results = [empty(result, rows) for result in kernel.results]
            self.call(kernel, rows, operands, results)
            for result, array in zip(kernel.results, results, strict=True):
                values[result.name] = array
        names = re.search(r"^  return (.*)", text, re.M)[1].split(", ")
        return tuple(values[name.removeprefix("%")] for name in names)


def empty(argument: Argument, rows: int) -> np.ndarray:
    """Return room for a result, filled with what no test expects."""
    dtype, dims = re.fullmatch(r"(\w+)\[(.*)\]", argument.type).groups()
    sizes = {"B": rows, "P": rows}
    shape = [evaluate(parse_dim(dim), sizes) for dim in dims.split(",") if dim]
    array = np.empty(shape, DTYPES[dtype])
    array.view(np.uint8 if array.ndim else array.dtype).fill(0x5A)
    if argument.row_stride:
        wide = np.full((*shape[:-1], argument.row_stride), 0x5A, array.dtype)
        array = wide[..., : shape[-1]]
    return array


def assert_same_bits(got: np.ndarray, want: np.ndarray) -> None:
    """Bits of numbers; NaN where there is NaN; denormals are zeros of their sign."""
    assert got.dtype == want.dtype and got.shape == want.shape
    if got.dtype.kind == "f":
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        got, want = _plain_bits(got), _plain_bits(want)
    np.testing.assert_array_equal(got, want)


def _plain_bits(a: np.ndarray) -> np.ndarray:
    a = np.where(np.isnan(a), a.dtype.type(0), a)
    a = np.where(np.abs(a) < np.finfo(a.dtype).tiny, np.copysign(a.dtype.type(0), a), a)
    return a.view(f"i{a.dtype.itemsize}")
