"""Attention, encodings of positions, blocks of transformers, causal convolutions."""

import itertools
import math

import numpy as np
import pytest
from support.networks import B, Built
from support.summed import Summed

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.graph import Model

RNG = np.random.default_rng(0)


def drawn(made, scope):
    for name, value in made.params.items():
        made.params[name] = RNG.normal(0.1, 0.5, value.shape)
    return {k.removeprefix(f"{scope}/"): v for k, v in made.params.items()}


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def attended(p, query, value, heads, mask):
    """The formula, head by head; mask: [B, T, S]."""

    def dense(x, name):
        return x @ p[f"{name}/weights"] + p[f"{name}/biases"]

    q, k, v = dense(query, "query"), dense(value, "key"), dense(value, "value")
    parts, scores = [], []
    split = [np.split(a, heads, -1) for a in (q, k, v)]
    for q, k, v in zip(*split, strict=True):
        score = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
        weights = softmax(np.where(mask, score, -np.inf))
        parts.append(weights @ v)
        scores.append(weights)
    return dense(np.concatenate(parts, -1), "output"), np.stack(scores, 1)


@pytest.mark.parametrize("steps", [1, 2, 50, 300])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
def test_attention_is_its_formula(steps, causal, lengths):
    x = RNG.normal(size=(3, steps, 4))
    n = np.maximum([steps, steps // 2, 1], 1)

    def network(x):
        return layers.multi_head_attention(
            x[:, :, 1:],
            2,
            3,
            use_causal_mask=causal,
            key_length=ops.cast(x[:, 0, 0], "i32") if lengths else None,
            scope="a",
        )

    made = Built(network, (steps, 5))
    p = drawn(made, "a")
    mask = np.ones((3, steps, steps), bool)
    if causal:
        mask &= np.tril(mask)
    if lengths:
        mask &= np.arange(steps) < n[:, None, None]
    want, _ = attended(p, x, x, 2, mask)
    column = np.broadcast_to(n[:, None, None], (3, steps, 1))
    x = np.concatenate([column, x], 2)
    for got in (made.predict(x), made.train(x)[0]):
        if lengths:  # behind the end a query is that of zeros
            used = np.arange(steps) < n[:, None]
            got, want = got[used], want[used] if want.ndim == 3 else want
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_other_values_masks_and_scores(rank):
    x = RNG.normal(size=(3, 12, 4))

    def network(x):
        query, value = x[:, :5], ops.tanh(x[:, 5:])
        seen = ops.expand_dims(query[:, :, 0], 2) + ops.expand_dims(value[:, :, 0], 1)
        seen = ops.greater(seen, -0.5)
        if rank == 2:
            seen = ops.greater(ops.expand_dims(ops.iota(5), 1) + ops.iota(7), 1)
        elif rank == 4:
            seen = ops.expand_dims(seen, 1)
        outputs, scores = layers.multi_head_attention(
            query,
            2,
            3,
            value=value,
            output_dim=6,
            attention_mask=seen,
            return_attention_scores=True,
            scope="a",
        )
        return ops.concat([layers.flatten(outputs), layers.flatten(scores)])

    made = Built(network, (12, 4))
    p = drawn(made, "a")
    query, value = x[:, :5], np.tanh(x[:, 5:])
    mask = query[:, :, None, 0] + value[:, None, :, 0] > -0.5
    if rank == 2:
        mask = np.broadcast_to(np.add.outer(range(5), range(7)) > 1, (3, 5, 7))
    sees = mask.any(2)  # else the mean of all
    mask = mask | ~sees[:, :, None]
    outputs, scores = attended(p, query, value, 2, mask)
    scores = np.where(sees[:, None, :, None], scores, 1 / 7)
    got = made.predict(x)
    np.testing.assert_allclose(got[:, 30:], scores.reshape(3, -1), 1e-9, 1e-11)
    got = got[:, :30].reshape(3, 5, 6)
    np.testing.assert_allclose(got[sees], outputs[sees], 1e-9, 1e-11)
    assert sees.sum() > 10


def norm(x, p, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    return x * p[f"{name}/gamma"] + p[f"{name}/beta"]


@pytest.mark.parametrize("first", [False, True])
def test_a_block_is_its_formula(first):
    x = RNG.normal(size=(3, 6, 4))
    made = Built(
        lambda x: layers.transformer_encoder(
            x, 2, 9, normalize_first=first, scope="a", use_causal_mask=True
        ),
        (6, 4),
    )
    p = drawn(made, "a")
    own = {k.removeprefix("attention/"): v for k, v in p.items()}
    mask = np.broadcast_to(np.tril(np.ones((6, 6), bool)), (3, 6, 6))

    def attention(x):
        inner = {k: v for k, v in own.items() if k != "output/weights"}
        inner["output/weights"] = p["attention/output/weights"]
        inner["output/biases"] = p["attention/output/biases"]
        return attended(inner, x, x, 2, mask)[0]

    def forward(x):
        x = x @ p["intermediate/weights"] + p["intermediate/biases"]
        return np.maximum(x, 0) @ p["output/weights"] + p["output/biases"]

    want = x
    for half, name in ((attention, "attention_norm"), (forward, "output_norm")):
        read = norm(want, p, name) if first else want
        want = want + half(read)
        want = want if first else norm(want, p, name)
    np.testing.assert_allclose(made.predict(x), want, rtol=1e-8, atol=1e-10)


NETWORKS = {
    "attention": lambda x: layers.multi_head_attention(
        x, 2, 3, use_causal_mask=True, dropout=0.3, scope="a"
    ),
    "block": lambda x: layers.transformer_encoder(x, 2, 5, dropout=0.3, scope="a"),
    "learned": lambda x: layers.positional_encoding(x, "learned", 9, scope="a") ** 2,
    "causal": lambda x: layers.conv1d(x, 3, 2, padding="CAUSAL", rate=2, scope="a"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_difference_quotients(name):
    x = RNG.normal(size=(3, 5, 4))
    made = Built(NETWORKS[name], (5, 4))
    drawn(made, "a")
    direction = RNG.normal(size=(3, *made.trained.shape[1:]))
    _, slopes = made.train(x, direction)
    assert set(slopes) == set(made.params)
    for key, value in made.params.items():
        way, values = RNG.normal(size=value.shape), []
        for sign in (1, -1):
            made.params[key] = value + sign * 1e-6 * way
            values.append((made.train(x)[0] * direction).sum())
        made.params[key] = value
        want = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose((slopes[key] * way).sum(), want, 1e-5, 1e-7)


@pytest.mark.parametrize("steps", [1, 7, 300])
def test_sines_of_positions(steps):
    x = RNG.normal(size=(2, steps, 6))
    made = Built(layers.positional_encoding, (steps, 6))
    angles = np.arange(steps)[:, None] / 10_000 ** (2 * np.arange(3) / 6)
    want = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(steps, 6)
    np.testing.assert_allclose(made.predict(x), x + want, rtol=1e-12, atol=1e-12)


def test_learned_positions():
    made = Built(
        lambda x: layers.positional_encoding(x, "learned", 9, scope="a"), (5, 2)
    )
    x = RNG.normal(size=(2, 5, 2))
    table = made.params["a/positions"]
    assert table.shape == (9, 2)
    assert 0 < abs(table).max() <= 0.05
    np.testing.assert_array_equal(made.predict(x), x + table[:5])


@pytest.mark.parametrize(("rate", "stride"), [(1, 1), (2, 1), (4, 1), (1, 2)])
def test_causal_convolutions_read_nothing_later(rate, stride):
    x = RNG.normal(size=(2, 11, 3))
    made = Built(
        lambda x: layers.conv1d(
            x, 4, 3, stride, "CAUSAL", rate=rate, activation_fn=None, scope="a"
        ),
        (11, 3),
    )
    p = drawn(made, "a")
    padded = np.concatenate([np.zeros((2, 2 * rate, 3)), x], 1)
    want = sum(padded[:, k * rate :][:, :11] @ p["weights"][k] for k in range(3))
    want = (want + p["biases"])[:, ::stride]
    np.testing.assert_allclose(made.predict(x), want, rtol=1e-10, atol=1e-12)


def test_padded_ids_and_given_vectors():
    table = RNG.normal(size=(6, 3))
    made = Built(
        lambda x: layers.embedding(x, 6, 3, table, padding_id=2, scope="a"), (4,)
    )
    np.testing.assert_array_equal(made.params["a/embeddings"], table)
    ids = np.array([[0, 2, 5, 2], [2, 2, 1, 0]])
    want = np.where((ids == 2)[..., None], 0, table[ids])
    np.testing.assert_array_equal(made.predict(ids), want)
    _, slopes = made.train(ids, np.ones((2, 4, 3)))
    np.testing.assert_array_equal(slopes["a/embeddings"][:, 0], [2, 1, 0, 0, 0, 1])


@pytest.mark.parametrize("causal", [False, True])
def test_bits_do_not_depend_on_threads_place_and_padding(causal):
    def network(x, n):
        x = layers.transformer_encoder(
            x, 2, 9, sequence_length=n, use_causal_mask=causal
        )
        return layers.sequence_pool(x, sequence_length=n)

    made, rows = Summed(network, (8, 6)), 33
    x = RNG.normal(size=(rows, 8, 6)).astype(np.float32)
    n = RNG.integers(1, 9, rows).astype(np.int32)
    want, trained = made.predict(x, n), made.train(x, n)
    assert np.isfinite(want).all()
    assert made.train(x, n, threads=2) == trained
    order = RNG.permutation(rows)[:17]
    for threads, batch in itertools.product((1, 2), (None, 5)):
        got = made.predict(x, n, n_threads=threads, batch=batch)
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(made.predict(x[order], n[order]), want[order])
    other = x.copy()
    for row in range(rows):
        other[row, n[row] :] = RNG.choice([1e30, np.nan, -3.0], 8 - n[row])[:, None]
    np.testing.assert_array_equal(made.predict(other, n), want)
    assert made.train(other, n) == trained


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda x: layers.multi_head_attention(x[:, 0], 2, 3), "query must be"),
        (lambda x: layers.multi_head_attention(x, 0, 3), "num_heads must be"),
        (
            lambda x: layers.multi_head_attention(x, 2, 3, x, x[:, :2]),
            "a value for each key",
        ),
        (
            lambda x: layers.multi_head_attention(x, 2, 3, attention_mask=x),
            "attention_mask must be",
        ),
        (
            lambda x: layers.multi_head_attention(x, 2, 3, dropout=1.0),
            "the probability of dropping",
        ),
        (lambda x: layers.transformer_encoder(x, 3, 4), "must divide the 4 features"),
        (lambda x: layers.positional_encoding(x, "sines"), "kind must be"),
        (lambda x: layers.positional_encoding(x[:, :, :3]), "an even number"),
        (
            lambda x: layers.positional_encoding(x, "learned", 2),
            "has 5 steps, max_length is 2",
        ),
        (
            lambda x: layers.conv2d(x[..., None], 2, 3, padding="CAUSAL"),
            "is for one spatial axis",
        ),
        (lambda x: layers.embedding(x, 6, 3, np.ones((3, 6))), "needs .6, 3."),
        (lambda x: layers.embedding(x, 6, 3, padding_id=6), "from 0 to 5"),
    ],
)
def test_bad_arguments(network, words):
    model = Model("f64")
    with pytest.raises(ValueError, match=words), model.function("f"):
        network(ops.input_("X", (B, 5, 4), "f64"))
