"""The variables that the cells of recurrent layers have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import utils
from slimlearn.layers.initializers import ones_initializer
from slimlearn.layers.names import variable_scope
from slimlearn.layers.normalization import offset_and_factor, standardized
from slimlearn.layers.regularization import dropout
from slimlearn.layers.variables import model_variable


@dataclass(frozen=True)
class ForgetOne:
    """Biases of an LSTM, those of the forget gate ones."""

    initializer: Callable

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        """Build the value."""
        units = shape[0] // 4
        drawn = self.initializer(shape, dtype, f"{name}/drawn")
        ones = ones_initializer()((units,), dtype, f"{name}/ones")
        return ops.concat([drawn[:units], ones, drawn[2 * units :]], 0, name=name)


def same(x: Tensor) -> Tensor:
    return x


class Made(NamedTuple):
    project: Callable
    recurrent: Callable  # what a step makes of the state h


class Gates(NamedTuple):
    """The variables that the cells have in common: of so many gates in one product."""

    layer: str
    units: int
    count: int
    recurrent_dropout: float
    layer_norm: bool
    weights_initializer: Callable
    recurrent_initializer: Callable
    biases_initializer: Callable | None
    weights_regularizer: Callable | None
    recurrent_regularizer: Callable | None
    biases_regularizer: Callable | None
    variables_collections: Sequence[str] | Mapping | None
    trainable: bool

    def make(self, features: int, batch: Tensor, recurrent_biases=False) -> Made:
        """Return products of inputs and of the state with weights made here."""
        width = self.units * self.count
        weights = self._variable(
            "weights",
            [features, width],
            self.weights_initializer,
            self.weights_regularizer,
        )
        recurrent = self._variable(
            "recurrent_weights",
            [self.units, width],
            self.recurrent_initializer,
            self.recurrent_regularizer,
        )
        biases = [None, None]
        if self.biases_initializer is not None:
            names = ["biases", *(["recurrent_biases"] if recurrent_biases else [])]
            biases[: len(names)] = [
                self._variable(
                    name, [width], self.biases_initializer, self.biases_regularizer
                )
                for name in names
            ]
        norms = [same, same]
        if self.layer_norm:
            norms = [
                self.norm(f"{of}_norm", width, center=False)
                for of in ("input", "recurrent")
            ]
        mask = self._mask(batch)

        def project(x: Tensor) -> Tensor:
            return _plus(norms[0](ops.matmul(x, weights)), biases[0])

        def state(h: Tensor) -> Tensor:
            h = h if mask is None else ops.mul(h, mask)
            return _plus(norms[1](ops.matmul(h, recurrent)), biases[1])

        return Made(project, state)

    def norm(self, name: str, size: int, center: bool = True) -> Callable:
        """Return a layer norm of vectors whose variables are made here."""
        with variable_scope(name):
            offset, factor = offset_and_factor(
                [size], center, True, self.trainable, self.variables_collections
            )
        return functools.partial(_normed, offset=offset, factor=factor)

    def _variable(self, name, shape, initializer, regularizer) -> Tensor:
        return model_variable(
            name,
            shape,
            initializer=initializer,
            regularizer=regularizer,
            trainable=self.trainable,
            collections=utils.get_variable_collections(
                self.variables_collections, name
            ),
        )

    def _mask(self, batch: Tensor) -> Tensor | None:
        """Return what the state's product reads of h: one draw for all steps."""
        rate = self.recurrent_dropout
        utils.check_probability(self.layer, "recurrent_dropout", rate)
        if rate == 0:
            return None
        ones = ops.ones((batch.shape[0], self.units), batch.dtype)
        kept = dropout(ones, 1 - rate)
        return None if kept is ones else kept


def _plus(product: Tensor, biases: Tensor | None) -> Tensor:
    return product if biases is None else ops.add(product, biases)


def _normed(x: Tensor, offset: Tensor | None, factor: Tensor) -> Tensor:
    return standardized(x, [x.rank - 1], 1e-6, offset, factor)
