"""Contenders in their own processes, asked in turn: A B A B, then medians of ratios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import cases
import images
import sequences
from peers import peers_python

HERE = Path(__file__).resolve().parent
OURS, IMAGES, SEQUENCES = "slimlearn_", "slimlearn_images", "slimlearn_sequences"
# Seconds: the threads of an answer spin after it, onnxruntime's for 30 ms, OpenMP's for
# 7, on a processor that the next answer needs.
SETTLED = 0.1
Measured = cases.Case | images.Network | images.Layers | sequences.Sequences


class Worker:
    """A contender's process; `path` is a folder that it imports from first."""

    def __init__(
        self, case: Measured, contender: str, path: Path | None = None
    ) -> None:
        python = (
            sys.executable if contender in (OURS, IMAGES, SEQUENCES) else peers_python()
        )
        names = ("OMP", "OPENBLAS", "MKL")
        threads = {f"{name}_NUM_THREADS": str(case.threads) for name in names}
        path = [*([str(path)] if path else []), str(HERE)]
        path.append(os.environ.get("PYTHONPATH", ""))
        sizes = [f"{key}={value}" for key, value in case.sizes().items()]
        self.contender = contender
        self._process = subprocess.Popen(
            [python, HERE / "worker.py", case.name, contender, *sizes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | threads | {"PYTHONPATH": os.pathsep.join(path)},
            text=True,
        )

    def ready(self) -> None:
        """Wait for it to have its data."""
        self._answer()

    def ask(self, do: str, **job) -> dict:
        """Return the record of one job."""
        self._process.stdin.write(json.dumps({"do": do, **job}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.contender} ended without an answer")
        return json.loads(line)


class Field:
    """Slimlearn and its peers in one case; they start together and wait idle."""

    def __init__(self, case: Measured, peers: tuple[str, ...]) -> None:
        own = {cases.Case: OURS, sequences.Sequences: SEQUENCES}
        self.ours = Worker(case, own.get(type(case), IMAGES))
        self.peers = [Worker(case, peer) for peer in peers]

    def __enter__(self) -> Field:
        for worker in (self.ours, *self.peers):
            worker.ready()
        return self

    def __exit__(self, *failure) -> None:
        for worker in (self.ours, *self.peers):
            worker.close()

    def pairs(self, rounds: int, do: str, **job) -> dict[str, list[tuple[dict, dict]]]:
        """Ask `rounds` times: ours, a peer, ours, the next peer and so on."""
        found = {peer.contender: [] for peer in self.peers}
        for _ in range(rounds):
            for peer in self.peers:
                pair = []
                for worker in (self.ours, peer):
                    time.sleep(SETTLED)
                    pair.append(worker.ask(do, **job))
                found[peer.contender].append(tuple(pair))
        return found


def compared(pairs: list[tuple[dict, dict]], target: float | None) -> dict:
    """Return the median of the paired ratios of seconds beside what it must be."""
    return {
        "ratio": median(b["seconds"] / a["seconds"] for a, b in pairs),
        "target": target,
        "seconds": medians(pairs, "seconds"),
    }


def medians(pairs: list[tuple[dict, dict]], key: str) -> list[float]:
    """Return the medians of ours and theirs."""
    return [median(one[key] for one in column) for column in zip(*pairs)]
