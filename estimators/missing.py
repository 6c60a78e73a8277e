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
        If values are missing, naming how many and the row of the first one; or if
        numbers are needed and y has dates or times.
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
    if regression and array is not None and holds_dates(array):
        raise ValueError(
            f"{name} has dates, times or intervals: derive numbers from them, such as "
            "the days or seconds since a start"
        )
    if array is None or array.dtype.kind not in "fO" or array.ndim not in (1, 2):
        return y
    missing = missing_in(array)
    rows = missing if missing.ndim == 1 else missing.any(axis=1)
    if rows.any():
        raise ValueError(
            f"Input {name} contains NaN ({np.count_nonzero(rows)} of {len(rows)}, "
            f"first in row {int(rows.argmax())}): leave these rows out"
        )
    if regression and array.dtype == object:
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            pass  # scikit-learn says what they are
    return y


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
