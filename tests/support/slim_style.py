"""Networks as files of TF-Slim write them, old words and new; only imports differ."""

import collections

from slimlearn import layers as slim
from slimlearn.layers import tf


class Block(collections.namedtuple("Block", ["scope", "unit_fn", "args"])):
    """A named row of units."""


def subsample(inputs, factor, scope=None):
    if factor == 1:
        return inputs
    return slim.max_pool2d(inputs, [1, 1], stride=factor, scope=scope)


def conv2d_same(inputs, num_outputs, kernel_size, stride, rate=1, scope=None):
    if stride == 1:
        return slim.conv2d(
            inputs,
            num_outputs,
            kernel_size,
            stride=1,
            rate=rate,
            padding="SAME",
            scope=scope,
        )
    kernel_size_effective = kernel_size + (kernel_size - 1) * (rate - 1)
    pad_total = kernel_size_effective - 1
    pad_beg = pad_total // 2
    pad_end = pad_total - pad_beg
    inputs = tf.pad(inputs, [[0, 0], [pad_beg, pad_end], [pad_beg, pad_end], [0, 0]])
    return slim.conv2d(
        inputs,
        num_outputs,
        kernel_size,
        stride=stride,
        rate=rate,
        padding="VALID",
        scope=scope,
    )


@slim.add_arg_scope
def stack_blocks_dense(net, blocks, outputs_collections=None):
    for block in blocks:
        with tf.variable_scope(block.scope, "block", [net]) as sc:
            for i, unit in enumerate(block.args):
                with tf.variable_scope("unit_%d" % (i + 1), values=[net]):  # noqa: UP031
                    net = block.unit_fn(net, rate=1, **dict(unit))
            net = slim.utils.collect_named_outputs(outputs_collections, sc.name, net)
    return net


def resnet_arg_scope(
    weight_decay=0.0001, batch_norm_decay=0.997, batch_norm_epsilon=1e-5
):
    batch_norm_params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "scale": True,
        "updates_collections": tf.GraphKeys.UPDATE_OPS,
        "fused": None,
    }
    with slim.arg_scope(
        [slim.conv2d],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=slim.variance_scaling_initializer(),
        activation_fn=tf.nn.relu,
        normalizer_fn=slim.batch_norm,
        normalizer_params=batch_norm_params,
    ):
        with slim.arg_scope([slim.batch_norm], **batch_norm_params):
            with slim.arg_scope([slim.max_pool2d], padding="SAME") as arg_sc:
                return arg_sc


@slim.add_arg_scope
def bottleneck(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    rate=1,
    outputs_collections=None,
    scope=None,
):
    with tf.variable_scope(scope, "bottleneck_v1", [inputs]) as sc:
        depth_in = slim.utils.last_dimension(inputs.get_shape(), min_rank=4)
        if depth == depth_in:
            shortcut = subsample(inputs, stride, "shortcut")
        else:
            shortcut = slim.conv2d(
                inputs,
                depth,
                [1, 1],
                stride=stride,
                activation_fn=None,
                scope="shortcut",
            )
        residual = slim.conv2d(
            inputs, depth_bottleneck, [1, 1], stride=1, scope="conv1"
        )
        residual = conv2d_same(
            residual, depth_bottleneck, 3, stride, rate=rate, scope="conv2"
        )
        residual = slim.conv2d(
            residual, depth, [1, 1], stride=1, activation_fn=None, scope="conv3"
        )
        output = tf.nn.relu(shortcut + residual)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


def resnet(
    inputs,
    blocks,
    num_classes=None,
    is_training=True,
    global_pool=True,
    include_root_block=True,
    spatial_squeeze=True,
    reuse=None,
    scope=None,
):
    with tf.variable_scope(scope, "resnet_v1", [inputs], reuse=reuse) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        with slim.arg_scope(
            [slim.conv2d, bottleneck, stack_blocks_dense],
            outputs_collections=end_points_collection,
        ):
            with slim.arg_scope([slim.batch_norm], is_training=is_training):
                net = inputs
                if include_root_block:
                    net = conv2d_same(net, 8, 7, stride=2, scope="conv1")
                    net = slim.max_pool2d(net, [3, 3], stride=2, scope="pool1")
                net = stack_blocks_dense(net, blocks)
                end_points = slim.utils.convert_collection_to_dict(
                    end_points_collection
                )
                if global_pool:
                    net = tf.reduce_mean(net, [1, 2], name="pool5", keep_dims=True)
                    end_points["global_pool"] = net
                if num_classes:
                    net = slim.conv2d(
                        net,
                        num_classes,
                        [1, 1],
                        activation_fn=None,
                        normalizer_fn=None,
                        scope="logits",
                    )
                    end_points[sc.name + "/logits"] = net
                    if spatial_squeeze:
                        net = tf.squeeze(net, [1, 2], name="SpatialSqueeze")
                        end_points[sc.name + "/spatial_squeeze"] = net
                    end_points["predictions"] = slim.softmax(net, scope="predictions")
                return net, end_points


