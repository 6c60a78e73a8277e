"""What kernels promise beyond their op's value: bits, places, extremes, bad data."""

import functools
import itertools

import numpy as np
import pytest
from scipy import special
from support.native_run import ISAS, apply, run

from slimlearn.backend import ops, philox
from slimlearn.backend.graph import Model
from slimlearn.backend.op import emit
from slimlearn.backend.shape import B

pytestmark = pytest.mark.parametrize("isa", ISAS)

FLOATS = (np.float32, np.float64)
WIDTHS = (1, 2, 3, 7, 8, 10, 16, 17, 31, 33, 64, 65, 100, 1000)


def tolerance(dtype):
    return 4e-6 if dtype == np.float32 else 1e-13


def assert_near(got, want, scale=1.0):
    bound = tolerance(got.dtype) * scale
    np.testing.assert_allclose(got, want, rtol=bound, atol=bound)


def cross_entropy(logits, labels):
    return emit("sparse_softmax_cross_entropy", (logits, labels))


def cross_entropy_grad(logits, labels, g):
    return emit("sparse_softmax_cross_entropy_grad", (logits, labels, g))


def random_logits(rows, width, dtype, seed=0):
    rng = np.random.default_rng(seed)
    logits = (3 * rng.standard_normal((rows, width))).astype(dtype)
    labels = rng.integers(0, width, rows).astype(np.int32)
    return logits, labels


ROW_KERNELS = {
    "softmax": lambda a, labels, g: ops.softmax(a),
    "log_softmax": lambda a, labels, g: ops.log_softmax(a),
    "loss": lambda a, labels, g: cross_entropy(a, labels),
    "loss_grad": lambda a, labels, g: cross_entropy_grad(a, labels, g),
    "dense_loss": lambda a, labels, g: emit("softmax_cross_entropy", (a, a)),
    "reduce_sum": lambda a, labels, g: ops.reduce_sum(a, -1),
    "reduce_max": lambda a, labels, g: ops.reduce_max(a, -1),
    "logsumexp": lambda a, labels, g: ops.logsumexp(a, -1),
    "argmax": lambda a, labels, g: ops.argmax(a, -1),
    "concat": lambda a, labels, g: ops.concat([a, a], 1),
}


