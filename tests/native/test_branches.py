"""A cond as it runs: training, threads, memory, chunks, profiles, and bad programs."""

import numpy as np
import pytest
from support.conds import MALFORMED, WELL_FORMED
from support.memory import check_disjoint
from support.training_case import Case, data, network

from slimlearn import _native
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import SGD
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import ProgramError, parse_program, print_program


def branchy(precision="f32", *, rows=100, **options):
    """Return a case whose branches flip from batch to batch."""
    hypers = {"hypers": {"keep_prob": 0.7}} if options.get("dropout") else {}
    sizes = options.get("sizes", (20, 24, 3))
    sources = data(rows, precision, features=sizes[0], classes=sizes[-1])
    model = network(precision, branches=True, **options)
    return Case(model, sources, **hypers)


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_training_is_numpy_s_step_for_step(precision, dropout):
    case = branchy(precision, dropout=dropout)
    taken = []
    oracle, twin = case.oracle()
    trainer = case.trainer()
    tolerance = 1e-9 if precision == "f64" else 2e-3
    steps = trainer.info()["steps"]
    for epoch in range(3):
        rates = np.full(steps, 1e-2)
        mine = trainer.epoch(epoch, epoch * steps, rates)
        theirs = oracle.epoch(epoch, epoch * steps, rates)
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=tolerance)
        for name, weights in case.program.weights.items():
            np.testing.assert_allclose(
                weights, twin.weights[name], tolerance, tolerance / 10, err_msg=name
            )
    for start in range(0, 96, 16):
        taken.append(case.sources["X"][start : start + 16].mean() > 0)
    assert 0 < sum(taken) < len(taken)


