"""A cache of what was used last, for any number of threads and for forked children."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Cache"]

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by key; the one not asked for the longest leaves first.

    Parameters
    ----------
    size : int
        The most values that are kept.
    """

    def __init__(self, size: int):
        self._size = size
        self._entries: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = lock = threading.Lock()
        # A child must not begin with a lock that another thread held in its parent.
        os.register_at_fork(
            before=lock.acquire,
            after_in_parent=lock.release,
            after_in_child=lock.release,
        )

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key; made, outside of the lock, where there is none."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        made = make()
        with self._lock:
            self._entries[key] = made
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
        return made
