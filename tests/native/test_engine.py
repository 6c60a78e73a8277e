"""The door to native code: compiling, running, the short road, errors, facts."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from support.training_case import Case, data, network

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program


class Rows(np.ndarray):
    """An array that is not exactly one."""


@pytest.fixture(scope="module")
def case():
    return Case(network("f32"), data(precision="f32"))


def test_run_is_the_reference(case):
    for func in ("predict", "score"):
        native = case.compiled.run(func, case.sources, case.program)
        weights, states = case.program.weights, case.program.states
        exact = reference.run(case.model, func, case.sources, weights, states).returns
        for mine, theirs in zip(native, exact, strict=True):
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


def test_init_is_the_reference():
    model = network("f32", center=True)
    native = Program(model=model).initialize(11, engine="native")
    exact = Program(model=model).initialize(11, engine="reference")
    for name, weights in native.weights.items():
        np.testing.assert_allclose(weights, exact.weights[name], rtol=1e-6)
    assert native.states.keys() == exact.states.keys()


def test_gradients_are_the_reference(case):
    gradient = case.program.allocate_slots()[: case.program.params.size]
    case.compiled.run("grad", case.sources, case.program, gradient=gradient)
    views = case.program.param_layout.views(gradient)
    weights, states = case.program.weights, case.program.states
    exact = reference.run(case.model, "grad", case.sources, weights, states).grads
    for name, view in views.items():
        np.testing.assert_allclose(view, exact[name], rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="writes gradients"):
        case.compiled.run("grad", case.sources, case.program)


def test_rows_chunks_and_empty_calls(case):
    x = {"X": case.sources["X"]}
    (whole,) = case.compiled.run("predict", x, case.program)
    (some,) = case.compiled.run("predict", x, case.program, rows=np.array([5, 3, 99]))
    np.testing.assert_array_equal(some, whole[[5, 3, 99]])
    (chunks,) = case.compiled.run("predict", x, case.program, batch=7)
    np.testing.assert_array_equal(chunks, whole)
    empty = {"X": np.empty((0, 20), np.float32)}
    (none,) = case.compiled.run("predict", empty, case.program)
    assert none.shape == (0, 3)
    scores = [
        case.compiled.run("score", case.sources, case.program, batch=b) for b in (0, 7)
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-12)
    with pytest.raises(ValueError, match="row -1"):
        case.compiled.run("predict", x, case.program, rows=np.array([-1]))
    with pytest.raises(ValueError, match="asks for row 100"):
        case.compiled.run("predict", x, case.program, rows=np.array([100]))


def test_a_function_that_mixes_rows_runs_in_one_batch():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("X", (B, 4), "f64")
        graph.return_(x - ops.reduce_mean(x, axis=(0,)))
    compiled = engine.compile(print_program(model))
    x = np.random.default_rng(0).standard_normal((3000, 4))
    program = Program(model=model)
    (result,) = compiled.run("f", {"X": x}, program, batch=10, n_threads=2)
    np.testing.assert_allclose(result, x - x.mean(axis=0), atol=1e-12)
    assert not compiled.native.chunkable("f")
    with pytest.raises(ValueError, match="no short road"):
        compiled.predictor("f", program)


def test_a_transposed_batch_is_specialised_exactly():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("X", (B, 4), "f64")
        graph.return_(ops.reduce_sum(ops.transpose(x, (1, 0)), axis=(0,)))
    compiled = engine.compile(print_program(model))
    for rows in (1, 5, 64):
        x = np.random.default_rng(rows).standard_normal((rows, 4))
        (result,) = compiled.run("f", {"X": x}, Program(model=model))
        np.testing.assert_allclose(result, x.sum(axis=1), atol=1e-12)
        assert compiled.info("f", rows)["exact"]


def test_a_kernel_that_must_know_its_rows_gets_them():
    model = Model("f64")
    with model.function("f") as graph:
        graph.return_(ops.softmax(ops.input_("y", (B,), "f64")))
    compiled = engine.compile(print_program(model))
    for rows in (1, 9, 9, 300):
        y = np.random.default_rng(rows).standard_normal(rows)
        (result,) = compiled.run("f", {"y": y}, Program(model=model))
        np.testing.assert_allclose(result, np.exp(y) / np.exp(y).sum(), rtol=1e-12)


def test_every_read_sees_the_old_value():
    model = Model("f64")
    a, b = model.state("a", (3,)), model.state("b", (3,))
    with model.function("grad") as graph:
        graph.set_(a, b)
        graph.set_(b, a)
        graph.return_(ops.identity(a), a + b)
    program = Program(model=model)
    program.states["a"][...], program.states["b"][...] = 1, 2
    old, total = engine.compile(program.text).run("grad", {}, program)
    assert old.tolist() == [1, 1, 1] and total.tolist() == [3, 3, 3]
    assert program.states["a"].tolist() == [2, 2, 2]
    assert program.states["b"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("size", [1, 8, 9, 100])
def test_only_what_is_set_changes(size):
    model = Model("f64")
    states = {name: model.state(name, (size,)) for name in "abcde"}
    with model.function("grad") as graph:
        for name in "abd":
            graph.set_(states[name], states[name] + 1.0)
        graph.return_(*states.values())
    program = Program(model=model)
    engine.compile(program.text).run("grad", {}, program)
    changed = {name for name, state in program.states.items() if state.all()}
    assert changed == set("abd")
    assert program.state.view("f8").sum() == 3 * size


def test_a_plain_run_that_met_a_bad_label_sets_nothing():
    model = Model("f64")
    seen = model.state("seen", (3,))
    with model.function("grad") as graph:
        logits = ops.input_("X", (B, 3), "f64")
        each = ops.sparse_softmax_cross_entropy(logits, ops.input_("y", (B,), "i32"))
        graph.set_(seen, seen + ops.reduce_mean(logits, axis=(0,)))
        graph.return_(ops.reduce_sum(each))
    program = Program(model=model)
    compiled = engine.compile(program.text)
    sources = {"X": np.ones((4, 3)), "y": np.int32([0, 1, 2, 3])}
    with pytest.raises(ValueError, match="a label"):
        compiled.run("grad", sources, program)
    assert not program.state.any()
    compiled.run("grad", {**sources, "y": np.int32([0, 1, 2, 2])}, program)
    assert program.states["seen"].tolist() == [1, 1, 1]


def test_the_short_road(case):
    predictor = case.compiled.predictor("predict", case.program)
    x = case.sources["X"]
    (whole,) = case.compiled.run("predict", {"X": x}, case.program)
    np.testing.assert_array_equal(predictor(x), whole)
    np.testing.assert_array_equal(predictor(x.astype(np.float64)), whole)
    np.testing.assert_array_equal(predictor(x[3:4]), whole[3:4])
    many = np.tile(x, (50, 1))
    np.testing.assert_array_equal(predictor(many), np.tile(whole, (50, 1)))
    bad = x.copy()
    bad[7, 3] = np.nan
    for refused in (
        bad,
        np.full((1, 20), np.inf),
        x[:, :19],
        x[:, ::2],
        np.asfortranarray(x),
        x.astype(np.int16),
        x.astype(bool),
        x.astype(">f4"),
        x[0],
        x[:0],
        x.tolist(),
        x.view(Rows),
    ):
        assert predictor(refused) is None


def test_the_short_road_of_several_sources_of_any_rank():
    model = Model("f32")
    table = model.parameter("table", (5, 6))
    with model.function("predict") as graph:
        image = ops.input_("image", (B, 2, 3), "u8")
        ids = ops.input_("ids", (B,), "i64")
        scale = ops.input_("scale", (B, 1), "f32")
        flat = ops.cast(ops.reshape(image, (B, 6)), "f32")
        graph.return_(ops.mul(flat + ops.gather(table, ids), scale))
    text = print_program(model)
    program = Program(text)
    program.weights["table"][...] = np.arange(30).reshape(5, 6)
    compiled = engine.compile(text)
    names = ["scale", "unused", "ids", "image"]
    predictor = compiled.predictor("predict", program, names)
    rng = np.random.default_rng(0)
    for rows in (1, 5, 20_000):
        sources = {
            "image": rng.integers(0, 256, (rows, 2, 3)).astype(np.uint8),
            "ids": rng.integers(0, 5, rows),
            "scale": rng.normal(size=(rows, 1)),
            "unused": None,
        }
        given = [sources[name] for name in names]
        read = {k: v for k, v in sources.items() if v is not None}
        (want,) = compiled.run("predict", read, program)
        np.testing.assert_array_equal(predictor(*given), want)
        for dtype in (np.int32, np.uint8, np.float32):
            given[2] = sources["ids"].astype(dtype)
            np.testing.assert_array_equal(predictor(*given), want)
        for wrong in (
            given[:3],
            [*given[:3], given[3][:, :, :2]],
            [*given[:3], given[3].reshape(rows, 6)],
            [given[0][:-1], *given[1:]],
            [np.full_like(given[0], np.inf), *given[1:]],
            [*given[:2], given[2] + 5, given[3]],
        ):
            assert predictor(*wrong) is None
    with pytest.raises(ValueError, match="no short road: it must read whole dense"):
        compiled.predictor("predict", program, ["image", "ids"])


def test_the_short_road_takes_no_number_that_cannot_be_read(case):
    predictor = case.compiled.predictor("predict", case.program)
    x = case.sources["X"].astype(np.float64)
    for rows in (x, x[:1], np.tile(x, (50, 1))):
        beyond = rows.copy()
        beyond[-1, -1] = -1e39
        assert predictor(rows) is not None and predictor(beyond) is None


def test_the_short_road_refuses_an_index_out_of_range():
    model = Model("f32")
    table = model.parameter("table", (5, 2))
    with model.function("predict") as graph:
        x = ops.input_("X", (B, 1), "f32")
        ids = ops.cast(ops.reshape(x, (B,)), "i32")
        graph.return_(ops.gather(table, ids))
    text = print_program(model)
    predictor = engine.compile(text).predictor("predict", Program(text))
    for count in (1, 9, 5000):
        ids = np.zeros((count, 1), np.float32)
        assert predictor(ids).shape == (count, 2)
        ids[-1] = 5
        assert predictor(ids) is None
        ids[-1] = 4
        assert predictor(ids) is not None


def test_calls_at_once_do_not_disturb_each_other(case):
    predictor = case.compiled.predictor("predict", case.program)
    x = case.sources["X"]
    whole, wrong = predictor(x), []

    def work(row):
        for _ in range(200):
            if not np.array_equal(predictor(x[row : row + 9]), whole[row : row + 9]):
                wrong.append(row)

    threads = [threading.Thread(target=work, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_compile_caches_by_text(case):
    text = case.program.text
    assert engine.compile(text) is engine.compile(text)
    level = engine.available_isas()[0]
    assert engine.compile(text, isa=level) is engine.compile(text, isa=level)
    assert pickle.loads(pickle.dumps(case.compiled)) is case.compiled
    assert copy.deepcopy(case.compiled) is case.compiled


@pytest.mark.parametrize("isa", engine.available_isas())
def test_every_instruction_set_gives_nearly_the_same(case, isa):
    x = {"X": case.sources["X"]}
    (best,) = case.compiled.run("predict", x, case.program)
    (other,) = engine.compile(case.program.text, isa).run("predict", x, case.program)
    np.testing.assert_allclose(other, best, rtol=1e-5, atol=1e-5)


def test_the_environment_chooses_the_instruction_set():
    code = "from slimlearn.backend import engine; print(engine.isa())"
    for wish, shown in (("generic", "generic"), ("pentium", "does not run that level")):
        environment = {**os.environ, "SLIM_ISA": wish}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert shown in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slim 0\n", "line 1: expected a version such as 1, found '0'"),
        ("slim 01\n", "line 1: expected a version such as 1, found '01'"),
        ("slim 2\n", "newer than this slimlearn reads"),
        ("slim 1\n\nfunc f {\n  %x = what() : f32[]\n}\n", "what"),
        ("nonsense", "line 1"),
        ("", "end of the text"),
    ],
)
def test_a_bad_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        engine.compile(text)


def test_bad_calls_are_refused(case):
    x = case.sources["X"]
    with pytest.raises(ValueError, match="no function transform: it has"):
        case.compiled.run("transform", {"X": x}, case.program)
    with pytest.raises(ValueError, match="source X is missing"):
        case.compiled.run("predict", {}, case.program)
    with pytest.raises(ValueError, match="declares no hyper nope"):
        case.compiled.run("predict", {"X": x}, case.program, hypers={"nope": 1.0})
    with pytest.raises(TypeError, match="hyper nope must be a number, got 'a'"):
        case.compiled.run("predict", {"X": x}, case.program, hypers={"nope": "a"})
    with pytest.raises(ValueError, match="instruction set"):
        engine.compile(case.program.text, isa="vax")
    for kind in ("u4", "u8", "f2", ">f4", "O"):
        told = f"source X has the type {np.dtype(kind)}: convert it to .* int64, float3"
        with pytest.raises(ValueError, match=told):
            case.compiled.run("predict", {"X": x.astype(kind)}, case.program)
    with pytest.raises(TypeError, match="NumPy array"):
        case.compiled.run("predict", {"X": x.tolist()}, case.program)
    assert issubclass(engine.NativeError, RuntimeError)


def test_memory_that_cannot_be_had_is_an_error_not_an_end():
    text = (
        "slim 1\n\nfunc f {\n"
        '  %x = input(source="X") : f32[B,4]\n'
        "  %y = broadcast(%z) : f32[70368744177664]\n}\n"
    )
    with pytest.raises(ValueError):
        engine.compile(text).run("f", {"X": np.zeros((1, 4))}, Program(text))


def test_handlers_of_signals_run_during_a_call():
    """One fills what the call has not read yet; before, it had to wait for the end."""
    sizes = (20, 800, 3)
    case = Case(network("f32", sizes=sizes), data(200_000, "f32"))
    x = case.sources["X"]
    x[...] = 0
    former = signal.signal(signal.SIGUSR1, lambda *_: x.fill(1))
    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        (values,) = case.compiled.run("predict", {"X": x}, case.program)
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert (values[0] != values[-1]).any()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("batch", [None, 100_000], ids=["chunks", "one"])
def test_ctrl_c_ends_a_call_and_leaves_nothing_behind(n_threads, batch):
    case = Case(network("f32", sizes=(20, 800, 3)), data(100_000, "f32"))
    sources, options = {"X": case.sources["X"]}, {"n_threads": n_threads}
    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()  # which may take that long
        for _ in range(100):
            case.compiled.run("predict", sources, case.program, batch=batch, **options)
    timer.join()
    few = {"X": sources["X"][:50]}
    (values,) = case.compiled.run("predict", sources, case.program, batch=batch)
    (expected,) = case.compiled.run("predict", few, case.program)
    np.testing.assert_array_equal(values[:50], expected)


@pytest.mark.parametrize("func", ["predict", "update"])
@pytest.mark.parametrize("rows", [0, -1, -(2**62)])
def test_a_plan_for_no_rows_is_refused(case, func, rows):
    for call in (case.compiled.info, case.compiled.dump):
        with pytest.raises(
            ValueError, match=f"{func} is planned for 1 .* not for {rows}"
        ):
            call(func, rows)


def test_what_cannot_be_planned_is_compiled_once(case, monkeypatch, capfd):
    monkeypatch.setenv("SLIM_DUMP", "1")
    case.compiled.info("predict", 12_345)
    once = capfd.readouterr().err.count("func predict")
    assert once > 1
    with pytest.raises(ValueError, match="is too large"):
        case.compiled.info("predict", 2**45)
    assert capfd.readouterr().err.count("func predict") == once


class Tower:
    """A function of `depth` layers, each so many numbers a row."""

    def __init__(self, width, depth=1):
        model = Model("f32")
        first = model.parameter("first", (1, width))
        scale = model.parameter("scale", (width,))
        last = model.parameter("last", (width, 1))
        with model.function("f") as graph:
            x = ops.input_("X", (B, 1), "f32") @ first
            for _ in range(depth):
                x = ops.softmax(x * scale)
            graph.return_(x @ last)
        self.model = model
        self.compiled = engine.NativeModel(print_program(model))
        self.chunk = self.compiled.native.chunk_rows("f")


def test_chunks_go_by_bytes_down_to_one_row():
    small, row, rows_ = Tower(100), Tower(10**6), Tower(10**5)
    assert small.chunk == 256 and Tower(1).chunk == 1024
    assert row.chunk < 10
    bytes_ = row.compiled.info("f", row.chunk)["arena_bytes"]
    assert bytes_ <= 33 << 20
    assert rows_.chunk > row.chunk
    huge = Tower(25_000_000)  # a row of 200 MB
    assert huge.chunk == 1
    assert huge.compiled.info("f", 1)["arena_bytes"] > 100 << 20


@pytest.mark.parametrize("depth", [5, 200])
def test_a_deep_network_s_chunk_is_that_of_what_it_keeps(depth):
    assert Tower(5000, depth).chunk == 64


def test_bits_do_not_depend_on_the_chunk():
    tower = Tower(400_000)
    assert 1 < tower.chunk < 23
    program = Program(model=tower.model)
    rng = np.random.default_rng(0)
    for weights in program.weights.values():
        weights[...] = rng.standard_normal(weights.shape, np.float32)
    x = rng.standard_normal((23, 1), np.float32)
    runs = [
        tower.compiled.run("f", {"X": x}, program, batch=batch, n_threads=threads)
        for batch, threads in ((None, 1), (None, 2), (1, 1), (7, 2), (23, 1))
    ]
    assert len({run[0].tobytes() for run in runs}) == 1


@pytest.mark.parametrize("rows", [2, 11, 23, 90, 100])
def test_sums_over_chunks_of_many_bytes_do_not_depend_on_threads(rows):
    model = Model("f32")
    with model.function("f") as graph:
        wide = ops.input_("X", (B, 1), "f32") * model.parameter("w", (400_000,))
        graph.return_(ops.reduce_sum(ops.softmax(wide)[:, 0]))
    program = Program(model=model)
    compiled = engine.NativeModel(print_program(model))
    assert 1 < compiled.native.chunk_rows("f") < 23
    x = np.random.default_rng(rows).standard_normal((rows, 1), np.float32)
    sums = [
        compiled.run("f", {"X": x}, program, n_threads=threads)[0].tobytes()
        for threads in (1, 2, 3)
    ]
    assert len(set(sums)) == 1


def test_integer_sums_over_chunks_wrap_around_as_in_one():
    model = Model("f32")
    with model.function("f") as graph:
        graph.return_(ops.reduce_sum(ops.input_("X", (B,), "i32")))
    compiled = engine.NativeModel(print_program(model))
    x = np.full(100, 2**31 - 1, np.int32)
    sums = [
        int(compiled.run("f", {"X": x}, Program(model=model), batch=batch)[0])
        for batch in (1, 7, 100)
    ]
    assert sums == [-100] * 3


def test_facts_of_a_plan(case):
    facts = case.compiled.info("predict", 64)
    assert facts["launches"] <= 3
    assert facts["arena_bytes"] < 64 * 1024
    assert not facts["exact"]
    assert "yield" in case.compiled.dump("predict")


def _constant_function(text: str):
    text = f"slim 1\n\nfunc f {{\n{text}}}\n"
    program = Program(text)
    compiled = engine.compile(text)

    def native(sources, **options):
        return compiled.run("f", sources, program, **options)

    def exact(sources):
        return reference.run(program.model, "f", sources, {}).returns

    return native, exact


@pytest.mark.parametrize(
    "body",
    [
        "  %c = constant(value=2.0) : f32[B,3]\n  return %c\n",
        '  %n = extent(dim="B") : f64[]\n  return %n\n',
        "  %r = random_uniform(stream=5) : f32[B,3]\n  return %r\n",
    ],
    ids=["constant", "extent", "random"],
)
def test_a_function_that_reads_nothing_has_the_rows_of_its_sources(body):
    native, exact = _constant_function(body)
    sources = {"X": np.zeros((7, 2)), "y": np.zeros(7)}
    for made, wanted in zip(native(sources), exact(sources), strict=True):
        np.testing.assert_array_equal(made, wanted)
    for run in (native, exact):
        with pytest.raises(ValueError, match=r"^\[f\] has rows, but reads no source"):
            run({})
        with pytest.raises(ValueError, match="sources differ in rows"):
            run({"X": np.zeros((7, 2)), "y": np.zeros(6)})
    assert len(native({}, batch=4)[0].reshape(-1)) in (1, 12)


def test_a_function_without_rows_needs_no_source():
    native, exact = _constant_function(
        "  %c = constant(value=2.0) : f32[3]\n  return %c\n"
    )
    np.testing.assert_array_equal(native({})[0], exact({})[0])
