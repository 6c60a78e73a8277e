"""What to do with an X that is no matrix of numbers: texts, images, uneven rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.sparse import issparse

__all__ = ["explain_shape"]

# Columns that errors name at most.
_MOST = 10


def explain_shape(estimator, X, error: Exception, name: str) -> Exception | None:
    """What scikit-learn says of X's shape or kind, and what makes a matrix of it.

    Parameters
    ----------
    estimator : NetworkEstimator
    X : array-like
        What was refused.
    error : ValueError or TypeError
        Scikit-learn's, which is kept as the beginning.
    name : str
        Of X, as the user knows it.

    Returns
    -------
    Exception or None
        None where there is nothing to add.
    """
    if issparse(X) or hasattr(X, "columns"):
        return None
    try:
        # Numbers stay what they are: an array of objects is many times as large.
        array = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
    except (ValueError, TypeError):
        return None
    advice = _advice(array, name, type(estimator).__name__)
    if advice is None:
        return None
    begin = (str(error).splitlines() or [""])[0].rstrip(".:")
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{begin}: {name} {advice}")


def _advice(array: np.ndarray, name: str, who: str) -> str | None:
    if array.ndim == 0:
        value = array[()]
        if isinstance(value, (set, frozenset)):
            return f"is a set, whose rows have no order: give a list, as sorted({name})"
        if isinstance(value, Iterator):
            return (
                f"is a {type(value).__name__}, which can be read once only: give "
                f"list({name})"
            )
        if isinstance(value, Mapping):
            return f"is a dict: give pandas.DataFrame({name})"
        return None
    if array.ndim > 2:
        return (
            f"has shape {array.shape}, and {who} reads a row of numbers for each "
            f"sample: give {name}.reshape(len({name}), -1), which a network function "
            f"can shape again, as in ops.reshape(x, {(-1, *array.shape[1:])}); images "
            "are what ConvNetClassifier and ConvNetRegressor read"
        )
    if array.size == 0 or array.dtype.kind not in "OSU":
        return None
    if array.ndim == 1 and _is_text(array[0]):
        return (
            "is a list of texts: make numbers of them first, as in "
            f"make_pipeline(TfidfVectorizer(), {who}(…))"
        )
    if array.ndim == 1 and isinstance(array[0], Mapping):
        return (
            f"is a list of dicts: give pandas.DataFrame({name}), or make numbers of "
            f"them first, as in make_pipeline(DictVectorizer(), {who}(…))"
        )
    if array.ndim == 1 and all(hasattr(row, "__len__") for row in array):
        sizes = sorted({len(row) for row in array if not _is_text(row)})
        if len(sizes) > 1:
            return (
                f"has rows of different lengths, from {sizes[0]} to {sizes[-1]}: pad "
                "or cut them to one"
            )
    if array.ndim == 2:
        text = [i for i, column in enumerate(array.T) if any(map(_is_text, column))]
        if text:
            return (
                f"has texts in columns {text[:_MOST]}: encode words before {who}, for "
                "example with OneHotEncoder, and convert numbers that are written as "
                "texts by astype(float)"
            )
    return None


def _is_text(value) -> bool:
    return isinstance(value, (str, bytes))
