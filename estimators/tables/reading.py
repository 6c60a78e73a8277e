"""A column of a frame or an array as numbers, categories, texts or dates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from numbers import Number
from zoneinfo import ZoneInfo

import numpy as np

from slimlearn.estimators.missing import missing_in

__all__ = ["DAY", "Raw", "read", "read_objects"]

DAY = 86_400_000_000  # microseconds
_FIXED = re.compile(r"(?:UTC)?([+-])(\d\d):?(\d\d)")

# Types of elements that are several values, or none that a network could read.
_SEVERAL = (list, tuple, set, frozenset, dict, np.ndarray)


@dataclass
class Raw:
    """A column as it was read.

    Attributes
    ----------
    kind : {"number", "category", "text", "date", "empty"}
    values : ndarray
        Numbers, NaN where they are missing; codes of `levels`, -1 where missing;
        objects, None where missing; of dates microseconds since 1970 in UTC, or of the
        clock where there is no zone, NaT where missing.
    levels : list or None
        Of a category.
    zone : tzinfo or None
        Of dates that have one.
    """

    kind: str
    values: np.ndarray
    levels: list | None = None
    zone: tzinfo | None = None


def read(column, name) -> Raw:
    """Read a column of a NumPy array, or of a frame of pandas, polars or pyarrow.

    Parameters
    ----------
    column : ndarray, Series or ChunkedArray
    name : str or int
        For errors.

    Raises
    ------
    TypeError, ValueError
        If its elements are lists, or of several kinds, naming the column.
    """
    if isinstance(column, np.ndarray):
        return _read_array(column, name)
    dtype = getattr(column, "dtype", None)
    if hasattr(column, "array"):
        return _read_pandas(column, dtype, name)
    if dtype is None:
        return _read_arrow(column, str(column.type), name)
    return _read_polars(column, str(dtype), name)


def _read_array(array: np.ndarray, name) -> Raw:
    kind = array.dtype.kind
    if kind in "fiu":
        return Raw("number", array)
    if kind == "b":
        return Raw("category", array.astype(np.int8), [False, True])
    if kind == "M":
        return Raw("date", array.astype("M8[us]"))
    if kind == "m":
        return Raw("number", _days(array))
    if kind == "U":
        return Raw("text", array.astype(object))
    return read_objects(array.tolist(), name)


def _read_pandas(series, dtype, name) -> Raw:
    word = str(dtype)
    if word == "category":
        codes, known = series.cat.codes.to_numpy(), series.cat.categories
        if known.dtype.kind == "M":
            return _read_pandas(series.astype(known.dtype), known.dtype, name)
        if known.dtype.kind not in "fiubOUT" and str(known.dtype) != "string":
            _refuse(name, f"categories of type {known.dtype}")
        return Raw("category", codes, known.tolist())
    if isinstance(dtype, np.dtype):
        return _read_array(series.to_numpy(), name)
    if word.startswith("datetime64"):
        zone = series.dt.tz
        return Raw(
            "date",
            series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("M8[us]"),
            zone=zone,
        )
    if word.startswith("period"):
        return _read_array(series.dt.to_timestamp().to_numpy(), name)
    if word.startswith("interval"):
        _refuse(name, "intervals")
    if word.startswith("Sparse"):
        return _read_array(np.asarray(series), name)
    if getattr(dtype, "kind", "O") in "fiu":
        return Raw("number", series.to_numpy(dtype=np.float64, na_value=np.nan))
    return read_objects(series.astype(object).tolist(), name)


def _read_polars(series, word: str, name) -> Raw:
    if re.match(r"U?Int|Float|Decimal", word):
        return Raw("number", series.cast(float).to_numpy().astype(np.float64))
    if word.startswith(("Datetime", "Date")):
        zone = getattr(series.dtype, "time_zone", None)
        micro = series.dt.epoch("us").to_list()
        found = np.array([np.iinfo("i8").min if v is None else v for v in micro], "i8")
        return Raw("date", found.view("M8[us]"), zone=_zone(zone))
    if word.startswith(("Categorical", "Enum")):
        series = series.cast(str)
    return read_objects(series.to_list(), name)


def _read_arrow(column, word: str, name) -> Raw:
    if word.startswith("dictionary"):
        column = column.cast(column.type.value_type)
        word = str(column.type)
    if re.match(r"u?int|float|double|halffloat", word):
        return _read_array(column.to_numpy(), name)
    if word.startswith(("timestamp", "date")):
        zone = getattr(column.type, "tz", None)
        found = column.to_numpy().astype("M8[us]")
        return Raw("date", found, zone=_zone(zone))
    return read_objects(column.to_pylist(), name)


def read_objects(values: list, name) -> Raw:
    """Read a list of Python objects, None, NaN, NaT and NA being missing."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    absent = missing_in(array)
    there = [v for v, gone in zip(values, absent) if not gone]
    kinds = set(map(type, there))
    if not kinds:
        return Raw("empty", np.full(len(values), np.nan))
    if all(issubclass(kind, str) for kind in kinds):
        array[absent] = None
        return Raw("text", array)
    if all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        codes = np.full(len(values), -1, dtype=np.int8)
        codes[~absent] = np.array(there, dtype=bool)
        return Raw("category", codes, [False, True])
    if all(issubclass(kind, (Number, Decimal)) for kind in kinds):
        if any(issubclass(kind, complex) for kind in kinds):
            raise ValueError(f"Complex data not supported, as in column {name!r}")
        found = np.full(len(values), np.nan)
        try:
            found[~absent] = [float(value) for value in there]
        except OverflowError:
            raise ValueError(
                f"column {name!r} has a whole number beyond 1.8e308, too large for "
                "float64: divide or clip its values"
            ) from None
        return Raw("number", found)
    if all(issubclass(kind, (date, np.datetime64)) for kind in kinds):
        return _read_dates(there, absent, name)
    if all(issubclass(kind, (timedelta, np.timedelta64)) for kind in kinds):
        found = np.full(len(values), np.timedelta64("NaT", "us"), dtype="m8[us]")
        found[~absent] = [np.timedelta64(value, "us") for value in there]
        return Raw("number", _days(found))
    _refuse_objects(kinds, there, name)


