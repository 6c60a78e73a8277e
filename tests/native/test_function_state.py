"""What functions keep between calls, arguments of any length, methods."""

import pickle
import threading
from copy import deepcopy

import numpy as np
import pytest

import slimlearn
from slimlearn import layers, ops
from slimlearn.backend.functions import Function


def running():
    @slimlearn.function
    def mean(x):
        count = slimlearn.state("count", 0.0)
        last = slimlearn.state("mean", np.zeros(2))
        after = last + (x - last) / (count + 1)
        slimlearn.assign(count, count + 1)
        return slimlearn.assign(last, after)

    return mean


def test_states_live_between_calls():
    mean, xs = running(), np.random.default_rng(0).normal(size=(20, 2))
    assert mean.state == {}
    for i, x in enumerate(xs):
        np.testing.assert_allclose(mean(x), xs[: i + 1].mean(0))
    left = mean.state
    assert left["count"] == 20
    left["mean"][:] = 9  # a copy
    np.testing.assert_allclose(mean.state["mean"], xs.mean(0))
    mean.reset()
    np.testing.assert_allclose(mean(xs[3]), xs[3])
    mean.reset({"count": 3.0, "mean": xs[:3].mean(0)})
    np.testing.assert_allclose(mean(xs[3]), xs[:4].mean(0))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_types_are_kept(dtype):
    first = np.array([1, 0, 1], dtype)

    @slimlearn.function
    def last(x):
        before = slimlearn.state("x", first)
        slimlearn.assign(before, x)
        return before

    want = first
    for x in (np.array([0, 1, 1], dtype), np.zeros(3, dtype)):
        got = last(x)
        np.testing.assert_array_equal(got, want)
        assert got.dtype == dtype
        want = x
    np.testing.assert_array_equal(last.state["x"], want)


def test_shapes_share_their_states():
    @slimlearn.function
    def total(x):
        before = slimlearn.state("total", 0.0)
        return slimlearn.assign(before, before + ops.reduce_sum(x))

    for n in (1, 5, 1, 3, 5):
        last = total(np.ones(n))
    assert last == total.state["total"] == 15
    with pytest.raises(
        ValueError, match=r"the state total is float64 of shape \(\), for"
    ):
        total(np.ones(2, "f4"))
    total.reset()
    assert total(np.ones(2, "f4")).dtype == "f4"


def test_a_call_that_fails_changes_nothing():
    @slimlearn.function
    def pick(table, i):
        count = slimlearn.state("count", 0)
        slimlearn.assign(count, count + 1)
        return ops.gather(table, i)

    table = np.arange(3.0)
    pick(table, np.array([1], "i4"))
    with pytest.raises(ValueError, match="out of range"):
        pick(table, np.array([7], "i4"))
    assert pick.state["count"] == 1


def test_an_optimizer_with_slots():
    loss = slimlearn.function(lambda w, x, y: ops.reduce_sum(ops.square(x @ w - y)))

    @slimlearn.function
    def train(x, y):
        w = slimlearn.state("w", np.zeros(3))
        speed = slimlearn.state("speed", np.zeros(3))
        value, slope = loss.value_and_grad()(w, x, y)
        faster = 0.8 * slimlearn.assign(speed, 0.8 * speed - 0.002 * slope) / 0.8
        slimlearn.assign(w, w + faster)
        return value

    rng = np.random.default_rng(0)
    x, want = rng.normal(size=(50, 3)), np.array([1.0, -2.0, 0.5])
    values = [float(train(x, x @ want)) for _ in range(200)]
    assert values[-1] < 1e-9 < values[0]
    np.testing.assert_allclose(train.state["w"], want, 1e-5)


def test_states_have_scopes_and_stay_apart_in_gradients():
    @slimlearn.function
    def f(x):
        found = []
        for name in ("a", "b"):
            with layers.variable_scope(name):
                seen = slimlearn.state("seen", 0.0)
                found.append(slimlearn.assign(seen, seen + ops.reduce_sum(x)))
        return found[0] * found[1]

    f(np.ones(2))
    assert f.state == {"a/seen": 2, "b/seen": 2}
    slope = f.grad()
    np.testing.assert_array_equal(slope(np.ones(2)), [4, 4])
    assert slope.state == {"a/seen": 2, "b/seen": 2}
    np.testing.assert_array_equal(slope(np.ones(2)), [8, 8])
    assert f.state["a/seen"] == 2


