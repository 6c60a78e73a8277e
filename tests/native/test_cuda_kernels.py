"""The kernels of the CUDA half, on a GPU or on the host."""

import os

import numpy as np
import pytest
from support.cuda import CUDA
from support.op_cases import CASES

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model, is_symbolic
from slimlearn.backend.op import OPS, emit
from slimlearn.backend.ops.binary import Binary
from slimlearn.backend.ops.unary import Unary
from slimlearn.backend.program import Program
from slimlearn.backend.reference import DTYPES
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

# A kernel takes the host's compiler half a second; a GPU takes all of them.
ALL = CUDA == "cuda" or bool(os.environ.get("SLIM_TEST_ALL_KERNELS"))
TOLERANCE = {"float32": 4e-6, "float64": 1e-13}
# What only the CPU runs.
ELSEWHERE = ("custom",)
POOLED = tuple(op for op in CASES if op.startswith("pooled_"))  # of the CPU's passes


def chosen():
    """Every case; where kernels cost time, of an elementwise op the first two."""
    for op, cases in CASES.items():
        elementwise = isinstance(OPS[op], Unary | Binary)
        if op in ELSEWHERE + POOLED:
            continue
        for i, case in enumerate(cases):
            if ALL:
                yield case, "f32"
                yield case, "f64"
            elif not elementwise or i < 2:
                yield case, "f64" if i % 4 == 3 else "f32"


def row_local(model: Model) -> bool:
    graph = model.functions["f"]
    return all(OPS[node.op].row_local(node) for node in graph.nodes) and all(
        is_symbolic(value.shape[:1], "B") for value in graph.returns
    )


def run(model, sources, device=CUDA, rows=None, **options):
    text = print_program(model)
    compiled = engine.compile(text, device=device)
    if rows is not None:
        options["rows"] = np.arange(rows)
    program = Program(text, model=model)
    return compiled.run("f", sources, program, seed=7, step=3, **options)


def apply(build, sources, precision="f32", fixed=False, **options):
    """One op of inputs that have these arrays' shapes, with rows unless `fixed`."""
    model = Model(precision)
    kinds = {np.dtype(DTYPES[k]): k for k in ("f32", "f64", "i32", "i64")}
    with model.function("f") as graph:
        inputs = [
            ops.input_(
                name,
                array.shape if fixed else (B, *array.shape[1:]),
                kinds[array.dtype],
            )
            for name, array in sources.items()
        ]
        results = build(*inputs)
        graph.return_(*(results if isinstance(results, tuple) else (results,)))
    return run(model, sources, **options)[0]


def assert_near(got, want, where=""):
    for a, b in zip(got, want, strict=True):
        b = np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        tolerance = TOLERANCE.get(a.dtype.name, 0)
        np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=where)


@pytest.mark.parametrize("case, precision", chosen(), ids=str)
def test_every_op_is_the_reference(case, precision):
    model = case.model(precision)
    for rows in (1, 11, 34) if ALL else (11,):
        sources = case.sources(precision, rows)
        want = reference.run(model, "f", sources, {}, seed=7, step=3).returns
        # Two full batches and a tail, where rows are on their own.
        batch = {"batch": 4} if row_local(model) and rows == 11 else {}
        assert_near(run(model, sources, rows=rows, **batch), want, f"{rows} rows")


# -- large shapes: every tile, slices, long sums ---------------------------------------

PRODUCTS = [  # m, n, k; how it is transposed; whether m are the rows of the batch
    (300, 270, 130, "nn", True),
    (1300, 1290, 70, "tt", False),
    (65, 70, 700, "nt", True),
    (40, 33, 20000, "nn", True),
    (30, 20, 5000, "tn", False),
    (7, 1, 3, "nn", True),
    (15400, 40, 70, "nn", True),
    (15400, 20, 66, "nt", True),
    (15400, 10, 20, "nn", False),
]


@pytest.fixture(params=["library"])
def way(request, monkeypatch):
    """Products by the library, whatever their size, or by kernels of ours."""
    monkeypatch.setenv("SLIM_CUDA_LIBRARY", "1" if request.param == "library" else "0")
    engine.clear_cache()
    yield request.param
    engine.clear_cache()


