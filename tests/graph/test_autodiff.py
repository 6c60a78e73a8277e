"""Gradients as graph: only the nodes that are needed, and right in whole networks."""

import random

import numpy as np
import pytest
from support.random_graphs import random_model, random_params, random_sources

from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program, print_program


def new_ops(graph, build):
    """Return the names of the ops that `build` appends to `graph`."""
    before = len(graph.nodes)
    build()
    return [node.op for node in graph.nodes[before:]]


def two_layers(model):
    """Return a classifier's objective, built the way estimators do."""
    x, y = ops.input_("X", (B, 20)), ops.input_("y", (B,), "i32")
    w = ops.input_("sample_weight", (B,))
    h = x
    for name, (rows, columns) in {"fc1": (20, 64), "fc2": (64, 3)}.items():
        weights = model.parameter(f"{name}/weights", (rows, columns))
        biases = model.parameter(f"{name}/biases", (columns,))
        h = ops.add(h @ weights, biases)
        if name == "fc1":
            h = ops.relu(h)
    loss = ops.sparse_softmax_cross_entropy(h, y) * w
    return ops.reduce_sum(ops.cast(loss, "f64")) / ops.extent(B)


def test_a_network_needs_these_ops_and_no_more():
    model = Model()
    with model.function("grad") as graph:
        objective = two_layers(model)
        appended = new_ops(graph, lambda: gradients(objective, list(model.parameters)))
    assert appended == [
        "constant",
        "div",
        "cast",
        "mul",
        "sparse_softmax_cross_entropy_grad",
        "reduce_sum",
        "matmul",
        "matmul",
        "relu_grad",
        "reduce_sum",
        "matmul",
    ]


def test_only_the_path_to_the_xs_is_differentiated():
    model = Model()
    with model.function("grad") as graph:
        objective = two_layers(model)
        last = [model.parameters["fc2/biases"]]
        appended = new_ops(graph, lambda: gradients(objective, last))
    assert "matmul" not in appended and "relu_grad" not in appended


def test_what_does_not_depend_has_none():
    model = Model()
    with model.function("f") as graph:
        x, y = ops.input_("x", (3,)), ops.input_("y", (3,))
        i = ops.input_("i", (3,), "i32")
        z = ops.exp(x)
        assert new_ops(graph, lambda: gradients(z, [y])) == []
        assert gradients(z, [y, i]) == [None, None]
        assert gradients(ops.stop_gradient(z), x) == [None]
        assert gradients(ops.cast(ops.cast(z, "i32"), "f32"), x) == [None]


def test_a_y_that_is_an_x():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (3,), "f64")
        y = x * 2
        graph.return_(*gradients([x, y], [x, y]))
    a, b = reference.run(model, "f", {"x": np.ones(3)}, {}).returns
    np.testing.assert_array_equal(a, [3, 3, 3])
    np.testing.assert_array_equal(b, [1, 1, 1])


def test_several_uses_add_up_and_grad_ys_scale():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (3,), "f64")
        y, z = x * x, ops.exp(x)
        graph.return_(*gradients([y, z], x, [x, None]))
    values = np.array([1.0, 2, 3])
    (got,) = reference.run(model, "f", {"x": values}, {}).returns
    np.testing.assert_allclose(got, 2 * values**2 + np.exp(values))


def test_a_scalar_gradient_reaches_a_broadcast_operand_in_full():
    # d/db of the mean over rows and columns of a + b: every row counts.
    model = Model("f64")
    with model.function("f") as graph:
        a, b = ops.input_("a", (B, 4), "f64"), ops.input_("b", (4,), "f64")
        graph.return_(*gradients(ops.reduce_mean(a + b), [a, b]))
    da, db = reference.run(
        model, "f", {"a": np.ones((5, 4)), "b": np.ones(4)}, {}
    ).returns
    np.testing.assert_allclose(da, np.full((5, 4), 1 / 20))
    np.testing.assert_allclose(db, np.full(4, 1 / 4))


