"""LeNet, as TF-Slim has it: wider than the original, with dropout."""

from collections.abc import Callable

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor


def lenet(
    images: Tensor,
    num_classes: int | None = 10,
    is_training: bool | None = None,
    dropout_keep_prob: float = 0.5,
    prediction_fn: Callable = slim.softmax,
    scope: str = "LeNet",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build a variant of LeNet-5.

    Parameters
    ----------
    images : Tensor
        [B, height, width, channels], 28×28 by default.
    num_classes : int or None, default=10
        0 or None: the input of the logits' layer is returned, not dropped out.
    is_training : bool, optional
        By default as the network is being built.
    dropout_keep_prob : float, default=0.5
        Probability of *keeping*.
    prediction_fn : callable, default=softmax
        From logits to the end point ``Predictions``.
    scope : str, default="LeNet"

    Returns
    -------
    net : Tensor
        [B, num_classes], the logits.
    end_points : dict of str to Tensor

    References
    ----------
    LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    end_points = {}
    with slim.variable_scope(scope, "LeNet"):
        net = end_points["conv1"] = slim.conv2d(images, 32, [5, 5], scope="conv1")
        net = end_points["pool1"] = slim.max_pool2d(net, [2, 2], 2, scope="pool1")
        net = end_points["conv2"] = slim.conv2d(net, 64, [5, 5], scope="conv2")
        net = end_points["pool2"] = slim.max_pool2d(net, [2, 2], 2, scope="pool2")
        net = end_points["Flatten"] = slim.flatten(net)
        net = end_points["fc3"] = slim.fully_connected(net, 1024, scope="fc3")
        if not num_classes:
            return net, end_points
        net = end_points["dropout3"] = slim.dropout(
            net, dropout_keep_prob, is_training=is_training, scope="dropout3"
        )
        logits = end_points["Logits"] = slim.fully_connected(
            net, num_classes, activation_fn=None, scope="fc4"
        )
        end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


lenet.default_image_size = 28


def lenet_arg_scope(weight_decay: float = 0.0) -> dict:
    """Return LeNet's arg scope.

    Parameters
    ----------
    weight_decay : float, default=0.0
        Scale of the L2 penalty on weights.
    """
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=slim.truncated_normal_initializer(stddev=0.1),
        activation_fn=slim.activation.relu,
    ) as scope:
        return scope
