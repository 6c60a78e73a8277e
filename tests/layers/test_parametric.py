"""Trained numbers of single features: factors, and slopes of activations."""

import functools

import numpy as np
import pytest
from sklearn.base import clone
from support.networks import B, Built

from slimlearn import NetworkClassifier, layers, network
from slimlearn.backend import ops
from slimlearn.backend.graph import Model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = (np.abs(X[:, 0]) > X[:, 1]).astype(int)


def mish(z):
    return z * np.tanh(np.logaddexp(0, z))


FORMULAS = {
    "scale": (layers.scale, "scale/scales", 1.0, lambda x, p: x * p),
    "prelu": (
        layers.prelu,
        "prelu/slopes",
        0.25,
        lambda x, p: np.where(x > 0, x, x * p),
    ),
    "parametric": (
        functools.partial(layers.parametric_activation, activation_fn="mish"),
        "parametric_activation/shares",
        1.0,
        lambda x, p: x + p * (mish(x) - x),
    ),
}


@pytest.mark.parametrize("kind", FORMULAS)
@pytest.mark.parametrize("shape", [(5,), (3, 5)])
def test_they_are_their_formulas(kind, shape):
    layer, name, start, formula = FORMULAS[kind]
    made = Built(layer, shape=shape)
    x = RNG.normal(size=(7, *shape))
    assert made.params.keys() == {name} and (made.params[name] == start).all()
    made.params[name][...] = values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(
        made.predict(x), formula(x, values), rtol=1e-12, atol=1e-14
    )
    direction = RNG.normal(size=x.shape)
    got = made.train(x, direction)[1][name]
    step = 1e-6
    want = np.empty(5)
    for i in range(5):
        shifts = [values + s * step * (np.arange(5) == i) for s in (1, -1)]
        high, low = (np.sum(direction * formula(x, v)) for v in shifts)
        want[i] = (high - low) / (2 * step)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)


def test_shares_of_relu_are_slopes():
    built = [
        Built(functools.partial(layer, initializer=layers.constant_initializer(value)))
        for layer, value in (
            (layers.prelu, 0.2),
            (layers.parametric_activation, 0.8),
        )
    ]
    both = [made.predict(X) for made in built]
    np.testing.assert_allclose(*both, rtol=1e-12, atol=1e-14)


@network
def tower(x, num_outputs, depth=1, activation_fn=layers.prelu, rate=None):
    x = layers.scale(x, learning_rate_factor=rate)
    for _ in range(depth):
        x = layers.fully_connected(x, 8, activation_fn)
    return layers.linear(x, num_outputs)


@pytest.mark.parametrize("depth", [1, 25])
@pytest.mark.parametrize(
    "activation_fn",
    [
        layers.prelu,
        functools.partial(layers.parametric_activation, activation_fn="elu"),
    ],
    ids=["prelu", "any"],
)
def test_they_train_in_every_layer_and_go_on(depth, activation_fn):
    net = tower(depth=depth, activation_fn=activation_fn)
    options = {"max_iter": 4, "batch_size": 16, "random_state": 0}
    whole = NetworkClassifier(net, **options).fit(X, Y)
    half = clone(whole).set_params(max_iter=2, warm_start=True)
    half.fit(X, Y).fit(X, Y)
    assert half.program_.params.tobytes() == whole.program_.params.tobytes()
    word = "slopes" if activation_fn is layers.prelu else "shares"
    own = [v for k, v in whole.program_.weights.items() if k.endswith(word)]
    assert len(own) == depth
    start = 0.25 if word == "slopes" else 1.0
    assert sum((v != start).any() for v in own) > depth / 2
    assert (whole.program_.weights["scale/scales"] != 1).all()
    parts = [whole.predict_proba(X[i : i + 7]) for i in range(0, 60, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole.predict_proba(X))


def test_a_scale_finds_the_columns_that_matter():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 20))
    y = (x[:, 3] + x[:, 7] > 0).astype(int)
    net = tower(activation_fn="relu", rate=6.0)
    clf = NetworkClassifier(net, max_iter=30, random_state=0).fit(x, y)
    scales = np.abs(clf.program_.weights["scale/scales"])
    assert set(np.argsort(scales)[-2:]) == {3, 7}


@pytest.mark.parametrize("layer", [f[0] for f in FORMULAS.values()], ids=FORMULAS)
def test_whole_numbers_are_refused(layer):
    with Model("f32").function("predict"):
        x = ops.input_("X", (B, 5), "i32")
        with pytest.raises(TypeError, match="inputs must be f32 or f64"):
            layer(x)
        with pytest.raises(ValueError, match="mosh"):
            layers.parametric_activation(ops.cast(x, "f32"), "mosh")
