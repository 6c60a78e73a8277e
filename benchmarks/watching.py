"""What TensorBoard's files cost a fit: pairs with and without, on Fashion-MNIST.

``python benchmarks/watching.py [pairs] [epochs]`` prints medians of paired ratios,
by the clock and by the processor time of all threads, the writer's among them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import fashion_mnist

from slimlearn import DNNClassifier
from slimlearn.callbacks import TensorBoard

WAYS = {
    "curves": {"graph": False, "profile": False},
    "curves, graph, profile": {},
    "histograms every epoch": {"histograms": True},
}


def seconds(X, y, epochs: int, board: list) -> tuple[float, float]:
    """Return how long a fit takes, by the clock and by the processor."""
    clf = DNNClassifier(
        (256, 128), max_iter=epochs, batch_size=128, random_state=0, callbacks=board
    )
    clock, processor = time.perf_counter(), time.process_time()
    clf.fit(X, y)
    return time.perf_counter() - clock, time.process_time() - processor


def main(pairs: int = 5, epochs: int = 5) -> None:
    """Print a line for each way of watching."""
    X, y = fashion_mnist.load("train")
    seconds(X, y, 1, [])
    with tempfile.TemporaryDirectory() as folder:
        for name, params in WAYS.items():
            found = []
            for pair in range(pairs):
                board = TensorBoard(f"{folder}/{name}-{pair}", **params)
                both = seconds(X, y, epochs, []), seconds(X, y, epochs, [board])
                found.append([with_ / plain for plain, with_ in zip(*both)])
            clock, processor = map(median, zip(*found))
            print(
                f"{name}: {clock - 1:+.1%} by the clock, "
                f"{processor - 1:+.1%} of processor time",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
