"""What is public: `dir`, `__all__` and star imports agree; all of it is described."""

from __future__ import annotations

import inspect
import re
import types

import numpy as np
import pytest

import slimlearn
from slimlearn import DNNClassifier, DNNRegressor, LayerTransformer, layers, ops
from slimlearn.backend.optimizer import Optimizer
from slimlearn.backend.schedule import Schedule
from slimlearn.estimators import visible
from slimlearn.estimators.callbacks import Callback, FitState

MODULES = {
    "slimlearn": slimlearn,
    "slimlearn.estimators": slimlearn.estimators,
    "slimlearn.callbacks": slimlearn.callbacks,
    "slimlearn.feature_column": slimlearn.feature_column,
    "slimlearn.losses": slimlearn.losses,
    "slimlearn.tensorboard": slimlearn.tensorboard,
    "slimlearn.layers": layers,
    "slimlearn.layers.activation": layers.activation,
    "slimlearn.layers.initializers": layers.initializers,
    "slimlearn.layers.losses": layers.losses,
    "slimlearn.layers.per_example": layers.per_example,
    "slimlearn.layers.regularizers": layers.regularizers,
    "slimlearn.layers.utils": layers.utils,
    "slimlearn.ops": ops,
}


def public():
    """Every public function and class, by its path."""
    found = {}
    for path, module in MODULES.items():
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, types.ModuleType):
                assert value in MODULES.values(), f"{path}.{name} has no row here"
            else:
                found[f"{path}.{name}"] = value
    return found


PUBLIC = public()


@pytest.mark.parametrize("path", MODULES)
def test_dir_all_and_star_imports_agree(path):
    module = MODULES[path]
    names = set(module.__all__)
    assert set(dir(module)) - {"__version__"} == names
    assert len(module.__all__) == len(names)
    assert not any(name.startswith("_") for name in names)
    imported: dict = {}
    exec(f"from {path} import *", imported)
    assert set(imported) - {"__builtins__"} == names
    assert all(imported[name] is getattr(module, name) for name in names)


def test_the_package_shows_no_machinery():
    shown = dir(slimlearn)
    assert "__version__" in shown
    for name in ("backend", "estimators", "TYPE_CHECKING", "_native", "ismodule"):
        assert name not in shown
    modules = [n for n in shown if inspect.ismodule(getattr(slimlearn, n))]
    assert modules == [
        *("callbacks", "feature_column", "layers", "losses", "ops"),
        "tensorboard",
    ]
    assert set(slimlearn.estimators.__all__) < set(shown)
    for name in ("functools", "Tensor", "dense", "add_loss", "utils_", "math"):
        assert name not in dir(layers)


def described(path: str, value, text: str) -> list[str]:
    """What lacks in the docstring of a function or class."""
    if not text:
        return [f"{path}: no docstring"]
    try:
        parameters = inspect.signature(value).parameters
    except (TypeError, ValueError):  # an exception's
        return []
    parameters = [p for p in parameters if p != "self"]
    if parameters and "\nParameters\n----------\n" not in text:
        return [f"{path}: no Parameters"]
    section = text.partition("\nParameters\n----------\n")[2]
    section = re.split(r"\n\w[\w ]+\n---", section)[0]
    catch_all = "**" in section
    return [
        f"{path}: {name} is not described"
        for name in parameters
        if not catch_all and not re.search(rf"\b{name}\b", section)
    ]


def test_everything_public_is_described():
    wrong = []
    for path, value in PUBLIC.items():
        if value is not FitState:  # given to callbacks; nobody makes one
            wrong += described(path, value, inspect.getdoc(value))
    assert wrong == []


def test_methods_are_described():
    kinds = [v for v in PUBLIC.values() if inspect.isclass(v)]
    bases = (visible.Visible, Callback, Optimizer, Schedule, FitState)
    wrong = []
    for kind in dict.fromkeys(k for k in kinds if issubclass(k, bases)):
        for name in dir(kind):
            member = getattr(kind, name)
            if name.startswith("_") or not inspect.isroutine(member):
                continue
            if not (member.__module__ or "").startswith("slimlearn"):
                continue
            # What overrides a hook may say what it does alone.
            texts = [
                inspect.getdoc(vars(c)[name]) for c in kind.__mro__ if name in vars(c)
            ]
            whole = [t for t in texts if t and "Parameters\n---" in t]
            text = whole[0] if whole else inspect.getdoc(member)
            told = described(f"{kind.__name__}.{name}", member, text)
            wrong += [t for t in told if "no docstring" in t or not whole]
    assert wrong == []


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).normal(size=(40, 3))
    return DNNClassifier((4,), max_iter=2).fit(X, X[:, 0] > 0)


def test_dir_of_an_estimator_is_public(fitted):
    shown = dir(fitted)
    assert not [name for name in shown if name.startswith("_")]
    assert {"fit", "predict_proba", "coefs_", "history_", "max_iter"} <= set(shown)
    assert all(hasattr(fitted, name) for name in shown)
    transformer = LayerTransformer(fitted)
    assert not [name for name in dir(transformer) if name.startswith("_")]
    assert "transform" in dir(transformer)


@pytest.mark.parametrize(
    "made",
    [
        slimlearn.Adam(),
        slimlearn.Cosine(),
        slimlearn.losses.Focal(),
        slimlearn.callbacks.TimeLimit(3),
        slimlearn.network(lambda x, units=3: x)(),
    ],
    ids=lambda made: type(made).__name__,
)
def test_dir_of_parameter_objects_is_public(made):
    assert not [name for name in dir(made) if name.startswith("_")]
    assert {"get_params", "set_params", *made.get_params()} <= set(dir(made))


def test_dir_leaves_out_what_settings_take_away():
    assert "partial_fit" in dir(DNNClassifier())
    assert "partial_fit" not in dir(DNNClassifier(early_stopping=True))
    assert "fit_chunks" not in dir(DNNClassifier(optimizer="lbfgs"))
    assert "predict_proba" not in dir(DNNClassifier(loss="hinge"))
    assert "predict_quantiles" not in dir(DNNRegressor())


@pytest.mark.parametrize("name", ["relu", "relu6", "elu", "linear", "fully_connected"])
def test_layers_are_functions_with_signatures(name):
    layer = getattr(layers, name)
    assert isinstance(layer, types.FunctionType)
    assert layer.__name__ == name and layer.__doc__
    parameters = inspect.signature(layer).parameters
    assert list(parameters)[:2] == ["inputs", "num_outputs"]
    assert ("activation_fn" in parameters) == (name == "fully_connected")
    assert "weights_initializer" in parameters
