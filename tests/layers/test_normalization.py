"""Normalizing layers: moments, averages, weights of rows, gradients."""

import math

import numpy as np
import pytest
from sklearn.base import clone
from support.networks import B, Built, evaluate

from slimlearn import (
    Autoencoder,
    DNNClassifier,
    DNNRegressor,
    NetworkClassifier,
    NetworkRegressor,
)
from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.callbacks import StartFrom

rng = np.random.default_rng(0)
X = rng.normal(size=(7, 5))


def names(built):
    return [p.name for p in built.model.parameters]


@pytest.fixture
def graph():
    """A function in which layers may be built by hand."""
    model = Model("f64")
    with model.function("predict") as made:
        yield made


@pytest.fixture
def x(graph):
    return ops.input_("X", (B, 5), "f64")


def moments(x, weights=None):
    mean = np.average(x, axis=0, weights=weights)
    return mean, np.average((x - mean) ** 2, axis=0, weights=weights)


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_batch_norm_uses_the_batch_in_training(precision):
    built = Built(lambda x: slim.batch_norm(x, scale=True, scope="bn"), (5,), precision)
    built.params["bn/gamma"][...] = 2.0
    built.params["bn/beta"][...] = 1.0
    mean, variance = moments(X)
    out, _ = built.train(X)
    wanted = 2 * (X - mean) / np.sqrt(variance + 0.001) + 1
    np.testing.assert_allclose(out, wanted, rtol=2e-5 if precision == "f32" else 1e-12)


def test_batch_norm_averages_are_free_of_bias():
    built = Built(lambda x: slim.batch_norm(x, decay=0.9, scope="bn"))
    batches = [rng.normal(3.0, 2.0, size=(7, 5)) for _ in range(4)]
    built.train(batches[0])
    np.testing.assert_allclose(built.states["bn/moving_mean"], moments(batches[0])[0])
    for batch in batches[1:]:
        built.train(batch)
    shares = 0.9 ** np.arange(3, -1, -1.0)
    shares /= shares.sum()
    means, variances = np.array([moments(b) for b in batches]).transpose(1, 0, 2)
    np.testing.assert_allclose(built.states["bn/moving_mean"], shares @ means)
    np.testing.assert_allclose(built.states["bn/moving_variance"], shares @ variances)
    wanted = (X - shares @ means) / np.sqrt(shares @ variances + 0.001)
    np.testing.assert_allclose(built.predict(X), wanted)


MEAN, VARIANCE = np.arange(5.0) + 50.0, np.full(5, 9.0)
GIVEN = {
    "both": {"moving_mean": MEAN, "moving_variance": VARIANCE},
    "mean": {"moving_mean": MEAN},
    "variance": {"moving_variance": VARIANCE},
    "number": {"moving_mean": 50.0, "moving_variance": 9.0},
}


def gone_on(given, decay, batches):
    mean = np.broadcast_to(given.get("moving_mean", 0.0), 5)
    variance = np.broadcast_to(given.get("moving_variance", 1.0), 5)
    for batch in batches:
        of_batch = moments(batch)
        mean = decay * mean + (1 - decay) * of_batch[0]
        variance = decay * variance + (1 - decay) * of_batch[1]
    return mean, variance


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("steps", [1, 3])
def test_batch_norm_goes_on_from_averages_that_are_given(given, steps):
    start = {
        name: value if np.ndim(value) == 0 else slim.constant_initializer(value)
        for name, value in given.items()
    }
    built = Built(
        lambda x: slim.batch_norm(x, 0.9, param_initializers=start, scope="bn")
    )
    batches = [rng.normal(3.0, 2.0, size=(7, 5)) for _ in range(steps)]
    for batch in batches:
        built.train(batch)
    mean, variance = gone_on(given, 0.9, batches)
    np.testing.assert_allclose(built.states["bn/moving_mean"], mean)
    np.testing.assert_allclose(built.states["bn/moving_variance"], variance)
    np.testing.assert_allclose(built.states["bn/moving_weight"], 1.0)


def normalized(x):
    return slim.fully_connected(slim.batch_norm(x, 0.9, scope="bn"), 4, scope="fc")


@pytest.mark.parametrize("given", ["both", "mean", "variance"])
@pytest.mark.parametrize("road", ["StartFrom", "set_weights"])
def test_averages_of_another_library_are_gone_on_from(given, road):
    few = {"max_iter": 1, "batch_size": 7, "random_state": 0, "precision": "float64"}
    reg, y = NetworkRegressor(normalized, **few), X[:, 0]
    source = {"bn": GIVEN[given]}
    if road == "StartFrom":
        reg.set_params(callbacks=[StartFrom(source)]).fit(X, y)
    else:
        reg.fit(X, y)
        size = reg.get_weights()["bn"]["moving_mean"].shape
        fresh = {"moving_mean": np.zeros(size), "moving_variance": np.ones(size)}
        reg.set_weights({"bn": fresh})
        reg.set_weights(source).set_params(warm_start=True).fit(X, y)
    mean, variance = gone_on(GIVEN[given], 0.9, [X])
    found = reg.get_weights()["bn"]
    np.testing.assert_allclose(found["moving_mean"], mean)
    np.testing.assert_allclose(found["moving_variance"], variance)


