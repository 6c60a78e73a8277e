"""What CuPy does for programs on a GPU: memory of its pool, nodes of the user's."""

from __future__ import annotations

import os
import sys

from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import NUMPY_TYPES
from slimlearn.backend.ops.custom import call_custom, import_cupy

__all__ = ["borrow_memory", "call_on_gpu"]

# What CuPy lent and nobody gave back: pieces by their pointers.
_lent: dict[int, object] = {}
_asked = False


def borrow_memory() -> None:
    """Have GPUs' memory from CuPy from now on, where the process has imported it.

    Whoever computes with CuPy has its pool, which keeps what was freed: two of them
    would keep memory from each other. ``SLIM_CUDA_CUPY=0`` in the environment keeps
    them apart.
    """
    global _asked
    if _asked or not hasattr(sys.modules.get("cupy"), "cuda"):
        return
    _asked = True
    if os.environ.get("SLIM_CUDA_CUPY") != "0":
        native.set_lender(_allocate, _release, _free_bytes)


def _allocate(device: int, size: int) -> int:
    """A pointer, or 0 where there is no memory."""
    cupy = sys.modules["cupy"]
    try:
        with cupy.cuda.Device(device):
            memory = cupy.cuda.alloc(max(size, 1))
            # What it was before may still be read by what waits on CuPy's stream, and
            # programs have streams of their own.
            cupy.cuda.get_current_stream().synchronize()
    except MemoryError:
        return 0
    _lent[memory.ptr] = memory
    return memory.ptr


def _release(pointer: int) -> int:
    _lent.pop(pointer, None)
    return 0


def _free_bytes(device: int) -> int:
    cupy = sys.modules["cupy"]
    with cupy.cuda.Device(device):
        return cupy.get_default_memory_pool().free_bytes()


class _Stream:
    """A stream of the program's, as CuPy takes those of others."""

    def __init__(self, handle: int):
        self._handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._handle


def _stream_of(cupy, handle: int, device: int):
    if hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(_Stream(handle))
    return cupy.cuda.ExternalStream(handle, device)  # before CuPy 14


def call_on_gpu(
    function: str,
    gradient: bool,
    device: int,
    stream: int,
    operands: list[tuple],
    results: list[tuple],
) -> bool:
    """Call the node of a name on what lies on a GPU.

    Parameters
    ----------
    function : str
    gradient : bool
        Whether its gradient is asked for.
    device : int
        The GPU's number.
    stream : int
        CUDA's handle of the stream on which operands are complete in their turn, and
        results are read.
    operands, results : list of (int, str, tuple of int)
        Pointer, type and shape.

    Returns
    -------
    bool
        Whether Ctrl-C came meanwhile.
    """
    cupy = import_cupy(f"the node {function!r} on a GPU")

    def array(pointer: int, dtype: str, shape: tuple):
        dtype = NUMPY_TYPES[dtype]
        size = dtype.itemsize
        for extent in shape:
            size *= extent
        memory = cupy.cuda.UnownedMemory(pointer, size, None, device)
        return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, 0))

    with cupy.cuda.Device(device), _stream_of(cupy, stream, device):
        given = [array(*operand) for operand in operands]
        types = [(dtype, shape) for _, dtype, shape in results]
        found, interrupted = call_custom(function, gradient, given, types, cupy)
        for one, result in zip(found, results, strict=True):
            cupy.copyto(array(*result), one)
    return interrupted
