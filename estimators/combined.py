"""DNNLinearCombinedClassifier and -Regressor: wide and deep, by two optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.estimators.annotations import (
    Activation,
    AnySchedule,
    Callbacks,
    ClassifierLosses,
    ClassWeight,
    OneOptimizer,
    OneRate,
    Precision,
    Quantiles,
    RandomState,
    RegressorLosses,
    Scoring,
    Units,
)
from slimlearn.estimators.classifier import Classifier
from slimlearn.estimators.dnn import LAYERS, Tower
from slimlearn.estimators.documents import document
from slimlearn.estimators.features.defaults import DefaultInput
from slimlearn.estimators.features.input import FeatureInput, check_columns
from slimlearn.estimators.regressor import Regressor
from slimlearn.estimators.validation import (
    CLASS_WEIGHT,
    CLASSIFIER_LOSS,
    ONE_OPTIMIZER,
    ONE_RATE,
    QUANTILE,
    REGRESSOR_LOSS,
    TAIL,
    check_units,
)
from slimlearn.layers.feature_columns import Features

__all__ = ["DNNLinearCombinedClassifier", "DNNLinearCombinedRegressor"]

_PARTS = {
    "linear_feature_columns": [list, tuple, None],
    "dnn_feature_columns": [list, tuple, None],
    **{f"dnn_{name}": rows for name, rows in LAYERS.items()},
    "linear_optimizer": ONE_OPTIMIZER,
    "dnn_optimizer": ONE_OPTIMIZER,
    "linear_learning_rate": ONE_RATE,
    "dnn_learning_rate": ONE_RATE,
    **{k: v for k, v in TAIL.items() if k not in ("optimizer", "learning_rate")},
}


class WideAndDeep:
    """A linear layer and a tower on the same rows, whose outputs are added."""

    outputs_name = "num_outputs"

    def __init__(self, tower: Tower):
        self.tower = tower

    def __call__(self, x, num_outputs):
        """Build both on `x`, where both have columns."""
        columns = isinstance(x, Features)
        outputs, given = [], {}
        # The network comes last: what it ends in are the features of a row.
        if not columns or x.linear:
            outputs.append(self._wide(x, num_outputs))
            given = {"biases_initializer": None}  # one is enough for both
        if not columns or x.columns:
            with layers.variable_scope("dnn"):
                net = x
                if columns:
                    net = layers.input_layer(x, x.columns, scope="input")
                net = self.tower(net)
                deep = layers.linear(net, num_outputs, scope="logits", **given)
            outputs.append(deep)
        return outputs[0] if len(outputs) == 1 else ops.add(*outputs)

    def _wide(self, x, num_outputs):
        if isinstance(x, Features):
            return layers.linear_model(x, x.linear, num_outputs, scope="linear")
        zeros = layers.zeros_initializer()
        return layers.linear(x, num_outputs, weights_initializer=zeros, scope="linear")


class Combined:
    """What both estimators share."""

    _learning_rates = ("linear_learning_rate", "dnn_learning_rate")

    def _parts(self) -> dict[str, tuple | None]:
        """The columns of each part there is; None where X's own are meant."""
        linear, dnn = self.linear_feature_columns, self.dnn_feature_columns
        if linear is None and dnn is None:
            return {"dnn": None, "linear": None}
        parts = {
            "dnn": check_columns("dnn_feature_columns", () if dnn is None else dnn),
            "linear": check_columns(
                "linear_feature_columns", () if linear is None else linear
            ),
        }
        parts = {name: columns for name, columns in parts.items() if columns}
        if not parts:
            raise ValueError(
                f"{type(self).__name__}: linear_feature_columns and "
                "dnn_feature_columns are empty: give one of them columns, or leave "
                "both None for all columns of X"
            )
        return parts

    def _new_input(self):
        parts = self._parts()
        if None in parts.values():
            return DefaultInput(self._accept_sparse)
        return FeatureInput(parts.get("dnn", ()), parts.get("linear", ()))

    def _optimizer_wish(self):
        # The deep one's first: its rate is the one that shows.
        return self._of_parts("optimizer")

    def _learning_rate_wish(self):
        return self._of_parts("learning_rate")

    def _of_parts(self, name: str) -> dict:
        parts = self._parts()
        return {f"{part}*": getattr(self, f"{part}_{name}") for part in parts}

    def _network(self) -> WideAndDeep:
        return WideAndDeep(
            Tower(
                check_units(self, "dnn_hidden_units"),
                self.dnn_activation,
                self.dnn_dropout,
                self.dnn_batch_norm,
            )
        )

    def _network_key(self) -> tuple | None:
        if not isinstance(self.dnn_activation, str):
            return None
        units = check_units(self, "dnn_hidden_units")
        dropout, norm = self.dnn_dropout > 0, bool(self.dnn_batch_norm)
        return ("combined", units, self.dnn_activation, dropout, norm)

    def _network_hypers(self) -> dict[str, float]:
        if not self.dnn_dropout or "dnn" not in self._parts():
            return {}
        keep = 1.0 - float(self.dnn_dropout)
        count = len(check_units(self, "dnn_hidden_units"))
        return {f"dnn/dropout{i}/keep_prob": keep for i in range(1, count + 1)}


