"""One contender in its own process: reads jobs from stdin, answers in JSON lines.

A contender's module has ``prepare(case, epochs)``, which returns an estimator with
fit, predict and score, and ``SEARCH``, its names for what a grid search varies.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median

import cases
import images
import numpy as np
import own
import sequences
from memory import status


class Jobs:
    """What can be asked; each method returns a record."""

    def __init__(self, case: cases.Case, contender: str):
        self.case = case
        self.module = importlib.import_module(f"contenders.{contender}")
        self.data = cases.load(case)

    def warm(self) -> dict:
        """Fit one epoch of all rows: compiled code, caches and thread pools."""
        X, y = self.data[:2]
        start = time.perf_counter()
        self.module.prepare(self.case, 1).fit(X, y)
        return {"rows": X.shape[0], "seconds": time.perf_counter() - start}

    def fit(self, epochs: int) -> dict:
        """Fit and score."""
        X, y, X_out, y_out = self.data
        estimator = self.module.prepare(self.case, epochs)
        start = time.perf_counter()
        estimator.fit(X, y)
        seconds = time.perf_counter() - start
        if self.case.steady:
            seconds = median(self.module.epoch_seconds(estimator)[1:])
        return {"seconds": seconds, "score": float(estimator.score(X_out, y_out))}

    def fits(self, epochs: int, repeats: int) -> dict:
        """Fit so many times: the median."""
        X, y = self.data[:2]
        seconds = []
        for _ in range(repeats):
            estimator = self.module.prepare(self.case, epochs)
            start = time.perf_counter()
            estimator.fit(X, y)
            seconds.append(time.perf_counter() - start)
        return {"seconds": median(seconds)}

    def predict(self, rows: int, repeats: int) -> dict:
        """Predict so many rows: the median of three means."""
        X, y = self.data[:2]
        if not hasattr(self, "fitted"):
            self.fitted = self.module.prepare(self.case, 1).fit(X, y)
        some = np.ascontiguousarray(np.resize(X, (rows, X.shape[1])))
        self.fitted.predict(some)
        means = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(repeats):
                self.fitted.predict(some)
            means.append((time.perf_counter() - start) / repeats)
        return {"seconds": median(means)}

    def search(
        self, n_jobs: int, backend: str, epochs: int = cases.SEARCH_EPOCHS
    ) -> dict:
        """Search the grid with five folds, in workers that already run."""
        from joblib import parallel_config
        from sklearn.model_selection import GridSearchCV

        X, y = self.data[:2]
        grid = {self.module.SEARCH[key]: v for key, v in cases.SEARCH.items()}
        first = {name: values[:1] for name, values in grid.items()}
        estimator = self.module.prepare(self.case, epochs)
        with parallel_config(backend, n_jobs=n_jobs):
            GridSearchCV(estimator, first, cv=2, refit=False).fit(X, y)
            start = time.perf_counter()
            search = GridSearchCV(estimator, grid, cv=5, refit=False).fit(X, y)
            seconds = time.perf_counter() - start
        return {"seconds": seconds, "score": float(search.best_score_)}

    def first_step(self, width: int) -> dict:
        """Fit one batch with a hidden layer that was not there before."""
        X, y = self.data[:2]
        units = (self.case.units[0], width, self.case.units[-1])
        start = time.perf_counter()
        self.module.prepare(replace(self.case, units=units), 1).fit(X[:32], y[:32])
        return {"seconds": time.perf_counter() - start}

    def memory(self) -> dict:
        """Return what a fit adds to the resident memory at most, in MiB."""
        X, y = self.data[:2]
        few = 4 * self.case.batch
        self.module.prepare(self.case, 1).fit(X[:few], y[:few])
        Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        self.module.prepare(self.case, 1).fit(X, y)
        return {"mib": (status("VmHWM") - before) / 1024}

    def profile(self, steps: int) -> dict:
        """Return slimlearn's operations of a step, on one thread."""
        X, y = self.data[:2]
        estimator = self.module.prepare(self.case, 1)
        return {"launches": list(estimator.fit(X, y).profile(X, y, steps=steps))}

    def own(self, part: str, turn: int) -> dict:
        """Return slimlearn's values of a part of `own`, by name."""
        return {name: value for name, value, *_ in own.PARTS[part](turn)}

    def isa(self) -> dict:
        """Return the instruction-set level that slimlearn runs on."""
        from slimlearn.backend import engine

        return {"isa": engine.isa()}


def jobs_of(name: str, contender: str, sizes: list[str]):
    """Return a case with the sizes of this run, and its jobs."""
    found = {**cases.CASES, **images.NETWORKS, **sequences.CASES}
    found = {**found, "convolutions": images.Layers()}[name]
    kinds = {
        images.Network: images.NetworkJobs,
        images.Layers: images.LayerJobs,
        sequences.Sequences: sequences.SequenceJobs,
    }
    pairs = (size.split("=") for size in sizes)
    case = replace(found, **{key: int(value) for key, value in pairs})
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: case.threads])
    return kinds.get(type(case), Jobs)(case, contender)


def answer(record: dict) -> None:
    """Write one line."""
    print(json.dumps(record), file=ANSWERS, flush=True)


# What a contender prints must not mix with the answers.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    jobs = jobs_of(sys.argv[1], sys.argv[2], sys.argv[3:])
    answer({})
    for line in sys.stdin:
        job = json.loads(line)
        answer(getattr(jobs, job.pop("do"))(**job))
