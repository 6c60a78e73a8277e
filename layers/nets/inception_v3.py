"""Inception v3, of Szegedy et al., "Rethinking the Inception architecture"."""

from collections.abc import Callable
from functools import partial

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import head
from slimlearn.layers.nets import inception_utils as utils
from slimlearn.layers.nets.inception_utils import avg_pool, conv, fork, max_pool, mixed

_valid = partial(conv, padding="VALID")
_halve = partial(conv, stride=2, padding="VALID")
_pool = partial(max_pool, 3, stride=2, padding="VALID")


def _module_35(pooled, five=("Conv2d_0a_1x1", "Conv2d_0b_5x5")):
    """Filters of 1×1, 5×5 and twice 3×3; the second module has names of its own."""
    return mixed(
        {"Conv2d_0a_1x1": conv(64, 1)},
        {five[0]: conv(48, 1), five[1]: conv(64, 5)},
        {
            "Conv2d_0a_1x1": conv(64, 1),
            "Conv2d_0b_3x3": conv(96, 3),
            "Conv2d_0c_3x3": conv(96, 3),
        },
        {"AvgPool_0a_3x3": avg_pool(3), "Conv2d_0b_1x1": conv(pooled, 1)},
    )


def _module_17(filters):
    """Filters of 7×7 as rows and columns of 7."""
    return mixed(
        {"Conv2d_0a_1x1": conv(192, 1)},
        {
            "Conv2d_0a_1x1": conv(filters, 1),
            "Conv2d_0b_1x7": conv(filters, (1, 7)),
            "Conv2d_0c_7x1": conv(192, (7, 1)),
        },
        {
            "Conv2d_0a_1x1": conv(filters, 1),
            "Conv2d_0b_7x1": conv(filters, (7, 1)),
            "Conv2d_0c_1x7": conv(filters, (1, 7)),
            "Conv2d_0d_7x1": conv(filters, (7, 1)),
            "Conv2d_0e_1x7": conv(192, (1, 7)),
        },
        {"AvgPool_0a_3x3": avg_pool(3), "Conv2d_0b_1x1": conv(192, 1)},
    )


def _module_8(column):
    """Filters of 3×3 as a row and a column beside each other."""
    return mixed(
        {"Conv2d_0a_1x1": conv(320, 1)},
        {
            "Conv2d_0a_1x1": conv(384, 1),
            "both": fork(
                Conv2d_0b_1x3=conv(384, (1, 3)), **{column: conv(384, (3, 1))}
            ),
        },
        {
            "Conv2d_0a_1x1": conv(448, 1),
            "Conv2d_0b_3x3": conv(384, 3),
            "both": fork(
                Conv2d_0c_1x3=conv(384, (1, 3)), Conv2d_0d_3x1=conv(384, (3, 1))
            ),
        },
        {"AvgPool_0a_3x3": avg_pool(3), "Conv2d_0b_1x1": conv(192, 1)},
    )


# Names are those of TF-Slim's weights: some do not say the size, or skip a letter.
_TABLE = {
    "Conv2d_1a_3x3": _halve(32, 3),
    "Conv2d_2a_3x3": _valid(32, 3),
    "Conv2d_2b_3x3": conv(64, 3),
    "MaxPool_3a_3x3": _pool(),
    "Conv2d_3b_1x1": _valid(80, 1),
    "Conv2d_4a_3x3": _valid(192, 3),
    "MaxPool_5a_3x3": _pool(),
    "Mixed_5b": _module_35(32),
    "Mixed_5c": _module_35(64, five=("Conv2d_0b_1x1", "Conv_1_0c_5x5")),
    "Mixed_5d": _module_35(64),
    "Mixed_6a": mixed(
        {"Conv2d_1a_1x1": _halve(384, 3)},
        {
            "Conv2d_0a_1x1": conv(64, 1),
            "Conv2d_0b_3x3": conv(96, 3),
            "Conv2d_1a_1x1": _halve(96, 3),
        },
        {"MaxPool_1a_3x3": _pool()},
    ),
    "Mixed_6b": _module_17(128),
    "Mixed_6c": _module_17(160),
    "Mixed_6d": _module_17(160),
    "Mixed_6e": _module_17(192),
    "Mixed_7a": mixed(
        {"Conv2d_0a_1x1": conv(192, 1), "Conv2d_1a_3x3": _halve(320, 3)},
        {
            "Conv2d_0a_1x1": conv(192, 1),
            "Conv2d_0b_1x7": conv(192, (1, 7)),
            "Conv2d_0c_7x1": conv(192, (7, 1)),
            "Conv2d_1a_3x3": _halve(192, 3),
        },
        {"MaxPool_1a_3x3": _pool()},
    ),
    "Mixed_7b": _module_8("Conv2d_0b_3x1"),
    "Mixed_7c": _module_8("Conv2d_0c_3x1"),
}


