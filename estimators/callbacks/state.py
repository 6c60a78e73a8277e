"""What the hooks of callbacks are given: one view of a running fit."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import numpy as np

__all__ = ["FitState", "matches"]


def matches(name: str, patterns) -> bool:
    """Whether a parameter's name, or the layer above it, fits one of the patterns."""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    layer = name.rpartition("/")[0]
    return any(fnmatchcase(name, p) or fnmatchcase(layer, p) for p in patterns)


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
        ``validation_score`` where there are some, ``learning_rate``, ``seconds`` since
        the fit began. Numbers that a callback adds become columns of ``history_``.
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

    # -- where the fit stands -------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Epochs that the weights have seen."""
        return self.history.epochs

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

    def advance(self) -> None:
        """Begin the record of an epoch that has just ended."""
        self.row = self.history.last()
        if self.iterative:
            self.row["learning_rate"] = self.learning_rate
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
        """A number of this epoch's record, negated where larger is better."""
        value = self.row[column]
        return -value if column in self.larger_is_better else value

    def stop(self, reason: str) -> None:
        """End the fit after this epoch; the first reason given is kept."""
        if self.stop_reason is None:
            self.stop_reason = reason

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
        """Raise ValueError if the optimizer is L-BFGS, which has no `what`."""
        if not self.iterative:
            raise ValueError(
                f"L-BFGS has no {what} that a callback could set: choose another "
                "optimizer"
            )

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

    def freeze(self, patterns) -> list[str]:
        """Stop training the parameters that fit the patterns; returns their names."""
        return self._set_frozen(patterns, True)

    def unfreeze(self, patterns) -> list[str]:
        """Train parameters again that `freeze` froze; returns their names."""
        return self._set_frozen(patterns, False)

    def _set_frozen(self, patterns, frozen: bool) -> list[str]:
        names = [name for name in self.weights if matches(name, patterns)]
        if not names:
            raise ValueError(
                f"no parameter fits {patterns!r}; there are {list(self.weights)}"
            )
        for name, segment in zip(self.weights, self.settings.segments, strict=True):
            if name in names:
                segment["frozen"] = frozen
        self.settings.changed = True
        return names

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
            self._identity = self._digest()
        return self._identity

    def _digest(self) -> str:
        fitting, settings = self._fitting, self.settings
        facts = [
            *(self.name, self.program.text, self.epoch, settings.optimizer),
            *(settings.schedule, settings.learning_rate, settings.batch_size),
            *(settings.segments, sorted(settings.hypers.items()), settings.shuffle),
            *(settings.clip_norm, settings.clip_value, settings.tol, settings.seed),
            *(zlib.crc32(self.program.params), zlib.crc32(self.program.state)),
        ]
        if self._depends_on_length():
            facts.append(self.last_epoch)
        digest = hashlib.blake2b(repr(facts).encode(), digest_size=8)
        for key, sources in (
            ("train", fitting.sources),
            ("validation", fitting.held_sources),
        ):
            rows = self._rows[key]
            if rows is None:
                continue
            index = np.arange(len(rows.X)) if rows.index is None else rows.index
            # A few thousand rows tell two data sets apart; all would cost seconds.
            some = index[:: max(1, len(index) // 2048)]
            digest.update(f"{key} {len(index)}".encode())
            for name, array in sources.items():
                part = np.ascontiguousarray(array[some])
                digest.update(f"{name} {part.dtype} {part.shape}".encode())
                digest.update(part.tobytes())
        return digest.hexdigest()

    def _depends_on_length(self) -> bool:
        """Whether the schedule's rates depend on how many epochs there will be."""
        schedule, steps = self.settings.schedule, max(self.last_epoch, 1)
        first, second = (
            schedule.rates(
                1.0, 0, min(steps, 1000), steps_per_epoch=1, total_steps=total
            )
            for total in (steps, 2 * steps)
        )
        return not np.array_equal(first, second)
