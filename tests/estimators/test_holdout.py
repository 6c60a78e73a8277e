"""The rows that early stopping holds out: drawn, the last ones, or whole groups."""

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GroupKFold, cross_validate

from slimlearn import Autoencoder, DNNClassifier, DNNRegressor, NetworkRegressor
from slimlearn.backend import dataset
from slimlearn.estimators.callbacks import Callback

RNG = np.random.RandomState(0)
X = RNG.normal(size=(100, 3))
Y = X @ [1.0, 2.0, 3.0]
LABELS = (Y > 0).astype(int)
FEW = {"max_iter": 2, "early_stopping": True, "random_state": 0}


class Split(Callback):
    """Tells which rows a fit trains on and which it holds out, by their numbers."""

    def on_fit_begin(self, state):
        rows = state._rows
        self.train_, self.held_ = rows["train"].index, rows["validation"].index


def split(est, *data, **options):
    [(_, found)] = est.set_params(callbacks=[Split()]).fit(*data, **options).callbacks_
    assert sorted([*found.train_, *found.held_]) == sorted(
        set(found.train_) | set(found.held_)
    )
    return found.train_.tolist(), found.held_.tolist()


# -- the last rows ------------------------------


@pytest.mark.parametrize("fraction, first", [(0.1, 90), (0.25, 75), (0.999, 1)])
@pytest.mark.parametrize(
    "est, y",
    [(DNNRegressor(**FEW), Y), (DNNClassifier(**FEW), np.arange(100) % 2)],
    ids=["regressor", "classifier"],
)
def test_without_shuffling_the_last_rows_are_held_out(est, y, fraction, first):
    est.set_params(shuffle=False, validation_fraction=fraction)
    if first == 1 and y is not Y:
        with pytest.raises(ValueError, match="only one class"):
            est.fit(X, y)
        return
    train, held = split(est, X, y)
    assert (train, held) == (list(range(first)), list(range(first, 100)))


def test_rows_of_weight_0_are_not_among_the_last():
    weights = np.ones(100)
    weights[95:] = 0
    train, held = split(DNNRegressor(shuffle=False, **FEW), X, Y, weights)
    assert (train, held) == (list(range(85)), list(range(85, 95)))


def test_shuffled_rows_are_drawn():
    held = split(DNNRegressor(**FEW), X, Y)[1]
    assert len(held) == 10 and held != list(range(90, 100))
    assert held == split(DNNRegressor(**FEW), X, Y)[1]
    assert held != split(DNNRegressor(**FEW).set_params(random_state=1), X, Y)[1]


# -- groups ------------------------------

KINDS = {
    "numbers": np.arange(100) // 7,
    "words": np.array([f"patient {i % 9}" for i in range(100)]),
    "objects": np.array([f"shop {i % 9}" for i in range(100)], dtype=object),
    "list": [i % 13 for i in range(100)],
    "floats": (np.arange(100) % 5) / 3,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    "est, data",
    [
        (DNNRegressor(**FEW), (X, Y)),
        (DNNClassifier(**FEW), (X, LABELS)),
        (DNNClassifier(**FEW), (X, np.c_[LABELS, 1 - LABELS])),
        (NetworkRegressor(lambda x: x["a"], inputs={"a": [0, 1]}, **FEW), (X, Y)),
        (Autoencoder((2,), **FEW), (X,)),
    ],
    ids=["regressor", "classifier", "multilabel", "named", "autoencoder"],
)
@pytest.mark.filterwarnings("ignore:.*predicts without reading")
def test_rows_of_a_group_are_never_on_both_sides(est, data, shuffle, kind):
    groups = np.asarray(KINDS[kind])
    est.set_params(shuffle=shuffle, validation_fraction=0.3)
    train, held = split(est, *data, groups=KINDS[kind])
    assert len(held) and len(train) + len(held) == 100
    assert not set(groups[train]) & set(groups[held])
    assert len(held) <= 30


def test_without_shuffling_the_groups_that_begin_last_are_held_out():
    days = np.repeat(np.arange(10), 10)
    est = DNNRegressor(shuffle=False, validation_fraction=0.25, **FEW)
    assert split(est, X, Y, groups=days)[1] == list(range(80, 100))
    # Names do not count, only where a group begins.
    assert split(est, X, Y, groups=9 - days)[1] == list(range(80, 100))
    est.set_params(validation_fraction=0.01)
    assert split(est, X, Y, groups=days)[1] == list(range(90, 100))


def test_groups_of_all_sizes():
    sizes = [1, 2, 3, 50, 6, 38]
    groups = np.repeat(np.arange(6), sizes)
    seen = set()
    for seed in range(20):
        rows = np.arange(100)
        train, held = dataset.holdout(rows, 0.1, seed, groups=groups)
        assert 1 <= len(held) <= 10 and len(train) + len(held) == 100
        seen.add(tuple(np.unique(groups[held])))
    assert len(seen) > 1  # another seed, other groups
    # Where none fits, the smallest.
    _, held = dataset.holdout(np.arange(97), 0.01, 0, groups=groups[3:])
    assert set(groups[3:][held]) == {2}


