"""What columns of a table mean: ``from slimlearn.feature_column import …``."""

from slimlearn.estimators.features.factories import *  # noqa: F403
from slimlearn.estimators.features.factories import __all__ as __all__


def __dir__() -> list[str]:
    return __all__
