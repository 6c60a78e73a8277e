"""A score of the present weights after each epoch, as a column of the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from slimlearn.estimators.callbacks.base import Callback

__all__ = ["EpochScoring"]


class EpochScoring(Callback):
    """Score the present weights after each epoch by any scorer.

    Parameters
    ----------
    scoring : str or callable
        As scikit-learn takes it, such as "roc_auc"; larger is better.
    name : str or None, default=None
        The column; None is the scorer's name after ``validation_`` or ``train_``.
    on : {"validation", "train"}, default="validation"
        Which rows: those of `X_val` or early stopping's, or the training rows.
    every : int >= 1, default=1
        Epochs from one score to the next; between them the last one stands.

    Attributes
    ----------
    scores_ : list of float
        One an epoch.
    """

    def __init__(
        self,
        scoring: str | Callable[..., float],
        name: str | None = None,
        on: Literal["validation", "train"] = "validation",
        every: int = 1,
    ) -> None:
        self.scoring = scoring
        self.name = name
        self.on = on
        self.every = every

    def on_fit_begin(self, state) -> None:
        """Make the scorer."""
        if self.on not in ("validation", "train"):
            raise ValueError(
                f"The 'on' parameter of EpochScoring must be 'validation' or 'train'. "
                f"Got {self.on!r} instead."
            )
        self._require("every", "an int >= 1", lambda v: v >= 1, whole=True)
        self._score = state.scorer(self.scoring, self.on)
        scoring = self.scoring
        known = scoring if isinstance(scoring, str) else _name_of(scoring)
        self._column = self.name or f"{self.on}_{known}"
        state.larger_is_better.add(self._column)
        self.scores_: list[float] = []

    def on_epoch_end(self, state) -> None:
        """Score."""
        if len(self.scores_) % self.every == 0:
            score = self._score()
        else:
            score = self.scores_[-1]
        self.scores_.append(score)
        state.row[self._column] = score

    def get_state(self) -> dict:
        """The scores so far."""
        return {"scores": self.scores_}

    def set_state(self, saved: dict, state) -> None:
        """Go on from `get_state`."""
        self.scores_ = saved["scores"]

    def on_fit_end(self, state) -> None:
        """Let the rows go."""
        self._score = None


def _name_of(scorer) -> str:
    function = getattr(scorer, "_score_func", scorer)
    return getattr(function, "__name__", type(scorer).__name__)
