"""Model files: a program, its arrays, and what belongs to them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

import numpy as np

from slimlearn.backend import format1
from slimlearn.backend.arena import allocate

__all__ = ["Saved", "read", "write"]


@dataclass
class Saved:
    """What a file holds.

    Attributes
    ----------
    text : str
        Of the program.
    params, state : ndarray of uint8
        Its arenas; writable, as no one else sees them.
    slots : ndarray of uint8 or None
        The arena of the optimizer.
    inputs : list of dict
        What X means: of each input its ``name`` and, where they are known, its
        ``source``, ``type`` and ``columns`` (a list of str).
    fit : dict or None
        Of a checkpoint: where the fit stands, as JSON has it.
    arrays : dict of str to ndarray
        Arrays beside the program's.
    """

    text: str
    params: np.ndarray
    state: np.ndarray
    slots: np.ndarray | None = None
    inputs: list[dict] = field(default_factory=list)
    fit: dict | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def write(file, saved: Saved) -> bytes | None:
    """Write to `file`, a path or a binary file object; return the bytes for None.

    A path is written beside its name, synchronised and moved there: a crash leaves the
    old file or the new one. Links are followed, and an old file's mode is kept.

    Raises
    ------
    OSError
        If the file cannot be written; an old one then stays as it was.
    """
    meta = {"inputs": saved.inputs} if saved.inputs else {}
    stream = hasattr(file, "write")
    data = _native().write_model(
        None if file is None or stream else _path(file),
        saved.text,
        _json(meta),
        "" if saved.fit is None else _json(saved.fit),
        saved.params,
        saved.state,
        saved.slots,
        saved.arrays,
    )
    if stream:
        file.write(data)
    return None if stream else data


def read(file) -> Saved:
    """Read what `write` wrote, or a file of format 1.

    Parameters
    ----------
    file : path, bytes or binary file object
        A path is mapped into memory: its pages are shared with other processes until
        they are written to. Replace such a file, as `write` does; one that is cut
        short in place takes the memory away from those who read it.

    Raises
    ------
    ValueError
        If it is no saved program, of a newer format, cut short or damaged.
    """
    if hasattr(file, "read"):
        file = file.read()
    if isinstance(file, bytes):
        if file.startswith(format1.MAGIC):
            return Saved(*format1.read(file))
        found = _native().read_model_bytes(file)
    else:
        file = _path(file)
        with open(file, "rb") as opened:
            if opened.read(len(format1.MAGIC)) == format1.MAGIC:
                opened.seek(0)
                return Saved(*format1.read(opened.read()))
        found = _native().read_model(file)
    text, meta, fit, params, state, slots, arrays = found
    params, state = (allocate(0) if a is None else a for a in (params, state))
    inputs = json.loads(meta).get("inputs", [])
    fit = json.loads(fit) if fit else None
    return Saved(text, params, state, slots, inputs, fit, arrays)


def _path(file) -> bytes:
    """The path as the system has it; a leading ~ is the home."""
    path = os.fsencode(os.path.expanduser(os.fspath(file)))
    if b"\0" in path:
        raise ValueError(f"a path has no null character, got {file!r}")
    return path


def _json(value) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _native():
    # Its package imports programs, which are made without it too.
    from slimlearn.backend.engine.native import native

    return native
