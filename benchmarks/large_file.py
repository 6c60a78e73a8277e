"""A model file of 1 GB of weights: ``benchmarks/large_file.py [FOLDER [ROUNDS]]``.

Saving beside NumPy's ``tofile`` of as many bytes with fsync and rename, loading beside
a copy of them in memory and joblib's ``load`` of the same array, in turn; and what each
takes of memory that is no file's, at its peak. `FOLDER` says which disk is measured
(/dev/shm: none).
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import joblib
import numpy as np

import slimlearn
from slimlearn import SGD, DNNClassifier

UNITS = 16384


class Watched:
    """A block's seconds, and the MiB of its own memory at the peak."""

    def __enter__(self) -> Watched:
        self._ended, self._least = threading.Event(), _own_mib()
        self.mib, self._begun = 0.0, time.perf_counter()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.002):
            self.mib = max(self.mib, _own_mib() - self._least)

    def __exit__(self, *error) -> None:
        self.seconds = time.perf_counter() - self._begun
        self._ended.set()
        self._thread.join()


def _own_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def _plainly(array: np.ndarray, path: Path) -> None:
    with open(path.with_suffix(".tmp"), "wb") as file:
        array.tofile(file)
        file.flush()
        os.fsync(file.fileno())
    path.with_suffix(".tmp").rename(path)


def main(folder: str | None = None, rounds: int = 3) -> None:
    """Print a line for each way."""
    random = np.random.default_rng(0)
    X = random.normal(size=(32, UNITS)).astype("f4")
    net = DNNClassifier((UNITS,), optimizer=SGD(), batch_size=32, max_iter=1)
    net.fit(X, np.arange(32) % 4)
    found: dict[str, list[Watched]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        at = Path(name)
        net.save(at / "net.slim")
        del net
        array = np.fromfile(at / "net.slim", np.uint8)
        joblib.dump(array, at / "net.joblib")
        copy = np.zeros_like(array)
        copy[:] = 1  # its pages are there
        kept = slimlearn.load(at / "net.slim")
        ways = {
            "save": lambda: kept.save(at / "again.slim"),
            "tofile, fsync": lambda: _plainly(array, at / "again.bin"),
            "load": lambda: slimlearn.load(at / "net.slim"),
            "load, sha256": lambda: slimlearn.load(at / "net.slim", sha256=True),
            "copy in memory": lambda: np.copyto(copy, array),
            "joblib.load": lambda: joblib.load(at / "net.joblib"),
        }
        for _ in range(rounds):
            for way, call in ways.items():
                with Watched() as watched:
                    call()
                found.setdefault(way, []).append(watched)
    print(f"{array.nbytes / 1e9:.2f} GB: median and least GB/s, own MiB at the peak")
    for way, all_of in found.items():
        rates = [array.nbytes / 1e9 / each.seconds for each in all_of]
        mib = max(each.mib for each in all_of)
        print(f"  {way:15} {median(rates):6.2f} {max(rates):6.2f} {mib:6.0f}")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
