"""Symbols beside the batch: sizes from the sources, a plan for each, extents."""

import numpy as np
import pytest
from support.native_run import ISAS
from support.training_case import Case

from slimlearn import _native
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import Adam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B, symbol

T = symbol("T")
FEATURES, CLASSES = 8, 3


def network(precision="f64") -> Model:
    """Return a model over sequences: a dense layer at each step, their mean, a loss."""
    model = Model(precision)
    w1 = model.parameter("w1", (FEATURES, 5))
    w2 = model.parameter("w2", (5, CLASSES))

    def logits():
        x = ops.input_("X", (B, T, FEATURES), precision)
        steps = ops.relu(ops.reshape(x, (B * T, FEATURES)) @ w1)
        total = ops.reduce_sum(ops.reshape(steps, (B, T, 5)), 1)
        return (total / ops.extent(T, precision)) @ w2

    with model.function("init") as graph:
        for parameter in (w1, w2):
            graph.set_(parameter, ops.random_normal(parameter.shape, precision))
    with model.function("predict") as graph:
        graph.return_(ops.cast(logits(), "f64"), ops.extent(T * 2 + 1, "f64"))
    with model.function("grad", training=True) as graph:
        loss = ops.sparse_softmax_cross_entropy(logits(), ops.input_("y", (B,), "i32"))
        total = ops.reduce_sum(ops.cast(loss, "f64"))
        rows = ops.extent(B, "f64")
        objective = total / rows
        graph.return_(objective, total, rows)
        for p, g in zip((w1, w2), gradients([objective], [w1, w2]), strict=True):
            graph.grad_(p, g)
    Adam().build(model)
    return model


def data(rows: int, length: int) -> dict:
    rng = np.random.default_rng([rows, length])
    return {
        "X": rng.standard_normal((rows, length, FEATURES)),
        "y": rng.integers(0, CLASSES, rows).astype("i4"),
    }


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_one_function_runs_at_every_length(isa, precision):
    model = network(precision)
    program = Program(model=model).initialize(1, engine="reference")
    compiled = engine.compile(program.text, isa)
    tolerance = 1e-5 if precision == "f32" else 1e-12
    for length in (1, 5, 16, 33):
        for rows in (1, 7, 300):
            sources = {"X": data(rows, length)["X"]}
            want = reference.run(model, "predict", sources, program.weights).returns
            got = compiled.run("predict", sources, program, n_threads=2)
            np.testing.assert_allclose(got[0], want[0], rtol=tolerance, atol=tolerance)
            assert got[1] == 2 * length + 1
            alone = compiled.run("predict", {"X": sources["X"][-1:]}, program)
            assert alone[0].tobytes() == got[0][-1:].tobytes()


def test_each_length_has_a_plan_and_few_are_kept():
    program = Program(model=network())
    compiled = engine.NativeModel(program.text)

    def run(length):
        before = compiled.cache_info()["misses"]
        compiled.run("predict", {"X": np.zeros((4, length, FEATURES))}, program)
        return compiled.cache_info()["misses"] - before

    assert [run(3), run(3), run(4), run(3), run(4)] == [1, 0, 1, 0, 0]
    for length in range(5, 105):
        run(length)
    assert compiled.cache_info()["size"] <= 64
    assert run(3) == 1, "the least recently used left"


@pytest.mark.parametrize("length", [1, 6])
def test_training_is_numpy_s_step_for_step(length):
    case = Case(network(), data(37, length))
    oracle, twin = case.oracle()
    rates = np.full(case.trainer().info()["steps"], 0.01)
    for epoch in range(2):
        mine = case.trainer().epoch(epoch, epoch * len(rates), rates)
        theirs = oracle.epoch(epoch, epoch * len(rates), rates)
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=1e-10)
        for name, weights in case.program.weights.items():
            np.testing.assert_allclose(weights, twin.weights[name], rtol=1e-8)


def test_lbfgs_minimises_over_sequences():
    case = Case(network(), data(37, 4))
    trainer = case.trainer()
    losses = []
    trainer.lbfgs(20, callback=lambda i, objective, loss: losses.append(loss) or False)
    assert losses[-1] < losses[0]


def test_a_plan_tells_its_sizes():
    compiled = engine.compile(Program(model=network()).text)
    few, many = (compiled.info("grad", 8, {"T": t}) for t in (2, 64))
    assert few["launches"] == many["launches"]
    assert few["arena_bytes"] < many["arena_bytes"]
    assert "f64[8*B,8]" in compiled.dump("predict", 4, {"T": 8})
    with pytest.raises(ValueError, match="the size of T is unknown in func predict"):
        compiled.info("predict", 8)
    with pytest.raises(ValueError, match="%X, dimension T: is -1 at these sizes"):
        compiled.info("predict", 8, {"T": -1})


def test_sequences_without_steps():
    program = Program(model=network()).initialize(1, engine="reference")
    run = engine.compile(program.text).run
    means, size = run("predict", {"X": np.zeros((3, 0, FEATURES))}, program)
    assert np.isnan(means).all() and size == 1


def two_inputs() -> str:
    model = Model("f64")
    with model.function("f") as graph:
        a = ops.input_("a", (B, T), "f64")
        b = ops.input_("b", (T, 2), "f64")
        graph.return_(a @ b)
    return str(model)


def test_sources_must_agree_on_a_size():
    text = two_inputs()
    compiled, program = engine.compile(text), Program(text)
    a, b = np.ones((5, 3)), np.ones((3, 2))
    (got,) = compiled.run("f", {"a": a, "b": b}, program)
    np.testing.assert_array_equal(got, a @ b)
    with pytest.raises(ValueError, match=r"\[input b\] T is 4 in source b, but 3 in"):
        compiled.run("f", {"a": a, "b": np.ones((4, 2))}, program)


def test_a_size_that_no_input_tells_is_asked_for():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (B, T + 1), "f64")
        graph.return_(ops.reduce_sum(x, 1) * ops.extent(T, "f64"))
    program = Program(model=model)
    with pytest.raises(ValueError, match="size of T is unknown in func f: no input"):
        engine.compile(program.text).run("f", {"x": np.ones((2, 4))}, program)


def test_a_symbol_is_substituted_everywhere():
    text = """slim 1

func f {
  %x = input(source="x") : f64[B,T,4]
  %n = extent(dim="B*T+2*T") : f64[]
  %r = reshape(%x) : f64[4*B*T]
  %s = fused(%r, %n) {
    (%a : f64[4*B*T], %b : f64[])
    %e = extent(dim="T//2") : f64[]
    %c = mul(%a, %b) : f64[4*B*T]
    %d = add(%c, %e) : f64[4*B*T]
    yield %d
  } : f64[4*B*T]
  return %s
}
"""
    sized = text.replace("4*B*T", "20*B").replace('"B*T+2*T"', '"5*B+10"')
    sized = sized.replace('"T//2"', '"2"').replace("B,T,4", "B,5,4")
    assert _native.specialise(text, "f", {"T": 5}) == sized
    assert _native.specialise(text, "f", {}) == text
    with pytest.raises(ValueError, match="overflows"):
        _native.specialise(text, "f", {"T": 2**62})
