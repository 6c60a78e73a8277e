"""What the functions of a user's node are given, and what they may give back."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from slimlearn.backend.graph import NUMPY_TYPES

__all__ = ["call_checked", "differences", "require_near"]


def call_checked(
    functions: tuple,
    name: str,
    gradient: bool,
    operands: list,
    types: list,
    xp: ModuleType = np,
) -> list:
    """Call a node's forward function or its gradient, and check what it gives.

    Parameters
    ----------
    functions : tuple of (callable, callable or None)
        Forward and gradient.
    name : str
        The node's, for errors.
    gradient : bool
        Which of them; then `operands` begin with dy and y.
    operands : list of array
    types : list of (str, tuple of int)
        Of the results.
    xp : module
        Whose arrays they are.

    Returns
    -------
    list of array
        NumPy's are C-contiguous.

    Raises
    ------
    TypeError, ValueError
        If a result is of another library, type or shape.
    """
    if not gradient:
        return [_fitting(functions[0](*operands), types[0], f"{name}: forward", xp)]
    found = functions[1](*operands)
    if len(types) == 1 and not isinstance(found, (tuple, list)):
        found = (found,)
    where = f"{name}: gradient"
    if not isinstance(found, (tuple, list)) or len(found) != len(types):
        got = len(found) if isinstance(found, (tuple, list)) else type(found).__name__
        raise ValueError(
            f"{where} returned {got}, needed are {len(types)} arrays, one for each "
            "operand of a floating type"
        )
    floats = [a.shape for a in operands[2:] if a.dtype.kind == "f"]
    return [
        xp.zeros(shape, NUMPY_TYPES[type_[0]])
        if one is None
        else _fitting(one, (type_[0], shape), f"{where} of operand {i}", xp)
        for i, (one, type_, shape) in enumerate(zip(found, types, floats, strict=True))
    ]


def _fitting(array, type_: tuple, where: str, xp: ModuleType):
    dtype, shape = NUMPY_TYPES[type_[0]], tuple(type_[1])
    if xp is np or hasattr(array, "__cuda_array_interface__"):
        array = xp.asarray(array)
    if not isinstance(array, xp.ndarray):
        got = type(array)
        raise TypeError(
            f"{where} returned {got.__module__}.{got.__qualname__}, needed is an array "
            f"of {xp.__name__}"
        )
    if tuple(array.shape) != shape:
        raise ValueError(f"{where} returned shape {array.shape}, needed is {shape}")
    if array.dtype != dtype:
        raise TypeError(
            f"{where} returned {array.dtype}, needed is {dtype}: use "
            f".astype(np.{dtype}, copy=False)"
        )
    return np.ascontiguousarray(array).reshape(shape) if xp is np else array


def differences(forward, given: list, index: int, dy: np.ndarray) -> np.ndarray:
    """Difference quotients of the sum of ``dy * forward(*given)``, for one operand."""
    found = np.empty(given[index].shape)
    for at in np.ndindex(found.shape):
        step = 1e-6 * max(1.0, abs(given[index][at]))
        ends = []
        for sign in (1, -1):
            moved = [a.copy() for a in given]
            moved[index][at] += sign * step
            ends.append(np.sum(np.asarray(forward(*moved), np.float64) * dy))
        found[at] = (ends[0] - ends[1]) / (2 * step)
    return found


def require_near(got, want, rtol: float, atol: float, what: str, than: str) -> None:
    """Name the place where two arrays differ most, if it is more than allowed."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    wrong = np.abs(got - want) - (atol + rtol * np.abs(want))
    if wrong.size and not wrong.max() <= 0:
        at = tuple(map(int, np.unravel_index(np.argmax(wrong), wrong.shape)))
        raise AssertionError(f"{what} at {at} is {got[at]:.6g}, {than} {want[at]:.6g}")
