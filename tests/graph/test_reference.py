"""The NumPy runner and trainer: the rules that native code has to match."""

import numpy as np
import pytest

from slimlearn.backend import ops, philox, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B, symbol


def linear(momentum=True, loss=None, clip=False):
    """Return least squares with momentum as a program of all functions."""
    model = Model("f64")
    w, b = model.parameter("w", (3, 1)), model.parameter("b", (1,))
    seen = model.state("seen", ())

    def outputs():
        return ops.reshape(ops.input_("X", (B, 3), "f64") @ w + b, (B,))

    with model.function("init") as graph:
        graph.set_(w, ops.random_normal((3, 1), "f64", name="w0"))
        graph.set_(b, ops.constant(0.0, "f64", (1,)))
        graph.set_(seen, ops.constant(0.0, "f64"))
    with model.function("grad", training=True) as graph:
        error = outputs() - ops.input_("y", (B,), "f64")
        each = (loss or ops.square)(error)
        weight = ops.input_("sample_weight", (B,), "f64")
        total = ops.reduce_sum(each * weight)
        objective = total / ops.extent(B)
        graph.return_(objective, total, ops.reduce_sum(weight))
        for parameter, slope in zip((w, b), gradients(objective, (w, b)), strict=True):
            graph.grad_(parameter, slope)
        graph.set_(seen, seen + ops.extent(B))
    with model.function("update") as graph:
        size = symbol("P")
        weight = ops.input_("weight", (size,), "f64")
        gradient = ops.input_("gradient", (size,), "f64")
        if clip:
            gradient = gradient * model.hyper("gradient_scale")
        gradient = gradient + model.hyper("segment.l2") * weight
        velocity = model.slot("sgd/velocity")
        fresh = velocity * model.hyper("momentum") + gradient
        graph.set_(velocity, fresh)
        graph.return_(weight - model.hyper("learning_rate") * fresh)
    return model


def data(rows, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 3))
    y = x @ [1.0, -2, 0.5] + 0.3
    return {"X": x, "y": y, "sample_weight": np.ones(rows)}


def trainer(model, sources, **options):
    program = Program(model=model).initialize(5, engine="reference")
    slots = program.slot_views(program.allocate_slots())
    options = {"batch_size": 16, "hypers": {"momentum": 0.9}, "seed": 3, **options}
    made = reference.Trainer(
        model, program.weights, program.states, slots, sources, **options
    )
    return program, made


def test_training_by_hand():
    model, sources = linear(), data(10)
    program, made = trainer(model, sources, batch_size=4)
    w, b = (program.weights[name].copy() for name in ("w", "b"))
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    losses = []
    for epoch in range(2):
        order = philox.permutation(10, 3, epoch)
        for rows in (order[:4], order[4:8], order[8:]):
            x, y = sources["X"][rows], sources["y"][rows]
            error = x @ w[:, 0] + b - y
            losses.append(np.sum(error**2))
            vw = 0.9 * vw + 2 * x.T @ error[:, None] / len(rows)
            vb = 0.9 * vb + 2 * error.sum(keepdims=True) / len(rows)
            w, b = w - 0.05 * vw, b - 0.05 * vb
        result = made.epoch(epoch, 3 * epoch, np.full(3, 0.05))
        assert result.steps == 3 and result.weight_sum == 10
        assert result.loss == pytest.approx(sum(losses[-3:]) / 10, rel=1e-12)
    np.testing.assert_allclose(program.weights["w"], w, rtol=1e-12)
    np.testing.assert_allclose(program.weights["b"], b, rtol=1e-12)
    assert program.states["seen"] == 20


def test_training_learns():
    program, made = trainer(linear(), data(100))
    for epoch in range(60):
        result = made.epoch(epoch, 7 * epoch, np.full(7, 0.02))
    assert result.loss < 1e-6
    np.testing.assert_allclose(program.weights["w"][:, 0], [1, -2, 0.5], atol=1e-3)


