"""What a script defines, wherever in a pickle it is, read where the script is not."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import DNNClassifier, MissingCode
from slimlearn.backend.portable import Missing

ROOT = Path(__file__).resolve().parents[2]

DEFINED = """
import sys

import joblib
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import Adam, DNNClassifier, DNNRegressor, NetworkClassifier
from slimlearn import LinearRegressor, layers, loss, network, ops
from slimlearn.callbacks import Callback


@network
def tower(x, units=(8,), activation=None):
    net = layers.stack(x, layers.fully_connected, units)
    return net if activation is None else activation(net)


@network
def other(x, inner=tower(units=(4,))):
    return layers.fully_connected(inner(x), 6)


def swish(x):
    return x * ops.sigmoid(x)


@loss
def charbonnier(raw, y, epsilon=1.0):
    return ops.sqrt(ops.square(raw - y) + epsilon**2)


class Watch(Callback):
    def __init__(self, every=3):
        self.every = every
        self.me = self

    def on_epoch_end(self, state):
        return False


class Mine(Adam):
    pass


class Narrow(DNNClassifier):
    def __init__(self, width=5, max_iter=3, random_state=0):
        super().__init__((width,), max_iter=max_iter, random_state=random_state)
        self.width = width

    def _network(self):
        self.hidden_units = (self.width,)
        return super()._network()


class Careful(Narrow):
    threshold = 0.25
    words = ["no", "yes"]

    def predict(self, X):
        return self.predict_proba(X)[:, 1] > self.threshold

    @property
    def told(self):
        return self.threshold


class Mixed(TransformerMixin, BaseEstimator):
    def shift(self, X):
        return X + 1


class Both(Mixed, NetworkClassifier):
    def fit(self, X, y):
        return super().fit(self.shift(X), y)


X = np.random.default_rng(0).normal(size=(60, 3))
y = (X[:, 0] > 0).astype(int)
few = {"max_iter": 3, "random_state": 0}
"""

TRAINS = """
if __name__ == "__main__":
    n_jobs = 2  # what the script defines goes to workers and comes back
    own = NetworkClassifier(tower(), **few)
    nets = [tower(units=(6,)), tower, other(), tower(activation=swish)]
    grid = {
        "networkclassifier__net": nets,
        "networkclassifier__callbacks": [[("watch", Watch(every=2))]],
        "networkclassifier__optimizer": [Mine(beta1=0.8)],
    }
    search = GridSearchCV(
        make_pipeline(StandardScaler(), own), grid, cv=2, n_jobs=n_jobs,
        error_score="raise",
    )
    losses = GridSearchCV(
        LinearRegressor(max_iter=2, random_state=0),
        {"loss": [charbonnier(epsilon=0.1), charbonnier()]}, cv=2, n_jobs=n_jobs,
        error_score="raise",
    )
    narrow = GridSearchCV(
        Narrow(), {"width": [3, 4]}, cv=2, n_jobs=n_jobs, error_score="raise"
    )
    found = {
        "search": search.fit(X, y),
        "losses": losses.fit(X, X[:, 0]),
        "narrow": narrow.fit(X, y),
        "careful": Careful().fit(X, y),
        "both": Both(tower(), **few).fit(X, y),
        "vote": VotingClassifier([("a", Narrow()), ("b", own)]).fit(X, y),
    }
    values = {name: est.predict(X) for name, est in found.items()}
    values["careful"] = found["careful"].predict_proba(X)
    objects = [Watch(every=2), Mine(beta1=0.8), tower(activation=swish), charbonnier]
    joblib.dump((found, values, objects, X, y), sys.argv[1])
"""

# Reads again, where all is defined, what was written where nothing was.
READS = """
if __name__ == "__main__":
    found, values, objects, X, y = joblib.load(sys.argv[1])
    watch, mine, net, made = objects
    assert type(watch) is Watch and watch.me is watch and watch.every == 2
    assert type(mine) is Mine and net.activation is swish and made is charbonnier
    assert type(found["careful"]) is Careful
    assert found["careful"].predict(X).dtype == bool and found["careful"].told == 0.25
    for name, est in found.items():
        wanted = est.predict_proba(X) if name == "careful" else est.predict(X)
        np.testing.assert_array_equal(wanted, values[name])
        assert est.fit(X, y) is est
    print("whole")
