"""The door to the native module: its only importer."""

from __future__ import annotations

from importlib.util import find_spec

try:
    from slimlearn import _native
except ImportError as error:
    from slimlearn.backend.engine import missing

    raise ImportError(missing.advice(error=error)) from error

__all__ = [
    "NativeError",
    "absent",
    "available_isas",
    "describe",
    "devices",
    "has",
    "isa",
    "native",
]

native = _native
NativeError = _native.NativeError

# Where PyPI's packages of NVIDIA's libraries lie: then no CUDA toolkit is needed.
_nvidia = find_spec("nvidia")
if _nvidia is not None:
    native.set_nvidia_packages(list(_nvidia.submodule_search_locations or []))

_ISAS = ("generic", "x86-64-v3", "x86-64-v4")


def isa() -> str:
    """Return the instruction-set level that programs are compiled for.

    The best one that this machine runs, or ``SLIM_ISA`` from the environment.

    Raises
    ------
    ValueError
        If ``SLIM_ISA`` names a level that does not run here.
    """
    return _native.best_isa()


def available_isas() -> list[str]:
    """Return the instruction-set levels that run here, in rising order."""
    return [name for name in _ISAS if _native.has_isa(name)]


def devices() -> list[str]:
    """Return the devices that run programs here; the CPU is the first."""
    return _native.devices()


def has(device: str) -> bool:
    """Whether a device runs programs here."""
    return _native.has_device(device)


def describe(device: str) -> str:
    """Return what a device is, for people."""
    return _native.describe_device(device)


def absent() -> dict[str, str]:
    """Return the devices that are known but not there, and what is missing."""
    return _native.absent_devices()