def launches(model, rows):
    return engine.compile(print_program(model), device=CUDA).info("f", rows)["launches"]


@pytest.mark.parametrize(
    "case, precision",
    [(c, p) for c, p in chosen() if c.op == "matmul"],
    ids=str,
)
@pytest.mark.usefixtures("way")
def test_products_by_the_library(case, precision):
    test_every_op_is_the_reference(case, precision)


@pytest.mark.parametrize(
    "rows, products, large",
    [(1024, 1, False), (1024, 2, True), (256, 4, False), (2048, 1, True)],
)
def test_products_are_the_library_s_where_a_step_is_no_kernel(rows, products, large):
    """From 200 MFLOP on, where all of the graph's are more than 1 GFLOP."""
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 512), "f32")
        w = ops.input_("w", (512, 512), "f32")
        for _ in range(products):
            x = ops.relu(ops.matmul(x, w))
        graph.return_(x)
    without = launches(model, 1)
    assert launches(model, rows) == without + (products if large else 0)


@pytest.mark.parametrize("rows", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.usefixtures("way")
def test_rows_beyond_the_batch_do_not_add(rows, precision, monkeypatch):
    """What lies behind them is of other values, or NaN where nothing was yet."""
    model = Model(precision)
    with model.function("f") as graph:
        x = ops.input_("x", (B, 7), precision)
        y = ops.input_("y", (B, 3), precision)
        graph.return_(ops.matmul(ops.exp(x), ops.exp(y), transpose_a=True))
    rng = np.random.default_rng(rows)
    x, y = (rng.standard_normal((rows, n)).astype(DTYPES[precision]) for n in (7, 3))
    compiled = engine.compile(print_program(model), device=CUDA)
    [got] = compiled.run(
        "f", {"x": x, "y": y}, Program(print_program(model), model=model)
    )
    np.testing.assert_allclose(got, np.exp(x).T @ np.exp(y), 1e-5)
    by_it = launches(model, 8)
    monkeypatch.setenv("SLIM_CUDA_LIBRARY", "0")
    engine.clear_cache()
    assert launches(model, 8) == by_it - 1  # the zeros behind the rows


@pytest.mark.parametrize("way", ["library", "kernels"], indirect=True)
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("m, n, k, how, by_row", PRODUCTS)
@pytest.mark.parametrize("precision", ["f32", "f64"] if ALL else ["f32"])
def test_products_of_every_size(m, n, k, how, by_row, precision):
    rng = np.random.default_rng(m)
    a = rng.standard_normal((k, m) if how[0] == "t" else (m, k))
    b = rng.standard_normal((n, k) if how[1] == "t" else (k, n))
    a, b = a.astype(DTYPES[precision]), b.astype(DTYPES[precision])
    model = Model(precision)
    with model.function("f") as graph:
        x = ops.input_("a", (B, k) if by_row else a.shape, precision)
        y = ops.input_("b", b.shape, precision)
        graph.return_(ops.matmul(x, y, how[0] == "t", how[1] == "t"))
    [got] = run(model, {"a": a, "b": b})
    a, b = (x.astype(np.float64) for x in (a, b))
    want = (a.T if how[0] == "t" else a) @ (b.T if how[1] == "t" else b)
    np.testing.assert_allclose(
        got, want, 0, 4 * np.finfo(got.dtype).eps * np.sqrt(k) * np.log2(k + 2)
    )


@pytest.mark.parametrize("m, n, k", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_products_of_no_size(m, n, k):
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    got = apply(lambda a, b: ops.matmul(a, b) + 1.0, {"a": a, "b": b}, fixed=True)
    np.testing.assert_array_equal(got, a @ b + 1)


@pytest.mark.parametrize(
    "shape, axes",
    [
        ((300000,), (0,)),
        ((20000, 40), (0,)),
        ((50, 20000), (1,)),
        ((9, 33, 129), (0, 2)),
    ],
)
def test_long_sums(shape, axes):
    a = np.random.default_rng(1).standard_normal(shape).astype(np.float32) + 1
    got = apply(lambda a: ops.reduce_sum(a, axes), {"a": a})
    np.testing.assert_allclose(got, a.astype(np.float64).sum(axes), 1e-6)
    got = apply(lambda a: ops.reduce_max(a, axes), {"a": a})
    np.testing.assert_array_equal(got, a.max(axes))


def test_a_pool_over_a_whole_image():
    a = np.random.default_rng(1).uniform(size=(1, 700, 700, 1)).astype(np.float32)
    got = apply(lambda a: ops.sum_pool(a, 700), {"a": a})
    np.testing.assert_allclose(
        got, a.astype(np.float64).sum((1, 2), keepdims=True), 1e-7
    )


@pytest.mark.parametrize("groups", [1, 3])
def test_gradients_of_filters_in_slices(groups):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((20, 13, 12, 3)).astype(np.float32)
    d = rng.standard_normal((20, 13, 12, 6)).astype(np.float32)
    f = rng.standard_normal((3, 3, 3 // groups, 6)).astype(np.float32)
    model = Model("f32")
    with model.function("f") as graph:
        y = ops.convolution(
            ops.input_("x", (B, *x.shape[1:]), "f32"),
            ops.input_("f", f.shape, "f32"),
            groups=groups,
        )
        attributes = graph.nodes[-1].attributes
        graph.return_(y)

    def grad(x, d):
        return emit("convolution_filter_grad", (x, d), attributes, [(x.dtype, f.shape)])

    got = apply(grad, {"x": x, "d": d})
    want = apply(grad, {"x": x, "d": d}, device="cpu")
    np.testing.assert_allclose(got, want, 1e-5, 2e-4)


# -- what is fused ---------------------------------------------------------------------


def launched(model, rows=33):
    info = engine.compile(print_program(model), device=CUDA).info("f", rows)
    return [op for _, op, _ in info["steps"]]


@pytest.mark.parametrize("k, by_row", [(7, True), (700, True), (5000, False)])
def test_products_end_in_what_follows(k, by_row):
    """A row, a column, a scalar, a value of the product's shape; two results."""
    rng = np.random.default_rng(k)
    model = Model("f32")
    shapes = {"a": (B if by_row else 9, k), "w": (k, 5), "row": (5,)}
    shapes |= {"column": (shapes["a"][0], 1), "whole": (shapes["a"][0], 5)}
    with model.function("f") as graph:
        given = {n: ops.input_(n, s, "f32") for n, s in shapes.items()}
        y = given["a"] @ given["w"] + given["row"]
        z = ops.tanh(y * given["column"]) * 3 + given["whole"]
        graph.return_(y, z)
    assert launched(model) == ["matmul"] * (1 if by_row else 2)
    sources = {
        name: rng.standard_normal([9 if d is B else d for d in shape], np.float32)
        for name, shape in shapes.items()
    }
    sources["a"] /= np.float32(np.sqrt(k))
    assert_near(run(model, sources), reference.run(model, "f", sources, {}).returns)


@pytest.mark.parametrize("k", [5, 5000])
def test_a_product_of_one_element_ends_in_what_follows(k):
    model = Model("f64")
    with model.function("f") as graph:
        x, y = (ops.input_(name, (k, 1), "f64") for name in "xy")
        level = ops.input_("level", (), "f64")
        product = ops.matmul(x, y, transpose_a=True)
        graph.return_(product, ops.tanh(product * 0.01 + level))
    assert launched(model) == ["matmul"] * (1 if k == 5 else 2)
    rng = np.random.default_rng(k)
    sources = {name: rng.standard_normal((k, 1)) for name in "xy"}
    sources["level"] = np.array(0.3)
    assert_near(run(model, sources), reference.run(model, "f", sources, {}).returns)


def test_convolutions_end_in_what_follows():
    rng = np.random.default_rng(6)
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 5, 6, 4), "f32")
        for name, groups in (("f", 1), ("g", 4)):
            filters = ops.input_(name, (3, 3, 4 // groups, 4), "f32")
            bias = ops.input_(f"{name}/bias", (4,), "f32")
            x = ops.relu(ops.convolution(x, filters, groups=groups) + bias)
        graph.return_(x)
    assert launched(model) == ["convolution", "convolution"]
    shapes = {"x": (3, 5, 6, 4), "f": (3, 3, 4, 4), "f/bias": 4, "g": (3, 3, 1, 4)}
    shapes["g/bias"] = 4
    sources = {n: rng.standard_normal(s, np.float32) for n, s in shapes.items()}
    assert_near(run(model, sources), reference.run(model, "f", sources, {}).returns)


@pytest.mark.parametrize("rows", [1, 33, 3000])
def test_totals_stand_among_elements(rows):
    model = Model("f32")
    with model.function("f") as graph:
        a, w = (ops.input_(name, (B,), "f32") for name in "aw")
        loss = ops.reduce_sum(ops.cast(ops.square(a) * w, "f64"))
        graph.return_(loss / ops.reduce_sum(ops.cast(w, "f64")), ops.exp(a))
    assert launched(model) == ["fused"]
    rng = np.random.default_rng(rows)
    sources = {name: rng.uniform(1, 2, rows).astype(np.float32) for name in "aw"}
    assert_near(run(model, sources), reference.run(model, "f", sources, {}).returns)


def test_what_a_function_sets_is_there_when_it_returns():
    model = Model("f64")
    total = model.state("total", (5,))
    with model.function("grad") as graph:
        after = total + ops.reduce_sum(ops.input_("x", (B, 5), "f64"), 0)
        graph.set_(total, after)
        graph.return_(after)
    text = print_program(model)
    compiled, program = engine.compile(text, device=CUDA), Program(text, model=model)
    x = np.random.default_rng(0).standard_normal((7, 5))
    for calls in (1, 2, 3):
        [got] = compiled.run("grad", {"x": x}, program)
        np.testing.assert_allclose(got, calls * x.sum(0), 1e-12)
        np.testing.assert_array_equal(program.states["total"], got)


# -- a row's bits ----------------------------------------------------------------------

ROW_KERNELS = {
    "matmul": lambda a, b: ops.matmul(a, b),
    "softmax": lambda a, b: ops.softmax(a),
    "reduce_sum": lambda a, b: ops.reduce_sum(a, -1),
    "logsumexp": lambda a, b: ops.logsumexp(a, -1),
    "convolution": lambda a, b: ops.convolution(
        ops.reshape(a, (-1, 10, 3, 10)), ops.reshape(b, (1, 3, 10, 100))
    ),
}


@pytest.mark.parametrize("name", ROW_KERNELS)
def test_rows_have_the_same_bits_in_every_batch(name):
    rng = np.random.default_rng(3)
    model = Model("f32")
    b = rng.standard_normal((300, 10)).astype(np.float32)
    with model.function("f") as graph:
        given = ops.input_("a", (B, 300), "f32"), ops.input_("b", b.shape, "f32")
        graph.return_(ROW_KERNELS[name](*given))
    a = rng.standard_normal((300, 300)).astype(np.float32)
    [whole] = run(model, {"a": a, "b": b})
    for part, options in (
        (slice(4, 5), {}),
        (slice(7, 50), {"batch": 20}),
        (slice(299, 300), {}),
    ):
        [some] = run(model, {"a": a[part], "b": b}, **options)
        np.testing.assert_array_equal(some, whole[part])


@pytest.mark.parametrize("k, n", [(70, 40), (70, 20), (30, 10), (20, 130), (100, 130)])
def test_every_tile_gives_the_same_bits(k, n):
    rng = np.random.default_rng(n)
    model = Model("f32")
    with model.function("f") as graph:
        graph.return_(ops.input_("a", (B, k), "f32") @ ops.input_("w", (k, n), "f32"))
    a = rng.standard_normal((15400, k), np.float32)
    w = rng.standard_normal((k, n), np.float32)
    [many] = run(model, {"a": a, "w": w})
    for rows in (1, 60, 700):
        [few] = run(model, {"a": a[:rows], "w": w})
        np.testing.assert_array_equal(few, many[:rows])


# -- rows that lie apart ---------------------------------------------------------------


def cross_entropy(a, labels):
    return emit("sparse_softmax_cross_entropy", (a, labels))


def cross_entropy_grad(a, labels):
    slopes = ops.cast(labels, a.dtype)
    return emit("sparse_softmax_cross_entropy_grad", (a, labels, slopes))


def squared(a):
    """[columns, columns] of columns."""
    return ops.matmul(ops.transpose(a, (1, 0)), a)


def convolved(a, labels):
    """A line of three taps along an axis of 1, and one of a tap."""
    lines, filters = ops.reshape(a, (-1, 1, 1, 7)), squared(a)
    three = ops.reshape(ops.concat([filters, filters, filters], 0), (1, 3, 7, 7))
    found = ops.convolution(lines, three)
    more = ops.convolution(lines, ops.reshape(filters, (1, 1, 7, 7)))
    return ops.reshape(ops.concat([found, more], 3), (-1, 14))


APART = {
    "product": lambda a, labels: ops.matmul(a, squared(a)),
    "product_and_relu": lambda a, labels: ops.relu(ops.matmul(a, squared(a))),
    "convolution": convolved,
    "softmax": lambda a, labels: ops.softmax(a),
    "log_softmax": lambda a, labels: ops.log_softmax(a),
    "loss": lambda a, labels: ops.reshape(cross_entropy(a, labels), (-1, 1)),
    "loss_grad": cross_entropy_grad,
    "dense_loss": lambda a, labels: ops.reshape(
        emit("softmax_cross_entropy", (a, a)), (-1, 1)
    ),
    "reduce_sum": lambda a, labels: ops.reduce_sum(a, -1, True),
    "column_sums": lambda a, labels: ops.reduce_sum(ops.reshape(a, (-1, 1, 7)), 1),
    "reduce_max": lambda a, labels: ops.reduce_max(a, -1, True),
    "logsumexp": lambda a, labels: ops.logsumexp(a, -1, True),
    "pad": lambda a, labels: ops.pad_axis(a, 1, 2, 1),
    "gather": lambda a, labels: ops.gather(ops.reshape(labels, (-1, 1)) * 2, labels),
    "one_hot": lambda a, labels: ops.one_hot(labels, 6, dtype=a.dtype),
}


@pytest.mark.parametrize("name", APART)
def test_columns_of_wider_values(name):
    """Read as columns of an input, stored as columns of a concatenation."""
    rng = np.random.default_rng(5)
    wide = rng.standard_normal((6, 12)).astype(np.float32)
    labels = rng.integers(0, 6, 6).astype(np.int32)
    model = Model("f32")
    with model.function("f") as graph:
        a = ops.input_("a", (B, 12), "f32")[:, 3:10]
        result = APART[name](a, ops.input_("labels", (B,), "i32"))
        first = ops.identity(ops.identity(result)[:, :1])
        graph.return_(ops.concat([first, result, first + first], axis=-1))
    sources = {"a": wide, "labels": labels}
    want = reference.run(model, "f", sources, {}).returns
    assert_near(run(model, sources), want)


# -- what data may not ask for ---------------------------------------------------------


def test_indices_and_labels_outside_are_told():
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    for bad in (-1, 3):
        ids = np.array([0, bad, 2], np.int32)
        with pytest.raises(ValueError, match=r"index|gather"):
            apply(ops.gather, {"table": table, "ids": ids}, fixed=True)
        with pytest.raises(ValueError, match="label"):
            apply(cross_entropy, {"a": np.eye(3, dtype=np.float32), "labels": ids})


def test_random_words_are_those_of_the_cpu():
    a = np.zeros(13, np.float32)
    for draw in (ops.random_uniform, ops.random_normal):
        for kind in ("f32", "f64"):

            def build(a, draw=draw, kind=kind):
                return draw((B, 7), kind, name="draw")

            got, want = (apply(build, {"a": a}, device=d) for d in (CUDA, "cpu"))
            if draw is ops.random_uniform:
                assert got.tobytes() == want.tobytes()
            else:
                eps = np.finfo(got.dtype).eps
                np.testing.assert_allclose(got, want, 4 * eps, 4 * eps)
    ones = np.ones((9, 50), np.float32)
    for keep in (0.5, 0.3, 1e-5):

        def build(a, keep=keep):
            return ops.dropout(a, keep)

        got, want = (apply(build, {"a": ones}, device=d) for d in (CUDA, "cpu"))
        np.testing.assert_array_equal(got, want)