@pytest.mark.parametrize("name", ROW_KERNELS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_have_the_same_bits_in_every_batch(isa, name, dtype):
    build = ROW_KERNELS[name]
    for width in WIDTHS:
        logits, labels = random_logits(23, width, dtype)
        sources = {"a": logits, "labels": labels, "g": logits[:, 0].copy()}
        whole = apply(build, sources, isa)
        for part in (slice(0, 1), slice(4, 5), slice(7, 23), slice(22, 23)):
            some = {k: v[part] for k, v in sources.items()}
            np.testing.assert_array_equal(apply(build, some, isa), whole[part])
        np.testing.assert_array_equal(apply(build, sources, isa, batch=5), whole)


@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_family_at_every_width(isa, dtype):
    for width in WIDTHS:
        a, labels = random_logits(9, width, dtype)
        g = a[:, 0].copy()
        p = special.softmax(a.astype("f8"), -1)
        log_p = special.log_softmax(a.astype("f8"), -1)
        hot = np.eye(width)[labels]
        assert_near(apply(ops.softmax, {"a": a}, isa), p)
        assert_near(apply(ops.log_softmax, {"a": a}, isa), log_p, 2)
        sources = {"logits": a, "labels": labels}
        assert_near(apply(cross_entropy, sources, isa), -(log_p * hot).sum(-1))
        slope = apply(cross_entropy_grad, {**sources, "g": g}, isa)
        assert_near(slope, (p - hot) * g[:, None])
        assert_near(
            apply(
                lambda a, b: emit("softmax_cross_entropy", (a, b)),
                {"a": a, "b": a},
                isa,
            ),
            -(log_p * a).sum(-1),
            8 * np.sqrt(width),
        )


@pytest.mark.parametrize("dtype", FLOATS)
def test_infinite_and_huge_logits(isa, dtype):
    inf, nan = np.inf, np.nan
    a = np.array(
        [
            [1, -inf, 0, -inf],
            [-inf, -inf, 5, -inf],
            [1e30, -1e30, 1e30, 0],
            [88, 89, -88, 700],
            [nan, 0, 1, 2],
            [-inf, -inf, -inf, -inf],
        ],
        dtype,
    )
    with np.errstate(all="ignore"):
        wide = a.astype("f8")
        assert_near(apply(ops.softmax, {"a": a}, isa), special.softmax(wide, -1))
        log_p = special.log_softmax(wide, -1)
        assert_near(apply(ops.log_softmax, {"a": a}, isa), log_p)
        assert_near(
            apply(lambda a: ops.logsumexp(a, -1), {"a": a}, isa),
            special.logsumexp(wide, -1),
        )
        for label in range(4):
            labels = np.full(len(a), label, np.int32)
            loss = apply(cross_entropy, {"logits": a, "labels": labels}, isa)
            assert_near(loss, -log_p[:, label])


@pytest.mark.parametrize("dtype", FLOATS)
def test_smallest_losses_keep_their_digits(isa, dtype):
    a = np.zeros((30, 3), dtype)
    a[:, 1] = np.arange(30) + 1
    labels = np.full(30, 1, np.int32)
    loss = apply(cross_entropy, {"logits": a, "labels": labels}, isa)
    want = np.log1p(2 * np.exp(-a[:, 1].astype("f8")))
    np.testing.assert_allclose(loss, want, rtol=4 * tolerance(dtype))


@pytest.mark.parametrize("labels", [[0, 3, 1], [-1, 0, 1], [0, 1, 2**31 - 1]])
def test_a_label_out_of_range_is_an_error(isa, labels):
    sources = {
        "logits": np.zeros((3, 3), np.float32),
        "labels": np.array(labels, np.int32),
        "g": np.ones(3, np.float32),
    }
    with pytest.raises(ValueError, match="label"):
        apply(cross_entropy_grad, sources, isa)
    del sources["g"]
    with pytest.raises(ValueError, match="label"):
        apply(cross_entropy, sources, isa)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("bad", [-1, 5, 2**31 - 1])
def test_an_id_out_of_range_is_an_error(isa, kind, bad):
    table = np.arange(15, dtype=np.float32).reshape(5, 3)
    sources = {"table": table, "ids": np.array([0, bad, 4], kind)}
    with pytest.raises(ValueError, match=r"index|id "):
        apply(ops.gather, sources, isa, fixed=("table",))
    updates = {"ids": sources["ids"], "updates": table[:3]}
    with pytest.raises(ValueError, match=r"index|id "):
        apply(lambda ids, updates: ops.scatter_add(ids, updates, (5, 3)), updates, isa)


@pytest.mark.parametrize("dtype", FLOATS)
def test_scatter_add_sums_in_order_of_position(isa, dtype):
    rng = np.random.default_rng(1)
    for size, depth in ((3, 1), (40, 7), (2000, 33)):
        ids = rng.integers(0, size, 500).astype(np.int64)
        updates = rng.standard_normal((500, depth)).astype(dtype)
        want = np.zeros((size, depth), dtype)
        np.add.at(want, ids, updates)
        for threads in (1, 2):
            got = apply(
                lambda ids, updates, s=(size, depth): ops.scatter_add(ids, updates, s),
                {"ids": ids, "updates": updates},
                isa,
                n_threads=threads,
            )
            np.testing.assert_array_equal(got, want)


def test_one_hot_leaves_out_what_is_out_of_range(isa):
    ids = np.array([0, -1, 2, 3, 2**31 - 1], np.int32)
    got = apply(lambda ids: ops.one_hot(ids, 3, 2.0, -1.0), {"ids": ids}, isa)
    want = np.where(np.arange(3) == ids[:, None], 2.0, -1.0)
    np.testing.assert_array_equal(got, want)


SHAPES = [
    (1,),
    (33,),
    (5, 1),
    (4, 70),
    (3, 1, 5),
    (2, 9, 17),
    (3, 4, 1, 6),
    (2, 3, 4, 5),
]


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reductions_over_any_axes(isa, dtype, shape):
    rng = np.random.default_rng(len(shape))
    a = (rng.standard_normal(shape) * 9).astype(dtype)
    kinds = {ops.reduce_sum: np.sum, ops.reduce_max: np.max, ops.reduce_min: np.min}
    if dtype.startswith("f"):
        kinds[ops.logsumexp] = special.logsumexp
    for (build, want), count in itertools.product(kinds.items(), range(len(shape) + 1)):
        if dtype.startswith("i") and build is not ops.reduce_sum:
            continue
        for axes in itertools.combinations(range(len(shape)), count):
            for fixed in ((), ("a",)):
                got = apply(
                    lambda a, f=build, x=axes: f(a, x), {"a": a}, isa, fixed=fixed
                )
                value = want(a.astype("f8"), axis=axes) if axes else a
                assert got.dtype == a.dtype
                np.testing.assert_allclose(got, value, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (0, 2), (2,)])
