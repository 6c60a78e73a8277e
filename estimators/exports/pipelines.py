"""A pipeline that ends in a network, as C: one function of its steps and of it."""

from __future__ import annotations

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from slimlearn.backend import ops
from slimlearn.backend.export_c import NotExportable, make_dense
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B
from slimlearn.backend.splice import splice
from slimlearn.estimators.exports.columns import in_numbers
from slimlearn.estimators.exports.doors import Exportable
from slimlearn.estimators.exports.networks import Exported
from slimlearn.estimators.exports.steps import Rows, folded, refuse
from slimlearn.estimators.inputs.frames import is_frame
from slimlearn.estimators.tables.table import Table

__all__ = ["Piped"]

_SOURCE = "X"


class Piped:
    """A fitted pipeline.

    Parameters
    ----------
    model : Pipeline, or a search whose best estimator is one

    Attributes
    ----------
    last : Exportable
        The network at its end.

    Raises
    ------
    TypeError
        If there is none.
    """

    def __init__(self, model):
        self.pipeline = model
        self.feature_names_in_ = getattr(model, "feature_names_in_", ())
        self._steps: list[tuple] = []
        last = model
        while True:
            if isinstance(last, BaseSearchCV):
                check_is_fitted(last)
                last = last.best_estimator_
            elif isinstance(last, FrozenEstimator):
                last = last.estimator
            elif isinstance(last, Pipeline):
                check_is_fitted(last)
                self._steps += last.steps[:-1]
                last = last.steps[-1][1]
            else:
                break
        if not isinstance(last, Exportable):
            what = last if isinstance(last, str) else type(last).__name__
            ends = f" that ends in {what}" if last is not model else ""
            raise TypeError(
                f"export_c writes networks of slimlearn and pipelines that end in one; "
                f"got {type(model).__name__}{ends}"
            )
        self.last = last

    def _exported(self, name: str) -> Exported:
        made = self.last._exported(name)
        if not self._steps:
            return made
        names = self._names()
        width = len(names)
        model, arrays, told = Model(made.model.precision), {}, {}
        make_dense(made.model.functions[made.function])
        with model.function(made.function) as graph:
            x = ops.input_(_SOURCE, (B, width), "f32")
            rows = Rows(x, names, told, arrays)
            for word, step in self._steps:
                rows = folded(step, rows, word)
            told.update(_through(rows, made, self.last))
            graph.return_(
                *splice(
                    *(made.model, made.function, made.arrays),
                    lambda source: self.last._export_columns(source, rows.x),
                    arrays,
                )
            )
        who = " and a ".join(
            [", ".join(type(step).__name__ for _, step in self._steps), made.who]
        )
        return made._replace(model=model, arrays=arrays, who=who, categories=told)

    def _export_sources(self, X) -> dict:
        if not self._steps:
            return self.last._export_sources(X)
        names = self._names()
        X = X if is_frame(X) else np.asarray(X)
        if np.ndim(X) != 2 or X.shape[1] != len(names):
            raise ValueError(
                f"X_calibration has the shape {np.shape(X)}, and the pipeline reads "
                f"{len(names)} columns"
            )
        table = Table(X, list(X.columns) if hasattr(X, "columns") else names)
        return {_SOURCE: in_numbers(table, names, self._exported("net").categories)}

    def _names(self) -> list:
        """What X calls its columns, or their places."""
        word, first = self._steps[0]
        width = getattr(first, "n_features_in_", None)
        if width is None:
            width = getattr(self.pipeline, "n_features_in_", None)
        if width is None:
            refuse(first, word, "reads no columns of numbers and has no code in C")
        names = getattr(first, "feature_names_in_", None)
        return list(range(width)) if names is None else names.tolist()


def _through(rows: Rows, made: Exported, last) -> dict:
    """Categories of the last step, by the columns of X that steps left as they were."""
    names = getattr(last, "feature_names_in_", np.array([], object)).tolist()
    found = {}
    for column, known in made.categories.items():
        place = column if isinstance(column, int) else names.index(column)
        if rows.columns[place] is None:
            raise NotExportable(
                f"column {column!r} of {type(last).__name__} has texts that a step "
                "before it makes, which C has not: give categories as numbers"
            )
        found[rows.columns[place]] = known
    return found
