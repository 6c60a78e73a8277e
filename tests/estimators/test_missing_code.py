"""Models that are read where the user's code is not: they predict."""

import copy
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LayerTransformer,
    NetworkClassifier,
    layers,
)
from slimlearn.estimators.sealing import Missing, MissingCode

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)

CODE = """
from sklearn.metrics import make_scorer

from slimlearn import Adam, Cosine, layers, loss as own_loss, network
from slimlearn.backend import ops
from slimlearn.callbacks import Callback, EpochScoring, LearningRateScheduler
from slimlearn.layers import per_example


@network
def tower(x, units=(8,), activation=None):
    return layers.stack(x, layers.fully_connected, units, scope="fc"), {"fc": x}


@network
def outer(x, inner=tower(units=(4,))):
    return layers.fully_connected(inner(x), 8)


def plain(x):
    return layers.fully_connected(x, 8)


def parts(x):
    return layers.fully_connected(x["a"], 8)


def first(X):
    return [0, 1]


def loss(raw, y):
    return per_example.sparse_softmax_cross_entropy(raw, y) * 1.5


def score(est, X, y):
    return est.score(X, y)


def metric(y, predicted):
    return (y == predicted).mean()


def swish(x):
    return x * ops.sigmoid(x)


def rate(epoch, rate):
    return 0.01


class Watch(Callback):
    def __init__(self, every=3):
        self.every = every

    def on_epoch_end(self, state):
        return False


class Mine(Adam):
    pass


class Slow(Cosine):
    pass


@own_loss
def charbonnier(raw, y, epsilon=1.0):
    return ops.sqrt(ops.square(raw - y) + epsilon**2)


@own_loss(outputs=2, mean=lambda raw: raw[..., 0])
def laplace(raw, y):
    return raw[..., 1] + ops.abs(y - raw[..., 0]) * ops.exp(-raw[..., 1])
"""

