"""Holds Ctrl-C back while the books are behind the weights."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

__all__ = ["Deferred"]


class Deferred:
    """A context in which SIGINT raises only where it may, or at the end.

    A native call trains epochs ahead of the Python code that counts them; an interrupt
    between the two would leave weights of epochs that nobody counted. Elsewhere than
    in the main thread, and where SIGINT has no handler of Python's, it does nothing.

    Parameters
    ----------
    may_raise : callable
        ``may_raise() -> bool``: whether an interrupt may raise at once, as where a
        native call is running that stops by itself and hands its results over
        together with what the handler raised. By default it never may.
    """

    def __init__(self, may_raise: Callable[[], bool] = bool):
        self._may_raise = may_raise
        self._former = None
        self._came = False

    def __enter__(self) -> Deferred:
        if threading.current_thread() is threading.main_thread():
            former = signal.getsignal(signal.SIGINT)
            if callable(former):
                self._former = former
                signal.signal(signal.SIGINT, self._hear)
        return self

    def _hear(self, number: int, frame) -> None:
        if self._may_raise():
            self._former(number, frame)
        else:
            self._came = True

    def raise_now(self) -> None:
        """Let an interrupt raise that came while none might."""
        if self._came:
            self._came = False
            self._former(signal.SIGINT, None)

    def __exit__(self, *error) -> None:
        if self._former is not None:
            signal.signal(signal.SIGINT, self._former)
            self.raise_now()
