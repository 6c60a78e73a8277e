"""Ensembles of tables as C: members, what columns hold, and how they are averaged."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.export_c import Wish
from slimlearn.estimators.exports.networks import Exported, order_of, plain
from slimlearn.estimators.heads import QuantilesHead
from slimlearn.estimators.tables.columns import CategoryColumn, DateColumn
from slimlearn.estimators.tables.dates import days_of
from slimlearn.estimators.tables.program import (
    FUNCTION,
    OTHER,
    SOURCE,
    are_numbers,
    program_of,
    read_columns,
)
from slimlearn.estimators.tables.table import open_table

__all__ = ["exported_table", "rows_of_table"]


def exported_table(ensemble, name: str) -> Exported:
    """What `export_c` writes of an ensemble.

    Parameters
    ----------
    ensemble : TabularClassifier or TabularRegressor
    name : str
        In C.
    """
    who = type(ensemble).__name__
    columns = read_columns(ensemble.encoder_._encoding, who)
    head = ensemble.members_[0]._head
    wish = Wish(name, "predict", "prediction")
    if not ensemble._regression:
        labels = None if head.several else plain(ensemble.classes_)
        wish = Wish(name, "predict_proba", "probabilities", labels)
    elif isinstance(head, QuantilesHead):
        wish = Wish(name, "predict_quantiles", "quantiles")
    wish = wish._replace(about=order_of(head))
    dates = [str(c.name) for c in columns if isinstance(c, DateColumn)]
    if dates:
        told = "Columns of X that are dates, as days since 1970-01-01 in UTC: "
        wish = wish._replace(about=[*wish.about, "", told + ", ".join(dates)])
    program = program_of(ensemble, range(ensemble.n_features_in_), "f32", numbers=True)
    categories = {
        column.name: dict(enumerate([OTHER, *column.levels]))
        for column in columns
        if isinstance(column, CategoryColumn) and not are_numbers(column)
    }
    classes = None if ensemble._regression else ensemble.classes_
    return Exported(
        *(program.model, FUNCTION, program.weights, wish, who, head, classes),
        categories,
    )


def rows_of_table(ensemble, X) -> dict[str, np.ndarray]:
    """What the function reads of rows of a table."""
    table = open_table(ensemble, X, reset=False, name="X_calibration")
    found = np.zeros(table.shape, dtype=np.float32)
    for column in read_columns(ensemble.encoder_._encoding, type(ensemble).__name__):
        raw, place = table.column(column.position), column.position
        if isinstance(column, DateColumn):
            column.parts(raw)  # refuses what is none
            found[:, place] = np.nan if raw.kind == "empty" else days_of(raw.values)
            continue
        if not isinstance(column, CategoryColumn):
            found[:, place] = column.numbers(raw)
            continue
        codes = column.codes(raw)
        if are_numbers(column):
            values = np.array([np.nan, *column.levels], dtype=np.float32)
            found[:, place] = values[codes]
        else:
            found[:, place] = codes
    return {SOURCE: found}
