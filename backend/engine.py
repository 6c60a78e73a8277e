"""The door to native code: compiled programs, their caches, their errors.

The only importer of ``slimlearn._native``. Everything here is a cache that can rebuild
itself from a program's text, so pickles and copies hold text only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slimlearn.backend import reference
from slimlearn.backend.arena import ALIGNMENT, allocate
from slimlearn.backend.program import Program
from slimlearn.backend.roofline import with_shares

try:
    from slimlearn import _native
except ImportError as error:
    raise ImportError(
        "slimlearn's native module is not built or does not load: run `make build` in "
        "the source tree, or reinstall slimlearn with pip"
    ) from error

__all__ = [
    "EpochResult",
    "MinimizeResult",
    "NativeError",
    "NativeModel",
    "Trainer",
    "available_isas",
    "compile",
    "isa",
]

NativeError = _native.NativeError

_ISAS = ("generic", "x86-64-v3", "x86-64-v4")
_CACHED = 64
_cache: OrderedDict[tuple[str, str], NativeModel] = OrderedDict()
_lock = threading.Lock()


def isa() -> str:
    """Return the instruction-set level that programs are compiled for.

    The best one that this machine runs, or ``SLIM_ISA`` from the environment.

    Raises
    ------
    ValueError
        If ``SLIM_ISA`` names a level that does not run here.
    """
    return _native.best_isa()


def available_isas() -> list[str]:
    """Return the instruction-set levels that run here, in rising order."""
    return [name for name in _ISAS if _native.has_isa(name)]


def compile(text: str, isa: str | None = None) -> NativeModel:
    """Return the compiled program of a text, from the cache where it can.

    Parameters
    ----------
    text : str
        A program.
    isa : str, optional
        An instruction-set level; the machine's best by default.

    Raises
    ------
    ValueError
        If the text is no valid program, naming the line or the op.
    """
    key = text, isa or _native.best_isa()
    with _lock:
        model = _cache.get(key)
        if model is not None:
            _cache.move_to_end(key)
            return model
    model = NativeModel(text, isa)
    with _lock:
        _cache[key] = model
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    return model


@dataclass(frozen=True)
class EpochResult:
    """One epoch: mean loss, the sum of its weights, steps done, status bits."""

    loss: float
    weight_sum: float
    steps: int
    status: int = 0


@dataclass(frozen=True)
class MinimizeResult:
    """What L-BFGS did.

    Attributes
    ----------
    end : str
        Why it ended: "gradient", "loss", "iterations", "line_search", "interrupted".
    iterations, evaluations : int
    objective, loss : float
        With and without penalties; the loss is the weighted mean.
    gradient_max : float
        The largest component of the gradient.
    """

    end: str
    iterations: int
    evaluations: int
    objective: float
    loss: float
    gradient_max: float

    @property
    def converged(self) -> bool:
        """Whether it ended at a minimum, as far as rounding shows one."""
        return self.end in ("gradient", "loss")


class NativeModel:
    """A program compiled for one instruction-set level; made by `compile`.

    Parameters
    ----------
    text : str
    isa : str or None
    """

    def __init__(self, text: str, isa: str | None = None):
        self.text = text
        self._wanted_isa = isa
        self.native = _native.Model(text, isa or "")

    def __reduce__(self):
        return compile, (self.text, self._wanted_isa)

    def __repr__(self) -> str:
        return f"<NativeModel for {self.isa}>"

    @property
    def isa(self) -> str:
        """The instruction-set level of its kernels."""
        return self.native.isa

    def run(
        self,
        func: str,
        sources: dict[str, np.ndarray],
        program: Program,
        *,
        rows: np.ndarray | None = None,
        hypers: dict[str, float] | None = None,
        seed: int = 0,
        step: int = 0,
        n_threads: int | None = 1,
        batch: int | None = None,
        gradient: np.ndarray | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Run a function over all rows, in chunks where it treats rows one by one.

        Parameters
        ----------
        func : str
        sources : dict of str to ndarray
        program : Program
            Its arrays are read, and written by what the function sets.
        rows : int array, optional
            Row numbers; all rows by default.
        hypers : dict of str to float, optional
        seed, step : int
            The random key and counter.
        n_threads : int or None
            None for as many as OpenMP allows.
        batch : int, optional
            Rows of a chunk.
        gradient : ndarray of uint8, optional
            An arena laid out as the parameters, for a function that writes gradients.

        Returns
        -------
        tuple of ndarray
            Rows of all chunks; sums over rows are added over the chunks.

        Raises
        ------
        ValueError
            For missing sources, wrong shapes, labels or indices out of range.
        """
        return self.native.run(
            func,
            sources,
            rows,
            program.params,
            program.state,
            gradient,
            hypers or {},
            seed,
            step,
            n_threads or 0,
            batch or 0,
        )

    def predictor(
        self,
        func: str,
        program: Program,
        *,
        hypers: dict[str, float] | None = None,
        n_threads: int | None = 1,
    ) -> Callable[[np.ndarray], np.ndarray | None]:
        """Return the short road of a function that reads ``X`` alone, row by row.

        ``predictor(X)`` takes an exact ndarray, float32 or float64, C-contiguous, of
        shape (rows, columns). It returns None for anything else and where a value is
        not finite: then the long road says what is wrong. The program's arrays stay
        bound: writing to them changes predictions, replacing them does not.

        Raises
        ------
        ValueError
            If the function has no short road.
        """
        return _native.Predictor(
            self.native,
            func,
            program.params,
            program.state,
            hypers or {},
            n_threads or 0,
        )

    def trainer(self, program: Program, sources: dict[str, np.ndarray], **options):
        """Return a `Trainer` of the program's arrays; options as there."""
        return Trainer(self, program, sources, **options)

    def info(self, func: str, rows: int) -> dict:
        """Return facts of the plan for so many rows: launches, arena_bytes, steps."""
        return self.native.info(func, rows)

    def dump(self, func: str, rows: int = 1) -> str:
        """Return the text of a function as its plan runs it, after all passes."""
        return self.native.dump(func, rows)

    def cache_info(self) -> dict[str, int]:
        """Return how often a plan was found, and how often it was made."""
        return {"hits": self.native.plan_hits, "misses": self.native.plan_misses}

    def profile(
        self,
        func: str,
        sources: dict[str, np.ndarray],
        program: Program,
        *,
        hypers: dict[str, float] | None = None,
        batch: int | None = None,
        rounds: int = 100,
    ) -> list[dict]:
        """Time each launch of a function on one chunk of rows, on one thread.

        Returns
        -------
        list of dict
            ``name``, ``op``, ``seconds`` (mean), ``least``, ``flops``, ``bytes`` and
            ``roofline``: the share of the speed that this machine could reach.
        """
        gradient = allocate(self.native.param_bytes)
        launches = self.native.profile(
            func,
            sources,
            program.params,
            program.state,
            gradient,
            hypers or {},
            batch or 0,
            rounds,
        )
        return with_shares(launches, self.native.isa, compile)


