"""A fitted network of every kind of convolution and pooling, on rows of 20 numbers."""

import numpy as np

from slimlearn import NetworkClassifier, layers
from slimlearn.backend import ops
from slimlearn.estimators.network import network

# What training reads beside the rates.
HYPERS = {"Dropout/keep_prob": 0.5, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}


@network
def images(x, channels=32):
    """A 4 × 5 image of each row, through convolutions, norms and poolings."""
    net = ops.reshape(x, (-1, 4, 5, 1))
    net = layers.conv2d(net, channels, 3, normalizer_fn=layers.batch_norm)
    net = layers.conv2d(net, channels, 3)
    net = layers.max_pool2d(net, 2, 1)
    net = layers.separable_conv2d(net, channels // 2, 3, 1)
    net = layers.avg_pool2d(net, 2)
    return layers.dropout(layers.flatten(net), 0.5)


def fitted(**options):
    """Return a classifier of three classes after an epoch of 90 rows."""
    X = np.random.default_rng(0).standard_normal((90, 20))
    clf = NetworkClassifier(
        images(**options), max_iter=1, precision="float32", random_state=0
    )
    return clf.fit(X, np.arange(len(X)) % 3)
