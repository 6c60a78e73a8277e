"""Weights by layer, the summary, the curves; starting from weights."""

import pickle

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from support.work import calls

from slimlearn import DNNClassifier, DNNRegressor
from slimlearn.estimators.callbacks import (
    Checkpoint,
    EpochScoring,
    ParamFreezer,
    StartFrom,
)

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
FEW = {"hidden_units": (6, 5), "max_iter": 5, "random_state": 0}


def test_weights_go_out_and_in():
    clf = DNNClassifier(batch_norm=True, **FEW).fit(X, Y)
    weights = clf.get_weights()
    assert weights["fc1"]["weights"].shape == (4, 6)
    assert "moving_mean" in weights["fc1/BatchNorm"]
    before = clf.predict_proba(X)
    weights["logits"]["biases"] += 3.0
    assert np.array_equal(clf.predict_proba(X), before)
    other = clone(clf).set_params(random_state=1).fit(X, Y)
    other.set_weights(clf.get_weights())
    assert np.array_equal(other.predict_proba(X), before)
    other.set_weights({"logits": {"biases": [0.0, 0.0, 50.0]}})
    assert set(other.predict(X)) == {2}
    other.set_weights({"logits/biases": [50.0, 0.0, 0.0]})
    assert set(other.predict(X)) == {0}


def test_patterns_estimators_and_files(tmp_path):
    clf = DNNClassifier(callbacks=[Checkpoint(tmp_path)], **FEW).fit(X, Y)
    clf.program_.save(tmp_path / "saved")
    two = DNNClassifier(**FEW).fit(X[:100], Y[:100])
    for source in (clf, tmp_path / "saved", clf.callbacks_[0][1].path_, clf.program_):
        fresh = clone(two).set_params(random_state=5).fit(X[:100], Y[:100])
        last = fresh.get_weights()["logits"]["weights"]
        fresh.set_weights(source, exclude="logits")
        assert np.array_equal(fresh.coefs_[0], clf.coefs_[0])
        assert np.array_equal(fresh.coefs_[-1], last)
    with pytest.raises(ValueError, match=r"logits/weights is .* \(5, 1\).*exclude"):
        two.set_weights(clf)
    two.set_weights(clf, include=["fc1/*"], exclude="*/biases")
    assert np.array_equal(two.coefs_[0], clf.coefs_[0])
    assert not np.array_equal(two.intercepts_[0], clf.intercepts_[0])


def test_a_regressor_keeps_its_scale():
    X, y = load_diabetes(return_X_y=True)
    reg = DNNRegressor(**FEW).fit(X, y)
    far = DNNRegressor(**FEW).fit(X, 1000 * y).set_weights(reg)
    assert np.allclose(far.predict(X), 1000 * reg.predict(X))


def test_bad_weights_change_nothing():
    clf = DNNClassifier(**FEW)
    for call in (clf.get_weights, clf.summary, clf.plot_history):
        with pytest.raises(NotFittedError):
            call()
    before = clf.fit(X, Y).predict_proba(X)
    good = np.zeros((4, 6))
    for bad, told in (
        ({"fc9": {"weights": good}}, r"no 'fc9/weights'.*fc1/weights"),
        ({"fc1/weights": good, "fc1/biases": np.zeros(5)}, "fc1/biases is"),
        ({"fc1/weights": np.full((4, 6), np.nan)}, "NaN or infinity"),
        ({"fc1/weights": np.full((4, 6), "a")}, "fc1/weights is"),
        ({}, "no weights fit"),
    ):
        with pytest.raises(ValueError, match=told):
            clf.set_weights(bad)
    with pytest.raises(TypeError, match="weights come from"):
        clf.set_weights(3)
    assert np.array_equal(clf.predict_proba(X), before)


def test_warm_start_goes_on_from_set_weights():
    clf = DNNClassifier(warm_start=True, learning_rate=1e-9, **FEW).fit(X, Y)
    zeros = {"fc1": {"weights": np.zeros((4, 6))}}
    clf.set_weights(zeros).fit(X, Y)
    assert np.abs(clf.coefs_[0]).max() < 1e-6


def test_new_last_layer_on_known_features():
    known = DNNClassifier(**FEW).fit(X, Y)
    callbacks = [("from", StartFrom(known, exclude="logits")), ParamFreezer("fc*")]
    clf = DNNClassifier(callbacks=callbacks, **FEW)
    grid = {"max_iter": [2, 4]}
    search = GridSearchCV(clf, grid, cv=2, n_jobs=2, error_score="raise")
    best = search.fit(X[:100], Y[:100]).best_estimator_
    assert np.array_equal(best.coefs_[1], known.coefs_[1])
    assert len(best.callbacks_[0][1].names_) == 4
    with pytest.raises(ValueError, match="Name them in exclude"):
        DNNClassifier(callbacks=[StartFrom(known)], **FEW).fit(X[:100], Y[:100])


def test_summary():
    clf = DNNClassifier(batch_norm=True, **FEW).fit(X, Y)
    lines = clf.summary().splitlines()
    assert lines[0].split() == ["layer", "output", "parameters"]
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["fc1"] == ["N×6", "24"]
    assert rows["logits"] == ["N×3", "18"]
    total = sum(view.size for view in clf.program_.weights.values())
    assert rows["total"] == [str(total)]


def test_plot_history():
    mpl.use("Agg")
    scoring = [EpochScoring("accuracy", on="train", name="hits")]
    clf = DNNClassifier(callbacks=scoring, **FEW).fit(X, Y, X_val=X, y_val=Y)
    ax = clf.plot_history()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["loss", "validation_loss", "hits", "best epoch: 5"]
    assert list(ax.get_lines()[0].get_ydata()) == clf.loss_curve_
    assert clf.plot_history(ax) is ax
    mpl.pyplot.close("all")


def test_the_work_of_a_fit_and_of_its_tables_grows_as_the_layers_do():
    def work(depth):
        clf = DNNClassifier((3,) * depth, batch_norm=True, max_iter=1, random_state=0)
        return np.array(
            [
                calls(clf.fit, X, Y),
                calls(clf.summary),
                calls(clf.activations, X, "fc5"),
                calls(lambda: pickle.loads(pickle.dumps(clf)).predict(X)),
            ]
        )

    work(5)
    first, later = work(20) - work(10), work(110) - work(100)
    # Lists that grow now and then are a call more.
    np.testing.assert_array_less(later, 1.1 * first + 50)
