"""Checked sequences as a program reads them: their values and where each begins."""

from __future__ import annotations

import numpy as np


class Sequences:
    """Checked sequences: their values one behind the other, and where each begins.

    Parameters
    ----------
    values : ndarray of shape (steps, ...)
    offsets : int64 array of shape (n + 1,)
    array : ndarray of shape (n, T, ...) or None
        Where they came as one array, that.

    Attributes
    ----------
    ndim : int
        2, rows and their steps.
    """

    ndim = 2

    __slots__ = ("_values", "array", "offsets")

    def __init__(self, values, offsets, array=None):
        self._values = values
        self.offsets = offsets
        self.array = array

    @classmethod
    def of_array(cls, array: np.ndarray) -> Sequences:
        """Sequences [n, T, ...] that are all T steps long."""
        count, steps = array.shape[:2]
        return cls(None, np.arange(count + 1, dtype=np.int64) * steps, array)

    @property
    def values(self) -> np.ndarray:
        """All steps in C order."""
        if self._values is None:
            array = np.ascontiguousarray(self.array)
            self._values = array.reshape(-1, *array.shape[2:])
        return self._values

    @property
    def shape(self) -> tuple[int]:
        return (len(self.offsets) - 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def dtype(self) -> np.dtype:
        return (self.values if self.array is None else self.array).dtype

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Of one step."""
        return self.values.shape[1:] if self.array is None else self.array.shape[2:]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def numbers(self) -> np.ndarray:
        """All numbers, in an array of some shape."""
        return self.values if self.array is None else self.array

    def astype(self, dtype) -> Sequences:
        if self.array is not None:
            return Sequences(None, self.offsets, self.array.astype(dtype))
        return Sequences(self.values.astype(dtype), self.offsets)

    def with_features(self) -> Sequences:
        """Numbers of one feature as rows of one."""
        if self.array is not None:
            return Sequences(None, self.offsets, self.array[..., None])
        return Sequences(self.values[:, None], self.offsets)

    def without_features(self) -> Sequences:
        """Rows of one feature as numbers."""
        if self.array is not None:
            return Sequences(None, self.offsets, self.array[..., 0])
        return Sequences(self.values[:, 0], self.offsets)

    def __getitem__(self, index) -> Sequences:
        if self.array is not None:
            return Sequences.of_array(self.array[index])
        return Sequences.of_list(self.as_list(index))

    @classmethod
    def of_list(cls, parts: list[np.ndarray]) -> Sequences:
        """Sequences as arrays [T_i, ...]."""
        offsets = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return cls(np.ascontiguousarray(np.concatenate(parts)), offsets)

    def as_list(self, index=None) -> list[np.ndarray]:
        """Each sequence, as users give lists of them."""
        rows = np.arange(len(self))
        rows = rows if index is None else rows[index]
        begin, end = self.offsets[:-1], self.offsets[1:]
        return [self.values[begin[row] : end[row]] for row in rows]


def bucket_sizes(lengths: np.ndarray, most: int) -> tuple[int, ...]:
    """Lengths that sequences are padded to: quantiles of theirs, the longest last."""
    shares = np.arange(1, most + 1) / most
    found = np.quantile(lengths, shares, method="higher")
    return tuple(int(size) for size in np.unique(found))
