"""Random numbers of loops: each step has its own, the same forwards and backwards."""

import numpy as np
import pytest

from slimlearn import NetworkRegressor, _native, layers
from slimlearn.backend import engine, ops, philox, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.ops.random import stream_of
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

SEED, STEP = 7, 2**33 + 5


def both(build, x, precision="f64", **options):
    """Return what native code makes of `build`, after the reference made the same."""
    model = Model(precision)
    with model.function("f") as graph:
        made = build(ops.input_("X", (B, *x.shape[1:]), precision))
        graph.return_(*(made if isinstance(made, tuple) else (made,)))
    text = str(model)
    program, known = Program(text, model=model), {"seed": SEED, "step": STEP}
    want = reference.run(model, "f", {"X": x}, {}, **known).returns
    run = engine.compile(text).run
    for n_threads in (1, 2):
        got = run("f", {"X": x}, program, n_threads=n_threads, **known, **options)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, 1e-12, 1e-14)
    return got


def rows_of(count, columns=3):
    return np.random.default_rng(count).normal(size=(count, columns))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_step_has_the_numbers_of_its_slice(length, reverse):
    def build(x):
        def step(carry, _):
            drawn = ops.random_normal(x.shape, name="noise")
            return carry, drawn

        return ops.scan(step, x, length=length, reverse=reverse, name="walk")[1]

    (got,) = both(build, rows_of(4), rows=np.arange(4))
    stream = stream_of("walk/step/noise")
    for i in range(length):
        time = philox.time_of(STEP, i + 1)
        want = philox.normal(SEED, stream, time, np.arange(4), (4, 3), np.float64)
        np.testing.assert_allclose(got[i], want, 1e-12)


@pytest.mark.parametrize("draw", ["uniform", "dropout"])
def test_bits_are_the_reference_ones(draw):
    def build(x):
        def inner(carry, _):
            return carry, (
                ops.random_uniform(x.shape)
                if draw == "uniform"
                else ops.dropout(ops.ones_like(x), 0.25)
            )

        def outer(carry, _):
            before = ops.random_uniform(x.shape)
            _, found = ops.scan(inner, x, length=4)
            _, again = ops.scan(inner, x, length=4, reverse=True)
            after = ops.random_uniform(x.shape)
            return carry, (before, found, again, after)

        _, found = ops.scan(outer, x, length=3)
        return *found, ops.random_uniform(x.shape)

    model = Model("f32")
    with model.function("f") as graph:
        graph.return_(*build(ops.input_("X", (B, 5), "f32")))
    x = rows_of(6, 5).astype("f4")
    want = reference.run(model, "f", {"X": x}, {}, seed=SEED, step=STEP).returns
    run, program = engine.compile(str(model)).run, Program(model=model)
    for n_threads in (1, 2):
        got = run(
            "f", {"X": x}, program, rows=np.arange(6), seed=SEED, step=STEP,
            n_threads=n_threads,
        )  # fmt: skip
        for a, b in zip(got, want, strict=True):
            assert a.tobytes() == b.tobytes()
    if draw == "uniform":  # no two steps of any two loops have the same
        drawn = [a.reshape(-1, 30) for a in got]
        drawn = np.concatenate(drawn)
        assert len(np.unique(drawn, axis=0)) == len(drawn) == 3 * 10 + 1


def test_rows_have_their_numbers_in_any_batch():
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("X", (B, 6, 2), "f32")

        def step(h, x):
            h = ops.dropout(ops.tanh(h + x), 0.5)
            return h, h

        graph.return_(*ops.scan(step, ops.zeros((B, 2)), x, axis=1))
    text = str(model)
    assert not _native.mixes_rows(text, "f")
    x = np.random.default_rng(0).normal(size=(11, 6, 2)).astype("f4")
    run, program = engine.compile(text).run, Program(text, model=model)
    whole = run("f", {"X": x}, program, seed=SEED)
    for batch in (1, 4):
        parts = run("f", {"X": x}, program, seed=SEED, batch=batch)
        assert all(
            a.tobytes() == b.tobytes() for a, b in zip(whole, parts, strict=True)
        )


def scanned(x, recompute, dropped):
    return ops.scan(lambda h, _: (dropped(h), None), x, length=6, recompute=recompute)[
        0
    ]


def counted(x, recompute, dropped):
    _, last = ops.while_loop(
        lambda c: c[0] < 6,
        lambda c: (c[0] + 1, dropped(c[1])),
        (ops.constant(0, "i32"), x),
        maximum_iterations=9,
        recompute=recompute,
    )
    return last


def nested(x, recompute, dropped):
    def step(h, _):
        return counted(dropped(h), recompute, dropped), None

    return ops.scan(step, x, length=2, recompute=recompute, reverse=True)[0]


@pytest.mark.parametrize("loop", [scanned, counted, nested])
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_meet_the_same_masks(loop, recompute):
    """What is linear in x, element by element: the slope is the value over x."""

    def build(x):
        y = loop(x, recompute, lambda h: ops.dropout(h * 1.5, 0.9))
        return y, *gradients(ops.reduce_sum(y), [x])

    x = rows_of(40, 4)
    y, slope = both(build, x, rows=np.arange(40))
    assert 0 < np.count_nonzero(y) < y.size
    np.testing.assert_allclose(slope, y / x, 1e-12)


def test_the_condition_draws_too():
    def build(x):
        def goes_on(c):
            return ops.random_uniform((), name="coin") < 0.9

        count, _ = ops.while_loop(
            goes_on, lambda c: (c[0] + 1, c[1]), (ops.constant(0, "i32"), x)
        )
        return count

    (count,) = both(build, rows_of(1), rows=np.arange(1))
    assert count > 0


def test_a_recurrent_network_with_dropout_is_fitted():
    def net(X):
        def step(h, x):
            h = layers.dropout(h, 0.8)
            joined = ops.concat([h, x])
            return layers.fully_connected(joined, 8, ops.tanh, scope="cell"), None

        X = ops.reshape(X, (-1, 5, 2))
        last, _ = ops.scan(step, ops.zeros((X.shape[0], 8)), X, axis=1, name="rnn")
        return layers.fully_connected(last, 1, None)

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 10)).astype("f4")
    fits = [
        NetworkRegressor(net, max_iter=3, random_state=0, n_threads=n).fit(X, X.sum(1))
        for n in (1, 2)
    ]
    first, second = (fit.predict(X) for fit in fits)
    assert first.tobytes() == second.tobytes()
    assert fits[0].predict(X[:4]).tobytes() == first[:4].tobytes()
