"""What the estimators promise beyond scikit-learn's checks."""

import copy
import doctest
import importlib
import inspect
import io
import logging
import pickle
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from support.reference_runtime import ReferenceModel

from slimlearn import layers
from slimlearn.backend import dataset, reference, training
from slimlearn.backend.optimizer import SGD, Adam, Ftrl
from slimlearn.backend.schedule import Cosine, Plateau
from slimlearn.callbacks import Callback
from slimlearn.estimators import (
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    network,
)
from slimlearn.estimators.summary import Summary

iris_x, iris_y = load_iris(return_X_y=True)
iris_x = StandardScaler().fit_transform(iris_x)
diabetes_x, diabetes_y = load_diabetes(return_X_y=True)
diabetes_x = StandardScaler().fit_transform(diabetes_x)


@network
def tower(x, units=(8,), keep_prob=1.0, is_training=True):
    net = layers.stack(x, layers.fully_connected, units, scope="fc")
    return layers.dropout(net, keep_prob, is_training=is_training)


TAIL = [
    *("optimizer", "learning_rate", "learning_rate_schedule", "schedules", "max_iter"),
    *("batch_size", "accumulate"),
    *("l2_regularization", "gradient_clip_norm", "class_weight", "early_stopping"),
    *("validation_fraction", "n_iter_no_change", "tol", "scoring", "shuffle"),
    *("warm_start", "callbacks", "precision", "device", "n_threads", "random_state"),
    "verbose",
]
NETWORK = ["net", "inputs", "feature_columns"]
CATEGORIES = "categorical_features"
BODY = ["hidden_units", "activation", "dropout", "batch_norm", CATEGORIES]
REGRESSION_TAIL = [name for name in TAIL if name != "class_weight"]


@pytest.mark.parametrize(
    "kind, names",
    [
        (DNNClassifier, [*BODY, "loss", *TAIL]),
        (DNNRegressor, [*BODY, "loss", "quantile", *REGRESSION_TAIL]),
        (NetworkClassifier, [*NETWORK, "loss", *TAIL]),
        (NetworkRegressor, [*NETWORK, "loss", "quantile", *REGRESSION_TAIL]),
        (LinearClassifier, [CATEGORIES, "loss", *TAIL]),
        (LinearRegressor, [CATEGORIES, "loss", "quantile", *REGRESSION_TAIL]),
    ],
)
def test_signatures(kind, names):
    parameters = inspect.signature(kind).parameters
    assert list(parameters) == names
    first = 0 if kind.__name__.startswith("Linear") else 1
    keyword = inspect.Parameter.KEYWORD_ONLY
    assert all(p.kind is keyword for p in list(parameters.values())[first:])
    assert parameters["max_iter"].default == 100
    assert parameters["tol"].default == 1e-4
    for name in parameters:
        assert f"\n{name}" in kind.__doc__ or f", {name}" in kind.__doc__, name
    for part in ("{tail}", "{attributes}", "{class", "{opt", "{regressor"):
        assert part not in kind.__doc__


# -- accuracy ------------------------------


def test_digits():
    X, y = load_digits(return_X_y=True)
    pipe = make_pipeline(
        StandardScaler(), DNNClassifier((100,), max_iter=20, random_state=0)
    )
    assert pipe.fit(X[:1200], y[:1200]).score(X[1200:], y[1200:]) > 0.91


@pytest.mark.parametrize(
    "loss, least",
    [
        ("squared_error", 0.5),
        ("absolute_error", 0.45),
        ("huber", 0.5),
        ("poisson", 0.4),
    ],
)
def test_diabetes_in_its_own_units(loss, least):
    reg = DNNRegressor((16,), loss=loss, max_iter=60, random_state=0)
    reg.fit(diabetes_x, diabetes_y)
    assert reg.score(diabetes_x, diabetes_y) > least
    assert reg.predict(diabetes_x).dtype == np.float64


def test_losses_are_in_the_units_of_y():
    reg = LinearRegressor(tol=1e-7).fit(diabetes_x, diabetes_y)
    residual = reg.predict(diabetes_x) - diabetes_y
    assert reg.loss_ == pytest.approx(np.mean(residual**2))
    both = np.c_[diabetes_y, 1000 * diabetes_y[::-1]]
    reg.fit(diabetes_x, both)
    assert reg.loss_ == pytest.approx(np.mean((reg.predict(diabetes_x) - both) ** 2))
    reg = LinearRegressor(loss="absolute_error", optimizer="adam", shuffle=False)
    reg.set_params(batch_size=1000, max_iter=2).fit(diabetes_x, diabetes_y)
    start = np.mean(np.abs(diabetes_y - diabetes_y.mean()))
    assert reg.loss_curve_[0] == pytest.approx(start)


