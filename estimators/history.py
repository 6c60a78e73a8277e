"""What a fit sees after each epoch: losses, scores, the best weights, when to stop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from slimlearn.backend.interrupts import Deferred
from slimlearn.estimators.pictures import curves_svg, html_table
from slimlearn.estimators.progress import make_reporter, short

if TYPE_CHECKING:
    import pandas as pd

    from slimlearn.estimators.scoring import Rater

__all__ = ["History", "Monitor", "Profile"]

logger = logging.getLogger("slimlearn")

# What every record has, beside losses and scores that have curves of their own.
_OWN = {
    *("epoch", "loss", "validation_loss", "validation_score"),
    *("learning_rate", "seconds"),
}


# Epochs at each end of the table that notebooks show.
_SHOWN = 4


@dataclass
class History:
    """One record an epoch, as it is published; losses in the units of y.

    Attributes
    ----------
    loss_curve, validation_loss_curve, validation_scores : list of float
        One number an epoch; the latter two may be empty.
    learning_rates : list of float
        The rate of each epoch's last step, as the schedule made it; NaN, or missing at
        the end, for iterations of L-BFGS.
    best_iteration : int
        The epoch whose weights were kept, from 1.
    columns : dict of str to list of float
        What callbacks added, one number an epoch; NaN where there was none.
    """

    loss_curve: list[float] = field(default_factory=list)
    validation_loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    best_iteration: int = 0
    columns: dict[str, list[float]] = field(default_factory=dict)
    learning_rates: list[float] = field(default_factory=list)

    def __setstate__(self, state: dict) -> None:
        # Those of older models have no rates.
        self.__dict__.update({"learning_rates": [], **state})

    @property
    def epochs(self) -> int:
        """Epochs that the weights have seen."""
        return len(self.loss_curve)

    def copy(self) -> History:
        """A history to continue, leaving this one alone."""
        return History(
            list(self.loss_curve),
            list(self.validation_loss_curve),
            list(self.validation_scores),
            self.best_iteration,
            {name: list(column) for name, column in self.columns.items()},
            list(self.learning_rates),
        )

    def last(self) -> dict[str, float]:
        """The record of the last epoch."""
        row = {"epoch": self.epochs, "loss": self.loss_curve[-1]}
        if self.validation_loss_curve:
            row["validation_loss"] = self.validation_loss_curve[-1]
        if self.validation_scores:
            row["validation_score"] = self.validation_scores[-1]
        if len(self.learning_rates) == self.epochs:
            row["learning_rate"] = self.learning_rates[-1]
        return row

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, or would have been; 0 if there was none.

        Where no epoch was chosen: that of the best score, or the least loss of
        validation, or of training.
        """
        if 0 < self.best_iteration < self.epochs:
            return self.best_iteration
        scores = [-score for score in self.validation_scores]
        for curve in (scores, self.validation_loss_curve, self.loss_curve):
            if not np.isnan(curve).all():
                return self.epochs - len(curve) + int(np.nanargmin(curve)) + 1
        return self.epochs

    def _repr_html_(self) -> str:
        """The curves as a picture, and a table of the first, best and last epochs."""
        curves, best = self.curves(), self.best_epoch
        shown = [e for e in range(1, self.epochs + 1) if self._is_shown(e)]
        rows, places = [], {}
        for last, epoch in zip([0, *shown], shown):
            if epoch > last + 1:
                rows.append(["…"] + [""] * len(curves))
            places[epoch] = len(rows)
            rows.append([str(epoch)])
            rows[-1] += [_cell(curve[epoch - 1]) for curve in curves.values()]
        table = html_table(["epoch", *curves], rows, places.get(best))
        return f"<div>{curves_svg(self)}{table}</div>"

    def _is_shown(self, epoch: int) -> bool:
        ends = epoch <= _SHOWN or epoch > self.epochs - _SHOWN
        return ends or epoch == self.best_epoch or self.epochs <= 2 * _SHOWN + 2

    def record(self, row: dict[str, float]) -> None:
        """Keep what callbacks added to the record of the last epoch."""
        for name in row:
            if name not in _OWN:
                self.columns.setdefault(name, [])
        for name, column in self.columns.items():
            del column[self.epochs - 1 :]
            column += [math.nan] * (self.epochs - 1 - len(column))
            column.append(float(row.get(name, math.nan)))

    def curves(self) -> dict[str, list[float]]:
        """All columns, each as long as there were epochs."""
        found = {
            "loss": self.loss_curve,
            "validation_loss": self.validation_loss_curve,
            "validation_score": self.validation_scores,
        }
        # A curve may begin late, in a fit that went on from another one.
        found = {
            name: [math.nan] * (self.epochs - len(curve)) + list(curve)
            for name, curve in found.items()
            if curve
        }
        # The others begin at the first epoch, and may end early.
        others = {"learning_rate": self.learning_rates, **self.columns}
        if np.isnan(self.learning_rates).all():
            del others["learning_rate"]
        for name, column in others.items():
            found[name] = column + [math.nan] * (self.epochs - len(column))
        return found

    def to_frame(self) -> pd.DataFrame:
        """The records as a pandas DataFrame, indexed by epoch.

        Returns
        -------
        pandas.DataFrame
            Columns ``loss``, ``validation_loss``, ``validation_score`` and
            ``learning_rate`` where there are some, and those that callbacks added.
        """
        import pandas as pd

        index = pd.RangeIndex(1, self.epochs + 1, name="epoch")
        return pd.DataFrame(self.curves(), index=index)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else short(value)


