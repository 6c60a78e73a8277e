"""A network function is called once, but where it asks whether it is for training."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris

from slimlearn import NetworkClassifier, NetworkRegressor, layers
from slimlearn.backend import ops
from slimlearn.backend.optimizer.named import OPTIMIZERS

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
FEW = {"max_iter": 3, "random_state": 0}


def test_a_network_is_built_once_for_all_that_predicts():
    modes = []

    def net(x, is_training):
        modes.append(is_training)
        return layers.fully_connected(x, 8)

    clf = NetworkClassifier(net, early_stopping=True, **FEW).fit(X, Y)
    # Twice for prediction, to see that it repeats.
    assert modes == [False, False, True]
    assert_shares_its_begin(clf)


def test_a_network_that_asks_for_nothing_is_built_once():
    calls = []

    def net(x):
        calls.append(x)
        return layers.fully_connected(x, 8)

    clf = NetworkClassifier(net, early_stopping=True, **FEW).fit(X, Y)
    assert len(calls) == 1
    assert_shares_its_begin(clf, "grad")


def assert_shares_its_begin(clf, *more):
    functions = clf.program_.model.functions
    names = "predict", "predict_proba", "score", *more
    assert {"grad", *names} <= set(functions)
    begins = [[n.op for n in functions[name].nodes][:5] for name in names]
    assert len(set(map(tuple, begins))) == 1


# By what differs from call to call; each is given the number of the call.
CHANGING = {
    "scope": lambda x, call: layers.fully_connected(x, 16, scope=f"fc_{call}"),
    "activation": lambda x, call: layers.fully_connected(x, 16, ("relu", None)[call]),
    "factor": lambda x, call: layers.fully_connected(x, 16) * (2.0 + call),
    "more": lambda x, call: layers.repeat(x, 1 + call, layers.fully_connected, 16),
}


@pytest.mark.parametrize("layer", CHANGING.values(), ids=CHANGING)
def test_a_network_that_changes_from_call_to_call_is_fitted_as_first_built(layer):
    numbers = itertools.count()

    def net(x):
        return layer(x, next(numbers))

    options = {"max_iter": 60, "random_state": 0, "early_stopping": True}
    clf = NetworkClassifier(net, **options).fit(X, Y)
    plain = NetworkClassifier(lambda x: layer(x, 0), **options).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
    assert clf.loss_curve_ == plain.loss_curve_


@pytest.mark.parametrize("layer", CHANGING.values(), ids=CHANGING)
@pytest.mark.parametrize("asks", [layers.dropout, layers.batch_norm])
def test_a_network_that_asks_for_training_and_changes_is_refused(layer, asks):
    numbers = itertools.count()

    def net(x):
        return asks(layer(x, next(numbers)))

    message = r"network net .* must build the same .* first time .* second time"
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


def test_batch_statistics_in_predictions_are_refused_with_the_way_out():
    def inner(x, is_training=True):  # as TF-Slim's networks have it
        return layers.batch_norm(layers.fully_connected(x, 8), is_training=is_training)

    def outer(x):
        return inner(x)

    message = "network outer would update BatchNorm/moving_mean .* give it on"
    with pytest.raises(ValueError, match=message):
        NetworkClassifier(outer, **FEW).fit(X, Y)
    NetworkClassifier(inner, **FEW).fit(X, Y).predict(X)


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


# -- networks without parameters ------------------------------


def first(x, num_outputs):
    return x[:, :1]


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_network_without_parameters_trains_nothing_and_predicts(optimizer, precision):
    options = {"optimizer": optimizer, "precision": precision, "random_state": 0}
    reg = NetworkRegressor(first, max_iter=3, **options).fit(X, Y * 2.0)
    kind = np.dtype(precision)
    wanted = X[:, 0].astype(kind).astype(float) * (Y * 2.0).std() + (Y * 2.0).mean()
    rtol = 1e-6 if precision == "float32" else 1e-13
    twin = pickle.loads(pickle.dumps(reg))
    for one in (reg, twin):
        np.testing.assert_allclose(one.predict(X), wanted, rtol=rtol)
        assert one.program_.model.precision == ("f32", "f64")[kind.itemsize == 8]
        assert one.coefs_ == []
    if optimizer != "lbfgs":
        twin.partial_fit(X, Y * 2.0)
        np.testing.assert_array_equal(twin.predict(X), reg.predict(X))
        assert twin.n_iter_ == 4


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_network_of_states_alone_keeps_its_averages(precision):
    def normalized(x, num_outputs):
        return layers.batch_norm(x[:, :1], center=False, decay=0.5)

    reg = NetworkRegressor(normalized, max_iter=30, precision=precision, batch_size=150)
    reg.fit(X * 3.0 + 1.0, Y * 1.0)
    mean = reg.program_.states["BatchNorm/moving_mean"]
    assert mean.dtype == precision
    np.testing.assert_allclose(mean, [1.0], rtol=1e-5)
