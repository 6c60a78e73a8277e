"""Measure this tree against another revision of it: ``make bench-against REV=HEAD~5``.

The revision is built in a folder of its own, outside the source and once for all runs.
Both builds answer in their own processes, in turn, A B A B; what counts is the median
of the paired ratios, with the middle half of them beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

import cases
from pairs import OURS, Field, Worker, medians
from report import verdict
from run import processor

ROOT = Path(__file__).resolve().parents[1]
NO_SLOWER = 0.97
SECONDS = 0.5  # of fits in one answer, at least
# Parts of `own`, each with the unit of its values.
OWN = {"first_step": "ms", "one_row": "µs", "memory": "MiB"}
PREDICT = "predict"
# One case in both numbers of threads is enough.
TRAINED = [name for name, case in cases.CASES.items() if case.threads > 1]
NAMES = (*TRAINED, PREDICT, *OWN)


def main() -> None:
    """Build the revision, run what the command line names, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("revision", help="a commit, or a folder with a built checkout")
    parser.add_argument("--cases", nargs="*", default=[], help=f"of {', '.join(NAMES)}")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - set(NAMES)
    if unknown:
        parser.error(
            f"no case {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}"
        )
    sys.stdout.reconfigure(line_buffering=True)
    tree = checkout(arguments.revision)
    record = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "revisions": [described(ROOT), described(tree)],
        "machine": {"processor": processor(), "cpus": os.cpu_count()},
        "load": os.getloadavg()[0],
        "pairs": arguments.pairs,
        "rows": [],
    }
    print(f"{' against '.join(record['revisions'])}, {arguments.pairs} pairs\n")
    print(f"{'':44} {'threads':>7} {'× as fast':>9} {'middle half':>13}")
    with tempfile.TemporaryDirectory() as folder:
        sides = [importable(Path(folder, s), t) for s, t in zip("ab", (ROOT, tree))]
        for name in arguments.cases or NAMES:
            for row in measure(name, sides, arguments.threads, arguments.pairs):
                record["rows"].append(row)
                show(row)
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    path = results / time.strftime("against-%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\n{path}")


