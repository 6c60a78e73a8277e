"""One training run: rates and steps, epoch by epoch, or L-BFGS on all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

import numpy as np

from slimlearn.backend.arena import allocate, copy_arena
from slimlearn.backend.dataset import steps_per_epoch
from slimlearn.backend.interrupts import Deferred
from slimlearn.backend.optimizer import Optimizer
from slimlearn.backend.program import Program
from slimlearn.backend.schedule import Schedule

__all__ = ["Part", "Progress", "Settings", "compile_text", "fit", "make_trainer"]


def compile_text(text: str):
    """The program's native model; cached by its text."""
    from slimlearn.backend import engine

    return engine.compile(text)


@dataclass
class Progress:
    """What training needs beside the weights to go on as if it had not stopped."""

    epoch: int = 0
    step: int = 0
    slots: np.ndarray | None = None
    memory: dict | None = None

    def copy(self) -> Progress:
        """A progress to continue, leaving this one alone."""
        slots = None
        if self.slots is not None:
            slots = allocate(self.slots.size)
            slots[...] = self.slots
        return Progress(self.epoch, self.step, slots, self.memory)


@dataclass
class Settings:
    """The numbers of one run.

    Attributes
    ----------
    optimizer : Optimizer
    schedule : Schedule
    learning_rate : float
    max_iter : int
        Epochs, or iterations of L-BFGS.
    batch_size : int
    segments : list of dict
        For each parameter its ``l1``, ``l2``, ``decay``, ``frozen``.
    hypers : dict of str to float
        Run-time numbers of layers, head and optimizer.
    clip_norm : float or None
    tol : float
        L-BFGS stops where no component of the gradient is larger.
    shuffle : bool
    seed : int
    n_threads : int or None
    clip_value : float or None
        Largest size of one element of the gradient.
    changed : bool
        Set by who changes the segments between two epochs.
    """

    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    max_iter: int
    batch_size: int
    segments: list[dict]
    hypers: dict[str, float]
    clip_norm: float | None
    tol: float
    shuffle: bool
    seed: int
    n_threads: int | None
    clip_value: float | None = None
    changed: bool = False


Observe = Callable[[float], tuple[bool, float]]

# Steps that run in one go at most, where nobody watches: their rates are in memory.
_STEPS_AHEAD = 1 << 16


# Seconds of an epoch that an interrupt does not wait for.
_LONG_EPOCH = 0.25


class _Start:
    """The arrays as the running epoch found them, where it may be broken off.

    A short epoch costs no copy: an interrupt waits for its end.
    """

    def __init__(self, program: Program, progress: Progress):
        self._arenas = program.params, program.state, progress.slots
        self._progress, self._first = progress, progress.epoch
        self._began = perf_counter(), progress.epoch
        self._copies: list[np.ndarray] | None = None
        self._epoch = -1

    def begin(self, copy: bool = False) -> bool:
        """Called where an epoch begins; whether an interrupt may break it off."""
        progress, now = self._progress, perf_counter()
        began, before = self._began
        self._began = now, progress.epoch
        if progress.epoch == self._first:
            return True  # nobody keeps what this call has done
        if not copy and now - began < _LONG_EPOCH * (progress.epoch - before):
            return False
        if self._copies is None:
            self._copies = [copy_arena(arena) for arena in self._arenas]
        else:
            for kept, arena in zip(self._copies, self._arenas, strict=True):
                kept[...] = arena
        self._epoch = progress.epoch
        return True

    def restore(self) -> None:
        """Undo an epoch that did not end."""
        if self._epoch == self._progress.epoch:
            for kept, arena in zip(self._copies, self._arenas, strict=True):
                arena[...] = kept


