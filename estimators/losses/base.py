"""Loss: the base of the losses, and a function of the user's own."""

from __future__ import annotations

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_model, type_text
from slimlearn.backend.parameters import Parameters
from slimlearn.backend.shape import B

__all__ = ["Loss", "OwnLoss", "hyper"]


class Loss(Parameters):
    """Base: a loss with its parameters."""

    name = ""

    def hypers(self) -> dict[str, float]:
        """Run-time numbers that the formula reads."""
        return {}

    def structure(self) -> tuple | None:
        """What the formula's graph depends on; None if that cannot be known."""
        return (type(self).__name__,)


def hyper(name: str, like: Tensor) -> Tensor:
    """The run-time number `name`, in the type of `like`."""
    return ops.cast(current_model().hyper(name), like.dtype)


class OwnLoss(Loss):
    """A user's function of graph tensors, (raw, y) -> one number per row."""

    probabilistic = True
    degree = 0
    log_link = False

    def __init__(self, function):
        self.function = function

    def structure(self):
        return None

    def domain(self):
        """Any y."""
        return None

    def __call__(self, raw: Tensor, y: Tensor) -> Tensor:
        """The function's losses, which must be [B]."""
        loss = self.function(raw, y)
        if not isinstance(loss, Tensor) or tuple(loss.shape) != (B,):
            got = type_text(*loss.type) if isinstance(loss, Tensor) else repr(loss)
            who = getattr(self.function, "__name__", repr(self.function))
            raise ValueError(
                f"loss {who} must return one number for each row, {raw.dtype}[B]; it "
                f"was given raw {type_text(*raw.type)} and y {type_text(*y.type)} and "
                f"returned {got}: reduce the other axes with ops.reduce_mean(…, [1])"
            )
        return loss if loss.dtype == raw.dtype else ops.cast(loss, raw.dtype)
