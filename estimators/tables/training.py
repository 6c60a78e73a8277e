"""The members of an ensemble one after the other, or some at once, on coded rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from slimlearn.backend.coded import Coded
from slimlearn.backend.engine.native import native
from slimlearn.estimators.callbacks import TimeLimit
from slimlearn.estimators.tables.coding import code_rows
from slimlearn.estimators.tables.members import (
    KINDS,
    LINEAR,
    Kind,
    Layout,
    folds_of,
    member_of,
    most_numbers,
    telling,
    values_at,
)
from slimlearn.estimators.tables.together import each

if TYPE_CHECKING:
    from slimlearn.estimators.tables.encoder import TabularEncoder
    from slimlearn.estimators.tables.ensemble import TabularEnsemble
    from slimlearn.estimators.tables.table import Table

__all__ = ["VIEWS", "Plan", "Result", "Trainer", "out_of_fold", "plans_of"]

# What members read of numbers.
VIEWS = ("robust", "scores")

# Each member holds one fold out: of fewer, members would see less of the rows.
_FEWEST_FOLDS, _MOST_FOLDS = 5, 8


class Plan(NamedTuple):
    """A member before it is trained.

    Attributes
    ----------
    kind : Kind
    fold : ndarray of int8
        Of each row; -1 of those that are always trained on.
    number : int
        Of the fold that it holds out.
    seed : int
    """

    kind: Kind
    fold: np.ndarray
    number: int
    seed: int

    @property
    def held(self) -> np.ndarray:
        """The rows that it holds out."""
        return np.flatnonzero(self.fold == self.number)


class Result(NamedTuple):
    """A trained member, the rows that it held out, and what it tells of them."""

    member: object
    held: np.ndarray
    values: np.ndarray | list[np.ndarray]


def plans_of(
    count: int,
    rows: int,
    index: np.ndarray,
    strata: np.ndarray | None,
    rng: np.random.Generator,
    linear: bool,
) -> list[Plan]:
    """Plans of networks, and behind them those of linear models on the same folds.

    Parameters
    ----------
    count : int
        Of networks.
    rows : int
    index : index array
        The rows that have weight.
    strata : ndarray of int or None
        What folds are to have alike, of all rows.
    rng : Generator
    linear : bool
        Whether there are linear models.
    """
    folds = min(max(count, _FEWEST_FOLDS), _MOST_FOLDS, len(index))
    strata = None if strata is None else strata[index]
    plans: list[Plan] = []
    for number in range(count):
        if number % folds == 0:
            fold = np.full(rows, -1, dtype=np.int8)
            fold[index] = folds_of(strata, len(index), folds, rng)
        kind = KINDS[number % len(KINDS)]
        plans.append(Plan(kind, fold, number % folds, int(rng.integers(2**31))))
    if linear:
        plans += [
            plan._replace(kind=LINEAR, seed=int(rng.integers(2**31)))
            for plan in plans[:folds]
        ]
    return plans


def out_of_fold(done: list[Result], rows: int):
    """The mean of what members tell of the rows that they held out, and which are."""
    total, seen = None, np.zeros(rows)
    for _, held, values in done:
        seen[held] += 1
        total = _added(total, held, values, rows)
    with np.errstate(invalid="ignore"):
        return each(total, lambda part: _divided(part, seen)), seen > 0


def _added(total, held, values, rows: int):
    """The sums of the held-out rows' predictions, with those of one member more."""
    if isinstance(values, list):
        total = [None] * len(values) if total is None else total
        return [_added(t, held, v, rows) for t, v in zip(total, values)]
    if total is None:
        total = np.zeros((rows, *values.shape[1:]))
    total[held] += values
    return total


