"""The members of an ensemble on tables: what each reads, and how each is trained."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slimlearn.backend.coded import Coded
from slimlearn.backend.optimizer import AdamW
from slimlearn.backend.schedule import FlatCosine
from slimlearn.estimators.handle import joined
from slimlearn.estimators.inputs.named import Parts
from slimlearn.estimators.tables.member import ClassifierMember, RegressorMember
from slimlearn.estimators.tables.tower import Tower

__all__ = [
    "BOTH",
    "DIFFERENT",
    "KINDS",
    "Kind",
    "Layout",
    "folds_of",
    "member_of",
    "most_numbers",
    "telling",
    "values_at",
    "values_of",
]


# Encoded rows that a member is asked about at a time.
_ROWS = 512


class Kind(NamedTuple):
    """What members differ by.

    Attributes
    ----------
    views : tuple of str
        Of the numbers.
    embedding : str
    deviation : float
        Of the frequencies of periodic embeddings.
    """

    views: tuple[str, ...]
    embedding: str
    deviation: float = 0.0


BOTH, _SCORES = ("robust", "scores"), ("scores",)
KINDS = (
    Kind(_SCORES, "bins"),
    Kind(BOTH, "periodic", 0.1),
    Kind(_SCORES, "bins"),
    Kind(BOTH, "periodic", 0.5),
)
DIFFERENT = KINDS[1:]

# Training rows for each number that a member reads, the fewest that it reads, and how
# many are looked at together.
_ROWS_A_NUMBER, _FEWEST, _COLUMNS = 4, 16, 256


def most_numbers(rows: int) -> int:
    """How many numbers a member of so many training rows reads."""
    return max(rows // _ROWS_A_NUMBER, _FEWEST)


def telling(scores: np.ndarray, targets: np.ndarray, weights, most: int) -> list[int]:
    """The numbers most correlated with a target, they themselves or their squares.

    Parameters
    ----------
    scores : ndarray of shape (rows, numbers)
    targets : ndarray of shape (rows, outputs)
    weights : ndarray of shape (rows,) or None
    most : int
        How many there are to be.

    References
    ----------
    Fan and Lv, "Sure independence screening for ultrahigh dimensional feature space",
    2008.
    """
    share = np.ones(len(scores)) if weights is None else weights
    share = (share / share.sum())[:, None]
    targets = _standard(targets.astype(np.float64), share)
    found = np.zeros(scores.shape[1])
    for begin in range(0, scores.shape[1], _COLUMNS):
        part = scores[:, begin : begin + _COLUMNS].astype(np.float64)
        for values in (part, part * part):
            told = np.abs((_standard(values, share) * share).T @ targets).max(axis=1)
            end = begin + len(told)
            found[begin:end] = np.maximum(found[begin:end], told)
    return np.sort(np.argsort(-found, kind="stable")[:most]).tolist()


def _standard(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    centred = values - (values * share).sum(axis=0)
    deviation = np.sqrt((centred**2 * share).sum(axis=0))
    return centred / np.where(deviation > 0, deviation, 1.0)


class Layout(NamedTuple):
    """The columns of encoded rows: robust numbers, their scores, flags, codes."""

    numbers: int
    flags: int
    codes: int

    @property
    def width(self) -> int:
        """Of encoded rows, without codes."""
        return len(BOTH) * self.numbers + self.flags

    @property
    def scores(self) -> slice:
        """The columns of the scores."""
        return slice(self.numbers, 2 * self.numbers)

    def inputs(self, views: tuple[str, ...], chosen: list[int] | None) -> dict:
        """What a member reads, by the names of its inputs.

        Parameters
        ----------
        views : tuple of str
        chosen : list of int or None
            Of the numbers; None for all.
        """
        first = self.numbers * (len(BOTH) - len(views))
        last = self.numbers * len(BOTH)
        stops = (first, last, last + self.flags, last + self.flags + self.codes)
        names = ("numbers", "flags", "codes")
        found = {n: slice(a, b) for n, a, b in zip(names, stops, stops[1:]) if a < b}
        if chosen is not None:
            starts = range(first, last, self.numbers)
            found["numbers"] = [start + i for start in starts for i in chosen]
        return found or {"flags": slice(0, 1)}


def member_of(
    owner, kind: Kind, layout: Layout, chosen, units, edges, cardinalities, **settings
):
    """An estimator that was not fitted yet.

    Parameters
    ----------
    owner : TabularClassifier or TabularRegressor
    kind : Kind
    layout : Layout
    chosen : list of int or None
        The numbers that it reads; None for all.
    units, edges, cardinalities
        As `Tower` takes them.
    **settings
        Parameters of the estimator.
    """
    if kind.embedding != "bins":
        edges = ()
    elif chosen is not None:
        edges = tuple(edges[i] for i in chosen)
    net = Tower(
        units,
        owner._activation(),
        float(owner.dropout),
        kind.embedding,
        kind.deviation,
        edges,
        tuple(cardinalities),
        int(owner.embedding_size),
    )
    make = RegressorMember if owner._regression else ClassifierMember
    return make(
        net,
        inputs=layout.inputs(kind.views, chosen),
        optimizer=AdamW(beta2=0.95, weight_decay=float(owner.weight_decay)),
        learning_rate_schedule=FlatCosine(warmup=0.02),
        precision="float32",
        tol=0.0,
        **settings,
    )


def values_of(member, function: str, Z: np.ndarray, finish: str, n_threads):
    """What a fitted member gives for encoded rows.

    Parameters
    ----------
    member : NetworkEstimator
    function : str
        Of its program.
    Z : ndarray of shape (n, width), float32
    finish : str
        The head's method that makes something else of it.
    """
    handle, finish = member._handle, getattr(member._head, finish)
    arrays = [Z[:, columns] for columns in member.inputs.values()]
    parts = Parts(Z, tuple(arrays), handle.input.positions)
    return handle.run(function, parts, n_threads, finish)


def values_at(member, function: str, Z: Coded | np.ndarray, rows, *more):
    """What `values_of` gives for some of the rows, which are read some at a time.

    Parameters
    ----------
    member, function
    Z : Coded or ndarray
    rows : index array
        One or more.
    *more
        As `values_of` takes it.
    """
    parts = (Z[rows[i : i + _ROWS]] for i in range(0, len(rows), _ROWS))
    return joined([values_of(member, function, part, *more) for part in parts])


def folds_of(
    strata: np.ndarray | None, rows: int, folds: int, rng: np.random.Generator
) -> np.ndarray:
    """The fold of each row; -1 of those that are always trained on.

    Rows of one stratum are spread evenly; the only row of one is never held out.

    Parameters
    ----------
    strata : ndarray of int, (rows,), or None
    rows : int
    folds : int
    rng : Generator
    """
    order = rng.permutation(rows)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    fold = np.empty(rows, dtype=np.intp)
    fold[order] = np.arange(rows) % folds
    if strata is not None:
        _, which, count = np.unique(strata, return_inverse=True, return_counts=True)
        fold[count[which] == 1] = -1
    return fold
