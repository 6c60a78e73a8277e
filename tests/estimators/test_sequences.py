"""Estimators of sequences: forms of X, padding, lengths, folds, mistakes."""

import pickle

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from slimlearn import (
    SequenceClassifier,
    SequenceRegressor,
    TokenVectorizer,
    layers,
    network,
)
from slimlearn.estimators.inputs.sequence_rows import bucket_sizes

SMALL = {"cell": "conv", "units": (8,), "kernel_size": 3, "random_state": 0}


def sequences(n=60, features=2, seed=0, longest=15, dtype="f4"):
    rng = np.random.default_rng(seed)
    X = [
        rng.standard_normal((rng.integers(1, longest + 1), features)).astype(dtype)
        for _ in range(n)
    ]
    return X, np.array([int(x[:, 0].mean() > 0) for x in X])


def objects(parts):
    array = np.empty(len(parts), dtype=object)
    array[:] = parts
    return array


def fitted(X, y, **parameters):
    return SequenceClassifier(**SMALL, max_iter=5, **parameters).fit(X, y)


def test_a_list_an_array_of_objects_and_nct_are_the_same():
    X, y = sequences()
    clf = fitted(X, y)
    proba = clf.predict_proba(X)
    other = fitted(objects(X), y)
    assert other.program_.params.tobytes() == clf.program_.params.tobytes()
    np.testing.assert_array_equal(clf.predict_proba(objects(X)), proba)
    turned = [x.T for x in X]
    first = fitted(turned, y, data_format="NCT")
    np.testing.assert_array_equal(first.predict_proba(turned), proba)
    assert clf.n_features_in_ == 2


def test_a_column_of_pandas_is_a_list():
    pandas = pytest.importorskip("pandas")
    X, y = sequences(30)
    rows = range(len(X), 0, -1)
    clf = fitted(X, y)
    other = fitted(pandas.Series(X, index=rows), pandas.Series(y, index=rows))
    proba = other.predict_proba(pandas.Series(X, index=rows))
    np.testing.assert_array_equal(clf.predict_proba(X), proba)
    with pytest.raises(ValueError, match="X: sequence 1 has 0 axes"):
        fitted(pandas.Series([X[0], np.nan, *X[2:]]), y)
    with pytest.raises(ValueError, match="X: sequence 0 has words: put TokenVec"):
        fitted(pandas.Series(["a b", "c"]), y[:2])


def test_results_do_not_depend_on_the_other_rows():
    X, y = sequences()
    clf = fitted(X, y)
    proba = clf.predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(X[::-1])[::-1], proba)
    for i in (0, 5, 17):
        np.testing.assert_array_equal(clf.predict_proba(X[i : i + 1])[0], proba[i])


def test_longer_sequences_than_those_of_fit_are_read():
    X, y = sequences()
    clf, long = fitted(X, y), [np.tile(X[0], (90, 1)), X[1]]
    proba = clf.predict_proba(long)
    np.testing.assert_array_equal(proba[1], clf.predict_proba(X)[1])
    assert np.isfinite(proba).all()


@pytest.mark.parametrize("buckets", [1, 2, 8, 40])
def test_buckets_change_roundings_only(buckets):
    X, y = sequences(dtype="f8")
    whole = fitted(X, y, precision="float64", batch_size=60)
    some = fitted(X, y, precision="float64", batch_size=60, length_buckets=buckets)
    np.testing.assert_allclose(some.predict_proba(X), whole.predict_proba(X), rtol=1e-9)


def test_threads_change_no_bit():
    X, y = sequences(300)
    one, two = (fitted(X, y, n_threads=n) for n in (1, 2))
    assert one.program_.params.tobytes() == two.program_.params.tobytes()
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_one_array_is_read_as_it_is_and_predicts_on_lists():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3, 9)).astype("f4")
    y = (X[:, 0].mean(1) > 0).astype(int)
    clf = fitted(X, y, data_format="NCT")
    assert "lengths" not in clf.program_.text
    proba = clf.predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(list(X)), proba)
    longer = np.concatenate([X, X], axis=2)
    mixed = clf.predict_proba([X[0], longer[1], X[2]])
    np.testing.assert_array_equal(mixed[[0, 2]], proba[[0, 2]])
    np.testing.assert_array_equal(mixed[1], clf.predict_proba(longer[1:2])[0])


