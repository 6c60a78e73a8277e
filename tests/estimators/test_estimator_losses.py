"""The estimators' losses: what they find, against scikit-learn's and scipy's."""

import inspect
import pickle

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import huber
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import (
    GammaRegressor,
    PoissonRegressor,
    QuantileRegressor,
    TweedieRegressor,
)
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from support.reference_runtime import ReferenceModel

from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    Focal,
    Huber,
    LinearClassifier,
    LinearRegressor,
    LogLoss,
    Ordinal,
    Tweedie,
    loss,
)
from slimlearn.backend import ops, training
from slimlearn.backend.optimizer import SGD
from slimlearn.layers import per_example

iris_x, iris_y = load_iris(return_X_y=True)
iris_x = scale(iris_x)
X, y = load_diabetes(return_X_y=True)
X = scale(X)
exact = {"tol": 1e-8, "max_iter": 1000}
loose = {"tol": 1e-9, "max_iter": 5000}


def absolute(raw, y):
    """A loss of the user's own, for one target."""
    return ops.abs(raw - y)


def summed(raw, y):
    """A loss of the user's own, for several targets."""
    return ops.reduce_sum(ops.square(raw - y), [1])


def smoothed(raw, y):
    """A loss of the user's own, for classes."""
    loss = per_example.sparse_softmax_cross_entropy(raw, y)
    return loss * 0.9 - ops.reduce_mean(ops.log_softmax(raw), [1]) * 0.1


# -- classes ------------------------------


def test_focal_without_gamma_is_log_loss():
    for target in (iris_y, iris_y > 0):
        clf = DNNClassifier((6,), max_iter=5, random_state=0)
        plain = clone(clf).fit(iris_x, target).predict_proba(iris_x)
        focal = clf.set_params(loss=Focal(gamma=0.0)).fit(iris_x, target)
        np.testing.assert_allclose(focal.predict_proba(iris_x), plain, rtol=1e-8)


def test_focal_reports_its_formula():
    clf = LinearClassifier(loss="focal", **exact).fit(iris_x, iris_y > 1)
    p = clf.predict_proba(iris_x)[np.arange(150), (iris_y > 1).astype(int)]
    assert clf.loss_ == pytest.approx(np.mean(-((1 - p) ** 2) * np.log(p)), rel=1e-4)
    search = GridSearchCV(
        DNNClassifier((4,), loss=Focal(), max_iter=2), {"loss__gamma": [0.0, 1.0]}, cv=2
    )
    assert search.fit(iris_x, iris_y).best_params_["loss__gamma"] in (0.0, 1.0)
    with pytest.raises(ValueError, match="pass an object, such as Focal"):
        DNNClassifier(loss="focal").set_params(loss__gamma=1.0)


def test_gammas_share_a_program():
    first = LinearClassifier(loss=Focal(1.0)).fit(iris_x, iris_y)
    second = LinearClassifier(loss=Focal(3.0)).fit(iris_x, iris_y)
    assert first.program_.text == second.program_.text
    assert not np.allclose(first.coef_, second.coef_)


LABELS = {
    "two": (iris_y == 1).astype(int),
    "three": iris_y,
    "labels": (iris_y[:, None] >= [1, 2]).astype(int),
    "outputs": np.c_[iris_y, iris_y == 2].astype(int),
}


def one_hot(y):
    return np.eye(y.max() + 1)[y]


