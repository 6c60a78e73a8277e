"""Loops as graph: gradients against unrolled ones, what is kept, and refusals."""

import re

import numpy as np
import pytest
from support.loop_texts import MALFORMED, SCAN, WHILE

from slimlearn import function, layers
from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B
from slimlearn.backend.text import ProgramError, parse_program, print_program

PARAMETERS = {"w": (4, 4), "u": (3, 4), "b": (4,)}


def values(seed=0, T=5):
    rng = np.random.default_rng(seed)
    parameters = {k: rng.normal(size=shape) for k, shape in PARAMETERS.items()}
    sources = {"X": rng.normal(size=(6, T, 3)), "h": rng.normal(size=(6, 4))}
    return sources, parameters


def recurrent(loop, *, order=1, T=5):
    """Return a model of a loss over a recurrent layer and its gradients."""
    model = Model("f64")
    w, u, b = (model.parameter(k, shape) for k, shape in PARAMETERS.items())

    def step(h, x):
        z = ops.tanh(h @ w + x @ u + b)
        return z, ops.exp(z) * x[:, :1] + w[0]

    with model.function("f") as graph:
        x, h = ops.input_("X", (B, T, 3), "f64"), ops.input_("h", (B, 4), "f64")
        last, ys = loop(step, h, x)
        loss = ops.reduce_sum(ops.square(last)) + ops.reduce_sum(ops.sin(ys) * w[1])
        xs = [w, u, b, x, h]
        found = gradients(loss, xs)
        if order == 2:
            total = sum(ops.reduce_sum(ops.square(g)) for g in found)
            found = gradients(total, xs)
        graph.return_(loss, *found)
    return model


def unrolled(axis=1, reverse=False):
    def loop(step, h, x):
        ys, T = [], x.shape[1]
        for t in reversed(range(T)) if reverse else range(T):
            h, y = step(h, x[:, t])
            ys.append(ops.reshape(y, (B, 1, 4)))
        ys = ops.concat(ys[::-1] if reverse else ys, 1)
        return h, ops.transpose(ys, [1, 0, 2]) if axis == 0 else ys

    return loop


def scanned(axis=1, **options):
    def loop(step, h, x):
        if axis == 0:
            x = ops.transpose(x, [1, 0, 2])
        return ops.scan(step, h, x, axis=axis, **options)

    return loop


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_are_those_of_the_unrolled_graph(axis, reverse, recompute, order):
    options = {"reverse": reverse, "recompute": recompute}
    sources, parameters = values()
    runs = [
        reference.run(recurrent(loop, order=order), "f", sources, parameters).returns
        for loop in (scanned(axis, **options), unrolled(axis, reverse))
    ]
    for got, want in zip(*runs, strict=True):
        np.testing.assert_allclose(got, want, 1e-9, 1e-9)


def test_the_graph_does_not_grow_with_the_steps():
    texts = [print_program(recurrent(scanned(), T=T)) for T in (7, 7000)]
    assert texts[1].replace("7000", "7") == texts[0]
    assert sum("= scan(" in line for line in texts[0].splitlines()) == 2


@pytest.mark.parametrize("recompute", [False, True])
def test_what_is_kept(recompute):
    model = recurrent(scanned(recompute=recompute))
    forward, backward = (n for n in model.functions["f"].nodes if n.op == "scan")
    kept = {r.name for r in forward.results[2:]}
    carried = {"h.kept"}
    assert kept == carried if recompute else carried < kept
    inside = [n.op for n in backward.regions[0].nodes]
    assert ("exp" in inside) == recompute


def test_what_no_slice_changes_is_not_kept():
    model = Model("f64")
    w = model.parameter("w", (4, 4))
    with model.function("f") as graph:
        x = ops.input_("X", (B, 4), "f64")
        half = w * 0.5

        def step(h, _):
            return ops.tanh(h @ ops.transpose(ops.exp(half), [1, 0])), None

        last, _ = ops.scan(step, x, length=9)
        graph.return_(*gradients(ops.reduce_sum(last), [w]))
    (forward, _) = (n for n in graph.nodes if n.op == "scan")
    assert all(r.shape[1] == B for r in forward.results[1:])


