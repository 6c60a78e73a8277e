"""Several inputs by name, each some columns of an array, a frame or sparse rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils.validation import check_array

from slimlearn.backend.coded import Coded
from slimlearn.backend.dataset import as_source
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.compat import safe_indexing, validate_data
from slimlearn.estimators.inputs import frames
from slimlearn.estimators.inputs.base import Form, Input
from slimlearn.estimators.inputs.matrix import check_target
from slimlearn.estimators.inputs.shapes import explain_shape

__all__ = ["NamedInput", "Parts", "columns_of"]

# What else a program reads by name.
_RESERVED = ("y", "sample_weight")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# Before the names of tensors: a layer may have the name of the input that it reads.
_SCOPE = "inputs/"
# Columns that errors name at most.
_MOST = 10


@dataclass(frozen=True)
class Parts:
    """A checked X: the array of each input, and X itself.

    Attributes
    ----------
    whole : ndarray, CSR matrix or frame
    arrays : tuple of ndarray or CSR matrix
    positions : tuple of tuple of int
        The columns of each input.
    """

    whole: object
    arrays: tuple
    positions: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of X."""
        return self.arrays[0].shape[0], self.whole.shape[1]


class NamedInput(Input):
    """Inputs by name.

    Parameters
    ----------
    wish : mapping of str to columns
        Columns as in scikit-learn's ColumnTransformer: a name or a position for one,
        read as [B]; else a list of names, positions or truth values, a slice, or a
        function of X that returns one of these, read as [B, columns].

    Raises
    ------
    ValueError
        If there is no input, or one has a name that it cannot have.
    """

    named = True

    def __init__(self, wish: Mapping):
        self.wish = dict(wish)
        self.positions: tuple[tuple[int, ...], ...] = ()
        self.columns: tuple[str, ...] | None = None
        if not self.wish:
            raise ValueError("inputs has no input: give columns by names of inputs")
        for name in self.wish:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError(
                    f"inputs: {name!r} cannot be the name of an input: take letters, "
                    "digits and '_'"
                )
            if name in _RESERVED:
                raise ValueError(
                    f"inputs: {name!r} is what every network reads beside X: choose "
                    "another name"
                )

    # -- the door -------------------------------------------------------------------

    def check(self, estimator, X, *, reset=False, name="X"):
        X = to_numpy(X)
        frames.refuse_lazy(X, name)
        names = frames.column_names(X)
        if not (issparse(X) or frames.is_frame(X)):
            X = self._array(estimator, X, name)
        elif issparse(X):
            X = X.tocsr()
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if names is None and not reset:  # of which scikit-learn has warned
            names = estimator.__dict__.get("feature_names_in_")
            names = None if names is None else names.tolist()
        positions = self.positions or self._resolved(X, names, name)
        arrays = []
        for part, (given, found) in enumerate(zip(self.wish.items(), positions)):
            array = self._part(estimator, X, *given, found, name)
            form = self.forms[part] if self.forms else _form(given[0], array)
            self._check_whole(form, array, name)
            arrays.append(array)
        return Parts(X, tuple(arrays), positions)

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        parts = self.check(estimator, X, reset=reset, name=name)
        return parts, check_target(estimator, parts, y, regression, name)

    def _array(self, estimator, X, name: str) -> np.ndarray:
        """X as an array of two dimensions."""
        try:
            return check_array(
                X, dtype=None, ensure_all_finite=False, estimator=estimator
            )
        except (ValueError, TypeError) as error:
            told = explain_shape(estimator, X, error, name)
            if told is None:
                raise
            raise told from None

    def _resolved(self, X, names, called: str) -> tuple[tuple[int, ...], ...]:
        width = X.shape[1]
        return tuple(
            _positions(f"inputs[{name!r}]", columns, X, names, width, called)
            for name, columns in self.wish.items()
        )

    def _part(self, estimator, X, name: str, wish, positions, called: str):
        """The columns of one input as a checked array."""
        chosen = columns_of(X, positions)
        frames.refuse_columns(estimator, chosen, called, f"inputs[{name!r}]")
        try:
            array = check_array(
                chosen, accept_sparse="csr", input_name="X", estimator=estimator
            )
        except (ValueError, TypeError) as error:
            told = frames.explain(estimator, chosen, error, called)
            if told is None:
                raise type(error)(f"inputs[{name!r}]: {error}") from None
            raise told from None
        if not _is_single(wish):
            return array
        if issparse(array):
            raise ValueError(
                f"inputs[{name!r}] is one column of sparse rows, which cannot be read "
                f"as [B]: give it as a list, [{wish!r}]"
            )
        return array[:, 0]

    def _check_whole(self, form: Form, array, called: str) -> None:
        """Refuse fractions, and what is too large, where the fit had whole numbers."""
        if form.dtype is None or issparse(array):
            return
        self._check_size(form, array, called)
        if array.dtype.kind != "f":
            return
        odd = array != np.floor(array)
        if odd.any():
            raise ValueError(
                f"inputs[{form.name!r}] has whole numbers in fit, but {called} has "
                f"{array[odd][0]:.6g} in row {int(np.argwhere(odd)[0][0])}: give "
                "integers"
            )

    def _check_size(self, form: Form, array, called: str) -> None:
        kind = np.dtype(form.dtype.replace("i", "int"))
        if array.size == 0 or np.can_cast(array.dtype, kind):
            return
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        if int(array.min()) >= least and int(array.max()) <= most:
            return
        bad = (array < least) | (array >= most + 1)
        raise ValueError(
            f"inputs[{form.name!r}] has {array[bad][0].item()} in row "
            f"{int(np.argwhere(bad)[0][0])} of {called}, more than {kind.name} holds, "
            "the type of its whole numbers in fit: give smaller ones"
        )

    def seen(self, X, former=None):
        new = NamedInput(self.wish)
        found = _forms(self.wish, X.arrays)
        if former is not None and _shapes(former.forms) == _shapes(found):
            self._check_same(former, X)
            found = former.forms
        new.forms = found
        new.positions, new.columns = X.positions, frames.column_names(X.whole)
        floats = [a.dtype for a in X.arrays if a.dtype.kind == "f"]
        new.kind = np.result_type(*floats) if floats else np.dtype(np.int64)
        return new

    def _check_same(self, former: Input, X) -> None:
        """Refuse that a fit which goes on reads other columns."""
        names = frames.column_names(X.whole)
        for name, was, now in zip(self.wish, former.positions, X.positions):
            if was != now:
                told = [
                    list(p if names is None else [names[i] for i in p])[:_MOST]
                    for p in (was, now)
                ]
                raise ValueError(
                    f"inputs[{name!r}] was {told[0]} in the fit before, which this one "
                    f"goes on from, and now it is {told[1]}: set warm_start=False, or "
                    "the former inputs"
                )

    def alike(self, X, name):
        arrays = []
        for form, array in zip(self.forms, X.arrays):
            self._check_whole(form, array, name)
            if issparse(array) and not form.sparse:
                raise ValueError(
                    f"inputs[{form.name!r}] is sparse in {name}, but was dense: give "
                    "both alike"
                )
            if form.sparse and not issparse(array):
                array = csr_array(as_source(array))
            arrays.append(array)
        return replace(X, arrays=tuple(arrays))

    def where(self, form, array, bad):
        at = list(self.wish).index(form.name)
        two = array if array.ndim == 2 else array[:, None]
        found = [self.positions[at][i] for i in frames.columns_where(two, bad)]
        return found if self.columns is None else [self.columns[i] for i in found]

    def take(self, X, index):
        if isinstance(X.whole, Coded):
            return X.whole[slice(None) if index is None else index]
        return X.whole if index is None else safe_indexing(X.whole, index)

    # -- the program ----------------------------------------------------------------

    def tensors(self, precision):
        return Inputs({f.name: f.tensor(precision, _SCOPE) for f in self.forms})

    def _arrays(self, X):
        return list(X.arrays)

    def _columns(self, form, names):
        positions = self.positions[list(self.wish).index(form.name)]
        return {"columns": [str(i) if names is None else names[i] for i in positions]}


