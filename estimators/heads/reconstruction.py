"""Head of X itself: what an autoencoder learns to give back."""

from __future__ import annotations

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_model
from slimlearn.backend.shape import B
from slimlearn.estimators.heads.regression import LOSS_UNITS, RegressionHead, ones

__all__ = ["ReconstructionHead"]

# The states by which the program centres and scales the rows it reads.
CENTER = "head/center"
SCALE = "head/scale"


class ReconstructionHead(RegressionHead):
    """The columns of X as targets, centred and scaled where they are read.

    Parameters
    ----------
    loss : str, loss object or callable
    features : int
        Columns of X.
    """

    flat = False
    target_name = "X"

    def __init__(self, loss, features: int):
        super().__init__(loss, (features,))

    def sources(self, target, precision):
        """Nothing: the targets are read from X."""
        return {}

    def target(self, raw: Tensor) -> Tensor:
        """The rows of X as the loss reads them."""
        x = ops.input_("X", (B, self.outputs), raw.dtype)
        center, scale = self._state(CENTER), self._state(SCALE)
        return ops.div(ops.sub(x, center), scale)

    def _state(self, name: str) -> Tensor:
        model = current_model()
        made = model.declarations.get(name)
        if made is None:
            made = model.state(name, (self.outputs,), initializer=ones)
        return made

    def decode(self, raw):
        # A column that never changed is given back exactly.
        return raw * (self.scale * ~self.constant) + self.center

    def states(self):
        states = super().states()
        if LOSS_UNITS in states:
            states[LOSS_UNITS] = states[LOSS_UNITS] * ~self.constant
        return {**states, CENTER: self.center, SCALE: self.scale}
