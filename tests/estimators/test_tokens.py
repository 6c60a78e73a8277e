"""TokenVectorizer: vocabulary, unknown tokens, ways to cut texts, mistakes."""

import numpy as np
import pytest
from sklearn.base import clone

from slimlearn import TokenVectorizer

TEXTS = ["The cat sat", "the dog, the cat", "A bird"]


def test_words_are_in_alphabetical_order_from_two_on():
    found = TokenVectorizer().fit(TEXTS)
    assert found.vocabulary_ == {
        word: 2 + i for i, word in enumerate(["a", "bird", "cat", "dog", "sat", "the"])
    }
    ids = found.transform(TEXTS)
    assert ids.dtype == object and ids[1].dtype == np.int32
    assert [x.tolist() for x in ids] == [[7, 4, 6], [7, 5, 7, 4], [2, 3]]
    assert found.transform(["a cow", ""])[0].tolist() == [2, 1]
    assert found.transform([""])[0].tolist() == [1]
    assert [list(w) for w in found.inverse_transform([[0, 4, 1]])] == [["cat", "[UNK]"]]
    assert found.get_feature_names_out()[:3].tolist() == ["", "[UNK]", "a"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"lowercase": False}, ["A", "The", "bird", "cat", "dog", "sat", "the"]),
        ({"max_features": 2}, ["cat", "the"]),
        ({"min_df": 2}, ["cat", "the"]),
        ({"min_df": 0.5}, ["cat", "the"]),
        ({"vocabulary": ["the", "cat"]}, ["the", "cat"]),
        ({"vocabulary": {"the": 1, "cat": 0}}, ["cat", "the"]),
        ({"token_pattern": r"(?u)\b\w\w\w\w+\b"}, ["bird"]),
        ({"analyzer": str.split}, ["A", "The", "bird", "cat", "dog,", "sat", "the"]),
    ],
)
def test_parameters(parameters, words):
    found = clone(TokenVectorizer(**parameters)).fit(TEXTS)
    assert list(found.vocabulary_) == words


def test_characters_and_the_longest():
    found = TokenVectorizer("char", max_length=4).fit(["abc"])
    assert found.transform(["cabcab", "z"])[0].tolist() == [4, 2, 3, 4]


def test_lists_of_tokens_by_a_function():
    found = TokenVectorizer(list).fit([["x", "y"], ["y"]])
    assert found.transform([["y", "q"]])[0].tolist() == [3, 1]


@pytest.mark.parametrize(
    ("parameters", "texts", "words"),
    [
        ({}, "one text", "string object received"),
        ({}, ["", "?!"], "empty vocabulary"),
        ({"vocabulary": ["a", "a"]}, TEXTS, "'a' twice"),
        ({"analyzer": "words"}, TEXTS, "analyzer"),
        ({"max_length": 0}, TEXTS, "max_length"),
    ],
)
def test_mistakes(parameters, texts, words):
    with pytest.raises(ValueError, match=words):
        TokenVectorizer(**parameters).fit(texts)


@pytest.mark.parametrize(
    "row, told",
    [
        (None, "row 1 of X is no text but None: fill what is missing"),
        (np.nan, "row 1 of X is no text but nan: fill what is missing"),
        (7, "row 1 of X is no text but 7: .* make texts of numbers"),
        (["a", "cat"], "row 1 of X is no text but list: analyzer=list takes its words"),
    ],
)
def test_a_row_that_is_no_text_is_named(row, told):
    with pytest.raises(ValueError, match=told):
        TokenVectorizer().fit(["a", row])
    with pytest.raises(ValueError, match=told):
        TokenVectorizer(analyzer="char").fit(["a"]).transform(["a", row])
