"""``tf.contrib``: where TF-Slim stood before it was a package of its own."""

from slimlearn import layers

slim = framework = layers

__all__ = ["framework", "layers", "slim"]


def __dir__() -> list[str]:
    return __all__
