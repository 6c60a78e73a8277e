"""A network function is called once for prediction and once for training."""

import copy
import itertools

import numpy as np
import pytest
from sklearn.datasets import load_iris

from slimlearn import NetworkClassifier, NetworkRegressor, layers
from slimlearn.backend import ops

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
FEW = {"max_iter": 3, "random_state": 0}


def test_a_network_is_built_once_for_all_that_predicts():
    modes = []

    def net(x, is_training):
        modes.append(is_training)
        return layers.fully_connected(x, 8)

    clf = NetworkClassifier(net, early_stopping=True, **FEW).fit(X, Y)
    assert modes == [False, True]
    functions = clf.program_.model.functions
    assert {"predict", "predict_proba", "score", "grad"} <= set(functions)
    ops_of = {name: [n.op for n in g.nodes] for name, g in functions.items()}
    assert ops_of["score"][:5] == ops_of["predict_proba"][:5] == ops_of["predict"][:5]


def test_scopes_that_count_on_between_builds_are_refused():
    numbers = itertools.count()

    def net(x):
        return layers.fully_connected(x, 16, scope=f"fc_{next(numbers)}")

    message = (
        r"network net is built once .* it did not make fc_0/biases, fc_0/weights, but "
        r"fc_1/biases, fc_1/weights: .* untrained"
    )
    with pytest.raises(ValueError, match=message):
        NetworkClassifier(net, **FEW).fit(X, Y)


def test_a_layer_of_prediction_alone_is_refused_unless_it_is_not_trainable():
    def net(x, is_training, trainable):
        x = layers.fully_connected(x, 8)
        if is_training:
            return x
        return layers.fully_connected(x, 8, scope="more", trainable=trainable)

    def trained(x, is_training):
        return net(x, is_training, True)

    def constant(x, is_training):
        return net(x, is_training, False)

    with pytest.raises(ValueError, match="did not make more/biases, more/weights:"):
        NetworkClassifier(trained, **FEW).fit(X, Y)
    NetworkClassifier(constant, **FEW).fit(X, Y).predict(X)


def test_training_may_have_layers_of_its_own():
    def net(x, num_outputs, is_training):
        hidden = layers.fully_connected(x, 8)
        if is_training:
            aid = layers.fully_connected(hidden, 1, None, scope="aid")
            layers.losses.add_loss(ops.reduce_mean(ops.square(aid)))
        return layers.fully_connected(hidden, num_outputs, None, scope="out")

    reg = NetworkRegressor(net, early_stopping=True, **FEW).fit(X, X[:, 0])
    assert "aid/weights" in reg.program_.weights
    assert np.isfinite(reg.predict(X)).all()


def test_a_network_chooses_what_it_computes():
    """Layers in the branches of a cond: fitted, scored, copied, as any other."""

    def net(x):
        level = ops.reduce_max(ops.abs(x))
        x = ops.cond(level > 1.5, lambda: x / level, lambda: x)
        h = layers.fully_connected(x, 32)

        def longer():
            return layers.dropout(layers.fully_connected(h, 32), 0.9)

        return ops.cond(ops.reduce_mean(h) > 0.2, longer, lambda: h)

    clf = NetworkClassifier(net, max_iter=60, learning_rate=0.01, random_state=0)
    clf.fit(X, Y)
    assert clf.score(X, Y) > 0.9
    twin = copy.deepcopy(clf)
    np.testing.assert_array_equal(twin.predict_proba(X), clf.predict_proba(X))
    shapes = [w.shape for w in clf.program_.weights.values()]
    assert shapes[:4] == [(4, 32), (32,), (32, 32), (32,)]


def test_a_network_with_regions_scores_and_predicts_what_it_trains():
    def net(x):
        net = layers.fully_connected(x, 8, scope="fc")
        large = ops.reduce_max(ops.abs(net)) > 1e9
        return ops.cond(large, lambda: net * 0.0, lambda: net * 1.0)

    def same(x):
        return layers.fully_connected(x, 8, scope="fc")

    options = {"max_iter": 20, "random_state": 0, "early_stopping": True}
    one, other = (NetworkClassifier(f, **options).fit(X, Y) for f in (net, same))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-4)
    np.testing.assert_allclose(
        one.validation_loss_curve_, other.validation_loss_curve_, rtol=1e-4
    )
