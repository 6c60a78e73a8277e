"""What stands beside the networks as members: models with their weights."""

from __future__ import annotations

import numpy as np

from slimlearn.estimators.tables.member import ClassifierMember, RegressorMember
from slimlearn.estimators.tables.members import BOTH, Layout
from slimlearn.estimators.tables.neighbours import Neighbours
from slimlearn.estimators.tables.tower import Near, Straight

__all__ = ["line_member", "near_member", "neighbours_member"]

# Rows of a batch, at most.
_BATCH = 512


def line_member(line, layout: Layout, cardinalities, X, y, weights, **settings):
    """A fitted estimator that tells what a linear model tells.

    Parameters
    ----------
    line : Line
    layout : Layout
    cardinalities : sequence of int
    X : Coded or ndarray of float32
    y : ndarray
    weights : ndarray or None
    **settings
        Parameters of the estimator.
    """
    make = RegressorMember if settings.pop("regression") else ClassifierMember
    net = Straight(layout.numbers, tuple(cardinalities))
    inputs = layout.inputs(BOTH, None)
    member, scale, centre = _unsolved(make, net, inputs, X, y, weights, settings)
    intercept, arrays = (line.intercept - centre) / scale, {}
    if "output/weights" in member.program_.weights:
        arrays["output/weights"] = line.numbers / scale
        arrays["output/biases"] = intercept
        intercept = 0.0
    if cardinalities:
        levels = line.levels / scale
        levels[: cardinalities[0]] += intercept  # of each row there is one
        arrays["codes/embeddings"] = levels
    return member.set_weights(arrays)


def near_member(process, X, y, index, **settings):
    """A fitted estimator that tells what a Gaussian process tells.

    Parameters
    ----------
    process : Process
    X : Coded or ndarray of float32
    y : ndarray
    index : index array
        The rows that have weight.
    **settings
        Parameters of the estimator.
    """
    regression = settings.pop("regression")
    make = RegressorMember if regression else ClassifierMember
    sizes = len(process.numbers), len(process.codes), len(process.factors)
    net = Near(*sizes, process.closeness)
    named = {"numbers": process.numbers, "codes": process.codes}
    inputs = {name: own for name, own in named.items() if own}
    few = _few(y, index, regression)
    member, scale, centre = _unsolved(make, net, inputs, X[few], y[few], None, settings)
    arrays = {
        "rows": process.rows,
        "counts": process.counts,
        "output/weights": process.factors / scale,
        "output/biases": (process.intercept - centre) / scale,
    }
    if process.numbers:
        arrays["slopes"] = process.slopes
    return member.set_weights(arrays)


def neighbours_member(embedder, places, targets, index, X, y, **settings):
    """A fitted estimator that tells what the rows near to one tell.

    Parameters
    ----------
    embedder : NetworkEstimator
        What tells the place of a row: its network is an `Embedding`.
    places : ndarray of shape (n, size)
        Of the rows that tell.
    targets : ndarray of shape (n, outputs)
        What they tell: a number, or shares of classes, of two those of the second.
    index : index array
        These rows, of all.
    X : Coded or ndarray of float32
    y : ndarray
    **settings
        Parameters of the estimator.
    """
    regression = settings.pop("regression")
    make = RegressorMember if regression else ClassifierMember
    known = vars(embedder.net).values()
    net = Neighbours(*known, *places.shape[::-1], shares=not regression)
    # Squares of distances lose less where places are small.
    middle, weights = places.mean(axis=0), embedder.program_.weights
    places = places - middle
    few = _few(y, index, regression)
    more = embedder.inputs, X[few], y[few], None, settings
    member, scale, centre = _unsolved(make, net, *more)
    return member.set_weights(
        {
            **weights,
            "place/biases": weights["place/biases"] - middle,
            "rows": places.T,
            "squares": np.square(places).sum(axis=1),
            # What rows count is 1 together, so each has the centre taken off.
            "output/weights": (targets - centre) / scale,
            "output/biases": np.zeros(targets.shape[1]),
        }
    )


def _few(y, index, regression: bool) -> np.ndarray:
    """Rows that say how far y reaches, or which classes there are, without weight too.

    All rows of fit beside each other would take long, only to make a program.
    """
    if not regression:
        return np.unique(y, return_index=True)[1]
    own = y[index]
    return index[np.ravel([own.argmin(axis=0), own.argmax(axis=0)])]


def _unsolved(make, net, inputs: dict, X, y, weights, settings: dict) -> tuple:
    """A member whose weights are to be those that were solved, and its units of y."""
    device = settings.pop("device")
    member = make(
        net,
        inputs=inputs,
        precision="float32",
        max_iter=1,
        batch_size=min(len(y), _BATCH),
        early_stopping=False,
        **settings,
    )
    # What y means, and the program: of no use to a device that predicts with it.
    member.fit(X, y, weights)
    member.set_params(device=device)
    scale, centre = getattr(member._head, "units", lambda: (1.0, 0.0))()
    return member, np.where(np.equal(scale, 0.0), 1.0, scale), centre