@document
class DNNLinearCombinedClassifier(Combined, Classifier):
    """A classifier that is wide and deep: a linear layer beside a network.

    {wide_and_deep}

    Parameters
    ----------
    {combined}
    {classifier_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        What is called ``weights`` and ``biases`` in the program; read-only views.

    See Also
    --------
    slimlearn.feature_column : Makes feature columns.
    DNNClassifier : The network alone.
    LinearClassifier : The linear part alone.

    References
    ----------
    Cheng et al. (2016), Wide & Deep Learning for Recommender Systems.
    https://arxiv.org/abs/1606.07792

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import DNNLinearCombinedClassifier, feature_column
    >>> rng = np.random.default_rng(0)
    >>> X = {"job": rng.choice(["cook", "nurse", "clerk"], 600),
    ...      "town": rng.choice(["Rome", "Oslo"], 600), "age": rng.normal(size=600)}
    >>> y = X["age"] > np.where((X["job"] == "cook") == (X["town"] == "Rome"), -1, 1)
    >>> both = feature_column.crossed_column(["job", "town"], 100)
    >>> age = feature_column.numeric_column("age")
    >>> clf = DNNLinearCombinedClassifier([both], [age], (16,), random_state=0)
    >>> print(f"{clf.fit(X, y).score(X, y):.2f}")
    1.00
    """

    _parameter_constraints = {  # noqa: RUF012
        **_PARTS,
        **CLASSIFIER_LOSS,
        **CLASS_WEIGHT,
    }

    def __init__(
        self,
        linear_feature_columns: Sequence | None = None,
        dnn_feature_columns: Sequence | None = None,
        dnn_hidden_units: Units = (100,),
        *,
        linear_optimizer: OneOptimizer = "ftrl",
        dnn_optimizer: OneOptimizer = "adagrad",
        linear_learning_rate: OneRate = "auto",
        dnn_learning_rate: OneRate = "auto",
        dnn_activation: Activation = "relu",
        dnn_dropout: float = 0.0,
        dnn_batch_norm: bool = False,
        loss: ClassifierLosses = "log_loss",
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
        self.linear_feature_columns = linear_feature_columns
        self.dnn_feature_columns = dnn_feature_columns
        self.dnn_hidden_units = dnn_hidden_units
        self.linear_optimizer = linear_optimizer
        self.dnn_optimizer = dnn_optimizer
        self.linear_learning_rate = linear_learning_rate
        self.dnn_learning_rate = dnn_learning_rate
        self.dnn_activation = dnn_activation
        self.dnn_dropout = dnn_dropout
        self.dnn_batch_norm = dnn_batch_norm
        self.loss = loss
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
class DNNLinearCombinedRegressor(Combined, Regressor):
    """A regressor that is wide and deep: a linear layer beside a network.

    {wide_and_deep}

    Parameters
    ----------
    {combined}
    {regressor_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        What is called ``weights`` and ``biases`` in the program; read-only views.

    See Also
    --------
    slimlearn.feature_column : Makes feature columns.
    DNNRegressor : The network alone.
    LinearRegressor : The linear part alone.

    References
    ----------
    Cheng et al. (2016), Wide & Deep Learning for Recommender Systems.
    https://arxiv.org/abs/1606.07792

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import DNNLinearCombinedRegressor, feature_column
    >>> rng = np.random.default_rng(0)
    >>> X = {"shop": rng.integers(0, 50, 800), "size": rng.uniform(0, 1, 800)}
    >>> y = np.cos(X["shop"]) + np.sin(3 * X["size"])
    >>> shop = feature_column.categorical_column_with_identity("shop", 50)
    >>> size = feature_column.numeric_column("size")
    >>> reg = DNNLinearCombinedRegressor([shop], [size], (16,), random_state=0)
    >>> print(f"{reg.fit(X, y).score(X, y):.2f}")
    0.99
    """

    _parameter_constraints = {  # noqa: RUF012
        **_PARTS,
        **REGRESSOR_LOSS,
        **QUANTILE,
    }

    def __init__(
        self,
        linear_feature_columns: Sequence | None = None,
        dnn_feature_columns: Sequence | None = None,
        dnn_hidden_units: Units = (100,),
        *,
        linear_optimizer: OneOptimizer = "ftrl",
        dnn_optimizer: OneOptimizer = "adagrad",
        linear_learning_rate: OneRate = "auto",
        dnn_learning_rate: OneRate = "auto",
        dnn_activation: Activation = "relu",
        dnn_dropout: float = 0.0,
        dnn_batch_norm: bool = False,
        loss: RegressorLosses = "squared_error",
        quantile: Quantiles = None,
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
        self.linear_feature_columns = linear_feature_columns
        self.dnn_feature_columns = dnn_feature_columns
        self.dnn_hidden_units = dnn_hidden_units
        self.linear_optimizer = linear_optimizer
        self.dnn_optimizer = dnn_optimizer
        self.linear_learning_rate = linear_learning_rate
        self.dnn_learning_rate = dnn_learning_rate
        self.dnn_activation = dnn_activation
        self.dnn_dropout = dnn_dropout
        self.dnn_batch_norm = dnn_batch_norm
        self.loss = loss
        self.quantile = quantile
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
