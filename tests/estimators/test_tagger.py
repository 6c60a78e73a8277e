"""SequenceTagger: labels of steps, padding, weights, folds, files, mistakes."""

import io
import pickle

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
)

import slimlearn
from slimlearn import SequenceTagger, layers, network
from slimlearn.backend.ragged import Ragged
from slimlearn.callbacks import Callback

SMALL = {"units": (8,), "kernel_size": 3, "learning_rate": 0.02, "random_state": 0}


def steps(n=60, features=2, seed=0, longest=15, dtype="f4"):
    """Which of three thirds the first feature is in, step by step."""
    rng = np.random.default_rng(seed)
    X = [
        rng.standard_normal((rng.integers(1, longest + 1), features)).astype(dtype)
        for _ in range(n)
    ]
    return X, [np.digitize(x[:, 0], [-0.5, 0.5]) for x in X]


def fitted(X, y, weights=None, **parameters):
    if "net" in parameters:
        learning = {"learning_rate": 0.02, "max_iter": 5, "random_state": 0}
        return SequenceTagger(**{**learning, **parameters}).fit(X, y)
    return SequenceTagger(**{**SMALL, "max_iter": 5, **parameters}).fit(X, y, weights)


def params(tagger):
    return tagger.program_.params.tobytes()


@pytest.mark.parametrize(
    ("cell", "words"),
    [("conv", ["low", "mid", "tall"]), ("lstm", [3, 5, 9]), ("gru", [1.0, 2.0, 5.0])],
)
def test_learns_labels_of_any_type(cell, words):
    X, y = steps(120)
    labels = [np.array(words)[part] for part in y]
    tagger = fitted(X[:80], labels[:80], cell=cell, max_iter=60)
    assert tagger.score(X[80:], labels[80:]) > 0.9
    assert tagger.classes_.tolist() == sorted(words)
    found = tagger.predict(X[80:])
    assert [part.shape for part in found] == [part.shape for part in labels[80:]]
    assert found[0].dtype == tagger.classes_.dtype
    proba, raw = tagger.predict_proba(X[80:]), tagger.decision_function(X[80:])
    for x, part, p, log, z in zip(
        X[80:], found, proba, tagger.predict_log_proba(X[80:]), raw
    ):
        assert p.shape == z.shape == (len(x), 3)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        np.testing.assert_allclose(np.exp(log), p, rtol=1e-12)
        np.testing.assert_array_equal(tagger.classes_[p.argmax(axis=1)], part)


def test_two_labels_ids_and_one_array():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 9, (60, 7))
    y = np.where(X > 4, "b", "a")
    tagger = fitted(X, y, max_iter=40)
    assert tagger.score(X, y) == 1.0
    assert tagger.predict_proba(X)[0].shape == (7, 2)
    np.testing.assert_array_equal(tagger.predict([X[0][:3]])[0], y[0][:3])
    lists = SequenceTagger(**SMALL, max_iter=40).fit(
        [list(x[: 2 + i % 6]) for i, x in enumerate(X)],
        [list(part[: 2 + i % 6]) for i, part in enumerate(y)],
    )
    assert lists.score(list(X), list(y)) > 0.99


@pytest.mark.parametrize("cell", ["conv", "lstm", "gru"])
def test_padding_changes_no_bit(cell, monkeypatch):
    X, y = steps()
    options = {"cell": cell, "early_stopping": True, "class_weight": {0: 2.0}}
    plain = fitted(X, y, **options)
    proba = plain.predict_proba(X)
    monkeypatch.setattr(Ragged.__init__, "__defaults__", (2.0,))
    other = fitted(X, y, **options)
    assert params(other) == params(plain)
    assert other.loss_curve_ == plain.loss_curve_
    assert other.validation_loss_curve_ == plain.validation_loss_curve_
    monkeypatch.setattr(Ragged.__init__, "__defaults__", (float("nan"),))
    for one, two in zip(plain.predict_proba(X), proba):
        np.testing.assert_array_equal(one, two)
    for i in (0, 5, 17):
        np.testing.assert_array_equal(plain.predict_proba(X[i : i + 1])[0], proba[i])


def test_the_loss_is_the_mean_over_steps():
    X, y = steps(20, dtype="f8")
    tagger = SequenceTagger(
        **{**SMALL, "learning_rate": 1e-12}, max_iter=1, precision="float64"
    ).fit(X, y)
    log = np.concatenate(tagger.predict_log_proba(X))
    of_steps = -log[np.arange(len(log)), np.concatenate(y)]
    np.testing.assert_allclose(tagger.loss_, of_steps.mean(), rtol=1e-9)
    weights = np.arange(20.0)
    tagger.fit(X, y, weights)
    log = np.concatenate(tagger.predict_log_proba(X))
    of_steps = -log[np.arange(len(log)), np.concatenate(y)]
    each = np.repeat(weights, [len(x) for x in X])
    np.testing.assert_allclose(
        tagger.loss_, np.average(of_steps, weights=each), rtol=1e-9
    )


