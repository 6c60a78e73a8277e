"""Autoencoder: a network that learns a short code of X and X back from it."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from slimlearn.backend.extract import extract
from slimlearn.backend.telling import warn
from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.annotations import (
    Activation,
    AnyOptimizer,
    AnyRate,
    AnySchedule,
    Callbacks,
    Precision,
    RandomState,
    RegressorLosses,
    Scoring,
    Units,
)
from slimlearn.estimators.arrays import check_origin, home_of, to_numpy
from slimlearn.estimators.base import (
    NetworkEstimator,
    can_fit_chunks,
    can_fit_partially,
)
from slimlearn.estimators.chunks import ChunkFitting
from slimlearn.estimators.columns import moments_of
from slimlearn.estimators.compat import (
    Interval,
    StrOptions,
    available_if,
    with_callbacks,
)
from slimlearn.estimators.documents import document
from slimlearn.estimators.heads import Head, ReconstructionHead, ShareHead
from slimlearn.estimators.hourglass import CODE, NOISE, Hourglass
from slimlearn.estimators.inputs import SOURCE, DenseInput, check_matrix
from slimlearn.estimators.losses import Huber
from slimlearn.estimators.tensors import FUNCTION, kept_types
from slimlearn.estimators.validation import ACTIVATIONS, TAIL

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Autoencoder"]

_ACTIVATION = [StrOptions(set(ACTIVATIONS)), callable]
_RATE = [Interval(Real, 0, 1, closed="left")]


@document
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    """A transformer that learns a short code of X, and to give X back from it.

    X should be scaled, for example by StandardScaler. The network is trained to give
    back the columns of X, each centred and scaled by its deviation, so that they count
    alike.

    Parameters
    ----------
    hidden_units : int or sequence of int, default=(32,)
        Units of the encoder's layers, the code's last; the decoder has them in reverse:
        (128, 32) is 128, 32 for the code, and 128 again.
    activation : str or callable, default="relu"
        Of the hidden layers but the code: "relu", "tanh", "sigmoid", "elu", "gelu",
        "silu" and the others of `slimlearn.layers.activation`, or a function from
        tensor to tensor.
    code_activation : str or callable, default="linear"
        Of the code: "linear" leaves it unbounded, "tanh" keeps it between -1 and 1.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* a hidden unit in training; the code is never dropped.
    input_dropout : float in [0, 1), default=0.0
        Probability of setting a number of X to 0 in training, while the network still
        has to give back all of X: a denoising autoencoder. It has a schedule of its
        own, as in ``schedules={"input_dropout": "cosine"}``.
    batch_norm : bool, default=False
        Whether hidden layers but the code are batch-normalized.
    loss : {"squared_error", "absolute_error", "huber", "log_loss"}, Huber or \
