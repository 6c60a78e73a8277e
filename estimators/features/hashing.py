"""Numbers of texts that are the same on any machine: FNV-1a, finished by Murmur3's mix.

Of 64 bits, over the bytes of UTF-8. TensorFlow takes FarmHash, which gives others.
"""

from __future__ import annotations

import numpy as np

__all__ = ["combined", "fingerprints"]

_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIXES = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


def fingerprints(values) -> np.ndarray:
    """A number of 64 bits for each text, or for a whole number as it is written.

    Parameters
    ----------
    values : sequence of str or int

    Returns
    -------
    ndarray of uint64
    """
    texts = [str(value).encode("utf-8", "surrogatepass") for value in values]
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    letters = np.frombuffer(b"".join(texts), np.uint8).astype(np.uint64)
    begins = np.cumsum(sizes) - sizes
    found = np.full(len(texts), _OFFSET, np.uint64)
    active = np.arange(len(texts))
    for at in range(int(sizes.max(initial=0))):
        active = active[sizes[active] > at]
        found[active] = (found[active] ^ letters[begins[active] + at]) * _PRIME
    return _mixed(found)


def combined(so_far: np.ndarray, part: np.ndarray) -> np.ndarray:
    """One number of two, which says in which order they came.

    Parameters
    ----------
    so_far, part : ndarray of uint64
    """
    return _mixed(so_far * _GOLDEN + part)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    for factor in _MIXES:
        numbers = (numbers ^ (numbers >> _SHIFT)) * factor
    return numbers ^ (numbers >> _SHIFT)
