"""Operands of 16 bits on a GPU: what they save, and whether they are what they mean.

    python benchmarks/gpu_sixteen_bits.py [results.json]

Products, and convolutions with their gradients, by the libraries: microseconds in
float32, in bfloat16 and float16 as they are kept (in 16 bits), and with the same
numbers as float32, which are multiplied in TF32; how far the two are apart, in parts of
the largest number (more than 1e-5 fails); and whether a library refused 16 bits
(`widened`). Then a training step of whole networks. `SLIM_GPU_DEVICE` names another
device, where small shapes say that all of it runs: "emulated".
"""

import json
import os
import sys
import time

import numpy as np
from gpu_convolutions import DEVICE, SHAPES, SMALL, measure, of_shape, resnet, step

from slimlearn import DNNClassifier
from slimlearn.backend import engine, ops
from slimlearn.backend.engine.native import describe, native
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

NEAR = 1e-5
COMPUTE = ("bfloat16", "float16")
# rows, inner, columns
PRODUCTS = [(4, 8, 8)] if SMALL else [(1024, 2048, 2048), (4096, 4096, 4096), (8, 8, 8)]
CONVOLUTIONS = list(SHAPES)[: 1 if SMALL else 4]
KEPT = "SLIM_CUDA_SIXTEEN_BITS"


def product(rows, inner, columns):
    """Yield the program of a product, as `of_shape` does those of a convolution."""
    model = Model("f32")
    with model.function("f") as graph:
        a, b = (B, inner), (inner, columns)
        graph.return_(ops.matmul(ops.input_("a", a, "f32"), ops.input_("b", b, "f32")))
    yield "matmul", model, {"a": (rows, inner), "b": b}


def choose(kept):
    """Programs are compiled anew."""
    os.environ[KEPT] = "1" if kept else "0"
    if SMALL:
        os.environ["SLIM_CUDA_LIBRARY"] = "1"
    engine.clear_cache()


def launches(model, rows):
    """Return how many there are: two more where a library refused 16 bits."""
    text = print_program(model)
    return engine.compile(text, device=DEVICE).info("f", rows)["launches"]


def report(name, programs, found):
    """Print a line for each op; return how many were wrong."""
    wrong = 0
    for op, model, shapes in programs:
        choose(True)
        plain, _, _ = measure(model, shapes)
        words, times = [f"float32 {plain:.1f}"], {"float32": plain}
        for compute in COMPUTE:
            model.compute = compute
            choose(True)
            kept, first, same = measure(model, shapes)
            rows = shapes["a"][0]
            count = launches(model, rows)
            choose(False)
            floats, other, _ = measure(model, shapes)
            widened = count > launches(model, rows)
            apart = np.abs(first - other).max() / np.abs(other).max()
            wrong += apart > NEAR or not same
            words.append(
                f"{compute} {kept:.1f} (as float32 {floats:.1f}, apart {apart:.1e}"
                f"{', WIDENED' if widened else ''}{'' if same else ', BITS DIFFER'})"
            )
            times |= {compute: kept, f"{compute} as float32": floats}
        print(f"{name}, {op}: {', '.join(words)}", flush=True)
        found[f"{name}, {op}"] = times
    return wrong


def dense(rows, units, batch, **options):
    """Return milliseconds of a training step: the slope of short and long fits."""
    rng = np.random.default_rng(0)
    X, y = rng.random((rows, 784), np.float32), rng.integers(0, 10, rows)
    few, more = (1, 2) if SMALL else (2, 12)
    times = []
    for epochs in (1, few, more):
        net = DNNClassifier(
            units, batch_size=batch, max_iter=epochs, tol=0.0, device=DEVICE,
            n_iter_no_change=more + 1, optimizer="sgd", random_state=0, **options,
        )  # fmt: skip
        start = time.perf_counter()
        net.fit(X, y)
        times.append(time.perf_counter() - start)
    return (times[2] - times[1]) / (more - few) / -(-rows // batch) * 1e3, net.loss_


def steps(found):
    """Print a line for each network: milliseconds, and the loss where it ends."""
    cases = {"dense 784-2048-2048-10, batch 1024": (60_000, (2048, 2048), 1024)}
    if SMALL:
        cases = {"dense 784-16-16-10, batch 8": (16, (16, 16), 8)}
    for name, case in cases.items():
        for way, kept, precision in WAYS:
            choose(kept)
            took, loss = dense(*case, precision=precision)
            found[f"{name}, {way}"] = took
            print(f"{name}, {way}: {took:.3f} ms a step, loss {loss:.5f}", flush=True)
    for way, kept, precision in () if SMALL else WAYS:
        choose(kept)
        took = step(resnet, 224, 64, 5, precision=precision)
        found[f"ResNet-50, 224x224, batch 64, {way}"] = took
        print(f"ResNet-50, 224x224, batch 64, {way}: {took:.2f} ms a step", flush=True)


WAYS = [
    ("float32", True, "float32"),
    *((compute, True, compute) for compute in COMPUTE),
    ("bfloat16 as float32", False, "bfloat16"),
]


def main():
    """Print the lines; write the times where the command line says."""
    if SMALL:
        native.register_emulated_device(DEVICE, dnn=os.environ.get("SLIM_FAKE_DNN", ""))
    found, wrong = {}, 0
    for sizes in PRODUCTS:
        wrong += report("x".join(map(str, sizes)), product(*sizes), found)
    for name in CONVOLUTIONS:
        wrong += report(name, of_shape(*SHAPES[name]), found)
    print(describe(DEVICE), flush=True)
    steps(found)
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump(found, file, indent=1)
    if wrong:
        sys.exit(f"{wrong} results are far from those of the same numbers as float32")


if __name__ == "__main__":
    main()
