"""What needs no peer: the first step, one row, memory, the wheel."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent


def measure() -> list[dict]:
    """Return name, value, unit and the most that the value may be."""
    warnings.simplefilter("ignore")
    rows = [row for part in PARTS.values() for row in part()]
    names = ("name", "value", "unit", "target")
    return [dict(zip(names, row)) for row in rows]


def _data(rows: int):
    import numpy as np

    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 64)).astype(np.float32)
    return X, np.arange(rows) % 10


def _fit_ms(units: tuple[int, ...]) -> float:
    """Time fit on one batch for one epoch: a step and all around it."""
    from slimlearn import DNNClassifier

    X, y = _data(32)
    estimator = DNNClassifier(
        units, max_iter=1, batch_size=32, n_threads=1, random_state=0
    )
    start = time.perf_counter()
    estimator.fit(X, y)
    return 1e3 * (time.perf_counter() - start)


def first_step(turn: int = 0) -> list[tuple]:
    """Time a fit of one step: a bound on the way from calling fit to it.

    Each turn in one process has widths of its own, whose plans are not there yet.
    """
    _fit_ms((8,))
    fresh = median(_fit_ms((100 + 9 * turn + i,)) for i in range(9))
    cached = median(_fit_ms((100 + 9 * turn,)) for _ in range(21))
    deep = median(_fit_ms((64 + 5 * turn + i,) * 9) for i in range(5))
    return [
        ("fit of one step, two layers, new", fresh, "ms", 3.0),
        ("fit of one step, two layers, plan cached", cached, "ms", 1.0),
        ("fit of one step, ten layers, new", deep, "ms", 20.0),
    ]


def _planned_ms() -> float:
    """Time ResNet-152 from nothing to the plans of its gradients."""
    from slimlearn.backend import engine, ops
    from slimlearn.backend.autodiff import gradients
    from slimlearn.backend.graph import Model
    from slimlearn.backend.program import Program
    from slimlearn.backend.shape import B
    from slimlearn.layers.nets import nets_factory

    start = time.perf_counter()
    model = Model("f32")
    with model.function("grad", training=True) as graph:
        images = ops.input_("X", (B, 224, 224, 3), "f32")
        logits, _ = nets_factory.get_network_fn("resnet_v1_152", 1000)(images)
        loss = ops.mean(ops.square(logits))
        graph.return_(loss)
        parameters = list(model.parameters)
        for parameter, slope in zip(parameters, gradients([loss], parameters)):
            graph.grad_(parameter, slope)
    engine.compile(Program(model=model).text).info("grad", 8)
    seconds = time.perf_counter() - start
    engine.clear_cache()
    return 1e3 * seconds


def deep_plan(turn: int = 0) -> list[tuple]:
    """Time what stands between ResNet-152's function and its first step."""
    milliseconds = median(_planned_ms() for _ in range(5))
    return [("ResNet-152: build, gradients, plan", milliseconds, "ms", 500.0)]


def _each_us(call, repeats: int = 2000) -> float:
    """Return the median of five means."""
    means = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        means.append(1e6 * (time.perf_counter() - start) / repeats)
    return median(means)


def one_row(turn: int = 0) -> list[tuple]:
    """Time predict_proba of one row, with and without validate_data."""
    from sklearn.utils.validation import validate_data

    from slimlearn import DNNClassifier

    X, y = _data(640)
    estimator = DNNClassifier((100,), max_iter=1, n_threads=1, random_state=0).fit(X, y)
    row, other = X[:1].copy(), X[:1].tolist()
    short = _each_us(lambda: estimator.predict_proba(row))
    long = _each_us(lambda: estimator.predict_proba(other))
    door = _each_us(lambda: validate_data(estimator, other, reset=False))
    return [
        ("predict_proba, one row, short road", short, "µs", 10.0),
        ("predict_proba, one row, beyond validate_data", long - door, "µs", 10.0),
    ]


_TIMED = """
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <time.h>
#include "net.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

int main(void) {
  float x[4] = {-1.0f, 0.5f, 0.25f, 1.0f}, y[1];
  double least = 1e9, sum = 0;
  for (int turn = 0; turn < 300; ++turn) {
    const double start = now();
    for (int i = 0; i < 1000; ++i) {
      x[0] = (float)(i & 7);
      net_predict(x, y);
      sum += y[0];
    }
    const double each = (now() - start) / 1000;
    if (each < least) least = each;
  }
  printf("%g %g", least, sum);
  return 0;
}
"""


def exported_c(turn: int = 0) -> list[tuple]:
    """Time a row of 4-16-16-1 in exported C, beside the launches of the native plan."""
    from slimlearn import DNNRegressor

    X, y = _data(640)
    estimator = DNNRegressor((16, 16), max_iter=1, n_threads=1, random_state=0)
    estimator.fit(X[:, :4], y)
    handle, row = estimator._handle, {"X": X[:1, :4].copy()}
    launches = handle.native.profile("predict", row, handle.program, rounds=2000)
    native = 1e9 * sum(launch["least"] for launch in launches)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        estimator.export_c(folder / "net.c")
        (folder / "main.c").write_text(_TIMED)
        command = "cc -std=c99 -O2 main.c net.c -o main -lm"
        subprocess.run(command.split(), cwd=folder, check=True)
        least, _ = subprocess.check_output([folder / "main"]).split()
    return [
        ("exported C, 4-16-16-1, one row", float(least), "ns", 1.2 * native),
        ("  the native plan's launches", native, "ns", None),
    ]


_MEMORY = """
import numpy as np, re, warnings
from slimlearn import DNNClassifier
warnings.simplefilter("ignore")
X = np.random.default_rng(0).random((60000, 784), np.float32)
y = np.arange(len(X)) % 10
def estimator():
    return DNNClassifier((256, 128), max_iter=1, batch_size=128, random_state=0)
estimator().fit(X[:256], y[:256])
def status(key):
    return int(re.search(key + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
estimator().fit(X, y)
print((status("VmHWM") - before) / 1024)
"""


def memory(turn: int = 0) -> list[tuple]:
    """Measure what fit of 784-256-128-10 on 60,000 rows adds to the resident memory."""
    peak = float(subprocess.check_output([sys.executable, "-c", _MEMORY]))
    parameters = 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10
    arenas = 4 * 4 * parameters / 2**20
    return [
        ("memory of fit beyond X, 784-256-128-10", peak, "MiB", None),
        ("  of it parameters, gradients, two slots", arenas, "MiB", None),
    ]


def wheel(turn: int = 0) -> list[tuple]:
    """Build the wheel and weigh it."""
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        build += ["--no-build-isolation", "--wheel-dir", folder, str(HERE.parent)]
        subprocess.run(build, check=True)
        size = sum(path.stat().st_size for path in Path(folder).glob("*.whl"))
    return [("wheel", size / 2**20, "MiB", 8.0)]


PARTS = {
    part.__name__: part
    for part in (first_step, deep_plan, one_row, exported_c, memory, wheel)
}