def test_averages_of_an_estimator_keep_their_weight():
    few = {"max_iter": 2, "batch_size": 7, "random_state": 0, "precision": "float64"}
    reg = NetworkRegressor(normalized, **few).fit(X, X[:, 0])
    twin = clone(reg).set_params(callbacks=[StartFrom(reg)]).fit(X, X[:, 0])
    weight = twin.get_weights()["bn"]["moving_weight"]
    np.testing.assert_allclose(weight, 1 - 0.9**4)


def test_batch_norm_weights_its_moments_by_the_rows():
    weights = np.array([1.0, 2, 0.5, 3, 1, 1, 4])
    built = Built(lambda x: slim.batch_norm(x, scope="bn"), weighted=True)
    built.train(X, weights=weights)
    mean, variance = moments(X, weights)
    np.testing.assert_allclose(built.states["bn/moving_mean"], mean)
    np.testing.assert_allclose(built.states["bn/moving_variance"], variance)


def test_integer_weights_of_batch_norm_are_repeated_rows():
    weights = np.array([1, 2, 1, 3, 1, 1, 2])
    net = Built(lambda x: slim.batch_norm(slim.linear(x, 3), scope="bn"), weighted=True)
    direction = rng.normal(size=(7, 3))
    out, grads = net.train(X, direction * weights[:, None], weights)
    again = np.repeat(np.arange(7), weights)
    repeated, more = net.train(X[again], direction[again], np.ones(len(again)))
    np.testing.assert_allclose(out[again], repeated)
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, more[name], atol=1e-12)


def test_batch_norm_takes_weights_of_its_own_and_many_axes():
    def net(x):
        weights = ops.slice_(x, 2, 0, 1)
        weights = ops.reshape(ops.slice_(weights, 1, 0, 1), (B,))
        return slim.batch_norm(x, batch_weights=ops.exp(weights), scope="bn")

    x = rng.normal(size=(6, 3, 4))
    built = Built(net, (3, 4))
    built.train(x)
    weights = np.repeat(np.exp(x[:, 0, 0]), 3)
    mean, variance = moments(x.reshape(18, 4), weights)
    np.testing.assert_allclose(built.states["bn/moving_mean"], mean)
    np.testing.assert_allclose(built.states["bn/moving_variance"], variance)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_of_batch_norm_is_that_of_finite_differences(weighted, order):
    def net(x):
        inputs = slim.linear(x, 3, scope="fc")
        outputs = slim.batch_norm(inputs, scale=True, scope="bn")
        if order == 1:
            return outputs
        return gradients([ops.reduce_sum(outputs * ops.square(outputs))], [inputs])[0]

    built = Built(net, weighted=weighted)
    built.params["bn/gamma"][...] = [0.5, 1.5, -2.0]
    weights = np.array([1.0, 2, 0.5, 3, 1, 1, 4]) if weighted else None
    direction = rng.normal(size=(7, 3))
    _, grads = built.train(X, direction, weights)
    for name in ("fc/weights", "bn/gamma", "bn/beta"):
        array = built.params[name]
        for index in np.ndindex(array.shape):
            old = array[index]
            step = []
            for move in (1e-6, -1e-6):
                array[index] = old + move
                step.append((built.train(X, direction, weights)[0] * direction).sum())
            array[index] = old
            slope = (step[0] - step[1]) / 2e-6
            assert math.isclose(grads[name][index], slope, rel_tol=1e-5, abs_tol=1e-6)


def test_batch_norm_used_twice_moves_its_averages_twice():
    def net(x):
        first = slim.batch_norm(x, decay=0.5, scope="bn")
        return first + slim.batch_norm(x * 2.0, decay=0.5, scope="bn", reuse=True)

    built = Built(net)
    built.train(X)
    mean = X.mean(axis=0)
    np.testing.assert_allclose(
        built.states["bn/moving_mean"], (0.25 * mean + 0.5 * 2 * mean) / 0.75
    )


def test_batch_norm_before_training_changes_little():
    built = Built(slim.batch_norm)
    np.testing.assert_allclose(built.predict(X), X / np.sqrt(1.001))


def test_inference_of_batch_norm_leaves_the_averages():
    built = Built(lambda x: slim.batch_norm(x, scope="bn"))
    assert built.model.functions["predict"].sets == {}
    assert sorted(built.model.functions["grad"].sets) == [
        "bn/moving_mean",
        "bn/moving_variance",
        "bn/moving_weight",
    ]


def test_batch_norm_is_few_ops():
    built = Built(lambda x: slim.batch_norm(x, scale=True, scope="bn"))
    assert len(built.model.functions["predict"].nodes) <= 8


