"""Networks of images that a seed puts together from the layers."""

from __future__ import annotations

import random

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.layers import activation

__all__ = ["RandomNet"]

_ACTIVATIONS = ("relu", "tanh", "sigmoid", "elu", "softplus", "gelu", "swish", "selu")


class RandomNet:
    """A network function, the same for the same seed.

    Parameters
    ----------
    seed : int
    depth : int
        Layers before the last ones.
    """

    def __init__(self, seed: int, depth: int):
        self.seed, self.depth = seed, depth

    def __call__(self, x, num_outputs, is_training=False):
        draw = random.Random(self.seed)
        for _ in range(self.depth):
            x = self._layer(draw, x, is_training)
        kind = draw.randrange(3)
        if kind == 0:
            x = layers.flatten(x)
        elif kind == 1:
            x = ops.reduce_mean(x, [1, 2])
        else:
            x = ops.concat([ops.reduce_max(x, [1, 2]), ops.reduce_min(x, [1, 2])], 1)
        x = layers.fully_connected(x, draw.randint(1, 9))
        return layers.fully_connected(x, num_outputs, activation_fn=None)

    def _layer(self, draw: random.Random, x, is_training: bool):
        kernel = draw.choice([1, 2, 3, (3, 1), (1, 4)])
        padding = draw.choice(["SAME", "VALID"])
        if padding == "VALID" and min(x.shape[1:3]) < 5:
            padding = "SAME"
        common = {
            "activation_fn": getattr(activation, draw.choice(_ACTIVATIONS)),
            "padding": padding,
        }
        if draw.random() < 0.5:
            common["normalizer_fn"] = layers.batch_norm
            common["normalizer_params"] = {"is_training": is_training, "scale": True}
        channels, stride = draw.randint(1, 11), draw.choice([1, 1, 2])
        kind = draw.randrange(8)
        if kind == 0:
            return layers.conv2d(x, channels, kernel, stride=stride, **common)
        if kind == 1:
            return layers.conv2d(x, channels, kernel, rate=2, **common)
        if kind == 2:
            return layers.separable_conv2d(x, channels, 3, 2, stride=stride, **common)
        if kind == 3 and max(x.shape[1:3]) < 12:
            return layers.conv2d_transpose(x, channels, kernel, stride=2, **common)
        if kind == 4:
            return layers.max_pool2d(x, 2, stride=draw.choice([1, 2]), padding="SAME")
        if kind == 5:
            return layers.avg_pool2d(x, 3, stride=stride, padding="SAME")
        if kind == 6:
            common["padding"] = "SAME"
            return x + layers.conv2d(x, x.shape[-1], 3, **common)
        common["padding"] = "SAME"
        return ops.concat([x, layers.conv2d(x, channels, 3, **common)], 3)
