"""Regularizers: penalties as coefficients, and as graph."""

import numpy as np
import pytest
from support.networks import B, evaluate

from slimlearn import SGD, Adagrad, Adam, AdamW, DNNRegressor, NetworkRegressor
from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Model
from slimlearn.callbacks import GradientClipping
from slimlearn.layers import losses


@pytest.fixture
def graph():
    """A function in which losses may be built by hand."""
    model = Model("f64")
    with model.function("grad", training=True) as made:
        yield made


@pytest.fixture
def pair(graph):
    return ops.input_("p", (B, 3), "f64"), ops.input_("y", (B, 3), "f64")


def penalty(regularizer, w):
    return evaluate(lambda w: regularizer(w), w=np.asarray(w, float))


def test_built_in_regularizers():
    w = [[1.0, -2.0], [3.0, 0.5]]
    assert np.isclose(penalty(slim.l1_regularizer(0.5), w), 0.5 * 6.5)
    assert np.isclose(penalty(slim.l2_regularizer(0.5), w), 0.25 * 14.25)
    both = slim.l1_l2_regularizer(0.5, 0.5)
    assert np.isclose(penalty(both, w), 0.5 * 6.5 + 0.25 * 14.25)
    total = slim.sum_regularizer([slim.l1_regularizer(0.5), None, both])
    assert (total.l1, total.l2) == (1.0, 0.5)
    mixed = slim.sum_regularizer([both, ops.reduce_max, lambda w: None])
    assert np.isclose(penalty(mixed, w), penalty(both, w) + 3.0)
    assert slim.sum_regularizer([None]) is None


def test_a_scale_of_zero_is_no_penalty(pair):
    assert slim.l2_regularizer(0.0)(pair[0]) is None
    assert slim.l1_l2_regularizer(0.0, 0.0)(pair[0]) is None


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf"), "a", None, True])
def test_a_wrong_scale_is_refused(scale):
    for regularizer in (slim.l1_regularizer, slim.l2_regularizer):
        with pytest.raises(ValueError, match="regularizer: the scale must be"):
            regularizer(scale)


def test_built_in_penalties_are_coefficients_and_others_are_graph(graph, pair):
    def own(weights):
        return ops.reduce_max(ops.abs(weights))

    slim.linear(pair[0], 2, scope="a", weights_regularizer=slim.l2_regularizer(0.1))
    slim.linear(pair[0], 2, scope="b", weights_regularizer=own)
    parameters = graph.model.parameters
    assert slim.regularizers.coefficients(parameters["a/weights"]) == (0.0, 0.1)
    assert slim.regularizers.coefficients(parameters["b/weights"]) == (0.0, 0.0)
    nodes = len(graph.nodes)
    (made,) = losses.get_graph_penalties()
    assert made.name == "b/weights/reduce_max"
    assert len(graph.nodes) == nodes + 2
    assert losses.get_graph_penalties() == [made]
    found = losses.get_regularization_losses()
    assert len(found) == 2 and found[1] is made
    assert losses.get_regularization_losses("b/") == [made]


def test_a_shared_variable_is_penalised_once(pair):
    regularizer = slim.l2_regularizer(0.1)
    slim.linear(pair[0], 2, scope="a", weights_regularizer=regularizer)
    slim.linear(pair[0], 2, scope="a", weights_regularizer=regularizer, reuse=True)
    assert len(losses.get_regularization_losses()) == 1


def test_apply_regularization_penalises_all_weights(graph, pair):
    with pytest.raises(ValueError, match="no weights to penalise"):
        slim.apply_regularization(slim.l2_regularizer(0.1))
    slim.linear(pair[0], 2, scope="a")
    slim.linear(pair[0], 2, scope="b")
    total = slim.apply_regularization(slim.l2_regularizer(0.1))
    assert total.shape == ()
    assert losses.get_graph_penalties() == [total]
    none = slim.apply_regularization(lambda w: None, [pair[0]])
    assert none.node.attributes == {"value": 0.0}


def test_a_regularizer_must_return_a_scalar(pair):
    slim.linear(pair[0], 2, scope="a", weights_regularizer=ops.square)
    with pytest.raises(ValueError, match=r"regularizer of 'a/weights' must return"):
        losses.get_graph_penalties()


# -- penalties and limits of the gradient ------------------------------

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
Y = X @ [1.0, -2.0, 3.0]
BY_HAND = {
    "l2": (slim.l2_regularizer(0.5), lambda w: ops.reduce_sum(ops.square(w)) * 0.25),
    "l1": (slim.l1_regularizer(0.2), lambda w: ops.reduce_sum(ops.abs(w)) * 0.2),
    "both": (
        slim.l1_l2_regularizer(0.2, 0.5),
        lambda w: ops.reduce_sum(ops.abs(w)) * 0.2 + ops.reduce_sum(w * w) * 0.25,
    ),
}
LIMITS = {
    "none": {},
    "norm": {"gradient_clip_norm": 0.3},
    "value": {"callbacks": [GradientClipping(value=0.05)]},
    "both": {"callbacks": [GradientClipping(value=0.05, norm=0.1)]},
}


def trained(regularizer, options):
    def net(x, num_outputs):
        with slim.arg_scope([slim.fully_connected], weights_regularizer=regularizer):
            hidden = slim.fully_connected(x, 8, scope="fc")
            return slim.fully_connected(hidden, num_outputs, None, scope="out")

    few = {"max_iter": 4, "random_state": 0, "precision": "float64"}
    reg = NetworkRegressor(net, **few, **options).fit(X, Y)
    return np.concatenate([w.ravel() for w in reg.program_.weights.values()])


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("pair", BY_HAND.values(), ids=BY_HAND)
@pytest.mark.parametrize("optimizer", [SGD(), SGD(momentum=0.0), Adam(), Adagrad()])
def test_a_penalty_is_limited_however_it_is_written(optimizer, pair, limits):
    given, by_hand = (trained(one, {"optimizer": optimizer, **limits}) for one in pair)
    np.testing.assert_allclose(given, by_hand, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_estimators_penalty_is_limited_too(accumulate):
    options = {"optimizer": "sgd", "gradient_clip_norm": 0.3, "accumulate": accumulate}
    given = trained(slim.l2_regularizer(0.5), options)
    own = trained(None, {**options, "l2_regularization": 0.5})
    np.testing.assert_array_equal(given, own)


def test_decoupled_decay_is_not_limited():
    """A limit so tight that nothing but the decay is left."""
    options = {"gradient_clip_norm": 1e-30, "learning_rate": 0.1, "batch_size": 80}
    w = {}
    for decay in (0.0, 0.5):
        reg = DNNRegressor((8,), optimizer=AdamW(weight_decay=decay), **options)
        reg.set_params(max_iter=4, random_state=0, precision="float64").fit(X, Y)
        w[decay] = reg.coefs_
    for one, other in zip(w[0.0], w[0.5], strict=True):
        np.testing.assert_allclose(one * 0.95**4, other, rtol=1e-12)
