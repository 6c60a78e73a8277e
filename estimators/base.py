"""NetworkEstimator: what all estimators share but the network and the meaning of y."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from slimlearn.backend.optimizer import LBFGS, Optimizer
from slimlearn.backend.portable import Portable
from slimlearn.backend.telling import warn
from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.arrays import check_origin, home_of
from slimlearn.estimators.build import Built, build
from slimlearn.estimators.callbacks.holder import CallbackHolder
from slimlearn.estimators.callbacks.platform import ScikitCallbacks
from slimlearn.estimators.chunks import ChunkFitting
from slimlearn.estimators.compat import (
    CallbackSupportMixin,
    available_if,
    with_callbacks,
)
from slimlearn.estimators.derivatives import Derivatives
from slimlearn.estimators.diagram import Diagram
from slimlearn.estimators.exports import Exportable
from slimlearn.estimators.fitting import Fitting
from slimlearn.estimators.handle import Handle
from slimlearn.estimators.heads import Head
from slimlearn.estimators.history import Profile
from slimlearn.estimators.inputs import Input, MatrixInput
from slimlearn.estimators.inspection import Inspection
from slimlearn.estimators.labels import is_balanced
from slimlearn.estimators.losses import make_loss
from slimlearn.estimators.onnx import ToONNX
from slimlearn.estimators.saving.doors import Saveable
from slimlearn.estimators.scheduling import unknown_length
from slimlearn.estimators.sealing import opened, sealed
from slimlearn.estimators.stand_in import facts_of, make_stand_in
from slimlearn.estimators.visible import Visible

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["NetworkEstimator", "can_fit_chunks", "can_fit_partially"]

# Names that stand for a parameter object, and an example of one.
_OBJECTS = {
    "optimizer": "Adam()",
    "learning_rate_schedule": "Cosine()",
    "loss": "Focal() or Huber()",
}

_UNCONVERGED = {
    "iterations": "L-BFGS did {} iterations without converging: raise max_iter, scale "
    "X (StandardScaler), or raise tol",
    "line_search": "L-BFGS stopped without converging, as no point along its direction "
    "was better: scale X (StandardScaler), or raise tol",
}


def can_fit_partially(estimator) -> bool:
    """Whether partial_fit means something; raises AttributeError with the reason."""
    reason = _needs_all_rows(estimator)
    if estimator.early_stopping:
        reason = "early stopping needs all epochs in one fit: set early_stopping=False"
    elif is_balanced(getattr(estimator, "class_weight", None)):
        reason = "balanced class weights need all rows: pass class_weight as a dict"
    else:
        reason = reason or unknown_length(estimator)
    return _offered(estimator, "partial_fit", reason)


def can_fit_chunks(estimator) -> bool:
    reason = estimator._no_chunks or _needs_all_rows(estimator)
    return _offered(estimator, "fit_chunks", reason)


def _needs_all_rows(estimator) -> str | None:
    optimizer = estimator._optimizer_wish()
    if isinstance(optimizer, LBFGS) or optimizer == "lbfgs":
        return "L-BFGS needs all rows at once: choose another optimizer"
    return None


def _offered(estimator, method: str, reason: str | None) -> bool:
    if reason is not None:
        raise AttributeError(f"{type(estimator).__name__} has no {method}: {reason}")
    return True


class NetworkEstimator(
    Portable,
    Saveable,
    Exportable,
    ToONNX,
    Visible,
    Diagram,
    Inspection,
    Derivatives,
    CallbackSupportMixin,
    CallbackHolder,
    BaseEstimator,
):
    """Base of all estimators."""

    _regression = False
    # Layers of dropout that have schedules of their own: these, and their hypers.
    _dropouts: Mapping[str, str] = MappingProxyType({})
    # The form in which sparse X is read, or False.
    _accept_sparse: str | bool = "csr"
    # Why chunks are not read, whatever the parameters; None if they are.
    _no_chunks: str | None = None
    # Parameters that are learning rates.
    _learning_rates: tuple[str, ...] = ("learning_rate",)
    # Whether held-out rows that lie elsewhere than those of training deserve a warning.
    _compares_units = True
    # The layer that reads X itself, if L-BFGS is to see its columns in their own units.
    _first_layer: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        elsewhere.constructor(cls)
        super().__init_subclass__(**kwargs)

    # -- what subclasses say --------------------------------------------------------

    def _network(self):
        """The network, called on X's tensor: numbers for the head, or features."""
        raise NotImplementedError

    def _network_key(self) -> tuple | None:
        """What the network's graph depends on; None if that cannot be known."""
        return None

    def _network_hypers(self) -> dict[str, float]:
        """Run-time numbers of the network that replace those it was built with."""
        return {}

    def _optimizer_wish(self) -> str | Optimizer | Mapping:
        """The optimizer, as the constructor takes it."""
        return self.optimizer

    def _learning_rate_wish(self) -> str | float | Mapping:
        """The learning rate, of several optimizers by their patterns."""
        return self.learning_rate

    def _check_summary(self, summary, shape: tuple[int, ...]) -> None:
        """Refuse training rows, y having `shape` behind them, that teach nothing."""

    def _idle(self) -> list[str]:
        """Parameters that were set and that this fit does not read."""
        return []

    def _new_input(self) -> Input:
        """What X means, before a fit has seen it."""
        return MatrixInput(self._accept_sparse)

    def _checked(self, input: Input, X, y, **options) -> tuple:
        """X and y of fit, or of validation, as `Input.check_fit` does."""
        return input.check_fit(self, X, y, regression=self._regression, **options)

    def _held_rows(self) -> np.ndarray | None:
        """The rows to hold out, ascending; None: as the parameters say."""
        return None

    def _encode_held_out(self, y, classes) -> np.ndarray:
        """The targets of validation."""
        return y

    def _row_weights(self, weights: np.ndarray | None, y) -> np.ndarray | None:
        """The checked weights of rows, as much as the targets of each count."""
        return weights

    def _build(
        self, input: Input, head: Head, optimizer: Optimizer, **settings
    ) -> Built:
        """The program of a fit and what has to be known of it, as `build` gives it."""
        return build(self._network(), input, head, optimizer, **settings)

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
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Sparse rows are read as CSR, which other formats are converted to, and never
            made dense; the network must begin with ``fully_connected`` then. What was
            fitted on either predicts on both.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            For classifiers, columns of 0 and 1 are an indicator of several labels per
            row and may be sparse; other columns are outputs of several classes each.
        sample_weight : array-like of shape (n_samples,), optional
            At least 0. Rows of weight 0 count as absent; the others are scaled to
            mean 1.
        X_val, y_val : array-like, optional
            Held-out rows for the validation curves, and for early stopping in place of
            `validation_fraction`. The steps of a pipeline transform them if it is
            told ``Pipeline(..., transform_input=["X_val"])`` and the estimator
            ``set_fit_request(X_val=True, y_val=True)``, with scikit-learn's
            ``set_config(enable_metadata_routing=True)``. A warning tells where many of
            their columns, or numbers of y_val, lie far from those of X and y.
        sample_weight_val : array-like of shape (n_val,), optional
            Weights of the held-out rows.
        groups : array-like of shape (n_samples,), optional
            Numbers or words that tell which rows belong together, such as the patient
            or the shop that they are of: where early stopping holds out rows, it holds
            out whole groups, of `validation_fraction` of the rows or fewer, but one at
            least. Of classes each keeps a row in training.
            ``set_fit_request(groups=True)`` lets searches and pipelines hand them on.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data is out of range, or the loss becomes non-finite.
            A former fit then stays as it was.
        """
        return self._fit(
            self.max_iter,
            self.warm_start,
            (X, y, sample_weight, X_val, y_val, sample_weight_val, groups),
        )

    @available_if(can_fit_chunks)
    @elsewhere.method
    def fit_chunks(
        self, chunks, *, classes=None, X_val=None, y_val=None, sample_weight_val=None
    ) -> Self:
        """Train on data that comes in chunks, as it does not fit in memory.

        Parameters
        ----------
        chunks : iterable, or function that returns an iterator
            Each chunk is (X, y) or (X, y, sample_weight), as `fit` takes them; memory
            maps are not copied. It is iterated anew in each of `max_iter` epochs, and
            once or twice before: a list, an object whose ``__iter__`` begins anew, or
            a function such as the one that makes a generator. A generator itself can
            be iterated once, which is enough for ``max_iter=1``.
        classes : array-like of shape (n_classes,), optional
            For classifiers: all labels that y can have, as in `partial_fit`. Needed
            where chunks can be iterated only once; else None finds them.
        X_val, y_val, sample_weight_val : array-like, optional
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`, naming the chunk; or if early stopping would have to hold out rows
            of chunks: give X_val and y_val, or set ``validation_fraction=None``. A
            former fit then stays as it was.

        Notes
        -----
        Classes, the scale of y and of weights, and the number of rows are those of all
        chunks together, found before the first step (in a second pass where there is
        `class_weight`). Where chunks can be iterated only once, the first one decides,
        and its y must vary.
        Rows are shuffled within their chunk and the chunks keep their order, so mix
        rows well when you write them. Batches do not reach across chunks: the last one
        of a chunk is smaller, or a row larger. Callbacks hear of epochs, as in `fit`;
        those of scikit-learn's ``set_callbacks`` hear of `fit` alone.

        One chunk of all rows gives the very bytes of `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from slimlearn import DNNRegressor
        >>> def chunks():
        ...     for seed in range(20):
        ...         X = np.random.RandomState(seed).normal(size=(500, 3))
        ...         yield X, X @ [1.0, 2.0, 3.0]
        >>> reg = DNNRegressor((16,), max_iter=20, random_state=0).fit_chunks(chunks)
        >>> X, y = next(chunks())
        >>> print(f"{reg.score(X, y):.2f}")
        1.00
        """
        data = (chunks, X_val, y_val, sample_weight_val)
        return self._fit(
            self.max_iter, self.warm_start, data, ChunkFitting, classes=classes
        )

    def _fit(self, epochs: int, resume: bool, data: tuple, kind=Fitting, **options):
        validation.check_parameters(self)
        watchers = []
        if "_skl_callbacks" in self.__dict__ and not options:
            watchers = [("scikit-learn", ScikitCallbacks(self, epochs, *data[:3]))]
        former = self.__dict__.copy()
        try:
            fitting = kind(self, epochs, resume, watchers=watchers, **options)
            ended = fitting.run(*data)
        except BaseException:
            # Ctrl-C and a full disk publish the epochs that are done; anything else
            # leaves no trace.
            if self.__dict__.get("program_") is former.get("program_"):
                self.__dict__.clear()
                self.__dict__.update(former)
            raise
        if ended in _UNCONVERGED:
            text = _UNCONVERGED[ended].format(epochs)
            if ended == "line_search" and self._handle.precision == "f32":
                text += ", or set precision='float64'"
            warn(f"{type(self).__name__}: {text}", ConvergenceWarning)
        return self

    def _former_head(self, former: dict):
        """The fitted head, whose classes or scale a resumed fit keeps."""
        head = former["_head"]
        if make_loss(head.loss) != make_loss(self.loss):
            raise ValueError(
                f"warm_start: the fitted estimator has loss={head.loss!r}, now it is "
                f"{self.loss!r}: set warm_start=False, or the former loss"
            )
        return head

    def profile(self, X, y=None, sample_weight=None, *, steps=100) -> Profile:
        """Train some steps on copies of the fitted arrays, timing each operation.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        steps : int, default=100
            Training steps, on one thread; with L-BFGS, evaluations of the gradient.

        Returns
        -------
        Profile
            A list of dicts with ``name`` (as in ``program_``), ``op``, ``seconds`` a
            step, ``flops``, ``bytes`` and ``roofline``, the share of what this machine
            could reach; printed as a table.
        """
        check_is_fitted(self, "program_")
        validation.check_parameters(self)
        return Profile(Fitting(self, 1, True).profile(X, y, sample_weight, steps))

    # -- what comes out -------------------------------------------------------------

    def _values(
        self,
        function: str,
        X,
        method: str = "predict",
        finish: str | None = None,
        handle: Handle | None = None,
    ):
        """What a method gives for X's rows, in arrays of X's library.

        Parameters
        ----------
        function : str
            Of the program, or of the part of it that `handle` runs.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        method : str
            The public method that is asked, for errors.
        finish : str or None
            The head's method that makes something else of the values.
        handle : Handle or None
        """
        if handle is None:
            handle = self.__dict__.get("_handle")
            if handle is None:
                check_is_fitted(self, "program_")
        values = handle.quick(function, X, self.n_threads)
        if values is not None:
            return values if finish is None else getattr(self._head, finish)(values)
        home = home_of(X)
        check_origin(self, home, method)
        X = handle.input.check(self, X)
        values = handle.few(function, X, self.n_threads)
        make = None if finish is None else getattr(self._head, finish)
        if values is not None:
            values = values if make is None else make(values)
        else:
            handle.input.check_range(self, X, handle.precision)
            values = handle.run(function, X, self.n_threads, make, home)
        return values if home is None else home.give(values)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.sparse = bool(self._accept_sparse)
        return tags

    def get_metadata_routing(self):
        """What the methods take beyond X and y, and what of it was requested.

        Returns
        -------
        MetadataRequest
            Of scikit-learn. `groups`, which splitters take too, have to be requested,
            or not requested, only where early stopping holds out rows.
        """
        routing = super().get_metadata_routing()
        holds_out = self.early_stopping and self.validation_fraction is not None
        if not holds_out and routing.fit.requests.get("groups", False) is None:
            routing.fit.add_request(param="groups", alias=False)
        return routing

    def __sklearn_is_fitted__(self) -> bool:
        return "program_" in self.__dict__

    def _weights(self, last: str) -> list[np.ndarray]:
        check_is_fitted(self, "program_")
        found = []
        for name, array in self.program_.weights.items():
            if name.rpartition("/")[2] == last:
                view = array.view()
                view.flags.writeable = False
                found.append(view)
        return found

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weights of the layers from first to last, (inputs, outputs), read-only."""
        return self._weights("weights")

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases of the layers from first to last, (outputs,), read-only."""
        return self._weights("biases")

    # -- parameters and state -------------------------------------------------------

    @classmethod
    @cache
    def _get_param_names(cls):
        # scikit-learn reads the signature anew three times for each fit of a search.
        return super()._get_param_names()

    def set_params(self, **params) -> Self:
        """Set parameters; ``<component>__<parameter>`` reaches into parameter objects.

        Parameters
        ----------
        **params
            Of the constructor, of parameter objects as ``optimizer__beta1``, of
            callbacks as ``callbacks__<name>__<parameter>``. A `device` predicts from
            now on with what was fitted; all others are for the next fit.

        Returns
        -------
        self
        """
        known = self._get_param_names()
        for name in params:
            part, nested, _ = name.partition("__")
            told = (
                None if nested or name in known else elsewhere.advice(type(self), name)
            )
            if told is not None:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}: {told}"
                )
            example = _OBJECTS.get(part)
            if nested and example:
                value = params.get(part, getattr(self, part))
                if isinstance(value, Mapping):
                    raise ValueError(
                        f"{name}: {part} is a dict of several: search over dicts, as "
                        f"in {part}=[{{'*': {example}}}, …]"
                    )
                if isinstance(value, str):
                    raise ValueError(
                        f"{name}: {part}={value!r} is a name and has no parameters: "
                        f"pass an object, such as {example}, to search over its "
                        "parameters"
                    )
                held = not isinstance(value, type) and hasattr(value, "set_params")
                if part == "loss" and not held:
                    raise ValueError(
                        f"{name}: loss={value!r} holds no parameters: decorate the "
                        "function with @loss and pass an instance, as in loss=huber()"
                    )
        super().set_params(**params)
        if "device" in params and "_handle" in self.__dict__:
            self._move()
        return self

    def _move(self) -> None:
        """Let what `device` names predict with what was fitted."""
        if self._handle.device != self.device:
            closely = self._handle.closely
            self._handle = Handle(self.program_, self._input, closely, self.device)

    @classmethod
    def _parameter_names(cls) -> tuple[str, ...]:
        return tuple(cls._get_param_names())

    @classmethod
    def _stand_in(cls) -> tuple:
        return make_stand_in, *facts_of(cls)

    def __getstate__(self) -> dict:
        state = super().__getstate__()
        return sealed({k: v for k, v in state.items() if k != "_handle"})

    def __deepcopy__(self, memo: dict):
        twin = memo[id(self)] = object.__new__(type(self))
        state = {k: v for k, v in self.__dict__.items() if k != "_handle"}
        twin.__setstate__(copy.deepcopy(state, memo))
        return twin

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(opened(state))
        if "program_" in self.__dict__:
            named = "feature_names_in_" in self.__dict__
            closely = named or self._origin.foreign
            program = self.program_.seal()
            self._handle = Handle(program, self._input, closely, self.device)
