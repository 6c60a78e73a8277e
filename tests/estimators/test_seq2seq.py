"""Seq2Seq: what it learns, its search, tokens, padding, weights, files, mistakes."""

import io
import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline

import slimlearn
from slimlearn import LogLoss, Seq2Seq, TokenVectorizer
from slimlearn.backend.ragged import Ragged
from slimlearn.callbacks import Callback

SMALL = {
    "embed_dim": 16,
    "units": 24,
    "decoder_units": 24,
    "learning_rate": 0.02,
    "random_state": 0,
}


def backwards(n=200, longest=5, seed=0):
    """Words of three letters, and the same backwards."""
    rng = np.random.RandomState(seed)
    letters = np.array(list("abc"))
    X = ["".join(rng.choice(letters, rng.randint(1, longest + 1))) for _ in range(n)]
    return X, [word[::-1] for word in X]


def fitted(X, y, weights=None, **parameters):
    return Seq2Seq(**{**SMALL, "max_iter": 3, **parameters}).fit(X, y, weights)


def params(model):
    return model.program_.params.tobytes()


@pytest.fixture(scope="module")
def learned():
    X, y = backwards(300)
    return fitted(X, y, max_iter=40)


@pytest.mark.parametrize(
    "layers", [{"cell": "gru"}, {"units": (16, 16), "decoder_units": (16, 24)}]
)
def test_learns_words_backwards(layers):
    X, y = backwards(300)
    model = fitted(X, y, max_iter=40, **layers)
    assert model.score(X, y) > 0.9
    right = [a == b for a, b in zip(model.predict(X), y)]
    assert model.score(X, y) == np.mean(right)


def test_lengths_of_x_and_y_are_their_own():
    rng = np.random.default_rng(0)
    X = [rng.integers(1, 4, rng.integers(1, 4)) for _ in range(200)]
    # Each number so many times: 3 1 -> 3 3 3 1.
    y = [np.repeat(x, x).tolist() for x in X]
    model = fitted(X, y, max_iter=40)
    assert model.score(X, y) > 0.9
    assert model.predict([[3, 1]]) == [[3, 3, 3, 1]]
    assert model.vocabulary_ is None
    assert model.classes_.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("X", "y"),
    [
        ([["new", "york"], ["york"], ["new"]] * 20, [["ny"], [], ["n", "n"]] * 20),
        (np.array(["ab", "b", "a"] * 20), [(1, 0), (), (0,)] * 20),
        (np.arange(60).reshape(20, 3) % 3, [[True], [False, True]] * 10),
        (np.random.default_rng(0).normal(size=(20, 4, 2)), ["x", ""] * 10),
    ],
)
def test_tokens_of_any_type(X, y):
    model = fitted(X, y, max_iter=20)
    found = model.predict(X)
    tokens = {type(t) for row in found for t in row}
    assert tokens == {type(t) for row in y for t in row}
    assert {type(row) for row in found} == {str if isinstance(y[0], str) else list}
    assert model.score(X, y) == np.mean([list(a) == list(b) for a, b in zip(found, y)])
    assert math.isfinite(model.loss_)


def test_unknown_words_are_one(learned):
    assert learned.vocabulary_ == ["a", "b", "c"]
    one, other = learned.predict_beams(["axb", "ayb"])
    assert one == other
    X, y = backwards(60)
    pipe = make_pipeline(TokenVectorizer("char"), Seq2Seq(**SMALL, max_iter=2))
    assert len(pipe.fit(X, y).predict(["ax"])) == 1


def log_probability(model, word, tokens):
    """By the program's own loss of the teacher's tokens."""
    other = clone(model).set_params(learning_rate=1e-30, max_iter=1, warm_start=True)
    other.__dict__.update(
        {k: v for k, v in model.__dict__.items() if k.endswith("_") or k[0] == "_"}
    )
    return -other.fit([word], [tokens]).loss_ * (len(tokens) + 1)


def test_scores_of_beams_are_those_of_training(learned):
    [beams] = learned.predict_beams(["abca"])
    assert len(beams) == 5
    scores = [score for _, score in beams]
    assert scores == sorted(scores, reverse=True)
    assert len({tokens for tokens, _ in beams}) == 5
    for tokens, score in beams[:3]:
        total = log_probability(learned, "abca", tokens)
        assert score == pytest.approx(total, abs=1e-4)
    [punished] = learned.predict_beams(["abca"], length_penalty=1.0)
    for tokens, score in punished[:2]:
        total = log_probability(learned, "abca", tokens)
        assert score == pytest.approx(total * 6 / (6 + len(tokens)), abs=1e-4)


