"""NetworkClassifier and NetworkRegressor: a network function of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Literal

import numpy as np

from slimlearn.estimators.annotations import (
    AnyOptimizer,
    AnyRate,
    AnySchedule,
    Callbacks,
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
from slimlearn.estimators.inputs import NamedInput
from slimlearn.estimators.network import as_network
from slimlearn.estimators.regressor import Regressor
from slimlearn.estimators.validation import (
    CLASS_WEIGHT,
    CLASSIFIER_LOSS,
    QUANTILE,
    REGRESSOR_LOSS,
    TAIL,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["NetworkClassifier", "NetworkRegressor"]


class OwnNetwork:
    """An estimator whose parameter `net` is a network of the user's own."""

    # Parameters of the network that there is without `net`.
    _of_default_network: tuple[str, ...] = ()

    def _idle(self) -> list[str]:
        if self.net is None:
            return []
        known = signature(type(self)).parameters
        return [
            name
            for name in self._of_default_network
            if not np.array_equal(getattr(self, name), known[name].default)
        ]

    def set_params(self, **params) -> Self:
        """Set parameters; ``net__<parameter>`` reaches into the network.

        Parameters
        ----------
        **params
            Of the constructor, and of the network as ``net__units``.

        Returns
        -------
        self
        """
        net = params.get("net", self.net)
        nested = [name for name in params if name.startswith("net__")]
        if nested and (isinstance(net, type) or not hasattr(net, "set_params")):
            raise ValueError(
                f"{nested[0]}: net={net!r} holds no parameters: decorate the function "
                "with @network and pass an instance, as in net=tower()"
            )
        return super().set_params(**params)


class Custom(OwnNetwork):
    """What NetworkClassifier and NetworkRegressor share."""

    def _network(self):
        return as_network(self.net)

    def _new_input(self):
        if self.feature_columns is not None:
            # They read tables, whose package has networks like these.
            from slimlearn.estimators.features.input import FeatureInput, check_columns

            if self.inputs is not None:
                raise ValueError(
                    f"{type(self).__name__}: give inputs or feature_columns, not both"
                )
            columns = check_columns("feature_columns", self.feature_columns)
            return FeatureInput(columns)
        return super()._new_input() if self.inputs is None else NamedInput(self.inputs)


@document
class NetworkClassifier(Custom, Classifier):
    """A classifier of a network function.

    X should be scaled, for example by StandardScaler.

    Parameters
    ----------
    net : network object, class or function
        An instance of a function decorated with `network`, such as
        ``tower(units=(64,))``, whose parameters can be searched as ``net__units``. It
        builds layers on X's tensor [B, n_features], or on a dict of tensors by the
        names of `inputs`. A function with a parameter
        ``num_classes`` (or ``num_outputs``) is given the number of logits, 1 for two
        classes and for classes in order, and returns them; to what any other function
        returns, a linear layer ``logits`` is added.
    {inputs}
    {feature_columns}
    {classifier_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        What is called ``weights`` and ``biases`` in the network; read-only views.

    See Also
    --------
    network : Makes a function searchable.
    NetworkRegressor : The same for numbers.
    DNNClassifier : A classifier of fully connected layers from a list of widths.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from slimlearn import NetworkClassifier, layers, network
    >>> @network
    ... def tower(x, units=(16, 8)):
    ...     return layers.stack(x, layers.fully_connected, units, scope="fc")
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = NetworkClassifier(tower(), random_state=0)
    >>> clf = make_pipeline(StandardScaler(), clf)
    >>> print(f"{clf.fit(X, y).score(X, y):.2f}")
    0.96
    """

    _parameter_constraints = {  # noqa: RUF012
        "net": [callable],
        "inputs": [Mapping, None],
        "feature_columns": [list, tuple, None],
        **CLASSIFIER_LOSS,
        **TAIL,
        **CLASS_WEIGHT,
    }

    def __init__(
        self,
        net: Callable,
        *,
        inputs: Mapping | None = None,
        feature_columns: Sequence | None = None,
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
        self.net = net
        self.inputs = inputs
        self.feature_columns = feature_columns
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
class NetworkRegressor(Custom, Regressor):
    """A regressor of a network function, for one target or many.

    X should be scaled, for example by StandardScaler; y is scaled and unscaled by the
    estimator.

    Parameters
    ----------
    net : network object, class or function
        An instance of a function decorated with `network`, such as
        ``tower(units=(64,))``, whose parameters can be searched as ``net__units``. It
        builds layers on X's tensor [B, n_features], or on a dict of tensors by the
        names of `inputs`. A function with a parameter
        ``num_outputs`` (or ``num_classes``) is given the number of targets, times that
        of the quantiles where there are several, or of what the loss needs for each,
        such as 2 for "gaussian", and returns so many numbers; to what
        any other function returns, a linear layer ``output`` is added.
    {inputs}
    {feature_columns}
    {regressor_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        What is called ``weights`` and ``biases`` in the network; read-only views.

    See Also
    --------
    network : Makes a function searchable.
    NetworkClassifier : The same for classes.
    DNNRegressor : A regressor of fully connected layers from a list of widths.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from slimlearn import NetworkRegressor, layers, network
    >>> @network
    ... def tower(x, units=(16, 8)):
    ...     return layers.stack(x, layers.fully_connected, units, scope="fc")
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = NetworkRegressor(tower(), random_state=0)
    >>> reg = make_pipeline(StandardScaler(), reg)
    >>> print(f"{reg.fit(X, y).score(X, y):.1f}")
    0.6
    """

    _parameter_constraints = {  # noqa: RUF012
        "net": [callable],
        "inputs": [Mapping, None],
        "feature_columns": [list, tuple, None],
        **REGRESSOR_LOSS,
        **QUANTILE,
        **TAIL,
    }

    def __init__(
        self,
        net: Callable,
        *,
        inputs: Mapping | None = None,
        feature_columns: Sequence | None = None,
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
        self.net = net
        self.inputs = inputs
        self.feature_columns = feature_columns
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
