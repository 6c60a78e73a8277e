"""y of sequences: labels of their steps, or tokens of lengths of their own."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_consistent_length

from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.inputs.frames import is_frame
from slimlearn.estimators.inputs.sequence_rows import Sequences
from slimlearn.estimators.labels import codes_of
from slimlearn.estimators.missing import missing_in

__all__ = [
    "Predicted",
    "are_texts",
    "check_lengths",
    "check_sequences",
    "codes_of_steps",
    "codes_of_tokens",
    "flat",
    "step_weights",
]

# What labels of one row may be and labels of all rows may not.
_MIXED = "words and numbers"


class Predicted(list):
    """A list of predicted sequences, which NumPy takes for as many objects.

    So that scikit-learn's `cross_val_predict` joins those of its folds, some of which
    may be equally long, some not.
    """

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The sequences as a 1-d array of objects."""
        array = _objects(self)
        return array if dtype is None else array.astype(dtype)


def check_sequences(
    y, X, name: str, who: str, what: str, texts: bool = False
) -> np.ndarray:
    """y as an array of 1-d arrays, or texts, one for each row of X.

    Parameters
    ----------
    y : list, array of objects, column of a frame, or array of shape (n, T)
    X : object
        The checked rows.
    name : str
        Of y, as the user knows it.
    who : str
        The estimator.
    what : str
        What y is to have, such as "a label for each step".
    texts : bool
        Whether a text is a sequence, that of its characters.

    Raises
    ------
    ValueError, TypeError
        Naming the row that is no sequence, or has something missing.
    """
    form = f"give {what}: a list of arrays, one for each sequence of X"
    if y is None:
        raise ValueError(
            f"This {who} estimator requires y to be passed, but the target y is None: "
            f"{form}"
        )
    y = np.asarray(y, dtype=object) if is_frame(y) else to_numpy(y)
    if isinstance(y, (str, bytes, dict, set)) or not hasattr(y, "__len__"):
        raise TypeError(f"{name} is {type(y).__name__}: {form}")
    rows = list(y)
    check_consistent_length(X, rows)
    parts = [
        row if texts and isinstance(row, str) else _one(row, i, name, form)
        for i, row in enumerate(rows)
    ]
    _check_kinds(parts, name)
    return _objects(parts)


def _objects(parts: list) -> np.ndarray:
    """A list as a 1-d array of objects, which keeps arrays of one length apart."""
    array = np.empty(len(parts), dtype=object)
    for i, part in enumerate(parts):
        array[i] = part
    return array


def _one(row, i: int, name: str, form: str) -> np.ndarray:
    if isinstance(row, (str, bytes)) or not hasattr(row, "__len__"):
        raise ValueError(f"{name}: row {i} is {row!r}, no sequence: {form}")
    row = to_numpy(row)
    part = np.asarray(row)
    if part.ndim == 1 and part.dtype.kind in "US" and not isinstance(row, np.ndarray):
        # Words and numbers in one list are words now.
        part = np.array(row, dtype=object)
        if all(isinstance(label, str) for label in part):
            part = np.asarray(row)
    if part.ndim != 1:
        raise ValueError(f"{name}: row {i} has {part.ndim} axes, needed is one: {form}")
    if part.dtype.kind in "fO":
        missing = missing_in(part)
        if missing.any():
            raise ValueError(
                f"Input {name} contains NaN in row {i}, step {int(missing.argmax())}: "
                "leave out what is missing, or give it a label of its own"
            )
    if part.dtype.kind == "O" and any(not np.isscalar(label) for label in part):
        raise TypeError(
            f"{name}: row {i} holds "
            f"{next(type(v).__name__ for v in part if not np.isscalar(v))}, needed are "
            "labels: numbers or words"
        )
    return part


def _check_kinds(parts: list[np.ndarray], name: str) -> None:
    """Refuse words in some rows and numbers in others, which one array would mix."""
    kinds: dict[str, int] = {}
    for i, part in enumerate(parts):
        if len(part):
            kinds.setdefault(_kind(part), i)
    if len(kinds) > 1 or _MIXED in kinds:
        told = " and ".join(f"{kind} in row {i}" for kind, i in kinds.items())
        raise TypeError(f"{name} has {told}: give all labels as words or as numbers")


def _kind(part: np.ndarray | str) -> str:
    if isinstance(part, str):
        return "words"
    kind = part.dtype.kind
    if kind == "O":
        words = {isinstance(label, (str, bytes)) for label in part}
        if len(words) > 1:
            return _MIXED
        return "words" if words == {True} else "numbers"
    return "words" if kind in "US" else "numbers"


def check_lengths(y: np.ndarray, X: Sequences, name: str) -> None:
    """Refuse rows that have not a label for each step.

    Raises
    ------
    ValueError
        Naming the first one.
    """
    own = np.array([len(part) for part in y], dtype=np.int64)
    odd = np.flatnonzero(own != X.lengths)
    if odd.size:
        i = int(odd[0])
        more = f" ({odd.size} rows differ so)" if odd.size > 1 else ""
        raise ValueError(
            f"{name}: row {i} has {own[i]} labels, but its sequence has "
            f"{X.lengths[i]} steps{more}: give a label for each step"
        )


def flat(y: np.ndarray) -> np.ndarray:
    """The labels of all rows, one behind the other."""
    parts = [
        np.array(list(part)) if isinstance(part, str) else part
        for part in y
        if len(part)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def are_texts(y: np.ndarray) -> bool:
    """Whether all rows are texts."""
    return all(isinstance(part, str) for part in y)


def codes_of_steps(classes: np.ndarray, y: np.ndarray) -> Sequences:
    """Class codes of labels, all of which must be known."""
    return Sequences(codes_of(classes, flat(y)).astype(np.int32), _offsets(y))


def codes_of_tokens(classes: np.ndarray, y: np.ndarray) -> Sequences:
    """Class codes of tokens, all of which must be known, and of an end for each row."""
    tokens, offsets = flat(y), _offsets(y)
    codes = codes_of(classes, tokens) if tokens.size else tokens
    ended = np.insert(codes, offsets[1:], len(classes)).astype(np.int32)
    return Sequences(ended, offsets + np.arange(len(offsets)))


def _offsets(y: np.ndarray) -> np.ndarray:
    lengths = [0, *(len(part) for part in y)]
    return np.cumsum(lengths, dtype=np.int64)


def step_weights(weights: np.ndarray | None, lengths: np.ndarray) -> np.ndarray | None:
    """Weights of rows by which each of their steps counts as much as another's."""
    if len(lengths) == 0 or lengths.min() == lengths.max():
        return weights
    return lengths.astype(np.float64) * (1.0 if weights is None else weights)