def test_quantiles_have_their_share_below():
    for q in (0.1, 0.5, 0.9):
        reg = LinearRegressor(loss="quantile", quantile=q, optimizer="adam")
        reg.set_params(max_iter=60, learning_rate=0.02, random_state=0)
        below = diabetes_y < reg.fit(diabetes_x, diabetes_y).predict(diabetes_x)
        assert np.mean(below) == pytest.approx(q, abs=0.05)


def test_linear_regressor_is_least_squares():
    X, y = make_regression(80, 5, n_targets=2, bias=30.0, noise=3.0, random_state=0)
    for target in (y, y[:, 0], y[:, :1]):
        ours = LinearRegressor(tol=1e-9, max_iter=500).fit(X, target)
        theirs = LinearRegression().fit(X, target)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-5)
        assert ours.coef_.shape == theirs.coef_.shape
        assert ours.predict(X).shape == target.shape


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_classifier_is_logistic_regression(classes):
    X, y = iris_x[iris_y < classes], iris_y[iris_y < classes]
    ours = LinearClassifier(l2_regularization=0.1, tol=1e-9, max_iter=1000).fit(X, y)
    theirs = LogisticRegression(C=1 / (0.1 * len(X)), tol=1e-9, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-4, atol=1e-6
    )
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.intercept_.shape == theirs.intercept_.shape
    np.testing.assert_allclose(
        X @ ours.coef_.T + ours.intercept_,
        ours.decision_function(X).reshape(len(X), -1),
        rtol=1e-9,
        atol=1e-9,
    )


def test_hinge_separates_and_has_no_probabilities():
    for y in (iris_y, iris_y == 0):
        clf = LinearClassifier(loss="hinge", optimizer="adam", learning_rate=0.05)
        clf.fit(iris_x, y)
        assert clf.score(iris_x, y) > 0.95
        assert not hasattr(clf, "predict_proba")
        with pytest.raises(AttributeError) as told:
            clf.predict_log_proba(iris_x)
        assert "use loss='log_loss'" in str(told.value.__cause__)


# -- what leaves the estimator ------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_keep_their_digits(classes):
    y = np.minimum(iris_y, classes - 1)
    clf = DNNClassifier((), max_iter=1, random_state=0).fit(iris_x, y)
    far = 1000.0 * iris_x
    proba, logs = clf.predict_proba(far), clf.predict_log_proba(far)
    assert proba.dtype == logs.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    assert np.isfinite(logs).all() and logs.min() < -100
    assert proba.min() < 1e-40
    near = clf.predict_proba(iris_x)
    np.testing.assert_allclose(np.log(near), clf.predict_log_proba(iris_x), atol=1e-12)
    if classes == 2:
        z = clf.decision_function(iris_x)
        np.testing.assert_allclose(near[:, 1], 1 / (1 + np.exp(-z)), rtol=1e-12)
        np.testing.assert_allclose(near[:, 0], 1 / (1 + np.exp(z)), rtol=1e-12)


@pytest.mark.parametrize(
    "labels",
    [
        ["setosa", "versicolor", "virginica"],
        [10, -3, 7],
        [1.5, 2.5, 3.0],
        [True, False, False],
    ],
)
def test_any_labels(labels):
    labels = np.array(labels)
    if labels.dtype == float:
        labels = labels.astype(int)
    y = labels[iris_y]
    clf = DNNClassifier((8,), learning_rate=0.01, random_state=0).fit(iris_x, y)
    assert clf.score(iris_x, y) > 0.9
    assert clf.classes_.dtype == y.dtype
    frame = DNNClassifier((8,), learning_rate=0.01, random_state=0)
    frame.fit(iris_x, pd.Series(y))
    np.testing.assert_array_equal(frame.predict(iris_x), clf.predict(iris_x))


def test_the_short_road_is_the_long_road():
    clf = DNNClassifier((8,), max_iter=3, random_state=0).fit(iris_x, iris_y)
    whole = clf.predict_proba(iris_x)
    for X in (
        iris_x.tolist(),
        np.asfortranarray(iris_x),
        np.repeat(iris_x, 2, axis=0)[::2],
        iris_x.astype(">f8"),
        iris_x.astype(np.longdouble),
        np.ma.asarray(iris_x).data,
    ):
        np.testing.assert_array_equal(clf.predict_proba(X), whole)
        many = np.asfortranarray(np.tile(X, (8, 1)))  # too many to be copied
        np.testing.assert_array_equal(clf.predict_proba(many), np.tile(whole, (8, 1)))
    rows = [clf.predict_proba(iris_x[i : i + 1])[0] for i in range(len(iris_x))]
    np.testing.assert_array_equal(rows, whole)
    np.testing.assert_array_equal(clf.predict_proba(iris_x[3:50]), whole[3:50])


