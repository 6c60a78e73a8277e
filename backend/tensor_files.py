"""Arrays by name in files of other libraries: .npz and .safetensors."""

from __future__ import annotations

import json
import math
import os
import zipfile

import numpy as np

__all__ = ["read_arrays"]

_TYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "|b1"},
    **{f"{kind}{8 * n}": f"<{kind.lower()}{n}" for kind in "IU" for n in (1, 2, 4, 8)},
}
# The longest header that the safetensors package reads.
_LONGEST = 100_000_000


def read_arrays(path) -> dict[str, np.ndarray] | None:
    """The arrays in a file that is no saved program.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict of str to ndarray, or None
        Those of bfloat16 as float32. None if it is neither an .npz of NumPy nor a
        safetensors file, or one that ``Program.save`` or `Checkpoint` wrote.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    with open(path, "rb") as file:
        begin = file.read(9)
        if begin.startswith(b"PK\3\4"):
            return _read_npz(path)
        if len(begin) < 9 or begin[8:] != b"{":
            return None
        length, size = int.from_bytes(begin[:8], "little"), os.path.getsize(path)
        if length > min(_LONGEST, size - 8):
            return None
        file.seek(8)
        header = file.read(length)
        try:
            found = json.loads(header)
            if "slimlearn.format" in found.pop("__metadata__", {}):
                return None
            data = (
                np.memmap(file, np.uint8, "c", 8 + length) if size > 8 + length else b""
            )
            return {name: _array(data, **entry) for name, entry in found.items()}
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ValueError(
                f"{path}: the safetensors file is damaged ({error})"
            ) from (error)


def _array(data, dtype: str, shape: list, data_offsets: list) -> np.ndarray:
    begin, end = data_offsets
    kind = np.dtype(_TYPES[dtype])
    if not 0 <= begin <= end <= len(data) or end - begin != kind.itemsize * math.prod(
        shape
    ):
        raise ValueError(f"{dtype} of shape {shape} is no {end - begin} bytes")
    array = np.frombuffer(data, kind, math.prod(shape), begin) if end > begin else []
    array = np.array(array, kind).reshape(shape)
    if dtype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _read_npz(path) -> dict[str, np.ndarray] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            if not all(name.endswith(".npy") for name in archive.namelist()):
                return None
        with np.load(path, allow_pickle=False) as found:
            return dict(found)
    except (zipfile.BadZipFile, ValueError, OSError, KeyError, EOFError) as error:
        raise ValueError(f"{path}: the .npz file is damaged ({error})") from error
