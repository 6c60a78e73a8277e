"""The rows that a fit trains on, or holds out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimlearn.backend import dataset

__all__ = ["Rows"]


@dataclass
class Rows:
    """Rows of a data set: X and y, weights, and which of them count.

    Attributes
    ----------
    X : object
        As the fit's input checked it.
    y : ndarray
        As checked, before it is encoded.
    target : ndarray
        Class codes, or y itself.
    weights : ndarray or None
        Of all rows; None if they are all the same.
    index : index array or None
        The rows that count; None means all.
    """

    X: object
    y: np.ndarray
    target: np.ndarray
    weights: np.ndarray | None
    index: np.ndarray | None = None

    def __len__(self) -> int:
        return self.X.shape[0] if self.index is None else len(self.index)

    @property
    def taken(self) -> bool:
        """Whether these rows of validation were taken out of those of the fit."""
        return self.index is not None

    def pick(self, array):
        """The elements of `array` that belong to the rows that count."""
        return array if self.index is None or array is None else array[self.index]

    def drop_weightless(self) -> None:
        """Rows of weight 0 count as absent."""
        if self.weights is not None and not self.weights.all():
            self.index = np.flatnonzero(self.weights)

    def sources(
        self, input, head, precision: str, weighted: bool
    ) -> dict[str, np.ndarray]:
        """What the program reads, by source name."""
        sources = input.sources(self.X)
        sources |= head.sources(self.target, precision, sources)
        if weighted:
            weights = np.ones(self.X.shape[0]) if self.weights is None else self.weights
            sources["sample_weight"] = dataset.as_source(weights, precision)
        return sources
