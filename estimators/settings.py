"""An estimator's parameters as the numbers of one run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

from slimlearn.backend import dataset, training
from slimlearn.backend.optimizer import Optimizer
from slimlearn.backend.optimizer.dealt import Dealt
from slimlearn.backend.patterns import matches
from slimlearn.backend.schedule import Schedule
from slimlearn.estimators.build import Built
from slimlearn.estimators.scheduling import schedule_all

__all__ = ["settings_of"]


def settings_of(
    estimator,
    built: Built,
    head,
    optimizer: Optimizer,
    schedule: Schedule,
    schedules: dict[str, Schedule],
    *,
    rows: int,
    epochs: int,
    seed: int,
) -> training.Settings:
    """The numbers of one run.

    Parameters
    ----------
    estimator : NetworkEstimator
    built : Built
        Its network as a program.
    head : Head
    optimizer : Optimizer
    schedule : Schedule
    schedules : dict of str to Schedule
        Of other numbers than the learning rate.
    rows, epochs, seed : int
    """
    rates = _rates_of(optimizer, estimator._learning_rate_wish())
    l2 = float(estimator.l2_regularization)
    shares = [l2 * p["penalised"] for p in built.penalties]
    indices = [optimizer.index_of(name) for name in built.program.weights]
    _check_used(optimizer, built.program.weights)
    owns = [optimizer.parts[index] for index in indices]
    decays = [
        own.own_decay * p["penalised"]
        for own, p in zip(owns, built.penalties, strict=True)
    ]
    segments = [
        {
            "rate": p["rate"],
            # What a rule applies itself is no part of the gradient.
            "proximal" if own.proximal else "l1": p["l1"] + own.own_l1 * p["penalised"],
            "l2": p["l2"] + share,
            "decay": decay,
            "frozen": p["frozen"],
        }
        for p, own, share, decay in zip(
            built.penalties, owns, shares, decays, strict=True
        )
    ]
    if len(optimizer.parts) > 1:
        for segment, own, index in zip(segments, owns, indices, strict=True):
            # Its rate follows the first one's, which column 0 has.
            segment["update"] = index
            segment["hypers"] = {**own.hypers(), "learning_rate": 0.0}
            share = rates[index] / rates[0]
            segment["scheduled"] = [("learning_rate", 0, share)]
    hypers = {
        **built.hypers,
        **estimator._network_hypers(),
        **head.hypers(),
        **optimizer.hypers(),
    }
    scheduled = schedule_all(
        *(schedules, segments, hypers),
        l2=shares,
        own_l2=[p["l2"] for p in built.penalties],
        decay=decays,
        dropouts=estimator._dropouts,
    )
    size = estimator.batch_size
    return training.Settings(
        optimizer=optimizer,
        schedule=schedule,
        learning_rate=rates[0],
        max_iter=epochs,
        batch_size=dataset.auto_batch_size(rows) if size == "auto" else int(size),
        segments=segments,
        hypers=hypers,
        clip_norm=estimator.gradient_clip_norm,
        tol=estimator.tol,
        shuffle=estimator.shuffle,
        seed=seed,
        n_threads=estimator.n_threads,
        accumulate=int(estimator.accumulate),
        schedules=schedules,
        scheduled=scheduled,
    )


def _check_used(optimizer: Optimizer, parameters) -> None:
    """Refuse names that stand for nothing: they are misspelt."""
    for pattern in optimizer.optimizers if isinstance(optimizer, Dealt) else ():
        if not any(matches(name, pattern) for name in parameters):
            raise ValueError(
                f"optimizer: {pattern!r} fits no parameter; there are "
                f"{', '.join(parameters)}"
            )


def _rates_of(optimizer: Optimizer, wish) -> list[float]:
    """The base rate of each of the optimizers."""
    if not isinstance(wish, Mapping):
        wishes = [wish] * len(optimizer.parts)
    elif not isinstance(optimizer, Dealt):
        raise ValueError(
            "learning_rate is a dict where optimizer is one of several: give a number, "
            "and callbacks=[LayerRates(…)] for layers"
        )
    else:
        strange = [name for name in wish if name not in optimizer.optimizers]
        if strange:
            raise ValueError(
                f"learning_rate has {', '.join(map(repr, strange))}, optimizer has "
                f"{', '.join(map(repr, optimizer.optimizers))}: give it the same names"
            )
        wishes = [wish.get(name, "auto") for name in optimizer.optimizers]
        for one in wishes:
            number = isinstance(one, Real) and not isinstance(one, bool) and one > 0
            if one != "auto" and not (number and math.isfinite(one)):
                raise ValueError(
                    f"learning_rate: a rate is 'auto' or a number > 0, got {one!r}"
                )
    return [
        part.default_learning_rate if one == "auto" else float(one)
        for part, one in zip(optimizer.parts, wishes, strict=True)
    ]
