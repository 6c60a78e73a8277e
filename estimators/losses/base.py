"""Loss: the base of the losses."""

from __future__ import annotations

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_model
from slimlearn.backend.parameters import Parameters

__all__ = ["Loss", "hyper"]


class Loss(Parameters):
    """Base: a loss with its parameters.

    Attributes
    ----------
    numbers : int or None
        How many numbers the network gives for each target, as the last axis of what the
        loss is given; None is one, without an axis of its own.
    """

    name = ""
    numbers: int | None = None

    def hypers(self) -> dict[str, float]:
        """Run-time numbers that the formula reads."""
        return {}

    def structure(self) -> tuple | None:
        """What the formula's graph depends on; None if that cannot be known."""
        return (type(self).__name__,)


def hyper(name: str, like: Tensor) -> Tensor:
    """The run-time number `name`, in the type of `like`."""
    return ops.cast(current_model().hyper(name), like.dtype)
