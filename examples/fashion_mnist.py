"""Read Fashion-MNIST where it is installed; nothing is downloaded.

On Debian and Ubuntu: ``apt-get install dataset-fashion-mnist``. Elsewhere set
``FASHION_MNIST`` to a folder with the four ``*-ubyte.gz`` files of
https://github.com/zalandoresearch/fashion-mnist.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

CLASS_NAMES = (
    "T-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def folder() -> Path:
    """Return the folder of the data, whether it is there or not."""
    return Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


def available() -> bool:
    """Return whether all four files are there."""
    return all((folder() / name).exists() for pair in _FILES.values() for name in pair)


def load(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of one part.

    Parameters
    ----------
    part : {"train", "test"}
        60,000 or 10,000 examples.

    Returns
    -------
    images : ndarray of shape (n, 784), float32 in [0, 1]
    labels : ndarray of shape (n,), int64 in 0..9
    """
    images, labels = _FILES[part]
    pixels = _read(images, 16).reshape(-1, 784)
    return pixels.astype(np.float32) / 255, _read(labels, 8).astype(np.int64)


_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def _read(name: str, header: int) -> np.ndarray:
    with gzip.open(folder() / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)