def test_a_structure_goes_through():
    with Model("f64").function("f") as graph:
        x = ops.input_("X", (B, 2), "f64")

        def step(carry, slices):
            assert list(carry) == ["a", "b"]
            assert isinstance(slices, list)
            (i,) = slices
            return {"a": carry["b"][0], "b": (carry["a"],)}, (i, {"y": carry["a"]})

        carry, (i, ys) = ops.scan(step, {"a": x, "b": (x * 2,)}, [ops.iota(3)])
        graph.return_(carry["a"], carry["b"][0], i, ys["y"])
    got = reference.run(graph.model, "f", {"X": np.ones((1, 2))}, {}).returns
    assert [v.flat[0] for v in got[:2]] == [2, 1]
    np.testing.assert_array_equal(got[3][:, 0, 0], [1, 2, 1])


def test_layers_in_a_step_are_made_once():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("X", (B, 8, 3), "f64")

        def step(h, x):
            h = layers.fully_connected(ops.concat([h, x]), 4, ops.tanh)
            return h, None

        graph.return_(ops.scan(step, ops.zeros((B, 4), "f64"), x, axis=1)[0])
    assert {tuple(p.shape) for p in model.parameters} == {(7, 4), (4,)}


def test_no_gradient_where_none_goes():
    with Model("f64").function("f"):
        x = ops.input_("X", (B, 2), "f64")
        z = ops.input_("Z", (B, 2), "f64")
        last, ys = ops.scan(lambda c, i: (ops.stop_gradient(c), c), x, ops.iota(3))
        assert gradients(ops.reduce_sum(last) * 1.0, [z]) == [None]
        assert gradients(ops.reduce_sum(ops.stop_gradient(ys)), [x]) == [None]


def test_a_while_loop_without_bound_has_no_gradient():
    with Model("f64").function("f"):
        x = ops.input_("X", (2,), "f64")
        last = ops.while_loop(lambda c: ops.reduce_max(c) < 9, lambda c: c * 2, x)
        with pytest.raises(
            ValueError, match=r"\[while_loop while_loop\].*maximum_iter"
        ):
            gradients(ops.reduce_sum(last), [x])


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("bound", [3, 50])
def test_gradients_of_a_while_loop(bound, recompute):
    """Steps as the values decide; a bound that ends it, and one that does not."""
    model = Model("f64")
    w = model.parameter("w", (3,))
    with model.function("f") as graph:
        x = ops.input_("X", (3,), "f64")
        total = ops.while_loop(
            lambda c: ops.reduce_max(c) < 40,
            lambda c: c * (1 + ops.square(w)) + ops.sin(c),
            x,
            maximum_iterations=bound,
            recompute=recompute,
        )
        loss = ops.reduce_sum(ops.sqrt(total))
        first = gradients(loss, [x, w])
        second = gradients(sum(ops.reduce_sum(g) for g in first), [x, w])
        graph.return_(loss, *first, *second)

    def run(x, w):
        return reference.run(model, "f", {"X": x}, {"w": w}).returns

    x, w = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.7, 0.9])
    returns, eps = run(x, w), 1e-6
    for k in range(3):
        step = np.eye(3)[k] * eps
        for at, lower, upper in (
            (1, run(x - step, w), run(x + step, w)),
            (2, run(x, w - step), run(x, w + step)),
        ):
            slope = (upper[0] - lower[0]) / (2 * eps)
            np.testing.assert_allclose(returns[at][k], slope, rtol=1e-6)
            sums = [v[1].sum() + v[2].sum() for v in (upper, lower)]
            slope = (sums[0] - sums[1]) / (2 * eps)
            np.testing.assert_allclose(returns[at + 2][k], slope, rtol=1e-5)


