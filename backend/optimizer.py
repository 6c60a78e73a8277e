"""Optimizers: parameter objects that write the `update` function of a program.

Each composes its published rule from elementwise ops on one segment of the flat
arena: weight, gradient and slots are [P]; everything that is the same for all elements
(bias corrections, rates) is folded into float64 scalars first. Slots start at zero. The
numbers themselves are run-time hypers, so a search over them compiles once.
"""

from __future__ import annotations

from slimlearn.backend import ops
from slimlearn.backend.graph import Model, Tensor
from slimlearn.backend.parameters import Parameters
from slimlearn.backend.shape import symbol

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Ftrl",
    "Nadam",
    "Optimizer",
    "RMSProp",
    "make_optimizer",
]

_P = symbol("P")


class Update:
    """What a rule sees while `update` is being built: values, scalars, slots."""

    def __init__(self, model: Model, graph, name: str, clip: bool, rate: bool):
        self.model = model
        self.graph = graph
        self.name = name
        self.precision = model.precision
        self.weight = ops.input_("weight", (_P,), self.precision)
        self.gradient = ops.input_("gradient", (_P,), self.precision)
        self.learning_rate = model.hyper("learning_rate")
        if rate:
            self.learning_rate = ops.mul(
                self.learning_rate, model.hyper("segment.rate")
            )
        if clip:
            scale = self.scalar(model.hyper("gradient_scale"))
            self.gradient = ops.mul(self.gradient, scale)

    def hyper(self, name: str) -> Tensor:
        """The float64 scalar of this name, given at run time."""
        return self.model.hyper(name)

    def scalar(self, value: Tensor) -> Tensor:
        """A float64 scalar in the type of the weights."""
        return ops.cast(value, self.precision)

    def slot(self, name: str) -> Tensor:
        """The optimizer's array of this name, one element for each weight."""
        return self.model.slot(f"{self.name}/{name}")

    def set(self, slot: Tensor, value: Tensor) -> None:
        """Write a slot at the end of the update."""
        self.graph.set_(slot, value)

    def blend(self, slot: Tensor, value: Tensor, keep: Tensor) -> Tensor:
        """The moving average keep · slot + (1 − keep) · value, kept in the slot."""
        fresh = self.scalar(ops.sub(1.0, keep))
        blended = ops.add(ops.mul(slot, self.scalar(keep)), ops.mul(value, fresh))
        self.set(slot, blended)
        return blended


class Optimizer(Parameters):
    """Base of the optimizers.

    Attributes
    ----------
    default_learning_rate : float
        What ``learning_rate="auto"`` stands for.
    own_l1, own_decay : float
        Coefficients that the optimizer itself puts on weights; 0 where it has none.
    proximal : bool
        Whether the rule applies l1 itself, so that weights become exactly zero.
    iterative : bool
        Whether it steps on batches; otherwise it sees all rows at once.
    """

    default_learning_rate = 1e-3
    own_l1 = 0.0
    own_decay = 0.0
    proximal = False
    iterative = True

    def structure(self) -> tuple:
        """What changes the text of `update`; the rest are run-time numbers."""
        return (type(self).__name__,)

    def hypers(self) -> dict[str, float]:
        """Run-time numbers by the names that `update` reads."""
        return {}

    def build(
        self,
        model: Model,
        *,
        l1: bool = False,
        l2: bool = False,
        clip: bool = False,
        rate: bool = False,
    ) -> None:
        """Write the function ``update`` into `model`.

        Parameters
        ----------
        model : Model
        l1, l2 : bool
            Add ``segment.l1 · sign(weight)``, ``segment.l2 · weight`` to the gradient.
        clip : bool
            Multiply the gradient by ``gradient_scale``.
        rate : bool
            Multiply the learning rate by ``segment.rate``.
        """
        name = type(self).__name__.lower()
        with model.function("update") as graph:
            update = Update(model, graph, name, clip, rate)
            if l1 and not self.proximal:
                pull = ops.sign(update.weight)
                pull = ops.mul(pull, update.scalar(update.hyper("segment.l1")))
                update.gradient = ops.add(update.gradient, pull)
            if l2:
                pull = ops.mul(update.weight, update.scalar(update.hyper("segment.l2")))
                update.gradient = ops.add(update.gradient, pull)
            graph.return_(self._rule(update))

    def _rule(self, u: Update) -> Tensor:
        raise NotImplementedError


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

    def __init__(self, momentum=0.9, nesterov=True):
        self.momentum = momentum
        self.nesterov = nesterov

    def check(self) -> None:
        self._require("momentum", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._require_flag("nesterov")

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

    def __init__(self, beta1=0.9, beta2=0.999, epsilon=1e-8):
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

    def __init__(self, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01):
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

    References
    ----------
    Tieleman and Hinton (2012), Lecture 6.5 of Neural Networks for Machine Learning.
    """

    def __init__(self, rho=0.9, momentum=0.0, epsilon=1e-8):
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

    References
    ----------
    Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization, figure 1, diagonal.
    """

    default_learning_rate = 5e-2

    def __init__(self, initial_accumulator=0.1, epsilon=1e-7):
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

    def __init__(self, rho=0.95, epsilon=1e-6):
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


class Ftrl(Optimizer):
    r"""Follow the regularized leader (proximal): sparse weights under an l1 penalty.

    .. math::
        n' = n + g^2, \quad z' = z + g - w (\sqrt{n'} - \sqrt{n}) / \eta, \quad
        w' = -\frac{\mathrm{sign}(z') \max(|z'| - \lambda_1, 0)}
                   {(\beta + \sqrt{n'}) / \eta + \lambda_2}

    :math:`z` starts where :math:`w` is the weight's initial value. Biases and the
    parameters of normalizations are not penalised.

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

    def __init__(self, l1=0.0, l2=0.0, beta=0.0, initial_accumulator=0.1):
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
        l1 = u.scalar(u.hyper("segment.l1"))
        shrunk = ops.mul(ops.sign(z), ops.maximum(ops.sub(ops.abs(z), l1), 0.0))
        moved = ops.neg(ops.div(shrunk, ops.add(q, u.scalar(u.hyper("segment.decay")))))
        u.set(lead, ops.add(z, ops.mul(moved, q)))
        return moved


class LBFGS(Optimizer):
    """Limited-memory BFGS on all rows at once, for small problems.

    Parameters
    ----------
    history : int, default=10
        Pairs of steps and gradient changes that are kept, at least 1.

    References
    ----------
    Liu and Nocedal (1989), On the limited memory BFGS method for large scale
    optimization. Nocedal and Wright (2006), algorithms 7.4, 7.5, 3.5 and 3.6.
    """

    iterative = False

    def __init__(self, history=10):
        self.history = history

    def check(self) -> None:
        whole = isinstance(self.history, int)
        self._require("history", "an int >= 1", lambda v: whole and v >= 1)

    def build(self, model, **kwargs) -> None:
        """Nothing to write: L-BFGS works on the whole arena."""


OPTIMIZERS = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": Nadam,
    "rmsprop": RMSProp,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "ftrl": Ftrl,
    "lbfgs": LBFGS,
}


def make_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The optimizer that a name or a parameter object stands for, checked.

    Raises
    ------
    ValueError
        If the name is unknown or a parameter is out of its range.
    """
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer={optimizer!r} is not known: give one of "
                f"{', '.join(map(repr, OPTIMIZERS))} or an optimizer object."
            )
        return OPTIMIZERS[optimizer]()
    optimizer.check()
    return optimizer
