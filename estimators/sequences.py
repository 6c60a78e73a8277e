"""SequenceClassifier and SequenceRegressor: networks on sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Literal

from slimlearn import layers
from slimlearn.estimators.annotations import (
    Activation,
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
    Units,
)
from slimlearn.estimators.classifier import Classifier
from slimlearn.estimators.compat import Interval, StrOptions
from slimlearn.estimators.custom import OwnNetwork
from slimlearn.estimators.dnn import LAYERS, Tower
from slimlearn.estimators.documents import document
from slimlearn.estimators.inputs.sequences import SequenceInput
from slimlearn.estimators.network import Network, as_network
from slimlearn.estimators.regressor import Regressor
from slimlearn.estimators.validation import (
    CLASS_WEIGHT,
    CLASSIFIER_LOSS,
    QUANTILE,
    REGRESSOR_LOSS,
    TAIL,
    check_units,
)
from slimlearn.layers.sequence import vocabulary_in_use

__all__ = ["SequenceClassifier", "SequenceRegressor"]

_SIZE = Interval(Integral, 1, None, closed="left")
# Of the 255 that a source may have, so that those of longer rows have their place too.
_MOST_BUCKETS = 128
PARAMETERS = {
    "net": [callable, None],
    "data_format": [StrOptions({"NTC", "NCT"})],
    "vocabulary_size": [_SIZE, None],
    "embed_dim": [_SIZE],
    "cell": [StrOptions({"lstm", "gru", "conv"})],
    "bidirectional": ["boolean"],
    "units": LAYERS["hidden_units"],
    "kernel_size": [_SIZE],
    "pooling": [StrOptions({"mean", "max", "last", "attention"})],
    "hidden_units": LAYERS["hidden_units"],
    "activation": LAYERS["activation"],
    "dropout": LAYERS["dropout"],
    "length_buckets": [Interval(Integral, 1, _MOST_BUCKETS, closed="both")],
}

_CELLS = {"lstm": layers.lstm, "gru": layers.gru}


class StepsTower:
    """Vectors of ids, layers over time, then a `Tower` at each step."""

    outputs_name = None

    def __init__(self, estimator, tower: Tower):
        self.embed_dim = estimator.embed_dim
        self.cell = estimator.cell
        self.bidirectional = estimator.bidirectional
        self.units = check_units(estimator, "units")
        self.kernel_size = estimator.kernel_size
        self.tower = tower

    def steps(self, x):
        """The layers over time, [B, T, n]."""
        vocabulary, net = vocabulary_in_use(), x
        if vocabulary is not None:
            net = layers.embedding(x, vocabulary, self.embed_dim)
        for i, units in enumerate(self.units, start=1):
            net = self._layer(net, units, f"{self.cell}{i}")
            if self.tower.keep_prob < 1.0:
                name = f"{self.cell}{i}/dropout"
                net = layers.dropout(net, self.tower.keep_prob, scope=name)
        return net

    def _layer(self, net, units: int, scope: str):
        if self.cell == "conv":
            activation = self.tower.activation
            return layers.conv1d(
                net, units, self.kernel_size, activation_fn=activation, scope=scope
            )
        layer = _CELLS[self.cell]
        if self.bidirectional:
            return layers.bidirectional(
                net, layer, units, return_sequences=True, scope=scope
            )
        return layer(net, units, return_sequences=True, scope=scope)

    def __call__(self, x):
        """Build the layers on `x`."""
        return self.tower(self.steps(x))


class SequenceTower(StepsTower):
    """The same with a pooling over time before the `Tower`."""

    def __init__(self, estimator, tower: Tower):
        super().__init__(estimator, tower)
        self.pooling = estimator.pooling

    def __call__(self, x):
        """Build the layers on `x`."""
        pooled = layers.sequence_pool(self.steps(x), self.pooling, scope="pool")
        return self.tower(pooled)


class SequenceNet(OwnNetwork):
    """What the estimators of sequences share."""

    _accept_sparse = False
    _compares_units = False
    _of_default_network = (
        *("embed_dim", "cell", "bidirectional", "units", "kernel_size", "pooling"),
        *("hidden_units", "activation", "dropout"),
    )
    _tower = SequenceTower

    def _new_input(self):
        return SequenceInput(
            self.data_format, self.vocabulary_size, self.length_buckets
        )

    def _network(self):
        if self.net is not None:
            return as_network(self.net)
        return self._tower(
            self, Tower(check_units(self), self.activation, self.dropout, False)
        )

    def _network_key(self) -> tuple | None:
        if self.net is not None or not isinstance(self.activation, str):
            return None
        return (
            "sequences",
            self.embed_dim,
            self.cell,
            bool(self.bidirectional),
            check_units(self, "units"),
            self.kernel_size,
            getattr(self, "pooling", None),
            check_units(self),
            self.activation,
            self.dropout > 0,
        )

    def _network_hypers(self) -> dict[str, float]:
        if self.net is not None or not self.dropout:
            return {}
        keep = 1.0 - float(self.dropout)
        before = [
            f"{self.cell}{i + 1}/dropout"
            for i in range(len(check_units(self, "units")))
        ]
        behind = [f"dropout{i + 1}" for i in range(len(check_units(self)))]
        return {f"{name}/keep_prob": keep for name in before + behind}


@document
class SequenceClassifier(SequenceNet, Classifier):
    """A classifier of sequences.

    X is a list of arrays, one a sequence, of steps × features or of steps alone, of any
    lengths, or a 1-d array of such objects; or an array N×T×F or N×T where all are
    equally long. Whole numbers without features, from 0 on, are ids of words or other
    things (see `TokenVectorizer`); a column of features should be scaled to about 1.
    A network that was fitted on one array takes others and lists of any length, too.

    Parameters
    ----------
    net : network object, class, function or None, default=None
        A network of your own on X's tensor, as for `NetworkClassifier`: [B, T, F] of
        numbers, or [B, T] of ids (i32), whose T differs from batch to batch.
        `layers.sequence_length` says how long its sequences are, and layers go by that
        themselves. None: ids get vectors; then the layers and the pooling that the
        next parameters say.
    data_format : {"NTC", "NCT"}, default="NTC"
        Where the features of a step stand: last, or before time, as in collections
        of aeon and sktime.
    vocabulary_size : int or None, default=None
        How many ids there may be; None: as many as the largest of `fit` says.
    embed_dim : int, default=32
        Length of the vectors of ids.
    cell : {"conv", "lstm", "gru"}, default="conv"
        What the layers over time are: convolutions, or recurrent ones.
    bidirectional : bool, default=True
        Whether recurrent layers read sequences in both directions, each with `units`.
    units : int or sequence of int, default=(32, 32)
        Of each of these layers.
    kernel_size : int, default=5
        Steps that a convolution sees; not of recurrent layers.
    pooling : {"mean", "max", "last", "attention"}, default="mean"
        What makes one vector of a sequence; see `layers.sequence_pool`.
    hidden_units : int or sequence of int, default=()
        Units of fully connected layers behind the pooling.
    activation : str or callable, default="relu"
        Of convolutions and fully connected layers; as in `DNNClassifier`.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* a unit behind each of these layers in training.
    length_buckets : int, default=8
        How many lengths batches may have at most, up to 128: quantiles of those in
        `fit`. Rows of like length are shuffled into one batch and padded to the next of
        these; padding has no part in any result. 1 pads all to the longest.
    {classifier_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        What is called ``weights`` and ``biases`` in the network; read-only views.

    See Also
    --------
    SequenceRegressor : The same for numbers.
    NetworkClassifier : A classifier of a network of your own on rows of features.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import SequenceClassifier
    >>> rng = np.random.RandomState(0)
    >>> X = [rng.normal(size=(rng.randint(5, 30), 2)) for _ in range(200)]
    >>> y = [int(x[:, 0].max() > x[:, 1].max()) for x in X]
    >>> clf = SequenceClassifier(pooling="max", max_iter=60, random_state=0)
    >>> print(f"{clf.fit(X[:150], y[:150]).score(X[150:], y[150:]):.2f}")
    0.98
    """

    _parameter_constraints = {  # noqa: RUF012
        **PARAMETERS,
        **CLASSIFIER_LOSS,
        **TAIL,
        **CLASS_WEIGHT,
    }

    def __init__(
        self,
        net: Network | Callable | None = None,
        *,
        data_format: Literal["NTC", "NCT"] = "NTC",
        vocabulary_size: int | None = None,
        embed_dim: int = 32,
        cell: Literal["conv", "lstm", "gru"] = "conv",
        bidirectional: bool = True,
        units: Units = (32, 32),
        kernel_size: int = 5,
        pooling: Literal["mean", "max", "last", "attention"] = "mean",
        hidden_units: Units = (),
        activation: Activation = "relu",
        dropout: float = 0.0,
        length_buckets: int = 8,
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
    ):
        self.net = net
        self.data_format = data_format
        self.vocabulary_size = vocabulary_size
        self.embed_dim = embed_dim
        self.cell = cell
        self.bidirectional = bidirectional
        self.units = units
        self.kernel_size = kernel_size
        self.pooling = pooling
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.length_buckets = length_buckets
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
class SequenceRegressor(SequenceNet, Regressor):
    """A regressor of sequences, for one target or many.

    X is a list of arrays, one a sequence, of steps × features or of steps alone, of any
    lengths, or a 1-d array of such objects; or an array N×T×F or N×T where all are
    equally long. Whole numbers without features, from 0 on, are ids of words or other
    things (see `TokenVectorizer`); a column of features should be scaled to about 1.
    A network that was fitted on one array takes others and lists of any length, too.
    y is scaled and unscaled by the estimator.

    Parameters
    ----------
    net : network object, class, function or None, default=None
        A network of your own on X's tensor, as for `NetworkRegressor`: [B, T, F] of
        numbers, or [B, T] of ids (i32), whose T differs from batch to batch.
        `layers.sequence_length` says how long its sequences are, and layers go by that
        themselves. None: ids get vectors; then the layers and the pooling that the
        next parameters say.
    data_format : {"NTC", "NCT"}, default="NTC"
        Where the features of a step stand: last, or before time, as in collections
        of aeon and sktime.
    vocabulary_size : int or None, default=None
        How many ids there may be; None: as many as the largest of `fit` says.
    embed_dim : int, default=32
        Length of the vectors of ids.
    cell : {"conv", "lstm", "gru"}, default="conv"
        What the layers over time are: convolutions, or recurrent ones.
    bidirectional : bool, default=True
        Whether recurrent layers read sequences in both directions, each with `units`.
    units : int or sequence of int, default=(32, 32)
        Of each of these layers.
    kernel_size : int, default=5
        Steps that a convolution sees; not of recurrent layers.
    pooling : {"mean", "max", "last", "attention"}, default="mean"
        What makes one vector of a sequence; see `layers.sequence_pool`.
    hidden_units : int or sequence of int, default=()
        Units of fully connected layers behind the pooling.
    activation : str or callable, default="relu"
        Of convolutions and fully connected layers; as in `DNNRegressor`.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* a unit behind each of these layers in training.
    length_buckets : int, default=8
        How many lengths batches may have at most, up to 128: quantiles of those in
        `fit`. Rows of like length are shuffled into one batch and padded to the next of
        these; padding has no part in any result. 1 pads all to the longest.
    {regressor_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        What is called ``weights`` and ``biases`` in the network; read-only views.

    See Also
    --------
    SequenceClassifier : The same for classes.
    NetworkRegressor : A regressor of a network of your own on rows of features.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import SequenceRegressor
    >>> rng = np.random.RandomState(0)
    >>> X = [rng.normal(size=(rng.randint(5, 30), 2)) for _ in range(200)]
    >>> y = [x[:, 0].max() - x[:, 1].max() for x in X]
    >>> reg = SequenceRegressor(pooling="max", max_iter=60, random_state=0)
    >>> print(f"{reg.fit(X[:150], y[:150]).score(X[150:], y[150:]):.2f}")
    0.98
    """

    _parameter_constraints = {  # noqa: RUF012
        **PARAMETERS,
        **REGRESSOR_LOSS,
        **QUANTILE,
        **TAIL,
    }

    def __init__(
        self,
        net: Network | Callable | None = None,
        *,
        data_format: Literal["NTC", "NCT"] = "NTC",
        vocabulary_size: int | None = None,
        embed_dim: int = 32,
        cell: Literal["conv", "lstm", "gru"] = "conv",
        bidirectional: bool = True,
        units: Units = (32, 32),
        kernel_size: int = 5,
        pooling: Literal["mean", "max", "last", "attention"] = "mean",
        hidden_units: Units = (),
        activation: Activation = "relu",
        dropout: float = 0.0,
        length_buckets: int = 8,
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
    ):
        self.net = net
        self.data_format = data_format
        self.vocabulary_size = vocabulary_size
        self.embed_dim = embed_dim
        self.cell = cell
        self.bidirectional = bidirectional
        self.units = units
        self.kernel_size = kernel_size
        self.pooling = pooling
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.length_buckets = length_buckets
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
