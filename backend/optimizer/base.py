"""What every optimizer is: parameters, and a rule that writes `update`."""

from __future__ import annotations

from collections.abc import Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import Model, Tensor
from slimlearn.backend.parameters import Parameters
from slimlearn.backend.shape import symbol

_P = symbol("P")


class Update:
    """What a rule sees while `update` is being built: values, scalars, slots."""

    def __init__(
        self,
        model: Model,
        graph,
        name: str,
        clip: bool,
        rate: bool,
        slots: Sequence[str] | None = None,
    ):
        self.model = model
        self.graph = graph
        self.name = name
        self._shared = None if slots is None else iter(slots)
        self.precision = model.precision
        self.weight = ops.input_("weight", (_P,), self.precision)
        self.gradient = ops.input_("gradient", (_P,), self.precision)
        self.totals: dict[str, Tensor] = {}
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
        if self._shared is None:
            return self.model.slot(f"{self.name}/{name}")
        shared = next(self._shared)
        known = shared in self.model.slots
        return self.model.slots[shared] if known else self.model.slot(shared)

    def set(self, slot: Tensor, value: Tensor) -> None:
        """Write a slot at the end of the update."""
        self.graph.set_(slot, value)

    def blend(self, slot: Tensor, value: Tensor, keep: Tensor) -> Tensor:
        """The moving average keep · slot + (1 − keep) · value, kept in the slot."""
        fresh = self.scalar(ops.sub(1.0, keep))
        blended = ops.add(ops.mul(slot, self.scalar(keep)), ops.mul(value, fresh))
        self.set(slot, blended)
        return blended

    def total(self, value: Tensor, name: str) -> Tensor:
        """The sum of `value` over all elements of the parameter, a float64 scalar.

        `update` runs over blocks of a parameter, so it cannot add them up itself: the
        function ``measure`` does before it, and `update` reads ``segment.<name>``. A
        norm is ``ops.sqrt(u.total(ops.square(w), "squares"))``, a mean is divided by
        ``u.total(u.one, "count")``.
        """
        if name in self.totals:
            raise ValueError(f"[total {name}] is there already: choose another name")
        self.totals[name] = value
        return self.hyper(f"segment.{name}")

    @property
    def one(self) -> Tensor:
        """1 for every element: its total is how many there are."""
        return ops.constant(1.0, self.precision, (_P,))


def update_name(index: int) -> str:
    """The function of one of several optimizers, as native code knows it too."""
    return f"update.{index + 1}" if index else "update"


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

    _elsewhere = {  # noqa: RUF012
        **dict.fromkeys(
            ("lr", "learning_rate", "learning_rate_init"),
            "the estimator has it, as in DNNClassifier(optimizer='sgd', "
            "learning_rate=0.01)",
        ),
        **dict.fromkeys(
            ("clipnorm", "clip_norm"), "the estimator has it: gradient_clip_norm"
        ),
        "weight_decay": "AdamW has it; l2_regularization of the estimator is a penalty",
        "beta_1": "beta1",
        "beta_2": "beta2",
        "betas": "two numbers, beta1 and beta2",
        "alpha": "rho",
        "eps": "epsilon",
        "initial_accumulator_value": "initial_accumulator",
    }

    default_learning_rate = 1e-3
    own_l1 = 0.0
    own_decay = 0.0
    proximal = False
    iterative = True

    @property
    def parts(self) -> tuple[Optimizer, ...]:
        """The optimizers that it consists of: itself."""
        return (self,)

    def index_of(self, parameter: str) -> int:
        """Which of the parts moves a parameter.

        Parameters
        ----------
        parameter : str
            Its name.
        """
        return 0

    def of(self, parameter: str) -> Optimizer:
        """The part that moves a parameter.

        Parameters
        ----------
        parameter : str
            Its name.
        """
        return self.parts[self.index_of(parameter)]

    @property
    def row_sparse(self) -> bool:
        """Whether a step on sparse rows needs to touch no weights but theirs.

        It does not where a weight without gradient would not have moved.
        """
        return False

    def keeps_rows(self, l1: bool, l2: bool) -> bool:
        """Whether that still holds for a parameter with these penalties.

        Parameters
        ----------
        l1, l2 : bool
            Whether the parameter has, or may get, such a penalty.
        """
        return self.row_sparse and not (l2 or (l1 and not self.proximal))

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
        index: int = 0,
        slots: Sequence[str] | None = None,
    ) -> None:
        """Write the function ``update`` into `model`, or that of one of several.

        Parameters
        ----------
        model : Model
        l1, l2 : bool
            Add ``segment.l1 · sign(weight)``, ``segment.l2 · weight`` to the gradient.
        clip : bool
            Multiply the gradient by ``gradient_scale``.
        rate : bool
            Multiply the learning rate by ``segment.rate``.
        index : int
            Which of several optimizers this is.
        slots : sequence of str, optional
            Names of the arrays that all of them share.
        """
        name = type(self).__name__.lower()
        with model.function(update_name(index)) as graph:
            update = Update(model, graph, name, clip, rate, slots)
            if l1 and not self.proximal:
                pull = ops.sign(update.weight)
                pull = ops.mul(pull, update.scalar(update.hyper("segment.l1")))
                update.gradient = ops.add(update.gradient, pull)
            if l2:
                pull = ops.mul(update.weight, update.scalar(update.hyper("segment.l2")))
                update.gradient = ops.add(update.gradient, pull)
            graph.return_(self._rule(update))
        if update.totals and slots is not None:
            raise ValueError(
                f"{type(self).__name__} reads sums over parameters, "
                f"{', '.join(update.totals)}, which one of several optimizers cannot: "
                "give it alone"
            )
        if update.totals:
            _write_measure(model, update.totals)

    def _rule(self, u: Update) -> Tensor:
        raise NotImplementedError


def _write_measure(model: Model, totals: dict[str, Tensor]) -> None:
    """Write the function that adds these values of `update` up, by name."""
    graph = model.branch("measure", "update")
    graph.sets, graph.returns = {}, [graph.values[v.name] for v in totals.values()]
    graph.keep_needed()
    values, graph.returns = graph.returns, []
    read = {operand.name for node in graph.nodes for operand in node.operands}
    nested = read.intersection(f"segment.{name}" for name in totals)
    if nested:
        raise ValueError(
            f"[total {', '.join(totals)}] depends on %{', %'.join(nested)}, a total "
            "itself: all are taken at once, before the update"
        )
    with model.function("measure"):
        for name, value in zip(totals, values, strict=True):
            total = ops.reduce_sum(ops.cast(value, "f64"), name=name)
            if total.name != name:
                raise ValueError(f"[total {name}] is another value: change the name")
            graph.return_(total)
