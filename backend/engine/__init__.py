"""The door to native code: compiled programs, their caches, their errors."""

from slimlearn.backend.engine.config import show_config
from slimlearn.backend.engine.model import NativeModel, clear_cache, compile
from slimlearn.backend.engine.native import (
    NativeError,
    absent,
    available_isas,
    devices,
    has,
    isa,
)
from slimlearn.backend.engine.native import native as _native
from slimlearn.backend.engine.on_gpu import call_on_gpu
from slimlearn.backend.engine.results import MinimizeResult
from slimlearn.backend.engine.source import source
from slimlearn.backend.engine.trainer import Trainer
from slimlearn.backend.ops.custom import call_custom

__all__ = [
    "MinimizeResult",
    "NativeError",
    "NativeModel",
    "Trainer",
    "absent",
    "available_isas",
    "clear_cache",
    "compile",
    "devices",
    "has",
    "isa",
    "show_config",
    "source",
]

_native.set_custom(call_custom, call_on_gpu)  # programs with nodes from Python
