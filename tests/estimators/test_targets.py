"""Kinds of y: several labels, several outputs, classes in order; and their weights."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import scale
from sklearn.utils import check_array, get_tags

from slimlearn import DNNClassifier, LinearClassifier, Ordinal

iris_x, iris_y = load_iris(return_X_y=True)
iris_x = scale(iris_x)
many_x, many_y = make_multilabel_classification(
    120, 8, n_classes=4, n_labels=2, random_state=0
)
many_x = scale(many_x)
NAMES = np.array(["low", "high", "middle"])
several = np.stack([NAMES[iris_y], np.where(iris_x[:, 1] > 0, "wide", "thin")], axis=1)
exact = {"tol": 1e-9, "max_iter": 1000, "l2_regularization": 0.01}


def test_each_label_is_a_logistic_regression():
    clf = LinearClassifier(**exact).fit(many_x, many_y)
    assert clf.classes_.tolist() == [0, 1, 2, 3]
    for j, column in enumerate(many_y.T):
        # The loss is the mean of the four labels' losses.
        peer = LogisticRegression(C=1 / (0.01 * 4 * len(many_x)), tol=1e-9)
        peer.fit(many_x, column)
        wanted = peer.predict_proba(many_x)
        np.testing.assert_allclose(
            clf.predict_proba(many_x)[:, j], wanted[:, 1], atol=1e-5
        )
        np.testing.assert_allclose(
            clf.predict_log_proba(many_x)[:, j], np.log(wanted[:, 1]), atol=1e-4
        )
    predicted = clf.predict(many_x)
    assert predicted.dtype == np.int64 and set(np.unique(predicted)) == {0, 1}
    assert clf.score(many_x, many_y) == accuracy_score(many_y, predicted)


@pytest.mark.parametrize("form", [csr_matrix, pd.DataFrame, np.ndarray.tolist])
def test_an_indicator_comes_in_any_form(form):
    clf = DNNClassifier((6,), max_iter=3, random_state=0)
    plain = clone(clf).fit(many_x, many_y).predict_proba(many_x)
    given = form(many_y)
    assert np.array_equal(clf.fit(many_x, given).predict_proba(many_x), plain)


def test_each_output_is_a_softmax_regression():
    clf = LinearClassifier(**exact).fit(iris_x, several)
    assert [c.tolist() for c in clf.classes_] == [
        ["high", "low", "middle"],
        ["thin", "wide"],
    ]
    peer = LogisticRegression(C=1 / (0.01 * 2 * len(iris_x)), tol=1e-9)
    wanted = peer.fit(iris_x, several[:, 0]).predict_proba(iris_x)
    first, second = clf.predict_proba(iris_x)
    np.testing.assert_allclose(first, wanted, atol=1e-5)
    assert second.shape == (150, 2)
    np.testing.assert_allclose(second.sum(axis=1), 1)
    predicted = clf.predict(iris_x)
    assert np.array_equal(predicted[:, 0], clf.classes_[0][first.argmax(axis=1)])
    right = (predicted == several).all(axis=1)
    weights = np.arange(150.0)
    assert clf.score(iris_x, several) == right.mean() > 0.8
    assert clf.score(iris_x, several, weights) == np.average(right, weights=weights)
    np.testing.assert_allclose(clf.predict_log_proba(iris_x)[0], np.log(first))
    assert not hasattr(clf, "decision_function")
    twin = pickle.loads(pickle.dumps(clf))
    assert np.array_equal(twin.predict(iris_x), predicted)


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "focal"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_several_labels_and_outputs_with_all_that_fit_offers(loss, precision):
    for X, y in ((many_x, many_y), (iris_x, several)):
        weights = np.arange(len(X)) % 3
        clf = DNNClassifier((16,), loss=loss, early_stopping=True, random_state=0)
        clf.set_params(precision=precision, max_iter=40)
        clf.fit(X, y, weights)
        assert clf.validation_loss_curve_[-1] < clf.validation_loss_curve_[0]
        clf.fit(X, y, X_val=X[:30], y_val=y[:30])
        clf.set_params(early_stopping=False).fit(X, y)
        assert clf.score(X, y) > 0.2
        assert hasattr(clf, "predict_proba") == (loss != "hinge")


def test_outputs_of_different_types():
    frame = pd.DataFrame({"name": NAMES[iris_y], "wide": iris_x[:, 1] > 0, "n": iris_y})
    try:
        check_array(frame, dtype=None)
    except ValueError as error:
        pytest.skip(f"this scikit-learn does not read strings of this pandas: {error}")
    clf = DNNClassifier((16,), random_state=0).fit(iris_x, frame)
    assert [c.tolist() for c in clf.classes_] == [
        ["high", "low", "middle"],
        [False, True],
        [0, 1, 2],
    ]
    assert clf.predict(iris_x).tolist()[0] == ["low", True, 0]
    assert clf.score(iris_x, frame) > 0.7


def test_rows_that_lack_a_class_are_scored_like_others():
    y = np.stack([iris_y, iris_x[:, 1] > 0], axis=1)
    clf = LinearClassifier(**exact).fit(iris_x[:100], y[:100])
    assert clf.score(iris_x[100:], y[100:]) == 0
    assert clf.score(iris_x[:100], y[:100]) > 0.9


def test_rows_of_weight_zero_are_absent():
    weights = (np.arange(120) < 80).astype(float)
    clf = LinearClassifier(**exact)
    all_rows = clone(clf).fit(many_x, many_y, weights)
    kept = clf.fit(many_x[:80], many_y[:80])
    np.testing.assert_allclose(all_rows.coef_, kept.coef_, rtol=1e-4, atol=1e-5)


def test_a_column_of_labels_is_ravelled_with_a_warning():
    clf = DNNClassifier((4,), max_iter=1)
    with pytest.warns(DataConversionWarning):
        clf.fit(iris_x, iris_y[:, None])
    assert clf.predict(iris_x).shape == (150,)


def test_partial_fit_of_several_labels_and_outputs():
    clf = DNNClassifier((8,), random_state=0)
    with pytest.raises(ValueError, match="classes must be passed"):
        clf.partial_fit(many_x, many_y)
    clf.partial_fit(many_x, many_y, classes=range(4)).partial_fit(many_x, many_y)
    assert clf.n_iter_ == 2
    with pytest.raises(ValueError, match="not the same as on the last call"):
        clf.partial_fit(many_x, many_y, classes=range(5))
    with pytest.raises(ValueError, match="fitted estimator has several labels per row"):
        clf.partial_fit(many_x, many_y[:, 0])
    classes = [["high", "low", "middle", "other"], ["thin", "wide"]]
    clf = DNNClassifier((8,), random_state=0)
    clf.partial_fit(iris_x[:50], several[:50], classes=classes)
    clf.partial_fit(iris_x, several, classes=classes)
    assert clf.predict_proba(iris_x)[0].shape == (150, 4)
    with pytest.raises(ValueError, match="not among the classes"):
        clf.partial_fit(iris_x, np.where(several == "thin", "round", several))


# -- weights of classes ------------------------------


@pytest.mark.parametrize(
    "wish, told",
    [
        ({0: 1.0, 1: 2.0}, "or a list"),
        ([None, None], "4 outputs"),
        ([{0: 1.0, 1: 2.0}, None, "even", None], "got 'even'"),
        ([{7: 1.0}, None, None, None], "none of which is a class"),
    ],
)
def test_class_weights_that_do_not_fit_the_outputs(wish, told):
    with pytest.raises(ValueError, match=told):
        DNNClassifier(class_weight=wish).fit(many_x, many_y)


def test_balanced_outputs_have_no_partial_fit():
    assert hasattr(DNNClassifier(class_weight=[{0: 2.0}, None]), "partial_fit")
    assert not hasattr(DNNClassifier(class_weight=["balanced", None]), "partial_fit")


# -- classes in order ------------------------------


@pytest.fixture(scope="module")
def grades():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 3))
    latent = X @ [2.0, -1.0, 0.5] + rng.logistic(size=300)
    return X, np.digitize(latent, [-2.0, 0.0, 3.0])


def test_ordinal_finds_the_proportional_odds_model(grades):
    X, y = grades
    rng = np.random.RandomState(1)
    X = rng.normal(size=(4000, 3))
    y = np.digitize(X @ [2.0, -1.0, 0.5] + rng.logistic(size=4000), [-2.0, 0.0, 3.0])
    clf = LinearClassifier(loss="ordinal", tol=1e-7, max_iter=500).fit(X, y)
    np.testing.assert_allclose(clf.coefs_[0].ravel(), [2.0, -1.0, 0.5], atol=0.25)
    steps = clf.program_.weights["ordinal/thresholds"]
    theta = np.cumsum(np.r_[steps[0], np.exp(steps[1:])]) - clf.intercepts_[0]
    np.testing.assert_allclose(theta, [-2.0, 0.0, 3.0], atol=0.3)
    distance = theta - X @ clf.coefs_[0]
    below = np.c_[np.zeros(len(X)), 1 / (1 + np.exp(-distance)), np.ones(len(X))]
    wanted = np.diff(below, axis=1)
    p = clf.predict_proba(X)
    np.testing.assert_allclose(p, wanted, atol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(p))
    assert clf.loss_ == pytest.approx(-np.log(p[np.arange(len(X)), y]).mean())
    assert np.array_equal(clf.predict(X), clf.decision_function(X).argmax(axis=1))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_ordinal_of_a_class_without_weight_stays_finite(grades, precision):
    X, y = grades
    clf = LinearClassifier(loss="ordinal", optimizer="adam", learning_rate=1.0)
    clf.set_params(max_iter=60, precision=precision).fit(X, y, y != 1)
    p = clf.predict_proba(X)
    assert np.isfinite(clf.predict_log_proba(X)).all() and p[:, 1].max() < 1e-6
    np.testing.assert_allclose(p.sum(axis=1), 1)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_ordinal_starts_at_the_classes_shares(grades, precision):
    X, y = grades
    clf = LinearClassifier(loss="ordinal", optimizer="sgd", learning_rate=1e-12)
    clf.set_params(max_iter=1, precision=precision).fit(X, y)
    shares = np.bincount(y) / len(y)
    np.testing.assert_allclose(clf.predict_proba(X)[0], shares, rtol=1e-5)


def test_the_order_of_labels_comes_from_y_or_the_loss(grades):
    X, y = grades
    words = np.array(["d", "a", "c", "b"])
    order = words.tolist()
    clf = DNNClassifier((6,), loss="ordinal", max_iter=3, random_state=0)
    wanted = clone(clf).fit(X, y).predict_proba(X)[:, np.argsort(words)]
    kept = clone(clf)
    for y_given in (
        pd.Series(pd.Categorical(words[y], categories=[*order, "e"], ordered=True)),
        pl.Series(words[y], dtype=pl.Enum(order)),
    ):
        kept.fit(X, y_given)
        assert kept.classes_.tolist() == ["a", "b", "c", "d"]
        np.testing.assert_allclose(kept.predict_proba(X), wanted, rtol=1e-12)
    clf.set_params(loss=Ordinal(order=order)).fit(X, words[y])
    np.testing.assert_allclose(clf.predict_proba(X), wanted, rtol=1e-12)
    twin = pickle.loads(pickle.dumps(clf))
    assert np.array_equal(twin.predict(X), clf.predict(X))
    clone(clf).fit(X, words[y])


@pytest.mark.parametrize(
    "loss, labels, told",
    [
        ("ordinal", "dacb", "needs the order of the labels"),
        (Ordinal(["a", "b", "c"]), "dacb", r"lacks \['d'\]"),
        (Ordinal(["a", "b", "a"]), "dacb", "twice"),
        (Ordinal("abcd"), "dacb", "must be a list of labels"),
    ],
)
def test_labels_without_an_order(grades, loss, labels, told):
    X, y = grades
    with pytest.raises(ValueError, match=told):
        DNNClassifier(loss=loss).fit(X, np.array(list(labels))[y])


@pytest.mark.parametrize("kind", [np.array, pd.Index, tuple, "categories"], ids=str)
def test_the_order_of_labels_comes_in_any_form(grades, kind):
    X, y = grades
    words, order = np.array(list("dacb"))[y], list("dacb")
    if kind == "categories":
        order = pd.Series(pd.Categorical(words, order, ordered=True)).cat.categories
    else:
        order = kind(order)
    clf = LinearClassifier(loss=Ordinal(order=order), l2_regularization=1e-3)
    wanted = clone(clf).set_params(loss=Ordinal(list("dacb"))).fit(X, words)
    clf = clone(clf).fit(X, words)
    assert np.array_equal(clf.predict_proba(X), wanted.predict_proba(X))
    same, other = Ordinal(kind_of(order)), Ordinal(kind_of(order)[::-1])
    assert clf.loss == same and hash(clf.loss) == hash(same) and clf.loss != other
    assert "order=" in repr(clf)
    clf.set_params(warm_start=True).fit(X, words)
    with pytest.raises(ValueError, match="warm_start: the fitted estimator has loss="):
        clf.set_params(loss=other).fit(X, words)


def kind_of(order):
    """A copy of the order in its own form."""
    return order[:] if isinstance(order, tuple) else order.copy()


@pytest.mark.parametrize("kind", [set, frozenset, lambda c: dict.fromkeys(c).keys()])
def test_classes_may_be_a_set(kind):
    rows, labels = np.eye(3)[[0, 1, 2, 0]], np.array(["b", "a", "c", "b"])
    clf = DNNClassifier(random_state=0).partial_fit(rows, labels, classes=kind("abc"))
    assert clf.classes_.tolist() == ["a", "b", "c"]
    clf.partial_fit(rows, labels, classes=kind("cab"))
    with pytest.raises(ValueError, match="not the same as on the last call"):
        clf.partial_fit(rows, labels, classes=kind("abcd"))
    several = np.c_[labels, labels[::-1]]
    clf = DNNClassifier().partial_fit(rows, several, classes=[kind("abc"), kind("abc")])
    assert [c.tolist() for c in clf.classes_] == [["a", "b", "c"]] * 2


@pytest.mark.parametrize(
    "call",
    [
        lambda clf, y: clf.partial_fit(ROWS, y + 99_999, classes=MANY),
        lambda clf, y: clf.partial_fit(ROWS, y, classes=MANY).partial_fit(
            ROWS, y, classes=MANY[1:]
        ),
        lambda clf, y: clf.set_params(class_weight={-1: 2.0, -2: 1.0}).partial_fit(
            ROWS, y, classes=MANY
        ),
        lambda clf, y: clf.set_params(loss=Ordinal(MANY[::-1])).partial_fit(
            ROWS, y, classes=np.arange(100_001)
        ),
        lambda clf, y: clf.fit(ROWS, y).partial_fit(ROWS, y, classes=MANY),
    ],
)
def test_errors_list_the_first_of_many_classes(call):
    with pytest.raises(ValueError, match=r", …\] \(\d+ in all\)") as raised:
        call(DNNClassifier((1,), max_iter=1), np.array([0, 1, 2]))
    assert len(str(raised.value)) < 500


ROWS, MANY = np.eye(3), np.arange(100_000)


def test_ordinal_of_two_classes_and_of_several_outputs(grades):
    X, y = grades
    two = LinearClassifier(loss="ordinal").fit(X, y > 1)
    plain = LinearClassifier().fit(X, y > 1)
    assert np.array_equal(two.predict_proba(X), plain.predict_proba(X))
    assert not get_tags(two).classifier_tags.multi_label
    assert get_tags(LinearClassifier()).target_tags.multi_output
    with pytest.raises(ValueError, match="needs one label per row"):
        LinearClassifier(loss="ordinal").fit(X, np.c_[y, y])


# -- what does not fit ------------------------------


def test_validation_data_of_another_kind():
    clf = DNNClassifier((4,), max_iter=1)
    with pytest.raises(ValueError, match="y_val has shape"):
        clf.fit(many_x, many_y, X_val=many_x, y_val=many_y[:, :2])
    with pytest.raises(ValueError, match="indicator of 0 and 1"):
        clf.fit(many_x, many_y, X_val=many_x, y_val=many_y + 1)
    with pytest.raises(ValueError, match="not among the classes"):
        clf.fit(iris_x, several, X_val=iris_x, y_val=several[:, ::-1])