def test_sample_weights_of_zero_count_as_absent():
    X, y = sequences()
    weights = (np.arange(60) % 3 > 0).astype(float)
    some = SequenceClassifier(**SMALL, max_iter=3).fit(X, y, sample_weight=weights)
    kept = np.flatnonzero(weights)
    same = SequenceClassifier(**SMALL, max_iter=3, length_buckets=8)
    same.fit([X[i] for i in kept], y[kept])
    # Quantiles of the lengths are those of all rows that are given.
    np.testing.assert_allclose(
        some.predict_proba(X), same.predict_proba(X), rtol=2e-2, atol=2e-2
    )


def test_early_stopping_and_validation():
    X, y = sequences(200)
    clf = SequenceClassifier(
        **SMALL, early_stopping=True, max_iter=40, learning_rate=0.01
    )
    clf.fit(X, y)
    assert len(clf.validation_loss_curve_) == len(clf.loss_curve_)
    Xv, yv = sequences(30, seed=1, longest=40)
    clf.fit(X, y, X_val=Xv, y_val=yv)
    best = min(clf.validation_loss_curve_)
    log_proba = clf.predict_log_proba(Xv)
    np.testing.assert_allclose(-log_proba[np.arange(30), yv].mean(), best, rtol=1e-4)


def test_partial_fit_goes_on_with_longer_sequences():
    X, y = sequences()
    clf = SequenceClassifier(**SMALL)
    clf.partial_fit(X, y, classes=[0, 1])
    long, labels = sequences(20, seed=3, longest=60)
    clf.partial_fit(long, labels)
    assert len(clf.loss_curve_) == 2
    assert clf.predict(long).shape == (20,)


def test_folds_searches_and_pickles():
    X, y = sequences(120)
    clf = SequenceClassifier(**SMALL, max_iter=40, learning_rate=0.02)
    assert cross_val_score(clf, X, y, cv=3).mean() > 0.8
    assert cross_val_score(clf, objects(X), y, cv=3).mean() > 0.8
    search = GridSearchCV(clf, {"pooling": ["mean", "max"]}, cv=2).fit(X, y)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_regression_of_several_targets():
    X, _ = sequences(150)
    Y = np.array([[x[:, 0].mean(), 100 * x[:, 1].max()] for x in X])
    reg = SequenceRegressor(**SMALL, pooling="attention", max_iter=5)
    assert reg.fit(X, Y).predict(X).shape == (150, 2)


@pytest.mark.parametrize("cell", ["lstm", "gru", "conv"])
def test_each_cell_learns(cell):
    X, y = sequences(150)
    clf = SequenceClassifier(
        cell=cell, units=(16,), dropout=0.1, max_iter=60, learning_rate=0.01
    )
    clf.set_params(random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.85
    proba = clf.predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(X[:7]), proba[:7])


@network
def own(x, units=8, is_training=True):
    net = layers.conv1d(x, units, 3, normalizer_fn=layers.batch_norm)
    net = layers.max_pool1d(net, 2, 2, padding="SAME")
    return layers.global_pool(net)


