"""A callback that writes a fit for TensorBoard: curves, weights, the graph."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from os import PathLike

import numpy as np

from slimlearn.backend.arena import allocate
from slimlearn.backend.graph import storage_of
from slimlearn.estimators.callbacks.base import Callback
from slimlearn.estimators.callbacks.writing import writing
from slimlearn.estimators.tensorboard import graphs
from slimlearn.estimators.tensorboard.pictures import filters
from slimlearn.estimators.tensorboard.writer import Writer, has_events

__all__ = ["TensorBoard"]

# Columns of a record as tags: what is compared stands in one card.
_TAGS = {
    "loss": "loss/training",
    "validation_loss": "loss/validation",
    "validation_score": "score/validation",
}
# Steps that a profile takes the mean of.
_STEPS = 5


class TensorBoard(Callback):
    """Write the epochs of a fit for TensorBoard: ``tensorboard --logdir runs``.

    Curves of all columns of the record are written: losses, score, learning rate, and
    what `EpochScoring` adds. A thread writes; training does not wait for the disk.

    Parameters
    ----------
    log_dir : str or path-like
        The folder of this run. ``{fit}`` in it becomes a name of the fit, which keeps
        the runs of a search apart, and ``{time}`` the time at which it begins. A fit
        that goes on from earlier epochs adds to the folder; one that begins anew
        refuses a folder that has events. One that fails before its first epoch ends
        leaves none.
    histograms : bool or int, default=False
        Whether the distributions of the weights, and of their gradients on the first
        rows, are written after each epoch, or after each so many. Optimizers that move
        only the rows that a sparse batch touches have no whole gradients.
    images : "filters", callable or None, default=None
        "filters" writes those of the first layer; a function of the `FitState` returns
        a dict of pictures by name: matplotlib figures or arrays, as `Writer.image`
        takes them.
    graph : bool, default=True
        Whether the graph of a training step is written, with scopes, shapes and
        devices.
    profile : bool, default=True
        Whether a few steps on a copy are timed after the first epoch: the graph shows
        time and memory of each operation.
    pr_curves : bool, default=False
        Whether precision and recall of each class, or label, on the validation rows
        are written after each epoch.
    embeddings : str, list of str or None, default=None
        Names of parameters, such as ``"embedding/weights"``, whose rows the projector
        shows after the fit.

    Attributes
    ----------
    log_dir_ : str
        The folder that was written.
    writer : Writer
        While the fit runs: other callbacks write pictures, sounds and words by
        ``state.callbacks["tensorboard"].writer``.

    Notes
    -----
    If the events cannot be written, for example on a full disk, the fit ends with a
    `FitStopped` (an OSError), and the estimator keeps the epochs done. The extra
    ``slimlearn[tensorboard]`` is needed.

    Examples
    --------
    ::

        from slimlearn.callbacks import TensorBoard

        clf = DNNClassifier(callbacks=[TensorBoard("runs/{time}", histograms=True)])
        clf.fit(X, y)
    """

    last = 2
    _keeps_failed = False  # the run of a fit that failed before an epoch ended

    def __init__(
        self,
        log_dir: str | PathLike,
        *,
        histograms: bool | int = False,
        images: str | Callable | None = None,
        graph: bool = True,
        profile: bool = True,
        pr_curves: bool = False,
        embeddings: str | list[str] | None = None,
    ) -> None:
        self.log_dir = log_dir
        self.histograms = histograms
        self.images = images
        self.graph = graph
        self.profile = profile
        self.pr_curves = pr_curves
        self.embeddings = embeddings

    @property
    def writer(self) -> Writer:
        """What writes this run, while the fit runs."""
        found = self.__dict__.get("_writer")
        if found is None:
            raise AttributeError(
                "TensorBoard.writer is there while a fit runs, from on_fit_begin to "
                "on_fit_end: slimlearn.tensorboard.Writer makes another"
            )
        return found

    # -- hooks ----------------------------------------------------------------------

    def on_fit_begin(self, state) -> None:
        """Open the file, write the graph."""
        self._check(state)
        folder = self._folder(state)
        if state.epoch == 0 and "{time}" in os.fspath(self.log_dir):
            with writing("TensorBoard", folder):
                folder = _make_another(folder)
        if state.epoch == 0 and has_events(folder):
            raise ValueError(
                f"TensorBoard: {folder} has the events of another fit, and two in one "
                "folder are drawn as one zigzag: choose another log_dir, put {time} or "
                "{fit} into it (the fits of a search need that), or delete the folder"
            )
        self.log_dir_, self._first = folder, state.epoch
        with writing("TensorBoard", folder):
            self._writer = Writer(folder)
        if self.graph:
            # The thread has a moment for it; the model is not changed any more.
            model, device = state.program.model, self._device(state)
            self._writer.message(lambda: graphs.graph_event(model, "grad", device))
        self._told = ""

    def on_epoch_end(self, state) -> None:
        """Write the record, and what else was asked for."""
        epoch = state.epoch
        with writing("TensorBoard", self.log_dir_):
            self._writer.scalars(self._scalars(state), epoch)
            every = int(self.histograms)
            if every and (epoch % every == 0 or epoch == state.last_epoch):
                self._writer.histograms(self._distributions(state), epoch)
            if self.images is not None:
                for tag, picture in self._pictures(state).items():
                    self._writer.image(tag, picture, epoch)
            if self.pr_curves:
                self._write_curves(state)
            if self.profile and not self._told:
                self._write_profile(state)

    def on_fit_end(self, state) -> None:
        """Write what is left and close the file."""
        writer = self.__dict__.pop("_writer", None)
        self.__dict__.pop("_told", None)
        first = self.__dict__.pop("_first", None)
        if writer is None:
            return
        with writing("TensorBoard", self.log_dir_):
            try:
                for name in self._embedded():
                    vectors = state.weights[name]
                    writer.embedding(name.replace("/", "-"), vectors)
            finally:
                writer.close()
                failed = state.stop_reason in ("error", "interrupted")
                if failed and state.epoch == first and not self._keeps_failed:
                    os.remove(writer.path)

    # -- what is asked for ----------------------------------------------------------

    def _check(self, state) -> None:
        """Refuse what the fit does not have before it begins."""
        every = self.histograms
        if not isinstance(every, (bool, np.bool_, int, np.integer)) or every < 0:
            raise ValueError(
                "TensorBoard: histograms is True, False or a number of epochs; got "
                f"{every!r}"
            )
        if self.images is not None and not callable(self.images):
            if self.images != "filters":
                raise ValueError(
                    "TensorBoard: images is 'filters', a function of the state that "
                    f"returns pictures by name, or None; got {self.images!r}"
                )
            if self._filters(state) is None:
                raise ValueError(
                    "TensorBoard: images='filters' needs a first layer that reads "
                    "pictures, by convolution or from square ones: give a function "
                    "instead"
                )
        for name in self._embedded():
            if name not in state.weights or state.weights[name].ndim != 2:
                raise ValueError(
                    f"TensorBoard: embeddings={name!r} is no table of weights; there "
                    f"are {[k for k, v in state.weights.items() if v.ndim == 2]}"
                )
        if self.pr_curves:
            state.scorer(lambda *_: 0.0)  # refuses a fit without validation rows
            head = state._fitting.head
            if head.by_step:
                raise ValueError(
                    "TensorBoard: pr_curves needs one answer for a row, and "
                    f"{state.name} gives one for each step: set pr_curves=False"
                )
            if not getattr(head, "probabilistic", False):
                raise ValueError(
                    "TensorBoard: pr_curves needs a classifier with probabilities, "
                    "such as of loss='log_loss'"
                )

    def _folder(self, state) -> str:
        text = os.path.expanduser(os.fspath(self.log_dir))
        if "{fit}" in text:
            text = text.replace("{fit}", state.identity)
        return text.replace("{time}", time.strftime("%Y-%m-%d_%H-%M-%S"))

    def _device(self, state) -> str:
        return str(getattr(state._fitting.estimator, "device", "cpu"))

    def _embedded(self) -> list[str]:
        names = self.embeddings
        return [] if names is None else [names] if isinstance(names, str) else names

    def _scalars(self, state) -> dict[str, float]:
        return {
            _TAGS.get(name, name): value
            for name, value in state.row.items()
            if name != "epoch" and not math.isnan(value)
        }

    def _distributions(self, state) -> dict[str, np.ndarray]:
        found = {f"weights/{name}": array for name, array in state.weights.items()}
        for name, array in self._gradients(state).items():
            found[f"gradients/{name}"] = array
        return found

    def _gradients(self, state) -> dict[str, np.ndarray]:
        """The gradients of the first batch of rows, at the present weights."""
        fitting = state._fitting
        graph = state.program.model.functions["grad"]
        if any(storage_of(value.dtype) for value in graph.grads.values()):
            return {}  # what is kept as rows, training alone reads
        try:
            part = fitting._first_part()
        except (AttributeError, TypeError, IndexError):
            return {}
        count = min(len(part), fitting.settings.batch_size or len(part))
        rows = np.arange(count) if part.rows is None else part.rows[:count]
        # A step may set states: on a copy it does not.
        twin = state.program.copy()
        arena = allocate(twin.params.size)
        fitting.handle.native.run(
            "grad",
            part.sources,
            twin,
            rows=rows,
            hypers={**fitting.settings.hypers, "global_rows": float(count)},
            gradient=arena,
            n_threads=fitting.estimator.n_threads,
        )
        views = twin.param_layout.views(arena)
        return {name: views[name] for name in graph.grads}

    def _pictures(self, state) -> dict:
        if self.images == "filters":
            return {"filters": self._filters(state)}
        found = self.images(state)
        odd = [found] if not isinstance(found, dict) else found
        odd = [type(v).__name__ for v in odd if not isinstance(v, str)]
        if odd:
            raise ValueError(
                f"TensorBoard: images returns a dict of pictures by name; got {odd[0]}"
            )
        return found

    def _filters(self, state):
        first = next((a for a in state.weights.values() if a.ndim in (2, 4)), None)
        if first is None:
            return None
        shape = getattr(state._fitting.estimator, "image_shape", None)
        return filters(first, None if first.ndim == 4 else shape)

    def _write_curves(self, state) -> None:
        rows, head = state._rows["validation"], state._fitting.head
        X = state._fitting.input.take(rows.X, rows.index)
        truth, weights = rows.pick(rows.target), rows.pick(rows.weights)
        probabilities = state.estimator.predict_proba(X)
        if isinstance(probabilities, list):
            pairs = [
                (f"output{i}/{label}", truth[:, i] == code, found[:, code])
                for i, found in enumerate(probabilities)
                for code, label in enumerate(head.classes[i])
            ]
        elif head.several:
            pairs = [
                (str(label), truth[:, i] == 1, probabilities[:, i])
                for i, label in enumerate(head.classes)
            ]
        else:
            codes = list(enumerate(head.classes))
            codes = codes[1:] if len(codes) == 2 else codes
            pairs = [(str(c), truth == i, probabilities[:, i]) for i, c in codes]
        for name, is_one, scores in pairs:
            self._writer.pr_curve(
                f"validation/{name}", is_one, scores, state.epoch, sample_weight=weights
            )

    def _write_profile(self, state) -> None:
        fitting = state._fitting
        self._told = f"epoch_{state.epoch}"
        if not state.iterative or not isinstance(fitting.parts, list):
            return
        launches = fitting.handle.native.profile(
            "grad",
            fitting.parts[0].sources,
            state.program.copy(),
            hypers=fitting.settings.hypers,
            batch=fitting.settings.batch_size,
            rounds=_STEPS,
        )
        told, device = self._told, self._device(state)
        self._writer.message(lambda: graphs.profile_event(launches, told, device))


def _make_another(folder: str) -> str:
    """Make the folder, or where fits of the same second have it, one beside it."""
    found, count = folder, 1
    while True:
        try:
            os.makedirs(found)
        except FileExistsError:
            count += 1
            found = f"{folder}-{count}"
        else:
            return found
