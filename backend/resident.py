"""Arrays in a GPU's memory that others own: read there, and not copied to the host."""

from __future__ import annotations

from functools import cached_property

import numpy as np

__all__ = ["Resident", "resident_of", "rows_on_host", "within_reach"]

# Of DLPack's kinds of devices those of CUDA: a GPU's memory, and such as moves.
_CUDA = (2, 13)
_READ = "fiub"  # kinds of NumPy's types
_MOST_AXES, _MOST_ROWS = 8, 2**32 - 1


class Resident:
    """An array that lies on a GPU, and whose rows programs read there.

    Slices of rows are views; other rows are copied on the GPU. As an array of NumPy it
    is a copy.

    Parameters
    ----------
    device : str
        Of `engine.devices`, whose memory it is in.
    pointer : int
        Of its first number.
    shape, strides : tuple of int
        Strides are in bytes.
    dtype : dtype
    owner : object
        Whatever keeps the memory as long as it lives.
    """

    def __init__(
        self,
        device: str,
        pointer: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        dtype: np.dtype,
        owner: object,
    ):
        self.device = device
        self.pointer = pointer
        self.shape = shape
        self.strides = strides
        self.dtype = dtype
        self.owner = owner

    def __repr__(self) -> str:
        return f"<Resident: {self.dtype} {self.shape} on {self.device}>"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def __cuda_array_interface__(self) -> dict:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "strides": self.strides,
            "data": (self.pointer, True),
            "version": 3,
            "stream": None,  # it is complete
        }

    def __getitem__(self, rows) -> Resident:
        """Some rows, as a slice, row numbers or a mask says."""
        if isinstance(rows, slice):
            first, stop, step = rows.indices(len(self))
            return Resident(
                self.device,
                self.pointer + first * self.strides[0],
                (len(range(first, stop, step)), *self.shape[1:]),
                (step * self.strides[0], *self.strides[1:]),
                self.dtype,
                self.owner,
            )
        return self._copied(self.dtype, np.arange(len(self))[np.asarray(rows)])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if copy is False:
            raise ValueError(f"what lies on {self.device} is copied to become NumPy's")
        array = np.empty(self.shape, self.dtype)
        if array.size:
            packed = self if self._is_packed else self._copied(self.dtype)
            _native().gpu_fetch(self.device, packed.pointer, array)
        return array if dtype is None else array.astype(dtype, copy=False)

    def with_axis(self) -> Resident:
        """With a last axis of one number."""
        return Resident(
            self.device,
            self.pointer,
            (*self.shape, 1),
            (*self.strides, self.dtype.itemsize),
            self.dtype,
            self.owner,
        )

    def columns(self, places: np.ndarray) -> np.ndarray:
        """Some columns of a matrix, on the host."""
        rows, step = self.strides
        found = np.empty((len(self), len(places)), self.dtype)
        for at, place in enumerate(places):
            found[:, at] = Resident(
                self.device,
                self.pointer + int(place) * step,
                self.shape[:1],
                (rows,),
                self.dtype,
                self.owner,
            )
        return found

    def astype(self, dtype) -> Resident:
        """The numbers in another type, on the GPU; itself where it has that."""
        dtype = np.dtype(dtype)
        return self if dtype == self.dtype else self._copied(dtype)

    @property
    def is_finite(self) -> bool:
        """Whether all numbers are."""
        return self.dtype.kind != "f" or self._seen[0]

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest finite number."""
        return self._seen[1:]

    @cached_property
    def _seen(self) -> tuple[bool, float, float]:
        return _native().gpu_look(self.device, self)

    @property
    def _is_packed(self) -> bool:
        return self.strides == _packed(self.shape, self.dtype)

    def _copied(self, dtype: np.dtype, index: np.ndarray | None = None) -> Resident:
        """Rows in C order, in memory of their own."""
        shape = self.shape if index is None else (len(index), *self.shape[1:])
        pointer, held = self.pointer, None
        if index is None or len(index):
            held = _native().gpu_copied(self.device, self, dtype, index)
            pointer = held.pointer
        strides = _packed(shape, dtype)
        return Resident(self.device, pointer, shape, strides, dtype, held)


def resident_of(array, device: str) -> Resident | None:
    """An array in the memory of a device, as it lies there.

    It is complete when this returns, whatever stream makes it: `device` is told by
    DLPack, or the stream of ``__cuda_array_interface__`` is waited for.

    Parameters
    ----------
    array : object
    device : str
        Of `engine.devices`.

    Returns
    -------
    Resident or None
        None for what has no rows or no numbers, lies elsewhere, or where kernels could
        not read it: numbers of another type, or that do not begin at multiples of their
        size.
    """
    if isinstance(array, Resident):
        return array if array.device == device else None
    number = _native().gpu_number(device)
    if number < 0:
        return None
    try:
        if hasattr(array, "__dlpack__"):
            found = _by_dlpack(array, device, number)
        else:
            found = _by_interface(array, device)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
        # What it is instead is said where it is read as another array.
        return None
    return found if found is not None and _is_readable(found) else None


def rows_on_host(source, rows):
    """Some rows of a source, on the host.

    Parameters
    ----------
    source : Resident, ndarray, CSR matrix, Ragged or Coded
    rows : index array
    """
    found = source[rows]
    return np.asarray(found) if isinstance(found, Resident) else found


def within_reach(sources: dict, device: str) -> dict:
    """The sources of a call on a device; what lies on another comes to the host."""
    return {
        name: np.asarray(source)
        if isinstance(source, Resident) and source.device != device
        else source
        for name, source in sources.items()
    }


def _by_dlpack(array, device: str, number: int) -> Resident | None:
    kind, own = map(int, array.__dlpack_device__())
    if kind not in _CUDA or own != number:
        return None
    native = _native()
    stream = native.gpu_stream(device)
    capsule = native.gpu_dlpack(device, array, stream)
    pointer, shape, strides, letter, size = native.read_dlpack(capsule)
    native.gpu_wait_for(device, stream)
    dtype = np.dtype(f"{letter}{size}")
    return Resident(device, pointer, shape, strides, dtype, capsule)


def _by_interface(array, device: str) -> Resident | None:
    facts = array.__cuda_array_interface__
    if facts.get("mask") is not None:
        return None
    native = _native()
    pointer, dtype = int(facts["data"][0]), np.dtype(facts["typestr"])
    if not native.gpu_holds(device, pointer):
        return None
    stream = facts.get("stream")
    if stream is not None:
        native.gpu_wait_for(device, stream)
    shape = tuple(map(int, facts["shape"]))
    strides = facts.get("strides")
    strides = _packed(shape, dtype) if strides is None else tuple(map(int, strides))
    return Resident(device, pointer, shape, strides, dtype, array)


def _is_readable(found: Resident) -> bool:
    size, dtype = found.dtype.itemsize, found.dtype
    return (
        dtype.kind in _READ
        and size <= 8
        and dtype.isnative
        and 1 <= found.ndim <= _MOST_AXES
        and found.size > 0
        and len(found) <= _MOST_ROWS
        and not any(place % size for place in (found.pointer, *found.strides))
        and _native().gpu_holds(found.device, found.pointer)
    )


def _packed(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """The strides of C order."""
    strides, size = [], dtype.itemsize
    for extent in reversed(shape):
        strides.insert(0, size)
        size *= extent
    return tuple(strides)


def _native():
    from slimlearn.backend.engine.native import native

    return native
