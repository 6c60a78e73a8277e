"""Several optimizers in one program: natively, in NumPy, on a GPU, in estimators."""

import numpy as np
import pytest
from scipy.sparse import random_array
from sklearn.datasets import load_digits
from support.cuda import CUDA
from support.training_case import Case, data, network

from slimlearn import Adam, DNNClassifier, Ftrl, LinearRegressor
from slimlearn.backend import engine
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import SGD, Adagrad, make_optimizer

NAMES = ["fc1/weights", "fc1/biases", "fc2/weights", "fc2/biases"]
PAIRS = [
    {"*": "adam", "fc2": SGD()},
    {"fc1": "adagrad", "fc2": Ftrl(l1=0.01, l2=0.01)},
    {"*": "rmsprop", "*weights": "ftrl", "fc2/weights": Adam(0.5)},
]


def segments(optimizer, rates=None, **extra):
    """What an estimator gives for the parameters of the case."""
    found = []
    for i, name in enumerate(NAMES):
        own, index = optimizer.of(name), optimizer.index_of(name)
        rate = 1.0 if rates is None else rates[index]
        found.append(
            {
                "update": index,
                "hypers": {**own.hypers(), "learning_rate": 0.0},
                "scheduled": [("learning_rate", 0, rate)],
                "proximal" if own.proximal else "l1": own.own_l1,
                "decay": own.own_decay,
                **extra.get(str(i), {}),
            }
        )
    return found


def case(deal, precision="f64", rates=None, extra=None, changes=None, **options):
    optimizer = make_optimizer(deal)
    found = segments(optimizer, rates, **(extra or {}))
    model = network(precision, optimizer, **(changes or {}))
    rows = options.pop("rows", data(precision=precision))
    return Case(model, rows, optimizer=optimizer, segments=found, **options)


def same(case, epochs=3):
    oracle, twin = case.oracle()
    trainer = case.trainer()
    steps = trainer.info()["steps"]
    for epoch in range(epochs):
        rates = np.linspace(1e-2, 5e-3, steps)
        mine = trainer.epoch(epoch, epoch * steps, rates)
        theirs = oracle.epoch(epoch, epoch * steps, rates)
        np.testing.assert_allclose(mine.loss, theirs.loss, 1e-9)
    for name, weights in case.program.weights.items():
        np.testing.assert_allclose(weights, twin.weights[name], 1e-8, 1e-11, True, name)


@pytest.mark.parametrize("deal", PAIRS, ids=str)
@pytest.mark.parametrize("limits", [{}, {"clip_norm": 0.05}, {"clip_value": 0.01}])
def test_training_is_numpy_s(deal, limits):
    extra = {"0": {"l2": 0.1}, "1": {"frozen": True}}
    changes = {"l2": True, "clip": True}
    same(case(deal, rates=[1.0, 3.0, 0.5], extra=extra, changes=changes, **limits))


@pytest.mark.parametrize("deal", PAIRS[1:], ids=str)
def test_gradients_that_are_rows(deal):
    rows = data(60)
    rows["X"] = random_array((60, 20), density=0.1, format="csr", rng=0)
    changes = {"sparse": True, "rows": True, "clip": True}
    same(case(deal, changes=changes, rows=rows, clip_norm=0.1))


def test_a_number_of_one_optimizer_follows_a_schedule():
    deal = {"fc1": SGD(0.9), "fc2": Adam(0.8)}
    made = case(deal)
    for segment in made.options["segments"][:2]:
        segment["hypers"]["momentum"] = 0.0
        segment["scheduled"].append(("momentum", 0, 50.0))
    same(made)


@pytest.mark.parametrize("deal", PAIRS, ids=str)
@pytest.mark.parametrize("whole", ["0", "1"])
def test_training_on_a_gpu(deal, whole, monkeypatch):
    monkeypatch.setenv("SLIM_CUDA_WHOLE", whole)
    extra = {"2": {"l2": 0.1}, "3": {"frozen": True}}
    options = {"extra": extra, "changes": {"l2": True, "clip": True}, "clip_norm": 0.05}
    there, here = (case(deal, rates=[1.0, 2.0, 3.0], **options) for _ in range(2))
    there.compiled = engine.compile(there.program.text, device=CUDA)
    np.testing.assert_allclose(there.train(3), here.train(3), 1e-10)
    for name, weights in there.program.weights.items():
        np.testing.assert_allclose(weights, here.program.weights[name], 1e-9, 1e-12)


def test_each_moves_its_own_as_if_it_were_alone():
    """Where all are the same optimizer, there might as well be one."""
    one = Case(network("f32", Adam()), data(precision="f32"))
    two = case({"*": "adam", "fc2": "adam"}, "f32")
    assert one.train(4) == two.train(4)
    assert np.array_equal(one.program.params, two.program.params)
    lanes = case({"*": "adam", "fc2": "adam"}, "f32", n_threads=2)
    lanes.train(4)
    assert np.array_equal(one.program.params, lanes.program.params)