def _read_dates(there: list, absent: np.ndarray, name) -> Raw:
    zones = {getattr(value, "tzinfo", None) for value in there}
    if None in zones and len(zones) > 1:
        raise ValueError(
            f"column {name!r} has dates with and without time zones: give all one zone"
        )
    zone = next(iter(zones))
    if zone is not None:
        there = [v.astimezone(timezone.utc).replace(tzinfo=None) for v in there]
    found = np.full(len(absent), np.datetime64("NaT", "us"), dtype="M8[us]")
    found[~absent] = [np.datetime64(_plain(value), "us") for value in there]
    return Raw("date", found, zone=zone)


def _plain(value):
    """A pandas timestamp as Python's, which NumPy converts without losing a unit."""
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value


def _days(array: np.ndarray) -> np.ndarray:
    found = array.astype("m8[us]")
    days = found.astype(np.int64) / DAY
    days[np.isnat(found)] = np.nan
    return days


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    fixed = _FIXED.fullmatch(name)
    if fixed is None:
        return ZoneInfo(name)
    sign = -1 if fixed[1] == "-" else 1
    return timezone(sign * timedelta(hours=int(fixed[2]), minutes=int(fixed[3])))


def clock(raw: np.ndarray, zone: tzinfo | None) -> np.ndarray:
    """Dates in UTC as what clocks of a zone show."""
    if zone is None:
        return raw
    there = ~np.isnat(raw)
    quarters = raw[there].astype("M8[s]").astype(np.int64) // 900
    some, which = np.unique(quarters, return_inverse=True)
    shifts = [
        datetime.fromtimestamp(int(q) * 900, timezone.utc).astimezone(zone).utcoffset()
        for q in some
    ]
    found = raw.copy()
    found[there] += np.array(shifts, dtype="m8[us]")[which]
    return found


def _refuse(name, what: str) -> None:
    raise ValueError(
        f"column {name!r} holds {what}, which are neither numbers, categories, texts "
        "nor dates: derive numbers from them, or leave it out"
    )


def _refuse_objects(kinds: set, there: list, name) -> None:
    several = [kind for kind in kinds if issubclass(kind, _SEVERAL)]
    words = sorted(kind.__name__ for kind in kinds)
    if several:
        raise TypeError(
            f"column {name!r} holds elements of type {several[0].__name__}, such as "
            f"{next(v for v in there if isinstance(v, _SEVERAL))!r:.60}: an argument "
            "must be a string, a number or a date; make a column of each of its values"
        )
    if len(kinds) == 1:
        _refuse(name, f"values of type {words[0]}")
    examples = ", ".join(
        f"{next(v for v in there if type(v).__name__ == word)!r:.40}"
        for word in words[:3]
    )
    raise TypeError(
        f"column {name!r} mixes values of types {', '.join(words)}, such as {examples}:"
        " an argument must be a string, a number or a date; convert them to one type, "
        "for example by astype(str)"
    )
