"""Lengths, masks and pooling over time: values, padding, gradients, refusals."""

import numpy as np
import pytest

from slimlearn import layers
from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B, symbol
from slimlearn.layers.sequence import know_lengths, without_padding

T = symbol("T")
LENGTHS = np.array([3, 7, 1, 6], np.int32)
MODES = ["mean", "max", "last", "attention"]


def sequences(padding, features=2, seed=0):
    x = np.random.default_rng(seed).standard_normal((4, 7, features))
    for row, length in zip(x, LENGTHS):
        row[length:] = padding
    return x


def run(network, x, known=True):
    """What a network gives for x, and its gradient there."""
    model = Model("f64")
    with model.function("f") as graph:
        inputs = ops.input_("X", (B, T, *x.shape[2:]), "f64")
        lengths = ops.input_("lengths", (B,), "i32")
        if known:
            know_lengths("T", lengths)
        y = network(inputs)
        graph.return_(y, *gradients([ops.reduce_sum(y)], [inputs]))
    rng = np.random.default_rng(1)
    params = {p.name: rng.standard_normal(p.shape) for p in model.parameters}
    state = {s.name: np.ones(s.shape) for s in model.states}
    sources = {"X": x, "lengths": LENGTHS}
    return reference.run(model, "f", sources, params, state).returns


@pytest.mark.parametrize("mode", MODES)
def test_pooling_reads_a_sequence_alone(mode):
    y, grad = run(lambda x: layers.sequence_pool(x, mode), sequences(0.0))
    for padding in (np.nan, -np.inf, 1e9):
        other, slope = run(lambda x: layers.sequence_pool(x, mode), sequences(padding))
        np.testing.assert_array_equal(y, other)
        np.testing.assert_array_equal(grad, slope)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(grad[row, length:], 0.0)
        alone = sequences(0.0)[row : row + 1, :length]
        same, _ = run(
            lambda x: layers.sequence_pool(x, mode), np.tile(alone, (4, 1, 1)), False
        )
        np.testing.assert_allclose(y[row], same[0], rtol=1e-12, atol=1e-14)


def test_modes_are_what_they_say():
    x = sequences(np.nan)
    parts = [row[:length] for row, length in zip(x, LENGTHS)]
    for mode, of in [
        ("mean", lambda p: p.mean(0)),
        ("max", lambda p: p.max(0)),
        ("last", lambda p: p[-1]),
    ]:
        y, _ = run(lambda x, mode=mode: layers.sequence_pool(x, mode), x)
        np.testing.assert_allclose(y, [of(part) for part in parts])


@pytest.mark.parametrize("mode", MODES)
def test_without_lengths_all_steps_count(mode):
    x = sequences(2.0)
    y, _ = run(lambda x: layers.sequence_pool(x, mode), x, known=False)
    if mode != "attention":
        want = {"mean": x.mean(1), "max": x.max(1), "last": x[:, -1]}[mode]
        np.testing.assert_allclose(y, want)
    assert y.shape == (4, 2)


def test_a_mask_is_false_in_the_padding():
    def network(x):
        return ops.cast(layers.sequence_mask(x), "f64") + 0 * x[:, :, 0]

    y, _ = run(network, sequences(0.0))
    np.testing.assert_array_equal(y, np.arange(7) < LENGTHS[:, None])
    y, _ = run(network, sequences(0.0), known=False)
    np.testing.assert_array_equal(y, 1.0)


