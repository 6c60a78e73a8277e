"""Initializers: their distributions, their streams, what they refuse."""

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from support.networks import initial

from slimlearn import DNNClassifier
from slimlearn import layers as slim
from slimlearn.backend import reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.layers.initializers import build_init

SHAPE = (200, 100)


def test_constants():
    np.testing.assert_array_equal(initial(slim.zeros_initializer(), (2, 3)), 0)
    np.testing.assert_array_equal(initial(slim.ones_initializer(), (3,)), 1)
    np.testing.assert_array_equal(initial(slim.constant_initializer(0.1), ()), 0.1)
    values = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        initial(slim.constant_initializer(values), (2, 3)), values
    )
    with pytest.raises(ValueError, match="needs 4 values for its shape"):
        initial(slim.constant_initializer(values), (2, 2))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_uniform(dtype):
    draw = initial(slim.random_uniform_initializer(-2.0, 3.0), SHAPE, dtype)
    assert draw.min() >= -2 and draw.max() <= 3
    assert abs(draw.mean() - 0.5) < 0.05
    assert abs(draw.std() - 5 / math.sqrt(12)) < 0.05


def test_normal():
    draw = initial(slim.random_normal_initializer(1.0, 2.0), SHAPE)
    assert abs(draw.mean() - 1) < 0.06
    assert abs(draw.std() - 2) < 0.06
    assert abs(draw - 1).max() > 6


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_truncated_normal_stays_within_two_deviations(dtype):
    draw = initial(slim.truncated_normal_initializer(1.0, 2.0), SHAPE, dtype)
    assert abs(draw - 1).max() <= 4.001
    assert abs(draw.mean() - 1) < 0.06
    # The deviation of a normal cut at two deviations is 0.8796 of the whole one's.
    assert abs(draw.std() - 2 * 0.8796) < 0.04


@pytest.mark.parametrize(
    "initializer, variance, uniform",
    [
        (slim.xavier_initializer(), 2 / 300, True),
        (slim.xavier_initializer(uniform=False), 2 / 300, False),
        (slim.variance_scaling_initializer(), 2 / 200, False),
        (slim.variance_scaling_initializer(1.0, "FAN_OUT", True), 1 / 100, True),
        (slim.he_initializer(), 2 / 200, False),
        (slim.he_initializer(uniform=True), 2 / 200, True),
        (slim.lecun_initializer(), 1 / 200, False),
    ],
)
def test_variance_scaling(initializer, variance, uniform):
    draw = initial(initializer, SHAPE)
    assert abs(draw.mean()) < 0.002
    assert abs(draw.var() / variance - 1) < 0.03
    limit = math.sqrt(3 * variance) if uniform else 2 * math.sqrt(1.3 * variance)
    assert 0.95 * limit < abs(draw).max() <= limit


def test_fans_of_filters_count_their_field():
    draw = initial(slim.variance_scaling_initializer(1.0, "FAN_IN", True), (3, 3, 8, 4))
    assert 0.95 < abs(draw).max() / math.sqrt(3 / 72) <= 1
    assert initial(slim.xavier_initializer(), (50,)).shape == (50,)
    assert initial(slim.xavier_initializer(), ()).shape == ()


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (6, 6), (2, 3, 4)])
def test_orthogonal(shape):
    draw = initial(slim.orthogonal_initializer(2.0), shape)
    assert draw.shape == shape
    matrix = draw.reshape(-1, shape[-1])
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    np.testing.assert_allclose(
        matrix.T @ matrix, 4 * np.eye(matrix.shape[1]), atol=1e-12
    )
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        initial(slim.orthogonal_initializer(), (3,))


def test_identity():
    np.testing.assert_array_equal(
        initial(slim.identity_initializer(2.0), (3, 4)), 2 * np.eye(3, 4)
    )
    with pytest.raises(ValueError, match="must be a matrix"):
        initial(slim.identity_initializer(), (3,))


