"""Sequences given as a list, a column or an array of objects, checked one by one."""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse

from slimlearn.estimators.inputs.frames import is_column, is_frame
from slimlearn.estimators.inputs.sequence_rows import Sequences


def apart(X) -> list | None:
    """The sequences that X is a list, a column or an array of objects of."""
    if isinstance(X, (list, tuple)):
        return None if _is_table(X) else list(X)
    if issparse(X):
        return None
    if is_frame(X):
        if getattr(X, "ndim", 2) == 2 and X.shape[1] != 1:
            return None
        X = np.asarray(X)
    if is_column(X):
        parts = list(X)
    else:
        if getattr(getattr(X, "dtype", None), "kind", None) != "O":
            return None
        X = X.ravel() if X.ndim == 1 or X.shape[1:] == (1,) else X
        parts = list(X) if X.ndim == 1 else []
    texts = is_column(X) and any(isinstance(part, str) for part in parts)
    return parts if texts or any(np.ndim(part) >= 1 for part in parts) else None


def _is_table(rows) -> bool:
    """Whether a list is rows of as many floats, as of ``X.tolist()``."""
    lists = all(isinstance(row, (list, tuple)) and len(row) for row in rows)
    if not rows or not lists or len({len(row) for row in rows}) > 1:
        return False
    return all(isinstance(value, float) for value in rows[0])


def of_parts(parts: list, data_format: str, name: str, who: str) -> Sequences:
    """Sequences of a list of arrays, checked.

    Raises
    ------
    ValueError
        Naming the first one that is empty, odd, or not finite.
    """
    if not parts:
        raise ValueError(
            f"Found array with 0 sample(s) ({name} is an empty list) while a minimum "
            f"of 1 is required by {who}."
        )
    arrays = [_one(part, i, name, who) for i, part in enumerate(parts)]
    axes = arrays[0].ndim
    if data_format == "NCT" and axes == 2:
        arrays = [array.T for array in arrays]
    for i, array in enumerate(arrays):
        if array.ndim != axes or array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{name}: sequence {i} has {_features(array)}, sequence 0 has "
                f"{_features(arrays[0])}: give each step of all sequences the same"
            )
        if len(array) == 0:
            raise ValueError(
                f"{name}: sequence {i} has no steps: leave it out, or give it one"
            )
    if axes == 2 and arrays[0].shape[1] == 0:
        raise ValueError(
            f"{name}: steps have 0 features while a minimum of 1 is required."
        )
    found = Sequences.of_list(arrays)
    if found.dtype.kind == "f" and not np.isfinite(found.values).all():
        bad = ~np.isfinite(found.values.reshape(len(found.values), -1)).all(axis=1)
        at = int(bad.argmax())
        row = int(np.searchsorted(found.offsets, at, side="right")) - 1
        _refuse_step(found.values[at], row, at - found.offsets[row], name)
    return found


def refuse_steps(X: np.ndarray, name: str) -> None:
    """Say which step of N×T×F has numbers that are missing or infinite, if one has."""
    bad = np.argwhere(~np.isfinite(X).all(axis=2))
    if len(bad):
        row, step = map(int, bad[0])
        _refuse_step(X[row, step], row, step, name)


def _refuse_step(values: np.ndarray, sequence: int, step: int, name: str) -> None:
    what = "NaN" if np.isnan(values).any() else "infinity"
    raise ValueError(
        f"Input {name} contains {what} in sequence {sequence}, step {step}: fill or "
        "leave out what is missing; padding is not needed, as a list of arrays has "
        "sequences of any lengths"
    )


def _features(array: np.ndarray) -> str:
    return "numbers alone" if array.ndim == 1 else f"{array.shape[1]} features"


def _one(part, i: int, name: str, who: str) -> np.ndarray:
    try:
        array = np.asarray(part)
    except ValueError:
        raise ValueError(
            f"{name}: sequence {i} has steps of different numbers of features: give "
            "an array of steps × features"
        ) from None
    if array.dtype.kind in "SU" or (
        array.dtype == object and any(isinstance(v, (str, bytes)) for v in array.flat)
    ):
        how = "" if array.ndim == 0 else "analyzer=list"
        raise ValueError(
            f"{name}: sequence {i} has words: put TokenVectorizer({how}) before {who}, "
            "which makes ids of them"
        )
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise TypeError(
                f"{name}: sequence {i} holds {type(part).__name__} of objects that are "
                "no numbers"
            ) from None
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name}: sequence {i} has {array.ndim} axes: give steps, or steps × "
            "features" + ": one sequence alone is [X]" * (array.ndim == 0)
        )
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: sequence {i} has {array.dtype}, give real numbers")
    return array
