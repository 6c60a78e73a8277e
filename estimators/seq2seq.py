"""Seq2Seq: sequences from sequences, such as sounds from letters."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.annotations import (
    AnyOptimizer,
    AnyRate,
    AnySchedule,
    Callbacks,
    Precision,
    RandomState,
    Scoring,
    Units,
)
from slimlearn.estimators.base import NetworkEstimator
from slimlearn.estimators.compat import Interval, StrOptions, with_callbacks
from slimlearn.estimators.dnn import LAYERS
from slimlearn.estimators.documents import document
from slimlearn.estimators.heads import TokensHead
from slimlearn.estimators.inputs import TokenInput
from slimlearn.estimators.labels import find_classes
from slimlearn.estimators.losses import Focal, LogLoss
from slimlearn.estimators.ragged_targets import (
    Predicted,
    are_texts,
    check_sequences,
    codes_of_tokens,
    flat,
    step_weights,
)
from slimlearn.estimators.sequences import PARAMETERS
from slimlearn.estimators.translator import (
    Beams,
    Translator,
    build_translator,
    of_beams,
)
from slimlearn.estimators.validation import TAIL, check_units

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Seq2Seq"]

_WIDTH = Interval(Integral, 1, None, closed="left")
_PENALTY = Interval(Real, 0, None, closed="left")
# Rows whose sequences are searched at a time.
_ROWS = 128
_WHAT = "a sequence of tokens"


@document
class Seq2Seq(NetworkEstimator):
    """Learns to make a sequence of tokens of each sequence, of any other length.

    An encoder of recurrent layers reads X in both directions; a decoder tells one token
    after the other, attending to what the encoder read. In training it is told y's
    tokens before each; `predict` searches by beams, for whole batches inside the graph.

    X is a list of texts, whose characters are tokens, of lists of words, of ids, or of
    arrays of steps × features, as of `SequenceClassifier`. Words that the fit's X had
    not are one unknown; ids come from 0 on, such as from `TokenVectorizer`. y is a list
    of texts or of lists of words or numbers, which may be empty.

    Parameters
    ----------
    cell : {"lstm", "gru"}, default="lstm"
        What the recurrent layers are.
    embed_dim : int, default=64
        Length of the vectors of tokens.
    units : int or sequence of int, default=(128,)
        Of each layer of the encoder, in each direction.
    decoder_units : int or sequence of int, default=(128,)
        Of each layer of the decoder.
    dropout : float in [0, 1), default=0.0
        Probability of *dropping* in training: elements of the vectors of tokens, of
        what the encoder's layers give, and of what the last layer reads.
    beam_width : int, default=5
        How many sequences `predict` follows at a time; 1 takes the likeliest token at
        each step.
    length_penalty : float >= 0, default=0.0
        The exponent α by which longer sequences are preferred: the logarithm of a
        sequence's probability is divided by ``((5 + length) / 6) ** α``.
    max_length : int or None, default=None
        The most tokens that are predicted; None: half as many again as the longest y
        of the fit has.
    data_format : {"NTC", "NCT"}, default="NTC"
        Of X with features, as of `SequenceClassifier`.
    vocabulary_size : int or None, default=None
        How many ids X may have; None: as many as the largest of `fit` says.
    length_buckets : int, default=8
        As of `SequenceClassifier`; targets are padded to the longest of their bucket.
    loss : {"log_loss", "focal"} or loss object, default="log_loss"
        Of a token, such as ``LogLoss(label_smoothing=0.1)``. Every token, and the end
        of a sequence, counts as much as another.
    {tail}

    Attributes
    ----------
    classes_ : ndarray of shape (n_tokens,)
        The tokens of y in ascending order.
    vocabulary_ : list of str or None
        The words, or characters, of X; None where it has numbers.
    {attributes}

    See Also
    --------
    SequenceTagger : A label for each step of X.
    TokenVectorizer : Texts as sequences of ids, with rare words left out.

    References
    ----------
    Sutskever, Vinyals and Le, "Sequence to sequence learning with neural networks",
    2014; Luong, Pham and Manning, "Effective approaches to attention-based neural
    machine translation", 2015.

    Examples
    --------
    Words backwards:

    >>> import numpy as np
    >>> from slimlearn import Seq2Seq
    >>> rng = np.random.RandomState(0)
    >>> letters = np.array(list("abc"))
    >>> words = ["".join(rng.choice(letters, rng.randint(1, 5))) for _ in range(200)]
    >>> model = Seq2Seq(
    ...     units=32, decoder_units=32, max_iter=40, learning_rate=0.01, random_state=0
    ... )
    >>> model = model.fit(words, [word[::-1] for word in words])
    >>> model.predict(["abca", "bc"])
    ['acba', 'cb']
    """

    _parameter_constraints = {  # noqa: RUF012
        "cell": [StrOptions({"lstm", "gru"})],
        "embed_dim": [_WIDTH],
        "units": LAYERS["hidden_units"],
        "decoder_units": LAYERS["hidden_units"],
        "dropout": LAYERS["dropout"],
        "beam_width": [_WIDTH],
        "length_penalty": [_PENALTY],
        "max_length": [_WIDTH, None],
        **{
            name: PARAMETERS[name]
            for name in ("data_format", "vocabulary_size", "length_buckets")
        },
        "loss": [StrOptions({"log_loss", "focal"}), LogLoss, Focal],
        **TAIL,
    }

    _accept_sparse = False
    _compares_units = False
    _no_chunks = "its vocabularies are those of all rows: use fit"

    def __init__(
        self,
        cell: Literal["lstm", "gru"] = "lstm",
        *,
        embed_dim: int = 64,
        units: Units = (128,),
        decoder_units: Units = (128,),
        dropout: float = 0.0,
        beam_width: int = 5,
        length_penalty: float = 0.0,
        max_length: int | None = None,
        data_format: Literal["NTC", "NCT"] = "NTC",
        vocabulary_size: int | None = None,
        length_buckets: int = 8,
        loss: Literal["log_loss", "focal"] | LogLoss | Focal = "log_loss",
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
        self.cell = cell
        self.embed_dim = embed_dim
        self.units = units
        self.decoder_units = decoder_units
        self.dropout = dropout
        self.beam_width = beam_width
        self.length_penalty = length_penalty
        self.max_length = max_length
        self.data_format = data_format
        self.vocabulary_size = vocabulary_size
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

    def _new_input(self):
        known = self.__dict__.get("_input")
        return TokenInput(
            self.data_format,
            self.vocabulary_size,
            self.length_buckets,
            None if known is None else known.tokens,
        )

    def _units(self, name: str) -> tuple[int, ...]:
        units = check_units(self, name)
        if not units:
            raise ValueError(
                f"The {name!r} parameter of {type(self).__name__} must name a layer at "
                "least. Got () instead."
            )
        return units

    def _translator(self, head: TokensHead) -> Translator:
        units, decoder_units = self._units("units"), self._units("decoder_units")
        return Translator(
            head, self.cell, self.embed_dim, units, decoder_units, self.dropout
        )

    def _beams(self, head: TokensHead, width=None, penalty=None, most=None) -> Beams:
        """How to search: by the arguments, else the parameters."""
        if most is None:
            most = self.max_length
        if most is None:
            most = math.ceil(1.5 * head.longest)
        width = self.beam_width if width is None else width
        penalty = self.length_penalty if penalty is None else penalty
        whole, number = ("whole number > 0", Integral, 1), ("number >= 0", Real, 0)
        for name, value, (needed, kind, least) in (
            ("beam_width", width, whole),
            ("max_length", most, whole),
            ("length_penalty", penalty, number),
        ):
            fits = isinstance(value, kind) and least <= value < math.inf
            if not fits or isinstance(value, bool):
                raise ValueError(
                    f"{name} of {type(self).__name__} must be a {needed}. Got "
                    f"{value!r} instead."
                )
        return Beams(int(width), float(penalty), int(most))

    def _network_key(self) -> tuple | None:
        units, decoder_units = self._units("units"), self._units("decoder_units")
        return (
            "seq2seq",
            *(self.cell, self.embed_dim, units, decoder_units, self.dropout),
        )

    def _build(self, input, head, optimizer, **settings):
        network = self._translator(head)
        return build_translator(network, input, head, optimizer, **settings)

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
        X : list of texts, of lists of words, of arrays of ids or of steps × features
        y : list of texts, or of lists of words or numbers
            Row i is what is to be made of ``X[i]``.
        sample_weight : array-like of shape (n_samples,), optional
            Of each token of a sequence, at least 0. Rows of weight 0 count as absent.
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
            If a parameter or the data is out of range, naming the row. A former fit
            then stays as it was.
        """
        data = (X, y, sample_weight, X_val, y_val, sample_weight_val, groups)
        return self._fit(self.max_iter, self.warm_start, data)

    def _checked(self, input, X, y, *, reset=True, name="X"):
        X = input.check(self, X, reset=reset, name=name)
        return X, self._tokens_of(X, y, name.replace("X", "y"))

    def _tokens_of(self, X, y, name: str = "y") -> np.ndarray:
        return check_sequences(y, X, name, type(self).__name__, _WHAT, texts=True)

    def _encode_target(self, y, former, given):
        tokens = flat(y)
        if former is not None:
            classes = former["_head"].classes
        elif not tokens.size:
            raise ValueError("y has no token: all of its sequences are empty")
        else:
            classes = find_classes(tokens)
            self._joins = are_texts(y)
        return classes, codes_of_tokens(classes, y)

    def _encode_held_out(self, y, classes):
        return codes_of_tokens(classes, y)

    def _row_weights(self, weights, y):
        return step_weights(weights, np.array([len(part) + 1 for part in y]))

    def _fit_head(self, classes, shape, summary, former, partial, order):
        if former is not None:
            head = copy.copy(self._former_head(former))
        else:
            head = TokensHead(classes, self.loss, self.length_buckets)
        head.longest = max(head.longest, summary.longest - 1)
        head.beams = self._beams(head)
        return head

    # -- what comes out -------------------------------------------------------------

    @property
    def vocabulary_(self) -> list[str] | None:
        """The words, or characters, of X; None where it has numbers."""
        check_is_fitted(self, "program_")
        tokens = self._input.tokens
        return None if tokens is None else list(tokens)

    def _searched(self, X, beams: Beams) -> tuple[np.ndarray, np.ndarray]:
        """The ids of each row's sequences, and their scores, in the rows' order."""
        handle = self._handle
        if beams != self._head.beams:
            handle = handle.of_model(
                ("beams", *beams),
                lambda: of_beams(
                    self.program_, self._translator(self._head), handle.input, beams
                ),
                handle.input,
            )
        places, pieces = [], []
        for rows in _alike(X.lengths, handle.input.sizes):
            part = X if len(rows) == len(X) and X.array is not None else X[rows]
            pieces.append(handle.run("predict", part, self.n_threads)[:2])
            places.append(rows)
        back = np.argsort(np.concatenate(places))
        ids, scores = (np.concatenate(piece)[back] for piece in zip(*pieces))
        return ids, scores

    def _beams_of(self, X, beam_width, length_penalty, max_length):
        check_is_fitted(self, "program_")
        beams = self._beams(self._head, beam_width, length_penalty, max_length)
        X = self._input.check(self, X)
        self._input.check_range(self, X, self._handle.precision)
        return beams, *self._searched(X, beams)

    @elsewhere.prediction
    def predict(
        self, X, *, beam_width=None, length_penalty=None, max_length=None
    ) -> list:
        """The best sequence that the search finds for each row.

        Parameters
        ----------
        X : list of texts, of lists of words, of arrays of ids or of steps × features
        beam_width, length_penalty, max_length : optional
            In the place of the parameters of these names.

        Returns
        -------
        list of str or of list
            Texts where y was a list of texts, else lists of y's tokens.
        """
        beams, ids, _ = self._beams_of(X, beam_width, length_penalty, max_length)
        found = [self._sequence(best, beams) for best in ids[:, 0]]
        return found if self._joins else Predicted(found)

    def _sequence(self, ids: np.ndarray, beams: Beams):
        tokens = self._head.decode(ids, beams.most)
        return "".join(tokens) if self._joins else tokens

    @elsewhere.prediction
    def predict_beams(
        self, X, *, beam_width=None, length_penalty=None, max_length=None
    ) -> list[list[tuple]]:
        """The best sequences that the search finds for each row, with their scores.

        Parameters
        ----------
        X : list of texts, of lists of words, of arrays of ids or of steps × features
        beam_width, length_penalty, max_length : optional
            In the place of the parameters of these names.

        Returns
        -------
        list of list of (sequence, float)
            The best one first, `beam_width` of each row, or as many as there are. The
            score is the logarithm of the sequence's probability, with its end, divided
            as `length_penalty` says. What `max_length` cuts is there once, with the
            score of the best sequence that begins so.
        """
        beams, ids, scores = self._beams_of(X, beam_width, length_penalty, max_length)
        found = []
        for of_row, values in zip(ids, scores):
            given: dict[tuple, tuple] = {}
            for k in np.flatnonzero(np.isfinite(values)):
                tokens = self._sequence(of_row[k], beams)
                # Several may begin so, where their ends are cut.
                given.setdefault(tuple(tokens), (tokens, float(values[k])))
            found.append(list(given.values()))
        return found

    @elsewhere.prediction
    def score(self, X, y, sample_weight=None) -> float:
        """The share of rows whose best sequence is y's, in each of its tokens.

        Parameters
        ----------
        X : list of texts, of lists of words, of arrays of ids or of steps × features
        y : list of texts, or of lists of words or numbers
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        check_is_fitted(self, "program_")
        X = self._input.check(self, X)
        y = self._tokens_of(X, y)
        weights = validation.check_weights(sample_weight, X)
        right = [list(a) == list(b) for a, b in zip(self.predict(X), y)]
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = False
        tags.input_tags.string = True
        return tags


def _alike(lengths: np.ndarray, sizes: tuple[int, ...]):
    """Rows of like length, some at a time."""
    buckets = np.searchsorted(sizes, lengths) if sizes else np.zeros(len(lengths))
    for bucket in np.unique(buckets):
        rows = np.flatnonzero(buckets == bucket)
        for begin in range(0, len(rows), _ROWS):
            yield rows[begin : begin + _ROWS]