callable, default="squared_error"
        Of a row: the mean over its columns, centred and scaled; reported in X's units.
        "log_loss" is for X from 0 to 1, such as yes and no or bright pixels, which it
        takes as they are and gives back through a sigmoid. A function ``loss(raw, x)``
        of graph tensors [B, n_features] gets scaled columns, returns the loss of each
        row [B], and is reported as it is.
    {tail}

    Attributes
    ----------
    {attributes}
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, outputs) and biases of the layers; read-only views.

    See Also
    --------
    LayerTransformer : Features of a network that is trained on y.

    References
    ----------
    Vincent, Larochelle, Bengio and Manzagol, "Extracting and composing robust features
    with denoising autoencoders", 2008, for `input_dropout`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from slimlearn import Autoencoder
    >>> X = load_digits().data / 16
    >>> ae = Autoencoder((64, 8), max_iter=30, random_state=0).fit(X)
    >>> code = ae.transform(X)
    >>> code.shape
    (1797, 8)
    >>> print(f"{ae.score(X):.1f} {abs(ae.inverse_transform(code) - X).mean():.1f}")
    0.7 0.1
    """

    _regression = True
    _dropouts = MappingProxyType({"input_dropout": f"{NOISE}/keep_prob"})
    _accept_sparse = False  # X is the target too, of which every number counts
    _parameter_constraints = {  # noqa: RUF012
        "hidden_units": [
            tuple,
            list,
            np.ndarray,
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": _ACTIVATION,
        "code_activation": _ACTIVATION,
        "dropout": _RATE,
        "input_dropout": _RATE,
        "batch_norm": ["boolean"],
        "loss": [
            StrOptions({"squared_error", "absolute_error", "huber", "log_loss"}),
            Huber,
            callable,
        ],
        **TAIL,
        "scoring": [StrOptions({"loss"}), callable],
    }

    def __init__(
        self,
        hidden_units: Units = (32,),
        *,
        activation: Activation = "relu",
        code_activation: Activation = "linear",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        batch_norm: bool = False,
        loss: RegressorLosses = "squared_error",
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
        self.code_activation = code_activation
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.batch_norm = batch_norm
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

    # -- the network ----------------------------------------------------------------

    def _network(self) -> Hourglass:
        return Hourglass(
            self._units(),
            self.activation,
            self.code_activation,
            self.dropout,
            self.input_dropout,
            self.batch_norm,
        )

    def _units(self) -> tuple[int, ...]:
        units = validation.check_units(self)
        if not units:
            raise ValueError(
                f"The 'hidden_units' parameter of {type(self).__name__} must name the "
                "code's units at least. Got () instead."
            )
        return units

    def _network_key(self) -> tuple | None:
        words = self.activation, self.code_activation
        if not all(isinstance(word, str) for word in words):
            return None
        switches = self.dropout > 0, self.input_dropout > 0, bool(self.batch_norm)
        return ("autoencoder", self._units(), *words, *switches)

    def _network_hypers(self) -> dict[str, float]:
        return self._network().hypers()

    # -- training -------------------------------------------------------------------

    @elsewhere.method
    @with_callbacks
    def fit(
        self,
        X,
        y=None,
        sample_weight=None,
        *,
        X_val=None,
        sample_weight_val=None,
        groups=None,
    ) -> Self:
        """Train the network to give back X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored
            Here for pipelines.
        sample_weight : array-like of shape (n_samples,), optional
            At least 0. Rows of weight 0 count as absent; the others are scaled to
            mean 1.
        X_val : array-like, optional
            Held-out rows for the validation curves, and for early stopping in place of
            `validation_fraction`.
        sample_weight_val : array-like of shape (n_val,), optional
            Weights of the held-out rows.
        groups : array-like of shape (n_samples,), optional
            As in `DNNRegressor.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data is out of range, or the loss becomes non-finite.
            A former fit then stays as it was.
        """
        data = (X, None, sample_weight, X_val, X_val, sample_weight_val, groups)
        return self._fit(self.max_iter, self.warm_start, data)

    @available_if(can_fit_chunks)
    @elsewhere.method
    def fit_chunks(self, chunks, *, X_val=None, sample_weight_val=None) -> Self:
        """Train on rows that come in chunks, as they do not fit in memory.

        Parameters
        ----------
        chunks : iterable, or function that returns an iterator
            Each chunk is X, or a tuple (X, None, sample_weight). It is iterated anew in
            each of `max_iter` epochs, and once before: a list, an object whose
            ``__iter__`` begins anew, or a function such as the one that makes a
            generator.
        X_val, sample_weight_val : array-like, optional
            As in `fit`.

        Returns
        -------
        self

        Notes
        -----
        As in `DNNRegressor.fit_chunks`; one chunk of all rows gives the very bytes of
        `fit`.
        """
        data = (chunks, X_val, X_val, sample_weight_val)
        return self._fit(
            self.max_iter, self.warm_start, data, ChunkFitting, classes=None
        )

    @available_if(can_fit_partially)
    @elsewhere.method
    def partial_fit(self, X, y=None, sample_weight=None) -> Self:
        """Train one epoch on some of the rows, going on from the fitted state.

        How columns are centred and scaled is settled by the first 30 rows, and of a
        column that they all have alike when it first varies.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            Scaled to mean 1 over the rows of this call.

        Returns
        -------
        self
        """
        return self._fit(1, True, (X, None, sample_weight), partial=True)

    def _checked(self, input, X, y, **options):
        X = input.check(self, to_numpy(X), **options)
        return X, X

    def _encode_target(self, y, former, given):
        return None, y

    def _fit_head(self, classes, shape, summary, former, partial, order):
        if former is not None:
            return self._former_head(former).go_on(summary, partial)
        head = self._new_head(shape)
        head.begin(summary, partial)
        return head

    def _new_head(self, shape: tuple[int, ...]) -> Head:
        shares = isinstance(self.loss, str) and self.loss == "log_loss"
        return (ShareHead if shares else ReconstructionHead)(self.loss, shape)

    # -- what comes out -------------------------------------------------------------

    @elsewhere.prediction
    def transform(self, X) -> np.ndarray:
        """Give the code of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, hidden_units[-1])
            In the type that the network computes in.
        """
        return self._activations(X, (CODE,), "transform")

    def inverse_transform(self, X) -> np.ndarray:
        """Give rows back from their code.

        Parameters
        ----------
        X : array-like of shape (n_samples, hidden_units[-1])
            Codes, such as `transform` gives.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Float64, in the units of the X that was fitted.
        """
        check_is_fitted(self)
        home = home_of(X)
        check_origin(self, home, "inverse_transform")
        code = DenseInput(self._n_features_out)
        X = check_matrix(X, code, f"the code of {type(self).__name__}", "transform")
        decoder = self._handle.part("decoder", self._decoder, code)
        code.check_range(self, X, decoder.precision)
        raw = decoder.few(FUNCTION, X, self.n_threads)
        if raw is None:
            raw = decoder.run(FUNCTION, X, self.n_threads)
        found = self._head.decode(raw)
        return found if home is None else home.give(found)

    def _decoder(self) -> str:
        """The text of what comes behind the code, which is read in the place of X."""
        model = self.program_.model
        outputs = [tensor.name for tensor in model.functions[FUNCTION].returns]
        code = self.tensor_of(CODE).name
        return extract(model, FUNCTION, outputs, {code: SOURCE})

    @elsewhere.prediction
    def reconstruct(self, X) -> np.ndarray:
        """Give rows as the network gives them back: without what the code leaves out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Float64, in the units of X. ``((X - reconstruction) ** 2).mean(axis=1)``
            tells rows that are unlike those of the fit.
        """
        return self._values(FUNCTION, X, "reconstruct", "decode")

    @elsewhere.prediction
    def score(self, X, y=None, sample_weight=None) -> float:
        """R² of the reconstruction: the mean over the columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            1 where X comes back as it was; 0 where its means come back.
        """
        check_is_fitted(self)
        check_origin(self, home_of(X), "score")
        X = self._input.check(self, to_numpy(X))
        if len(X) < 2:
            message = "R^2 score is not well-defined with less than two samples."
            warn(message, UndefinedMetricWarning)
            return float("nan")
        weights = _check_sample_weight(to_numpy(sample_weight), X, dtype=np.float64)
        share, done = weights / weights.sum(), 0

        def lost(raw):
            """Of the next rows' columns; the whole reconstruction is never there."""
            nonlocal done
            rows = slice(done, done + len(raw))
            done += len(raw)
            return share[rows][None] @ (X[rows] - self._head.decode(raw)) ** 2

        self._input.check_range(self, X, self._handle.precision)
        parts = self._handle.run(FUNCTION, X, self.n_threads, lost)
        left, spread = parts.sum(axis=0), moments_of(X, share)[1]
        # As r2_score has it: a column that does not vary counts 1 if it comes back.
        varies = spread > 0
        scores = np.where(varies, 1 - left / np.where(varies, spread, 1), left == 0)
        return float(scores.mean())

    def _write_onnx(self, writer, sources, raw=False):
        return [*super()._write_onnx(writer, sources), self._onnx_code(writer, sources)]

    def _write_onnx_step(self, writer, sources, raw=False):
        code = self._onnx_code(writer, sources)
        return [code._replace(name="variable")]

    def _exported_step(self, name):
        from slimlearn.estimators.exports.networks import exported_layer

        return exported_layer(self, CODE, name, type(self).__name__)

    def _onnx_code(self, writer, sources):
        from slimlearn.estimators.onnx.layers import features_of

        return features_of(writer, self, CODE, sources, "code")

    @property
    def _n_features_out(self) -> int:
        return self.tensor_of(CODE).shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = kept_types(self.precision)
        return tags
