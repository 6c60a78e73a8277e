"""The columns of X that a linear layer reads, each in its own unit."""

from typing import NamedTuple

import numpy as np

from slimlearn.backend.program import Program


class Columns(NamedTuple):
    """What L-BFGS measures the weights of a layer that reads X itself by.

    Attributes
    ----------
    weights, biases : str
        The layer's parameters, [columns, outputs] and [outputs].
    centre, scale : ndarray of shape (columns,)
    """

    weights: str
    biases: str
    centre: np.ndarray
    scale: np.ndarray

    def lent(self, program: Program) -> tuple | None:
        """What the native core reads of them; None where the layer is another."""
        shapes = {p.name: p.shape for p in program.model.parameters}
        shape = shapes.get(self.weights, ())
        if len(shape) != 2 or shape[0] != len(self.scale):
            return None
        offsets = program.offsets
        biases = offsets[self.biases] if self.biases in shapes else -1
        return (
            offsets[self.weights],
            biases,
            shape[1],
            self.centre.tolist(),
            self.scale.tolist(),
        )
