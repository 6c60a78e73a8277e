"""TabularRegressor."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from slimlearn.backend import ops
from slimlearn.estimators import elsewhere
from slimlearn.estimators.annotations import (
    ActivationName,
    Callbacks,
    CategoricalFeatures,
    Quantiles,
    RandomState,
    TabularLossName,
    Units,
)
from slimlearn.estimators.compat import StrOptions, available_if
from slimlearn.estimators.tables.documents import document
from slimlearn.estimators.tables.ensemble import TabularEnsemble
from slimlearn.estimators.tables.outliers import within_reach
from slimlearn.estimators.tables.sizing import PARAMETERS
from slimlearn.estimators.validation import QUANTILE

__all__ = ["TabularRegressor"]


def _has_quantiles(estimator) -> bool:
    if estimator.quantile is None:
        raise AttributeError(
            "predict_quantiles needs loss='quantile' and quantile=, such as "
            "quantile=(0.1, 0.5, 0.9)"
        )
    return True


@document
class TabularRegressor(RegressorMixin, TabularEnsemble):
    """A regressor of tables as they are, with mixed columns and missing values.

    An ensemble of small networks. What columns hold is learned by a `TabularEncoder`
    inside; the members are trained on folds of the rows, and their predictions are
    averaged. They stay within the range of y in fit.
    Values of y further from its quartiles than 1,000 times the distance between these
    count as the furthest of the others, with a warning: beside a value of 10⁶
    deviations all others would be the same to a network.
    A linear model, solved, counts as well as held-out rows say: where there is little
    to be had it is as good as alone. So does, of few rows, a Gaussian process of them.
    Where X has more numbers than a quarter of the rows, each member reads those that
    are most correlated with y, they or their squares.

    Parameters
    ----------
    {shared}
    loss : {"squared_error", "absolute_error", "huber", "poisson", "gamma", \
"tweedie", "quantile"}, default="squared_error"
        As in `DNNRegressor`. "quantile" needs `quantile`.
    quantile : float, sequence of float or None, default=None
        The quantile to be predicted, or several.

    Attributes
    ----------
    oof_predictions_ : ndarray, as y was
        Predictions of the rows of fit by members that did not see them. NaN for rows
        that no member held out.
    oof_score_ : float
        Their R², by y as it counts.
    n_iter_ : int
        Epochs of the member that was trained longest.
    {attributes}

    See Also
    --------
    TabularClassifier : The same for classes.
    TabularEncoder : What is inside, as a transformer.
    DNNRegressor : One network on numbers, which reads sparse rows too.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from slimlearn import TabularRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> reg = TabularRegressor(preset="fast", random_state=0).fit(X[::2], y[::2])
    >>> print(f"{reg.score(X[1::2], y[1::2]):.1f}")
    0.4
    """

    _regression = True
    _rate, _default_activation, _tells_early = 0.2, "mish", False
    _told_rate = "0.2, for fewer than 1,000 rows less, down to 0.05"
    _told_epochs = "64 up to 875 rows, then fewer, down to 32"
    _told_end = ""
    _comparing = 'loss="squared_error"'
    _told_near = 'with loss="squared_error" of one output, for 50 to 2,500 rows, with'
    _asked = ("predict", "decode")
    _parameter_constraints = {  # noqa: RUF012
        **PARAMETERS,
        "loss": [StrOptions(set(get_args(TabularLossName)))],
        **QUANTILE,
    }

    def __init__(
        self,
        members: int | Literal["auto"] = "auto",
        *,
        preset: Literal["fast", "default", "best"] = "default",
        hidden_units: Units | Literal["auto"] = "auto",
        activation: Literal["auto"] | ActivationName = "auto",
        dropout: float = 0.15,
        categorical_features: CategoricalFeatures = "from_dtype",
        max_one_hot: int = 9,
        max_categories: int = 10_000,
        n_bins: int = 16,
        embedding_size: int = 8,
        weight_decay: float = 0.02,
        learning_rate: float | Literal["auto"] = "auto",
        max_iter: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        loss: TabularLossName = "squared_error",
        quantile: Quantiles = None,
        time_limit: float | None = None,
        callbacks: Callbacks = None,
        n_jobs: int | None = None,
        n_threads: int | None = None,
        device: str = "cpu",
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.members = members
        self.preset = preset
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.categorical_features = categorical_features
        self.max_one_hot = max_one_hot
        self.max_categories = max_categories
        self.n_bins = n_bins
        self.embedding_size = embedding_size
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.loss = loss
        self.quantile = quantile
        self.time_limit = time_limit
        self.callbacks = callbacks
        self.n_jobs = n_jobs
        self.n_threads = n_threads
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _settings(self, rows):
        auto = self.learning_rate == "auto"
        # Few rows are soon learned by heart.
        rate = self._rate * min(1.0, max(0.25, rows / 1000))
        return {
            "learning_rate": rate if auto else self.learning_rate,
            "loss": self.loss,
            "quantile": self.quantile,
        }

    def _ordinary(self, y, weights):
        if y.dtype.kind not in "iuf":  # truth values, and numbers as texts
            y = y.astype(np.float64)
        return within_reach(y, weights, type(self).__name__)

    def _compares(self, y):
        return self.loss == "squared_error"

    def _losses(self, y, told):
        spread = y.std(axis=0)
        amiss = (told - y) / np.where(spread > 0, spread, 1.0)
        return (amiss * amiss).reshape(len(y), -1).mean(axis=1)

    def _conclude(self, y, weights, given, mean, seen):
        counted = y if given is None else y[given > 0]
        low, high = counted.min(axis=0), counted.max(axis=0)
        # Networks do not know what is beyond; a linear model may.
        more = self.linear_share_ * (high / 2 - low / 2)
        if self.linear_share_:
            far = np.finfo(np.float64).max / 2
            low, high = np.maximum(low - more, -far), np.minimum(high + more, far)
        self._range = low, high
        mean = np.clip(mean, *self._range)
        self.oof_predictions_ = mean
        own = None if given is None else given[seen]
        enough = np.count_nonzero(seen) > 1
        self.oof_score_ = (
            r2_score(y[seen], mean[seen], sample_weight=own) if enough else np.nan
        )

    @elsewhere.prediction
    def predict(self, X) -> np.ndarray:
        """Predict the targets.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), as y was
            Float64, in the units of y. Of several quantiles the median, or what comes
            nearest to it.
        """
        found, (low, high) = self._mean(X, self._asked), self._range
        # np.clip takes as long as a member.
        return np.minimum(np.maximum(found, low), high)

    def _write_onnx(self, writer, sources, raw=False):
        from slimlearn.estimators.onnx.tables import numbers_of_table

        return numbers_of_table(writer, self, sources)

    def _concluded(self, told):
        for op, end in ((ops.maximum, self._range[0]), (ops.minimum, self._range[1])):
            ends = ops.constant_list(np.ravel(end).astype(float).tolist(), told.dtype)
            if len(told.shape) == 3:
                ends = ops.reshape(ends, (told.shape[1], 1))
            told = op(told, ends)
        return told

    @available_if(_has_quantiles)
    @elsewhere.prediction
    def predict_quantiles(self, X) -> np.ndarray:
        """Predict the quantiles that `quantile` names.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            Float64, in the units of y and the order of `quantile`; they do not cross.
            Several outputs: (n_samples, n_outputs, n_quantiles).
        """
        low, high = (np.asarray(end)[..., np.newaxis] for end in self._range)
        return np.clip(self._mean(X, ("predict", "quantiles")), low, high)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss in ("poisson", "gamma", "tweedie")
        return tags
