"""Accuracy on data that people know, through scikit-learn's own pipelines."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import (
    ConvNetClassifier,
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    layers,
    network,
)


@network
def tower(x, units=(64,), keep_prob=0.9):
    x = layers.stack(x, layers.fully_connected, units)
    return layers.dropout(x, keep_prob)


@pytest.mark.parametrize(
    "load, bound",
    [(load_iris, 0.93), (load_wine, 0.95), (load_breast_cancer, 0.95)],
    ids=["iris", "wine", "breast_cancer"],
)
@pytest.mark.parametrize(
    "estimator",
    [
        DNNClassifier(random_state=0),
        LinearClassifier(l2_regularization=1e-3, random_state=0),
    ],
    ids=["dnn", "linear"],
)
def test_small_classification(estimator, load, bound):
    scores = cross_val_score(
        make_pipeline(StandardScaler(), estimator), *load(return_X_y=True)
    )
    assert scores.mean() >= bound


@pytest.mark.parametrize(
    "estimator, bound",
    [
        (DNNRegressor((32,), max_iter=50, l2_regularization=0.1, random_state=0), 0.40),
        (LinearRegressor(random_state=0), 0.45),
    ],
    ids=["dnn", "linear"],
)
def test_diabetes_in_raw_units(estimator, bound):
    scores = cross_val_score(
        make_pipeline(StandardScaler(), estimator), *load_diabetes(return_X_y=True)
    )
    assert scores.mean() >= bound


def test_digits_in_a_search():
    X, y = load_digits(return_X_y=True)
    X, X_out, y, y_out = train_test_split(
        X, y, test_size=1 / 3, stratify=y, random_state=0
    )
    search = GridSearchCV(
        make_pipeline(StandardScaler(), NetworkClassifier(tower(), random_state=0)),
        {"networkclassifier__net__units": [(32,), (100,)]},
        n_jobs=2,
        cv=3,
    ).fit(X, y)
    assert search.best_params_ == {"networkclassifier__net__units": (100,)}
    assert search.score(X_out, y_out) >= 0.97


def test_convolutions_on_digits_as_they_come():
    X, y = load_digits(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    clf = ConvNetClassifier(random_state=0)
    assert cross_val_score(clf, X / 16, y, cv=folds).mean() >= 0.985


def test_batch_norm_and_weights_on_digits():
    X, y = load_digits(return_X_y=True)
    weight = np.where(y % 2, 1.0, 3.0)
    model = make_pipeline(
        StandardScaler(), DNNClassifier(batch_norm=True, max_iter=30, random_state=0)
    )
    model.fit(X[:1200], y[:1200], dnnclassifier__sample_weight=weight[:1200])
    assert model.score(X[1200:], y[1200:]) >= 0.90


def test_fashion_mnist_in_ten_epochs(fashion):
    model = DNNClassifier(
        (256, 128),
        max_iter=10,
        batch_size=128,
        learning_rate_schedule="cosine",
        random_state=0,
    )
    model.fit(*fashion["train"])
    assert len(model.loss_curve_) == 10
    assert model.loss_curve_[-1] < 0.6 * model.loss_curve_[0]
    assert model.score(*fashion["test"]) >= 0.88
