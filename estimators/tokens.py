"""TokenVectorizer: texts as sequences of ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import validation
from slimlearn.estimators.compat import Interval, StrOptions
from slimlearn.estimators.diagram import Linked

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TokenVectorizer"]

PADDING, UNKNOWN = 0, 1
_WORDS = ("", "[UNK]")


class TokenVectorizer(
    Linked, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    r"""Texts as sequences of ids, for `SequenceClassifier` and the like.

    It cuts texts as scikit-learn's CountVectorizer does, and keeps the order of their
    words. 0 is kept for padding, 1 is a token that `fit` did not see often enough; a
    text without any token is one unknown.

    Parameters
    ----------
    analyzer : {"word", "char"} or callable, default="word"
        What tokens are: words by `token_pattern`, single characters, or what the
        function makes of a text. ``analyzer=list`` takes lists of words as they are.
    lowercase : bool, default=True
        Whether texts are read in small letters; not by a function.
    token_pattern : str, default=r"(?u)\b\w+\b"
        The regular expression of a word; words of one letter count.
    max_features : int or None, default=None
        How many tokens are kept at most, the most frequent ones.
    min_df : int or float, default=1
        In how many texts, or which share of them, a token has to be to be kept.
    vocabulary : iterable, mapping or None, default=None
        The tokens, in order; none are then learnt. Of a mapping the keys, by their
        values.
    max_length : int or None, default=None
        Longer sequences are cut behind so many tokens.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        The id of each token, from 2 on; in alphabetical order.

    See Also
    --------
    SequenceClassifier : A classifier of what this gives.

    Examples
    --------
    >>> from slimlearn import TokenVectorizer
    >>> texts = ["a dog", "a cat and a dog"]
    >>> vectorizer = TokenVectorizer().fit(texts)
    >>> vectorizer.vocabulary_
    {'a': 2, 'and': 3, 'cat': 4, 'dog': 5}
    >>> vectorizer.transform(["A bird and a dog"])[0]
    array([2, 1, 3, 2, 5], dtype=int32)
    """

    _parameter_constraints = {  # noqa: RUF012
        "analyzer": [StrOptions({"word", "char"}), callable],
        "lowercase": ["boolean"],
        "token_pattern": [str],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "min_df": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="both"),
        ],
        "vocabulary": [Mapping, Iterable, None],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        analyzer: Literal["word", "char"] | Callable = "word",
        *,
        lowercase: bool = True,
        token_pattern: str = r"(?u)\b\w+\b",
        max_features: int | None = None,
        min_df: float = 1,
        vocabulary: Mapping | Iterable | None = None,
        max_length: int | None = None,
    ):
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.token_pattern = token_pattern
        self.max_features = max_features
        self.min_df = min_df
        self.vocabulary = vocabulary
        self.max_length = max_length

    def fit(self, raw_documents, y=None) -> Self:
        """Learn the vocabulary.

        Parameters
        ----------
        raw_documents : iterable of str
        y : object
            Not read.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X is one text, a row is no text and `analyzer` is no function, or no
            token is left.
        """
        validation.check_parameters(self)
        analyze = self._analyze()
        texts = self._texts(raw_documents)
        if self.vocabulary is None:
            tokens = self._learn([analyze(text) for text in texts])
        else:
            tokens = _given(self.vocabulary)
        if not tokens:
            raise ValueError(
                "empty vocabulary: no token is in enough of the texts; lower min_df, "
                "or look at what the analyzer makes of them"
            )
        first = len(_WORDS)
        self.vocabulary_ = {token: first + i for i, token in enumerate(tokens)}
        return self

    def transform(self, raw_documents) -> np.ndarray:
        """Return the sequence of each text.

        Parameters
        ----------
        raw_documents : iterable of str

        Returns
        -------
        object array of shape (n_texts,)
            Of int32 arrays, each of at least one id.
        """
        check_is_fitted(self, "vocabulary_")
        analyze, known = self._analyze(), self.vocabulary_
        texts = self._texts(raw_documents)
        found = np.empty(len(texts), dtype=object)
        for i, text in enumerate(texts):
            ids = [known.get(token, UNKNOWN) for token in analyze(text)]
            found[i] = np.array(ids[: self.max_length] or [UNKNOWN], dtype=np.int32)
        return found

    def inverse_transform(self, X) -> list[np.ndarray]:
        """Return the tokens of each sequence, without padding.

        Parameters
        ----------
        X : iterable of int arrays

        Returns
        -------
        list of ndarray of str
        """
        words = self.get_feature_names_out()
        return [words[ids[np.asarray(ids) != PADDING]] for ids in map(np.asarray, X)]

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the token of each id, those of padding and the unknown first.

        Parameters
        ----------
        input_features : object
            Not read.

        Returns
        -------
        object array of str
        """
        check_is_fitted(self, "vocabulary_")
        return np.array([*_WORDS, *self.vocabulary_], dtype=object)

    def _analyze(self) -> Callable:
        if callable(self.analyzer):
            return self.analyzer
        return CountVectorizer(
            analyzer=self.analyzer,
            lowercase=self.lowercase,
            token_pattern=self.token_pattern,
        ).build_analyzer()

    def _texts(self, raw_documents) -> list:
        if isinstance(raw_documents, (str, bytes)):
            raise ValueError(
                "Iterable over raw text documents expected, string object received: "
                "give a list of texts"
            )
        texts = list(raw_documents)
        for i, text in enumerate(() if callable(self.analyzer) else texts):
            if not isinstance(text, (str, bytes)):
                listed = isinstance(text, (list, tuple, np.ndarray))
                instead = (
                    "analyzer=list takes its words as tokens"
                    if listed
                    else "fill what is missing with '', and make texts of numbers"
                )
                what = type(text).__name__ if listed else repr(text)
                raise ValueError(f"row {i} of X is no text but {what}: {instead}")
        return texts

    def _learn(self, texts: list) -> list:
        least = self.min_df
        if not isinstance(least, Integral):
            least = least * len(texts)
        seen = Counter(token for tokens in texts for token in set(tokens))
        kept = [token for token, count in seen.items() if count >= least]
        if self.max_features is not None and len(kept) > self.max_features:
            often = Counter(token for tokens in texts for token in tokens)
            kept.sort(key=lambda token: (-often[token], token))
            kept = kept[: self.max_features]
        return sorted(kept)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _given(vocabulary) -> list:
    if isinstance(vocabulary, Mapping):
        return sorted(vocabulary, key=vocabulary.get)
    tokens = list(vocabulary)
    if len(set(tokens)) < len(tokens):
        twice = next(t for t, n in Counter(tokens).items() if n > 1)
        raise ValueError(f"vocabulary has {twice!r} twice")
    return tokens