def test_plain_arrays_are_fitted_as_any_other():
    clf = DNNClassifier((8,), max_iter=2, random_state=0)
    short = clone(clf).fit(iris_x, iris_y)
    names = list("abcd")
    frame = clone(clf).fit(pd.DataFrame(iris_x, columns=names), iris_y.tolist())
    assert short.program_.params.tobytes() == frame.program_.params.tobytes()
    assert short.n_features_in_ == frame.n_features_in_ == 4
    frame.fit(iris_x, iris_y)
    assert not hasattr(frame, "feature_names_in_")
    short.fit(iris_x[:, :2], iris_y)
    assert short.n_features_in_ == 2
    with pytest.raises(ValueError, match="X has 4 features"):
        short.fit(iris_x[:, :2], iris_y, X_val=iris_x, y_val=iris_y)


@pytest.mark.parametrize("kind", [int, bool, str, float])
def test_the_score_is_scikit_learns_accuracy(kind):
    y = (iris_y % 2).astype(kind)
    clf = DNNClassifier((4,), max_iter=2, random_state=0).fit(iris_x, y)
    for labels in (y, y[::-1], y.tolist(), pd.Series(y), y[:, None]):
        expected = accuracy_score(labels, clf.predict(iris_x))
        assert clf.score(iris_x, labels) == expected
    weights = np.arange(150.0)
    weighed = accuracy_score(y, clf.predict(iris_x), sample_weight=weights)
    assert clf.score(iris_x, y, weights) == weighed
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clf.score(iris_x, y[:-1])


@pytest.mark.parametrize(
    "dtype",
    ["f2", "f4", ">f4", "f8", "g", "u1", "i1", "i2", "u2", "i4", "u4", "i8", "?"],
)
def test_every_number_type_trains_as_its_float(dtype):
    X = np.round(np.abs(iris_x) * 3)
    X = (X > 2).astype(dtype) if dtype == "?" else X.astype(dtype)
    options = {"max_iter": 2, "precision": "float64", "random_state": 0}
    ours = DNNClassifier((4,), **options).fit(X, iris_y)
    plain = DNNClassifier((4,), **options).fit(X.astype("f8"), iris_y)
    np.testing.assert_array_equal(ours.predict_proba(X), plain.predict_proba(X))


def test_the_precision_rule():
    def precision(X, y=None, **options):
        y = iris_y if y is None else y
        clf = DNNClassifier((4,), max_iter=1, **options)
        with np.errstate(all="ignore"):
            return clf.fit(X, y).program_.model.precision

    assert precision(iris_x) == "f64"
    assert precision(iris_x.astype("f4")) == "f32"
    assert precision(iris_x.astype("u1")) == "f32"
    many = np.tile(iris_x, (7, 1))
    assert precision(many, np.tile(iris_y, 7)) == "f32"
    assert precision(iris_x, precision="float32") == "f32"
    assert precision(iris_x.astype("f4"), precision="float64") == "f64"
    linear = LinearClassifier().fit(many, np.tile(iris_y, 7))
    assert linear.program_.model.precision == "f64"


def test_program_prints_and_weights_are_read_only_views():
    clf = DNNClassifier((5, 4), max_iter=1).fit(iris_x, iris_y)
    assert str(clf.program_).startswith("slim 1\nparam %fc1/weights")
    assert [c.shape for c in clf.coefs_] == [(4, 5), (5, 4), (4, 3)]
    assert [c.shape for c in clf.intercepts_] == [(5,), (4,), (3,)]
    with pytest.raises(ValueError, match="read-only"):
        clf.coefs_[0][0, 0] = 1.0
    assert not hasattr(DNNClassifier(), "coefs_")
    assert not hasattr(LinearClassifier(), "coef_")


def test_no_array_attributes_but_classes():
    for est, y in ((DNNClassifier(), iris_y), (DNNRegressor(), iris_y)):
        est.set_params(max_iter=2, early_stopping=True).fit(iris_x, y)
        arrays = [k for k, v in vars(est).items() if isinstance(v, np.ndarray)]
        assert arrays in ([], ["classes_"])


# -- randomness, weights ------------------------------


