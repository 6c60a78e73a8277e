"""Convolutions on a GPU: cuDNN beside kernels of ours, and how far apart they are.

    python benchmarks/gpu_convolutions.py [results.json]

First each convolution of some networks for itself, with its two gradients: microseconds
by our kernels, by cuDNN in float32 and in TF32, with what stands around it, and the
largest difference of float32 from our kernels, in parts of the largest number; whether
two runs give the same bits. Then each with a bias and relu behind it, by cuDNN in its
own kernel where it has one (`behind`) and by a kernel of ours (`apart`), and a training
step of whole networks. `SLIM_GPU_DEVICE` names another device, where small shapes say
that all of it runs: "emulated".
"""

import json
import os
import sys
import time

import numpy as np

from slimlearn import ConvNetClassifier, layers
from slimlearn.backend import engine, ops
from slimlearn.backend.engine.native import describe, native
from slimlearn.backend.graph import Model
from slimlearn.backend.op import emit
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program
from slimlearn.layers.nets import resnet_v1, vgg

DEVICE = os.environ.get("SLIM_GPU_DEVICE", "cuda")
SMALL = DEVICE == "emulated"
ROWS = 2 if SMALL else 64
# size, channels, filters, what else: of ResNet-50, VGG-16, MobileNet, ResNeXt.
SHAPES = {
    "ResNet 7x7 /2 of 224x224x3": (224, 3, (7, 64), {"strides": 2}),
    "ResNet 3x3 of 56x56x64": (56, 64, (3, 64), {}),
    "ResNet 1x1 of 56x56x64": (56, 64, (1, 256), {}),
    "ResNet 3x3 /2 of 56x56x128": (56, 128, (3, 128), {"strides": 2}),
    "ResNet 1x1 /2 of 56x56x256": (56, 256, (1, 512), {"strides": 2}),
    "ResNet 3x3 of 14x14x256": (14, 256, (3, 256), {}),
    "ResNet 3x3 of 7x7x512": (7, 512, (3, 512), {}),
    "VGG 3x3 of 112x112x128": (112, 128, (3, 128), {}),
    "3x3 with holes of 28x28x128": (28, 128, (3, 128), {"dilations": 2}),
    "ResNeXt 3x3, 32 groups, of 28x28x256": (28, 256, (3, 256), {"groups": 32}),
}
if SMALL:
    SHAPES = {"3x3 of 4x4x8": (4, 8, (3, 8), {})}
WAYS = {
    "ours": {"SLIM_CUDA_LIBRARY": "0", "SLIM_CUDA_DNN": "0"},
    "library": {"SLIM_CUDA_DNN": "1"} if SMALL else {},
    "TF32": {"SLIM_CUDA_TF32": "1"},
}
BEHIND = "SLIM_CUDA_DNN_BEHIND"
WAYS |= {f"{way}, apart": {**WAYS[way], BEHIND: "0"} for way in ("library", "TF32")}
ALONE = ("ours", "library", "TF32")
VARIABLES = ("SLIM_CUDA_LIBRARY", "SLIM_CUDA_DNN", "SLIM_CUDA_TF32", BEHIND)


def choose(way):
    """Set the variables of a way; programs are compiled anew."""
    for variable in VARIABLES:
        os.environ.pop(variable, None)
    os.environ.update(WAYS[way])
    engine.clear_cache()