def test_a_network_of_one_s_own():
    X, y = sequences(100)
    clf = SequenceClassifier(own(units=12), max_iter=40, learning_rate=0.02)
    clf.set_params(random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.85


# -- ids -------------------------------------------------------------------------------


def test_saliency_is_by_the_steps_of_each_sequence():
    X, y = sequences(dtype="f8")
    clf = fitted(X, y, precision="float64")
    few = X[:6]
    found, step = clf.saliency(few, output=1), 1e-5
    for row, x in enumerate(few):
        assert not found[row, len(x) :].any()
        for at in np.ndindex(x.shape):
            ends = []
            for move in (step, -step):
                moved = [part.copy() for part in few]
                moved[row][at] += move
                ends.append(clf.decision_function(moved)[row])
            slope = (ends[0] - ends[1]) / (2 * step)
            assert found[(row, *at)] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_longer_sequences_follow_the_most_lengths_there_can_be():
    X = [np.full((n, 1), n % 2, np.float32) for n in range(1, 201)]
    y = np.arange(200) % 2
    clf = SequenceClassifier(**SMALL, length_buckets=128)
    clf.partial_fit(X, y, classes=[0, 1])
    assert len(clf._input.sizes) == 128
    longer = [np.ones((n, 1), np.float32) for n in (900, 4000)]
    assert np.isfinite(clf.partial_fit([*X, *longer], [*y, 1, 1]).loss_)
    with pytest.raises(ValueError, match="length_buckets"):
        SequenceClassifier(length_buckets=129).fit(X, y)


def test_longer_chunks_follow_where_gradients_could_be_rows():
    X, y = ids()
    clf = SequenceClassifier(**SMALL, optimizer="adagrad", vocabulary_size=9)
    clf.partial_fit([x[:1] for x in X], y, classes=[0, 1])
    assert np.isfinite(clf.partial_fit(X, y).loss_)


def ids(n=80, seed=0):
    rng = np.random.default_rng(seed)
    X = [rng.integers(0, 9, rng.integers(1, 12)) for _ in range(n)]
    return X, np.array([int(4 in x) for x in X])


def test_ids_are_embedded():
    X, y = ids(200)
    clf = SequenceClassifier(**SMALL, pooling="max", max_iter=60, learning_rate=0.01)
    assert clf.fit(X, y).score(X, y) > 0.95
    assert clf.program_.weights["embedding/embeddings"].shape == (9, 32)
    lists = [x.tolist() for x in X]
    np.testing.assert_array_equal(clf.predict(lists), clf.predict(X))


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "ftrl", "lazy_adam"])
def test_ids_are_embedded_where_gradients_could_be_rows(optimizer):
    X, y = ids()
    several = fitted(X, y, optimizer=optimizer)
    assert len(several._input.sizes) > 1
    long = [i for i, x in enumerate(X) if len(x) >= 5]
    same = fitted([X[i][:5] for i in long], y[long], optimizer=optimizer)
    for clf in (several, same):
        assert np.isfinite(clf.loss_curve_).all()
        assert clf.loss_curve_[-1] < clf.loss_curve_[0]


def test_ids_out_of_the_vocabulary_are_named():
    X, y = ids()
    clf = fitted(X, y)
    with pytest.raises(
        ValueError, match=r"id 9 in sequence 1, but ids run from 0 to 8"
    ):
        clf.predict([[1], [2, 9]])
    with pytest.raises(ValueError, match="id -1 in sequence 0"):
        clf.predict([[-1]])
    clf = fitted(X, y, vocabulary_size=20)
    clf.predict([[1], [2, 19]])
    with pytest.raises(ValueError, match="the id 8 in sequence"):
        fitted(X, y, vocabulary_size=5)
    with pytest.raises(ValueError, match="was fitted on sequences of ids"):
        clf.predict([[0.5, 1.5]])


@pytest.mark.parametrize("huge", [10**12, 2**31 - 1])
def test_an_id_for_which_there_is_no_room_is_named(huge):
    X = [np.array([1, 2, 0]), np.array([0, huge])]
    with pytest.raises((ValueError, MemoryError), match=rf"\b{huge}\b.* TokenVec"):
        fitted(X, [0, 1], embed_dim=1 << 16)


def test_what_a_network_of_ones_own_does_not_read_is_told():
    X, y = ids()

    def net(x):
        return layers.sequence_pool(layers.embedding(x, 9, 2))

    clf = SequenceClassifier(net, max_iter=1, units=(3,), hidden_units=[8])
    with pytest.warns(UserWarning, match="does not read units, hidden_units where net"):
        clf.fit(X, y)
    SequenceClassifier(net, max_iter=1, units=[32, 32]).fit(X, y)


