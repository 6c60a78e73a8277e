"""Inside scikit-learn's own: ensembles, searches, selection, inspection."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_linnerud,
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFromModel,
    SequentialFeatureSelector,
)
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import (
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from slimlearn import (
    Adam,
    DNNClassifier,
    DNNRegressor,
    Focal,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    callbacks,
    layers,
    network,
)


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


iris_x, iris_y = scaled(load_iris)
cancer_x, cancer_y = scaled(load_breast_cancer)
diabetes_x, diabetes_y = scaled(load_diabetes)


@network
def tower(x, units=(16,), keep_prob=1.0):
    net = layers.stack(x, layers.fully_connected, units, scope="fc")
    return layers.dropout(net, keep_prob)


QUICK = {"max_iter": 30, "learning_rate": 0.01, "random_state": 0}
CLASSIFIERS = {
    "dnn": DNNClassifier((16,), **QUICK),
    "network": NetworkClassifier(tower(), **QUICK),
    "linear": LinearClassifier(l2_regularization=0.01, max_iter=1000),
}
REGRESSORS = {
    "dnn": DNNRegressor((16,), **QUICK),
    "network": NetworkRegressor(tower(), **QUICK),
    "linear": LinearRegressor(l2_regularization=0.01, max_iter=1000),
}
classifiers = pytest.mark.parametrize("kind", CLASSIFIERS)
regressors = pytest.mark.parametrize("kind", REGRESSORS)


def classifier(kind="dnn", **params):
    return clone(CLASSIFIERS[kind]).set_params(**params)


def regressor(kind="dnn", **params):
    return clone(REGRESSORS[kind]).set_params(**params)


# scikit-learn 1.6's own LogisticRegression, under a newer scipy.
pytestmark = pytest.mark.filterwarnings(
    "ignore:scipy.optimize. The `disp` and `iprint`:DeprecationWarning"
)

# -- ensembles ------------------------------


@classifiers
@pytest.mark.parametrize(
    "make, bound",
    [
        (lambda est: AdaBoostClassifier(est, n_estimators=3, random_state=0), 0.93),
        (lambda est: BaggingClassifier(est, n_estimators=3, random_state=0), 0.93),
        (lambda est: BaggingClassifier(est, max_features=2, random_state=0), 0.85),
        (lambda est: VotingClassifier([("a", est), ("b", clone(est))]), 0.93),
        (
            lambda est: VotingClassifier(
                [("a", est), ("b", LogisticRegression())],
                voting="soft",
                weights=[2, 1],
            ),
            0.93,
        ),
        (lambda est: StackingClassifier([("a", est)], cv=3), 0.93),
        (
            lambda est: StackingClassifier(
                [("a", est)], final_estimator=clone(est), passthrough=True, cv=3
            ),
            0.93,
        ),
        (lambda est: OneVsRestClassifier(est), 0.9),
        (lambda est: OneVsOneClassifier(est), 0.93),
        (lambda est: OutputCodeClassifier(est, code_size=4, random_state=0), 0.75),
        (lambda est: CalibratedClassifierCV(est, cv=3), 0.9),
    ],
    ids=[
        *("ada", "bagging", "bagging-features", "vote-hard", "vote-soft", "stacking"),
        *("stacked-twice", "one-vs-rest", "one-vs-one", "codes", "calibrated"),
    ],
)
def test_ensembles_of_classifiers(make, bound, kind):
    ensemble = make(classifier(kind)).fit(iris_x, iris_y)
    assert ensemble.score(iris_x, iris_y) >= bound
    assert ensemble.predict(iris_x).dtype == iris_y.dtype
    if hasattr(ensemble, "predict_proba"):
        shares = ensemble.predict_proba(iris_x)
        assert shares.shape == (150, 3)
        np.testing.assert_allclose(shares.sum(axis=1), 1)


@regressors
@pytest.mark.parametrize(
    "make",
    [
        lambda est: AdaBoostRegressor(est, n_estimators=3, random_state=0),
        lambda est: BaggingRegressor(est, n_estimators=3, random_state=0),
        lambda est: VotingRegressor([("a", est), ("b", LinearRegressor())]),
        lambda est: StackingRegressor([("a", est)], cv=3),
        lambda est: StackingRegressor(
            [("a", est)],
            final_estimator=make_pipeline(StandardScaler(), clone(est)),
            passthrough=True,
            cv=3,
        ),
        lambda est: TransformedTargetRegressor(est, func=np.log, inverse_func=np.exp),
        lambda est: TransformedTargetRegressor(est, transformer=StandardScaler()),
    ],
    ids=[
        *("ada", "bagging", "voting", "stacking", "stacked-twice", "log-target"),
        "scaled-target",
    ],
)
def test_ensembles_of_regressors(make, kind):
    ensemble = make(regressor(kind)).fit(diabetes_x, diabetes_y)
    assert ensemble.score(diabetes_x, diabetes_y) >= 0.42
    assert ensemble.predict(diabetes_x).shape == diabetes_y.shape


def wrong_rows(y, share=0.45):
    """Labels of which a part is wrong, and weights that make little of that part."""
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < share
    return np.where(wrong, (y + 1) % (y.max() + 1), y), np.where(wrong, 0.001, 1.0)


@classifiers
@pytest.mark.parametrize(
    "make",
    [
        lambda est: BaggingClassifier(est, n_estimators=4, random_state=0),
        lambda est: BaggingClassifier(est, n_estimators=4, n_jobs=2, random_state=0),
        lambda est: AdaBoostClassifier(est, n_estimators=2, random_state=0),
        lambda est: VotingClassifier([("a", est)], voting="soft"),
        lambda est: StackingClassifier([("a", est)], cv=3),
        lambda est: CalibratedClassifierCV(est, cv=3, ensemble=False),
    ],
    ids=["bagging", "bagging-jobs", "ada", "voting", "stacking", "calibrated"],
)
def test_ensembles_hand_weights_on(make, kind):
    labels, weights = wrong_rows(iris_y)
    kept = make(classifier(kind)).fit(iris_x, labels, sample_weight=weights)
    lost = make(classifier(kind)).fit(iris_x, labels)
    assert kept.score(iris_x, iris_y) >= 0.9
    assert kept.score(iris_x, iris_y) > lost.score(iris_x, iris_y)


@regressors
def test_bagged_regressors_use_weights(kind):
    rng = np.random.default_rng(0)
    wrong = rng.random(442) < 0.4
    y = np.where(wrong, 1000.0, diabetes_y)
    bagging = BaggingRegressor(regressor(kind), n_estimators=4, random_state=0)
    kept = clone(bagging).fit(diabetes_x, y, sample_weight=1.0 - wrong)
    assert kept.score(diabetes_x, diabetes_y) > 0.4
    assert bagging.fit(diabetes_x, y).score(diabetes_x, diabetes_y) < 0


# -- probabilities ------------------------------


CALIBRATIONS = ["sigmoid", "isotonic"]
if "temperature" in CalibratedClassifierCV.__doc__:  # from scikit-learn 1.8 on
    CALIBRATIONS.append("temperature")


@pytest.fixture(scope="module")
def overconfident():
    """A fitted classifier whose probabilities are too close to 0 and 1, and rows."""
    X, y = make_classification(
        3000, 12, n_informative=6, class_sep=0.5, flip_y=0.2, random_state=0
    )
    clf = DNNClassifier((64,), max_iter=60, learning_rate=0.01, random_state=0)
    return clf.fit(X[:400], y[:400]), X[400:], y[400:]


# scikit-learn says that the frozen one does not learn from weights, as it should not.
@pytest.mark.filterwarnings("ignore:Since FrozenEstimator:UserWarning")
@pytest.mark.parametrize("method", CALIBRATIONS)
def test_calibration_of_a_fitted_classifier(overconfident, method):
    clf, X, y = overconfident
    X, y, X_out, y_out = X[:1600], y[:1600], X[1600:], y[1600:]
    wrong = np.random.default_rng(0).random(1600) < 0.6
    losses = {"raw": brier_score_loss(y_out, clf.predict_proba(X_out)[:, 1])}
    for name, labels, weights in (
        ("right", y, None),
        ("wrong", np.where(wrong, 1, y), None),
        ("weighted", np.where(wrong, 1, y), np.where(wrong & (y == 0), 0.001, 1.0)),
    ):
        model = CalibratedClassifierCV(FrozenEstimator(clf), method=method)
        model.fit(X, labels, sample_weight=weights)
        losses[name] = brier_score_loss(y_out, model.predict_proba(X_out)[:, 1])
    assert losses["right"] < 0.9 * losses["raw"]
    assert losses["weighted"] < losses["wrong"] - 0.02


def test_held_out_probabilities_are_those_of_the_folds():
    shares = cross_val_predict(
        classifier(), iris_x, iris_y, cv=3, method="predict_proba", n_jobs=2
    )
    assert accuracy_score(iris_y, shares.argmax(axis=1)) > 0.85
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    raw = cross_val_predict(
        classifier(), iris_x, iris_y, cv=3, method="decision_function"
    )
    odds = np.exp(raw - raw.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), shares)


@classifiers
def test_thresholds(kind):
    rare = np.r_[np.flatnonzero(cancer_y)[:300], np.flatnonzero(cancer_y == 0)[:30]]
    X, y = cancer_x[rare][:, :4], 1 - cancer_y[rare]
    fixed = FixedThresholdClassifier(classifier(kind), threshold=0.05).fit(X, y)
    plain = classifier(kind).fit(X, y)
    assert fixed.predict(X).sum() > plain.predict(X).sum()
    tuned = TunedThresholdClassifierCV(
        classifier(kind), scoring="balanced_accuracy", cv=3, random_state=0
    ).fit(X, y)
    assert 0 < tuned.best_threshold_ < 0.5
    assert f1_score(y, tuned.predict(X)) > 0.5


# -- few labels, many outputs ------------------------------


@classifiers
@pytest.mark.parametrize("criterion", ["threshold", "k_best"])
def test_self_training_labels_what_was_unlabelled(kind, criterion):
    rng = np.random.default_rng(0)
    labelled = rng.random(150) < 0.2
    y = np.where(labelled, iris_y, -1)
    model = SelfTrainingClassifier(classifier(kind), criterion=criterion, k_best=60)
    model.fit(iris_x, y)
    found = model.labeled_iter_ > 0
    assert found.sum() > 60
    assert accuracy_score(iris_y[found], model.transduction_[found]) > 0.75


many_x, many_y = make_multilabel_classification(
    200, 10, n_classes=3, n_labels=2, random_state=0
)
many_x = StandardScaler().fit_transform(many_x)


@classifiers
@pytest.mark.parametrize(
    "make",
    [
        lambda est: MultiOutputClassifier(est, n_jobs=2),
        lambda est: ClassifierChain(est, order=[2, 0, 1]),
        lambda est: ClassifierChain(est, cv=3, chain_method="predict_proba"),
        OneVsRestClassifier,
        lambda est: est,
    ],
    ids=["outputs", "chain", "chain-proba", "one-vs-rest", "alone"],
)
def test_several_labels(make, kind):
    model = make(classifier(kind)).fit(many_x, many_y)
    assert f1_score(many_y, model.predict(many_x), average="macro") > 0.75


@regressors
@pytest.mark.parametrize(
    "make",
    [
        lambda est: MultiOutputRegressor(est, n_jobs=2),
        lambda est: RegressorChain(est, order=[2, 0, 1]),
        lambda est: RegressorChain(est, cv=3),
        lambda est: est,
    ],
    ids=["outputs", "chain", "chain-cv", "alone"],
)
def test_several_targets(make, kind):
    X, y = make_regression(
        200, 6, n_targets=3, n_informative=4, noise=5.0, random_state=0
    )
    model = make(regressor(kind)).fit(X, y)
    assert model.predict(X).shape == (200, 3)
    assert model.score(X, y) > 0.85


def test_outputs_go_on_partially():
    model = MultiOutputRegressor(regressor())
    X, y = load_linnerud(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model.partial_fit(X, y)
    first = model.score(X, y)
    for _ in range(30):
        model.partial_fit(X, y)
    assert model.score(X, y) > first
    model = MultiOutputClassifier(classifier())
    for _ in range(15):
        model.partial_fit(many_x, many_y, classes=[[0, 1]] * 3)
    assert f1_score(many_y, model.predict(many_x), average="macro") > 0.75


# -- features ------------------------------


def informative(classify):
    """Three columns that tell of y in front of seven of noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 10))
    y = X[:, :3] @ [3.0, -2.0, 2.0] + rng.normal(size=300)
    return X, y > 0 if classify else y


