"""Linear models do not depend on where X's columns lie and how far they reach."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from slimlearn import LinearClassifier, LinearRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 4))
Y = X @ [1.0, 2, -1, 0.5] + 0.1 * RNG.normal(size=400)

UNITS = {
    "as it is": (1.0, 0.0),
    "far away": (1.0, 1e4),
    "small": (1e-5, 0.0),
    "large": (1e5, -3e7),
    "each its own": ([1, 1e4, 1e-4, 10], [0, 1e6, 5, -300]),
    "one constant": ([1, 0, 1, 1], [0, 7, 0, 0]),
}
every_unit = pytest.mark.parametrize("units", UNITS.values(), ids=UNITS)


def least_squares(weights=None):
    """What the best line predicts for X; it is the same in all units.

    LinearRegression leaves out columns that vary by 1e-8 of the others.
    """
    rows = np.column_stack([X, np.ones(len(X))])
    root = np.ones(len(X)) if weights is None else np.sqrt(weights)
    best = np.linalg.lstsq(rows * root[:, None], Y * root, rcond=None)[0]
    return rows @ best


def in_units(rows, units):
    scale, shift = map(np.asarray, units)
    return rows * scale + shift


@every_unit
def test_a_regression_is_least_squares(units):
    rows = in_units(X, units)
    reg = LinearRegressor(tol=1e-9).fit(rows, Y)
    assert reg.n_iter_ < 20
    if np.all(units[0]):
        assert reg.score(rows, Y) > 0.998
        np.testing.assert_allclose(reg.predict(rows), least_squares(), atol=1e-6)


@every_unit
def test_the_path_is_the_same_in_all_units(units):
    """Without a penalty, which is on the weights in X's own units."""
    rows, ones = in_units(X, units), UNITS["as it is"]
    several = np.column_stack([Y, Y**2])
    reg = LinearRegressor(max_iter=2)
    with pytest.warns(UserWarning, match="without converging"):
        got = reg.fit(rows, several).predict(rows)
        want = reg.fit(in_units(X * np.sign(units[0]), ones), several).predict(
            in_units(X * np.sign(units[0]), ones)
        )
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1e3])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e2])
def test_penalties_are_those_of_scikit_learn(scale, shift):
    """They stay on the weights in X's own units."""
    shift = shift * scale
    rows = X * scale + shift
    reg = LinearRegressor(l2_regularization=0.1 * scale**2, tol=1e-7).fit(rows, Y)
    # The target is scaled to deviation 1, and the mean of squares is halved by none.
    mean = Ridge(alpha=0.1 * scale**2 * len(X) / 2).fit(rows, Y)
    np.testing.assert_allclose(reg.predict(rows), mean.predict(rows), atol=2e-3)
    iris, y = load_iris(return_X_y=True)
    iris = iris * scale + shift
    strength = 1e-2 * scale**2
    clf = LinearClassifier(l2_regularization=strength, tol=1e-7, max_iter=500)
    own = LogisticRegression(C=1 / (strength * len(iris)), solver="newton-cholesky")
    centred = iris - shift  # so that scikit-learn's converges
    np.testing.assert_allclose(
        clf.fit(iris, y).predict_proba(iris),
        own.fit(centred, y).predict_proba(centred),
        atol=1e-4,
    )


@pytest.mark.parametrize("draw", range(20))
def test_a_fit_as_far_as_rounding_allows_has_converged(draw):
    """The loss has fewer digits than its gradient: the last fall is not seen in it."""
    weights = np.random.default_rng(draw).uniform(0, 2, len(X))
    rows = in_units(X, UNITS["each its own"])
    LinearRegressor(tol=1e-10, precision="float64").fit(rows, Y, weights)


def test_where_rounding_ends_a_fit_early_the_warning_says_so():
    rows = in_units(X, UNITS["each its own"])
    with pytest.warns(ConvergenceWarning, match="or set precision='float64'"):
        LinearRegressor(tol=1e-9, precision="float32").fit(rows, Y)


def test_weights_and_sparse_columns():
    weights = RNG.uniform(0, 2, len(X))
    rows = in_units(X, UNITS["each its own"])
    reg = LinearRegressor(tol=1e-9).fit(rows, Y, weights)
    np.testing.assert_allclose(reg.predict(rows), least_squares(weights), atol=1e-6)
    thin = sparse.random_array((300, 50), density=0.2, rng=1, format="csr")
    thin = thin @ sparse.diags_array(10.0 ** RNG.integers(-4, 5, 50))
    y = np.asarray(thin.sum(1)) + 1
    reg = LinearRegressor(tol=1e-6).fit(sparse.csr_array(thin), y)
    assert reg.score(sparse.csr_array(thin), y) > 0.999


@pytest.mark.parametrize("scale", [1e-5, 1e-10, 1e-80])
def test_a_column_that_the_penalty_holds_back_leaves_the_others_alone(scale):
    y = X[:, 0] + X[:, 1] > 0
    small = in_units(X, ([1, scale, 1, 1], 0))
    found = LinearClassifier().fit(small, y).predict_proba(small)
    without = np.delete(X, 1, axis=1)
    wanted = LinearClassifier().fit(without, y).predict_proba(without)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("scale", [1e200, 1e300, 1e-200, 1e-310])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_columns_whose_squares_no_float_holds_are_named(scale, form):
    odd = form(in_units(X, ([1, 1, scale, 1], 0)))
    with pytest.warns(
        UserWarning, match=r"columns \[2\] of X vary by more than"
    ) as told:
        LinearRegressor().fit(odd, Y)
    assert told[0].filename == __file__
