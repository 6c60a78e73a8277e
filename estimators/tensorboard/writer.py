"""`Writer`: a file of events, written by a thread of its own."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from itertools import count
from os import PathLike
from pathlib import Path

import numpy as np

from slimlearn.backend.telling import warn
from slimlearn.estimators.tensorboard import messages
from slimlearn.estimators.tensorboard.pictures import pixels_of
from slimlearn.estimators.tensorboard.records import record

__all__ = ["EVENTS", "Writer", "has_events"]

# What the names of event files begin with.
EVENTS = "events.out.tfevents."
# Events that wait for the disk at most; what comes then is left out.
_WAITING = 1000
# Seconds after which what was written can be seen by readers.
_SECONDS = 2.0

_numbers = count()


def has_events(folder: str | PathLike) -> bool:
    """Whether a folder holds events itself."""
    try:
        return any(name.startswith(EVENTS) for name in os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return False


class Writer:
    """Writes events for TensorBoard into a folder; nothing waits for the disk.

    Messages are made and written by a thread, from copies of what they were given. Of a
    disk that is slower than the events for long some are left out, with a warning.

    Parameters
    ----------
    log_dir : str or path-like
        The run's folder; made where it is missing. It may hold events already, which
        are shown together with the new ones.

    Raises
    ------
    ImportError
        If the tensorboard package is missing: ``pip install "slimlearn[tensorboard]"``.
    OSError
        If the folder or the file cannot be written.

    Examples
    --------
    ::

        with slimlearn.tensorboard.Writer("runs/mine") as writer:
            writer.scalar("accuracy", 0.9, step=1)
            writer.image("digits", X[:8].reshape(8, 28, 28, 1), step=1)
    """

    def __init__(self, log_dir: str | PathLike):
        self._kinds = messages.kinds()
        self.log_dir = os.path.expanduser(os.fspath(log_dir))
        os.makedirs(self.log_dir, exist_ok=True)
        now = time.time()
        name = f"{EVENTS}{int(now):010d}.{socket.gethostname()}.{os.getpid()}"
        self.path = os.path.join(self.log_dir, f"{name}.{next(_numbers)}")
        self._file = open(self.path, "xb")  # noqa: SIM115 (the thread writes it)
        self._error: Exception | None = None
        self._lost = 0
        self._queue: queue.Queue = queue.Queue(_WAITING)
        first = self._kinds.event.Event(wall_time=now, file_version="brain.Event:2")
        try:
            self._file.write(record(first.SerializeToString()))
            self._file.flush()
        except OSError:
            self._file.close()
            raise
        self._thread = threading.Thread(
            target=self._work, name="slimlearn-tensorboard", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # -- what is written ------------------------------------------------------------

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write a number.

        Parameters
        ----------
        tag : str
            Its name; those with the same word before ``/`` stand together.
        value : float
        step : int
        """
        value = float(value)
        self._put(step, lambda: [messages.scalar(tag, value)])

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Write several numbers by their tags.

        Parameters
        ----------
        values : dict of str to float
        step : int
        """
        given = [(tag, float(value)) for tag, value in values.items()]
        self._put(step, lambda: [messages.scalar(*one) for one in given])

    def histogram(self, tag: str, values, step: int) -> None:
        """Write how numbers are distributed.

        Parameters
        ----------
        tag : str
        values : array-like
            Of any shape; those that are not finite are left out.
        step : int
        """
        self.histograms({tag: values}, step)

    def histograms(self, values: dict, step: int) -> None:
        """Write how several arrays of numbers are distributed.

        Parameters
        ----------
        values : dict of str to array-like
        step : int
        """
        given = {tag: _numbers_of(tag, array) for tag, array in values.items()}
        self._put(
            step, lambda: [messages.histogram(tag, a) for tag, a in given.items()]
        )

    def image(self, tag: str, pictures, step: int) -> None:
        """Write pictures.

        Parameters
        ----------
        tag : str
        pictures : array-like or matplotlib figure
            [height, width], with channels (1, 3 or 4) behind, and with several pictures
            before: bytes, or numbers that are stretched where they leave 0 … 1.
        step : int

        Raises
        ------
        ValueError
            If they have no such shape.
        """
        found = pixels_of(pictures)
        found = [np.array(picture) for picture in found]
        self._put(step, lambda: [messages.image(tag, found)])

    def audio(self, tag: str, samples, step: int, *, rate: int = 44100) -> None:
        """Write a sound.

        Parameters
        ----------
        tag : str
        samples : array-like of shape (n,) or (n, channels)
            From -1 to 1.
        step : int
        rate : int, default=44100
            Samples a second.
        """
        array = np.array(samples, np.float64)
        array = array[:, np.newaxis] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] not in (1, 2):
            raise ValueError(
                f"a sound is an array of samples, with 1 or 2 channels behind; {tag!r} "
                f"has shape {np.shape(samples)}"
            )
        self._put(step, lambda: [messages.audio(tag, array, int(rate))])

    def text(self, tag: str, words: str, step: int) -> None:
        """Write words, which are shown as Markdown.

        Parameters
        ----------
        tag : str
        words : str
        step : int
        """
        self._put(step, lambda: [messages.text(tag, str(words))])

    def pr_curve(self, tag: str, truth, scores, step: int, *, sample_weight=None):
        """Write precision and recall at all thresholds.

        Parameters
        ----------
        tag : str
        truth : array-like of bool of shape (n,)
        scores : array-like of shape (n,)
            Probabilities.
        step : int
        sample_weight : array-like of shape (n,), optional
        """
        truth, scores = np.array(truth, bool), np.array(scores, np.float64)
        if truth.shape != scores.shape or truth.ndim != 1:
            raise ValueError(
                f"pr_curve {tag!r} needs a truth and a score for each row; got shapes "
                f"{truth.shape} and {scores.shape}"
            )
        if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
            raise ValueError(
                f"pr_curve {tag!r} needs scores from 0 to 1, as predict_proba gives "
                f"them; got {scores.min():.3g} to {scores.max():.3g}"
            )
        weights = None if sample_weight is None else np.array(sample_weight, float)
        self._put(step, lambda: [messages.pr_curve(tag, truth, scores, weights)])

    def embedding(self, name: str, vectors, labels: Iterable | None = None) -> None:
        """Write vectors for the projector, with a label each.

        Parameters
        ----------
        name : str
            Letters, digits, ``_`` and ``-``.
        vectors : array-like of shape (n, size)
        labels : iterable of n strings, optional
        """
        vectors = np.array(vectors, np.float32)
        if vectors.ndim != 2 or not name.replace("-", "_").isidentifier():
            raise ValueError(
                f"embedding needs a plain name and vectors of shape (n, size); got "
                f"{name!r} and shape {vectors.shape}"
            )
        words = None
        if labels is not None:
            words = [str(w).replace("\t", " ").replace("\n", " ") for w in labels]
            if len(words) != len(vectors):
                raise ValueError(
                    f"embedding {name!r}: {len(words)} labels, {len(vectors)} vectors"
                )
        self._later(lambda: self._write_embedding(name, vectors, words))

    def message(self, make: Callable) -> None:
        """Write an event of the tensorboard package.

        Parameters
        ----------
        make : callable
            Gives one, in the thread.
        """
        self._later(lambda: self._write(make()))

    # -- the thread -----------------------------------------------------------------

    def _put(self, step: int, make: Callable) -> None:
        kinds, now = self._kinds, time.time()
        step = int(step)

        def event():
            summary = kinds.summary.Summary(value=make())
            return kinds.event.Event(wall_time=now, step=step, summary=summary)

        self._later(lambda: self._write(event()))

    def _later(self, work: Callable) -> None:
        self.check()
        if self._file is None:
            raise ValueError(f"the writer of {self.log_dir} is closed: make another")
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self._lost += 1

    def _write(self, event) -> None:
        self._file.write(record(event.SerializeToString()))

    def _write_embedding(self, name: str, vectors, words) -> None:
        folder = Path(self.log_dir)
        np.savetxt(folder / f"{name}.tsv", vectors, "%.7g", "\t")
        lines = [f'embeddings {{\n  tensor_name: "{name}"\n']
        lines.append(f'  tensor_path: "{name}.tsv"\n')
        if words is not None:
            (folder / f"{name}_labels.tsv").write_text(
                "\n".join(words) + "\n", encoding="utf-8"
            )
            lines.append(f'  metadata_path: "{name}_labels.tsv"\n')
        path = folder / "projector_config.pbtxt"
        known = path.read_text() if path.exists() else ""
        if f'"{name}"' not in known:
            path.write_text(known + "".join(lines) + "}\n")

    def _work(self) -> None:
        seen = time.monotonic()
        while True:
            try:
                work = self._queue.get(timeout=_SECONDS)
            except queue.Empty:
                work = _nothing
            try:
                if self._error is None:
                    if work is not None:
                        work()
                    now = time.monotonic()
                    if work is None or self._queue.empty() or now - seen > _SECONDS:
                        self._flush()
                        seen = now
            except Exception as error:
                self._error = error
            if work is None:
                return

    def _flush(self) -> None:
        self._file.flush()
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise FileNotFoundError(2, "it was removed", self.path)

    def check(self) -> None:
        """Raise what went wrong when earlier events were written."""
        if self._error is not None:
            raise self._error

    def flush(self) -> None:
        """Wait until all events so far are written.

        Raises
        ------
        OSError
            If one could not be written.
        """
        done = threading.Event()

        def work():
            try:
                self._flush()
            finally:
                done.set()

        while self._error is None and self._thread.is_alive():
            try:
                self._queue.put(work, timeout=_SECONDS)
                break
            except queue.Full:
                continue
        while self._error is None and self._thread.is_alive():
            if done.wait(0.05):
                break
        self.check()

    def close(self) -> None:
        """Write what is left and close the file.

        Raises
        ------
        OSError
            If something could not be written.
        """
        if self._file is None:
            return
        self._queue.put(None)
        self._thread.join()
        file, self._file = self._file, None
        try:
            file.close()
        except OSError as error:
            self._error = self._error or error
        if self._lost:
            warn(
                f"{self._lost} events for TensorBoard were left out, as the disk of "
                f"{self.log_dir} is slower than they came: write fewer of them"
            )
        self.check()


def _nothing() -> None:
    """What the thread does when nothing came for a while."""


def _numbers_of(tag: str, values) -> np.ndarray:
    array = np.array(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"histogram {tag!r} needs numbers, got {array.dtype}")
    return array
