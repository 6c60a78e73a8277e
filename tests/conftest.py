"""What several tests share: the source tree's place, and real data."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Before scipy is imported, so that no estimator check is skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import fashion_mnist
import numpy as np
import pytest

# A shell starts what runs in its background deaf to Ctrl-C, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]

# `SLIM_TEST_DEVICE=mirror pytest …`: all that names no device runs on the second one.
if os.environ.get("SLIM_TEST_DEVICE"):
    from support import devices

    devices.use(os.environ["SLIM_TEST_DEVICE"])


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the top of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def fashion() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return Fashion-MNIST's two parts, or skip where it is not installed."""
    if not fashion_mnist.available():
        pytest.skip(
            f"Fashion-MNIST is not in {fashion_mnist.folder()}: "
            "apt-get install dataset-fashion-mnist, or set FASHION_MNIST"
        )
    return {part: fashion_mnist.load(part) for part in ("train", "test")}
