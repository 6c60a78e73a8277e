"""What training reports."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EpochResult", "MinimizeResult"]


@dataclass(frozen=True)
class EpochResult:
    """An epoch's steps so far, all of them if it `ended`.

    Attributes
    ----------
    loss_sum, weight_sum : float
        Σ w·l and Σ w.
    steps : int
    ended : bool
    """

    loss_sum: float
    weight_sum: float
    steps: int
    ended: bool = True

    @property
    def loss(self) -> float:
        """The mean loss."""
        return self.loss_sum / self.weight_sum if self.weight_sum else 0.0


@dataclass(frozen=True)
class MinimizeResult:
    """What L-BFGS did.

    Attributes
    ----------
    end : str
        Why it ended: "gradient", "loss", "iterations", "line_search", "interrupted".
    iterations, evaluations : int
    objective, loss : float
        With and without penalties; the loss is the weighted mean.
    gradient_max : float
        The largest component of the gradient.
    """

    end: str
    iterations: int
    evaluations: int
    objective: float
    loss: float
    gradient_max: float

    @property
    def converged(self) -> bool:
        """Whether it ended at a minimum, as far as rounding shows one."""
        return self.end in ("gradient", "loss")
