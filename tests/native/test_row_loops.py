"""Loops whose rows stay apart: lanes take all steps of their rows, to the same bits."""

import _thread
import threading

import numpy as np
import pytest
from support.summed import Summed
from threadpoolctl import threadpool_limits

from slimlearn import _native, layers
from slimlearn.backend import engine, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

RNG = np.random.default_rng(0)
FEATURES = 24


def leaky(x, units, **run):
    """A function as a cell: two states, slices, columns that lie apart, heads."""
    w = layers.model_variable("w", [FEATURES + units, 2 * units])
    heads = layers.model_variable("heads", [units // 8, units // 8])

    def cell(x, state):
        h, c = state
        made = ops.concat([x, h], axis=1) @ w
        h, gate = ops.tanh(made[:, units:]), ops.sigmoid(made[:, :units])
        h = ops.reshape(ops.reshape(h, (-1, units // 8)) @ heads, (-1, units))
        c = c * gate + h
        return ops.concat([h[:, 8:], c[:, :8]], axis=1), (h * 0.5 + c, c)

    zeros = ops.zeros((x.shape[0], units), x.dtype)
    return layers.rnn(x, cell, (zeros, zeros), **run)


def attending(x, units, **run):
    """A function as a cell: softmax over keys, picks by index, draws, sizes."""
    w = layers.model_variable("w", [FEATURES + units + 4, units])
    keys = ops.reshape(
        ops.reshape(x, (-1, FEATURES)) @ layers.model_variable("k", [FEATURES, units]),
        (-1, x.shape[1], units),
    )
    table = ops.array(RNG.normal(size=(units, 4)).tolist(), x.dtype)

    def cell(x, h):
        scores = ops.reduce_sum(keys * ops.reshape(h, (-1, 1, units)), [2])
        weights = layers.dropout(ops.softmax(scores), scope="drop")
        seen = ops.reshape(weights, (-1, 1, keys.shape[1])) @ keys
        picked = ops.gather(table, ops.argmax(h, axis=1))
        noise = ops.random_normal(h.shape, h.dtype) * 0.1
        size = ops.stop_gradient(ops.reduce_max(w, [0], keepdims=True))
        seen = ops.reshape(ops.transpose(seen, (0, 2, 1)), (-1, units))
        h = ops.tanh(ops.concat([x, seen, picked], axis=1) @ w - size) + noise
        return h, h

    return layers.rnn(x, cell, ops.zeros((x.shape[0], units), x.dtype), **run)


LAYERS = {
    "simple_rnn": (layers.simple_rnn, {}),
    "lstm": (layers.lstm, {}),
    "lstm backwards": (layers.lstm, {"go_backwards": True}),
    "lstm with dropout": (layers.lstm, {"recurrent_dropout": 0.4}),
    "gru": (layers.gru, {}),
    "lstm with norms": (layers.lstm, {"layer_norm": True}),
    "gru with norms": (layers.gru, {"layer_norm": True}),
    "function": (leaky, {}),
    "attention with dropout": (attending, {}),
}


def summed(kind, steps, units, precision="f32", ragged=True):
    layer, options = LAYERS[kind]

    def network(x, n=None):
        given = {"sequence_length": n, "return_sequences": True, **options}
        return layer(x, units, **given, scope="a")

    return Summed(network, (steps, FEATURES), precision, ragged)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("steps", "units", "rows", "precision", "ragged"),
    [
        (1, 256, 300, "f32", False),
        (7, 136, 61, "f32", True),
        (40, 40, 97, "f64", True),
    ],
)
def test_bits_do_not_depend_on_lanes(kind, steps, units, rows, precision, ragged):
    made = summed(kind, steps, units, precision, ragged)
    dtype = {"f32": "f4", "f64": "f8"}[precision]
    given = [RNG.normal(size=(rows, steps, FEATURES)).astype(dtype)]
    if ragged:
        given.append(RNG.integers(0, steps + 1, rows).astype("i4"))
    names = [d.name for d in made.program.model.declarations.values()]
    hypers = {name: 0.6 for name in names if name.endswith("keep_prob")}

    def both(threads):
        trained = made.train(*given, threads=threads, hypers=hypers)
        return *trained, made.predict(*given, n_threads=threads).tobytes()

    with threadpool_limits(3):
        want = both(1)
        for threads in (2, 3):
            before = _native.parallel_regions()
            assert both(threads) == want
            assert _native.parallel_regions() > before
    assert made.compiled.info("grad", rows)["row_loops"] == 2  # there and back
    assert made.compiled.info("predict", rows)["row_loops"] == 1


def loops(step, init, xs, length=5):
    """Return how many loops of a program keep their rows apart."""
    model = Model("f32")
    with model.function("f") as graph:
        sources = {"x": (B, 8), "xs": (B, length, 8), "w": (8, 8)}
        given = {k: ops.input_(k, shape, "f32") for k, shape in sources.items()}
        last, ys = ops.scan(
            lambda c, x: step(c, x, given), init(given), xs(given), axis=1
        )
        graph.return_(last, ys)
    return engine.compile(Program(model=model).text).info("f", 6)["row_loops"]


def test_only_loops_whose_rows_stay_apart_are_run_so():
    def count(step):
        return loops(step, lambda g: g["x"], lambda g: g["xs"])

    assert count(lambda c, x, g: (ops.tanh(c @ g["w"] + x), c)) == 1
    # Rows that read each other's, weights of a batch's own, what no row owns.
    assert count(lambda c, x, g: (c - ops.reduce_mean(c, [0], keepdims=True), x)) == 0
    assert count(lambda c, x, g: (c @ (ops.transpose(x) @ c), x)) == 0
    assert count(lambda c, x, g: (c + x, ops.reduce_sum(x, [0]))) == 0
    # What is made of weights alone is made before the loop.
    assert count(lambda c, x, g: (ops.tanh(c @ ops.tanh(g["w"]) + x), c)) == 1
    assert count(lambda c, x, g: (ops.tanh(c @ (g["w"] @ g["w"]) + x), c)) == 1
    # If it could fail it stays: a lane would make its part of it, and read all.
    picked = lambda g: ops.gather(g["w"], ops.array([1, 0], "i32"))  # noqa: E731
    assert count(lambda c, x, g: (c @ ops.transpose(picked(g)) @ picked(g), x)) == 0
    # A loop inside is run by all lanes together.
    inner = lambda c: ops.scan(lambda h, _: (ops.tanh(h), None), c, length=3)[0]  # noqa: E731
    assert count(lambda c, x, g: (inner(c) + x, x)) == 0


def test_ends_when_interrupted():
    model = Model("f32")
    with model.function("f") as graph:
        x, w = (ops.input_(k, s, "f32") for k, s in (("x", (B, 64)), ("w", (64, 64))))
        step = lambda h, _: (ops.tanh(h @ w), None)  # noqa: E731
        graph.return_(ops.scan(step, x, length=50_000_000)[0])
    program = Program(model=model)
    compiled = engine.compile(program.text)
    assert compiled.info("f", 64)["row_loops"] == 1
    sources = {"x": np.ones((64, 64), "f4"), "w": np.ones((64, 64), "f4")}
    before = _native.parallel_regions()
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        compiled.run("f", sources, program, rows=np.arange(64), n_threads=2)
    timer.join()
    assert _native.parallel_regions() > before
