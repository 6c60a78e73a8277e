"""Sources whose numbers are places along curves, in 16 bits each."""

from __future__ import annotations

import numpy as np

__all__ = ["Coded"]

# Rows that are read at a time.
_ROWS = 256


class Coded:
    """Rows of float32 numbers that are read from codes.

    Number j of a row is read from one of its codes: of `numbers` row j is the code's
    column, where the number's curve begins among the knots, and how many of the code's
    lower bits say how far it is from one knot to the next. The upper bits are the knot.

    Parameters
    ----------
    codes : uint16 array of shape (rows, columns)
        In C order.
    numbers : int64 array of shape (n, 3)
    knots : float32 array
        Of all curves, one behind the other; behind the last one stands one more.
    """

    __slots__ = ("codes", "knots", "numbers")

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, codes: np.ndarray, numbers: np.ndarray, knots: np.ndarray):
        self.codes, self.numbers, self.knots = codes, numbers, knots

    def __repr__(self) -> str:
        return "<Coded: {} rows of {} numbers>".format(*self.shape)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def shape(self) -> tuple[int, int]:
        """Of what the codes stand for."""
        return len(self.codes), len(self.numbers)

    @property
    def nbytes(self) -> int:
        """Of codes and curves."""
        return self.codes.nbytes + self.numbers.nbytes + self.knots.nbytes

    def columns(self, chosen) -> Coded:
        """Some of the numbers of all rows, without a copy of their codes."""
        return Coded(self.codes, self.numbers[chosen], self.knots)

    def __getitem__(self, index) -> np.ndarray:
        """The numbers of some rows, with the bits of those that a program reads."""
        codes = self.codes[index]
        found = np.empty((len(codes), len(self.numbers)), dtype=np.float32)
        for first in range(0, len(codes), _ROWS):
            some = slice(first, first + _ROWS)
            found[some] = self._read(codes[some])
        return found

    def _read(self, codes: np.ndarray) -> np.ndarray:
        column, begin, bits = self.numbers.T.astype(np.int32)
        codes = codes[:, column].astype(np.int32)
        knot, one = begin + (codes >> bits), 1 << bits
        way = (codes & (one - 1)).astype(np.float32) / one.astype(np.float32)
        low = self.knots[knot]
        return low + way * (self.knots[knot + 1] - low)
