"""TF-Slim's own way of writing networks runs after changing its import."""

import numpy as np
import pytest
from support.networks import B

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Model
from slimlearn.layers import activation

rng = np.random.default_rng(0)
X = rng.normal(size=(7, 5))


@pytest.fixture
def graph():
    """A function in which layers may be built by hand."""
    model = Model("f64")
    with model.function("predict") as made:
        yield made


@pytest.fixture
def x(graph):
    return ops.input_("X", (B, 5), "f64")


def test_layers_collect_their_outputs_by_name(graph, x):
    with slim.arg_scope([slim.fully_connected], outputs_collections=["end_points"]):
        net = slim.stack(x, slim.fully_connected, [4, 3], scope="fc")
    other = slim.utils.collect_named_outputs("end_points", "again/", net * 2.0)
    graph.collection("end_points").append(x)
    found = slim.utils.convert_collection_to_dict("end_points", clear_collection=True)
    assert list(found) == ["fc/fc_1", "fc/fc_2", "again", "X"]
    assert list(found.values())[1:] == [net, other, x]
    assert slim.utils.convert_collection_to_dict("end_points") == {}


def test_layers_without_variables_are_numbered_too(graph, x):
    with slim.arg_scope([slim.flatten], outputs_collections="ends"):
        slim.flatten(x)
        slim.flatten(x)
        slim.flatten(x, scope="mine")
    found = slim.utils.convert_collection_to_dict("ends")
    assert list(found) == ["Flatten", "Flatten_1", "mine"]


def mlp_arg_scope(weight_decay=0.0005, is_training=True):
    """As TF-Slim's `vgg_arg_scope` does it."""
    batch_norm_params = {"is_training": is_training, "decay": 0.9, "scale": True}
    with slim.arg_scope(
        [slim.fully_connected],
        activation_fn=activation.relu,
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=slim.variance_scaling_initializer(),
        biases_initializer=slim.zeros_initializer(),
        normalizer_fn=slim.batch_norm,
        normalizer_params=batch_norm_params,
    ):
        with slim.arg_scope([slim.dropout], is_training=is_training) as arg_sc:
            return arg_sc


def mlp(inputs, num_classes=3, is_training=True, dropout_keep_prob=0.5, scope="mlp"):
    """As TF-Slim's nets are written."""
    with slim.variable_scope(scope, "mlp", [inputs]) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        with slim.arg_scope(
            [slim.fully_connected], outputs_collections=end_points_collection
        ):
            net = slim.flatten(inputs)
            net = slim.repeat(net, 2, slim.fully_connected, 16, scope="fc1")
            net = slim.stack(net, slim.fully_connected, [12, 8], scope="fc2")
            net = slim.dropout(net, dropout_keep_prob, scope="dropout3")
            net = slim.fully_connected(
                net,
                num_classes,
                activation_fn=None,
                normalizer_fn=None,
                scope="fc4",
            )
            end_points = slim.utils.convert_collection_to_dict(end_points_collection)
            end_points["predictions"] = slim.softmax(net, scope="predictions")
            return net, end_points


def test_slim_code_runs_after_changing_its_import():
    model = Model("f32")
    losses = {}
    for function, training in (("grad", True), ("predict", False)):
        with model.function(function, training=training) as graph:
            images = ops.input_("X", (B, 2, 3), "f32")
            labels = ops.input_("y", (B,), "i32")
            with slim.arg_scope(mlp_arg_scope(is_training=training)):
                logits, end_points = mlp(images, is_training=training)
            one_hot_labels = slim.one_hot_encoding(labels, 3)
            slim.losses.softmax_cross_entropy(logits, one_hot_labels, weights=0.5)
            slim.losses.add_loss(ops.reduce_mean(ops.square(logits)) * 0.01)
            total_loss = slim.losses.get_total_loss()
            graph.return_(logits, total_loss)
            losses[function] = [loss.name for loss in slim.losses.get_losses()]
    assert list(end_points) == [
        "mlp/fc1/fc1_1",
        "mlp/fc1/fc1_2",
        "mlp/fc2/fc2_1",
        "mlp/fc2/fc2_2",
        "mlp/fc4",
        "predictions",
    ]
    assert [v.name for v in model.parameters if v.name.startswith("mlp/fc1/fc1_1")] == [
        "mlp/fc1/fc1_1/weights",
        "mlp/fc1/fc1_1/BatchNorm/beta",
        "mlp/fc1/fc1_1/BatchNorm/gamma",
    ]
    assert "mlp/fc4/biases" in model.parameters
    assert "mlp/dropout3/keep_prob" in model.hypers
    assert losses["grad"] == losses["predict"]
    assert slim.regularizers.coefficients(model.parameters["mlp/fc4/weights"]) == (
        0.0,
        0.0005,
    )
    assert len(model.functions["predict"].collection("losses")) == 2
