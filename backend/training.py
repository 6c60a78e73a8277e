"""One training run: its numbers, its rows, its trainer, and where they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from slimlearn.backend.arena import allocate, copy_arena
from slimlearn.backend.columns import Columns
from slimlearn.backend.interrupts import Deferred
from slimlearn.backend.optimizer import Optimizer
from slimlearn.backend.program import Program
from slimlearn.backend.progress import Progress
from slimlearn.backend.running import Run, Watch
from slimlearn.backend.schedule import Schedule

__all__ = ["Part", "Progress", "Settings", "compile_text", "fit", "make_trainer"]


def compile_text(text: str, device: str = "cpu", lenient: bool = False):
    """The program's native model on a device; cached. See `engine.compile`."""
    from slimlearn.backend import engine

    return engine.compile(text, device=device, lenient=lenient)


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
        For each parameter its ``l1``, ``l2``, ``decay``, ``frozen``, ``scheduled``.
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
        Set by who changes the segments between two steps.
    accumulate : int
        Batches whose gradients are added up for a step.
    schedules : dict of str to Schedule
        Of other numbers than the learning rate: the columns of the rates behind it,
        as factors.
    scheduled : list of (str, int, float, float)
        Hypers that these columns change: name, column, base, scale.
    first_epoch : int
        Epochs that earlier runs did.
    columns : Columns or None
        Those of X that L-BFGS measures the weights of the first layer by.
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
    accumulate: int = 1
    schedules: dict[str, Schedule] = field(default_factory=dict)
    scheduled: list[tuple] = field(default_factory=list)
    first_epoch: int = 0
    columns: Columns | None = None


Observe = Callable[[float], tuple[bool, float]]


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
        accumulate=min(settings.accumulate, len(part)),
        scheduled=settings.scheduled,
    )


def fit(
    native,
    program: Program,
    parts: Iterable[Part],
    sizes: Sequence[int] | None,
    settings: Settings,
    progress: Progress,
    record: Callable[[float, float | None], None],
    observe: Observe,
    *,
    watched: bool = True,
    watch: Watch | None = None,
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
    record : callable
        ``record(mean loss, learning rate of the last step)``, with each epoch that is
        counted; L-BFGS has no rate, None.
    observe : callable
        ``observe(mean loss) -> (stop, monitored loss)``, after that.
    watched : bool
        Whether `observe` looks at the weights or may stop. Else epochs of a list of one
        part run ahead of it.
    watch : Watch, optional
        Who is called between steps.

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
        return _minimize(trainer, program, settings, progress, record, observe)
    gradient = allocate(program.params.size)

    def trainer_of(part: Part):
        if part.trainer is None or settings.changed:
            part.trainer = make_trainer(
                native, program, part, settings, slots, gradient
            )
            settings.changed = False
        return part.trainer

    run = Run(trainer_of, program, settings, progress, sizes, record, observe, watch)
    if isinstance(parts, list):
        [part] = parts
        return run.whole(part, watched)
    return run.chunks(parts)


def _minimize(trainer, program, settings, progress, record, observe) -> str:
    arenas = program.params, program.state
    counted = [copy_arena(arena) for arena in arenas]

    counting = False

    def after(iteration: int, objective: float, loss: float) -> bool:
        nonlocal counting
        counting = True
        progress.epoch += 1
        record(loss, None)
        for kept, arena in zip(counted, arenas, strict=True):
            kept[...] = arena
        counting = False
        deferred.raise_now()
        return observe(loss)[0]

    with Deferred(lambda: not counting) as deferred:
        try:
            result = trainer.lbfgs(
                max_iter=settings.max_iter,
                tol=settings.tol,
                history=settings.optimizer.history,
                callback=after,
                columns=settings.columns,
            )
        except BaseException:
            counting = True  # what no iteration has counted is undone
            for kept, arena in zip(counted, arenas, strict=True):
                arena[...] = kept
            raise
    if progress.epoch == 0:
        # The start was the minimum: no iteration was needed, but the loss is known.
        after(0, result.objective, result.loss)
    return result.end