def of_shape(size, channels, filters, how):
    """Yield an op's name and its program, for the convolution and its gradients."""
    kernel, outputs = filters
    groups = how.get("groups", 1)
    x, f = (B, size, size, channels), (kernel, kernel, channels // groups, outputs)
    model = Model("f32")
    with model.function("f") as graph:
        y = ops.convolution(ops.input_("x", x, "f32"), ops.input_("f", f, "f32"), **how)
        attributes = graph.nodes[-1].attributes
    for op, first, second, result in (
        ("convolution", x, f, None),
        ("convolution_input_grad", y.shape, f, x),
        ("convolution_filter_grad", x, y.shape, f),
    ):
        model = Model("f32")
        with model.function("f") as graph:
            a, b = ops.input_("a", first, "f32"), ops.input_("b", second, "f32")
            types = [] if result is None else [[("f32", result)]]
            graph.return_(emit(op, (a, b), attributes, *types))
        shapes = {
            name: tuple(ROWS if size is B else size for size in shape)
            for name, shape in {"a": first, "b": second}.items()
        }
        yield op, model, shapes


def measure(model, shapes):
    """Return microseconds, the result, and whether a second run gives its bits."""
    rng = np.random.default_rng(0)
    sources = {k: rng.standard_normal(s, np.float32) for k, s in shapes.items()}
    text = print_program(model)
    compiled = engine.compile(text, device=DEVICE)
    program = Program(text, model=model)
    first, second = (compiled.run("f", sources, program)[0] for _ in range(2))
    rounds = 1 if SMALL else 10
    launches = compiled.profile(
        "f", sources, program, batch=len(sources["a"]), rounds=rounds
    )
    own = [
        line["least"]
        for line in launches
        if line["op"].startswith(("convolution", "matmul"))
    ]
    return sum(own) * 1e6, first, first.tobytes() == second.tobytes()


def report(name, found):
    """Print a line of times; what failed says why."""
    for op, model, shapes in of_shape(*SHAPES[name]):
        times, results, same = {}, {}, True
        for way in ALONE:
            choose(way)
            try:
                times[way], results[way], again = measure(model, shapes)
                same = same and again
            except Exception as error:  # one that fails must not end the others
                print(f"{name}, {op}, {way}: {type(error).__name__}: {error}")
        words = ", ".join(f"{way} {time:.1f}" for way, time in times.items())
        if {"ours", "library"} <= results.keys():
            apart = np.abs(results["library"] - results["ours"]).max()
            words += f", apart {apart / np.abs(results['ours']).max():.1e}"
        print(f"{name}, {op}: {words}{'' if same else ', BITS DIFFER'}", flush=True)
        found[f"{name}, {op}"] = times
        if len(times) < len(ALONE) or not same:
            found["failed"] = found.get("failed", 0) + 1


def report_behind(name, found):
    """Print a line of times with a bias and relu behind the convolution."""
    size, channels, (kernel, outputs), how = SHAPES[name]
    model, groups = Model("f32"), how.get("groups", 1)
    filters = (kernel, kernel, channels // groups, outputs)
    with model.function("f") as graph:
        a = ops.input_("a", (B, size, size, channels), "f32")
        f, b = ops.input_("f", filters, "f32"), ops.input_("b", (outputs,), "f32")
        graph.return_(ops.relu(ops.convolution(a, f, **how) + b))
    shapes = {"a": (ROWS, size, size, channels), "f": filters, "b": (outputs,)}
    times, words = {}, ""
    for way in ("library", "TF32"):
        results = []
        for place in (way, f"{way}, apart"):
            choose(place)
            times[place], result, _ = measure(model, shapes)
            results.append(result)
        apart = np.abs(results[0] - results[1]).max() / np.abs(results[1]).max()
        words += f", {way}: behind {times[way]:.1f}, apart {times[f'{way}, apart']:.1f}"
        if apart > 1e-5:  # the sums' own order is another engine's
            words += f", BY {apart:.1e} OTHERS"
    print(f"{name}, bias and relu{words}", flush=True)
    found[f"{name}, bias and relu"] = times


def resnet(x, num_classes):
    """ResNet-50."""
    with layers.arg_scope(resnet_v1.resnet_arg_scope()):
        return layers.flatten(resnet_v1.resnet_v1_50(x, num_classes)[0])


def vgg_16(x, num_classes):
    """VGG-16."""
    with layers.arg_scope(vgg.vgg_arg_scope()):
        return layers.flatten(vgg.vgg_16(x, num_classes)[0])


NETWORKS = {
    "ConvNetClassifier, 28x28, batch 128": (None, 28, 128, 40),
    "ResNet-50, 224x224, batch 64": (resnet, 224, 64, 5),
    "VGG-16, 224x224, batch 32": (vgg_16, 224, 32, 5),
}


def step(net, size, batch, steps, **options):
    """Return milliseconds of a training step: the slope of short and long fits."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (batch * steps, size, size, 3), np.uint8)
    y = rng.integers(0, 10, len(X))
    times = []
    for epochs in (1, 1, 3):
        start = time.perf_counter()
        ConvNetClassifier(
            **({"net": net} if net else {}), batch_size=batch, max_iter=epochs, tol=0.0,
            device=DEVICE, random_state=0, **options,
        ).fit(X, y)  # fmt: skip
        times.append(time.perf_counter() - start)
    return (times[2] - times[1]) / (2 * steps) * 1e3


def main():
    """Print the lines; write the times where the command line says."""
    if SMALL:
        native.register_emulated_device(DEVICE, dnn=os.environ.get("SLIM_FAKE_DNN", ""))
    found = {}
    for name in SHAPES:
        report(name, found)
        report_behind(name, found)
    print(describe(DEVICE), flush=True)
    for name, (net, *sizes) in {} if SMALL else NETWORKS.items():
        for way, options in (
            *((way, {}) for way in WAYS),
            ("bfloat16", {"precision": "bfloat16"}),
            ("bfloat16, apart", {"precision": "bfloat16"}),
        ):
            if net is resnet and "apart" in way:
                continue  # its norms take moments: nothing follows a convolution
            choose(way.replace("bfloat16", "library"))
            try:
                found[f"{name}, {way}"] = step(net, *sizes, **options)
            except Exception as error:
                print(f"{name}, {way}: {type(error).__name__}: {str(error)[:300]}")
                continue
            print(f"{name}, {way}: {found[f'{name}, {way}']:.2f} ms a step", flush=True)
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump(found, file, indent=1)
    if "failed" in found:
        sys.exit(f"{found['failed']} convolutions failed or gave other bits")


if __name__ == "__main__":
    main()
