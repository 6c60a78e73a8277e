"""SequenceTagger: a label for each step of a sequence."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.annotations import (
    Activation,
    AnyOptimizer,
    AnyRate,
    AnySchedule,
    Callbacks,
    ClassWeight,
    Precision,
    RandomState,
    Scoring,
    Units,
)
from slimlearn.estimators.classifier import Labelled, has_probabilities
from slimlearn.estimators.compat import StrOptions, available_if, with_callbacks
from slimlearn.estimators.documents import document
from slimlearn.estimators.handle import NUMBERS
from slimlearn.estimators.heads import StepsHead
from slimlearn.estimators.labels import class_factors, find_classes, given_classes
from slimlearn.estimators.losses import ClassifierLoss, Ordinal, make_loss
from slimlearn.estimators.network import Network
from slimlearn.estimators.ragged_targets import (
    Predicted,
    check_lengths,
    check_sequences,
    codes_of_steps,
    flat,
    step_weights,
)
from slimlearn.estimators.sequences import PARAMETERS, SequenceNet, StepsTower
from slimlearn.estimators.validation import CLASS_WEIGHT, TAIL

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["SequenceTagger"]

StepLosses = Literal["log_loss", "hinge", "focal"] | ClassifierLoss | Callable

_WHAT = "a label for each step"


@document
class SequenceTagger(SequenceNet, Labelled):
    """A classifier of the steps of sequences: each gets a label.

    X is as of `SequenceClassifier`; y is a list of arrays, one a sequence, with a
    label for each of its steps, or an array N×T where all are equally long. Labels are
    numbers or words. A step's label is told by the whole sequence, as far as the
    network looks: convolutions see `kernel_size` steps in each layer, recurrent layers
    all.

    Parameters
    ----------
    net : network object, class, function or None, default=None
        A network of your own on X's tensor, [B, T, F] of numbers or [B, T] of ids, that
        returns [B, T, n], features of each step, as do `layers.conv1d` and recurrent
        layers with ``return_sequences=True``. With a parameter ``num_classes`` (or
        ``num_outputs``) it returns the logits of so many classes itself.
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
        Without it a label is told by the steps up to its own.
    units : int or sequence of int, default=(32, 32)
        Of each of these layers.
    kernel_size : int, default=5
        Steps that a convolution sees; not of recurrent layers.
    hidden_units : int or sequence of int, default=()
        Units of fully connected layers behind them, at each step.
    activation : str or callable, default="relu"
        Of convolutions and fully connected layers; as in `DNNClassifier`.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* a unit behind each of these layers in training.
    length_buckets : int, default=8
        As of `SequenceClassifier`.
    loss : {"log_loss", "hinge", "focal"}, loss object or callable, default="log_loss"
        Of a step, as of `DNNClassifier`. A function ``loss(raw, y)`` gets the logits
        [steps, n_classes] of all steps, with padding, and their class numbers [steps],
        and returns the loss of each. Every step counts as much as another, whatever
        the length of its sequence; padding counts nothing.
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        What is called ``weights`` and ``biases`` in the network; read-only views.

    See Also
    --------
    SequenceClassifier : One label for a sequence.
    Seq2Seq : Sequences of another length than X's.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import SequenceTagger
    >>> rng = np.random.RandomState(0)
    >>> X = [rng.normal(size=(rng.randint(5, 30), 2)) for _ in range(100)]
    >>> y = [np.where(x[:, 0] > x[:, 1], "up", "down") for x in X]
    >>> tagger = SequenceTagger(units=16, learning_rate=0.01, random_state=0)
    >>> print(f"{tagger.fit(X[:80], y[:80]).score(X[80:], y[80:]):.1f}")
    1.0
    >>> [len(labels) for labels in tagger.predict(X[:3])] == [len(x) for x in X[:3]]
    True
    """

    _parameter_constraints = {  # noqa: RUF012
        **{name: rows for name, rows in PARAMETERS.items() if name != "pooling"},
        "loss": [StrOptions({"log_loss", "hinge", "focal"}), ClassifierLoss, callable],
        **TAIL,
        **CLASS_WEIGHT,
    }

    _tower = StepsTower
    _of_default_network = tuple(
        name for name in SequenceNet._of_default_network if name != "pooling"
    )
    _no_chunks = "chunks of sequences with labels of their steps are not read: use fit"

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
        hidden_units: Units = (),
        activation: Activation = "relu",
        dropout: float = 0.0,
        length_buckets: int = 8,
        loss: StepLosses = "log_loss",
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

    # -- training -------------------------------------------------------------------

    @elsewhere.method
    @with_callbacks
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
        groups=None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : list of arrays, or array of shape (n_samples, T) or (n_samples, T, F)
        y : list of arrays, or array of shape (n_samples, T)
            Row i has a label for each step of ``X[i]``.
        sample_weight : array-like of shape (n_samples,), optional
            Of each step of a sequence, at least 0. Rows of weight 0 count as absent.
        X_val, y_val, sample_weight_val : optional
            Held-out rows, as in `SequenceClassifier.fit`.
        groups : array-like of shape (n_samples,), optional
            As in `SequenceClassifier.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data is out of range, or a row of y has not as many
            labels as X has steps, naming the row. A former fit then stays as it was.
        """
        data = (X, y, sample_weight, X_val, y_val, sample_weight_val, groups)
        return self._fit(self.max_iter, self.warm_start, data)

    def _checked(self, input, X, y, *, reset=True, name="X"):
        X = input.check(self, X, reset=reset, name=name)
        return X, self._labels_of(X, y, name.replace("X", "y"))

    def _labels_of(self, X, y, name: str = "y") -> np.ndarray:
        y = check_sequences(y, X, name, type(self).__name__, _WHAT)
        check_lengths(y, X, name)
        return y

    def _encode_target(self, y, former, given):
        labels = flat(y)
        if former is not None:
            classes = former["_head"].classes
        elif given is None:
            classes = find_classes(labels)
        else:
            classes = given_classes(given, labels)
        return classes, codes_of_steps(classes, y)

    def _encode_held_out(self, y, classes):
        return codes_of_steps(classes, y)

    def _row_weights(self, weights, y):
        return step_weights(weights, np.array([len(part) for part in y]))

    def _fit_head(self, classes, shape, summary, former, partial, order):
        [counts] = summary.counts_of([classes])
        if former is not None:
            head = copy.copy(self._former_head(former))
        else:
            if isinstance(make_loss(self.loss), Ordinal):
                raise ValueError(
                    f"{type(self).__name__} has no loss of classes in order: take "
                    "'log_loss'"
                )
            head = StepsHead(classes, self.loss)
            head.fit([counts], prior=1.0 if partial else 0.0)
        if isinstance(self.class_weight, list):
            raise ValueError(
                f"The 'class_weight' parameter of {type(self).__name__} must be a "
                f"dict, 'balanced' or None. Got {self.class_weight!r} instead."
            )
        [factors] = class_factors(self.class_weight, classes, False, [counts])
        head.weigh(factors, counts)
        return head

    # -- what comes out -------------------------------------------------------------

    def _by_sequence(self, function: str, X, finish: str) -> list[np.ndarray]:
        """What the head makes of the values of steps, for each sequence."""
        check_is_fitted(self, "program_")
        handle = self._handle
        X = handle.input.check(self, X)
        handle.input.check_range(self, X, handle.precision)
        lengths, make = X.lengths, getattr(self._head, finish)
        step = len(X)
        if handle.native.chunkable(function):
            width = int(lengths.max()) * len(self._head.classes)
            step = max(1, NUMBERS // width)
        found = []
        for begin in range(0, len(X), step):
            part = X if step >= len(X) else X[begin : begin + step]
            values = handle.run(function, part, self.n_threads)
            own = part.lengths
            inside = np.arange(values.shape[1]) < own[:, None]
            found += np.split(make(values[inside]), np.cumsum(own)[:-1])
        return found if X.array is not None else Predicted(found)

    @elsewhere.prediction
    def predict(self, X) -> list[np.ndarray]:
        """The most likely label of each step.

        Parameters
        ----------
        X : list of arrays, or array of shape (n_samples, T) or (n_samples, T, F)

        Returns
        -------
        list of ndarray of shape (T_i,)
            As long as the sequences, in the type of y.
        """
        return self._by_sequence("predict", X, "labels")

    @elsewhere.prediction
    def decision_function(self, X) -> list[np.ndarray]:
        """The network's numbers before they become probabilities.

        Parameters
        ----------
        X : list of arrays, or array of shape (n_samples, T) or (n_samples, T, F)

        Returns
        -------
        list of ndarray of shape (T_i, n_classes)
            Float64, of two classes too.
        """
        return self._by_sequence("predict", X, "arrange")

    @available_if(has_probabilities)
    @elsewhere.prediction
    def predict_proba(self, X) -> list[np.ndarray]:
        """The probability of each class at each step.

        Parameters
        ----------
        X : list of arrays, or array of shape (n_samples, T) or (n_samples, T, F)

        Returns
        -------
        list of ndarray of shape (T_i, n_classes)
            Float64, in the order of ``classes_``.
        """
        return self._by_sequence("predict_proba", X, "arrange")

    @available_if(has_probabilities)
    @elsewhere.prediction
    def predict_log_proba(self, X) -> list[np.ndarray]:
        """The logarithms of the probabilities, exact where those underflow.

        Parameters
        ----------
        X : list of arrays, or array of shape (n_samples, T) or (n_samples, T, F)

        Returns
        -------
        list of ndarray of shape (T_i, n_classes)
        """
        return self._by_sequence("predict", X, "log_proba")

    @elsewhere.prediction
    def score(self, X, y, sample_weight=None) -> float:
        """The accuracy: the share of steps whose label is right.

        Parameters
        ----------
        X : list of arrays, or array of shape (n_samples, T) or (n_samples, T, F)
        y : list of arrays, or array of shape (n_samples, T)
        sample_weight : array-like of shape (n_samples,), optional
            Of each step of a sequence.

        Returns
        -------
        float
        """
        check_is_fitted(self, "program_")
        X = self._input.check(self, X)
        y = self._labels_of(X, y)
        weights = validation.check_weights(sample_weight, X)
        found = self.predict(X)
        right = np.array([np.count_nonzero(a == b) for a, b in zip(found, y)])
        if weights is None:
            return float(right.sum() / X.lengths.sum())
        return float(weights @ right / (weights @ X.lengths))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = False
        tags.target_tags.two_d_labels = True
        return tags