SELECTORS = {
    "rfe": lambda est: RFE(est, n_features_to_select=3),
    "rfe-steps": lambda est: RFE(est, n_features_to_select=3, step=0.3),
    "rfecv": lambda est: RFECV(est, cv=3, min_features_to_select=2),
    "rfecv-jobs": lambda est: RFECV(est, cv=3, min_features_to_select=2, n_jobs=2),
    "from-model": lambda est: SelectFromModel(est, threshold="1.2*mean"),
    "sequential": lambda est: SequentialFeatureSelector(
        est, n_features_to_select=3, cv=2
    ),
}


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("classify", [True, False], ids=["classes", "numbers"])
def test_selectors_find_the_informative_columns(name, classify):
    X, y = informative(classify)
    linear = CLASSIFIERS["linear"] if classify else REGRESSORS["linear"]
    selector = SELECTORS[name](clone(linear)).fit(X, y)
    assert selector.get_support().tolist() == [True] * 3 + [False] * 7
    model = make_pipeline(SELECTORS[name](clone(linear)), clone(linear)).fit(X, y)
    assert model.score(X, y) > 0.85


def test_selectors_use_the_weights_of_several_classes():
    X = np.hstack([iris_x, np.random.default_rng(0).normal(size=(150, 4))])
    selector = RFE(classifier("linear"), n_features_to_select=2).fit(X, iris_y)
    assert selector.get_support().tolist() == [False, False, True, True, *4 * [False]]


