"""CuPy's interface, as far as it is asked for, over the emulated device.

Memory is the device's, which the host must not touch; a pool keeps what is freed for
the stream on which it was taken; what is put on a stream runs when somebody waits for
it. So it shows who waits for whom, and what is read where. What CuPy itself does on a
GPU, it does not show.
"""

import re
import struct
import sys
import threading
import weakref
from types import SimpleNamespace

import numpy as np

from slimlearn.backend.engine.native import native
from support.cuda import CUDA

calls = SimpleNamespace(allocate=0, refuse=False)
float32, float64, int64 = map(np.dtype, ("float32", "float64", "int64"))
_SPACE = np.zeros(1 << 20, np.uint8)  # where views are tried
_kept = {}  # (stream, size): pointers
_current = threading.local()  # streams of a thread


class Stream:
    def __init__(self, handle=None):
        self.ptr = native.emulated_stream(CUDA) if handle is None else handle

    @classmethod
    def from_external(cls, stream):
        version, handle = stream.__cuda_stream__()
        assert version == 0
        return cls(handle)

    def synchronize(self):
        native.emulated_wait(CUDA, self.ptr)

    def __enter__(self):
        self.before = get_current_stream()
        _current.stream = self

    def __exit__(self, *error):
        _current.stream = self.before


class Device:
    def __init__(self, number):
        assert number == 0

    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


class UnownedMemory:
    def __init__(self, ptr, size, owner, device_id):
        self.ptr, self.size, self.device_id = ptr, size, device_id


class MemoryPointer:
    def __init__(self, mem, offset):
        self.mem, self.ptr = mem, mem.ptr + offset


def _alloc(size):
    if calls.refuse:
        raise MemoryError("the pool has none")
    calls.allocate += 1
    size = -(-size // 512) * 512
    key = get_current_stream().ptr, size
    pieces = _kept.setdefault(key, [])
    pointer = pieces.pop() if pieces else native.emulated_allocate(CUDA, size)
    memory = UnownedMemory(pointer, size, None, 0)
    weakref.finalize(memory, pieces.append, pointer).atexit = False
    return MemoryPointer(memory, 0)


class _Pool:
    def free_bytes(self):
        return sum(size * len(pieces) for (_, size), pieces in _kept.items())

    def free_all_blocks(self):
        for pieces in _kept.values():
            while pieces:
                native.emulated_release(CUDA, pieces.pop())


_pool = _Pool()
Stream.null = Stream()


def get_default_memory_pool():
    return _pool


def get_current_stream():
    return getattr(_current, "stream", Stream.null)


cuda = SimpleNamespace(
    Device=Device, MemoryPointer=MemoryPointer, Stream=Stream,
    UnownedMemory=UnownedMemory, alloc=_alloc, get_current_stream=get_current_stream,
)  # fmt: skip


class ndarray:
    device = "gpu"

    def __init__(self, shape, dtype=np.float64, memptr=None, strides=None, base=None):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.nbytes = self.size * self.dtype.itemsize
        self.data = memptr or _alloc(max(self.nbytes, 1))
        self.strides, self.base = strides, base  # of a view

    @property
    def ndim(self):
        return len(self.shape)

    def __len__(self):
        return self.shape[0]

    def __array_namespace__(self, api_version=None):
        return sys.modules[__name__]

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.shape, "typestr": self.dtype.str, "strides": self.strides,
            "data": (self.data.ptr, False), "version": 3,
            "stream": get_current_stream().ptr,
        }  # fmt: skip

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, *, stream=None, **others):
        if native.emulated_current() != 0:
            raise BufferError("another GPU is the current one")  # as PyTorch
        if stream not in (None, -1):  # what reads it there waits for what makes it
            native.emulated_follow(CUDA, stream, get_current_stream().ptr)
        like = np.ndarray(self.shape, self.dtype, strides=self.strides, buffer=_SPACE)
        return native.emulated_capsule(like, self.data.ptr, self)

    def __getitem__(self, key):
        """A view, or a copy of the rows that are listed."""
        parts = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(part, (slice, type(...), type(None))) for part in parts):
            return asarray(self._read()[key])
        like = np.ndarray(self.shape, self.dtype, strides=self.strides, buffer=_SPACE)
        view = like[key]
        offset = view.ctypes.data - like.ctypes.data + self.data.ptr - self.data.mem.ptr
        place = MemoryPointer(self.data.mem, offset)
        return ndarray(view.shape, view.dtype, place, view.strides, self.base or self)

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def get(self):
        return self._read()

    def _read(self):
        if self.base is not None:
            whole, offset = self.base._read(), self.data.ptr - self.base.data.ptr
            return np.ndarray(
                self.shape, self.dtype, whole.data, offset, self.strides
            ).copy()
        out, stream = np.empty(self.shape, self.dtype), get_current_stream()
        native.emulated_copy(
            CUDA, stream.ptr, out.ctypes.data, self.data.ptr, self.nbytes
        )
        stream.synchronize()
        return out

    # What CuPy's kernels do on a GPU is computed by the host here.

    def __setitem__(self, key, value):
        assert not self._read()[key].size

    def __gt__(self, other):
        return asarray(self._read() > other)

    def __mul__(self, other):
        return asarray(self._read() * other._read())

    def __add__(self, other):
        return asarray(self._read() + other._read())

    def argmax(self, axis):
        return asarray(self._read().argmax(axis=axis))

    def reshape(self, shape):
        return asarray(self._read().reshape(shape))


