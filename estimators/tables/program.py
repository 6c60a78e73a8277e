"""An ensemble of tables as one program: numbers of a row in, predictions out.

What Python computes in float64 before the members read it is graph here, exact where
numbers are float32: what numbers are compared with is in two parts, whose sum it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Model, Tensor
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.splice import splice
from slimlearn.estimators.exports.networks import picked
from slimlearn.estimators.heads import ClassifierHead
from slimlearn.estimators.tables.columns import (
    CategoryColumn,
    Column,
    DateColumn,
    UnreadColumn,
)
from slimlearn.estimators.tables.dates import calendar, shift_of
from slimlearn.estimators.tables.encoding import Encoding
from slimlearn.estimators.tables.numbers import FAR
from slimlearn.estimators.tables.reading import DAY
from slimlearn.estimators.tables.together import shares_of

__all__ = [
    "FUNCTION",
    "OTHER",
    "SOURCE",
    "are_numbers",
    "code_of",
    "program_of",
    "read_columns",
]

# What the code 0 says.
OTHER = "(missing, or any other)"


#: The one function of such a program, and its source.
FUNCTION, SOURCE = "predict", "X"


def read_columns(encoding: Encoding, who: str) -> list[Column]:
    """The columns that tell something.

    Raises
    ------
    ValueError
        If some hold dates of a zone whose clocks change, which only Python knows.
    """
    found = [c for c in encoding.columns if not isinstance(c, UnreadColumn)]
    for column in found:
        if isinstance(column, DateColumn) and shift_of(column) is None:
            raise ValueError(
                f"{who} reads the dates of column {column.name!r} by the clock of "
                f"{column.zone}, which changes, and only Python knows when: fit on "
                "dates without a zone or of UTC, or predict from a file of est.save"
            )
    return found


def are_numbers(column: CategoryColumn) -> bool:
    """Whether all levels are numbers that float32 has, truth values among them."""
    numbers = column.kinds == {"number"}
    return numbers and all(float(np.float32(v)) == v for v in column.levels)


def program_of(
    ensemble, positions: Sequence[int], precision: str, numbers: bool = False
) -> Program:
    """What a fitted ensemble computes, for rows whose categories are codes.

    Parameters
    ----------
    ensemble : TabularClassifier or TabularRegressor
    positions : sequence of int
        The columns of X that the source has, in its order. Numbers are as they are, NaN
        where they are missing; of a category its place among the levels from 1 on, 0
        for any other; a date has two numbers, its day since 1970 and the hour, by the
        clock of its zone.
    precision : {"f32", "f64"}
        Of the source, and of what stands before the members.
    numbers : bool
        Whether categories that are numbers, which float32 has, come as these and not as
        codes, and dates as one number, of days since 1970 in UTC.

    Returns
    -------
    Program
        Whose function gives probabilities [B, classes], for several outputs side by
        side; or numbers [B, outputs] in the units of y, of several quantiles
        [B, outputs, quantiles] in their order.
    """
    model = Model("f32")
    arrays: dict[str, np.ndarray] = {}
    with model.function(FUNCTION) as graph:
        places, width = _places(ensemble.encoder_._encoding, positions, numbers)
        x = ops.input_(SOURCE, (B, width), precision)
        encoded = _Encoded(model, arrays, x, places, ensemble.encoder_)
        encoded.raw = numbers
        Z = encoded.whole()
        found = [
            _told_by(member, arrays, f"member{i}", Z)
            for i, member in enumerate(ensemble.members_)
        ]
        graph.return_(ensemble._concluded(_mean(found, shares_of(ensemble.members_))))
    program = Program(model=model)
    for name, array in arrays.items():
        program.weights[name][...] = array
    return program


def _places(encoding, positions, numbers: bool) -> tuple[dict[int, int], int]:
    """Where the source has each column of X, and how many numbers it has."""
    found, width = {}, 0
    for position in positions:
        found[position] = width
        date = isinstance(encoding.columns[position], DateColumn)
        width += 2 if date and not numbers else 1
    return found, width


def _mean(found: list[Tensor], shares) -> Tensor:
    count = len(found)
    factors = [1.0 / count] * count if shares is None else shares.tolist()
    total = ops.mul(found[0], factors[0])
    for value, factor in zip(found[1:], factors[1:]):
        total = ops.add(total, ops.mul(value, factor))
    return total


def _told_by(member, arrays: dict, scope: str, Z: Tensor) -> Tensor:
    """What a member makes of encoded rows, as its head gives it."""
    head, program = member._head, member.program_
    classifier = isinstance(head, ClassifierHead)
    [told] = splice(
        program.model,
        "predict_proba" if classifier else "predict",
        {**program.weights, **program.states},
        lambda name: _columns(Z, member.inputs[name]),
        arrays,
        f"{scope}/",
    )
    if classifier:
        return told
    told = told if len(told.shape) == 2 else ops.reshape(told, (B, 1))
    return head.decoded(told)


def _columns(Z: Tensor, wanted) -> Tensor:
    if isinstance(wanted, slice):
        return ops.slice_(Z, 1, wanted.start, wanted.stop)
    return picked(Z, list(wanted))


def _place(x: Tensor, knots: list, starts: list[int], sizes: list[int]) -> tuple:
    """The last of each column's ascending knots that is not beyond it, by halves.

    It is the first one if all are beyond, or x is no number. Numbers are compared by
    their distance, which is exact where they are near.

    Parameters
    ----------
    x : Tensor
        [B, columns].
    knots : list of Tensor
        Of all columns, in parts.
    starts, sizes : list of int
        Where each column's knots begin, and how many they are.

    Returns
    -------
    (Tensor, Tensor)
        Their places as i32, and how far x is behind them.
    """

    def apart(place: Tensor) -> Tensor:
        found = x
        for part in knots:
            found = found - ops.gather(part, place)
        return found

    ends = [start + size - 1 for start, size in zip(starts, sizes)]
    most = ops.constant_list(ends, "i32")
    place = ops.broadcast_to(ops.constant_list(starts, "i32"), x.shape)
    step = 1 << (max(sizes) - 1).bit_length()
    while step > 1:
        step //= 2
        there = ops.minimum(place + step, most)
        place = ops.where(apart(there) >= 0.0, there, place)
    return place, apart(place)


def _known_code(x: Tensor, column: CategoryColumn) -> Tensor:
    """Codes as they come [B, 1], and 0 of what is none, [B]."""
    x = ops.reshape(x, (B,))
    known = ops.logical_and(x >= 0.0, x <= float(len(column.levels)))
    return ops.cast(ops.where(known, x, 0.0), "i32")


def code_of(x: Tensor, column: CategoryColumn, array: Callable) -> Tensor:
    """The code of each row: levels that are numbers come as these, others as codes.

    Parameters
    ----------
    x : Tensor
        [B, 1].
    column : CategoryColumn
    array : callable
        ``array(values, dtype)`` makes a constant.
    """
    if not are_numbers(column):
        return _known_code(x, column)
    levels = array(np.array(column.levels, dtype=np.float32), x.dtype)
    place, apart = _place(x, [levels], [0], [len(column.levels)])
    return ops.reshape(ops.where(ops.equal(apart, 0.0), place + 1, 0), (B,))


class _Encoded:
    """The parts of encoded rows, as `Encoding.encode` has them in both views."""

    def __init__(self, model, arrays, x: Tensor, places: dict[int, int], encoder):
        self.model, self.arrays, self.x = model, arrays, x
        self.at = places
        self.encoding: Encoding = encoder._encoding
        self.kind = x.dtype
        self.raw = False

    def whole(self) -> Tensor:
        """All of them side by side; zeros where columns tell nothing."""
        encoding, parts = self.encoding, []
        measured = [c for c in encoding.measured if c.width]
        if measured:
            parts += self._numbers(self._measured(measured))
        parts += [
            ops.gather(self._array(f"levels{c.position}", c.table), self._code(c))
            for c in encoding.leveled
        ]
        parts += [self._flag(c) for c in encoding.flagged]
        if encoding.coded:
            codes = [ops.reshape(self._code(c), (B, 1)) for c in encoding.coded]
            parts.append(ops.cast(ops.concat(codes, 1), "f32"))
        if not parts:
            parts.append(ops.mul(ops.slice_(self.x, 1, 0, 1), 0.0))
        parts = [ops.cast(part, "f32") for part in parts]
        return parts[0] if len(parts) == 1 else ops.concat(parts, 1)

    def _array(self, name: str, values, kind: str = "f32") -> Tensor:
        name = f"columns/{name}"
        self.arrays[name] = np.asarray(values)
        return self.model.declare("param", name, kind, np.shape(values))

    def _of(self, columns: list[Column]) -> Tensor:
        return picked(self.x, [self.at[c.position] for c in columns])

    def _measured(self, columns: list[Column]) -> Tensor:
        """Numbers as they are, and what dates give."""
        parts = []
        for dates, group in groupby(columns, lambda c: isinstance(c, DateColumn)):
            some = list(group)
            parts += map(self._date, some) if dates else [self._of(some)]
        return parts[0] if len(parts) == 1 else ops.concat(parts, 1)

    def _date(self, column: DateColumn) -> Tensor:
        x, at = self.x, self.at[column.position]
        if not self.raw:
            days, hours = (ops.slice_(x, 1, i, i + 1) for i in (at, at + 1))
            return calendar(days, hours, column)
        x = ops.slice_(x, 1, at, at + 1)
        shift = shift_of(column) / DAY
        x = x + shift if shift else x
        days = ops.floor(x)
        return calendar(days, (x - days) * 24.0, column)

    def _split(self, name: str, values: np.ndarray) -> list[Tensor]:
        """Numbers of float64, as one part or as a sum of two of float32."""
        if self.kind == "f64":
            return [self._array(name, values, "f64")]
        largest = np.finfo(np.float32).max
        high = np.clip(values, -largest, largest).astype(np.float32)
        with np.errstate(over="ignore"):
            rest = (values - high.astype(np.float64)).astype(np.float32)
        parts = [self._array(name, high)]
        return [*parts, self._array(f"{name}_rest", rest)] if rest.any() else parts

    def _numbers(self, x: Tensor) -> list[Tensor]:
        """Both views of the columns of numbers."""
        known = self.encoding.numbers
        gone = ops.isnan(x)
        median = self._split("median", known.median)
        apart = x
        for part in median:
            apart = apart - part
        apart = ops.where(gone, 0.0, apart)
        scaled = ops.mul(apart, self._array("factor", known.factor, self.kind))
        near = ops.clip(scaled, -FAR, FAR)
        robust = near / ops.sqrt(near * near / 9.0 + 1.0)
        there = ops.broadcast_to(median[0], x.shape)
        return [robust, self._scores(ops.where(gone, there, x))]

    def _scores(self, x: Tensor) -> Tensor:
        """Normal scores, between the knots of each column."""
        known = self.encoding.numbers
        starts, sizes = known.starts[:-1].tolist(), np.diff(known.starts).tolist()
        knots = self._split("knots", known.at)
        place, apart = _place(x, knots, starts, sizes)
        # Nothing is before the first knot; behind the last one the slope is 0.
        limit = float(np.finfo(np.float32 if self.kind == "f32" else np.float64).max)
        apart = ops.clip(apart, 0.0, limit)
        slopes, scores = (
            ops.gather(self._array(name, values, self.kind), place)
            for name, values in (
                ("slopes", np.minimum(known.slopes, limit)),
                ("scores", known.scores),
            )
        )
        return scores + apart * slopes

    def _flag(self, column) -> Tensor:
        there, gone = column.flag
        absent = ops.isnan(self._of([column]))
        return ops.where(absent, float(gone), ops.full_like(self._of([column]), there))

    def _code(self, column: CategoryColumn) -> Tensor:
        """The code of each row [B]; 0 of what is none."""
        x = self._of([column])
        if not self.raw:
            return _known_code(x, column)

        def array(values, kind: str) -> Tensor:
            return self._array(f"values{column.position}", values, kind)

        return code_of(x, column, array)
