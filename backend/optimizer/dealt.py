"""Several optimizers in one program: each moves the parameters that it is dealt."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer.base import Optimizer
from slimlearn.backend.patterns import matches

__all__ = ["Dealt"]


class Dealt(Optimizer):
    """Optimizers by patterns of parameters' names; of several that fit, the last.

    The program has a function ``update`` of the first, ``update.2`` of the second and
    so on. Their slots share arrays, as no parameter belongs to two of them.

    Parameters
    ----------
    optimizers : mapping of str to Optimizer
        Checked ones.
    """

    def __init__(self, optimizers: Mapping[str, Optimizer]) -> None:
        self.optimizers = optimizers

    def check(self) -> None:
        for pattern, part in self.optimizers.items():
            part.check()
            if not part.iterative:
                raise ValueError(
                    f"optimizer[{pattern!r}]: L-BFGS sees all rows at once and moves "
                    "all parameters: give it alone, or choose another optimizer"
                )

    @property
    def parts(self) -> tuple[Optimizer, ...]:
        return tuple(self.optimizers.values())

    @property
    def default_learning_rate(self) -> float:
        """That of the first."""
        return self.parts[0].default_learning_rate

    def index_of(self, parameter: str) -> int:
        fitting = [
            i
            for i, pattern in enumerate(self.optimizers)
            if matches(parameter, pattern)
        ]
        if not fitting:
            raise ValueError(
                f"optimizer: none of {', '.join(map(repr, self.optimizers))} fits the "
                f"parameter {parameter!r}: begin with one for all others, as in "
                "{'*': 'adam', …}"
            )
        return fitting[-1]

    def structure(self) -> tuple:
        parts = (part.structure() for part in self.parts)
        return ("Dealt", *zip(self.optimizers, parts))

    def hypers(self) -> dict[str, float]:
        numbers: dict[str, float] = {}
        for part in reversed(self.parts):
            numbers |= part.hypers()
        return numbers

    def build(self, model: Model, **options) -> None:
        """Write the update function of each, as `Optimizer.build` does."""
        slots = self._slots(model.precision)
        for index, part in enumerate(self.parts):
            part.build(model, **options, index=index, slots=slots)

    def _slots(self, precision: str) -> list[str]:
        """Names of the arrays that the optimizers share, each after all of its uses."""
        found = []
        for part in self.parts:
            alone = Model(precision)
            part.build(alone)
            found.append(alone.slots.names())
        return [
            "-".join(dict.fromkeys(name for name in names if name is not None))
            for names in zip_longest(*found)
        ]