def test_sums_of_products_have_the_bits_of_sums_of_what_is_stored(isa, dtype, axes):
    """The products' only readers are the sums, which multiply as they read."""
    rng = np.random.default_rng(len(axes))
    a, b = rng.normal(size=(2, 300, 3, 131)).astype(dtype)
    run = functools.partial(apply, isa=isa, batch=300)
    square = run(lambda a: ops.reduce_sum(ops.square(a), axes), {"a": a})
    product = run(
        lambda a, b: ops.reduce_sum(a * b, axes) + 0 * ops.reduce_sum(a, axes),
        {"a": a, "b": b},
    )
    for got, terms in ((square, a * a), (product, a * b)):
        want = run(lambda a: ops.reduce_sum(a, axes), {"a": terms})
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("columns", [1, 2, 10, 37, 100, 300])
def test_column_sums_of_many_rows_are_accurate(isa, columns):
    rng = np.random.default_rng(2)
    a = rng.uniform(0, 1, (20001, columns)).astype(np.float32)
    got = apply(lambda a: ops.reduce_sum(a, 0), {"a": a}, isa)
    np.testing.assert_allclose(got, a.astype("f8").sum(0), rtol=2e-5)
    again = apply(lambda a: ops.reduce_sum(a, 0), {"a": a}, isa, n_threads=2)
    np.testing.assert_array_equal(got, again)


@pytest.mark.parametrize("dtype", FLOATS)
def test_extremes_of_extremes(isa, dtype):
    inf, nan = np.inf, np.nan
    for width in (2, 9, 40):
        a = np.zeros((5, width), dtype)
        a[1, -1] = nan
        a[2] = -inf
        a[3, 0], a[3, 1] = inf, -inf
        a[4] = -np.arange(width) - 1
        for axis in (0, 1):
            largest = apply(lambda a, x=axis: ops.reduce_max(a, x), {"a": a}, isa)
            np.testing.assert_array_equal(largest, np.max(a, axis))
            least = apply(lambda a, x=axis: ops.reduce_min(a, x), {"a": a}, isa)
            np.testing.assert_array_equal(least, np.min(a, axis))
            place = apply(lambda a, x=axis: ops.argmax(a, x), {"a": a}, isa)
            np.testing.assert_array_equal(place, np.argmax(a, axis))
            found = apply(lambda a, x=axis: ops.max_with_argmax(a, x)[0], {"a": a}, isa)
            np.testing.assert_array_equal(found, largest)
        for k in (1, 2, width):
            values = apply(lambda a, k=k: ops.top_k(a, k)[0], {"a": a}, isa)
            places = apply(lambda a, k=k: ops.top_k(a, k)[1], {"a": a}, isa)
            np.testing.assert_array_equal(values, np.take_along_axis(a, places, 1))
            # numpy sorts NaN to the end: it counts as the largest
            order = np.argsort(a[:, ::-1], kind="stable")[:, ::-1]
            np.testing.assert_array_equal(places, width - 1 - order[:, :k])


