"""All members of an ensemble asked about a few rows by one native call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimlearn.backend.engine.native import native
from slimlearn.estimators.heads.classification import ClassifierHead
from slimlearn.estimators.heads.regression import RegressionHead

__all__ = ["Together"]

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
        self._asked: dict = {}

    def __getstate__(self) -> dict:
        return {"members": self.members}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["members"])

    def are(self, members: Sequence) -> bool:
        """Whether these are the members, fitted as they were."""
        return self.members == members and all(
            member._handle is handle for member, handle in zip(members, self._handles)
        )

    def __call__(self, function: str, finish: str, Z: np.ndarray, n_threads):
        """What each member gives for some rows, as `values_of`; None for many rows.

        In a list, or along the first axis of an array.

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
        known = self._asked.get(key) or self._bind(key)
        group, make = known
        values = None if group is None else group(Z)
        return None if values is None else make(values)

    def _bind(self, key: tuple):
        function, finish, n_threads = key
        predictors = [h.predictor(function, n_threads) for h in self._handles]
        known = None, None
        if all(isinstance(one, native.Predictor) for one in predictors):
            columns = [
                [_places(own) for own in member.inputs.values()]
                for member in self.members
            ]
            group = native.PredictorGroup(predictors, columns, n_threads or 0)
            known = group, self._finisher(finish)
        self._asked = {**self._asked, key: known}
        return known

    def _finisher(self, finish: str):
        """What makes of all members' values what their heads do."""
        heads = [member._head for member in self.members]
        kinds = {getattr(type(head), finish) for head in heads}
        if kinds == {ClassifierHead.arrange}:
            return _as_they_are
        if kinds != {RegressionHead.decode}:
            makes = [getattr(head, finish) for head in heads]
            return lambda values: [make(own) for make, own in zip(makes, values)]
        units = zip(*(head.units() for head in heads))
        spread, center = (
            np.array(own, dtype=np.float64)[:, np.newaxis] for own in units
        )
        shape = heads[0].shape
        return lambda values: (
            values.reshape((*values.shape[:2], *shape)) * spread + center
        )


def _as_they_are(values: np.ndarray) -> np.ndarray:
    return values


def _places(columns) -> list[int]:
    if isinstance(columns, slice):
        return list(range(columns.start, columns.stop))
    return list(columns)
