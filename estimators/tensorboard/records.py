"""Records of event files: a length, a message, and checksums of both (CRC-32C)."""

from __future__ import annotations

import struct
from functools import cache

import numpy as np

__all__ = ["crc32c", "record"]

_POLYNOMIAL = 0x82F63B78
# Bytes from which on strips of a message are summed side by side.
_LARGE = 4096


@cache
def _table() -> np.ndarray:
    """What a byte does to the checksum."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


@cache
def _quick() -> list[int]:
    return _table().tolist()


@cache
def _shift(count: int) -> tuple[list[int], ...]:
    """What `count` bytes of zero do to a checksum, by each of its four bytes."""
    states = np.zeros((4, 256), np.uint32)
    for place in range(4):
        states[place] = np.arange(256, dtype=np.uint32) << np.uint32(8 * place)
    table = _table()
    for _ in range(count):
        states = (states >> np.uint32(8)) ^ table[states & np.uint32(255)]
    return tuple(row.tolist() for row in states)


def _small(state: int, data: bytes) -> int:
    table = _quick()
    for byte in data:
        state = (state >> 8) ^ table[(state ^ byte) & 255]
    return state


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes.

    Strips of a large message are summed side by side by NumPy. A checksum is linear: a
    strip's own is added to what the zeros in its place make of those before it.
    """
    state = 0xFFFFFFFF
    if len(data) >= _LARGE:
        width = 1 << max(8, (len(data).bit_length() + 1) // 2 - 2)
        strips = len(data) // width
        rows = np.frombuffer(data, np.uint8, strips * width).reshape(strips, width)
        columns, table = np.ascontiguousarray(rows.T), _table()
        sums = np.zeros(strips, np.uint32)
        for column in columns:
            sums = (sums >> np.uint32(8)) ^ table[(sums & np.uint32(255)) ^ column]
        a, b, c, d = _shift(width)
        for own in sums.tolist():
            state = (
                a[state & 255]
                ^ b[(state >> 8) & 255]
                ^ c[(state >> 16) & 255]
                ^ d[state >> 24]
                ^ own
            )
        data = data[strips * width :]
    return _small(state, data) ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(message: bytes) -> bytes:
    """Return a message as a record of an event file."""
    length = struct.pack("<Q", len(message))
    return b"".join((length, _masked(length), message, _masked(message)))
