"""TabularEncoder: columns of any type as what networks read."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.compat import (
    Interval,
    StrOptions,
    check_feature_names_in,
)
from slimlearn.estimators.diagram import Linked
from slimlearn.estimators.tables.columns import (
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    UnreadColumn,
)
from slimlearn.estimators.tables.facts import Facts
from slimlearn.estimators.tables.numbers import Numbers, clipped, robust_scale
from slimlearn.estimators.tables.reading import Raw
from slimlearn.estimators.tables.table import Table, open_table
from slimlearn.estimators.visible import Visible

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ENCODING", "TabularEncoder"]

_VIEWS = ("robust", "scores", "bins")

# Rows whose numbers are scaled at a time.
_ROWS = 4096

# Numbers in some rows up to which they are not looked at closely.
_FEW = 4096

# Types of elements that are numbers as they are.
_PLAIN = frozenset((float, int, np.float64, np.float32))

# Parameters of an encoder that estimators of tables have too.
ENCODING = {
    "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
    "max_one_hot": [Interval(Integral, 1, None, closed="left")],
    "max_categories": [Interval(Integral, 1, None, closed="left")],
    "n_bins": [Interval(Integral, 2, None, closed="left")],
}


class TabularEncoder(Visible, Linked, TransformerMixin, BaseEstimator):
    """A transformer that makes numbers for networks of a table with mixed columns.

    X is a DataFrame of pandas, polars or pyarrow, or an array, as it is: numbers,
    categories, booleans, texts and dates, with values missing anywhere. What is
    learned of the columns is robust and weighted; nothing has to be imputed, scaled or
    encoded before.

    Numbers are given in the `views` that are asked for, the median standing for what is
    missing, and a column tells where that was, if it was anywhere in fit. Infinite ones
    count as the farthest. Dates become numbers: the days before the latest one in fit,
    the year, month, day of the month, weekday (Monday is 0) and hour, as far as they
    vary; of a zone those of its clocks. Durations count in days. Categories, booleans
    and texts become a column for each level, or one column of -1 and 1 for two, scaled
    as numbers are; or a code if there are more levels than `max_one_hot`. Missing
    and unseen ones are 0 in codes, and in the columns of levels before these are
    scaled. Columns that do not vary are left out.

    Parameters
    ----------
    views : str or sequence of str, default=("robust", "scores")
        How numbers are given; several views stand one behind the other.
        "robust": the distance from the median in quartiles' distances, ending smoothly
        at ±3. "scores": the normal scores, as `sklearn.preprocessing` has them in
        QuantileTransformer, but by exact and weighted ranks. "bins": a
        piecewise linear encoding of the scores in bins of equal weight, a column for
        each.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns whose numbers are categories: names, positions or truth values. Columns
        of categories, booleans and texts always are; by default, and with None, no
        others.
    max_one_hot : int, default=9
        The most levels that get columns of their own.
    max_categories : int, default=10000
        The most levels that get a code; of more those that are seen most often. Where
        there are more than `max_one_hot`, a level that is seen once counts as unseen.
    n_quantiles : int, default=1000
        Knots of the normal scores; between them they are interpolated.
    n_bins : int, default=16
        Bins of the view "bins".

    Attributes
    ----------
    columns_ : list of dict
        For each column: ``column``, ``kind``, ``missing`` (the weighted share),
        ``distinct`` (levels of categories, else None) and ``features``, what was
        made of it; printed as a table.
    cardinalities_ : list of int
        For each column of codes, the last ones that come out: how many there are, 0
        among them.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where X had names.

    See Also
    --------
    TabularClassifier : Has one inside.
    TabularRegressor : Has one inside.

    References
    ----------
    Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular
    Deep Learning", 2022, for the piecewise linear encoding.
    Holzmüller, Grinsztajn and Steinwart, "Better by Default: Strong Pre-Tuned MLPs and
    Boosted Trees on Tabular Data", 2024, for the robust scale and its smooth end.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import TabularEncoder
    >>> X = [[20.0, "red", True], [35.0, "blue", False], [None, "green", True]]
    >>> encoder = TabularEncoder(views="robust").fit(X)
    >>> print(encoder.columns_)
    column  kind        missing  distinct  features
    0       numbers       33.3%            robust, missing
    1       categories                  3  3 columns
    2       categories                  2  1 column
    >>> encoder.get_feature_names_out().tolist()
    ['x0_robust', 'x1_blue', 'x1_green', 'x1_red', 'x2_True', 'x0_missing']
    >>> encoder.transform([[21.0, "pink", None]]).shape
    (1, 6)
    """

    _parameter_constraints = {  # noqa: RUF012
        "views": [StrOptions(set(_VIEWS)), tuple, list],
        **ENCODING,
        "n_quantiles": [Interval(Integral, 2, None, closed="left")],
    }

    def __init_subclass__(cls, **kwargs):
        elsewhere.constructor(cls)
        super().__init_subclass__(**kwargs)

    def __init__(
        self,
        *,
        views: str | Sequence[str] = ("robust", "scores"),
        categorical_features="from_dtype",
        max_one_hot: int = 9,
        max_categories: int = 10_000,
        n_quantiles: int = 1000,
        n_bins: int = 16,
    ) -> None:
        self.views = views
        self.categorical_features = categorical_features
        self.max_one_hot = max_one_hot
        self.max_categories = max_categories
        self.n_quantiles = n_quantiles
        self.n_bins = n_bins

    # -- fit ------------------------------------------------------------------------

    def fit(self, X, y=None, sample_weight=None) -> Self:
        """Learn what columns hold.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            Weights of medians, quantiles and levels; rows of weight 0 count as absent.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a column holds lists, or values of several types, or X is sparse.
        """
        validation.check_parameters(self)
        views = self._wished_views()
        table = open_table(self, X, reset=True)
        weights = validation.check_weights(sample_weight, table)
        if weights is not None and not weights.all():
            index = np.flatnonzero(weights)
            table, weights = table.rows(index), weights[index]
        return self._learn(table, weights, views)

    def _learn(self, table: Table, weights, views: tuple[str, ...]) -> Self:
        wished = table.positions_of(self.categorical_features, "categorical_features")
        numbers = Numbers(self.n_quantiles, self.n_bins)
        columns, flagged = [], []
        if weights is not None:
            weights = weights.astype(np.float64)
        for position, name in enumerate(table.names):
            raw = table.column(position)
            column = self._column(name, position, raw, wished, weights)
            if isinstance(column, (NumberColumn, DateColumn)):
                varying = []
                for part, values in column.parts(raw):
                    if numbers.learn(values, weights):
                        varying.append(part)
                if isinstance(column, DateColumn):
                    column.kept = tuple(part[1:] for part in varying)
                column.flag = None
                if column.missing > 0:
                    column.flag = _flag(column.missing)
                    flagged.append(column)
                column.width = len(varying)
                if not varying and column.flag is None:
                    kind = "empty" if column.missing == 1 else "constant"
                    missing = column.missing
                    column = UnreadColumn(name, position, kind)
                    column.missing = missing
            elif isinstance(column, CategoryColumn) and not column.varies:
                missing, distinct = column.missing, column.distinct
                kind = "constant" if distinct == 1 else "of single values"
                column = UnreadColumn(name, position, kind)
                column.missing, column.distinct = missing, distinct
            columns.append(column)
        numbers.conclude()
        self._numbers, self._views = numbers, views
        read = [c for c in columns if not isinstance(c, UnreadColumn)]
        self._measured = [c for c in read if not isinstance(c, CategoryColumn)]
        categories = [c for c in read if isinstance(c, CategoryColumn)]
        self._leveled = [c for c in categories if c.table is not None]
        self._coded = [c for c in categories if c.table is None]
        self._flagged = flagged
        self._places = np.array(
            [c.position for c in self._measured if c.width], dtype=np.intp
        )
        self._plain = all(isinstance(c, NumberColumn) for c in read)
        self._flag_table = np.array([c.flag for c in flagged], dtype=np.float32)
        self._named = table.names if isinstance(table.names, list) else None
        self._quick = None
        if not any(isinstance(c, DateColumn) for c in self._measured):
            # Lists, whose elements are found faster than those of arrays.
            self._quick = (
                self._places.tolist(),
                [(c.position, c._lookup, c.table.tolist()) for c in self._leveled],
                [
                    (c.position, flag.tolist())
                    for c, flag in zip(flagged, self._flag_table)
                ],
                [(c.position, c._lookup) for c in self._coded],
            )
        self.columns_ = Facts(self._fact(column, views) for column in columns)
        self.cardinalities_ = [len(c.levels) + 1 for c in self._coded]
        return self

    def _column(self, name, position: int, raw: Raw, wished, weights) -> Column:
        """The column as what it holds says, or the user."""
        if raw.kind == "empty":
            column = UnreadColumn(name, position, "empty")
            column.missing = 1.0
            return column
        if raw.kind == "date":
            absent = np.isnat(raw.values)
        elif raw.kind == "number":
            absent = np.isnan(raw.values)
        elif raw.kind == "text":
            absent = np.array([value is None for value in raw.values.tolist()])
        else:
            absent = raw.values < 0
        missing = float(np.average(absent, weights=weights))
        if missing == 1.0:
            column = UnreadColumn(name, position, "empty")
        elif raw.kind == "date":
            if position in wished:
                raise ValueError(
                    f"column {name!r} of categorical_features holds dates: leave it "
                    "out there, or give texts"
                )
            column = DateColumn(name, position, raw)
        elif raw.kind == "number" and position not in wished:
            column = NumberColumn(name, position)
        else:
            column = CategoryColumn(
                name,
                position,
                raw,
                weights,
                one_hot=self.max_one_hot,
                most=self.max_categories,
            )
        column.missing = missing
        return column

    def _fact(self, column: Column, views) -> dict:
        features = "-"
        if isinstance(column, CategoryColumn):
            if column.table is None:
                features = f"codes to {len(column.levels):,}"
            else:
                width = column.table.shape[1]
                features = f"{width} column{'s' * (width > 1)}"
        elif not isinstance(column, UnreadColumn):
            told = [*column.kept] if isinstance(column, DateColumn) else []
            told = [*told, *(views if column.width else ())]
            features = ", ".join(told + ["missing"] * (column.flag is not None))
        return {
            "column": column.name,
            "kind": column.kind,
            "missing": column.missing,
            "distinct": column.distinct,
            "features": features,
        }

    def _wished_views(self) -> tuple[str, ...]:
        views = (self.views,) if isinstance(self.views, str) else tuple(self.views)
        odd = [view for view in views if view not in _VIEWS]
        if odd or not views or len(set(views)) < len(views):
            raise ValueError(
                f"The 'views' parameter of {type(self).__name__} must be some of "
                f"{', '.join(map(repr, _VIEWS))}, each once. Got {self.views!r} "
                "instead."
            )
        return views

    # -- transform ------------------------------------------------------------------

    def transform(self, X) -> np.ndarray:
        """Encode rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Float32: the views of numbers, columns of levels, columns that tell what is
            missing, codes.

        Raises
        ------
        ValueError
            If a column holds another kind of values than in fit.
        """
        check_is_fitted(self, "columns_")
        return self.encode(open_table(self, X, reset=False), self._views)

    def encode(self, table: Table, views: Sequence[str]) -> np.ndarray:
        """The rows of a checked table in some views.

        Parameters
        ----------
        table : Table
        views : sequence of str

        Returns
        -------
        ndarray of shape (n_samples, width), float32
        """
        rows = table.shape[0]
        width = self._width(views)
        out = np.empty((rows, width), dtype=np.float32)
        matrix, raws = self._read(table)
        numbers = self._numbers
        for begin in range(0, rows, _ROWS):
            some = slice(begin, min(begin + _ROWS, rows))
            at = 0
            if len(numbers):
                block = numbers.fill(_block(matrix, raws, some))
                for part in self._viewed(block, views):
                    out[some, at : at + part.shape[1]] = part
                    at += part.shape[1]
        at = width - len(self._flagged) - len(self._coded)
        at -= sum(column.table.shape[1] for column in self._leveled)
        for column in self._leveled:
            part = column.table[column.codes(table.column(column.position))]
            out[:, at : at + part.shape[1]] = part
            at += part.shape[1]
        for column, flag in zip(self._flagged, self._flag_table):
            out[:, at] = flag[self._absent(column, table, raws).astype(np.intp)]
            at += 1
        for column in self._coded:
            out[:, at] = column.codes(table.column(column.position))
            at += 1
        return out

    def quick(self, X, views: Sequence[str]) -> np.ndarray | None:
        """A few plain rows as `encode` gives them; None if X needs a closer look.

        That is a row of a pandas frame whose columns have the names of fit, none of
        them dates, or a few rows of an array of floats where fit had no names.

        Parameters
        ----------
        X : object
        views : sequence of str
        """
        if type(X) is np.ndarray:
            known = self._plain and self._named is None and X.ndim == 2
            if not known or X.dtype.kind != "f" or not 0 < X.size <= _FEW:
                return None
            if X.shape[1] != self.n_features_in_:
                return None
            return self.encode(Table(X, range(X.shape[1])), views)
        if self._quick is None or not hasattr(X, "iloc") or len(X) != 1:
            return None
        if X.columns.tolist() != self._named:
            return None
        return self._quick_row(X.to_numpy(dtype=object)[0].tolist(), views)

    def _quick_row(self, row: list, views) -> np.ndarray | None:
        places, leveled, flagged, coded = self._quick
        numbers = [row[place] for place in places]
        if not _PLAIN.issuperset(map(type, numbers)):
            return None
        tail = []
        for place, lookup, table in leveled:
            code = _code(lookup, row[place])
            if code is None:
                return None
            tail += table[code]
        for place, flag in flagged:
            value = row[place]
            if type(value) not in _PLAIN:
                return None
            tail.append(flag[value != value])
        for place, lookup in coded:
            code = _code(lookup, row[place])
            if code is None:
                return None
            tail.append(code)
        block, parts = np.array([numbers], dtype=np.float64), []
        if numbers:
            block = self._numbers.fill(block)
            parts = self._viewed(block, views)
        return np.concatenate([*parts, [tail]], axis=1, dtype=np.float32)

    def _viewed(self, block: np.ndarray, views) -> list[np.ndarray]:
        """Numbers, none of them missing, in each of the views."""
        numbers, scores, found = self._numbers, None, []
        for view in views:
            if view != "robust" and scores is None:
                scores = numbers.normal(block)
            if view == "robust":
                found.append(numbers.robust(block))
            else:
                found.append(scores if view == "scores" else numbers.binned(scores))
        return found

    def _read(self, table: Table) -> tuple[np.ndarray | None, dict]:
        """The numbers of all columns as a matrix, or by column."""
        if table.matrix is not None and self._plain:
            whole = len(self._places) == table.shape[1]
            matrix = table.matrix if whole else table.matrix[:, self._places]
            return matrix, {}
        raws = {}
        for column in self._measured:
            raw = table.column(column.position)
            raws[column.position] = [values for _, values in column.parts(raw)]
            if not column.width:
                raws[column.position] = [], raws[column.position][0]
        return None, raws

    def _absent(self, column, table: Table, raws: dict) -> np.ndarray:
        if not raws:
            return np.isnan(table.matrix[:, column.position])
        found = raws[column.position]
        return np.isnan(found[1] if isinstance(found, tuple) else found[0])

    def _width(self, views) -> int:
        count = len(self._numbers)
        sizes = {"robust": count, "scores": count}
        if "bins" in views:
            sizes["bins"] = sum(len(edges) - 1 for edges in self._numbers.edges)
        width = sum(sizes[view] for view in views)
        width += sum(column.table.shape[1] for column in self._leveled)
        return width + len(self._flagged) + len(self._coded)

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Names of the columns that come out.

        Parameters
        ----------
        input_features : array-like of str or None
            The names of X's columns, or what they are called where they have none.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self, "columns_")
        given = check_feature_names_in(self, input_features).tolist()
        found = []
        parts = [
            f"{given[column.position]}{part}"
            for column in self._measured
            if column.width
            for part in (
                [f"_{name}" for name in column.kept]
                if isinstance(column, DateColumn)
                else [""]
            )
        ]
        for view in self._views:
            if view == "bins":
                for part, edges in zip(parts, self._numbers.edges):
                    found += [f"{part}_bin{i}" for i in range(len(edges) - 1)]
            else:
                found += [f"{part}_{view}" for part in parts]
        for column in self._leveled:
            name = given[column.position]
            found += [f"{name}{end}" for end in column.feature_names()]
        found += [f"{given[column.position]}_missing" for column in self._flagged]
        found += [f"{given[column.position]}_code" for column in self._coded]
        return np.array(_distinct(found), dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _code(lookup: dict, value) -> int | None:
    """The code of a value; None if it is not known, and not missing either."""
    code = lookup.get(value)
    if code is None and (value is None or (type(value) is float and value != value)):
        return 0
    return code


def _flag(missing: float) -> tuple[float, float]:
    """What says that a number is there, and that it is missing, scaled as numbers."""
    values, weight = np.array([0.0, 1.0]), np.array([1.0 - missing, missing])
    if missing == 1.0:
        values, weight = values[1:], weight[1:]
    median, factor = robust_scale(values, weight)
    return tuple(clipped((np.array([0.0, 1.0]) - median) * factor))


def _block(matrix, raws: dict, some: slice) -> np.ndarray:
    if matrix is not None:
        return matrix[some].astype(np.float64)
    found = [
        values[some]
        for parts in raws.values()
        if not isinstance(parts, tuple)
        for values in parts
    ]
    return np.array(found, dtype=np.float64).T


def _distinct(names: list[str]) -> list[str]:
    """Names with numbers behind those that are there before."""
    seen: set[str] = set()
    for i, name in enumerate(names):
        number = 1
        while names[i] in seen:
            number += 1
            names[i] = f"{name}_{number}"
        seen.add(names[i])
    return names
