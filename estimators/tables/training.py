"""The members of an ensemble one after the other, or some at once, on coded rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from slimlearn.backend.coded import Coded
from slimlearn.backend.engine.native import native
from slimlearn.estimators.callbacks import TimeLimit
from slimlearn.estimators.tables.beside import line_member
from slimlearn.estimators.tables.coding import code_rows
from slimlearn.estimators.tables.linear import line_of
from slimlearn.estimators.tables.members import (
    Layout,
    member_of,
    most_numbers,
    telling,
    values_at,
)
from slimlearn.estimators.tables.plans import Plan
from slimlearn.estimators.tables.processes import processes_of
from slimlearn.estimators.tables.retrieval import neighbours_of
from slimlearn.estimators.tables.telling import tell_neighbours
from slimlearn.estimators.tables.together import each

if TYPE_CHECKING:
    from slimlearn.estimators.tables.encoder import TabularEncoder
    from slimlearn.estimators.tables.ensemble import TabularEnsemble
    from slimlearn.estimators.tables.table import Table

__all__ = ["VIEWS", "Result", "Trainer", "out_of_fold"]

# What members read of numbers.
VIEWS = ("robust", "scores")

# Rows of a batch that are trained on at once where rows are many: what a network has to
# remember of more lies further from the processor.
_TOGETHER = 128

# Epochs whose weights are kept while a member holds out fewer rows than are enough to
# tell the best one.
_KEPT, _ENOUGH = 16, 32


class Result(NamedTuple):
    """A trained member, the rows that it held out, and what it tells of them.

    Of a linear model these are rows that models like it held out.
    """

    member: object
    held: np.ndarray
    values: np.ndarray | list[np.ndarray]
    kept: dict[int, np.ndarray] | None = None  # parameters by their epochs


def out_of_fold(done: list[Result], rows: int):
    """The mean of what members tell of the rows that they held out, and which are."""
    total, seen = None, np.zeros(rows)
    for _, held, values, _ in done:
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
        self,
        owner: TabularEnsemble,
        encoder: TabularEncoder,
        table: Table,
        y,
        weights,
        beside: bool,
    ):
        encoding = encoder._encoding
        self.owner, self.y, self.weights = owner, y, weights
        self.beside = beside  # whether a Gaussian process is to stand there
        rows = self.rows = code_rows(encoding, table, VIEWS)
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

    def line(
        self,
        index: np.ndarray,
        strata: np.ndarray | None,
        rng: np.random.Generator,
        done: list[Result],
        fold: np.ndarray,
    ) -> Result | None:
        """A linear model of all rows, and what is told of them by such of others.

        Parameters
        ----------
        index : index array
            The rows that have weight.
        strata : ndarray of int or None
        rng : Generator
        done : list of Result
            The networks: a linear model that is much worse is None.
        fold : ndarray of int8
            That of each row, of which the first network holds one out.
        """
        owner, targets = self.owner, self.owner._targets(self.y)
        parts = self.rows, self.layout, self.cardinalities, targets, self.weights
        others = None if owner._regression else partial(self._lost, done)
        line = line_of(*parts, index, strata, rng, owner._regression, others, fold)
        if line is None:
            return None
        member = line_member(
            line,
            self.layout,
            self.cardinalities,
            *(self.rows, self.y, self.weights),
            regression=owner._regression,
            random_state=int(rng.integers(2**31)),
            n_threads=owner.n_threads,
            device=owner.device,
        )
        function, finish = owner._asked
        values = values_at(member, function, self.rows, index, finish, owner.n_threads)
        told = line.told.reshape(len(line.told), *values.shape[1:])
        values[np.searchsorted(index, line.rows)] = told
        there = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        return Result(member, index[there], values[there])

    def near(self, index: np.ndarray, rng: np.random.Generator) -> list[Result]:
        """Gaussian processes of all rows, and what each is told by all others.

        Parameters
        ----------
        index : index array
            The rows that have weight.
        rng : Generator
        """
        if not self.beside:
            return []
        parts = self.rows, self.layout, self.y, self.weights, index, rng
        return [Result(*found) for found in processes_of(self.owner, *parts)]

    def neighbours(
        self, plans: list[Plan], index: np.ndarray, rng: np.random.Generator
    ) -> list[Result]:
        """Networks that tell by neighbours, one for each fold, where rows are enough.

        They count together, or none does: each row is to be told by one of them.
        Neighbours count alike, so there are none where some rows weigh more.

        Parameters
        ----------
        plans : list of Plan
            Of the other networks, whose first folds these have.
        index : index array
            The rows that have weight.
        rng : Generator
        """
        enough = self.beside and self.owner._several_near(len(index))
        if not enough or (self.weights is not None and np.ptp(self.weights[index]) > 0):
            return []
        first = [plan for plan in plans if plan.fold is plans[0].fold]
        seeds, done = rng.integers(2**31, size=len(first)).tolist(), []
        for found in neighbours_of(self, first, seeds):
            done.append(Result(*found))
            tell_neighbours(self.owner, done[-1].member, len(first))
        return done

    def _lost(self, done: list[Result], rows: np.ndarray) -> np.ndarray:
        """What members lose of rows that they did not see; NaN of all others."""
        mean, seen = out_of_fold(done, len(self.y))
        found, some = np.full(len(rows), np.nan), np.flatnonzero(seen[rows])
        if len(some):
            found[some] = self.owner._losses(self.y[rows[some]], mean[rows[some]])
        return found

    def telling(self, training: np.ndarray) -> list[int] | None:
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

    def training(self, held: np.ndarray) -> np.ndarray:
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
        training = self.training(held)
        batch, epochs = owner._steps(len(training), self.beside)
        accumulate = 1
        if isinstance(self.rows, Coded) and batch % _TOGETHER == 0:
            batch, accumulate = _TOGETHER, batch // _TOGETHER
        member = member_of(
            owner,
            plan.kind,
            self.layout,
            self.telling(training),
            owner._units(self.beside),
            self.edges,
            self.cardinalities,
            max_iter=epochs,
            batch_size=batch,
            accumulate=accumulate,
            early_stopping=len(held) > 0,
            n_iter_no_change=owner._patience(len(training), self.beside),
            callbacks=self._callbacks(owner.callbacks, seconds),
            random_state=plan.seed,
            n_threads=owner.n_threads,
            device=owner.device,
            verbose=max(0, int(owner.verbose) - 1),
            **owner._settings(len(training)),
        )
        del training
        keep = _KEPT if len(held) < _ENOUGH else 0
        every = owner._every(epochs, self.beside)
        kept = member.fit_but(held, self.rows, self.y, self.weights, keep, every)
        result = Result(member, held, self._values(member, held), kept)
        if isinstance(self.rows, Coded):
            # The next member takes the memory that this one trained in.
            native.free_idle()
        return result

    def _values(self, member, held: np.ndarray):
        """What a member tells of the rows that it held out."""
        function, finish = self.owner._asked
        some = held if len(held) else np.zeros(1, dtype=np.intp)
        more = finish, self.owner.n_threads
        values = values_at(member, function, self.rows, some, *more)
        return each(values, lambda part: part[: len(held)])

    def settled(self, done: list[Result]) -> list[Result]:
        """Members at epochs that enough rows tell to be best.

        Of a few rows that a member held out, the best epoch is best by chance: one that
        is too good to be true on them, and no good on others. Those of the other
        members count as well, until there are enough.
        """
        sizes = {len(result.kept or ()) for result in done}
        if len(done) < 2 or len(sizes) > 1 or sizes == {0}:
            return [result._replace(kept=None) for result in done]
        losses = np.array([_losses_near(r.member, list(r.kept)) for r in done])
        counts = np.array([float(len(result.held)) for result in done])
        found = []
        for i, (member, held, _, kept) in enumerate(done):
            others = np.where(np.arange(len(done)) == i, 0.0, counts)
            share = min(max(_ENOUGH - counts[i], 0.0) / others.sum(), 1.0)
            weights = np.where(others > 0, share * counts, counts)
            epoch = list(kept)[int(np.argmin(weights @ losses))]
            member.go_back(epoch, kept[epoch])
            found.append(Result(member, held, self._values(member, held)))
        return found


def _losses_near(member, epochs: list[int]) -> list[float]:
    """The mean losses of held-out rows about some epochs that are evenly spread."""
    curve, reach = member.validation_loss_curve_, epochs[0] // 2
    near = (curve[max(e - 1 - reach, 0) : e + reach] for e in epochs)
    return [float(np.mean(part)) for part in near]
