"""NumPy runs any program, training too: the specification, and the tests' oracle."""

from slimlearn.backend.graph import NUMPY_TYPES as DTYPES
from slimlearn.backend.reference.context import Context, status_text
from slimlearn.backend.reference.execution import Result, apply, first_nonfinite, run
from slimlearn.backend.reference.training import EpochResult, Trainer, batches

__all__ = [
    "DTYPES", "Context", "EpochResult", "Result", "Trainer", "apply", "batches",
    "first_nonfinite", "run", "status_text",
]  # fmt: skip