def small_resnet(inputs, num_classes=None, is_training=True, reuse=None):
    units = [{"depth": 16, "depth_bottleneck": 4, "stride": 1}] * 2
    last = [{"depth": 16, "depth_bottleneck": 4, "stride": 2}]
    blocks = [
        Block("block1", bottleneck, units + last),
        Block("block2", bottleneck, units),
    ]
    return resnet(
        inputs, blocks, num_classes, is_training, reuse=reuse, scope="resnet_small"
    )


def lenet(images, num_classes=10, is_training=False, dropout_keep_prob=0.5):
    end_points = {}
    with tf.variable_scope("LeNet", "LeNet", [images]):
        net = end_points["conv1"] = slim.conv2d(images, 6, [5, 5], scope="conv1")
        net = end_points["pool1"] = slim.max_pool2d(net, [2, 2], 2, scope="pool1")
        net = end_points["conv2"] = slim.conv2d(net, 8, [5, 5], scope="conv2")
        net = end_points["pool2"] = slim.max_pool2d(net, [2, 2], 2, scope="pool2")
        net = slim.flatten(net)
        end_points["Flatten"] = net
        net = end_points["fc3"] = slim.fully_connected(net, 32, scope="fc3")
        net = end_points["dropout3"] = slim.dropout(
            net, dropout_keep_prob, is_training=is_training, scope="dropout3"
        )
        logits = end_points["Logits"] = slim.fully_connected(
            net, num_classes, activation_fn=None, scope="fc4"
        )
    end_points["Predictions"] = slim.softmax(logits, scope="Predictions")
    return logits, end_points


def lenet_arg_scope(weight_decay=0.0):
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=tf.truncated_normal_initializer(stddev=0.1),
        activation_fn=tf.nn.relu,
    ) as sc:
        return sc


def trunc_normal(stddev):
    return tf.truncated_normal_initializer(0.0, stddev)


def inception(inputs, num_classes=3, is_training=True, reuse=None, scope="Inception"):
    end_points = {}
    with tf.variable_scope(scope, "Inception", [inputs, num_classes], reuse=reuse):
        with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training):
            with slim.arg_scope(
                [slim.conv2d, slim.max_pool2d, slim.avg_pool2d],
                stride=1,
                padding="SAME",
            ):
                net = slim.separable_conv2d(
                    inputs,
                    None,
                    [3, 3],
                    depth_multiplier=2,
                    stride=1,
                    activation_fn=tf.nn.relu6,
                    scope="Conv2d_1a_3x3",
                )
                with tf.variable_scope("Mixed_3b"):
                    with tf.variable_scope("Branch_0"):
                        branch_0 = slim.conv2d(net, 4, [1, 1], scope="Conv2d_0a_1x1")
                    with tf.variable_scope("Branch_1"):
                        branch_1 = slim.conv2d(
                            net,
                            4,
                            [1, 1],
                            weights_initializer=trunc_normal(0.09),
                            scope="Conv2d_0a_1x1",
                        )
                        branch_1 = tf.concat(
                            axis=3,
                            values=[
                                slim.conv2d(branch_1, 3, [1, 3], scope="Conv2d_0b_1x3"),
                                slim.conv2d(branch_1, 3, [3, 1], scope="Conv2d_0c_3x1"),
                            ],
                        )
                    with tf.variable_scope("Branch_2"):
                        branch_2 = slim.avg_pool2d(net, [3, 3], scope="AvgPool_0a_3x3")
                    net = tf.concat(axis=3, values=[branch_0, branch_1, branch_2])
                end_points["Mixed_3b"] = net
                shape = net.get_shape().as_list()
                if shape[1] is None or shape[2] is None:
                    kernel_size_out = [16, 16]
                else:
                    kernel_size_out = [min(shape[1], 16), min(shape[2], 16)]
                net = slim.avg_pool2d(net, kernel_size_out, padding="VALID")
                net = slim.dropout(net, keep_prob=0.8, scope="Dropout_1b")
                logits = slim.conv2d(
                    net,
                    num_classes,
                    [1, 1],
                    activation_fn=None,
                    normalizer_fn=None,
                    scope="Conv2d_1c_1x1",
                )
                logits = tf.squeeze(logits, [1, 2], name="SpatialSqueeze")
                end_points["Logits"] = tf.identity(logits, name="Logits")
    return logits, end_points
