"""What was learned of each column of a table: numbers, categories or dates."""

from __future__ import annotations

from collections import Counter
from datetime import tzinfo

import numpy as np

from slimlearn.estimators.tables.numbers import clipped, robust_scale
from slimlearn.estimators.tables.reading import DAY, Raw, clock

__all__ = [
    "DATE_PARTS",
    "CategoryColumn",
    "Column",
    "DateColumn",
    "NumberColumn",
    "UnreadColumn",
    "column_of",
    "kind_of",
]

# What a date gives: its age in days, and what calendars name.
DATE_PARTS = ("age", "year", "month", "day", "weekday", "hour")


def _told(values) -> str:
    return ", ".join(f"{value!r:.40}" for value in values)


class Column:
    """Base of the columns.

    Attributes
    ----------
    name : str or int
        Or its position, where columns have no names.
    position : int
    kind : str
        What the column is taken for.
    missing : float
        The share of the rows in which it is missing.
    distinct : int or None
        Levels of a category.
    """

    kind = ""
    distinct: int | None = None

    def __init__(self, name, position: int, missing: float = 0.0):
        self.name, self.position, self.missing = name, position, missing

    def _refuse(self, raw: Raw) -> None:
        held = {"category": "categories", "date": "dates", "text": "texts"}
        raise ValueError(
            f"column {self.name!r} held {self.kind} in fit, and holds "
            f"{held.get(raw.kind, 'numbers')} now{self._example(raw)}: give it as it "
            "was"
        )

    @staticmethod
    def _example(raw: Raw) -> str:
        if raw.kind == "text":
            found = next((v for v in raw.values if v is not None), None)
            return f", such as {found!r:.40}"
        return ""


class UnreadColumn(Column):
    """A column that tells nothing: all missing, constant, or of single values."""

    def __init__(self, name, position: int, kind: str, missing: float, distinct=None):
        super().__init__(name, position, missing)
        self.kind, self.distinct = kind, distinct


class MeasuredColumn(Column):
    """Base of columns that give numbers.

    Attributes
    ----------
    width : int
        How many of its numbers vary.
    flag : tuple of float or None
        What says that it is there, and that it is missing; None if it never was.
    """

    width = 0
    flag: tuple[float, float] | None = None

    def endings(self) -> list[str]:
        """Ends of the names of the numbers that vary."""
        raise NotImplementedError

    def flags(self, absent: np.ndarray) -> np.ndarray:
        """What says where it is missing."""
        return np.array(self.flag, dtype=np.float32)[absent.astype(np.intp)]


class NumberColumn(MeasuredColumn):
    """A column of numbers."""

    kind = "numbers"

    def endings(self):
        return [""]

    def numbers(self, raw: Raw) -> np.ndarray:
        """Its values, NaN where they are missing."""
        if raw.kind in ("number", "empty"):
            return raw.values
        if raw.kind == "category" and {kind_of(v) for v in raw.levels} <= {"number"}:
            levels = np.array([np.nan, *raw.levels], dtype=np.float64)
            return levels[raw.values.astype(np.int64) + 1]
        self._refuse(raw)

    def parts(self, raw: Raw) -> list[tuple[str, np.ndarray]]:
        """Features by the ends of their names."""
        return [("", self.numbers(raw))]


class DateColumn(MeasuredColumn):
    """A column of dates: their age in days, and the parts that calendars name."""

    kind = "dates"

    def endings(self):
        return [f"_{part}" for part in self.kept]

    def __init__(self, name, position, raw: Raw):
        super().__init__(name, position)
        self.zone: tzinfo | None = raw.zone
        self.latest = raw.values[~np.isnat(raw.values)].max()
        self.kept: tuple[str, ...] | None = None

    def parts(self, raw: Raw) -> list[tuple[str, np.ndarray]]:
        """Features by the ends of their names; in fit all, later those that vary."""
        if raw.kind == "empty":
            nothing = raw.values
            return [(f"_{part}", nothing) for part in self.kept or DATE_PARTS]
        if raw.kind != "date":
            self._refuse(raw)
        if (raw.zone is None) != (self.zone is None):
            was, now = ("without", "with") if self.zone is None else ("with", "without")
            raise ValueError(
                f"column {self.name!r} held dates {was} a time zone in fit, and they "
                f"are {now} one now: give them as they were"
            )
        absent = np.isnat(raw.values)
        local = clock(raw.values, self.zone)
        days, months = local.astype("M8[D]"), local.astype("M8[M]")
        count = months.astype(np.int64)
        found = {
            "age": (self.latest - raw.values).astype(np.int64) / DAY,
            "year": count // 12 + 1970,
            "month": count % 12 + 1,
            "day": (days - months.astype("M8[D]")).astype(np.int64) + 1,
            "weekday": (days.astype(np.int64) + 3) % 7,
            "hour": (local - days).astype(np.int64) / 3.6e9,
        }
        names = self.kept or found
        return [
            (f"_{part}", np.where(absent, np.nan, found[part].astype(np.float64)))
            for part in names
        ]


