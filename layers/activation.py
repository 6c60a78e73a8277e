"""Activations, as short compositions of ops.

Each maps a tensor to one of the same shape, element by element. At a corner the
gradient is the slope of one side, which the function's notes name; other libraries may
take the other.
"""

import difflib
import math
from collections.abc import Callable

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.backend.ops import relu, sigmoid, softplus, tanh

__all__ = [
    "elu", "gelu", "get", "hard_sigmoid", "hard_swish", "hard_tanh", "leaky_relu",
    "linear", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus",
    "softsign", "swish", "tanh",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__


# Of the map whose fixed point is mean 0 and variance 1.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def linear(x: Tensor) -> Tensor:
    """x itself.

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.
    """
    return x


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6).

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.

    Notes
    -----
    The slope is 0 at 0, and 1 at 6, where PyTorch and TensorFlow have 0.
    """
    return ops.minimum(ops.relu(x), 6.0, name="relu6")


def leaky_relu(x: Tensor, alpha: float = 0.2) -> Tensor:
    """x where positive, else alpha · x; `alpha` is from 0 to 1.

    Parameters
    ----------
    x : Tensor of f32 or f64
    alpha : float, default=0.2
        The slope of negative elements, from 0 to 1.

    Returns
    -------
    Tensor
        As `x`.

    Notes
    -----
    The slope at 0 is 1; PyTorch and TensorFlow have `alpha` there.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"leaky_relu: alpha must be from 0 to 1, got {alpha!r}")
    return ops.maximum(x, x * alpha, name="leaky_relu")


def elu(x: Tensor) -> Tensor:
    """x where positive, else exp(x) - 1 (Clevert et al., 2016).

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.
    """
    # expm1 sees no positive number, so nothing overflows in value or gradient.
    return ops.add(ops.relu(x), ops.expm1(ops.minimum(x, 0.0)), name="elu")


def selu(x: Tensor) -> Tensor:
    """Scaled elu that keeps mean 0 and variance 1 (Klambauer et al., 2017).

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.

    Notes
    -----
    The slope at 0 is that of the left side, 1.758, as in PyTorch.
    """
    negative = ops.expm1(ops.minimum(x, 0.0)) * _SELU_ALPHA
    return ops.mul(ops.relu(x) + negative, _SELU_SCALE, name="selu")


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x · Φ(x), Φ the normal distribution (Hendrycks and Gimpel, 2016).

    `approximate` uses the tanh formula of the paper.

    Parameters
    ----------
    x : Tensor of f32 or f64
    approximate : bool, default=False
        Use the tanh formula of the paper rather than the error function.

    Returns
    -------
    Tensor
        As `x`.
    """
    if approximate:
        inner = (x + ops.square(x) * x * 0.044715) * math.sqrt(2.0 / math.pi)
        cumulative = (ops.tanh(inner) + 1.0) * 0.5
    else:
        cumulative = (ops.erf(x * math.sqrt(0.5)) + 1.0) * 0.5
    return ops.mul(x, cumulative, name="gelu")


def silu(x: Tensor) -> Tensor:
    """x · sigmoid(x) (Elfwing et al., 2018).

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.
    """
    return ops.mul(x, ops.sigmoid(x), name="silu")


swish = silu


def mish(x: Tensor) -> Tensor:
    """x · tanh(softplus(x)) (Misra, 2020).

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.
    """
    # As tanh(log(1 + e)) is n / (n + 2): one exponential. Beyond 20 it is 1.
    e = ops.exp(ops.minimum(x, 20.0))
    n = ops.mul(e, ops.add(e, 2.0))
    return ops.mul(x, ops.div(n, ops.add(n, 2.0)), name="mish")


def softsign(x: Tensor) -> Tensor:
    """``x / (1 + |x|)``.

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.
    """
    return ops.div(x, ops.abs(x) + 1.0, name="softsign")


def hard_sigmoid(x: Tensor) -> Tensor:
    """min(max(x + 3, 0), 6) / 6.

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.

    Notes
    -----
    The slope is 0 at -3, and 1/6 at 3, where PyTorch has 0.
    """
    return ops.mul(relu6(x + 3.0), 1.0 / 6.0, name="hard_sigmoid")


def hard_tanh(x: Tensor) -> Tensor:
    """min(max(x, -1), 1).

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.

    Notes
    -----
    The slope is 1 at -1 and at 1, where PyTorch has 0.
    """
    return ops.minimum(ops.maximum(x, -1.0), 1.0, name="hard_tanh")


def hard_swish(x: Tensor) -> Tensor:
    """x · hard_sigmoid(x) (Howard et al., 2019).

    Parameters
    ----------
    x : Tensor of f32 or f64

    Returns
    -------
    Tensor
        As `x`.

    Notes
    -----
    The slope is 0 at -3, and 1.5 at 3.
    """
    return ops.mul(x, hard_sigmoid(x), name="hard_swish")


def get(activation: str | Callable | None) -> Callable:
    """Return the activation of this name; a function is itself, None is `linear`.

    Parameters
    ----------
    activation : str, callable or None

    Returns
    -------
    callable
        From a tensor to one of the same shape.

    Raises
    ------
    ValueError
        No activation has the name.
    """
    if activation is None:
        return linear
    if callable(activation):
        return activation
    names = [name for name in __all__ if name != "get"]
    if activation in names:
        return globals()[activation]
    close = difflib.get_close_matches(str(activation), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"no activation is called {activation!r}{hint} (there are {', '.join(names)}; "
        "any function from tensor to tensor will do as well)"
    )
