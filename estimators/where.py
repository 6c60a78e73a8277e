"""Which device runs an estimator's programs."""

from __future__ import annotations

import multiprocessing
import os
import re
from pathlib import Path

from slimlearn.backend.telling import warn

__all__ = ["GPU", "gpu_name", "where"]

# What "auto" means where it is there.
GPU = "cuda"
# Where NVIDIA's driver lists them: to open one takes memory of it.
_GPUS = Path("/proc/driver/nvidia/gpus")


def where(device: str) -> str:
    """Return the device that is meant by the parameter `device`.

    `fit` refuses one that is not there; an estimator that was fitted on a GPU and came
    to a machine without one goes on with the processor, and says so.

    Parameters
    ----------
    device : str
    """
    if device == "cpu":
        return device
    from slimlearn.backend import engine

    if device == "auto":
        gpu = _own_gpu()
        return gpu if engine.has(gpu) else "cpu"
    if engine.has(device):
        return device
    why = engine.absent().get(device, "it is not there")
    warn(f"device {device!r} is not here ({why}): the CPU computes instead")
    return "cpu"


def _own_gpu() -> str:
    """The GPU of this process: the workers of joblib are dealt over those there are."""
    worker = re.search(r"-(\d+)$", multiprocessing.current_process().name)
    number = (int(worker.group(1)) - 1) % _count() if worker else 0
    return gpu_name(number)


def gpu_name(number: int) -> str:
    """The name of a GPU as a device."""
    return f"{GPU}:{number}" if number else GPU


def _count() -> int:
    """How many GPUs this process may use, 1 where nothing is known of them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([one for one in visible.split(",") if one.strip()]))
    try:
        return max(1, len(list(_GPUS.iterdir())))
    except OSError:
        return 1
