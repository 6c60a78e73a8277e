"""One training run: rates and steps, epoch by epoch, or L-BFGS on all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slimlearn.backend.arena import allocate
from slimlearn.backend.dataset import steps_per_epoch
from slimlearn.backend.optimizer import Optimizer
from slimlearn.backend.program import Program
from slimlearn.backend.schedule import Schedule

__all__ = ["Progress", "Settings", "compile_text", "fit", "make_trainer"]


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


def make_trainer(
    native,
    program: Program,
    sources: dict[str, np.ndarray],
    rows: np.ndarray | None,
    settings: Settings,
    slots: np.ndarray,
):
    """The native trainer of `program`'s arrays.

    Parameters
    ----------
    native : compiled model
        What `compile_text` returned.
    program : Program
        Whose arrays are trained in place.
    sources : dict of str to ndarray
        All rows.
    rows : index array or None
        The training rows; None means all.
    settings : Settings
    slots : ndarray of uint8
        The optimizer's arena; written in place.
    """
    return native.trainer(
        program,
        sources,
        index=rows,
        batch_size=min(settings.batch_size, _count(sources, rows)),
        slots=slots,
        segments=settings.segments,
        hypers=settings.hypers,
        clip_norm=settings.clip_norm,
        clip_value=settings.clip_value,
        shuffle=settings.shuffle,
        seed=settings.seed,
        n_threads=settings.n_threads,
    )


def _count(sources, rows) -> int:
    return len(rows) if rows is not None else next(iter(sources.values())).shape[0]


def fit(
    native,
    program: Program,
    sources: dict[str, np.ndarray],
    rows: np.ndarray | None,
    settings: Settings,
    progress: Progress,
    observe: Observe,
) -> str:
    """Train the arrays of `program` in place.

    Parameters
    ----------
    native, program, sources, rows, settings
        As in `make_trainer`.
    progress : Progress
        Read and moved on.
    observe : callable
        ``observe(mean loss) -> (stop, monitored loss)``, after each epoch.

    Returns
    -------
    str
        Why it ended: "epochs", "stopped", or L-BFGS' word, such as "gradient".

    Raises
    ------
    ValueError
        If the loss becomes non-finite, naming epoch, step and the first bad value.
    """
    slots = progress.slots
    if slots is None:
        slots = progress.slots = program.allocate_slots()
    trainer = make_trainer(native, program, sources, rows, settings, slots)
    if not settings.optimizer.iterative:
        return _minimize(trainer, settings, progress, observe)
    steps = steps_per_epoch(_count(sources, rows), settings.batch_size)
    schedule, last = settings.schedule, progress.epoch + settings.max_iter
    settings.changed = False
    while progress.epoch < last:
        if settings.changed:
            settings.changed = False
            trainer = make_trainer(native, program, sources, rows, settings, slots)
        rates = schedule.rates(
            settings.learning_rate,
            progress.step,
            progress.step + steps,
            steps_per_epoch=steps,
            total_steps=last * steps,
            memory=progress.memory,
        )
        result = trainer.epoch(progress.epoch, progress.step, rates)
        progress.step += result.steps
        progress.epoch += 1
        stop, monitored = observe(result.loss)
        progress.memory = schedule.observe(monitored, progress.memory)
        if stop:
            return "stopped"
    return "epochs"


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
