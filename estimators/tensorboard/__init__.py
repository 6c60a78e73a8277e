"""TensorBoard: files of events for it, of fits, of searches and of what else you like.

`slimlearn.callbacks.TensorBoard` writes those of a fit.
"""

from slimlearn.estimators.tensorboard.searches import log_search
from slimlearn.estimators.tensorboard.writer import Writer

__all__ = ["Writer", "log_search"]


def __dir__() -> list[str]:
    return __all__
