"""Loops as they run: lengths, depths, memory, threads, interrupts, training."""

import _thread
import threading
import time

import numpy as np
import pytest
from support.loop_texts import MALFORMED, SCAN, WHILE

import slimlearn
from slimlearn import NetworkRegressor, _native, layers
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program


def compiled(build, shapes, precision="f64"):
    """Return a function of arrays: what `build` makes of inputs of these shapes."""
    model = Model(precision)
    with model.function("f") as graph:
        made = build(*(ops.input_(k, s, precision) for k, s in shapes.items()))
        graph.return_(*(made if isinstance(made, tuple) else (made,)))
    program = Program(print_program(model), model=model)
    engine_model = engine.compile(print_program(model))

    def run(sources, rows=1, **options):
        options = {"rows": np.arange(rows), **options}
        return engine_model.run("f", sources, program, **options)

    run.model, run.compiled = model, engine_model
    return run


def sums(x, w, length):
    """A decaying sum of what an index says, with its gradients."""

    def step(c, i):
        return c * w + ops.cast(i, x.dtype), c

    last, ys = ops.scan(step, x, ops.iota(length))
    loss = ops.reduce_sum(last) + ops.reduce_sum(ys) * 0.5
    return last, ys, *gradients(loss, [x, w])


@pytest.mark.parametrize("length", [0, 1, 2, 10_000])
def test_any_number_of_steps(length):
    run = compiled(lambda x, w: sums(x, w, length), {"X": (3,), "w": ()})
    x, w = np.array([1.0, -2.0, 0.5]), np.array(0.999)
    last, ys, dx, dw = run({"X": x, "w": w})
    c, before, slopes = x, [], [np.zeros(3)]
    for i in range(length):
        before.append(c)
        slopes.append(slopes[-1] * w + c)
        c = c * w + i
    np.testing.assert_allclose(last, c, 1e-12)
    np.testing.assert_allclose(ys, np.reshape(before, (length, 3)), 1e-12)
    powers = w ** np.arange(length + 1)
    want = powers[length] + 0.5 * powers[:length].sum()
    np.testing.assert_allclose(dx, np.full(3, want), 1e-10)
    slopes = np.array(slopes)
    want = slopes[length].sum() + 0.5 * slopes[:length].sum()
    np.testing.assert_allclose(dw, want, 1e-9)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("width", [3, 1024])  # copied; 4 KiB, read and left in place
@pytest.mark.parametrize("length", [0, 1, 2, 5])
def test_what_is_carried_and_what_is_kept_of_it(length, width, reverse):
    def step(carry, x):
        a, b, _ = carry  # kept slice by slice; read after it is written; another's
        return (a * 0.5 + x, ops.concat([b[1:], b[:1]]) + a, b), (a, a + x)

    rng = np.random.default_rng(0)
    xs, start = rng.normal(size=(length, width)), rng.normal(size=width)
    a, b, c = start, start * 2.0, start
    kept = np.zeros((2, length, width))
    for t in range(length)[:: -1 if reverse else 1]:
        kept[:, t] = a, a + xs[t]
        a, b, c = a * 0.5 + xs[t], np.roll(b, -1) + a, b
    for threads in (1, 2):
        run = slimlearn.function(
            lambda xs, a: ops.scan(step, (a, a * 2.0, a), xs, reverse=reverse),
            n_threads=threads,
        )
        last, found = run(xs, start)
        np.testing.assert_allclose(last, [a, b, c], 1e-12)
        np.testing.assert_allclose(found, kept, 1e-12)


@pytest.mark.parametrize("most", [1, 4, 5])
@pytest.mark.parametrize("steps", [0, 1, 4, 7])
def test_a_loop_that_ends_early_leaves_its_last_value(steps, most):
    @slimlearn.function
    def turned(x, steps):
        return ops.while_loop(
            lambda c: c[0] < steps,
            lambda c: (c[0] + 1, ops.transpose(c[1]) * 2.0),
            (ops.constant(0, "i32"), x),
            maximum_iterations=most,
        )

    x = np.random.default_rng(0).normal(size=(32, 32))
    count, found = turned(x, np.array(steps, "i4"))
    want = x
    for _ in range(min(steps, most)):
        want = want.T * 2.0
    assert count == min(steps, most)
    assert found.tobytes() == want.tobytes()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("most", [None, 1, 4, 5])