def test_more_than_there_are_rows_is_refused(isa):
    five = {"a": np.arange(5, dtype=np.float32)}
    got = apply(lambda a: ops.top_k(a, 5)[0], five, isa)
    np.testing.assert_array_equal(got, [4, 3, 2, 1, 0])
    with pytest.raises(ValueError, match=r"\[top_k top_k\] there are fewer elements"):
        apply(lambda a: ops.top_k(a, 6)[0], five, isa)


def test_denormals_count_as_zero_or_as_they_are(isa):
    a = np.full((3, 9), 1e-40, np.float32)
    assert abs(apply(lambda a: ops.reduce_sum(a, 1), {"a": a}, isa)).max() < 1e-38
    assert_near(apply(ops.softmax, {"a": a}, isa), np.full((3, 9), 1 / 9))


PERMUTATIONS = [(1, 0), (0, 2, 1), (2, 1, 0), (1, 2, 0), (0, 3, 1, 2), (3, 2, 0, 1)]


@pytest.mark.parametrize("dtype", ["f4", "f8", "b1"])
@pytest.mark.parametrize("perm", PERMUTATIONS, ids=str)
def test_transposes(isa, dtype, perm):
    for shape in ((37, 18, 5, 3), (1, 16, 33, 2), (4, 1, 7, 40)):
        a = np.arange(np.prod(shape[: len(perm)])).reshape(shape[: len(perm)])
        a = (a % 97).astype(dtype)
        for fixed in ((), ("a",)):
            got = apply(lambda a: ops.transpose(a, perm), {"a": a}, isa, fixed=fixed)
            np.testing.assert_array_equal(got, a.transpose(perm))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [1, 7, 8, 31, 100, 257])
@pytest.mark.parametrize("keep_prob", [1.0, 0.9, 0.5, 0.1])
def test_dropout_keeps_what_philox_keeps(isa, dtype, columns, keep_prob):
    rows = 21
    x = np.random.default_rng(3).standard_normal((rows, columns)).astype(dtype)

    def build(x):
        keep = ops.constant(keep_prob, x.dtype)
        return emit("dropout", (x, keep), {"stream": 77})

    keep = dtype(keep_prob)
    kept = philox.keep(5, 77, 2**33 + 1, np.arange(rows), x.shape, float(keep))
    want = np.where(kept, x * (dtype(1) / keep), dtype(0))
    for batch in (None, 8):
        got = apply(build, {"x": x}, isa, seed=5, step=2**33 + 1, batch=batch)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shape", [(B,), (B, 5), (B, 3, 40), (9,), (300, 41)], ids=str)
def test_random_numbers_are_philox(isa, dtype, shape):
    rows = 13
    by_row = shape[0] is B
    size = (rows, *shape[1:]) if by_row else shape
    counters = np.arange(rows) if by_row else None
    x = np.zeros((rows, 1), np.float32)
    kind = np.float32 if dtype == "f32" else np.float64
    for word, draw in (
        ("random_uniform", philox.uniform),
        ("random_normal", philox.normal),
    ):

        def build(x, word=word):
            # A use of x ties the rows of the result to the batch.
            value = emit(word, (), {"stream": 9}, [(dtype, shape)])
            return value + zero_like(x, value) if by_row else value

        want = draw(4, 9, 6, counters, size, kind).reshape(size)
        for threads in (1, 2):
            got = apply(build, {"x": x}, isa, seed=4, step=6, n_threads=threads)
            assert got.dtype == kind
            if word == "random_uniform":
                np.testing.assert_array_equal(got, want)
            else:
                np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize("word", ["random_uniform", "random_normal"])
