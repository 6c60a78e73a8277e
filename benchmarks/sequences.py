"""Layers over sequences: their outputs' sum and the gradients of all weights.

Needs nothing but numpy: every contender's environment reads it. A contender's module
has ``prepare(case, X, lengths)``, which returns a function that does both once.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, field

import numpy as np

EVERYONE = ("torch_sequences", "jax_sequences", "keras_sequences")


@dataclass(frozen=True)
class Sequences:
    """One layer, forward and backward; float32, random numbers."""

    name: str
    layer: str  # lstm, gru, or a transformer's block of four heads
    batch: int
    steps: int
    features: int
    units: int  # of the state, or between the block's two layers
    shortest: int | None = None  # lengths are drawn from here to `steps`
    contenders: tuple[str, ...] = EVERYONE
    targets: dict[str, float] = field(default_factory=dict)
    threads: int = 2
    rounds: int = 5
    repeats: int = 5

    def sizes(self) -> dict[str, int]:
        """Return what a run may set, for a contender's command line."""
        return {"threads": self.threads}

    def arrays(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return X and the lengths of its rows, the first of which is full."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.batch, self.steps, self.features), np.float32)
        if self.shortest is None:
            return X, None
        lengths = rng.integers(self.shortest, self.steps + 1, self.batch)
        lengths[0] = self.steps
        return X, lengths.astype(np.int32)


CASES = {
    case.name: case
    for case in (
        Sequences("lstm", "lstm", 64, 50, 128, 128, targets={EVERYONE[0]: 2}),
        Sequences("gru", "gru", 64, 50, 128, 128, targets={EVERYONE[0]: 2}),
        Sequences(
            "lstm-packed",
            "lstm",
            *(64, 200, 128, 128),
            shortest=20,
            targets={EVERYONE[0]: 3},
            rounds=3,
            repeats=3,
        ),
        Sequences(
            "lstm-small",
            "lstm",
            *(32, 20, 16, 16),
            targets={EVERYONE[0]: 20},
            repeats=50,
        ),
        Sequences(
            "transformer-block", "block", 32, 64, 128, 512, targets={EVERYONE[0]: 1.5}
        ),
    )
}


class SequenceJobs:
    """What a contender can be asked; each method returns a record."""

    def __init__(self, case: Sequences, contender: str):
        module = importlib.import_module(f"contenders.{contender}")
        self.both = module.prepare(case, *case.arrays())

    def warm(self) -> dict:
        """Do it twice: compiled code, caches and thread pools."""
        start = time.perf_counter()
        self.both()
        seconds = time.perf_counter() - start
        self.both()
        return {"seconds": seconds}

    def time(self, repeats: int) -> dict:
        """Return the least time of some runs."""
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            self.both()
            seconds.append(time.perf_counter() - start)
        return {"seconds": min(seconds)}
