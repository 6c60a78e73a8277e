"""What layers do behind their product: normalize or add biases, then activate."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import activation, images, utils
from slimlearn.layers.annotations import Activation
from slimlearn.layers.variables import model_variable


class Tail(NamedTuple):
    """The arguments that all layers with weights share; see `fully_connected`."""

    activation_fn: Activation | None
    normalizer_fn: Callable | None
    normalizer_params: Mapping | None
    biases_initializer: Callable | None
    biases_regularizer: Callable | None
    variables_collections: Sequence[str] | Mapping | None
    trainable: bool
    data_format: str | None = None

    def finish(self, outputs: Tensor) -> Tensor:
        """Return what the layer makes of its product."""
        if self.normalizer_fn is not None:
            outputs = images.in_format(
                "normalizer_fn", outputs, self.data_format, self._normalized
            )
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

    def _normalized(self, outputs: Tensor) -> Tensor:
        """Return what the normalizer makes of numbers as `data_format` says."""
        given = dict(self.normalizer_params or {})
        if images.is_channels_first(self.data_format):
            words = _words(self.normalizer_fn)
            if "data_format" in words:
                given["data_format"] = self.data_format
            elif "channels_axis" in words and "channels_axis" not in given:
                given["channels_axis"] = 1
                given["reduction_axes"] = tuple(range(2, outputs.rank))
        return self.normalizer_fn(outputs, **given)


def _words(function: Callable) -> Sequence[str]:
    """The names of a function's parameters, as far as they are known."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()
