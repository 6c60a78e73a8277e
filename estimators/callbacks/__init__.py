"""Callbacks: objects that hear of each epoch of a fit, and may change or stop it."""

from slimlearn.estimators.callbacks.base import Callback
from slimlearn.estimators.callbacks.checkpoint import Checkpoint
from slimlearn.estimators.callbacks.hparams import HParams
from slimlearn.estimators.callbacks.logs import CSVLog, JSONLog, ProgressBar
from slimlearn.estimators.callbacks.rates import (
    GradientClipping,
    LayerRates,
    LearningRateScheduler,
    ParamFreezer,
)
from slimlearn.estimators.callbacks.run import FitStopped
from slimlearn.estimators.callbacks.scoring import EpochScoring
from slimlearn.estimators.callbacks.start import StartFrom
from slimlearn.estimators.callbacks.state import FitState
from slimlearn.estimators.callbacks.stopping import EarlyStopping, TimeLimit
from slimlearn.estimators.callbacks.tensorboard import TensorBoard

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "EpochScoring",
    "FitState",
    "FitStopped",
    "GradientClipping",
    "HParams",
    "JSONLog",
    "LayerRates",
    "LearningRateScheduler",
    "ParamFreezer",
    "ProgressBar",
    "StartFrom",
    "TensorBoard",
    "TimeLimit",
]
