"""Minima of functions of arrays: one native call for all steps of an optimizer."""

import numpy as np
import pytest

import slimlearn
from slimlearn import ops
from slimlearn.backend.optimizer import OPTIMIZERS, SGD, Adagrad

RATES = {"sgd": 0.05, "adagrad": 0.5, "adadelta": 20.0, "rmsprop": 0.01, "ftrl": 0.5}


def bowl(x, a):
    return ops.reduce_sum(ops.square(x - a) * (1.0 + ops.square(a)))


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_every_optimizer_finds_it(name, dtype):
    a = np.array([[1.0, -0.5, 0.25]], dtype)
    rate = None if name == "lbfgs" else RATES.get(name, 0.05)
    found = slimlearn.minimize(
        bowl,
        np.zeros((1, 3), dtype),
        (a,),
        optimizer=name,
        learning_rate=rate,
        max_iter=3000,
        tol=1e-3,
    )
    np.testing.assert_allclose(found.x, a, atol=0.03)
    assert (found.x.dtype, found.x.shape) == (dtype, (1, 3))
    assert 0 < found.nit <= 3000
    assert found.fun < 5e-3


def test_steps_are_the_optimizers():
    """Momentum by hand; the count of steps is its bound."""
    plain = SGD(momentum=0.9, nesterov=False)
    a, x, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    found = slimlearn.minimize(
        bowl, x, (a,), optimizer=plain, learning_rate=0.01, max_iter=7
    )
    for _ in range(7):
        v = 0.9 * v + 2 * (x - a) * (1 + a * a)
        x = x - 0.01 * v
    np.testing.assert_allclose(found.x, x, 1e-12)
    assert (found.nit, found.success) == (7, False)
    assert "more max_iter" in found.message
    np.testing.assert_allclose(found.jac, 2 * (x - a) * (1 + a * a), 1e-12)


@pytest.mark.parametrize("optimizer", ["lbfgs", Adagrad()])
def test_a_structure_comes_back(optimizer):
    def fn(p):
        return ops.reduce_sum(ops.square(p["a"] - 2.0)) + ops.square(p["b"][0] + 1.0)

    rate = None if optimizer == "lbfgs" else 0.5
    start = {"a": np.zeros(3), "b": [np.array(5.0)]}
    found = slimlearn.minimize(
        fn, start, optimizer=optimizer, learning_rate=rate, max_iter=2000, tol=1e-5
    )
    assert found.success, found.message
    np.testing.assert_allclose(found.x["a"], [2, 2, 2], 1e-4)
    np.testing.assert_allclose(found.x["b"][0], -1, 1e-4)


def test_nothing_to_do_takes_no_step():
    a = np.array([1.0, 2.0])
    found = slimlearn.minimize(bowl, a, (a,), optimizer="adam")
    assert (found.nit, found.success, found.fun) == (0, True, 0)


def test_what_diverges_says_so():
    found = slimlearn.minimize(
        bowl, np.ones(2), (np.zeros(2),), optimizer="sgd", learning_rate=1e9
    )
    assert not found.success
    assert "not finite after" in found.message and found.nit < 1000


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "optimizer='newton' is not known", {"optimizer": "newton"}),
        (TypeError, r"max_iter=1\.5, needs a whole number", {"max_iter": 1.5}),
        (ValueError, "max_iter=0", {"max_iter": 0}),
        (ValueError, "tol=nan", {"tol": np.nan}),
        (ValueError, "takes no learning_rate", {"learning_rate": 0.1}),
        (TypeError, "x0 needs arrays of float32 or float64", {"x0": np.ones(2, int)}),
        (ValueError, "needs one float: sum it up", {"fn": lambda x: x}),
    ],
)
def test_refusals(error, message, options):
    options = {"fn": lambda x: ops.reduce_sum(x * x), "x0": np.ones(2)} | options
    with pytest.raises(error, match=message):
        slimlearn.minimize(**options)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs"])
def test_a_slope_that_is_not_a_number_is_no_success(optimizer):
    """In the second array, behind one whose slope is zero."""

    def fn(p):
        second = ops.reduce_sum(ops.sqrt(ops.square(p["b"])))
        return ops.reduce_sum(ops.square(p["a"])) + second

    start = {"a": np.zeros(2), "b": np.zeros(2)}
    found = slimlearn.minimize(fn, start, optimizer=optimizer)
    assert not found.success
    assert found.message == "not finite after 0 steps: begin elsewhere"


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("other", [0, 1])
def test_arrays_without_elements_are_at_their_minimum(optimizer, other):
    def fn(p):
        return ops.reduce_sum(ops.square(p["a"])) + ops.reduce_sum(ops.square(p["b"]))

    start = {"a": np.zeros((0, 3)), "b": np.zeros(other)}
    found = slimlearn.minimize(fn, start, optimizer=optimizer)
    assert (found.success, found.fun, found.x["a"].shape) == (True, 0, (0, 3))