def test_map_fn_is_a_loop_over_slices():
    with Model("f64").function("f") as graph:
        x = ops.input_("X", (4, 3, 3), "f64")
        graph.return_(ops.map_fn(lambda a: a @ a, x))
        graph.return_(*ops.map_fn(lambda a: (a[0], a[1] * 2), x, axis=1))
    x = np.arange(36.0).reshape(4, 3, 3)
    squares, first, second = reference.run(graph.model, "f", {"X": x}, {}).returns
    np.testing.assert_array_equal(squares, x @ x)
    np.testing.assert_array_equal(first, x[0].T)
    np.testing.assert_array_equal(second, x[1].T * 2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_switch_takes_the_one(count):
    with Model("f64").function("f") as graph:
        x = ops.input_("X", (3,), "f64")
        i = ops.input_("i", (), "i32")
        branches = [lambda k=k: x * float(k + 1) for k in range(count)]
        y = ops.switch(i, branches)
        graph.return_(y, *gradients(ops.reduce_sum(y), [x]))
    for i in range(-2, count + 2):
        sources = {"X": np.ones(3), "i": np.int32(i)}
        got = reference.run(graph.model, "f", sources, {}).returns
        for value in got:
            np.testing.assert_array_equal(value, min(max(i, 0), count - 1) + 1.0)


# What is refused.


def my_step(carry, x):
    return carry, None


def wider(carry, x):
    return ops.concat([carry, carry]), None


def doubled(carry):
    return ops.cast(carry, "f64")


REFUSALS = {
    "[scan scan] step is a function, got 3": (
        TypeError,
        lambda x: ops.scan(3, x, length=2),
    ),
    "[scan tower] wider changes the shape of carried value 0, %X: it comes as f32[B,4] "
    "and leaves as f32[B,8]": (
        ValueError,
        lambda x: ops.scan(wider, x, length=2, name="tower"),
    ),
    "[while_loop while_loop] doubled changes the dtype of carried value 0, %X": (
        ValueError,
        lambda x: ops.while_loop(lambda c: ops.reduce_max(c) < 1, doubled, x),
    ),
    "[scan scan] without xs, length says how many steps there are": (
        ValueError,
        lambda x: ops.scan(my_step, x),
    ),
    "[scan scan] length is -1": (
        ValueError,
        lambda x: ops.scan(my_step, x, length=-1),
    ),
    "%X is f32[B,4]: 4 slices, needed are 3": (
        ValueError,
        lambda x: ops.scan(my_step, x, x, length=3, axis=1),
    ),
    "%X is f32[B,4], which has no axis 2 to be cut along": (
        ValueError,
        lambda x: ops.scan(my_step, x, x, axis=2),
    ),
    "<lambda> must return the next carry and what is stacked": (
        TypeError,
        lambda x: ops.scan(lambda c, _: c, x, length=2),
    ),
    "<lambda> hands on a tensor, init is tuple of 2": (
        ValueError,
        lambda x: ops.scan(lambda c, _: (c[0], None), (x, x), length=2),
    ),
    "[scan scan: init] needs a tensor of the network being built, got 'a'": (
        TypeError,
        lambda x: ops.scan(my_step, "a", length=2),
    ),
    "[scan scan: <lambda> returns] needs a tensor": (
        TypeError,
        lambda x: ops.scan(lambda c, _: (c, "b"), x, length=2),
    ),
    "[scan scan] step is called as <lambda>(carry, x), but takes (c): what is": (
        TypeError,
        lambda x: ops.scan(lambda c: (c, c), x, length=2),
    ),
    "condition is called as <lambda>(carry), but takes (i, c): what is carried": (
        TypeError,
        lambda x: ops.while_loop(lambda i, c: i < 2, lambda both: both, (0, x)),
    ),
    "[while_loop while_loop] body is called as <lambda>(carry), but takes (i, c)": (
        TypeError,
        lambda x: ops.while_loop(
            lambda both: both[0] < 2, lambda i, c: (i + 1, c), (0, x)
        ),
    ),
    "[map_fn map_fn] fn is called as <lambda>(x), but takes (a, b)": (
        TypeError,
        lambda x: ops.map_fn(lambda a, b: a, x),
    ),
    "changes the dtype of carried value 0, %constant: it comes as i64[] and leaves": (
        ValueError,
        lambda x: ops.while_loop(lambda i: i < 2, lambda i: ops.cast(i, "i32"), 0),
    ),
    "hands on and stacks nothing": (
        ValueError,
        lambda x: ops.scan(my_step, None, length=2),
    ),
    "[while_loop while_loop] <lambda> returns bool[B,4], needs bool[]": (
        ValueError,
        lambda x: ops.while_loop(lambda c: c > 0, lambda c: c, x),
    ),
    "[while_loop while_loop] maximum_iterations is 0": (
        ValueError,
        lambda x: ops.while_loop(
            lambda c: ops.reduce_max(c) < 1, lambda c: c, x, maximum_iterations=0
        ),
    ),
    "maximum_iterations is 2.5": (
        TypeError,
        lambda x: ops.while_loop(
            lambda c: ops.reduce_max(c) < 1, lambda c: c, x, maximum_iterations=2.5
        ),
    ),
    "[while_loop while_loop] carries nothing": (
        ValueError,
        lambda x: ops.while_loop(lambda c: c, lambda c: c, ()),
    ),
    "a step computes [input scan/step/Z]: inputs are read outside": (
        ValueError,
        lambda x: ops.scan(
            lambda c, _: (c + ops.input_("Z", (B, 4)), None), x, length=2
        ),
    ),
    "[map_fn map_fn] fn is a function": (TypeError, lambda x: ops.map_fn(2, x)),
    "[switch switch] the index is f32[B,4], needs i32[] or i64[]": (
        ValueError,
        lambda x: ops.switch(x, [lambda: x]),
    ),
    "[switch switch] needs at least one branch": (
        ValueError,
        lambda x: ops.switch(ops.constant(0, "i32"), []),
    ),
    "[switch switch] branch 1 is a function without arguments, got": (
        TypeError,
        lambda x: ops.switch(ops.constant(0, "i32"), [lambda: x, x]),
    ),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_refusals(message):
    error, build = REFUSALS[message]
    with Model("f32").function("f"):
        x = ops.input_("X", (B, 4))
        with pytest.raises(error, match=re.escape(message)):
            build(x)


def test_a_value_of_a_step_stays_inside():
    leaked = []

    def step(c, _):
        leaked.append(c * 2)
        return c, None

    with Model("f32").function("f"):
        x = ops.input_("X", (B, 4))
        ops.scan(step, x, length=3)
        with pytest.raises(ValueError, match=r"was computed in step of \[scan scan\]"):
            leaked[0] + 1


@pytest.mark.parametrize("text", [SCAN, WHILE], ids=["scan", "while"])
def test_texts_are_read_as_they_were_written(text):
    assert print_program(parse_program(text)) == text


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_texts_are_refused(name):
    text, old, new, message = MALFORMED[name]
    assert old in text
    with pytest.raises(ProgramError, match=re.escape(message)):
        parse_program(text.replace(old, new, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_and_arrays_are_carried_cut_and_returned(dtype):
    slices = np.arange(12.0).reshape(4, 3)

    @function
    def sums(x):
        total, (before, one) = ops.scan(lambda c, v: (c + v, (c, 1.0)), 0.0, x)
        ends = ops.scan(lambda c, v: (c + v * x, None), x, slices)[0]
        steps, doubled = ops.while_loop(
            lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 2), (2, x)
        )
        return total, before, one, ends, steps, doubled

    x = np.array([1, 2, 4], dtype)
    total, before, one, ends, steps, doubled = sums(x)
    assert total == 7 and total.dtype == dtype
    assert (before.tolist(), one.tolist()) == ([0, 1, 3], [1, 1, 1])
    np.testing.assert_array_equal(ends, x + x * slices.sum(0))
    assert steps == 5 and steps.dtype == np.int64
    np.testing.assert_array_equal(doubled, 8 * x)
