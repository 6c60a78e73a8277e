"""Inception-ResNet v2, of Szegedy et al., "Inception-v4, Inception-ResNet"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.annotations import Activation, Padding
from slimlearn.layers.nets import inception_utils as utils
from slimlearn.layers.nets.inception_utils import avg_pool, conv, max_pool, mixed


def _block(name: str, *branches) -> Callable:
    """Return a layer that adds a module's share to its inputs."""

    def block(
        net: Tensor,
        scale: float = 1.0,
        activation_fn: Activation | None = slim.activation.relu,
        scope: str | None = None,
        reuse: bool | None = None,
    ) -> Tensor:
        """Add branches, joined, brought to the inputs' channels and scaled.

        Parameters
        ----------
        net : Tensor
            [B, height, width, channels]
        scale : float, default=1.0
            Times what is added.
        activation_fn : callable, str or None, default=relu
            Of the sum.
        scope : str, optional
        reuse : bool, optional

        Returns
        -------
        Tensor
            As `net`.
        """
        with slim.variable_scope(scope, name, reuse=reuse):
            up = slim.conv2d(
                utils.joined(net, branches, int),
                net.shape[-1],
                1,
                normalizer_fn=None,
                activation_fn=None,
                scope="Conv2d_1x1",
            )
            return slim.activation.get(activation_fn)(net + scale * up)

    block.__name__ = block.__qualname__ = name.lower()
    return block


block35 = _block(
    "Block35",
    {"Conv2d_1x1": conv(32, 1)},
    {"Conv2d_0a_1x1": conv(32, 1), "Conv2d_0b_3x3": conv(32, 3)},
    {
        "Conv2d_0a_1x1": conv(32, 1),
        "Conv2d_0b_3x3": conv(48, 3),
        "Conv2d_0c_3x3": conv(64, 3),
    },
)
block17 = _block(
    "Block17",
    {"Conv2d_1x1": conv(192, 1)},
    {
        "Conv2d_0a_1x1": conv(128, 1),
        "Conv2d_0b_1x7": conv(160, (1, 7)),
        "Conv2d_0c_7x1": conv(192, (7, 1)),
    },
)
block8 = _block(
    "Block8",
    {"Conv2d_1x1": conv(192, 1)},
    {
        "Conv2d_0a_1x1": conv(192, 1),
        "Conv2d_0b_1x3": conv(224, (1, 3)),
        "Conv2d_0c_3x1": conv(256, (3, 1)),
    },
)


def _table(padding: Padding, atrous: bool, activation_fn) -> dict:
    """The rows; `atrous` keeps the size at ``Mixed_6a`` and spreads filters instead."""
    plain = partial(conv, padding=padding)
    halve = partial(conv, stride=2, padding=padding)
    pool = partial(max_pool, 3, stride=2, padding=padding)
    step = 1 if atrous else 2
    widen = conv(1536, 1)

    def before(row, block, times, scale, rate=1):
        """A row behind blocks that are no end points of their own."""

        def both(net, scope, depth):
            with slim.arg_scope([slim.conv2d], rate=rate):
                net = slim.repeat(
                    net, times, block, scale=scale, activation_fn=activation_fn
                )
            return row(net, scope, depth)

        return both

    def itself(net, scope, depth):
        return net

    def last(net, scope, depth):
        return widen(block8(net, activation_fn=None), scope, depth)

    mixed_5b = mixed(
        {"Conv2d_1x1": conv(96, 1)},
        {"Conv2d_0a_1x1": conv(48, 1), "Conv2d_0b_5x5": conv(64, 5)},
        {
            "Conv2d_0a_1x1": conv(64, 1),
            "Conv2d_0b_3x3": conv(96, 3),
            "Conv2d_0c_3x3": conv(96, 3),
        },
        {"AvgPool_0a_3x3": avg_pool(3), "Conv2d_0b_1x1": conv(64, 1)},
    )
    mixed_6a = mixed(
        {"Conv2d_1a_3x3": plain(384, 3, stride=step)},
        {
            "Conv2d_0a_1x1": conv(256, 1),
            "Conv2d_0b_3x3": conv(256, 3),
            "Conv2d_1a_3x3": plain(384, 3, stride=step),
        },
        {"MaxPool_1a_3x3": max_pool(3, stride=step, padding=padding)},
    )
    mixed_7a = mixed(
        {"Conv2d_0a_1x1": conv(256, 1), "Conv2d_1a_3x3": halve(384, 3)},
        {"Conv2d_0a_1x1": conv(256, 1), "Conv2d_1a_3x3": halve(288, 3)},
        {
            "Conv2d_0a_1x1": conv(256, 1),
            "Conv2d_0b_3x3": conv(288, 3),
            "Conv2d_1a_3x3": halve(320, 3),
        },
        {"MaxPool_1a_3x3": pool()},
    )
    return {
        "Conv2d_1a_3x3": halve(32, 3),
        "Conv2d_2a_3x3": plain(32, 3),
        "Conv2d_2b_3x3": conv(64, 3),
        "MaxPool_3a_3x3": pool(),
        "Conv2d_3b_1x1": plain(80, 1),
        "Conv2d_4a_3x3": plain(192, 3),
        "MaxPool_5a_3x3": pool(),
        "Mixed_5b": mixed_5b,
        "Mixed_6a": before(mixed_6a, block35, 10, 0.17),
        "PreAuxLogits": before(itself, block17, 20, 0.10, 2 if atrous else 1),
        "Mixed_7a": mixed_7a,
        "Conv2d_7b_1x1": before(last, block8, 9, 0.20),
    }


