"""Follow the regularized leader."""

from __future__ import annotations

from slimlearn.backend import ops
from slimlearn.backend.optimizer.base import Optimizer


class Ftrl(Optimizer):
    r"""Follow the regularized leader (proximal): sparse weights under an l1 penalty.

    .. math::
        n' = n + g^2, \quad z' = z + g - w (\sqrt{n'} - \sqrt{n}) / \eta, \quad
        w' = -\frac{\mathrm{sign}(z') \max(|z'| - \lambda_1, 0)}
                   {(\beta + \sqrt{n'}) / \eta + \lambda_2}

    :math:`z` starts where :math:`w` is the weight's initial value. As in the paper, a
    step moves only the weights whose gradient is not zero. Biases and the parameters of
    normalizations are not penalised.

    Parameters
    ----------
    l1, l2 : float, default=0.0
        The penalties :math:`\lambda_1, \lambda_2`, at least 0.
    beta : float, default=0.0
        At least 0.
    initial_accumulator : float, default=0.1
        Where :math:`n` starts, > 0.

    References
    ----------
    McMahan et al. (2013), Ad Click Prediction: a View from the Trenches, algorithm 1.
    """

    default_learning_rate = 0.1
    proximal = True
    row_sparse = True

    def __init__(
        self,
        l1: float = 0.0,
        l2: float = 0.0,
        beta: float = 0.0,
        initial_accumulator: float = 0.1,
    ) -> None:
        self.l1 = l1
        self.l2 = l2
        self.beta = beta
        self.initial_accumulator = initial_accumulator

    def check(self) -> None:
        for name in ("l1", "l2", "beta"):
            self._require(name, "a number >= 0", lambda v: v >= 0)
        self._require("initial_accumulator", "a number > 0", lambda v: v > 0)

    @property
    def own_l1(self) -> float:
        return float(self.l1)

    @property
    def own_decay(self) -> float:
        return float(self.l2)

    def hypers(self) -> dict[str, float]:
        return {"beta": self.beta, "initial_accumulator": self.initial_accumulator}

    def _rule(self, u):
        # With q = (β + √n) / η the slot `lead` holds z + w·q: zero at the start, and
        # zero always without penalties. Then z' = lead + g − w·q', one root in all.
        squares, lead = u.slot("squares"), u.slot("lead")
        total = ops.add(squares, ops.square(u.gradient))
        u.set(squares, total)
        root = ops.sqrt(ops.add(total, u.scalar(u.hyper("initial_accumulator"))))
        inverse = ops.div(1.0, u.learning_rate)
        q = ops.add(
            ops.mul(root, u.scalar(inverse)),
            u.scalar(ops.mul(u.hyper("beta"), inverse)),
        )
        z = ops.sub(ops.add(lead, u.gradient), ops.mul(u.weight, q))
        l1 = u.scalar(u.hyper("segment.proximal"))
        shrunk = ops.mul(ops.sign(z), ops.maximum(ops.sub(ops.abs(z), l1), 0.0))
        moved = ops.neg(ops.div(shrunk, ops.add(q, u.scalar(u.hyper("segment.decay")))))
        # Without a gradient nothing moves, not even by rounding or the first shrinking.
        still = ops.equal(u.gradient, 0.0)
        u.set(lead, ops.select(still, lead, ops.add(z, ops.mul(moved, q))))
        return ops.select(still, u.weight, moved)
