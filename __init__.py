"""Neural networks for scikit-learn: Slim-style layers, trained natively.

What is imported here is public.
"""

from typing import TYPE_CHECKING

from slimlearn import callbacks as callbacks
from slimlearn import feature_column as feature_column
from slimlearn import layers as layers
from slimlearn import losses as losses
from slimlearn.backend import ops as ops
from slimlearn.backend.engine import NativeError as NativeError
from slimlearn.backend.engine import clear_cache as clear_cache
from slimlearn.backend.engine import show_config as show_config
from slimlearn.backend.function_state import assign as assign
from slimlearn.backend.function_state import state as state
from slimlearn.backend.functions import function as function
from slimlearn.backend.minimizing import minimize as minimize
from slimlearn.backend.optimizer import LBFGS as LBFGS
from slimlearn.backend.optimizer import SGD as SGD
from slimlearn.backend.optimizer import Adadelta as Adadelta
from slimlearn.backend.optimizer import Adagrad as Adagrad
from slimlearn.backend.optimizer import Adam as Adam
from slimlearn.backend.optimizer import AdamW as AdamW
from slimlearn.backend.optimizer import Ftrl as Ftrl
from slimlearn.backend.optimizer import LazyAdam as LazyAdam
from slimlearn.backend.optimizer import Nadam as Nadam
from slimlearn.backend.optimizer import RMSProp as RMSProp
from slimlearn.backend.portable import MissingCode as MissingCode
from slimlearn.backend.schedule import Constant as Constant
from slimlearn.backend.schedule import Cosine as Cosine
from slimlearn.backend.schedule import Exponential as Exponential
from slimlearn.backend.schedule import FlatCosine as FlatCosine
from slimlearn.backend.schedule import InverseScaling as InverseScaling
from slimlearn.backend.schedule import OneCycle as OneCycle
from slimlearn.backend.schedule import Plateau as Plateau
from slimlearn.backend.schedule import Schedule as Schedule
from slimlearn.backend.schedule import Step as Step
from slimlearn.backend.schedule import WarmRestarts as WarmRestarts
from slimlearn.estimators import *
from slimlearn.estimators import tensorboard as tensorboard

__version__ = "0.1.0"

_MODULES = ("callbacks", "feature_column", "layers", "losses", "ops", "tensorboard")

if not TYPE_CHECKING:  # which knows it from the lines above
    import sys as _sys
    from inspect import ismodule as _ismodule

    # They lie elsewhere, and are found here: `from slimlearn.ops import where`.
    _sys.modules[f"{__name__}.ops"] = ops
    _sys.modules[f"{__name__}.tensorboard"] = tensorboard

    __all__ = sorted(
        name
        for name, value in globals().items()
        if not (name.startswith("_") or name == "TYPE_CHECKING")
        and (name in _MODULES or not _ismodule(value))
    )


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
