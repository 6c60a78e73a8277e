"""The steps of one fit, in their natural order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.utils import check_random_state

from slimlearn.backend import dataset, training
from slimlearn.backend.optimizer import make_optimizer
from slimlearn.backend.program import Program
from slimlearn.backend.schedule import make_schedule
from slimlearn.estimators import validation
from slimlearn.estimators.build import BUILT, Built, build
from slimlearn.estimators.callbacks.base import fresh_callbacks
from slimlearn.estimators.callbacks.run import KEEPS_EPOCHS, Calls
from slimlearn.estimators.callbacks.state import FitState
from slimlearn.estimators.handle import Handle
from slimlearn.estimators.history import History, Monitor
from slimlearn.estimators.holdout import held_out
from slimlearn.estimators.rows import Rows
from slimlearn.estimators.settings import settings_of

__all__ = ["Fitting"]


class Fitting:
    """One call of fit: from checked parameters to published attributes.

    Parameters
    ----------
    estimator : NetworkEstimator
    epochs : int
        Epochs, or iterations of L-BFGS, to be run.
    resume : bool
        Whether to go on from the fitted state, if there is one.
    partial : bool
        Whether these are not all rows: a class may be missing, more calls will come.
    classes : array-like or None
        The labels that y can have, for the first partial call.
    watchers : sequence of (str, object)
        What is called like the estimator's callbacks, after them, and not published.
    """

    def __init__(
        self,
        estimator,
        epochs: int,
        resume: bool,
        *,
        partial: bool = False,
        classes=None,
        watchers: Sequence = (),
    ):
        self.estimator = estimator
        self.epochs = epochs
        self.partial = partial
        self.given_classes = classes
        self.watchers = list(watchers)
        fitted = estimator.__dict__
        self.former = fitted.copy() if resume and "program_" in fitted else None
        self.optimizer = make_optimizer(estimator.optimizer)
        self.schedule = make_schedule(estimator.learning_rate_schedule)

    def run(self, X, y, sample_weight, X_val, y_val, sample_weight_val) -> str:
        """Train and publish; returns why the training ended."""
        self.callbacks = fresh_callbacks(self.estimator.callbacks)
        rows, held = self._prepare(X, y, sample_weight, X_val, y_val, sample_weight_val)
        monitor = self._monitor(rows, held)
        observe, calls = monitor.observe, None
        named = self.callbacks + self.watchers
        if named:
            calls = Calls(named, FitState(self, monitor, rows, held), monitor)
            observe = calls.observe
        try:
            if calls is not None:
                calls.begin()
            ended = training.fit(
                self.handle.native,
                self.program,
                self.sources,
                rows.index,
                self.settings,
                self.progress,
                observe,
            )
            monitor.restore()
            if calls is not None:
                calls.end(ended)
        except BaseException as error:
            kept = isinstance(error, KEEPS_EPOCHS) and self.history.epochs > 0
            if kept:
                monitor.restore()
            if calls is not None:
                calls.abort(error)
            if kept:
                self._publish()
            raise
        finally:
            monitor.close()
        self._publish()
        return ended

    def profile(self, X, y, sample_weight, steps: int) -> list[dict]:
        """Time the launches of training steps, on copies of the fitted arrays."""
        self.callbacks = []
        rows, _ = self._prepare(X, y, sample_weight, None, None, None)
        trainer = training.make_trainer(
            self.handle.native,
            self.program,
            self.sources,
            rows.index,
            self.settings,
            self.program.allocate_slots(),
        )
        if self.optimizer.iterative:
            return trainer.profile(steps, self.settings.learning_rate)
        return self.handle.native.profile(
            "grad",
            self.sources,
            self.program,
            hypers=self.settings.hypers,
            rounds=steps,
        )

    def _prepare(self, X, y, sample_weight, X_val, y_val, sample_weight_val):
        """Everything before the first step; returns the training and held-out rows."""
        estimator = self.estimator
        rows = self._rows(X, y, sample_weight, reset=self.former is None)
        seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
        held = held_out(
            estimator, rows, self.classes, X_val, y_val, sample_weight_val, seed
        )
        self._scale_weights(rows)
        self.head = estimator._fit_head(
            self.classes,
            rows.pick(rows.target),
            rows.pick(rows.weights),
            self.former,
            self.partial,
            self.order,
        )
        for part in (rows, held):
            if part is not None:
                self.head.check(part.pick(part.target))
        precision = self._precision(rows, held)
        validation.check_range(estimator, rows.X, precision)
        if held is not None and held.X is not rows.X:
            validation.check_range(estimator, held.X, precision)
        weighted = any(r is not None and r.weights is not None for r in (rows, held))
        built = self._built(rows.X.shape[1], precision, weighted, held is not None)
        self._start(built, seed)
        self.settings = settings_of(
            estimator,
            built,
            self.head,
            self.optimizer,
            self.schedule,
            rows=len(rows),
            epochs=self.epochs,
            seed=seed,
        )
        self.sources = rows.sources(self.head, precision, weighted)
        self.held_sources = held and held.sources(self.head, precision, weighted)
        return rows, held

    # -- rows -----------------------------------------------------------------------

    def _rows(self, X, y, sample_weight, *, reset: bool) -> Rows:
        estimator = self.estimator
        self.order = validation.label_order(y)
        X, y = validation.check_fit_data(
            estimator, X, y, regression=estimator._regression, reset=reset
        )
        weights = validation.check_weights(sample_weight, X)
        self.classes, target = estimator._encode_target(
            y, self.former, self.given_classes
        )
        weights = estimator._class_weighted(weights, target, self.classes)
        index = None
        if weights is not None and not weights.all():
            index = np.flatnonzero(weights)
        if not self.partial:
            kept = target if index is None else target[index]
            estimator._check_target(self.classes, kept)
        return Rows(X, y, target, weights, index)

    def _scale_weights(self, rows: Rows) -> None:
        if dataset.uniform(rows.pick(rows.weights)):
            rows.weights = None
        else:
            rows.weights = dataset.scaled_weights(rows.weights, rows.index)

    # -- program --------------------------------------------------------------------

    def _precision(self, rows: Rows, held: Rows | None) -> str:
        wish = self.estimator.precision
        if wish != "auto":
            return "f32" if wish == "float32" else "f64"
        if self.former is not None:
            return self.former["program_"].model.precision
        kind = rows.X.dtype
        if kind.kind == "f" and kind.itemsize <= 4:
            return "f32"
        if not self.optimizer.iterative:
            return "f64"
        count = len(rows) + (0 if held is None or held.X is not rows.X else len(held))
        return "f64" if kind.kind == "f" and count <= 1000 else "f32"

    def _built(self, features, precision, weighted, scored) -> Built:
        estimator = self.estimator
        settings = {
            "features": features,
            "precision": precision,
            "weighted": weighted,
            "scored": scored,
            "l2": estimator.l2_regularization > 0,
            "clip": estimator.gradient_clip_norm is not None
            or any(getattr(c, "clips_norm", False) for _, c in self.callbacks),
        }
        key, head = estimator._network_key(), self.head.key
        if key is not None:
            key = head and (
                *key,
                head,
                self.optimizer.structure(),
                *settings.values(),
            )
        return BUILT.get(
            key,
            lambda: build(estimator._network(), self.head, self.optimizer, **settings),
        )

    def _start(self, built: Built, seed: int) -> None:
        """The arrays to train: fresh ones, or copies of the fitted ones."""
        estimator = self.estimator
        self.program = program = built.program.copy()
        self.end_points = built.end_points
        self.handle = Handle(program, "feature_names_in_" in estimator.__dict__)
        former = self.former
        if former is None:
            self.handle.native.run("init", {}, program, seed=seed)
            bias = self.head.bias()
            if bias is not None and built.bias is not None:
                program.weights[built.bias][...] += bias
            for name, value in self.head.parameters().items():
                program.weights[name][...] = value
            self.progress, self.history = training.Progress(), History()
        else:
            old = former["program_"]
            if _shapes(old) != _shapes(program):
                raise ValueError(
                    f"warm_start: the fitted network and the present parameters of "
                    f"{type(estimator).__name__} make different networks: set "
                    "warm_start=False, or the former parameters"
                )
            program.params[...] = old.params
            program.state[...] = old.state
            self.progress = former["_progress"].copy()
            self.history = former["history_"].copy()
            slots = self.progress.slots
            if old.model.slots.names() != program.model.slots.names() or (
                slots is not None and slots.size != program.allocate_slots().size
            ):
                self.progress.slots = None
            if self.progress.slots is None:
                # A fresh optimizer counts its steps from the start.
                self.progress.step, self.progress.memory = 0, None
        for name, value in self.head.states().items():
            program.states[name][...] = value

    # -- watching and publishing ----------------------------------------------------

    def _monitor(self, rows: Rows, held: Rows | None) -> Monitor:
        estimator = self.estimator
        validate = rate = None
        if held is not None:
            validate = self._validation(self.held_sources, held.index)
        if estimator.scoring != "loss" and (
            held is not None or estimator.early_stopping
        ):
            rate = self.scorer(estimator.scoring, rows if held is None else held)
        return Monitor(
            self.history,
            self.program,
            loss_unit=self.head.loss_unit,
            validate=validate,
            rate=rate,
            patience=estimator.n_iter_no_change if estimator.early_stopping else None,
            tol=estimator.tol * (1.0 if rate else self.head.tol_unit),
            max_iter=self.epochs,
            verbose=estimator.verbose,
            name=type(estimator).__name__,
        )

    def _validation(self, sources, index):
        native, threads = self.handle.native, self.estimator.n_threads
        hypers = self.head.hypers()

        def validate() -> float:
            loss, weight = native.run(
                "score",
                sources,
                self.program,
                rows=index,
                hypers=hypers,
                n_threads=threads,
            )
            return float(loss) / float(weight)

        return validate

    def candidate(self):
        """A fitted estimator whose weights are those that are being trained."""
        candidate = object.__new__(type(self.estimator))
        candidate.__dict__.update(self.estimator.__dict__)
        candidate.__dict__.update(self._fitted())
        return candidate

    def snapshot(self) -> dict:
        """Attributes of an estimator with copies of the present weights."""
        program, history = self.program.copy(), self.history.copy()
        return {
            **self._fitted(),
            "program_": program,
            "_handle": Handle(program, self.handle.named),
            "history_": history,
            "n_iter_": history.epochs,
            "loss_curve_": history.loss_curve,
        }

    def scorer(self, scoring, rows: Rows):
        """A function that scores the present weights on some rows."""
        from sklearn.metrics import check_scoring

        candidate = self.candidate()
        # The rows are checked arrays, whatever they came as.
        candidate.__dict__.pop("feature_names_in_", None)
        candidate._handle = Handle(self.program, named=False)
        scorer = check_scoring(candidate, scoring=scoring)
        X, y, weights = rows.pick(rows.X), rows.pick(rows.y), rows.pick(rows.weights)
        options = {} if weights is None else {"sample_weight": weights}

        def rate() -> float:
            return float(scorer(candidate, X, y, **options))

        return rate

    def _fitted(self) -> dict:
        fitted = {
            "program_": self.program,
            "_head": self.head,
            "_handle": self.handle,
            "_end_points": self.end_points,
        }
        if self.classes is not None:
            fitted["classes_"] = self.classes
        return fitted

    def _publish(self) -> None:
        estimator, history = self.estimator, self.history
        if not (self.partial or estimator.warm_start):
            self.progress.slots = None
        losses, scores = history.loss_curve, history.validation_scores
        curve = history.validation_loss_curve or losses
        fitted = self._fitted()
        fitted.update(
            _progress=self.progress,
            history_=history,
            callbacks_=self.callbacks,
            n_iter_=history.epochs,
            best_iteration_=history.best_iteration,
            loss_=losses[-1],
            best_loss_=min(curve),
            loss_curve_=losses,
            validation_loss_curve_=history.validation_loss_curve,
            validation_scores_=scores,
            best_validation_score_=max(scores) if scores else None,
        )
        if self.optimizer.iterative:
            fitted["learning_rate_"] = self.settings.learning_rate
        estimator.__dict__.update(fitted)


def _shapes(program: Program) -> list[tuple]:
    declared = [*program.model.parameters, *program.model.states]
    return [(d.name, d.type) for d in declared]
