"""`schedules`: which run-time numbers follow a schedule, and where these go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from slimlearn.backend.optimizer import make_optimizer
from slimlearn.backend.schedule import Schedule, make_schedule

__all__ = ["UNKNOWN_LENGTH", "make_schedules", "schedule_all", "unknown_length"]

_KEEP = re.compile(r"keep_prob(_\d+)?$")


# Why a schedule cannot be followed by calls that do not know of each other.
UNKNOWN_LENGTH = (
    "{}={!r} goes by the length of the training, which one call does not know: say how "
    "many epochs it lasts, as in Cosine(epochs=50), or choose one that goes by epochs, "
    "such as 'exponential'"
)


def unknown_length(estimator) -> str | None:
    """What keeps partial_fit from following the estimator's schedules, if anything."""
    plain = estimator.learning_rate_schedule
    wishes = {} if plain == "constant" else {"learning_rate_schedule": plain}
    if isinstance(estimator.schedules, dict):
        named = estimator.schedules.items()
        wishes.update({f"schedules[{name!r}]": wish for name, wish in named})
    for name, wish in wishes.items():
        try:
            if make_schedule(wish).goes_by == "length":
                return UNKNOWN_LENGTH.format(name, wish)
        except (AttributeError, TypeError, ValueError):
            pass  # what is no schedule is told by the fit
    return None


def make_schedules(estimator) -> dict[str, Schedule]:
    """The estimator's `schedules` as checked objects, by name."""
    given = estimator.schedules
    if not given:
        return {}
    if not make_optimizer(estimator._optimizer_wish()).iterative:
        raise ValueError(
            "L-BFGS has no steps in which schedules could change a number: choose "
            "another optimizer"
        )
    found = {}
    for name, schedule in given.items():
        if name == "learning_rate":
            raise ValueError(
                "schedules has no 'learning_rate': that is learning_rate_schedule"
            )
        if not isinstance(schedule, (str, Schedule)):
            raise ValueError(
                f"schedules[{name!r}] is the name of a schedule or a schedule object, "
                f"got {schedule!r}"
            )
        try:
            found[name] = make_schedule(schedule)
        except ValueError as error:
            text = str(error).replace("learning_rate_schedule", f"schedules[{name!r}]")
            raise ValueError(text) from None
        if found[name].listens:
            raise ValueError(
                f"schedules[{name!r}]: {found[name]!r} goes by the loss, which only "
                "the learning rate can: choose one that goes by the step"
            )
    return found


def schedule_all(
    schedules: dict[str, Schedule],
    segments: list[dict],
    hypers: dict[str, float],
    *,
    l2: list[float],
    own_l2: list[float],
    decay: list[float],
    dropouts: Mapping[str, str] = MappingProxyType({}),
) -> list[tuple]:
    """Where the columns of the rates go: into `segments`, and hypers that are returned.

    Parameters
    ----------
    schedules : dict of str to Schedule
        In the order of their columns, which begin at 1.
    segments : list of dict
        The coefficients of each parameter; what is scheduled moves to ``scheduled``.
    hypers : dict of str to float
        Run-time numbers that can be scheduled by their names.
    l2, decay : list of float
        What each parameter has of `l2_regularization` and the optimizer's decay.
    own_l2 : list of float
        What its layer adds to the former.
    dropouts : mapping of str to str
        Names of schedules that are for one layer of dropout alone, and its hyper.

    Returns
    -------
    list of (str, int, float, float)
        As `Settings.scheduled`.

    Raises
    ------
    ValueError
        For a name that there is nothing of; it lists those there are.
    """
    if not schedules:
        return []
    keeps = {name: keep for name, keep in hypers.items() if _KEEP.search(name)}
    known = [name for name in hypers if name not in keeps]
    groups = {
        name: {key: keeps.pop(key)} for name, key in dropouts.items() if key in keeps
    }
    groups |= {"dropout": keeps} if keeps else {}
    none = [0.0] * len(segments)
    shares = {
        "l2_regularization": ("l2", l2, own_l2),
        "weight_decay": ("decay", decay, none),
    }
    shares = {name: share for name, share in shares.items() if any(share[1])}
    known = [*groups, *shares, *known]
    targets = []
    for column, name in enumerate(schedules, start=1):
        if name in groups:
            # What is dropped follows the schedule, the hyper is what is kept.
            targets += [
                (k, column, 1.0, keep - 1.0) for k, keep in groups[name].items()
            ]
        elif name in shares:
            key, values, own = shares[name]
            for segment, value, rest in zip(segments, values, own, strict=True):
                segment[key] = rest
                if value:
                    segment.setdefault("scheduled", []).append((key, column, value))
        elif dealt := [s for s in segments if name in s.get("hypers", {})]:
            for segment in dealt:
                value, segment["hypers"][name] = segment["hypers"][name], 0.0
                segment.setdefault("scheduled", []).append((name, column, value))
        elif name in hypers:
            targets.append((name, column, 0.0, hypers[name]))
        else:
            raise ValueError(
                f"schedules: there is no {name!r} that could change; there are {known} "
                "(what is 0 cannot be scheduled: a schedule multiplies)"
            )
    return targets
