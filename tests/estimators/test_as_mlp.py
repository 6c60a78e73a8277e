"""Step for step as scikit-learn's MLPs, by the rules that the documentation gives."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import shuffle

from slimlearn import SGD, DNNClassifier, DNNRegressor
from slimlearn.callbacks import StartFrom

X, Y = shuffle(*load_iris(return_X_y=True), random_state=0)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NUMBERS = X @ [1.0, 2.0, -1.0, 0.5]
NUMBERS = (NUMBERS - NUMBERS.mean()) / NUMBERS.std()
RATE, EPOCHS = 0.05, 4


def pair(kind, units, alpha, batch, momentum=0.0):
    """Both after `EPOCHS` epochs from the weights that MLP has after one."""
    regression = kind == "regression"
    sgd = {"solver": "sgd", "momentum": momentum, "nesterovs_momentum": False}
    mlp = (MLPRegressor if regression else MLPClassifier)(
        hidden_layer_sizes=units,
        **(sgd if batch else {"solver": "lbfgs", "tol": 1e-10, "max_fun": 10**6}),
        alpha=alpha,
        learning_rate_init=RATE,
        batch_size=batch or "auto",
        shuffle=False,
        max_iter=1 if batch else 3,
        warm_start=True,
        random_state=0,
    )
    y = {"regression": NUMBERS, "classes": Y, "two": Y > 0}[kind]
    # Its squared error has ½ before it: half the rate, twice the penalty.
    half = 2.0 if regression else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X, y)
        last = "output" if regression else "logits"
        names = [*(f"fc{i + 1}" for i in range(len(units))), last]
        start = {
            name: {"weights": weights.copy(), "biases": biases.copy()}
            for name, weights, biases in zip(
                names, mlp.coefs_, mlp.intercepts_, strict=True
            )
        }
        mine = (DNNRegressor if regression else DNNClassifier)(
            units,
            optimizer=SGD(momentum=momentum, nesterov=False) if batch else "lbfgs",
            learning_rate=RATE / half,
            batch_size=batch or "auto",
            shuffle=False,
            max_iter=EPOCHS if batch else 3000,
            tol=1e-10,
            precision="float64",
            l2_regularization=half * alpha / (batch or len(X)),
            callbacks=[StartFrom(start)],
        ).fit(X, y)
        if batch:
            for _ in range(EPOCHS):
                mlp.fit(X, y)
        else:
            mlp.set_params(max_iter=3000).fit(X, y)
    return mine, mlp


@pytest.mark.parametrize("kind", ["classes", "two", "regression"])
@pytest.mark.parametrize("units", [(8,), (8, 5), (6, 5, 4)], ids=str)
@pytest.mark.parametrize("batch", [30, 150])
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_alpha_is_divided_by_the_rows_of_a_batch(kind, units, batch, alpha):
    mine, mlp = pair(kind, units, alpha, batch)
    for one, other in zip(mine.coefs_, mlp.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    for one, other in zip(mine.intercepts_, mlp.intercepts_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["classes", "regression"])
def test_alpha_of_lbfgs_is_divided_by_all_rows(kind):
    """Without a hidden layer's many minima: its penalty is strong."""
    mine, mlp = pair(kind, (4,), 30.0, None)
    same = mine.predict_proba if kind == "classes" else mine.predict
    other = mlp.predict_proba if kind == "classes" else mlp.predict
    np.testing.assert_allclose(same(X), other(X), atol=1e-4)
