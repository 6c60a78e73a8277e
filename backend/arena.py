"""Arenas: arrays of one kind in one aligned block of memory, and where each stands."""

import numpy as np

from slimlearn.backend.graph import NUMPY_TYPES, TYPE_WORDS, type_text
from slimlearn.backend.shape import product

ALIGNMENT = 64


def round_up(size: int) -> int:
    """Return `size` rounded up to a multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def allocate(size: int, largest: str = "") -> np.ndarray:
    """Return `size` zero bytes, aligned, with aligned zero slack behind them.

    `largest` is said of them where there is no memory.
    """
    try:
        raw = np.zeros(size + 2 * ALIGNMENT, np.uint8)
    except (MemoryError, ValueError):
        raise MemoryError(
            f"the network's arrays need {size / 2**30:.3g} GiB, more than there is"
            f"{largest}: give its layers fewer units"
        ) from None
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


class Layout:
    """Where declarations of one kind stand in their arena.

    Parameters
    ----------
    declarations : iterable of Declaration
        Of known shapes, in order.

    Attributes
    ----------
    offsets : dict of str to int
        In bytes; multiples of 64.
    size : int
        Of the arena in bytes, without slack.
    """

    def __init__(self, declarations):
        self.offsets: dict[str, int] = {}
        self._places: list[tuple] = []  # name, begin, end in bytes, dtype, shape
        end = 0
        for d in declarations:
            count = product(d.shape)
            if type(count) is not int:
                raise ValueError(
                    f"{d.kind} {d.name!r} has the unknown size {count}: a stored array "
                    "needs a fixed shape"
                )
            dtype = NUMPY_TYPES[d.dtype]
            begin, end = end, end + count * dtype.itemsize
            self.offsets[d.name] = begin
            self._places.append((d.name, begin, end, dtype, d.shape))
            end = round_up(end)
        self.size = end

    def allocate(self) -> np.ndarray:
        """Return an arena of zeros.

        Raises
        ------
        MemoryError
            If there is no room for it, naming the largest array.
        """
        if not self._places:
            return allocate(self.size)
        name, *_, dtype, shape = max(
            self._places, key=lambda place: place[2] - place[1]
        )
        text = type_text(TYPE_WORDS[dtype], shape)
        return allocate(self.size, f" (the largest is {name}, {text})")

    def views(self, arena: np.ndarray, start: int = 0) -> dict[str, np.ndarray]:
        """Return each array by name, as a view of `arena` from byte `start` on."""
        return {
            name: arena[start + begin : start + end].view(dtype).reshape(shape)
            for name, begin, end, dtype, shape in self._places
        }


def copy_arena(arena: np.ndarray) -> np.ndarray:
    """Return a fresh arena of the same bytes."""
    fresh = allocate(arena.size)
    fresh[...] = arena
    return fresh
