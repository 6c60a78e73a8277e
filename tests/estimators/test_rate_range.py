"""The learning rate range test."""

import doctest
import math
import pickle

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import (
    SGD,
    Autoencoder,
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    find_learning_rate,
)
from slimlearn.callbacks import Callback, CSVLog, EarlyStopping, ParamFreezer
from slimlearn.estimators import rate_range

mpl.use("Agg")

RNG = np.random.RandomState(0)
X = RNG.normal(size=(400, 6))
Y = np.digitize(X @ RNG.normal(size=6), [-1.0, 1.0])
NET = DNNClassifier((16,), random_state=0)


def same(a, b):
    return np.array_equal(a.rates, b.rates) and np.array_equal(a.losses, b.losses)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "adagrad"])
def test_a_fit_at_the_suggestion_learns_more_than_far_below_and_above(optimizer):
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    clf = DNNClassifier((32,), optimizer=optimizer, max_iter=5, random_state=0)
    found = find_learning_rate(clf, X, y)

    def loss(rate):
        try:
            return clf.set_params(learning_rate=rate).fit(X, y).loss_
        except ValueError:
            return math.inf

    best = loss(found.suggestion)
    assert best < 0.5 * loss(found.suggestion / 100)
    assert best < 0.5 * loss(found.suggestion * 300)


def test_the_rates_and_the_losses():
    found = find_learning_rate(NET, X, Y, lowest=1e-5, highest=100.0, steps=60)
    done = len(found.losses)
    assert done == len(found.rates) == len(found.smoothed) <= 60
    every = np.geomspace(1e-5, 100.0, 60)
    np.testing.assert_allclose(found.rates, every[:done])
    # The first steps change nothing: their losses are those of the start.
    assert found.losses[:5].mean() == pytest.approx(found.smoothed[0], rel=0.1)
    assert found.smoothed.min() < 0.7 * found.smoothed[0] < found.smoothed.max()
    assert found.rates[0] < found.suggestion < found.rates[found.smoothed.argmin()]
    assert "suggestion" in repr(found)
    assert same(pickle.loads(pickle.dumps(found)), found)


def test_each_loss_is_that_of_the_step_s_rows():
    options = {"batch_size": 100, "shuffle": False, "precision": "float64"}
    net = DNNRegressor((4,), optimizer=SGD(momentum=0.0), random_state=0, **options)
    y, weights = X[:, 0] * 7 + 50, 0.5 + RNG.rand(400)
    found = find_learning_rate(net, X, y, weights, lowest=1e-12, highest=1e-9, steps=10)
    start = net.set_params(learning_rate=1e-12, max_iter=1).fit(X, y, weights)
    squares = (start.predict(X) - y) ** 2
    for i, loss in enumerate(found.losses):
        rows = slice(i % 4 * 100, i % 4 * 100 + 100)
        mean = np.average(squares[rows], weights=weights[rows])
        assert loss == pytest.approx(mean, rel=1e-6)


def test_the_estimator_stays_as_it_is():
    net = DNNClassifier((16,), early_stopping=True, verbose=2, random_state=0)
    net.set_params(max_iter=3, callbacks=[("stop", EarlyStopping())], verbose=0)
    net.fit(X, Y)
    before, params = pickle.dumps(net), net.get_params()
    found = find_learning_rate(net, X, Y)
    assert pickle.dumps(net) == before and net.get_params() == params
    state = np.random.RandomState(3)
    find_learning_rate(DNNClassifier((4,), random_state=state), X, Y)
    assert state.randint(1000) == np.random.RandomState(3).randint(1000)
    assert same(find_learning_rate(net.set_params(verbose=2), X, Y), found)


def test_the_same_seed_finds_the_same(capsys):
    a, b = (find_learning_rate(NET, X, Y) for _ in range(2))
    assert same(a, b) and a.suggestion == b.suggestion
    other = find_learning_rate(DNNClassifier((16,), random_state=1), X, Y)
    assert not same(a, other)
    threads = DNNClassifier((16,), random_state=0, n_threads=2)
    assert same(a, find_learning_rate(threads, X, Y))
    assert capsys.readouterr() == ("", "")


