"""Losses of the user's own: plain functions, and `@loss` with parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Integral
from typing import overload

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.backend.parameters import alike
from slimlearn.backend.shape import B
from slimlearn.estimators.callbacks.run import note
from slimlearn.estimators.decorated import class_of
from slimlearn.estimators.losses.base import Loss
from slimlearn.estimators.sealing import Sealed, UserFunction

__all__ = ["LossFunction", "OwnLoss", "loss"]


class LossFunction(UserFunction):
    """Base of the classes that `loss` makes from functions.

    An instance holds the function's keyword parameters; calling it on tensors gives
    what the function returns, so that losses are made of losses.
    """

    _outputs: int | Callable | None = None
    _scaled = True
    _mean: Callable | None = None
    _std: Callable | None = None

    def __call__(self, raw: Tensor, y: Tensor) -> Tensor:
        """The function on `raw` and `y`, with this object's parameters."""
        return self._function(raw, y, **self.get_params(deep=False))

    def _call(self, function: Callable, *arguments):
        """A function that takes some of the parameters, by their names."""
        names = list(inspect.signature(function).parameters)[len(arguments) :]
        return function(*arguments, **{name: getattr(self, name) for name in names})

    def __eq__(self, other):
        return type(self) is type(other) and alike(
            self.get_params(deep=False), other.get_params(deep=False)
        )

    def __hash__(self):
        return hash(type(self))


@overload
def loss(function: Callable[..., Tensor]) -> type[LossFunction]: ...
@overload
def loss(
    *,
    outputs: int | Callable[..., int] | None = ...,
    mean: Callable[..., np.ndarray] | None = ...,
    std: Callable[..., np.ndarray] | None = ...,
    scaled: bool = ...,
) -> Callable[[Callable[..., Tensor]], type[LossFunction]]: ...


def loss(
    function: Callable | None = None,
    *,
    outputs: int | Callable | None = None,
    mean: Callable | None = None,
    std: Callable | None = None,
    scaled: bool = True,
):
    """Make a function a loss with parameters that a search can set.

    The function's first two parameters are tensors: what the network gives, and y. Its
    further ones need defaults; they are the parameters of the loss.

    Parameters
    ----------
    function : callable
        ``function(raw, y, **parameters) -> Tensor``, made of `slimlearn.ops`: the loss
        of each row [B], or of each target or label in the shape of y, of which the mean
        is taken. For regressors raw and y are [B], or [B, k] for k targets; y is
        centred and scaled. For classifiers raw is [B] for two classes and y their
        numbers, 0 and 1; raw is [B, k] for k classes, and y their numbers [B]; raw is
        [B, k] for k labels, and y has 0 and 1 [B, k].
    outputs : int, function or None, default=None
        For regressors: how many numbers the network gives for each target. They are the
        last axis of raw: ``raw[..., 0]`` has y's shape. A function gets those
        parameters of the loss that it names.
    mean : function, required with `outputs`
        What `predict` makes of these numbers: ``mean(raw)`` of a float64 array
        (n, outputs), or (n, k, outputs) for k targets, returns one number per target,
        on the scale of the loss's y, and the estimator undoes the scaling. It may take
        parameters of the loss by name.
    std : function, optional
        The same for the deviations of ``predict(X, return_std=True)``.
    scaled : bool, default=True
        Whether a regressor centres and scales y. False is for losses that y's own
        values matter to, such as those of counts.

    Returns
    -------
    class
        Of the function's name: ``charbonnier(epsilon=0.1)`` has ``get_params``, clones
        and pickles, ``loss__epsilon`` is searchable.

    Raises
    ------
    TypeError
        If the function takes ``*args``, ``**kwargs`` or a parameter without default,
        or `outputs`, `mean` and `std` do not go together.

    Examples
    --------
    A parameter of a loss, searched:

    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import GridSearchCV
    >>> from slimlearn import LinearRegressor, loss, ops
    >>> @loss
    ... def charbonnier(raw, y, epsilon=1.0):
    ...     return ops.sqrt(ops.square(raw - y) + epsilon**2)
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = LinearRegressor(loss=charbonnier(), tol=1e-3)
    >>> search = GridSearchCV(reg, {"loss__epsilon": [0.1, 1.0]}).fit(X, y)
    >>> print(f"{search.best_score_:.1f}")
    0.5

    A distribution of the user's own: the network gives two numbers for each target.

    >>> import numpy as np
    >>> @loss(
    ...     outputs=2,
    ...     mean=lambda raw: raw[..., 0],
    ...     std=lambda raw: np.sqrt(2) * np.exp(raw[..., 1]),
    ... )
    ... def laplace(raw, y):
    ...     center, log_width = raw[..., 0], raw[..., 1]
    ...     return log_width + ops.abs(y - center) * ops.exp(-log_width)
    >>> reg = LinearRegressor(loss=laplace(), max_iter=300, tol=1e-3).fit(X, y)
    >>> predicted, deviation = reg.predict(X, return_std=True)
    >>> print(f"{(abs(y - predicted) < 2 * deviation).mean():.1f}")
    1.0
    """
    if function is None:
        return lambda function: loss(
            function, outputs=outputs, mean=mean, std=std, scaled=scaled
        )
    made = class_of(
        function,
        LossFunction,
        decorator="@loss",
        tensors={"raw": "what the network gives", "y": "the targets"},
    )
    where, parts = f"@loss {made.__name__}", {"outputs": outputs, "mean": mean}
    if outputs is None and (mean is not None or std is not None):
        raise TypeError(
            f"{where}: mean and std are made of several numbers per target: say how "
            "many, as in @loss(outputs=2, mean=…)"
        )
    if outputs is not None and mean is None:
        raise TypeError(
            f"{where}: predict needs to know what a prediction is of outputs={outputs} "
            "numbers: give a function, as in mean=lambda raw: raw[..., 0]"
        )
    for name, part in {**parts, "std": std}.items():
        if callable(part):
            _check_part(made, where, name, part)
            part = staticmethod(part)
        elif part is not None and name != "outputs":
            raise TypeError(f"{where}: {name} must be a function; got {part!r}")
        setattr(made, f"_{name}", part)
    if not callable(outputs):
        _count(where, outputs)
    made._scaled = scaled
    return made


