"""What the networks that end in convolutions as dense layers have in common."""

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor


def classify(
    net: Tensor,
    end_points: dict[str, Tensor],
    name: str,
    num_classes: int | None,
    is_training: bool | None,
    dropout_keep_prob: float,
    spatial_squeeze: bool,
    global_pool: bool,
    **fc8,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return `fc8` of the output of `fc7`, dropped out, or that output.

    Parameters
    ----------
    net : Tensor
        [B, height, width, channels]
    end_points : dict
        Gets ``global_pool`` and ``<name>/fc8``.
    name : str
        The network's scope.
    num_classes : int or None
        0 or None: no logits.
    is_training, dropout_keep_prob, spatial_squeeze, global_pool
        As in `vgg_16`.
    **fc8
        Further arguments of the last layer.
    """
    if global_pool:
        net = slim.global_pool(net, keepdims=True)
        end_points["global_pool"] = net
    if num_classes:
        net = slim.dropout(
            net, dropout_keep_prob, is_training=is_training, scope="dropout7"
        )
        net = slim.conv2d(
            net,
            num_classes,
            [1, 1],
            activation_fn=None,
            normalizer_fn=None,
            scope="fc8",
            **fc8,
        )
        if spatial_squeeze:
            net = squeeze(net, name)
        end_points[f"{name}/fc8"] = net
    return net, end_points


def squeeze(logits: Tensor, name: str) -> Tensor:
    """Return logits [B, 1, 1, n] as [B, n].

    Raises
    ------
    ValueError
        If they are a map: the images are larger than the network's own size.
    """
    if logits.shape[1:3] != (1, 1):
        height, width = logits.shape[1:3]
        raise ValueError(
            f"{name}: the logits of images of this size are a map of {height}×{width}: "
            "give smaller images, or global_pool=True, or keep the map with "
            "spatial_squeeze=False"
        )
    return ops.squeeze(logits, [1, 2])
