"""Missing values, and dates among targets: refused before they are converted."""

from __future__ import annotations

from datetime import date, time, timedelta

import numpy as np
from scipy.sparse import issparse

__all__ = ["holds_dates", "missing_in", "present_target"]


def present_target(y, name: str, regression: bool):
    """Targets, or weights, with nothing missing; objects that are numbers as numbers.

    Scikit-learn looks for NaN alone, before it makes numbers of objects: None and
    pandas' NA come through, and a list of words would have one more, "nan".

    Parameters
    ----------
    y : array-like
    name : str
        Of y, as the user knows it.
    regression : bool

    Raises
    ------
    ValueError
        If values are missing, naming how many and the row of the first one; if rows
        are sets or differ in length; or if numbers are needed and y has dates, times
        or words.
    TypeError
        If numbers are needed and y is sparse.
    """
    if regression and issparse(y):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required. Use "
            "'.toarray()' to convert to a dense numpy array."
        )
    if y is None or issparse(y):
        return y
    array = _as_array(y)
    if _is_uneven(y, array):
        wanted = (
            "give all the same count of numbers"
            if regression
            else "several labels of a row are columns of 0 and 1, as "
            f"MultiLabelBinarizer().fit_transform({name}) makes them"
        )
        raise ValueError(f"{name} has rows of different lengths, or sets: {wanted}")
    if regression and array is not None and holds_dates(array):
        raise ValueError(
            f"{name} has dates, times or intervals: derive numbers from them, such as "
            "the days or seconds since a start"
        )
    if array is None or array.dtype.kind not in "fOUS" or array.ndim not in (1, 2):
        return y
    if array.dtype.kind in "fO":
        _refuse_missing(array, name)
    if regression and array.dtype.kind in "OUS":
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            _refuse_words(array, name)  # what else they are scikit-learn says
    return y


def _refuse_missing(array: np.ndarray, name: str) -> None:
    missing = missing_in(array)
    rows = missing if missing.ndim == 1 else missing.any(axis=1)
    if rows.any():
        raise ValueError(
            f"Input {name} contains NaN ({np.count_nonzero(rows)} of {len(rows)}, "
            f"first in row {int(rows.argmax())}): leave these rows out"
        )


def _is_uneven(y, array: np.ndarray | None) -> bool:
    """Whether rows hold values that are no columns."""
    if array is None:
        return isinstance(y, (list, tuple)) and all(hasattr(r, "__len__") for r in y)
    first = array[:1] if array.ndim == 1 and array.dtype.kind == "O" else ()
    return any(isinstance(row, (set, frozenset)) for row in first)


def _refuse_words(array: np.ndarray, name: str) -> None:
    """Say which text is no number."""
    for place, value in np.ndenumerate(array):
        if isinstance(value, (str, bytes)):
            try:
                float(value)
            except ValueError:
                word = np.asarray(value).item()
                labels = "; labels are for classifiers" if name[0] == "y" else ""
                raise ValueError(
                    f"could not convert string to float: {word!r} in row {place[0]} of "
                    f"{name}: give numbers{labels}"
                ) from None


def holds_dates(array: np.ndarray) -> bool:
    """Whether an array has dates or times, which NumPy would count in its own unit."""
    if array.dtype.kind == "O":
        kinds = (date, time, timedelta, np.datetime64, np.timedelta64)
        return any(isinstance(v, kinds) for v in array[:1].ravel().tolist())
    return array.dtype.kind in "mM"


def _as_array(y) -> np.ndarray | None:
    """Values as they came; None where scikit-learn has to say what is wrong."""
    try:
        array = np.asarray(y)
        if isinstance(y, (list, tuple)) and array.dtype.kind in "US":
            # Words and NaN in one list are words now.
            array = np.array(y, dtype=object)
    except (TypeError, ValueError):
        return None
    return array


def missing_in(array: np.ndarray) -> np.ndarray:
    """Which of floats are NaN, or of objects NaN, None or NA."""
    if array.dtype.kind == "f":
        return np.isnan(array)
    flat = array.ravel().tolist()
    return np.array([_is_missing(v) for v in flat], dtype=bool).reshape(array.shape)


def _is_missing(value) -> bool:
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        # Pandas' NA is neither equal to itself nor different; an array is no value.
        return type(value).__name__ == "NAType"
