"""A callback that writes the fits of a search as runs of TensorBoard's HParams."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import suppress
from os import PathLike

from slimlearn.estimators.callbacks.tensorboard import TensorBoard
from slimlearn.estimators.tensorboard import hparams
from slimlearn.estimators.tensorboard.writer import has_events

__all__ = ["HParams"]


class HParams(TensorBoard):
    """Write each fit of a search as a run of TensorBoard's HParams, with its curves.

    Give it to the estimator that `GridSearchCV` or its kind clones: the fit of each
    candidate on each fold writes a folder of its own, for any `n_jobs`; the table shows
    the mean of a candidate's folds. `slimlearn.tensorboard.log_search` writes the
    scores of a search afterwards.

    Parameters
    ----------
    log_dir : str or path-like
        The folder of the search.
    params : str, list of str or None, default=None
        Parameters that the table shows, such as ``"optimizer__beta1"``; by default
        those that are not their defaults.
    histograms, images, graph, profile
        As of `TensorBoard`, with other defaults.

    Attributes
    ----------
    log_dir_ : str
        The folder that was written.

    Examples
    --------
    ::

        clf = DNNClassifier(callbacks=[HParams("runs/search", ["dropout"])])
        GridSearchCV(clf, {"dropout": [0.0, 0.3]}).fit(X, y)
    """

    def __init__(
        self,
        log_dir: str | PathLike,
        params: str | list[str] | None = None,
        *,
        histograms: bool | int = False,
        images: str | Callable | None = None,
        graph: bool = False,
        profile: bool = False,
    ) -> None:
        self.log_dir = log_dir
        self.params = params
        self.histograms = histograms
        self.images = images
        self.graph = graph
        self.profile = profile

    pr_curves = False
    embeddings = None
    _keeps_failed = True  # a search tells of those, too

    def on_fit_begin(self, state) -> None:
        """Open the run and tell its parameters."""
        estimator = state._fitting.estimator
        params = estimator.get_params(deep=True)
        chosen = self.params
        if isinstance(chosen, str):
            chosen = [chosen]
        if chosen is None:
            chosen = _changed(estimator)
        unknown = [name for name in chosen if name not in params]
        if unknown:
            raise ValueError(
                f"HParams: params={unknown} are no parameters of {state.name}; it has "
                f"{[n for n in params if not n.startswith('callbacks')]}"
            )
        self._params = {name: params[name] for name in chosen}
        super().on_fit_begin(state)
        begin = hparams.started(self._params, hparams.group_of(self._params))
        self._writer.message(lambda: begin)

    def on_fit_end(self, state) -> None:
        """Tell how the fit ended, and close the file."""
        if "_writer" in self.__dict__:
            end = hparams.ended(state.stop_reason not in ("error", "interrupted"))
            with suppress(OSError):  # which closing tells
                self._writer.message(lambda: end)
        self.__dict__.pop("_params", None)
        super().on_fit_end(state)

    def _folder(self, state) -> str:
        folder = os.path.join(
            super()._folder(state), hparams.group_of(self._params), state.identity
        )
        # A search refits its best candidate; the same rows may be fitted again.
        found, count = folder, 1
        while state.epoch == 0 and has_events(found):
            count += 1
            found = f"{folder}-{count}"
        return found


def _changed(estimator) -> list[str]:
    """The parameters that are not their defaults."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(
            type(estimator).__init__
        ).parameters.items()
    }
    left_out = ("callbacks", "verbose", "n_threads", "random_state")
    return [
        name
        for name, value in estimator.get_params(deep=False).items()
        if name not in left_out and repr(value) != repr(defaults.get(name))
    ]