class CategoryColumn(Column):
    """A column of categories.

    Attributes
    ----------
    levels : list
        Ascending; a category's code is its place from 1 on. 0 is what is missing, and
        what fit did not see, or saw too seldom.
    table : ndarray of shape (levels + 1, width) or None
        What stands for each code, where levels are few.
    lookup : dict
        The code of each level.
    kinds : set of str
        What levels are.
    """

    kind = "categories"

    def __init__(
        self, name, position, raw: Raw, weights, *, one_hot: int, most: int, more=False
    ):
        super().__init__(name, position)
        count, weight = _counts(raw, weights)
        if more and raw.kind == "category":
            absent = dict.fromkeys(raw.levels, 0)
            count, weight = {**absent, **count}, {**absent, **weight}
        levels = sorted(count, key=lambda level: (type(level).__name__, level))
        self.distinct = len(levels)
        if len(levels) > one_hot and not more:
            # What is seen once says no more than that it is seldom.
            levels = [level for level in levels if count[level] > 1]
        if len(levels) > most:
            chosen = sorted(levels, key=lambda level: -count[level])[:most]
            chosen = set(chosen)
            levels = [level for level in levels if level in chosen]
        self.levels = levels
        self.lookup = {level: code for code, level in enumerate(levels, 1)}
        self.kinds = {kind_of(level) for level in levels}
        self.table = None
        if levels and len(levels) <= one_hot:
            self._learn_table(weight, weights, len(raw.values))

    @property
    def varies(self) -> bool:
        """Whether it tells anything."""
        return bool(self.levels) and (self.distinct > 1 or self.missing > 0)

    def _learn_table(self, weight, weights, rows: int) -> None:
        """Centre and scale the columns that stand for levels, as those of numbers."""
        total = float(rows if weights is None else weights.sum())
        own = np.array([0.0, *(weight[level] for level in self.levels)])
        own[0] = max(total - own.sum(), 0.0)
        k = len(self.levels)
        if k == 2:
            plain = np.array([[0.0], [-1.0], [1.0]])
        else:
            plain = np.concatenate((np.zeros((1, k)), np.eye(k)))
        columns = []
        for column in plain.T:
            values, which = np.unique(column, return_inverse=True)
            seen = np.bincount(which, own)
            values, seen = values[seen > 0], seen[seen > 0]
            median, factor = robust_scale(values, seen)
            columns.append(clipped((column - median) * factor))
        self.table = np.array(columns, dtype=np.float32).T.copy()

    def feature_names(self) -> list[str]:
        """Ends of the names of the table's columns."""
        if len(self.levels) == 2:
            return [f"_{self.levels[-1]}"]
        return [f"_{level}" for level in self.levels]

    def codes(self, raw: Raw) -> np.ndarray:
        """The codes of a column's values."""
        get = self.lookup.get
        if raw.kind == "empty":
            return np.zeros(len(raw.values), dtype=np.int64)
        if raw.kind == "date":
            self._refuse(raw)
        if raw.kind == "text":
            found = [get(value, 0) for value in raw.values.tolist()]
            found = np.array(found, dtype=np.int64)
            self._check_kind(raw, found, raw.values)
            return found
        if raw.kind == "number":
            return self._codes_of_numbers(raw)
        given = raw.values
        if len(raw.levels) > len(given):  # levels that no row has cost nothing
            used, given = np.unique(given, return_inverse=True)
            levels = [None if code < 0 else raw.levels[code] for code in used]
            known = np.array([get(level, 0) for level in levels], dtype=np.int64)
            found = known[given]
        else:
            known = [0, *(get(level, 0) for level in raw.levels)]
            known = np.array(known, dtype=np.int64)
            found = known[given.astype(np.int64) + 1]
        self._check_kind(raw, found, raw.levels)
        return found

    def _codes_of_numbers(self, raw: Raw) -> np.ndarray:
        values, which = np.unique(raw.values, return_inverse=True)
        known = [self.lookup.get(value, 0) for value in values.tolist()]
        found = np.array(known, dtype=np.int64)[which]
        self._check_kind(raw, found, values[~np.isnan(values)].tolist())
        return found

    def _check_kind(self, raw: Raw, found: np.ndarray, values) -> None:
        """Refuse numbers where there were texts, and the other way round."""
        if found.any():
            return
        now = {kind_of(value) for value in values if value is not None}
        if now and not now & self.kinds:
            example = next(value for value in values if value is not None)
            raise ValueError(
                f"column {self.name!r} held categories such as "
                f"{_told(self.levels[:3])} in fit, and holds {kind_of(example)}s now, "
                f"such as {example!r:.40}: give it as it was"
            )