def test_gradients_carry_the_names_of_their_values():
    model = Model()
    with model.function("grad"):
        objective = two_layers(model)
        grads = gradients(objective, list(model.parameters))
    assert [g.name for g in grads] == [
        "matmul.g/matmul",
        "add.g/reduce_sum",
        "matmul_1.g/matmul_1",
        "add_1.g/reduce_sum",
    ]


def test_third_derivative():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (3,), "f64")
        y = ops.tanh(x)
        for _ in range(3):
            (y,) = gradients(ops.reduce_sum(y), x)
        graph.return_(y)
    values = np.array([-0.5, 0.1, 0.7])
    (got,) = reference.run(model, "f", {"x": values}, {}).returns
    t = np.tanh(values)
    np.testing.assert_allclose(got, (1 - t**2) * (6 * t**2 - 2), rtol=1e-12)


def test_what_cannot_be_differentiated_is_refused():
    model = Model()
    with model.function("f"):
        x = ops.input_("x", (4, 3))
        i = ops.input_("i", (3,), "i32")
        with pytest.raises(ValueError, match=r"%i : i32\[3\] cannot be differentiated"):
            gradients(i, x)
        with pytest.raises(ValueError, match=r"the gradient of %x must be f32\[4,3\]"):
            gradients(x, x, [ops.input_("g", (4,))])
        with pytest.raises(NotImplementedError, match=r"\[orthogonal q\] has no grad"):
            gradients(ops.orthogonal(x, name="q"), x)
        rows = ops.input_("rows", (B, 3))
        with pytest.raises(
            NotImplementedError, match=r"\[concat c\] no gradient along"
        ):
            gradients(ops.concat((rows, rows), 0, name="c"), rows)
        with pytest.raises(NotImplementedError, match=r"\[pad p\] no gradient along"):
            gradients(ops.pad_axis(rows, 0, 1, name="p"), rows)


def test_a_whole_network_agrees_with_differences():
    rng = np.random.default_rng(0)
    model = Model("f64")
    with model.function("f") as graph:
        x, y = ops.input_("x", (B, 3), "f64"), ops.input_("y", (B, 2), "f64")
        a, b = model.parameter("a", (3, 4)), model.parameter("b", (4, 2))
        gamma = model.parameter("gamma", (4,))
        h = x @ a
        centred = h - ops.reduce_mean(h, 0)
        variance = ops.reduce_mean(ops.square(centred), 0)
        h = ops.sigmoid(centred * ops.rsqrt(variance + 1e-3) * gamma)
        loss = ops.reduce_mean(ops.square(ops.log_softmax(h @ b) - y))
        loss = loss + ops.reduce_sum(ops.abs(a)) * 0.1
        graph.return_(loss)
        for parameter, slope in zip(
            model.parameters, gradients(loss, list(model.parameters)), strict=True
        ):
            graph.grad_(parameter, slope)
    params = {p.name: rng.standard_normal(p.shape) for p in model.parameters}
    sources = {"x": rng.standard_normal((5, 3)), "y": rng.standard_normal((5, 2))}
    grads = reference.run(model, "f", sources, params).grads
    for name, value in params.items():
        for place in np.ndindex(value.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = value.copy()
                moved[place] += step
                run = reference.run(model, "f", sources, {**params, name: moved})
                ends.append(float(run.returns[0]))
            slope = (ends[0] - ends[1]) / 2e-6
            assert grads[name][place] == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("seed", range(60))
def test_gradients_of_random_graphs(seed):
    model = random_model(random.Random(seed), "f64")
    sources, params = random_sources("f64", 5), random_params(model)

    def run(function, moved):
        keywords = {"seed": 3, "step": 4}
        return reference.run(model, function, sources, moved, **keywords).returns

    slopes = dict(zip(params, run("g", params), strict=True))
    rng = np.random.default_rng(seed)
    for _ in range(2):
        direction = {n: rng.standard_normal(v.shape) for n, v in params.items()}
        ends = [
            float(run("f", {n: v + h * direction[n] for n, v in params.items()})[0])
            for h in (1e-6, -1e-6)
        ]
        got = sum(float(np.sum(slopes[n] * direction[n])) for n in params)
        assert got == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-7)
    assert print_program(parse_program(str(model))) == str(model)
