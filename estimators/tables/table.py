"""X as columns: frames of pandas, polars and pyarrow, arrays and lists of rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array

from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.compat import validate_data
from slimlearn.estimators.inputs import frames
from slimlearn.estimators.inputs.shapes import explain_shape
from slimlearn.estimators.tables.reading import Raw, read

__all__ = ["Table", "open_table"]


class Table:
    """A checked X.

    Parameters
    ----------
    X : ndarray or frame
    names : sequence
        Of its columns, or their positions.
    """

    def __init__(self, X, names):
        self.X, self.names = X, names
        self.shape: tuple[int, int] = X.shape
        # Columns of one array need not be read one by one.
        plain = isinstance(X, np.ndarray) and X.dtype.kind in "fiu"
        self.matrix = X if plain else None

    def column(self, position: int) -> Raw:
        """Read a column."""
        name = self.names[position]
        if isinstance(self.X, np.ndarray):
            return read(self.X[:, position], name)
        if hasattr(self.X, "iloc"):
            single = isinstance(name, str)
            column = self.X[name] if single else self.X.iloc[:, position]
            return read(column, name)
        if hasattr(self.X, "column_names"):
            return read(self.X.column(position), name)
        return read(self.X[name], name)

    def rows(self, index: np.ndarray) -> Table:
        """Some of the rows."""
        if isinstance(self.X, np.ndarray):
            return Table(self.X[index], self.names)
        if hasattr(self.X, "iloc"):
            return Table(self.X.iloc[index], self.names)
        if hasattr(self.X, "column_names"):
            return Table(self.X.take(index), self.names)
        return Table(self.X[index], self.names)

    def select(self, places: list[int]):
        """The X of some of the columns, as it was given."""
        if isinstance(self.X, np.ndarray):
            return self.X[:, places]
        if hasattr(self.X, "iloc"):
            return self.X.iloc[:, places]
        return self.X.select([self.names[place] for place in places])

    def positions_of(self, wish, parameter: str) -> set[int]:
        """Positions of the columns that a parameter names.

        Parameters
        ----------
        wish : array-like, str or None
            Names, positions or truth values; a text or None names no column.
        parameter : str
            Named in errors.
        """
        if wish is None or isinstance(wish, str):
            return set()
        width = self.shape[1]
        given = np.asarray(wish).ravel()
        if given.size == 0:
            return set()
        if given.dtype.kind == "b":
            if len(given) != width:
                raise ValueError(
                    f"{parameter} has {len(given)} truth values, X has {width} columns"
                )
            return set(np.flatnonzero(given).tolist())
        if given.dtype.kind in "iu":
            odd = [i for i in given.tolist() if not -width <= i < width]
            if odd:
                raise ValueError(
                    f"{parameter} names column {odd[0]}, X has {width} columns"
                )
            return {i % width for i in given.tolist()}
        known = {name: position for position, name in enumerate(self.names)}
        odd = [name for name in given.tolist() if name not in known]
        if odd:
            raise ValueError(
                f"{parameter} names the column {odd[0]!r}, which X does not "
                f"have; it has {', '.join(map(repr, list(known)[:10]))}"
            )
        return {known[name] for name in given.tolist()}


def open_table(estimator, X, *, reset: bool, name: str = "X") -> Table:
    """Check X's shape and names.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose ``n_features_in_`` and ``feature_names_in_`` X has to fit.
    X : frame, array or list of rows
    reset : bool
        Whether X is that of a fit, which sets them.
    name : str
        Of X, as the user knows it.

    Raises
    ------
    TypeError
        If it is sparse or lazy.
    ValueError
        If it has no rows or columns, others than in fit, or names twice.
    """
    who = type(estimator).__name__
    if issparse(X):
        raise TypeError(
            f"{name} is sparse ({X.format}), and {who} reads dense tables, whose "
            f"columns it scales one by one: give {name}.toarray(), or use "
            "DNNClassifier, DNNRegressor or a linear model, which read sparse rows"
        )
    X = to_numpy(X)
    frames.refuse_lazy(X, name)
    if frames.is_frame(X):
        names = _names_of(X, name, who)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return Table(X, names)
    if not isinstance(X, np.ndarray) and not hasattr(X, "__array__"):
        X = _objects(X)
    try:
        X = check_array(
            X, dtype=None, ensure_all_finite=False, estimator=estimator, input_name=name
        )
    except (ValueError, TypeError) as error:
        told = explain_shape(estimator, X, error, name)
        if told is None:
            raise
        raise told from None
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    # Fitted with names, and asked without, as scikit-learn warns: errors know them.
    names = None if reset else estimator.__dict__.get("feature_names_in_")
    return Table(X, range(X.shape[1]) if names is None else names.tolist())


def _objects(X):
    """Rows of a list that are not all numbers as an array of objects, not of texts."""
    array = np.asarray(X)
    return np.array(X, dtype=object) if array.dtype.kind in "US" else array


def _names_of(X, name: str, who: str) -> list:
    rows, width = X.shape
    for count, what in ((rows, "sample"), (width, "feature")):
        if count == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape=({rows}, {width})) while a "
                f"minimum of 1 is required by {who}."
            )
    names = list(X.column_names if hasattr(X, "column_names") else X.columns)
    twice = [repr(one) for one, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{name} has several columns named {', '.join(twice[:10])}: rename them, "
            "so that each is known by its name"
        )
    return names
