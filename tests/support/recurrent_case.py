"""A fitted recurrent network whose loops lanes take by rows, on rows of 20 numbers."""

import numpy as np

from slimlearn import NetworkClassifier, layers
from slimlearn.backend import ops
from slimlearn.estimators.network import network

# What training reads beside the rates.
HYPERS = {
    "lstm/Dropout/keep_prob": 0.7,
    "rnn/noise/keep_prob": 0.8,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
}


@network
def steps(x, units=128):
    """Four steps of five numbers: norms, softmax and random numbers inside of loops."""
    net = ops.reshape(x, (-1, 4, 5))
    net = layers.lstm(
        net, units, layer_norm=True, recurrent_dropout=0.3, return_sequences=True
    )
    weights = layers.model_variable("weights", [units, units])

    def cell(x, h):
        h = ops.softmax(layers.dropout(x, 0.8, scope="noise") @ ops.tanh(weights) + h)
        return h, h

    return layers.rnn(net, cell, ops.zeros((x.shape[0], units), x.dtype))


def fitted(**options):
    """Return a classifier of three classes after an epoch of 90 rows."""
    X = np.random.default_rng(0).standard_normal((90, 20))
    clf = NetworkClassifier(
        steps(**options), max_iter=1, precision="float32", random_state=0
    )
    return clf.fit(X, np.arange(len(X)) % 3)