def softmax_of(raw):
    e = np.exp(raw - raw.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def slope_of_log_loss(kind, raw, y, share):
    """p - y for labels of which a share is spread, and 1 / labels of a row."""
    if kind in ("two", "labels"):
        raw = raw.reshape(len(raw), -1)
        truth = (1 - share) * y.reshape(raw.shape) + share / 2
        return (1 / (1 + np.exp(-raw)) - truth) / raw.shape[1]
    parts = [raw] if kind == "three" else [raw[:, :3], raw[:, 3:]]
    truths = [one_hot(t) for t in y.reshape(len(y), -1).T]
    slopes = [
        softmax_of(part) - (1 - share) * truth - share / truth.shape[1]
        for part, truth in zip(parts, truths, strict=True)
    ]
    return np.concatenate(slopes, axis=1) / len(parts)


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_weights_go_by_smoothed_labels_and_reports_by_plain_ones(
    kind, share, precision
):
    target, weights = LABELS[kind], 1.0 + iris_y
    clf = LinearClassifier(
        loss=LogLoss(label_smoothing=share),
        optimizer=SGD(momentum=0.0),
        learning_rate=1e-300,
        max_iter=1,
        batch_size=150,
        precision=precision,
    )
    held = {"X_val": iris_x, "y_val": target, "sample_weight_val": weights}
    start = clone(clf).fit(iris_x, target, weights, **held)
    clf.set_params(learning_rate=0.1).fit(iris_x, target, weights, **held)
    matrix, bias = start.program_.weights.values()
    raw = iris_x @ matrix + bias
    slope = slope_of_log_loss(kind, raw, target, share)
    slope *= weights[:, None] / weights.mean()
    moved = [
        after - before
        for before, after in zip(
            start.program_.weights.values(), clf.program_.weights.values(), strict=True
        )
    ]
    wanted = -0.1 * iris_x.T @ slope / 150, -0.1 * slope.mean(axis=0)
    loose = (
        {"rtol": 1e-4, "atol": 1e-6}
        if precision == "float32"
        else {"rtol": 1e-9, "atol": 1e-13}
    )
    for got, want in zip(moved, wanted, strict=True):
        np.testing.assert_allclose(got, want.reshape(got.shape), **loose)
    proba = clf.predict_proba(iris_x)
    pairs = {
        "labels": lambda: [(t, np.c_[1 - p, p]) for t, p in zip(target.T, proba.T)],
        "outputs": lambda: list(zip(target.T, proba)),
    }.get(kind, lambda: [(target, proba)])()
    plain = np.mean([log_loss(t, p, sample_weight=weights) for t, p in pairs])
    assert clf.validation_loss_curve_[0] == pytest.approx(plain, rel=1e-5)
    # Before the step, as the mean over its rows.
    proba = start.predict_proba(iris_x)
    if kind in ("two", "three"):
        plain = log_loss(target, proba, sample_weight=weights)
        assert clf.loss_curve_[0] == pytest.approx(plain, rel=1e-5)


def test_smoothed_labels_start_at_the_prior_share_a_program_and_are_searched():
    options = {"optimizer": "sgd", "learning_rate": 1e-300, "max_iter": 1}
    plain = LinearClassifier(**options).fit(iris_x, iris_y > 1, 1.0 + iris_y)
    clf = LinearClassifier(loss=LogLoss(0.1), **options)
    clf.fit(iris_x, iris_y > 1, 1.0 + iris_y)
    np.testing.assert_array_equal(clf.intercept_, plain.intercept_)
    other = clone(clf).set_params(loss__label_smoothing=0.3).fit(iris_x, iris_y > 1)
    assert other.program_.text == clf.fit(iris_x, iris_y > 1).program_.text
    none = LinearClassifier(loss=LogLoss(), **options).fit(iris_x, iris_y > 1)
    assert none.program_.text == plain.fit(iris_x, iris_y > 1).program_.text
    search = GridSearchCV(clf, {"loss__label_smoothing": [0.0, 0.2]}, cv=2)
    search.fit(iris_x, iris_y > 1)
    restored = pickle.loads(pickle.dumps(search.best_estimator_))
    assert restored.loss == search.best_estimator_.loss
    for wrong in (-0.1, 1.0, "a", True):
        with pytest.raises(ValueError, match="'label_smoothing' parameter of LogLoss"):
            LinearClassifier(loss=LogLoss(wrong)).fit(iris_x, iris_y)
    with pytest.raises(ValueError, match="LogLoss"):
        LinearRegressor(loss=LogLoss()).fit(X, y)


def test_smoothed_labels_keep_logits_small():
    # Separable: plain log loss has no minimum.
    clf = LinearClassifier(loss=LogLoss(0.1), l2_regularization=0.0, **exact)
    clf.fit(iris_x, iris_y == 0)
    assert np.median(clf.predict_proba(iris_x).max(axis=1)) < 0.97
    assert clf.score(iris_x, iris_y == 0) == 1.0


# -- numbers ------------------------------


@pytest.mark.parametrize("delta", [0.3, 1.0])
def test_huber_is_in_deviations_of_y(delta):
    reg = LinearRegressor(loss=Huber(delta=delta), **exact).fit(X, y)
    target = (y - y.mean()) / y.std()
    design = np.c_[X, np.ones(len(X))]

    def cost(w):
        residual = design @ w - target
        slope = np.clip(residual, -delta, delta)
        return huber(delta, residual).mean(), design.T @ slope / len(X)

    best = minimize(cost, np.zeros(11), jac=True, tol=1e-12)
    wanted = (design @ best.x) * y.std() + y.mean()
    np.testing.assert_allclose(reg.predict(X), wanted, rtol=1e-3)
    assert reg.loss_ == pytest.approx(best.fun * y.var(), rel=1e-6)


@pytest.mark.parametrize(
    "loss, peer",
    [
        ("poisson", PoissonRegressor(alpha=0, **loose)),
        ("gamma", GammaRegressor(alpha=0, **loose)),
        ("tweedie", TweedieRegressor(power=1.5, link="log", alpha=0, **loose)),
        (Tweedie(1), PoissonRegressor(alpha=0, **loose)),
        (Tweedie(2), GammaRegressor(alpha=0, **loose)),
        (Tweedie(3), TweedieRegressor(power=3, link="log", alpha=0, **loose)),
    ],
    ids=str,
)
def test_log_links_are_scikit_learn_s_models(loss, peer):
    amounts, weights = y / 100, np.arange(len(y)) % 3
    reg = LinearRegressor(loss=loss, **exact).fit(X, amounts, weights)
    peer.fit(X, amounts, weights)
    np.testing.assert_allclose(reg.coef_, peer.coef_, atol=2e-4)
    assert reg.intercept_ == pytest.approx(peer.intercept_, abs=2e-4)
    np.testing.assert_allclose(reg.predict(X), peer.predict(X), rtol=2e-3)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie", Tweedie(3)], ids=str)
def test_log_links_start_at_the_mean(loss):
    both = np.c_[y, y / 50]
    reg = LinearRegressor(loss=loss, optimizer="sgd", learning_rate=1e-12, max_iter=1)
    for target in (y, both):
        reg.fit(X, target)
        start = np.broadcast_to(target.mean(axis=0), target.shape)
        np.testing.assert_allclose(reg.predict(X), start, rtol=1e-5)


@pytest.mark.parametrize(
    "loss, bad, told",
    [
        ("poisson", -1.0, "needs y >= 0; y has negative values"),
        ("gamma", 0.0, "needs y > 0; y has zeros"),
        ("tweedie", -1.0, "needs y >= 0"),
        (Tweedie(2.5), 0.0, "needs y > 0"),
    ],
    ids=str,
)
def test_targets_outside_the_domain(loss, bad, told):
    wrong = np.where(np.arange(len(y)) == 3, bad, y)
    reg = LinearRegressor(loss=loss, optimizer="adam", max_iter=1)
    with pytest.raises(ValueError, match=told):
        reg.fit(X, wrong)
    with pytest.raises(ValueError, match=told):
        reg.fit(X, y, X_val=X, y_val=wrong)
    with pytest.raises(ValueError, match=told):
        reg.partial_fit(X, y).partial_fit(X, wrong)
    # A row of weight 0 counts as absent.
    reg.fit(X, wrong, np.arange(len(y)) != 3)


# -- quantiles ------------------------------

LEVELS = (0.9, 0.1, 0.5)


def test_several_quantiles():
    reg = DNNRegressor((16,), loss="quantile", quantile=LEVELS, random_state=0)
    reg.set_params(max_iter=150, learning_rate=0.005).fit(X, y)
    found = reg.predict_quantiles(X)
    assert found.shape == (442, 3)
    assert (found[:, 1] <= found[:, 2]).all() and (found[:, 2] <= found[:, 0]).all()
    np.testing.assert_allclose((y[:, None] <= found).mean(axis=0), LEVELS, atol=0.06)
    np.testing.assert_array_equal(reg.predict(X), found[:, 2])
    assert np.array_equal(clone(reg).fit(X, y[:, None]).predict(X), found[:, [2]])
    nearest = reg.set_params(quantile=[0.9, 0.3], max_iter=1).fit(X, y)
    assert np.array_equal(nearest.predict(X), nearest.predict_quantiles(X)[:, 1])


def test_quantiles_cost_what_they_should():
    reg = LinearRegressor(loss="quantile", quantile=LEVELS, optimizer="adam")
    reg.set_params(
        max_iter=300, learning_rate=0.02, learning_rate_schedule="cosine"
    ).set_params(random_state=0)
    reg.fit(X, y, X_val=X, y_val=y)
    costs, best = [], []
    for level, column in zip(LEVELS, reg.predict_quantiles(X).T):
        peer = QuantileRegressor(quantile=level, alpha=0).fit(X, y).predict(X)
        for values, into in ((column, costs), (peer, best)):
            e = y - values
            into.append(np.maximum(level * e, (level - 1) * e).mean())
    assert reg.validation_loss_curve_[-1] == pytest.approx(np.mean(costs), rel=1e-3)
    assert np.mean(costs) == pytest.approx(np.mean(best), rel=1e-2)


def test_quantiles_of_several_targets():
    both = np.c_[y, 1000 - 3 * y]
    reg = LinearRegressor(loss="quantile", quantile=LEVELS, optimizer="adam")
    reg.set_params(max_iter=60, learning_rate=0.02, random_state=0).fit(
        X, both, X_val=X, y_val=both
    )
    found = reg.predict_quantiles(X)
    assert found.shape == (442, 2, 3)
    np.testing.assert_array_equal(reg.predict(X), found[..., 2])
    below = (both[..., None] <= found).mean(axis=0)
    np.testing.assert_allclose(below, [LEVELS, LEVELS], atol=0.06)
    e = both[..., None] - found
    cost = np.maximum(np.multiply(LEVELS, e), (np.array(LEVELS) - 1) * e).mean()
    assert reg.validation_loss_curve_[-1] == pytest.approx(cost, rel=1e-3)
    assert reg.coef_.shape == (6, 10)


def test_one_quantile_has_a_column():
    reg = LinearRegressor(loss="quantile", quantile=0.3, optimizer="adam", max_iter=2)
    assert np.array_equal(
        reg.fit(X, y).predict_quantiles(X), reg.predict(X)[:, np.newaxis]
    )
    assert not hasattr(LinearRegressor(), "predict_quantiles")


def test_quantiles_pass_through_a_pipeline():
    reg = LinearRegressor(loss="quantile", quantile=LEVELS, optimizer="adam")
    pipe = make_pipeline(StandardScaler(), reg.set_params(max_iter=2))
    for target in (y, np.c_[y, -y]):
        middle, found = pipe.fit(X, target).predict(X, return_quantiles=True)
        assert np.array_equal(found, pipe[-1].predict_quantiles(scale(X)))
        assert np.array_equal(middle, pipe.predict(X))
    reg.set_params(quantile=0.3).fit(X, y)
    assert reg.predict(X[:3], return_quantiles=True)[1].shape == (3, 1)
    plain = LinearRegressor(optimizer="adam", max_iter=1)
    with pytest.raises(NotFittedError):
        plain.predict(X, return_quantiles=True)
    with pytest.raises(ValueError, match="was fitted with loss='squared_error'"):
        plain.fit(X, y).predict(X, return_quantiles=True)


# -- what was fitted decides ------------------------------


def test_a_fitted_regressor_does_not_go_by_later_parameters():
    reg = LinearRegressor(loss="quantile", quantile=LEVELS, optimizer="adam")
    found = reg.set_params(max_iter=2).fit(X, y).predict_quantiles(X)
    reg.set_params(loss="squared_error", quantile=None)
    assert np.array_equal(reg.predict_quantiles(X), found)
    assert np.array_equal(reg.predict(X, return_quantiles=True)[1], found)
    reg.fit(X, y).set_params(loss="quantile", quantile=LEVELS)
    assert not hasattr(reg, "predict_quantiles")


def test_a_fitted_classifier_does_not_go_by_later_parameters():
    clf = LinearClassifier().fit(iris_x, iris_y)
    found = clf.predict_proba(iris_x)
    assert np.array_equal(clf.set_params(loss="hinge").predict_proba(iris_x), found)
    clf.set_params(optimizer="adam", max_iter=2)  # which takes kinks as they come
    clf.fit(iris_x, iris_y).set_params(loss="log_loss")
    assert not hasattr(clf, "predict_proba")


def test_parameters_of_a_loss_that_are_set_later():
    reg = DNNRegressor((4,), loss=Huber(delta=0.5), max_iter=1, warm_start=True)
    reg.fit(X, y).set_params(loss__delta=2.0)
    with pytest.raises(ValueError, match=r"has loss=Huber\(delta=0.5\), now it is Hub"):
        reg.fit(X, y)


@pytest.mark.parametrize(
    "quantile, told",
    [
        ((0.1, 1.0), r"must be numbers in \(0, 1\)"),
        ((), r"must be numbers in \(0, 1\)"),
        ([0.5, 0.5], "twice"),
        (["a"], r"must be numbers in \(0, 1\)"),
    ],
)
def test_quantiles_out_of_range(quantile, told):
    with pytest.raises(ValueError, match=told):
        DNNRegressor(loss="quantile", quantile=quantile).fit(X, y)


def test_warm_start_keeps_its_quantiles():
    reg = DNNRegressor((4,), loss="quantile", quantile=(0.2, 0.8), max_iter=1)
    reg.set_params(warm_start=True).fit(X, y).fit(X, y)
    assert reg.n_iter_ == 2
    with pytest.raises(ValueError, match="set warm_start=False"):
        reg.set_params(quantile=(0.2, 0.7)).fit(X, y)


# -- a function of the user's own ------------------------------


def test_a_loss_of_one_s_own_is_the_built_in_one():
    reg = DNNRegressor((6,), max_iter=5, random_state=0)
    plain = clone(reg).set_params(loss="absolute_error").fit(X, y)
    reg.set_params(loss=absolute).fit(X, y, X_val=X, y_val=y)
    assert np.array_equal(reg.predict(X), plain.predict(X))
    scaled = plain.loss_curve_ / y.std()
    np.testing.assert_allclose(reg.loss_curve_, scaled, rtol=1e-6)
    twin = pickle.loads(pickle.dumps(clone(reg).fit(X, y)))
    assert np.array_equal(twin.predict(X), plain.predict(X))
    twin.set_params(warm_start=True).fit(X, y)
    assert twin.n_iter_ == 10


def test_losses_of_one_s_own_for_targets_and_classes():
    both = np.c_[y, -y]
    reg = DNNRegressor((6,), loss=summed, random_state=0).fit(X, both)
    assert reg.score(X, both) > 0.4
    clf = DNNClassifier((16,), loss=smoothed, early_stopping=True, random_state=0)
    clf.fit(iris_x, iris_y, np.arange(150) % 2 + 1)
    assert clf.score(iris_x, iris_y) > 0.9
    assert clf.predict_proba(iris_x).min() > 1e-3


def hand_made(raw, y):
    """Cross entropy as the user writes it, with constants of no type."""
    own = ops.one_hot(y, 3)
    weight = ops.matmul(own, ops.reshape(ops.constant_list([1.0, 1.5, 0.5]), (3, 1)))
    loss = -ops.reduce_sum(own * ops.log_softmax(raw), [1])
    return loss * ops.reshape(weight, raw.shape[:1]) + ops.constant(0.5)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_constants_in_a_loss_fit_any_number_of_rows(kind):
    """900 float64 rows are computed in f64, 1,800 in f32."""
    rows = np.tile(iris_x, (12, 1)).astype(kind), np.tile(iris_y, 12)
    clf = DNNClassifier((8,), loss=hand_made, max_iter=3, random_state=0)
    search = GridSearchCV(
        clf, {"hidden_units": [(4,), (8,)]}, cv=2, error_score="raise"
    )
    assert search.fit(*rows).score(*rows) > 0.5


def by_label(raw, y):
    """A loss of the user's own, for several labels."""
    return ops.reduce_mean(per_example.sigmoid_cross_entropy(raw, y), [1])


@pytest.mark.parametrize("weights", [None, np.arange(150) % 3], ids=["", "weighted"])
def test_a_loss_of_one_s_own_for_labels_is_the_built_in_one(weights):
    labels = np.stack([iris_y == 0, iris_y > 0, iris_x[:, 0] > 0], axis=1).astype(int)
    held = {"X_val": iris_x, "y_val": labels}
    clf = DNNClassifier((6,), max_iter=60, learning_rate=0.02, random_state=0)
    clf.set_params(loss=by_label).fit(iris_x, labels, weights, **held)
    # It starts from 0 rather than from the labels' shares, and learns the same.
    plain = clone(clf).set_params(loss="log_loss").fit(iris_x, labels, weights, **held)
    assert clf.predict_proba(iris_x).shape == (150, 3)
    assert clf.score(iris_x, labels) > 0.85
    assert clf.loss_curve_[-1] == pytest.approx(plain.loss_curve_[-1], rel=0.15)
    loss = np.mean(
        [log_loss(t, p) for t, p in zip(labels.T, clf.predict_proba(iris_x).T)]
    )
    assert clf.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-5)