def test_weights_count():
    odd = np.where(Y == 2, 0.0, 1.0)
    found = find_learning_rate(NET, X, Y, odd)
    assert same(found, find_learning_rate(NET, X[Y != 2], Y[Y != 2])) is False
    heavy = find_learning_rate(NET, X, Y, np.where(Y == 2, 100.0, 1.0))
    assert not same(heavy, find_learning_rate(NET, X, Y))
    assert same(
        find_learning_rate(NET, X, Y, np.full(400, 3.0)), find_learning_rate(NET, X, Y)
    )


class Counting(Callback):
    def on_step_end(self, state):
        raise AssertionError


def test_callbacks_that_train_are_kept_and_others_left_out(tmp_path):
    net = DNNClassifier((16,), random_state=0)
    plain = find_learning_rate(net, X, Y)
    others = [CSVLog(tmp_path / "log"), EarlyStopping("loss", 1), Counting()]
    net.set_params(callbacks=others)
    assert same(find_learning_rate(net, X, Y), plain)
    assert not list(tmp_path.iterdir())
    net.set_params(callbacks=[ParamFreezer("*")])
    frozen = find_learning_rate(net, X, Y)
    assert len(frozen.rates) == 100 and frozen.losses.max() < 2 * frozen.losses.min()


@pytest.mark.parametrize("before", [[], [StandardScaler()]], ids=["alone", "scaled"])
def test_pipelines(before):
    model = make_pipeline(*before, NET)
    rows = StandardScaler().fit_transform(X) if before else X
    assert same(find_learning_rate(model, X, Y), find_learning_rate(NET, rows, Y))
    assert not hasattr(model[-1], "classes_") and not hasattr(model[0], "mean_")


def test_estimators_without_y_and_batches_of_batches():
    found = find_learning_rate(Autoencoder((3,), random_state=0), X, steps=40)
    assert found.smoothed.min() < found.smoothed[0]
    summed = DNNClassifier((16,), batch_size=8, accumulate=4, random_state=0)
    assert len(find_learning_rate(summed, X, Y, steps=30).losses) <= 30


def test_numbers_that_are_left_at_once_end_the_test():
    found = find_learning_rate(
        DNNRegressor((16,), loss="poisson", optimizer="sgd", random_state=0),
        *(X, np.exp(X[:, 0])),
        highest=1e9,
    )
    assert np.isfinite(found.losses).all() and 10 <= len(found.losses) < 100
    assert found.suggestion < 1.0


@pytest.mark.parametrize(
    "estimator, options, kind, told",
    [
        (LogisticRegression(), {}, TypeError, "got LogisticRegression"),
        (make_pipeline(StandardScaler()), {}, TypeError, "got StandardScaler"),
        (
            LinearClassifier(),
            {},
            ValueError,
            "LinearClassifier: L-BFGS has no learning",
        ),
        (NET, {"lowest": 1.0, "highest": 0.1}, ValueError, "0 < lowest < highest; got"),
        (NET, {"lowest": 0.0}, ValueError, "0 < lowest < highest"),
        (NET, {"highest": math.inf}, ValueError, "0 < lowest < highest"),
        (NET, {"steps": 9}, ValueError, "whole number of at least 10; got 9"),
        (NET, {"steps": 20.0}, ValueError, "whole number of at least 10"),
        (NET, {"lowest": 1e5, "highest": 1e9}, ValueError, r"rose for good within \d"),
        (DNNClassifier(dropout=2), {}, ValueError, "'dropout' parameter"),
    ],
)
def test_what_is_refused(estimator, options, kind, told):
    with pytest.raises(kind, match=told):
        find_learning_rate(estimator, X, Y, **options)


def test_the_example_in_the_docstring():
    result = doctest.testmod(rate_range)
    assert result.attempted and not result.failed


def test_plot():
    found = find_learning_rate(NET, X, Y, steps=20)
    ax = found.plot()
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "learning rate"
    labels = [line.get_label() for line in ax.get_lines()]
    assert labels == ["loss", "smoothed", f"suggestion: {found.suggestion:.2g}"]
    assert list(ax.get_lines()[0].get_ydata()) == found.losses.tolist()
    assert found.plot(ax) is ax
    pyplot.close("all")
