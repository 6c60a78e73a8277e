"""Inception v1 (GoogLeNet), of Szegedy et al., "Going deeper with convolutions"."""

from collections.abc import Callable

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import inception_utils as utils
from slimlearn.layers.nets.inception_utils import conv, max_pool, mixed


def _module(one, reduce_3, three, reduce_5, five, pooled, last="Conv2d_0b_3x3"):
    """The paper's columns; its 5×5 filters are 3×3 ones in TF-Slim's weights."""
    return mixed(
        {"Conv2d_0a_1x1": conv(one, 1)},
        {"Conv2d_0a_1x1": conv(reduce_3, 1), "Conv2d_0b_3x3": conv(three, 3)},
        {"Conv2d_0a_1x1": conv(reduce_5, 1), last: conv(five, 3)},
        {"MaxPool_0a_3x3": max_pool(3), "Conv2d_0b_1x1": conv(pooled, 1)},
    )


_TABLE = {
    "Conv2d_1a_7x7": conv(64, 7, stride=2),
    "MaxPool_2a_3x3": max_pool(3, stride=2),
    "Conv2d_2b_1x1": conv(64, 1),
    "Conv2d_2c_3x3": conv(192, 3),
    "MaxPool_3a_3x3": max_pool(3, stride=2),
    "Mixed_3b": _module(64, 96, 128, 16, 32, 32),
    "Mixed_3c": _module(128, 128, 192, 32, 96, 64),
    "MaxPool_4a_3x3": max_pool(3, stride=2),
    "Mixed_4b": _module(192, 96, 208, 16, 48, 64),
    "Mixed_4c": _module(160, 112, 224, 24, 64, 64),
    "Mixed_4d": _module(128, 128, 256, 24, 64, 64),
    "Mixed_4e": _module(112, 144, 288, 32, 64, 64),
    "Mixed_4f": _module(256, 160, 320, 32, 128, 128),
    "MaxPool_5a_2x2": max_pool(2, stride=2),
    "Mixed_5b": _module(256, 160, 320, 32, 128, 128, last="Conv2d_0a_3x3"),
    "Mixed_5c": _module(384, 192, 384, 48, 128, 128),
}


def inception_v1_base(
    inputs: Tensor,
    final_endpoint: str = "Mixed_5c",
    scope: str | None = "InceptionV1",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception v1 up to an end point.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    final_endpoint : str, default="Mixed_5c"
        ``Conv2d_1a_7x7``, ``MaxPool_2a_3x3``, ``Conv2d_2b_1x1``, ``Conv2d_2c_3x3``,
        ``MaxPool_3a_3x3``, ``Mixed_3b`` and ``c``, ``MaxPool_4a_3x3``, ``Mixed_4b`` to
        ``f``, ``MaxPool_5a_2x2``, ``Mixed_5b`` or ``c``.
    scope : str, default="InceptionV1"

    Returns
    -------
    net : Tensor
    end_points : dict
        By name, all up to `final_endpoint`.

    Raises
    ------
    ValueError
        If there is no such end point.
    """
    with (
        slim.variable_scope(scope, "InceptionV1"),
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_initializer=utils.trunc_normal(0.01),
        ),
    ):
        return utils.build("inception_v1_base", _TABLE, inputs, final_endpoint)


def inception_v1(
    inputs: Tensor,
    num_classes: int | None = 1000,
    is_training: bool | None = None,
    dropout_keep_prob: float = 0.8,
    prediction_fn: Callable = slim.softmax,
    spatial_squeeze: bool = True,
    reuse: bool | None = None,
    scope: str | None = "InceptionV1",
    global_pool: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception v1 with its classifier.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]; 224×224 by default.
    num_classes : int or None, default=1000
        None or 0 leaves the classifier out.
    is_training : bool, optional
        By default as the network is being built.
    dropout_keep_prob : float, default=0.8
    prediction_fn : callable, default=softmax
        From logits to predictions.
    spatial_squeeze : bool, default=True
        Logits as [B, num_classes], else [B, 1, 1, num_classes].
    reuse : bool, optional
        As in `variable_scope`.
    scope : str, default="InceptionV1"
    global_pool : bool, default=False
        Pool images of any size to one pixel; else by windows of 7×7.

    Returns
    -------
    net : Tensor
        The logits, or what would go into the classifier.
    end_points : dict
        By name; also ``Logits`` and ``Predictions``.

    References
    ----------
    Szegedy et al., "Going deeper with convolutions", 2015.
    """
    with (
        slim.variable_scope(scope, "InceptionV1", reuse=reuse) as opened,
        utils.in_mode(is_training),
    ):
        net, end_points = inception_v1_base(inputs, scope=opened)
        with slim.variable_scope("Logits"):
            net = utils.pooled(
                *(net, end_points, 7, 1, "AvgPool_0a", global_pool), "AvgPool_0a_7x7"
            )
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_0b")
            logits = utils.classify(
                "inception_v1",
                net,
                end_points,
                num_classes,
                prediction_fn,
                spatial_squeeze,
                "Conv2d_0c_1x1",
            )
    return logits, end_points


inception_v1.default_image_size = 224


def inception_v1_arg_scope(
    weight_decay: float = 0.00004,
    use_batch_norm: bool = True,
    batch_norm_var_collection: str = "moving_vars",
) -> dict:
    """Return the arg scope of Inception v1; the paper's net had no batch norm.

    Parameters
    ----------
    weight_decay : float, default=0.00004
    use_batch_norm : bool, default=True
    batch_norm_var_collection : str, default="moving_vars"
        A list in which the moving averages are put.

    Returns
    -------
    dict
        For ``with slim.arg_scope(…):``.
    """
    return utils.inception_arg_scope(
        weight_decay,
        use_batch_norm,
        batch_norm_var_collection=batch_norm_var_collection,
    )
