"""A cache of what was used last, for any number of threads and for forked children."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Cache", "clear_caches"]

Value = TypeVar("Value")

# One for all caches, held for moments: hooks at a fork cannot be taken back, but caches
# come and go. A child must not begin with a lock that a thread of its parent held.
_LOCK = threading.Lock()
os.register_at_fork(
    before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
)

_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


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
        _caches.add(self)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key; made, outside of the lock, where there is none."""
        with _LOCK:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        made = make()
        with _LOCK:  # what leaves ends after the lock, as in clear
            dropped = self._entries.pop(key, None), None
            self._entries[key] = made
            if len(self._entries) > self._size:
                dropped = self._entries.popitem(last=False)
        del dropped
        return made

    def clear(self) -> None:
        """Forget all values; they end after the lock, as their ends may take it."""
        with _LOCK:
            dropped, self._entries = self._entries, OrderedDict()
        del dropped


def clear_caches() -> None:
    """Clear every cache of the process."""
    for cache in list(_caches):
        cache.clear()
