"""Products of parts of other values, of which a library is told how they lie.

The emulated one fails where an array is less aligned than was promised.
"""

import numpy as np
import pytest
from support import cudnn
from support.cuda import CUDA

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.text import print_program

KINDS = {
    "float32": ("f32", ""),
    "float64": ("f64", ""),
    "bfloat16": ("f32", "bfloat16"),
    "float16": ("f32", "float16"),
}


def row_of(x):
    """All of its elements, computed anew: what is cut from them is a part of them."""
    return ops.reshape(ops.exp(x), (1, int(np.prod([int(d) for d in x.shape]))))


def cut(row, first, *shape):
    stop = first + int(np.prod(shape))
    return ops.reshape(ops.slice_(row, 1, first, stop), shape)


def within_a_row(read, first):
    v, w = row_of(read("v", 1, 300)), row_of(read("w", 1, 300))
    return ops.matmul(cut(v, first, 10, 9), cut(w, 2 * first, 9, 7))


def of_a_stack(read, first):
    v, w = ops.exp(read("v", 6, 5, 9)), ops.exp(read("w", 6, 9, 7))
    return ops.matmul(ops.slice_(v, 0, first, first + 2), ops.slice_(w, 0, 1, 3))


def in_a_concatenation(read, first):
    u = read("u", first, 7)
    return ops.concat([u * u, ops.matmul(read("v", 10, 9), read("w", 9, 7)), u], 0)


def in_a_pad(read, first):
    product = ops.matmul(read("v", 10, 9), read("w", 9, 7))
    return ops.pad(ops.reshape(product, (1, 70)), [(0, 0), (first, 2)])


def with_more_behind_it(read, first):
    """A kernel of ours, which stores the part."""
    product = ops.tanh(ops.matmul(read("v", 10, 9), read("w", 9, 7)))
    return ops.pad(ops.reshape(product, (1, 70)), [(0, 0), (first, 2)])


def in_a_branch(read, first):
    """Which reads a part, and gives one."""
    v, w = read("v", 1, 300), read("w", 9, 7)
    a = cut(row_of(v), first, 10, 9)
    y = ops.cond(
        ops.reduce_mean(v) > 0,
        lambda: ops.matmul(a, w),
        lambda: ops.matmul(a, w * 2.0),
    )
    return ops.concat([ops.tanh(v), ops.reshape(y, (1, 70))], 1)


def in_a_loop(read, first):
    """Whose slices, first carried value, what it reads, and results are parts."""
    v, w = read("v", 7, 5, 9), read("w", 9, 9)
    row = row_of(v)
    weights = cut(row_of(w), 1, 9, 8)

    def step(h, x):
        y = ops.matmul(h + x, weights)
        return ops.tanh(ops.matmul(y, weights, transpose_b=True)), y

    h, ys = ops.scan(step, cut(row, 1, 5, 9), cut(row, 45 * first, 3, 5, 9))
    results = [ops.reshape(h, (1, 45)), ops.reshape(ys, (1, 120))]
    return ops.concat([row_of(w), *results], 1)


BUILDS = (
    within_a_row,
    of_a_stack,
    in_a_concatenation,
    in_a_pad,
    with_more_behind_it,
    in_a_branch,
    in_a_loop,
)


def model_of(build, precision, compute, first):
    """It, and the arrays that it reads."""
    model, sources = Model(precision, compute), {}
    rng = np.random.default_rng(first)

    def read(name, *shape):
        dtype = {"f32": np.float32, "f64": np.float64}[precision]
        sources[name] = (rng.standard_normal(shape) / 2).astype(dtype)
        return ops.input_(name, shape, precision)

    with model.function("f") as graph:
        graph.return_(build(read, first))
    return model, sources


def run(model, sources, device):
    text = print_program(model)
    compiled = engine.compile(text, device=device)
    [got] = compiled.run("f", sources, Program(text, model=model))
    [want] = reference.run(model, "f", sources, {}).returns
    return got, want


@pytest.mark.parametrize("first", [1, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.usefixtures("each_way")
def test_a_part_lies_as_the_library_is_told(build, kind, first):
    got, want = run(*model_of(build, *KINDS[kind], first), CUDA)
    # What is rounded differs where sums do in their last bit.
    near = {"float32": 2e-5, "float64": 1e-12}.get(kind, 3e-2)
    np.testing.assert_allclose(got, want, near, near)


@pytest.mark.parametrize("compute", ["", "bfloat16"])
@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.usefixtures("by_cudnn")
def test_convolutions_in_branches_have_all_of_a_value(compute, first):
    """What the branch reads and gives is no part of another value."""

    def build(read, first):
        v, f = read("v", 1, 300), read("f", 3, 2, 3, 5)
        x = cut(row_of(v), first, 2, 7, 5, 3)
        y = ops.cond(
            ops.reduce_mean(v) > 0,
            lambda: ops.convolution(x, f),
            lambda: ops.convolution(x, f * 2.0),
        )
        return ops.concat([ops.tanh(v), ops.reshape(y, (1, 350))], 1)

    before = cudnn.runs() if not cudnn.GPU else 0
    got, want = run(*model_of(build, "f32", compute, first), cudnn.device())
    near = 3e-2 if compute else 2e-5
    np.testing.assert_allclose(got, want, near, near)
    if not cudnn.GPU:
        assert cudnn.runs() == before + 1
