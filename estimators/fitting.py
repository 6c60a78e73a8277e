"""The steps of one fit, in their natural order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sklearn.utils import check_random_state

from slimlearn.backend import dataset, training
from slimlearn.backend.optimizer import make_optimizer
from slimlearn.backend.schedule import Schedule, make_schedule
from slimlearn.backend.telling import warn
from slimlearn.estimators import validation
from slimlearn.estimators.arrays import (
    check_one_gpu,
    device_of,
    home_of,
    origin_of,
)
from slimlearn.estimators.callbacks.base import fresh_callbacks
from slimlearn.estimators.callbacks.run import KEEPS_EPOCHS, Calls
from slimlearn.estimators.callbacks.state import FitState
from slimlearn.estimators.callbacks.steps import Asks, StepWatch
from slimlearn.estimators.columns import columns_of, warn_of_odd
from slimlearn.estimators.heads import Head
from slimlearn.estimators.history import Monitor
from slimlearn.estimators.holdout import held_out
from slimlearn.estimators.inputs import Input
from slimlearn.estimators.inputs.sequence_rows import Sequences
from slimlearn.estimators.labels import class_weighted, outputs_of, plain_classes
from slimlearn.estimators.likeness import warn_of_other_units
from slimlearn.estimators.progress import BAR_SECONDS
from slimlearn.estimators.publishing import Publishing
from slimlearn.estimators.rows import Rows
from slimlearn.estimators.scheduling import UNKNOWN_LENGTH, make_schedules
from slimlearn.estimators.settings import settings_of
from slimlearn.estimators.starting import Starting
from slimlearn.estimators.summary import Summary

__all__ = ["Fitting"]


class Fitting(Starting, Publishing):
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
        self.given_classes = plain_classes(classes)
        self.watchers = list(watchers)
        self.label_factors: list | None = None
        fitted = estimator.__dict__
        self.former = fitted.copy() if resume and "program_" in fitted else None
        self.optimizer = make_optimizer(estimator._optimizer_wish())
        if not self.optimizer.iterative:
            validation.check_all_at_once(estimator)
        self.schedule = make_schedule(estimator.learning_rate_schedule)
        self.schedules = make_schedules(estimator)

    def run(self, *data) -> str:
        """Train and publish; returns why the training ended.

        `data` is fit's X, y, sample_weight, X_val, y_val, sample_weight_val and
        groups.
        """
        self.callbacks = fresh_callbacks(self.estimator.callbacks)
        rows, held = self._prepare(*data)
        monitor = self._monitor(rows, held)
        observe, calls = monitor.observe, None
        named = self.callbacks + self.watchers
        if named:
            calls = Calls(named, FitState(self, monitor, rows, held), monitor)
            observe = calls.observe
        begun = self.progress.epoch
        try:
            if calls is not None:
                calls.begin()
            ended = training.fit(
                self.handle.native,
                self.program,
                self.parts,
                self.sizes,
                self.settings,
                self.progress,
                monitor.record,
                observe,
                watched=calls is not None or monitor.watches,
                watch=self._watch(monitor, calls),
            )
            monitor.restore()
            if calls is not None:
                calls.end(ended)
            self._publish()
            monitor.conclude()
        except BaseException as error:
            # Of no epoch there is nothing to keep: what was fitted before stays.
            kept = isinstance(error, KEEPS_EPOCHS) and self.progress.epoch > begun
            if kept:
                monitor.fill()
                monitor.restore()
            if calls is not None:
                calls.abort(error)
            if kept:
                self._publish()
                monitor.conclude()
            raise
        finally:
            monitor.close()
        return ended

    def steps_per_epoch(self) -> int | None:
        """Steps of a whole epoch; None where that is not known before its end."""
        if self.sizes is None:
            return None
        size = self.settings.batch_size * self.settings.accumulate
        return sum(dataset.steps_per_epoch(n, size) for n in self.sizes if n)

    def check_schedule(self, name: str, schedule: Schedule) -> None:
        """Refuse a schedule that goes by what is not known of this fit."""
        if self.partial and schedule.goes_by == "length":
            raise ValueError(UNKNOWN_LENGTH.format(name, schedule))

    def _watch(self, monitor: Monitor, calls: Calls | None) -> StepWatch | None:
        """Those who want to be called between steps; None if nobody does."""
        bar = monitor.bar
        if bar is None and calls is None:
            return None
        progress, asks = self.progress, [] if calls is None else calls.asks()
        takes_time, steps = bool(asks), self.steps_per_epoch()
        if bar is not None and steps is not None:

            def show() -> None:
                within = progress.within
                loss = within.loss * monitor.loss_unit
                bar.within(self.history.epochs, within.steps / steps, loss)

            asks.append(Asks(show, None, BAR_SECONDS))
        return StepWatch(asks, progress, takes_time) if asks else None

    def profile(self, X, y, sample_weight, steps: int) -> list[dict]:
        """Time the launches of training steps, on copies of the fitted arrays."""
        self.callbacks = []
        self._prepare(X, y, sample_weight)
        [part] = self.parts
        if self.optimizer.iterative:
            trainer = training.make_trainer(
                self.handle.native,
                self.program,
                part,
                self.settings,
                self.program.allocate_slots(),
            )
            return trainer.profile(steps, self.settings.learning_rate)
        return self.handle.native.profile(
            "grad",
            part.sources,
            self.program,
            hypers=self.settings.hypers,
            rounds=steps,
        )

    def _prepare(
        self,
        X,
        y,
        sample_weight,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
        groups=None,
    ):
        """Everything before the first step; returns the training and held-out rows."""
        if self.estimator.device != "cpu":
            check_one_gpu(
                X=X,
                y=y,
                sample_weight=sample_weight,
                X_val=X_val,
                y_val=y_val,
                sample_weight_val=sample_weight_val,
            )
        rows = self._rows(X, y, sample_weight, reset=self.former is None)
        seed = self._seed()
        held = held_out(
            self.estimator,
            self.input,
            rows,
            self.classes,
            X_val,
            y_val,
            sample_weight_val,
            seed,
            groups,
        )
        summary = self._summary_of(rows)
        self._ready(rows, held, summary, seed)
        self.sizes = [len(rows)]
        self.parts = [self._part(rows)]
        layer = self.estimator._first_layer
        if layer is not None and not self.optimizer.iterative:
            X, weights = rows.pick(rows.X), rows.pick(rows.weights)
            penalty = self.estimator.l2_regularization
            self.settings.columns, odd = columns_of(layer, X, weights, penalty)
            warn_of_odd(self.input, X, odd)
        return rows, held

    def _ready(self, rows: Rows, held: Rows | None, summary: Summary, seed: int):
        """Make the head, the program and the settings for `summary`'s rows.

        `rows` are some of them, which say what all are like.
        """
        estimator = self.estimator
        self.summary = summary
        shape = rows.y.shape[1:]
        if not self.partial:
            estimator._check_summary(summary, shape)
        self.head = self._head_of(shape, summary)
        taken = held is not None and held.taken
        if shape and self.classes is not None:
            self.head = self.head.weighed(
                self.label_factors,
                summary.counts_of(outputs_of(self.classes, True)),
                prior=1.0 if self.partial else 0.0,
                held_out=taken,
            )
        count = summary.rows
        if held is not None:
            self.head.check(held.pick(held.target))
            count += len(held) if taken else 0
        self.precision = self._precision(self.input.kind, count)
        self.compute = self._compute()
        if held is not None and not taken:
            self.input.check_range(estimator, held.X, self.precision)
            if rows.X is not None and estimator._compares_units:
                warn_of_other_units(estimator, self.input, rows, held)
        self.weighted = not summary.uniform or (
            held is not None and held.weights is not None
        )
        try:
            built = self._built(held is not None)
        except MemoryError as error:
            raise MemoryError(f"{error}{self.input.large}") from error
        if built.unread:
            warn(
                f"the network of {type(estimator).__name__} predicts without reading "
                f"{', '.join(built.unread)}: use it in the network function, or leave "
                "it out of inputs"
            )
        if idle := estimator._idle():
            warn(
                f"{type(estimator).__name__} does not read {', '.join(idle)} where net "
                "is given: put into the network what it should have of them, or set "
                "net=None"
            )
        self.by_rows = built.by_rows
        self._start(built, seed)
        self.settings = settings_of(
            estimator,
            built,
            self.head,
            self.optimizer,
            self.schedule,
            self.schedules,
            rows=summary.rows,
            epochs=self.epochs,
            seed=seed,
        )
        self.settings.first_epoch = self.progress.epoch
        self.held_part = None if held is None else self._sources(held)

    def _head_of(self, shape: tuple[int, ...], summary: Summary) -> Head:
        return self.estimator._fit_head(
            self.classes, shape, summary, self.former, self.partial, self.order
        )

    def _seed(self) -> int:
        given = self.estimator.random_state
        return _draw_once(given) if isinstance(given, int) else _draw(given)

    # -- rows -----------------------------------------------------------------------

    def _rows(self, X, y, sample_weight, *, reset: bool) -> Rows:
        """The rows of a fit that has all of them."""
        estimator = self.estimator
        self._look_at(X, y)
        wish = estimator._new_input()
        wish.more = self.partial
        X, y = estimator._checked(wish, X, y, reset=reset)
        X = self._see(wish, X)
        weights = validation.check_weights(sample_weight, X, absent=wish.absent)
        weights = estimator._row_weights(weights, y)
        self.classes, target = estimator._encode_target(
            y, self.former, self.given_classes
        )
        rows = Rows(X, y, target, weights)
        rows.drop_weightless()
        by_class = getattr(estimator, "class_weight", None) is not None
        if by_class and not isinstance(target, Sequences):
            summary = self._summary_of(rows)
            factors = estimator._class_factors(self.classes, y.shape[1:], summary)
            if y.ndim == 2:
                self.label_factors = factors
            else:
                rows.weights = class_weighted(*factors, weights, target)
                rows.drop_weightless()
        return rows

    def _see(self, wish: Input, X):
        """Let the input be that of checked rows; these as it stores them."""
        former = None if self.former is None else self.former["_input"]
        wish.partial = self.partial
        self.input = wish.seen(X, former)
        return self.input.alike(X, "X")

    def _look_at(self, X, y) -> None:
        """What X and y tell before they are checked arrays."""
        self.device = device_of(self.estimator.device, X)
        self.order = validation.label_order(y)
        self.origin, self.home_of_labels = origin_of(home_of(X)), home_of(y)

    def _summary_of(self, rows: Rows) -> Summary:
        labels = None
        if self.classes is not None:
            labels = outputs_of(self.classes, rows.y.ndim == 2)
        return Summary.of(rows.pick(rows.target), rows.pick(rows.weights), labels)

    def _part(self, rows: Rows) -> training.Part:
        """Rows as the program trains on them, checked against head and precision."""
        self._check_batches(len(rows))
        self.head.check(rows.pick(rows.target))
        self.input.check_range(self.estimator, rows.X, self.precision)
        if self.summary.uniform:
            rows.weights = None
        elif rows.weights is not None:
            rows.weights = self.summary.scaled(rows.weights)
        return self._sources(rows)

    def _check_batches(self, rows: int) -> None:
        """Refuse batches whose mean is their only row."""
        alone = self.settings.batch_size == 1 and self.optimizer.iterative
        if self.by_rows and (rows == 1 or (rows > 1 and alone)):
            what, do = "there is 1 sample", "give 2 rows or more"
            if rows > 1:
                what, do = "batch_size=1", "set batch_size to 2 or more"
            raise ValueError(
                f"batch_norm ({', '.join(self.by_rows)}) goes by the mean and variance "
                f"of a batch's rows, and a batch would have 1 row, as {what}: {do}, or "
                "train without batch_norm"
            )

    def _sources(self, rows: Rows) -> training.Part:
        sources = rows.sources(self.input, self.head, self.precision, self.weighted)
        return training.Part(sources, rows.index)

    # -- watching -------------------------------------------------------------------

    def _monitor(self, rows: Rows, held: Rows | None) -> Monitor:
        estimator = self.estimator
        validate = rate = None
        if held is not None:
            validate = self._validation(self.held_part)
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

    def _validation(self, part: training.Part):
        native, threads = self.handle.native, self.estimator.n_threads
        hypers = self.head.hypers()

        def validate() -> float:
            loss, weight = native.run(
                "score",
                part.sources,
                self.program,
                rows=part.rows,
                hypers=hypers,
                n_threads=threads,
            )
            return float(loss) / float(weight)

        return validate

    def facts(self) -> list:
        """What else tells fits apart."""
        return []

    def samples(self) -> dict[str, training.Part]:
        """Some of the training rows, and those of validation: they tell fits apart."""
        held = {} if self.held_part is None else {"validation": self.held_part}
        return {"train": self._first_part(), **held}

    def _first_part(self) -> training.Part:
        return self.parts[0]


def _draw(random_state) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))


# A generator takes longer to make than a small network's epoch.
_draw_once = lru_cache(_draw)
