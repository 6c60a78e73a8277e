"""Labels: class codes of y, and the weights of classes.

y is one of three kinds: one label per row, (n,); an indicator of several labels, (n, k)
of 0 and 1; several outputs of several classes each, (n, k) of any labels. Their classes
are an array of labels, ``arange(k)``, and a list of arrays.
"""

from __future__ import annotations

from numbers import Number

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

__all__ = ["class_weighted", "codes_of", "find_classes", "given_classes"]


def find_classes(y: np.ndarray) -> np.ndarray | list[np.ndarray]:
    """The classes of y, in ascending order."""
    _check(y)
    if y.ndim == 1:
        return np.unique(y)
    if _is_indicator(y):
        return np.arange(y.shape[1])
    return [np.unique(column) for column in _columns(y)]


def given_classes(classes, y: np.ndarray) -> np.ndarray | list[np.ndarray]:
    """The classes that a user gives for y, which may lack some of them."""
    if y.ndim == 1:
        found = np.unique(classes)
        if len(found) < 2:
            raise ValueError(f"classes needs at least 2 classes, got {classes!r}")
        return found
    several = [np.unique(c) for c in classes if np.ndim(c) == 1]
    if not several:
        several = np.unique(classes)
    if len(several) != y.shape[1]:
        raise ValueError(
            f"y has {y.shape[1]} outputs: classes must be range({y.shape[1]}) for an "
            f"indicator of 0 and 1, or a list of the classes of each output; got "
            f"{classes!r}"
        )
    return several


def codes_of(classes, y: np.ndarray) -> np.ndarray:
    """Class codes of labels, all of which must be known; of an indicator, itself.

    Raises
    ------
    ValueError
        If y holds a label that is not among the classes, or is of another kind.
    """
    _check(y)
    if isinstance(classes, list):
        if y.ndim != 2 or y.shape[1] != len(classes):
            raise ValueError(
                f"y has shape {y.shape}, needed are {len(classes)} outputs, a column "
                "each"
            )
        columns = [_codes(c, column) for c, column in zip(classes, _columns(y))]
        return np.stack(columns, axis=1)
    if y.ndim == 1:
        return _codes(classes, y)
    if y.shape[1] != len(classes) or not _is_indicator(y):
        raise ValueError(
            f"y has shape {y.shape}, needed is an indicator of 0 and 1 with a column "
            f"for each of {len(classes)} labels"
        )
    return y.astype(np.uint8)


def _codes(classes: np.ndarray, y: np.ndarray) -> np.ndarray:
    position = np.searchsorted(classes, y)
    position = np.minimum(position, len(classes) - 1)
    unknown = classes[position] != y
    if np.any(unknown):
        raise ValueError(
            f"y holds labels that are not among the classes: "
            f"{np.unique(y[unknown])[:5].tolist()}; the classes are {classes.tolist()}"
        )
    return position


def _check(y: np.ndarray) -> None:
    """Refuse a target that holds no classes."""
    if y.dtype.kind not in "iubUS":
        columns = _columns(y) if y.ndim == 2 and y.dtype == object else [y]
        for column in columns:
            check_classification_targets(column)


def _columns(y: np.ndarray) -> list[np.ndarray]:
    """Columns; numbers are numbers again where other columns made all of y objects."""
    columns = list(y.T)
    if y.dtype == object:
        columns = [
            np.array(c.tolist()) if all(isinstance(v, Number) for v in c) else c
            for c in columns
        ]
    return columns


def _is_indicator(y: np.ndarray) -> bool:
    return y.dtype.kind in "iubf" and bool(np.isin(y, (0, 1)).all())


# -- weights ------------------------------------------------------------------------


def class_weighted(class_weight, weights, codes: np.ndarray, classes):
    """Weights of the rows times those of their classes.

    Parameters
    ----------
    class_weight : dict, "balanced", None, or a list of these
        A list has one for each output, whose factors are multiplied.
    weights : ndarray of shape (n,) or None
    codes : ndarray of shape (n,) or (n, k)
    classes : as `find_classes` gives them

    Returns
    -------
    ndarray of shape (n,) or None
    """
    if class_weight is None:
        return weights
    if codes.ndim == 1:
        factors = _factors(class_weight, weights, codes, classes)
    else:
        factors = _product(class_weight, weights, codes, classes)
    return factors if weights is None else factors * weights


def _product(class_weight, weights, codes, classes) -> np.ndarray:
    outputs = codes.shape[1]
    if isinstance(class_weight, str):
        class_weight = [class_weight] * outputs
    if not isinstance(class_weight, list) or len(class_weight) != outputs:
        raise ValueError(
            f"class_weight for y with {outputs} outputs must be 'balanced' or a list "
            f"of one dict, 'balanced' or None for each of them; got {class_weight!r}"
        )
    if not isinstance(classes, list):
        classes = [np.arange(2)] * outputs
    factors = np.ones(len(codes))
    for part, column, labels in zip(class_weight, codes.T, classes):
        if part is not None:
            factors *= _factors(part, weights, column, labels)
    return factors


def _factors(class_weight, weights, codes, classes) -> np.ndarray:
    if isinstance(class_weight, dict):
        if not any(c in class_weight for c in classes.tolist()):
            raise ValueError(
                f"class_weight names {list(class_weight)}, none of which is a class of "
                f"y: the classes are {classes.tolist()}"
            )
        factors = np.array([float(class_weight.get(c, 1.0)) for c in classes.tolist()])
        if not (np.isfinite(factors).all() and factors.min() >= 0):
            raise ValueError(
                f"class_weight needs finite weights >= 0; got {class_weight}"
            )
        return factors[codes]
    if not (isinstance(class_weight, str) and class_weight == "balanced"):
        raise ValueError(
            "class_weight must be a dict of factors or 'balanced' for each output, and "
            f"a list only for y with several outputs; got {class_weight!r}"
        )
    counts = np.bincount(codes, weights=weights, minlength=len(classes))
    present = counts > 0
    factors = np.zeros(len(classes))
    factors[present] = counts.sum() / (present.sum() * counts[present])
    return factors[codes]
