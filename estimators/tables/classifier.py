"""TabularClassifier."""

from __future__ import annotations

from numbers import Real
from typing import Literal

import numpy as np
from scipy.special import logit
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from slimlearn.estimators import elsewhere
from slimlearn.estimators.annotations import (
    ActivationName,
    Callbacks,
    CategoricalFeatures,
    ClassWeight,
    RandomState,
    Units,
)
from slimlearn.estimators.compat import Interval, available_if
from slimlearn.estimators.labels import (
    class_factors,
    class_weighted,
    codes_of,
    find_classes,
    outputs_of,
)
from slimlearn.estimators.losses import LogLoss
from slimlearn.estimators.tables.documents import document
from slimlearn.estimators.tables.ensemble import TabularEnsemble
from slimlearn.estimators.tables.sizing import PARAMETERS
from slimlearn.estimators.tables.temperature import (
    best_temperature,
    tempered,
    tempered_parts,
    tempered_shares,
)
from slimlearn.estimators.validation import CLASS_WEIGHT

__all__ = ["TabularClassifier"]

# Out-of-fold rows that a temperature needs.
_ROWS = 30


def _has_one_decision(estimator) -> bool:
    if estimator.__dict__.get("_several", False):
        raise AttributeError(
            "decision_function is not available for y with several outputs of several "
            "classes: use predict_proba"
        )
    return True