def test_a_region_finishes_random_numbers(isa, word):
    """In pieces that begin and end within rows, and within blocks of what is drawn."""
    shapes = (1,), (4099,), (1, 1), (700, 1), (9, 2051), (1500, 7), (2, 3, 1025)
    for shape, dtype in itertools.product(shapes, ("f32", "f64")):
        row = np.linspace(-1, 1, shape[-1], dtype=np.float32)

        def build(row, shape=shape, dtype=dtype):
            drawn = emit(word, (), {"stream": 9}, [(dtype, shape)])
            return ops.cast(drawn * 0.3 - ops.cast(row, dtype), "f32")

        def alone(row, shape=shape, dtype=dtype):
            return emit(word, (), {"stream": 9}, [(dtype, shape)])

        given = {"arrays": {"row": row}, "isa": isa, "fixed": ("row",), "seed": 4}
        drawn = apply(alone, **given)
        kind = drawn.dtype.type
        want = (drawn * kind(0.3) - row.astype(kind)).astype(np.float32)
        for threads in (1, 2):
            got = apply(build, n_threads=threads, **given)
            np.testing.assert_array_equal(got, want)


def zero_like(x, value):
    column = ops.cast(ops.reshape(x, (B,) + (1,) * (len(value.shape) - 1)), value.dtype)
    return column * 0


def test_orthogonal_is_orthogonal(isa):
    rng = np.random.default_rng(0)
    for shape in ((64, 20), (20, 64), (33, 33), (5, 1)):
        a = rng.standard_normal(shape)
        q = apply(ops.orthogonal, {"a": a}, isa, fixed=("a",))
        short = q.T @ q if shape[0] >= shape[1] else q @ q.T
        np.testing.assert_allclose(short, np.eye(min(shape)), atol=1e-13)
        r = q.T @ a if shape[0] >= shape[1] else q @ a.T
        assert (np.diagonal(r) > 0).all()
        np.testing.assert_allclose(np.tril(r, -1), 0, atol=1e-12)


def test_extent_evaluates_the_rows_of_each_batch(isa):
    dims = [B, 3 * B, B + 1, (B + 1) // 2, B * B - 2 * B + 5, (3 * B + 7) // 4 * B]
    for dim, rows in itertools.product(dims, (1, 2, 17)):
        got = apply(
            lambda x, d=dim: ops.extent(d, "f64") + ops.reduce_sum(x) * 0,
            {"x": np.ones((rows, 1))},
            isa,
        )
        assert got == dim.evaluate({"B": rows}), (str(dim), rows)


@pytest.mark.parametrize("rows", [1, 15, 520, 1100])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seen", ["averages and weight", "weight", "root and weight"])
def test_chains_round_every_operation(isa, dtype, rows, seen):
    """Adam's arithmetic in one pass has the bits of one operation after the other."""
    keep, fresh, rate, epsilon = (dtype(x) for x in (0.9, 0.1, 0.01, 1e-3))
    rng = np.random.default_rng(rows)
    arrays = {name: rng.random(rows).astype(dtype) for name in "mvgw"}
    m, v, g, w = arrays.values()
    m = m * keep + g * fresh
    v = v * keep + (g * g) * fresh
    root = np.sqrt(v)
    w = w - (m * rate) / (root + epsilon)

    model = Model("f32" if dtype == np.float32 else "f64")
    with model.function("f") as graph:
        inputs = {name: ops.input_(name, (B,), model.precision) for name in arrays}
        mean = ops.add(ops.mul(inputs["m"], keep), ops.mul(inputs["g"], fresh))
        square = ops.mul(ops.square(inputs["g"]), fresh)
        square = ops.add(ops.mul(inputs["v"], keep), square)
        sqrt = ops.sqrt(square)
        quotient = ops.div(ops.mul(mean, rate), ops.add(sqrt, epsilon))
        moved = ops.sub(inputs["w"], quotient)
        results = {"m": mean, "v": square, "root": sqrt, "w": moved}
        names = {
            "averages and weight": "m v w",
            "weight": "w",
            "root and weight": "root w",
        }
        graph.return_(*(results[name] for name in names[seen].split()))
    got = run(model, arrays, isa)
    want = {"m": m, "v": v, "root": root, "w": w}
    for name, value in zip(names[seen].split(), got, strict=True):
        assert value.tobytes() == want[name].tobytes(), name
