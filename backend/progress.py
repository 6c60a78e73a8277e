"""Where a training run stands: epochs, steps, and what to go on with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from slimlearn.backend.arena import allocate

__all__ = ["EpochResult", "Progress", "Within"]


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

    loss_sum: float = 0.0
    weight_sum: float = 0.0
    steps: int = 0
    ended: bool = True

    @property
    def loss(self) -> float:
        """The mean loss."""
        return self.loss_sum / self.weight_sum if self.weight_sum else 0.0


@dataclass(frozen=True)
class Within:
    """The steps of an epoch that has not ended; its rows may come in parts.

    Attributes
    ----------
    part : int
        Which part of the rows is at work.
    result : EpochResult
        The steps of that part.
    earlier : EpochResult
        Steps and weights of the parts before.
    earlier_loss : float
        Their mean loss.
    """

    part: int = 0
    result: EpochResult = field(default_factory=EpochResult)
    earlier: EpochResult = field(default_factory=EpochResult)
    earlier_loss: float = 0.0

    @property
    def steps(self) -> int:
        """Of this epoch."""
        return self.earlier.steps + self.result.steps

    @property
    def loss(self) -> float:
        """The mean loss of these steps."""
        weight = self.earlier.weight_sum + self.result.weight_sum
        share = self.result.weight_sum / weight if weight else 0.0
        return self.earlier_loss + (self.result.loss - self.earlier_loss) * share

    def of(self, part: int, result: EpochResult) -> Within:
        """These steps once `result` is what a part has done."""
        return replace(self, part=part, result=result)

    def after(self, part: int, result: EpochResult) -> Within:
        """These steps once a part has done all of its own."""
        done = self.of(part, result)
        weight = self.earlier.weight_sum + result.weight_sum
        earlier = EpochResult(weight_sum=weight, steps=done.steps)
        return Within(part + 1, EpochResult(), earlier, done.loss)


@dataclass
class Progress:
    """What training needs beside the weights to go on as if it had not stopped.

    Attributes
    ----------
    epoch, step : int
        Epochs that have ended, and their steps.
    slots : ndarray or None
        The optimizer's arrays.
    memory : dict or None
        What the learning rate schedule has heard.
    within : Within or None
        The steps of the epoch after these.
    begun : int
        The epoch after which the optimizer, and schedules with it, began anew.
    dealt : tuple of int
        Which of several optimizers each parameter's slots are of.
    """

    epoch: int = 0
    step: int = 0
    slots: np.ndarray | None = None
    memory: dict | None = None
    within: Within | None = None
    begun: int = 0
    dealt: tuple[int, ...] = ()

    @property
    def all_steps(self) -> int:
        """Of all epochs, ended or not."""
        return self.step + (self.within.steps if self.within is not None else 0)

    def copy(self) -> Progress:
        """A progress to continue, leaving this one alone."""
        slots = None
        if self.slots is not None:
            slots = allocate(self.slots.size)
            slots[...] = self.slots
        return replace(self, slots=slots, within=None)
