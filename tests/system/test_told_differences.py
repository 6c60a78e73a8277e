"""What differs from PyTorch, TensorFlow or scikit-learn by decision is told, and so."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

from slimlearn import (
    SGD,
    Adagrad,
    DNNRegressor,
    NetworkRegressor,
    OneCycle,
    RMSProp,
    callbacks,
    layers,
    network,
    ops,
)
from slimlearn.backend import reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.layers import activation

rng = np.random.default_rng(0)


def tells(thing, *words):
    """Whether a docstring has these words, in this order."""
    text = re.sub(r"\s+", " ", inspect.getdoc(thing))
    return re.search(".*".join(map(re.escape, words)), text) is not None


def slope(function, *at):
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (len(at),))
        graph.return_(*gradients(ops.sum(function(x)), [x]))
    return reference.run(model, "f", {"x": np.array(at)}, {}).returns[0].tolist()


@pytest.mark.parametrize(
    "function, at, slopes, words",
    [
        (ops.relu, (0.0,), [0.0], ["The gradient at 0 is 0"]),
        (ops.abs, (0.0,), [0.0], ["The gradient at 0 is 0"]),
        (activation.relu6, (0.0, 6.0), [0.0, 1.0], ["0 at 0", "1 at 6"]),
        (activation.leaky_relu, (0.0,), [1.0], ["at 0 is 1", "`alpha`"]),
        (activation.selu, (0.0,), [1.7580993408473766], ["1.758"]),
        (activation.hard_sigmoid, (-3.0, 3.0), [0.0, 1 / 6], ["0 at -3", "1/6 at 3"]),
        (activation.hard_tanh, (-1.0, 1.0), [1.0, 1.0], ["1 at -1 and at 1"]),
        (activation.hard_swish, (-3.0, 3.0), [0.0, 1.5], ["0 at -3", "1.5 at 3"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_slopes_at_corners(function, at, slopes, words):
    assert slope(function, *at) == pytest.approx(slopes, abs=1e-12)
    assert tells(function, *words)


def test_ties_and_bounds():
    assert slope(lambda x: ops.maximum(x, 0.0), 0.0) == [1.0]
    assert slope(lambda x: ops.minimum(0.0, x), 0.0) == [0.0]
    assert tells(ops.maximum, "Of equal ones `a`") and tells(ops.minimum, "ones `a`")
    assert slope(lambda x: ops.max(x), 1.0, 1.0) == [0.5, 0.5]
    assert tells(ops.max, "Equal ones share the gradient equally")
    assert slope(lambda x: ops.clip(x, -1, 1), -1.0, 1.0, 1.1) == [1.0, 1.0, 0.0]
    assert tells(ops.clip, "at or within the bounds pass")


@network
def normalized(x, num_outputs):
    return layers.linear(layers.batch_norm(x, decay=0.5, scope="bn"), num_outputs)


def test_the_moving_variance_is_divided_by_n():
    X = rng.normal(size=(8, 2)) * 3 + 1
    y = X[:, 0]
    reg = NetworkRegressor(normalized(), max_iter=1, batch_size=8).fit(X, y)
    state = reg.get_weights()["bn"]
    np.testing.assert_allclose(state["moving_variance"], X.var(axis=0), rtol=1e-6)
    np.testing.assert_allclose(state["moving_mean"], X.mean(axis=0), rtol=1e-6)
    assert tells(layers.batch_norm, "divided by their number n", "n / (n - 1)")
    assert tells(layers.batch_norm, "share of the 0 and 1 that they start from")


def test_a_last_batch_of_one_row_joins():
    X = rng.normal(size=(9, 2))
    few = {"optimizer": SGD(), "max_iter": 1, "batch_size": 4, "random_state": 0}
    steps = []

    class Count(callbacks.Callback):
        def on_step_end(self, state):
            steps.append(state.epoch_step)

    DNNRegressor((3,), callbacks=[Count()], **few).fit(X, X[:, 0])
    assert max(steps) == 2
    assert tells(DNNRegressor, "a single row, the batch before takes that in")


def test_predictions_are_float64_and_denormals_count_as_zero():
    X = rng.normal(size=(20, 2)).astype("f4")
    reg = DNNRegressor((), max_iter=1, precision="float32").fit(X, X[:, 0])
    assert reg.predict(X).dtype == np.float64
    assert tells(DNNRegressor, "Predictions come in float64 from either")
    tiny = reg.predict(np.full((1, 2), 1e-40, "f4"))
    assert tiny == reg.predict(np.zeros((1, 2), "f4"))
    assert tells(DNNRegressor, "1.2e-38 in float32", "are 0 while it is computed")


def first_step(optimizer):
    """How far the first step moves a weight, in learning rates."""
    X = np.ones((8, 1))
    settings = {"batch_size": 8, "random_state": 0, "precision": "float64"}
    one = DNNRegressor((), optimizer=optimizer, learning_rate=1e-3, max_iter=1)
    one.set_params(**settings).fit(X, np.linspace(-1, 1, 8) ** 3 + 5 * X[:, 0])
    two = DNNRegressor((), optimizer=optimizer, learning_rate=1e-9, max_iter=1)
    two.set_params(**settings).fit(X, np.linspace(-1, 1, 8) ** 3 + 5 * X[:, 0])
    return abs(one.coefs_[0] - two.coefs_[0]).item() / 1e-3


def test_where_optimizers_start():
    assert first_step(RMSProp()) == pytest.approx(1 / np.sqrt(0.1), rel=1e-4)
    assert tells(RMSProp, "starts at 0, as in PyTorch", "TF-Slim's starts at 1")
    assert first_step(Adagrad(initial_accumulator=0.0)) == pytest.approx(1, rel=1e-4)
    assert first_step(Adagrad()) < 1
    assert tells(Adagrad, "starts at 0.1", "PyTorch's starts at 0")


def test_where_one_cycle_ends():
    rates = OneCycle().rates(1.0, 0, 10, steps_per_epoch=10, total_steps=10)
    assert rates[0] == pytest.approx(1 / 25) and rates[-1] == pytest.approx(4e-6)
    assert tells(OneCycle, "the last step has the last one", "PyTorch")