def test_batch_norm_refuses_what_it_does_not_offer(x):
    with pytest.raises(ValueError, match=r"data_format must be one of .*'NCWH'"):
        slim.batch_norm(x, data_format="NCWH")
    with pytest.raises(ValueError, match="renorm and adjustment"):
        slim.batch_norm(x, renorm=True)
    with pytest.raises(ValueError, match="decay must be"):
        slim.batch_norm(x, decay=1.0)
    with pytest.raises(ValueError, match="batch_weights must have the shape"):
        slim.batch_norm(x, batch_weights=x, is_training=True)


def test_parameters_of_batch_norm_take_initializers_and_regularizers(graph, x):
    slim.batch_norm(
        x,
        scale=True,
        scope="bn",
        param_initializers={"gamma": slim.constant_initializer(3.0)},
        param_regularizers={"beta": slim.l1_regularizer(0.2)},
    )
    parameters = graph.model.parameters
    assert parameters["bn/gamma"].initializer == slim.constant_initializer(3.0)
    assert slim.regularizers.coefficients(parameters["bn/beta"]) == (0.2, 0.0)


def test_layer_norm_normalizes_each_row():
    built = Built(lambda x: slim.layer_norm(x, scope="ln"))
    assert names(built) == ["ln/beta", "ln/gamma"]
    built.params["ln/gamma"][...] = 3.0
    wanted = X - X.mean(axis=1, keepdims=True)
    wanted *= 3 / X.std(axis=1, keepdims=True)
    np.testing.assert_allclose(built.predict(X), wanted)


def test_layer_norm_over_the_last_axis_of_many():
    built = Built(
        lambda x: slim.layer_norm(x, begin_norm_axis=-1, activation_fn="tanh"), (4, 3)
    )
    x = rng.normal(size=(2, 4, 3))
    wanted = (x - x.mean(2, keepdims=True)) / x.std(2, keepdims=True)
    np.testing.assert_allclose(built.predict(x), np.tanh(wanted))


def test_layer_norm_refuses_axes_that_are_not_there(x):
    with pytest.raises(ValueError, match="begin_norm_axis=2 is no axis"):
        slim.layer_norm(x, begin_norm_axis=2)
    with pytest.raises(ValueError, match="begin_params_axis=0 makes parameters"):
        slim.layer_norm(x, begin_params_axis=0)


def test_unit_norm_brings_rows_to_length_one():
    out = evaluate(lambda x: slim.unit_norm(x, 1), x=X)
    np.testing.assert_allclose(out, X / np.sqrt((X**2).sum(1, keepdims=True) + 1e-7))


# -- batches of a row ------------------------------


def _normalized(x, units=3):
    return slim.fully_connected(x, units, normalizer_fn=slim.batch_norm, scope="fc")


ONE_ROW = r"batch_norm \(.*/BatchNorm\) goes by .* a batch would have 1 row, as "
ROWS = np.random.default_rng(0).normal(size=(40, 4))
LABELS = np.arange(40) % 2


@pytest.mark.parametrize("accumulate", [1, 8])
@pytest.mark.parametrize(
    "estimator",
    [
        DNNClassifier((3,), batch_norm=True),
        DNNRegressor((3,), batch_norm=True),
        Autoencoder((3, 2), batch_norm=True),
        NetworkClassifier(_normalized),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_batch_of_one_row_has_no_moments(estimator, accumulate):
    estimator = clone(estimator).set_params(max_iter=2, accumulate=accumulate)
    estimator.set_params(batch_size=1)
    with pytest.raises(ValueError, match=ONE_ROW + "batch_size=1: set"):
        estimator.fit(ROWS, LABELS)
    estimator.set_params(batch_size=2)
    with pytest.raises(ValueError, match=ONE_ROW + "there is 1 sample: give"):
        known = {"classes": [0, 1]} if hasattr(estimator, "decision_function") else {}
        estimator.partial_fit(ROWS[:1], LABELS[:1], **known)
    with pytest.raises(ValueError, match="chunk 2: " + ONE_ROW + "there is 1 sample"):
        estimator.fit_chunks([(ROWS, LABELS), (ROWS[:1], LABELS[:1])])
    for rows in (2, 3, 39, 40):  # a last row joins the batch before it
        estimator.fit(ROWS[:rows], LABELS[:rows])
        assert np.isfinite(estimator.loss_)


def test_a_row_of_several_positions_has_moments():
    def net(x):
        image = ops.reshape(x, (x.shape[0], 2, 2))
        return slim.flatten(slim.batch_norm(image))

    clf = NetworkClassifier(net, batch_size=1, max_iter=2).fit(ROWS, LABELS)
    assert np.isfinite(clf.loss_)


def test_a_row_of_one_number_has_no_moments():
    def net(x, units):
        return slim.fully_connected(x, units, normalizer_fn=slim.layer_norm)

    with pytest.raises(ValueError, match=r"layer_norm: .*f64\[B,1\] has one number"):
        NetworkClassifier(lambda x: net(x, 1), max_iter=1).fit(ROWS, LABELS)
    NetworkClassifier(lambda x: net(x, 2), max_iter=1).fit(ROWS, LABELS)