def test_wider_beams_find_no_worse_and_the_widest_the_best():
    X, y = backwards(40, longest=3)
    model = fitted(X, y, max_iter=2, max_length=2)
    best = [
        [row[0][1] for row in model.predict_beams(X, beam_width=width)]
        for width in (1, 3, 40)
    ]
    # Of three tokens there are 13 sequences up to two, and 27 cut behind the third.
    assert (np.array(best[2]) >= np.array(best[1]) - 1e-6).all()
    assert (np.array(best[2]) >= np.array(best[0]) - 1e-6).all()
    _, _, scores = model._beams_of(X[:1], 40, None, None)
    assert np.exp(scores).sum() == pytest.approx(1, rel=1e-5)
    # These 27 begin as the 9 of two tokens do.
    rows = model.predict_beams(X[:1], beam_width=40)[0]
    assert len({text for text, _ in rows}) == len(rows) == 13


def test_searches_by_arguments_and_parameters_are_one(learned):
    X, _ = backwards(300)
    greedy = learned.predict(X, beam_width=1)
    other = pickle.loads(pickle.dumps(learned)).set_params(beam_width=1, max_length=2)
    assert other.predict(X) == [word[:2] for word in greedy]
    assert learned.predict(X, max_length=1) == [w[:1] for w in learned.predict(X)]
    for name, value in (("beam_width", 0), ("max_length", 1.5), ("length_penalty", -1)):
        with pytest.raises(ValueError, match=f"{name} of Seq2Seq must be"):
            learned.predict(X, **{name: value})


def test_results_do_not_depend_on_the_other_rows(learned):
    X, _ = backwards(300)
    beams = learned.predict_beams(X)
    assert learned.predict_beams(X[::-1])[::-1] == beams
    for i in (0, 7, 140):
        assert learned.predict_beams(X[i : i + 1]) == [beams[i]]
    assert learned.set_params(n_threads=1).predict_beams(X) == beams
    learned.set_params(n_threads=None)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_padding_changes_no_bit(cell, monkeypatch):
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((rng.integers(1, 9), 2)) for _ in range(60)]
    y = [rng.integers(0, 4, rng.integers(0, 7)).tolist() for _ in range(60)]
    options = {"cell": cell, "early_stopping": True, "precision": "float32"}
    plain = fitted(X, y, **options)
    beams = plain.predict_beams(X)
    monkeypatch.setattr(Ragged.__init__, "__defaults__", (3.0,))
    other = fitted(X, y, **options)
    assert params(other) == params(plain)
    assert other.loss_curve_ == plain.loss_curve_
    assert other.validation_loss_curve_ == plain.validation_loss_curve_
    monkeypatch.setattr(Ragged.__init__, "__defaults__", (float("nan"),))
    assert plain.predict_beams(X) == beams


def test_weights_are_repeated_sequences():
    X, y = backwards(24)
    weights = np.arange(24) % 3
    often = [i for i in range(24) for _ in range(weights[i])]
    options = {"precision": "float64", "batch_size": 100, "shuffle": False}
    options |= {"length_buckets": 1, "vocabulary_size": None}
    one = fitted(X, y, weights, **options)
    two = fitted([X[i] for i in often], [y[i] for i in often], **options)
    np.testing.assert_allclose(one.loss_curve_, two.loss_curve_, rtol=1e-9)
    assert one.score(X, y, weights) == pytest.approx(
        two.score([X[i] for i in often], [y[i] for i in often])
    )


def test_early_stopping_scoring_callbacks_and_going_on():
    class Heard(Callback):
        def on_epoch_end(self, state):
            epochs.append(state.epoch)

    epochs = []
    X, y = backwards(120)

    def share(model, X, y):
        assert model.predict(X)[0] == "".join(model.predict(X)[0])
        return model.score(X, y)

    model = fitted(
        X, y, early_stopping=True, scoring=share, max_iter=3, callbacks=[Heard()]
    )
    assert len(model.validation_scores_) == 3 == len(epochs)
    X_val, y_val = backwards(20, seed=1)
    model = Seq2Seq(**SMALL, max_iter=2, warm_start=True, dropout=0.2)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert len(model.validation_loss_curve_) == 2
    first = model.loss_
    assert model.set_params(max_iter=20).fit(X[:50], y[:50]).loss_ < first
    assert model.n_iter_ == 22
    with pytest.raises(ValueError, match=r"not among the classes: \['z'\]"):
        model.fit(X, y, X_val=X_val, y_val=["z"] * 20)
    assert not hasattr(model, "fit_chunks")
    assert not hasattr(model, "partial_fit")


