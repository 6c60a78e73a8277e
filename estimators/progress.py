"""How the progress of a fit is shown: a table, a bar, or one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import suppress

__all__ = ["BAR_SECONDS", "make_reporter", "progress_bar", "short"]

# Columns of a record that a bar does not show beside it.
_APART = ("epoch", "seconds", "learning_rate")

# What a stream raises that is closed, or that nobody reads.
_UNSEEN = (OSError, ValueError)

# How often a bar moves within an epoch.
BAR_SECONDS = 0.5


def short(value) -> str:
    """A number of a record as text."""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def make_reporter(verbose, epochs: int, name: str):
    """What tells of each epoch, by `verbose`; None for nothing."""
    if not verbose:
        return None
    return _Table() if verbose >= 2 else progress_bar(epochs, name)


def say(stream, text: str, end: str = "\n") -> None:
    """Write a line, unless there is nobody to read it.

    A daemon has no streams; a terminal may be closed while the fit goes on.
    """
    if stream is None:
        return
    try:
        stream.write(text + end)
        stream.flush()
    except _UNSEEN:
        pass


def progress_bar(epochs: int, name: str, done: int = 0):
    """What shows the progress: tqdm's bar if it is installed, else one line.

    Parameters
    ----------
    epochs, done : int
        The last epoch, and those that earlier fits did.
    name : str
        What stands before the bar.

    Returns
    -------
    object
        With ``update(row)`` for each epoch's record, ``within(epochs done, share of the
        next one, its loss so far)``, and ``close()``.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Line(epochs, name)
    if sys.stderr is None:  # which tqdm needs
        return _Line(epochs, name)
    try:
        return _Bar(tqdm(total=epochs, initial=done, desc=name, unit="epoch"))
    except _UNSEEN:
        return _Line(epochs, name)


class _Table:
    """verbose=2: a line an epoch, under a header; the best ones so far are marked."""

    def __init__(self):
        self._header: list[str] | None = None
        self._marked = False

    def update(self, row: dict, best: bool = False) -> None:
        columns = list(row)
        if columns != self._header:
            self._header = columns
            say(sys.stdout, _line(columns, columns))
        line = _line(columns, map(short, row.values()))
        say(sys.stdout, f"{line} *" if best else line)
        self._marked = self._marked or best

    def conclude(self, best: int) -> None:
        if self._marked:
            say(
                sys.stdout, f"* best so far; the weights kept are those of epoch {best}"
            )

    def close(self) -> None:
        """Nothing: each line was written whole."""


def _line(columns: list[str], cells: Iterable[str]) -> str:
    """Cells below each other, as wide as the name of their column."""
    pairs = zip(columns, cells)
    return "  ".join(f"{cell:>{max(len(name), 12)}}" for name, cell in pairs)


class _Line:
    """verbose=1 without tqdm: one line that is written over."""

    def __init__(self, epochs: int, name: str):
        self._epochs = epochs
        self._name = name
        self._next = 0.0

    def update(self, row: dict, best: bool = False) -> None:
        now = time.perf_counter()
        if now < self._next and row["epoch"] < self._epochs:
            return
        self._next = now + 0.1
        numbers = " ".join(f"{k}={short(v)}" for k, v in row.items() if k not in _APART)
        text = f"{self._name}: epoch {row['epoch']}/{self._epochs} {numbers}"
        say(sys.stderr, f"\r{text:<79}", end="")

    def within(self, epochs: int, share: float, loss: float) -> None:
        text = f"{self._name}: epoch {epochs + 1}/{self._epochs} {share:.0%} "
        text += f"loss={short(loss)}"
        say(sys.stderr, f"\r{text:<79}", end="")

    def close(self) -> None:
        say(sys.stderr, "")


class _Bar:
    """verbose=1 with tqdm, which goes on where nobody can see it."""

    def __init__(self, bar):
        self._bar = bar

    def update(self, row: dict, best: bool = False) -> None:
        numbers = {k: short(v) for k, v in row.items() if k not in _APART}
        with suppress(*_UNSEEN):
            self._bar.set_postfix(numbers, refresh=False)
            self._bar.n = int(self._bar.n)
            self._bar.update(row["epoch"] - self._bar.n)

    def within(self, epochs: int, share: float, loss: float) -> None:
        with suppress(*_UNSEEN):
            self._bar.n = round(epochs + share, 2)
            self._bar.set_postfix({"loss": short(loss)}, refresh=True)

    def close(self) -> None:
        with suppress(*_UNSEEN):
            self._bar.close()
