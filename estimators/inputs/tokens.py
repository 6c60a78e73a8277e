"""X as sequences of tokens: of words, which a vocabulary of the fit makes ids of."""

from __future__ import annotations

import numpy as np

from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.inputs.frames import is_column, is_frame
from slimlearn.estimators.inputs.sequence_rows import Sequences
from slimlearn.estimators.inputs.sequences import SequenceInput

__all__ = ["TokenInput"]

# The id of what the vocabulary has not.
UNKNOWN = 0


class TokenInput(SequenceInput):
    """Sequences of words or characters, of ids, or of features.

    Parameters
    ----------
    data_format, vocabulary_size, buckets
        As of `SequenceInput`.
    tokens : list of str or None
        The vocabulary of the fit that goes on.

    Attributes
    ----------
    tokens : list of str or None
        What the ids from 1 on stand for; 0 is any other. None where X has no words.
    """

    def __init__(self, data_format="NTC", vocabulary_size=None, buckets=8, tokens=None):
        super().__init__(data_format, vocabulary_size, buckets)
        self.tokens: list[str] | None = tokens

    def _checked(self, estimator, X, reset: bool, name: str) -> Sequences:
        rows = None if isinstance(X, Sequences) else _rows_of_words(X, name)
        if reset:
            self.tokens = None
            if rows is not None:
                self.tokens = sorted({token for row in rows for token in row})
        if rows and self.tokens is None:
            raise ValueError(
                f"{name} has words, but {type(estimator).__name__} was fitted on "
                "sequences of numbers: give both alike"
            )
        if rows is None and self.tokens is not None and not isinstance(X, Sequences):
            raise ValueError(
                f"{name} has numbers, but {type(estimator).__name__} was fitted on "
                "sequences of words: give both alike"
            )
        if rows is not None:
            X = [self._ids(row) for row in rows]
        return super()._checked(estimator, X, reset, name)

    def _ids(self, row: list[str]) -> np.ndarray:
        return np.array([self._codes.get(t, UNKNOWN) for t in row], dtype=np.int32)

    @property
    def _codes(self) -> dict[str, int]:
        known = self.__dict__.get("_known")
        if known is None or known[0] is not self.tokens:
            codes = {token: i for i, token in enumerate(self.tokens, start=UNKNOWN + 1)}
            known = self.__dict__["_known"] = self.tokens, codes
        return known[1]

    def _alike(self, X: Sequences, name: str, who: str) -> Sequences:
        found = super()._alike(X, name, who)
        if not self.forms and self.tokens is not None:
            self.vocabulary = len(self.tokens) + 1
        return found

    def seen(self, X, former=None):
        new = super().seen(X, former)
        new.tokens = self.tokens
        return new

    def __getstate__(self) -> dict:
        return {k: v for k, v in super().__getstate__().items() if k != "_known"}


def _rows_of_words(X, name: str) -> list[list[str]] | None:
    """The tokens of each row, of a text its characters; None if X has no words."""
    if isinstance(X, str):
        raise ValueError(f"{name} is one text: give a list of texts or of their tokens")
    if is_frame(X):
        X = np.asarray(X, dtype=object)
    X = list(X) if is_column(X) else to_numpy(X)
    if isinstance(X, np.ndarray):
        if X.dtype.kind not in "OUS":
            return None
        X = X[:, 0] if X.ndim == 2 and X.shape[1] == 1 else X
    elif not isinstance(X, (list, tuple)):
        return None
    rows = [list(row) if _is_row(row) else row for row in X]
    if not rows:
        return rows  # no rows are refused as of any other X
    given = [i for i, row in enumerate(rows) if isinstance(row, list) and row]
    if not given or not isinstance(rows[given[0]][0], str):
        return None
    for i, row in enumerate(rows):
        if isinstance(row, list) and not row:
            raise ValueError(
                f"{name}: sequence {i} has no tokens: leave it out, or give it one"
            )
        tokens = row if isinstance(row, list) else [row]
        odd = [token for token in tokens if not isinstance(token, str)]
        if odd:
            raise TypeError(
                f"{name}: sequence {i} has {odd[0]!r}, and sequence {given[0]} has "
                "words: give texts, or lists of words, in all rows"
            )
    return rows


def _is_row(row) -> bool:
    if isinstance(row, np.ndarray):
        return row.ndim == 1 and row.dtype.kind in "OUS"
    return isinstance(row, (str, list, tuple))
