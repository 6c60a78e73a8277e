"""`augment`: what varies images in training, by the names of layers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from slimlearn import layers
from slimlearn.backend.graph import Tensor
from slimlearn.estimators.network import Network

__all__ = ["Augmented", "augment_of"]


def _eighth(size: int) -> int:
    return max(1, size // 8)


def _crop(x: Tensor, padding=None) -> Tensor:
    height, width = x.shape[1:3]
    if padding is None:
        padding = _eighth(height), _eighth(width)
    return layers.random_crop(x, (height, width), padding)


def _shift(x: Tensor, pixels=None) -> Tensor:
    if pixels is None:
        pixels = tuple(map(_eighth, x.shape[1:3]))
    return layers.random_shift(x, pixels)


def _cutout(x: Tensor, size=None) -> Tensor:
    if size is None:
        size = tuple(max(1, n // 4) for n in x.shape[1:3])
    return layers.cutout(x, size)


# By the layers' names; what follows the images has a default.
_LAYERS: dict[str, Callable] = {
    "random_flip": lambda x, mode="horizontal": layers.random_flip(x, mode),
    "random_crop": _crop,
    "random_shift": _shift,
    "random_brightness": lambda x, delta=0.2: layers.random_brightness(x, delta),
    "random_contrast": lambda x, low=0.8, high=1.25: layers.random_contrast(
        x, low, high
    ),
    "cutout": _cutout,
    "mixup": lambda x, alpha=0.2: layers.mixup(x, alpha),
}


def augment_of(given) -> tuple[tuple[str, tuple], ...]:
    """The layers that `augment` names, each with its arguments; without those of 0.

    Raises
    ------
    ValueError
        If there is no such layer.
    TypeError
        If something else than a name stands where one should.
    """
    if given is None:
        return ()
    names = [given] if isinstance(given, str) else given
    found = []
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"augment={given!r} must hold names of layers ({', '.join(_LAYERS)}), "
                f"not {name!r}: call other functions in a network of your own, net="
            )
        if name not in _LAYERS:
            close = difflib.get_close_matches(name, _LAYERS, n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"augment={given!r}: there is no {name!r} among "
                f"{', '.join(_LAYERS)}{hint}"
            )
        amount = given[name] if isinstance(given, Mapping) else None
        if amount.__class__ in (int, float) and amount == 0:
            continue
        if not isinstance(amount, (tuple, list)):
            amount = () if amount is None else (amount,)
        elif name != "random_contrast":
            amount = (tuple(amount),)  # of two axes
        found.append((name, tuple(amount)))
    return tuple(found)


class Augmented:
    """A network that reads images which layers before it vary.

    Parameters
    ----------
    network : Network
    augment : tuple
        As `augment_of` gives it.
    """

    def __init__(self, network: Network, augment: tuple[tuple[str, tuple], ...]):
        self._network = network
        self._augment = augment
        self.called = getattr(network, "called", type(network).__name__)

    @property
    def outputs_name(self) -> str | None:
        """As of the network."""
        return self._network.outputs_name

    def __call__(self, x: Tensor, **given) -> Tensor:
        """Build the layers, and the network behind them."""
        for name, amount in self._augment:
            x = _LAYERS[name](x, *amount)
        return self._network(x, **given)
