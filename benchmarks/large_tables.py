"""Large tables and single rows: ``python benchmarks/large_tables.py [--rows 100000]``.

50 mixed columns are generated whose y is known. Told are processor seconds of fit on
one thread, the error on 30,000 other rows (1 - accuracy, or the root mean square error
in deviations of y), memory beyond that of X, and microseconds that a row takes, the
least of many calls. LightGBM stands beside where it is installed.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from slimlearn import TabularClassifier, TabularRegressor  # noqa: E402

NUMBERS, LEVELS = 38, (3, 4, 5, 8, 12, 30, 60, 200, 1000, 2, 6, 20)
OTHERS = 30_000


def made(rows: int, task: str):
    """Rows of 38 numbers, some missing, and 12 categories; and y."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, NUMBERS))
    z = np.sin(2 * numbers[:, 1]) + (numbers[:, 2] > 0.5) * numbers[:, 3]
    z += 0.5 * numbers[:, 4] * numbers[:, 6] + 0.3 * numbers[:, 7]
    z += 0.2 * numbers[:, 9] * (numbers[:, 11] > 0) - 0.4 * np.abs(numbers[:, 8])
    numbers[:, ::5] **= 3
    frame = pd.DataFrame(numbers, columns=[f"n{i}" for i in range(NUMBERS)])
    for name in frame.columns[::4]:
        frame.loc[rng.random(rows) < 0.05, name] = np.nan
    for i, count in enumerate(LEVELS):
        codes = rng.integers(0, count, rows)
        z += (rng.normal(size=count) * (0.5 if i % 2 else 0.1))[codes]
        frame[f"c{i}"] = pd.Categorical.from_codes(
            codes, [f"l{k}" for k in range(count)]
        )
    z += 0.5 * rng.normal(size=rows)
    return frame, z if task == "regression" else (z > np.median(z)).astype(int)


def contenders(task: str) -> dict:
    """Estimators by name, on one thread."""
    ours = TabularRegressor if task == "regression" else TabularClassifier
    found = {
        "ours": ours(random_state=0, n_threads=1),
        "ours, fast": ours(preset="fast", random_state=0, n_threads=1),
    }
    if importlib.util.find_spec("lightgbm") is not None:
        import lightgbm

        kind = lightgbm.LGBMRegressor
        if task != "regression":
            kind = lightgbm.LGBMClassifier
        found = {"LightGBM": kind(n_jobs=1, random_state=0, verbose=-1), **found}
    return found


def fitted_beyond(model, X, y) -> float:
    """Fit, and the MiB that the process had at most beyond those before."""
    status = Path("/proc/self/status")

    def mib(name: str) -> float:
        lines = status.read_text().splitlines()
        return int(next(ln for ln in lines if ln.startswith(name)).split()[1]) / 1024

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = mib("VmRSS")
    model.fit(X, y)
    return mib("VmHWM") - before


def row_us(model, row) -> float:
    """Microseconds that a row takes at least."""
    model.predict(row)
    times = []
    for _ in range(300):
        begun = time.perf_counter()
        model.predict(row)
        times.append(time.perf_counter() - begun)
    return 1e6 * min(times)


def large(rows: int) -> None:
    """Print how long fits of many rows take."""
    print(f"{rows:,} rows of 50 columns, float32 {rows * 50 * 4 / 2**20:.0f} MiB")
    for task in ("binary", "regression"):
        X, y = made(rows + OTHERS, task)
        other, X, truth, y = X[rows:], X[:rows].copy(), y[rows:], y[:rows]
        for name, model in contenders(task).items():
            begun = time.process_time()
            more = fitted_beyond(model, X, y)
            seconds = time.process_time() - begun
            wrong = model.predict(other) - truth
            error = np.mean(wrong != 0)
            if task == "regression":
                error = np.sqrt(np.mean(wrong**2)) / y.std()
            print(
                f"  {task:11}{name:11}{seconds:8.1f} s  error {error:.4f}  "
                f"{more:5.0f} MiB  {row_us(model, other[:1]):7.0f} µs a row",
                flush=True,
            )


def single_rows() -> None:
    """Print how long a row takes as an array and as a frame."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 10))
    frame = pd.DataFrame(X, columns=[f"n{i}" for i in range(10)])
    for name, make in (("classes", TabularClassifier), ("numbers", TabularRegressor)):
        y = X[:, 0] > 0 if name == "classes" else X[:, 0]
        for kind, rows in (("array", X), ("frame", frame)):
            model = make(max_iter=1, random_state=0).fit(rows, y)
            print(
                f"  a row of 10 numbers, {name}, {kind}: "
                f"{row_us(model, rows[:1].copy()):.0f} µs"
            )


def main() -> None:
    """Print all of it."""
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--rows", type=int, default=100_000)
    given = parse.parse_args()
    single_rows()
    large(given.rows)


if __name__ == "__main__":
    main()