@loss
def cut(raw, y, delta=1.0, power=1):
    """A loss of the user's own with parameters."""
    return ops.minimum(ops.abs(raw - y), delta) ** power


@loss
def flattened(raw, y, *, share=0.1):
    """A loss of the user's own with a parameter, for classes."""
    loss = per_example.sparse_softmax_cross_entropy(raw, y)
    return loss * (1 - share) - ops.reduce_mean(ops.log_softmax(raw), [1]) * share


def test_a_decorated_loss_is_a_parameter_object():
    one = cut(2.0, power=2)
    assert repr(one) == "cut(delta=2.0, power=2)" and repr(cut()) == "cut()"
    assert one.get_params() == {"delta": 2.0, "power": 2}
    assert str(inspect.signature(cut)) == "(delta=1.0, power=1)"
    assert isinstance(one, BaseEstimator) and cut.__doc__.startswith("A loss of the")
    for twin in (clone(one), pickle.loads(pickle.dumps(one))):
        assert twin == one and twin is not one
    assert pickle.loads(pickle.dumps(cut)) is cut
    assert cut() != one and cut(np.ones(2)) == cut(np.ones(2)) != cut(np.zeros(2))
    assert clone(DNNRegressor(loss=one)).loss == one


def test_a_decorated_loss_is_the_plain_function():
    reg = DNNRegressor((6,), loss=cut(delta=0.7), max_iter=3, random_state=0)
    plain = clone(reg).set_params(loss=lambda raw, y: cut(delta=0.7)(raw, y))
    found = reg.fit(X, y).predict(X)
    assert np.array_equal(plain.fit(X, y).predict(X), found)
    assert np.array_equal(pickle.loads(pickle.dumps(reg)).predict(X), found)
    # A class stands for its defaults.
    bare = clone(reg).set_params(loss=cut).fit(X, y)
    assert np.array_equal(
        bare.predict(X), reg.set_params(loss=cut()).fit(X, y).predict(X)
    )
    clf = DNNClassifier((6,), loss=flattened(), max_iter=30, random_state=0)
    peer = clone(clf).set_params(loss=smoothed).fit(iris_x, iris_y)
    clf.fit(iris_x, iris_y)
    assert np.array_equal(clf.predict_proba(iris_x), peer.predict_proba(iris_x))