def test_copies_pickles_files_and_searches(learned):
    X, y = backwards(300)
    beams = learned.predict_beams(X)
    file = io.BytesIO()
    slimlearn.save(learned, file)
    for other in (
        pickle.loads(pickle.dumps(learned)),
        slimlearn.load(file.getvalue()),
    ):
        assert other.predict_beams(X) == beams
        assert other.predict(X, beam_width=2) == learned.predict(X, beam_width=2)
        assert other.vocabulary_ == learned.vocabulary_
    few = fitted(X[:60], y[:60], loss=LogLoss(label_smoothing=0.1))
    assert params(clone(few).fit(X[:60], y[:60])) == params(few)
    search = GridSearchCV(Seq2Seq(**SMALL), {"max_iter": [1, 30]}, cv=2)
    assert search.fit(X, y).best_params_ == {"max_iter": 30}


def test_lists_that_would_be_one_array_are_sequences():
    X, y = [[0, 1], [1, 0], [2, 1]] * 20, [[1, 0], [0, 1], [1, 2]] * 20
    model = fitted(X, y, max_iter=20)
    assert params(fitted(np.array(X), np.array(y), max_iter=20)) == params(model)
    assert model.predict([*X[:2], [0]])[:2] == y[:2]
    search = GridSearchCV(Seq2Seq(**SMALL), {"max_iter": [1, 20]}, cv=2)
    assert search.fit(X, y).score(X, y) == 1.0
    joined = cross_val_predict(Seq2Seq(**SMALL, max_iter=1), X, y, cv=2)
    assert joined.shape == (60,) and {type(tokens) for tokens in joined} == {list}


def test_what_is_cut_is_there_once(learned):
    for most in (1, 2):
        [beams] = learned.predict_beams(["abca"], beam_width=40, max_length=most)
        texts = [text for text, _ in beams]
        assert len(texts) == len(set(texts)) > 3
        assert max(map(len, texts)) == most
        scores = [score for _, score in beams]
        assert scores == sorted(scores, reverse=True)
        assert texts[0] == learned.predict(["abca"], beam_width=40, max_length=most)[0]


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_columns_of_pandas_are_lists(dtype):
    pandas = pytest.importorskip("pandas")
    X, y = backwards(20)
    columns = [pandas.Series(part, dtype=dtype) for part in (X, y)]
    model = fitted(*columns)
    assert params(model) == params(fitted(X, y))
    assert model.predict(columns[0]) == model.predict(X)
    with pytest.raises(TypeError, match=r"sequence 0 has .*sequence 1 has words"):
        model.predict(columns[0].where(columns[0].index > 0, None)[:3])


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (["ab", ""], ["a", "b"], "X: sequence 1 has no tokens"),
        ("ab", ["a", "b"], "X is one text"),
        ([None, "ab"], ["a", "b"], "sequence 0 has None, and sequence 1 has words"),
        (["ab", 3], ["a", "b"], "sequence 1 has 3, and sequence 0 has words"),
        (["ab", ["a", 1]], ["a", "b"], "sequence 1 has 1, and sequence 0"),
        ([[1.0], [np.nan]], ["a", "b"], "NaN"),
        ([[[1.0, 2]], [[1.0]]], ["a", "b"], "sequence 1 has 1 features, sequence 0"),
        (["ab", "b"], ["a"], "inconsistent numbers of samples"),
        (["ab", "b"], None, "y is None"),
        (["ab", "b"], "ab", "y is str: give a sequence of tokens"),
        (["ab", "b"], ["a", 3], "row 1 is 3, no sequence"),
        (["ab", "b"], ["a", [3]], "words in row 0 and numbers in row 1"),
        (["ab", "b"], ["a", [None]], "NaN in row 1, step 0"),
        (["ab", "b"], [["a", 1], ["a", 1]], "words and numbers in row 0"),
        (["ab", "b"], [[[1]], [2]], "row 0 has 2 axes"),
        (["ab", "b"], ["", ""], "y has no token"),
        (["ab", "b"], [[0.5], [1.5]], "Unknown label type"),
        ([], [], "0 sample"),
    ],
)
def test_bad_input_is_named(X, y, words):
    with pytest.raises((ValueError, TypeError), match=words):
        fitted(X, y)


def test_x_of_another_kind_and_bad_parameters(learned):
    with pytest.raises(ValueError, match="was fitted on sequences of words"):
        learned.predict([[1, 2]])
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        learned.predict([])
    X, y = backwards(20)
    ids = fitted([[ord(c) - 97 for c in word] for word in X], y)
    with pytest.raises(ValueError, match="was fitted on sequences of numbers"):
        ids.predict(["ab"])
    with pytest.raises(ValueError, match="the id 7 in sequence 1, but ids run from"):
        ids.predict([[0], [7]])
    with pytest.raises(ValueError, match="must name a layer"):
        fitted(X, y, decoder_units=())
    with pytest.raises(ValueError, match="'loss' parameter"):
        fitted(X, y, loss="hinge")
    with pytest.raises(ValueError, match="row 0 is 3, no sequence"):
        learned.score(["ab"], [3])
