"""Training in place: epochs of steps, or L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from slimlearn.backend import reference
from slimlearn.backend.arena import ALIGNMENT, allocate
from slimlearn.backend.columns import Columns
from slimlearn.backend.engine.native import native
from slimlearn.backend.engine.replay import (
    explain_nonfinite,
    explain_status,
    raise_own,
)
from slimlearn.backend.engine.results import MinimizeResult
from slimlearn.backend.program import Program
from slimlearn.backend.progress import EpochResult

__all__ = ["Trainer"]

_REPLAYED_ROWS = 512  # at a time, where a full batch met bad data


class Trainer:
    """Trains the arrays of a program in place; made by `NativeModel.trainer`.

    Parameters
    ----------
    model : NativeModel
        With ``grad``, and ``update`` for epochs.
    program : Program
    sources : dict of str to ndarray, CSR matrix or Resident
        All rows; read in place, never copied.
    index : int array or None
        The training rows; None for all.
    batch_size : int
    slots : ndarray of uint8, optional
        The optimizer's arena; written in place.
    segments : list of dict, optional
        One for each parameter: ``rate``, ``l1``, ``l2``, ``decay``, ``frozen``, and
        ``scheduled``: a list of (one of these names, column, scale) that adds scale
        times the column's number of each step. Of several optimizers ``update`` is
        the one that moves it, and ``hypers`` has its numbers by name; ``scheduled`` may
        name these too.
    hypers : dict of str to float
        All but the learning rate, the step and the segments' coefficients.
    clip_norm, clip_value : float, optional
        Largest norm of the whole gradient, largest size of one element (applied first).
    shuffle : bool
    seed : int
    n_threads : int or None
        None for as many as OpenMP allows; fewer where the work is small.
    gradient : ndarray of uint8, optional
        An arena as the parameters', for trainers that take turns; written in place.
    accumulate : int
        So many batches make a step: their gradients are added up.
    scheduled : list of (str, int, float, float), optional
        Hypers that change with each step: name, column of the rates, base, scale; the
        hyper is base + scale · the column's number. Column 0 is the learning rate.
    exchange : object, optional
        Of `native.thread_ranks`: this trainer takes its rank's part of each batch.
    """

    def __init__(
        self,
        model,
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
        gradient: np.ndarray | None = None,
        accumulate: int = 1,
        scheduled: list[tuple] | None = None,
        exchange=None,
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
        if gradient is None:
            gradient = allocate(model.native.param_bytes)
        self._gradient = gradient
        rate = [("learning_rate", 0, 0.0, 1.0)] if model.reads_rate else []
        self._scheduled = [*rate, *(scheduled or [])]
        self._accumulate, self._exchange = accumulate, exchange
        self._native = None

    @property
    def native(self):
        """The native trainer, made when it is first needed.

        Raises
        ------
        MemoryError
            If it does not fit the device's memory, naming the batch that would.
        """
        if self._native is None:
            try:
                self._native = self._make(self._batch_size)
            except MemoryError as error:
                if self._model.device == "cpu":
                    raise
                raise MemoryError(f"{error}; {self._what_fits()}") from None
        return self._native

    def _make(self, batch_size: int):
        arenas = self._program.params, self._program.state
        return native.Trainer(
            self._model.native,
            self._sources,
            self._index,
            batch_size,
            [*arenas, self._gradient, self._lent_slots],
            self._segments,
            self._hypers,
            self._scheduled,
            *self._clip,
            self._shuffle,
            self._seed,
            self._n_threads,
            self._accumulate,
            self._exchange,
        )

    def _what_fits(self) -> str:
        """Try batches half as large, and so on: what fits is known once it is there."""
        size = self._batch_size // 2
        while size:
            try:
                self._make(size)
            except MemoryError:
                size //= 2
            else:
                return f"batch_size={size} fits"
        return "no batch_size fits"

    @property
    def running(self) -> bool:
        """Whether its native call is running."""
        return self._native is not None and self._native.busy

    def info(self) -> dict:
        """Return facts: steps, lanes, launches a step, arena_bytes, allocations."""
        return self.native.info()

    def epoch(
        self, epoch: int, step: int, learning_rates, part: int = 0
    ) -> EpochResult:
        """Train one epoch: `epochs`, with one learning rate for each step."""
        steps = self.info()["steps"]
        if len(learning_rates) != steps:
            raise ValueError(
                f"an epoch needs one learning rate a step: {steps}, got "
                f"{len(learning_rates)}"
            )
        [result] = self.epochs(epoch, step, learning_rates, part)
        return result

    def epochs(
        self,
        epoch: int,
        step: int,
        rates,
        part: int = 0,
        begin: Callable[[], bool] | None = None,
        so_far: EpochResult | None = None,
    ) -> Iterator[EpochResult]:
        """Train some epochs in one go, or in a few where they take long.

        It trains when a result is asked for that it does not have yet.

        Parameters
        ----------
        epoch, step : int
            Epochs done before, and their steps.
        rates : array of float of shape (steps,) or (steps, columns)
            The learning rate of each step and what else is scheduled; they say how many
            steps there are.
        part : int
            Which part of the epoch's rows these are: each is shuffled in its own way.
        begin : callable, optional
            Called before each go; whether an interrupt may break its first epoch off.
            By default, and in every other epoch, it waits for the epoch's end, or that
            of the steps.
        so_far : EpochResult, optional
            The steps of the first epoch that are done already.

        Yields
        ------
        EpochResult
            Of each epoch that ended, before any error, and of a last one that has more
            steps than there are rates.

        Raises
        ------
        ValueError
            If a loss or a gradient is not finite, naming epoch, step and the first op
            whose result was not; or for labels and indices out of range.
        KeyboardInterrupt
            Between two epochs, or within one that may be broken off.
        """
        rates = np.asarray(rates, np.float64)
        rates = rates.reshape(len(rates), -1)
        while len(rates):
            breaks = begin is not None and begin()
            for result in self._go(epoch, step, rates, part, breaks, so_far):
                rates = rates[result.steps - (so_far.steps if so_far else 0) :]
                so_far = None
                yield result
                if result.ended:
                    epoch, step = epoch + 1, step + result.steps

    def _go(self, epoch: int, step: int, rates, part: int, breaks: bool, so_far):
        native = self.native
        private = self._lent_slots is not self._slots
        if private:
            self._lent_slots[...] = self._slots
        before = so_far or EpochResult()
        start = epoch + (part << 32), before.steps, step
        sums = before.loss_sum, before.weight_sum
        try:
            results, error = native.run(*start, *sums, rates, breaks)
        finally:
            if private:
                self._slots[...] = self._lent_slots
        for result in results:
            if result.status or not result.finite:
                self._explain(result, epoch, step)
            yield EpochResult(
                result.loss_sum, result.weight_sum, result.steps, result.ended
            )
            epoch, step = epoch + 1, step + result.steps
        if error is not None:
            raise error

    def lbfgs(
        self,
        max_iter: int = 100,
        tol: float = 1e-4,
        history: int = 10,
        callback: Callable[[int, float, float], bool] | None = None,
        loss_tol: float = 64 * float(np.finfo(float).eps),
        columns: Columns | None = None,
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
        columns : Columns, optional
            Of a layer that reads X itself: its weights are then measured, and `tol`
            too, as if its columns were centred and scaled.

        Raises
        ------
        ValueError
            For a program with random ops or state in ``grad``, an l1 penalty, or an
            objective that is not finite at the start.
        """
        facts = native.lbfgs(
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
            columns and columns.lent(self._program),
        )
        if facts["status"]:
            raise ValueError(
                explain_status(
                    facts["status"],
                    self._program,
                    "grad",
                    self._sources,
                    self._index,
                    self._hypers,
                    size=_REPLAYED_ROWS,
                    seed=self._seed,
                )
            )
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
        return self._model.with_shares(launches)

    def _explain(self, result, epoch: int, step: int) -> None:
        """Raise for an epoch that ended early: replay its last batch and look."""
        raise_own(result.status)
        at = step + result.steps + 1
        where = f"epoch {epoch + 1}, step {at}"
        rows = np.asarray(result.bad_rows)
        replayed = self._program, "grad", self._sources
        counters = {"seed": self._seed, "step": at}
        if reference.status_text(result.status):
            text = explain_status(
                result.status, *replayed, rows, self._hypers, **counters
            )
            raise ValueError(f"{where}: {text}")
        first = explain_nonfinite(*replayed, rows, self._hypers, **counters)
        what = "the gradient" if result.finite else "the loss"
        first = f"{first} is the first value that is" if first else f"{what} is"
        raise ValueError(
            f"{where}: {first} not finite: lower the learning rate, clip the gradient "
            "(gradient_clip_norm) or scale the data"
        )


def _segments(model, segments: list[dict] | None) -> list[dict]:
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
