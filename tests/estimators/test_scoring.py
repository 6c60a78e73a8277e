"""Scorers: all of scikit-learn's and users' own, weighted or not, and what they say."""

import math
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer
from sklearn.model_selection import GridSearchCV

from slimlearn import DNNClassifier, DNNRegressor
from slimlearn.callbacks import EarlyStopping, EpochScoring

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)
FEW = slice(20, 150)  # the classes are not balanced
R = np.random.default_rng(0)
NUMBERS = np.exp(X @ [0.1, 0.2, -0.1, 0.5] + 0.1 * R.normal(size=150))
WEIGHTS = R.uniform(0.5, 2, 150)
STOP = {"early_stopping": True, "max_iter": 2, "random_state": 0}

CASES = {
    "classes": (DNNClassifier((4,)), Y),
    "binary": (DNNClassifier((4,)), Y % 2),
    "multilabel": (DNNClassifier((4,)), np.stack([Y > 0, Y > 1], 1).astype(int)),
    "hinge": (DNNClassifier((4,), loss="hinge"), Y % 2),
    "numbers": (DNNRegressor((4,), loss="poisson"), NUMBERS),
    "targets": (DNNRegressor((4,)), np.stack([NUMBERS, X[:, 0]], 1)),
}


def asked(scorer, estimator, x, y, weights):
    """Return what a scorer says, weighted if its function can be."""
    if weights is not None:
        try:
            return scorer(estimator, x, y, sample_weight=weights)
        except TypeError as error:
            if "sample_weight" not in str(error):
                raise
    return scorer(estimator, x, y)


@pytest.mark.parametrize(
    "case, weighted",
    [(case, True) for case in CASES] + [("classes", False), ("numbers", False)],
)
@pytest.mark.filterwarnings("ignore")
def test_every_scorer_of_scikit_learn_scores_or_is_refused_by_name(case, weighted):
    model, y = CASES[case]
    train, val = slice(0, None, 2), slice(1, None, 2)
    weights = {}
    if weighted:
        weights = {"sample_weight": WEIGHTS[train], "sample_weight_val": WEIGHTS[val]}
    scored = 0
    for name in get_scorer_names():
        model.set_params(scoring=name, **STOP | {"max_iter": 1})
        data = {"X_val": X[val], "y_val": y[val], **weights}
        try:
            model.fit(X[train], y[train], **data)
        except ValueError as error:
            assert f"scoring={name!r}" in str(error)
            model.set_params(scoring="loss").fit(X[train], y[train], **data)
            right = math.nan
            try:
                own = weights.get("sample_weight_val")
                right = asked(get_scorer(name), model, X[val], y[val], own)
            except (ValueError, AttributeError):
                pass
            assert not math.isfinite(right), name
            continue
        scored += 1
        own = weights.get("sample_weight_val")
        right = asked(get_scorer(name), model, X[val], y[val], own)
        assert model.validation_scores_ == [pytest.approx(right)], name
    assert scored >= {"hinge": 20, "targets": 8}.get(case, 10)


SCORERS = {
    "documented": lambda est, x, y: est.score(x, y),
    "weights": lambda est, x, y, sample_weight=None: est.score(x, y, sample_weight),
    "metric": make_scorer(lambda y, predicted: np.mean(y == predicted)),
    "name": "adjusted_rand_score",
}


@pytest.mark.parametrize("scoring", SCORERS.values(), ids=SCORERS)
@pytest.mark.parametrize(
    "options, weights",
    [({}, None), ({"class_weight": "balanced"}, None), ({}, WEIGHTS[FEW])],
    ids=["plain", "class_weight", "sample_weight"],
)
def test_a_scorer_is_given_weights_where_it_takes_them(scoring, options, weights):
    names = []
    for fraction in (0.1, None):
        clf = DNNClassifier((4,), scoring=scoring, **STOP, **options)
        clf.set_params(validation_fraction=fraction)
        clf.fit(X[FEW], Y[FEW], weights)
        names.append(len(clf.validation_scores_))
    column = EpochScoring(scoring, name="mine")
    clf = DNNClassifier((4,), callbacks=[column], max_iter=2, **options)
    clf.fit(X[FEW], Y[FEW], weights, X_val=X, y_val=Y, sample_weight_val=WEIGHTS)
    assert names == [2, 2] and len(clf.history_.columns["mine"]) == 2


