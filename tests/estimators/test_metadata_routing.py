"""What methods take beyond X and y, through scikit-learn's metadata routing."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    cross_val_predict,
    cross_validate,
)
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    callbacks,
    layers,
    network,
)

X, Y = load_iris(return_X_y=True)
Z = StandardScaler().fit_transform(X)
NUMBERS = Z[:, 3]


@network
def tower(x, units=(8,)):
    return layers.stack(x, layers.fully_connected, units, scope="fc")


FEW = {"max_iter": 5, "learning_rate": 0.01, "random_state": 0}
CLASSIFIERS = {
    "dnn": DNNClassifier((8,), **FEW),
    "network": NetworkClassifier(tower(), **FEW),
    "linear": LinearClassifier(optimizer="adam", **FEW),
}
REGRESSORS = {
    "dnn": DNNRegressor((8,), **FEW),
    "network": NetworkRegressor(tower(), **FEW),
    "linear": LinearRegressor(optimizer="adam", **FEW),
}
ALL = [*CLASSIFIERS.values(), *REGRESSORS.values()]
estimators = pytest.mark.parametrize("est", ALL, ids=lambda est: type(est).__name__)
classifiers = pytest.mark.parametrize("kind", CLASSIFIERS)


@pytest.fixture(autouse=True)
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def target(est):
    return Y if sklearn.base.is_classifier(est) else NUMBERS


# 1 for the first two classes, almost nothing for the third, which then is not learnt.
WEIGHTS = np.where(Y == 2, 1e-6, 1.0)


def learnt(model) -> bool:
    """Whether the third class was learnt, which has no weight to speak of."""
    return bool((model.predict(Z) == 2).any())


# -- what can be asked for ------------------------------


@estimators
def test_every_argument_can_be_requested(est):
    est = clone(est)
    everything = {"sample_weight", "X_val", "y_val", "sample_weight_val", "groups"}
    asked = est.get_metadata_routing()
    assert set(asked.fit.requests) == everything
    assert set(asked.score.requests) == {"sample_weight"}
    partial = {"classes"} if sklearn.base.is_classifier(est) else set()
    assert set(asked.partial_fit.requests) == {"sample_weight"} | partial
    assert not any(asked.fit.requests.values())
    est.set_fit_request(**dict.fromkeys(everything, True))
    est.set_score_request(sample_weight="evaluation_weight")
    est.set_partial_fit_request(sample_weight=False)
    asked = clone(est).get_metadata_routing()  # requests survive a clone
    assert asked.fit.requests == dict.fromkeys(everything, True)
    assert asked.score.requests == {"sample_weight": "evaluation_weight"}
    assert asked.partial_fit.requests["sample_weight"] is False
    with pytest.raises(TypeError, match="Unexpected args"):
        est.set_fit_request(check_input=True)


@estimators
@pytest.mark.parametrize(
    "wrap, method",
    [
        (lambda est: make_pipeline(MinMaxScaler(), est), "fit"),
        (lambda est: GridSearchCV(est, {"max_iter": [1]}, cv=2), "fit"),
        (lambda est: make_pipeline(StandardScaler(), est).fit(X, target(est)), "score"),
    ],
    ids=["pipeline", "search", "score"],
)
def test_what_nobody_asked_for_is_refused(est, wrap, method):
    model = wrap(clone(est))
    name = type(est).__name__
    with pytest.raises(
        UnsetMetadataPassedError, match=f"sample_weight.*{name}.{method}"
    ):
        getattr(model, method)(X, target(est), sample_weight=WEIGHTS)


# -- one estimator inside one other ------------------------------


@classifiers
@pytest.mark.parametrize("asked", [True, False, "importance"])
def test_weights_in_a_pipeline(kind, asked):
    est = clone(CLASSIFIERS[kind]).set_params(max_iter=30)
    scale = StandardScaler().set_fit_request(sample_weight=asked is False)
    model = make_pipeline(scale, est.set_fit_request(sample_weight=asked))
    passed = {asked if isinstance(asked, str) else "sample_weight": WEIGHTS}
    model.fit(X, Y, **passed)
    assert learnt(model[-1]) == (asked is False)


@classifiers
def test_scores_are_weighted_where_asked(kind):
    est = clone(CLASSIFIERS[kind]).set_score_request(sample_weight=True)
    model = make_pipeline(StandardScaler(), est).fit(X, Y)
    wrong = model.predict(X) != Y
    assert 0 < wrong.sum() < 150
    assert model.score(X, Y, sample_weight=wrong) == 0
    assert model.score(X, Y, sample_weight=~wrong) == 1


@estimators
def test_held_out_rows_reach_the_last_step_as_it_sees_them(est):
    est = clone(est).set_params(max_iter=4, early_stopping=True)
    est.set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
    model = Pipeline(
        [("scale", StandardScaler()), ("est", est)], transform_input=["X_val"]
    )
    y, weights = target(est), 1.0 + np.arange(150) % 3
    model.fit(X[::2], y[::2], X_val=X, y_val=y, sample_weight_val=weights)
    fitted = model[-1]
    assert len(fitted.validation_loss_curve_) == 4
    if y is Y:
        each = -model[-1].predict_log_proba(model[:-1].transform(X))[range(150), y]
    else:
        each = (model.predict(X) - y) ** 2
    assert fitted.best_loss_ == pytest.approx(np.average(each, weights=weights))


@classifiers
def test_partial_fit_in_a_meta_estimator(kind):
    est = clone(CLASSIFIERS[kind]).set_partial_fit_request(sample_weight=True)
    model = MultiOutputClassifier(est)
    for _ in range(30):
        model.partial_fit(
            Z,
            np.c_[Y, Y % 2],
            classes=[[0, 1, 2], [0, 1]],
            sample_weight=WEIGHTS,
        )
    assert not learnt(model.estimators_[0])
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        MultiOutputRegressor(clone(REGRESSORS[kind])).partial_fit(
            Z, Z[:, :2], sample_weight=WEIGHTS
        )


# -- searches and validation ------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_search_splits_weights_with_the_rows(n_jobs):
    est = clone(CLASSIFIERS["network"]).set_params(max_iter=30)
    est.set_fit_request(sample_weight=True)
    search = GridSearchCV(
        make_pipeline(StandardScaler().set_fit_request(sample_weight=False), est),
        {"networkclassifier__net__units": [(2,), (16,)]},
        cv=3,
        n_jobs=n_jobs,
        scoring=make_scorer(accuracy_score).set_score_request(sample_weight=True),
        error_score="raise",
    )
    search.fit(X, Y, sample_weight=WEIGHTS)
    # Nothing of the third class is learnt, and nothing of it counts.
    assert search.best_score_ > 0.95
    assert not learnt(search.best_estimator_[-1])


def test_a_search_hands_on_held_out_rows():
    est = clone(CLASSIFIERS["dnn"]).set_params(
        callbacks=[
            ("stop", callbacks.EarlyStopping("validation_loss", n_iter_no_change=2))
        ]
    )
    est.set_fit_request(X_val=True, y_val=True)
    search = GridSearchCV(
        est, {"callbacks__stop__n_iter_no_change": [1, 2]}, cv=2, error_score="raise"
    )
    search.fit(Z[10:], Y[10:], X_val=Z[:10], y_val=Y[:10])
    curve = search.best_estimator_.validation_loss_curve_
    assert len(curve) == search.best_estimator_.n_iter_


@classifiers
def test_cross_validation_with_weights_and_groups(kind):
    est = clone(CLASSIFIERS[kind]).set_params(max_iter=30)
    est.set_fit_request(sample_weight=True)
    scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
    options = {
        "cv": GroupKFold(3),
        "params": {"sample_weight": WEIGHTS, "groups": np.arange(150) % 10},
    }
    found = cross_validate(est, Z, Y, scoring=scorer, error_score="raise", **options)
    assert found["test_score"].min() > 0.95
    predicted = cross_val_predict(est, Z, Y, **options)
    assert not (predicted == 2).any()


@pytest.mark.parametrize("asked", [None, True, False])
def test_scoring_in_a_fit_uses_its_weights_whatever_is_routed(asked):
    est = clone(CLASSIFIERS["dnn"])
    est.set_params(early_stopping=True, scoring="accuracy")
    est.set_score_request(sample_weight=asked)
    weights = np.where(Y == 0, 1.0, 1e-9)
    est.fit(Z, Y, weights, X_val=Z, y_val=Y, sample_weight_val=weights)
    right = est.predict(Z[Y == 0]) == 0
    assert est.best_validation_score_ == pytest.approx(right.mean(), abs=1e-6)


# -- estimators in estimators in estimators ------------------------------


@classifiers
@pytest.mark.parametrize(
    "wrap",
    [
        lambda est: VotingClassifier([("a", est), ("b", clone(est))]),
        lambda est: StackingClassifier(
            [("a", est)], final_estimator=clone(est).set_params(max_iter=60), cv=2
        ),
        lambda est: GridSearchCV(
            VotingClassifier([("a", make_pipeline(est))], voting="soft"),
            {"weights": [[1.0]]},
            cv=2,
            scoring=make_scorer(accuracy_score).set_score_request(sample_weight=True),
            error_score="raise",
        ),
    ],
    ids=["voting", "stacking", "search-voting-pipeline"],
)
def test_weights_through_several_layers(wrap, kind):
    est = clone(CLASSIFIERS[kind]).set_params(max_iter=30)
    asking = est.set_fit_request(sample_weight=True)
    model = wrap(asking).fit(Z, Y, sample_weight=WEIGHTS)
    assert not learnt(model)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        wrap(clone(CLASSIFIERS[kind])).fit(Z, Y, sample_weight=WEIGHTS)


@classifiers
def test_weights_in_bagging(kind):
    # Newer scikit-learn draws rows by their weights, older hands the weights on.
    est = clone(CLASSIFIERS[kind]).set_params(max_iter=30)
    est.set_fit_request(sample_weight=True)
    model = BaggingClassifier(est, n_estimators=2, random_state=0)
    assert not learnt(model.fit(Z, Y, sample_weight=WEIGHTS))


def test_what_does_not_route_says_so():
    model = AdaBoostClassifier(clone(CLASSIFIERS["dnn"]), n_estimators=2)
    with pytest.raises(NotImplementedError, match="metadata routing"):
        model.get_metadata_routing()


def test_routing_off_refuses_requests():
    with sklearn.config_context(enable_metadata_routing=False):
        with pytest.raises(RuntimeError, match="enable_metadata_routing"):
            clone(CLASSIFIERS["dnn"]).set_fit_request(sample_weight=True)


def test_regressors_split_weights_with_the_rows():
    x, y = load_diabetes(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    bad = np.arange(len(y)) % 3 == 0
    y = np.where(bad, 1e4, y)
    scores = {}
    for asked in (True, False):
        est = DNNRegressor((8,), max_iter=20, learning_rate=0.01, random_state=0)
        est.set_fit_request(sample_weight=asked).set_score_request(sample_weight=True)
        found = cross_validate(
            est, x, y, cv=3, params={"sample_weight": np.where(bad, 1e-9, 1.0)}
        )
        scores[asked] = found["test_score"].mean()
    assert scores[True] > 0.35 > 0 > scores[False]


def test_deviations_and_quantiles_are_requested():
    for options, asked in (
        ({"loss": "gaussian"}, "return_std"),
        ({"loss": "quantile", "quantile": (0.2, 0.8)}, "return_quantiles"),
    ):
        est = clone(REGRESSORS["dnn"]).set_params(**options)
        pipe = make_pipeline(StandardScaler(), est.set_predict_request(**{asked: True}))
        first, second = pipe.fit(X, NUMBERS).predict(X, **{asked: True})
        assert np.array_equal(first, pipe.predict(X))
        assert len(second) == len(X)
        est.set_predict_request(**{asked: False})
        with pytest.raises(TypeError, match=asked):
            pipe.fit(X, NUMBERS).predict(X, **{asked: True})