@pytest.mark.parametrize("last", [False, True])
def test_any_groups_and_classes(last):
    for seed in range(300):
        rng = np.random.RandomState(seed)
        n = rng.randint(2, 60)
        groups = rng.randint(rng.randint(1, n + 1), size=n)
        classes = rng.randint(rng.randint(1, 5), size=n)
        fraction, rows = rng.uniform(0.01, 0.99), np.sort(rng.permutation(100)[:n])
        options = {"groups": groups, "last": last}
        try:
            train, held = dataset.holdout(rows, fraction, seed, classes, **options)
        except ValueError:
            # Each group has all rows of some class, or there is one alone.
            spared = [
                set(classes[groups != g]) == set(classes) for g in np.unique(groups)
            ]
            assert len(spared) == 1 or not (last or any(spared))
            continue
        assert sorted([*train, *held]) == rows.tolist()
        is_held = np.isin(rows, held)
        apart = set(groups[is_held])
        assert not apart & set(groups[~is_held])
        assert len(held) <= max(1, round(fraction * n)) or len(apart) == 1
        if last:
            begins = [np.flatnonzero(groups == g)[0] for g in apart]
            others = [np.flatnonzero(groups == g)[0] for g in set(groups) - apart]
            assert min(begins) > max(others)
        else:
            assert set(classes[~is_held]) == set(classes)


def test_a_class_that_one_group_has_stays_in_training():
    groups = np.arange(100) // 10
    y = np.where(groups == 3, 2, np.arange(100) % 2)
    for seed in range(20):
        est = DNNClassifier(**{**FEW, "random_state": seed}, validation_fraction=0.5)
        train, held = split(est, X, y, groups=groups)
        assert set(y[train]) == {0, 1, 2} and len(held) == 50


def test_a_class_may_be_met_in_the_last_rows_alone():
    y = np.where(np.arange(100) < 95, np.arange(100) % 2, 2)
    clf = DNNClassifier(shuffle=False, **FEW).fit(X, y)
    assert clf.predict_proba(X).shape == (100, 3)
    assert np.isfinite(clf.validation_loss_curve_).all()


def test_held_out_rows_and_none_make_groups_idle():
    groups = np.arange(100) % 5
    whole = DNNRegressor((4,), max_iter=2, random_state=0).fit(X, Y)
    same = DNNRegressor((4,), max_iter=2, random_state=0).fit(X, Y, groups=groups)
    assert np.array_equal(whole.predict(X), same.predict(X))
    est = DNNRegressor((4,), **FEW)
    given = est.fit(X, Y, X_val=X[:9], y_val=Y[:9], groups=groups)
    assert given._progress.epoch == 2


@pytest.mark.parametrize(
    "groups, kind, told",
    [
        (np.zeros(100), ValueError, "cannot hold out one of 1 group, which would"),
        (np.zeros(99), ValueError, "inconsistent numbers of samples"),
        (np.zeros((100, 2)), ValueError, r"groups has shape \(100, 2\): give one"),
        (np.r_[np.nan, np.ones(99)], ValueError, "groups contains NaN, first in row 0"),
        (["a"] * 99 + [None], TypeError, "several kinds, NoneType, str: give every"),
    ],
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_groups_that_cannot_be(groups, kind, told, shuffle):
    with pytest.raises(kind, match=told):
        DNNRegressor(shuffle=shuffle, **FEW).fit(X, Y, groups=groups)


def test_every_class_in_one_group_only():
    with pytest.raises(ValueError, match="one of 2 groups, which would leave too few"):
        DNNClassifier(**FEW).fit(X, LABELS, groups=LABELS)


# -- through others ------------------------------


def test_groups_are_routed_where_they_are_asked_for():
    groups = np.arange(100) % 10
    options = {"cv": GroupKFold(2), "params": {"groups": groups}, "scoring": "r2"}
    with sklearn.config_context(enable_metadata_routing=True):
        # Only a splitter takes them, unless early stopping needs to know.
        cross_validate(DNNRegressor((4,), max_iter=1), X, Y, **options)
        est = DNNRegressor((4,), validation_fraction=0.2, **FEW)
        with pytest.raises(UnsetMetadataPassedError, match="groups"):
            cross_validate(est, X, Y, **options)
        est.set_params(validation_fraction=None)
        cross_validate(est, X, Y, **options)
        est.set_params(validation_fraction=0.2, callbacks=[Split()])
        est.set_fit_request(groups=True)
        found = cross_validate(
            est, X, Y, return_estimator=True, return_indices=True, **options
        )
        for one, rows in zip(found["estimator"], found["indices"]["train"]):
            [(_, seen)] = one.callbacks_
            own = groups[rows]
            assert not set(own[seen.train_]) & set(own[seen.held_])
            assert len(seen.held_) == 10
        est.set_fit_request(groups=False)
        cross_validate(est, X, Y, error_score="raise", **options)