def test_slots_are_shared():
    def slots(deal):
        model = Model("f32")
        make_optimizer(deal).build(model)
        return model.slots.names()

    assert slots({"*": "adagrad", "a": "ftrl"}) == [
        "adagrad/squares-ftrl/squares",
        "ftrl/lead",
    ]
    assert slots({"*": "adam", "a": Adam(0.5)}) == ["adam/m", "adam/v"]
    assert slots({"*": SGD(0.0), "a": "sgd"}) == ["sgd/velocity"]


def test_an_update_that_is_not_there_is_refused():
    made = case(PAIRS[0])
    made.options["segments"][0]["update"] = 2
    with pytest.raises(ValueError, match="update function 2, this program has 2"):
        made.train(1)


# -- estimators ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400].astype(np.float32) / 16, y[:400]


DEAL = {"*": "adagrad", "logits": Ftrl(l1=0.5)}


def test_an_estimator_takes_a_dict(digits):
    clf = DNNClassifier((24,), optimizer=DEAL, max_iter=20, random_state=0)
    assert clf.fit(*digits).score(*digits) > 0.85
    logits, first = clf.coefs_[1], clf.coefs_[0]
    assert (logits == 0).mean() > 0.05
    assert not (first == 0).any()
    assert clf.learning_rate_ == 0.05


def test_rates_by_the_same_names(digits):
    def weights(**options):
        clf = DNNClassifier((8,), max_iter=3, random_state=0, **options)
        return clf.fit(*digits).coefs_

    deal = {"*": "adam", "logits": "adam"}
    plain = weights(optimizer="adam", learning_rate=0.01)
    both = weights(optimizer=deal, learning_rate=0.01)
    own = weights(optimizer=deal, learning_rate={"*": 0.01, "logits": 0.02})
    assert all(map(np.array_equal, plain, both))
    assert not np.allclose(plain[1], own[1], atol=1e-3)


def test_partial_fit_and_warm_start_go_on(digits):
    whole = DNNClassifier((8,), optimizer=DEAL, max_iter=4, random_state=0)
    whole.set_params(shuffle=False)
    parts = DNNClassifier(**whole.get_params(deep=False)).set_params(max_iter=2)
    parts.set_params(warm_start=True)
    whole.fit(*digits)
    parts.fit(*digits).fit(*digits)
    assert np.array_equal(whole.program_.params, parts.program_.params)
    # The same arrays of the optimizers, dealt to others: they begin anew.
    parts.set_params(optimizer={"*": "adagrad", "fc1": Ftrl(l1=0.5)}).fit(*digits)
    assert parts._progress.begun == 4
    one = DNNClassifier((8,), optimizer=DEAL, random_state=0)
    one.partial_fit(*digits, classes=np.arange(10)).partial_fit(*digits)
    assert one.n_iter_ == 2


def test_schedules_reach_each_optimizer_that_has_the_number(digits):
    deal = {"*": SGD(0.9), "logits": "adam"}

    def weights(optimizer, **options):
        clf = DNNClassifier((8,), optimizer=optimizer, max_iter=3, random_state=0)
        return clf.set_params(**options).fit(*digits).coefs_

    plain = weights(deal)
    fallen = weights(deal, schedules={"momentum": "cosine"})
    assert not np.array_equal(plain[0], fallen[0])
    with pytest.raises(ValueError, match="there is no 'rho'"):
        weights(deal, schedules={"rho": "cosine"})


@pytest.mark.parametrize(
    "options, told",
    [
        ({"optimizer": {"fc1": "adam"}}, "none of 'fc1' fits the parameter 'logits"),
        ({"optimizer": {"*": "adam", "fc7": "sgd"}}, "'fc7' fits no parameter"),
        ({"optimizer": {}}, "has no optimizer"),
        ({"optimizer": {"*": "adamax"}}, "'adamax' is not known"),
        ({"optimizer": {"*": "lbfgs"}}, "give it alone"),
        ({"optimizer": {"*": 3}}, "dict from names of layers"),
        ({"learning_rate": {"*": 0.1}}, "optimizer is one of several"),
        ({"optimizer": DEAL, "learning_rate": {"fc1": 1.0}}, "learning_rate has 'fc1'"),
        ({"optimizer": DEAL, "learning_rate": {"*": -1.0}}, "a number > 0, got -1.0"),
    ],
    ids=str,
)
def test_what_is_refused(options, told, digits):
    with pytest.raises((ValueError, TypeError), match=told):
        DNNClassifier((4,), max_iter=1, **options).fit(*digits)


def test_nested_names_of_a_dict_are_explained():
    with pytest.raises(ValueError, match="search over dicts"):
        LinearRegressor(optimizer={"*": Adagrad()}).set_params(optimizer__epsilon=1)
