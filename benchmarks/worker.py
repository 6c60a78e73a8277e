"""One contender in its own process: reads epochs from stdin, answers in JSON lines."""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings

import cases


def main(case_name: str, contender: str) -> None:
    """Serve until stdin ends: a line "<epochs>" is one timed fit."""
    warnings.simplefilter("ignore")
    case = cases.CASES[case_name]
    X, y, X_out, y_out = cases.load(case)
    module = importlib.import_module(f"contenders.{contender}")
    module.prepare(case, 1).fit(X[:4096], y[:4096])  # warm: pages, caches, thread pools
    answer({"rows": len(X)})
    for line in sys.stdin:
        estimator = module.prepare(case, int(line))
        start = time.perf_counter()
        estimator.fit(X, y)
        seconds = time.perf_counter() - start
        answer({"seconds": seconds, "accuracy": float(estimator.score(X_out, y_out))})


def answer(record: dict) -> None:
    """Write one line."""
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
