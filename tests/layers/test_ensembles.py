"""Members that share their weights."""

import functools

import numpy as np
import pytest
from sklearn.base import clone
from support.networks import B, Built

from slimlearn import NetworkRegressor, layers, network
from slimlearn.backend import ops
from slimlearn.backend.graph import Model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]


def expected(x, params, shared, ntk):
    if x.ndim == 2:
        x = np.repeat(x[:, None], len(params["biases"]), axis=1)
    weights = params["weights"] / np.sqrt(x.shape[-1]) if ntk else params["weights"]
    if not shared:
        return np.einsum("bkn,knu->bku", x, weights) + params["biases"]
    product = np.einsum("bkn,nu->bku", x * params["input_scales"], weights)
    return product * params["output_scales"] + params["biases"]


@pytest.mark.parametrize("parametrization", ["standard", "ntk"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5)])
@pytest.mark.parametrize("rows", [1, 7])
def test_it_is_its_formula(shape, shared, parametrization, rows):
    layer = functools.partial(
        layers.batch_ensemble,
        num_outputs=4,
        num_members=3,
        activation_fn=None,
        shared=shared,
        parametrization=parametrization,
    )
    made = Built(layer, shape=shape)
    kinds = ["biases", "weights"]
    kinds += ["input_scales", "output_scales"] if shared else []
    assert made.params.keys() == {f"batch_ensemble/{kind}" for kind in kinds}
    params = {}
    for name, values in made.params.items():
        values[...] = RNG.normal(size=values.shape)
        params[name.split("/")[1]] = values
    x = RNG.normal(size=(rows, *shape))
    formula = functools.partial(expected, shared=shared, ntk=parametrization == "ntk")
    want = formula(x, params)
    np.testing.assert_allclose(made.predict(x), want, rtol=1e-12, atol=1e-12)
    direction = RNG.normal(size=want.shape)
    got, slopes = made.train(x, direction)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    for name, values in params.items():
        step, at = 1e-6, (0,) * values.ndim
        ends = []
        for sign in (1, -1):
            moved = {**params, name: values.copy()}
            moved[name][at] += sign * step
            ends.append(np.sum(direction * formula(x, moved)))
        slope = slopes[f"batch_ensemble/{name}"][at]
        np.testing.assert_allclose(slope, np.diff(ends[::-1])[0] / (2 * step), 1e-5)


def test_members_start_apart_from_what_they_all_read():
    first = Built(
        functools.partial(layers.batch_ensemble, num_outputs=4, num_members=8)
    )
    signs = first.params["batch_ensemble/input_scales"]
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert len(np.unique(signs, axis=0)) > 4
    second = Built(functools.partial(layers.batch_ensemble, num_outputs=4), (8, 5))
    assert (second.params["batch_ensemble/input_scales"] == 1).all()
    own = functools.partial(
        layers.batch_ensemble,
        num_outputs=4,
        num_members=2,
        scales_initializer=layers.zeros_initializer(),
    )
    assert not Built(own).params["batch_ensemble/input_scales"].any()


@network
def ensemble(x, num_outputs, count=4, units=16, depth=2):
    x = layers.batch_ensemble(x, units, count, scope="first")
    for i in range(1, depth):
        x = layers.batch_ensemble(x, units, scope=f"fc{i}")
    x = layers.batch_ensemble(x, num_outputs, activation_fn=None, shared=False)
    return ops.reduce_mean(x, [1])


@pytest.mark.parametrize("count, depth", [(1, 1), (4, 2), (3, 10)])
def test_it_trains_goes_on_and_predicts_rows_alone(count, depth):
    options = {"max_iter": 4, "batch_size": 16, "random_state": 0}
    whole = NetworkRegressor(ensemble(count=count, depth=depth), **options).fit(X, Y)
    half = clone(whole).set_params(max_iter=2, warm_start=True)
    half.fit(X, Y).fit(X, Y)
    assert half.program_.params.tobytes() == whole.program_.params.tobytes()
    weights = whole.program_.weights
    assert weights["batch_ensemble/weights"].shape == (count, 16, 1)
    assert len(np.unique(weights["first/output_scales"], axis=0)) == count
    parts = [whole.predict(X[i : i + 7]) for i in range(0, 120, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole.predict(X))
    other = clone(whole).set_params(n_threads=2).fit(X, Y)
    assert other.program_.params.tobytes() == whole.program_.params.tobytes()


def test_factors_by_name():
    with Model("f32").function("predict"):
        x = ops.input_("X", (B, 5), "f32")
        with pytest.raises(ValueError, match=r"'gains'.*'weights', 'input_scales'"):
            layers.batch_ensemble(x, 4, 2, learning_rate_factor={"gains": 0.1})


@pytest.mark.parametrize(
    "shape, arguments, message",
    [
        ((5,), {}, "give num_members"),
        ((5,), {"num_members": 0}, "num_members"),
        ((3, 5), {"num_members": 4}, "num_members=4.*3 members"),
        ((3, 4, 5), {"num_members": 3}, "rank 4"),
        ((5,), {"num_members": 2, "parametrization": "mup"}, "'mup'"),
    ],
)
def test_what_it_refuses(shape, arguments, message):
    with Model("f32").function("predict"):
        x = ops.input_("X", (B, *shape), "f32")
        with pytest.raises(ValueError, match=message):
            layers.batch_ensemble(x, 4, **arguments)
