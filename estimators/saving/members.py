"""What members of an ensemble must have alike, and with the ensemble, to be loaded."""

from __future__ import annotations

from math import isclose

from slimlearn.estimators import heads
from slimlearn.estimators.tables.ensemble import TabularEnsemble
from slimlearn.estimators.tables.member import ClassifierMember, RegressorMember

__all__ = ["check_ensemble", "check_member"]

# What predictions of classes go by.
_OF_CLASSES = ("classes_", "_has_columns", "_several", "temperature_")


def check_member(member: ClassifierMember | RegressorMember) -> None:
    """Refuse a member whose network is not the one of its program.

    Raises
    ------
    ValueError
        If they differ in sizes.
    """
    columns, shapes = member.net.sizes
    read = {name: _places(own) for name, own in member.inputs.items()}
    input = member._input
    named = [form.name for form in input.forms]
    if input.positions != tuple(read.values()) or named != [*read]:
        raise ValueError("a member's inputs are other columns than its program reads")
    for name, wanted in columns.items():
        count = len(read.get(name, ()))
        if count != wanted:
            raise ValueError(
                f"its network reads {wanted} columns as {name!r}, and there are {count}"
            )
    weights = member.program_.weights
    for name, shape in shapes.items():
        own = weights[name].shape if name in weights else None
        if own is None or not _fits(own, shape):
            raise ValueError(
                f"its network has {_told(shape)} numbers as {name!r}, and its program "
                f"{'none' if own is None else _told(own)}"
            )


def check_ensemble(ensemble: TabularEnsemble) -> None:
    """Refuse an ensemble whose members do not read what it encodes, or count amiss.

    Raises
    ------
    ValueError
        As it says.
    """
    members, encoder = ensemble.members_, ensemble.encoder_
    if not members:
        raise ValueError("an ensemble without members")
    needed = ("_range",) if ensemble._regression else _OF_CLASSES
    for name in needed:
        if name not in ensemble.__dict__:
            raise ValueError(f"an ensemble without {name}")
    if not ensemble._regression:
        _check_classes(ensemble, members[0]._head)
    columns = len(encoder._encoding.columns)
    for owner in (ensemble, encoder):
        if owner.n_features_in_ != columns:
            raise ValueError(
                f"it knows {columns} columns, and n_features_in_ is "
                f"{owner.n_features_in_}"
            )
    width = max(encoder._encoding.width(encoder._views), 1)
    for member in members:
        if member.n_features_in_ != width:
            raise ValueError(
                f"rows are encoded as {width} columns, and a member reads "
                f"{member.n_features_in_}"
            )
    shares = [member.__dict__.get("share_") for member in members]
    if shares.count(None) not in (0, len(shares)):
        raise ValueError("some of the members count, and some have no share_")
    if None not in shares and not isclose(sum(shares), 1.0, abs_tol=1e-6):
        raise ValueError(f"members count {sum(shares):.6g} together, not 1")


def _check_classes(ensemble: TabularEnsemble, head) -> None:
    """Refuse classes that are not those of a member's head."""
    several = isinstance(head, heads.MultioutputHead)
    columns = several or isinstance(head, heads.MultilabelHead)
    if (ensemble._has_columns, ensemble._several) != (columns, several):
        raise ValueError("its members tell another number of outputs")
    if len(ensemble.classes_) != len(head.classes):
        raise ValueError(
            f"it has {len(ensemble.classes_)} classes, and its members tell "
            f"{len(head.classes)}"
        )


def _places(columns) -> tuple[int, ...]:
    if isinstance(columns, slice):
        return tuple(range(columns.start, columns.stop))
    return tuple(columns)


def _fits(own: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    """Whether a shape is one whose sizes may be left open."""
    if len(own) != len(shape):
        return False
    return all(wanted in (None, size) for size, wanted in zip(own, shape))


def _told(shape: tuple[int | None, ...]) -> str:
    return "×".join("?" if size is None else str(size) for size in shape)
