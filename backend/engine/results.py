"""What L-BFGS reports."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MinimizeResult"]


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
