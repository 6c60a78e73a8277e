"""Recurrent layers: their formulas, lengths and directions, gradients, bits."""

import itertools

import numpy as np
import pytest
from support.networks import B, Built
from support.summed import Summed

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.graph import Model

RNG = np.random.default_rng(0)
LAYERS = {"simple_rnn": layers.simple_rnn, "lstm": layers.lstm, "gru": layers.gru}
UNITS, FEATURES = 5, 3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normed(x, gamma, beta=0.0):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * gamma + beta


def stepped(kind, p, x, state, norm=False):
    """One step by the formulas of Keras and PyTorch; p: variables by name."""
    h = state[0]
    a, b = x @ p["weights"], h @ p["recurrent_weights"]
    if norm:
        a = normed(a, p["input_norm/gamma"])
        b = normed(b, p["recurrent_norm/gamma"])
    a, b = a + p["biases"], b + p.get("recurrent_biases", 0)
    if kind == "simple_rnn":
        return (np.tanh(a + b),)
    if kind == "lstm":
        i, f, g, o = np.split(a + b, 4, -1)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        shown = normed(c, p["state_norm/gamma"], p["state_norm/beta"]) if norm else c
        return sigmoid(o) * np.tanh(shown), c
    (xz, xr, xn), (hz, hr, hn) = np.split(a, 3, -1), np.split(b, 3, -1)
    z, n = sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
    return (z * h + (1 - z) * n,)


def expected(kind, p, x, lengths=None, backwards=False, start=None, norm=False):
    """Outputs of all steps and the last state, row by row."""
    rows, steps, _ = x.shape
    size = p["recurrent_weights"].shape[0]
    state = start or tuple(np.zeros((rows, size)) for _ in range(1 + (kind == "lstm")))
    outputs = np.zeros((rows, steps, size))
    last = [np.array(s) for s in state]
    for row in range(rows):
        own = [s[row : row + 1] for s in state]
        used = range(steps if lengths is None else lengths[row])
        for t in reversed(used) if backwards else used:
            own = stepped(kind, p, x[row : row + 1, t], own, norm)
            outputs[row, t] = own[0][0]
        for to, value in zip(last, own, strict=True):
            to[row] = value[0]
    return outputs, last


def variables(made, scope):
    """Draw all variables anew, biases too, and return them by their names inside."""
    for name, value in made.params.items():
        made.params[name] = RNG.normal(0.1, 0.5, value.shape)
    return {k.removeprefix(f"{scope}/"): v for k, v in made.params.items()}


def joined(outputs, state):
    """Outputs and a state side by side, in one tensor [B, …]."""
    values = list(state) if isinstance(state, tuple) else [state]
    flat = [layers.flatten(v) if v.rank > 2 else v for v in (outputs, *values)]
    return ops.concat(flat, 1)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("steps", [1, 2, 50, 300])
@pytest.mark.parametrize("lengths", [False, True])
def test_formulas_with_all_that_may_be_returned(kind, steps, lengths):
    rows = 4
    x = RNG.normal(size=(rows, steps, FEATURES))
    n = RNG.integers(0, steps + 1, rows) if lengths else None
    if lengths:
        n[0], n[1] = steps, 0
    for sequences, backwards in itertools.product([False, True], repeat=2):

        def network(x, n=n, sequences=sequences, backwards=backwards):
            if n is not None:
                n, x = ops.cast(x[:, 0, 0], "i32"), x[:, :, 1:]
            outputs, state = LAYERS[kind](
                x,
                UNITS,
                sequence_length=n,
                return_sequences=sequences,
                return_state=True,
                go_backwards=backwards,
                scope="layer",
            )
            return joined(outputs, state)

        made = Built(network, (steps, FEATURES + lengths))
        p = variables(made, "layer")
        given = x
        if lengths:
            column = np.broadcast_to(n[:, None, None], (rows, steps, 1))
            given = np.concatenate([column, x], 2)
        outputs, state = expected(kind, p, x, n, backwards)
        shown = outputs.reshape(rows, -1) if sequences else state[0]
        want = np.concatenate([shown, *state], 1)
        for got in (made.predict(given), made.train(given)[0]):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", LAYERS)
