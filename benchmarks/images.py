"""Networks for images as they were published, and their convolutions one by one.

Needs nothing but numpy: every contender's environment reads it. A contender's module
has ``prepare(case, X, y)``, which returns an object with ``forward()``, ``training()``
and ``weights``, how many numbers its filters and matrices hold; or
``convolution(case)``, which returns a function for each of `PASSES`.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np
from memory import status

CLASSES = 1000
EAGER = ("torch_images", "torch_images_last")
COMPILED = "torch_images_compiled"
PASSES = ("forward", "images", "filters")  # the gradients of both


@dataclass(frozen=True)
class Network:
    """A network, forward and with its gradients; float32, random images."""

    name: str
    net: str
    batch: int
    size: int = 224
    contenders: tuple[str, ...] = (*EAGER, COMPILED)
    jobs: tuple[str, ...] = ("forward", "training")
    targets: dict[str, float] = field(default_factory=dict)  # by job
    threads: int = 2
    rounds: int = 5
    repeats: int = 1  # of which a time is the median

    def sizes(self) -> dict[str, int]:
        """Return what a run may set, for a contender's command line."""
        return {"threads": self.threads, "batch": self.batch}


NETWORKS = {
    case.name: case
    for case in (
        Network("alexnet", "alexnet_v2", 16, targets={"forward": 1, "training": 1.5}),
        Network("vgg-16", "vgg_16", 4),
        Network("resnet-50", "resnet_v1_50", 8),
        Network("inception-v3", "inception_v3", 8, size=299),
        Network("mobilenet-v1", "mobilenet_v1", 16),
        *(
            Network(
                f"{name}-one",
                net,
                1,
                contenders=(*EAGER, COMPILED, "onnxruntime_images"),
                jobs=("forward",),
                rounds=15,
                repeats=9,
            )
            for name, net in (
                ("resnet-50", "resnet_v1_50"),
                ("mobilenet-v1", "mobilenet_v1"),
            )
        ),
    )
}


@dataclass(frozen=True)
class Convolution:
    """One layer: square images and filters, padded to the size that stride leaves."""

    net: str
    batch: int
    size: int
    channels: int
    filters: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @property
    def name(self) -> str:
        """Return what the tables call it."""
        kernel = f"{self.kernel}×{self.kernel}" + f"/{self.stride}" * (self.stride > 1)
        word = " depthwise" * (self.groups > 1)
        return f"{self.net} {self.size}² {self.channels}→{self.filters} {kernel}{word}"

    @property
    def out(self) -> int:
        """Return the height and width of the result."""
        return -(-self.size // self.stride)

    def flops(self) -> float:
        """Return multiply-adds times two, of each of the three passes."""
        taps = self.kernel**2 * self.channels // self.groups
        return 2.0 * self.batch * self.out**2 * taps * self.filters

    def arrays(self) -> dict[str, np.ndarray]:
        """Return x, w and the gradient of the result: NHWC and HWIO."""
        rng = np.random.default_rng(0)
        kernel = (self.kernel, self.kernel)
        shapes = {
            "x": (self.batch, self.size, self.size, self.channels),
            "w": (*kernel, self.channels // self.groups, self.filters),
            "dy": (self.batch, self.out, self.out, self.filters),
        }
        return {
            name: rng.standard_normal(shape, np.float32)
            for name, shape in shapes.items()
        }


CONVOLUTIONS = {
    case.name: case
    for net, batch, shapes in (
        (
            "alexnet",
            16,
            (
                (224, 3, 64, 11, 4),
                (26, 64, 192, 5),
                (12, 192, 384, 3),
                (12, 384, 384, 3),
                (12, 384, 256, 3),
            ),
        ),
        (
            "vgg",
            4,
            (
                (224, 3, 64, 3),
                (224, 64, 64, 3),
                (112, 64, 128, 3),
                (112, 128, 128, 3),
                (56, 128, 256, 3),
                (56, 256, 256, 3),
                (28, 256, 512, 3),
                (28, 512, 512, 3),
                (14, 512, 512, 3),
            ),
        ),
        (
            "resnet",
            8,
            (
                (224, 3, 64, 7, 2),
                (56, 64, 64, 1),
                (56, 64, 64, 3),
                (56, 64, 256, 1),
                (56, 256, 64, 1),
                (56, 64, 64, 3, 2),
                (28, 128, 128, 3),
                (28, 512, 128, 1),
                (14, 256, 256, 3),
                (14, 1024, 256, 1),
                (7, 512, 512, 3),
                (7, 2048, 512, 1),
            ),
        ),
        (
            "mobilenet",
            16,
            (
                (224, 3, 32, 3, 2),
                (112, 32, 32, 3, 1, 32),
                (112, 32, 64, 1),
                (112, 64, 64, 3, 2, 64),
                (56, 128, 128, 3, 1, 128),
                (56, 128, 128, 1),
                (14, 512, 512, 3, 1, 512),
                (14, 512, 512, 1),
                (7, 1024, 1024, 3, 1, 1024),
                (7, 1024, 1024, 1),
            ),
        ),
    )
    for size, channels, filters, kernel, *more in shapes
    for case in [Convolution(net, batch, size, channels, filters, kernel, *more)]
}


class NetworkJobs:
    """What a network's contender can be asked; each method returns a record."""

    def __init__(self, case: Network, contender: str):
        rng = np.random.default_rng(0)
        shape = (case.batch, case.size, case.size, 3)
        X = rng.standard_normal(shape, np.float32)
        y = rng.integers(CLASSES, size=case.batch)
        module = importlib.import_module(f"contenders.{contender}")
        self.net = module.prepare(case, X, y)

    def warm(self, job: str) -> dict:
        """Do it twice: compiled code, caches and thread pools."""
        start = time.perf_counter()
        getattr(self.net, job)()
        seconds = time.perf_counter() - start
        getattr(self.net, job)()
        return {"weights": self.net.weights, "seconds": seconds}

    def time(self, job: str, repeats: int) -> dict:
        """Return the median time of some runs."""
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            getattr(self.net, job)()
            seconds.append(time.perf_counter() - start)
        return {"seconds": median(seconds)}

    def memory(self, job: str) -> dict:
        """Return the peak of the resident set in a warm run, in MiB."""
        Path("/proc/self/clear_refs").write_text("5")
        getattr(self.net, job)()
        return {"mib": status("VmHWM") / 1024}


@dataclass(frozen=True)
class Layers:
    """All of `CONVOLUTIONS`, on one thread: only what a profile has is slimlearn's."""

    name: str = "convolutions"
    contenders: tuple[str, ...] = EAGER
    threads: int = 1

    def sizes(self) -> dict[str, int]:
        """Return what a run may set, for a contender's command line."""
        return {"threads": self.threads}


class LayerJobs:
    """What a contender can be asked of single convolutions."""

    def __init__(self, case: Layers, contender: str):
        self.module = importlib.import_module(f"contenders.{contender}")
        self.layer = None

    def time(self, layer: str, batch: int, which: str, repeats: int) -> dict:
        """Return the least time of some runs of a pass."""
        if self.layer != (layer, batch):
            case = replace(CONVOLUTIONS[layer], batch=batch)
            self.layer, self.passes = (layer, batch), self.module.convolution(case)
        return {"seconds": self.passes[which](repeats)}


def least(function, repeats: int) -> float:
    """Return the least time of some calls."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
