"""Members that tell a row by its neighbours, trained and chosen."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from slimlearn.backend.optimizer import AdamW
from slimlearn.backend.schedule import FlatCosine
from slimlearn.estimators.labels import codes_of
from slimlearn.estimators.tables.beside import neighbours_member
from slimlearn.estimators.tables.member import RegressorMember
from slimlearn.estimators.tables.members import values_at
from slimlearn.estimators.tables.neighbours import (
    LEAST,
    Embedding,
    told_class,
    told_number,
)

if TYPE_CHECKING:
    from slimlearn.estimators.tables.plans import Plan
    from slimlearn.estimators.tables.training import Trainer

__all__ = ["neighbours_of"]

# Numbers that tell the place of a row; epochs, and how many of them are kept; rows of a
# batch, of which each is told by the others.
_SIZE, _EPOCHS, _KEPT, _BATCH = 64, 40, 10, 256

_RATE, _DECAY = 0.02, 0.1

# What a member tells of how the network trained that it is made of.
_OF_TRAINING = (
    *("history_", "n_iter_", "best_iteration_", "loss_", "loss_curve_"),
    *("validation_loss_curve_", "learning_rate_"),
)


def neighbours_of(trainer: Trainer, plans: list[Plan], seeds) -> Iterator[tuple]:
    """Yield each member by its fold, its held-out rows, and what it tells there.

    Each learns where rows lie, so that those of a batch are told by the others of it
    that are near; a row is then told by all that it trained on. Its weights are those
    of the epoch that is best for the rows that it held out.

    Parameters
    ----------
    trainer : Trainer
    plans : list of Plan
    seeds : sequence of int
        Of the members.

    References
    ----------
    Goldberger, Roweis, Hinton and Salakhutdinov, "Neighbourhood components analysis",
    2004. Ye, Yin and Zhan, "Revisiting nearest neighbor for tabular data: a deep
    tabular baseline two decades later", 2025.
    """
    jobs = trainer.owner.n_jobs
    run = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    pairs = [(plan, seed) for plan, seed in zip(plans, seeds) if len(plan.held)]
    # BLAS's own threads would change bits; its limit is that of the whole process.
    with threadpool_limits(1, "blas"):
        yield from run(delayed(_member)(trainer, plan, seed) for plan, seed in pairs)


def _member(trainer: Trainer, plan: Plan, seed: int) -> tuple:
    return _Retrieval(trainer, plan, seed).concluded()


class _Retrieval:
    """A member that was trained, with the weights of some epochs."""

    def __init__(self, trainer: Trainer, plan: Plan, seed: int):
        owner = trainer.owner
        self.trainer, self.held = trainer, plan.held
        self.training = trainer.training(plan.held)
        self.targets = owner._targets(trainer.y).astype(np.float64)
        self.embedder = self._embedder(seed)
        y = np.ravel(trainer.y)
        if not owner._regression:
            y = codes_of(owner.classes_, y).astype(np.float64)
        rest = np.ones(len(y), dtype=bool)  # those without weight too
        rest[self.training] = False
        left = np.flatnonzero(rest).astype(np.uint32)
        self.kept = self.embedder.fit_but(left, trainer.rows, y, None, _KEPT)

    def _embedder(self, seed: int) -> RegressorMember:
        trainer, rows = self.trainer, len(self.training)
        owner, chosen = trainer.owner, trainer.telling(self.training)
        edges = trainer.edges
        if chosen is not None:
            edges = tuple(edges[i] for i in chosen)
        goal = told_number(size=_SIZE)
        if not owner._regression:
            goal = told_class(size=_SIZE, classes=len(owner.classes_))
        return RegressorMember(
            Embedding(edges, tuple(trainer.cardinalities), int(owner.embedding_size)),
            inputs=trainer.layout.inputs(("scores",), chosen),
            loss=goal,
            optimizer=AdamW(weight_decay=_DECAY),
            learning_rate=_RATE,
            learning_rate_schedule=FlatCosine(warmup=0.02),
            precision="float32",
            tol=0.0,
            max_iter=_EPOCHS,
            # Of the rest of the rows, were it a small batch, few would be near.
            batch_size=ceil(rows / max(1, round(rows / _BATCH))),
            early_stopping=True,
            n_iter_no_change=_EPOCHS + 1,
            random_state=seed,
            n_threads=owner.n_threads,
            device=owner.device,
            verbose=max(0, int(owner.verbose) - 1),
        )

    def _places(self, rows: np.ndarray) -> np.ndarray:
        more = "by_target", self.trainer.owner.n_threads
        return values_at(self.embedder, "predict", self.trainer.rows, rows, *more)

    def _lost(self, epoch: int) -> float:
        """What is lost of the rows that were held out, by the weights of an epoch."""
        self.embedder.go_back(epoch, self.kept[epoch])
        one, other = self._places(self.held), self._places(self.training)
        apart = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
        apart = np.sqrt(np.maximum(apart - 2 * one @ other.T, 0.0))
        near = np.exp(apart.min(axis=1, keepdims=True) - apart)
        told = near @ self.targets[self.training] / near.sum(axis=1, keepdims=True)
        own = self.targets[self.held]
        if self.trainer.owner._regression:
            return float(np.sum((told - own) ** 2))
        return -float(np.sum(np.log((told * own).sum(axis=1) + LEAST)))

    def concluded(self) -> tuple:
        """The member by the weights of the best epoch, and what it tells."""
        lost = {epoch: self._lost(epoch) for epoch in self.kept}
        trainer, epoch = self.trainer, min(lost, key=lost.__getitem__)
        owner, targets = trainer.owner, self.targets[self.training]
        self.embedder.go_back(epoch, self.kept[epoch])
        if targets.shape[1] == 2:
            targets = targets[:, 1:]  # of two classes one tells all
        member = neighbours_member(
            *(self.embedder, self._places(self.training), targets, self.training),
            *(trainer.rows, trainer.y),
            regression=owner._regression,
            random_state=self.embedder.random_state,
            n_threads=owner.n_threads,
            device=owner.device,
        )
        for name in _OF_TRAINING:
            setattr(member, name, getattr(self.embedder, name))
        member.best_loss_ = lost[epoch] / len(self.held)  # by all rows of training
        function, finish = owner._asked
        more = finish, owner.n_threads
        told = values_at(member, function, trainer.rows, self.held, *more)
        return member, self.held, told
