"""Which device runs an estimator's programs."""

from __future__ import annotations

import warnings

__all__ = ["where"]


def where(device: str) -> str:
    """Return the device that is meant by the parameter `device`.

    `fit` refuses one that is not there; an estimator that was fitted on a GPU and came
    to a machine without one goes on with the processor, and says so.
    """
    if device == "cpu":
        return device
    from slimlearn.backend import engine

    if device == "auto":
        return "cuda" if engine.has("cuda") else "cpu"
    if engine.has(device):
        return device
    why = engine.absent().get(device, "it is not there")
    warnings.warn(
        f"device {device!r} is not here ({why}): the CPU computes instead",
        UserWarning,
        stacklevel=4,
    )
    return "cpu"
