"""Python's -O and -OO: without asserts and docstrings everything imports and fits."""

from __future__ import annotations

import subprocess
import sys

import pytest

from slimlearn.backend.op import FUNCTIONS, OPS, PUBLIC
from slimlearn.backend.ops import unary

FIT_ALL = """
import inspect, numpy as np, slimlearn
from slimlearn import layers
from slimlearn.estimators.base import NetworkEstimator

@slimlearn.network
def tower(x, units=(8,)):
    net = layers.stack(layers.flatten(x), layers.fully_connected, units, scope="fc")
    return layers.dropout(layers.batch_norm(net), 0.9)

X = np.random.default_rng(0).normal(size=(60, 3))
y = (X[:, 0] > 0).astype(int)
inner = slimlearn.DNNClassifier((4,), max_iter=2, random_state=0)
given = {"net": tower(), "estimator": inner, "max_iter": 3, "random_state": 0}
for name in sorted(slimlearn.__all__):
    kind = getattr(slimlearn, name)
    if not (inspect.isclass(kind) and hasattr(kind, "fit")):
        continue
    known = inspect.signature(kind).parameters
    wanted = given.keys() & known.keys()
    if "cell" in known:  # whose own network reads sequences
        wanted.discard("net")
    model = kind(**{key: given[key] for key in wanted})
    of_texts = "raw_documents" in inspect.signature(kind.fit).parameters
    rows = [f"row {label}" for label in y] if of_texts else X
    of_steps = name in ("SequenceTagger", "Seq2Seq")
    model.fit(rows, np.stack([y] * 3, 1) if of_steps else y)
    values = getattr(model, "predict", getattr(model, "transform", None))(rows)
    print(name, float(sum(np.sum(value) for value in values)).hex())
"""


def run(*flags: str) -> str:
    command = [sys.executable, *flags, "-W", "ignore", "-c", FIT_ALL]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def plain() -> str:
    return run()


def test_all_estimators_are_tried(plain):
    names = {line.split()[0] for line in plain.splitlines()}
    assert names >= {
        *("Autoencoder", "DNNClassifier", "DNNRegressor", "LayerTransformer"),
        *("LinearClassifier", "LinearRegressor"),
        *("NetworkClassifier", "NetworkRegressor"),
    }


@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_a_fit_is_the_same_without_asserts_and_docstrings(plain, flag):
    assert run(flag) == plain


def test_an_op_needs_no_docstring():
    word = "undocumented_in_a_test"
    try:
        type("Undocumented", (unary.Unary,), {"name": word})
        assert FUNCTIONS[word].__doc__ is None
    finally:
        OPS.pop(word, None)
        FUNCTIONS.pop(word, None)
        PUBLIC.discard(word)
