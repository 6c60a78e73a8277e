"""Inception v4, of Szegedy et al., "Inception-v4, Inception-ResNet"."""

from functools import partial

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import inception_utils as utils
from slimlearn.layers.nets.inception_utils import avg_pool, conv, fork, max_pool, mixed

_valid = partial(conv, padding="VALID")
_halve = partial(conv, stride=2, padding="VALID")
_pool = partial(max_pool, 3, stride=2, padding="VALID")

_INCEPTION_A = mixed(
    {"Conv2d_0a_1x1": conv(96, 1)},
    {"Conv2d_0a_1x1": conv(64, 1), "Conv2d_0b_3x3": conv(96, 3)},
    {
        "Conv2d_0a_1x1": conv(64, 1),
        "Conv2d_0b_3x3": conv(96, 3),
        "Conv2d_0c_3x3": conv(96, 3),
    },
    {"AvgPool_0a_3x3": avg_pool(3), "Conv2d_0b_1x1": conv(96, 1)},
)
_REDUCTION_A = mixed(
    {"Conv2d_1a_3x3": _halve(384, 3)},
    {
        "Conv2d_0a_1x1": conv(192, 1),
        "Conv2d_0b_3x3": conv(224, 3),
        "Conv2d_1a_3x3": _halve(256, 3),
    },
    {"MaxPool_1a_3x3": _pool()},
)
_INCEPTION_B = mixed(
    {"Conv2d_0a_1x1": conv(384, 1)},
    {
        "Conv2d_0a_1x1": conv(192, 1),
        "Conv2d_0b_1x7": conv(224, (1, 7)),
        "Conv2d_0c_7x1": conv(256, (7, 1)),
    },
    {
        "Conv2d_0a_1x1": conv(192, 1),
        "Conv2d_0b_7x1": conv(192, (7, 1)),
        "Conv2d_0c_1x7": conv(224, (1, 7)),
        "Conv2d_0d_7x1": conv(224, (7, 1)),
        "Conv2d_0e_1x7": conv(256, (1, 7)),
    },
    {"AvgPool_0a_3x3": avg_pool(3), "Conv2d_0b_1x1": conv(128, 1)},
)
_REDUCTION_B = mixed(
    {"Conv2d_0a_1x1": conv(192, 1), "Conv2d_1a_3x3": _halve(192, 3)},
    {
        "Conv2d_0a_1x1": conv(256, 1),
        "Conv2d_0b_1x7": conv(256, (1, 7)),
        "Conv2d_0c_7x1": conv(320, (7, 1)),
        "Conv2d_1a_3x3": _halve(320, 3),
    },
    {"MaxPool_1a_3x3": _pool()},
)
_INCEPTION_C = mixed(
    {"Conv2d_0a_1x1": conv(256, 1)},
    {
        "Conv2d_0a_1x1": conv(384, 1),
        "both": fork(Conv2d_0b_1x3=conv(256, (1, 3)), Conv2d_0c_3x1=conv(256, (3, 1))),
    },
    {
        "Conv2d_0a_1x1": conv(384, 1),
        "Conv2d_0b_3x1": conv(448, (3, 1)),
        "Conv2d_0c_1x3": conv(512, (1, 3)),
        "both": fork(Conv2d_0d_1x3=conv(256, (1, 3)), Conv2d_0e_3x1=conv(256, (3, 1))),
    },
    {"AvgPool_0a_3x3": avg_pool(3), "Conv2d_0b_1x1": conv(256, 1)},
)

_TABLE = {
    "Conv2d_1a_3x3": _halve(32, 3),
    "Conv2d_2a_3x3": _valid(32, 3),
    "Conv2d_2b_3x3": conv(64, 3),
    "Mixed_3a": mixed({"MaxPool_0a_3x3": _pool()}, {"Conv2d_0a_3x3": _halve(96, 3)}),
    "Mixed_4a": mixed(
        {"Conv2d_0a_1x1": conv(64, 1), "Conv2d_1a_3x3": _valid(96, 3)},
        {
            "Conv2d_0a_1x1": conv(64, 1),
            "Conv2d_0b_1x7": conv(64, (1, 7)),
            "Conv2d_0c_7x1": conv(64, (7, 1)),
            "Conv2d_1a_3x3": _valid(96, 3),
        },
    ),
    "Mixed_5a": mixed({"Conv2d_1a_3x3": _halve(192, 3)}, {"MaxPool_1a_3x3": _pool()}),
    **{f"Mixed_5{letter}": _INCEPTION_A for letter in "bcde"},
    "Mixed_6a": _REDUCTION_A,
    **{f"Mixed_6{letter}": _INCEPTION_B for letter in "bcdefgh"},
    "Mixed_7a": _REDUCTION_B,
    **{f"Mixed_7{letter}": _INCEPTION_C for letter in "bcd"},
}


def inception_v4_base(
    inputs: Tensor, final_endpoint: str = "Mixed_7d", scope: str | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception v4 up to an end point.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    final_endpoint : str, default="Mixed_7d"
        ``Conv2d_1a_3x3``, ``Conv2d_2a_3x3``, ``Conv2d_2b_3x3``, ``Mixed_3a``,
        ``Mixed_4a``, ``Mixed_5a`` to ``e``, ``Mixed_6a`` to ``h``, ``Mixed_7a`` to
        ``d``.
    scope : str, optional
        ``InceptionV4`` by default.

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
    with slim.variable_scope(scope, "InceptionV4"):
        return utils.build("inception_v4_base", _TABLE, inputs, final_endpoint)


def inception_v4(
    inputs: Tensor,
    num_classes: int | None = 1001,
    is_training: bool | None = None,
    dropout_keep_prob: float = 0.8,
    reuse: bool | None = None,
    scope: str | None = "InceptionV4",
    create_aux_logits: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build Inception v4 with its classifier.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]; 299×299 by default, others go too.
    num_classes : int or None, default=1001
        None or 0 leaves the classifiers out.
    is_training, dropout_keep_prob, reuse
        As in `inception_v1`.
    scope : str, default="InceptionV4"
    create_aux_logits : bool, default=True
        A second classifier on ``Mixed_6h``, the end point ``AuxLogits``.

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
        slim.variable_scope(scope, "InceptionV4", reuse=reuse) as opened,
        utils.in_mode(is_training),
    ):
        net, end_points = inception_v4_base(inputs, scope=opened)
        if create_aux_logits and num_classes:
            end_points["AuxLogits"] = utils.dense_aux_logits(
                end_points["Mixed_6h"], num_classes, "Conv2d_2a", "Aux_logits"
            )
        return utils.dense_classifier(net, end_points, num_classes, dropout_keep_prob)


inception_v4.default_image_size = 299
inception_v4_arg_scope = utils.inception_arg_scope