def test_parameters_of_one_s_own_loss_are_searched():
    reg = DNNRegressor((4,), loss=cut(), max_iter=2, random_state=0)
    grid = {"loss__delta": [0.1, 5.0], "loss__power": [1, 2]}
    search = GridSearchCV(reg, grid, cv=2, n_jobs=2).fit(X, y)
    assert set(search.best_params_) == set(grid)
    fits = [clone(reg).set_params(loss__delta=d).fit(X, y) for d in (0.1, 5.0)]
    assert not np.array_equal(*(fit.predict(X) for fit in fits))
    for without in (absolute, cut):
        with pytest.raises(ValueError, match="decorate the function with @loss and"):
            DNNRegressor(loss=without).set_params(loss__delta=1.0)
    with pytest.raises(ValueError, match="Invalid parameter 'gamma'"):
        reg.set_params(loss__gamma=1.0)


def test_one_s_own_loss_is_not_changed_after_the_fit():
    one = cut(delta=0.5)
    reg = DNNRegressor((4,), loss=one, max_iter=1, warm_start=True).fit(X, y)
    assert reg.fit(X, y).n_iter_ == 2
    one.set_params(delta=2.0)
    with pytest.raises(ValueError, match=r"has loss=cut\(delta=0.5\), now it is cut"):
        reg.fit(X, y)