@document
class TabularClassifier(ClassifierMixin, TabularEnsemble):
    """A classifier of tables as they are, with mixed columns and missing values.

    An ensemble of small networks. What columns hold is learned by a `TabularEncoder`
    inside; the members are trained on folds of the rows, and their probabilities are
    averaged and calibrated by one temperature.
    A linear model, solved, counts as well as held-out rows say: where there is little
    to be had it is as good as alone. So does, of few rows, a Gaussian process of them.
    Where X has more numbers than a quarter of the rows, each member reads those that
    are most correlated with y, they or their squares.

    Parameters
    ----------
    {shared}
    label_smoothing : float in [0, 1), default=0.1
        The part of a label that is spread over all classes while members are trained.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Factors of the classes' weights, as in `DNNClassifier`.
    calibrate : bool, default=True
        Whether probabilities are raised to a power that makes the log loss of the
        out-of-fold rows least.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of ndarray
        The labels; of several outputs a list.
    oof_predictions_ : ndarray of shape (n_samples, n_classes), or list of these
        Probabilities of the rows of fit by members that did not see them, before they
        are calibrated. NaN for rows that no member held out.
    oof_score_ : float
        The accuracy of these.
    n_iter_ : int
        Epochs of the member that was trained longest.
    temperature_ : float
        Probabilities are raised to the power 1 / temperature.
    {attributes}

    See Also
    --------
    TabularRegressor : The same for numbers.
    TabularEncoder : What is inside, as a transformer.
    DNNClassifier : One network on numbers, which reads sparse rows too.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from slimlearn import TabularClassifier
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> clf = TabularClassifier(preset="fast", random_state=0).fit(X[::2], y[::2])
    >>> print(f"{clf.score(X[1::2], y[1::2]):.1f}")
    1.0
    """

    _parameter_constraints = {  # noqa: RUF012
        **PARAMETERS,
        **CLASS_WEIGHT,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "calibrate": ["boolean"],
    }
    _asked = ("predict_proba", "arrange")

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
        label_smoothing: float = 0.1,
        class_weight: ClassWeight = None,
        calibrate: bool = True,
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
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.calibrate = calibrate
        self.time_limit = time_limit
        self.callbacks = callbacks
        self.n_jobs = n_jobs
        self.n_threads = n_threads
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _look_at(self, y, weights):
        self.classes_ = classes = find_classes(y)
        codes = codes_of(classes, y)
        self._has_columns = y.ndim == 2
        if self._has_columns:
            return np.unique(codes, axis=0, return_inverse=True)[1].ravel(), weights
        counts = np.bincount(codes, weights, len(classes))
        if self.class_weight is not None:
            # Validation and temperature go by these weights as training does.
            [factors] = class_factors(self.class_weight, classes, False, [counts])
            weights = class_weighted(factors, weights, codes)
            counts = np.bincount(codes, weights, len(classes))
        if np.count_nonzero(counts) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in the "
                "data, but the data contains only one class: "
                f"{classes[counts.argmax()]}"
            )
        return codes, weights

    def _targets(self, y):
        if self._has_columns:
            columns = zip(outputs_of(self.classes_, True), y.T)
            return np.concatenate([c[:, None] == k for k, c in columns], axis=1)
        return y[:, None] == self.classes_

    def _settings(self, rows):
        auto = self.learning_rate == "auto"
        # Of several outputs, each has factors of its own.
        several = self._has_columns
        return {
            "learning_rate": self._rate if auto else self.learning_rate,
            "class_weight": self.class_weight if several else None,
            "loss": LogLoss(label_smoothing=float(self.label_smoothing)),
        }

    def _compares(self, y):
        return not self._has_columns

    def _losses(self, y, told):
        codes = codes_of(self.classes_, y)
        if len(codes) >= _ROWS:
            # Linear models take longer to become sure, which says nothing of them.
            told = tempered(told, 1.0 / best_temperature(told, codes, None))
        right = told[np.arange(len(y)), codes]
        return -np.log(np.maximum(right, 1e-12))

    def _conclude(self, y, weights, given, mean, seen):
        codes = codes_of(self.classes_, y)
        self.oof_predictions_ = mean
        self._several = isinstance(mean, list)
        self.temperature_ = 1.0
        self.oof_score_ = np.nan
        if not seen.any():
            return
        found = [part[seen] for part in mean] if self._several else mean[seen]
        own, given = (None if w is None else w[seen] for w in (weights, given))
        right = self._labels(found) == y[seen]
        right = right if right.ndim == 1 else right.all(axis=1)
        self.oof_score_ = float(np.average(right, weights=given))
        if self.calibrate and np.count_nonzero(seen) >= _ROWS:
            self.temperature_ = best_temperature(found, codes[seen], own, surely=True)

    def _labels(self, probabilities):
        """Labels of probabilities, as y was."""
        if self._several:
            pairs = zip(self.classes_, probabilities)
            columns = [c[p.argmax(axis=1)] for c, p in pairs]
            same = len({c.dtype.kind for c in columns}) == 1
            return np.stack([c if same else c.astype(object) for c in columns], axis=1)
        if self._is_indicator:
            return (probabilities > 0.5).astype(np.int64)
        return self.classes_[probabilities.argmax(axis=1)]

    @property
    def _is_indicator(self) -> bool:
        return self._has_columns and not self._several

    @elsewhere.prediction
    def predict_proba(self, X) -> np.ndarray:
        """The probability of each class.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Float64, in the order of ``classes_``. Several labels per row: of having
            each. Several outputs of several classes: a list with an array for each.
        """
        found = self._mean(X, self._asked)
        if self.temperature_ == 1.0:
            return found
        power = 1.0 / self.temperature_
        if self._several:
            return [tempered(part, power) for part in found]
        if self._is_indicator:
            return tempered(np.stack((1.0 - found, found), axis=-1), power)[..., 1]
        return tempered(found, power)

    def _write_onnx(self, writer, sources, raw=False):
        from slimlearn.estimators.onnx.tables import classes_of_table

        return classes_of_table(writer, self, sources, raw)

    def _concluded(self, told):
        if self.temperature_ == 1.0:
            return told
        power = 1.0 / self.temperature_
        if self._is_indicator:
            return tempered_shares(told, power)
        classes = outputs_of(self.classes_, self._several)
        return tempered_parts(told, power, [len(own) for own in classes])

    @elsewhere.prediction
    def predict_log_proba(self, X) -> np.ndarray:
        """The logarithms of the probabilities.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a list of these
        """
        found = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(p) for p in found] if self._several else np.log(found)

    @available_if(_has_one_decision)
    @elsewhere.prediction
    def decision_function(self, X) -> np.ndarray:
        """How much speaks for each class.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
            The log-odds of ``classes_[1]``, or of having each label; else the
            logarithms of the probabilities.
        """
        found = self.predict_proba(X)
        if self._is_indicator:
            return logit(found)
        with np.errstate(divide="ignore"):
            logs = np.log(found)
        return logs[:, 1] - logs[:, 0] if len(self.classes_) == 2 else logs

    @elsewhere.prediction
    def predict(self, X) -> np.ndarray:
        """The most likely class of each row, or of each of its outputs.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), as y was
        """
        # A temperature changes no order.
        return self._labels(self._mean(X, self._asked))

    @elsewhere.prediction
    def score(self, X, y, sample_weight=None) -> float:
        """The accuracy: the share of rows that are right in all of their labels.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        predicted = self.predict(X)
        if predicted.ndim == 1 or self._is_indicator:
            return accuracy_score(y, predicted, sample_weight=sample_weight)
        right = (np.asarray(y) == predicted).all(axis=1)
        return float(np.average(right, weights=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags
