"""What the hooks of callbacks are given: one view of a running fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np

from slimlearn.backend.patterns import matches
from slimlearn.backend.progress import EpochResult, Within
from slimlearn.estimators.callbacks.identity import identity_of

__all__ = ["FitState"]


class FitState:
    """A running fit, as callbacks see and change it.

    Attributes
    ----------
    epoch : int
        Epochs that the weights have seen, or iterations of L-BFGS.
    last_epoch : int
        Where the fit ends if nothing stops it.
    row : dict of str to float
        The record of this epoch: ``epoch``, ``loss``, ``validation_loss`` and
        ``validation_score`` where there are some, ``learning_rate`` of the last step,
        ``seconds`` since the fit began. Numbers that a callback adds become columns of
        ``history_``.
    larger_is_better : set of str
        The columns of `row` that are scores rather than losses.
    history : History
        All epochs so far.
    monitored : float
        The loss, or minus the score, that the learning rate schedule hears.
    stop_reason : str or None
        Why the fit ends: a callback's words, "early_stopping", "epochs", L-BFGS' word
        such as "gradient", "interrupted" or "error"; None while it goes on.
    """

    def __init__(self, fitting, monitor, rows, held):
        self._fitting = fitting
        self._monitor = monitor
        self._rows = {"train": rows, "validation": held}
        self._started = time.perf_counter()
        self._identity: str | None = None
        self._estimator = None
        self.history = fitting.history
        self.last_epoch = self.epoch + fitting.epochs
        self.row: dict[str, float] = {}
        self.larger_is_better = {"validation_score"}
        self.monitored = float("nan")
        self.stop_reason: str | None = None
        self.final = False
        self.callbacks: dict[str, object] = {}

    # -- where the fit stands -------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Epochs that the weights have seen."""
        return self.history.epochs

    @property
    def step(self) -> int:
        """Steps that the weights have seen, in all epochs."""
        return self.progress.all_steps

    @property
    def inputs(self) -> list[dict]:
        """What X means, as a model file tells: names, types and columns."""
        fitting = self._fitting
        names = fitting.estimator.__dict__.get("feature_names_in_")
        return fitting.input.describe(fitting.precision, names)

    @property
    def epoch_step(self) -> int:
        """Steps of the epoch that is running; 0 between two epochs."""
        within = self.progress.within
        return 0 if within is None else within.steps

    @property
    def loss(self) -> float:
        """The mean training loss, of the running epoch's steps or the last epoch."""
        within = self.progress.within
        if within is not None:
            return within.loss * self._monitor.loss_unit
        return self.history.loss_curve[-1] if self.history.loss_curve else float("nan")

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps of a whole epoch; None where that is not known before its end."""
        return self._fitting.steps_per_epoch()

    @property
    def seconds(self) -> float:
        """Seconds since the fit began."""
        return time.perf_counter() - self._started

    @property
    def estimator(self):
        """A fitted estimator with the present weights, for use within the hook."""
        if self._estimator is None:
            self._estimator = self._fitting.candidate()
        return self._estimator

    @property
    def name(self) -> str:
        """The class of the estimator."""
        return type(self._fitting.estimator).__name__

    def snapshot(self) -> dict:
        """Fitted attributes with copies of the present weights."""
        return self._fitting.snapshot()

    def advance(self) -> None:
        """Begin the record of an epoch that has just ended."""
        self.row = self.history.last()
        self.row["seconds"] = self.seconds

    def column(self, monitor: str, who: str) -> str:
        """The column of this epoch's record that `monitor` means.

        Parameters
        ----------
        monitor : str
            A column, or "auto": the score of validation, else its loss, else the loss.
        who : str
            Who asks, for the error.

        Raises
        ------
        ValueError
            If the record has no such column.
        """
        if monitor == "auto":
            for monitor in ("validation_score", "validation_loss", "loss"):
                if monitor in self.row:
                    break
        if monitor not in self.row:
            raise ValueError(
                f"{who}: monitor={monitor!r} is not in the record of an epoch, which "
                f"has {list(self.row)}: give X_val and y_val to fit, or put "
                f"EpochScoring(name={monitor!r}) before it"
            )
        return monitor

    def loss_of(self, column: str) -> float:
        """A number of this epoch's record, negated where larger is better.

        Parameters
        ----------
        column : str

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If it is not finite: it is then neither better nor worse than another.
        """
        value = self.row[column]
        if not np.isfinite(value):
            raise ValueError(
                f"{column!r} is {value} after epoch {self.epoch}, which is neither "
                "better nor worse than another: monitor another column, or give X_val "
                "and y_val of more rows"
            )
        return -value if column in self.larger_is_better else value

    def stop(self, reason: str, final: bool = True) -> None:
        """End the fit after this epoch; the first reason given is kept.

        Parameters
        ----------
        reason : str
        final : bool
            Whether the fit is then complete, so that nothing is left for a checkpoint
            to go on with.
        """
        if self.stop_reason is None:
            self.stop_reason = reason
        self.final = self.final or final

    # -- learning rate and clipping -------------------------------------------------

    @property
    def iterative(self) -> bool:
        """Whether there are steps with a learning rate: not with L-BFGS."""
        return self._fitting.optimizer.iterative

    @property
    def settings(self):
        """The numbers of the run: schedule, seed, clipping and so on."""
        return self._fitting.settings

    @property
    def learning_rate(self) -> float:
        """The base learning rate, which the schedule multiplies; settable."""
        return self.settings.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.require_steps("a learning rate")
        if not (np.isfinite(rate) and rate >= 0):
            raise ValueError(f"a learning rate must be finite and >= 0; got {rate!r}")
        self.settings.learning_rate = float(rate)

    def require_steps(self, what: str) -> None:
        """Raise ValueError if the optimizer is L-BFGS, which has no `what`.

        Parameters
        ----------
        what : str
            For the error.
        """
        if not self.iterative:
            raise ValueError(
                f"L-BFGS has no {what} that a callback could set: choose another "
                "optimizer"
            )

    def require_epochs(self, who: str) -> None:
        """Raise ValueError in partial_fit, where nobody can count several epochs.

        Parameters
        ----------
        who : str
            For the error.
        """
        if self._fitting.partial and self._fitting.sizes is not None:
            raise ValueError(
                f"{who} counts the epochs of a fit, and each call of partial_fit is a "
                "fit of one epoch: take it out of callbacks, or train with fit or "
                "fit_chunks"
            )

    def check_schedule(self, name: str, schedule) -> None:
        """Raise ValueError if a schedule goes by what is not known of this fit.

        Parameters
        ----------
        name : str
            What the schedule is for, in the error.
        schedule : Schedule
        """
        self._fitting.check_schedule(name, schedule)

    # -- weights --------------------------------------------------------------------

    @property
    def program(self):
        """The program that is being trained."""
        return self._fitting.program

    @property
    def progress(self):
        """Epoch, step and the optimizer's arrays."""
        return self._fitting.progress

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The parameters by name, such as ``fc1/weights``: views that can be set."""
        return self.program.weights

    @property
    def scales(self) -> list[str]:
        """Names of the arrays that hold the scale of y, which no weights replace."""
        return list(self._fitting.head.states())

    def freeze(self, patterns) -> list[str]:
        """Stop training the parameters that fit the patterns; returns their names.

        Parameters
        ----------
        patterns : str or sequence of str
            Of names or layers, as in ``"fc1*"``.

        Returns
        -------
        list of str
        """
        return self._set_segments(patterns, "frozen", [True] * len(self.weights))

    def unfreeze(self, patterns) -> list[str]:
        """Train parameters again that `freeze` froze; returns their names.

        Parameters
        ----------
        patterns : str or sequence of str
            Of names or layers, as in ``"fc1*"``.

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If a `ParamFreezer` without ``until`` froze one of them: the program has no
            gradient of it.
        """
        frozen = self._fitting.frozen
        lost = [n for n in self.weights if matches(n, patterns) and matches(n, frozen)]
        if lost:
            raise ValueError(
                f"{lost} are frozen for good, without gradients: give ParamFreezer "
                "until=, or freeze them by state.freeze in a callback of your own"
            )
        return self._set_segments(patterns, "frozen", [False] * len(self.weights))

    def scale_rate(self, patterns, factor: float) -> list[str]:
        """Multiply the learning rate of some parameters; returns their names.

        Of a fit with `LayerRates`, or another callback whose ``scales_rates`` is True.

        Parameters
        ----------
        patterns : str or sequence of str
            Of names or layers, as in ``"fc1*"``.
        factor : float
            At least 0; it takes the place of an earlier one, and multiplies the
            `learning_rate_factor` that a variable has itself.

        Returns
        -------
        list of str
        """
        own = [p.learning_rate_factor for p in self.program.model.parameters]
        return self._set_segments(patterns, "rate", [factor * one for one in own])

    def _set_segments(self, patterns, key: str, values: list) -> list[str]:
        names = [name for name in self.weights if matches(name, patterns)]
        if not names:
            raise ValueError(
                f"no parameter fits {patterns!r}; there are {list(self.weights)}"
            )
        segments = self.settings.segments
        for name, segment, value in zip(self.weights, segments, values, strict=True):
            if name in names:
                segment[key] = value
        self.settings.changed = True
        return names

    # -- checkpoints ----------------------------------------------------------------

    def saved(self) -> dict:
        """What the fit needs, beside weights and slots, to go on after this epoch."""
        settings, progress = self.settings, self.progress
        within, memory = progress.within, progress.memory
        if within is None:
            memory = settings.schedule.observe(self.monitored, memory)
        return {
            "fit": self.identity,
            "epoch": progress.epoch,
            "step": progress.step,
            "within": None if within is None else asdict(within),
            "memory": memory,
            "learning_rate": settings.learning_rate,
            "ended": self.stop_reason if self.final else None,
            "history": asdict(self.history),
            "monitor": self._monitor.get_state(),
            "callbacks": {
                name: callback.get_state()
                for name, callback in self.callbacks.items()
                if hasattr(callback, "get_state")
            },
        }

    def restore(self, saved: dict, program, slots: np.ndarray | None) -> None:
        """Go on from what `saved` gave, in the arrays of this fit.

        Parameters
        ----------
        saved : dict
        program : Program
            With the weights to go on from.
        slots : ndarray or None
            The optimizer's arrays.
        """
        settings, progress = self.settings, self.progress
        np.copyto(self.program.params, program.params)
        np.copyto(self.program.state, program.state)
        progress.slots = self.program.allocate_slots()
        if slots is not None:
            if slots.size != progress.slots.size:
                raise ValueError(f"{slots.size} bytes for the optimizer's arrays")
            progress.slots[...] = slots
        progress.epoch, progress.step = saved["epoch"], saved["step"]
        progress.memory, progress.within = saved["memory"], None
        if saved.get("within") is not None:
            within = dict(saved["within"])
            for key in ("result", "earlier"):
                within[key] = EpochResult(**within[key])
            progress.within = Within(**within)
        settings.learning_rate = saved["learning_rate"]
        settings.max_iter = self.last_epoch - progress.epoch
        if saved["ended"] is not None:
            self.stop(saved["ended"])
            settings.max_iter = 0
        # Older ones have no rates.
        rates = [float("nan")] * progress.epoch
        kept = {"learning_rates": rates, **saved["history"]}
        for name in asdict(self.history):
            setattr(self.history, name, kept[name])
        self._monitor.set_state(saved["monitor"])
        for name, kept in saved["callbacks"].items():
            if hasattr(self.callbacks.get(name), "set_state"):
                self.callbacks[name].set_state(kept, self)

    # -- scores and names -----------------------------------------------------------

    def scorer(self, scoring, on: str = "validation") -> Callable[[], float]:
        """A function that scores the present weights.

        Parameters
        ----------
        scoring : str or callable
            As scikit-learn's ``check_scoring`` takes it; larger is better.
        on : {"validation", "train"}
            Which rows.
        """
        rows = self._rows[on]
        if rows is None and on == "train":
            raise ValueError(
                "the training rows of fit_chunks are never there together: give X_val "
                "and y_val, and score on='validation'"
            )
        if rows is None:
            raise ValueError(
                "there are no validation rows: give X_val and y_val to fit, set "
                "early_stopping=True, or score on='train'"
            )
        return self._fitting.scorer(scoring, rows)

    @property
    def identity(self) -> str:
        """A name of this fit: the same for the same data, network, settings and seed.

        It differs between the fits of a search, so files named by it are safe for any
        `n_jobs`; read it in `on_fit_begin`.
        """
        if self._identity is None:
            self._identity = identity_of(self._fitting, self.last_epoch)
        return self._identity
