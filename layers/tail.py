"""What layers do behind their product: normalize or add biases, then activate."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import activation, utils
from slimlearn.layers.variables import model_variable


class Tail(NamedTuple):
    """The arguments that all layers with weights share; see `fully_connected`."""

    activation_fn: Callable | str | None
    normalizer_fn: Callable | None
    normalizer_params: Mapping | None
    biases_initializer: Callable | None
    biases_regularizer: Callable | None
    variables_collections: Sequence[str] | Mapping | None
    trainable: bool

    def finish(self, outputs: Tensor) -> Tensor:
        """Return what the layer makes of its product."""
        if self.normalizer_fn is not None:
            outputs = self.normalizer_fn(outputs, **(self.normalizer_params or {}))
        elif self.biases_initializer is not None:
            biases = model_variable(
                "biases",
                [outputs.shape[-1]],
                initializer=self.biases_initializer,
                regularizer=self.biases_regularizer,
                trainable=self.trainable,
                collections=utils.get_variable_collections(
                    self.variables_collections, "biases"
                ),
            )
            outputs = ops.add(outputs, biases)
        return activation.get(self.activation_fn)(outputs)
