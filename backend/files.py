"""Model files: programs, their arrays, and what belongs to them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from slimlearn.backend import format1
from slimlearn.backend.arena import allocate
from slimlearn.backend.telling import warn

__all__ = [
    "Parts",
    "Saved",
    "Stored",
    "read",
    "read_parts",
    "write",
    "write_parts",
    "write_text",
]


class Stored(NamedTuple):
    """A program in a file: its text, its arenas, and that of the optimizer or None."""

    text: str
    params: np.ndarray
    state: np.ndarray
    slots: np.ndarray | None = None


class Parts(NamedTuple):
    """All that a file can hold.

    Attributes
    ----------
    programs : list of Stored
    inputs : list of dict
        Of the first program, as in `Saved`.
    fit, estimator : dict or None
        As JSON has them: where a fit stands, and what is around the programs.
    arrays : dict of str to ndarray
        Arrays beside those of the programs.
    checked : bool
        As in `Saved`.
    outputs : dict or None
        What an estimator's methods make of the program's numbers, for readers without
        Python; not read back.
    """

    programs: list[Stored]
    inputs: list[dict]
    fit: dict | None
    estimator: dict | None
    arrays: dict[str, np.ndarray]
    checked: bool = True
    outputs: dict | None = None

    def saved(self, number: int) -> Saved:
        """One of the programs, and nothing else."""
        text, params, state, slots = self.programs[number]
        return Saved(text, params, state, slots, checked=self.checked)


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
    checked : bool
        Whether the arenas are known to be as long as the text says.
    """

    text: str
    params: np.ndarray
    state: np.ndarray
    slots: np.ndarray | None = None
    inputs: list[dict] = field(default_factory=list)
    fit: dict | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    checked: bool = False


def write(file, saved: Saved) -> bytes | None:
    """Write one program and what belongs to it, as `write_parts` does."""
    stored = Stored(saved.text, saved.params, saved.state, saved.slots)
    parts = Parts([stored], saved.inputs, saved.fit, None, saved.arrays)
    return write_parts(file, parts)


def write_parts(file, parts: Parts) -> bytes | None:
    """Write to `file`, a path or a binary file object; return the bytes for None.

    A path is written beside its name, synchronised and moved there: a crash leaves the
    old file or the new one. Links are followed, and an old file's mode is kept.

    Raises
    ------
    OSError
        If the file cannot be written; an old one then stays as it was.
    """
    meta = {"inputs": parts.inputs} if parts.inputs else {}
    to = getattr(file, "write", None)
    if to is None and file is not None:
        to = _path(file)
    return _native().write_model(
        to,
        parts.programs,
        _json(meta),
        "" if parts.fit is None else _json(parts.fit),
        "" if parts.estimator is None else _json(parts.estimator),
        parts.arrays,
        "" if parts.outputs is None else _json(parts.outputs),
    )


def write_text(file, text: str) -> None:
    """Write a text to a path, as `write_parts` does: whole, or not at all.

    Raises
    ------
    OSError
        If the file cannot be written; an old one then stays as it was.
    """
    _native().write_file(_path(file), text.encode(errors="surrogateescape"))


def read(file) -> Saved:
    """Read the first program and what belongs to it, or a file of format 1.

    Parameters and errors are those of `read_parts`.
    """
    parts = read_parts(file)
    if not parts.programs:
        raise ValueError(
            "the file holds an estimator without a network, and no program: "
            "slimlearn.load reads it"
        )
    saved = parts.saved(0)
    saved.inputs, saved.fit, saved.arrays = parts.inputs, parts.fit, parts.arrays
    return saved


def read_parts(file, sealed: bool = False) -> Parts:
    """Read what `write_parts` wrote, or a file of format 1.

    Parameters
    ----------
    file : path, bytes or binary file object
        A path is mapped into memory: its pages are shared with other processes until
        they are written to. Replace such a file, as `write` does; one that is cut
        short in place takes the memory away from those who read it.
    sealed : bool
        Whether the file has to tell its SHA-256, and to have it.

    Raises
    ------
    ValueError
        If it is no saved program, of a newer format, cut short or damaged.
    """
    if hasattr(file, "read"):
        file = file.read()
    if isinstance(file, bytes):
        if file.startswith(format1.MAGIC):
            return _of_format1(file, sealed)
        found = _native().read_model_bytes(file, sealed)
    else:
        file = _path(file)
        with open(os.fsdecode(file), "rb") as opened:
            if opened.read(len(format1.MAGIC)) == format1.MAGIC:
                opened.seek(0)
                return _of_format1(opened.read(), sealed)
        found = _native().read_model(file, sealed)
    programs, meta, fit, estimator, arrays, newer = found
    if newer:
        warn(
            "the file was saved by a newer slimlearn: what this one does not know of "
            "it is left out"
        )
    return Parts(
        [Stored(text, _arena(p), _arena(s), slots) for text, p, s, slots in programs],
        json.loads(meta).get("inputs", []),
        json.loads(fit) if fit else None,
        json.loads(estimator) if estimator else None,
        arrays,
    )


def _of_format1(data: bytes, sealed: bool) -> Parts:
    if sealed:
        raise ValueError(
            "the file does not tell its SHA-256: it is of format 1; save it again"
        )
    return Parts([Stored(*format1.read(data))], [], None, None, {}, checked=False)


def _arena(array: np.ndarray | None) -> np.ndarray:
    return allocate(0) if array is None else array


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
