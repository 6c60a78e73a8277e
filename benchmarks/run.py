"""Measure slimlearn against its peers and its limits: ``make bench``.

Each contender lives in its own process and is asked in turn, A B A B, so that a busy
machine slows both; what counts is the median of the paired ratios, with equal threads,
equal work and the score beside the time. ``python benchmarks/run.py fashion predict``
runs these; ``--rounds 1`` is quick, ``--threads 1`` helps on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import cases
import decoding
import images
import others
import own
import pictures
import report
import roofline
import sequences
import training

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run what the command line names, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = ("products", "predict", "search", "jobs", "start", "footprint", "own")
    parts += ("beam-search",)
    networks = (*images.NETWORKS, "convolutions", *sequences.CASES)
    names = (*cases.CASES, *parts, *networks)
    parser.add_argument("case", nargs="*", help=f"of {', '.join(names)}; default all")
    parser.add_argument("--rounds", type=int, help="pairs; default as each case says")
    parser.add_argument("--threads", type=int, help="default as each case says")
    parser.add_argument(
        "--into", type=Path, help="a record in which these parts are measured again"
    )
    parser.add_argument("--batch", type=int, help="images at once; to try the nets")
    arguments = parser.parse_args()
    unknown = set(arguments.case) - set(names)
    if unknown:
        parser.error(
            f"no case {', '.join(sorted(unknown))}; there are {', '.join(names)}"
        )
    less = arguments.rounds or arguments.threads or arguments.batch
    if arguments.into and less:
        parser.error(
            "--into measures as the record did: no --rounds, --threads, --batch"
        )
    chosen = arguments.case or names
    sys.stdout.reconfigure(line_buffering=True)
    machine = roofline.Machine()
    record = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": {"processor": processor(), "cpus": os.cpu_count()},
        "load": os.getloadavg()[0],  # of others: a table of a busy machine says so
        "versions": {name: version(name) for name in ("numpy", "scikit-learn")},
        "peers": (HERE / "requirements.txt").read_text().split("\n# for")[0].split(),
        "whole": not (arguments.case or less),
        "failed": [],
        "cases": {},
        "networks": {},
    }
    record["peers"] = [word for word in record["peers"] if "==" in word]
    if arguments.into:
        record = json.loads(arguments.into.read_text())
        record["again"] = sorted({*record.get("again", ()), *chosen})
        record["failed"] = []
    start = time.perf_counter()
    for name in chosen:
        try:
            measure(name, arguments, machine, record)
        except (RuntimeError, subprocess.CalledProcessError) as failure:
            # Of one contender, or a build; the others go on.
            print(f"\n{name} FAILED: {failure}")
            record["failed"].append(name)
    record["whole"] = record["whole"] and not record["failed"]
    record["seconds"] = round(record.get("seconds", 0) + time.perf_counter() - start)
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    path = arguments.into or folder / time.strftime("bench-%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(
        f"\n{path} after {record['seconds']} s; benchmarks/readme.py reads whole runs"
    )


def measure(name: str, arguments, machine: roofline.Machine, record: dict) -> None:
    """Measure one part, print it and add it to the record."""
    rounds, threads = arguments.rounds or 3, arguments.threads
    if name in cases.CASES:
        case = cases.CASES[name]
        if threads:
            case = replace(case, threads=threads)
        pairs = arguments.rounds or case.rounds
        result = record["cases"][name] = training.measure(case, pairs, machine)
        report.training(name, result)
    elif name in images.NETWORKS:
        case = images.NETWORKS[name]
        case = replace(
            case,
            threads=threads or case.threads,
            batch=arguments.batch or case.batch,
        )
        result = pictures.networks(case, arguments.rounds or case.rounds)
        record.setdefault("networks", {})[name] = result
        report.network(name, result)
    elif name in sequences.CASES:
        case = sequences.CASES[name]
        case = replace(case, threads=threads or case.threads)
        result = others.sequences(case, arguments.rounds or case.rounds)
        record.setdefault("sequences", {})[name] = result
        report.sequences(name, result)
    elif name == "convolutions":
        record[name] = pictures.convolutions(rounds, arguments.batch)
        report.convolutions(record[name])
    elif name == "products":
        record[name] = others.products(rounds, machine)
        report.products(record[name])
    elif name == "predict":
        record[name] = others.predictions(rounds, threads)
        title = "predict, rows at once, 64-100-10"
        report.groups(title, record[name], 1e6, "µs")
    elif name == "search":
        record[name] = others.searches(1, threads)
        title = "GridSearchCV of 24 candidates in 5 folds, digits"
        report.groups(title, record[name], 1.0, "s")
    elif name == "beam-search":
        record[name] = decoding.measure(rounds, threads)
        report.groups("beam search of 20 steps", record[name], 1e3, "ms")
    elif name == "jobs":
        record[name] = others.jobs(rounds, threads)
        report.jobs(record[name])
    elif name == "start":
        record[name] = others.starts(rounds, threads)
        title = "from nothing to the first step (one batch of 64-n-10, new)"
        report.groups(title, record[name], 1e3, "ms")
    elif name == "footprint":
        record[name] = others.footprints(threads)
        report.footprints(record[name])
    else:
        record[name] = own.measure()
        report.own(record[name])


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    return next(names, platform.machine())


if __name__ == "__main__":
    main()