def test_one_seed_one_result():
    options = {"max_iter": 3, "dropout": 0.3, "random_state": 5}
    first = DNNClassifier((8,), **options).fit(iris_x, iris_y)
    again = DNNClassifier((8,), **options).fit(iris_x, iris_y)
    other = clone(first).set_params(random_state=6).fit(iris_x, iris_y)
    assert str(first.program_) == str(again.program_)
    assert first.program_.params.tobytes() == again.program_.params.tobytes()
    assert first.program_.params.tobytes() != other.program_.params.tobytes()
    threads = clone(first).set_params(n_threads=1).fit(iris_x, iris_y)
    assert first.program_.params.tobytes() == threads.program_.params.tobytes()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_epochs_that_nobody_watches_are_the_same(schedule):
    options = {"learning_rate_schedule": schedule, "batch_size": 7, "random_state": 5}
    clf = DNNClassifier((8,), max_iter=6, dropout=0.3, warm_start=True, **options)
    alone = clone(clf).fit(iris_x, iris_y).fit(iris_x[::9], iris_y[::9])
    clf.set_params(callbacks=[Callback()]).fit(iris_x, iris_y)
    clf.fit(iris_x[::9], iris_y[::9])
    assert alone.program_.params.tobytes() == clf.program_.params.tobytes()
    assert alone.loss_curve_ == clf.loss_curve_
    assert alone.n_iter_ == alone.best_iteration_ == clf.n_iter_ == 12


def test_integer_weights_are_repeated_rows_in_one_batch():
    weights = np.random.RandomState(0).randint(0, 4, len(iris_x))
    repeated = np.repeat(np.arange(len(iris_x)), weights)
    options = {"batch_size": 1000, "max_iter": 20, "shuffle": False, "random_state": 0}
    for kind in (DNNClassifier, DNNRegressor):
        for batch_norm in (False, True):
            est = kind((8,), batch_norm=batch_norm, precision="float64", **options)
            ours = clone(est).fit(iris_x, iris_y, weights)
            rows = clone(est).fit(iris_x[repeated], iris_y[repeated])
            np.testing.assert_allclose(
                ours._values("predict", iris_x),
                rows._values("predict", iris_x),
                rtol=1e-7,
                atol=1e-7,
            )
            est.set_params(precision="float32")
            ours = clone(est).fit(iris_x, iris_y, weights)
            rows = clone(est).fit(iris_x[repeated], iris_y[repeated])
            np.testing.assert_allclose(
                ours._values("predict", iris_x),
                rows._values("predict", iris_x),
                rtol=1e-4,
                atol=1e-4,
            )


def test_constant_weights_are_no_weights():
    options = {"max_iter": 3, "random_state": 0}
    plain = DNNClassifier((8,), **options).fit(iris_x, iris_y)
    constant = DNNClassifier((8,), **options).fit(iris_x, iris_y, np.full(150, 3.7))
    assert plain.program_.params.tobytes() == constant.program_.params.tobytes()


def test_class_weight_is_a_sample_weight():
    y = np.minimum(iris_y, 1)
    options = {"max_iter": 5, "random_state": 0}
    as_dict = DNNClassifier((8,), class_weight={0: 3.0, 1: 0.5}, **options)
    by_hand = DNNClassifier((8,), **options)
    weights = np.where(y == 0, 3.0, 0.5)
    np.testing.assert_allclose(
        as_dict.fit(iris_x, y).predict_proba(iris_x),
        by_hand.fit(iris_x, y, weights).predict_proba(iris_x),
    )
    rare = np.arange(150) < 10
    balanced = LinearClassifier(class_weight="balanced").fit(iris_x, rare)
    plain = LinearClassifier().fit(iris_x, rare)
    assert balanced.predict(iris_x).sum() > plain.predict(iris_x).sum()


# -- iterations, stopping, continuing ------------------------------


def test_no_early_stopping_runs_all_epochs():
    clf = DNNClassifier((4,), max_iter=7).fit(iris_x, iris_y)
    assert clf.n_iter_ == clf.best_iteration_ == len(clf.loss_curve_) == 7
    assert clf.validation_loss_curve_ == clf.validation_scores_ == []
    assert clf.best_validation_score_ is None
    assert clf.loss_ == clf.loss_curve_[-1] and clf.best_loss_ == min(clf.loss_curve_)
    assert clf.learning_rate_ == 1e-3


def test_validation_data_gives_curves_without_stopping():
    clf = DNNClassifier((4,), max_iter=5, scoring="accuracy")
    clf.fit(iris_x, iris_y, X_val=iris_x[::3], y_val=iris_y[::3])
    assert len(clf.validation_loss_curve_) == len(clf.validation_scores_) == 5
    last = clf.score(iris_x[::3], iris_y[::3])
    assert clf.validation_scores_[-1] == pytest.approx(last)
    proba = clf.predict_proba(iris_x[::3])[np.arange(50), iris_y[::3]]
    assert clf.validation_loss_curve_[-1] == pytest.approx(-np.log(proba).mean())


