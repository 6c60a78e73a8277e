"""Who is called between the steps of an epoch: after some of them, or some seconds."""

from __future__ import annotations

import math
from numbers import Integral, Real
from time import perf_counter

from slimlearn.backend.running import Watch
from slimlearn.estimators.callbacks.base import Callback

__all__ = ["Asks", "StepWatch", "asks_of"]


class Asks:
    """One who is to be called.

    Parameters
    ----------
    call : callable
        Returning True ends the fit after this step.
    every_steps : int or None
    every_seconds : float or None
    """

    def __init__(self, call, every_steps: int | None, every_seconds: float | None):
        self.call, self.every_steps = call, every_steps
        self.every_seconds, self._called = every_seconds, perf_counter()

    def is_due(self, step: int) -> bool:
        """Whether it is to be called after this step."""
        if self.every_steps is not None and step % self.every_steps == 0:
            return True
        if self.every_seconds is None:
            return False
        now = perf_counter()
        due = now - self._called >= self.every_seconds
        if due:
            self._called = now
        return due


class StepWatch(Watch):
    """Calls those who ask, between steps.

    Parameters
    ----------
    asks : list of Asks
    progress : Progress
        Of the fit.
    takes_time : bool
        Whether one of them is a user's.
    """

    def __init__(self, asks: list[Asks], progress, takes_time: bool):
        self._asks, self._progress = asks, progress
        self.takes_time = takes_time
        self._steps = [a.every_steps for a in asks if a.every_steps is not None]
        seconds = [a.every_seconds for a in asks if a.every_seconds is not None]
        # Steps are of different lengths: half of the time, and nobody waits for long.
        self.seconds = min(seconds) / 2 if seconds else None

    def due(self, step: int) -> int | None:
        """The next step that somebody is to be called after."""
        return min(((step // n + 1) * n for n in self._steps), default=None)

    def __call__(self) -> bool:
        """Call those whose step or time has come; all of them, also if one stops."""
        step = self._progress.all_steps
        stops = [asks.call() for asks in self._asks if asks.is_due(step)]
        return any(stops)


def asks_of(callback, call) -> Asks | None:
    """What a callback asks for by its attributes; None if for nothing."""
    method = getattr(type(callback), "on_step_end", None)
    if method is None or method is Callback.on_step_end:
        return None
    steps = getattr(callback, "every_steps", 1)
    seconds = getattr(callback, "every_seconds", None)
    if steps is None and seconds is None:
        return None
    if steps is not None and not (isinstance(steps, Integral) and steps >= 1):
        raise ValueError(
            f"every_steps of {callback!r} must be a number >= 1 or None, got {steps!r}"
        )
    if seconds is not None and not (
        isinstance(seconds, Real) and 0 < seconds < math.inf
    ):
        raise ValueError(
            f"every_seconds of {callback!r} must be finite and > 0, or None, got "
            f"{seconds!r}"
        )
    return Asks(call, steps, seconds)
