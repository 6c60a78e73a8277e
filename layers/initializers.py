"""How variables start: callables ``initializer(shape, dtype, name) -> Tensor``.

They are called while a model's ``init`` function is built. Each is a small value:
it compares, prints and pickles, so it may be a parameter of a network. A random one
draws from a stream of its own for each variable; `seed` moves it to another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Model, Tensor

__all__ = [
    "constant_initializer",
    "he_initializer",
    "identity_initializer",
    "lecun_initializer",
    "ones_initializer",
    "orthogonal_initializer",
    "random_normal_initializer",
    "random_uniform_initializer",
    "truncated_normal_initializer",
    "variance_scaling_initializer",
    "xavier_initializer",
    "zeros_initializer",
]


def __dir__() -> list[str]:
    return __all__


# Of the normal distribution cut at two deviations, and where erfinv meets the cut.
_CUT = math.erf(math.sqrt(2.0))


@dataclass(frozen=True)
class Constant:
    """Every element has one value, or the elements are given."""

    value: float | tuple
    shape: tuple | None = None

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        """Build the value."""
        if self.shape is None:
            return ops.constant(self.value, dtype, shape, name=name)
        if math.prod(self.shape) != math.prod(shape):
            raise ValueError(
                f"constant_initializer: {name!r} needs {math.prod(shape)} values "
                f"for its shape {list(shape)}, got {math.prod(self.shape)}"
            )
        values = ops.constant_list(self.value, dtype, name=f"{name}/values")
        return ops.reshape(values, shape, name=name)


@dataclass(frozen=True)
class Uniform:
    """Uniform between `minval` and `maxval`."""

    minval: float
    maxval: float
    seed: int | None = None

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        """Build the draw."""
        return _uniform(shape, dtype, name, self.minval, self.maxval, self.seed)


@dataclass(frozen=True)
class Normal:
    """Normal, or normal without what lies beyond two deviations."""

    mean: float
    stddev: float
    truncated: bool = False
    seed: int | None = None

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        """Build the draw."""
        return _normal(
            shape, dtype, name, self.mean, self.stddev, self.truncated, self.seed
        )


@dataclass(frozen=True)
class VarianceScaling:
    """A variance of `factor` / fan; see `variance_scaling_initializer`.

    `stream` names the stream of uniform numbers, which else follows from the variable.
    """

    factor: float
    mode: str
    uniform: bool
    seed: int | None = None
    stream: str | None = field(default=None, repr=False)

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        """Build the draw."""
        fan_in, fan_out = _fans(shape)
        fan = {
            "FAN_IN": fan_in,
            "FAN_OUT": fan_out,
            "FAN_AVG": (fan_in + fan_out) / 2,
        }[self.mode]
        variance = self.factor / max(fan, 1.0)
        if self.uniform:
            limit = math.sqrt(3.0 * variance)
            return _uniform(shape, dtype, name, -limit, limit, self.seed, self.stream)
        # 1.3 makes up for the variance that the cut takes away.
        stddev = math.sqrt(1.3 * variance)
        return _normal(shape, dtype, name, 0.0, stddev, True, self.seed)


@dataclass(frozen=True)
class Orthogonal:
    """Orthonormal columns, or rows where there are fewer rows than columns."""

    gain: float
    seed: int | None = None

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        """Build the draw."""
        if len(shape) < 2:
            raise ValueError(
                f"orthogonal_initializer: {name!r} must have at least 2 dimensions, "
                f"its shape is {list(shape)}"
            )
        matrix = (math.prod(shape[:-1]), shape[-1])
        draw = _normal(matrix, "f64", f"{name}/normal", 0.0, 1.0, False, self.seed)
        made = ops.orthogonal(draw, name=f"{name}/orthogonal")
        if self.gain != 1.0:
            made = ops.mul(made, self.gain, name=f"{name}/gain")
        made = _rounded(made, dtype)
        return made if matrix == shape else ops.reshape(made, shape, name=name)


@dataclass(frozen=True)
class Identity:
    """`gain` on the diagonal of a matrix, 0 elsewhere."""

    gain: float

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        """Build the value."""
        if len(shape) != 2:
            raise ValueError(
                f"identity_initializer: {name!r} must be a matrix, its shape is "
                f"{list(shape)}"
            )
        positions = ops.iota(shape[0], "i32", name=f"{name}/row")
        return ops.one_hot(
            positions, shape[1], on_value=self.gain, dtype=dtype, name=name
        )


def zeros_initializer() -> Constant:
    """Return an initializer to 0."""
    return Constant(0.0)


def ones_initializer() -> Constant:
    """Return an initializer to 1."""
    return Constant(1.0)


def constant_initializer(value: float | Sequence | np.ndarray = 0.0) -> Constant:
    """Return an initializer to one number, or to the elements of an array.

    Parameters
    ----------
    value : float, sequence or ndarray, default=0.0
        An array has as many elements as the variable.

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.
    """
    array = np.asarray(value, dtype=float)
    if array.ndim == 0:
        return Constant(float(array))
    return Constant(tuple(array.ravel().tolist()), array.shape)


def random_uniform_initializer(
    minval: float = 0.0, maxval: float = 1.0, seed: int | None = None
) -> Uniform:
    """Return an initializer to uniform numbers between two bounds.

    Parameters
    ----------
    minval, maxval : float
    seed : int, optional
        Moves the draw to another stream of random numbers.

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.
    """
    return Uniform(minval, maxval, seed)


def random_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None
) -> Normal:
    """Return an initializer to normal numbers.

    Parameters
    ----------
    mean, stddev : float
    seed : int, optional
        Moves the draw to another stream of random numbers.

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.
    """
    return Normal(mean, stddev, False, seed)


def truncated_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None
) -> Normal:
    """Return an initializer to normal numbers within two deviations of the mean.

    Parameters
    ----------
    mean, stddev : float
    seed : int, optional
        Moves the draw to another stream of random numbers.

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.
    """
    return Normal(mean, stddev, True, seed)


def variance_scaling_initializer(
    factor: float = 2.0,
    mode: Literal["FAN_IN", "FAN_OUT", "FAN_AVG"] = "FAN_IN",
    uniform: bool = False,
    seed: int | None = None,
    dtype: str | None = None,
) -> VarianceScaling:
    """Return an initializer whose variance is `factor` / fan.

    Parameters
    ----------
    factor : float, default=2.0
    mode : {"FAN_IN", "FAN_OUT", "FAN_AVG"}
        Whether the inputs of a unit count, the outputs, or their mean.
    uniform : bool, default=False
        Draw uniform numbers rather than truncated normal ones.
    seed : int, optional
    dtype : str, optional
        Accepted for TF-Slim's sake; variables have the model's precision.

    Raises
    ------
    ValueError
        The mode is unknown or the factor is not positive.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015: factor=2, "FAN_IN".
    """
    if mode not in ("FAN_IN", "FAN_OUT", "FAN_AVG"):
        raise ValueError(
            "variance_scaling_initializer: mode must be 'FAN_IN', 'FAN_OUT' or "
            f"'FAN_AVG', got {mode!r}"
        )
    if not factor > 0:
        raise ValueError(
            f"variance_scaling_initializer: factor must be positive, got {factor!r}"
        )
    return VarianceScaling(factor, mode, uniform, seed)


def xavier_initializer(
    uniform: bool = True, seed: int | None = None, dtype: str | None = None
) -> VarianceScaling:
    """Return Glorot and Bengio's initializer: variance 2 / (inputs + outputs).

    Parameters
    ----------
    uniform : bool, default=True
        Draw uniform numbers rather than truncated normal ones.
    seed : int, optional
        Moves the draw to another stream of random numbers.
    dtype : str, optional
        Accepted for TF-Slim's sake; variables have the model's precision.

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", 2010.
    """
    return variance_scaling_initializer(1.0, "FAN_AVG", uniform, seed)


def he_initializer(uniform: bool = False, seed: int | None = None) -> VarianceScaling:
    """Return He's initializer for rectifiers: variance 2 / inputs.

    Parameters
    ----------
    uniform : bool, default=False
        Draw uniform numbers rather than truncated normal ones.
    seed : int, optional
        Moves the draw to another stream of random numbers.

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015.
    """
    return variance_scaling_initializer(2.0, "FAN_IN", uniform, seed)


def lecun_initializer(
    uniform: bool = False, seed: int | None = None
) -> VarianceScaling:
    """Return LeCun's initializer, also SELU's: variance 1 / inputs.

    Parameters
    ----------
    uniform : bool, default=False
        Draw uniform numbers rather than truncated normal ones.
    seed : int, optional
        Moves the draw to another stream of random numbers.

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.

    References
    ----------
    LeCun et al., "Efficient backprop", 1998.
    """
    return variance_scaling_initializer(1.0, "FAN_IN", uniform, seed)


def orthogonal_initializer(gain: float = 1.0, seed: int | None = None) -> Orthogonal:
    """Return an initializer to a random orthogonal matrix times `gain`.

    Parameters
    ----------
    gain : float, default=1.0
    seed : int, optional
        Moves the draw to another stream of random numbers.

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.

    References
    ----------
    Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014.
    """
    return Orthogonal(gain, seed)


def identity_initializer(gain: float = 1.0) -> Identity:
    """Return an initializer to the identity matrix times `gain`.

    Parameters
    ----------
    gain : float, default=1.0

    Returns
    -------
    callable
        ``initializer(shape, dtype, name)``, a small value that compares and pickles.
    """
    return Identity(gain)


def build_init(model: Model) -> None:
    """Add to `model` the function ``init``, which sets all parameters and states."""
    with model.function("init") as graph:
        for declaration in [*model.parameters, *model.states]:
            initializer: Callable | None = declaration.initializer
            if initializer is None:
                raise ValueError(
                    f"{declaration.kind} %{declaration.name} has no initializer"
                )
            value = initializer(
                declaration.shape, declaration.dtype, f"{declaration.name}/initial"
            )
            graph.set_(declaration, value)


def _fans(shape: tuple) -> tuple[float, float]:
    if not shape:
        return 1.0, 1.0
    receptive = math.prod(shape[:-2])
    inputs = shape[-2] if len(shape) > 1 else shape[-1]
    return float(inputs * receptive), float(shape[-1] * receptive)


# All is drawn and computed in f64: a seed gives the same start in both precisions.


def _uniform(shape, dtype, name, low, high, seed, stream=None):
    name = _seeded(name, seed)
    value = ops.random_uniform(shape, "f64", low, high, name=name, stream=stream)
    return _rounded(value, dtype)


def _normal(shape, dtype, name, mean, stddev, truncated, seed):
    if not truncated:
        name = _seeded(name, seed)
        value = ops.random_normal(shape, "f64", mean, stddev, name=name)
        return _rounded(value, dtype)
    draw = _uniform(shape, "f64", f"{name}/uniform", -_CUT, _CUT, seed)
    value = ops.mul(ops.erfinv(draw), stddev * math.sqrt(2.0), name=name)
    return _rounded(ops.add(value, mean) if mean else value, dtype)


def _rounded(value: Tensor, dtype: str) -> Tensor:
    return value if value.dtype == dtype else ops.cast(value, dtype)


def _seeded(name: str, seed: int | None) -> str:
    # A random op's stream is the hash of its name.
    return name if seed is None else f"{name}:{int(seed)}"
