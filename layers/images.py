"""What layers over space have in common: their axes, and where the channels stand."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import TypeVar

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.layers import utils
from slimlearn.layers.scope import add_arg_scope

_Layer = TypeVar("_Layer", bound=Callable)

_FIRST = ("NCW", "NCHW", "NCDHW")
_LAST = ("NWC", "NHWC", "NDHWC")


def check_space(layer: str, inputs: Tensor, axes: int | None = None) -> int:
    """Return the number of spatial axes of inputs ``[B, *spatial, channels]``."""
    utils.check_float(layer, inputs)
    found = inputs.rank - 2
    if not 1 <= found <= 3 or axes not in (None, found):
        needed = "one to three" if axes is None else str(axes)
        raise ValueError(
            f"{layer}: inputs must be [B, *spatial, channels] with {needed} spatial "
            f"axes, %{inputs.name} is {type_text(*inputs.type)}: give images as "
            "N×H×W×C, or reshape them"
        )
    return found


def sizes(layer: str, word: str, given, axes: int) -> tuple[int, ...]:
    """Return one whole number of at least 1 for each axis; one stands for all."""
    numbers = [given] * axes if isinstance(given, Integral) else given
    if not isinstance(numbers, Sequence) or isinstance(numbers, str):
        raise TypeError(
            f"{layer}: {word} must be a whole number or one for each of {axes} spatial "
            f"axes, got {given!r}"
        )
    if len(numbers) != axes:
        raise ValueError(
            f"{layer}: {word}={given!r} must have a number for each of {axes} spatial "
            "axes"
        )
    return tuple(utils.check_size(layer, word, number) for number in numbers)


def channels_last(
    layer: str, inputs: Tensor, data_format: str | None, act: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return `act` of inputs whose channels stand last, back as `data_format` says."""
    turned = to_channels_last(layer, inputs, data_format)
    outputs = act(turned)
    return outputs if turned is inputs else _channels_first(outputs)


def in_format(
    layer: str, inputs: Tensor, data_format: str | None, act: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return `act` of inputs as `data_format` says; theirs and its channels are last.

    The opposite of `channels_last`, for what a user hands to a layer.
    """
    if data_format not in _FIRST:
        return act(inputs)
    return to_channels_last(layer, act(_channels_first(inputs)), data_format)


def is_channels_first(data_format: str | None) -> bool:
    """Return whether channels stand behind the batch."""
    return data_format in _FIRST


def _channels_first(inputs: Tensor) -> Tensor:
    last = inputs.rank - 1
    return ops.transpose(inputs, [0, last, *range(1, last)])


def to_channels_last(layer: str, inputs: Tensor, data_format: str | None) -> Tensor:
    """Return inputs with their channels last.

    Parameters
    ----------
    data_format : str or None
        "NHWC" (and "NWC", "NDHWC") or None: they do; "NCHW" (and "NCW", "NCDHW"):
        they stand behind the batch.
    """
    if data_format is None or data_format in _LAST:
        return inputs
    if data_format not in _FIRST:
        known = ", ".join((*_LAST, *_FIRST))
        raise ValueError(
            f"{layer}: data_format must be one of {known}, got {data_format!r}"
        )
    return ops.transpose(inputs, [0, *range(2, inputs.rank), 1])


def fixing(layer: _Layer, name: str, **arguments) -> _Layer:
    """Return a layer of another name, in which these arguments are settled."""
    of_any = inspect.unwrap(layer)

    def settled(*args, **kwargs):
        return of_any(*args, **arguments, **kwargs)

    signature = inspect.signature(of_any)
    left = [p for p in signature.parameters.values() if p.name not in arguments]
    settled.__signature__ = signature.replace(parameters=left)
    settled.__module__ = of_any.__module__
    settled.__name__ = settled.__qualname__ = name
    words = "|".join(arguments)
    settled.__doc__ = re.sub(rf" *({words}) : .*\n.*\n", "", of_any.__doc__ or "")
    return add_arg_scope(settled)
