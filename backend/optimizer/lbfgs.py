"""L-BFGS: its parameters; the method itself is native."""

from __future__ import annotations

from slimlearn.backend.optimizer.base import Optimizer


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

    def __init__(self, history: int = 10) -> None:
        self.history = history

    def check(self) -> None:
        self._require("history", "an int >= 1", lambda v: v >= 1, whole=True)

    def build(self, model, **kwargs) -> None:
        """Nothing to write: L-BFGS works on the whole arena."""
