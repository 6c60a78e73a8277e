"""schedules: numbers other than the learning rate that change from step to step."""

import numpy as np
import pytest
from sklearn.base import clone

from slimlearn import (
    Autoencoder,
    DNNClassifier,
    LinearClassifier,
    NetworkClassifier,
    layers,
    network,
)
from slimlearn.backend.optimizer import SGD, AdamW
from slimlearn.backend.schedule import (
    Constant,
    Cosine,
    Exponential,
    Plateau,
    Schedule,
    Step,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
FEW = {"max_iter": 4, "batch_size": 16, "random_state": 0}


class Zero(Schedule):
    """Nothing, from the first step on."""

    def factors(self, step, steps_per_epoch, total_steps):
        return np.zeros_like(step)


NAMED = {
    "dropout": {"dropout": 0.4},
    "l2_regularization": {"l2_regularization": 0.3},
    "weight_decay": {"optimizer": AdamW(weight_decay=0.5)},
    "momentum": {"optimizer": SGD(momentum=0.8)},
    "beta1": {"optimizer": "adam"},
}
WITHOUT = {
    "l2_regularization": {"l2_regularization": 1e-30},
    "weight_decay": {"optimizer": AdamW(weight_decay=0.0)},
}


def arrays(estimator):
    return estimator.program_.params.tobytes(), estimator.program_.state.tobytes()


@pytest.mark.parametrize("name", NAMED)
def test_a_constant_schedule_changes_no_bit(name):
    plain = DNNClassifier((8,), **NAMED[name], **FEW).fit(X, Y)
    same = DNNClassifier((8,), **NAMED[name], **FEW, schedules={name: Constant()})
    assert arrays(same.fit(X, Y)) == arrays(plain)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("schedule", ["cosine", Exponential(0.5), Zero()], ids=repr)
def test_another_one_changes_the_weights(name, schedule):
    plain = DNNClassifier((8,), **NAMED[name], **FEW).fit(X, Y)
    other = DNNClassifier((8,), **NAMED[name], **FEW, schedules={name: schedule})
    assert arrays(other.fit(X, Y)) != arrays(plain)


@pytest.mark.parametrize("name", WITHOUT)
def test_what_is_scheduled_to_nothing_is_not_there(name):
    """A penalty of factor 0 leaves the weights that a fit without it has."""
    none = DNNClassifier((8,), **WITHOUT[name], **FEW).fit(X, Y)
    gone = DNNClassifier((8,), **NAMED[name], **FEW, schedules={name: Zero()})
    gone.fit(X, Y)
    for key, array in none.program_.weights.items():
        np.testing.assert_allclose(gone.program_.weights[key], array, rtol=1e-12)


def test_dropout_that_falls_to_nothing_ends_as_a_fit_without():
    """From the second epoch on nothing is dropped: the loss is that of no dropout."""
    falls = Step(step_size=1, gamma=1e-300)
    clf = DNNClassifier((8,), dropout=0.5, **FEW, schedules={"dropout": falls})
    clf.fit(X, Y)
    start = DNNClassifier((8,), dropout=0.5, **{**FEW, "max_iter": 1}).fit(X, Y)
    assert clf.loss_curve_[0] == start.loss_curve_[0]
    plain = DNNClassifier((8,), dropout=0.5, **FEW).fit(X, Y)
    assert clf.loss_curve_[-1] < plain.loss_curve_[-1]


def test_several_schedules_at_once_and_a_learning_rate_s():
    options = {"dropout": 0.4, "l2_regularization": 0.1, "optimizer": SGD(0.8)}
    schedules = {"momentum": "cosine", "dropout": "step", "l2_regularization": Cosine()}
    clf = DNNClassifier((8,), **options, **FEW, learning_rate_schedule="one_cycle")
    plain = clone(clf).fit(X, Y)
    constant = dict.fromkeys(schedules, "constant")
    assert arrays(clone(clf).set_params(schedules=constant).fit(X, Y)) == arrays(plain)
    assert arrays(clf.set_params(schedules=schedules).fit(X, Y)) != arrays(plain)


@network
def dropped(x, keep=0.7):
    net = layers.fully_connected(x, 8, scope="fc1")
    return layers.dropout(net, keep, scope="drop")


def test_dropout_of_a_network_function_and_of_an_autoencoder():
    clf = NetworkClassifier(dropped(), **FEW)
    plain = clone(clf).fit(X, Y)
    other = clone(clf).set_params(schedules={"dropout": "cosine"}).fit(X, Y)
    assert arrays(other) != arrays(plain)
    ae = Autoencoder((4, 2), dropout=0.2, **FEW)
    assert arrays(clone(ae).set_params(schedules={"dropout": "cosine"}).fit(X)) != (
        arrays(ae.fit(X))
    )


def test_the_noise_of_an_autoencoder_has_a_schedule_of_its_own():
    falls = Step(step_size=1, gamma=1e-9)
    few = {**FEW, "random_state": 0, "shuffle": False}
    both = Autoencoder((4, 2), dropout=0.3, input_dropout=0.3, **few)
    one = Autoencoder((4, 2), dropout=0.3, **few)
    other = Autoencoder((4, 2), input_dropout=0.3, **few)
    fitted = {
        name: arrays(clone(both).set_params(schedules=schedules).fit(X))
        for name, schedules in {
            "none": None,
            "dropout": {"dropout": falls},
            "input_dropout": {"input_dropout": falls},
            "both": {"dropout": falls, "input_dropout": falls},
        }.items()
    }
    assert len({*map(repr, fitted.values())}) == 4
    for est, name in ((one, "input_dropout"), (other, "dropout")):
        with pytest.raises(ValueError, match=f"there is no '{name}' that could change"):
            clone(est).set_params(schedules={name: falls}).fit(X)


@pytest.mark.parametrize(
    "schedules, text",
    [
        ({"gamma": "cosine"}, "no 'gamma' that could change; there are .*'beta1'"),
        ({"dropout": "cosine"}, "no 'dropout'"),
        ({"l2_regularization": "step"}, "no 'l2_regularization'"),
        ({"learning_rate": "step"}, "that is learning_rate_schedule"),
        ({"beta1": "linear"}, r"schedules\['beta1'\]='linear' is not known"),
        ({"beta1": 0.5}, "name of a schedule or a schedule object, got 0.5"),
        ({"beta1": Plateau()}, "goes by the loss"),
        ({"beta1": Step(gamma=7)}, "'gamma' parameter of Step"),
        ([("beta1", "step")], "The 'schedules' parameter of DNNClassifier"),
    ],
)
def test_schedules_that_mean_nothing_are_refused(schedules, text):
    with pytest.raises(ValueError, match=text):
        DNNClassifier((8,), schedules=schedules, **FEW).fit(X, Y)


def test_l_bfgs_has_no_steps_to_schedule():
    with pytest.raises(ValueError, match="L-BFGS has no steps"):
        LinearClassifier(schedules={"history": "cosine"}).fit(X, Y)


def test_chunks_that_come_once_cannot_go_by_their_number():
    once = {**FEW, "max_iter": 1}
    clf = DNNClassifier((8,), schedules={"beta1": "cosine"}, **once)
    with pytest.raises(ValueError, match=r"beta1.*goes by the number of steps"):
        clf.fit_chunks(iter([(X, Y)]), classes=[0, 1])
    clf.set_params(**FEW)
    clf.fit_chunks([(X[:50], Y[:50]), (X[50:], Y[50:])])
    assert clf.n_iter_ == 4
