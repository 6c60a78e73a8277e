"""The fitted program's native side: a cache that is made anew after unpickling."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.sparse import csr_array, issparse

from slimlearn.backend import training
from slimlearn.backend.cache import Cache
from slimlearn.backend.dataset import as_source
from slimlearn.backend.graph import storage_of
from slimlearn.backend.program import Program

__all__ = ["Handle"]


# Numbers of the rows that are made dense, or sparse, at a time.
_CHUNK = 2**21

# Parts, and predictors of the short road, that a handle keeps.
_KEPT = 32

# Numbers in X up to which a copy is cheaper than a look at their strides.
_FEW = 4096


def _look_closely(X) -> None:
    return None


class Handle:
    """Runs the functions of one program.

    Parameters
    ----------
    program : Program
    closely : bool
        Whether every call has to look at X closely, as `fit` was given column names or
        arrays of another library.
    """

    __slots__ = (
        *("_native", "_parts", "_predictors", "_sparse"),
        *("closely", "program", "text"),
    )

    def __init__(self, program: Program, closely: bool):
        self.program = program
        self.closely = closely
        self.text = program.text
        self._native = None
        self._sparse: bool | None = None
        self._predictors: dict = {}
        self._parts: Cache[Handle] = Cache(_KEPT)

    @property
    def native(self):
        """The compiled program; compiled at the first use."""
        if self._native is None:
            self._native = training.compile_text(self.text)
        return self._native

    @property
    def precision(self) -> str:
        """What X is read as: "f32" or "f64"."""
        return self.program.model.precision

    @property
    def sparse(self) -> bool:
        """Whether X is read as sparse rows."""
        if self._sparse is None:
            self._sparse = any(
                node.op == "input" and storage_of(node.results[0].dtype)
                for node in self.program.model.functions["predict"].nodes
            )
        return self._sparse

    def part(self, key, text: Callable[[], str]) -> Handle:
        """The handle of a part of the program, which runs on the program's arrays.

        Parameters
        ----------
        key : hashable
            What the part is found by when it is asked for again.
        text : callable
            Writes the part, such as `extract` does.
        """

        def make() -> Handle:
            part = Handle(self.program, self.closely)
            part.text = text()
            return part

        return self._parts.get(key, make)

    def quick(self, function: str, X, n_threads: int | None) -> np.ndarray | None:
        """The short road: the result, or None if X has to be looked at closely.

        It takes an exact ndarray of float32 or float64 in C order, of the right width
        and finite; what X is, is seen natively.
        """
        return None if self.closely else self._short(function, X, n_threads)

    def few(self, function: str, X: np.ndarray, n_threads: int | None):
        """The short road for a few checked rows of any order, else None.

        Copying so little costs less than binding it as a source.
        """
        if self.sparse or issparse(X) or X.dtype.kind != "f" or X.size > _FEW:
            return None
        X = np.ascontiguousarray(as_source(X))
        return self._short(function, X, n_threads)

    def _short(self, function: str, X, n_threads: int | None) -> np.ndarray | None:
        key = function, n_threads
        predictor = self._predictors.get(key)
        if predictor is None:
            predictor = self._bind(function, n_threads)
            # A lock would cost a tenth of a call: a full table begins anew.
            known = self._predictors if len(self._predictors) < _KEPT else {}
            self._predictors = {**known, key: predictor}
        values = predictor(X)
        return None if values is None or len(values) == 0 else values

    def _bind(self, function: str, n_threads: int | None):
        try:
            return self.native.predictor(function, self.program, n_threads=n_threads)
        except ValueError:
            # A function that mixes rows, or reads sparse rows, has no short road.
            return _look_closely

    def run(
        self, function: str, X, n_threads: int | None
    ) -> np.ndarray | tuple[np.ndarray, ...]:
        """The result, or several, for checked rows of any type and order.

        Rows that are dense where the program reads sparse ones, or the other way round,
        are converted a chunk at a time.
        """
        values = [
            self.native.run(function, {"X": rows}, self.program, n_threads=n_threads)
            for rows in self._readable(function, as_source(X))
        ]
        if len(values) > 1:
            values = [tuple(map(np.concatenate, zip(*values)))]
        return values[0][0] if len(values[0]) == 1 else values[0]

    def _readable(self, function: str, X) -> Iterator:
        """X as the program reads it, whole or in chunks."""
        if issparse(X) == self.sparse:
            yield X
            return
        step = max(1, _CHUNK // X.shape[1])
        if not self.native.chunkable(function):
            if not self.sparse:
                raise ValueError(
                    "X is sparse, but the network was fitted on dense X and mixes "
                    "rows, so that it must see all of them at once: give X.toarray()"
                )
            step = X.shape[0]
        for begin in range(0, X.shape[0], step):
            rows = X[begin : begin + step]
            yield as_source(csr_array(rows)) if self.sparse else rows.toarray()