# By what is missing: the estimator's parameters, given the module.
CASES = {
    "network": lambda m: {"net": m.tower(units=(8,))},
    "class": lambda m: {"net": m.tower},
    "network in a network": lambda m: {"net": m.outer()},
    "its parameter": lambda m: {"net": m.tower(activation=m.swish)},
    "plain function": lambda m: {"net": m.plain},
    "loss": lambda m: {"loss": m.loss},
    "scorer": lambda m: {"scoring": m.score, "early_stopping": True},
    "metric": lambda m: {"scoring": m.make_scorer(m.metric), "early_stopping": True},
    "activation": lambda m: {"activation": m.swish},
    "callback": lambda m: {"callbacks": [("watch", m.Watch(every=2))]},
    "in a callback": lambda m: {"callbacks": [m.LearningRateScheduler(m.rate)]},
    "scorer of epochs": lambda m: {"callbacks": [m.EpochScoring(m.score, on="train")]},
    "optimizer": lambda m: {"optimizer": m.Mine(beta1=0.8)},
    "schedule": lambda m: {"learning_rate_schedule": m.Slow(warmup=0.1)},
    "columns": lambda m: {"net": m.parts, "inputs": {"a": m.first}},
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that can be imported, and forgotten by `forget`."""
    (tmp_path / "my_networks.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    found = importlib.import_module("my_networks")
    yield found
    sys.modules.pop("my_networks", None)


def forget(tmp_path):
    del sys.modules["my_networks"]
    (tmp_path / "my_networks.py").rename(tmp_path / "away.py")
    importlib.invalidate_caches()


def remember(tmp_path):
    (tmp_path / "away.py").rename(tmp_path / "my_networks.py")
    importlib.invalidate_caches()


def model(options):
    few = {"max_iter": 3, "random_state": 0}
    kind = NetworkClassifier if "net" in options else DNNClassifier
    return kind(**few, **options)


def values(est):
    return [
        est.predict_proba(X),
        est.decision_function(X),
        est.predict(X),
        np.array([est.score(X, Y), est.loss_, *est.loss_curve_]),
        est.activations(X, layer="logits"),
        *est.coefs_,
    ]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_was_fitted_predicts_without_the_code(case, module, tmp_path):
    est = model(case(module)).fit(X, Y)
    wanted, saved = values(est), pickle.dumps(est)
    assert type(pickle.loads(saved).get_params()) is dict
    forget(tmp_path)
    back = pickle.loads(saved)
    for one, other in zip(wanted, values(back), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "my_networks." in repr(back) and back._repr_html_()
    assert back.get_params()["max_iter"] == 3
    for call in [
        back.fit,
        back.profile,
        *([] if back.early_stopping else [back.partial_fit]),
    ]:
        with pytest.raises(MissingCode, match=r"to be fitted: my_networks\.\w+.* here"):
            call(X, Y)
    with pytest.raises(MissingCode, match=r"my_networks\.\w+.* is not here"):
        clone(back)
    np.testing.assert_array_equal(back.predict_proba(X), wanted[0])

    # It goes on in other pickles, and is whole again where the code is.
    again = pickle.dumps(copy.deepcopy(back))
    remember(tmp_path)
    whole = pickle.loads(again)
    assert whole.fit(X, Y).predict_proba(X).shape == (150, 3)
    np.testing.assert_array_equal(whole.predict_proba(X), wanted[0])
    clone(whole)


def test_a_loss_that_makes_the_predictions_is_needed_for_them(module, tmp_path):
    plain = DNNRegressor(loss=module.charbonnier(epsilon=0.1), max_iter=2).fit(X, Y)
    several = DNNRegressor(loss=module.laplace(), max_iter=2).fit(X, Y)
    wanted, saved = plain.predict(X), pickle.dumps((plain, several))
    forget(tmp_path)
    plain, several = pickle.loads(saved)
    np.testing.assert_array_equal(plain.predict(X), wanted)
    assert plain.get_params()["loss__epsilon"] == 0.1
    with pytest.raises(MissingCode, match=r"my_networks\.laplace is not here"):
        several.predict(X)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_all_protocols_and_of_joblib(protocol, module, tmp_path):
    est = model({"net": module.tower(units=(8,)), "loss": module.loss}).fit(X, Y)
    wanted, saved = est.predict_proba(X), pickle.dumps(est, protocol)
    joblib.dump(est, tmp_path / "model.joblib", protocol=protocol)
    forget(tmp_path)
    for back in (pickle.loads(saved), joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(back.predict_proba(X), wanted)


def test_parameters_can_be_read_and_the_network_replaced(module, tmp_path):
    est = model({"net": module.tower(units=(8,), activation=module.swish)}).fit(X, Y)
    saved = pickle.dumps(est)
    forget(tmp_path)
    back = pickle.loads(saved)
    assert isinstance(back.net, Missing)
    assert back.get_params()["net__units"] == (8,)
    assert repr(back.net) == "<missing my_networks.tower(units=(8,))>"
    with pytest.raises(MissingCode, match=r"my_networks\.tower is not here"):
        back.set_params(net__units=(4,))
    with pytest.raises(MissingCode, match=r"my_networks\.tower is not here"):
        back.net(X)
    back.set_params(net=lambda x: layers.fully_connected(x, 8)).fit(X, Y)
    assert back.score(X, Y) > 0.3


def test_pipelines_searches_and_transformers(module, tmp_path):
    est = model({"net": module.tower(units=(8,))})
    search = GridSearchCV(est, {"max_iter": [2, 3]}, cv=2)
    pipe = make_pipeline(StandardScaler(), search).fit(X, Y)
    features = LayerTransformer(est, layer="fc").fit(X, Y)
    wanted = pipe.predict_proba(X), features.transform(X)
    saved = pickle.dumps((pipe, features))
    forget(tmp_path)
    pipe, features = pickle.loads(saved)
    np.testing.assert_array_equal(pipe.predict_proba(X), wanted[0])
    np.testing.assert_array_equal(features.transform(X), wanted[1])
    assert pipe[-1].best_params_ == search.best_params_
    with pytest.raises(MissingCode, match=r"my_networks\.tower is not here"):
        features.fit(X, Y)


def test_an_unfitted_model_says_what_it_lacks(module, tmp_path):
    saved = pickle.dumps(model({"net": module.tower()}))
    forget(tmp_path)
    with pytest.raises(MissingCode, match="NetworkClassifier needs its net to be fit"):
        pickle.loads(saved).fit(X, Y)


def test_copies_are_whole_and_deep(module):
    est = model({"callbacks": [("watch", module.Watch())]}).fit(X, Y)
    for twin in (copy.deepcopy(est), pickle.loads(pickle.dumps(est))):
        twin.set_params(callbacks__watch__every=7)
        assert est.get_params()["callbacks__watch__every"] == 3
        np.testing.assert_array_equal(twin.predict_proba(X), est.predict_proba(X))
    assert copy.copy(est).callbacks[0][1] is est.callbacks[0][1]


def test_what_never_could_be_pickled_is_refused_at_once():
    est = NetworkClassifier(lambda x: layers.fully_connected(x, 4), max_iter=1)
    with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
        pickle.dumps(est.fit(X, Y))


SCRIPT = """
import joblib, numpy as np, sys
from slimlearn import NetworkClassifier, layers, network

@network
def tower(x, units=(8,)):
    return layers.stack(x, layers.fully_connected, units)

X = np.linspace(-1, 1, 80).reshape(40, 2)
clf = NetworkClassifier(tower(), max_iter=2, random_state=0).fit(X, X[:, 0] > 0)
joblib.dump((clf, clf.predict_proba(X)), sys.argv[1])
"""


def test_a_model_of_a_script_is_read_elsewhere(tmp_path):
    script, saved = tmp_path / "train.py", tmp_path / "model.joblib"
    script.write_text(SCRIPT)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, str(script), str(saved)]
    subprocess.run(command, check=True, cwd=root)
    back, wanted = joblib.load(saved)
    rows = np.linspace(-1, 1, 80).reshape(40, 2)
    np.testing.assert_array_equal(back.predict_proba(rows), wanted)
    with pytest.raises(MissingCode, match=r"__main__\.tower of train\.py is not here"):
        back.fit(rows, rows[:, 0] > 0)
