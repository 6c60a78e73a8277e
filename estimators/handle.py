"""The fitted program's native side: a cache that is made anew after unpickling."""

from __future__ import annotations

import numpy as np

from slimlearn.backend import training
from slimlearn.backend.dataset import as_source
from slimlearn.backend.program import Program

__all__ = ["Handle"]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Handle:
    """Runs the functions of one program.

    Parameters
    ----------
    program : Program
    columns : int
        Of X.
    named : bool
        Whether X had column names, which every call then has to check.
    """

    __slots__ = ("_native", "_roads", "columns", "named", "program")

    def __init__(self, program: Program, columns: int, named: bool):
        self.program = program
        self.columns = columns
        self.named = named
        self._native = None
        self._roads: dict = {}

    @property
    def native(self):
        """The compiled program; compiled at the first use."""
        if self._native is None:
            self._native = training.compile_text(self.program.text)
        return self._native

    def quick(self, function: str, X) -> np.ndarray | None:
        """The short road: the result, or None if X has to be looked at closely.

        It takes an exact ndarray of float32 or float64 in C order and of the right
        width; whether it is finite is seen natively.
        """
        if (
            X.__class__ is not np.ndarray
            or self.named
            or X.ndim != 2
            or X.shape[1] != self.columns
            or X.dtype not in _FLOATS
            or not X.flags.c_contiguous
            or X.shape[0] == 0
        ):
            return None
        road = self._roads.get(function)
        if road is None:
            road = self._roads[function] = self.native.predictor(function, self.program)
        return road(X)

    def run(self, function: str, X: np.ndarray, n_threads: int | None) -> np.ndarray:
        """The result for checked rows of any type and order."""
        sources = {"X": as_source(X)}
        return self.native.run(function, sources, self.program, n_threads=n_threads)[0]
