"""What TensorBoard's files cost a fit, on Fashion-MNIST.

``python benchmarks/watching.py [pairs]``: in one fit each second epoch is watched, and
is compared with the one before it, so that what else the machine does touches both. The
thread's writing is waited for inside the watched epoch: a fit that goes on meanwhile
pays less. Prints for each way of watching

- what the callback and its thread took, in parts of a plain epoch, by the clock;
- the median of the paired epochs, by the clock and by the time of all processors;
- once in a fit: the graph, and the profile of its operations.
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

WAYS = {"curves": {}, "histograms every epoch": {"histograms": True}}
# Epochs until memory and caches are as they stay.
_WARM = 2


class EachSecond(TensorBoard):
    """Watches each second epoch, and takes the time of all."""

    def on_fit_begin(self, state) -> None:
        begun = time.perf_counter()
        super().on_fit_begin(state)
        self.writer.flush()
        self.once_ = time.perf_counter() - begun
        self.plain_, self.watched_, self.took_ = [], [], []
        self._begun = _clocks()

    def on_epoch_end(self, state) -> None:
        if state.epoch <= _WARM:
            if state.epoch == 1:  # with the profile, where there is one
                begun = time.perf_counter()
                super().on_epoch_end(state)
                self.writer.flush()
                self.once_ += time.perf_counter() - begun
            self._begun = _clocks()
            return
        watched = (state.epoch - _WARM) % 2 == 0
        if watched:
            begun = time.perf_counter()
            super().on_epoch_end(state)
            self.writer.flush()
            self.took_.append(time.perf_counter() - begun)
        now = _clocks()
        took = [end - start for end, start in zip(now, self._begun)]
        (self.watched_ if watched else self.plain_).append(took)
        self._begun = _clocks()


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def watched(X, y, pairs: int, folder: str, **params) -> EachSecond:
    """Return the callback of a fit."""
    board = EachSecond(folder, **params)
    clf = DNNClassifier(
        (256, 128),
        max_iter=_WARM + 2 * pairs,
        batch_size=128,
        tol=0,
        random_state=0,
        callbacks=[board],
    )
    return clf.fit(X, y).callbacks_[0][1]


def main(pairs: int = 8) -> None:
    """Print what each way of watching costs."""
    X, y = fashion_mnist.load("train")
    with tempfile.TemporaryDirectory() as folder:
        for name, params in WAYS.items():
            params = {"graph": False, "profile": False, **params}
            found = watched(X, y, pairs, f"{folder}/{name}", **params)
            ratios = [
                [w / p for w, p in zip(with_, plain)]
                for with_, plain in zip(found.watched_, found.plain_)
            ]
            clock, processors = map(median, zip(*ratios))
            epoch = median(plain[0] for plain in found.plain_)
            print(
                f"{name}: {median(found.took_) / epoch:.2%} of an epoch of "
                f"{epoch:.3f} s; pairs {clock - 1:+.2%} by the clock, "
                f"{processors - 1:+.2%} of processor time",
                flush=True,
            )
        once = [
            watched(X, y, 1, f"{folder}/{graph}", graph=graph, profile=graph).once_
            for graph in (False, True)
        ]
    print(f"graph and profile, once: {1e3 * (once[1] - once[0]):.0f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