@pytest.mark.parametrize("large", [0, 10, 1000, 50_000])
def test_a_condition_reads_what_takes_turns(large, most, threads):
    def turned(x):
        return ops.while_loop(
            lambda c: ops.reduce_max(c, [0, 1]) < large,
            lambda c: ops.transpose(c) * 2.0 + c[:1],
            x,
            maximum_iterations=most,
        )

    x = np.random.default_rng(0).random((64, 64)) + 1.0
    want, steps = x, 0
    while want.max() < large and steps != most:
        want, steps = want.T * 2.0 + want[:1], steps + 1
    found = slimlearn.function(turned, n_threads=threads)(x)
    np.testing.assert_allclose(found, want, 1e-12)


def test_a_plan_does_not_grow_with_the_steps():
    facts = []
    for length in (10, 10_000):
        run = compiled(lambda x, w, n=length: sums(x, w, n), {"X": (3,), "w": ()})
        found = run.compiled.info("f", 1)
        facts.append((found["launches"], [name for name, *_ in found["steps"]]))
    assert facts[0] == facts[1]


def test_steps_allocate_nothing():
    counts = []
    for length in (10, 1000):
        run = compiled(lambda x, w, n=length: sums(x, w, n), {"X": (3,), "w": ()})
        sources = {"X": np.ones(3), "w": np.array(0.5)}
        run(sources)
        before = _native.allocations()
        run(sources)
        counts.append(_native.allocations() - before)
    assert counts[0] == counts[1]


def deep(x, depth):
    """A scan in a while_loop in a scan …"""
    if depth == 0:
        return ops.sin(x) + 0.1
    if depth % 2:
        return ops.scan(lambda c, i: (deep(c, depth - 1), None), x, length=2)[0]
    start = (ops.constant(0, "i32"), x)
    _, last = ops.while_loop(
        lambda c: c[0] < 2,
        lambda c: (c[0] + 1, deep(c[1], depth - 1)),
        start,
        maximum_iterations=3,
    )
    return last


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_nested_to_a_depth(depth):
    def build(x):
        y = deep(x, depth)
        return y, *gradients(ops.reduce_sum(ops.square(y)), [x])

    run = compiled(build, {"X": (B, 3)})
    x = np.linspace(-1, 1, 15).reshape(5, 3)
    want = reference.run(run.model, "f", {"X": x}, {}).returns
    y, slope = x, np.ones_like(x)
    for _ in range(2**depth):
        y, slope = np.sin(y) + 0.1, slope * np.cos(y)
    np.testing.assert_allclose(want[0], y, 1e-12)
    np.testing.assert_allclose(want[1], 2 * y * slope, 1e-10)
    for a, b in zip(run({"X": x}, rows=5), want, strict=True):
        np.testing.assert_allclose(a, b, 1e-12)


def layer(precision, rows_first=True, units=16, T=12):
    model = Model(precision)
    with model.function("predict") as graph:
        x = ops.input_("X", (B, T, 8), precision)
        w = ops.constant(0.05, precision, (units, units))
        u = ops.constant(0.1, precision, (8, units))

        def step(h, x):
            h = ops.tanh(h @ w + x @ u)
            return h, ops.reduce_sum(h, 1)

        last, ys = ops.scan(step, ops.zeros((B, units), precision), x, axis=1)
        graph.return_(last, ys)
    return model