def test_a_scorer_of_a_part_of_an_ensemble():
    clf = DNNClassifier((4,), scoring=SCORERS["documented"], **STOP)
    bag = BaggingClassifier(clf, n_estimators=2, random_state=0).fit(X, Y)
    assert bag.score(X, Y) > 0.2
    search = GridSearchCV(clf, {"hidden_units": [(3,), (4,)]}, cv=2)
    assert np.isfinite(search.fit(X, Y).best_score_)


@pytest.mark.parametrize("least", [12, 3])
def test_a_scorer_that_needs_two_rows_gets_them(least):
    reg = DNNRegressor((8,), scoring="r2", **STOP | {"max_iter": 30})
    reg.fit(X[:least], NUMBERS[:least])
    assert reg.best_iteration_ > 0 and np.isfinite(reg.best_validation_score_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            ValueError, match=r"'r2' is nan for 1 row after epoch 1.*X_"
        ):
            reg.fit(X[:12], NUMBERS[:12], X_val=X[:1], y_val=NUMBERS[:1])


class Undecided:
    """A score that is not finite from the given epoch on."""

    def __init__(self, bad, epoch=1):
        self.bad, self.left = bad, epoch

    def __call__(self, est, x, y):
        self.left -= 1
        return 0.5 if self.left > 0 else self.bad

    def __repr__(self):
        return "Undecided()"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_score_that_is_not_finite_ends_the_fit(bad, epoch):
    clf = DNNClassifier((4,), **STOP).fit(X, Y)
    before = clf.program_
    told = rf"scoring=Undecided\(\) is {bad} for 15 rows after epoch {epoch},"
    clf.set_params(scoring=Undecided(bad, epoch), max_iter=5)
    with pytest.raises(ValueError, match=told):
        clf.fit(X, Y)
    assert clf.program_ is before
    # A curve may have gaps; what goes by it may not.
    column = EpochScoring(Undecided(bad, epoch), name="mine")
    clf = DNNClassifier((4,), max_iter=3, callbacks=[column]).fit(
        X, Y, X_val=X, y_val=Y
    )
    np.testing.assert_array_equal(clf.history_.columns["mine"][-1], bad)
    column = EpochScoring(Undecided(bad, epoch), name="mine")
    clf.set_params(callbacks=[column, EarlyStopping("mine")])
    with pytest.raises(ValueError, match=f"'mine' is {bad} after epoch {epoch}"):
        clf.fit(X, Y, X_val=X, y_val=Y)
    clf.set_params(
        callbacks=None,
        scoring=Undecided(bad, epoch),
        learning_rate_schedule="plateau",
    )
    with pytest.raises(ValueError, match=r"Plateau\(.*goes by a loss that is"):
        clf.fit(X, Y, X_val=X, y_val=Y)


@pytest.mark.filterwarnings("ignore:X_val lies far")
def test_a_loss_of_validation_that_is_not_finite_ends_early_stopping():
    far = X.copy()
    far[0] = 1e200
    reg = DNNRegressor((4,), **STOP)
    with np.errstate(over="ignore"):
        with pytest.raises(ValueError, match="loss of the held-out rows is inf"):
            reg.fit(X, NUMBERS, X_val=far, y_val=NUMBERS)
        reg.set_params(early_stopping=False).fit(X, NUMBERS, X_val=far, y_val=NUMBERS)
    assert reg.validation_loss_curve_ == [math.inf] * 2


def test_the_best_of_a_curve_leaves_gaps_out():
    class Ends(EpochScoring):
        def on_epoch_end(self, state):
            if state.history.epochs == 1:
                state.history.validation_loss_curve[0] = math.nan

    clf = DNNClassifier((4,), max_iter=3, callbacks=[Ends("accuracy")])
    clf.fit(X, Y, X_val=X, y_val=Y)
    assert clf.best_loss_ == min(clf.validation_loss_curve_[1:])


def test_what_is_no_scorer():
    clf = DNNClassifier((4,), scoring=lambda est, x, y: [1, 2], **STOP)
    with pytest.raises(TypeError, match=r"one number, larger being better.*\[1, 2\]"):
        clf.fit(X, Y)
    clf.set_params(scoring=lambda est, x, y: est.missing)
    with pytest.raises(AttributeError, match="missing") as error:
        clf.fit(X, Y)
    if hasattr(error.value, "__notes__"):
        assert "cannot score DNNClassifier on 15 rows" in error.value.__notes__[0]