def test_weights_are_repeated_sequences():
    X, y = steps(24, dtype="f8")
    weights = np.arange(24) % 3
    often = [i for i in range(24) for _ in range(weights[i])]
    options = {"precision": "float64", "batch_size": 100, "shuffle": False}
    options |= {"length_buckets": 1}
    one = fitted(X, y, weights, **options)
    two = fitted([X[i] for i in often], [y[i] for i in often], **options)
    for a, b in zip(one.predict_proba(X), two.predict_proba(X)):
        np.testing.assert_allclose(a, b, rtol=1e-7)
    assert one.score(X, y, weights) == pytest.approx(
        one.score([X[i] for i in often], [y[i] for i in often])
    )


def test_class_weights_move_what_is_rare():
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((9, 1)) for _ in range(80)]
    y = [(x[:, 0] + rng.normal(0, 1.5, 9) > 2.5).astype(int) for x in X]
    shares = [
        np.concatenate(fitted(X, y, class_weight=w, max_iter=30).predict(X)).mean()
        for w in (None, "balanced", {1: 1e4})
    ]
    assert shares[0] < shares[1] < shares[2]
    with pytest.raises(ValueError, match="none of which is a class"):
        fitted(X, y, class_weight={7: 1.0})
    with pytest.raises(ValueError, match="must be a dict"):
        fitted(X, y, class_weight=[{1: 2.0}])


def test_early_stopping_scoring_and_callbacks():
    class Heard(Callback):
        def on_epoch_end(self, state):
            epochs.append(state.epoch)

    epochs = []
    X, y = steps()

    def share(tagger, X, y):
        assert len(X) == len(y) == 6
        return tagger.score(X, y)

    tagger = fitted(
        X,
        y,
        early_stopping=True,
        scoring=share,
        n_iter_no_change=3,
        max_iter=40,
        callbacks=[Heard()],
    )
    assert len(tagger.validation_scores_) == tagger.n_iter_ == len(epochs)
    assert tagger.best_validation_score_ == max(tagger.validation_scores_)
    given = SequenceTagger(**SMALL, early_stopping=True, max_iter=4)
    given.fit(X[10:], y[10:], X_val=X[:10], y_val=y[:10])
    assert len(given.validation_loss_curve_) == given.n_iter_


def test_goes_on_by_parts_and_warm():
    X, y = steps()
    tagger = SequenceTagger(**SMALL)
    with pytest.raises(ValueError, match="classes must be passed"):
        tagger.partial_fit(X, y)
    tagger.partial_fit(X[:30], y[:30], classes=[0, 1, 2, 3])
    losses = [tagger.partial_fit(X[30:], y[30:]).loss_ for _ in range(20)]
    assert losses[-1] < losses[0]
    assert tagger.classes_.tolist() == [0, 1, 2, 3]
    warm = fitted(X, y, warm_start=True, max_iter=10)
    first = warm.loss_
    assert warm.fit(X, y).loss_ < first
    assert warm.n_iter_ == 20
    assert not hasattr(tagger, "fit_chunks")


def test_copies_pickles_and_files_predict_the_same():
    X, y = steps()
    tagger = fitted(X, y, class_weight="balanced")
    proba = tagger.predict_proba(X)
    again = clone(tagger).fit(X, y)
    assert params(again) == params(tagger)
    file = io.BytesIO()
    slimlearn.save(tagger, file)
    loaded = slimlearn.load(file.getvalue())
    for other in (pickle.loads(pickle.dumps(tagger)), loaded):
        for one, two in zip(other.predict_proba(X), proba):
            np.testing.assert_array_equal(one, two)
        assert other.fit(X, y).score(X, y) == again.score(X, y)


def test_what_is_of_one_number_is_refused():
    X, y = steps(20)
    tagger = fitted(X, y)
    with pytest.raises(ValueError, match="saliency is the derivative of one number"):
        tagger.saliency(X)
    with pytest.raises(ValueError, match="losses of steps"):
        tagger.gradients(X, y)


def test_searches_and_folds_take_lists():
    X, y = steps()
    assert not is_classifier(SequenceTagger())
    scores = cross_val_score(SequenceTagger(**SMALL, max_iter=30), X, y, cv=3)
    assert scores.min() > 0.7
    search = GridSearchCV(SequenceTagger(**SMALL), {"max_iter": [1, 20]}, cv=2)
    search.fit(X, y)
    assert search.best_params_ == {"max_iter": 20}
    assert search.score(X, y) == search.best_estimator_.score(X, y)