def test_rows_have_their_bits_in_any_batch():
    """Sequences of a batch along axis 1 keep rows apart: one plan for any number."""
    model = layer("f32")
    assert not _native.mixes_rows(print_program(model), "predict")
    program = Program(print_program(model), model=model)
    run = engine.compile(print_program(model)).run
    x = np.random.default_rng(0).normal(size=(37, 12, 8)).astype("f4")
    whole = run("predict", {"X": x}, program)
    for batch in (1, 5, 36):
        parts = run("predict", {"X": x}, program, batch=batch)
        for a, b in zip(whole, parts, strict=True):
            assert a.tobytes() == b.tobytes()
    for start, stop in ((0, 1), (3, 20)):
        some = run("predict", {"X": x[start:stop]}, program)
        for a, b in zip(whole, some, strict=True):
            assert a[start:stop].tobytes() == b.tobytes()


@pytest.mark.parametrize("axis", [0, 1])
def test_two_threads_have_the_bits_of_one(axis):
    def build(x, w):
        def step(h, x):
            h = ops.tanh(h @ w + x)
            return h, ops.exp(h)

        if axis == 0:
            x = ops.transpose(x, [1, 0, 2])
        last, ys = ops.scan(step, x[:, 0] if axis else x[0], x, axis=axis)
        found = gradients(ops.reduce_mean(ops.square(ys)), [x, w])
        return last, *found

    run = compiled(build, {"X": (B, 30, 256), "w": (256, 256)}, "f32")
    assert engine.compile(print_program(run.model)).info("f", 200)["launches"] > 5
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(200, 30, 256)), rng.normal(size=(256, 256)) / 16
    sources = {"X": x.astype("f4"), "w": w.astype("f4")}
    one, two = (run(sources, rows=200, n_threads=n) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a.tobytes() == b.tobytes()


def test_what_a_loop_leaves_out_is_zero():
    """Behind the last step, whatever stood in that memory."""
    text = WHILE.replace("%last, %all\n}", "%last, %all, %count\n}")
    run, program = engine.compile(text).run, Program(text)
    for start, steps in ((1.0, 4), (4.0, 2), (9.0, 0), (2.0, 3)):
        sources = {"x": np.full(3, start, "f4"), "n": np.array(0, "i4")}
        last, all_, count = run("f", sources, program, rows=np.arange(1))
        assert count == steps
        np.testing.assert_array_equal(last, np.full(3, start * 2.0**steps))
        want = [[start * 2.0**i] * 3 if i < steps else [0] * 3 for i in range(4)]
        np.testing.assert_array_equal(all_, want)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_endless_loop_ends_when_interrupted(threads):
    run = compiled(
        lambda x: ops.while_loop(lambda c: ops.reduce_max(c) < 2, ops.sin, x),
        {"X": (B, 4)},
    )
    timer = threading.Timer(0.2, _thread.interrupt_main)
    began = time.perf_counter()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run({"X": np.ones((6, 4))}, rows=6, batch=1, n_threads=threads)
    timer.join()
    assert time.perf_counter() - began < 30  # it came back at all
    x = np.full((6, 4), 3.0)
    np.testing.assert_array_equal(run({"X": x}, rows=6)[0], x)


def test_a_network_with_a_loop_is_fitted():
    """A recurrent network learns the sum of a sequence."""

    def net(X):
        def step(h, x):
            joined = ops.concat([h, x])
            return layers.fully_connected(joined, 8, ops.tanh, scope="cell"), None

        X = ops.reshape(X, (-1, 6, 2))
        last, _ = ops.scan(step, ops.zeros((X.shape[0], 8)), X, axis=1, name="rnn")
        return layers.fully_connected(last, 1, None)

    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12)).astype("f4")
    y = X.sum(1) * 0.3
    model = NetworkRegressor(net, max_iter=60, random_state=0).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.9
    np.testing.assert_array_equal(model.predict(X[:7]), model.predict(X)[:7])


@pytest.mark.parametrize("text", [SCAN, WHILE], ids=["scan", "while"])
def test_native_reads_and_writes_the_same_text(text):
    assert _native.roundtrip(text) == text
    _native.verify(text)


@pytest.mark.parametrize("name", MALFORMED)
def test_native_refuses_what_python_refuses(name):
    text, old, new, _ = MALFORMED[name]
    with pytest.raises(ValueError):
        _native.verify(text.replace(old, new, 1))
