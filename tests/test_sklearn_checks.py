"""Scikit-learn's own checks, on every estimator and further shapes; none may skip."""

import warnings

import pytest
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import estimator_checks as checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from slimlearn import layers
from slimlearn.estimators import (
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    network,
)
from slimlearn.estimators.losses import Huber


@network
def small(x, units=(24,)):
    return layers.stack(x, layers.fully_connected, units, scope="fc")


@network
def logits(x, num_outputs, units=(24,)):
    net = layers.stack(x, layers.fully_connected, units, scope="fc")
    return layers.linear(net, num_outputs, scope="out"), {"fc": net}


@network
def normalized(x, units=(24,), is_training=True):
    with layers.arg_scope([layers.batch_norm], is_training=is_training, decay=0.9):
        return layers.fully_connected(x, units[0], normalizer_fn=layers.batch_norm)


DEFAULTS = [
    DNNClassifier(),
    DNNRegressor(),
    LinearClassifier(),
    LinearRegressor(),
    NetworkClassifier(small()),
    NetworkRegressor(small()),
]
# L-BFGS on a network of many minima turns the last bit of a sum into another path after
# some fifty iterations, so the regressors' weights are compared after thirty.
FURTHER = [
    DNNClassifier(precision="float64", hidden_units=(20, 10)),
    DNNRegressor(precision="float64", hidden_units=(20, 10)),
    DNNClassifier(batch_norm=True),
    DNNRegressor(batch_norm=True),
    DNNClassifier(optimizer="lbfgs", l2_regularization=1e-3),
    DNNRegressor(optimizer="lbfgs", l2_regularization=1e-3, max_iter=30),
    NetworkClassifier(logits(), precision="float64"),
    NetworkRegressor(logits(), precision="float64"),
    NetworkClassifier(normalized()),
    NetworkRegressor(normalized()),
    NetworkClassifier(small(), optimizer="lbfgs", l2_regularization=1e-3),
    NetworkRegressor(small(), optimizer="lbfgs", l2_regularization=1e-3, max_iter=30),
    LinearClassifier(optimizer="adam", learning_rate=0.05),
    LinearRegressor(optimizer="adam", learning_rate=0.01),
    DNNRegressor(loss="huber", optimizer="sgd"),
    DNNRegressor(loss=Huber(delta=1.35)),
    DNNRegressor(loss="quantile", quantile=(0.1, 0.5, 0.9)),
    DNNClassifier(loss="focal"),
]

# Here 42 rows of 20 features are separable: without a penalty a linear model's
# probabilities come to round to 1, where they cannot rank as its decisions do.
RANKED = [checks.check_classifier_multioutput]

# Checks feed data that a hundred iterations do not fit to the last digit.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*without converging:sklearn.exceptions.ConvergenceWarning"
)


@parametrize_with_checks(DEFAULTS + FURTHER)
def test_scikit_learns_checks(estimator, check):
    if isinstance(estimator, LinearClassifier) and check.func in RANKED:
        estimator = clone(estimator).set_params(l2_regularization=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SkipTestWarning)
        try:
            check(estimator)
        except checks.SkipTest as skipped:
            pytest.fail(f"skipped: {skipped}")


# What scikit-learn runs on its own estimators only.
@pytest.mark.parametrize("estimator", DEFAULTS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "check",
    [checks.check_param_validation, checks.check_dataframe_column_names_consistency],
    ids=lambda c: c.__name__,
)
def test_checks_that_third_parties_do_not_get(estimator, check):
    check(type(estimator).__name__, estimator)
