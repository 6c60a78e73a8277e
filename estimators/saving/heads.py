"""Kinds of heads."""

from __future__ import annotations

from slimlearn.estimators import heads
from slimlearn.estimators.losses import Loss, OwnLoss
from slimlearn.estimators.saving.checks import (
    anything,
    array,
    count,
    either,
    finite,
    flag,
    in_tuple,
    listed,
    number,
    numbers,
    numeric,
    of,
    optional,
)
from slimlearn.estimators.saving.kinds import Kind
from slimlearn.estimators.summary import Moments

__all__ = ["rows"]

_HEAD = {"formula": of(Loss), "loss": anything}
_CLASSES = {
    **_HEAD,
    "classes": either(array, listed(array)),
    "prior": optional(numbers),
}
_LABELS = {
    **_CLASSES,
    "label_weights": optional(listed(numbers)),
    "weighs_held_out": flag,
}
_NUMBERS = {
    **_HEAD,
    "shape": in_tuple(count),
    "quantile": optional(either(number, in_tuple(number))),
    "targets": count,
    **dict.fromkeys(("center", "scale", "constant"), finite),
    "loss_unit": number,
    "tol_unit": number,
    "_open": numeric,
    "_seen": optional(in_tuple(either(of(Moments), count))),
}
_OPTIONAL = frozenset(("loss_unit", "tol_unit", "_open", "_seen"))
_MANY = {**_NUMBERS, "numbers": count}
_OWN = frozenset(("loss",))


def _check_mean(head) -> None:
    """Refuse to leave out the code that makes predictions of several numbers."""
    if isinstance(head.formula, OwnLoss):
        raise ValueError(
            f"predictions are made by the mean of loss {head.formula.word}, which is "
            "code, and a model file holds none: pickle the estimator"
        )


def _row(cls: type, fields: dict, **more) -> Kind:
    required = frozenset(fields) - _OPTIONAL - {"label_weights", "weighs_held_out"}
    return Kind(cls.__name__, cls, fields, required, own=_OWN, **more)


def _make_beams(cls, state: dict) -> heads.Beams:
    return heads.Beams(**state)


def rows() -> list[Kind]:
    """The kinds of this family."""
    moments = dict.fromkeys(("mean", "deviation", "low"), numeric)
    ends = {"ends": listed(count), "begins": listed(count)}
    return [
        Kind("Moments", Moments, moments, frozenset(moments)),
        _row(heads.BinaryHead, _CLASSES),
        _row(heads.MulticlassHead, _CLASSES),
        _row(heads.StepsHead, {**_CLASSES, "factors": optional(numbers)}),
        _row(
            heads.TokensHead,
            {
                **_CLASSES,
                "factors": optional(numbers),
                "buckets": count,
                "longest": count,
                "beams": of(heads.Beams),
            },
        ),
        Kind(
            "Beams",
            heads.Beams,
            {"width": count, "penalty": number, "most": count},
            frozenset(heads.Beams._fields),
            make=_make_beams,
            state=heads.Beams._asdict,
        ),
        _row(heads.OrdinalHead, {**_CLASSES, "rank": numbers}),
        _row(heads.MultilabelHead, _LABELS),
        _row(heads.MultioutputHead, {**_LABELS, **ends}),
        _row(heads.RegressionHead, _NUMBERS),
        _row(heads.ReconstructionHead, _NUMBERS),
        _row(heads.LogLinkHead, {**_NUMBERS, "_log_mean": numeric}),
        _row(heads.QuantilesHead, {**_MANY, "place": numbers, "middle": count}),
        _row(
            heads.DistributionHead,
            {**_MANY, "has_deviations": flag},
            check=_check_mean,
        ),
        _row(heads.ShareHead, {**_HEAD, "outputs": count, "mean": numbers}),
    ]