def test_draws_follow_seed_and_name():
    def draws(seed=0, own=None):
        model = Model("f64")
        for name in ("a", "b"):
            model.parameter(name, (4, 5), initializer=slim.xavier_initializer(seed=own))
        build_init(model)
        return reference.run(model, "init", {}, {}, seed=seed).sets

    first = draws()
    np.testing.assert_array_equal(first["a"], draws()["a"])
    assert (first["a"] != first["b"]).all()
    assert (first["a"] != draws(seed=1)["a"]).all()
    assert (first["a"] != draws(own=7)["a"]).all()
    np.testing.assert_array_equal(draws(own=7)["a"], draws(own=7)["a"])


def test_another_layer_leaves_the_draw_of_the_first_alone():
    def draw(names):
        model = Model("f64")
        for name in names:
            model.parameter(name, (4, 5), initializer=slim.xavier_initializer())
        build_init(model)
        return reference.run(model, "init", {}, {}).sets["fc/weights"]

    np.testing.assert_array_equal(
        draw(["fc/weights"]), draw(["before/weights", "fc/weights"])
    )


def test_states_are_set_too():
    model = Model("f32")
    model.state("s", (2,), initializer=slim.ones_initializer())
    build_init(model)
    np.testing.assert_array_equal(
        reference.run(model, "init", {}, {}).sets["s"], np.ones(2, np.float32)
    )


def test_an_initializer_may_be_any_function():
    from slimlearn.backend import ops

    def own(shape, dtype, name):
        return ops.constant(3.0, dtype, shape, name=name)

    np.testing.assert_array_equal(initial(own, (2, 2)), 3.0)


@pytest.mark.parametrize(
    "keywords, text",
    [
        ({"mode": "fan_in"}, "mode must be 'FAN_IN'"),
        ({"factor": 0.0}, "factor must be positive"),
        ({"factor": -1.0}, "factor must be positive"),
    ],
)
def test_wrong_arguments_are_refused(keywords, text):
    with pytest.raises(ValueError, match=text):
        slim.variance_scaling_initializer(**keywords)


def test_initializers_and_regularizers_pickle():
    for value in (
        slim.xavier_initializer(seed=3),
        slim.orthogonal_initializer(),
        slim.constant_initializer([1.0, 2.0]),
        slim.l1_l2_regularizer(0.1, 0.2),
    ):
        assert pickle.loads(pickle.dumps(value)) == value


def test_a_parameter_without_initializer_is_named():
    with pytest.raises(ValueError, match="param %w has no initializer"):
        initial(None, (2,))


DRAWN = {
    "uniform": slim.random_uniform_initializer(-2.0, 3.0),
    "normal": slim.random_normal_initializer(1.0, 2.0),
    "truncated": slim.truncated_normal_initializer(1.0, 2.0, seed=7),
    "xavier": slim.xavier_initializer(),
    "he": slim.he_initializer(),
    "orthogonal": slim.orthogonal_initializer(gain=1.7),
}


@pytest.mark.parametrize("initializer", DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("shape", [(7,), (5, 3), (64, 100), (3, 3, 4, 8)], ids=str)
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_seed_starts_alike_in_both_precisions(initializer, shape, engine):
    if initializer is DRAWN["orthogonal"] and len(shape) < 2:
        shape = (9, 4)
    single, double = (
        started(initializer, shape, precision, engine) for precision in ("f32", "f64")
    )
    assert single.dtype == np.float32 and np.ptp(double) > 0
    np.testing.assert_array_equal(single, double.astype(np.float32))


def started(initializer, shape, precision, engine):
    model = Model(precision)
    model.parameter("w", shape, initializer=initializer)
    build_init(model)
    return Program(model=model).initialize(3, engine=engine).weights["w"]


def test_one_row_more_does_not_start_elsewhere():
    """1,000 rows are computed in float64, 1,001 in float32."""
    X = np.random.default_rng(0).normal(size=(1001, 4))
    clf = DNNClassifier((8, 8), learning_rate=1e-9, max_iter=1, random_state=0)
    few, more = (clone(clf).fit(X[:n], X[:n, 0] > 0) for n in (1000, 1001))
    for one, other in zip(few.coefs_, more.coefs_, strict=True):
        assert one.dtype == np.float64 and other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-6)