def _of_numpy(name):
    return lambda array, *args, **kwargs: asarray(
        getattr(np, name)(array._read(), *args, **kwargs)
    )


exp, sort = _of_numpy("exp"), _of_numpy("sort")
reshape = ndarray.reshape


def astype(array, dtype):
    return asarray(array._read().astype(dtype))


def take(array, places, axis):
    return asarray(np.take(array._read(), places._read(), axis=axis))


def concat(arrays):
    return asarray(np.concatenate([array._read() for array in arrays]))


def empty(shape, dtype=np.float64, device=None):
    shape = (shape,) if isinstance(shape, int) else shape
    return ndarray(shape, dtype)


def empty_like(array):
    return ndarray(array.shape, array.dtype)


def asarray(values, device=None):
    if isinstance(values, ndarray):
        return values
    values = np.ascontiguousarray(values)
    array = ndarray(values.shape, values.dtype)
    stream = get_current_stream().ptr
    native.emulated_copy(
        CUDA, stream, array.data.ptr, values.ctypes.data, values.nbytes
    )
    return array


def __array_namespace_info__():
    kinds = {"real floating": {"float32": float32, "float64": float64}}
    return SimpleNamespace(dtypes=lambda *, device, kind: kinds[kind])


def zeros(shape, dtype=np.float64):
    return asarray(np.zeros(shape, dtype))


def copyto(to, array):
    assert to.shape == array.shape and to.dtype == array.dtype
    stream = get_current_stream().ptr
    native.emulated_copy(CUDA, stream, to.data.ptr, array.data.ptr, to.nbytes)


class RawKernel:
    """A kernel of the user's, whose arguments the emulated device takes as one."""

    def __init__(self, code, name):
        head = re.search(rf'extern "C" __global__ void {name}\(([^)]*)\)', code)
        kinds = head[1].split(",")
        names = ", ".join("a." + kind.split()[-1] for kind in kinds)
        self._source = (
            code.replace('extern "C" __global__', "__device__ static")
            + f"\nstruct Arguments {{ {'; '.join(kinds)}; }};\n"
            'extern "C" __global__ void __launch_bounds__(1024) k0(Arguments a) '
            f"{{ {name}({names}); }}\n"
        )

    def __call__(self, grid, block, args):
        kinds, given = "", []
        for one in args:
            array = isinstance(one, ndarray)
            kinds += "P" if array else one.dtype.char
            given.append(one.data.ptr if array else one.item())
        native.emulated_launch(
            CUDA, get_current_stream().ptr, self._source, *grid, *block,
            struct.pack(kinds + "0P", *given),
        )  # fmt: skip