def test_layer_norm_and_an_initial_state(kind):
    x = RNG.normal(size=(4, 6, FEATURES))
    start = [RNG.normal(size=UNITS) for _ in range(1 + (kind == "lstm"))]

    def network(x):
        rows = ops.zeros((x.shape[0], 1), x.dtype)
        state = tuple(rows + ops.array(s, x.dtype) for s in start)
        outputs, state = LAYERS[kind](
            x,
            UNITS,
            initial_state=state if kind == "lstm" else state[0],
            layer_norm=True,
            return_state=True,
            scope="layer",
        )
        return joined(outputs, state)

    made = Built(network, (6, FEATURES))
    p = variables(made, "layer")
    begin = tuple(np.tile(s, (4, 1)) for s in start)
    outputs, state = expected(kind, p, x, start=begin, norm=True)
    want = np.concatenate([outputs[:, -1], *state], 1)
    np.testing.assert_allclose(made.predict(x), want, rtol=1e-9, atol=1e-11)


def test_the_forget_gate_starts_open():
    made = Built(lambda x: layers.lstm(x, 2, scope="a"), (3, 1))
    np.testing.assert_array_equal(made.params["a/biases"], [0, 0, 1, 1, 0, 0, 0, 0])
    made = Built(lambda x: layers.lstm(x, 2, unit_forget_bias=False, scope="a"), (3, 1))
    assert not made.params["a/biases"].any()
    recurrent = made.params["a/recurrent_weights"]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(2), atol=1e-12)


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional(mode):
    x = RNG.normal(size=(3, 7, FEATURES))

    def network(x):
        made, states = layers.bidirectional(
            x,
            layers.gru,
            UNITS,
            merge_mode=mode,
            return_sequences=True,
            return_state=True,
            scope="both",
        )
        made = ops.concat(list(made)) if mode is None else made
        return joined(made, states)

    made = Built(network, (7, FEATURES))
    p = variables(made, "both")
    pair = []
    for way in ("forward", "backward"):
        own = {k.removeprefix(way + "/"): v for k, v in p.items() if way in k}
        pair.append(expected("gru", own, x, backwards=way == "backward"))
    (a, (a_last,)), (b, (b_last,)) = pair
    merged = {"sum": a + b, "mul": a * b, "ave": (a + b) / 2}
    want = merged.get(mode, np.concatenate([a, b], 2)).reshape(3, -1)
    want = np.concatenate([want, a_last, b_last], 1)
    np.testing.assert_allclose(made.predict(x), want, rtol=1e-9, atol=1e-11)


