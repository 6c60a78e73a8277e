"""Holds Ctrl-C back while the books are behind the weights."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

__all__ = ["Deferred"]


class Deferred:
    """A context in which SIGINT raises only inside a native call, or at the end.

    A native call trains epochs ahead of the Python code that counts them; an interrupt
    between the two would leave weights of epochs that nobody counted. Elsewhere than
    in the main thread, and where SIGINT has no handler of Python's, it does nothing.

    Parameters
    ----------
    native : callable
        ``native() -> bool``: whether the native call is running, which stops by itself
        and hands its results over together with what the handler raised.
    """

    def __init__(self, native: Callable[[], bool]):
        self._native = native
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
        if self._native():
            self._former(number, frame)
        else:
            self._came = True

    def __exit__(self, *error) -> None:
        if self._former is not None:
            signal.signal(signal.SIGINT, self._former)
            if self._came:
                self._former(signal.SIGINT, None)
