"""Gradients that wait for a loop's end, and of parts that stand side by side."""

import functools

import numpy as np
import pytest
from support.case import Case, Source
from support.differences import check_gradients

from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model


def layer(x, h, w, u, b, axis=1, tied=False, **options):
    def step(h, x):
        z = h @ w + x @ u + b
        h = ops.tanh(z @ w if tied else z)
        return h, h

    return ops.scan(step, h, x, axis=axis, **options)


def loops(graph):
    return [node for node in graph.nodes if node.op == "scan"]


def built(**options):
    """The nodes of a layer's gradient, [B, T, n] being [2, 5, 3]."""
    model = Model("f64")
    shape = (2, 5, 3) if options.get("axis", 1) else (5, 2, 3)
    with model.function("f") as graph:
        shapes = {"x": shape, "h": (2, 4), "w": (4, 4), "u": (3, 4), "b": (4,)}
        xs = [ops.input_(name, size, "f64") for name, size in shapes.items()]
        last, ys = layer(*xs, **options)
        graph.return_(*gradients([last, ys], xs))
    return graph


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_and_biases_are_one_product_behind_the_loop(axis):
    graph = built(axis=axis)
    _, back = loops(graph)
    assert back.attributes["carried"] == 1  # no sums
    behind = graph.nodes[graph.nodes.index(back) + 1 :]
    assert [n.op for n in behind].count("matmul") == 2
    assert [n.op for n in behind].count("reduce_sum") == 1
    inside = [node.op for node in back.regions[0].nodes]
    assert inside.count("matmul") == 2  # to h and x


def test_where_memory_is_what_counts_sums_are_carried():
    _, back = loops(built(recompute=True))
    assert back.attributes["carried"] == 4


def test_bounded_loops_carry_their_sums():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (2, 3), "f64")
        w = ops.input_("w", (3, 3), "f64")
        last = ops.while_loop(
            lambda x: ops.reduce_max(x) < 9.0,
            lambda x: ops.exp(x @ w),
            x,
            maximum_iterations=1000,
        )
        graph.return_(*gradients(last, [x, w]))
    (back,) = loops(graph)
    assert back.attributes["carried"] == 2


@pytest.mark.parametrize(
    "options",
    [
        {"axis": 1},
        {"axis": 0},
        {"axis": 1, "reverse": True},
        {"axis": 1, "tied": True},
        {"axis": 0, "tied": True, "recompute": True},
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_late_sums_are_difference_quotients(options, order):
    x = (2, 5, 3) if options["axis"] else (5, 2, 3)
    shapes = {"x": x, "h": (2, 4), "w": (4, 4), "u": (3, 4), "b": (4,)}
    inputs = {name: Source(shape, "unit") for name, shape in shapes.items()}
    build = functools.partial(layer, **options)
    check_gradients(Case("scan", "late", build, inputs, tuple(inputs)), order)


def test_gradients_of_parts_are_joined_not_added():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (2, 7, 3), "f64")
        a, b, c = x[:, :2], x[:, 2:5], x[:, 5:]
        total = [
            ops.reduce_sum(ops.square(part) * k) for k, part in enumerate((c, a, b), 2)
        ]
        (slope,) = gradients(total, [x])
        graph.return_(slope)
    assert slope.node.op == "concat"
    assert len(slope.node.operands) == 3
    values = np.random.default_rng(0).normal(size=(2, 7, 3))
    (got,) = reference.run(model, "f", {"x": values}, {}).returns
    factors = np.repeat([3.0, 4.0, 2.0], [2, 3, 2])[:, None]
    np.testing.assert_allclose(got, 2 * values * factors, rtol=1e-15)


@pytest.mark.parametrize(
    "parts", [[(0, 3), (2, 7)], [(0, 2), (4, 7)], [(1, 3), (3, 6)]]
)
def test_parts_that_overlap_or_leave_a_gap(parts):
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (2, 7), "f64")
        total = [ops.reduce_sum(ops.square(x[:, a:b])) for a, b in parts]
        graph.return_(*gradients(total, [x]))
    values = np.random.default_rng(0).normal(size=(2, 7))
    want = np.zeros_like(values)
    for a, b in parts:
        want[:, a:b] += 2 * values[:, a:b]
    (got,) = reference.run(model, "f", {"x": values}, {}).returns
    np.testing.assert_allclose(got, want, rtol=1e-15)
