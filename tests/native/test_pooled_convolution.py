"""Convolutions that pool their map: when, how near the exact results, their bits."""

import numpy as np
import pytest
from support.native_run import ISAS

from slimlearn.backend import engine, ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

SHAPES = {  # size of x, channels, filters, padding, images
    "first": ((28, 28), 1, 32, "SAME", 3),
    "first of three": ((17, 30), 3, 48, "VALID", 2),
    "first of four": ((4, 70), 4, 16, "SAME", 2),
    "second": ((14, 14), 32, 64, "SAME", 3),
    "odd": ((13, 17), 48, 80, "SAME", 2),
    "lines of one": ((2, 150), 16, 112, ((1, 1), (2, 0)), 2),
    "many channels": ((10, 12), 128, 16, "VALID", 2),
    "wide padding": ((7, 9), 32, 48, ((4, 5), (0, 7)), 2),
    "unread": ((6, 6), 32, 16, ((0, 0), (0, 0)), 1),
}


def network(shape, dtype="f32", pool=2, end=ops.relu):
    """A convolution, bias, relu, pooling: what it gives, and gradients of all it reads.

    With a gradient of x behind a mask, as a relu before the convolution gives it.
    """
    size, k, n, padding, _ = shape
    model = Model(dtype)
    with model.function("f") as graph:
        x = ops.input_("x", (B, *size, k), dtype)
        f = ops.input_("f", (3, 3, k, n), dtype)
        b = ops.input_("b", (n,), dtype)
        weights = ops.input_("weights", (n,), dtype)
        positive = ops.relu(x)
        y = end(ops.convolution(positive, f, padding=padding) + b)
        y = ops.max_pool(y, pool, pool)
        loss = ops.reduce_sum(ops.square(y) * weights)
        slopes = gradients([loss], [positive, f, b] if k > 4 else [f, b])
        if k > 4:
            slopes[0] = ops.relu_grad(slopes[0], positive)
        graph.return_(y, *slopes)
    return Program(print_program(model), model=model)


def arrays(shape, images=None):
    size, k, n, _, count = shape
    rng = np.random.default_rng(k)
    found = {
        "x": rng.standard_normal((images or count, *size, k)),
        "f": rng.standard_normal((3, 3, k, n)) / np.sqrt(9 * k),
        "b": rng.standard_normal(n) / 4,
        "weights": rng.standard_normal(n),
    }
    return {name: array.astype("f4") for name, array in found.items()}


def run(program, sources, isa, **keywords):
    compiled = engine.compile(program.text, isa=isa)
    return compiled.run("f", sources, program, **keywords)


def planned(program, images=5):
    compiled = engine.compile(program.text)
    return compiled.dump("f", images), compiled.info("f", images)["arena_bytes"]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_whole_map_is_stored(shape):
    text, stored = planned(network(shape))
    for op in ("pooled_convolution(", "pooled_convolution_filter_grad("):
        assert op in text
    assert "= max_pool(" not in text
    assert "max_pool_grad(" not in text
    assert ("pooled_convolution_input_grad(" in text) == (shape[1] > 4)
    _, apart = planned(network(shape, end=ops.tanh))
    assert stored < apart


def test_many_channels_stay_apart():
    text, _ = planned(network(((8, 8), 256, 32, "SAME", 1)))
    assert "= pooled_" not in text


@pytest.mark.parametrize(
    "changes",
    [{"end": ops.tanh}, {"pool": 3}, {"dtype": "f64"}, {"end": lambda y: ops.relu(-y)}],
    ids=["tanh", "windows of three", "f64", "turned"],
)
def test_others_stay_apart(changes):
    text, _ = planned(network(SHAPES["second"], **changes))
    assert "= max_pool(" in text
    assert "= pooled_" not in text


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_near_the_exact_results(shape, isa):
    sources, images = arrays(shape), shape[-1]
    wide = {name: array.astype("f8") for name, array in sources.items()}
    got = run(network(shape), sources, isa, batch=images)
    want = run(network(shape, "f64"), wide, isa, batch=images)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert 0 < np.abs(a - b).max() < 3e-5 * np.abs(b).max()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_bits_depend_on_no_thread_and_no_capacity(shape, isa):
    program, sources = network(shape), arrays(shape, 19)
    first, *others = (
        run(program, sources, isa, batch=batch, n_threads=threads)
        for batch, threads in ((19, 1), (19, 2), (70, 1))
    )
    for other in others:
        assert [a.tobytes() for a in first] == [a.tobytes() for a in other]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_bits_of_an_image_depend_on_no_place(shape, isa):
    """What an image gives, and what goes back to it."""
    program, sources = network(shape), arrays(shape, 7)
    whole = run(program, sources, isa, batch=7)
    one = run(program, {**sources, "x": sources["x"][-1:]}, isa)
    for a, b in list(zip(whole, one, strict=True))[: 2 if shape[1] > 4 else 1]:
        assert a[-1:].tobytes() == b.tobytes()
