"""Neural networks for scikit-learn: Slim-style layers, trained natively."""

from slimlearn import layers
from slimlearn.backend.engine import NativeError
from slimlearn.backend.optimizer import (
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Ftrl,
    Nadam,
    RMSProp,
)
from slimlearn.backend.schedule import (
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Plateau,
    Step,
    WarmRestarts,
)
from slimlearn.estimators import (
    DNNClassifier,
    DNNRegressor,
    Focal,
    Huber,
    LayerTransformer,
    LinearClassifier,
    LinearRegressor,
    Network,
    NetworkClassifier,
    NetworkRegressor,
    Ordinal,
    Tweedie,
    callbacks,
    network,
)

__version__ = "0.1.0"

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "DNNClassifier",
    "DNNRegressor",
    "Exponential",
    "Focal",
    "Ftrl",
    "Huber",
    "InverseScaling",
    "LayerTransformer",
    "LinearClassifier",
    "LinearRegressor",
    "Nadam",
    "NativeError",
    "Network",
    "NetworkClassifier",
    "NetworkRegressor",
    "OneCycle",
    "Ordinal",
    "Plateau",
    "RMSProp",
    "Step",
    "Tweedie",
    "WarmRestarts",
    "callbacks",
    "layers",
    "network",
]
