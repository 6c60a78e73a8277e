"""Type checkers and editors: right uses pass, wrong strings and names are refused."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import slimlearn
from slimlearn.backend.optimizer import OPTIMIZERS
from slimlearn.backend.schedule import SCHEDULES
from slimlearn.estimators import annotations, validation
from slimlearn.estimators.losses import CLASSIFIER_LOSSES, REGRESSOR_LOSSES

ROOT = Path(__file__).resolve().parents[2]
# Wrong lines end in what the checker has to say of them; others are right.
USES = """
import numpy as np
from slimlearn.backend.graph import Tensor
from slimlearn import (
    SGD, Adam, Autoencoder, Cosine, DNNClassifier, DNNRegressor, LayerTransformer,
    LinearClassifier, LinearRegressor, NetworkClassifier,
    callbacks, layers, losses, ops,
)

X, y = np.zeros((4, 2)), np.zeros(4)

def mixed(x: Tensor) -> Tensor:
    scaled = -x * 2 + 1 / abs(x[:, ::2]) ** 2 - x @ x % 3.0 // 2
    return ops.where((scaled > 0) & ~(x < 1) | (x >= x), round(scaled, 2), x)

stop = [callbacks.EarlyStopping(), callbacks.TimeLimit(3)]
clf = DNNClassifier((3,), activation="tanh", optimizer=Adam(beta1=0.8), callbacks=stop)
DNNClassifier(3, activation=layers.activation.gelu, loss=losses.Focal(1.5), verbose=1)
DNNClassifier(np.array([3]), class_weight={0: 1.0}, random_state=3, verbose=True)
DNNRegressor(batch_size=32, learning_rate=1, learning_rate_schedule=Cosine(final=0.1))
DNNRegressor(loss=lambda raw, y: ops.square(raw - y), schedules={"dropout": "cosine"})
DNNRegressor(loss="quantile", quantile=[0.1, 0.9], callbacks=[("stop", None)])
LinearClassifier(class_weight="balanced", scoring="roc_auc", precision="float64")
Autoencoder((8, 2), code_activation="tanh").fit(X).transform(X)
LayerTransformer(clf).fit(X, y)
NetworkClassifier(lambda x: layers.relu(x, 3, scope="a"), inputs=None)
reveal_type(clf.fit(X, y))  # slimlearn.estimators.dnn.DNNClassifier
reveal_type(clf.fit(X, y).partial_fit(X, y).set_params(tol=0))  # dnn.DNNClassifier
reveal_type(LinearRegressor().fit_chunks([(X, y)]))  # linear.LinearRegressor
reveal_type(clf.fit(X, y).predict(X))  # numpy.ndarray
own = losses.loss(lambda raw, y, delta=1.0: ops.abs(raw - y) * delta)
reveal_type(own)  # type[slimlearn.estimators.losses.own.LossFunction]
several = losses.loss(outputs=2, mean=lambda raw: raw[..., 0])
reveal_type(several)  # type[slimlearn.estimators.losses.own.LossFunction]
DNNRegressor(loss=own(delta=2.0), early_stopping=True)
DNNRegressor(loss=several(lambda raw, y: raw[..., 0])())
reveal_type(DNNRegressor().predict(X))  # numpy.ndarray
reveal_type(DNNRegressor().predict(X, return_std=True))  # tuple[numpy.ndarray
reveal_type(DNNRegressor().predict(X, return_quantiles=True))  # tuple[numpy.ndarray
reveal_type(layers.relu)  # num_outputs: int
reveal_type(ops.where)  # (condition: slimlearn.backend.graph.tensor.Tensor
reveal_type(ops.exp)  # -> slimlearn.backend.graph.tensor.Tensor
DNNClassifier(activation="rellu")  # "activation" to "DNNClassifier"
DNNClassifier(optimizer="adamm")  # "optimizer" to "DNNClassifier"
DNNClassifier(loss="squared_error")  # "loss" to "DNNClassifier"
DNNRegressor(loss="log_loss")  # "loss" to "DNNRegressor"
DNNRegressor(learning_rate="fast")  # expected "Literal['auto'] | float | Mapping
DNNRegressor(learning_rate_schedule="cosin")  # "learning_rate_schedule"
DNNRegressor(max_iter=2.5)  # expected "int"
DNNRegressor(class_weight="balanced")  # Unexpected keyword argument "class_weight"
DNNRegressor(hidden_layer_sizes=(3,))  # "hidden_layer_sizes"
LinearClassifier(precision="float8")  # "precision"
LinearRegressor("log_loss")  # Too many positional arguments
Autoencoder(code_activation="rellu")  # "code_activation"
DNNClassifier(callbacks=callbacks.TimeLimit(3))  # "callbacks" to "DNNClassifier"
SGD(momentum="0.9")  # "momentum" to "SGD"
callbacks.EpochScoring("accuracy", on="test")  # "on" to "EpochScoring"
layers.relu(X, 3)  # expected "Tensor"
ops.repeat(X, 3)  # expected "Tensor"
mixed(X)  # expected "Tensor"
mixed("x")  # expected "Tensor"
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What mypy says of each line of the uses, with the package as users have it."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed: pip install 'slimlearn[test]'")
    folder = tmp_path_factory.mktemp("typing")
    (folder / "packages").mkdir()
    (folder / "packages" / "slimlearn").symlink_to(ROOT)
    (folder / "uses.py").write_text(USES)
    command = [sys.executable, "-m", "mypy", "--strict", "--allow-untyped-calls"]
    command += ["--follow-imports=silent", "--cache-dir", "cache", "uses.py"]
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(folder / "packages")},
        capture_output=True,
        text=True,
    )
    assert not ended.stderr, ended.stderr
    lines: dict[int, str] = {}
    for number, text in re.findall(r"^uses.py:(\d+): (.*)$", ended.stdout, re.M):
        lines[int(number)] = f"{lines.get(int(number), '')}{text}\n"
    return lines


