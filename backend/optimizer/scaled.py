"""Steps scaled by the size of past gradients: RMSProp, Adagrad, Adadelta."""

from __future__ import annotations

from slimlearn.backend import ops
from slimlearn.backend.optimizer.base import Optimizer


class RMSProp(Optimizer):
    r"""Steps scaled by a moving root mean square of the gradient.

    .. math:: v' = \rho v + (1-\rho) g^2, \quad s = g / (\sqrt{v'} + \epsilon)

    :math:`w' = w - \eta s`, or with momentum :math:`b' = \mu b + s, w' = w - \eta b'`.

    Parameters
    ----------
    rho : float, default=0.9
        Decay of the mean square, in [0, 1).
    momentum : float, default=0.0
        In [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator, > 0.

    Notes
    -----
    The mean square starts at 0, as in PyTorch and Keras, so that the first steps are up
    to :math:`1 / \sqrt{1-\rho}` times the rate; TF-Slim's starts at 1, with small first
    steps. :math:`\epsilon` stands outside of the root, as in PyTorch; TensorFlow has it
    inside.

    References
    ----------
    Tieleman and Hinton (2012), Lecture 6.5 of Neural Networks for Machine Learning.
    """

    def __init__(
        self, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-8
    ) -> None:
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon

    def check(self) -> None:
        self._require("rho", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._require("momentum", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._require("epsilon", "a number > 0", lambda v: v > 0)

    def structure(self) -> tuple:
        return ("RMSProp", self.momentum > 0)

    def hypers(self) -> dict[str, float]:
        numbers = {"rho": self.rho, "epsilon": self.epsilon}
        if self.momentum > 0:
            numbers["momentum"] = self.momentum
        return numbers

    def _rule(self, u):
        v = u.blend(u.slot("v"), ops.square(u.gradient), u.hyper("rho"))
        step = ops.div(u.gradient, ops.add(ops.sqrt(v), u.scalar(u.hyper("epsilon"))))
        if self.momentum > 0:
            buffer = u.slot("buffer")
            step = ops.add(ops.mul(buffer, u.scalar(u.hyper("momentum"))), step)
            u.set(buffer, step)
        return ops.sub(u.weight, ops.mul(step, u.scalar(u.learning_rate)))


class Adagrad(Optimizer):
    r"""Steps scaled by the root of all squared gradients so far.

    .. math:: a' = a + g^2, \quad w' = w - \eta g / (\sqrt{a'} + \epsilon)

    Parameters
    ----------
    initial_accumulator : float, default=0.1
        Where :math:`a` starts, at least 0.
    epsilon : float, default=1e-7
        Added to the denominator, > 0.

    Notes
    -----
    The sum starts at 0.1, as in TensorFlow and Keras; PyTorch's starts at 0, so that a
    first step is as large as the rate: ``initial_accumulator=0.0`` does so here.

    References
    ----------
    Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization, figure 1, diagonal.
    """

    default_learning_rate = 5e-2
    row_sparse = True

    def __init__(self, initial_accumulator: float = 0.1, epsilon: float = 1e-7) -> None:
        self.initial_accumulator = initial_accumulator
        self.epsilon = epsilon

    def check(self) -> None:
        self._require("initial_accumulator", "a number >= 0", lambda v: v >= 0)
        self._require("epsilon", "a number > 0", lambda v: v > 0)

    def hypers(self) -> dict[str, float]:
        return {
            "initial_accumulator": self.initial_accumulator,
            "epsilon": self.epsilon,
        }

    def _rule(self, u):
        # The slot holds what came on top of the initial value, so it starts at zero.
        squares = u.slot("squares")
        total = ops.add(squares, ops.square(u.gradient))
        u.set(squares, total)
        root = ops.sqrt(ops.add(total, u.scalar(u.hyper("initial_accumulator"))))
        step = ops.mul(u.gradient, u.scalar(u.learning_rate))
        return ops.sub(
            u.weight, ops.div(step, ops.add(root, u.scalar(u.hyper("epsilon"))))
        )


class Adadelta(Optimizer):
    r"""Steps in the units of the weights, from two moving mean squares.

    .. math::
        v' = \rho v + (1-\rho) g^2, \quad
        s = g \sqrt{(d + \epsilon) / (v' + \epsilon)}, \quad
        d' = \rho d + (1-\rho) s^2, \quad w' = w - \eta s

    Parameters
    ----------
    rho : float, default=0.95
        Decay of both mean squares, in [0, 1).
    epsilon : float, default=1e-6
        Starts the steps, > 0.

    References
    ----------
    Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method, algorithm 1.
    https://arxiv.org/abs/1212.5701
    """

    default_learning_rate = 1.0

    def __init__(self, rho: float = 0.95, epsilon: float = 1e-6) -> None:
        self.rho = rho
        self.epsilon = epsilon

    def check(self) -> None:
        self._require("rho", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._require("epsilon", "a number > 0", lambda v: v > 0)

    def hypers(self) -> dict[str, float]:
        return {"rho": self.rho, "epsilon": self.epsilon}

    def _rule(self, u):
        rho, epsilon = u.hyper("rho"), u.scalar(u.hyper("epsilon"))
        deltas = u.slot("deltas")
        v = u.blend(u.slot("v"), ops.square(u.gradient), rho)
        ratio = ops.div(ops.add(deltas, epsilon), ops.add(v, epsilon))
        step = ops.mul(u.gradient, ops.sqrt(ratio))
        u.blend(deltas, ops.square(step), rho)
        return ops.sub(u.weight, ops.mul(step, u.scalar(u.learning_rate)))