def test_losses_of_each_target_and_label_are_averaged():
    both = np.c_[y, -(y**2)]
    reg = DNNRegressor((6,), max_iter=3, random_state=0, precision="float64")
    wanted = clone(reg).set_params(
        loss=lambda raw, y: ops.reduce_mean(ops.abs(raw - y), [1])
    )
    reg.set_params(loss=absolute).fit(X, both)
    assert np.array_equal(reg.predict(X), wanted.fit(X, both).predict(X))
    labels = np.stack([iris_y == 0, iris_x[:, 0] > 0], axis=1).astype(int)
    clf = DNNClassifier((6,), max_iter=3, random_state=0)
    wanted = clone(clf).set_params(loss=by_label).fit(iris_x, labels)
    clf.set_params(loss=per_example.sigmoid_cross_entropy).fit(iris_x, labels)
    assert np.array_equal(clf.predict_proba(iris_x), wanted.predict_proba(iris_x))


def test_a_loss_that_returns_something_else():
    for own, told in (
        (lambda raw, y: ops.square(raw - y)[..., None], r"returned f32\[B,2,1\]"),
        (lambda raw, y: ops.square(raw - y)[:, :1], r"each target, f32\[B,2\]"),
        (lambda raw, y: ops.reduce_sum(raw - y), r"returned f32\[\]"),
        (lambda raw, y: None, "returned NoneType: return what ops make of raw"),
        (lambda raw, y: [raw], "returned list: return what ops make of raw and y"),
    ):
        with pytest.raises(ValueError, match=told):
            DNNRegressor(loss=own, precision="float32").fit(X, np.c_[y, y])

    @loss
    def column(raw, y, unused=0):
        return ops.reshape(raw - y, (*raw.shape, 1))

    with pytest.raises(
        ValueError, match=r"loss column must .*, f64\[B\]; it was given"
    ):
        DNNRegressor(loss=column()).fit(X, y)
    with pytest.raises(ValueError, match=r"pass Focal\(\)"):
        DNNClassifier(loss=Focal).fit(iris_x, iris_y)
    with pytest.raises(ValueError, match="The 'loss' parameter of DNNRegressor"):
        DNNRegressor(loss=Focal()).fit(X, y)


