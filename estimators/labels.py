"""Labels: class codes of y, and the weights of classes.

y is one of three kinds: one label per row, (n,); an indicator of several labels, (n, k)
of 0 and 1; several outputs of several classes each, (n, k) of any labels. Their classes
are an array of labels, ``arange(k)``, and a list of arrays.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from numbers import Number, Real

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from slimlearn.estimators.arrays import to_numpy

__all__ = [
    "class_factors",
    "class_weighted",
    "codes_of",
    "find_classes",
    "given_classes",
    "is_balanced",
    "listed",
    "local_codes",
    "outputs_of",
    "plain_classes",
]

# Labels that an error lists at most.
_MOST = 10


def listed(labels) -> str:
    """Labels, or other names, as an error lists them: the first, and how many."""
    count = len(labels)
    first = list(labels) if count <= _MOST else [*islice(iter(labels), _MOST)]
    plain = [one.item() if isinstance(one, np.generic) else one for one in first]
    if count <= _MOST:
        return repr(plain)
    return f"[{', '.join(map(repr, plain))}, …] ({count} in all)"


def find_classes(y: np.ndarray) -> np.ndarray | list[np.ndarray]:
    """The classes of y, in ascending order."""
    _check(y)
    if y.ndim == 1:
        return np.unique(y)
    if _is_indicator(y):
        return np.arange(y.shape[1])
    return [np.unique(column) for column in _columns(y)]


def plain_classes(classes):
    """The classes that a user gives: arrays of any library, lists, sets, keys."""
    if isinstance(classes, (list, tuple)):
        return [_plain(labels) for labels in classes]
    return _plain(classes)


def _plain(labels):
    """One list of labels; NumPy would make a single object of a set."""
    unread = isinstance(labels, Collection) and not hasattr(labels, "__array__")
    if unread and not isinstance(labels, (str, bytes, list, tuple)):
        return list(labels)
    return to_numpy(labels)


def given_classes(classes, y: np.ndarray) -> np.ndarray | list[np.ndarray]:
    """The classes that a user gives for y, which may lack some of them."""
    if y.ndim == 1:
        found = np.unique(classes)
        if len(found) < 2:
            raise ValueError(f"classes needs at least 2 classes, got {listed(found)}")
        return found
    several = [np.unique(c) for c in classes if np.ndim(c) == 1]
    if not several:
        several = np.unique(classes)
    if len(several) != y.shape[1]:
        raise ValueError(
            f"y has {y.shape[1]} outputs: classes must be range({y.shape[1]}) for an "
            f"indicator of 0 and 1, or a list of the classes of each output; got "
            f"{listed(classes)}"
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
            f"{listed(np.unique(y[unknown]))}; the classes are {listed(classes)}"
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


def outputs_of(classes, several: bool) -> list[np.ndarray]:
    """The labels of each output: one list, or one for each column of y."""
    if isinstance(classes, list):
        return classes
    return [np.arange(2)] * len(classes) if several else [classes]


def local_codes(y: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, bool]:
    """The labels of each output as far as y has them, and y's codes by them.

    Returns
    -------
    labels : list of ndarray
        Ascending, for each output.
    codes : ndarray, of y's shape
    indicator : bool
        Whether y has several columns of 0 and 1 only.
    """
    _check(y)
    columns = [y] if y.ndim == 1 else _columns(y)
    found = [np.unique(column, return_inverse=True) for column in columns]
    codes = [inverse.reshape(len(y)) for _, inverse in found]
    codes = codes[0] if y.ndim == 1 else np.stack(codes, axis=1)
    return [labels for labels, _ in found], codes, y.ndim == 2 and _is_indicator(y)


def is_balanced(class_weight) -> bool:
    """Whether the weights of some classes go by how often they are."""
    parts = class_weight if isinstance(class_weight, list) else [class_weight]
    return any(isinstance(part, str) for part in parts)


def class_factors(class_weight, classes, several: bool, counts) -> list:
    """What `class_weight` multiplies by: weights of rows, or losses of outputs.

    Parameters
    ----------
    class_weight : dict, "balanced", or a list of these and None
        A list has one for each output, whose loss is multiplied.
    classes : as `find_classes` gives them
    several : bool
        Whether y has several columns.
    counts : list of ndarray
        Weight of each class of each output; read where a part is "balanced".

    Returns
    -------
    list of ndarray or None
        For each output the factor of each class, by its code.
    """
    labels = outputs_of(classes, several)
    parts = [class_weight]
    if several:
        parts = class_weight
        if isinstance(class_weight, str):
            parts = [class_weight] * len(labels)
        if not isinstance(parts, list) or len(parts) != len(labels):
            raise ValueError(
                f"class_weight for y with {len(labels)} outputs must be 'balanced' or "
                f"a list of one dict, 'balanced' or None for each of them; got "
                f"{class_weight!r}"
            )
    return [
        None if part is None else _factors(part, own, counts and counts[i])
        for i, (part, own) in enumerate(zip(parts, labels))
    ]


def class_weighted(factors: np.ndarray, weights, codes: np.ndarray) -> np.ndarray:
    """Weights of the rows times those of their classes.

    Parameters
    ----------
    factors : ndarray of shape (n_classes,)
    weights : ndarray of shape (n,) or None
    codes : ndarray of shape (n,)
    """
    return factors[codes] if weights is None else factors[codes] * weights


def _factors(class_weight, classes, counts) -> np.ndarray:
    if isinstance(class_weight, dict):
        labels = classes.tolist()
        unknown = [c for c in class_weight if c not in labels]
        # A part of the rows may lack a class, if all that it has are named.
        if unknown and not all(c in class_weight for c in labels):
            raise ValueError(
                f"class_weight names {listed(unknown)}, none of which is a class of "
                f"y: the classes are {listed(labels)}"
            )
        factors = [class_weight.get(c, 1.0) for c in labels]
        if not all(isinstance(f, Real) and 0 <= f < np.inf for f in factors):
            raise ValueError(
                f"class_weight needs finite weights >= 0; got {class_weight}"
            )
        return np.array(factors, dtype=np.float64)
    if not (isinstance(class_weight, str) and class_weight == "balanced"):
        raise ValueError(
            "class_weight must be a dict of factors or 'balanced' for each output, and "
            f"a list only for y with several outputs; got {class_weight!r}"
        )
    present = counts > 0
    factors = np.zeros(len(classes))
    factors[present] = counts.sum() / (present.sum() * counts[present])
    return factors