def test_training_in_two_threads_has_the_bits_of_one():
    results = []
    for threads in (1, 2):
        model = network("f32", branches=True, dropout=True, sizes=(64, 512, 10))
        sources = data(1000, "f32", features=64, classes=10)
        case = Case(
            model,
            sources,
            n_threads=threads,
            batch_size=200,
            hypers={"keep_prob": 0.7},
        )
        losses = case.train(3)
        results.append((losses, case.program.params.tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("p", [1.0, -1.0])
def test_lanes_take_one_branch_together(p):
    """Steps of both branches, of an inner one and after it, that two lanes share."""
    model = Model("f32")
    with model.function("f") as graph:
        x, w = ops.input_("X", (B, 256)), ops.input_("w", (256, 256))
        level = ops.reduce_max(ops.exp(ops.input_("p", (), "f32")))

        def then():
            y = ops.tanh(x @ w)
            return ops.cond(level > 2, lambda: ops.softmax(y @ w), lambda: y), y

        def otherwise():
            y = ops.softmax(x)
            return y @ w, x

        a, b = ops.cond(level > 1, then, otherwise)
        graph.return_(ops.relu(a @ w) + ops.softmax(b))
    rng = np.random.default_rng(0)
    sources = {
        "X": rng.standard_normal((2000, 256)).astype("f4"),
        "w": (rng.standard_normal((256, 256)) / 16).astype("f4"),
        "p": np.array(p, "f4"),
    }
    compiled = engine.compile(print_program(model))
    program = Program(model=model)
    one, two = (
        [
            compiled.run("f", sources, program, batch=2000, n_threads=n)[0].tobytes()
            for _ in range(10)
        ]
        for n in (1, 2)
    )
    assert set(one) == set(two)
    assert len(set(one)) == 1
    (want,) = reference.run(model, "f", sources, {}).returns
    got = np.frombuffer(one[0], "f4").reshape(want.shape)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_the_loop_allocates_nothing():
    case = branchy()
    trainer = case.trainer(n_threads=1)
    before = trainer.info()
    case.train(3, trainer=trainer)
    assert trainer.info()["allocations"] == before["allocations"]


# Memory.

EXAMPLE = """slim 1
param %w : f32[4]

func predict {
  %x = input(source="X") : f32[B,4]
  %p = input(source="p") : bool[]
  %y = exp(%x) : f32[B,4]
  %a, %b = cond(%p, %y, %w) {
    (%y : f32[B,4], %w : f32[4])
    %s = softmax(%y) : f32[B,4]
    %t = exp(%s) : f32[B,4]
    %u = mul(%t, %w) : f32[B,4]
    yield %u, %y
  } {
    (%y : f32[B,4], %w : f32[4])
    %m = softmax(%y) : f32[B,4]
    %k = exp(%y) : f32[B,4]
    %n = add(%m, %k) : f32[B,4]
    yield %n, %n
  } : f32[B,4], f32[B,4]
  %r = add(%a, %b) : f32[B,4]
  return %r
}
"""


def test_yields_are_computed_where_the_results_live():
    facts = _native.memory(EXAMPLE, "predict", {"B": 8})
    then, otherwise = facts["regions"]["a"]
    places = facts["places"]
    assert then["places"]["y"] == places["y"]
    assert then["places"]["w"] == places["w"]
    assert then["places"]["u"] == places["a"]
    assert then["copies"] == [("y", *places["b"])], "an operand is copied"
    assert otherwise["places"]["n"] == places["a"]
    assert otherwise["copies"] == [("n", *places["b"])], "a second yield is copied"
    assert then["places"]["s"] == then["places"]["t"] == places["a"], "in place"
    k = otherwise["places"]["k"]
    assert k[0] == 0 and k not in places.values()
    # One place for x and y, those of a and b, p, and the regions' own stretch for k.
    assert facts["scratch_bytes"] == 3 * (128 + 64) + (64 + 64) + (192 + 64)


def both(build, precision="f32"):
    """Return a model that returns what `build` makes, and its gradients."""
    model = Model(precision)
    with model.function("predict") as graph:
        x = ops.input_("X", (B, 6), precision)
        p = ops.input_("p", (), precision)
        y = build(x, p)
        graph.return_(y, *gradients(ops.reduce_sum(ops.square(y)), [x]))
    return model


def nested(depth):
    """Return a function of x and p: a cond in a cond, to a depth."""

    def build(x, p, level=depth):
        if level == 0:
            return ops.softmax(ops.exp(x)) - x

        def then():
            y = ops.tanh(x) * 2
            return build(y - ops.reduce_max(y, 1, True), p, level - 1) + y

        return ops.cond(p > level, then, lambda: ops.relu(x) * ops.sigmoid(x))

    return build


@pytest.mark.parametrize("depth", [1, 2, 5, 14])
def test_memory_of_nested_regions_keeps_values_apart(depth):
    text = print_program(both(nested(depth)))
    for some in (text, _native.optimize(text, "predict")):
        for rows in (1, 7, 40):
            facts = _native.memory(some, "predict", {"B": rows})
            check_disjoint(some, "predict", facts, {"B": rows})


@pytest.mark.parametrize("depth", [1, 2, 5, 15])
@pytest.mark.parametrize("level", [-1.0, 1.5, 4.5, 99.0])
def test_nested_to_a_depth(depth, level):
    model = both(nested(depth), "f64")
    sources = {"X": np.linspace(-1, 1, 42).reshape(7, 6), "p": np.array(level)}
    got = engine.compile(str(model)).run("predict", sources, Program(model=model))
    want = reference.run(model, "predict", sources, {}).returns
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_passes_run_inside():
    """A branch is as few launches as the same network without a branch."""

    def net(x):
        return ops.softmax(ops.relu(x @ ops.constant(0.5, "f32", (6, 6)) + 1) * 2)

    def launches(build):
        text = print_program(both(build))
        return engine.compile(text).info("predict", 32)["launches"]

    plain = launches(lambda x, p: net(x))
    chosen = launches(lambda x, p: ops.cond(p > 0, lambda: net(x), lambda: x))
    # The comparison, and the network once more for its gradient.
    assert chosen <= 2 * plain + 2


def test_facts_and_profiles_name_what_runs_inside():
    model = both(nested(2))
    compiled = engine.compile(str(model))
    names = [name for name, *_ in compiled.info("predict", 32)["steps"]]
    assert any(name.startswith("cond/then/cond/then/") for name in names)
    assert any(name.startswith("cond/otherwise/") for name in names)
    assert compiled.info("predict", 32)["launches"] < len(names)
    sources = {"X": np.ones((32, 6), "f4")}
    program = Program(model=model)
    for level, taken, other in ((9.0, "then", "otherwise"), (0.0, "otherwise", "then")):
        records = compiled.profile(
            "predict", {**sources, "p": np.array(level)}, program
        )
        ran = [record["name"] for record in records]
        assert any(name.startswith(f"cond/{taken}/") for name in ran)
        assert not any(name.startswith(f"cond/{other}/") for name in ran)
    case = branchy()
    ran = [record["name"] for record in case.trainer().profile(12, 1e-2)]
    assert len(ran) == len(set(ran)) or any("/then/" in name for name in ran)
    assert any("/then/" in name for name in ran)
    assert any("/otherwise/" in name for name in ran)


# Rows.


def test_a_predicate_without_rows_leaves_chunks_alone():
    model = Model("f32")
    with model.function("f") as graph:
        x, p = ops.input_("X", (B, 4)), ops.input_("p", ())
        total = ops.cond(
            p > 0, lambda: ops.reduce_sum(x), lambda: ops.reduce_sum(ops.neg(x))
        )
        graph.return_(ops.cond(p > 0, lambda: ops.exp(x), lambda: x), total)
    with model.function("g") as graph:
        x = ops.input_("X", (B, 4))
        graph.return_(ops.cond(ops.reduce_sum(x) > 0, lambda: ops.exp(x), lambda: x))
    text = print_program(model)
    assert not _native.mixes_rows(text, "f")
    assert _native.mixes_rows(text, "g"), "a chunk would choose for itself"
    compiled, program = engine.compile(text), Program(model=model)
    x = np.random.default_rng(0).integers(-3, 4, (40, 4)).astype("f4")
    for p in (1.0, -1.0):
        whole, chunks = (
            compiled.run("f", {"X": x, "p": np.array(p)}, program, batch=n)
            for n in (40, 7)
        )
        for a, b in zip(whole, chunks, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_sum_in_one_branch_and_none_in_the_other_mixes_rows():
    model = Model("f32")
    with model.function("f") as graph:
        x, p = ops.input_("X", (B, 4)), ops.input_("p", ())
        graph.return_(ops.cond(p > 0, lambda: ops.reduce_sum(x), lambda: p))
    assert _native.mixes_rows(print_program(model), "f")


def test_sizes_inside_are_sizes_of_the_function():
    """What a branch alone knows of rows: their number, and bounds along them."""
    text = """slim 1

func f {
  %p = input(source="p") : bool[]
  %y = cond(%p) {
    ()
    %a = extent(dim="B//2") : f64[]
    yield %a
  } {
    ()
    %a = constant(value=-1.0) : f64[]
    yield %a
  } : f64[]
  return %y
}
"""
    compiled, program = engine.compile(text), Program(text)
    for rows in (4, 7):
        (got,) = compiled.run("f", {"p": np.array(True), "X": np.ones(rows)}, program)
        assert got == rows // 2
        assert compiled.info("f", rows)["exact"]
    with pytest.raises(ValueError, match="has rows, but reads no source"):
        compiled.run("f", {"p": np.array(True)}, program)


# The update, block by block.


class Careful(SGD):
    """Steps of half the rate above a decay; the rest as told."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def _rule(self, u):
        model = u.graph.model
        large = model.hyper("segment.decay") > 0.5
        return u.weight - ops.cond(
            large,
            lambda: self.inside(u.gradient) * 0.5,
            lambda: u.gradient,
            name="cond",
        )


def test_an_update_may_choose():
    careful = Careful(ops.square)
    model = network("f64", optimizer=careful)
    segments = [{"decay": 1.0}, {}, {"decay": 1.0}, {}]
    case = Case(model, data(), optimizer=careful, segments=segments)
    oracle, twin = case.oracle()
    rates = np.full(case.trainer().info()["steps"], 0.1)
    case.trainer().epoch(0, 0, rates)
    oracle.epoch(0, 0, rates)
    for name, weights in case.program.weights.items():
        np.testing.assert_allclose(weights, twin.weights[name], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("inside", "refused"),
    [
        (lambda g: g - ops.reduce_mean(g), r"\[cond cond\] mixes the elements"),
        (
            lambda g: ops.dropout(g, 0.5),
            r"\[dropout cond/then/dropout\] update may not",
        ),
    ],
)
def test_an_update_that_mixes_elements_inside_is_refused(inside, refused):
    careful = Careful(inside)
    case = Case(network("f64", optimizer=careful), data(), optimizer=careful)
    with pytest.raises(ValueError, match=refused):
        case.train(1)


# What is refused, and who is named.


def test_an_id_out_of_range_inside_is_named():
    model = Model("f32")
    table = model.parameter("table", (5, 2))
    with model.function("f") as graph:
        ids, p = ops.input_("ids", (B,), "i64"), ops.input_("p", ())
        graph.return_(
            ops.cond(
                p > 0,
                lambda: ops.gather(table, ids, name="rows"),
                lambda: ops.constant(0.0, "f32", (B, 2)),
            )
        )
    compiled, program = engine.compile(str(model)), Program(model=model)
    sources = {"ids": np.array([1, 9]), "p": np.array(-1.0)}
    compiled.run("f", sources, program)
    with pytest.raises(
        ValueError, match=r"^\[gather cond/then/rows\]: an index is out"
    ):
        compiled.run("f", {**sources, "p": np.array(1.0)}, program)


def test_a_non_finite_value_inside_is_named():
    case = branchy("f32")
    case.sources["X"][:] = abs(case.sources["X"])
    case.program.weights["fc3/weights"][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"step 1: \[matmul cond/then/matmul\]"):
        case.train(1)


def test_a_hyper_read_inside_needs_a_value():
    case = branchy(dropout=True)
    case.options["hypers"].pop("keep_prob")
    with pytest.raises(ValueError, match="reads the hyper keep_prob"):
        case.train(1)


def test_lbfgs_refuses_draws_inside():
    with pytest.raises(ValueError, match=r"\[dropout cond/then/drop\] draws random"):
        branchy(dropout=True, rows=300).trainer().lbfgs()


def test_lbfgs_trains_branches():
    sources = data(300, "f64")
    sources["X"] += 0.2  # one branch for all rows: smooth
    case = Case(network("f64", branches=True), sources)
    before = case.compiled.run("score", sources, case.program)
    case.trainer().lbfgs(max_iter=30)
    after = case.compiled.run("score", sources, case.program)
    assert after[0] < 0.5 * before[0]


SPARSE = """slim 1

func f {
  %x = input(source="X") : csr f32[B,4]
  %p = input(source="p") : bool[]
  %y = cond(%p, %x) {
    (%x : csr f32[B,4])
    %a = constant(value=1.0) : f32[]
    yield %a
  } {
    (%x : csr f32[B,4])
    %a = constant(value=2.0) : f32[]
    yield %a
  } : f32[]
  return %y
}
"""


def test_both_readers_refuse_sparse_operands():
    with pytest.raises(ProgramError, match=r"\[cond y\] %x is csr f32\[B,4\]"):
        parse_program(SPARSE)
    with pytest.raises(ValueError, match=r"\[cond y\] %x is csr f32\[B,4\]"):
        _native.verify(SPARSE)


@pytest.mark.parametrize("name", MALFORMED)
def test_native_refuses_what_python_refuses(name):
    old, new, _ = MALFORMED[name]
    _native.verify(WELL_FORMED)
    assert _native.roundtrip(WELL_FORMED) == WELL_FORMED
    with pytest.raises(ValueError):
        _native.verify(WELL_FORMED.replace(old, new, 1))


def levels(depth: int) -> str:
    """Return a program of so many regions in each other."""
    lines = ["slim 1", "", "func predict {"]
    lines += ['  %p = input(source="p") : bool[]', '  %a = input(source="X") : f32[2]']
    for level in range(depth):
        indent = "  " * (level + 1)
        lines.append(f"{indent}%z = cond(%p, %p, %a) {{")
        lines.append(f"{indent}  (%p : bool[], %a : f32[2])")
    lines.append("  " * (depth + 1) + "%z = exp(%a) : f32[2]")
    for level in reversed(range(depth)):
        indent = "  " * (level + 1)
        lines += [f"{indent}  yield %z", f"{indent}}} {{"]
        lines.append(f"{indent}  (%p : bool[], %a : f32[2])")
        lines += [f"{indent}  yield %a", f"{indent}}} : f32[2]"]
    return "\n".join([*lines, "  return %z", "}", ""])


def test_both_readers_take_sixteen_levels_of_graphs():
    text = levels(15)
    assert print_program(parse_program(text)) == _native.roundtrip(text) == text
    x = np.array([0.5, 2], "f4")
    for p, want in ((True, np.exp(x)), (False, x)):
        sources = {"X": x, "p": np.array(p)}
        (got,) = engine.compile(text).run("predict", sources, Program(text))
        np.testing.assert_allclose(got, want, rtol=1e-6)
    for depth in (16, 17, 40, 2000):
        with pytest.raises(ProgramError, match="deeper than 16"):
            parse_program(levels(depth))
        with pytest.raises(ValueError, match="deeper than 16"):
            _native.verify(levels(depth))
