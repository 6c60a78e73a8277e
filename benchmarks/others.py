"""What is not training: products alone, predictions, searches, starts, sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import cases
import roofline
import sequences as steps
from cases import NO_SLOWER
from pairs import OURS, Field, Worker, compared
from peers import peers_python

HERE = Path(__file__).resolve().parent


def digits(threads: int | None) -> cases.Case:
    """Return the case whose network is predicted with, searched and started."""
    case = cases.CASES["digits-32"]
    return replace(case, threads=threads or case.threads)


def sequences(case: steps.Sequences, rounds: int) -> dict:
    """Compare a layer over sequences, forward and backward."""
    with Field(case, case.contenders) as field:
        for worker in (field.ours, *field.peers):
            worker.ask("warm")
        pairs = field.pairs(rounds, "time", repeats=case.repeats)
    peers = {
        peer: compared(found, case.targets.get(peer, NO_SLOWER))
        for peer, found in pairs.items()
    }
    return {"threads": case.threads, "peers": peers}


def products(rounds: int, machine: roofline.Machine) -> list[dict]:
    """Measure matrix products alone: eight in a row, so that reading X is little."""
    import numpy as np

    from slimlearn.backend.engine import compile
    from slimlearn.backend.program import Program

    rows = []
    for size, threads in ((512, 1), (512, 2), (1024, 1), (1024, 2)):
        lines = [f'%a0 = input(source="X") : f32[B,{size}]']
        lines += [f'%b = input(source="Y") : f32[{size},{size}]']
        lines += [
            f"%a{i + 1} = matmul(%a{i}, %b, transpose_a=false, transpose_b=false) "
            f": f32[B,{size}]"
            for i in range(8)
        ]
        body = "\n  ".join([*lines, "return %a8"])
        text = f"slim 1\n\nfunc product {{\n  {body}\n}}\n"
        model, program = compile(text), Program(text)
        square = np.full((size, size), 1.0 / size, np.float32)
        sources = {"X": square, "Y": square}
        peaks, times = [], []
        for _ in range(max(7, rounds)):
            peaks.append(machine.fma_peak(threads, 0.05))
            start = time.perf_counter()
            model.run("product", sources, program, n_threads=threads, batch=size)
            times.append(time.perf_counter() - start)
        share = 8 * 2.0 * size**3 / min(times) / max(peaks)
        rows.append({"size": size, "threads": threads, "share": share})
    return rows


def predictions(rounds: int, threads: int | None = None) -> dict:
    """Compare predict of one, a hundred and a hundred thousand rows."""
    found = {}
    with Field(digits(threads), cases.EVERYONE) as field:
        for rows, repeats in cases.PREDICTED.items():
            job = {"rows": rows, "repeats": repeats}
            pairs = field.pairs(rounds, "predict", **job)
            found[rows] = {p: compared(v, cases.NO_SLOWER) for p, v in pairs.items()}
    return found


def searches(rounds: int, threads: int | None = None) -> dict:
    """Compare a grid search of 24 candidates in five folds."""
    found = {}
    with Field(digits(threads), cases.SEARCHERS) as field:
        for n_jobs, backend in cases.SEARCHED:
            pairs = field.pairs(rounds, "search", n_jobs=n_jobs, backend=backend)
            found[f"n_jobs={n_jobs}, {backend}"] = {
                peer: compared(v, cases.SEARCH_TARGETS.get(peer, cases.NO_SLOWER))
                | {"score": [median(one["score"] for one in side) for side in zip(*v)]}
                for peer, v in pairs.items()
            }
    return found


def jobs(rounds: int, threads: int | None = None) -> list[dict]:
    """Compare searches with one job and with two: ours, and fits that only wait."""
    rows = []
    with Field(digits(threads), ("waiting",)) as field:
        for epochs, backend in cases.SHARED:
            for worker in (field.ours, *field.peers):
                job = {"do": "search", "backend": backend, "epochs": epochs}
                pairs = [
                    [worker.ask(n_jobs=n_jobs, **job) for n_jobs in (2, 1)]
                    for _ in range(rounds)
                ]
                ours = worker is field.ours
                row = compared(pairs, cases.SHARED_TARGET if ours else None)
                row |= {"epochs": epochs, "backend": backend, "ours": ours}
                rows.append(row)
    return rows


_IMPORTS = {
    "slimlearn_": "import slimlearn",
    "sklearn_mlp": "import sklearn.neural_network",
    "skorch_net": "import skorch",
    "torch_loop": "import torch",
    "jax_scan": "import jax",
    "keras_fit": "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras",
}
_IMPORT = """
import sklearn, time
start = time.perf_counter()
{}
print(time.perf_counter() - start)
"""


def starts(rounds: int, threads: int | None = None) -> dict:
    """Compare the way to the first step: imports, then fit of one new batch."""
    found = {"import after scikit-learn": {}, "first step": {}}
    imports = {name: [] for name in _IMPORTS}
    # Of installed packages, which have their bytecode: a first import writes it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    for i in range(rounds + 1):
        for name, code in _IMPORTS.items():
            python = sys.executable if name == OURS else peers_python()
            ask = [python, "-c", _IMPORT.format(code)]
            answer = subprocess.check_output(ask, cwd=HERE, env=environment)
            if i > 0:
                imports[name].append({"seconds": float(answer)})
    ours = imports.pop(OURS)
    for name, theirs in imports.items():
        pairs = list(zip(ours, theirs))
        found["import after scikit-learn"][name] = compared(pairs, cases.NO_SLOWER)
    with Field(digits(threads), cases.EVERYONE) as field:
        for worker in (field.ours, *field.peers):
            worker.ask("first_step", width=8)
        steps = {peer.contender: [] for peer in field.peers}
        for i in range(rounds):
            for name, pairs in field.pairs(1, "first_step", width=101 + i).items():
                steps[name] += pairs
    for name, pairs in steps.items():
        found["first step"][name] = compared(pairs, cases.NO_SLOWER)
    return found


# What a user of scikit-learn has already.
_THERE = {"numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl", "narwhals"}
_SIZES = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution
def closure(name, found):
    if name in found or name in set(sys.argv[1].split()):
        return found
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return found
    found[name] = sum(f.locate().stat().st_size for f in package.files
                      if f.locate().is_file())
    for needed in package.requires or ():
        if "extra ==" not in needed:
            closure(re.match(r"[\\w.-]+", needed)[0].lower().replace("_", "-"), found)
    return found
names = {"skorch_net": "skorch torch", "torch_loop": "torch", "jax_scan": "jax",
         "keras_fit": "keras jax"}
print(json.dumps({who: sum(sum(closure(n, {}).values()) for n in needed.split())
                  for who, needed in names.items()}))
"""


def footprints(threads: int | None = None) -> dict:
    """Compare installed sizes and the memory of a fit, in MiB."""
    ask = [peers_python(), "-c", _SIZES, " ".join(_THERE)]
    sizes = json.loads(subprocess.check_output(ask))
    sizes = {name: size / 2**20 for name, size in sizes.items()}
    memory = {}
    case = cases.CASES["fashion"]
    case = replace(case, threads=threads or case.threads)
    for name in (OURS, *cases.EVERYONE):
        worker = Worker(case, name)
        worker.ready()
        memory[name] = worker.ask("memory")["mib"]
        worker.close()
    return {
        "installed": {OURS: _unpacked_wheel(), **sizes},
        "memory of a fit": memory,
    }


def _unpacked_wheel() -> float:
    """Build the wheel and weigh what it holds, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        build += ["--no-build-isolation", "--wheel-dir", folder, str(HERE.parent)]
        subprocess.run(build, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return sum(entry.file_size for entry in archive.infolist()) / 2**20
