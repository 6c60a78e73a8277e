"""Adam and its kin: two moments of the gradient, corrected for their start."""

from __future__ import annotations

from slimlearn.backend import ops
from slimlearn.backend.optimizer.base import Optimizer


class Adam(Optimizer):
    r"""Adam: steps scaled by moving moments of the gradient.

    .. math::
        m' = \beta_1 m + (1-\beta_1) g, \quad v' = \beta_2 v + (1-\beta_2) g^2, \\
        w' = w - \eta \frac{m' / (1-\beta_1^t)}{\sqrt{v' / (1-\beta_2^t)} + \epsilon}

    Parameters
    ----------
    beta1, beta2 : float, default=0.9 and 0.999
        Decay of the two moments, in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator, > 0.

    References
    ----------
    Kingma and Ba (2015), Adam: A Method for Stochastic Optimization, algorithm 1.
    https://arxiv.org/abs/1412.6980
    """

    def __init__(
        self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon

    def check(self) -> None:
        self._require("beta1", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._require("beta2", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._require("epsilon", "a number > 0", lambda v: v > 0)

    def hypers(self) -> dict[str, float]:
        return {"beta1": self.beta1, "beta2": self.beta2, "epsilon": self.epsilon}

    def _rule(self, u):
        beta1, beta2, step = u.hyper("beta1"), u.hyper("beta2"), u.hyper("step")
        m = u.blend(u.slot("m"), u.gradient, beta1)
        v = u.blend(u.slot("v"), ops.square(u.gradient), beta2)
        # Numerator and denominator times √(1 − β₂ᵗ): both corrections are scalars.
        root = ops.sqrt(ops.sub(1.0, ops.pow(beta2, step)))
        rate = self._rate(u, root)
        epsilon = u.scalar(ops.mul(u.hyper("epsilon"), root))
        numerator = self._numerator(u, m, rate)
        moved = ops.sub(u.weight, ops.div(numerator, ops.add(ops.sqrt(v), epsilon)))
        return moved

    def _rate(self, u, root):
        first = ops.sub(1.0, ops.pow(u.hyper("beta1"), u.hyper("step")))
        return ops.div(ops.mul(u.learning_rate, root), first)

    def _numerator(self, u, m, rate):
        return ops.mul(m, u.scalar(rate))


class LazyAdam(Adam):
    r"""Adam that moves only what a batch of sparse rows touches.

    Of a matrix that multiplies sparse rows, a step moves the rows of the columns that
    are stored in the batch; the moments of the other rows stand still too. So a step
    costs what the stored elements cost, but the result is not Adam's, where the moments
    of every row decay and go on moving it. Penalties act on touched rows only, and the
    bias corrections count all steps. On dense data, and for all other parameters, it is
    Adam.

    Parameters
    ----------
    beta1, beta2 : float, default=0.9 and 0.999
        Decay of the two moments, in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator, > 0.

    References
    ----------
    ``tf.contrib.opt.LazyAdamOptimizer`` of TensorFlow 1.
    """

    row_sparse = True

    def keeps_rows(self, l1: bool, l2: bool) -> bool:
        return True


class AdamW(Adam):
    r"""Adam with decoupled decay: :math:`w` first shrinks by :math:`1-\eta\lambda`.

    Biases and the parameters of normalizations do not decay.

    Parameters
    ----------
    beta1, beta2 : float, default=0.9 and 0.999
        Decay of the two moments, in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator, > 0.
    weight_decay : float, default=0.01
        :math:`\lambda`, at least 0.

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization, algorithm 2.
    https://arxiv.org/abs/1711.05101
    """

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weight_decay = weight_decay

    def check(self) -> None:
        super().check()
        self._require("weight_decay", "a number >= 0", lambda v: v >= 0)

    @property
    def own_decay(self) -> float:
        return float(self.weight_decay)

    def _rule(self, u):
        shrink = ops.sub(1.0, ops.mul(u.learning_rate, u.hyper("segment.decay")))
        u.weight = ops.mul(u.weight, u.scalar(shrink))
        return super()._rule(u)


class Nadam(Adam):
    r"""Adam with Nesterov's momentum, with a constant :math:`\beta_1`.

    .. math::
        \bar m = \frac{\beta_1 m'}{1-\beta_1^{t+1}} + \frac{(1-\beta_1) g}{1-\beta_1^t},
        \quad w' = w - \eta \frac{\bar m}{\sqrt{v' / (1-\beta_2^t)} + \epsilon}

    Parameters
    ----------
    beta1, beta2 : float, default=0.9 and 0.999
        Decay of the two moments, in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator, > 0.

    References
    ----------
    Dozat (2016), Incorporating Nesterov Momentum into Adam, algorithm 2 with a constant
    momentum.
    """

    def _rate(self, u, root):
        return ops.mul(u.learning_rate, root)

    def _numerator(self, u, m, rate):
        beta1, step = u.hyper("beta1"), u.hyper("step")
        decayed = ops.pow(beta1, step)
        ahead = ops.div(ops.mul(rate, beta1), ops.sub(1.0, ops.mul(decayed, beta1)))
        now = ops.div(ops.mul(rate, ops.sub(1.0, beta1)), ops.sub(1.0, decayed))
        return ops.add(ops.mul(m, u.scalar(ahead)), ops.mul(u.gradient, u.scalar(now)))
