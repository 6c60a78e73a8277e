"""Calls the hooks of all callbacks of one fit, in their order."""

from __future__ import annotations

from slimlearn.estimators.callbacks.state import FitState
from slimlearn.estimators.callbacks.steps import Asks, asks_of

__all__ = ["KEEPS_EPOCHS", "Calls", "FitStopped", "note"]


class FitStopped(OSError):
    """An error after which the epochs done are published, as after Ctrl-C."""


KEEPS_EPOCHS = (KeyboardInterrupt, FitStopped)


class Calls:
    """The callbacks of one fit.

    Parameters
    ----------
    named : list of (str, callback)
        In the order of their calls.
    state : FitState
        What the hooks are given.
    monitor : Monitor
        Hears of each epoch first.
    """

    def __init__(self, named: list[tuple[str, object]], state: FitState, monitor):
        self.state = state
        # What writes the fit to a file comes after what changes it; what tells of its
        # epochs after what goes on from earlier ones.
        self._named = sorted(named, key=lambda n: getattr(n[1], "last", False))
        self._monitor = monitor
        state.callbacks = dict(named)
        self._begun: list[tuple[str, object]] = []

    def begin(self) -> None:
        """Call `on_fit_begin` of each."""
        for name, callback in self._named:
            self._begun.append((name, callback))
            self._call(name, callback, "on_fit_begin")

    def observe(self, loss: float) -> tuple[bool, float]:
        """Record an epoch, as `Monitor.observe` does, and call `on_epoch_end`."""
        state = self.state
        stop, state.monitored = self._monitor.observe(loss, tell=False)
        state.advance()
        if stop:
            state.stop("early_stopping")
        for name, callback in self._named:
            if self._call(name, callback, "on_epoch_end"):
                state.stop(f"stopped by {name}", getattr(callback, "final", True))
            state.history.record(state.row)
        if self._monitor.shows:
            # A callback that stops knows its own best epoch.
            bests = [getattr(one, "best_epoch_", None) for _, one in self._named]
            known = [state.epoch == epoch for epoch in bests if epoch is not None]
            self._monitor.tell(state.row, any(known) if known else None)
        return state.stop_reason is not None, state.monitored

    def asks(self) -> list[Asks]:
        """Who is to be called between steps; once all have begun."""

        def call_of(name, callback):
            def call() -> bool:
                stops = bool(self._call(name, callback, "on_step_end"))
                if stops:
                    self.state.stop(
                        f"stopped by {name}", getattr(callback, "final", True)
                    )
                return stops

            return call

        asked = [asks_of(c, call_of(name, c)) for name, c in self._named]
        return [one for one in asked if one is not None]

    def end(self, reason: str) -> None:
        """Call `on_fit_end` of all that began; then raise the first error of these."""
        state = self.state
        if state.stop_reason is None or reason in ("error", "interrupted"):
            state.stop_reason = reason
        failed = None
        begun, self._begun = self._begun, []
        for name, callback in begun:
            try:
                self._call(name, callback, "on_fit_end")
            except BaseException as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def abort(self, error: BaseException) -> None:
        """Call `on_fit_end` after `error`, which is the one to be shown."""
        interrupted = isinstance(error, KeyboardInterrupt)
        try:
            self.end("interrupted" if interrupted else "error")
        except BaseException as further:
            note(error, f"on_fit_end failed too: {further!r}")

    def _call(self, name: str, callback, hook: str):
        method = getattr(callback, hook, None)
        if method is None:
            return None
        try:
            return method(self.state)
        except Exception as error:
            kind = type(callback).__name__
            note(error, f"raised by {hook} of the callback {name!r} ({kind})")
            raise


def note(error: BaseException, text: str) -> None:
    """Add a line that is shown below the error."""
    # Exceptions take notes from Python 3.11 on.
    if hasattr(error, "add_note"):
        error.add_note(text)
