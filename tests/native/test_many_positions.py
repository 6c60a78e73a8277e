"""Sums over a million positions of images: as exact as sums over rows."""

import numpy as np
import pytest
from support.native_run import ISAS, apply

from slimlearn.backend import ops
from slimlearn.backend.autodiff import gradients

BOUND = 1e-6  # of float32; a single chain of so many is off by 1e-4 and more
# Rows and sizes of images, kernel, channels of x, outputs, groups.
KINDS = {
    "general": (400, 52, 3, 2, 3, 1),
    "pointwise": (400, 50, 1, 4, 5, 1),
    "winograd": (4, 102, 3, 32, 32, 1),
    "one_image": (1, 1002, 3, 2, 3, 1),
    "groups": (400, 52, 3, 4, 2, 2),
    "depthwise": (400, 52, 3, 3, 3, 3),
    "one_depthwise_image": (1, 1002, 3, 3, 3, 3),
    "multiplied": (400, 52, 3, 2, 4, 2),
}


def off(got, want):
    """Return the largest relative error; all terms are positive."""
    return np.max(np.abs(np.asarray(got, "f8") - want) / want)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", KINDS)
def test_filter_gradients(kind, isa):
    rows, size, kernel, channels, outputs, groups = KINDS[kind]
    rng = np.random.default_rng(0)
    out = size - kernel + 1
    x = rng.uniform(size=(rows, size, size, channels)).astype("f4")
    d = rng.uniform(size=(rows, out, out, outputs)).astype("f4")
    f = np.zeros((kernel, kernel, channels // groups, outputs), "f4")

    def build(x, d, f):
        y = ops.convolution(x, f, padding="VALID", groups=groups)
        [slope] = gradients(ops.reduce_sum(y * d), [f])
        return slope

    arrays = {"x": x, "d": d, "f": f}
    got = apply(build, arrays, isa, fixed=("f",), batch=rows)
    want = np.zeros(f.shape)
    parts = range(0, outputs, outputs // groups)
    for i, j in np.ndindex(kernel, kernel):
        seen = x[:, i : i + out, j : j + out].reshape(-1, channels)
        seen = np.split(seen.astype("f8"), groups, axis=1)
        for n, part in zip(parts, seen, strict=True):
            given = d[..., n : n + outputs // groups].reshape(len(part), -1)
            want[i, j, :, n : n + outputs // groups] = part.T @ given.astype("f8")
    assert off(got, want) <= BOUND


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("channels", [1, 9])
def test_pools_over_whole_images(channels, isa):
    x = np.random.default_rng(0).uniform(size=(1, 1000, 1000, channels)).astype("f4")
    want = x.astype("f8").sum((1, 2), keepdims=True)
    got = apply(lambda x: ops.sum_pool(x, 1000), {"x": x}, isa)
    assert off(got, want) <= BOUND
    mean = apply(lambda x: ops.reduce_mean(x, [1, 2], True), {"x": x}, isa)
    assert off(mean, want / 10**6) <= BOUND


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("rows", [1, 40])
def test_moments_of_channels(rows, isa):
    size = int((10**6 / rows) ** 0.5)
    x = np.random.default_rng(0).uniform(size=(rows, size, size, 5)).astype("f4")

    def build(x):
        mean = ops.reduce_mean(x, [0, 1, 2])
        return ops.reduce_mean(ops.square(x - mean), [0, 1, 2])

    got = apply(build, {"x": x}, isa, batch=rows)
    assert off(got, x.astype("f8").var((0, 1, 2))) <= BOUND
