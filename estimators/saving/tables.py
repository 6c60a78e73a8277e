"""Kinds of what estimators of tables have learned."""

from __future__ import annotations

from datetime import tzinfo

import numpy as np

from slimlearn.estimators.saving.checks import (
    anything,
    array,
    count,
    either,
    flag,
    in_tuple,
    key,
    listed,
    number,
    numbers,
    of,
    optional,
    text,
)
from slimlearn.estimators.saving.kinds import Kind
from slimlearn.estimators.tables.closeness import CLOSENESSES
from slimlearn.estimators.tables.columns import (
    DATE_PARTS,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    UnreadColumn,
    kind_of,
)
from slimlearn.estimators.tables.encoding import Encoding
from slimlearn.estimators.tables.neighbours import Neighbours
from slimlearn.estimators.tables.numbers import Numbers
from slimlearn.estimators.tables.tower import Near, Straight, Tower

__all__ = ["rows"]


def _pair(value) -> bool:
    """What says that a number is there, and that it is missing."""
    return (
        in_tuple(number)(value) and len(value) == 2 and bool(np.isfinite(value).all())
    )


_COLUMN = {"name": anything, "position": count, "missing": number}
_MEASURED = {**_COLUMN, "width": count, "flag": optional(_pair)}


def _level(value) -> bool:
    return isinstance(value, (str, bool, int, float)) and value == value


def _closeness(value) -> bool:
    return isinstance(value, str) and value in CLOSENESSES


def _make_categories(cls, state: dict):
    made = object.__new__(cls)
    made.__dict__.update(state)
    made.lookup = {level: code for code, level in enumerate(made.levels, 1)}
    made.kinds = {kind_of(level) for level in made.levels}
    if len(made.lookup) != len(made.levels):
        raise ValueError("a column has a level twice")
    if made.table is not None and len(made.table) != len(made.levels) + 1:
        raise ValueError("a column has another number of levels than of their rows")
    return made


def _make_dates(cls, state: dict) -> DateColumn:
    made = object.__new__(cls)
    made.__dict__.update(state)
    kept = made.kept or ()
    if len({*kept} & {*DATE_PARTS}) != len(kept) or len(kept) != made.width:
        raise ValueError(f"a column of dates has the parts {[*kept]!r:.80}")
    return made


def _encoding_state(encoding: Encoding) -> dict:
    """What the rest is made of."""
    known = encoding.columns, encoding.numbers, encoding.named
    return dict(zip(("columns", "numbers", "named"), known))


def _make_encoding(cls, state: dict) -> Encoding:
    for position, column in enumerate(state["columns"]):
        if column.position != position:
            raise ValueError(f"column {position} stands at place {column.position}")
    made = Encoding(**state)
    wide = [column for column in made.measured if column.width]
    if sum(column.width for column in wide) != len(made.numbers):
        raise ValueError("columns of numbers are not as many as what is known of them")
    return made


def _make_tower(cls, state: dict) -> Tower | Straight | Near | Neighbours:
    return cls(**state)


def rows() -> list[Kind]:
    """The kinds of this family."""
    category = {
        **_COLUMN,
        "levels": listed(_level),
        "table": optional(numbers),
        "distinct": optional(count),
    }
    date = {
        **_MEASURED,
        "zone": optional(of(tzinfo)),
        "latest": of(np.datetime64),
        "kept": optional(either(in_tuple(text), listed(text))),
    }
    known = {
        "quantiles": count,
        "bins": count,
        "edges": listed(numbers),
        **dict.fromkeys(
            ("median", "factor", "starts", "at", "scores", "slopes"), array
        ),
    }
    encoding = {
        "columns": listed(of(Column)),
        "numbers": of(Numbers),
        "named": optional(listed(key)),
    }
    tower = {
        "units": in_tuple(count),
        "activation": text,
        "dropout": number,
        "embedding": text,
        "deviation": number,
        "edges": in_tuple(in_tuple(number)),
        "cardinalities": in_tuple(count),
        "embedding_size": count,
    }
    near = {"numbers": count, "codes": count, "rows": count}
    straight = {"numbers": count, "cardinalities": in_tuple(count)}
    embedding = ("edges", "cardinalities", "embedding_size")
    neighbours = {
        **{name: tower[name] for name in embedding},
        **{"size": count, "rows": count, "shares": flag},
    }
    base = frozenset(_COLUMN)
    return [
        Kind(
            "UnreadColumn",
            UnreadColumn,
            {**_COLUMN, "kind": text, "distinct": optional(count)},
            base | {"kind"},
        ),
        Kind("NumberColumn", NumberColumn, _MEASURED, base),
        Kind(
            "DateColumn",
            DateColumn,
            date,
            base | {"zone", "latest", "kept"},
            make=_make_dates,
        ),
        Kind(
            "CategoryColumn",
            CategoryColumn,
            category,
            base | {"levels", "table"},
            omitted=frozenset(("lookup", "kinds")),
            make=_make_categories,
        ),
        Kind(
            "Numbers",
            Numbers,
            known,
            frozenset(known),
            omitted=frozenset(("_found",)),
            make=_make_numbers,
        ),
        Kind(
            "Encoding",
            Encoding,
            encoding,
            frozenset(encoding),
            state=_encoding_state,
            make=_make_encoding,
        ),
        Kind("Tower", Tower, tower, frozenset(tower), make=_make_tower),
        Kind("Straight", Straight, straight, frozenset(straight), make=_make_tower),
        Kind(
            "Neighbours",
            Neighbours,
            neighbours,
            frozenset(neighbours),
            make=_make_tower,
        ),
        Kind(
            "Near",
            Near,
            {**near, "closeness": _closeness},
            frozenset(near),
            make=_make_tower,
        ),
    ]


def _make_numbers(cls, state: dict) -> Numbers:
    made = object.__new__(cls)
    made.__dict__.update(state)
    made._found = []
    _check_numbers(made)
    return made


def _check_numbers(known: Numbers) -> None:
    """Refuse arrays that do not fit each other."""
    starts, columns = known.starts, len(known.edges)
    if starts.dtype != np.int64 or starts.shape != (columns + 1,):
        raise ValueError("columns have no knots, or others have")
    if starts[0] != 0 or (np.diff(starts) < 2).any():
        raise ValueError("each column needs two knots or more")
    sizes = dict.fromkeys(("median", "factor"), columns)
    sizes.update(dict.fromkeys(("at", "scores", "slopes"), int(starts[-1])))
    for name, size in sizes.items():
        array = getattr(known, name)
        if array.dtype != np.float64 or array.shape != (size,):
            raise ValueError(f"{name} is {array.dtype}{[*array.shape]}, not f8[{size}]")
        if np.isnan(array).any():
            raise ValueError(f"{name} has a NaN")
    for edges in known.edges:
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise ValueError("edges of bins are two or more that ascend")
