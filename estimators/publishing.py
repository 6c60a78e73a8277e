"""What a fit gives: a fitted estimator's attributes, now and at its end."""

from __future__ import annotations

import math

from slimlearn.estimators.arrays import Origin
from slimlearn.estimators.handle import Handle
from slimlearn.estimators.rows import Rows
from slimlearn.estimators.scoring import Rater

__all__ = ["Publishing"]


class Publishing:
    """Makes fitted estimators of a fit whose program is being trained."""

    def candidate(self):
        """A fitted estimator whose weights are those that are being trained."""
        candidate = object.__new__(type(self.estimator))
        candidate.__dict__.update(self.estimator.__dict__)
        candidate.__dict__.update(self._fitted())
        return candidate

    def snapshot(self) -> dict:
        """Attributes of an estimator with copies of the present weights."""
        program, history = self.program.copy().seal(), self.history.copy()
        return {
            **self._fitted(),
            "program_": program,
            "_handle": Handle(
                program, self.input, self.handle.closely, self.handle.device
            ),
            "history_": history,
            "n_iter_": history.epochs,
            "loss_curve_": history.loss_curve,
        }

    def scorer(self, scoring, rows: Rows) -> Rater:
        """A function that scores the present weights on some rows."""
        candidate = self.candidate()
        if not self.input.named:
            # The rows are checked arrays, whatever they came as.
            candidate.__dict__.pop("feature_names_in_", None)
        candidate._origin = Origin()
        if self.classes is not None:
            candidate.classes_ = self.classes
        candidate._handle = Handle(
            self.program, self.input, closely=False, device=self.handle.device
        )
        X = self.input.take(rows.X, rows.index)
        y, weights = rows.pick(rows.y), rows.pick(rows.weights)
        return Rater(scoring, candidate, X, y, weights)

    def _fitted(self) -> dict:
        fitted = {
            "program_": self.program,
            "_input": self.input,
            "_head": self.head,
            "_handle": self.handle,
            "_end_points": self.end_points,
            "_origin": self.origin,
        }
        if self.classes is not None:
            home = self.home_of_labels
            fitted["classes_"] = (
                self.classes if home is None else home.give(self.classes)
            )
        return fitted

    def _publish(self) -> None:
        estimator, history = self.estimator, self.history
        if not (self.partial or estimator.warm_start):
            self.progress.slots = None
        losses, scores = history.loss_curve, history.validation_scores
        curve = history.validation_loss_curve or losses
        self.handle.seal()
        fitted = self._fitted()
        fitted.update(
            _progress=self.progress,
            history_=history,
            callbacks_=self.callbacks,
            n_iter_=history.epochs,
            best_iteration_=history.best_iteration,
            loss_=losses[-1],
            best_loss_=_best(min, curve),
            loss_curve_=losses,
            validation_loss_curve_=history.validation_loss_curve,
            validation_scores_=scores,
            best_validation_score_=_best(max, scores) if scores else None,
        )
        if self.optimizer.iterative:
            fitted["learning_rate_"] = self.settings.learning_rate
        estimator.__dict__.update(fitted)


def _best(of, curve: list[float]) -> float:
    """The least or largest of a curve, without what was not looked at."""
    return of((value for value in curve if value == value), default=math.nan)