def test_predictions_of_folds_are_joined():
    X, y = steps()
    for rows, labels in (
        (X, y),
        (X[:1] * 30, y[:1] * 30),
        (np.stack([x[:1] for x in X]), np.stack([part[:1] for part in y])),
    ):
        tagger, folds = SequenceTagger(**SMALL, max_iter=2), KFold(3)
        joined = cross_val_predict(tagger, rows, labels, cv=folds)
        expected = []
        for train, test in folds.split(rows):
            tagger.fit([rows[i] for i in train], [labels[i] for i in train])
            expected += list(tagger.predict([rows[i] for i in test]))
        assert len(joined) == len(rows)
        for found, one in zip(joined, expected, strict=True):
            np.testing.assert_array_equal(found, one)
    assert joined.shape == (60, 1)


@network
def own(x, num_classes, units=8):
    net = layers.bidirectional(x, layers.gru, units, return_sequences=True)
    return layers.linear(net, num_classes)


@network
def features(x, units=8):
    return layers.conv1d(x, units, 3, normalizer_fn=layers.batch_norm)


@pytest.mark.parametrize("net", [own(), features()])
def test_a_network_of_one_s_own(net):
    X, y = steps(100)
    assert fitted(X, y, net=net, max_iter=40).score(X, y) > 0.9


def test_a_network_that_is_not_of_steps():
    X, y = steps()
    with pytest.raises(ValueError, match=r"must return \[B, T, features\], one for ea"):
        fitted(X, y, net=lambda x: layers.sequence_pool(x))
    with pytest.raises(ValueError, match=r"must return \[B, T, features\]"):
        fitted(X, y, net=lambda x: layers.conv1d(x, 4, 3, stride=2))
    with pytest.raises(ValueError, match=r"needed is \[B,T,3\]"):
        fitted(X, y, net=lambda x, num_classes: layers.linear(x, 4))


def squared(raw, y):
    return slimlearn.ops.sum((raw - slimlearn.ops.one_hot(y, 3)) ** 2, 1)


@pytest.mark.parametrize("loss", ["focal", "hinge", squared])
def test_losses(loss):
    X, y = steps(100)
    tagger = fitted(X, y, loss=loss, max_iter=60)
    assert tagger.score(X, y) > 0.85
    assert hasattr(tagger, "predict_proba") == (loss != "hinge")
    with pytest.raises(ValueError, match="in order"):
        fitted(X, y, loss=slimlearn.Ordinal())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda y: [*y[:3], y[3][:-1], *y[4:]], "row 3 has .* labels, but its seq"),
        (lambda y: [0, *y[1:]], "row 0 is 0, no sequence: give a label for each step"),
        (lambda y: ["ab", *y[1:]], "row 0 is 'ab', no sequence"),
        (lambda y: [y[0][None], *y[1:]], "row 0 has 2 axes"),
        (lambda y: [p * np.nan if i == 4 else p for i, p in enumerate(y)], "in row 4,"),
        (lambda y: [[None] * len(y[0]), *y[1:]], "NaN in row 0, step 0"),
        (lambda y: [["a"] * len(y[0]), *y[1:]], "words in row 0 and numbers in row 1"),
        (lambda y: [[1, "a"] * 9, *y[1:]], "words and numbers in row 0"),
        (lambda y: [[(1, 2)] * 9, *y[1:]], "row 0"),
        (lambda y: y[:5], "inconsistent numbers of samples"),
        (lambda y: None, "y is None"),
        (lambda y: "abc", "y is str"),
        (lambda y: [p * 0 for p in y], "only one class"),
        (lambda y: [p + 0.25 for p in y], "Unknown label type|continuous"),
    ],
)
def test_bad_targets_are_named(spoil, words):
    X, y = steps()
    with pytest.raises((ValueError, TypeError), match=words):
        fitted(X, spoil(y))


def test_lists_that_would_be_one_array_are_sequences():
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((4, 4)).tolist() for _ in range(40)]
    y = [["a" if step[0] > 0 else "b" for step in x] for x in X]
    tagger = fitted(X, y, max_iter=30)
    assert [len(part) for part in tagger.predict(X[:2])] == [4, 4]
    assert params(fitted(np.array(X), np.array(y), max_iter=30)) == params(tagger)
    objects = np.empty(40, dtype=object)
    objects[:] = y
    assert tagger.score(X, objects) == tagger.score(X, y) > 0.9
    assert cross_val_score(SequenceTagger(**SMALL, max_iter=30), X, y, cv=2).min() > 0.7


def test_bad_sequences_and_unknown_labels():
    X, y = steps()
    tagger = fitted(X, y)
    with pytest.raises(ValueError, match="sequence 1 has no steps"):
        fitted([X[0], X[1][:0], *X[2:]], y)
    with pytest.raises(ValueError, match="NaN in sequence 2"):
        tagger.predict([X[0], X[1], X[2] * np.nan])
    with pytest.raises(ValueError, match="y holds labels"):
        fitted_with = SequenceTagger(**SMALL, early_stopping=True)
        fitted_with.fit(X, y, X_val=X, y_val=[part + 5 for part in y])
    with pytest.raises(ValueError, match="row 0 has"):
        tagger.score(X, [part[:-1] for part in y])
    assert tagger.score(X, [part + 9 for part in y]) == 0.0
