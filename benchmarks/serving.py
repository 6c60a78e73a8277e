"""A saved network's first answer and the next ones: ``python benchmarks/serving.py``.

From a file to the first prediction in a process that has imported what it needs, beside
joblib, TorchScript and onnxruntime; then one row at a time by libslim's session, beside
onnxruntime with bound inputs and outputs, from Python: PyPI has no headers for its C.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from peers import peers_python

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / f"native-{sys.implementation.cache_tag}"
UNITS, SMALL = (784, 256, 128, 10), (64, 100, 10)
ROUNDS = 3

OURS = """
import slimlearn, numpy as np
from slimlearn import DNNClassifier
from slimlearn.estimators.saving import kinds, reader
kinds.kind_of(dict)  # the tables that the first load of a process makes
def make(units, path):
    X = np.random.default_rng(0).normal(size=(200, units[0])).astype("f4")
    net = DNNClassifier(units[1:-1], max_iter=1, random_state=0)
    net.fit(X, np.arange(200) % units[-1]).save(path)
def first(path, x):
    slimlearn.load(path).predict(x)
"""
JOBLIB = """
import joblib, numpy as np
from sklearn.neural_network import MLPClassifier
def make(units, path):
    X = np.random.default_rng(0).normal(size=(200, units[0])).astype("f4")
    net = MLPClassifier(units[1:-1], max_iter=1)
    joblib.dump(net.fit(X, np.arange(200) % units[-1]), path)
def first(path, x):
    joblib.load(path).predict(x)
"""
TORCH = """
import torch
torch.set_num_threads(1)
def make(units, path):
    layers = []
    for a, b in zip(units, units[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(1)).eval()
    torch.jit.script(net).save(path)
def first(path, x):
    with torch.inference_mode():
        torch.jit.load(path)(torch.from_numpy(x))
"""
ONNX = """
import onnxruntime as ort, numpy as np
from onnx import helper, numpy_helper, save, TensorProto
def make(units, path):
    nodes, weights, at = [], [], "X"
    r = np.random.default_rng(0)
    for i, (a, b) in enumerate(zip(units, units[1:])):
        for name, shape in (("W", (a, b)), ("b", (b,))):
            array = (r.normal(size=shape) / a**0.5).astype("f4")
            weights.append(numpy_helper.from_array(array, f"{name}{i}"))
        nodes.append(helper.make_node("Gemm", [at, f"W{i}", f"b{i}"], [f"g{i}"]))
        last = i == len(units) - 2
        at = "Y" if last else f"r{i}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"g{i}"], [at]))
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["B", units[0]])
    y = helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["B", units[-1]])
    graph = helper.make_graph(nodes, "net", [x], [y], weights)
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
def opened(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
def first(path, x):
    opened(path).run(None, {"X": x})
def one_row(path, x):
    session = opened(path)
    bound = session.io_binding()
    bound.bind_ortvalue_input("X", ort.OrtValue.ortvalue_from_numpy(x))
    y = ort.OrtValue.ortvalue_from_shape_and_type((1, 10), np.float32)
    bound.bind_ortvalue_output("Y", y)
    run, best = session.run_with_iobinding, 1e9
    for _ in range(100):
        start = time.perf_counter()
        for _ in range(500):
            run(bound)
        best = min(best, (time.perf_counter() - start) / 500)
    return best * 1e9
"""
END = """
import sys, json, time, warnings
import numpy as np
warnings.simplefilter("ignore")
job, path, units = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
x = np.full((1, units[0]), 0.5, "f4")
if job == "make":
    make(units, path)
else:
    start = time.perf_counter()
    found = first(path, x) if job == "first" else one_row(path, x)
    print((time.perf_counter() - start) * 1e9 if found is None else found)
"""


def ask(python: str, code: str, job: str, path: Path, units: tuple) -> float:
    """Run a job in a process of its own; nanoseconds."""
    command = [python, "-c", code + END, job, path, json.dumps(units)]
    text = subprocess.check_output(list(map(str, command)), text=True)
    return float(text or 0)


def own_program(folder: Path) -> Path:
    """``one_row.cpp``, linked with libslim of the build that is here."""
    for words in (
        ("cmake", "--build", BUILD, "--target", "slim", "slim_static"),
        ("cmake", "--install", BUILD, "--prefix", folder),
        ("c++", "-O2", "-std=c++17", HERE / "one_row.cpp", f"-I{folder}/include")
        + (f"-L{folder}/lib", "-lslim", f"-Wl,-rpath,{folder}/lib")
        + ("-o", folder / "one_row"),
    ):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        subprocess.run(
            list(map(str, words)),
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PATH": path},
        )
    return folder / "one_row"


def main() -> None:
    """Print both tables."""
    peers = peers_python()
    names = {
        "slimlearn": (sys.executable, OURS),
        "joblib": (peers, JOBLIB),
        "TorchScript": (peers, TORCH),
        "onnxruntime": (peers, ONNX),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = own_program(folder)
        paths = {who: folder / f"{who}.model" for who in names}
        for who, (python, code) in names.items():
            ask(python, code, "make", paths[who], UNITS)
        found = {who: [] for who in ("libslim", *names)}
        for _ in range(ROUNDS):
            for who, (python, code) in names.items():
                found[who].append(ask(python, code, "first", paths[who], UNITS))
            text = subprocess.check_output([program, paths["slimlearn"], "1"])
            found["libslim"].append(float(text.split()[0]))
        shape = "-".join(map(str, UNITS))
        print(f"load and first predict of {shape}, ms (median of {ROUNDS}, least):")
        for who, times in found.items():
            print(f"  {who:12} {median(times) / 1e6:8.2f} {min(times) / 1e6:8.2f}")
        for who in ("slimlearn", "onnxruntime"):
            ask(*names[who], "make", paths[who], SMALL)
        rows = {"libslim": [], "onnxruntime": []}
        for _ in range(ROUNDS):
            text = subprocess.check_output([program, paths["slimlearn"], "100"])
            rows["libslim"].append(float(text.split()[1]))
            rows["onnxruntime"].append(
                ask(peers, ONNX, "row", paths["onnxruntime"], SMALL)
            )
        print(
            f"one row of {'-'.join(map(str, SMALL))}, µs (median of {ROUNDS}, least):"
        )
        for who, times in rows.items():
            print(f"  {who:12} {median(times) / 1e3:8.2f} {min(times) / 1e3:8.2f}")


if __name__ == "__main__":
    main()