@pytest.mark.parametrize(
    ("rows", "size", "spans"),
    [
        (10, 4, [(0, 4), (4, 8), (8, 10)]),
        (9, 4, [(0, 4), (4, 9)]),
        (8, 4, [(0, 4), (4, 8)]),
        (1, 4, [(0, 1)]),
        (5, 4, [(0, 5)]),
        (3, 4, [(0, 3)]),
        (3, 1, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_batches(rows, size, spans):
    assert reference.batches(rows, size) == spans


def test_rows_not_in_the_index_are_never_seen():
    sources = data(20)
    sources["y"][10:] = np.nan
    program, made = trainer(linear(), sources, index=np.arange(10), batch_size=3)
    assert made.epoch(0, 0, np.full(3, 0.01)).weight_sum == 10
    assert np.isfinite(program.weights["w"]).all()


def test_without_shuffling_rows_come_in_order():
    sources = data(6)
    seen = []
    _, made = trainer(linear(), sources, shuffle=False, batch_size=2)
    step = made.step
    made.step = lambda rows, *rest: seen.extend(rows) or step(rows, *rest)
    made.epoch(0, 0, np.full(3, 0.01))
    assert seen == list(range(6))


def test_segments_freeze_and_pull():
    sources = data(8)
    segments = [{"frozen": True}, {"l2": 0.5}]
    program, made = trainer(linear(), sources, segments=segments, batch_size=8)
    w, b = (program.weights[name].copy() for name in ("w", "b"))
    error = sources["X"] @ w[:, 0] + b - sources["y"]
    made.epoch(0, 0, [0.1])
    np.testing.assert_array_equal(program.weights["w"], w)
    want = b - 0.1 * (2 * error.mean() + 0.5 * b)
    np.testing.assert_allclose(program.weights["b"], want, rtol=1e-12)


@pytest.mark.parametrize("kind", ["clip_norm", "clip_value"])
def test_clipping(kind):
    sources = data(8)
    program, made = trainer(linear(clip=True), sources, batch_size=8, **{kind: 0.01})
    before = np.concatenate([v.ravel() for v in program.weights.values()])
    made.epoch(0, 0, [1.0])
    after = np.concatenate([v.ravel() for v in program.weights.values()])
    moved = before - after
    if kind == "clip_norm":
        assert np.linalg.norm(moved) == pytest.approx(0.01, rel=1e-9)
    else:
        np.testing.assert_allclose(np.abs(moved), 0.01, rtol=1e-9)


def test_a_step_that_is_not_finite_names_the_first_bad_op():
    def loss(error):
        return ops.log(error - error, name="bad/log")

    program, made = trainer(linear(loss=loss), data(8))
    before = program.params.copy()
    with pytest.raises(FloatingPointError, match=r"step 1: \[log bad/log\] is not fin"):
        made.epoch(0, 0, [0.1])
    np.testing.assert_array_equal(program.params, before)


def test_bad_labels_stop_the_training():
    model = Model()
    w = model.parameter("w", (2, 3))
    with model.function("grad") as graph:
        logits = ops.input_("X", (B, 2)) @ w
        loss = ops.sparse_softmax_cross_entropy(logits, ops.input_("y", (B,), "i32"))
        total = ops.cast(ops.reduce_sum(loss), "f64")
        graph.return_(total, total, ops.extent(B))
        graph.grad_(w, gradients(total, w)[0])
    sources = {"X": np.ones((4, 2)), "y": np.array([0, 1, 2, 3])}
    made = reference.Trainer(
        model, {"w": np.zeros((2, 3), "f4")}, {}, {}, sources, batch_size=4
    )
    with pytest.raises(
        ValueError, match=r"step 1: \[sparse\S+ .*\]: a label is negative"
    ):
        made.epoch(0, 0, [0.1])


def test_what_is_missing_or_misshapen_is_named():
    model = linear()
    run = reference.run
    params = {"w": np.zeros((3, 1)), "b": np.zeros(1)}
    state = {"seen": np.zeros(())}
    good = data(4)
    with pytest.raises(ValueError, match=r"no function 'predict'; it has \['grad'"):
        run(model, "predict", good, params)
    with pytest.raises(ValueError, match=r"\[grad\] needs param 'b'; given: \['w'\]"):
        run(model, "grad", good, {"w": params["w"]}, state)
    with pytest.raises(ValueError, match=r"\[grad\] needs source 'y'"):
        run(model, "grad", {"X": good["X"]}, params, state)
    with pytest.raises(
        ValueError, match=r"\[param w\] the program declares f64\[3,1\]"
    ):
        run(model, "grad", good, {**params, "w": np.zeros((3, 2))}, state)
    with pytest.raises(
        ValueError, match=r"\[input y\] .* f64\[B\] with B=4, .* \(3,\)"
    ):
        run(model, "grad", {**good, "y": np.zeros(3)}, params, state)
    with pytest.raises(ValueError, match=r"\[update\] needs hyper"):
        run(model, "update", {"weight": [1.0], "gradient": [1.0]}, {})


def test_reads_see_old_values():
    model = Model("f64")
    a, b = model.state("a", (2,)), model.state("b", (2,))
    with model.function("f") as graph:
        graph.set_(a, ops.identity(b))
        graph.set_(b, ops.identity(a))
        graph.return_(a)
    state = {"a": np.array([1.0, 2]), "b": np.array([3.0, 4])}
    result = reference.run(model, "f", {}, {}, state)
    np.testing.assert_array_equal(result.returns[0], [1, 2])
    np.testing.assert_array_equal(state["a"], [1, 2])
    reference.apply(result, state)
    np.testing.assert_array_equal(state["a"], [3, 4])
    np.testing.assert_array_equal(state["b"], [1, 2])


def test_scans_see_every_value_in_order():
    model, seen = linear(), []
    state = {"seen": np.zeros(())}
    params = {"w": np.zeros((3, 1)), "b": np.zeros(1)}
    reference.run(
        model, "grad", data(4), params, state, on_value=lambda n, a: seen.append(n.op)
    )
    assert seen == [node.op for node in model.functions["grad"].nodes]
    arguments = (model, "grad", data(4), params, state)
    assert reference.first_nonfinite(*arguments) is None


def test_sources_of_any_kind_are_converted():
    model = Model()
    with model.function("f") as graph:
        graph.return_(ops.input_("X", (B, 2), "f32", columns=(1, 3)))
    wide = np.arange(12, dtype=">i2").reshape(3, 4)[:, ::-1]
    (got,) = reference.run(model, "f", {"X": wide}, {}).returns
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, wide[:, 1:3])
    with pytest.raises(ValueError, match=r"columns 1:3 of source 'X', which has shape"):
        reference.run(model, "f", {"X": wide[:, :2]}, {})


def test_random_rows_do_not_depend_on_the_batch():
    model = Model()
    with model.function("f") as graph:
        x = ops.input_("X", (B, 6))
        graph.return_(ops.dropout(x, 0.5), ops.random_normal((2 * B, 3)))
    x = np.ones((8, 6))
    whole = reference.run(model, "f", {"X": x}, {}, seed=4, step=9).returns
    part = reference.run(
        model, "f", {"X": x[2:5]}, {}, seed=4, step=9, first_row=2
    ).returns
    np.testing.assert_array_equal(whole[0][2:5], part[0])
    np.testing.assert_array_equal(whole[1][4:10], part[1])


def test_status_text():
    assert reference.status_text(0) == ""
    assert "index" in reference.status_text(1)
    assert ";" in reference.status_text(3)
