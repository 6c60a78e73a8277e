"""Head: the base of all heads."""

from __future__ import annotations

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.backend.shape import B
from slimlearn.estimators.losses import Loss, LossFunction, make_loss
from slimlearn.estimators.sealing import Sealed

__all__ = ["Head", "mean_of_targets", "refuse_several_numbers"]


class Head(Sealed):
    """Base of the heads.

    Parameters
    ----------
    loss : str, loss object or callable
        As the estimator was given it.

    Attributes
    ----------
    loss : str, loss object or callable
        As it was given; of an object a copy.
    formula : Loss
        What `loss` stands for.
    outputs : int
        Numbers per row that the network has to return.
    flat : bool
        Whether rows have one number, so that values are [B] instead of [B, outputs].
    loss_unit : float
        What a loss of the program is multiplied by to be in the units of y.
    tol_unit : float
        What a tolerance of the scaled loss is multiplied by to be one of the program's.
    label_dtype : str or None
        Type of y in the program; None is that of the network's numbers.
    last_layer : str
        What the layer is called that is added to a network of features.
    by_step : bool
        Whether the numbers are those of each step of a row, [B, T, outputs].
    """

    outputs = 1
    flat = True
    loss_unit = 1.0
    tol_unit = 1.0
    label_dtype: str | None = None
    last_layer = "output"
    by_step = False

    def __init__(self, loss):
        self.formula = make_loss(loss)
        self.loss = loss
        if isinstance(loss, Loss):
            self.loss = self.formula
        elif isinstance(loss, LossFunction):
            self.loss = self.formula.function

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Of y in the program, behind its rows."""
        return () if self.flat else (self.outputs,)

    @property
    def probabilistic(self) -> bool:
        """Whether the raw values mean probabilities."""
        return False

    @property
    def key(self) -> tuple | None:
        """What the head's graph depends on; None if that cannot be known."""
        formula = self.formula.structure()
        if formula is None:
            return None
        return (type(self).__name__, formula, self.outputs, self.flat)

    def hypers(self) -> dict[str, float]:
        """Run-time numbers that the loss reads."""
        return self.formula.hypers()

    def check(self, target: np.ndarray) -> None:
        """Refuse training or validation targets that the loss is not made for."""

    def settle(self, say: str) -> None:
        """Take what was learned for good; raise ValueError, with `say`, for a guess."""

    def bias(self) -> np.ndarray | float | None:
        """What is added to the output layer's initial bias, or None."""
        return None

    def moved(self, before: Head) -> np.ndarray | float | None:
        """What the output's bias changes by, as more is known than in `before`."""
        return None

    def parameters(self) -> dict[str, np.ndarray]:
        """Start values of the parameters that `link` declares."""
        return {}

    def states(self) -> dict[str, np.ndarray]:
        """Values of the states that `losses` declares."""
        return {}

    def sources(
        self, target: np.ndarray, precision: str, beside: dict
    ) -> dict[str, np.ndarray]:
        """What the program reads beside X, whose sources are there, and weights."""
        return {"y": self.encode(target, precision)}

    def target(self, raw: Tensor) -> Tensor:
        """What the loss compares the raw values with."""
        dtype = self.label_dtype or raw.dtype
        return ops.input_("y", (B, *self.label_shape), dtype)

    def encode(self, target: np.ndarray, precision: str) -> np.ndarray:
        """Targets as the program reads them."""
        raise NotImplementedError

    def link(self, raw: Tensor) -> Tensor:
        """What stands between the network's numbers and the head's raw values."""
        return raw

    def losses(self, raw: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The loss per example that is trained on, and the one that is reported."""
        raise NotImplementedError

    def decoded(self, raw: Tensor) -> Tensor:
        """What is predicted of the float64 `raw`, [B, outputs], as graph.

        Raises
        ------
        ValueError
            If there is no graph for it.
        """
        raise ValueError(
            f"predictions of loss={self.loss!r} are made in Python: export a "
            "regressor of loss='squared_error', or of loss='quantile' with quantile="
        )

    def probabilities(self, raw: Tensor) -> Tensor:
        """Probabilities of the float64 `raw`, as graph."""
        raise NotImplementedError


def refuse_several_numbers(formula: Loss, loss, who: str, each: str) -> None:
    """Refuse a loss of several numbers per target where there is one."""
    if formula.numbers is not None:
        raise ValueError(
            f"loss={loss!r} is for regressors: it makes one target of "
            f"{formula.numbers} numbers, and the network of {who} gives one number for "
            f"each {each}"
        )


def mean_of_targets(loss: Tensor) -> Tensor:
    """The loss of each row [B]: the mean where there is one for each target."""
    return ops.reduce_mean(loss, [1]) if loss.rank == 2 else loss
