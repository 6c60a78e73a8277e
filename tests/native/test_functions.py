"""Python functions of tensors as native callables, and their gradients."""

import pickle
import threading
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest

import slimlearn
from slimlearn import layers, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B


class Point(NamedTuple):
    x: object
    y: object


def test_arrays_in_and_out():
    @slimlearn.function
    def f(a, b=2.0):
        return a * b, {"sum": ops.reduce_sum(a), "sign": a > 0}

    a = np.array([[1.0, -2.0]])
    product, facts = f(a)
    np.testing.assert_array_equal(product, a * 2)
    assert list(facts) == ["sum", "sign"]
    assert facts["sum"] == -1
    np.testing.assert_array_equal(facts["sign"], [[True, False]])
    np.testing.assert_array_equal(f(a, b=3.0)[0], a * 3)
    np.testing.assert_array_equal(f(a[:, ::-1])[0], a[:, ::-1] * 2)
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        f(b=1.0)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "u1", "?"])
def test_types_stay(dtype):
    same = slimlearn.function(lambda x: ops.reshape(x, (4,)))
    got = same(np.ones((2, 2), dtype))
    assert (got.dtype, got.shape) == (np.dtype(dtype), (4,))


def test_floats_have_the_type_of_the_arrays():
    double = slimlearn.function(lambda x, c: x * c + 0.5)
    for dtype in ("f4", "f8"):
        assert double(np.ones(3, dtype), 2.0).dtype == dtype
    assert double(1.0, 2.0).dtype == "f8"


def test_each_shape_is_compiled_once():
    built = []

    @slimlearn.function
    def f(x, steps):
        built.append((x.shape, steps))
        return ops.scan(lambda c, _: (c * 2, None), x, length=steps)[0]

    for _ in range(3):
        for shape in ((2,), (3, 1), ()):
            for steps in (0, 1, 5):
                got = f(np.ones(shape), steps)
                np.testing.assert_array_equal(got, np.full(shape, 2.0**steps))
    assert len(built) == len(set(built)) == 9
    f(np.ones(2, "f4"), 1)
    assert len(built) == 10


def test_structures_go_in():
    @slimlearn.function
    def f(p, more):
        assert isinstance(p, Point)
        return Point(p.y, p.x + more["a"][0]), *more["rest"]

    got, rest = f(Point(np.ones(2), np.zeros(3)), {"a": (1.0,), "rest": [np.ones(1)]})
    np.testing.assert_array_equal(got.x, np.zeros(3))
    np.testing.assert_array_equal(got.y, np.full(2, 2.0))
    np.testing.assert_array_equal(rest, [1])


def test_gradients_of_gradients():
    @slimlearn.function
    def f(x, y):
        return ops.reduce_sum(x * x * x * y)

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_allclose(f.grad()(x, y), 3 * x * x * y)
    np.testing.assert_allclose(f.grad(1)(x, y), x**3)
    value, (dx, dy) = f.value_and_grad((0, 1))(x, y)
    np.testing.assert_allclose(value, (x**3 * y).sum())
    np.testing.assert_allclose(dx, 3 * x * x * y)
    np.testing.assert_allclose(dy, x**3)
    slopes = f.grad()
    second = slimlearn.function(lambda x, y: ops.reduce_sum(slopes(x, y))).grad()
    np.testing.assert_allclose(second(x, y), 6 * x * y)
    np.testing.assert_array_equal(f.grad()(x * 0, y), [0, 0])
    cube = slimlearn.function(lambda x: x * x * x).grad().grad().grad()
    assert cube(7.0) == 6


def test_gradient_of_a_structure():
    @slimlearn.function
    def f(weights, x):
        return ops.reduce_sum(ops.tanh(x @ weights["w"] + weights["b"]))

    weights = {"w": np.full((2, 2), 0.1), "b": np.zeros(2), "unused": np.ones(3)}
    found = f.grad()(weights, np.ones((1, 2)))
    assert list(found) == ["w", "b", "unused"]
    slope = 1 - np.tanh(0.2) ** 2
    np.testing.assert_allclose(found["w"], np.full((2, 2), slope))
    np.testing.assert_array_equal(found["unused"], np.zeros(3))


def test_a_gradient_inside_a_loop():
    """Gradient descent as one native call."""
    loss = slimlearn.function(lambda x, a: ops.reduce_sum(ops.square(x - a) * a))
    slope = loss.grad()

    @slimlearn.function
    def descend(x, a, steps):
        last, path = ops.scan(
            lambda x, _: (x - 0.1 * slope(x, a), loss(x, a)), x, length=steps
        )
        return last, path

    a = np.array([1.0, 2.0, 3.0])
    last, path = descend(np.zeros(3), a, 200)
    np.testing.assert_allclose(last, a)
    assert path.shape == (200,) and (np.diff(path) <= 0).all()


