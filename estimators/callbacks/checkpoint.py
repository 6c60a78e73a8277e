"""Checkpoints: a running fit as one file, from which the same fit goes on."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

import numpy as np

from slimlearn.backend import files
from slimlearn.backend.program import Program
from slimlearn.estimators.callbacks import format1
from slimlearn.estimators.callbacks.base import Callback
from slimlearn.estimators.callbacks.saved import check_fit
from slimlearn.estimators.callbacks.writing import writing

__all__ = ["Checkpoint", "read_program"]


class Checkpoint(Callback):
    """Write the fit to a file after epochs, and go on from that file.

    The file has parameters, state, the optimizer's arrays, epoch, step, seed, history
    and what callbacks keep, so that a fit of 5 epochs that goes on for 5 more has the
    bytes of a fit of 10. It is a file of ``Program.save`` with more in it, which
    ``Program.load`` reads too. It is written beside its name and then moved there: a
    crash leaves the old file or the new one.

    Parameters
    ----------
    directory : str or path-like
        Made if it is missing; a leading ``~`` is the home.
    name : str, default="{estimator}-{fit}.slim"
        ``{estimator}`` becomes the class of the estimator, ``{fit}`` a name of the
        data, the network, its settings and the seed: fits of a search have files of
        their own, and the same fit finds its file again.
    every : int >= 1 or None, default=1
        Epochs from one file to the next; the last epoch is always written. None is
        for files by steps or seconds alone.
    monitor : str or None, default=None
        None writes whatever the epoch was; a column of the record, or "auto" as in
        `EarlyStopping`, writes the epochs that are better than all before.
    resume : bool, default=True
        Whether `fit` goes on from the file, if there is one. That needs an integer
        `random_state`, else no two fits are the same. L-BFGS begins anew.
    every_steps : int >= 1 or None, default=None
        Steps from one file to the next, within epochs too: a fit that goes on from
        there has the bytes of one that never stopped.
    every_seconds : float > 0 or None, default=None
        Seconds from one file to the next, within epochs too.

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
        directory: str | PathLike,
        name: str = "{estimator}-{fit}.slim",
        every: int = 1,
        monitor: str | None = None,
        resume: bool = True,
        every_steps: int | None = None,
        every_seconds: float | None = None,
    ) -> None:
        self.directory = directory
        self.name = name
        self.every = every
        self.monitor = monitor
        self.resume = resume
        self.every_steps = every_steps
        self.every_seconds = every_seconds

    def on_fit_begin(self, state) -> None:
        """Make the directory; read the file if there is one."""
        for name in ("every", "every_steps"):
            if getattr(self, name) is not None:
                self._require(name, "an int >= 1 or None", lambda v: v >= 1, whole=True)
        if self.every_seconds is not None:
            self._require("every_seconds", "greater than 0 or None", lambda v: v > 0)
        asked = self.every_steps is not None or self.every_seconds is not None
        if asked and self.monitor is not None:
            raise ValueError(
                "Checkpoint: monitor compares epochs; files by steps or seconds are "
                "written whatever they are: use two checkpoints of different names"
            )
        if not (isinstance(self.name, str) and Path(self.name).name.strip(". ")):
            raise ValueError(
                "The 'name' parameter of Checkpoint must be the name of a file, such "
                f"as 'fit.slim'. Got {self.name!r} instead."
            )
        name = self.name.replace("{estimator}", state.name)
        path = Path(self.directory) / name.replace("{fit}", state.identity)
        path = path.expanduser()
        self.path_ = str(path)
        self.resumed_from_ = 0
        self._lowest = float("inf")
        with writing("Checkpoint", path):
            path.parent.mkdir(parents=True, exist_ok=True)
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
            due = ending or (self.every is not None and state.epoch % self.every == 0)
        if due:
            self._write(state)

    def on_step_end(self, state) -> None:
        """Write the file."""
        self._write(state)

    def get_state(self) -> dict:
        """What a fit that goes on has to know."""
        return {"lowest": self._lowest}

    def set_state(self, saved: dict, state) -> None:
        """Go on from `get_state`."""
        self._lowest = saved["lowest"]

    def _write(self, state) -> None:
        program, arrays = state.program, {}
        fit = _packed(state.saved(), arrays)
        slots = state.progress.slots if state.iterative else None
        saved = files.Saved(
            program.text,
            program.params,
            program.state,
            slots,
            state.inputs,
            fit,
            arrays,
        )
        with writing("Checkpoint", self.path_):
            files.write(self.path_, saved)

    def _read(self, state, path: Path) -> None:
        try:
            saved = _read(path)
            if saved.fit is None:
                raise ValueError(f"{path} is a program's and tells of no fit")
        except ValueError as error:
            raise ValueError(
                f"Checkpoint: {error}; to begin anew, move it away or set resume=False"
            ) from error
        fit = saved.fit
        if fit["fit"] != state.identity:
            raise ValueError(
                f"Checkpoint: {path} belongs to another fit (its data, parameters "
                "or seed differ): move it away, have {fit} in the name, or set "
                "resume=False"
            )
        if fit["epoch"] > state.last_epoch:
            return
        try:
            state.restore(fit, Program.of(saved), saved.slots)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(
                f"Checkpoint: {path} is damaged ({error!r}); to begin anew, move it "
                "away or set resume=False"
            ) from error
        self.resumed_from_ = fit["epoch"]


def read_program(path) -> Program:
    """The program with its weights in a file of `Checkpoint` or of `Program.save`."""
    return Program.of(_read(Path(path).expanduser()))


def _read(path) -> files.Saved:
    try:
        if format1.is_archive(path):
            saved = format1.read(path)
        else:
            saved = files.read(path)
            if saved.fit is not None:
                saved.fit = _unpacked(saved.fit, saved.arrays)
    except (RecursionError, KeyError) as error:
        raise ValueError(f"{path}: the checkpoint is damaged ({error!r})") from error
    if saved.fit is not None:
        try:
            check_fit(saved.fit)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return saved


def _packed(value, arrays: dict[str, np.ndarray]):
    """The value as JSON has it; its arrays into `arrays`, under names of their own."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _packed(inner, arrays) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(inner, arrays) for inner in value]
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = value
        return {"#array": name}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"#number": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a checkpoint holds numbers, strings, lists, dicts and arrays; got "
        f"{value!r} of {type(value).__name__}"
    )


def _unpacked(value, arrays: dict[str, np.ndarray]):
    if isinstance(value, list):
        return [_unpacked(inner, arrays) for inner in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"#array"}:
        return arrays[value["#array"]]
    if set(value) == {"#number"}:
        return float(value["#number"])
    return {key: _unpacked(inner, arrays) for key, inner in value.items()}
