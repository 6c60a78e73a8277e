"""What a scikit-learn user sees."""

from slimlearn.estimators import callbacks
from slimlearn.estimators.autoencoder import Autoencoder
from slimlearn.estimators.custom import NetworkClassifier, NetworkRegressor
from slimlearn.estimators.dnn import DNNClassifier, DNNRegressor
from slimlearn.estimators.layer_transformer import LayerTransformer
from slimlearn.estimators.linear import LinearClassifier, LinearRegressor
from slimlearn.estimators.losses import (
    Focal,
    Gaussian,
    GaussianMixture,
    Huber,
    Ordinal,
    Tweedie,
    loss,
)
from slimlearn.estimators.network import Network, network
from slimlearn.estimators.rate_range import find_learning_rate

__all__ = [
    "Autoencoder",
    "DNNClassifier",
    "DNNRegressor",
    "Focal",
    "Gaussian",
    "GaussianMixture",
    "Huber",
    "LayerTransformer",
    "LinearClassifier",
    "LinearRegressor",
    "Network",
    "NetworkClassifier",
    "NetworkRegressor",
    "Ordinal",
    "Tweedie",
    "callbacks",
    "find_learning_rate",
    "loss",
    "network",
]