def test_mistakes_inside_a_loss_say_what_it_was_given():
    for own, told in (
        (lambda raw: raw, r"loss <lambda>\(raw\) is called .* too many positional"),
        (lambda raw, y, by: raw, "missing a required argument: 'by': give further"),
    ):
        with pytest.raises(TypeError, match=told):
            DNNRegressor(loss=own).fit(X, y)

    @loss(outputs=2, mean=lambda raw: raw[..., 2])
    def wide(raw, y, right=True):
        return ops.square((raw[..., 0] if right else raw) - y)

    with pytest.raises(ValueError, match="do not broadcast") as caught:
        DNNRegressor(loss=wide(False)).fit(X, y)
    notes = getattr(caught.value, "__notes__", None)  # from Python 3.11 on
    told = "raised by loss wide, which was given raw f64[B,2] and y f64[B]"
    assert notes in (None, [told])
    reg = DNNRegressor(loss=wide(), max_iter=1).fit(X, y)
    with pytest.raises(IndexError) as caught:
        reg.predict(X[:5])
    told = "raised by mean of loss wide, of raw (5, 2)"
    assert getattr(caught.value, "__notes__", None) in (None, [told])


@pytest.mark.parametrize(
    "function, told",
    [
        (3, "decorates a function; got 3"),
        (Focal, "decorates a function; got <class"),
        (lambda raw: raw, "first 2 parameters must be what the network gives and the"),
        (lambda raw, *, y=1: raw, "the first 2 parameters must be"),
        (lambda raw, y, delta: raw, "'delta' has no default"),
        (lambda raw, y, get_params=1: raw, "is a name of every loss object"),
        (lambda raw, y, *rest: raw, "hides the hyper-parameters"),
        (lambda raw, y, **rest: raw, "hides the hyper-parameters"),
    ],
)
def test_functions_that_are_no_losses(function, told):
    with pytest.raises(TypeError, match=f"@loss.*{told}"):
        loss(function)