def _divided(part: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return part / seen.reshape(-1, *(1,) * (part.ndim - 1))


class Trainer:
    """Trains members on the rows of a table, which it holds as codes."""

    def __init__(
        self, owner: TabularEnsemble, encoder: TabularEncoder, table: Table, y, weights
    ):
        encoding = encoder._encoding
        self.owner, self.y, self.weights = owner, y, weights
        rows = code_rows(encoding, table, VIEWS)
        self.rows: Coded | np.ndarray = rows
        if rows.shape[1] == 0:  # columns tell nothing
            self.rows = np.zeros((len(rows), 1), dtype=np.float32)
        numbers, codes = len(encoding.numbers), len(encoder.cardinalities_)
        flags = encoding.width(VIEWS) - len(VIEWS) * numbers - codes
        self.layout = Layout(numbers, flags, codes)
        self.edges = tuple(tuple(own.tolist()) for own in encoding.numbers.edges)
        self.cardinalities = encoder.cardinalities_

    def train(self, plans: list[Plan], begun: float) -> Iterator[Result]:
        """Yield the members one by one.

        Where time is limited, no member begins that would probably not end in time.
        """
        limit, jobs = self.owner.time_limit, effective_n_jobs(self.owner.n_jobs)
        run = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
        if limit is None:
            if jobs == 1:
                yield from (self._member(plan, None) for plan in plans)
            else:
                yield from run(delayed(self._member)(plan, None) for plan in plans)
            return
        longest = 0.0
        for at in range(0, len(plans), jobs):
            left = limit - (time.monotonic() - begun)
            if at and left < longest:
                return
            started, some = time.monotonic(), plans[at : at + jobs]
            left = max(left, 1e-3)
            yield from run(delayed(self._member)(plan, left) for plan in some)
            longest = max(longest, time.monotonic() - started)

    def told(self, result: Result, count: int) -> str:
        """A line about a member that is trained."""
        member = result.member
        losses = member.validation_loss_curve_
        best = f", validation loss {min(losses):.4g}" if losses else ""
        return (
            f"{type(self.owner).__name__}: a member of {count}: {member.n_iter_} "
            f"epochs{best}"
        )

    def _telling(self, training: np.ndarray) -> list[int] | None:
        """The numbers that a member reads, by its own rows; None for all of them."""
        most, scores = most_numbers(len(training)), self.layout.scores
        if self.layout.numbers <= most:
            return None
        weights = None if self.weights is None else self.weights[training]
        if isinstance(self.rows, Coded):
            found = self.rows.columns(scores)[training]
        else:
            found = self.rows[:, scores][training]
        return telling(found, self.owner._targets(self.y[training]), weights, most)

    def _training(self, held: np.ndarray) -> np.ndarray:
        """The rows that a member trains on."""
        used = np.ones(len(self.y), dtype=bool)
        if self.weights is not None:
            used = self.weights > 0
        used[held] = False
        return np.flatnonzero(used)

    def _callbacks(self, own, seconds: float | None) -> list | None:
        callbacks = list(own or [])
        if seconds is not None:
            named = callbacks and isinstance(callbacks[0], tuple)
            limit = TimeLimit(seconds)
            callbacks.append(("time_limit", limit) if named else limit)
        return callbacks or None

    def _member(self, plan: Plan, seconds: float | None) -> Result:
        owner, held = self.owner, plan.held
        training = self._training(held)
        batch, epochs = owner._steps(len(training))
        aside = plan.kind is LINEAR  # of which the user hears nothing
        member = member_of(
            owner,
            plan.kind,
            self.layout,
            self._telling(training),
            self.edges,
            self.cardinalities,
            max_iter=epochs,
            batch_size=batch,
            early_stopping=len(held) > 0,
            n_iter_no_change=epochs + 1,
            callbacks=self._callbacks(None if aside else owner.callbacks, seconds),
            random_state=plan.seed,
            n_threads=owner.n_threads,
            verbose=0 if aside else max(0, int(owner.verbose) - 1),
            **owner._settings(len(training)),
        )
        del training
        member.fit_but(held, self.rows, self.y, self.weights)
        function, finish = owner._asked
        some = held if len(held) else np.zeros(1, dtype=np.intp)
        more = finish, owner.n_threads
        values = values_at(member, function, self.rows, some, *more)
        if isinstance(self.rows, Coded):
            # The next member takes the memory that this one trained in.
            native.free_idle()
        return Result(member, held, each(values, lambda part: part[: len(held)]))
