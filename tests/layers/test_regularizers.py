"""Regularizers: penalties as coefficients, and as graph."""

import numpy as np
import pytest
from support.networks import B, evaluate

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Model
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