@pytest.mark.parametrize("road", [lambda f: pickle.loads(pickle.dumps(f)), deepcopy])
def test_copies_go_on_from_there(road):
    f = slimlearn.function(stepping)
    f(2.0)
    twin = road(f)
    assert twin(3.0) == 5
    assert f.state["total"] == 2


def stepping(x):
    total = slimlearn.state("total", 0.0)
    return slimlearn.assign(total, total + x)


def test_threads_take_turns():
    f = slimlearn.function(stepping)
    threads = [
        threading.Thread(target=lambda: [f(1.0) for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert f.state["total"] == 200


def test_random_numbers_go_on():
    def draw(x):
        return ops.random_normal(x.shape)

    f, x = slimlearn.function(draw), np.zeros(50)
    drawn = [f(x) for _ in range(3)]
    assert len(np.unique(drawn)) == 150
    f.reset()
    np.testing.assert_array_equal(f(x), drawn[0])
    np.testing.assert_array_equal(slimlearn.function(draw)(x), drawn[0])
    other = slimlearn.function(draw, random_state=1)(x)
    assert not np.isin(other, drawn).any()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(draws)).reset(), None)


@slimlearn.function
def draws(x):
    return ops.random_normal(x.shape)


def test_a_symbol_needs_no_other_compilation():
    built = []

    @slimlearn.function(symbols={"x": ("N", 3), "w": ("N",)})
    def f(x, y, w):
        built.append(x.shape)
        return x @ y, ops.reduce_sum(x * w[:, None]), ops.extent(x.shape[0])

    rng = np.random.default_rng(0)
    y = rng.normal(size=(3, 2))
    for n in (4, 1, 7, 1000):
        x, w = rng.normal(size=(n, 3)), rng.normal(size=n)
        product, total, size = f(x, y, w)
        np.testing.assert_allclose(product, x @ y, 1e-12)
        np.testing.assert_allclose(total, (x * w[:, None]).sum(), 1e-10)
        assert size == n
    assert len(built) == 1
    f(x.astype("f4"), y.astype("f4"), w.astype("f4"))
    assert len(built) == 2
    for n in (3, 8):  # a gradient and what mixes rows
        x, w = rng.normal(size=(n, 3)), rng.normal(size=n)
        slope = slimlearn.function(
            lambda x, w: ops.reduce_sum(ops.softmax(x, 0) * w[:, None]),
            symbols={"x": ("N", ...), "w": ("N",)},
        ).grad()
        soft = np.exp(x) / np.exp(x).sum(0)
        want = soft * (w[:, None] - (soft * w[:, None]).sum(0))
        np.testing.assert_allclose(slope(x, w), want, 1e-9, 1e-12)


def test_states_are_made_of_all_rows():
    @slimlearn.function(symbols={"x": ("N", ...)})
    def total(x):
        before = slimlearn.state("total", np.zeros(2))
        return slimlearn.assign(before, before + ops.reduce_sum(x, 0))

    rng, want = np.random.default_rng(0), np.zeros(2)
    for n in (3, 20_000, 1):
        x = rng.normal(size=(n, 2))
        want += x.sum(0)
        np.testing.assert_allclose(total(x), want, 1e-9)


class Model:
    def __init__(self, scale):
        self.scale = scale

    @slimlearn.function
    def times(self, x, power=1):
        """Scale it."""
        seen = slimlearn.state("seen", 0.0)
        slimlearn.assign(seen, seen + 1)
        return ops.reduce_sum(x**power) * self.scale

    @slimlearn.function(n_threads=1)
    def plus(self, x):
        return x + self.scale


@pytest.mark.parametrize("road", [lambda m: m, lambda m: pickle.loads(pickle.dumps(m)),
                                  deepcopy])  # fmt: skip
def test_methods_belong_to_their_objects(road):
    two, three = Model(2.0), Model(3.0)
    x = np.array([1.0, 2.0])
    two.times(x)
    two, three = road(two), road(three)
    two.times.reset()
    assert (two.times(x), three.times(x, power=2)) == (6, 15)
    assert two.times is two.times
    assert (two.times.__name__, two.times.__doc__) == ("times", "Scale it.")
    np.testing.assert_array_equal(three.plus(x), [4, 5])
    np.testing.assert_array_equal(two.times.grad()(x), [2, 2])
    assert (two.times.state["seen"], three.times.state["seen"]) == (1, 1)
    assert isinstance(Model.times, Function)


def call(fn, *args, **options):
    return slimlearn.function(fn, **options)(*args)


def in_a_loop(x):
    a = slimlearn.state("a", 0.0)
    return ops.scan(lambda c, _: (slimlearn.assign(a, c), None), x, length=2)[0]


@pytest.mark.parametrize(
    ("error", "message", "fails"),
    [
        (TypeError, r"n_threads is 'a' of type str, needs None or a whole number",
         lambda: slimlearn.function(abs, n_threads="a")),
        (ValueError, r"n_threads is 0, needs None or 1 to",
         lambda: slimlearn.function(abs, n_threads=0)),
        (TypeError, r"random_state is None of type NoneType, needs a whole",
         lambda: slimlearn.function(abs, random_state=None)),
        (TypeError, r"symbols is 'N' of type str, needs a dict",
         lambda: slimlearn.function(squares, symbols="N")),
        (ValueError, r"symbols\['y'\]: there is no such argument",
         lambda: slimlearn.function(squares, symbols={"y": ("N",)})),
        (ValueError, r"symbols\['x'\] is \(3, 'N'\): needs a tuple of a name, then",
         lambda: slimlearn.function(squares, symbols={"x": (3, "N")})),
        (ValueError, r"symbols are M, N: there can be one",
         lambda: slimlearn.function(lambda x, y: x, symbols={"x": ("N",),
                                                             "y": ("M",)})),
        (ValueError, r"x is of shape \(2, 4\), needs \(N, 3\)",
         lambda: call(squares, np.ones((2, 4)), symbols={"x": ("N", 3)})),
        (ValueError, r"x is of shape \(\), needs \(N, \.\.\.\)",
         lambda: call(squares, 1.0, symbols={"x": ("N", ...)})),
        (ValueError, r"the symbol N is 2 of x, 3 of y: needs one size",
         lambda: call(lambda x, y: x, np.ones(2), np.ones(3),
                      symbols={"x": ("N",), "y": ("N",)})),
        (RuntimeError, r"\[state a\] stands in no function that slimlearn.function",
         lambda: slimlearn.state("a", 0.0)),
        (TypeError, r"\[state a\] starts with 'x' of type str, needs a number or",
         lambda: call(lambda x: slimlearn.state("a", "x"), 1.0)),
        (TypeError, r"\[assign\] needs what slimlearn.state returned",
         lambda: call(lambda x: slimlearn.assign(x, x), 1.0)),
        (ValueError, r"\[set a\] .* cannot assign", lambda: call(in_a_loop, 1.0)),
        (ValueError, r"\[set a\] needs f64\[\], %x0 is f64\[2\]",
         lambda: call(lambda x: slimlearn.assign(slimlearn.state("a", 0.0), x),
                      np.ones(2))),
        (ValueError, r"glu: the number of features must be even and at least 2, .* 0",
         lambda: call(layers.glu, np.ones((3, 0)))),
        (ValueError, r"\[sort sort\] a is bool\[3\], needs numbers: cast it",
         lambda: call(ops.sort, np.ones(3, bool))),
        (ValueError, r"\[argsort argsort\] a is bool\[3\], needs numbers",
         lambda: call(ops.argsort, np.ones(3, bool))),
        (ValueError, r"\[einsum .*\] 'ij' is i32\[2,2\]: products are of f32 or f64",
         lambda: call(lambda x: ops.einsum("ij,jk", x, x), np.ones((2, 2), "i4"))),
    ],
)  # fmt: skip
def test_refusals(error, message, fails):
    with pytest.raises(error, match=message):
        fails()


def squares(x):
    return ops.reduce_sum(ops.square(x))
