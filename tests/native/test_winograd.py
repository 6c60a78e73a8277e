"""3×3 convolutions by minimal filtering: where, how near the exact result, its bits."""

import numpy as np
import pytest
from support.native_run import ISAS, apply

from slimlearn.backend import engine, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.op import emit
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

# size, channels, filters: how forward, how the filters' gradient; the same on every
# level, for any batch
TABLE = """
56x56 64 64 minimal minimal
28x28 128 128 minimal minimal
14x14 256 256 minimal minimal
7x7 512 512 direct direct
28x28 512 512 minimal minimal
56x56 96 96 minimal minimal
35x35 64 96 minimal minimal
17x17 128 192 minimal minimal
28x28 16 64 minimal minimal
28x28 16 16 minimal minimal
14x14 16 16 direct direct
28x28 3 64 direct direct
28x28 64 40 direct direct
14x14 64 64 minimal minimal
14x14 32 64 minimal minimal
14x14 32 32 minimal minimal
8x8 64 64 minimal minimal
"""
OTHERS = {
    "strides": {"strides": 2},
    "dilations": {"dilations": 2},
    "groups": {"groups": 2},
    "kernel": {"kernel": (5, 5)},
    "f64": {"precision": "f64"},
}


def filters_gradient(x, d, f, **how):
    """Return the gradient of the filters f where d is the result's."""
    attributes = ops.convolution(x, f, **how).node.attributes
    return emit("convolution_filter_grad", (x, d), attributes, [(x.dtype, f.shape)])