def test_stacked_cells_are_layers_one_after_the_other():
    x = RNG.normal(size=(3, 6, FEATURES))

    def stacked(x):
        cells = [layers.lstm_cell(4, scope="one"), layers.gru_cell(2, scope="two")]
        outputs, (first, second) = layers.rnn(
            x,
            layers.stacked_cells(cells),
            return_sequences=True,
            return_state=True,
            scope="a",
        )
        return joined(outputs, (*first, second))

    def in_turn(x):
        net, first = layers.lstm(x, 4, return_sequences=True, return_state=True)
        net, second = layers.gru(net, 2, return_sequences=True, return_state=True)
        return joined(net, (*first, second))

    one, two = Built(stacked, (6, FEATURES)), Built(in_turn, (6, FEATURES))
    two.params = dict(zip(two.params, one.params.values(), strict=True))
    np.testing.assert_allclose(one.predict(x), two.predict(x), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(one.train(x)[0], two.predict(x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_cell_that_is_a_function(sequences, backwards):
    x = RNG.normal(size=(3, 6, FEATURES))
    n = np.array([6, 0, 3])

    def network(x):
        n, x = ops.cast(x[:, 0, 0], "i32"), x[:, :, 1:]

        def leaky(x, total):
            total = 0.5 * total + layers.linear(x, 2, scope="in")
            return ops.square(total), total

        return layers.rnn(
            x,
            leaky,
            ops.zeros((x.shape[0], 2), x.dtype),
            n,
            sequences,
            go_backwards=backwards,
            scope="a",
        )

    made = Built(network, (6, FEATURES + 1))
    p = variables(made, "a")
    want = np.zeros((3, 6, 2))
    for row in range(3):
        total, used = np.zeros(2), range(n[row])
        for t in reversed(used) if backwards else used:
            total = 0.5 * total + x[row, t] @ p["in/weights"] + p["in/biases"]
            want[row, t] = total**2
    if not sequences:
        ends = np.zeros(3, int) if backwards else n - 1
        want = want[range(3), ends] * (n > 0)[:, None]
    column = np.broadcast_to(n[:, None, None], (3, 6, 1))
    given = np.concatenate([column, x], 2)
    for got in (made.predict(given), made.train(given)[0]):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)


CELLS = [
    ("simple_rnn", {}),
    ("lstm", {}),
    ("gru", {}),
    ("lstm", {"layer_norm": True, "go_backwards": True}),
    ("gru", {"layer_norm": True, "recurrent_dropout": 0.4}),
    ("lstm", {"return_sequences": True, "recurrent_dropout": 0.4}),
    ("simple_rnn", {"biases_initializer": None, "activation_fn": "relu"}),
]


@pytest.mark.parametrize(("kind", "options"), CELLS)
@pytest.mark.parametrize("steps", [1, 4])
def test_gradients_are_difference_quotients(kind, options, steps):
    rows = 3
    x = RNG.normal(size=(rows, steps, FEATURES))

    def network(x):
        n = ops.minimum(ops.iota(x.shape[0]), ops.constant(steps, "i32"))
        return LAYERS[kind](x, 4, sequence_length=n, scope="a", **options)

    made = Built(network, (steps, FEATURES))
    variables(made, "a")
    direction = RNG.normal(size=(rows, *made.trained.shape[1:]))
    _, slopes = made.train(x, direction)
    assert set(slopes) == set(made.params)
    for name, value in made.params.items():
        way = RNG.normal(size=value.shape)
        values = []
        for sign in (1, -1):
            made.params[name] = value + sign * 1e-6 * way
            values.append((made.train(x)[0] * direction).sum())
        made.params[name] = value
        want = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose((slopes[name] * way).sum(), want, 1e-5, 1e-8)


def summed(kind, steps, **options):
    def network(x, n):
        return LAYERS[kind](x, 9, sequence_length=n, scope="a", **options)

    return Summed(network, (steps, 7))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("steps", [1, 2, 50])
@pytest.mark.parametrize("sequences", [False, True])
def test_bits_do_not_depend_on_threads_place_and_padding(kind, steps, sequences):
    made = summed(kind, steps, return_sequences=sequences)
    rows = 33
    x = RNG.normal(size=(rows, steps, 7)).astype(np.float32)
    n = RNG.integers(0, steps + 1, rows).astype(np.int32)
    want = made.predict(x, n)
    trained = made.train(x, n)
    assert made.train(x, n, threads=2) == trained
    order = RNG.permutation(rows)[:17]
    for threads, batch in ((2, None), (1, 5)):
        got = made.predict(x, n, n_threads=threads, batch=batch)
        np.testing.assert_array_equal(got, want)
    got = made.predict(x[order], n[order])
    np.testing.assert_array_equal(got, want[order])
    other = x.copy()
    for row in range(rows):
        other[row, n[row] :] = RNG.choice([1e30, np.nan, -3.0], steps - n[row])[:, None]
    np.testing.assert_array_equal(made.predict(other, n), want)
    assert made.train(other, n) == trained


def test_a_gradient_does_not_depend_on_how_far_sequences_are_padded():
    slopes = []
    for steps in (4, 9):
        x = np.random.default_rng(0).normal(size=(5, steps, 7)).astype(np.float32)
        x[:, :4] = np.random.default_rng(1).normal(size=(5, 4, 7))
        made = summed("lstm", steps)
        slopes.append(made.train(x, np.array([4, 3, 2, 1, 0], np.int32)))
    assert slopes[0][0] == slopes[1][0]


def test_recurrent_dropout_is_one_draw_for_all_steps():
    def network(x):
        return layers.simple_rnn(
            x,
            400,
            activation_fn=None,
            recurrent_dropout=0.5,
            recurrent_initializer=layers.identity_initializer(),
            weights_initializer=layers.ones_initializer(),
            scope="a",
        )

    made = Built(network, (4, 1))
    x = np.ones((2, 4, 1))
    np.testing.assert_array_equal(made.predict(x), 4.0)
    got, _ = made.train(x)
    # Hidden in each step: the last input alone; else h' = 2 h + 1, four times.
    assert set(np.unique(got)) == {1.0, 15.0}
    assert 0.4 < (got == 1.0).mean() < 0.6
    assert (got[0] != got[1]).any()


@pytest.mark.parametrize(
    ("network", "error", "words"),
    [
        (
            lambda x: layers.lstm(x[:, 0], 3),
            ValueError,
            "lstm: inputs must have",
        ),
        (lambda x: layers.gru(x, 0), ValueError, "^gru: units must be a whole number"),
        (lambda x: layers.bidirectional(x, 3), TypeError, "layer must be lstm, gru"),
        (
            lambda x: layers.gru(x, 3, recurrent_dropout=1),
            ValueError,
            "gru: recurrent_dropout",
        ),
        (
            lambda x: layers.rnn(x, 3),
            TypeError,
            "cell must be a cell such as",
        ),
        (
            lambda x: layers.rnn(x, lambda x, s: (x, s)),
            ValueError,
            "give initial_state",
        ),
        (
            lambda x: layers.rnn(
                x, lambda x, s: s, ops.zeros((x.shape[0], 2), x.dtype)
            ),
            TypeError,
            "a cell returns its output and the next state",
        ),
        (
            lambda x: layers.lstm(x, 3, sequence_length=x[:, 0, 0]),
            ValueError,
            "sequence_length must be a tensor i32",
        ),
        (
            lambda x: layers.lstm(x, 3, initial_state=(x[:, 0], x[:, 0])),
            ValueError,
            r"initial_state must be \(f64\[B,3\], f64\[B,3\]\), got \(<Tensor",
        ),
        (
            lambda x: layers.bidirectional(x, layers.gru, 3, merge_mode="max"),
            ValueError,
            "merge_mode must be one of 'concat'",
        ),
        (
            lambda x: layers.bidirectional(x, layers.gru, 3, initial_state=x),
            ValueError,
            "initial_state is a pair",
        ),
        (
            lambda x: layers.gru(x, 4, initial_state=ops.zeros((x.shape[0], 5), "f64")),
            ValueError,
            r"gru: initial_state must be f64\[B,4\], got f64\[B,5\]",
        ),
        (
            lambda x: layers.lstm(x, 4, initial_state=x[:, 0]),
            ValueError,
            r"lstm: initial_state must be \(f64\[B,4\], f64\[B,4\]\), got f64",
        ),
        (lambda x: layers.stacked_cells([3]), TypeError, "needs a list of cells"),
    ],
)
def test_bad_arguments(network, error, words):
    model = Model("f64")
    with pytest.raises(error, match=words), model.function("f"):
        network(ops.input_("X", (B, 4, 2), "f64"))
