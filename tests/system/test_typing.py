"""Type checkers and editors: right uses pass, wrong strings and names are refused."""

from __future__ import annotations

import ast
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
from slimlearn import callbacks, layers, ops
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
    SGD, Adam, Autoencoder, ConvNetClassifier, ConvNetRegressor, Cosine, DNNClassifier,
    DNNLinearCombinedClassifier, DNNLinearCombinedRegressor, DNNRegressor,
    LayerTransformer, LinearClassifier, LinearRegressor, NetworkClassifier,
    NetworkRegressor, Seq2Seq, SequenceClassifier, SequenceRegressor, SequenceTagger,
    TabularClassifier, TabularEncoder, TabularRegressor, TokenVectorizer,
    callbacks, feature_column, find_learning_rate, function, layers, losses, minimize,
    network, ops, state,
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
class Mine(callbacks.Callback):
    def on_epoch_end(self, state: callbacks.FitState) -> None:
        print(state.epoch)

@function
def product(x: Tensor, y: Tensor) -> Tensor:
    return ops.sum(x * y) + state("total", 0.0)

@function(random_state=3, symbols={"T": (0,)})
def noisy(x: Tensor) -> Tensor:
    return x + ops.random_normal(x.shape)

@network
def images(x: Tensor, num_outputs: int, units: int = 3) -> Tensor:
    with layers.arg_scope([layers.conv2d], weights_regularizer=None):
        x = layers.conv2d(x, units, (3, 3), padding="VALID", activation_fn="gelu")
    x = layers.conv2d(x, units, 3, padding=[(1, 1), (0, 0)], data_format="NCHW")
    x = layers.avg_pool2d(layers.max_pool2d(x, 2, padding="same"), [2, 2], 1)
    x = layers.conv2d_transpose(layers.pad(x, [(0, 0)], mode="REFLECT"), 3, 2, 2)
    x = layers.bidirectional(x, layers.gru, 3, merge_mode=None)
    return layers.linear(layers.batch_norm(x), num_outputs, recompute=True)

