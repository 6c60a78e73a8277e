"""What members are to be before they are trained: their folds, kinds and seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slimlearn.estimators.tables.members import DIFFERENT, KINDS, Kind, folds_of

__all__ = ["FEWEST_FOLDS", "Plan", "plans_of"]

# Each member holds one fold out: of fewer, members would see less of the rows.
FEWEST_FOLDS, _MOST_FOLDS = 5, 8


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
        return np.flatnonzero(self.fold == self.number).astype(np.uint32)


def plans_of(
    count: int,
    rows: int,
    index: np.ndarray,
    strata: np.ndarray | None,
    rng: np.random.Generator,
) -> list[Plan]:
    """Plans of networks.

    Parameters
    ----------
    count : int
    rows : int
    index : index array
        The rows that have weight.
    strata : ndarray of int or None
        What folds are to have alike, of all rows.
    rng : Generator
    """
    folds = min(max(count, FEWEST_FOLDS), _MOST_FOLDS, len(index))
    strata = None if strata is None else strata[index]
    plans: list[Plan] = []
    for number in range(count):
        if number % folds == 0:
            fold = np.full(rows, -1, dtype=np.int8)
            fold[index] = folds_of(strata, len(index), folds, rng)
        if count <= folds:
            kind = KINDS[number % len(KINDS)]
        else:  # each row is told by one of each kind
            kind = DIFFERENT[number // folds % len(DIFFERENT)]
        plans.append(Plan(kind, fold, number % folds, int(rng.integers(2**31))))
    return plans
