"""Head of sequences of tokens that are told one after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.ragged import Ragged
from slimlearn.backend.shape import B, symbol
from slimlearn.estimators.heads.steps import StepsHead
from slimlearn.estimators.inputs import SOURCE
from slimlearn.estimators.inputs.sequence_rows import bucket_sizes
from slimlearn.layers.sequence import know_lengths

__all__ = ["Beams", "TokensHead"]

# The symbol of the targets' own axis of time, and the sources of their lengths and of
# the ids before theirs.
U = symbol("U")
LENGTHS = "y_lengths"
BEFORE = "y_before"


class Beams(NamedTuple):
    """How sequences are searched.

    Attributes
    ----------
    width : int
    penalty : float
        The exponent of the lengths.
    most : int
        Tokens.
    """

    width: int
    penalty: float
    most: int


class TokensHead(StepsHead):
    """A number for each token, and for the end, at each step of the targets.

    The ids of tokens are places in `classes`; the end of a sequence, which also stands
    before its first token, has the next one. The loss of a row is the mean over its
    tokens and its end.

    Parameters
    ----------
    classes : ndarray
        The tokens.
    loss : str, loss object or callable
    buckets : int
        How many lengths batches of targets have at most, where X has one alone.

    Attributes
    ----------
    longest : int
        The most tokens of a target of the fit.
    beams : Beams
        How the program searches.
    """

    def __init__(self, classes, loss, buckets: int):
        super().__init__(classes, loss)
        self.buckets = buckets
        self.longest = 1
        self.beams = Beams(1, 0.0, 1)

    @property
    def outputs(self):
        return len(self.classes) + 1

    @property
    def end(self) -> int:
        """The id of the end."""
        return len(self.classes)

    @property
    def key(self):
        key = super().key
        return key and (*key, self.beams)

    def bias(self):
        return None

    def sources(self, target, precision, beside):
        lengths, x = target.lengths, beside[SOURCE]
        if isinstance(x, Ragged) and len(x.sizes) > 1:
            sizes = _sizes_beside(x, lengths)
        else:
            sizes = bucket_sizes(lengths, self.buckets)
        before = np.roll(target.values, 1)
        before[target.offsets[:-1]] = self.end
        return {
            "y": Ragged(target.values, target.offsets, sizes),
            BEFORE: Ragged(before, target.offsets, sizes),
            LENGTHS: lengths.astype(np.int32),
        }

    def given(self):
        """The ids that the network is told of the targets, [B, U]: those before.

        The function that is being built knows then how long targets are.
        """
        know_lengths(str(U), ops.input_(LENGTHS, (B,), "i32"))
        return ops.input_(BEFORE, (B, U), "i32")

    def decode(self, ids: np.ndarray, most: int) -> list:
        """The tokens of one sequence of the program's ids, `most` of them at most."""
        ends = np.flatnonzero(ids == self.end)
        count = min(ends[0] if ends.size else len(ids), most)
        return self.classes[ids[:count]].tolist()


def _sizes_beside(x: Ragged, lengths: np.ndarray) -> tuple[int, ...]:
    """Steps of batches of targets, as many as X's batches have: the rows decide.

    Which of them a batch has is decided by X, whose sequences and targets of a batch
    then have both their place.
    """
    most = np.zeros(len(x.sizes), dtype=np.int64)
    np.maximum.at(most, x.buckets, lengths)
    most = np.maximum.accumulate(np.maximum(most, 1))
    # They have to rise.
    places = np.arange(len(most))
    return tuple((np.maximum.accumulate(most - places) + places).tolist())
