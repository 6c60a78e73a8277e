"""What training reports."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EpochResult", "MinimizeResult"]


@dataclass(frozen=True)
class EpochResult:
    """One epoch: mean loss, the sum of its weights, steps done, status bits."""

    loss: float
    weight_sum: float
    steps: int
    status: int = 0


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
