"""Format 1 of saved programs, which is read and no longer written."""

from __future__ import annotations

import re
import zlib

import numpy as np

from slimlearn.backend.arena import allocate

MAGIC = b"slimlearn program"

_HEADER = re.compile(MAGIC + rb" (\d+)((?: \d+:[0-9a-f]{8}){3})\n")


def read(data: bytes) -> tuple[str, np.ndarray, np.ndarray]:
    """Return text and arenas: a line of lengths and checksums stands before them.

    Raises
    ------
    ValueError
        If `data` is no saved program, is cut short or damaged.
    """
    match = _HEADER.match(data)
    if not match:
        raise ValueError(
            "the saved program is damaged: its first line tells no lengths; copy or "
            "save the file again"
        )
    version = int(match.group(1))
    if version != 1:
        raise ValueError(
            f"saved with file format {version}, this slimlearn reads 1 and 2: upgrade "
            "slimlearn"
        )
    parts, at = [], match.end()
    for what, size in zip(
        ("text", "parameters", "states"), match.group(2).split(), strict=True
    ):
        length, checksum = size.split(b":")
        part = data[at : at + int(length)]
        if len(part) < int(length):
            raise ValueError(
                f"the saved program is cut short: its {what} need {int(length)} "
                f"bytes, {len(part)} are left; copy or save the file again"
            )
        if zlib.crc32(part) != int(checksum, 16):
            raise ValueError(
                f"the saved program is damaged: the checksum of its {what} "
                "differs; copy or save the file again"
            )
        parts.append(part)
        at += len(part)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many after the saved program")
    return parts[0].decode(), *map(_arena, parts[1:])


def _arena(data: bytes) -> np.ndarray:
    arena = allocate(len(data))
    arena[...] = np.frombuffer(data, np.uint8)
    return arena
