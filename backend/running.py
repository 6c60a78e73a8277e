"""Epochs of one training run: rates, stretches of steps, what a broken one keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from itertools import count
from time import perf_counter

import numpy as np

from slimlearn.backend.arena import copy_arena
from slimlearn.backend.dataset import steps_per_epoch
from slimlearn.backend.interrupts import Deferred
from slimlearn.backend.progress import EpochResult, Progress, Within

__all__ = ["Run", "Watch"]

# Steps that run in one go at most, where nobody watches: their rates are in memory.
_STEPS_AHEAD = 1 << 16
# Seconds of an epoch that an interrupt does not wait for.
_LONG_EPOCH = 0.25


class Watch:
    """Who wants to be called between steps, and when; nobody, unless overridden.

    Attributes
    ----------
    seconds : float or None
        Steps run no longer than about this without a call.
    takes_time : bool
        Whether an interrupt may well come within a call, before the epoch is counted.
    """

    seconds: float | None = None
    takes_time = False

    def due(self, step: int) -> int | None:
        """The next step after `step`, counted from 1, that a call has to follow."""
        return None

    def __call__(self) -> bool:
        """Called after steps, the progress being that of the last one; True stops."""
        return False


class _Start:
    """The arrays as the running epoch found them, where it may be broken off.

    A short epoch costs no copy: an interrupt waits for its end.
    """

    def __init__(self, program, progress: Progress):
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
        with Deferred():
            if self._epoch == self._progress.epoch:
                for kept, arena in zip(self._copies, self._arenas, strict=True):
                    arena[...] = kept
            if self._progress.epoch > self._first:
                self._progress.within = None


class Run:
    """The epochs of one call of `training.fit`.

    Parameters
    ----------
    trainer_of : callable
        ``trainer_of(part)``: the native trainer of its rows.
    program : Program
    settings : Settings
    progress : Progress
        Read and moved on.
    sizes : sequence of int or None
        Rows of each part, which the schedules go by.
    record : callable
        ``record(mean loss, learning rate of the last step)``, with each epoch that is
        counted.
    observe : callable
        ``observe(mean loss) -> (stop, monitored loss)``, after that.
    watch : Watch or None
        Who is called between steps.
    """

    def __init__(
        self,
        trainer_of,
        program,
        settings,
        progress: Progress,
        sizes: Sequence[int] | None,
        record: Callable[[float, float], None],
        observe: Callable[[float], tuple[bool, float]],
        watch: Watch | None,
    ):
        self._trainer_of, self._settings = trainer_of, settings
        self._progress, self._watch = progress, watch
        self._record, self._observe = record, observe
        self._batch = settings.batch_size * settings.accumulate
        self._steps = sum(steps_per_epoch(n, self._batch) for n in sizes or (1,) if n)
        self._last = progress.epoch + settings.max_iter
        self._start = _Start(program, progress)
        # What each schedule goes by, beside the schedule.
        self._kinds: dict[int, tuple] = {}
        self._stopped = False
        # Whether an interrupt may raise now: the epoch can be undone.
        self._breaks = True
        self._rate = settings.learning_rate  # of the last step
        # The seconds of a step, and how many the last stretch had.
        self._pace, self._stretch = None, 0

    def whole(self, part, watched: bool) -> str:
        """Train on rows that are all there; epochs run ahead where nobody watches."""
        progress, ahead = self._progress, 1
        if not watched and self._watch is None and not self._settings.schedule.listens:
            ahead = max(1, _STEPS_AHEAD // self._steps)
        try:
            while progress.epoch < self._last and not self._stopped:
                if ahead == 1:
                    self._breaks = True
                    with Deferred(self._may_break):
                        within = progress.within or Within()
                        result = self._part(part, 0, within, begins=True)
                        self._count(result.steps, result.loss)
                    self._look(result.loss)
                    continue
                epochs = min(self._last - progress.epoch, ahead)
                # Epochs done are counted before an interrupt that came meanwhile.
                with nullcontext() if epochs == 1 else Deferred(part.running):
                    self._ahead(part, epochs)
        except BaseException:
            self._start.restore()
            raise
        return "stopped" if self._stopped else "epochs"

    def chunks(self, parts: Iterable) -> str:
        """Train on parts that come one after the other, in each epoch."""
        progress = self._progress
        try:
            while progress.epoch < self._last and not self._stopped:
                within = progress.within or Within()
                numbers = count()
                self._breaks = True
                with Deferred(self._may_break):
                    self._start.begin(copy=True)  # it may be between two chunks
                    for part in parts:
                        number = next(numbers)
                        if number < within.part:
                            continue
                        result = self._part(part, number, within)
                        within = within.after(number, result)
                        del part  # before the next one is loaded
                        if self._stopped:
                            break
                    self._count(within.earlier.steps, within.earlier_loss)
                self._look(within.earlier_loss)
        except BaseException:
            self._start.restore()
            raise
        return "stopped" if self._stopped else "epochs"

    def _may_break(self) -> bool:
        return self._breaks

    def _count(self, steps: int, loss: float) -> None:
        """Count an epoch whose weights are there; no interrupt comes between."""
        self._breaks = False
        progress = self._progress
        progress.step += steps
        progress.within = None
        progress.epoch += 1
        self._record(loss, self._rate)

    def _look(self, loss: float) -> None:
        progress = self._progress
        stop, monitored = self._observe(loss)
        progress.memory = self._settings.schedule.observe(monitored, progress.memory)
        self._stopped = self._stopped or stop

    def _ahead(self, part, epochs: int) -> None:
        """Train epochs that nobody looks into."""
        progress, step = self._progress, self._progress.step
        own = steps_per_epoch(len(part), self._batch)
        tables = [self._table(i, step + i * own, 0, own) for i in range(epochs)]
        rates = tables[0] if epochs == 1 else np.concatenate(tables)
        trainer = self._trainer_of(part)
        results = trainer.epochs(progress.epoch, step, rates, 0, self._start.begin)
        last = _learning_rates(rates)[own - 1 :: own].tolist()
        for result, self._rate in zip(results, last):
            self._count(result.steps, result.loss)
            self._look(result.loss)

    def _part(self, part, number: int, within: Within, begins: bool = False):
        """Train a part's steps of the epoch, in stretches if somebody watches.

        `begins` says that this part is all of the epoch, which begins here.
        """
        progress, watch, settings = self._progress, self._watch, self._settings
        result = within.result if within.part == number else EpochResult()
        own = steps_per_epoch(len(part), self._batch)
        earlier = within.earlier.steps
        begun = progress.step + earlier
        known = table = None
        while not self._stopped and result.steps < own:
            done, steps = result.steps, own - result.steps
            if watch is not None:
                steps = min(steps, self._until(begun + done))
            if begins:
                copy = steps < own or (watch is not None and watch.takes_time)
                self._breaks, begins = self._start.begin(copy=copy), False
            if known != (settings.learning_rate, settings.schedule):
                known = settings.learning_rate, settings.schedule
                table = self._table(0, begun, earlier, own)
            rates, trainer = table[done : done + steps], self._trainer_of(part)
            before = perf_counter()
            with _naming(part):
                [result] = trainer.epochs(
                    *(progress.epoch, begun, rates, number),
                    self._may_break,
                    result,
                )
            self._rate = float(_learning_rates(rates)[-1])
            self._pace = (perf_counter() - before) / steps
            self._stretch = steps
            if watch is not None:
                progress.within = within.of(number, result)
                self._stopped = watch() or self._stopped
        return result

    def _until(self, step: int) -> int:
        """How many steps after `step` may run before somebody wants to be called."""
        watch, steps = self._watch, 1 << 62
        due = watch.due(step)
        if due is not None:
            steps = due - step
        if watch.seconds is not None:
            # Steps may be of any length until some have run.
            longest = 1
            if self._pace is not None:
                longest = max(1, int(watch.seconds / max(self._pace, 1e-9)))
                longest = min(longest, 2 * self._stretch) if self._stretch else longest
            steps = min(steps, longest)
        return steps

    def _table(self, ahead: int, step: int, within: int, own: int) -> np.ndarray:
        """Rates of an epoch's steps, or of its part: a column for each schedule.

        Parameters
        ----------
        ahead : int
            How many epochs after the one that runs.
        step : int
            The first of these steps, counted from the start of training.
        within : int
            The same, counted from the start of the epoch.
        own : int
            How many steps.
        """
        settings = self._settings
        epoch = self._progress.epoch + ahead

        def rates(schedule, rate: float, **memory) -> np.ndarray:
            begin, first = step, self._first_epoch(schedule)
            if first is not None:
                # Earlier epochs may have had other numbers of steps.
                begin = (epoch - first) * self._steps + within
            return schedule.rates(
                *(rate, begin, begin + own),
                steps_per_epoch=self._steps,
                total_steps=(self._last - (first or 0)) * self._steps,
                **memory,
            )

        memory = self._progress.memory
        table = rates(settings.schedule, settings.learning_rate, memory=memory)
        if not settings.schedules:
            return table
        columns = [rates(schedule, 1.0) for schedule in settings.schedules.values()]
        return np.column_stack([table, *columns])

    def _first_epoch(self, schedule) -> int | None:
        """The epochs before the schedule began; None where it goes by steps alone."""
        known = self._kinds.get(id(schedule))
        if known is None:
            known = self._kinds[id(schedule)] = schedule.goes_by, schedule
        if known[0] == "steps":
            return None
        length = known[0] == "length"
        return self._settings.first_epoch if length else self._progress.begun


def _learning_rates(table: np.ndarray) -> np.ndarray:
    """The first column of a table that may have others."""
    return table if table.ndim == 1 else table[:, 0]


@contextmanager
def _naming(part):
    """Say in which part an error was."""
    try:
        yield
    except ValueError as error:
        if not part.name:
            raise
        raise ValueError(f"{part.name}: {error}") from error
