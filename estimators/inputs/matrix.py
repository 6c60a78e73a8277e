"""X as one matrix, dense or sparse: the rows that scikit-learn's estimators read."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    column_or_1d,
)

from slimlearn.backend.dataset import as_source
from slimlearn.estimators.arrays import in_place, to_numpy
from slimlearn.estimators.compat import check_y, validate_data
from slimlearn.estimators.inputs import frames
from slimlearn.estimators.inputs.base import Form, Input, in_order
from slimlearn.estimators.inputs.shapes import explain_shape
from slimlearn.estimators.missing import present_target

__all__ = [
    "SOURCE",
    "DenseInput",
    "MatrixInput",
    "SparseInput",
    "check_matrix",
    "check_target",
    "plain_target",
]

# The source's name in the program, and the tensor's.
SOURCE = "X"

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def check_matrix(X, input: DenseInput, what: str, method: str) -> np.ndarray:
    """Rows of floats that are what another method gave, such as codes."""
    X = check_array(to_numpy(X), dtype=[np.float64, np.float32], input_name="X")
    [columns] = input.forms[0].shape
    if X.shape[1] != columns:
        raise ValueError(
            f"X has {X.shape[1]} columns, {what} has {columns}: pass what {method} gave"
        )
    return X


def plain_target(y, regression: bool):
    """A checked y as an array; labels of one output as [n]."""
    if not regression:
        if issparse(y):
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
    return y


def check_target(estimator, X, y, regression: bool, name: str):
    """The y of a checked X that is no matrix, as `plain_target` gives it."""
    y = to_numpy(y)
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, "
            "but the target y is None."
        )
    y = present_target(y, name.replace("X", "y"), regression)
    if not regression:
        y = frames.plain_labels(y)
    y = check_y(y, multi_output=True, y_numeric=regression, estimator=estimator)
    check_consistent_length(X, y)
    return plain_target(y, regression)


class MatrixInput(Input):
    """A matrix that no fit has seen yet.

    Parameters
    ----------
    accept_sparse : str or bool
        The form in which sparse X is read, or False.
    """

    def __init__(self, accept_sparse: str | bool = "csr"):
        self.accept_sparse = accept_sparse

    def check(self, estimator, X, *, reset=False, name="X"):
        return self._validated_anywhere(estimator, X, reset=reset, name=name)

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        if _are_plain(X, y) and _take_plain(estimator, X, reset):
            return X, y
        y = present_target(to_numpy(y), name.replace("X", "y"), regression)
        if not regression:
            y = frames.plain_labels(y)
        X, y = self._validated_anywhere(
            estimator,
            X,
            y,
            name=name,
            reset=reset,
            multi_output=True,
            y_numeric=regression,
        )
        return X, plain_target(y, regression)

    def _validated_anywhere(self, estimator, X, *y, **options):
        """What `_validated` gives; of rows on the estimator's GPU these, as they lie.

        Of their shape and type the host knows, and the GPU whether they are finite.
        """
        there = in_place(X, estimator.device)
        if there is None or not there.is_finite:
            X = to_numpy(X) if there is None else np.asarray(there)
            return self._validated(estimator, X, *y, **options)
        outline = np.broadcast_to(np.zeros((), there.dtype), there.shape)
        found = self._validated(
            estimator, outline, *y, ensure_all_finite=False, **options
        )
        return (there, found[1]) if y else there

    def _validated(self, estimator, X, *y, name: str, **options):
        """Scikit-learn's `validate_data`, with the columns in what it refuses."""
        frames.refuse_columns(estimator, X, name)
        try:
            found = validate_data(
                estimator, X, *y, accept_sparse=self.accept_sparse, **options
            )
            array = found[0] if y else found
            if array.dtype == object:
                # What it makes of numbers and strings in a frame of polars.
                array = check_array(array, dtype=np.float64, input_name="X")
        except (ValueError, TypeError) as error:
            told = frames.explain(estimator, X, error, name)
            told = told or explain_shape(estimator, X, error, name)
            if told is None:
                raise
            raise told from None
        return (array, found[1]) if y else array

    def seen(self, X, former=None):
        kind = SparseInput if issparse(X) else DenseInput
        return kind(X.shape[1], X.dtype, self.accept_sparse)

    def take(self, X, index):
        return X if index is None else X[index]


class _Seen(MatrixInput):
    """A matrix as a fit has seen it.

    Parameters
    ----------
    columns : int
    kind : dtype
    accept_sparse : str or bool
    """

    def __init__(
        self,
        columns: int,
        kind: np.dtype = Input.kind,
        accept_sparse: str | bool = "csr",
    ):
        super().__init__(accept_sparse)
        self.kind = kind
        self.forms = (Form(SOURCE, (columns,), sparse=self.sparse),)

    sparse = False

    def tensors(self, precision):
        return self.forms[0].tensor(precision)

    def _arrays(self, X):
        return [X]

    def where(self, form, array, bad):
        return frames.columns_where(array, bad)


class DenseInput(_Seen):
    """Dense rows: the network reads a tensor [B, columns]."""

    bare = True

    def alike(self, X, name):
        if issparse(X):
            raise ValueError(
                f"{name} is sparse, but the first rows of this fit are dense: give "
                "both alike"
            )
        return X

    def plain(self, X, most):
        if X.__class__ is not np.ndarray or X.ndim != 2 or X.dtype.kind not in "fiub":
            return None
        if X.shape[1:] != self.forms[0].shape or not 0 < X.size <= most:
            return None
        return in_order(X)


class SparseInput(_Seen):
    """Sparse rows: the network reads a CSR tensor [B, columns]."""

    sparse = True

    def alike(self, X, name):
        return X if issparse(X) else csr_array(as_source(np.asarray(X)))


def _are_plain(X, y) -> bool:
    """Whether X and y are arrays that scikit-learn's checks would give as they are.

    Its checks take longer than a small network's epoch.
    """
    if type(X) is not np.ndarray or type(y) is not np.ndarray:
        return False
    if X.dtype not in _FLOATS or y.dtype.kind not in "fiub":
        return False
    if X.ndim != 2 or y.shape != X.shape[:1] or X.size == 0:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()) and np.isfinite(y.sum()))


def _take_plain(estimator, X, reset: bool) -> bool:
    """Whether X's columns are those that are known, or now are."""
    known = estimator.__dict__
    if reset:
        known.pop("feature_names_in_", None)
        estimator.n_features_in_ = X.shape[1]
    return "feature_names_in_" not in known and estimator.n_features_in_ == X.shape[1]
