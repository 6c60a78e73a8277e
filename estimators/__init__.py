"""What a scikit-learn user sees: a line for each family, which says what is public."""

from typing import TYPE_CHECKING

from slimlearn.estimators.autoencoder import *
from slimlearn.estimators.combined import *
from slimlearn.estimators.convnet import *
from slimlearn.estimators.custom import *
from slimlearn.estimators.dnn import *
from slimlearn.estimators.exports import export_c as export_c
from slimlearn.estimators.layer_transformer import *
from slimlearn.estimators.linear import *
from slimlearn.estimators.losses import Focal as Focal
from slimlearn.estimators.losses import Gaussian as Gaussian
from slimlearn.estimators.losses import GaussianMixture as GaussianMixture
from slimlearn.estimators.losses import Huber as Huber
from slimlearn.estimators.losses import LogLoss as LogLoss
from slimlearn.estimators.losses import Ordinal as Ordinal
from slimlearn.estimators.losses import Tweedie as Tweedie
from slimlearn.estimators.losses import loss as loss
from slimlearn.estimators.network import *
from slimlearn.estimators.onnx import to_onnx as to_onnx
from slimlearn.estimators.rate_range import find_learning_rate as find_learning_rate
from slimlearn.estimators.saving import load as load
from slimlearn.estimators.saving import save as save
from slimlearn.estimators.seq2seq import *
from slimlearn.estimators.sequences import *
from slimlearn.estimators.tables import *
from slimlearn.estimators.tagger import *
from slimlearn.estimators.tokens import *

if not TYPE_CHECKING:  # which knows it from the lines above
    from inspect import ismodule as _ismodule

    __all__ = sorted(
        name
        for name, value in globals().items()
        if not (name.startswith("_") or name == "TYPE_CHECKING" or _ismodule(value))
    )


def __dir__() -> list[str]:
    return __all__