def test_mypy_refuses_the_wrong_lines_alone(told):
    wanted = {}
    for number, line in enumerate(USES.splitlines(), 1):
        _, mark, words = line.partition("  # ")
        if mark:
            wanted[number] = words
    for number in sorted({*wanted, *told}):
        line = USES.splitlines()[number - 1]
        assert number in wanted, f"{line}\n{told[number]}"
        assert wanted[number] in told.get(number, ""), f"{line}\n{told.get(number)}"


@pytest.mark.parametrize(
    "literal, names",
    [
        (annotations.ActivationName, validation.ACTIVATIONS),
        (annotations.OptimizerName, OPTIMIZERS),
        (annotations.ScheduleName, SCHEDULES),
        (annotations.ClassifierLossName, CLASSIFIER_LOSSES),
        (annotations.RegressorLossName, REGRESSOR_LOSSES),
        (annotations.Precision, validation.TAIL["precision"][0].options),
    ],
    ids=["activation", "optimizer", "schedule", "classifier", "regressor", "precision"],
)
def test_the_words_are_those_that_fit_takes(literal, names):
    assert sorted(get_args(literal)) == sorted(names)


ESTIMATORS = [
    value
    for value in vars(slimlearn.estimators).values()
    if inspect.isclass(value) and "optimizer" in inspect.signature(value).parameters
]


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_every_parameter_has_a_type(kind):
    hints = get_type_hints(kind.__init__)
    assert set(inspect.signature(kind).parameters) == set(hints) - {"return"}


def test_the_marker_of_types_is_shipped():
    assert (ROOT / "py.typed").exists()
    assert '"py.typed"' in (ROOT / "setup.py").read_text()


def test_checkers_see_all_families_of_ops():
    text = (ROOT / "backend/ops/__init__.py").read_text()
    shown = re.findall(
        r"^    from slimlearn\.backend\.ops\.(\w+) import \*$", text, re.M
    )
    functions = (getattr(slimlearn.ops, name) for name in slimlearn.ops.__all__)
    homes = {f.__module__.rpartition(".")[2] for f in functions}
    assert shown == sorted(homes)