class Trainer:
    """Trains the arrays of a program in place; made by `NativeModel.trainer`.

    Parameters
    ----------
    model : NativeModel
        With ``grad``, and ``update`` for epochs.
    program : Program
    sources : dict of str to ndarray
        All rows; read in place, never copied.
    index : int array or None
        The training rows; None for all.
    batch_size : int
    slots : ndarray of uint8, optional
        The optimizer's arena; written in place.
    segments : list of dict, optional
        One for each parameter: ``rate``, ``l1``, ``l2``, ``decay``, ``frozen``.
    hypers : dict of str to float
        All but the learning rate, the step and the segments' coefficients.
    clip_norm, clip_value : float, optional
        Largest norm of the whole gradient, largest size of one element (applied first).
    shuffle : bool
    seed : int
    n_threads : int or None
        None for as many as OpenMP allows; fewer where the work is small.
    """

    def __init__(
        self,
        model: NativeModel,
        program: Program,
        sources: dict[str, np.ndarray],
        *,
        index: np.ndarray | None = None,
        batch_size: int,
        slots: np.ndarray | None = None,
        segments: list[dict] | None = None,
        hypers: dict[str, float] | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        shuffle: bool = True,
        seed: int = 0,
        n_threads: int | None = 1,
    ):
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be greater than 0 or None, got {limit}")
        self._model, self._program, self._sources = model, program, sources
        self._index, self._batch_size = index, batch_size
        self._segments = _segments(model, segments)
        self._hypers = dict(hypers or {})
        self._clip = clip_norm or 0.0, clip_value or 0.0
        self._shuffle, self._seed = shuffle, seed
        self._n_threads = n_threads or 0
        if slots is None:
            slots = allocate(model.native.slot_bytes)
        self._slots = slots
        self._lent_slots = slots if _lendable(slots) else allocate(slots.size)
        self._gradient = allocate(model.native.param_bytes)
        self._native = None

    @property
    def native(self):
        """The native trainer, made when it is first needed."""
        if self._native is None:
            self._native = _native.Trainer(
                self._model.native,
                self._sources,
                self._index,
                self._batch_size,
                [
                    self._program.params,
                    self._program.state,
                    self._gradient,
                    self._lent_slots,
                ],
                self._segments,
                self._hypers,
                *self._clip,
                self._shuffle,
                self._seed,
                self._n_threads,
            )
        return self._native

    def info(self) -> dict:
        """Return facts: steps, lanes, launches a step, arena_bytes, allocations."""
        return self.native.info()

    def epoch(self, epoch: int, step: int, learning_rates) -> EpochResult:
        """Train one epoch.

        Parameters
        ----------
        epoch, step : int
            Epochs and steps done before.
        learning_rates : array of float
            One for each step.

        Raises
        ------
        ValueError
            If a loss or a gradient is not finite, naming epoch, step and the first op
            whose result was not; or for labels and indices out of range.
        KeyboardInterrupt
            Between two steps.
        """
        native = self.native
        private = self._lent_slots is not self._slots
        if private:
            self._lent_slots[...] = self._slots
        try:
            result = native.epoch(epoch, step, learning_rates)
        finally:
            if private:
                self._slots[...] = self._lent_slots
        if result.status or not result.finite:
            self._explain(result, epoch, step)
        weight = result.weight_sum
        loss = result.loss_sum / weight if weight else 0.0
        return EpochResult(loss, weight, result.steps, result.status)

    def lbfgs(
        self,
        max_iter: int = 100,
        tol: float = 1e-4,
        history: int = 10,
        callback: Callable[[int, float, float], bool] | None = None,
        loss_tol: float = 64 * float(np.finfo(float).eps),
    ) -> MinimizeResult:
        """Minimise over all rows by L-BFGS.

        Parameters
        ----------
        max_iter : int
        tol : float
            Ends where no component of the gradient is larger.
        history : int
            Pairs that are kept.
        callback : callable, optional
            ``callback(iteration, objective, loss)`` after each iteration, the weights
            in place; True stops.
        loss_tol : float
            Ends where the objective falls by less, relative to the larger of itself
            and 1.

        Raises
        ------
        ValueError
            For a program with random ops or state in ``grad``, an l1 penalty, or an
            objective that is not finite at the start.
        """
        facts = _native.lbfgs(
            self._model.native,
            self._sources,
            self._index,
            [self._program.params, self._program.state, self._gradient],
            self._segments,
            self._hypers,
            self._seed,
            self._n_threads,
            max_iter,
            tol,
            loss_tol,
            history,
            callback,
        )
        if facts["status"]:
            raise ValueError(reference.status_text(facts["status"]))
        if facts["end"] == "nonfinite":
            raise ValueError(
                "the objective is not finite at the start: scale X and y, or lower the "
                "initial weights"
            )
        weight = facts["weight_sum"]
        return MinimizeResult(
            facts["end"],
            facts["iterations"],
            facts["evaluations"],
            facts["objective"],
            facts["loss_sum"] / weight if weight else 0.0,
            facts["gradient_max"],
        )

    def profile(self, steps: int = 100, learning_rate: float = 1e-3) -> list[dict]:
        """Train `steps` steps on one thread, timing each launch.

        Returns
        -------
        list of dict
            As `NativeModel.profile`; the last is the update.
        """
        launches = self.native.profile(steps, learning_rate)
        return with_shares(launches, self._model.isa, compile)

    def _explain(self, result, epoch: int, step: int) -> None:
        """Raise for an epoch that ended early: replay its last batch and look."""
        at = step + result.steps + 1
        where = f"epoch {epoch + 1}, step {at}"
        text = reference.status_text(result.status)
        if text:
            raise ValueError(f"{where}: {text}")
        rows = np.asarray(result.bad_rows)
        batch = {name: array[rows] for name, array in self._sources.items()}
        first = reference.first_nonfinite(
            self._program.model,
            "grad",
            batch,
            self._program.weights,
            self._program.states,
            self._hypers,
            seed=self._seed,
            step=at,
        )
        what = "the gradient" if result.finite else "the loss"
        first = f"{first} is the first value that is" if first else f"{what} is"
        raise ValueError(
            f"{where}: {first} not finite: lower the learning rate, clip the gradient "
            "(gradient_clip_norm) or scale the data"
        )


def _segments(model: NativeModel, segments: list[dict] | None) -> list[dict]:
    parameters = model.native.parameters
    if segments is None:
        segments = [{} for _ in parameters]
    if len(segments) != len(parameters):
        raise ValueError(
            f"there are {len(parameters)} parameters, got {len(segments)} segments"
        )
    return [
        {**segment, "offset": offset, "length": length}
        for segment, (_, offset, length) in zip(segments, parameters, strict=True)
    ]


def _lendable(arena: np.ndarray) -> bool:
    """Whether native code may use it in place: aligned, with slack behind."""
    whole = arena.base
    if not isinstance(whole, np.ndarray) or arena.ctypes.data % ALIGNMENT:
        return False
    end = whole.ctypes.data + whole.nbytes
    return arena.flags.writeable and end - arena.ctypes.data >= arena.size + ALIGNMENT
