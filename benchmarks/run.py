"""Measure slimlearn against its peers and its limits: ``make bench``.

Each contender lives in its own process and is asked in turn, A B A B, so that a busy
machine slows both; what counts is the median of the paired ratios, with equal threads,
equal work and the accuracy beside the time. ``python benchmarks/run.py digits`` runs
one case, ``--rounds`` sets the pairs, ``own`` runs what needs no peer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import cases
import own
import roofline

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".bench-venv"


class Worker:
    """A contender's process: ``fit(epochs)`` returns its seconds and accuracy."""

    def __init__(self, case: cases.Case, module: str, python: str) -> None:
        names = ("OMP", "OPENBLAS", "MKL")
        threads = {f"{name}_NUM_THREADS": str(case.threads) for name in names}
        self._process = subprocess.Popen(
            [python, HERE / "worker.py", case.name, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | threads,
            text=True,
        )
        self.rows = self._answer()["rows"]

    def fit(self, epochs: int) -> dict[str, float]:
        """Fit once and return seconds and accuracy."""
        self._process.stdin.write(f"{epochs}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, float]:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args[2:]} ended without an answer")
        return json.loads(line)


def compare(case: cases.Case, peer: str, rounds: int) -> dict:
    """Return the pairs of slimlearn and one peer, and the medians of their ratios.

    A step's time is the slope between fits of ``epochs`` and ``2 * epochs``: what a
    fit costs once (building, compiling, converting) is in the fit's ratio alone.
    """
    ours = Worker(case, "slimlearn_", sys.executable)
    theirs = Worker(case, peer, peers_python())
    steps = case.steps(ours.rows, case.epochs)
    fits, steps_us, accuracies = [], [], []
    try:
        for _ in range(rounds):
            once = [worker.fit(case.epochs) for worker in (ours, theirs)]
            twice = [worker.fit(2 * case.epochs) for worker in (ours, theirs)]
            fits.append([a["seconds"] for a in once])
            pairs = zip(once, twice)
            steps_us.append(
                [1e6 * (b["seconds"] - a["seconds"]) / steps for a, b in pairs]
            )
            accuracies.append([a["accuracy"] for a in once])
    finally:
        ours.close()
        theirs.close()
    return {
        "peer": peer,
        "target": case.targets.get(peer),
        "fit_ratio": median(b / a for a, b in fits),
        "step_ratio": median(b / a for a, b in steps_us),
        "fit_seconds": [median(column) for column in zip(*fits)],
        "step_us": [median(column) for column in zip(*steps_us)],
        "accuracy": [median(column) for column in zip(*accuracies)],
    }


def run_case(case: cases.Case, rounds: int, machine: roofline.Machine) -> dict:
    """Return a case's comparisons and its distance from the roofline."""
    limit = machine.step_seconds(case)
    rows = [compare(case, peer, rounds) for peer in case.contenders]
    step_us = median(row["step_us"][0] for row in rows)
    return {
        "units": case.units,
        "batch": case.batch,
        "epochs": case.epochs,
        "threads": case.threads,
        "step_us": step_us,
        "step_target_us": case.step_target,
        "roofline": limit,
        "roofline_share": 1e6 * limit["seconds"] / step_us,
        "peers": rows,
    }


def peers_python() -> str:
    """Return the Python of the peers' environment, made here at its first use."""
    python = PEERS / "bin" / "python"
    requirements = HERE / "requirements.txt"
    stamp = PEERS / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "-r", requirements]
        subprocess.run(install, check=True)
        stamp.write_text(requirements.read_text())
    return str(python)


def verdict(value: float, target: float | None, at_most: bool = False) -> str:
    """Return the target and whether it is met."""
    if target is None:
        return ""
    met = value <= target if at_most else value >= target
    bound = "at most" if at_most else "at least"
    return f"{bound} {target:g}: {'met' if met else 'MISSED'}"


def print_case(name: str, result: dict) -> None:
    """Print one case as a table."""
    network = "-".join(map(str, result["units"]))
    print(
        f"\n{name}: {network}, batch {result['batch']}, {result['epochs']} epochs, "
        f"{result['threads']} threads"
    )
    limit = result["roofline"]
    print(
        f"  step {result['step_us']:.1f} µs, "
        f"{100 * result['roofline_share']:.0f}% of the roofline "
        f"({limit['fma_peak'] / 1e9:.0f} GFLOP/s, {limit['bandwidth'] / 1e9:.0f} GB/s) "
        f"{verdict(result['step_us'], result['step_target_us'], at_most=True)}"
    )
    header = ("peer", "fit ×", "step ×", "step µs", "accuracy (ours, peer)")
    print("  {:12} {:>8} {:>8} {:>10}   {}".format(*header))
    for row in result["peers"]:
        ours, theirs = row["accuracy"]
        print(
            f"  {row['peer']:12} {row['fit_ratio']:8.1f} {row['step_ratio']:8.1f} "
            f"{row['step_us'][1]:10.1f}   {ours:.4f} {theirs:.4f}   "
            f"{verdict(row['fit_ratio'], row['target'])}"
        )


def main() -> None:
    """Run what the command line names, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = (*cases.CASES, "own")
    parser.add_argument("case", nargs="*", help=f"of {', '.join(names)}; default all")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    unknown = set(arguments.case) - set(names)
    if unknown:
        parser.error(
            f"no case {', '.join(sorted(unknown))}; there are {', '.join(names)}"
        )
    chosen = arguments.case or names
    machine = roofline.Machine()
    record = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": {"processor": processor(), "cpus": os.cpu_count()},
        "rounds": arguments.rounds,
        "cases": {},
    }
    for name in chosen:
        if name == "own":
            record["own"] = own.measure()
            print("\nslimlearn alone")
            for row in record["own"]:
                note = verdict(row["value"], row["target"], at_most=True)
                print(f"  {row['name']:50} {row['value']:10.2f} {row['unit']:4} {note}")
        else:
            result = run_case(cases.CASES[name], arguments.rounds, machine)
            record["cases"][name] = result
            print_case(name, result)
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    path = folder / time.strftime("%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(
        f"\n{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}"
    )


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    return next(names, platform.machine())


if __name__ == "__main__":
    main()
