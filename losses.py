"""What a fit makes small: ``from slimlearn.losses import GaussianMixture``."""

from slimlearn.estimators.losses import (
    Focal,
    Gaussian,
    GaussianMixture,
    Huber,
    LogLoss,
    LossFunction,
    Ordinal,
    Tweedie,
    loss,
)

__all__ = [
    "Focal",
    "Gaussian",
    "GaussianMixture",
    "Huber",
    "LogLoss",
    "LossFunction",
    "Ordinal",
    "Tweedie",
    "loss",
]


def __dir__() -> list[str]:
    return __all__