@pytest.mark.parametrize("scoring", ["loss", "accuracy", "neg_log_loss"])
@pytest.mark.parametrize("fraction", [0.2, None])
def test_early_stopping_keeps_the_best_weights(scoring, fraction):
    clf = DNNClassifier(
        (32,),
        early_stopping=True,
        learning_rate=0.05,
        max_iter=200,
        n_iter_no_change=5,
        validation_fraction=fraction,
        scoring=scoring,
        random_state=0,
    ).fit(iris_x, iris_y)
    assert clf.n_iter_ < 200
    assert 1 <= clf.best_iteration_ <= clf.n_iter_
    curve = clf.validation_loss_curve_ if fraction else clf.loss_curve_
    if scoring == "loss":
        assert curve[clf.best_iteration_ - 1] == min(curve) == clf.best_loss_
    else:
        assert clf.best_validation_score_ == max(clf.validation_scores_)
        if fraction is None:
            best = clf.best_validation_score_
            assert clf.best_iteration_ == clf.validation_scores_.index(best) + 1
        if (scoring, fraction) == ("accuracy", None):
            assert clf.score(iris_x, iris_y) == pytest.approx(best)


def test_held_out_rows_are_stratified_and_leave_single_rows():
    y = iris_y.copy()
    y[0] = 9
    clf = DNNClassifier((4,), early_stopping=True, max_iter=3, random_state=0)
    clf.fit(iris_x, y)
    assert list(clf.classes_) == [0, 1, 2, 9]
    assert len(clf.validation_loss_curve_) == 3


def test_warm_start_goes_on_with_the_same_bytes():
    options = {
        "dropout": 0.2,
        "batch_norm": True,
        "random_state": 3,
        "warm_start": True,
    }
    whole = DNNClassifier((8,), max_iter=10, **options).fit(iris_x, iris_y)
    parts = DNNClassifier((8,), max_iter=5, **options).fit(iris_x, iris_y)
    before = parts.program_
    kept = before.params.tobytes()
    parts = pickle.loads(pickle.dumps(parts)).fit(iris_x, iris_y)
    assert parts.n_iter_ == 10
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.program_.params.tobytes() == whole.program_.params.tobytes()
    assert parts.program_.state.tobytes() == whole.program_.state.tobytes()
    assert before.params.tobytes() == kept


def test_warm_start_refuses_another_network():
    clf = DNNClassifier((8,), max_iter=1, warm_start=True).fit(iris_x, iris_y)
    with pytest.raises(ValueError, match="warm_start"):
        clf.set_params(hidden_units=(9,)).fit(iris_x, iris_y)
    with pytest.raises(ValueError, match="not among the classes"):
        clf.set_params(hidden_units=(8,)).fit(iris_x, iris_y + 1)
    with pytest.raises(ValueError, match="former loss"):
        clf.set_params(loss="hinge").fit(iris_x, iris_y)
    clf.set_params(loss="log_loss", optimizer="sgd").fit(iris_x, iris_y)
    assert clf.n_iter_ == 2


def test_partial_fit_is_fit_in_pieces():
    options = {"batch_size": 50, "shuffle": False, "random_state": 0, "max_iter": 3}
    for kind, y in ((DNNClassifier, iris_y), (DNNRegressor, iris_x[:, 0] * 9 + 7)):
        whole = kind((8,), **options).fit(iris_x, y)
        parts = kind((8,), **options)
        for _ in range(3):
            known = {"classes": [0, 1, 2]} if kind is DNNClassifier else {}
            parts.partial_fit(iris_x, y, **known)
        assert parts.n_iter_ == 3 and len(parts.loss_curve_) == 3
        # Iris has as many rows of each class: a row more of each changes nothing.
        np.testing.assert_allclose(
            parts._values("predict", iris_x),
            whole._values("predict", iris_x),
            rtol=1e-9,
            atol=1e-12,
        )
        parts.fit(iris_x, y)
        assert parts.program_.params.tobytes() == whole.program_.params.tobytes()


def test_partial_fit_sees_the_classes_one_by_one():
    clf = DNNClassifier((16,), learning_rate=0.02, random_state=0)
    with pytest.raises(ValueError, match="classes must be passed"):
        clf.partial_fit(iris_x, iris_y)
    for epoch in range(60):
        rows = np.flatnonzero(iris_y == epoch % 3)[:10]
        clf.partial_fit(iris_x[rows], iris_y[rows], classes=[2, 1, 0])
    assert clf.classes_.tolist() == [0, 1, 2]
    assert clf.predict_proba(iris_x).shape == (150, 3)
    with pytest.raises(ValueError, match="not the same as on the last call"):
        clf.partial_fit(iris_x, iris_y, classes=[0, 1])
    with pytest.raises(ValueError, match="not among the classes"):
        clf.partial_fit(iris_x, iris_y + 1)
    program = clf.program_
    kept = program.params.tobytes()
    clf.partial_fit(iris_x, iris_y)
    assert program.params.tobytes() == kept and clf.program_ is not program


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"optimizer": "lbfgs"}, "all rows at once"),
        ({"early_stopping": True}, "all epochs in one fit"),
        ({"class_weight": "balanced"}, "as a dict"),
    ],
)
def test_partial_fit_is_absent_with_the_reason(options, reason):
    clf = DNNClassifier(**options)
    assert not hasattr(clf, "partial_fit")
    with pytest.raises(AttributeError) as told:
        clf.partial_fit(iris_x, iris_y)
    assert reason in str(told.value.__cause__)