def test_lengths_of_an_axis_follow_its_rule():
    model = Model("f32")
    with model.function("f") as graph:
        lengths = ops.input_("lengths", (B,), "i32")
        know_lengths("T", lengths)
        x = ops.input_("X", (B, T, 2))
        assert layers.sequence_length(x) is lengths
        halves = ops.zeros((B, (T + 1) // 2, 2), "f32")
        shorter = ops.zeros((B, T - 4, 2), "f32")
        assert layers.sequence_length(halves) is layers.sequence_length(halves)
        assert layers.sequence_length(ops.zeros((B, 5, 2), "f32")) is None
        graph.return_(layers.sequence_length(halves), layers.sequence_length(shorter))
    halved, less = reference.run(
        model, "f", {"X": np.zeros((4, 7, 2), "f4"), "lengths": LENGTHS}, {}, {}
    ).returns
    np.testing.assert_array_equal(halved, [2, 4, 1, 3])
    np.testing.assert_array_equal(less, [0, 3, 0, 2])


def test_a_copied_function_knows_its_own_lengths():
    model = Model("f32")
    with model.function("f"):
        know_lengths("T", ops.input_("lengths", (B,), "i32"))
        x = ops.input_("X", (B, T, 2))
    twin = model.branch("g", "f")
    with model.function("g"):
        found = layers.sequence_length(twin.values[x.name])
        assert found.graph is twin


def test_masks_inside_a_loop_read_those_outside():
    def network(x):
        def step(total, i):
            mask = ops.cast(layers.sequence_mask(x), "f64")
            return total + ops.sum(x[:, :, 0] * mask, 1) * ops.cast(i, "f64"), ()

        total, _ = ops.scan(step, ops.zeros((B,), "f64"), ops.iota(3))
        return total

    y, _ = run(network, sequences(0.0))
    np.testing.assert_allclose(y, 3 * sequences(0.0)[:, :, 0].sum(1))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: layers.sequence_pool(x, "median"), "mode must be one of 'mean'"),
        (lambda x: layers.sequence_pool(x[:, :, 0]), r"must be \[B, T, n\]"),
        (lambda x: layers.sequence_pool(x, sequence_length=3), r"i32\[B\], got 3"),
        (lambda x: layers.sequence_mask(x, x), r"i32\[B\], got f64\[B,T,2\]"),
        (lambda x: layers.sequence_length(ops.max(x, (1, 2))), "at least 2 dimensions"),
        (lambda x: layers.sequence_pool(x, "attention", num_units=0), "num_units"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        run(call, sequences(0.0))


LAYERS = {
    "conv": lambda x: layers.conv1d(x, 3, 3),
    "conv, stride 2": lambda x: layers.conv1d(x, 3, 3, stride=2),
    "conv, dilated": lambda x: layers.conv1d(x, 3, 3, rate=2),
    "conv, causal": lambda x: layers.conv1d(x, 3, 3, padding=[(2, 0)]),
    "conv, separable": lambda x: layers.conv1d(x, 2, 3, groups=2),
    "max": lambda x: layers.max_pool1d(x, 2, padding="SAME"),
    "max, stride 1": lambda x: layers.max_pool1d(x, 3, 1, padding="SAME"),
    "mean": lambda x: layers.avg_pool1d(x, 3, 1, padding="SAME"),
    "layer norm": lambda x: layers.layer_norm(x, epsilon=1e-3),
    "group norm": lambda x: layers.group_norm(x, 2, -1, [1], epsilon=1e-3),
    "instance norm": lambda x: layers.instance_norm(x, epsilon=1e-3),
    "two": lambda x: layers.conv1d(layers.conv1d(x, 4, 3), 3, 3, stride=2),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_what_stands_behind_an_end_has_no_part(layer):
    def padded(x):
        return without_padding(layer(layers.fully_connected(x, 4)))

    plain, _ = run(padded, sequences(0.0))
    other, grad = run(padded, sequences(1e3))
    np.testing.assert_array_equal(plain, other)
    for row, length in enumerate(LENGTHS):
        if length < 3:
            continue  # of one number some norms make nothing
        np.testing.assert_array_equal(grad[row, length:], 0.0)
        alone = np.tile(sequences(0.0)[row : row + 1, :length], (4, 1, 1))
        same, _ = run(padded, alone, known=False)
        np.testing.assert_allclose(plain[row, : same.shape[1]], same[0], rtol=1e-9)
        np.testing.assert_array_equal(plain[row, same.shape[1] :], 0.0)


@pytest.mark.parametrize("kind", ["AVG", "MAX"])
def test_global_pooling_reads_a_sequence_alone(kind):
    y, _ = run(lambda x: layers.global_pool(x, kind), sequences(1e3))
    of = np.mean if kind == "AVG" else np.max
    want = [of(x[:n], axis=0) for x, n in zip(sequences(0.0), LENGTHS)]
    np.testing.assert_allclose(y, want)


def test_batch_norm_s_moments_are_of_the_sequences_own_steps():
    x = sequences(1e3)
    model = Model("f64")
    with model.function("f", training=True) as graph:
        inputs = ops.input_("X", (B, T, 2), "f64")
        know_lengths("T", ops.input_("lengths", (B,), "i32"))
        graph.return_(layers.batch_norm(inputs, epsilon=0.0))
    params = {"BatchNorm/beta": np.zeros(2)}
    state = {s.name: np.ones(s.shape) for s in model.states}
    sources = {"X": x, "lengths": LENGTHS}
    (y,) = reference.run(model, "f", sources, params, state).returns
    own = np.concatenate([row[:n] for row, n in zip(x, LENGTHS)])
    want = (own - own.mean(0)) / own.std(0)
    got = np.concatenate([row[:n] for row, n in zip(y, LENGTHS)])
    np.testing.assert_allclose(got, want)