def test_parameters_that_a_decorated_loss_does_not_have():
    with pytest.raises(TypeError, match=r"cut.. has no parameter 'gamma'; it has: del"):
        cut(gamma=1)
    with pytest.raises(TypeError, match=r"cut.. got 'delta' twice"):
        cut(1.0, delta=1.0)
    with pytest.raises(TypeError, match="at most 2 positional"):
        cut(1.0, 2, 3)
    with pytest.raises(TypeError, match="at most 0 positional"):
        flattened(0.2)


@pytest.mark.parametrize(
    "loss, told",
    [
        (Focal(gamma=-1), "'gamma' parameter of Focal"),
        (Huber(delta=0), "'delta' parameter of Huber"),
        (Tweedie(power=0.5), r"'power' parameter of Tweedie .*below 1 none is a dis"),
        (Tweedie(power="some"), "'power' parameter of Tweedie"),
    ],
    ids=str,
)
def test_parameters_of_losses_are_checked(loss, told):
    kind = DNNClassifier if isinstance(loss, Focal) else DNNRegressor
    with pytest.raises(ValueError, match=told):
        kind(loss=loss).fit(iris_x, iris_y)


# -- the native loop ------------------------------

SEVERAL = np.stack([iris_y, iris_x[:, 0] > 0], axis=1)
POSITIVE = np.abs(iris_x[:, 1]) + 0.1


