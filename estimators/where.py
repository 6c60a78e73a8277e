"""Which device runs an estimator's programs."""

from __future__ import annotations

from slimlearn.estimators.telling import warn

__all__ = ["GPU", "check_gpu", "where"]

# What "auto" means where it is there.
GPU = "cuda"


def where(device: str, sparse: bool = False) -> str:
    """Return the device that is meant by the parameter `device`.

    `fit` refuses one that is not there; an estimator that was fitted on a GPU and came
    to a machine without one goes on with the processor, and says so.

    Parameters
    ----------
    device : str
    sparse : bool, default=False
        Whether the program reads sparse rows, which only the processor does.
    """
    if device == "cpu":
        return device
    from slimlearn.backend import engine

    if device == "auto":
        return GPU if engine.has(GPU) and not sparse else "cpu"
    if engine.has(device):
        return device
    why = engine.absent().get(device, "it is not there")
    warn(f"device {device!r} is not here ({why}): the CPU computes instead")
    return "cpu"


def check_gpu(
    device: str, *, sparse: bool, accumulate: int, precision: str
) -> str | None:
    """Return why "auto" trains on the processor though a GPU is there, else None.

    Raises
    ------
    ValueError
        If a GPU was asked for that cannot do this.
    """
    if device != "auto" and device.partition(":")[0] != GPU:
        return None  # any other that is there has all that the processor has
    if sparse:
        what, instead = "sparse X", "give X.toarray()"
    elif accumulate > 1:
        what = f"accumulate={accumulate}"
        instead = f"set accumulate=1 and batch_size {accumulate} times as large"
    elif precision == "float16":
        what, instead = "precision='float16'", "set precision='bfloat16'"
    else:
        return None
    if device != "auto":
        raise ValueError(
            f"device={device!r} does not train with {what}: set device='cpu' (or "
            f"'auto', which takes the processor for it), or {instead}"
        )
    from slimlearn.backend import engine

    return f"{what} needs the processor" if engine.has(GPU) else None
