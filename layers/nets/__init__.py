"""Networks for images, each with TF-Slim's structure, names and arguments.

A module holds a family: a function for each network, which returns ``(net,
end_points)``, and the arg scope that it was published with::

    import slimlearn.layers as slim
    from slimlearn.layers.nets import resnet_v1

    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        logits, end_points = resnet_v1.resnet_v1_50(images, 1000)

`nets_factory.get_network_fn` finds them by name. ``is_training=None`` everywhere means:
as the function is being built, so that estimators need not be told.
"""

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
    nets_factory,
    overfeat,
    resnet_utils,
    resnet_v1,
    resnet_v2,
    vgg,
)

__all__ = [
    "alexnet",
    "cifarnet",
    "inception_resnet_v2",
    "inception_v1",
    "inception_v2",
    "inception_v3",
    "inception_v4",
    "lenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "nets_factory",
    "overfeat",
    "resnet_utils",
    "resnet_v1",
    "resnet_v2",
    "vgg",
]


def __dir__() -> list[str]:
    return __all__
