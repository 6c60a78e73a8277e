"""ConvNetClassifier and ConvNetRegressor: networks on images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Literal

import numpy as np

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
from slimlearn.estimators.augmenting import Augmented, augment_of
from slimlearn.estimators.classifier import Classifier
from slimlearn.estimators.compat import Interval, StrOptions
from slimlearn.estimators.custom import OwnNetwork
from slimlearn.estimators.dnn import LAYERS, Tower
from slimlearn.estimators.documents import document
from slimlearn.estimators.inputs import ImageInput
from slimlearn.estimators.inputs.files import size_text
from slimlearn.estimators.network import Network, as_network
from slimlearn.estimators.regressor import Regressor
from slimlearn.estimators.sizes import AnySize
from slimlearn.estimators.validation import (
    CLASS_WEIGHT,
    CLASSIFIER_LOSS,
    QUANTILE,
    REGRESSOR_LOSS,
    TAIL,
    check_units,
)

__all__ = ["ConvNetClassifier", "ConvNetRegressor"]

_SIZE = Interval(Integral, 1, None, closed="left")
_PARAMETERS = {
    "net": [callable, None],
    "image_shape": [tuple, list, None],
    "resize_to": [tuple, list, None],
    "on_error": [StrOptions({"raise", "skip"})],
    "filters": [tuple, list, np.ndarray, _SIZE],
    "kernel_size": [tuple, list, _SIZE],
    "augment": [str, tuple, list, dict, None],
    **LAYERS,
}


class ConvTower:
    """Convolutions, each with the largest of 2×2 behind it, then a `Tower`."""

    outputs_name = None

    def __init__(self, filters, kernel_size, tower: Tower):
        self.filters = filters
        self.kernel_size = kernel_size
        self.tower = tower

    def __call__(self, x):
        """Build the layers on `x`."""
        net = x
        for i, filters in enumerate(self.filters, start=1):
            net = layers.conv2d(
                net,
                filters,
                self.kernel_size,
                activation_fn=self.tower.activation,
                normalizer_fn=self.tower.normalizer,
                scope=f"conv{i}",
            )
            # An axis of one pixel, such as that of a line, is not halved.
            window = [min(2, size) for size in net.shape[1:-1]]
            if window != [1, 1]:
                net = layers.max_pool2d(net, window, window, scope=f"pool{i}")
        return self.tower(layers.flatten(net, scope="flatten"))


class MadeForSize:
    """A network that says which size it was made for, where smaller images fail."""

    def __init__(self, network: Network, size: int):
        self._network = network
        self._size = size
        self.called = getattr(network, "called", type(network).__name__)

    @property
    def outputs_name(self) -> str | None:
        """As of the network."""
        return self._network.outputs_name

    def __call__(self, x, **given):
        """Build the network."""
        try:
            return self._network(x, **given)
        except ValueError as error:
            if min(x.shape[1:3]) >= self._size:
                raise
            size = self._size
            raise ValueError(
                f"{error}; {self.called} was made for images of {size}×{size}, these "
                f"are {size_text(x.shape[1:3])}: resize_to=({size}, {size}) brings "
                "them there"
            ) from error


class ConvNet(AnySize, OwnNetwork):
    """What ConvNetClassifier and ConvNetRegressor share."""

    _accept_sparse = False
    _of_default_network = (*("filters", "kernel_size"), *LAYERS)

    def _new_input(self):
        return ImageInput(self.image_shape, self.resize_to, self.on_error)

    def _filters(self) -> tuple[int, ...]:
        return check_units(self, "filters")

    def _network(self):
        augment = augment_of(self.augment)
        made = self._plain_network()
        return Augmented(made, augment) if augment else made

    def _plain_network(self):
        if self.net is not None:
            made = as_network(self.net)
            size = getattr(self.net, "default_image_size", None)
            return made if size is None else MadeForSize(made, size)
        tower = Tower(check_units(self), self.activation, self.dropout, self.batch_norm)
        return ConvTower(self._filters(), self.kernel_size, tower)

    def _network_key(self) -> tuple | None:
        if self.net is not None or not isinstance(self.activation, str):
            return None
        return (
            "convnet",
            self._filters(),
            tuple(np.ravel(self.kernel_size).tolist()),
            check_units(self),
            self.activation,
            self.dropout > 0,
            bool(self.batch_norm),
            augment_of(self.augment),
        )

    def _network_hypers(self) -> dict[str, float]:
        if self.net is not None or not self.dropout:
            return {}
        keep = 1.0 - float(self.dropout)
        layers_ = range(1, len(check_units(self)) + 1)
        return {f"dropout{i}/keep_prob": keep for i in layers_}


@document
class ConvNetClassifier(ConvNet, Classifier):
    """A classifier of images by a convolutional network.

    X is an array of images, N×H×W×C or N×H×W, or flat rows: a transformer of a
    pipeline may stand before it. uint8 images stay so in memory and are read as
    fractions of 255; others are read as they are and should be scaled to about 1.
    X may also be a list, a 1-d array or a DataFrame column of arrays, of images that
    Pillow opened, or of the paths of image files (``pip install slimlearn[images]``).
    Threads read files once a call, into uint8, the way up that a camera's tag says;
    what is beyond 256 MiB goes to a temporary file (see ``TMPDIR``), from which batches
    are read.

    Parameters
    ----------
    net : network object, class, function or None, default=None
        A network of your own on X's tensor [B, height, width, channels], as for
        `NetworkClassifier`. Where none of its parameters depends on the size of images
        it predicts on any size, and on lists and files of several. None: for each of
        `filters` a convolution and the largest of each 2×2, then fully connected
        layers, as the next parameters say.
    image_shape : tuple of int or None, default=None
        (height, width) or (height, width, channels) of flat rows of X. None: rows of a
        square number of features are square images, others one line. Of files it says
        how many channels they are read with: 1 is grey, 3 coloured, 4 with what is
        transparent; None leaves them grey or coloured.
    resize_to : tuple of int or None, default=None
        (height, width) that images are brought to before the network reads them, in
        every method; bilinear, each pixel a mean of all that it covers. Needs Pillow.
    on_error : {"raise", "skip"}, default="raise"
        What `fit` does with files that cannot be read: refuse them, or go without
        their rows, with a warning. Other methods refuse them.
    filters : int or sequence of int, default=(32, 64)
        Of the convolutions.
    kernel_size : int or tuple of int, default=3
        Height and width of the filters.
    hidden_units : int or sequence of int, default=()
        Units of fully connected layers between them and the last one.
    activation : str or callable, default="relu"
        Of all these layers; as in `DNNClassifier`.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* a hidden unit in training.
    batch_norm : bool, default=False
        Whether all these layers are batch-normalized before their activation.
    augment : str, list of str, dict or None, default=None
        What varies images in training, before any network: "random_flip",
        "random_crop", "random_shift", "random_brightness", "random_contrast",
        "cutout", "mixup", in this order or another. A dict says how much, as the layer
        of `slimlearn.layers` takes it: ``{"random_shift": 2, "mixup": 0.4}``, a pair
        for two axes, or for the least and the most contrast; 0 is none of it, None the
        default: an eighth of the image to shift, a quarter to cut out, "horizontal".
    {classifier_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        Filters and weights, and biases, of the layers; read-only views.

    See Also
    --------
    ConvNetRegressor : The same for numbers.
    NetworkClassifier : A classifier of a network of your own on rows of features.

    References
    ----------
    LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from slimlearn import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0)
    >>> clf = ConvNetClassifier(filters=(16,), max_iter=20, random_state=0)
    >>> print(f"{clf.fit(X, y).score(X_test, y_test):.2f}")
    0.99
    """

    _parameter_constraints = {  # noqa: RUF012
        **_PARAMETERS,
        **CLASSIFIER_LOSS,
        **TAIL,
        **CLASS_WEIGHT,
    }

    def __init__(
        self,
        net: Network | Callable | None = None,
        *,
        image_shape: Sequence[int] | None = None,
        resize_to: Sequence[int] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        filters: Units = (32, 64),
        kernel_size: int | Sequence[int] = 3,
        hidden_units: Units = (),
        activation: Activation = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        augment: str | Sequence[str] | Mapping | None = None,
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
        self.image_shape = image_shape
        self.resize_to = resize_to
        self.on_error = on_error
        self.filters = filters
        self.kernel_size = kernel_size
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.augment = augment
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
class ConvNetRegressor(ConvNet, Regressor):
    """A regressor of images by a convolutional network, for one target or many.

    X is an array of images, N×H×W×C or N×H×W, or flat rows: a transformer of a
    pipeline may stand before it. uint8 images stay so in memory and are read as
    fractions of 255; others are read as they are and should be scaled to about 1.
    X may also be a list, a 1-d array or a DataFrame column of arrays, of images that
    Pillow opened, or of the paths of image files (``pip install slimlearn[images]``).
    Threads read files once a call, into uint8, the way up that a camera's tag says;
    what is beyond 256 MiB goes to a temporary file (see ``TMPDIR``), from which batches
    are read.
    y is scaled and unscaled by the estimator.

    Parameters
    ----------
    net : network object, class, function or None, default=None
        A network of your own on X's tensor [B, height, width, channels], as for
        `NetworkRegressor`. Where none of its parameters depends on the size of images
        it predicts on any size, and on lists and files of several. None: for each of
        `filters` a convolution and the largest of each 2×2, then fully connected
        layers, as the next parameters say.
    image_shape : tuple of int or None, default=None
        (height, width) or (height, width, channels) of flat rows of X. None: rows of a
        square number of features are square images, others one line. Of files it says
        how many channels they are read with: 1 is grey, 3 coloured, 4 with what is
        transparent; None leaves them grey or coloured.
    resize_to : tuple of int or None, default=None
        (height, width) that images are brought to before the network reads them, in
        every method; bilinear, each pixel a mean of all that it covers. Needs Pillow.
    on_error : {"raise", "skip"}, default="raise"
        What `fit` does with files that cannot be read: refuse them, or go without
        their rows, with a warning. Other methods refuse them.
    filters : int or sequence of int, default=(32, 64)
        Of the convolutions.
    kernel_size : int or tuple of int, default=3
        Height and width of the filters.
    hidden_units : int or sequence of int, default=()
        Units of fully connected layers between them and the last one.
    activation : str or callable, default="relu"
        Of all these layers; as in `DNNRegressor`.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* a hidden unit in training.
    batch_norm : bool, default=False
        Whether all these layers are batch-normalized before their activation.
    augment : str, list of str, dict or None, default=None
        What varies images in training, before any network: "random_flip",
        "random_crop", "random_shift", "random_brightness", "random_contrast",
        "cutout", "mixup", in this order or another. A dict says how much, as the layer
        of `slimlearn.layers` takes it: ``{"random_shift": 2, "mixup": 0.4}``, a pair
        for two axes, or for the least and the most contrast; 0 is none of it, None the
        default: an eighth of the image to shift, a quarter to cut out, "horizontal".
    {regressor_loss}
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        Filters and weights, and biases, of the layers, for scaled targets; read-only
        views.

    See Also
    --------
    ConvNetClassifier : The same for classes.
    NetworkRegressor : A regressor of a network of your own on rows of features.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from slimlearn import ConvNetRegressor
    >>> X, y = load_digits(return_X_y=True)
    >>> ink = X.mean(axis=1)
    >>> reg = ConvNetRegressor(filters=(8,), max_iter=10, random_state=0)
    >>> print(f"{reg.fit(X / 16, ink).score(X / 16, ink):.1f}")
    1.0
    """

    _parameter_constraints = {  # noqa: RUF012
        **_PARAMETERS,
        **REGRESSOR_LOSS,
        **QUANTILE,
        **TAIL,
    }

    def __init__(
        self,
        net: Network | Callable | None = None,
        *,
        image_shape: Sequence[int] | None = None,
        resize_to: Sequence[int] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        filters: Units = (32, 64),
        kernel_size: int | Sequence[int] = 3,
        hidden_units: Units = (),
        activation: Activation = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        augment: str | Sequence[str] | Mapping | None = None,
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
        self.image_shape = image_shape
        self.resize_to = resize_to
        self.on_error = on_error
        self.filters = filters
        self.kernel_size = kernel_size
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.augment = augment
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
