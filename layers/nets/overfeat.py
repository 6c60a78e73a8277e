"""OverFeat, the fast model."""

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import head


def overfeat_arg_scope(weight_decay: float = 0.0005) -> dict:
    """Return OverFeat's arg scope.

    Parameters
    ----------
    weight_decay : float, default=0.0005
        Scale of the L2 penalty on weights.
    """
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            activation_fn=slim.activation.relu,
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_initializer=slim.zeros_initializer(),
        ),
        slim.arg_scope([slim.conv2d], padding="SAME"),
        slim.arg_scope([slim.max_pool2d], padding="VALID") as scope,
    ):
        return scope


def overfeat(
    inputs: Tensor,
    num_classes: int | None = 1000,
    is_training: bool | None = None,
    dropout_keep_prob: float = 0.5,
    spatial_squeeze: bool = True,
    scope: str = "overfeat",
    global_pool: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build OverFeat with its fully connected layers as convolutions.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels], 231×231 for classification.
    num_classes, is_training, dropout_keep_prob, spatial_squeeze, global_pool
        As in `vgg_16`.
    scope : str, default="overfeat"

    Returns
    -------
    net : Tensor
        [B, num_classes], the logits.
    end_points : dict of str to Tensor
        By the layers' scopes.

    References
    ----------
    Sermanet et al., "OverFeat: integrated recognition, localization and detection
    using convolutional networks", 2014.
    """
    with slim.variable_scope(scope, "overfeat") as sc:
        end_points_collection = f"{sc.original_name_scope}_end_points"
        with slim.arg_scope(
            [slim.conv2d, slim.fully_connected, slim.max_pool2d],
            outputs_collections=end_points_collection,
        ):
            net = slim.conv2d(inputs, 64, [11, 11], 4, padding="VALID", scope="conv1")
            net = slim.max_pool2d(net, [2, 2], scope="pool1")
            net = slim.conv2d(net, 256, [5, 5], padding="VALID", scope="conv2")
            net = slim.max_pool2d(net, [2, 2], scope="pool2")
            net = slim.conv2d(net, 512, [3, 3], scope="conv3")
            net = slim.conv2d(net, 1024, [3, 3], scope="conv4")
            net = slim.conv2d(net, 1024, [3, 3], scope="conv5")
            net = slim.max_pool2d(net, [2, 2], scope="pool5")
            with slim.arg_scope(
                [slim.conv2d],
                weights_initializer=slim.truncated_normal_initializer(stddev=0.005),
                biases_initializer=slim.constant_initializer(0.1),
            ):
                net = slim.conv2d(net, 3072, [6, 6], padding="VALID", scope="fc6")
                net = slim.dropout(
                    net, dropout_keep_prob, is_training=is_training, scope="dropout6"
                )
                net = slim.conv2d(net, 4096, [1, 1], scope="fc7")
                return head.classify(
                    net,
                    slim.utils.convert_collection_to_dict(end_points_collection),
                    sc.name,
                    num_classes,
                    is_training,
                    dropout_keep_prob,
                    spatial_squeeze,
                    global_pool,
                    biases_initializer=slim.zeros_initializer(),
                )


overfeat.default_image_size = 231
