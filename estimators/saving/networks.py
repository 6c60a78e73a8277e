"""Kinds of estimators, and of what a fit leaves in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slimlearn import estimators
from slimlearn.backend.program import Program
from slimlearn.backend.progress import EpochResult, Progress, Within
from slimlearn.estimators.arrays import Origin
from slimlearn.estimators.base import NetworkEstimator
from slimlearn.estimators.heads import Head
from slimlearn.estimators.history import History
from slimlearn.estimators.inputs import Input
from slimlearn.estimators.layer_transformer import LayerTransformer
from slimlearn.estimators.saving.checks import (
    anything,
    array,
    count,
    either,
    flag,
    in_tuple,
    listed,
    mapped,
    number,
    numbers,
    numeric,
    of,
    optional,
    text,
)
from slimlearn.estimators.saving.kinds import Kind
from slimlearn.estimators.saving.members import check_ensemble, check_member
from slimlearn.estimators.tables.encoder import TabularEncoder
from slimlearn.estimators.tables.encoding import Encoding
from slimlearn.estimators.tables.ensemble import TabularEnsemble
from slimlearn.estimators.tables.member import ClassifierMember, RegressorMember
from slimlearn.estimators.tables.neighbours import Neighbours
from slimlearn.estimators.tables.together import Together
from slimlearn.estimators.tables.tower import Near, Straight, Tower
from slimlearn.estimators.tokens import TokenVectorizer

__all__ = ["COMMON", "rows"]

_MOST_COLUMNS = 2**24
_CURVE = listed(number)


def _share(value) -> bool:
    """A part of a whole."""
    return number(value) and 0 <= value <= 1


def _is_range(value) -> bool:
    """From where to where numbers lie, of each output."""
    if not in_tuple(numeric)(value) or len(value) != 2:
        return False
    low, high = map(np.asarray, value)
    return low.shape == high.shape and bool((low <= high).all())


_LABELS = either(array, listed(array))
# Of all estimators, scikit-learn's too.
COMMON = {
    "n_features_in_": count,
    "feature_names_in_": array,
    "_sklearn_output_config": mapped(text, text),
    "_metadata_request": anything,
}
_CHECKED = {
    "n_threads": optional(count),
    "n_jobs": optional(lambda v: type(v) is int and abs(v) < 2**20),
    "device": text,
    "precision": text,
}
_FITTED = {
    **COMMON,
    "program_": of(Program),
    "_input": of(Input),
    "_head": of(Head),
    "_end_points": mapped(text, text),
    "_origin": of(Origin),
    "classes_": _LABELS,
    "_progress": of(Progress),
    "history_": of(History),
    "callbacks_": listed(anything),
    "n_iter_": count,
    "best_iteration_": count,
    **dict.fromkeys(("loss_", "best_loss_"), number),
    **dict.fromkeys(
        ("loss_curve_", "validation_loss_curve_", "validation_scores_"), _CURVE
    ),
    "best_validation_score_": optional(number),
    "learning_rate_": anything,
}
_NEEDED = frozenset(("program_", "_input", "_head", "_end_points", "_origin"))
_TABULAR = {
    **COMMON,
    "encoder_": of(TabularEncoder),
    "members_": listed(of(ClassifierMember, RegressorMember)),
    "n_iter_": count,
    "oof_predictions_": either(numbers, listed(numbers)),
    "oof_score_": number,
    "classes_": _LABELS,
    "_has_columns": flag,
    "_several": flag,
    "temperature_": lambda value: number(value) and 0 < value < np.inf,
    **dict.fromkeys(("linear_share_", "near_share_", "neighbours_share_"), _share),
    "_range": _is_range,
}
# What else a fit of some leaves.
_MORE = {estimators.Seq2Seq: {"_joins": flag}}
_ENCODER = {
    **COMMON,
    "_encoding": of(Encoding),
    "_views": in_tuple(text),
    "cardinalities_": listed(count),
}


def _parameters(cls: type) -> tuple[str, ...]:
    return tuple(cls._get_param_names())


def _fields(cls: type, fields: dict) -> dict:
    own = {name: _CHECKED[name] for name in _parameters(cls) if name in _CHECKED}
    return {**fields, **own}


def _make_network(cls: type, state: dict):
    made = object.__new__(cls)
    made.__setstate__(state)
    return made


def _make_ensemble(cls: type, state: dict):
    made = object.__new__(cls)
    made.__dict__.update(state)
    if "members_" in state:
        check_ensemble(made)
        made._together = Together(made.members_)
    return made


def _make_encoder(cls: type, state: dict):
    made = object.__new__(cls)
    made.__dict__.update(state)
    if "_encoding" in state:
        made.columns_ = made._encoding.facts(made._views)
    return made


def _span(value) -> bool:
    """Columns from one to another, of which lists are made."""
    if type(value) is not slice or value.step is not None:
        return False
    ends = value.start, value.stop
    return all(map(count, ends)) and ends[0] <= ends[1] < _MOST_COLUMNS


_MEMBER = {
    "inputs": mapped(text, either(_span, listed(count))),
    "share_": _share,
    "net": of(Tower, Straight, Near, Neighbours),
}


def _network(cls: type, check: Callable | None = None, **checks) -> Kind:
    parameters = _parameters(cls)
    return Kind(
        cls.__name__,
        cls,
        {**_fields(cls, _FITTED), **checks},
        _NEEDED,
        parameters,
        own=frozenset((*parameters, "callbacks_")),
        omitted=frozenset(("_handle",)),
        make=_make_network,
        check=check,
    )


def _of_table(cls: type) -> Kind:
    parameters = _parameters(cls)
    return Kind(
        cls.__name__,
        cls,
        _fields(cls, _TABULAR),
        frozenset(("encoder_", "members_")),
        parameters,
        own=frozenset(parameters),
        omitted=frozenset(("_together",)),
        make=_make_ensemble,
    )


def rows() -> list[Kind]:
    """The kinds of this family."""
    public = [getattr(estimators, name) for name in estimators.__all__]
    public = [cls for cls in public if isinstance(cls, type)]
    networks = [cls for cls in public if issubclass(cls, NetworkEstimator)]
    tabular = [cls for cls in public if issubclass(cls, TabularEnsemble)]
    transformer = {**COMMON, "estimator_": anything, "_layer": optional(text)}
    progress = {
        "epoch": count,
        "step": count,
        "slots": optional(_is_arena),
        "memory": optional(of(dict)),
        "within": optional(of(Within)),
        "begun": count,
        "dealt": in_tuple(count),
    }
    result = {
        "loss_sum": number,
        "weight_sum": number,
        "steps": count,
        "ended": flag,
    }
    within = {
        "part": count,
        "result": of(EpochResult),
        "earlier": of(EpochResult),
        "earlier_loss": number,
    }
    history = {
        **dict.fromkeys(
            ("loss_curve", "validation_loss_curve", "validation_scores"), _CURVE
        ),
        "learning_rates": _CURVE,
        "best_iteration": count,
        "columns": mapped(text, _CURVE),
    }
    return [
        *(_network(cls, **_MORE.get(cls, {})) for cls in networks),
        _network(ClassifierMember, check_member, **_MEMBER),
        _network(RegressorMember, check_member, **_MEMBER),
        *map(_of_table, tabular),
        Kind(
            "TabularEncoder",
            TabularEncoder,
            _fields(TabularEncoder, _ENCODER),
            frozenset(("_encoding", "_views")),
            _parameters(TabularEncoder),
            omitted=frozenset(("columns_",)),
            make=_make_encoder,
        ),
        Kind(
            "LayerTransformer",
            LayerTransformer,
            transformer,
            frozenset(("estimator_", "_layer")),
            _parameters(LayerTransformer),
            own=frozenset(("estimator",)),
        ),
        Kind(
            "TokenVectorizer",
            TokenVectorizer,
            {**COMMON, "vocabulary_": mapped(text, count)},
            frozenset(("vocabulary_",)),
            _parameters(TokenVectorizer),
        ),
        Kind("Progress", Progress, progress, frozenset(("epoch", "step"))),
        Kind("EpochResult", EpochResult, result, frozenset(result)),
        Kind("Within", Within, within, frozenset(within)),
        Kind("History", History, history, frozenset(history)),
    ]


def _is_arena(value) -> bool:
    return array(value) and value.dtype == np.uint8 and value.ndim == 1