class Inputs(dict):
    """The inputs by name, as the network function takes them."""

    def __missing__(self, name):
        raise ValueError(
            f"the network function reads the input {name!r}, but inputs= names "
            f"{', '.join(self)}: add it there"
        )


def _is_several(wish) -> bool:
    return hasattr(wish, "__iter__") and not isinstance(wish, str)


def _is_single(wish) -> bool:
    return isinstance(wish, (str, Integral)) and not isinstance(wish, bool)


def _forms(wish: Mapping, arrays) -> tuple[Form, ...]:
    return tuple(map(_form, wish, arrays))


def _form(name: str, array) -> Form:
    sparse = issparse(array)
    return Form(name, tuple(array.shape[1:]), _id_type(array.dtype, sparse), sparse)


def _id_type(dtype: np.dtype, sparse: bool) -> str | None:
    """The type of whole numbers in the program; None for the network's floats."""
    if sparse or dtype.kind not in "iu":
        return None
    return "i32" if np.can_cast(dtype, np.int32) else "i64"


def _shapes(forms) -> list[tuple]:
    return [(form.name, form.shape, form.sparse) for form in forms]


def columns_of(X, positions: tuple[int, ...]):
    """Columns of X; a view where they are evenly spaced columns of an array."""
    if isinstance(X, np.ndarray):
        steps = set(np.diff(positions).tolist())
        if len(steps) <= 1:
            step = steps.pop() if steps else 1
            if step > 0:
                return X[:, positions[0] : positions[-1] + 1 : step]
        return X[:, list(positions)]
    if issparse(X):
        first, last = positions[0], positions[-1]
        if positions == tuple(range(first, last + 1)):
            return X[:, first : last + 1]
        return X[:, list(positions)]
    return safe_indexing(X, list(positions), axis=1)


