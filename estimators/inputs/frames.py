"""DataFrames of pandas, polars and pyarrow: columns by name in what is refused."""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array

from slimlearn.estimators.missing import holds_dates, missing_in

__all__ = [
    "categorical",
    "column_names",
    "columns_where",
    "explain",
    "is_column",
    "is_frame",
    "plain_labels",
    "refuse_columns",
    "refuse_lazy",
    "types_of",
]

# Columns that errors name at most.
_MOST = 10

_MISSING = (
    "Input {name} contains NaN in columns {columns}: put "
    "SimpleImputer(add_indicator=True) before {who}."
)

# Beginnings of the names of types of categories.
_CATEGORIES = ("category", "categorical", "enum", "dictionary")

# Beginnings of the names of types that no network reads, and what to do with them.
_UNREAD = (
    (
        _CATEGORIES,
        "categorical columns {columns}: encode them before {who}, for example with "
        "make_column_transformer((OneHotEncoder(), {columns}), "
        "remainder='passthrough')",
    ),
    (
        ("date", "time", "duration", "period", "interval"),
        "columns of dates, times or intervals {columns}: derive numbers from them "
        "before {who}, such as the year, the weekday or the seconds since a start",
    ),
)


def types_of(X) -> list[tuple] | None:
    """Name and type of each column; None if X has no columns."""
    if hasattr(X, "column_names"):
        return list(zip(X.column_names, X.schema.types))
    columns, dtypes = getattr(X, "columns", None), getattr(X, "dtypes", None)
    return None if columns is None or dtypes is None else list(zip(columns, dtypes))


def categorical(X) -> list[int]:
    """The positions of a frame's columns of categories."""
    types = types_of(X) or ()
    words = {dtype: str(dtype).lower() for dtype in {dtype for _, dtype in types}}
    return [
        place
        for place, (_, dtype) in enumerate(types)
        if words[dtype].startswith(_CATEGORIES)
    ]


def is_frame(X) -> bool:
    """Whether X has columns of their own types."""
    return types_of(X) is not None or type(X).__name__ == "LazyFrame"


def is_column(X) -> bool:
    """Whether X is one column of a frame, such as pandas' Series."""
    one = len(getattr(X, "shape", ())) == 1
    return one and not isinstance(X, np.ndarray) and hasattr(X, "to_numpy")


def column_names(X) -> list[str] | None:
    """The names of X's columns; None if they are no words."""
    names = [name for name, _ in types_of(X) or ()]
    return names if names and all(isinstance(n, str) for n in names) else None


def refuse_lazy(X, name: str) -> None:
    """Refuse a frame that has no rows yet."""
    if type(X).__name__ == "LazyFrame":
        raise TypeError(f"{name} is a LazyFrame, which holds no rows yet: collect() it")


# What to do with categories where the network function reads columns by name.
_CODES = (
    "categorical columns {columns}: give {where} their codes, those of OrdinalEncoder "
    "or of .cat.codes, which layers.embedding and layers.one_hot_encoding read"
)


def refuse_columns(estimator, X, name: str, where: str | None = None) -> None:
    """Refuse columns that hold no numbers, by their names.

    Scikit-learn would read dates, and categories that look like numbers, as numbers.
    `where` is the input, if the network reads several.
    """
    refuse_lazy(X, name)
    types = types_of(X)
    if types is None:
        _refuse_dates(estimator, X, name)
        return
    words = {dtype: str(dtype).lower() for dtype in {dtype for _, dtype in types}}
    for beginnings, advice in _UNREAD:
        if where is not None and "category" in beginnings:
            advice = _CODES
        unread = {d for d, word in words.items() if word.startswith(beginnings)}
        if unread:
            columns = [name for name, dtype in types if dtype in unread]
            who = type(estimator).__name__
            told = advice.format(columns=columns[:_MOST], who=who, where=where)
            raise ValueError(f"{name} has {told}")


def _refuse_dates(estimator, X, name: str) -> None:
    """Refuse an array, or rows, of dates or times, which NumPy counts in its unit."""
    rows = X
    if isinstance(X, (list, tuple)) and len(X):
        rows = np.array([X[0]], dtype=object)
    if isinstance(rows, np.ndarray) and rows.ndim and holds_dates(rows):
        advice = _UNREAD[1][1].replace("columns of ", "").replace(" {columns}", "")
        raise ValueError(f"{name} has {advice.format(who=type(estimator).__name__)}")


def explain(estimator, X, error: Exception, name: str) -> Exception | None:
    """What scikit-learn says of X's values, with the columns and what to do.

    Parameters
    ----------
    estimator : NetworkEstimator
    X : array-like
        What was refused.
    error : ValueError or TypeError
        Scikit-learn's.
    name : str
        Of X, as the user knows it.

    Returns
    -------
    Exception or None
        None where there is nothing to add.
    """
    text, who = str(error), type(estimator).__name__
    if "NAType" in text or "of NA is ambiguous" in text:
        return _explain_objects(X, name, who)
    missing = text.startswith("Input X contains NaN")
    if not (missing or text.startswith("Input X contains infinity")):
        return _explain_types(X, error, who)
    array = check_array(X, accept_sparse="csr", ensure_all_finite=False)
    if array.dtype == object:
        array = array.astype(np.float64)
    columns = columns_where(
        array, np.isnan if missing else lambda values: ~np.isfinite(values)
    )
    types = types_of(X)
    if types is not None:
        columns = [types[i][0] for i in columns]
    if missing:
        return ValueError(_MISSING.format(name=name, columns=columns, who=who))
    return ValueError(
        f"Input {name} contains infinity (inf) or a value too large for {array.dtype} "
        f"in columns {columns}: replace or clip them before {who}."
    )


def _explain_objects(X, name: str, who: str) -> Exception | None:
    """The columns in which pandas' NA stands among objects."""
    array = np.array(X, dtype=object)
    if array.ndim != 2:
        return None
    columns = columns_where(array, missing_in)
    types = types_of(X)
    if types is not None:
        columns = [types[i][0] for i in columns]
    return ValueError(_MISSING.format(name=name, columns=columns, who=who))


def _explain_types(X, error: Exception, who: str) -> Exception | None:
    """An error of conversion, with the columns of a frame that do not convert."""
    bad, reasons = [], set()
    types = types_of(X)
    if not types:
        return None
    if len({name for name, _ in types}) < len(types) or X.shape[0] == 0:
        return None
    for name, dtype in types:
        try:
            check_array(
                X[[name]],
                accept_sparse=True,
                dtype=np.float64,
                ensure_all_finite=False,
            )
        except (ValueError, TypeError) as own:
            bad.append(f"{name!r} ({dtype})")
            reasons.add(_first_line(own))
    text, columns = _first_line(error), ", ".join(bad[:_MOST])
    if text not in reasons:  # it has another cause
        return None
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{text}, in columns {columns}: encode or drop them before {who}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def columns_where(X, bad) -> list[int]:
    """The first columns of a matrix, dense or CSR, in which `bad` is true."""
    if issparse(X):
        columns = np.unique(X.indices[bad(X.data)])
    else:
        columns = np.flatnonzero(bad(np.asarray(X)).any(axis=0))
    return columns[:_MOST].tolist()


def plain_labels(y):
    """Nullable integers and booleans in their own type; anything else as it is.

    Scikit-learn would make float64 of them, and the classes with them.
    """
    dtype = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    if dtype is None or dtype.kind not in "iub" or y.isna().any():
        return y
    return y.to_numpy(dtype=dtype)
