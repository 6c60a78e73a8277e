"""LinearClassifier and LinearRegressor: one layer, by default trained by L-BFGS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from slimlearn import layers
from slimlearn.estimators.annotations import (
    AnyOptimizer,
    AnyRate,
    AnySchedule,
    Callbacks,
    CategoricalFeatures,
    ClassifierLosses,
    ClassWeight,
    Precision,
    Quantiles,
    RandomState,
    RegressorLosses,
    Scoring,
)
from slimlearn.estimators.classifier import Classifier
from slimlearn.estimators.documents import document
from slimlearn.estimators.features.categories import CategoryInput
from slimlearn.estimators.regressor import Regressor
from slimlearn.estimators.validation import (
    CATEGORIES,
    CLASS_WEIGHT,
    CLASSIFIER_LOSS,
    QUANTILE,
    REGRESSOR_LOSS,
    TAIL,
)

__all__ = ["LinearClassifier", "LinearRegressor"]


class OneLayer:
    """A linear layer that starts at zero: the objective is convex."""

    outputs_name = "num_outputs"

    def __call__(self, x, num_outputs):
        """Build the layer on `x`."""
        return layers.fully_connected(
            x,
            num_outputs,
            activation_fn=None,
            weights_initializer=layers.zeros_initializer(),
            scope="linear",
        )


class Linear:
    """What LinearClassifier and LinearRegressor share."""

    _first_layer = "linear"

    def _new_input(self):
        return CategoryInput(self.categorical_features, False, self._accept_sparse)

    def _network(self) -> OneLayer:
        return OneLayer()

    def _network_key(self) -> tuple:
        return ("linear",)


@document
class LinearClassifier(Linear, Classifier):
    """A linear classifier: logistic regression, or a linear SVM with loss="hinge".

    L-BFGS, the default, measures the weights and `tol` as if X's columns were centred
    and scaled, so that they need not be; the penalty is on the weights in X's units.

    It has a penalty by default, as scikit-learn's have: classes that a plane parts have
    no best weights without one, and probabilities that round to 1. The default is that
    of LogisticRegression's ``C=1`` at 1,000 rows; ``C`` is 1 / (l2_regularization · n).

    Parameters
    ----------
    {categories}
    {classifier_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coef_ : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes
        Weights of the features. Several labels have a row each, several outputs of
        several classes one for each class, loss "ordinal" a single one.
    intercept_ : ndarray of shape (1,) for two classes, else (n_classes,)

    See Also
    --------
    LinearRegressor : The same for numbers.
    DNNClassifier : With hidden layers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from slimlearn import LinearClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = LinearClassifier(l2_regularization=0.01, tol=1e-6, max_iter=500)
    >>> print(f"{clf.fit(X, y).score(X, y):.2f}")
    0.97
    """

    _parameter_constraints = {  # noqa: RUF012
        **CATEGORIES,
        **CLASSIFIER_LOSS,
        **TAIL,
        **CLASS_WEIGHT,
    }

    def __init__(
        self,
        *,
        categorical_features: CategoricalFeatures = "from_dtype",
        loss: ClassifierLosses = "log_loss",
        optimizer: AnyOptimizer = "lbfgs",
        learning_rate: AnyRate = "auto",
        learning_rate_schedule: AnySchedule = "constant",
        schedules: Mapping[str, AnySchedule] | None = None,
        max_iter: int = 100,
        batch_size: Literal["auto"] | int = "auto",
        accumulate: int = 1,
        l2_regularization: float = 1e-3,
        gradient_clip_norm: float | None = None,
        class_weight: ClassWeight = None,
        early_stopping: bool = False,
        validation_fraction: float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        scoring: Scoring = "loss",
        shuffle: bool = True,
        warm_start: bool = False,
        callbacks: Callbacks = None,
        precision: Precision = "auto",
        device: str = "cpu",
        n_threads: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.categorical_features = categorical_features
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.schedules = schedules
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.l2_regularization = l2_regularization
        self.gradient_clip_norm = gradient_clip_norm
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scoring = scoring
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.precision = precision
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    @property
    def coef_(self) -> np.ndarray:
        """Weights of the features, one row a class (one row in all for two classes)."""
        return self.coefs_[0].T

    @property
    def intercept_(self) -> np.ndarray:
        """The bias of each row of ``coef_``."""
        return self.intercepts_[0]


@document
class LinearRegressor(Linear, Regressor):
    """A linear regressor, for one target or many.

    L-BFGS, the default, measures the weights and `tol` as if X's columns were centred
    and scaled, so that they need not be; the penalty is on the weights in X's units.

    Parameters
    ----------
    {categories}
    {regressor_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coef_ : ndarray of shape (n_features,), or (n_outputs, n_features) for a 2-d y
        Weights of the features, in the units of y (of log y for "poisson"). A loss of
        several numbers per target, such as "gaussian", has a row for each of them;
        those of deviations are the network's own.
    intercept_ : float, or ndarray of shape (n_outputs,) for a 2-d y

    See Also
    --------
    LinearClassifier : The same for classes.
    DNNRegressor : With hidden layers.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from slimlearn import LinearRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = LinearRegressor(tol=1e-6, max_iter=1000)
    >>> print(f"{reg.fit(X, y).score(X, y):.2f}")
    0.52
    """

    _parameter_constraints = {  # noqa: RUF012
        **CATEGORIES,
        **REGRESSOR_LOSS,
        **QUANTILE,
        **TAIL,
    }

    def __init__(
        self,
        *,
        categorical_features: CategoricalFeatures = "from_dtype",
        loss: RegressorLosses = "squared_error",
        quantile: Quantiles = None,
        optimizer: AnyOptimizer = "lbfgs",
        learning_rate: AnyRate = "auto",
        learning_rate_schedule: AnySchedule = "constant",
        schedules: Mapping[str, AnySchedule] | None = None,
        max_iter: int = 100,
        batch_size: Literal["auto"] | int = "auto",
        accumulate: int = 1,
        l2_regularization: float = 0.0,
        gradient_clip_norm: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        scoring: Scoring = "loss",
        shuffle: bool = True,
        warm_start: bool = False,
        callbacks: Callbacks = None,
        precision: Precision = "auto",
        device: str = "cpu",
        n_threads: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.categorical_features = categorical_features
        self.loss = loss
        self.quantile = quantile
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.schedules = schedules
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.l2_regularization = l2_regularization
        self.gradient_clip_norm = gradient_clip_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scoring = scoring
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.precision = precision
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    @property
    def coef_(self) -> np.ndarray:
        """Weights of the features in the units of y."""
        weights, head = self.coefs_[0], self._head
        scaled = (np.asarray(weights, dtype=np.float64) * head.units()[0]).T
        return scaled if head.shape or not head.flat else scaled[0]

    @property
    def intercept_(self):
        """The prediction for features of 0, in y's units (log y with a log link)."""
        biases, head = self.intercepts_[0], self._head
        scale, center = head.units()
        scaled = np.asarray(biases, dtype=np.float64) * scale + center
        return scaled if head.shape or not head.flat else float(scaled[0])
