"""What hears of each epoch: ``from slimlearn.callbacks import EarlyStopping``."""

from slimlearn.estimators.callbacks import *  # noqa: F403
from slimlearn.estimators.callbacks import __all__ as __all__


def __dir__() -> list[str]:
    return __all__