"""


def start(script, code, *arguments):
    script.write_text(DEFINED + code)
    command = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    start(folder / "train.py", TRAINS, folder / "models")
    (folder / "train.py").unlink()
    return folder


@pytest.fixture
def loaded(folder):
    return joblib.load(folder / "models")


def test_everything_predicts_what_it_did(loaded):
    found, values, _, X, _ = loaded
    for name, est in found.items():
        got = est.predict_proba(X) if name == "careful" else est.predict(X)
        np.testing.assert_array_equal(got, values[name])


def test_a_search_says_what_it_tried(loaded):
    search = loaded[0]["search"]
    tried = search.cv_results_["param_networkclassifier__net"]
    told = {repr(net) for net in search.param_grid["networkclassifier__net"]}
    assert told == {
        "<missing __main__.tower of train.py(activation=None, units=(6,))>",
        "<missing __main__.tower of train.py>",
        "<missing __main__.other of train.py>",  # its parameter is missing too
        "<missing __main__.tower of train.py(units=(8,))>",
    }
    assert len(tried) == 4 and all(isinstance(net, Missing) for net in tried)
    best = search.best_params_["networkclassifier__net"]
    assert repr(best) in told
    unfitted = search.estimator[-1]
    assert unfitted.net.get_params() == {"activation": None, "units": (8,)}
    [watch] = search.best_params_["networkclassifier__callbacks"]
    assert watch[1].get_params() == {"every": 2}
    epsilons = [net.get_params() for net in loaded[0]["losses"].param_grid["loss"]]
    assert epsilons == [{"epsilon": 0.1}, {"epsilon": 1.0}]
    assert repr(search) and search._repr_html_()


NEEDED = {
    "search": r"__main__\.tower of train\.py is not here",
    "losses": r"__main__\.charbonnier of train\.py is not here",
    "narrow": r"__main__\.Narrow of train\.py is not here .* fit or clone needs it",
    "careful": r"__main__\.Careful of train\.py is not here .* fit or clone needs it",
    "both": r"__main__\.Both of train\.py is not here .* fit needs it",
    "vote": r"__main__\.Narrow of train\.py is not here .* fit or clone needs it",
}


@pytest.mark.parametrize("name", NEEDED)
def test_a_fit_says_what_it_needs(loaded, name):
    found, values, _, X, y = loaded
    with pytest.raises(MissingCode, match=NEEDED[name]):
        found[name].fit(X, y)
    with pytest.raises(MissingCode, match=r"of train\.py is not here"):
        clone(found[name]).fit(X, y)
    got = found[name].predict_proba if name == "careful" else found[name].predict
    np.testing.assert_array_equal(got(X), values[name])


def test_what_a_subclass_had_of_its_own_is_refused(loaded):
    found, _, _, X, _ = loaded
    careful, both = found["careful"], found["both"]
    assert isinstance(careful, DNNClassifier) and type(careful).__name__ == "Careful"
    assert careful.get_params() == {"width": 5, "max_iter": 3, "random_state": 0}
    assert repr(careful) == "Careful()" and careful._repr_html_()
    assert careful.threshold == 0.25 and careful.score is not None
    for ask, part in {
        lambda: careful.predict(X): "predict",
        lambda: careful.score(X, X[:, 0] > 0): "predict",
        lambda: both.shift(X): "shift",
        lambda: type(careful)(): "a fit or clone",
        lambda: careful.partial_fit(X, X[:, 0] > 0): "a fit or clone",
    }.items():
        with pytest.raises(MissingCode, match=f"train.py is not here .* {part} needs"):
            ask()
    for part in ("told", "words"):
        assert not hasattr(careful, part)
        with pytest.raises(AttributeError, match=f"is not here .* {part} needs"):
            getattr(careful, part)
    with pytest.raises(MissingCode, match="what it has from NetworkClassifier works"):
        both.shift(X)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_it_is_whole_again_where_the_script_is(loaded, tmp_path, protocol):
    again = copy.deepcopy(loaded) if protocol == 2 else loaded
    joblib.dump(pickle.loads(pickle.dumps(again, protocol)), tmp_path / "models")
    assert start(tmp_path / "again.py", READS, tmp_path / "models") == "whole\n"


def test_processes_that_import_the_script_anew(tmp_path):
    code = """
def fitted(est):
    return est.fit(X, y).predict(X).tolist()

if __name__ == "__main__":
    from multiprocessing import get_context
    made = [NetworkClassifier(tower(), callbacks=[Watch()], **few), Narrow()]
    with get_context("spawn").Pool(1) as pool:
        assert pool.map(fitted, made) == [fitted(est) for est in made]
"""
    start(tmp_path / "spawn.py", code)


def test_what_no_module_has_is_refused_at_once():
    class Local(DNNClassifier):
        pass

    with pytest.raises(pickle.PicklingError, match="top level of a module"):
        pickle.dumps(Local())
    twin = copy.deepcopy(Local(max_iter=7))
    assert type(twin) is Local and copy.copy(twin).max_iter == 7


def test_a_class_that_moved_in_its_module_is_missing(loaded, monkeypatch):
    """Anything of that name is taken for it, as pickle does; nothing of it is not."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "Narrow", DNNClassifier, raising=False)
    narrow = pickle.loads(pickle.dumps(loaded[0]["narrow"].best_estimator_))
    assert type(narrow) is DNNClassifier


def test_searches_and_pipelines_of_known_classes_are_as_before(loaded):
    *_, X, y = loaded
    pipe = make_pipeline(StandardScaler(), DNNClassifier(max_iter=2, random_state=0))
    search = GridSearchCV(pipe, {"dnnclassifier__max_iter": [1, 2]}, cv=2).fit(X, y)
    assert b"portable" not in pickle.dumps(search)
