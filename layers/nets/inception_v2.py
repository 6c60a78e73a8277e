"""Inception v2, of Ioffe and Szegedy, "Batch normalization"."""

from collections.abc import Callable

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import inception_utils as utils
from slimlearn.layers.nets.inception_utils import avg_pool, conv, max_pool, mixed


def _stem(net, scope, depth):
    """7×7 filters on each colour, mixed: no need of all filters on all colours."""
    filters = depth(64)
    return slim.separable_conv2d(
        net,
        filters,
        7,
        depth_multiplier=min(filters // 3, 8),
        stride=2,
        padding="SAME",
        weights_initializer=utils.trunc_normal(1.0),
        scope=scope,
    )


def _module(one, reduce_3, three, reduce_double, double, last, pool="Avg"):
    """Columns of 1×1, 3×3, twice 3×3 filters, and of a pooling."""
    pooling = avg_pool(3) if pool == "Avg" else max_pool(3)
    return mixed(
        {"Conv2d_0a_1x1": conv(one, 1)},
        {
            "Conv2d_0a_1x1": conv(reduce_3, 1, stddev=0.09),
            "Conv2d_0b_3x3": conv(three, 3),
        },
        {
            "Conv2d_0a_1x1": conv(reduce_double, 1, stddev=0.09),
            "Conv2d_0b_3x3": conv(double, 3),
            "Conv2d_0c_3x3": conv(double, 3),
        },
        {f"{pool}Pool_0a_3x3": pooling, "Conv2d_0b_1x1": conv(last, 1, stddev=0.1)},
    )


def _reduction(reduce_3, three, reduce_double, double):
    """A module that halves the image."""
    return mixed(
        {
            "Conv2d_0a_1x1": conv(reduce_3, 1, stddev=0.09),
            "Conv2d_1a_3x3": conv(three, 3, stride=2),
        },
        {
            "Conv2d_0a_1x1": conv(reduce_double, 1, stddev=0.09),
            "Conv2d_0b_3x3": conv(double, 3),
            "Conv2d_1a_3x3": conv(double, 3, stride=2),
        },
        {"MaxPool_1a_3x3": max_pool(3, stride=2)},
    )


_TABLE = {
    "Conv2d_1a_7x7": _stem,
    "MaxPool_2a_3x3": max_pool(3, stride=2),
    "Conv2d_2b_1x1": conv(64, 1, stddev=0.1),
    "Conv2d_2c_3x3": conv(192, 3),
    "MaxPool_3a_3x3": max_pool(3, stride=2),
    "Mixed_3b": _module(64, 64, 64, 64, 96, 32),
    "Mixed_3c": _module(64, 64, 96, 64, 96, 64),
    "Mixed_4a": _reduction(128, 160, 64, 96),
    "Mixed_4b": _module(224, 64, 96, 96, 128, 128),
    "Mixed_4c": _module(192, 96, 128, 96, 128, 128),
    "Mixed_4d": _module(160, 128, 160, 128, 160, 96),
    "Mixed_4e": _module(96, 128, 192, 160, 192, 96),
    "Mixed_5a": _reduction(128, 192, 192, 256),
    "Mixed_5b": _module(352, 192, 320, 160, 224, 128),
    "Mixed_5c": _module(352, 192, 320, 192, 224, 128, pool="Max"),
}


def inception_v2_base(
    inputs: Tensor,
    final_endpoint: str = "Mixed_5c",
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    scope: str | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception v2 up to an end point.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    final_endpoint : str, default="Mixed_5c"
        ``Conv2d_1a_7x7``, ``MaxPool_2a_3x3``, ``Conv2d_2b_1x1``, ``Conv2d_2c_3x3``,
        ``MaxPool_3a_3x3``, ``Mixed_3b`` or ``c``, ``Mixed_4a`` to ``e``, ``Mixed_5a``
        to ``c``.
    min_depth : int, default=16
        No convolution gets fewer filters by `depth_multiplier`.
    depth_multiplier : float, default=1.0
        Times the number of filters of each convolution; above 0.
    scope : str, optional
        ``InceptionV2`` by default.

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
    where = "inception_v2_base"
    depth = utils.scaled_depth(where, min_depth, depth_multiplier)
    with slim.variable_scope(scope, "InceptionV2"):
        return utils.build(where, _TABLE, inputs, final_endpoint, depth)


def inception_v2(
    inputs: Tensor,
    num_classes: int | None = 1000,
    is_training: bool | None = None,
    dropout_keep_prob: float = 0.8,
    min_depth: int = 16,
    depth_multiplier: float = 1.0,
    prediction_fn: Callable = slim.softmax,
    spatial_squeeze: bool = True,
    reuse: bool | None = None,
    scope: str | None = "InceptionV2",
    global_pool: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception v2 with its classifier.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]; 224×224 by default.
    min_depth, depth_multiplier
        As in `inception_v2_base`.
    num_classes, is_training, dropout_keep_prob, prediction_fn, spatial_squeeze, reuse
        As in `inception_v1`.
    scope : str, default="InceptionV2"
    global_pool : bool, default=False
        Pool images of any size to one pixel; else by windows of at most 7×7.

    Returns
    -------
    net : Tensor
        The logits, or what would go into the classifier.
    end_points : dict
        By name; also ``Logits`` and ``Predictions``.

    Raises
    ------
    ValueError
        If `depth_multiplier` is not above 0.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", 2015.
    """
    with (
        slim.variable_scope(scope, "InceptionV2", reuse=reuse) as opened,
        utils.in_mode(is_training),
    ):
        net, end_points = inception_v2_base(
            inputs,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            scope=opened,
        )
        with slim.variable_scope("Logits"):
            net = utils.pooled(net, end_points, 7, 2, "AvgPool_1a", global_pool)
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_1b")
            logits = utils.classify(
                "inception_v2",
                net,
                end_points,
                num_classes,
                prediction_fn,
                spatial_squeeze,
                "Conv2d_1c_1x1",
            )
    return logits, end_points


inception_v2.default_image_size = 224


def inception_v2_arg_scope(
    weight_decay: float = 0.00004, batch_norm_var_collection: str = "moving_vars"
) -> dict:
    """Return the arg scope of Inception v2.

    Parameters
    ----------
    weight_decay : float, default=0.00004
    batch_norm_var_collection : str, default="moving_vars"
        A list in which the moving averages are put.

    Returns
    -------
    dict
        For ``with arg_scope(…):``.
    """
    return utils.inception_arg_scope(
        weight_decay, batch_norm_var_collection=batch_norm_var_collection
    )
