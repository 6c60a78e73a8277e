"""Arrays of other libraries: into the door as NumPy's, and back out as their own.

Results come back as the caller's where scikit-learn's array API dispatch is on, else as
NumPy's. Training and prediction are called from the host: `to_numpy` shares the memory
of what is there, and copies from another device; `in_place` and `room_in` are for what
lies on the GPU that computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from sklearn import get_config

from slimlearn.backend.resident import Resident, resident_of
from slimlearn.estimators.compat import (
    convert_to_numpy,
    get_namespace_and_device,
    max_precision_float_dtype,
)
from slimlearn.estimators.where import gpu_name, where

__all__ = [
    "Home",
    "Origin",
    "check_one_gpu",
    "check_origin",
    "device_of",
    "home_of",
    "in_place",
    "origin_of",
    "room_in",
    "to_numpy",
]

# Of DLPack's kinds of devices those whose memory the host reads: its own, and pinned.
# Then CUDA's: a GPU's memory, and such as moves.
_HOST, _CUDA = (1, 3, 11), (2, 13)
# How an array comes to the host: CuPy's, PyTorch's, Numba's.
_FETCH = ("get", "cpu", "copy_to_host")


@dataclass(frozen=True)
class Home:
    """Where an array lives that is not NumPy's.

    Attributes
    ----------
    xp : module
        Its namespace.
    device : object
        Its device there.
    """

    xp: ModuleType
    device: object

    def give(self, values):
        """NumPy's `values` as arrays of this namespace, on this device.

        Tuples and lists are those of arrays; what is an array of the namespace already
        stays, and so do labels that are no numbers, as other libraries have no strings.
        """
        if isinstance(values, (tuple, list)):
            return type(values)(self.give(part) for part in values)
        if not isinstance(values, np.ndarray) or values.dtype.kind in "OSU":
            return values
        if values.dtype == np.float64:
            widest = max_precision_float_dtype(self.xp, self.device)
            if widest == self.xp.float32:
                values = values.astype(np.float32)
        return self.xp.asarray(values, device=self.device)


def home_of(array) -> Home | None:
    """Where `array` lives; None for NumPy's, for whatever becomes one, and if
    dispatch is off."""
    if not hasattr(array, "__dlpack__") or isinstance(array, (np.ndarray, np.generic)):
        return None
    if not get_config()["array_api_dispatch"]:
        return None
    xp, known, device = get_namespace_and_device(array)
    return Home(xp, device) if known else None


def to_numpy(array):
    """An array of another library as NumPy's; anything else as it is.

    Where dispatch is off this is one that NumPy would not read itself: on a GPU, or
    known by DLPack alone.

    Raises
    ------
    ValueError
        If it is NumPy's and numbers in it are masked.
    TypeError
        If it is on a device that it cannot be copied from.
    """
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ValueError(
            f"{np.ma.count_masked(array)} of {array.size} numbers of a masked array "
            "are masked, and would be read as if they were not: fill them, as in "
            "array.filled(0), or array.filled(np.nan) before an imputer"
        )
    home = home_of(array)
    if home is None:
        return _read(array)
    try:
        return np.from_dlpack(array)
    except (BufferError, TypeError, ValueError, RuntimeError, AttributeError):
        # On another device, or of a library that has not all of DLPack.
        if hasattr(array, "__cuda_array_interface__"):
            return _fetched(array)
        return convert_to_numpy(array, home.xp)


def in_place(array, device: str) -> Resident | None:
    """An array that lies on the GPU on which an estimator computes, to be read there.

    Parameters
    ----------
    array : object
    device : str
        The estimator's parameter.

    Returns
    -------
    Resident or None
        None for all else, which `to_numpy` brings to the host.
    """
    if isinstance(array, (np.ndarray, np.generic, list, tuple)):
        return None
    if device == "cpu" or not _is_on_gpu(array):
        return None
    device = device_of(device, array)
    return None if device == "cpu" else resident_of(array, device)


def room_in(home: Home | None, device: str) -> Callable | None:
    """What makes arrays in which a program leaves its results on a GPU.

    Parameters
    ----------
    home : Home or None
        Of the arrays.
    device : str
        Of `engine.devices`, the one on which `home` lives.

    Returns
    -------
    callable or None
        ``room(shape, dtype)`` gives an array and its pointer. None where the host has
        to copy results: for NumPy's, and for a library whose arrays nobody may write
        to, such as JAX.
    """
    if home is None:
        return None
    try:
        home.xp.empty(1, device=home.device)[:0] = 0
    except TypeError:
        return None

    def room(shape: tuple[int, ...], dtype: np.dtype) -> tuple:
        kind = getattr(home.xp, dtype.name)
        array = home.xp.empty(shape, dtype=kind, device=home.device)
        # What was in its memory before may still be read: that is waited for here.
        return array, resident_of(array, device).pointer

    return room


def device_of(device: str, array) -> str:
    """Where an estimator computes that is given this array: "auto" is the GPU on which
    it lies, where one says so (DLPack).

    Parameters
    ----------
    device : str
        The estimator's parameter.
    array : object
        X.
    """
    number = _gpu_number(array) if device == "auto" else None
    if number is None:
        return where(device)
    from slimlearn.backend import engine

    gpu = gpu_name(number)
    return gpu if engine.has(gpu) else where(device)


def check_one_gpu(**arrays) -> None:
    """Refuse arrays of one call that lie on different GPUs.

    Parameters
    ----------
    **arrays
        By the names of the call's parameters.

    Raises
    ------
    ValueError
    """
    found: dict[int, str] = {}
    for name, array in arrays.items():
        number = _gpu_number(array)
        if number is not None:
            found.setdefault(number, name)
    if len(found) > 1:
        told = " and ".join(f"{name} on cuda:{gpu}" for gpu, name in found.items())
        raise ValueError(
            f"the arrays of one call lie on several GPUs, {told}: move them to one, or "
            "give NumPy's"
        )


def _read(array):
    if isinstance(array, (np.ndarray, np.generic, list, tuple)):
        return array
    if _is_on_gpu(array):
        return _fetched(array)
    if hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
        return np.from_dlpack(array)
    return array


def _is_on_gpu(array) -> bool:
    if hasattr(array, "__cuda_array_interface__"):
        return True
    device = getattr(array, "__dlpack_device__", None)
    return callable(device) and int(device()[0]) not in _HOST


def _gpu_number(array) -> int | None:
    """The GPU on which it lies; None for all else, and where DLPack does not say."""
    if isinstance(array, (np.ndarray, np.generic, list, tuple)):
        return None
    told = getattr(array, "__dlpack_device__", None)
    kind, number = map(int, told()) if callable(told) else (0, 0)
    return number if kind in _CUDA else None


def _fetched(array) -> np.ndarray:
    """A copy on the host, by the library that knows when the array is complete."""
    for name in _FETCH:
        method = getattr(array, name, None)
        if callable(method):
            return np.asarray(method())
    try:
        return np.from_dlpack(array, device="cpu", copy=True)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"an array of {type(array).__module__}.{type(array).__qualname__} lies on "
            f"a GPU and cannot be copied from there ({error}): give it as a NumPy "
            "array"
        ) from error


@dataclass(frozen=True)
class Origin:
    """What X was in `fit`, in words that pickle: its library and device."""

    namespace: str = "numpy"
    device: str = "cpu"

    @property
    def foreign(self) -> bool:
        """Whether it was another library's."""
        return self.namespace != "numpy"

    def __str__(self) -> str:
        return f"{self.namespace} on {self.device}"

    def __sklearn_array_api_convert__(self, converter) -> Origin:
        # Of scikit-learn's `move_estimator_to`.
        return origin_of(home_of(converter(np.empty(0))))


def origin_of(home: Home | None) -> Origin:
    """The words for `home`."""
    if home is None:
        return Origin()
    return Origin(home.xp.__name__.rpartition(".")[2], str(home.device))


def check_origin(
    estimator, home: Home | None, method: str, who: str | None = None
) -> None:
    """Refuse arrays of another library or device than those of `fit`.

    Parameters
    ----------
    estimator : NetworkEstimator
    home : Home or None
        Of the array that is given now.
    method : str
    who : str or None
        The class that has the method; None is that of `estimator`.
    """
    if not get_config()["array_api_dispatch"]:
        return
    now, then = origin_of(home), estimator._origin
    if now != then:
        raise ValueError(
            f"Inputs passed to {who or type(estimator).__name__}.{method}() must use "
            "the same namespace and the same device as those passed to fit(), which "
            f"were {then}; these are {now}: convert X, or move the estimator with "
            "sklearn.utils._array_api.move_estimator_to(estimator, xp, device)"
        )