@dataclass(eq=False)
class Part:
    """Training rows that are in memory together: all of them, or a chunk.

    Attributes
    ----------
    sources : dict of str to ndarray or CSR matrix
    rows : index array or None
        The rows that are trained on; None means all.
    name : str
        What an error of its training begins with.
    """

    sources: dict[str, np.ndarray]
    rows: np.ndarray | None = None
    name: str = ""
    trainer: object = field(default=None, repr=False)

    def __len__(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return next(iter(self.sources.values())).shape[0]

    def running(self) -> bool:
        """Whether its native trainer is at work."""
        return self.trainer is not None and self.trainer.running


def make_trainer(
    native,
    program: Program,
    part: Part,
    settings: Settings,
    slots: np.ndarray,
    gradient: np.ndarray | None = None,
):
    """The native trainer of `program`'s arrays.

    Parameters
    ----------
    native : compiled model
        What `compile_text` returned.
    program : Program
        Whose arrays are trained in place.
    part : Part
        The rows.
    settings : Settings
    slots : ndarray of uint8
        The optimizer's arena; written in place.
    gradient : ndarray of uint8, optional
        An arena as the parameters' for the gradient; a fresh one by default.
    """
    return native.trainer(
        program,
        part.sources,
        index=part.rows,
        batch_size=min(settings.batch_size, len(part)),
        slots=slots,
        segments=settings.segments,
        hypers=settings.hypers,
        clip_norm=settings.clip_norm,
        clip_value=settings.clip_value,
        shuffle=settings.shuffle,
        seed=settings.seed,
        n_threads=settings.n_threads,
        gradient=gradient,
    )


def fit(
    native,
    program: Program,
    parts: Iterable[Part],
    sizes: Sequence[int] | None,
    settings: Settings,
    progress: Progress,
    observe: Observe,
    *,
    watched: bool = True,
) -> str:
    """Train the arrays of `program` in place.

    Parameters
    ----------
    native, program, settings
        As in `make_trainer`.
    parts : iterable of Part
        Iterated once an epoch. L-BFGS takes the only one of a list.
    sizes : sequence of int or None
        Rows of each part, which the schedule goes by; None where that is not known and
        the rates depend on no number of steps.
    progress : Progress
        Read and moved on.
    observe : callable
        ``observe(mean loss) -> (stop, monitored loss)``, after each epoch.
    watched : bool
        Whether `observe` looks at the weights or may stop. Else epochs of a list of one
        part run ahead of it.

    Returns
    -------
    str
        Why it ended: "epochs", "stopped", or L-BFGS' word, such as "gradient".

    Raises
    ------
    ValueError
        If the loss becomes non-finite, naming epoch, step and the first bad value.
    KeyboardInterrupt
        Within a second. The arrays are those of the last epoch that ended; if none of
        this call did, they are to be thrown away.
    """
    slots = progress.slots
    if slots is None:
        slots = progress.slots = program.allocate_slots()
    if not settings.optimizer.iterative:
        [part] = parts
        trainer = make_trainer(native, program, part, settings, slots)
        return _minimize(trainer, settings, progress, observe)
    schedule, last = settings.schedule, progress.epoch + settings.max_iter
    steps = sum(steps_per_epoch(n, settings.batch_size) for n in sizes or (1,) if n)
    gradient = allocate(program.params.size)

    start = _Start(program, progress)

    def run(part: Part, number: int, step: int, begin, epochs: int = 1):
        if part.trainer is None or settings.changed:
            part.trainer = make_trainer(
                native, program, part, settings, slots, gradient
            )
            settings.changed = False
        own = steps_per_epoch(len(part), settings.batch_size)
        rates = [
            schedule.rates(
                settings.learning_rate,
                begin,
                begin + own,
                steps_per_epoch=steps,
                total_steps=last * steps,
                memory=progress.memory,
            )
            for begin in range(step, step + epochs * own, own)
        ]
        rates = rates[0] if epochs == 1 else np.concatenate(rates)
        try:
            yield from part.trainer.epochs(progress.epoch, step, rates, number, begin)
        except ValueError as error:
            if not part.name:
                raise
            raise ValueError(f"{part.name}: {error}") from error

    def end_epoch(step: int, loss: float) -> bool:
        progress.step = step
        progress.epoch += 1
        stop, monitored = observe(loss)
        progress.memory = schedule.observe(monitored, progress.memory)
        return stop

    try:
        if isinstance(parts, list):
            [part] = parts
            ahead = 1 if watched or schedule.listens else max(1, _STEPS_AHEAD // steps)
            stop = False
            while progress.epoch < last and not stop:
                epochs = min(last - progress.epoch, ahead)
                # Epochs done are counted before an interrupt that came meanwhile.
                with nullcontext() if watched else Deferred(part.running):
                    for result in run(part, 0, progress.step, start.begin, epochs):
                        stop = end_epoch(progress.step + result.steps, result.loss)
            return "stopped" if stop else "epochs"

        while progress.epoch < last:
            numbers, step, loss, weight = count(), progress.step, 0.0, 0.0
            breaks = start.begin(copy=True)  # it may be between two chunks
            for part in parts:
                [result] = run(part, next(numbers), step, lambda: breaks)  # noqa: B023
                step += result.steps
                weight += result.weight_sum
                loss += (result.loss - loss) * (result.weight_sum / weight)
                del part  # before the next one is loaded
            if end_epoch(step, loss):
                return "stopped"
        return "epochs"
    except BaseException:
        start.restore()
        raise


def _minimize(trainer, settings, progress, observe) -> str:
    def after(iteration: int, objective: float, loss: float) -> bool:
        progress.epoch += 1
        return observe(loss)[0]

    result = trainer.lbfgs(
        max_iter=settings.max_iter,
        tol=settings.tol,
        history=settings.optimizer.history,
        callback=after,
    )
    if progress.epoch == 0:
        # The start was the minimum: no iteration was needed, but the loss is known.
        after(0, result.objective, result.loss)
    return result.end