@pytest.mark.parametrize(
    "est, target",
    [
        (DNNClassifier((6,), loss=Focal(1.5)), iris_y),
        (DNNClassifier((6,), loss=Focal(1.5)), iris_y > 0),
        (DNNClassifier((6,), loss=Ordinal([2, 0, 1]), early_stopping=True), iris_y),
        (DNNClassifier((6,), loss="hinge"), SEVERAL),
        (DNNClassifier((6,)), SEVERAL),
        (DNNClassifier((6,), loss="focal", early_stopping=True), SEVERAL > 0),
        (DNNRegressor((6,), loss=Huber(0.4)), iris_x[:, :2]),
        (DNNRegressor((6,), loss="quantile", quantile=LEVELS), iris_x[:, :2]),
        (DNNRegressor((6,), loss="quantile", quantile=LEVELS), iris_x[:, 0]),
        (DNNRegressor((6,), loss="gamma"), POSITIVE),
        (DNNRegressor((6,), loss="tweedie", early_stopping=True), POSITIVE),
        (DNNRegressor((6,), loss=summed), iris_x[:, :2]),
    ],
)
def test_training_is_the_reference_s(est, target, monkeypatch):
    weights = np.random.RandomState(0).randint(0, 3, 150)
    est.set_params(max_iter=3, random_state=0, precision="float64")
    native = clone(est).fit(iris_x, target, weights)
    monkeypatch.setattr(training, "compile_text", ReferenceModel)
    reference = clone(est).fit(iris_x, target, weights)
    np.testing.assert_allclose(native.loss_curve_, reference.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(
        native.validation_loss_curve_, reference.validation_loss_curve_, rtol=1e-9
    )
    functions = ["predict"]
    if hasattr(native, "predict_proba"):
        functions.append("predict_proba")
    for function in functions:
        np.testing.assert_allclose(
            native._values(function, iris_x),
            reference._values(function, iris_x),
            rtol=1e-7,
            atol=1e-9,
        )
