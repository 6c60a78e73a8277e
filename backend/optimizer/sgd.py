"""Gradient descent and its momentum."""

from __future__ import annotations

from slimlearn.backend import ops
from slimlearn.backend.optimizer.base import Optimizer


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum.

    .. math:: v' = \mu v + g, \quad w' = w - \eta v'

    and with Nesterov's momentum :math:`w' = w - \eta (g + \mu v')`.

    Parameters
    ----------
    momentum : float, default=0.9
        In [0, 1); 0 is plain gradient descent.
    nesterov : bool, default=True
        Whether to look ahead; without momentum it makes no difference.

    References
    ----------
    Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and
    momentum in deep learning, with the rate outside the velocity.
    """

    default_learning_rate = 1e-2

    def __init__(self, momentum: float = 0.9, nesterov: bool = True) -> None:
        self.momentum = momentum
        self.nesterov = nesterov

    def check(self) -> None:
        self._require("momentum", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._require_flag("nesterov")

    @property
    def row_sparse(self) -> bool:
        return self.momentum == 0

    def structure(self) -> tuple:
        return ("SGD", self.momentum > 0, bool(self.nesterov))

    def hypers(self) -> dict[str, float]:
        return {"momentum": self.momentum} if self.momentum > 0 else {}

    def _rule(self, u):
        step = u.gradient
        if self.momentum > 0:
            momentum = u.scalar(u.hyper("momentum"))
            velocity = u.slot("velocity")
            moved = ops.add(ops.mul(velocity, momentum), u.gradient)
            u.set(velocity, moved)
            step = (
                ops.add(u.gradient, ops.mul(moved, momentum))
                if self.nesterov
                else moved
            )
        return ops.sub(u.weight, ops.mul(step, u.scalar(u.learning_rate)))
