"""What heads make of arrays of any library, where these lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.compat import get_namespace_and_device

__all__ = ["as_codes", "beside", "lookup", "namespace", "of_any_library"]

_F = TypeVar("_F", bound=Callable)


def of_any_library(method: _F) -> _F:
    """Mark a method of heads that takes arrays of any library, and gives such.

    A method that overrides it is of NumPy alone again, unless it is marked, too.
    """
    method.of_any_library = True
    return method


def namespace(array):
    """The functions of an array's library, by their names in the array API."""
    return np if type(array) is np.ndarray else get_namespace_and_device(array)[0]


# Of a row or two NumPy's part of a prediction takes as long as the network: what is
# below is called for arrays of others alone.


def beside(array, *numbers) -> list:
    """Numbers of NumPy, or of Python, as what an array of another library meets."""
    xp, _, device = get_namespace_and_device(array)
    return [xp.asarray(values, device=device) for values in numbers]


def as_codes(truths):
    """0 and 1 for truths."""
    xp = namespace(truths)
    return xp.astype(truths, xp.int64)


def lookup(labels: np.ndarray, codes):
    """The labels of codes: in the codes' library, or NumPy's where they are words, or
    numbers of a type of which PyTorch takes none.
    """
    if labels.dtype.kind in "OSU" or labels.dtype in (np.uint16, np.uint32, np.uint64):
        return labels[to_numpy(codes)]
    [labels] = beside(codes, labels)
    return namespace(codes).take(labels, codes, axis=0)
