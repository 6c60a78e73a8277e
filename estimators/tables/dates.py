"""What dates give, as graph: the calendar that `DateColumn.parts` has in Python."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.estimators.tables.columns import DateColumn
from slimlearn.estimators.tables.reading import DAY

__all__ = ["calendar", "days_of", "shift_of"]


def shift_of(column: DateColumn) -> int | None:
    """By how many microseconds the column's clocks are before UTC, if that is fixed."""
    if column.zone is None:
        return 0
    shift = column.zone.utcoffset(None)
    return None if shift is None else shift // timedelta(microseconds=1)


def days_of(dates: np.ndarray) -> np.ndarray:
    """Dates as days since 1970, NaN where they are missing."""
    days = dates.astype("M8[us]").astype(np.int64) / DAY
    return np.where(np.isnat(dates), np.nan, days)


def calendar(days: Tensor, hours: Tensor, column: DateColumn) -> Tensor:
    """The numbers of a date that vary, side by side.

    All but ages and hours are whole numbers below 2**24, which any type has exactly.

    Parameters
    ----------
    days, hours : Tensor
        [B, 1], the whole day since 1970 and the hour, on clocks of the column's zone.
    column : DateColumn
    """
    latest = int(column.latest.astype(np.int64)) + shift_of(column)
    day, rest = divmod(latest, DAY)
    # Years begin in March, so that a leap day is the last one; 400 years are an era.
    since = days + 719468.0
    era = ops.floor(since / 146097.0)
    since = since - era * 146097.0
    leap = ops.floor(since / 1460.0) - ops.floor(since / 36524.0)
    leap = leap + ops.floor(since / 146096.0)
    year = ops.floor((since - leap) / 365.0)
    leap = ops.floor(year / 4.0) - ops.floor(year / 100.0)
    since = since - (year * 365.0 + leap)
    month = ops.floor((since * 5.0 + 2.0) / 153.0)
    since = since - ops.floor((month * 153.0 + 2.0) / 5.0)
    late = ops.cast(month >= 10.0, days.dtype)  # January and February
    week = days + 3.0
    found = {
        "age": (float(day) - days) + (rest / 3.6e9 - hours) / 24.0,
        "year": era * 400.0 + year + late,
        "month": month + 3.0 - late * 12.0,
        "day": since + 1.0,
        "weekday": week - ops.floor(week / 7.0) * 7.0,
        "hour": hours,
    }
    parts = [found[part] for part in column.kept]
    return parts[0] if len(parts) == 1 else ops.concat(parts, 1)