def test_words_come_through_a_vectorizer():
    texts = ["good film", "bad film", "a good one", "so bad", "not bad", "not good"] * 9
    y = [1, 0, 1, 0, 1, 0] * 9
    clf = SequenceClassifier(**SMALL, max_iter=80, learning_rate=0.01)
    pipe = make_pipeline(TokenVectorizer(), clf)
    assert pipe.fit(texts, y).score(texts, y) == 1.0
    assert pipe.predict(["", "never seen words"]).shape == (2,)
    with pytest.raises(ValueError, match=r"put TokenVectorizer\(\)"):
        clf.fit(["a b", "c"], [0, 1])
    words = [text.split() for text in texts]
    with pytest.raises(ValueError, match=r"put TokenVectorizer\(analyzer=list\)"):
        clf.fit(words, y)
    pipe = make_pipeline(TokenVectorizer(analyzer=list), clf)
    assert pipe.fit(words, y).score(words, y) == 1.0


# -- mistakes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda X: [X[0], X[1][:0], *X[2:]], "sequence 1 has no steps"),
        (
            lambda X: [X[0], X[1][:, :1], *X[2:]],
            "sequence 1 has 1 features, sequence 0",
        ),
        (lambda X: [X[0], X[1][:, 0], *X[2:]], "sequence 1 has numbers alone"),
        (
            lambda X: [*X[:3], np.full((4, 2), np.nan), *X[4:]],
            "NaN in sequence 3, step 0",
        ),
        (lambda X: [*X[:3], np.full((4, 2), np.inf), *X[4:]], "infinity in sequence 3"),
        (lambda X: [[[1.0, 2.0], [1.0]], *X[1:]], "different numbers of features"),
        (lambda X: [np.zeros((2, 2, 2)), *X[1:]], "sequence 0 has 3 axes"),
        (lambda X: np.zeros((60, 2, 2, 2)), "has 4 axes"),
        (
            lambda X: np.where(np.arange(5) < 3, np.ones((60, 5)), np.nan),
            r"NaN in columns \[3, 4\].*; where NaN pads, give a list of arrays",
        ),
        (
            lambda X: np.where(np.arange(5)[:, None] < 3, np.ones((60, 5, 2)), np.nan),
            "NaN in sequence 0, step 3: .* list of arrays has sequences of any",
        ),
        (lambda X: np.zeros((60, 0, 2)), "empty|minimum of 1"),
        (lambda X: [], "0 sample"),
        (lambda X: X[:5], "inconsistent numbers of samples"),
    ],
)
def test_bad_sequences_are_named(spoil, words):
    X, y = sequences()
    with pytest.raises(ValueError, match=words):
        fitted(spoil(X), y)


def test_other_features_than_those_of_fit():
    X, y = sequences()
    clf = fitted(X, y)
    with pytest.raises(ValueError, match="expecting 2 features"):
        clf.predict([np.zeros((3, 5))])
    with pytest.raises(ValueError, match="expecting 2 features"):
        clf.predict([[1.0, 2.0, 3.0]])


def test_lists_that_would_be_one_array_are_sequences():
    X, y = sequences(20)
    clf = fitted(X, y)
    alike = [np.ones((4, 2)), np.zeros((4, 2))]
    proba = clf.predict_proba(alike)
    np.testing.assert_array_equal(clf.predict_proba(np.array(alike)), proba)
    np.testing.assert_array_equal(clf.predict_proba([*alike, X[0]])[:2], proba)


def test_later_chunks_of_another_length():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 5, 2)), rng.integers(0, 2, 20)
    chunks = [(X, y), ([x[: 2 + i % 3] for i, x in enumerate(X)], y)]
    clf = SequenceClassifier(**SMALL, max_iter=2)
    clf.fit_chunks(chunks)
    assert np.isfinite(clf.predict_proba(chunks[1][0])).all()


def test_bucket_sizes_are_quantiles():
    assert bucket_sizes(np.array([3, 3, 3]), 8) == (3,)
    assert bucket_sizes(np.arange(1, 101), 4)[-1] == 100
    assert len(bucket_sizes(np.arange(1, 101), 4)) == 4
