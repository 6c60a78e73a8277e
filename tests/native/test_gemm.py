"""Matrix products: values, and bits that neither place nor tile decides."""

import numpy as np
import pytest
from support.native_run import ISAS, apply

from slimlearn.backend import engine, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

pytestmark = pytest.mark.parametrize("isa", ISAS)

# m, k, n: one row, tails of every tile, several blocks of k, panels and tasks
SHAPES = [
    (1, 1, 1),
    (1, 64, 100),
    (1, 700, 400),
    (3, 1029, 531),
    (3, 5, 7),
    (32, 64, 100),
    (32, 100, 10),
    (33, 10, 100),
    (64, 1, 5),
    (130, 257, 65),
    (200, 700, 300),
    (17, 300, 1300),
    (70, 1100, 40),
    (9, 513, 3),
    (600, 20, 17),
    (160, 530, 128),
    (128, 1030, 128),
    (32, 1500, 32),
    (300, 1030, 529),
]
FLOATS = (np.float32, np.float64)


def matrices(m, k, n, dtype):
    rng = np.random.default_rng(m + k + n)
    return (
        rng.standard_normal((m, k)).astype(dtype),
        rng.standard_normal((k, n)).astype(dtype),
    )


def product(a, b, isa, transpose_a=False, transpose_b=False):
    def build(a, b):
        return ops.matmul(a, b, transpose_a, transpose_b)

    arrays = {
        "a": np.ascontiguousarray(a.T) if transpose_a else a,
        "b": np.ascontiguousarray(b.T) if transpose_b else b,
    }
    fixed = ("a", "b") if transpose_a else ("b",)
    return apply(build, arrays, isa, fixed)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values(shape, dtype, isa):
    a, b = matrices(*shape, dtype)
    want = a.astype(np.float64) @ b.astype(np.float64)
    bound = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    bound *= (shape[1] + 2) * np.finfo(dtype).eps
    assert (np.abs(product(a, b, isa) - want) <= bound).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_transposes_keep_the_bits(shape, dtype, isa):
    a, b = matrices(*shape, dtype)
    want = product(a, b, isa)
    for transpose_a, transpose_b in [(True, False), (False, True), (True, True)]:
        got = product(a, b, isa, transpose_a, transpose_b)
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_row_has_the_same_bits_in_every_batch(shape, dtype, isa):
    a, b = matrices(*shape, dtype)
    whole = product(a, b, isa)
    m = shape[0]
    for first, last in {(0, 1), (m // 2, m // 2 + 1), (m // 3, m), (0, (m + 1) // 2)}:
        part = product(a[first:last], b, isa)
        assert part.tobytes() == whole[first:last].tobytes()


def test_blocks_of_k_are_chains_that_are_added_in_order(isa):
    if isa != "generic":
        pytest.skip("numpy has no fma to compare with")
    k, fold = 1300, 512
    a, b = matrices(37, k, 45, np.float32)
    want = np.zeros((37, 45), np.float32)
    for first in range(0, k, fold):
        block = np.zeros_like(want)
        for p in range(first, min(first + fold, k)):
            block += a[:, p : p + 1] * b[p : p + 1]
        want = want + block if first else block
    assert product(a, b, isa).tobytes() == want.tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_alone_by_a_matrix_beyond_the_caches_keeps_the_bits(threads, isa):
    model, rng = Model("f32"), np.random.default_rng(0)
    w, v = model.parameter("w", (2061, 1003)), model.parameter("v", (1003,))
    with model.function("f") as graph:
        y = ops.matmul(ops.input_("X", (B, 2061), "f32"), w)
        graph.return_(ops.minimum(ops.relu((y - v) * v + v), 1.5))
    program = Program(model=model)
    for array in program.weights.values():
        array[...] = rng.standard_normal(array.shape)
    x = rng.standard_normal((5, 2061)).astype(np.float32)
    compiled = engine.compile(program.text, isa=isa)
    whole = compiled.run("f", {"X": x}, program)[0]
    for row in range(5):
        one = {"X": x[row : row + 1]}
        got = compiled.run("f", one, program, n_threads=threads)[0]
        assert got.tobytes() == whole[row].tobytes()


EPILOGUES = {
    "bias": lambda y, v, w: ops.add(y, v),
    "relu": lambda y, v, w: ops.relu(ops.add(y, v)),
    "relu_alone": lambda y, v, w: ops.relu(y),
    "tanh": lambda y, v, w: ops.tanh(ops.add(y, v)),
    "relu_grad": lambda y, v, w: ops.relu_grad(y, w),
    "scaled": lambda y, v, w: ops.mul(ops.mul(y, w), v),
    "norm": lambda y, v, w: (y - v) * v + v,
    "norm_relu6": lambda y, v, w: ops.minimum(ops.relu((y - v) * v + v), 1.5),
    "residual": lambda y, v, w: ops.relu(w + ((y - v) * v + v)),
    "residual_first": lambda y, v, w: ops.relu((w + y) * v),
    "scale_first": lambda y, v, w: ops.minimum(y * v - v, 0.5),
    "factor": lambda y, v, w: y * 0.3,
    "factor_and_more": lambda y, v, w: ops.relu(w + ((y - v) * -0.3 + v)),
    "factor_last": lambda y, v, w: (y + v) * 0.3,
    "turned": lambda y, v, w: v - y,
    "two_residuals": lambda y, v, w: y + w + w,
    "capped_at_zero": lambda y, v, w: ops.minimum(y * (v * 0.0), 0.0),
    "capped_by_a_row": lambda y, v, w: ops.minimum(y, v),
    "other_mask": lambda y, v, w: ops.relu_grad(w, y),
}


@pytest.mark.parametrize("shape", [(70, 1100, 40), (300, 1030, 272)], ids=str)
@pytest.mark.parametrize("name", EPILOGUES)
def test_an_epilogue_of_a_sum_over_rows_keeps_the_bits(name, shape, isa):
    m, _, n = shape
    a, b = matrices(*shape, np.float32)
    rng = np.random.default_rng(0)
    arrays = {"a": np.ascontiguousarray(a.T), "b": b}
    arrays["v"] = rng.standard_normal(n).astype(np.float32)
    arrays["w"] = rng.standard_normal((m, n)).astype(np.float32)

    def fused(a, b, v, w):
        return EPILOGUES[name](ops.matmul(a, b, True, False), v, w)

    got = apply(fused, arrays, isa, tuple(arrays))
    want = apply(
        lambda y, v, w: EPILOGUES[name](y, v, w),
        {"y": product(a, b, isa, True), "v": arrays["v"], "w": arrays["w"]},
        isa,
        ("v",),
    )
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("shape", [(1, 3, 1), (33, 520, 70), (40, 30, 600)], ids=str)
@pytest.mark.parametrize("name", EPILOGUES)
@pytest.mark.parametrize("transpose_b", [False, True])
def test_an_epilogue_keeps_the_bits(name, shape, transpose_b, isa):
    m, _, n = shape
    a, b = matrices(*shape, np.float32)
    a[0, 0] = np.nan
    rng = np.random.default_rng(0)
    v = rng.standard_normal(n).astype(np.float32)
    w = rng.standard_normal((m, n)).astype(np.float32)
    arrays = {"a": a, "b": np.ascontiguousarray(b.T) if transpose_b else b}
    fused = apply(
        lambda a, b, v, w: EPILOGUES[name](ops.matmul(a, b, False, transpose_b), v, w),
        {**arrays, "v": v, "w": w},
        isa,
        ("b", "v"),
    )
    alone = apply(
        lambda y, v, w: EPILOGUES[name](y, v, w),
        {"y": product(a, b, isa, False, transpose_b), "v": v, "w": w},
        isa,
        ("v",),
    )
    assert fused.tobytes() == alone.tobytes()


def test_batches_of_matrices(isa):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((5, 3, 6, 9))
    b = rng.standard_normal((5, 3, 9, 11))
    got = apply(lambda a, b: ops.matmul(a, b), {"a": a, "b": b}, isa)
    np.testing.assert_allclose(got, a @ b, rtol=1e-13, atol=1e-13)
    one = b[0, 0]
    got = apply(lambda a, b: ops.matmul(a, b), {"a": a, "b": one}, isa, ("b",))
    np.testing.assert_allclose(got, a @ one, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("n", [32, 50, 128, 130])
@pytest.mark.parametrize("m", [512, 530])
def test_batches_of_wide_transposed_matrices_keep_the_bits(m, n, isa):
    rng = np.random.default_rng(m + n)
    a = rng.standard_normal((3, 520, m)).astype(np.float32)
    b = rng.standard_normal((3, 520, n)).astype(np.float32)
    got = apply(lambda a, b: ops.relu(ops.matmul(a, b, True)), {"a": a, "b": b}, isa)
    for one, x, y in zip(got, a, b, strict=True):
        want = product(np.ascontiguousarray(x.T), y, isa)
        assert one.tobytes() == np.maximum(want, 0).tobytes()


def tasks_of_batches(k, width, columns, isa):
    """Return how many of some columns of matrices, transposed, by others."""
    model = Model("f32")
    with model.function("f") as graph:
        a = ops.input_("a", (B, k, width), "f32")[..., :columns]
        b = ops.input_("b", (B, k, 64), "f32")
        graph.return_(ops.matmul(a, b, transpose_a=True))
    steps = engine.compile(print_program(model), isa=isa).info("f", 4)["steps"]
    (tasks,) = (count for _, op, count in steps if op == "matmul")
    return tasks


@pytest.mark.parametrize("columns", [1, 17, 200])
def test_some_columns_of_wide_matrices_are_cut_as_narrow_matrices_are(columns, isa):
    """Not by whole vectors of the transposed result, of which they would fill one."""
    tasks = [tasks_of_batches(16_384, width, columns, isa) for width in (1024, columns)]
    assert tasks[0] == tasks[1]


def test_wide_matrices_of_few_rows_are_cut_as_narrower_ones_are(isa):
    """Not by whole vectors: to transpose the result would take longer than it."""
    few, fewer = (tasks_of_batches(16, width, width, isa) for width in (512, 504))
    assert few > fewer


@pytest.mark.parametrize("columns", [1, 2])
def test_an_epilogue_of_batches_reads_one_number_for_each(columns, isa):
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.standard_normal((3, 8, 4)),
        "b": rng.standard_normal((3, 4, columns)),
        "c": rng.standard_normal((3, 1, columns)),
        "d": np.array([True, False, True]).reshape(3, 1, 1),
    }

    def build(a, b, c, d):
        return ops.where(d, ops.matmul(a, b) * c, -1.0)

    want = np.where(arrays["d"], arrays["a"] @ arrays["b"] * arrays["c"], -1.0)
    arrays = {k: v if v.dtype == bool else v.astype("f4") for k, v in arrays.items()}
    np.testing.assert_allclose(apply(build, arrays, isa), want, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_a_weight_gradient_sums_over_the_rows(rows, isa):
    rng = np.random.default_rng(rows)
    x = rng.standard_normal((rows, 20))
    dy = rng.standard_normal((rows, 33))
    got = apply(lambda x, dy: ops.matmul(x, dy, True, False), {"x": x, "dy": dy}, isa)
    np.testing.assert_allclose(got, x.T @ dy, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("flags", [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize("sizes", [(0, 8, 5), (3, 0, 5), (3, 8, 0)], ids=str)
def test_empty_products(isa, sizes, flags):
    m, k, n = sizes
    a, b = np.ones((m, k), "f4"), np.ones((k, n), "f4")
    a, b = (x.T.copy() if flag else x for x, flag in zip((a, b), flags))
    got = apply(
        lambda a, b: ops.matmul(a, b, *flags), {"a": a, "b": b}, isa, fixed=("a", "b")
    )
    np.testing.assert_array_equal(got, np.zeros((m, n)))
