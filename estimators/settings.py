"""An estimator's parameters as the numbers of one run."""

from __future__ import annotations

from slimlearn.backend import dataset, training
from slimlearn.backend.optimizer import Optimizer
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
    rate = estimator.learning_rate
    l2 = float(estimator.l2_regularization)
    shares = [l2 * p["penalised"] for p in built.penalties]
    decays = [optimizer.own_decay * p["penalised"] for p in built.penalties]
    # What a rule applies itself is no part of the gradient.
    l1 = "proximal" if optimizer.proximal else "l1"
    segments = [
        {
            "rate": 1.0,
            l1: p["l1"] + optimizer.own_l1 * p["penalised"],
            "l2": p["l2"] + share,
            "decay": decay,
            "frozen": p["frozen"],
        }
        for p, share, decay in zip(built.penalties, shares, decays, strict=True)
    ]
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
        learning_rate=(
            optimizer.default_learning_rate if rate == "auto" else float(rate)
        ),
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