NetworkClassifier(images(units=4), callbacks=[Mine()]).plot_history()
NetworkRegressor(images, loss=losses.Huber(2.0), schedules={"dropout": Cosine()})
reveal_type(product)  # slimlearn.backend.functions.Function
reveal_type(noisy)  # slimlearn.backend.functions.Function
reveal_type(product.value_and_grad())  # slimlearn.backend.functions.Function
minimize(product, X, optimizer="adam")
find_learning_rate(clf, X, y).plot()
reveal_type(clf.activations(X))  # numpy.ndarray
reveal_type(clf.activations(X, ["fc1"]))  # dict[
reveal_type(ConvNetClassifier(on_error="skip").fit(X, y))  # ConvNetClassifier
reveal_type(SequenceClassifier(cell="gru").fit([X], y))  # sequences.SequenceClassifier
reveal_type(SequenceRegressor(pooling="last").fit(X, y))  # SequenceRegressor
reveal_type(SequenceTagger(loss="hinge").fit([X], [y]))  # tagger.SequenceTagger
reveal_type(SequenceTagger().predict([X]))  # list[numpy.ndarray
reveal_type(Seq2Seq(loss="focal").fit(["a"], ["b"]))  # seq2seq.Seq2Seq
reveal_type(TabularClassifier(3, preset="fast").fit(X, y))  # TabularClassifier
reveal_type(TabularRegressor(loss="gamma").fit(X, y))  # TabularRegressor
reveal_type(TabularEncoder().fit(X, y))  # encoder.TabularEncoder
reveal_type(TokenVectorizer(analyzer="char").fit(["a"]))  # tokens.TokenVectorizer
reveal_type(DNNLinearCombinedClassifier().fit(X, y))  # DNNLinearCombinedClassifier
ConvNetRegressor(on_error="skipp")  # "on_error" to "ConvNetRegressor"
SequenceClassifier(cell="rnn", pooling="avg")  # "pooling" to "SequenceClassifier"
SequenceTagger(loss="ordinal")  # "loss" to "SequenceTagger"
Seq2Seq(cell="conv")  # "cell" to "Seq2Seq"
TabularClassifier(preset="slow")  # "preset" to "TabularClassifier"
TabularClassifier(activation="rellu")  # "activation" to "TabularClassifier"
TabularRegressor(loss="gaussian")  # "loss" to "TabularRegressor"
TabularEncoder(categorical_features="few")  # "categorical_features"
TokenVectorizer(analyzer="char_wb")  # "analyzer" to "TokenVectorizer"
DNNLinearCombinedRegressor(linear_optimizer="ftlr")  # "linear_optimizer"
LayerTransformer(clf, layer=3)  # "layer" to "LayerTransformer"
minimize(product, X, optimizer="bfgs")  # "optimizer" to "minimize"
callbacks.LearningRateScheduler("cosin")  # to "LearningRateScheduler"
losses.GaussianMixture(2.5)  # expected "int"
feature_column.embedding_column("a", 2, combiner="max")  # expected "Literal['mean', '
layers.conv2d(mixed, 3)  # Too few arguments
layers.conv3d(mixed, 3, 3, padding="SAEM")  # expected "Literal['SAME', 'VALID'
layers.max_pool1d(mixed, 3, data_format="NCH")  # expected "Literal['NWC',
layers.linear(mixed, 3, weight_regularizer=None)  # "weight_regularizer"
layers.sequence_pool(mixed, "avg")  # expected "Literal['mean', 'max', 'last'
layers.fully_conected(mixed, 3)  # maybe "fully_connected"
ops.exponential(mixed)  # Module has no attribute "exponential"
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
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    command += ["--cache-dir", "cache", "uses.py"]
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
        (annotations.ActivationName, set(layers.activation.__all__) - {"get"}),
        (annotations.Precision, validation.TAIL["precision"][0].options),
    ],
    ids=[
        "activation",
        "optimizer",
        "schedule",
        "classifier",
        "regressor",
        "function",
        "precision",
    ],
)
def test_the_words_are_those_that_fit_takes(literal, names):
    assert sorted(get_args(literal)) == sorted(names)


# What a user makes: estimators, losses, optimizers, schedules, callbacks.
MADE = {
    value
    for module in (slimlearn, slimlearn.losses, slimlearn.callbacks)
    for name in module.__all__
    if inspect.isclass(value := getattr(module, name))
    and not issubclass(value, (Exception, callbacks.FitState))
}


@pytest.mark.parametrize("kind", sorted(MADE, key=str), ids=lambda kind: kind.__name__)
def test_every_parameter_has_a_type(kind):
    hints = get_type_hints(kind.__init__)
    assert set(inspect.signature(kind).parameters) == set(hints) - {"return"}


def parameters(function) -> list:
    return list(inspect.signature(function).parameters)


def test_what_checkers_are_told_of_ops_is_so():
    """Functions that base classes make have no text that a checker could read."""
    tree = ast.parse((ROOT / "backend/ops/__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    forms = {
        form.name: [a.arg for a in form.args.args]
        for form in block.body
        if isinstance(form, ast.FunctionDef)
    }
    told: dict[str, list] = {}
    for line in (node for node in block.body if isinstance(node, ast.Assign)):
        for target in line.targets:
            names = [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]
            values = [n.id for n in ast.walk(line.value) if isinstance(n, ast.Name)]
            if values[0] in forms:
                told |= dict.fromkeys(names, forms[values[0]])
            else:
                told |= {n: parameters(getattr(ops, v)) for n, v in zip(names, values)}
    assert {name: parameters(getattr(ops, name)) for name in told} == told
    read = {
        node.name
        for path in ROOT.glob("backend/ops/*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert set(ops.__all__) == set(told) | (set(ops.__all__) & read)


def test_what_checkers_are_told_of_dense_layers_is_so():
    text = (ROOT / "layers/annotations.py").read_text()
    names = set(re.findall(r"^        (\w+): ", text, re.M))
    taken = set(parameters(layers.fully_connected)) | {"recompute"}
    assert names == taken - {"inputs", "num_outputs", "activation_fn"}


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
