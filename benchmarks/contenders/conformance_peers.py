"""The peers' estimators as a careful user would set them up for scikit-learn's checks.

Each follows its own documentation and gets what its users can give it: skorch finds
the shapes with callbacks, draws from one seed, and has validation and float32 before it
in a pipeline; Keras' wrappers have their docstrings' function and a seed.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # starts a fit faster than JAX does

import keras
import numpy as np
import torch
from keras.layers import Dense, Input
from keras.wrappers import SKLearnClassifier, SKLearnRegressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, InputShapeSetter
from skorch.toy import MLPModule

PACKAGES = ("scikit-learn", "skorch", "torch", "keras", "numpy", "pandas")


def float32(X):
    """Return X as torch takes it."""
    return np.asarray(X).astype(np.float32)


class Module(MLPModule):
    """The toy module, which draws from one seed."""

    def __init__(self, **arguments):
        torch.manual_seed(0)
        super().__init__(**arguments)


class OutputShapeSetter(Callback):
    """Sets the number of classes, as InputShapeSetter does that of columns."""

    def on_train_begin(self, net, X, y, **kwargs):
        """Make an output for each label."""
        units = max(2, len(np.unique(y)), 1 + int(np.max(y)))
        if net.get_params()["module__output_units"] != units:
            net.set_params(module__output_units=units)


def _scikit_learn():
    return {
        "MLPClassifier()": MLPClassifier(),
        "MLPRegressor()": MLPRegressor(),
        "MLPClassifier(solver='lbfgs')": MLPClassifier(solver="lbfgs"),
        "MLPRegressor(solver='lbfgs')": MLPRegressor(solver="lbfgs"),
    }


def _skorch():
    torch.set_num_threads(1)
    shared = {
        "module": Module,
        "module__hidden_units": 100,
        "optimizer": torch.optim.Adam,
        "max_epochs": 100,
        "batch_size": 32,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
    }
    inputs = InputShapeSetter(param_name="input_units")
    outputs = OutputShapeSetter()
    classifier = NeuralNetClassifier(
        **shared,
        module__output_units=2,
        criterion=torch.nn.CrossEntropyLoss,
        callbacks=[inputs, outputs],
    )
    regressor = NeuralNetRegressor(
        **shared,
        module__output_units=1,
        module__squeeze_output=True,
        callbacks=[inputs],
    )
    targets = TransformedTargetRegressor(
        make_pipeline(FunctionTransformer(float32, validate=True), regressor),
        func=float32,
        inverse_func=np.asarray,
        check_inverse=False,
    )
    return {
        "NeuralNetClassifier": classifier,
        "NeuralNetRegressor": regressor,
        "NeuralNetClassifier behind a float32 pipeline": make_pipeline(
            FunctionTransformer(float32, validate=True), classifier
        ),
        "NeuralNetRegressor behind a float32 pipeline, y too": targets,
    }


def _keras_model(X, y, loss, output, layers):
    keras.utils.set_random_seed(0)
    inputs = net = Input(shape=(X.shape[1],))
    for units in layers:
        net = Dense(units, activation="relu")(net)
    outputs = y.shape[1] if len(y.shape) > 1 else 1
    model = keras.Model(inputs, Dense(outputs, activation=output)(net))
    model.compile(loss=loss, optimizer="rmsprop")
    return model


def _keras():
    keras.utils.disable_interactive_logging()
    layers = [20, 20, 20]

    def model(**arguments):
        return {"model": _keras_model, "model_kwargs": arguments | {"layers": layers}}

    cross_entropy = model(loss="categorical_crossentropy", output="softmax")
    return {
        "SKLearnClassifier": SKLearnClassifier(**cross_entropy),
        "SKLearnRegressor": SKLearnRegressor(**model(loss="mse", output=None)),
    }


def estimators():
    """Return the estimators of each package by their words."""
    return {
        "scikit-learn": _scikit_learn(),
        "skorch": _skorch(),
        "keras.wrappers": _keras(),
    }
