"""Callbacks that end a fit: no improvement, or no time left."""

from __future__ import annotations

import math

import numpy as np

from slimlearn.estimators.callbacks.base import Callback

__all__ = ["EarlyStopping", "TimeLimit"]


class EarlyStopping(Callback):
    """Stop when a number of the record no longer improves.

    The estimator's own ``early_stopping=True`` watches the loss or one score; this
    callback watches any column, such as one of `EpochScoring`.

    Parameters
    ----------
    monitor : str, default="auto"
        A column of the record; "auto" is ``validation_score``, else
        ``validation_loss``, else ``loss``.
    n_iter_no_change : int >= 1, default=10
        Epochs without improvement before it stops.
    tol : float >= 0, default=0.0
        Least improvement that counts, in the units of the column.
    restore_best : bool, default=True
        Whether the weights of the best epoch are put back; they are then those of
        ``best_iteration_``.

    Attributes
    ----------
    best_ : float
        The best value.
    best_epoch_ : int
        Its epoch, from 1.
    """

    _elsewhere = {  # noqa: RUF012
        "patience": "n_iter_no_change",
        "min_delta": "tol",
        "threshold": "tol",
        "restore_best_weights": "restore_best",
        "load_best": "restore_best",
        "mode": "scores are known to rise, and losses to fall",
        "lower_is_better": "scores are known to rise, and losses to fall",
    }

    def __init__(
        self,
        monitor: str = "auto",
        n_iter_no_change: int = 10,
        tol: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self.monitor = monitor
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.restore_best = restore_best

    def on_fit_begin(self, state) -> None:
        """Begin to count."""
        state.require_epochs("EarlyStopping")
        self._kept = None
        self._lowest = self._target = math.inf
        self._waited = 0
        self.best_, self.best_epoch_ = math.nan, 0
        self._require("n_iter_no_change", "an int >= 1", lambda v: v >= 1, whole=True)
        self._require("tol", "at least 0", lambda v: v >= 0)

    def on_epoch_end(self, state) -> bool:
        """Compare this epoch with the best one."""
        column = state.column(self.monitor, repr(self))
        value = state.loss_of(column)
        if value < self._lowest or self._kept is None:
            self._lowest = value
            self.best_ = state.row[column]
            self.best_epoch_ = state.epoch
            program = state.program
            self._kept = program.params.copy(), program.state.copy()
        if value < self._target - self.tol:
            self._target = value
            self._waited = 0
        else:
            self._waited += 1
        return self._waited >= self.n_iter_no_change

    def get_state(self) -> dict:
        """The best so far."""
        return {
            "best": [self._lowest, self._target, self._waited],
            "shown": [self.best_, self.best_epoch_],
            "kept": None if self._kept is None else list(self._kept),
        }

    def set_state(self, saved: dict, state) -> None:
        """Go on from `get_state`."""
        self._lowest, self._target, self._waited = saved["best"]
        self.best_, self.best_epoch_ = saved["shown"]
        self._kept = saved["kept"] and tuple(saved["kept"])

    def on_fit_end(self, state) -> None:
        """Put the best weights back."""
        kept, self._kept = self._kept, None
        if self.restore_best and kept is not None:
            np.copyto(state.program.params, kept[0])
            np.copyto(state.program.state, kept[1])
            state.history.best_iteration = self.best_epoch_


class TimeLimit(Callback):
    """Stop at the end of the epoch in which the time is up.

    Parameters
    ----------
    seconds : float > 0
        Wall-clock seconds since the fit began.
    """

    final = False

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_fit_begin(self, state) -> None:
        """Check the limit."""
        self._require("seconds", "greater than 0", lambda v: v > 0)

    def on_epoch_end(self, state) -> bool:
        """Look at the clock."""
        return state.seconds >= self.seconds
