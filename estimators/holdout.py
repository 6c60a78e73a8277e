"""The rows that a fit validates on."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_consistent_length

from slimlearn.backend import dataset
from slimlearn.estimators import validation
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.rows import Rows

__all__ = ["held_out"]


def held_out(
    estimator,
    input,
    rows: Rows,
    classes,
    X_val,
    y_val,
    sample_weight_val,
    seed: int,
    groups=None,
) -> Rows | None:
    """The rows for validation, taken out of `rows` if they are not given.

    Parameters
    ----------
    estimator : NetworkEstimator
    input : Input
        Of the training rows.
    rows : Rows
        The training rows; their index shrinks where some are taken out.
    classes : array or None
        The labels of the training rows.
    X_val, y_val, sample_weight_val : array or None
    seed : int
    groups : array or None
        Of the training rows, as `fit` was given it.

    Raises
    ------
    ValueError
        If X_val and y_val do not come together, or do not fit X and y.
    """
    if groups is not None:
        groups = _codes(groups, rows)
    if (X_val is None) != (y_val is None):
        raise ValueError(
            "X_val and y_val belong together: give both or neither of them"
        )
    if X_val is not None:
        X, y = estimator._checked(input, X_val, y_val, reset=False, name="X_val")
        X = input.alike(X, "X_val")
        if y.shape[1:] != rows.y.shape[1:]:
            raise ValueError(
                f"y_val has shape {y.shape}, y has shape {rows.y.shape}: they need "
                "the same outputs"
            )
        target = estimator._encode_held_out(y, classes)
        weights = validation.check_weights(sample_weight_val, X, absent=input.absent)
        weights = estimator._row_weights(weights, y)
        if dataset.uniform(weights):
            weights = None
        return Rows(X, y, target, weights)
    if sample_weight_val is not None:
        raise ValueError("sample_weight_val needs X_val and y_val")
    held = estimator._held_rows()
    if held is not None:
        index = np.arange(rows.X.shape[0]) if rows.index is None else rows.index
        others = np.full(rows.X.shape[0], True)
        others[held] = False
        rows.index = index[others[index]].astype(np.uint32)
        return _of(rows, held)
    if not estimator.early_stopping or estimator.validation_fraction is None:
        return None
    index = np.arange(rows.X.shape[0]) if rows.index is None else rows.index
    stratified = not estimator._regression and rows.target.ndim == 1
    # R² and its like have no value for one row.
    least = 2 if estimator._regression and estimator.scoring != "loss" else 1
    rows.index, held = dataset.holdout(
        index,
        estimator.validation_fraction,
        seed,
        rows.pick(rows.target) if stratified else None,
        groups=rows.pick(groups),
        last=not estimator.shuffle,
        least=least,
    )
    return _of(rows, held)


def _of(rows: Rows, held: np.ndarray) -> Rows:
    """Rows that are taken out of those of the fit."""
    weights = rows.weights
    if weights is not None and dataset.uniform(weights[held]):
        weights = None
    return Rows(rows.X, rows.y, rows.target, weights, held)


def _codes(groups, rows: Rows) -> np.ndarray:
    """The group of each row as a number from 0."""
    groups = np.asarray(to_numpy(groups))
    if groups.ndim != 1:
        raise ValueError(
            f"groups has shape {groups.shape}: give one number or word for each row"
        )
    check_consistent_length(rows.X, groups)
    if groups.dtype.kind == "f" and np.isnan(groups).any():
        first = int(np.isnan(groups).argmax())
        raise ValueError(
            f"Input groups contains NaN, first in row {first}: give every row a group"
        )
    try:
        return np.unique(groups, return_inverse=True)[1]
    except TypeError:
        kinds = sorted({type(group).__name__ for group in groups.tolist()})
        raise TypeError(
            f"groups has values of several kinds, {', '.join(kinds)}: give every row a "
            "number, or every row a word"
        ) from None
