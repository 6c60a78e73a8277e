"""DNNClassifier and DNNRegressor: fully connected layers from a list of widths."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Literal

from slimlearn import layers
from slimlearn.estimators.annotations import (
    Activation,
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
    Units,
)
from slimlearn.estimators.classifier import Classifier
from slimlearn.estimators.compat import Interval, StrOptions
from slimlearn.estimators.documents import document
from slimlearn.estimators.features.categories import CategoryInput
from slimlearn.estimators.regressor import Regressor
from slimlearn.estimators.validation import (
    ACTIVATIONS,
    CATEGORIES,
    CLASS_WEIGHT,
    CLASSIFIER_LOSS,
    HIDDEN_UNITS,
    QUANTILE,
    REGRESSOR_LOSS,
    TAIL,
    check_units,
)

__all__ = ["DNNClassifier", "DNNRegressor"]

LAYERS = {
    "hidden_units": HIDDEN_UNITS,
    "activation": [StrOptions(set(ACTIVATIONS)), callable],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "batch_norm": ["boolean"],
}


class Tower:
    """Fully connected layers, each normalized, activated and dropped out as asked."""

    outputs_name = None

    def __init__(self, units, activation, dropout, batch_norm):
        self.units = units
        self.activation = activation
        self.keep_prob = 1.0 - dropout
        self.normalizer = layers.batch_norm if batch_norm else None

    def __call__(self, x):
        """Build the layers on `x`."""
        net = x
        for i, units in enumerate(self.units, start=1):
            net = layers.fully_connected(
                net,
                units,
                activation_fn=self.activation,
                normalizer_fn=self.normalizer,
                scope=f"fc{i}",
            )
            if self.keep_prob < 1.0:
                net = layers.dropout(net, self.keep_prob, scope=f"dropout{i}")
        return net


class DNN:
    """What DNNClassifier and DNNRegressor share."""

    def _new_input(self):
        return CategoryInput(self.categorical_features, True, self._accept_sparse)

    def _units(self) -> tuple[int, ...]:
        return check_units(self)

    def _network(self) -> Tower:
        return Tower(self._units(), self.activation, self.dropout, self.batch_norm)

    def _network_key(self) -> tuple | None:
        units = self._units()
        if not isinstance(self.activation, str):
            return None
        return ("dnn", units, self.activation, self.dropout > 0, bool(self.batch_norm))

    def _network_hypers(self) -> dict[str, float]:
        if not self.dropout:
            return {}
        keep = 1.0 - float(self.dropout)
        layers_ = range(1, len(self._units()) + 1)
        return {f"dropout{i}/keep_prob": keep for i in layers_}


@document
class DNNClassifier(DNN, Classifier):
    """A classifier of fully connected layers.

    X should be scaled, for example by StandardScaler.

    Parameters
    ----------
    hidden_units : int or sequence of int, default=(100,)
        Units of each hidden layer; () is a linear model.
    activation : str or callable, default="relu"
        Of the hidden layers: "relu", "tanh", "sigmoid", "elu", "gelu", "silu" and the
        others of `slimlearn.layers.activation`, or a function from tensor to tensor.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* a hidden unit in training.
        (`slimlearn.layers.dropout` takes the probability of keeping.)
    batch_norm : bool, default=False
        Whether hidden layers are batch-normalized before their activation. Batches
        then need 2 rows or more.
    {categories}
    {classifier_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, outputs) and biases of the layers; read-only views.

    See Also
    --------
    DNNRegressor : The same for numbers.
    NetworkClassifier : A classifier of a network function of your own.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from slimlearn import DNNClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = make_pipeline(StandardScaler(), DNNClassifier((16,), random_state=0))
    >>> print(f"{clf.fit(X, y).score(X, y):.2f}")
    0.95
    """

    _parameter_constraints = {  # noqa: RUF012
        **LAYERS,
        **CATEGORIES,
        **CLASSIFIER_LOSS,
        **TAIL,
        **CLASS_WEIGHT,
    }

    def __init__(
        self,
        hidden_units: Units = (100,),
        *,
        activation: Activation = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        categorical_features: CategoricalFeatures = "from_dtype",
        loss: ClassifierLosses = "log_loss",
        optimizer: AnyOptimizer = "adam",
        learning_rate: AnyRate = "auto",
        learning_rate_schedule: AnySchedule = "constant",
        schedules: Mapping[str, AnySchedule] | None = None,
        max_iter: int = 100,
        batch_size: Literal["auto"] | int = "auto",
        accumulate: int = 1,
        l2_regularization: float = 0.0,
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
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
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


@document
class DNNRegressor(DNN, Regressor):
    """A regressor of fully connected layers, for one target or many.

    X should be scaled, for example by StandardScaler; y is scaled and unscaled by the
    estimator.

    Parameters
    ----------
    hidden_units : int or sequence of int, default=(100,)
        Units of each hidden layer; () is a linear model.
    activation : str or callable, default="relu"
        Of the hidden layers: "relu", "tanh", "sigmoid", "elu", "gelu", "silu" and the
        others of `slimlearn.layers.activation`, or a function from tensor to tensor.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* a hidden unit in training.
        (`slimlearn.layers.dropout` takes the probability of keeping.)
    batch_norm : bool, default=False
        Whether hidden layers are batch-normalized before their activation. Batches
        then need 2 rows or more.
    {categories}
    {regressor_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, outputs) and biases of the layers, for scaled targets;
        read-only views.

    See Also
    --------
    DNNClassifier : The same for classes.
    NetworkRegressor : A regressor of a network function of your own.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from slimlearn import DNNRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = make_pipeline(StandardScaler(), DNNRegressor((16,), random_state=0))
    >>> print(f"{reg.fit(X, y).score(X, y):.1f}")
    0.6
    """

    _parameter_constraints = {  # noqa: RUF012
        **LAYERS,
        **CATEGORIES,
        **REGRESSOR_LOSS,
        **QUANTILE,
        **TAIL,
    }

    def __init__(
        self,
        hidden_units: Units = (100,),
        *,
        activation: Activation = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        categorical_features: CategoricalFeatures = "from_dtype",
        loss: RegressorLosses = "squared_error",
        quantile: Quantiles = None,
        optimizer: AnyOptimizer = "adam",
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
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
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
