"""What computes here: versions, instruction sets, devices."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from slimlearn.backend.engine.native import (
    absent,
    available_isas,
    describe,
    devices,
    isa,
)

__all__ = ["show_config"]

_PACKAGES = ("slimlearn", "scikit-learn", "numpy", "scipy", "joblib", "cupy-cuda13x")


def show_config() -> None:
    """Print versions, the processor's instruction-set levels, and the devices.

    A device that is known but does not work is listed with what is missing. Worth
    adding to a report of a problem.
    """
    print(f"Python {platform.python_version()}, {sys.platform}, {platform.machine()}")
    for package in _PACKAGES:
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    print(f"instruction sets: {', '.join(available_isas())}; used: {isa()}")
    for device in devices():
        print(f"device {device}: {describe(device)}")
    for device, why in absent().items():
        print(f"device {device} is not there: {why}")
