"""Heads: what y means. Encode it, write its loss as graph, decode what comes back.

A head is made anew in each fit and is part of the fitted state. Its graph depends on
`key` alone; numbers that come from the data reach the program as hypers, as start
values of parameters or as a state.
"""

from slimlearn.estimators.heads.base import Head, refuse_several_numbers
from slimlearn.estimators.heads.classification import (
    BinaryHead,
    ClassifierHead,
    MulticlassHead,
)
from slimlearn.estimators.heads.counts import LogLinkHead
from slimlearn.estimators.heads.multilabel import MultilabelHead
from slimlearn.estimators.heads.multioutput import MultioutputHead
from slimlearn.estimators.heads.ordinal import OrdinalHead
from slimlearn.estimators.heads.quantiles import QuantilesHead
from slimlearn.estimators.heads.reconstruction import ReconstructionHead, ShareHead
from slimlearn.estimators.heads.regression import RegressionHead
from slimlearn.estimators.heads.several import DistributionHead
from slimlearn.estimators.heads.steps import StepsHead
from slimlearn.estimators.heads.tokens import Beams, TokensHead
from slimlearn.estimators.losses import Ordinal, make_loss

__all__ = [
    "Beams",
    "BinaryHead",
    "ClassifierHead",
    "DistributionHead",
    "Head",
    "LogLinkHead",
    "MulticlassHead",
    "MultilabelHead",
    "MultioutputHead",
    "OrdinalHead",
    "QuantilesHead",
    "ReconstructionHead",
    "RegressionHead",
    "ShareHead",
    "StepsHead",
    "TokensHead",
    "make_classifier_head",
    "make_regressor_head",
]


def make_classifier_head(classes, loss, *, several: bool, order=None) -> ClassifierHead:
    """The head of labels.

    Parameters
    ----------
    classes : ndarray, or list of ndarray
        A list for several outputs of several classes each.
    loss : str, loss object or callable
    several : bool
        Whether a row of y has several labels.
    order : sequence or None
        The order of the labels that y itself tells.
    """
    formula = make_loss(loss)
    ordinal = isinstance(formula, Ordinal)
    refuse_several_numbers(formula, loss, "a classifier", "class or label")
    if several and ordinal:
        raise ValueError(
            f"loss={loss!r} needs one label per row: fit one estimator for each output "
            "(MultiOutputClassifier), or take loss='log_loss'"
        )
    if several:
        kind = MultioutputHead if isinstance(classes, list) else MultilabelHead
    elif len(classes) == 2:
        kind = BinaryHead
    elif ordinal:
        return OrdinalHead(classes, loss, order)
    else:
        kind = MulticlassHead
    return kind(classes, loss)


def make_regressor_head(loss, shape: tuple[int, ...], quantile) -> Head:
    """The head of numbers: y's shape behind its rows, and the quantiles if any."""
    formula = make_loss(loss)
    if formula.log_link:
        return LogLinkHead(loss, shape)
    if formula.numbers is not None:
        return DistributionHead(loss, shape, quantile)
    if quantile is not None and not isinstance(quantile, float):
        return QuantilesHead(loss, shape, quantile)
    return RegressionHead(loss, shape, quantile)