def way(h, w, k, n, kernel=(3, 3), groups=1, precision="f32", rows=1, of="y", **how):
    """Whether the work of a convolution is that of windows or a part of it.

    Its result's (`of` "y"), that beside the gradient of its filters ("yf"), that
    gradient's ("f").
    """
    model = Model(precision)
    dtype = precision.replace("f32", "f4").replace("f64", "f8")
    how["groups"] = groups
    with model.function("f") as graph:
        x = ops.input_("x", (B, h, w, k), precision)
        f = ops.input_("f", (*kernel, k // groups, n), precision)
        y = result = ops.convolution(x, f, **how)
        sources = {"x": np.zeros((rows, h, w, k), dtype), "f": np.zeros(f.shape, dtype)}
        if of != "y":
            d = ops.input_("d", y.shape, precision)
            sources["d"] = np.zeros((rows, *y.shape[1:]), dtype)
            result = filters_gradient(x, d, f, **how)
        graph.return_(*((y, result) if of == "yf" else (result,)))
    program = Program(print_program(model), model=model)
    compiled = engine.compile(program.text)
    launches = compiled.profile("f", sources, program, rounds=1, batch=rows)
    op = "convolution_filter_grad" if of == "f" else "convolution"
    flops = max(launch["flops"] for launch in launches if launch["op"] == op)
    every = 2 * rows * y.shape[1] * y.shape[2] * kernel[0] * kernel[1] * k * n / groups
    return "direct" if flops == every else "minimal"


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_the_table(line):
    size, k, n, *want = line.split()
    h, w = map(int, size.split("x"))
    assert [way(h, w, int(k), int(n), of=of) for of in "yf"] == want


@pytest.mark.parametrize("size, n", [(9, 256), (10, 512)])
def test_a_batch_to_train_shares_the_filters_transform(size, n):
    case = (size, size, n, n)
    assert way(*case) == way(*case, rows=3) == "direct"
    assert way(*case, of="yf") == way(*case, of="yf", rows=3) == "minimal"


@pytest.mark.parametrize("of", ["y", "f"])
@pytest.mark.parametrize("how", OTHERS.values(), ids=OTHERS)
def test_other_windows_are_direct(how, of):
    assert way(28, 28, 64, 64, of=of) == way(28, 28, 64, 64, rows=9, of=of) == "minimal"
    assert way(28, 28, 64, 64, of=of, **how) == "direct"


SHAPES = {  # size of x, channels, filters, padding, images
    "same": ((28, 28), 32, 64, "SAME", 3),
    "valid": ((30, 31), 64, 32, "VALID", 2),
    "odd": ((25, 39), 48, 112, "SAME", 2),
    "short tiles of two": ((14, 14), 32, 64, "SAME", 3),
    "short tiles of one": ((13, 17), 64, 64, "SAME", 2),
    "many channels": ((13, 14), 144, 160, "SAME", 2),
    "one way only": ((3, 400), 32, 32, ((1, 1), (2, 0)), 2),
    "wide padding": ((21, 23), 32, 48, ((4, 5), (0, 7)), 2),
}


def convolution(shape):
    """Return both directions as functions, and arrays."""
    size, k, n, padding, images = shape
    rng = np.random.default_rng(k)
    how = {"padding": padding}

    def forward(x, f):
        return ops.convolution(x, f, **how)

    def backward(d, f):
        return ops.convolution_transpose(d, f, size, **how)

    x = rng.standard_normal((images, *size, k)).astype("f4")
    f = (rng.standard_normal((3, 3, k, n)) / np.sqrt(9 * k)).astype("f4")
    y = apply(forward, {"x": x, "f": f}, ISAS[0], "f", batch=images)
    d = rng.standard_normal(y.shape).astype("f4")
    return forward, backward, x, d, f


MOST = {"most channels": ((14, 14), 512, 512, "SAME", 1)}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", (SHAPES | MOST).values(), ids=SHAPES | MOST)
def test_near_the_exact_result(shape, isa):
    forward, backward, x, d, f = convolution(shape)
    size, k, n, padding, images = shape
    assert way(*size, k, n, padding=padding) == "minimal"
    for build, name, array in ((forward, "x", x), (backward, "d", d)):
        got = apply(build, {name: array, "f": f}, isa, "f", batch=images)
        wide = {name: array.astype("f8"), "f": f.astype("f8")}
        want = apply(build, wide, isa, "f", batch=images)
        assert 0 < np.abs(got - want).max() < 5e-5 * np.abs(want).max()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_bits_depend_on_no_thread_and_no_place(shape, isa):
    forward, backward, x, d, f = convolution(shape)
    for build, name, array in ((forward, "x", x), (backward, "d", d)):
        arrays = {name: np.tile(array, (5, 1, 1, 1)), "f": f}
        rows = len(arrays[name])
        whole = apply(build, arrays, isa, "f", batch=rows, n_threads=1)
        again = apply(build, arrays, isa, "f", batch=rows, n_threads=2)
        assert whole.tobytes() == again.tobytes()
        one = apply(build, {name: array[-1:], "f": f}, isa, "f")
        assert one.tobytes() == whole[-1:].tobytes()


def sums(shape, images):
    """Return the gradient of filters as a function, and arrays of so many images."""
    size, k, n, padding, _ = shape
    rng = np.random.default_rng(n)
    _, _, _, d, f = convolution(shape)
    x = rng.standard_normal((images, *size, k)).astype("f4")
    d = rng.standard_normal((images, *d.shape[1:])).astype("f4")

    def build(x, d, f):
        return filters_gradient(x, d, f, padding=padding)

    return build, {"x": x, "d": d, "f": f}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("images", [1, 2, 37])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_gradients_of_filters_are_near_the_exact_ones(shape, images, isa):
    size, k, n, padding, _ = shape
    assert way(*size, k, n, padding=padding, of="f") == "minimal"
    build, arrays = sums(shape, images)
    got = apply(build, arrays, isa, "f", batch=images)
    wide = {name: array.astype("f8") for name, array in arrays.items()}
    want = apply(build, wide, isa, "f", batch=images)
    assert 0 < np.abs(got - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_gradients_of_filters_depend_on_no_thread_and_no_capacity(shape, isa):
    build, arrays = sums(shape, 19)
    one, two, wide = (
        apply(build, arrays, isa, "f", batch=batch, n_threads=threads)
        for batch, threads in ((19, 1), (19, 2), (70, 1))
    )
    assert one.tobytes() == two.tobytes() == wide.tobytes()


ENDINGS = {
    "norm": lambda y, v, w: ops.relu(w + ((y - v) * v + v)),
    "relu_grad": lambda y, v, w: ops.relu_grad(y, w),
    "tape": lambda y, v, w: ops.tanh(y - v) * w,
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending_keeps_the_bits(name, isa):
    end = ENDINGS[name]
    forward, _, x, d, f = convolution(SHAPES["odd"])
    rng = np.random.default_rng(0)
    rest = {"v": rng.standard_normal(d.shape[-1:]).astype("f4"), "w": d}
    alone = apply(forward, {"x": x, "f": f}, isa, "f", batch=2)
    want = apply(end, {"y": alone, **rest}, isa, "v", batch=2)

    def fused(x, f, v, w):
        return end(forward(x, f), v, w)

    got = apply(fused, {"x": x, "f": f, **rest}, isa, "fv", batch=2)
    assert got.tobytes() == want.tobytes()
