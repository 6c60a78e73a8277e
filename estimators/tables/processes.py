"""The Gaussian processes beside an ensemble: as smooth as left-out rows tell."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from slimlearn.backend.coded import Coded
from slimlearn.estimators.labels import codes_of
from slimlearn.estimators.tables.beside import near_member
from slimlearn.estimators.tables.blending import beyond, parts_of
from slimlearn.estimators.tables.closeness import CLOSENESSES, ROUGH, SMOOTHER
from slimlearn.estimators.tables.kernels import Process, process_of, sharpened
from slimlearn.estimators.tables.members import Layout

if TYPE_CHECKING:
    from slimlearn.estimators.tables.ensemble import TabularEnsemble

__all__ = ["Found", "processes_of"]

# Rows from which on, and up to which, a smoother process is tried in the place of the
# rough one: of fewer, which are noise, one of two seems to tell something more often
# than one alone; of more it takes longer. Deviations by which it must be better.
_ENOUGH, _FEW, _CLEARLY = 500, 1250, 2.0


class Found(NamedTuple):
    """A process as a member, the rows of fit, and what each is told by all others."""

    member: object
    rows: np.ndarray
    told: np.ndarray


def processes_of(
    owner: TabularEnsemble,
    Z: Coded | np.ndarray,
    layout: Layout,
    y: np.ndarray,
    weights: np.ndarray | None,
    index: np.ndarray,
    rng: np.random.Generator,
) -> list[Found]:
    """Those that are to be compared with networks.

    Parameters
    ----------
    owner : TabularClassifier or TabularRegressor
    Z : Coded or ndarray of float32
        Encoded rows.
    layout : Layout
    y : ndarray
    weights : ndarray or None
    index : index array
        The rows that have weight.
    rng : Generator
    """
    targets = owner._targets(y)
    if targets.shape[1] == 2:
        targets = targets[:, 1:]  # of two classes one tells all
    solved = partial(process_of, Z, layout, targets, weights, index, rng)
    several = owner._several_near(len(index))
    own = None if weights is None else weights[index]
    if several:
        found = [solved(kind, thorough=True) for kind in CLOSENESSES]
    else:
        found = [solved(ROUGH)]
        if found[0] is not None and _ENOUGH <= len(index) <= _FEW:
            found.append(solved(SMOOTHER, start=found[0].evidence))
    concluded = partial(_concluded, owner, y[index], own)
    found = [concluded(process) for process in found if process is not None]
    if not several and len(found) > 1:
        rough, smooth = (owner._losses(y[index], told) for _, told in found)
        gain, apart = beyond(rough - smooth, parts_of(own, len(index)))
        found = found[1:] if gain > _CLEARLY * apart else found[:1]
    return [
        Found(_member(owner, process, Z, y, index, rng), index, told)
        for process, told in found
    ]


def _concluded(owner, y, weights, process: Process) -> tuple[Process, np.ndarray]:
    """A process, of classes sharpened, and what it tells of rows as members do."""
    if owner._regression:
        return process, process.told.reshape(y.shape)
    process = sharpened(process, codes_of(owner.classes_, y), weights)
    return process, process.told


def _member(owner, process: Process, Z, y, index, rng):
    return near_member(
        process,
        *(Z, y, index),
        regression=owner._regression,
        random_state=int(rng.integers(2**31)),
        n_threads=owner.n_threads,
        device=owner.device,
    )
