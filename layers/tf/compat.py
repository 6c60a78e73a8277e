"""``tf.compat.v1``: the names of TensorFlow 1, which are those of `layers.tf`."""

from slimlearn.layers import tf as v1

__all__ = ["v1"]


def __dir__() -> list[str]:
    return __all__