@classifiers
def test_permutation_importance(kind):
    X, y = informative(True)
    model = classifier(kind, max_iter=40).fit(X, y)
    found = permutation_importance(
        model, X, y, n_repeats=3, random_state=0, n_jobs=2, scoring="neg_log_loss"
    )
    assert found.importances_mean[:3].min() > 5 * found.importances_mean[3:].max()


@regressors
def test_partial_dependence(kind):
    X, y = informative(False)
    model = regressor(kind, max_iter=60).fit(X, y)
    for column, rising in ((0, True), (9, False)):
        found = partial_dependence(model, X, [column], grid_resolution=8)
        span = np.ptp(found["average"])
        assert (span > 0.5 * np.std(y)) == rising
    shares = partial_dependence(
        classifier(kind).fit(iris_x, iris_y), iris_x, [2], grid_resolution=5
    )
    assert shares["average"].shape == (3, 5)
    assert np.all(np.diff(shares["average"][0]) < 0)  # setosa has short petals


def test_partial_dependence_is_drawn():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    display = PartialDependenceDisplay.from_estimator(
        regressor().fit(diabetes_x, diabetes_y),
        diabetes_x,
        [2, (2, 8)],
        kind="average",
        grid_resolution=5,
    )
    assert display.axes_.size == 2
    pyplot.close("all")