def _check_part(made: type, where: str, name: str, part: Callable) -> None:
    """Refuse a function that takes what the loss does not have."""
    known = made._get_param_names()
    names = list(inspect.signature(part).parameters)[name != "outputs" :]
    for wanted in names:
        if wanted not in known:
            raise TypeError(
                f"{where}: {name} takes {wanted!r}, which is no parameter of the loss; "
                f"it has: {', '.join(known) or 'none'}"
            )


def _count(where: str, outputs) -> int | None:
    whole = isinstance(outputs, Integral) and not isinstance(outputs, bool)
    if outputs is not None and not (whole and outputs >= 1):
        raise TypeError(
            f"{where}: outputs must be a whole number of at least 1; got {outputs!r}"
        )
    return outputs if outputs is None else int(outputs)


class OwnLoss(Sealed, Loss):
    """A function of the user's own, as heads ask losses.

    Parameters
    ----------
    function : callable
        Of graph tensors (raw, y); a `LossFunction` or any other.
    """

    probabilistic = True
    degree = 0
    log_link = False
    locations: tuple[int, ...] = ()

    def __init__(self, function):
        self.function = function

    @property
    def word(self) -> str:
        """The loss's name, for errors."""
        if isinstance(self.function, LossFunction):
            return type(self.function).__name__
        return getattr(self.function, "__name__", repr(self.function))

    @property
    def numbers(self) -> int | None:
        outputs = getattr(self.function, "_outputs", None)
        if callable(outputs):
            outputs = self.function._call(outputs)
        return _count(f"loss {self.word}", outputs)

    @property
    def scales_y(self) -> bool:
        """Whether regressors centre and scale y."""
        return getattr(self.function, "_scaled", True)

    @property
    def has_deviations(self) -> bool:
        """Whether the network's numbers say how far y lies from the mean."""
        return getattr(self.function, "_std", None) is not None

    def structure(self):
        return None

    def domain(self):
        """Any y."""
        return None

    def start(self) -> None:
        """Nothing is known of where the numbers should start."""

    def __call__(self, raw: Tensor, y: Tensor) -> Tensor:
        """The function's losses: [B], or in the shape of y."""
        given = f"raw {type_text(*raw.type)} and y {type_text(*y.type)}"
        self._check_arguments()
        try:
            loss = self.function(raw, y)
        except Exception as error:
            note(error, f"raised by loss {self.word}, which was given {given}")
            raise
        if not isinstance(loss, Tensor) or loss.shape not in ((B,), y.shape):
            got, advice = type(loss).__name__, "return what ops make of raw and y"
            if isinstance(loss, Tensor):
                got = type_text(*loss.type)
                advice = "reduce the other axes, as ops.mean(…, [1]) does"
            each = f", or one for each target, {raw.dtype}{_shape(y)}" * (y.rank > 1)
            raise ValueError(
                f"loss {self.word} must return one number for each row, {raw.dtype}[B]"
                f"{each}; it was given {given} and returned {got}: {advice}"
            )
        return loss if loss.dtype == raw.dtype else ops.cast(loss, raw.dtype)

    def _check_arguments(self) -> None:
        """Refuse a function that cannot be called on raw and y alone."""
        try:
            signature = inspect.signature(self.function)
        except ValueError:
            return  # built in: who knows
        try:
            signature.bind(None, None)
        except TypeError as error:
            raise TypeError(
                f"loss {self.word}{signature} is called with what the network gives "
                f"and y, loss(raw, y), but {error}: give further parameters defaults "
                "(decorated with @loss they can be searched)"
            ) from None

    def mean(self, raw: np.ndarray) -> np.ndarray:
        """Predictions from float64 numbers whose last axis is `numbers` long."""
        return self._decode("mean", raw)

    def deviations(self, raw: np.ndarray) -> np.ndarray:
        """Deviations from float64 numbers whose last axis is `numbers` long."""
        return self._decode("std", raw)

    def _decode(self, part: str, raw: np.ndarray) -> np.ndarray:
        try:
            found = self.function._call(getattr(self.function, f"_{part}"), raw)
        except Exception as error:
            note(error, f"raised by {part} of loss {self.word}, of raw {raw.shape}")
            raise
        found = np.asarray(found)
        if found.shape != raw.shape[:-1] or found.dtype.kind not in "iuf":
            raise ValueError(
                f"{part} of loss {self.word} must return one number for each target: "
                f"of raw {raw.shape} an array {raw.shape[:-1]}; it returned "
                f"{found.dtype} {found.shape}: raw[..., i] is the i-th number"
            )
        return found.astype(np.float64)


def _shape(tensor: Tensor) -> str:
    return "[" + type_text(*tensor.type).partition("[")[2]