def test_held_out_rows_go_through_a_pipeline():
    clf = DNNClassifier((8,), max_iter=3, early_stopping=True)
    with sklearn.config_context(enable_metadata_routing=True):
        clf.set_fit_request(X_val=True, y_val=True)
        pipe = Pipeline(
            [("scale", StandardScaler()), ("clf", clf)], transform_input=["X_val"]
        )
        pipe.fit(iris_x * 9 + 5, iris_y, X_val=iris_x * 9 + 5, y_val=iris_y)
    loss = -pipe[-1].predict_log_proba(iris_x)[np.arange(150), iris_y].mean()
    assert pipe[-1].best_loss_ == pytest.approx(loss)


def test_lbfgs_warns_when_it_ran_out_of_iterations():
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        LinearClassifier(max_iter=2).fit(iris_x, iris_y)
    clf = LinearClassifier(l2_regularization=0.1, max_iter=500).fit(iris_x, iris_y)
    assert clf.n_iter_ == len(clf.loss_curve_) < 500
    assert not hasattr(clf, "learning_rate_")


def test_a_start_that_is_the_minimum():
    reg = LinearRegressor().fit(iris_x, np.zeros(150))
    assert reg.n_iter_ == 1 and np.all(reg.predict(iris_x) == 0)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": SGD(0.5), "learning_rate_schedule": Cosine(warmup=0.1)},
        {"optimizer": "adagrad", "gradient_clip_norm": 0.5},
        {"optimizer": Ftrl(l1=0.01)},
        {"optimizer": "adamw", "learning_rate_schedule": Plateau(n_iter_no_change=2)},
        {"optimizer": "nadam", "learning_rate_schedule": "one_cycle"},
        {"optimizer": "rmsprop", "l2_regularization": 0.1},
        {"optimizer": "adadelta", "learning_rate_schedule": "step"},
        {"optimizer": "sgd", "batch_norm": True, "activation": layers.activation.tanh},
    ],
    ids=lambda options: str(options["optimizer"]),
)
def test_optimizers_and_schedules_lower_the_loss(options):
    clf = DNNClassifier((8,), max_iter=10, random_state=0, **options)
    clf.fit(iris_x, iris_y)
    assert clf.loss_curve_[-1] < clf.loss_curve_[0]


def test_l2_leaves_biases_alone():
    clf = LinearClassifier(l2_regularization=1e4, max_iter=500)
    clf.fit(iris_x, iris_y > 0)
    assert np.abs(clf.coef_).max() < 1e-4
    assert clf.intercept_[0] == pytest.approx(np.log(2), rel=1e-3)


def test_start_is_the_class_shares():
    clf = DNNClassifier((4,), max_iter=1, optimizer="sgd", learning_rate=1e-12)
    clf.fit(iris_x, iris_y > 0)
    assert clf.intercepts_[-1][0] == pytest.approx(np.log(2))


# -- the native loop ------------------------------