# -- curves and searches ------------------------------


def test_curves():
    sizes, train, test = learning_curve(
        classifier(), iris_x, iris_y, train_sizes=[0.3, 1.0], cv=3, shuffle=True
    )
    assert sizes.tolist() == [30, 100] and train.shape == test.shape == (2, 3)
    assert test[1].mean() > 0.9
    train, _ = validation_curve(
        classifier(),
        iris_x,
        iris_y,
        param_name="max_iter",
        param_range=[1, 15],
        cv=3,
        n_jobs=2,
    )
    assert train[1].mean() > train[0].mean() + 0.1


def test_a_learning_curve_that_goes_on_partially():
    _, _, test = learning_curve(
        classifier(learning_rate=0.1),
        iris_x,
        iris_y,
        train_sizes=[0.1, 0.4, 0.7, 1.0],
        cv=3,
        exploit_incremental_learning=True,
        shuffle=True,
        random_state=0,
    )
    assert test[-1].mean() > 0.7


NET = NetworkClassifier(
    tower(),
    **QUICK,
    optimizer=Adam(),
    loss=Focal(),
    callbacks=[("stop", callbacks.EarlyStopping("loss", tol=1.0, n_iter_no_change=50))],
)
GRIDS = {
    "units": (NET, {"net__units": [(1,), (16,)]}),
    "network": (NET, {"net": [tower((1,)), tower((16,))]}),
    "keep_prob": (NET, {"net__keep_prob": [0.01, 1.0]}),
    "beta1": (NET, {"optimizer__beta1": [0.999999, 0.9]}),
    "optimizer": (NET, {"optimizer": ["ftrl", "adam"]}),
    "patience": (NET, {"callbacks__stop__n_iter_no_change": [1, 50]}),
    "callback": (NET, {"callbacks__stop": [callbacks.TimeLimit(1e-9), None]}),
    "gamma": (NET, {"loss__gamma": [50.0, 1.0]}),
    "loss": (NET, {"loss": ["hinge", Focal(0.5)]}),
    "hidden_units": (CLASSIFIERS["dnn"], {"hidden_units": [(1,), (16,)]}),
    "rate": (CLASSIFIERS["linear"], {"l2_regularization": [100.0, 0.01]}),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_reaches_every_parameter(name):
    model, grid = GRIDS[name]
    search = GridSearchCV(
        clone(model), grid, cv=2, error_score="raise", scoring="accuracy"
    )
    search.fit(iris_x, iris_y)
    scores = search.cv_results_["mean_test_score"]
    ((parameter, values),) = grid.items()
    fitted = search.best_estimator_.get_params()[parameter]
    assert str(fitted) == str(values[search.best_index_])
    if name in ("optimizer", "loss"):
        assert scores.max() > 0.85
    else:
        assert search.best_index_ == 1 and scores[0] < scores[1]
    assert clone(model).get_params(deep=False).keys() == fitted_names(search)


def fitted_names(search):
    return search.best_estimator_.get_params(deep=False).keys()


def test_a_search_in_a_search():
    inner = GridSearchCV(
        make_pipeline(StandardScaler(), clone(NET)),
        {"networkclassifier__net__units": [(1,), (16,)]},
        cv=2,
    )
    scores = cross_val_score(inner, iris_x, iris_y, cv=2, n_jobs=2, error_score="raise")
    assert scores.min() > 0.85


def test_a_random_search_over_distributions():
    search = RandomizedSearchCV(
        clone(NET),
        {
            "optimizer__beta1": [0.8, 0.9],
            "learning_rate": loguniform(1e-3, 1e-1),
            "batch_size": [16, 32],
        },
        n_iter=4,
        cv=2,
        n_jobs=2,
        random_state=0,
        error_score="raise",
    ).fit(iris_x, iris_y)
    assert 1e-3 <= search.best_params_["learning_rate"] <= 1e-1
    assert search.best_score_ > 0.85


@pytest.mark.parametrize("resource", ["n_samples", "max_iter"])
def test_a_halving_search(resource):
    options = {"resource": resource, "factor": 3}
    if resource == "max_iter":
        options.update(min_resources=3, max_resources=27)
    search = HalvingGridSearchCV(
        clone(NET).set_params(callbacks=None),
        {"net__units": [(1,), (16,), (32,)]},
        cv=2,
        random_state=0,
        error_score="raise",
        **options,
    ).fit(iris_x, iris_y)
    assert search.best_params_["net__units"] != (1,)
    if resource == "max_iter":
        assert search.best_estimator_.n_iter_ == 9
    assert search.score(iris_x, iris_y) > 0.85


# -- pipelines and copies ------------------------------


@regressors
def test_columns_and_unions(kind):
    import pandas as pd

    frame = pd.DataFrame(diabetes_x, columns=[f"c{i}" for i in range(10)])
    frame["sex"] = np.where(frame.pop("c1") > 0, "male", "female")
    model = make_pipeline(
        ColumnTransformer(
            [
                ("words", OneHotEncoder(sparse_output=False), ["sex"]),
                (
                    "numbers",
                    FeatureUnion([("pca", PCA(3)), ("all", FunctionTransformer(None))]),
                    frame.columns[:-1].tolist(),
                ),
            ]
        ),
        regressor(kind),
    )
    assert model.fit(frame, diabetes_y).score(frame, diabetes_y) > 0.42
    assert model[-1].n_features_in_ == 2 + 3 + 9
    shuffled = frame[frame.columns[::-1]]
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(frame))


def dumped(model):
    file = io.BytesIO()
    joblib.dump(model, file, compress=3)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "copied",
    [lambda model: pickle.loads(pickle.dumps(model)), dumped, copy.deepcopy, copy.copy],
    ids=["pickle", "joblib", "deepcopy", "copy"],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(StandardScaler(), classifier()),
        lambda: make_pipeline(StandardScaler(), classifier("network")),
        lambda: BaggingClassifier(classifier("linear"), n_estimators=2),
        lambda: CalibratedClassifierCV(classifier(), cv=2),
        lambda: GridSearchCV(clone(NET), {"net__units": [(4,)]}, cv=2),
    ],
    ids=["pipeline", "network-pipeline", "bagging", "calibrated", "search"],
)
def test_copies_of_fitted_ones(make, copied):
    model = make().fit(iris_x, iris_y)
    twin = copied(model)
    expected = model.predict_proba(iris_x)
    np.testing.assert_array_equal(twin.predict_proba(iris_x), expected)
    assert repr(clone(twin)) == repr(clone(model))