def column_of(
    name,
    position: int,
    raw: Raw,
    wished: bool,
    weights,
    one_hot: int,
    most: int,
    more: bool = False,
) -> Column:
    """The column as what it holds says, or the user.

    Parameters
    ----------
    name : str or int
    position : int
    raw : Raw
    wished : bool
        Whether its numbers are categories.
    weights : ndarray or None
    one_hot, most : int
        As in `CategoryColumn`.
    more : bool
        Whether other rows come later. Levels that are seen once then count, and those
        that the type of a category declares.
    """
    if raw.kind == "empty":
        return UnreadColumn(name, position, "empty", 1.0)
    if raw.kind == "date":
        absent = np.isnat(raw.values)
    elif raw.kind == "number":
        absent = np.isnan(raw.values)
    elif raw.kind == "text":
        absent = np.array([value is None for value in raw.values.tolist()])
    else:
        absent = raw.values < 0
    missing = float(np.average(absent, weights=weights))
    declared = more and raw.kind == "category" and raw.levels
    if missing == 1.0 and not declared:
        return UnreadColumn(name, position, "empty", 1.0)
    if raw.kind == "date":
        if wished:
            raise ValueError(
                f"column {name!r} of categorical_features holds dates: leave it "
                "out there, or give texts"
            )
        column = DateColumn(name, position, raw)
    elif raw.kind == "number" and not wished:
        column = NumberColumn(name, position)
    else:
        column = CategoryColumn(
            name, position, raw, weights, one_hot=one_hot, most=most, more=more
        )
    column.missing = missing
    return column


def kind_of(value) -> str:
    """What a level is, in a word."""
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, (bool, int, float)) else type(value).__name__


def _counts(raw: Raw, weights) -> tuple[dict, dict]:
    """The rows of each level, and their weight."""
    if raw.kind == "text":
        values = raw.values.tolist()
        count = Counter(values)
        count.pop(None, None)
        weight = count
        if weights is not None:
            levels = list(count)
            place = {level: i for i, level in enumerate(levels, 1)}
            codes = [place.get(value, 0) for value in values]
            sums = np.bincount(codes, weights, len(levels) + 1)[1:]
            weight = dict(zip(levels, sums.tolist()))
        return count, weight
    if raw.kind == "number":
        there = ~np.isnan(raw.values)
        values, which = np.unique(raw.values[there], return_inverse=True)
        levels = values.tolist()
    else:
        there = raw.values >= 0
        used, which = np.unique(raw.values[there], return_inverse=True)
        levels = [raw.levels[code] for code in used]
    count = np.bincount(which, minlength=len(levels)).tolist()
    count = dict(zip(levels, count))
    if weights is None:
        return count, count
    sums = np.bincount(which, weights[there], len(levels)).tolist()
    return count, dict(zip(levels, sums))