@pytest.mark.parametrize(
    "est, y",
    [
        (DNNClassifier((6,), batch_norm=True, dropout=0.3), iris_y),
        (DNNClassifier((6,), early_stopping=True, l2_regularization=0.1), iris_y > 1),
        (DNNRegressor((6,), loss="huber", gradient_clip_norm=0.3), iris_x[:, :2]),
        (NetworkRegressor(tower(keep_prob=0.8), optimizer="sgd"), iris_x[:, 0]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_training_is_the_reference_s(est, y, monkeypatch):
    weights = np.random.RandomState(0).randint(0, 3, 150)
    est.set_params(max_iter=4, random_state=0, precision="float64")
    native = clone(est).fit(iris_x, y, weights)
    monkeypatch.setattr(training, "compile_text", ReferenceModel)
    reference = clone(est).fit(iris_x, y, weights)
    np.testing.assert_allclose(native.loss_curve_, reference.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(
        native._values("predict", iris_x),
        reference._values("predict", iris_x),
        rtol=1e-7,
        atol=1e-9,
    )


def test_profile_names_the_user_s_layers():
    clf = DNNClassifier((8,), max_iter=1).fit(iris_x, iris_y)
    before = clf.program_.params.tobytes()
    profile = clf.profile(iris_x, iris_y, steps=5)
    assert any("fc1" in row["name"] for row in profile)
    assert all(row["seconds"] >= 0 for row in profile)
    assert "a step" in str(profile)
    assert clf.program_.params.tobytes() == before


# -- citizens ------------------------------


def test_pickle_joblib_copy_and_threads():
    clf = NetworkClassifier(tower(), max_iter=2, random_state=0).fit(iris_x, iris_y)
    expected = clf.predict_proba(iris_x)
    file = io.BytesIO()
    joblib.dump(clf, file)
    file.seek(0)
    for twin in (
        pickle.loads(pickle.dumps(clf)),
        joblib.load(file),
        copy.deepcopy(clf),
        copy.copy(clf),
    ):
        np.testing.assert_array_equal(twin.predict_proba(iris_x), expected)
        assert twin.loss_curve_ == clf.loss_curve_
    assert "predict_proba" not in clone(clf).__dict__
    results = []

    def work():
        fitted = clone(clf).fit(iris_x, iris_y)
        results.append((fitted.predict_proba(iris_x), clf.predict_proba(iris_x)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    np.testing.assert_array_equal(results, np.broadcast_to(expected, (4, 2, 150, 3)))


def test_searches_reach_every_parameter_object():
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(),
            NetworkClassifier(tower(), optimizer=Adam(), max_iter=3, random_state=0),
        ),
        {
            "networkclassifier__net__units": [(4,), (8, 4)],
            "networkclassifier__optimizer__beta1": [0.8, 0.9],
        },
        cv=2,
        n_jobs=2,
    ).fit(iris_x, iris_y)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.best_score_)


def test_frames():
    frame = pd.DataFrame(iris_x, columns=list("abcd"))
    clf = DNNClassifier((4,), max_iter=2, random_state=0).fit(frame, iris_y)
    assert list(clf.feature_names_in_) == list("abcd")
    with pytest.warns(UserWarning, match="feature names"):
        clf.predict(iris_x)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[list("dcba")])
    column = make_column_transformer((StandardScaler(), ["a", "b"]))
    scores = cross_val_score(make_pipeline(column, clone(clf)), frame, iris_y, cv=2)
    assert np.isfinite(scores).all()


def test_verbose_and_log(capsys, caplog):
    with caplog.at_level(logging.DEBUG, logger="slimlearn"):
        DNNClassifier((4,), max_iter=2).fit(iris_x, iris_y)
    assert capsys.readouterr() == ("", "")
    assert len(caplog.records) == 2 and "epoch=1 loss=" in caplog.records[0].message
    DNNClassifier((4,), max_iter=2, verbose=2).fit(iris_x, iris_y)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3 and err == ""
    DNNClassifier((4,), max_iter=2, verbose=1).fit(iris_x, iris_y)
    out, err = capsys.readouterr()
    assert out == "" and "2/2" in err


# -- networks ------------------------------


def test_network_objects():
    net = tower(units=(3,))
    assert net.get_params() == {"keep_prob": 1.0, "units": (3,)}
    assert repr(net) == "tower(units=(3,))"
    assert clone(net).units == (3,) and tower((2,), 0.5).keep_prob == 0.5
    assert pickle.loads(pickle.dumps(net)).get_params() == net.get_params()
    assert pickle.loads(pickle.dumps(tower)) is tower
    assert str(inspect.signature(tower)) == "(units=(8,), keep_prob=1.0)"


def test_networks_compose_and_return_end_points():
    @network
    def outer(x, num_classes, units=(4,), is_training=True):
        assert isinstance(is_training, bool)
        net = tower(units=units)(x)
        return layers.linear(net, num_classes, scope="out"), {"tower": net}

    for y, width in ((iris_y, 3), (iris_y > 0, 1)):
        clf = NetworkClassifier(outer(), max_iter=1).fit(iris_x, y)
        assert [c.shape for c in clf.coefs_] == [(4, 4), (4, width)]
    reg = NetworkRegressor(outer(), max_iter=1).fit(iris_x, iris_x[:, :2])
    assert reg.coefs_[-1].shape == (4, 2)


def test_plain_functions_and_bare_classes_are_accepted():
    def plain(x):
        return layers.fully_connected(x, 3)

    for net in (plain, tower):
        clf = NetworkClassifier(net, max_iter=1).fit(iris_x, iris_y)
        assert clf.predict(iris_x).shape == (150,)
        with pytest.raises(ValueError, match="@network"):
            clf.set_params(net__units=(3,))


def test_a_network_that_mixes_rows_is_predicted_whole():
    def mixing(x):
        return x - layers.losses.ops.reduce_mean(x, [0], keepdims=True)

    clf = NetworkClassifier(mixing, max_iter=2).fit(iris_x, iris_y)
    shifted = clf.predict_proba(iris_x + 5.0)
    np.testing.assert_allclose(clf.predict_proba(iris_x), shifted, rtol=1e-9)


def test_layers_own_penalties_join_the_objective():
    def penalised(x, scale):
        return layers.fully_connected(
            x, 1, activation_fn=None, weights_regularizer=layers.l2_regularizer(scale)
        )

    import functools

    weights = []
    for scale in (0.0, 10.0):
        net = functools.partial(penalised, scale=scale)
        reg = NetworkRegressor(net, max_iter=60, learning_rate=0.01, random_state=0)
        weights.append(np.abs(reg.fit(iris_x, iris_x[:, 0]).coefs_[0]).max())
    assert weights[1] < 0.1 * weights[0]


DOCUMENTED = [
    *("backend.schedule", "estimators.custom", "estimators.dnn", "estimators.linear"),
    *("estimators.losses.classes", "estimators.losses.numbers", "estimators.network"),
    *("estimators.losses.distributions", "estimators.losses.own"),
    "estimators.regressor",
]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_in_docstrings(name):
    module = importlib.import_module(f"slimlearn.{name}")
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


# -- rows ------------------------------


def test_auto_batch_size():
    sizes = {1: 32, 1600: 32, 1601: 32, 3000: 64, 5000: 128, 60_000: 256}
    assert {n: dataset.auto_batch_size(n) for n in sizes} == sizes


@pytest.mark.parametrize("n", [1, 2, 32, 33, 34, 64, 65, 100])
def test_steps_are_the_reference_s_batches(n):
    assert dataset.steps_per_epoch(n, 32) == len(reference.batches(n, min(n, 32)))


def test_holdout_keeps_shares_and_single_rows():
    groups = np.repeat([0, 1, 2], [60, 39, 1])
    rows = np.arange(100) * 2
    kept, held = dataset.holdout(rows, 0.2, 0, groups)
    assert np.bincount(groups[held // 2], minlength=3).tolist() == [12, 8, 0]
    assert sorted([*kept, *held]) == rows.tolist()
    again = dataset.holdout(rows, 0.2, 0, groups)[1]
    other = dataset.holdout(rows, 0.2, 1, groups)[1]
    assert np.array_equal(held, again) and not np.array_equal(held, other)


@pytest.mark.parametrize("value", [7.0, 0.0, -1e6, 1e-9])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"max_iter": 3}])
@pytest.mark.parametrize("quantile", [None, 0.5, (0.1, 0.9)])
def test_a_target_that_never_changes_is_predicted_as_it_is(value, options, quantile):
    X = np.random.RandomState(0).normal(size=(60, 3))
    options = {"max_iter": 20, "random_state": 0, **options}
    if quantile is not None:
        options |= {"loss": "quantile", "quantile": quantile}
    y = np.full(60, value)
    reg = DNNRegressor((8,), **options).fit(X, y)
    np.testing.assert_allclose(reg.predict(X), y, rtol=1e-14)
    both = DNNRegressor((8,), **options).fit(X, np.c_[y, X[:, 0]])
    np.testing.assert_allclose(both.predict(X)[:, 0], y, rtol=1e-14)
    assert np.ptp(both.predict(X)[:, 1]) > 0
    if quantile is not None:
        assert np.ptp(reg.predict_quantiles(X)) <= 1e-14 * abs(value)


def test_coefficients_of_a_target_that_never_changes():
    X = np.random.RandomState(0).normal(size=(60, 3))
    reg = LinearRegressor(optimizer="sgd", max_iter=3).fit(X, np.full(60, 7.0))
    np.testing.assert_allclose(X @ reg.coef_ + reg.intercept_, reg.predict(X), 1e-12)
    assert reg.intercept_ == 7.0 and not reg.coef_.any()


def test_a_target_that_changes_later_is_learned():
    X = np.random.RandomState(0).normal(size=(200, 3))
    reg = DNNRegressor((16,), learning_rate=0.01, random_state=0, max_iter=50)
    reg.set_params(warm_start=True).fit(X, np.full(200, 7.0))
    y = 7.0 + 100.0 * X[:, 0]
    assert reg.fit(X, y).score(X, y) > 0.9


def test_weights_are_scaled_without_overflow():
    weights = np.array([1e308, 1e308, 1e300])
    scaled = Summary.of(np.arange(3), weights).scaled(weights)
    assert scaled.mean() == pytest.approx(1.0)
    part = Summary.of(np.arange(2), np.array([1.0, 2.0])).scaled(np.array([1.0, 6.0]))
    assert part.tolist() == pytest.approx([2 / 3, 4.0])


def test_a_known_network_is_built_once(monkeypatch):
    clf = DNNClassifier((11,), max_iter=1, dropout=0.1).fit(iris_x, iris_y)
    monkeypatch.setattr(DNNClassifier, "_network", None)
    clf.set_params(dropout=0.3, optimizer=Adam(0.5), random_state=1)
    clf.fit(iris_x, iris_y)
    with pytest.raises(TypeError):
        clf.set_params(hidden_units=(12,)).fit(iris_x, iris_y)
