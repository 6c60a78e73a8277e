"""Count scikit-learn's own checks: ``python benchmarks/conformance.py``.

Runs ``check_estimator(..., on_fail=None)`` on every estimator of slimlearn in every
shape of ``tests/support/estimator_shapes.py`` and, in the peers' environment, on what
its users would take instead; prints passed of asked, writes
``results/conformance-<date>.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ("slimlearn", "scikit-learn", "numpy", "pandas")

os.environ["SCIPY_ARRAY_API"] = "1"  # or scikit-learn skips its array API checks
os.environ.setdefault("OMP_NUM_THREADS", "1")


def count(estimator, false: dict[str, str]) -> dict:
    """Run all checks; those named as `false` are counted apart when they fail."""
    from sklearn.utils.estimator_checks import check_estimator

    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            estimator, on_fail=None, on_skip=None, expected_failed_checks=false
        )
    # Array libraries and devices that are not installed ask nothing.
    results = [
        result
        for result in results
        if result["status"] != "skipped" or "array_api" not in result["check_name"]
    ]
    by_status = Counter(result["status"] for result in results)
    return {
        "asked": len(results),
        **{status: by_status[status] for status in ("passed", "failed", "skipped")},
        "false": by_status["xfail"],
        "not_passed": [
            {
                "check": result["check_name"],
                "status": result["status"],
                "why": _why(result["exception"]),
            }
            for result in results
            if result["status"] != "passed"
        ],
        "seconds": round(time.perf_counter() - start, 1),
    }


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0].strip()[:160]


def ours() -> list[dict]:
    """Return the rows of slimlearn."""
    sys.path[:0] = [str(HERE.parent / "tests")]
    from support.estimator_shapes import SHAPES, false_checks

    rows = []
    for shape, estimators in SHAPES.items():
        for estimator in estimators:
            words = " ".join(repr(estimator).split())
            counted = count(estimator, false_checks(shape, estimator))
            row = {
                "package": "slimlearn",
                "kind": next(c.__name__ for c in type(estimator).__mro__ if _ours(c)),
                "estimator": words,
                "shape": shape,
            }
            rows.append(show(row | counted))
    return rows


def _ours(kind: type) -> bool:
    return kind.__module__.startswith("slimlearn.")


def theirs() -> list[dict]:
    """Return the rows of the peers; runs in their environment."""
    from contenders.conformance_peers import estimators

    return [
        show({"package": package, "estimator": words} | count(estimator, {}))
        for package, several in estimators().items()
        for words, estimator in several.items()
    ]


def show(row: dict) -> dict:
    """Print one row and return it."""
    words = {"failed": "failed", "skipped": "skipped", "false": "mathematically false"}
    notes = [f"{row[kind]} {text}" for kind, text in words.items() if row[kind]]
    group = row.get("shape", row["package"])
    print(
        f"{row['passed']:3} of {row['asked']:3}  {group}: {row['estimator']}"
        f"  {', '.join(notes)}",
        file=sys.stderr,
        flush=True,
    )
    return row


def main() -> None:
    """Count, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--no-peers", action="store_true", help="slimlearn alone")
    arguments = parser.parse_args()
    if arguments.peers:
        from contenders.conformance_peers import PACKAGES as packages

        versions = {package: version(package) for package in packages}
        text = json.dumps({"versions": versions, "rows": theirs()})
        Path(arguments.peers).write_text(text)
        return
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "versions": {package: version(package) for package in PACKAGES},
        "rows": ours(),
    }
    if not arguments.no_peers:
        from peers import peers_python

        with tempfile.NamedTemporaryFile() as answer:
            ask = [peers_python(), __file__, "--peers", answer.name]
            subprocess.run(ask, check=True, stdout=subprocess.DEVNULL)
            record["peers"] = json.load(answer)
        path = HERE / "results" / f"conformance-{record['date']}.json"
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{path}; make docs shows it")


if __name__ == "__main__":
    main()
