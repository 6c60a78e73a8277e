"""Linear models beside ensembles on tables: solved, found, and told of others."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import TabularClassifier, TabularRegressor
from slimlearn.estimators.tables.linear import line_of
from slimlearn.estimators.tables.members import Layout
from slimlearn.estimators.tables.numbers import clipped, unclipped
from slimlearn.estimators.tables.solved import (
    Basis,
    classes_path,
    numbers_left_out,
    numbers_path,
    probabilities,
)
from slimlearn.estimators.tables.tower import Tower

SHAPES = [(60, 4), (25, 40)]


def rows(n, columns, seed=0):
    own = np.random.default_rng(seed)
    return own.normal(size=(n, columns)) + 3.0, own.integers(1, 4, n).astype(float), own


@pytest.mark.parametrize("n, columns", SHAPES)
def test_numbers_as_scikit_learns(n, columns):
    X, weights, own = rows(n, columns)
    y = X[:, :2] @ own.normal(size=(2, 2)) + own.normal(size=(n, 2))
    constant, *path = numbers_path(Basis(X.copy(), weights), y)
    np.testing.assert_allclose(constant.intercept, np.average(y, 0, weights))
    assert not constant.coefficients.any()
    for model, penalty in zip(path[::6], np.logspace(3, -5, 25)[::6]):
        want = Ridge(penalty * weights.sum()).fit(X, y, weights)
        told = X @ model.coefficients + model.intercept
        np.testing.assert_allclose(told, want.predict(X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n, columns", SHAPES)
def test_rows_left_out_are_told_as_by_models_of_all_others(n, columns):
    X, weights, own = rows(n, columns)
    y = X[:, :2] @ own.normal(size=(2, 2)) + own.normal(size=(n, 2))
    constant, *path = numbers_left_out(Basis(X.copy(), weights), y)
    for row in (0, n // 2, n - 1):
        others = np.arange(n) != row
        want = np.average(y[others], 0, weights[others])
        np.testing.assert_allclose(constant[row], want)
        for told, penalty in zip(path[::6], np.logspace(3, -5, 25)[::6]):
            model = Ridge(penalty * weights.sum())
            want = model.fit(X[others], y[others], weights[others]).predict(X[[row]])
            np.testing.assert_allclose(told[row], want[0], rtol=1e-5, atol=1e-5)


def test_as_many_columns_as_rows_are_no_worse_than_a_tuned_linear_model():
    X, _, own = rows(600, 100)
    y = X[:, :20] @ own.normal(size=20) + 0.3 * own.normal(size=len(X))
    est = TabularRegressor(2, max_iter=20, random_state=0).fit(X[:100], y[:100])
    tuned = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 25)))
    tuned.fit(X[:100], y[:100])
    wrong, known = (1 - m.score(X[100:], y[100:]) for m in (est, tuned))
    assert wrong < 1.1**2 * known


def test_a_line_that_is_much_worse_than_networks_is_not_followed():
    X = rows(400, 3)[0] - 3.0
    targets = np.eye(2)[(X[:, 0] * X[:, 1] > 0).astype(int)]
    Z = np.concatenate([X, X], axis=1).astype(np.float32)

    def line(*others):
        parts = Layout(3, 0, 0), [], targets, None, np.arange(400), None
        return line_of(Z, *parts, np.random.default_rng(0), False, *others)

    assert line(lambda rows: np.full(len(rows), 0.1)) is None
    want = line()
    for lost in (0.8, np.nan):
        found = line(lambda rows, lost=lost: np.full(len(rows), lost))
        np.testing.assert_array_equal(found.told, want.told)


def test_a_line_is_compared_on_the_fold_that_the_first_network_held_out():
    X = rows(400, 3)[0]
    targets, fold = np.eye(2)[(X[:, 0] > 0).astype(int)], np.arange(400) % 5
    parts = Layout(3, 0, 0), [], targets, None, np.arange(50, 400), None

    def line(fold):
        asked = []

        def others(rows):
            asked.append(rows)
            return np.where(rows % 5 == 0, -1.0, np.nan)  # it held out fold 0

        Z = np.concatenate([X, X], axis=1).astype(np.float32)
        own = np.random.default_rng(0)
        return line_of(Z, *parts, own, False, others, fold), asked

    assert line(fold)[0] is None
    assert line(np.arange(400) % 8)[0] is None  # of eight folds it takes its own five
    told = line(np.where(fold == 0, -1, fold))[0]
    assert np.isnan(told.told[::5]).all()
    assert np.isfinite(told.told[1::5]).all()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("n, columns", SHAPES)
def test_classes_as_scikit_learns(n, columns, classes):
    X, weights, own = rows(n, columns)
    y = (X[:, 0] + own.normal(size=n)).argsort().argsort() * classes // n
    targets = np.eye(classes)[y]
    prior, *path = classes_path(Basis(X.copy(), weights), targets)
    found = probabilities(X @ prior.coefficients + prior.intercept)
    np.testing.assert_allclose(found[0], np.average(targets, 0, weights))
    for model, penalty in zip(path[::3], np.logspace(1, -4, 8)[::3]):
        strength = 1 / (penalty * weights.sum())
        want = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000)
        told = probabilities(X @ model.coefficients + model.intercept)
        want = want.fit(X, y, weights).predict_proba(X)
        np.testing.assert_allclose(told, want, atol=5e-3)


def test_what_was_clipped_is_found_again():
    wide = np.array([-1e4, -29.0, -1.0, 0.0, 0.5, 8.0, 30.0, 31.0])
    np.testing.assert_allclose(
        unclipped(clipped(wide)), np.clip(wide, -30, 30), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
def test_codes_flags_and_numbers_count(kind):
    own = np.random.default_rng(0)
    n = 700
    frame = pd.DataFrame({"x": own.normal(size=n), "k": own.integers(0, 20, n)})
    y = frame["x"] + np.linspace(-2, 2, 20)[frame["k"]] + 2.0 * (own.random(n) < 0.3)
    gone = y - frame["x"] - np.linspace(-2, 2, 20)[frame["k"]] > 1
    frame["x"] = frame["x"].mask(gone)
    frame["k"] = "level " + frame["k"].astype(str)
    y = (y if kind is TabularRegressor else y > 0.5).to_numpy()
    model = kind(1, max_iter=1, random_state=0).fit(frame[:400], y[:400])
    assert model.linear_share_ == 0.99
    assert model.score(frame[400:], y[400:]) > 0.85
    only = kind(1, max_iter=1, random_state=0).fit(frame[["k"]][:400], y[:400])
    assert 0.2 < only.score(frame[["k"]][400:], y[400:]) < 0.85


def test_few_rows_are_told_by_members_that_others_judge():
    """A best epoch by the six rows of a fold is best by chance."""
    own = np.random.default_rng(0)
    X, y = own.normal(size=(52, 5)), own.normal(size=52)
    model = TabularRegressor(random_state=0).fit(X, y)
    assert model.linear_share_ > 0.5
    few = TabularRegressor(2, random_state=0, max_iter=20).fit(X, y)
    curves = [
        m.validation_loss_curve_ for m in few.members_ if isinstance(m.net, Tower)
    ]
    for member, curve in zip(few.members_, curves):
        assert member.best_loss_ == curve[member.best_iteration_ - 1]
    assert all(len(curve) == 20 for curve in curves)
