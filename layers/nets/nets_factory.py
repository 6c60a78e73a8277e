"""Networks by name."""

import difflib
import functools
from collections.abc import Callable

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import (
    alexnet,
    cifarnet,
    inception_resnet_v2,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    overfeat,
    resnet_v1,
    resnet_v2,
    vgg,
)

# name: (network, its arg scope)
_NETWORKS = {
    "alexnet_v2": (alexnet.alexnet_v2, alexnet.alexnet_v2_arg_scope),
    "cifarnet": (cifarnet.cifarnet, cifarnet.cifarnet_arg_scope),
    "inception_resnet_v2": (
        inception_resnet_v2.inception_resnet_v2,
        inception_resnet_v2.inception_resnet_v2_arg_scope,
    ),
    "inception_v1": (
        inception_v1.inception_v1,
        inception_v1.inception_v1_arg_scope,
    ),
    "inception_v2": (
        inception_v2.inception_v2,
        inception_v2.inception_v2_arg_scope,
    ),
    "inception_v3": (
        inception_v3.inception_v3,
        inception_v3.inception_v3_arg_scope,
    ),
    "inception_v4": (
        inception_v4.inception_v4,
        inception_v4.inception_v4_arg_scope,
    ),
    "lenet": (lenet.lenet, lenet.lenet_arg_scope),
    "mobilenet_v1": (mobilenet_v1.mobilenet_v1, mobilenet_v1.mobilenet_v1_arg_scope),
    "mobilenet_v1_025": (
        mobilenet_v1.mobilenet_v1_025,
        mobilenet_v1.mobilenet_v1_arg_scope,
    ),
    "mobilenet_v1_050": (
        mobilenet_v1.mobilenet_v1_050,
        mobilenet_v1.mobilenet_v1_arg_scope,
    ),
    "mobilenet_v1_075": (
        mobilenet_v1.mobilenet_v1_075,
        mobilenet_v1.mobilenet_v1_arg_scope,
    ),
    "mobilenet_v2": (mobilenet_v2.mobilenet_v2, mobilenet_v2.training_scope),
    "mobilenet_v2_035": (mobilenet_v2.mobilenet_v2_035, mobilenet_v2.training_scope),
    "mobilenet_v2_050": (mobilenet_v2.mobilenet_v2_050, mobilenet_v2.training_scope),
    "mobilenet_v2_140": (mobilenet_v2.mobilenet_v2_140, mobilenet_v2.training_scope),
    "overfeat": (overfeat.overfeat, overfeat.overfeat_arg_scope),
    "resnet_v1_18": (resnet_v1.resnet_v1_18, resnet_v1.resnet_arg_scope),
    "resnet_v1_34": (resnet_v1.resnet_v1_34, resnet_v1.resnet_arg_scope),
    "resnet_v1_50": (resnet_v1.resnet_v1_50, resnet_v1.resnet_arg_scope),
    "resnet_v1_101": (resnet_v1.resnet_v1_101, resnet_v1.resnet_arg_scope),
    "resnet_v1_152": (resnet_v1.resnet_v1_152, resnet_v1.resnet_arg_scope),
    "resnet_v1_200": (resnet_v1.resnet_v1_200, resnet_v1.resnet_arg_scope),
    "resnet_v2_18": (resnet_v2.resnet_v2_18, resnet_v2.resnet_arg_scope),
    "resnet_v2_34": (resnet_v2.resnet_v2_34, resnet_v2.resnet_arg_scope),
    "resnet_v2_50": (resnet_v2.resnet_v2_50, resnet_v2.resnet_arg_scope),
    "resnet_v2_101": (resnet_v2.resnet_v2_101, resnet_v2.resnet_arg_scope),
    "resnet_v2_152": (resnet_v2.resnet_v2_152, resnet_v2.resnet_arg_scope),
    "resnet_v2_200": (resnet_v2.resnet_v2_200, resnet_v2.resnet_arg_scope),
    "vgg_16": (vgg.vgg_16, vgg.vgg_arg_scope),
    "vgg_19": (vgg.vgg_19, vgg.vgg_arg_scope),
    "vgg_a": (vgg.vgg_a, vgg.vgg_arg_scope),
}

networks_map = {name: network for name, (network, _) in _NETWORKS.items()}
arg_scopes_map = {name: scope for name, (_, scope) in _NETWORKS.items()}


def get_network_fn(
    name: str,
    num_classes: int | None = None,
    weight_decay: float = 0.0,
    is_training: bool | None = None,
) -> Callable:
    """Return a network in its arg scope: ``logits, end_points = network_fn(images)``.

    Parameters
    ----------
    name : str
        A key of `networks_map`, such as "resnet_v1_50".
    num_classes : int or None, default=None
        0 or None: features before the logits. Estimators give it themselves, as in
        ``ConvNetClassifier(get_network_fn("lenet"))``.
    weight_decay : float, default=0.0
        Scale of the L2 penalty on weights.
    is_training : bool, optional
        By default as the network is being built.

    Returns
    -------
    callable
        ``network_fn(images, **kwargs)``: further arguments are the network's, whose
        ``default_image_size`` it has. It pickles.

    Raises
    ------
    ValueError
        If there is no such network.
    """
    if name not in networks_map:
        close = difflib.get_close_matches(str(name), networks_map, n=3)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"get_network_fn: there is no network {name!r}{hint} "
            f"(there are {', '.join(sorted(networks_map))})"
        )
    network_fn = functools.partial(
        _in_scope,
        name=name,
        weight_decay=weight_decay,
        num_classes=num_classes,
        is_training=is_training,
    )
    network_fn.__name__ = name
    network_fn.default_image_size = networks_map[name].default_image_size
    return network_fn


def _in_scope(
    images: Tensor, *, name, weight_decay, num_classes, is_training, **kwargs
) -> tuple[Tensor, dict[str, Tensor]]:
    with slim.arg_scope(arg_scopes_map[name](weight_decay=weight_decay)):
        return networks_map[name](
            images, num_classes, is_training=is_training, **kwargs
        )
