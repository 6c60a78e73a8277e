"""JAX with the epoch as one jitted scan; compiled once for all fits of a shape."""

from functools import lru_cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.metrics import accuracy_score, r2_score

DECAY, EPSILON = 0.99, 1e-5  # of the batch norm's averages


def shapes(case):
    """Return the shape of each layer's weights."""
    inputs = (1, *case.filters)
    found = [(3, 3, a, b) for a, b in zip(inputs, case.filters)]
    widths = [case.layers()[len(found)][0] // case.units[1], *case.units[1:]]
    return (*found, *pairwise(widths))


def initial(key, case):
    """Return weights as PyTorch draws them, and the averages of batch norm."""
    layers, averages = [], []
    for shape in case.shapes:
        key, one, two = jax.random.split(key, 3)
        bound = 1 / np.sqrt(np.prod(shape[:-1]))
        layer = {
            "w": jax.random.uniform(one, shape, minval=-bound, maxval=bound),
            "b": jax.random.uniform(two, shape[-1:], minval=-bound, maxval=bound),
        }
        layers.append(layer)
        averages.append((jnp.zeros(shape[-1]), jnp.ones(shape[-1])))
    if case.batch_norm:
        for layer in layers[:-1]:
            layer["scale"] = jnp.ones_like(layer["b"])
    return layers, averages


def convolved(x, layer):
    """Return the largest of each 2×2 of an activated 3×3 convolution."""
    words = ("NHWC", "HWIO", "NHWC")
    x = jax.lax.conv_general_dilated(
        x, layer["w"], (1, 1), "SAME", dimension_numbers=words
    )
    x = jax.nn.relu(x + layer["b"])
    window = (1, 2, 2, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")


def forward(case, layers, averages, x, key=None):
    """Return the raw outputs and the new averages; with a key it is training."""
    fresh = []
    if layers[0]["w"].ndim == 4:
        side = int(np.sqrt(x.shape[1]))
        x = x.reshape(-1, side, side, 1)
    for i, layer in enumerate(layers[:-1]):
        if layer["w"].ndim == 4:
            x = convolved(x, layer)
            fresh.append(averages[i])
            continue
        x = x.reshape(len(x), -1)
        if case.batch_norm:
            x = x @ layer["w"]
            mean, variance = averages[i]
            if key is not None:
                old = mean, variance
                mean, variance = x.mean(axis=0), x.var(axis=0)
                new = zip(old, (mean, variance))
                fresh.append(tuple(DECAY * a + (1 - DECAY) * b for a, b in new))
            x = (x - mean) * (jax.lax.rsqrt(variance + EPSILON) * layer["scale"])
            x = x + layer["b"]
        else:
            x = x @ layer["w"] + layer["b"]
        x = jax.nn.relu(x)
        if case.dropout and key is not None:
            key, mine = jax.random.split(key)
            keep = jax.random.bernoulli(mine, 1 - case.dropout, x.shape)
            x = jnp.where(keep, x / (1 - case.dropout), 0)
    last = layers[-1]
    return x @ last["w"] + last["b"], [*fresh, *averages[len(fresh) :]]


def loss(layers, averages, case, x, y, key):
    """Return the mean loss of a batch and the new averages."""
    raw, averages = forward(case, layers, averages, x, key)
    if case.regression:
        return jnp.mean((raw[:, 0] - y) ** 2), averages
    picked = jnp.take_along_axis(jax.nn.log_softmax(raw), y[:, None], axis=1)
    return -jnp.mean(picked), averages


def step(case, carry, batch):
    """Make one update of Adam."""
    layers, averages, m, v, t, key = carry
    key, mine = jax.random.split(key)
    slope = jax.grad(loss, has_aux=True)
    grads, averages = slope(layers, averages, case, *batch, mine)
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    move = partial(jax.tree.map, lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8))
    return (move(layers, m, v), averages, m, v, t, key), None


@lru_cache(maxsize=8)
def epoch_of(shapes, batch, batch_norm, dropout, rows):
    """Return the jitted epoch; the rest of the rows is a step of its own."""

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def epoch(case, carry, X, y):
        key, mine = jax.random.split(carry[-1])
        carry = (*carry[:-1], key)
        order = jax.random.permutation(mine, rows)
        full = rows // batch * batch
        batches = order[:full].reshape(-1, batch)
        carry, _ = jax.lax.scan(
            lambda carry, at: step(case, carry, (X[at], y[at])), carry, batches
        )
        if full < rows:
            rest = order[full:]
            carry, _ = step(case, carry, (X[rest], y[rest]))
        return carry

    return epoch


class Static:
    """A case that compares by what is compiled."""

    def __init__(self, case):
        self.shapes, self.regression = shapes(case), case.regression
        self.batch_norm, self.dropout = case.batch_norm, case.dropout

    def _key(self):
        return self.shapes, self.batch_norm, self.dropout

    def __hash__(self):
        return hash(self._key())

    def __eq__(self, other):
        return self._key() == other._key()


@partial(jax.jit, static_argnums=0)
def answer(case, layers, averages, x):
    """Return classes or numbers."""
    raw, _ = forward(case, layers, averages, x)
    return raw[:, 0] if case.regression else raw.argmax(axis=1)


start = jax.jit(initial, static_argnums=1)


class Scan:
    """A network and its epochs, behind fit, predict and score."""

    def __init__(self, case, epochs):
        self.case, self.epochs = case, epochs

    def epoch(self, static, rows):
        """Return what moves the weights through all rows once."""
        case = self.case
        return epoch_of(static.shapes, case.batch, case.batch_norm, case.dropout, rows)

    def fit(self, X, y):
        """Train for the case's epochs."""
        static = Static(self.case)
        epoch = self.epoch(static, len(X))
        layers, averages = start(jax.random.key(0), static)
        zeros = jax.tree.map(jnp.zeros_like, layers)
        more = jax.tree.map(jnp.zeros_like, layers)
        carry = (layers, averages, zeros, more, jnp.zeros(()), jax.random.key(1))
        X, y = jnp.asarray(X), jnp.asarray(y)
        for _ in range(self.epochs):
            carry = epoch(static, carry, X, y)
        self.layers, self.averages = jax.block_until_ready(carry[:2])
        return self

    def predict(self, X):
        """Return classes or numbers."""
        static = Static(self.case)
        return np.asarray(answer(static, self.layers, self.averages, X))

    def score(self, X, y):
        """Return the accuracy, or R²."""
        measure = r2_score if self.case.regression else accuracy_score
        return measure(y, self.predict(X))


def prepare(case, epochs):
    """Return the epochs of a case, not yet run."""
    return Scan(case, epochs)
