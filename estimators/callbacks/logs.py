"""Callbacks that tell of each epoch: a progress bar, a CSV file, lines of JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from os import PathLike

from slimlearn.estimators.callbacks.base import Callback
from slimlearn.estimators.callbacks.writing import RecordFile
from slimlearn.estimators.progress import BAR_SECONDS, progress_bar

__all__ = ["CSVLog", "JSONLog", "ProgressBar"]


class ProgressBar(Callback):
    """Show the epochs as a bar: tqdm's if it is installed, else one refreshed line.

    Parameters
    ----------
    description : str or None, default=None
        What stands before the bar; None is the estimator's name.
    """

    every_steps, every_seconds = None, BAR_SECONDS

    def __init__(self, description: str | None = None) -> None:
        self.description = description

    def on_fit_begin(self, state) -> None:
        """Open the bar."""
        name = self.description or state.name
        self._bar = progress_bar(state.last_epoch, name, state.epoch)

    def on_epoch_end(self, state) -> None:
        """Move it."""
        self._bar.update(state.row)

    def on_step_end(self, state) -> None:
        """Move it within a long epoch."""
        if state.steps_per_epoch is not None:
            share = state.epoch_step / state.steps_per_epoch
            self._bar.within(state.epoch, share, state.loss)

    def on_fit_end(self, state) -> None:
        """Close it."""
        bar, self._bar = getattr(self, "_bar", None), None
        if bar is not None:
            bar.close()


class _Log(Callback):
    """A file with one record an epoch."""

    def __init__(self, path: str | PathLike) -> None:
        self.path = path

    def on_fit_begin(self, state) -> None:
        """Open the file."""
        text = os.path.expanduser(str(self.path))
        if "{fit}" in text:
            text = text.replace("{fit}", state.identity)
        self.path_ = text
        self._file = RecordFile(type(self).__name__, text)

    def on_epoch_end(self, state) -> None:
        """Write the record, so that it can be read while the fit goes on."""
        # A fit that goes on from earlier epochs adds to what these have written.
        self._file.append(self._record(state.row), alone=state.epoch == 1)

    def on_fit_end(self, state) -> None:
        """Close the file."""
        file = self.__dict__.pop("_file", None)
        if file is not None:
            file.close()

    def _record(self, row: dict) -> str:
        raise NotImplementedError


class CSVLog(_Log):
    """Write the record of each epoch as a line of a CSV file.

    Parameters
    ----------
    path : str or path-like
        ``{fit}`` in it becomes a name of the fit, which keeps the files of a search
        apart. A fit that goes on from earlier epochs adds to the file.

    Attributes
    ----------
    path_ : str
        The file that was written.

    Notes
    -----
    If the file cannot be written, for example on a full disk, the fit ends with a
    `FitStopped` (an OSError), and the estimator keeps the epochs done.
    """

    def on_fit_begin(self, state) -> None:
        """Open the file."""
        super().on_fit_begin(state)
        self._columns = None

    def _header(self) -> list[str] | None:
        with open(self.path_, newline="", encoding="utf-8") as file:
            return next(csv.reader(file), None)

    def _record(self, row: dict) -> str:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        if self._columns is None and row["epoch"] > 1:
            self._columns = self._header()
        if self._columns is None:
            self._columns = list(row)
            writer.writerow(self._columns)
        elif set(row) - set(self._columns):
            raise ValueError(
                f"CSVLog: {self.path_} has the columns {self._columns}, the record of "
                f"this epoch has {list(row)}: put the callbacks that add columns "
                "before CSVLog, or write to another file"
            )
        writer.writerow([row.get(column, "") for column in self._columns])
        return text.getvalue()


class JSONLog(_Log):
    """Write the record of each epoch as a line of JSON; what is not finite is null.

    Parameters
    ----------
    path : str or path-like
        As in `CSVLog`.

    Attributes
    ----------
    path_ : str
        The file that was written.

    Notes
    -----
    If the file cannot be written, for example on a full disk, the fit ends with a
    `FitStopped` (an OSError), and the estimator keeps the epochs done.
    """

    def _record(self, row: dict) -> str:
        finite = {k: v if math.isfinite(v) else None for k, v in row.items()}
        return json.dumps(finite) + "\n"
