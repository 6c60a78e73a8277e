"""Scikit-learn's callback protocol, where it is installed."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import DNNClassifier, LinearClassifier
from slimlearn.estimators.callbacks import EarlyStopping

X, Y = load_iris(return_X_y=True)
LABELS = np.array(["a", "b", "c"])[Y]
FEW = {"hidden_units": (6,), "max_iter": 5, "random_state": 0}

if not hasattr(DNNClassifier, "set_callbacks"):
    pytest.skip("scikit-learn has no callbacks", allow_module_level=True)


class Watch:
    """Follows the protocol: notes tasks, keeps fitted estimators, may stop or fail."""

    def __init__(self, stop_at=None, fail_at=None):
        self.stop_at = stop_at
        self.fail_at = fail_at
        self.log = []
        self.fitted = []

    def setup(self, estimator, context):
        self.log.append("setup")

    def teardown(self, estimator, context):
        self.log.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.log.append(f"{context.task_name} begins")

    def on_fit_task_end(
        self, estimator, context, *, X, y, metadata, fitted_estimator=None
    ):
        self.log.append(f"{context.task_name} ends")
        self.seen = X, y, metadata
        if context.task_name == "epoch" and fitted_estimator is not None:
            self.fitted.append(fitted_estimator)
            if len(self.fitted) == self.fail_at:
                raise ZeroDivisionError
        return len(self.fitted) == self.stop_at


def test_tasks_epochs_and_estimators_as_they_were():
    watch = Watch()
    clf = DNNClassifier(**FEW).set_callbacks(watch)
    weights = np.ones(len(X))
    clf.fit(X, LABELS, weights)
    epochs = ["epoch begins", "epoch ends"] * 5
    assert watch.log == ["setup", "fit begins", *epochs, "fit ends", "teardown"]
    assert watch.seen[0] is X and watch.seen[1] is LABELS
    assert watch.seen[2]["sample_weight"] is weights
    # Each has the weights of its epoch, not those of the end.
    short = DNNClassifier(**{**FEW, "max_iter": 2}).fit(X, LABELS)
    assert np.array_equal(watch.fitted[1].predict_proba(X), short.predict_proba(X))
    assert set(watch.fitted[1].predict(X)) <= {"a", "b", "c"}
    assert watch.fitted[1].n_iter_ == 2
    plain = DNNClassifier(**FEW).fit(X, LABELS)
    assert np.array_equal(plain.predict_proba(X), clf.predict_proba(X))


def test_stopping_and_failing():
    clf = DNNClassifier(**FEW).set_callbacks(Watch(stop_at=3)).fit(X, Y)
    assert clf.n_iter_ == 3 and clf.callbacks_ == []
    before = clf.predict_proba(X)
    bad = Watch(fail_at=2)
    with pytest.raises(ZeroDivisionError):
        clf.set_callbacks(bad).fit(X, Y)
    assert bad.log[-1] == "teardown"
    assert np.array_equal(clf.predict_proba(X), before)
    assert clf.set_callbacks().fit(X, Y).n_iter_ == 5


def test_beside_our_own():
    watch = Watch()
    stop = EarlyStopping(n_iter_no_change=1, tol=10.0)
    clf = DNNClassifier(callbacks=[stop], **FEW).set_callbacks(watch).fit(X, Y)
    assert clf.n_iter_ == 2 == len(watch.fitted)
    assert watch.log.count("epoch begins") == 2
    assert clone(clf).get_params()["callbacks"][0].n_iter_no_change == 1


def test_lbfgs():
    watch = Watch(stop_at=3)
    clf = LinearClassifier().set_callbacks(watch).fit(X, Y)
    assert clf.n_iter_ == 3


def test_a_scoring_monitor_through_a_search():
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    clf = DNNClassifier(**FEW).set_callbacks(monitor).fit(X, LABELS)
    data = monitor.get_logs().data
    assert len(data) >= 5
    assert data[-1]["accuracy"] == clf.score(X, LABELS)
    model = make_pipeline(StandardScaler(), DNNClassifier(**FEW))
    grid = {"dnnclassifier__max_iter": [2, 3]}
    search = GridSearchCV(model, grid, cv=2, n_jobs=2, error_score="raise")
    search.estimator[-1].set_callbacks(ScoringMonitor(scoring="accuracy"))
    assert search.fit(X, LABELS).best_score_ > 0


def test_a_propagated_callback_reaches_the_epochs():
    class Propagated(Watch):
        max_propagation_depth = None

    watch = Propagated()
    model = make_pipeline(StandardScaler(), DNNClassifier(**FEW))
    model.set_callbacks(watch).fit(X, Y)
    assert watch.log.count("epoch ends") == 5
    assert watch.log.count("setup") == watch.log.count("teardown") == 1
