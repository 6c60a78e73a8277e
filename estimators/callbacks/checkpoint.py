"""Checkpoints: a running fit as one file, from which the same fit goes on."""

from __future__ import annotations

import io
import json
import os
import uuid
import zipfile
from pathlib import Path

import numpy as np

from slimlearn.backend.program import Program
from slimlearn.estimators.callbacks.base import Callback
from slimlearn.estimators.callbacks.run import FitStopped

__all__ = ["Checkpoint", "read_program"]

_FORMAT = 1


class Checkpoint(Callback):
    """Write the fit to a file after epochs, and go on from that file.

    The file has parameters, state, the optimizer's arrays, epoch, step, seed, history
    and what callbacks keep, so that a fit of 5 epochs that goes on for 5 more has the
    bytes of a fit of 10. It is written beside its name and then moved there: a crash
    leaves the old file or the new one.

    Parameters
    ----------
    directory : str or path-like
        Made if it is missing.
    name : str, default="{estimator}-{fit}.slim"
        ``{estimator}`` becomes the class of the estimator, ``{fit}`` a name of the
        data, the network, its settings and the seed: fits of a search have files of
        their own, and the same fit finds its file again.
    every : int >= 1, default=1
        Epochs from one file to the next; the last epoch is always written.
    monitor : str or None, default=None
        None writes whatever the epoch was; a column of the record, or "auto" as in
        `EarlyStopping`, writes the epochs that are better than all before.
    resume : bool, default=True
        Whether `fit` goes on from the file, if there is one. That needs an integer
        `random_state`, else no two fits are the same. L-BFGS begins anew.

    Attributes
    ----------
    path_ : str
        The file.
    resumed_from_ : int
        The epoch that was read from it; 0 if there was none.

    Notes
    -----
    If the file cannot be written, for example on a full disk, the fit ends with a
    `FitStopped` (an OSError), and the estimator keeps the epochs done.
    """

    last = True

    def __init__(
        self,
        directory,
        name="{estimator}-{fit}.slim",
        every=1,
        monitor=None,
        resume=True,
    ):
        self.directory = directory
        self.name = name
        self.every = every
        self.monitor = monitor
        self.resume = resume

    def on_fit_begin(self, state) -> None:
        """Make the directory; read the file if there is one."""
        self._require("every", "at least 1", lambda v: v >= 1)
        name = self.name.replace("{estimator}", state.name)
        path = Path(self.directory) / name.replace("{fit}", state.identity)
        self.path_ = str(path)
        self.resumed_from_ = 0
        self._lowest = float("inf")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from error
        if self.resume and state.iterative and path.exists():
            self._read(state, path)

    def on_epoch_end(self, state) -> None:
        """Write the file if it is time to."""
        if self.monitor is not None:
            value = state.loss_of(state.column(self.monitor, repr(self)))
            due = value < self._lowest
            self._lowest = min(value, self._lowest)
        else:
            ending = state.stop_reason is not None or state.epoch == state.last_epoch
            due = ending or state.epoch % self.every == 0
        if due:
            parts = _packed(state.saved())
            parts["slots"] = b"" if not state.iterative else state.progress.slots
            _write(Path(self.path_), {"program": state.program.to_bytes(), **parts})

    def get_state(self) -> dict:
        """What a fit that goes on has to know."""
        return {"lowest": self._lowest}

    def set_state(self, saved: dict, state) -> None:
        """Go on from `get_state`."""
        self._lowest = saved["lowest"]

    def _read(self, state, path: Path) -> None:
        with _opened(path) as archive:
            saved = _unpacked(archive)
            if saved["fit"] != state.identity:
                raise ValueError(
                    f"Checkpoint: {path} belongs to another fit (its data, parameters "
                    "or seed differ): move it away, have {fit} in the name, or set "
                    "resume=False"
                )
            if saved["epoch"] > state.last_epoch:
                return
            program = Program.from_bytes(archive.read("program"))
            state.restore(saved, program, archive.read("slots"))
        self.resumed_from_ = saved["epoch"]


def read_program(path) -> Program:
    """The program with its weights in a file of `Checkpoint` or of `Program.save`."""
    if not zipfile.is_zipfile(path):
        return Program.load(path)
    with _opened(Path(path)) as archive:
        return Program.from_bytes(archive.read("program"))


class _opened:
    """An archive whose damage is told as such."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self._archive = zipfile.ZipFile(self._path)
        except zipfile.BadZipFile as error:
            self._tell(error)
        return self._archive

    def __exit__(self, kind, error, trace) -> None:
        self._archive.close()
        if isinstance(error, (zipfile.BadZipFile, KeyError, json.JSONDecodeError)):
            self._tell(error)

    def _tell(self, error: Exception):
        raise ValueError(
            f"Checkpoint: {self._path} is damaged ({error}): move it away, or set "
            "resume=False"
        ) from error


def _packed(saved: dict) -> dict[str, bytes]:
    """Numbers, lists and dicts as JSON; arrays within them as files of their own."""
    files: dict[str, bytes] = {}

    def plain(value):
        if isinstance(value, np.ndarray):
            buffer = io.BytesIO()
            np.save(buffer, value, allow_pickle=False)
            key = f"array-{len(files)}.npy"
            files[key] = buffer.getvalue()
            return {"array": key}
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(
            f"a checkpoint holds numbers, strings, lists, dicts and arrays; got "
            f"{value!r} of {type(value).__name__}"
        )

    text = json.dumps({"format": _FORMAT, **saved}, default=plain)
    return {"fit.json": text.encode(), **files}


def _unpacked(archive: zipfile.ZipFile) -> dict:
    def with_arrays(value: dict):
        if set(value) == {"array"}:
            data = io.BytesIO(archive.read(value["array"]))
            return np.load(data, allow_pickle=False)
        return value

    saved = json.loads(archive.read("fit.json"), object_hook=with_arrays)
    if saved["format"] != _FORMAT:
        raise ValueError(
            f"Checkpoint: {archive.filename} has format {saved['format']}, this "
            f"slimlearn reads {_FORMAT}: upgrade slimlearn, or set resume=False"
        )
    return saved


def _write(path: Path, parts: dict) -> None:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name, data in parts.items():
                    archive.writestr(name, memoryview(data).tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> FitStopped:
    return FitStopped(
        error.errno,
        f"Checkpoint could not write {path} ({error.strerror or error}): make room or "
        "choose another directory; the estimator keeps the epochs done",
    )
