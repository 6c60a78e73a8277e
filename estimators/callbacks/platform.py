"""Scikit-learn's own callbacks, which are set by ``set_callbacks`` from 1.9 on."""

from __future__ import annotations

__all__ = ["ScikitCallbacks"]


class ScikitCallbacks:
    """Calls scikit-learn's callbacks from the hooks of ours: a task for each epoch.

    Parameters
    ----------
    estimator : NetworkEstimator
        With callbacks of its own, or of a pipeline or search that it is fitted in.
    epochs : int
        The most epochs, or iterations of L-BFGS.
    X, y, sample_weight
        As `fit` was given them.
    """

    def __init__(self, estimator, epochs: int, X, y, sample_weight):
        self._estimator = estimator
        self._data = {"estimator": estimator, "X": X, "y": y}
        if sample_weight is not None:
            self._data["metadata"] = {"sample_weight": sample_weight}
        self._fit = estimator._init_callback_context(max_subtasks=epochs)
        self._epoch = None

    def on_fit_begin(self, state) -> None:
        """Begin the fit's task and that of the first epoch."""
        self._fit.call_on_fit_task_begin(**self._data)
        self._begin_epoch()

    def on_epoch_end(self, state) -> bool:
        """End the epoch's task; begin the next one if there will be one."""
        epoch, self._epoch = self._epoch, None
        stop = epoch.call_on_fit_task_end(
            **self._data, reconstruction_attributes=state.snapshot
        )
        if not stop and state.stop_reason is None and state.epoch < state.last_epoch:
            self._begin_epoch()
        return stop

    def on_fit_end(self, state) -> None:
        """End the fit's task, unless the fit failed."""
        if state.stop_reason in ("error", "interrupted"):
            return
        if self._epoch is not None:
            # L-BFGS ends without another iteration: the task that was begun is empty.
            self._epoch.call_on_fit_task_end(estimator=self._estimator)
        self._fit.call_on_fit_task_end(
            **self._data, reconstruction_attributes=state.snapshot
        )

    def _begin_epoch(self) -> None:
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._data)
