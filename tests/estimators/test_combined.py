"""Wide and deep: a linear part of sparse columns beside a network."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from slimlearn import (
    SGD,
    DNNLinearCombinedClassifier,
    DNNLinearCombinedRegressor,
    Ftrl,
)
from slimlearn import feature_column as fc

HASHED = fc.categorical_column_with_hash_bucket


def people(n=3000, seed=0, towns=60):
    """Rules by heart (pairs of town and job) and a smooth part."""
    rng = np.random.default_rng(seed)
    X = {
        "age": rng.normal(size=n),
        "hours": rng.normal(size=n),
        "town": rng.integers(0, towns, n).astype(str),
        "job": rng.integers(0, 12, n).astype(str),
    }
    rule = np.random.default_rng(1).normal(size=(towns, 12))
    smooth = 2 * np.sin(2 * X["age"]) * X["hours"]
    pairs = rule[X["town"].astype(int), X["job"].astype(int)]
    return X, 2 * pairs + smooth + 0.2 * rng.normal(size=n)


WIDE = [
    HASHED("town", 100),
    HASHED("job", 50),
    fc.crossed_column(["town", "job"], 5000),
]
DEEP = [fc.numeric_column("age"), fc.numeric_column("hours")]
DEEP += [fc.embedding_column(HASHED("town", 100), 4)]


def fitted(X, z, wide=WIDE, deep=DEEP, kind=DNNLinearCombinedClassifier, **options):
    options = {"max_iter": 40, "random_state": 0} | options
    return kind(wide, deep, (32, 16), **options).fit(X, z)


def test_both_are_better_than_each():
    X, z = people(8000)
    new, z_new = people(4000, seed=5)
    scores = {
        name: fitted(X, z > 0, *parts, max_iter=150).score(new, z_new > 0)
        for name, parts in {
            "both": (WIDE, DEEP),
            "wide": (WIDE, None),
            "deep": (None, DEEP),
        }.items()
    }
    assert scores["both"] > 0.85
    assert scores["both"] > scores["wide"] + 0.05
    assert scores["both"] > scores["deep"] + 0.05


def test_each_part_has_its_optimizer():
    X, z = people(500)
    clf = fitted(X, z > 0, linear_optimizer=Ftrl(l1=1.0), max_iter=5)
    weights = clf.program_.weights
    assert list(weights)[:2] == ["linear/categories/weights", "linear/bias_weight"]
    assert clf.activations(X).shape == (500, 16)
    assert (weights["linear/categories/weights"] == 0).mean() > 0.9
    assert not (weights["dnn/fc1/weights"] == 0).any()
    still = fitted(X, z > 0, linear_learning_rate=1e-12, max_iter=5)
    assert np.abs(still.program_.weights["linear/categories/weights"]).max() < 1e-9
    assert clf.learning_rate_ == 0.05
    sgd = fitted(X, z > 0, dnn_optimizer=SGD(), dnn_learning_rate=0.02, max_iter=2)
    assert sgd.learning_rate_ == 0.02


def test_only_what_a_batch_has_is_moved():
    """Of 10^7 hashed crosses none is touched that no row has."""
    X, z = people(200)
    wide = [fc.crossed_column(["town", "job"], 10**7)]
    deep = [fc.embedding_column(HASHED("town", 10**6), 4)]
    clf = fitted(X, z > 0, wide, deep, max_iter=2)
    assert "csr_matmul" in str(clf.program_)
    weights = clf.program_.weights["linear/job_X_town/weights"]
    assert weights.shape == (10**7, 1)
    assert 0 < np.count_nonzero(weights) <= 200
    grads = [line for line in str(clf.program_).splitlines() if ": rows f" in line]
    assert len(grads) == 2
    assert len(clf.program_.model.slots) == 2  # shared by both optimizers


def test_a_part_alone():
    X, z = people(300)
    wide = fitted(X, z > 0, WIDE, None, max_iter=2)
    assert list(wide.program_.weights) == [
        "linear/categories/weights",
        "linear/bias_weight",
    ]
    deep = fitted(X, z > 0, None, DEEP, max_iter=2)
    assert not any(name.startswith("linear") for name in deep.program_.weights)
    assert wide.learning_rate_ == 0.1
    with pytest.raises(ValueError, match="are empty"):
        fitted(X, z > 0, [], ())
    with pytest.raises(ValueError, match="must be an instance of 'list'"):
        fitted(X, z > 0, WIDE, "age")


def test_regression_of_several_targets_and_weights():
    X, z = people(2000)
    y = np.column_stack([z, -3 * z + 100])
    reg = fitted(X, y, kind=DNNLinearCombinedRegressor, max_iter=100)
    assert reg.score(X, y) > 0.85
    weights = np.random.default_rng(0).integers(0, 3, len(z))
    odd = fitted(X, z, kind=DNNLinearCombinedRegressor, max_iter=5, batch_size=4000)
    more = clone(odd).fit(X, z, sample_weight=weights)
    rows = np.repeat(np.arange(len(z)), weights)
    twice = clone(odd).fit({k: v[rows] for k, v in X.items()}, z[rows])
    np.testing.assert_allclose(more.predict(X), twice.predict(X), rtol=0.02, atol=0.02)


def test_classes_weights_stopping_and_going_on():
    X, z = people(1500)
    y = np.digitize(z, [-2, 2])
    options = {"class_weight": "balanced", "early_stopping": True, "max_iter": 60}
    clf = fitted(X, y, n_iter_no_change=3, **options)
    assert clf.n_iter_ < 60
    assert clf.predict_proba(X).shape == (1500, 3)
    parts = DNNLinearCombinedClassifier(WIDE, DEEP, (8,), random_state=0)
    for _ in range(3):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    assert parts.n_iter_ == 3
    whole = clone(parts).set_params(max_iter=3, shuffle=False).fit(X, y)
    warm = clone(whole).set_params(max_iter=1, warm_start=True)
    for _ in range(3):
        warm.fit(X, y)
    assert np.array_equal(whole.program_.params, warm.program_.params)


def test_pickles_threads_and_rows():
    X, z = people(600)
    one, two = (fitted(X, z > 0, n_threads=n, max_iter=5) for n in (1, 2))
    assert np.array_equal(one.program_.params, two.program_.params)
    twin = pickle.loads(pickle.dumps(one))
    assert np.array_equal(twin.decision_function(X), one.decision_function(X))
    few = {name: values[17:18] for name, values in X.items()}
    assert one.decision_function(few)[0] == one.decision_function(X)[17]


def test_search():
    pandas = pytest.importorskip("pandas")
    X, z = people(300)
    clf = DNNLinearCombinedClassifier(
        WIDE, DEEP, (8,), linear_optimizer=Ftrl(), max_iter=2, random_state=0
    )
    grid = {"linear_optimizer__l1": [0.0, 10.0], "dnn_dropout": [0.0, 0.5]}
    search = GridSearchCV(clf, grid, cv=2).fit(pandas.DataFrame(X), z > 0)
    assert set(search.best_params_) == set(grid)
    assert len(set(search.cv_results_["mean_test_score"])) > 1


def frame(n=600):
    pandas = pytest.importorskip("pandas")
    X, z = people(n, towns=30)
    X = pandas.DataFrame(X)
    X["age"] = 40 + 15 * X["age"]
    X.loc[::7, "age"] = np.nan
    X.loc[::9, "job"] = None
    X["town"] = X["town"].astype("category")
    X["member"] = X["hours"] > 0
    return X, z


def test_a_frame_without_columns_of_ours():
    X, z = frame()
    clf = DNNLinearCombinedClassifier(max_iter=20, random_state=0).fit(X, z > 0)
    assert clf.score(X, z > 0) > 0.7
    names = list(clf.program_.weights)
    assert "dnn/input/town_embedding/embeddings" in names
    assert "linear/categories/weights" in names
    # New words, other categories and a missing number where there was none.
    new = X.iloc[:20].copy()
    new["town"] = "nowhere"
    new.loc[1, ["age", "hours"]] = np.nan
    assert np.isfinite(clf.decision_function(new)).all()
    clf.partial_fit(X.iloc[:100], z[:100] > 0)
    assert list(clf.program_.weights) == names


def test_a_frame_of_numbers_is_a_matrix():
    X, z = frame()
    X = X[["hours", "member"]].assign(member=X["member"].astype(float))
    clf = DNNLinearCombinedClassifier(max_iter=2, random_state=0).fit(X, z > 0)
    assert clf.program_.weights["linear/weights"].shape == (2, 1)
    assert clf.program_.weights["dnn/fc1/weights"].shape == (2, 100)


def test_dates_are_told():
    pandas = pytest.importorskip("pandas")
    when = pandas.to_datetime(["2020-01-01"] * 4)
    X = pandas.DataFrame({"when": when, "job": list("abab")})
    with pytest.raises(ValueError, match="column 'when' has dates"):
        DNNLinearCombinedClassifier(max_iter=1).fit(X, [0, 1, 0, 1])


def test_every_row_without_a_category():
    X, z = people(100)
    X["town"] = np.full(100, "")
    clf = fitted(X, z > 0, [fc.crossed_column(["town", "job"], 50)], None, max_iter=2)
    assert len(np.unique(clf.decision_function(X))) == 1


def test_many_columns():
    rng = np.random.default_rng(0)
    X = {f"n{i}": rng.normal(size=200) for i in range(150)}
    X |= {f"c{i}": rng.integers(0, 9, 200) for i in range(150)}
    wide = [HASHED(f"c{i}", 10**4) for i in range(150)]
    deep = [fc.numeric_column(f"n{i}") for i in range(150)]
    deep += [fc.embedding_column(HASHED(f"c{i}", 100), 2) for i in range(150)]
    clf = fitted(X, X["n3"] > 0, wide, deep, max_iter=10)
    assert clf.score(X, X["n3"] > 0) > 0.95
    assert clf.program_.weights["linear/categories/weights"].shape == (150 * 10**4, 1)
