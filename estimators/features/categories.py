"""X as one matrix in which categories are columns of levels, or embedded codes."""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.inputs import DenseInput, MatrixInput, frames
from slimlearn.estimators.inputs.base import Form
from slimlearn.estimators.inputs.matrix import check_target
from slimlearn.estimators.tables.columns import CategoryColumn, column_of
from slimlearn.estimators.tables.table import Table, open_table

__all__ = ["CategoryInput"]

# Levels of which a network reads each; of more it is given a vector that is trained.
_FEW = 16

# Levels that are told apart at most, by columns or by vectors: those seen most often.
_MOST_COLUMNS, _MOST_VECTORS = 1_000, 10_000


class _Encoded(np.ndarray):
    """Rows of X that were encoded."""


class CategoryInput(MatrixInput):
    """X that no fit has seen yet, and some columns of which may be categories.

    Parameters
    ----------
    wish : "from_dtype", array-like or None
        Which they are.
    embeds : bool
        Whether categories of many levels are to be embedded.
    accept_sparse : str or bool
        Of X without categories.
    """

    def __init__(self, wish, embeds: bool, accept_sparse: str | bool = "csr"):
        super().__init__(accept_sparse)
        self.wish, self.embeds = wish, embeds
        self._seen: CategoryMatrix | None = None

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        former = None if reset else estimator.__dict__.get("_input")
        if isinstance(former, CategoryMatrix):
            self._seen = former
        elif reset:
            table, places = self._places(estimator, X, name)
            if places:
                self._seen = CategoryMatrix(table, places, self.embeds, self.more)
        if self._seen is None:
            return super().check_fit(
                estimator, X, y, regression=regression, reset=reset, name=name
            )
        return self._seen.check_fit(
            estimator, X, y, regression=regression, reset=False, name=name
        )

    def _places(self, estimator, X, name: str) -> tuple[Table | None, list[int]]:
        """X as columns, and the positions of the categories; of none both are empty."""
        frames.refuse_lazy(X, name)
        typed = []
        if self.wish is not None and frames.is_frame(X):
            typed = frames.categorical(X)
        if (self.wish is None or isinstance(self.wish, str)) and not typed:
            return None, []
        if issparse(X):
            raise ValueError(
                f"categorical_features needs {name} as a frame or a dense array, and "
                f"{name} is sparse: encode its categories before"
            )
        table = open_table(estimator, to_numpy(X), reset=True, name=name)
        wished = table.positions_of(self.wish, "categorical_features")
        return table, sorted(wished.union(typed))

    def seen(self, X, former=None):
        return super().seen(X, former) if self._seen is None else self._seen.of(X)


class CategoryMatrix(DenseInput):
    """Rows of numbers, of columns that stand for levels, and of codes.

    Parameters
    ----------
    table : Table
    places : list of int
        Of the columns that are categories.
    embeds : bool
    more : bool
        Whether later rows may have what these have not.

    Attributes
    ----------
    names : list of str
        What the encoded columns are called.
    """

    bare = False

    def __init__(self, table: Table, places: list[int], embeds: bool, more: bool):
        one_hot = _FEW if embeds else _MOST_COLUMNS
        most = _MOST_VECTORS if embeds else _MOST_COLUMNS
        columns = []
        for place in places:
            name, raw = table.names[place], table.column(place)
            column = column_of(name, place, raw, True, None, one_hot, most, more)
            told = isinstance(column, CategoryColumn) and bool(column.levels)
            if told and (more or column.varies):
                columns.append(column)
        chosen = set(places)
        self.numbers = [i for i in range(table.shape[1]) if i not in chosen]
        self.leveled = [c for c in columns if len(c.levels) <= one_hot]
        self.coded = [c for c in columns if len(c.levels) > one_hot]
        self.tables = [_table(len(column.levels)) for column in self.leveled]
        self.cardinalities = tuple(len(column.levels) + 1 for column in self.coded)
        self.names = [str(table.names[place]) for place in self.numbers]
        for column in self.leveled:
            self.names += [f"{column.name}{end}" for end in column.feature_names()]
        self.names += [f"{column.name}_code" for column in self.coded]
        super().__init__(max(len(self.names), 1), np.dtype(np.float64), False)

    @property
    def key(self):
        return (*super().key, self.cardinalities)

    def of(self, X) -> CategoryMatrix:
        """This input, whose numbers are of the type of the encoded X."""
        self.kind = X.dtype
        return self

    # -- the door -------------------------------------------------------------------

    def check_fit(self, estimator, X, y, *, regression, reset=False, name="X"):
        X = self.check(estimator, X, name=name)
        return X, check_target(estimator, X, y, regression, name)

    def check(self, estimator, X, *, reset=False, name="X"):
        if isinstance(X, _Encoded):  # rows that were held out, for a scorer
            return X
        table = open_table(estimator, X, reset=False, name=name)
        numbers = self._checked(estimator, table.select(self.numbers), name)
        out = np.zeros((table.shape[0], *self.forms[0].shape), dtype=numbers.dtype)
        at = len(self.numbers)
        out[:, :at] = numbers
        for column, levels in zip(self.leveled, self.tables):
            end = at + levels.shape[1]
            out[:, at:end] = levels[column.codes(table.column(column.position))]
            at = end
        for place, column in enumerate(self.coded, at):
            out[:, place] = column.codes(table.column(column.position))
        return out.view(_Encoded)

    def _checked(self, estimator, X, name: str) -> np.ndarray:
        """The columns that are numbers."""
        if not self.numbers:
            return np.empty((X.shape[0], 0))
        frames.refuse_columns(estimator, X, name)
        try:
            array = check_array(X, estimator=estimator, input_name="X")
            array = check_array(array, dtype=[np.float64, np.float32], input_name="X")
        except (ValueError, TypeError) as error:
            told = frames.explain(estimator, X, error, name)
            if told is None:
                raise
            raise told from None
        return array

    def alike(self, X, name):
        return X

    def _arrays(self, X):
        return [np.asarray(X)]

    def where(self, form, array, bad):
        return [self.names[place] for place in super().where(form, array, bad)]

    # -- the program ----------------------------------------------------------------

    def tensors(self, precision):
        x = super().tensors(precision)
        if not self.coded:
            return x
        rows, width = x.shape
        first = width - len(self.coded)
        parts = [x[:, :first]] if first else []
        for i, count in enumerate(self.cardinalities):
            size = round(4 * count**0.25)
            codes = ops.reshape(x[:, first + i : first + i + 1], (rows,))
            parts.append(layers.embedding(codes, count, size, scope=f"categories{i}"))
        return ops.concat(parts, 1) if len(parts) > 1 else parts[0]

    def _columns(self, form: Form, names):
        return {"columns": list(self.names)}


def _table(levels: int) -> np.ndarray:
    """What stands for each code: a column for each level, of two one of -1 and 1."""
    if levels == 2:
        return np.array([[0.0], [-1.0], [1.0]])
    return np.concatenate((np.zeros((1, levels)), np.eye(levels)))
