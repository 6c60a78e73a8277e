"""sample_weight and class_weight in every method that takes them."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.utils.class_weight import compute_sample_weight

from slimlearn import DNNClassifier, DNNRegressor

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
ORDER = np.random.RandomState(0).permutation(150)[:120]
X, Y = X[ORDER], Y[ORDER]
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
LABELS = np.c_[Y == 0, Y > 0, X[:, 0] > 0].astype(int)
OUTPUTS = np.c_[Y, (X[:, 1] > 0) + 5]
NUMBERS = X @ [1.0, -2.0, 3.0, 0.5] + 4
WEIGHTS = np.random.RandomState(1).uniform(0, 3, 120)
WEIGHTS[::7] = 0
CLF = DNNClassifier((6,), max_iter=3, batch_size=40, random_state=0)
REG = DNNRegressor((6,), max_iter=3, batch_size=40, random_state=0)


def fit(est, y, weights, X=X):
    return est.fit(X, y, weights)


def fit_chunks(est, y, weights):
    parts = [slice(0, 70), slice(70, 120)]
    return est.fit_chunks(
        [(X[p], y[p], None if weights is None else weights[p]) for p in parts]
    )


def partial_fit(est, y, weights, X=X):
    known = {}
    if isinstance(est, DNNClassifier):
        known["classes"] = est.__class__(max_iter=1).fit(X, y).classes_
    for _ in range(2):
        est.partial_fit(X, y, sample_weight=weights, **known)
    return est


def factors(y, wish):
    """The weight of each row by its class, by hand."""
    return np.array([wish.get(label, 1.0) for label in y.tolist()])


def assert_close(a, b):
    for name, array in a.program_.weights.items():
        np.testing.assert_allclose(
            b.program_.weights[name], array, rtol=1e-8, atol=1e-11
        )


@pytest.mark.parametrize("train", [fit, partial_fit, fit_chunks])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize(
    "y, wish",
    [
        (Y, {0: 2.0, 1: 0.5, 2: 3.0}),
        (Y, {1: 2.0}),
        (Y, {0: 1.0, 1: 0.0}),
        (NAMES, {"setosa": 2.0}),
    ],
    ids=["all", "one", "without a class", "text"],
)
def test_class_weights_multiply_those_of_the_rows(train, weights, y, wish):
    by_hand = factors(y, wish) * (1.0 if weights is None else weights)
    expected = train(clone(CLF), y, by_hand)
    assert_close(expected, train(clone(CLF).set_params(class_weight=wish), y, weights))
    assert not np.allclose(
        train(clone(CLF), y, weights).predict_log_proba(X)[0],
        expected.predict_log_proba(X)[0],
    )


@pytest.mark.parametrize("train", [fit, fit_chunks])
def test_balanced_weights(train):
    y = np.minimum(Y, 1)
    expected = train(clone(CLF), y, compute_sample_weight("balanced", y))
    balanced = clone(CLF).set_params(class_weight="balanced")
    assert_close(expected, train(balanced, y, None))


@pytest.mark.parametrize("train", [fit, fit_chunks])
def test_balanced_weights_count_those_of_the_rows(train):
    y = np.minimum(Y, 1)
    sums = np.bincount(y, WEIGHTS)
    expected = train(clone(CLF), y, WEIGHTS * (WEIGHTS.sum() / (2 * sums))[y])
    balanced = clone(CLF).set_params(class_weight="balanced")
    assert_close(expected, train(balanced, y, WEIGHTS))


@pytest.mark.parametrize("train", [fit, partial_fit])
@pytest.mark.parametrize(
    "y", [Y, LABELS, OUTPUTS], ids=["classes", "labels", "outputs"]
)
@pytest.mark.parametrize("est", [CLF, REG], ids=["classifier", "regressor"])
def test_rows_without_weight_count_as_absent(train, est, y):
    est = clone(est).set_params(batch_size=150, shuffle=False)
    kept = WEIGHTS > 0
    expected = train(clone(est), y[kept], WEIGHTS[kept], X[kept])
    assert_close(expected, train(clone(est), y, WEIGHTS))


def test_scores_are_weighted():
    clf = clone(CLF).set_params(class_weight={0: 5.0}).fit(X, Y)
    expected = accuracy_score(Y, clf.predict(X), sample_weight=WEIGHTS)
    assert clf.score(X, Y, WEIGHTS) == pytest.approx(expected)
    assert clf.score(X, Y, sample_weight=WEIGHTS) != clf.score(X, Y)
    for y in (LABELS, OUTPUTS):
        clf = clone(CLF).fit(X, y)
        right = (clf.predict(X) == y).all(axis=1)
        expected = np.average(right, weights=WEIGHTS)
        assert clf.score(X, y, WEIGHTS) == pytest.approx(expected)
    for y in (NUMBERS, np.c_[NUMBERS, X[:, 0]]):
        reg = clone(REG).fit(X, y)
        expected = r2_score(y, reg.predict(X), sample_weight=WEIGHTS)
        assert reg.score(X, y, WEIGHTS) == pytest.approx(expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("train", ["fit", "fit_chunks"])
def test_losses_of_validation_are_weighted(train, weights):
    held = {"X_val": X, "y_val": Y, "sample_weight_val": weights}
    clf = clone(CLF).set_params(class_weight={0: 5.0})
    data = (X[::2], Y[::2]) if train == "fit" else ([(X[::2], Y[::2])],)
    getattr(clf, train)(*data, **held)
    # Class weights are for training.
    expected = log_loss(Y, clf.predict_proba(X), sample_weight=weights)
    assert clf.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-6)
    scored = clone(clf).set_params(early_stopping=True, scoring="accuracy")
    getattr(scored, train)(*data, **held)
    at = scored.best_iteration_ - 1
    best = scored.score(X, Y, sample_weight=weights)
    assert scored.validation_scores_[at] == pytest.approx(best)


BAD = {
    "short": (WEIGHTS[:7], "inconsistent numbers of samples"),
    "negative": (-1 - WEIGHTS, "Negative values"),
    "nan": (np.full(120, np.nan), "NaN"),
    "two columns": (np.c_[WEIGHTS, WEIGHTS], "1D array"),
    "zero": (np.zeros(120), "at least one non-zero"),
    "text": (np.full(120, "heavy"), "could not convert string"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("est, y", [(CLF, Y), (REG, NUMBERS)], ids=["clf", "reg"])
def test_bad_weights_are_refused_everywhere(est, y, bad):
    weights, told = BAD[bad]
    est = clone(est).fit(X, y)
    state = vars(est).copy()
    for call in (
        lambda: est.fit(X, y, weights),
        lambda: est.partial_fit(X, y, sample_weight=weights),
        lambda: est.fit_chunks([(X, y, weights)]),
        lambda: est.fit(X, y, X_val=X, y_val=y, sample_weight_val=weights),
        lambda: est.fit_chunks([(X, y)], X_val=X, y_val=y, sample_weight_val=weights),
    ):
        with pytest.raises(ValueError, match=told):
            call()
        assert vars(est) == state


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("y", [LABELS, OUTPUTS], ids=["labels", "outputs"])
def test_bad_weights_of_scores(y, bad):
    weights, told = BAD[bad]
    clf = clone(CLF).fit(X, y)
    with pytest.raises(ValueError, match=told):
        clf.score(X, y, weights)


@pytest.mark.parametrize("train", [fit, partial_fit, fit_chunks])
@pytest.mark.parametrize(
    "wish, told",
    [
        ({7: 1.0}, r"names \[7\], none of which is a class of y: .* \[0, 1, 2\]"),
        ({0: 1.0, 1: 1.0, "2": 1.0}, r"names \['2'\], none of which is a class"),
        ({0: -1.0}, "finite weights >= 0"),
        ({0: np.inf}, "finite weights >= 0"),
        ({0: "much"}, "finite weights >= 0"),
        ([{0: 1.0}], "can be a list only for y with several outputs"),
    ],
    ids=str,
)
def test_class_weights_that_do_not_fit(train, wish, told):
    with pytest.raises(ValueError, match=told):
        train(clone(CLF).set_params(class_weight=wish), Y, None)


def test_class_weights_for_classes_that_some_rows_lack():
    clf = clone(CLF).set_params(class_weight={0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0})
    few = Y < 2
    plain = clone(CLF).fit(X[few], Y[few], factors(Y[few], {1: 2.0}))
    assert_close(plain, clf.fit(X[few], Y[few]))
    assert_close(clone(CLF).fit(X, Y), clone(CLF).set_params(class_weight={}).fit(X, Y))
