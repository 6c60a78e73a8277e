"""TabularEncoder: columns of any type as what networks read."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.annotations import CategoricalFeatures
from slimlearn.estimators.compat import (
    Interval,
    StrOptions,
    check_feature_names_in,
)
from slimlearn.estimators.diagram import Linked
from slimlearn.estimators.saving.doors import Saveable
from slimlearn.estimators.tables.learning import learn
from slimlearn.estimators.tables.table import Table, open_table
from slimlearn.estimators.visible import Visible

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ENCODING", "TabularEncoder"]

_VIEWS = ("robust", "scores", "bins")

# Parameters of an encoder that estimators of tables have too.
ENCODING = {
    **validation.CATEGORIES,
    "max_one_hot": [Interval(Integral, 1, None, closed="left")],
    "max_categories": [Interval(Integral, 1, None, closed="left")],
    "n_bins": [Interval(Integral, 2, None, closed="left")],
}


class TabularEncoder(Saveable, Visible, Linked, TransformerMixin, BaseEstimator):
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
    and texts, each as a whole, become a column for each level, or one column of -1 and
    1 for two, scaled as numbers are; or a code if there are more levels than
    `max_one_hot`. Missing and unseen ones are 0 in codes, and in the columns of levels
    before these are scaled. Columns that do not vary are left out.

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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        elsewhere.constructor(cls)
        super().__init_subclass__(**kwargs)

    def __init__(
        self,
        *,
        views: str | Sequence[str] = ("robust", "scores"),
        categorical_features: CategoricalFeatures = "from_dtype",
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
        return self.learn(table, weights, views)

    def learn(self, table: Table, weights, views: tuple[str, ...]) -> Self:
        """`fit` on checked rows that all have weight.

        Parameters
        ----------
        table : Table
        weights : ndarray or None
        views : tuple of str
            That `columns_` tells of, and `transform` gives.
        """
        self._encoding = learn(
            table,
            weights,
            categorical_features=self.categorical_features,
            max_one_hot=self.max_one_hot,
            max_categories=self.max_categories,
            n_quantiles=self.n_quantiles,
            n_bins=self.n_bins,
        )
        self._views = views
        self.columns_ = self._encoding.facts(views)
        self.cardinalities_ = self._encoding.cardinalities
        return self

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
        return self._encoding.encode(open_table(self, X, reset=False), self._views)

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
        return np.array(self._encoding.names(given, self._views), dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags
