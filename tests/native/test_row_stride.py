"""Columns of a value, parts of a concatenation: read and stored where they lie."""

import numpy as np
import pytest
from support import deep
from support.memory import check_disjoint
from support.native_run import ISAS, run
from support.op_cases import CASES

from slimlearn import _native
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import FLOATS, Model, storage_of
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

TOLERANCE = {"float32": 5e-6, "float64": 1e-13}
WIDTHS = (1, 3, 7, 17)


def assert_near(got, want, where=""):
    for a, b in zip(got, want, strict=True):
        assert a.shape == np.shape(b)
        tolerance = TOLERANCE.get(a.dtype.name, 0)
        np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=where)


def steps(model, function="f", rows=32):
    """Return the ops that are launched, in order, and the bytes of the arena."""
    info = engine.compile(print_program(model)).info(function, rows)
    return [op for _, op, _ in info["steps"]], info["arena_bytes"]


def room(rows, *widths, size=4):
    """Return the bytes of values of these widths, each on lines of its own."""
    return sum((rows * width * size + 63) // 64 * 64 + 64 for width in widths)


def random_sources(rows, precision="f32", **widths):
    rng = np.random.default_rng(rows)
    dtype = reference.DTYPES[precision]
    return {k: rng.standard_normal((rows, n)).astype(dtype) for k, n in widths.items()}


def check(model, sources, function="f", params=None):
    """Native is the reference, for one thread and two, whole and in a tail."""
    rows = len(next(iter(sources.values())))
    params = params or {}
    text = print_program(model)
    want = reference.run(model, function, sources, params).returns
    program = Program(text, model=model)
    for name, array in params.items():
        program.weights[name][...] = array
    for isa in ISAS:
        compiled = engine.compile(text, isa=isa)
        one = compiled.run(function, sources, program)
        assert_near(one, want, isa)
        two = compiled.run(function, sources, program, n_threads=2)
        for a, b in zip(one, two, strict=True):
            assert a.tobytes() == b.tobytes()
    after = _native.optimize(text, function)
    sizes = {"B": rows}
    check_disjoint(after, function, _native.memory(after, function, sizes), sizes)


@pytest.mark.parametrize("inner", [(1,), (3, 1), (1, 1, 1)])
@pytest.mark.parametrize("op", ["reduce_sum", "reduce_max", "reduce_min", "logsumexp"])
def test_reductions_of_an_axis_of_one_beside_columns(op, inner):
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.exp(ops.input_("x", (B, *inner), "f32"))
        y = ops.input_("y", (B, 2), "f32")
        reduced = getattr(ops, op)(x, len(inner), keepdims=len(inner) == 1)
        left = reduced if len(inner) < 3 else ops.reshape(reduced, (B, 1))
        graph.return_(ops.concat([left, y * 2.0], 1))
    rng = np.random.default_rng(0)
    sources = {"x": rng.standard_normal((5, *inner), np.float32)}
    check(model, sources | {"y": rng.standard_normal((5, 2), np.float32)})


@pytest.mark.parametrize(
    "case", [case for cases in CASES.values() for case in cases], ids=str
)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_every_op_between_columns(case, precision):
    """Operands are columns of wider inputs, results parts of a concatenation."""
    plain, model = case.model(precision), Model(precision)
    sources = case.sources(precision, 5)
    given = dict(sources)

    def columns(name, tensor):
        width = tensor.shape[-1] if tensor.shape else None
        if storage_of(tensor.dtype) or type(width) is not int or len(tensor.shape) < 2:
            return tensor
        shape = (*tensor.shape[:-1], width + 5)
        array = np.full((*sources[name].shape[:-1], width + 5), 1, sources[name].dtype)
        array[..., 3 : 3 + width] = sources[name]
        given[f"{name}/wide"] = array
        return ops.input_(f"{name}/wide", shape, tensor.dtype)[..., 3 : 3 + width]

    def joined(value):
        if len(value.shape) < 2 or type(value.shape[-1]) is not int:
            return value
        before = after = ops.identity(ops.identity(value)[..., :1])
        if value.dtype in FLOATS:
            after = ops.neg(before) * 3
        return ops.concat([before, value, after], axis=-1)

    def widened(value):
        if np.ndim(value) < 2:
            return value
        first = value[..., :1]
        last = first * -3 if value.dtype.kind == "f" else first
        return np.concatenate([first, value, last], -1)

    with model.function("f") as graph:
        tensors = {k: columns(k, t) for k, t in case.tensors(precision).items()}
        results = case.outputs(precision, tensors)
        graph.return_(*(joined(value) for value in results))
    want = [
        widened(np.asarray(value)) if len(tensor.shape) > 1 else value
        for value, tensor in zip(
            reference.run(plain, "f", sources, {}, seed=7, step=3).returns,
            plain.functions["f"].returns,
            strict=True,
        )
    ]
    if any(type(r.shape[-1]) is not int for r in results if len(r.shape) > 1):
        pytest.skip("a last axis of rows")
    if any(node.attributes.get("stream") for node in model.functions["f"].nodes):
        pytest.skip("draws by its name")
    for isa in ISAS:
        for threads in (1, 2):
            got = run(
                model,
                given,
                isa,
                rows=np.arange(5),
                seed=7,
                step=3,
                n_threads=threads,
            )
            assert_near(got, want, isa)


@pytest.mark.parametrize("rows", [1, 5, 70])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_columns_of_a_product(width, rows, precision):
    model = Model(precision)
    w = model.parameter("w", (4, 3 * width))
    with model.function("f") as graph:
        y = ops.input_("x", (B, 4), precision) @ w
        parts = [y[:, i * width : (i + 1) * width] for i in range(3)]
        graph.return_(ops.relu(parts[0]) * ops.tanh(parts[1]) + parts[2])
    launched, arena = steps(model)
    assert launched == ["matmul", "fused"]
    size = 8 if precision == "f64" else 4
    assert arena == room(32, 3 * width, size=size) + room(32, max(width, 4), size=size)
    w = np.random.default_rng(0).standard_normal((4, 3 * width))
    check(model, random_sources(rows, precision, x=4), params={"w": w})


@pytest.mark.parametrize("rows", [1, 5, 70])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_a_concatenation_is_computed_in_place(width, rows, precision):
    """Of products, elementwise results and reductions; then a product reads it."""
    model = Model(precision)
    v = model.parameter("v", (4, width))
    w = model.parameter("w", (3 * width + 1, 3))
    with model.function("f") as graph:
        x = ops.input_("x", (B, 4), precision)
        z = ops.input_("z", (B, width), precision)
        t = ops.input_("t", (B, 2, width), precision)
        parts = [
            ops.relu(x @ v),
            ops.tanh(z) * 2,
            ops.reduce_sum(t, axis=1),
            ops.reduce_max(x, axis=1, keepdims=True),
        ]
        graph.return_(ops.concat(parts, axis=1) @ w)
    launched, arena = steps(model)
    assert sorted(launched) == ["fused", "matmul", "matmul", "reduce_max", "reduce_sum"]
    size = 8 if precision == "f64" else 4
    once = room(32, 4, width, 2 * width, 3 * width + 1, size=size)
    assert arena <= once + room(32, 3, size=size)
    rng = np.random.default_rng(0)
    params = {
        "v": rng.standard_normal((4, width)),
        "w": rng.standard_normal((3 * width + 1, 3)),
    }
    sources = random_sources(rows, precision, x=4, z=width)
    sources["t"] = rng.standard_normal((rows, 2, width)).astype(v.dtype[0] + "4")
    if precision == "f64":
        sources["t"] = rng.standard_normal((rows, 2, width))
    check(model, sources, params=params)


def test_what_cannot_be_stored_apart_is_copied():
    """Inputs, returns and results of other ops; one launch for all of them."""
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 3), "f32")
        returned, drawn = ops.exp(x), ops.random_normal((B, 3), "f32")
        joined = ops.concat([x, returned, drawn, ops.neg(x)], axis=1)
        graph.return_(returned, ops.square(joined))
    launched, _ = steps(model)
    assert launched.count("concat") == 1
    check_disjoint_of(model)


def check_disjoint_of(model, function="f", rows=5):
    text = _native.optimize(print_program(model), function)
    facts = _native.memory(text, function, {"B": rows})
    check_disjoint(text, function, facts, {"B": rows})


def test_a_value_is_part_of_one_concatenation_only():
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 3), "f32")
        y, z = ops.softmax(x), ops.log_softmax(x)
        a, b = ops.concat([y, z, y], axis=1), ops.concat([z, y], axis=1)
        graph.return_(ops.softmax(a), ops.softmax(b))
    launched, _ = steps(model)
    assert launched.count("concat") == 1, "the second holds both, the first copies"
    check(model, random_sources(7, x=3))


def test_views_of_views():
    """Columns of a concatenation of concatenations, through reshapes."""
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 6), "f32")
        inner = ops.concat([ops.exp(x[:, 1:4]), ops.tanh(x[:, 2:5])], axis=1)
        outer = ops.concat([ops.softmax(x), inner], axis=1)
        cells = ops.reshape(outer[:, 5:11], (B, 1, 6))
        graph.return_(ops.reduce_sum(ops.square(cells), axis=2), ops.softmax(inner))
    launched, _ = steps(model)
    assert not {"concat", "slice"} & set(launched)
    check(model, random_sources(9, x=6))


def test_rows_of_parameters_are_read_where_they_lie():
    model = Model("f32")
    w = model.parameter("w", (8, 5))
    b = model.parameter("b", (9,))
    with model.function("f") as graph:
        x = ops.input_("x", (B, 3), "f32")
        graph.return_(ops.relu(x @ w[2:5, 1:4] + b[5:8]))
    launched, _ = steps(model)
    assert launched == ["matmul"]
    rng = np.random.default_rng(0)
    params = {n: rng.standard_normal(s) for n, s in {"w": (8, 5), "b": (9,)}.items()}
    check(model, random_sources(7, x=3), params=params)


@pytest.mark.parametrize("width", WIDTHS)
def test_gradients_of_a_concatenation_read_columns(width):
    """Each part's slope is a slice: products and sums read it where it lies."""
    model = Model("f32")
    names = ("u", "v")
    params = [model.parameter(name, (4, width)) for name in names]
    biases = [model.parameter(f"{name}/b", (width,)) for name in names]
    with model.function("f") as graph:
        x = ops.input_("x", (B, 4), "f32")
        parts = [x @ w + b for w, b in zip(params, biases, strict=True)]
        joined = ops.softmax(ops.concat(parts, axis=1))
        slopes = gradients([ops.reduce_sum(ops.square(joined))], params + biases)
        graph.return_(*slopes)
    launched, _ = steps(model)
    assert not {"concat", "slice", "pad"} & set(launched)
    rng = np.random.default_rng(0)
    values = {p.name: rng.standard_normal(p.shape) for p in params + biases}
    check(model, random_sources(40, x=4), params=values)


def test_a_padded_value_is_computed_in_place():
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 5), "f32")
        graph.return_(ops.softmax(ops.pad_axis(ops.exp(x), 1, 2, 3)))
    launched, arena = steps(model)
    assert launched == ["exp", "pad", "softmax"]
    assert arena == room(32, 10, 10)
    check(model, random_sources(11, x=5))


@pytest.mark.parametrize("depth", [5, 40])
def test_a_layer_of_a_concatenating_tower_copies_nothing(depth):
    """Its columns are stored once, whatever comes after."""
    width, rows = 16, 32
    model = deep.model("concatenating", depth, features=20, width=width)
    text = print_program(model)
    info = engine.compile(text).info("predict", rows)
    launched = [op for _, op, _ in info["steps"]]
    assert launched.count("concat") == 1, "of the input alone"
    assert launched.count("slice") == 0
    assert info["arena_bytes"] < room(rows, 20 + depth * width) + 6 * room(rows, 64)
    launched = [op for _, op, _ in engine.compile(text).info("grad", rows)["steps"]]
    assert launched.count("concat") == 1
    assert launched.count("slice") == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_slices_over_the_batch_are_added_in_place(width):
    """Products and sums over the rows, of columns, as parts of one value."""
    rows, model = 140_000, Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 2 * width + 2), "f32")
        y = ops.input_("y", (B, 3, width + 1), "f32")
        a, b = x[:, 1 : 1 + width], x[:, 1 + width : 1 + 2 * width]
        z = ops.reshape(y, (B, 3 * width + 3))[:, :3]
        parts = [
            ops.matmul(z, a, True, False),
            ops.reduce_sum(y[:, :, 1:], axis=0),
            ops.relu(ops.matmul(z, b, True, False) * 0.5 + 1.0),
            ops.reduce_max(y, axis=0),
        ]
        graph.return_(ops.tanh(ops.concat(parts, axis=1) * 1e-3))
    launched, _ = steps(model, rows=rows)
    assert not {"concat", "slice"} & set(launched)
    assert launched.count("matmul") == 4, "each adds slices"
    rng = np.random.default_rng(0)
    sources = random_sources(rows, x=2 * width + 2)
    sources["y"] = rng.standard_normal((rows, 3, width + 1)).astype("f4")
    text = print_program(model)
    (want,) = reference.run(model, "f", sources, {}).returns
    program = Program(text, model=model)
    for isa in ISAS:
        compiled = engine.compile(text, isa=isa)
        one, two = (
            compiled.run("f", sources, program, batch=rows, n_threads=n)[0]
            for n in (1, 2)
        )
        assert one.tobytes() == two.tobytes()
        np.testing.assert_allclose(one, want, 1e-4, 1e-5)


@pytest.mark.parametrize("flag", [True, False])
def test_views_in_branches(flag):
    """Columns of what is captured, parts of what is yielded."""
    model = Model("f32")
    w = model.parameter("w", (6, 9))
    with model.function("f") as graph:
        x, p = ops.input_("x", (B, 6), "f32"), ops.input_("p", (), "bool")

        def then():
            y = x @ w[:, 2:8]
            return ops.concat([ops.tanh(y[:, 3:]), ops.softmax(y[:, :3])], axis=1)

        def otherwise():
            parts = [ops.exp(x[:, 4:]), ops.square(x[:, :4])]
            return ops.softmax(ops.concat(parts, axis=1))

        graph.return_(ops.relu(ops.cond(p, then, otherwise)))
    sources = random_sources(9, x=6)
    sources["p"] = np.array(flag)
    rng = np.random.default_rng(0)
    check(model, sources, params={"w": rng.standard_normal((6, 9))})


def test_columns_of_one_matrix_need_no_barrier():
    """Two threads write neighbouring columns, then read all of them."""
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 64), "f32")
        parts = [ops.exp(x), ops.softmax(x), ops.tanh(x), ops.log_softmax(x)]
        graph.return_(ops.softmax(ops.concat(parts, axis=1)))
    check(model, random_sources(700, x=64))