def test_threads_share_one_function():
    f = slimlearn.function(lambda x: ops.reduce_sum(ops.exp(x), 1))
    x = np.random.default_rng(0).normal(size=(50, 40))
    want, wrong = f(x), []

    def run():
        for _ in range(50):
            if f(x).tobytes() != want.tobytes():
                wrong.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def squares(x):
    return ops.reduce_sum(ops.square(x))


summed = slimlearn.function(squares)


@slimlearn.function
def cubed(x):
    return ops.reduce_sum(x * x * x)


@pytest.mark.parametrize("road", [lambda f: pickle.loads(pickle.dumps(f)), deepcopy])
def test_it_is_pickled_as_a_function_is(road):
    x = np.array([1.0, 2.0])
    assert road(cubed) is cubed
    assert road(summed)(x) == 5
    np.testing.assert_array_equal(road(summed.grad())(x), 2 * x)
    np.testing.assert_array_equal(road(cubed.grad())(x), 3 * x * x)
    value, (slope,) = road(cubed.value_and_grad((0,)))(x)
    assert (value, slope.tolist()) == (9, [3, 12])


def test_what_is_told_of_it():
    @slimlearn.function
    def area(r):
        """Return the area."""
        return r * r * 3.14

    assert (area.__name__, area.__doc__) == ("area", "Return the area.")
    assert repr(area) == "<slimlearn.function area>"
    assert "func f {" in area.text(2.0)
    assert repr(area.grad()) == "<slimlearn.function grad of area>"


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, r"\[function\] needs a function, got 3", lambda: call(3)),
        (
            TypeError,
            r"takes arrays of float32, .*; got complex128",
            lambda: call(lambda x: x)(np.ones(2, complex)),
        ),
        (
            TypeError,
            r"takes arrays and numbers, got \{1\} of type set",
            lambda: call(lambda x: x)({1}),
        ),
        (
            TypeError,
            r"\[function <lambda>: returns\] needs a tensor of the network being "
            r"built, got 'a'",
            lambda: call(lambda x: "a")(1.0),
        ),
        (
            ValueError,
            r"\[<lambda>\] returns no tensor",
            lambda: call(lambda x: None)(1.0),
        ),
        (
            ValueError,
            r"makes the parameter %fully_connected/weights: a function has none",
            lambda: call(lambda x: layers.fully_connected(x, 3))(np.ones((2, 2), "f4")),
        ),
        (
            ValueError,
            r"\[grad of <lambda>\] <lambda> returns f64\[2\], needs one float: sum it",
            lambda: call(lambda x: x).grad()(np.ones(2)),
        ),
        (
            ValueError,
            r"argnums=1: <lambda> has 1 argument",
            lambda: call(lambda x: x).grad(1),
        ),
        (
            ValueError,
            r"%x0 is i32\[2\]: only floats have a gradient",
            lambda: call(lambda x: ops.reduce_sum(ops.cast(x, "f64"))).grad()(
                np.ones(2, "i4")
            ),
        ),
        (
            ValueError,
            r"inner dimensions differ",
            lambda: call(lambda a, b: a @ b)(np.ones((2, 3)), np.ones((2, 3))),
        ),
        (
            ValueError,
            r"an index is out of range",
            lambda: call(ops.gather)(np.ones((2, 3)), np.array([0, 5], "i4")),
        ),
    ],
)
def test_refusals(error, message, call):
    with pytest.raises(error, match=message):
        call()


def call(fn):
    return slimlearn.function(fn)


def test_tensors_are_computed_where_they_are():
    f = slimlearn.function(lambda x: ops.square(x))

    with Model("f32").function("f") as graph:
        x = ops.input_("X", (B, 3))
        y = f(x)
    assert [n.op for n in graph.nodes] == ["input", "square"]
    assert y.graph is graph


@pytest.mark.parametrize(
    ("a", "b"),
    [((1, 0), (27, 1)), ((27, 1), (1, 0)), ((0, 1), (1, 5)), ((1, 3, 0), (2, 1, 1))],
)
def test_what_has_no_elements_broadcasts_along_its_other_axes(a, b):
    made = slimlearn.function(lambda x, y: (ops.less(x, y), x + y))(
        np.zeros(a, "f4"), np.zeros(b, "f4")
    )
    assert [one.shape for one in made] == [np.broadcast_shapes(a, b)] * 2
