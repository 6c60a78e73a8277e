"""What several tests share: the source tree's place, and real data."""

from __future__ import annotations

import os
import signal
import zlib
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

# `SLIM_TEST_DEVICE=mirror pytest …`: all that names no device runs on the second one;
# `emulated` is the CUDA half on the host, whose kernels are compiled once and kept.
if os.environ.get("SLIM_TEST_DEVICE"):
    from support import devices

    devices.use(os.environ["SLIM_TEST_DEVICE"])


# Another number gives every test other draws: no test may depend on which it got.
DRAWS = int(os.environ.get("SLIM_TEST_SEED", 0))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a test draw the same numbers alone, in any order and in any process.

    These are the numbers of NumPy's own generator, which estimators without a seed
    and scikit-learn's checks draw from, and of generators that are its module's.
    """
    seed = zlib.crc32(item.nodeid.encode(), DRAWS)
    np.random.seed(seed)
    for value in vars(getattr(item, "module", None) or object).values():
        if isinstance(value, np.random.RandomState):
            value.seed(seed)
        elif isinstance(value, np.random.Generator):
            value.bit_generator.state = type(value.bit_generator)(seed).state


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
