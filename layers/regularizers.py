"""Penalties on weights, after TF-Slim's regularizers.

The built-in ones are two numbers, (l1, l2): an estimator reads them with
`coefficients` and lets the optimizer apply them, so that they cost no graph.
Called on a tensor they build the penalty, as any other regularizer does.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real

from slimlearn.backend import ops
from slimlearn.backend.graph import Parameter, Tensor, current_graph, name_scope
from slimlearn.layers.queries import get_trainable_variables

__all__ = [
    "apply_regularization",
    "l1_l2_regularizer",
    "l1_regularizer",
    "l2_regularizer",
    "sum_regularizer",
]


def __dir__() -> list[str]:
    return __all__


REGULARIZATION_LOSSES = "regularization_losses"


@dataclass(frozen=True)
class Penalty:
    """l1 · Σ|w| + l2 · Σw² / 2; what `l1_regularizer` and its like return."""

    l1: float = 0.0
    l2: float = 0.0
    scope: str = "regularizer"

    def __call__(self, weights: Tensor) -> Tensor | None:
        """Build the penalty of `weights`, a scalar; None where both parts are 0."""
        parts = []
        with name_scope(self.scope):
            if self.l1:
                parts.append(ops.reduce_sum(ops.abs(weights)) * self.l1)
            if self.l2:
                parts.append(ops.reduce_sum(ops.square(weights)) * (self.l2 / 2))
            return _sum(parts)


@dataclass(frozen=True)
class _Sum:
    regularizers: tuple[Callable, ...]
    scope: str

    def __call__(self, weights: Tensor) -> Tensor | None:
        with name_scope(self.scope):
            parts = [regularizer(weights) for regularizer in self.regularizers]
            return _sum([part for part in parts if part is not None])


def _sum(parts: list[Tensor]) -> Tensor | None:
    total = None
    for part in parts:
        total = part if total is None else ops.add(total, part)
    return total


def l1_regularizer(scale: float, scope: str | None = None) -> Penalty:
    """Return the penalty scale · Σ|w|.

    Parameters
    ----------
    scale : float
        At least 0; 0 switches the penalty off.
    scope : str, optional
        Name of the ops.

    Raises
    ------
    ValueError
        The scale is negative or no finite number.
    """
    return Penalty(l1=_scale("l1", scale), scope=scope or "l1_regularizer")


def l2_regularizer(scale: float, scope: str | None = None) -> Penalty:
    """Return the penalty scale · Σw² / 2.

    Parameters
    ----------
    scale : float
        At least 0; 0 switches the penalty off.
    scope : str, optional
        Name of the ops.

    Raises
    ------
    ValueError
        The scale is negative or no finite number.
    """
    return Penalty(l2=_scale("l2", scale), scope=scope or "l2_regularizer")


def l1_l2_regularizer(
    scale_l1: float = 1.0, scale_l2: float = 1.0, scope: str | None = None
) -> Penalty:
    """Return the penalty scale_l1 · Σ|w| + scale_l2 · Σw² / 2.

    Parameters
    ----------
    scale_l1, scale_l2 : float, default=1.0
        At least 0; 0 switches a part off.
    scope : str, optional
        Name of the ops.

    Returns
    -------
    callable
        From a tensor to the penalty, a scalar.
    """
    return Penalty(
        l1=_scale("l1", scale_l1),
        l2=_scale("l2", scale_l2),
        scope=scope or "l1_l2_regularizer",
    )


def _scale(word: str, scale: float) -> float:
    if not isinstance(scale, Real) or isinstance(scale, bool):
        raise ValueError(
            f"{word}_regularizer: the scale must be a number, got {scale!r}"
        )
    if not (math.isfinite(scale) and scale >= 0):
        raise ValueError(
            f"{word}_regularizer: the scale must be finite and at least 0, got {scale}"
        )
    return float(scale)


def sum_regularizer(
    regularizer_list: Sequence[Callable | None], scope: str | None = None
) -> Callable | None:
    """Return one regularizer that adds up others; None where the list has none.

    Parameters
    ----------
    regularizer_list : sequence of callable or None
    scope : str, optional
        Name of the ops.

    Returns
    -------
    callable or None
    """
    regularizers = tuple(r for r in regularizer_list if r is not None)
    scope = scope or "sum_regularizer"
    if not regularizers:
        return None
    if all(isinstance(r, Penalty) for r in regularizers):
        l1 = math.fsum(r.l1 for r in regularizers)
        return Penalty(l1, math.fsum(r.l2 for r in regularizers), scope)
    return _Sum(regularizers, scope)


def coefficients(parameter: Parameter) -> tuple[float, float]:
    """Return a parameter's (l1, l2), (0, 0) where its penalty is in the graph."""
    regularizer = parameter.regularizer
    if isinstance(regularizer, Penalty):
        return regularizer.l1, regularizer.l2
    return 0.0, 0.0


def apply_regularization(
    regularizer: Callable, weights_list: Sequence[Tensor] | None = None
) -> Tensor:
    """Penalise weights and add the sum to the function's regularization losses.

    Parameters
    ----------
    regularizer : callable
        From a tensor to a scalar tensor, or None for no penalty.
    weights_list : sequence of Tensor, optional
        By default all trainable variables called ``weights``.

    Returns
    -------
    Tensor
        The sum, a scalar.

    Raises
    ------
    ValueError
        There are no weights, or the regularizer does not return a scalar.
    """
    weights_list = weights_list or get_trainable_variables(suffix="weights")
    if not weights_list:
        raise ValueError("apply_regularization: there are no weights to penalise")
    with name_scope("get_regularization_penalty"):
        penalties = [penalty(regularizer, weights) for weights in weights_list]
        total = _sum([p for p in penalties if p is not None])
        if total is None:
            total = ops.constant(0.0, weights_list[0].dtype)
    current_graph().collection(REGULARIZATION_LOSSES).append(total)
    return total


def penalty(regularizer: Callable, weights: Tensor) -> Tensor | None:
    """Build one penalty and check that it is a scalar."""
    made = regularizer(weights)
    if made is not None and (not isinstance(made, Tensor) or made.shape != ()):
        raise ValueError(
            f"the regularizer of {weights.name!r} must return a scalar tensor or None, "
            f"got {made!r}"
        )
    return made