class Profile(list):
    """Operations of a step with their times, as dicts; printed as a table."""

    def __str__(self) -> str:
        total = sum(row["seconds"] for row in self) or 1.0
        lines = [f"{'µs':>10} {'share':>6} {'roofline':>8}  operation"]
        for row in sorted(self, key=lambda row: -row["seconds"]):
            roofline = row.get("roofline")
            reached = "" if roofline is None else f"{roofline:.0%}"
            lines.append(
                f"{row['seconds'] * 1e6:>10.2f} {row['seconds'] / total:>6.1%} "
                f"{reached:>8}  {row['op']} {row['name']}"
            )
        lines.append(f"{total * 1e6:>10.2f} {'':>6} {'':>8}  a step")
        return "\n".join(lines)


class Monitor:
    """Hears the training loss of each epoch and says when to stop.

    Parameters
    ----------
    history : History
        Records are added to it.
    program : Program
        Whose arrays are being trained; the best ones are kept if `patience` is given.
    loss_unit : float
        What a loss of the program is multiplied by to be in the units of y.
    validate : callable or None
        ``validate() -> float``: the loss on held-out rows.
    rate : Rater or None
        ``rate() -> float``: the score to be stopped by, larger is better.
    patience : int or None
        Epochs without improvement before stopping; None never stops.
    tol : float
        What counts as an improvement, of the program's loss or of the score.
    max_iter : int
    verbose : int
    name : str
        Of the estimator, for the log.
    """

    def __init__(
        self,
        history: History,
        program,
        *,
        loss_unit: float,
        validate: Callable[[], float] | None,
        rate: Rater | None,
        patience: int | None,
        tol: float,
        max_iter: int,
        verbose: int,
        name: str,
    ):
        self.history = history
        self.program = program
        self.loss_unit = loss_unit
        self.validate = validate
        self.rate = rate
        self.patience = patience
        self.tol = tol
        self.best = self._least = math.inf
        self.waited = 0
        self.kept: tuple[np.ndarray, np.ndarray] | None = None
        self._target = math.inf
        history.learning_rates += [math.nan] * (
            history.epochs - len(history.learning_rates)
        )
        # A curve may begin late, in a fit that went on from another one.
        self._late = [history.epochs - len(curve) for _, curve in self._measured()]
        self._report = make_reporter(verbose, history.epochs + max_iter, name)
        self._debug = logger.isEnabledFor(logging.DEBUG)
        self.shows = self._debug or self._report is not None
        self._started = time.perf_counter()

    @property
    def watches(self) -> bool:
        """Whether `observe` does more than to record losses."""
        parts = (self.validate, self.rate, self.patience, self._report)
        return self._debug or any(part is not None for part in parts)

    @property
    def bar(self):
        """What shows the progress within epochs too, if anything does."""
        return self._report if hasattr(self._report, "within") else None

    def record(self, loss: float, rate: float | None) -> None:
        """Count an epoch.

        Parameters
        ----------
        loss : float
            The mean training loss, in the program's units.
        rate : float or None
            The learning rate of its last step.
        """
        self.history.loss_curve.append(loss * self.loss_unit)
        if rate is not None:
            self.history.learning_rates.append(rate)

    def observe(self, loss: float, tell: bool = True) -> tuple[bool, float]:
        """Look at an epoch that was counted.

        Parameters
        ----------
        loss : float
            The mean training loss, in the program's units.
        tell : bool, default=True
            Whether to show it at once, by `tell`.

        Returns
        -------
        stop : bool
        monitored : float
            The loss (or minus the score) that stopping and the schedule go by.
        """
        history = self.history
        monitored = loss
        if self.validate is not None:
            monitored = self.validate()
            history.validation_loss_curve.append(monitored * self.loss_unit)
        if self.rate is not None:
            score = self.rate()
            history.validation_scores.append(score)
            monitored = -score
        stop = self.patience is not None and self._compare(monitored)
        if self.patience is None:
            history.best_iteration = history.epochs
        if self.shows:
            watched = (self.validate, self.rate, self.patience)
            judged = any(one is not None for one in watched)
            self._improved = judged and monitored < self._least
            self._least = min(self._least, monitored)
            if tell:
                self.tell(history.last())
        return stop, monitored

    def _compare(self, monitored: float) -> bool:
        if not math.isfinite(monitored):
            raise ValueError(self._no_judgement(monitored))
        if monitored < self.best:
            with Deferred():
                self.best = monitored
                self.history.best_iteration = self.history.epochs
                self._keep()
        # Patience counts from the last improvement that was worth it.
        if monitored < self._target - self.tol:
            self._target = monitored
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def _no_judgement(self, monitored: float) -> str:
        """What is wrong with a number that says neither better nor worse."""
        epoch, advice = self.history.epochs, "give X_val and y_val of more rows, raise "
        if self.rate is None:
            return (
                f"early_stopping: the loss of the held-out rows is {monitored} after "
                f"epoch {epoch}: look for values in X_val that are far from those of X"
            )
        return (
            f"early_stopping: {self.rate} is {-monitored} for {self.rate.rows} after "
            f"epoch {epoch}, which is neither better nor worse than another: {advice}"
            "validation_fraction, or choose another scoring"
        )

    def _keep(self) -> None:
        if self.kept is None:
            self.kept = self.program.params.copy(), self.program.state.copy()
        else:
            np.copyto(self.kept[0], self.program.params)
            np.copyto(self.kept[1], self.program.state)

    def get_state(self) -> dict:
        """What a fit that goes on has to know of the epochs so far."""
        kept = None if self.kept is None else list(self.kept)
        return {"best": [self.best, self._target, self.waited], "kept": kept}

    def set_state(self, saved: dict) -> None:
        """Go on from `get_state`."""
        self.best, self._target, self.waited = saved["best"]
        self.kept = saved["kept"] and tuple(saved["kept"])

    def restore(self) -> None:
        """Put the best arrays back, if any were kept; once published, they are."""
        if self.kept is not None and not self.program.sealed:
            self.program.params[...] = self.kept[0]
            self.program.state[...] = self.kept[1]

    def fill(self) -> None:
        """NaN where an epoch was counted and then not looked at, for an interrupt."""
        for late, (measure, curve) in zip(self._late, self._measured()):
            if measure is not None:
                missing = self.history.epochs - late - len(curve)
                curve.extend([math.nan] * missing)

    def _measured(self) -> list[tuple[Callable | None, list[float]]]:
        history = self.history
        return [
            (self.validate, history.validation_loss_curve),
            (self.rate, history.validation_scores),
        ]

    def tell(self, row: dict[str, float], best: bool | None = None) -> None:
        """Show an epoch that was looked at.

        Parameters
        ----------
        row : dict
            Its record.
        best : bool or None
            Whether it is better than all before; None asks the monitored number.
        """
        seconds = time.perf_counter() - self._started
        # What callbacks added stands beside the losses.
        last = {k: row[k] for k in ("learning_rate",) if k in row}
        row = {k: v for k, v in row.items() if k not in ("learning_rate", "seconds")}
        row |= {**last, "seconds": seconds}
        if self._debug:
            logger.debug(" ".join(f"{k}={short(v)}" for k, v in row.items()))
        if self._report is not None:
            self._report.update(row, self._improved if best is None else best)

    def conclude(self) -> None:
        """Tell which epoch's weights the fit has published."""
        if hasattr(self._report, "conclude"):
            self._report.conclude(self.history.best_iteration)

    def close(self) -> None:
        """End the line that shows the progress."""
        if self._report is not None:
            self._report.close()
