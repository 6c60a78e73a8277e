"""All members of an ensemble asked about a few rows by one native call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from slimlearn.backend.engine.native import native
from slimlearn.estimators.heads.classification import ClassifierHead
from slimlearn.estimators.heads.regression import RegressionHead

__all__ = ["Together", "each", "mean_of", "shares_of"]

# Numbers of encoded rows up to which a copy of them costs less than binding them.
_FEW = 8192


class Together:
    """Members that read the same encoded rows, and what one call of them all needs.

    Parameters
    ----------
    members : sequence of NetworkEstimator
        All fitted.
    """

    def __init__(self, members: Sequence):
        self.members = list(members)
        self._handles = [member._handle for member in self.members]
        self._shares = shares_of(self.members)
        self._asked: dict = {}

    def __getstate__(self) -> dict:
        return {"members": self.members}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["members"])

    def are(self, members: Sequence) -> bool:
        """Whether these are the members, fitted as they were."""
        handles = [member._handle for member in members]
        return self._handles == handles and self.members == members

    def __call__(self, function: str, finish: str, Z: np.ndarray, n_threads):
        """The mean of what members give for some rows; None for many rows.

        Parameters
        ----------
        function : str
            Of their programs.
        finish : str
            The method of their heads that makes something else of it.
        Z : ndarray of shape (n, width), float32
        n_threads : int or None
        """
        if Z.size > _FEW:
            return None
        key = function, finish, n_threads
        ask = self._asked.get(key) or self._bind(key)
        return ask(Z)

    def _bind(self, key: tuple):
        function, finish, n_threads = key
        predictors = [h.predictor(function, n_threads) for h in self._handles]
        ask = _nothing
        if all(isinstance(one, native.Predictor) for one in predictors):
            columns = [
                [_places(own) for own in member.inputs.values()]
                for member in self.members
            ]
            group = native.PredictorGroup(predictors, columns, n_threads or 0)
            ask = self._asker(group, finish)
        self._asked = {**self._asked, key: ask}
        return ask

    def _asker(self, group, finish: str):
        """What asks all members, and does with their values as their heads do."""
        heads = [member._head for member in self.members]
        kinds = {getattr(type(head), finish) for head in heads}
        if kinds == {ClassifierHead.arrange}:
            return lambda Z: group.mean(Z, None, self._shares)
        if kinds == {RegressionHead.decode}:
            width, shape = group.numbers, heads[0].shape
            units = np.array(
                [[np.broadcast_to(own, width) for own in h.units()] for h in heads],
                dtype=np.float64,
            )

            def numbers(Z):
                mean = group.mean(Z, units, self._shares)
                return None if mean is None else mean.reshape(len(Z), *shape)

            return numbers
        makes = [getattr(head, finish) for head in heads]

        def others(Z):
            values = group(Z)
            if values is None:
                return None
            found = (make(own) for make, own in zip(makes, values))
            return mean_of(found, self._shares)

        return others


def shares_of(members: Sequence) -> np.ndarray | None:
    """What members count in a mean, 1 together; None where all count alike."""
    shares = np.array([getattr(member, "share_", 1.0) for member in members])
    return None if (shares == shares[0]).all() else shares / shares.sum()


def mean_of(found: Iterable, shares: np.ndarray | None):
    """The mean of arrays, or of lists of arrays one by one.

    Parameters
    ----------
    found : iterable of ndarray or of list
    shares : ndarray or None
        As `shares_of` has them.
    """
    total, count = None, 0
    for values in found:
        if shares is not None:
            values = _times(values, shares[count])
        total, count = values if total is None else _summed(total, values), count + 1
    if shares is not None:
        return total
    return each(total, lambda part: part / count)


def _times(values, share: float):
    return each(values, lambda part: part * share)


def each(values, function):
    """A function of an array, or of each in a list."""
    if isinstance(values, list):
        return [function(part) for part in values]
    return function(values)


def _summed(a, b):
    return [x + y for x, y in zip(a, b)] if isinstance(a, list) else a + b


def _nothing(Z) -> None:
    return None


def _places(columns) -> list[int]:
    if isinstance(columns, slice):
        return list(range(columns.start, columns.stop))
    return list(columns)