def inception_v3_base(
    inputs: Tensor,
    final_endpoint: str = "Mixed_7c",
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    scope: str | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception v3 up to an end point.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    final_endpoint : str, default="Mixed_7c"
        ``Conv2d_1a_3x3``, ``Conv2d_2a_3x3``, ``Conv2d_2b_3x3``, ``MaxPool_3a_3x3``,
        ``Conv2d_3b_1x1``, ``Conv2d_4a_3x3``, ``MaxPool_5a_3x3``, ``Mixed_5b`` to ``d``,
        ``Mixed_6a`` to ``e``, ``Mixed_7a`` to ``c``.
    min_depth : int, default=16
        No convolution gets fewer filters by `depth_multiplier`.
    depth_multiplier : float, default=1.0
        Times the number of filters of each convolution; above 0.
    scope : str, optional
        ``InceptionV3`` by default.

    Returns
    -------
    net : Tensor
    end_points : dict
        By name, all up to `final_endpoint`.

    Raises
    ------
    ValueError
        If there is no such end point, or `depth_multiplier` is not above 0.
    """
    where = "inception_v3_base"
    depth = utils.scaled_depth(where, min_depth, depth_multiplier)
    with slim.variable_scope(scope, "InceptionV3"):
        return utils.build(where, _TABLE, inputs, final_endpoint, depth)


def inception_v3(
    inputs: Tensor,
    num_classes: int | None = 1000,
    is_training: bool | None = None,
    dropout_keep_prob: float = 0.8,
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    prediction_fn: Callable = slim.softmax,
    spatial_squeeze: bool = True,
    reuse: bool | None = None,
    create_aux_logits: bool = True,
    scope: str | None = "InceptionV3",
    global_pool: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception v3 with its classifier.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]; 299×299 by default.
    min_depth, depth_multiplier
        As in `inception_v3_base`.
    num_classes, is_training, dropout_keep_prob, prediction_fn, spatial_squeeze, reuse
        As in `inception_v1`.
    create_aux_logits : bool, default=True
        A second classifier on ``Mixed_6e``, the end point ``AuxLogits``: a loss on it
        helps deep layers learn.
    scope : str, default="InceptionV3"
    global_pool : bool, default=False
        Pool images of any size to one pixel; else by windows of at most 8×8.

    Returns
    -------
    net : Tensor
        The logits, or what would go into the classifier.
    end_points : dict
        By name; also ``AuxLogits``, ``PreLogits``, ``Logits`` and ``Predictions``.

    Raises
    ------
    ValueError
        If `depth_multiplier` is not above 0.

    References
    ----------
    Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016.
    """
    with (
        slim.variable_scope(scope, "InceptionV3", reuse=reuse) as opened,
        utils.in_mode(is_training),
    ):
        net, end_points = inception_v3_base(
            inputs,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            scope=opened,
        )
        if create_aux_logits and num_classes:
            depth = utils.scaled_depth("inception_v3", min_depth, depth_multiplier)
            end_points["AuxLogits"] = _aux_logits(
                end_points["Mixed_6e"], num_classes, depth, spatial_squeeze
            )
        with slim.variable_scope("Logits"):
            net = utils.pooled(net, end_points, 8, 2, "AvgPool_1a", global_pool)
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_1b")
            end_points["PreLogits"] = net
            logits = utils.classify(
                "inception_v3",
                net,
                end_points,
                num_classes,
                prediction_fn,
                spatial_squeeze,
                "Conv2d_1c_1x1",
            )
    return logits, end_points


inception_v3.default_image_size = 299


def _aux_logits(net, num_classes, depth, spatial_squeeze) -> Tensor:
    with slim.variable_scope("AuxLogits"):
        net = slim.avg_pool2d(net, 5, stride=3, padding="VALID", scope="AvgPool_1a_5x5")
        net = conv(128, 1)(net, "Conv2d_1b_1x1", depth)
        kernel = utils.window(net, 5)
        name = "Conv2d_2a_{}x{}".format(*kernel)
        net = _valid(768, kernel, stddev=0.01)(net, name, depth)
        logits = slim.conv2d(
            net,
            num_classes,
            1,
            activation_fn=None,
            normalizer_fn=None,
            weights_initializer=utils.trunc_normal(0.001),
            scope="Conv2d_2b_1x1",
        )
        return head.squeeze(logits, "inception_v3") if spatial_squeeze else logits


def inception_v3_arg_scope(
    weight_decay: float = 0.00004,
    batch_norm_var_collection: str = "moving_vars",
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    updates_collections: str | None = None,
    use_fused_batchnorm: bool = True,
) -> dict:
    """Return the arg scope of Inception v3.

    Parameters
    ----------
    weight_decay : float, default=0.00004
    batch_norm_var_collection : str, default="moving_vars"
        A list in which the moving averages are put.
    batch_norm_decay : float, default=0.9997
    batch_norm_epsilon : float, default=0.001
    updates_collections : str, optional
    use_fused_batchnorm : bool, default=True
        Both accepted for TF-Slim's sake, without effect.

    Returns
    -------
    dict
        For ``with arg_scope(…):``.
    """
    return utils.inception_arg_scope(
        weight_decay,
        batch_norm_decay=batch_norm_decay,
        batch_norm_epsilon=batch_norm_epsilon,
        batch_norm_updates_collections=updates_collections,
        batch_norm_var_collection=batch_norm_var_collection,
    )