def checkout(revision: str) -> Path:
    """Return a folder with the revision, built for this Python and processor."""
    if Path(revision).is_dir():
        return Path(revision).resolve()
    commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    tree = cache / "slimlearn" / f"{commit[:12]}-{sys.implementation.cache_tag}"
    if (tree / "built").exists():
        return tree
    print(f"building {commit[:12]} in {tree}")
    tree.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", commit], check=True, stdout=subprocess.PIPE
    )
    subprocess.run(["tar", "-x", "-C", tree], check=True, input=archive.stdout)
    from slimlearn.backend.engine import available_isas

    level = available_isas()[-1].removeprefix("x86-64-")
    build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    # Earlier revisions call it SLIM_LEVELS, or build every level.
    environment = os.environ | {"SLIM_ISAS": level, "SLIM_LEVELS": level}
    environment.pop("SLIM_BUILD_DIR", None)
    subprocess.run(
        build, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    (tree / "built").write_text(f"{commit}\n")
    return tree


def git(*words: str, at: Path = ROOT) -> str:
    """Return what git says."""
    return subprocess.check_output(["git", "-C", at, *words], text=True).strip()


def described(tree: Path) -> str:
    """Return what is known of a tree: its commit, and whether files differ from it."""
    if (tree / "built").exists():
        return (tree / "built").read_text()[:12]
    return git("describe", "--always", "--dirty", "--abbrev=12", at=tree)


def importable(folder: Path, tree: Path) -> Path:
    """Return `folder`, from which Python imports `tree` as slimlearn."""
    folder.mkdir()
    (folder / "slimlearn").symlink_to(tree)
    return folder


class Builds(Field):
    """Two builds of slimlearn in one case."""

    def __init__(self, case: cases.Case, sides: list[Path]) -> None:
        self.ours, before = (Worker(case, OURS, side) for side in sides)
        self.peers = [before]

    def __enter__(self) -> Builds:
        super().__enter__()
        now, before = (w.ask("isa")["isa"] for w in (self.ours, *self.peers))
        if now != before:
            raise RuntimeError(f"this tree runs on {now}, the other on {before}")
        return self

    def pairs(self, rounds: int, do: str, **job) -> list[tuple[dict, dict]]:
        """Ask `rounds` times: this tree, the other one."""
        return super().pairs(rounds, do, **job)[OURS]


def measure(name: str, sides: list[Path], threads: list[int], pairs: int):
    """Yield the rows of one case."""
    if name in OWN:
        yield from own(name, sides, pairs)
    elif name == PREDICT:
        yield from predictions(sides, threads, pairs)
    else:
        yield from training(cases.CASES[name], sides, threads, pairs)


def training(case: cases.Case, sides: list[Path], threads: list[int], pairs: int):
    """Yield a row for each number of threads, all measured in turn."""
    with ExitStack() as stack:
        fields = {
            count: stack.enter_context(Builds(replace(case, threads=count), sides))
            for count in threads
        }
        found = {count: [] for count in fields}
        fitted, repeats = {}, {}
        for count, field in fields.items():
            warm = field.pairs(1, "warm")
            fitted[count] = field.pairs(1, "fit", epochs=case.epochs)
            slowest = max(one["seconds"] for one in fitted[count][0])
            repeats[count] = max(1, round(SECONDS / slowest))
            fitted[count][0][0]["first_fit_seconds"] = warm[0][0]["seconds"]
            fitted[count][0][1]["first_fit_seconds"] = warm[0][1]["seconds"]
        for _ in range(pairs):
            for count, field in fields.items():
                job = {"epochs": case.epochs, "repeats": repeats[count]}
                found[count] += field.pairs(1, "fits", **job)
    for count in threads:
        row = compared(case.name, count, found[count], "seconds", "s")
        for key in ("score", "first_fit_seconds"):
            row[key] = medians(fitted[count], key)
        # How many times as fast as on the first number of threads this tree is.
        both = zip(found[threads[0]], found[count])
        row["gain"] = median(a["seconds"] / b["seconds"] for (a, _), (b, _) in both)
        yield row


def predictions(sides: list[Path], threads: list[int], pairs: int):
    """Yield the rows of predictions, of the network of digits."""
    for count in threads:
        case = replace(cases.CASES["digits-32"], threads=count)
        with Builds(case, sides) as field:
            for rows, repeats in cases.PREDICTED.items():
                found = field.pairs(pairs, "predict", rows=rows, repeats=repeats)
                yield compared(f"predict {rows}", count, found, "seconds", "s")


def own(part: str, sides: list[Path], pairs: int):
    """Yield the rows of a part of `own`, on one thread."""
    case = replace(cases.CASES["digits-32"], threads=1)
    with Builds(case, sides) as field:
        found = [
            field.pairs(1, "own", part=part, turn=turn)[0] for turn in range(pairs)
        ]
    for name in found[0][0]:
        yield compared(name.strip(), 1, found, name, OWN[part])


def compared(name: str, threads: int, pairs: list, key: str, unit: str) -> dict:
    """Return a row: the other tree's value over this one's, and both medians."""
    ratios = [before[key] / now[key] for now, before in pairs]
    low, _, high = quantiles(ratios) if len(ratios) > 1 else ratios * 3
    return {
        "case": name,
        "threads": threads,
        "ratio": median(ratios),
        "middle": [low, high],
        "values": medians(pairs, key),
        "unit": unit,
    }


def show(row: dict) -> None:
    """Print one line."""
    low, high = row["middle"]
    scale, unit = (1e3, "ms") if row["unit"] == "s" else (1.0, row["unit"])
    now, before = (scale * value for value in row["values"])
    gain = row.get("gain", 1.0)
    more = f", {gain:.2f} × one thread" if gain != 1.0 else ""
    print(
        f"{row['case']:44} {row['threads']:7} {row['ratio']:9.3f} "
        f"{low:6.3f}-{high:.3f}  {now:.4g} and {before:.4g} {unit}{more}  "
        f"{verdict(row['ratio'], NO_SLOWER)}"
    )


if __name__ == "__main__":
    main()
