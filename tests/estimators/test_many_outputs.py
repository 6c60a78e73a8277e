"""Predictions of many outputs: in pieces, as the whole, and in little memory."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from scipy.sparse import csr_array

from slimlearn import Autoencoder, DNNClassifier, DNNRegressor
from slimlearn.estimators import handle

R = np.random.default_rng(0)
X = R.normal(size=(300, 5))
CODES = R.integers(0, 20, 300)
KINDS = {
    "classes": (DNNClassifier, {}, CODES),
    "words": (DNNClassifier, {}, np.char.add("class ", CODES.astype(str))),
    "ordinal": (DNNClassifier, {"loss": "ordinal"}, CODES),
    "labels": (DNNClassifier, {}, R.integers(0, 2, (300, 20))),
    "outputs": (DNNClassifier, {}, np.stack([CODES, CODES % 3 + 7], 1)),
    "numbers": (DNNRegressor, {}, R.normal(size=(300, 20))),
    "counts": (DNNRegressor, {"loss": "poisson"}, R.integers(0, 9, (300, 20))),
    "quantiles": (
        DNNRegressor,
        {"loss": "quantile", "quantile": tuple(np.arange(1, 20) / 20)},
        X[:, 0],
    ),
    "mixtures": (DNNRegressor, {"loss": "gaussian_mixture", "quantile": 0.7}, X[:, :3]),
}
METHODS = [
    *("predict", "predict_log_proba", "predict_proba", "decision_function", "score"),
    "predict_quantiles",
]


def results(est, x, y):
    found = {}
    for name in METHODS:
        method = getattr(est, name, None)
        if method is not None and (name != "score" or np.shape(x)[0] > 1):
            found[name] = method(x, y) if name == "score" else method(x)
    if getattr(est, "loss", None) == "gaussian_mixture":
        found["std"] = est.predict(x, return_std=True)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_results_in_pieces_have_the_bits_of_the_whole(kind, precision, monkeypatch):
    make, options, y = KINDS[kind]
    options = {**options, "precision": precision, "random_state": 0}
    est = make((6,), max_iter=2, **options).fit(X, y)
    forms = [X, X.tolist(), csr_array(X), X[:1]]
    whole = [results(est, x, y[: np.shape(x)[0]]) for x in forms]
    assert len(whole[0]) >= 2
    for most in (1, 20 * 70):
        monkeypatch.setattr(handle, "NUMBERS", most)
        est.set_params(precision=precision).__setstate__(est.__getstate__())
        for x, expected in zip(forms, whole):
            if most == 1 and np.shape(x)[0] > 1 and x is not X:
                continue
            found = results(est, x, y[: np.shape(x)[0]])
            for name, values in expected.items():
                np.testing.assert_equal(found[name], values, name)
                assert type(found[name]) is type(values)


def test_reconstructions_in_pieces(monkeypatch):
    net = Autoencoder((3,), max_iter=2, random_state=0).fit(X)
    whole = net.reconstruct(X)
    monkeypatch.setattr(handle, "NUMBERS", 5 * 11)
    net.__setstate__(net.__getstate__())
    np.testing.assert_array_equal(net.reconstruct(X), whole)


LIMITED = """
import resource
import numpy as np
from slimlearn import DNNClassifier, LinearClassifier

CLASSES, ROWS, BOUND = 3_000, 20_000, 220 * 2**20
X = np.linspace(-1, 1, 2 * ROWS).reshape(ROWS, 2)
y = np.arange(ROWS) % CLASSES
clf = DNNClassifier((2,), max_iter=1, n_threads=1, random_state=0)
clf.partial_fit(X[:CLASSES], y[:CLASSES], classes=np.arange(CLASSES))
clf.predict(X[:100])
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
assert 8 * ROWS * CLASSES > 2 * BOUND
resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + BOUND,) * 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize(
    "call",
    [
        "assert clf.score(X, y) < 0.1",
        "assert clf.predict(X.astype('f4')).shape == (ROWS,)",
        """
        clf.set_params(scoring="accuracy", early_stopping=True, max_iter=1)
        clf.fit(X[:CLASSES], y[:CLASSES], X_val=X, y_val=y)
        """,
    ],
    ids=["score", "predict", "early stopping"],
)
def test_labels_of_many_classes_need_no_table_of_all_numbers(call):
    run = [sys.executable, "-c", LIMITED + textwrap.dedent(call)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
