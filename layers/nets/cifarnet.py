"""CifarNet: the network of TensorFlow's CIFAR-10 tutorial, after cuda-convnet."""

from collections.abc import Callable

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor


def cifarnet(
    images: Tensor,
    num_classes: int | None = 10,
    is_training: bool | None = None,
    dropout_keep_prob: float = 0.5,
    prediction_fn: Callable = slim.softmax,
    scope: str = "CifarNet",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build CifarNet.

    Parameters
    ----------
    images : Tensor
        [B, height, width, channels], 32×32 by default.
    num_classes : int or None, default=10
        0 or None: the input of the logits' layer is returned.
    is_training, dropout_keep_prob, prediction_fn
        As in `lenet`.
    scope : str, default="CifarNet"

    Returns
    -------
    net : Tensor
        [B, num_classes], the logits.
    end_points : dict of str to Tensor

    References
    ----------
    Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and
    his cuda-convnet, 2011.
    """
    end_points = {}
    norm = {"bias": 1.0, "alpha": 0.001 / 9.0, "beta": 0.75}
    with slim.variable_scope(scope, "CifarNet"):
        net = end_points["conv1"] = slim.conv2d(images, 64, [5, 5], scope="conv1")
        net = end_points["pool1"] = slim.max_pool2d(net, [2, 2], 2, scope="pool1")
        net = slim.local_response_normalization(net, 4, **norm, scope="norm1")
        net = end_points["conv2"] = slim.conv2d(net, 64, [5, 5], scope="conv2")
        net = slim.local_response_normalization(net, 4, **norm, scope="norm2")
        net = end_points["pool2"] = slim.max_pool2d(net, [2, 2], 2, scope="pool2")
        net = end_points["Flatten"] = slim.flatten(net)
        net = end_points["fc3"] = slim.fully_connected(net, 384, scope="fc3")
        net = slim.dropout(
            net, dropout_keep_prob, is_training=is_training, scope="dropout3"
        )
        net = end_points["fc4"] = slim.fully_connected(net, 192, scope="fc4")
        if not num_classes:
            return net, end_points
        logits = end_points["Logits"] = slim.fully_connected(
            net,
            num_classes,
            biases_initializer=slim.zeros_initializer(),
            weights_initializer=slim.truncated_normal_initializer(stddev=1 / 192),
            weights_regularizer=None,
            activation_fn=None,
            scope="logits",
        )
        end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


cifarnet.default_image_size = 32


def cifarnet_arg_scope(weight_decay: float = 0.004) -> dict:
    """Return CifarNet's arg scope.

    Parameters
    ----------
    weight_decay : float, default=0.004
        Scale of the L2 penalty on the weights of fully connected layers.
    """
    with (
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=slim.truncated_normal_initializer(stddev=0.05),
            activation_fn=slim.activation.relu,
        ),
        slim.arg_scope(
            [slim.fully_connected],
            biases_initializer=slim.constant_initializer(0.1),
            weights_initializer=slim.truncated_normal_initializer(stddev=0.04),
            weights_regularizer=slim.l2_regularizer(weight_decay),
            activation_fn=slim.activation.relu,
        ) as scope,
    ):
        return scope