def _positions(where: str, wish, X, names, width: int, called: str) -> tuple[int, ...]:
    """The positions of the columns that an input asks for."""
    if callable(wish):
        wish = wish(X)
    if isinstance(wish, (set, frozenset)):
        raise TypeError(
            f"{where} is a set, whose order changes from process to process: give a "
            "list"
        )
    if isinstance(wish, slice):
        found = _sliced(where, wish, names, width, called)
    else:
        given = list(wish) if _is_several(wish) else [wish]
        if given and all(isinstance(one, (bool, np.bool_)) for one in given):
            if len(given) != width:
                raise ValueError(
                    f"{where} has {len(given)} truth values, {called} has {width} "
                    "columns"
                )
            found = np.flatnonzero(given).tolist()
        else:
            found = [_position(where, one, names, width, called) for one in given]
    if not found:
        raise ValueError(f"{where} chooses no column of {called}")
    twice = sorted({i for i in found if found.count(i) > 1})
    if twice:
        known = twice if names is None else [names[i] for i in twice]
        raise ValueError(f"{where} has columns {known[:_MOST]} twice")
    return tuple(found)


def _position(where: str, one, names, width: int, called: str) -> int:
    if isinstance(one, str):
        if names is None:
            raise ValueError(
                f"{where} names the column {one!r}, but the columns of {called} have "
                "no names: give a DataFrame, or positions; inside an ensemble, such as "
                "BaggingClassifier, which passes arrays on, positions"
            )
        if one not in names:
            known = ", ".join(names[:_MOST]) + ", …" * (len(names) > _MOST)
            raise ValueError(f"{where}: {called} has no column {one!r}; it has {known}")
        return names.index(one)
    if not isinstance(one, Integral) or isinstance(one, bool):
        raise TypeError(
            f"{where} must be columns as names, positions, truth values, a slice or a "
            f"function of X; got {one!r}"
        )
    if not -width <= one < width:
        raise ValueError(f"{where} asks for column {one}, {called} has {width} columns")
    return int(one) % width


def _sliced(where: str, wish: slice, names, width: int, called: str) -> list[int]:
    start, stop, step = wish.start, wish.stop, wish.step
    if isinstance(start, str):
        start = _position(where, start, names, width, called)
    if isinstance(stop, str):  # by name, the end is in it, as in pandas
        stop = _position(where, stop, names, width, called) + 1
    for end in (start, stop):
        if end is not None and not -width <= end <= width:
            raise ValueError(
                f"{where} asks for columns up to {end}, {called} has {width} columns"
            )
    try:
        return list(range(width)[slice(start, stop, step)])
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None