def inception_resnet_v2_base(
    inputs: Tensor,
    final_endpoint: str = "Conv2d_7b_1x1",
    output_stride: int = 16,
    align_feature_maps: bool = False,
    scope: str | None = None,
    activation_fn: Activation | None = slim.activation.relu,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception-ResNet v2 up to an end point.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    final_endpoint : str, default="Conv2d_7b_1x1"
        ``Conv2d_1a_3x3``, ``Conv2d_2a_3x3``, ``Conv2d_2b_3x3``, ``MaxPool_3a_3x3``,
        ``Conv2d_3b_1x1``, ``Conv2d_4a_3x3``, ``MaxPool_5a_3x3``, ``Mixed_5b``,
        ``Mixed_6a``, ``PreAuxLogits``, ``Mixed_7a`` or ``Conv2d_7b_1x1``.
    output_stride : {16, 8}, default=16
        By how much the image shrinks up to ``PreAuxLogits``, behind which 8 cannot go.
    align_feature_maps : bool, default=False
        Pad so that each halving gives half the size, rounded up.
    scope : str, optional
        ``InceptionResnetV2`` by default.
    activation_fn : callable, str or None, default=relu
        Of the blocks' sums.

    Returns
    -------
    net : Tensor
    end_points : dict
        By name, all up to `final_endpoint`.

    Raises
    ------
    ValueError
        If there is no such end point or stride, or the end point is none of stride 8.
    """
    where = "inception_resnet_v2_base"
    if output_stride not in (8, 16):
        raise ValueError(
            f"{where}: output_stride must be 8 or 16, got {output_stride!r}"
        )
    table = _table(
        "SAME" if align_feature_maps else "VALID", output_stride == 8, activation_fn
    )
    utils.check_endpoint(where, table, final_endpoint)
    if output_stride == 8 and final_endpoint in ("Mixed_7a", "Conv2d_7b_1x1"):
        raise ValueError(
            f"{where}: output_stride=8 goes up to final_endpoint='PreAuxLogits', got "
            f"{final_endpoint!r}"
        )
    with slim.variable_scope(scope, "InceptionResnetV2"):
        return utils.build(where, table, inputs, final_endpoint)


def inception_resnet_v2(
    inputs: Tensor,
    num_classes: int | None = 1001,
    is_training: bool | None = None,
    dropout_keep_prob: float = 0.8,
    reuse: bool | None = None,
    scope: str | None = "InceptionResnetV2",
    create_aux_logits: bool = True,
    activation_fn: Activation | None = slim.activation.relu,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception-ResNet v2 with its classifier.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]; 299×299 by default, others go too.
    num_classes : int or None, default=1001
        None or 0 leaves the classifiers out.
    is_training, dropout_keep_prob, reuse
        As in `inception_v1`.
    scope : str, default="InceptionResnetV2"
    create_aux_logits : bool, default=True
        A second classifier on ``PreAuxLogits``, the end point ``AuxLogits``.
    activation_fn : callable, str or None, default=relu
        Of the blocks' sums.

    Returns
    -------
    net : Tensor
        The logits, or what would go into the classifier.
    end_points : dict
        By name; also ``AuxLogits``, ``global_pool``, ``PreLogitsFlatten``, ``Logits``
        and ``Predictions``.

    References
    ----------
    Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual
    connections on learning", 2017.
    """
    with (
        slim.variable_scope(scope, "InceptionResnetV2", reuse=reuse) as opened,
        utils.in_mode(is_training),
    ):
        net, end_points = inception_resnet_v2_base(
            inputs, scope=opened, activation_fn=activation_fn
        )
        if create_aux_logits and num_classes:
            end_points["AuxLogits"] = utils.dense_aux_logits(
                end_points["PreAuxLogits"], num_classes, "Conv2d_2a_5x5", "Logits"
            )
        return utils.dense_classifier(net, end_points, num_classes, dropout_keep_prob)


inception_resnet_v2.default_image_size = 299


def inception_resnet_v2_arg_scope(
    weight_decay: float = 0.00004,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    activation_fn: Activation | None = slim.activation.relu,
    batch_norm_updates_collections: str | None = None,
    batch_norm_scale: bool = False,
) -> dict:
    """Return the arg scope of Inception-ResNet v2; biases are penalized too.

    Parameters
    ----------
    weight_decay : float, default=0.00004
    batch_norm_decay : float, default=0.9997
    batch_norm_epsilon : float, default=0.001
    activation_fn : callable, str or None, default=relu
        Of the convolutions.
    batch_norm_updates_collections : str, optional
        Accepted for TF-Slim's sake, without effect.
    batch_norm_scale : bool, default=False
        Train a ``gamma`` too.

    Returns
    -------
    dict
        For ``with arg_scope(…):``.
    """
    params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
        "scale": batch_norm_scale,
    }
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_regularizer=slim.l2_regularizer(weight_decay),
        ),
        slim.arg_scope(
            [slim.conv2d],
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm,
            normalizer_params=params,
        ) as scope,
    ):
        return scope
