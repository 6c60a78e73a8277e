"""The fitted program's native side: a cache that is made anew after unpickling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slimlearn.backend import training
from slimlearn.backend.cache import Cache
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.resident import Resident
from slimlearn.backend.telling import warn
from slimlearn.backend.text import print_program
from slimlearn.estimators.arrays import Home, room_in
from slimlearn.estimators.inputs import Input
from slimlearn.estimators.where import where

__all__ = ["NUMBERS", "Handle", "joined"]


# Parts, and predictors of the short road, that a handle keeps.
_KEPT = 32

# Calls with a row or two in which these are looked at.
_LOOKS = 32

# Numbers in X up to which a copy is cheaper than a look at their strides.
_FEW = 4096


# Numbers in the results of some rows that are in memory while less is made of them,
# and in the result of a row from which on that is worth a look at how many rows.
NUMBERS, _WIDE = 2**22, 16


def _look_closely(*arrays) -> None:
    return None


class _Some:
    """A predictor of the short road for no more than some rows."""

    def __init__(self, predictor, most: int):
        self._predictor = predictor
        self._most = most

    def __call__(self, *arrays):
        first = arrays[0]
        if first.__class__ is np.ndarray and first.ndim and len(first) > self._most:
            return None
        return self._predictor(*arrays)


def joined(pieces: list, concatenate: Callable = np.concatenate):
    """Arrays, or tuples and lists of them, one behind the other."""
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], (tuple, list)):
        return type(pieces[0])(map(concatenate, zip(*pieces)))
    return concatenate(pieces)


class Handle:
    """Runs the functions of one program.

    Parameters
    ----------
    program : Program
    input : Input
        What X means.
    closely : bool
        Whether every call has to look at X closely, as `fit` was given column names or
        arrays of another library.
    device : str
        What runs it.
    strict : bool, default=False
        Whether a device that the program names has to be there; else its part runs
        with the rest, with a warning.
    """

    __slots__ = (
        *("_looks", "_model", "_native", "_parts", "_predictors", "_strict"),
        *("closely", "device", "input", "program", "text"),
    )

    def __init__(
        self,
        program: Program,
        input: Input,
        closely: bool,
        device="cpu",
        strict: bool = False,
    ):
        self.program = program
        self._strict = strict
        self.device = device
        self.input = input
        self.closely = closely
        self._model = None
        self.text = program.text
        self._native = None
        self._looks = _LOOKS
        self._predictors: dict = {}
        self._parts: Cache[Handle] = Cache(_KEPT)

    @property
    def model(self) -> Model:
        """The functions as graphs; parsed when they are asked for."""
        return self.program.model if self._model is None else self._model

    @property
    def native(self):
        """The compiled program; compiled at the first use."""
        if self._native is None:
            device = where(self.device)
            self._native = native = training.compile_text(
                self.text, device, lenient=not self._strict
            )
            for name, why in native.missing.items():
                warn(
                    f"layers.device({name!r}) of this network is not here ({why}): "
                    f"{device!r} computes its part instead"
                )
        return self._native

    @property
    def precision(self) -> str:
        """What X is read as: "f32" or "f64"."""
        return self.program.model.precision

    def seal(self) -> None:
        """Seal the program; what was bound to arrays that change is bound anew."""
        self.program.seal()
        self._predictors, self._parts = {}, Cache(_KEPT)

    def part(self, key, text: Callable[[], str], input: Input | None = None) -> Handle:
        """The handle of a part of the program, which runs on the program's arrays.

        Parameters
        ----------
        key : hashable
            What the part is found by when it is asked for again.
        text : callable
            Writes the part, such as `extract` does.
        input : Input, optional
            What the part reads; the program's by default.
        """

        def make() -> Handle:
            part = Handle(self.program, input or self.input, self.closely, self.device)
            part.text = text()
            return part

        return self._parts.get(key, make)

    def of_model(self, key, model: Callable[[], Model], input: Input) -> Handle:
        """The handle of other functions on the program's arrays.

        Parameters
        ----------
        key : hashable
            As in `part`.
        model : callable
            Makes them, with the program's declarations.
        input : Input
            What they read.
        """

        def make() -> Handle:
            twin = Handle(self.program, input, self.closely, self.device)
            twin._model = model()
            twin.text = print_program(twin._model)
            return twin

        return self._parts.get(key, make)

    def quick(self, function: str, X, n_threads: int | None) -> np.ndarray | None:
        """The short road: the result, or None if X has to be looked at closely.

        It takes exact ndarrays of plain numbers, of the right shape and finite: in C
        order, and a few of any order and type. What X is, is seen natively.
        """
        if self.closely or not self.input.bare:
            return None
        predictor = self.predictor(function, n_threads)
        values = predictor(X)
        if values is None:
            X = self.input.plain(X, _FEW)
            values = None if X is None else predictor(X)
        if values is not None and self.input.range is not None:
            self._glance(X)
        return values

    def _glance(self, X) -> None:
        """Let the input look at X's range: of a row or two in the first calls only.

        The look costs a tenth of what a small network needs for an image.
        """
        if len(X) <= 2:
            if not self._looks:
                return
            self._looks -= 1
        self.input.glance(X)

    def few(self, function: str, X, n_threads: int | None):
        """The short road for a few checked rows of any order, else None."""
        arrays = self.input.few(X, _FEW)
        if arrays is None:
            return None
        return self.predictor(function, n_threads)(*arrays)

    def predictor(self, function: str, n_threads: int | None) -> Callable:
        """The short road itself: a function of the inputs' arrays, in C order.

        It returns None where rows have to be looked at closely.
        """
        key = function, n_threads
        return self._predictors.get(key) or self._bind(key)

    def _bind(self, key: tuple[str, int | None]):
        (function, n_threads), names = key, [form.name for form in self.input.forms]
        try:
            predictor = self.native.predictor(
                function, self.program, names, n_threads=n_threads
            )
        except ValueError:
            # A function that mixes rows, or reads sparse rows, has no short road.
            predictor = _look_closely
        else:
            if self._width(function) > _WIDE:
                predictor = _Some(predictor, self._most(function))
        # A lock would cost a tenth of a call: a full table begins anew.
        known = self._predictors if len(self._predictors) < _KEPT else {}
        self._predictors = {**known, key: predictor}
        return predictor

    def run(
        self,
        function: str,
        X,
        n_threads: int | None,
        finish: Callable | None = None,
        home: Home | None = None,
    ):
        """The result, or several, for checked rows of any type and order.

        Rows that are dense where the program reads sparse ones, or the other way round,
        are converted a chunk at a time. The results of rows that lie on the program's
        GPU are left there as arrays of X's library, if what finishes them takes such.

        Parameters
        ----------
        function : str
        X : object
        n_threads : int or None
        finish : callable or None
            What makes less of the result, some rows at a time.
        home : Home or None
            Where X lives; None for NumPy's.

        Returns
        -------
        ndarray, or array of `home`; or a tuple or list of these
        """
        most = None if finish is None else self._most(function)
        lies = isinstance(X, Resident) and X.device == self.native.device
        takes = finish is None or getattr(finish, "of_any_library", False)
        room = room_in(home, X.device) if lies and takes else None
        pieces = []
        for sources in self.input.batches(X, self.native.chunkable(function), most):
            found = self.native.run(
                function, sources, self.program, n_threads=n_threads, room=room
            )
            found = found[0] if len(found) == 1 else found
            pieces.append(found if finish is None else finish(found))
            del sources, found
        return joined(pieces, np.concatenate if room is None else home.xp.concat)

    def _most(self, function: str) -> int:
        """Rows whose results are not too many numbers."""
        return max(1, NUMBERS // self._width(function))

    def _width(self, function: str) -> int:
        """Numbers of a row's result."""
        return self.native.row_size(function)
