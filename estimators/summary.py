"""What a fit has to know of all its rows before the first step, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimlearn.estimators.inputs.sequence_rows import Sequences

__all__ = ["Moments", "Summary"]

# Numbers of y that are looked at in one go.
_BLOCK = 1 << 20


@dataclass
class Moments:
    """Mean, deviation and least value of each output of y, in float64.

    References
    ----------
    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances", 1979.
    """

    mean: np.ndarray | float
    deviation: np.ndarray | float
    low: np.ndarray | float

    @classmethod
    def of(cls, y: np.ndarray, weights: np.ndarray | None) -> Moments:
        """The moments of some rows, weighted; a block of them at a time."""
        step = max(1, _BLOCK // max(1, y[:1].size))
        if len(y) > step:
            return cls._of_blocks(y, weights, step)
        y = np.asarray(y, dtype=np.float64)
        # Divided by the largest first: squares neither overflow nor vanish.
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(y, axis=0, weights=weights)
            centered = y - mean
            top = np.abs(centered).max(axis=0)
            unit = np.where(top > 0, top, 1.0)
            squares = np.average((centered / unit) ** 2, axis=0, weights=weights)
        return cls(mean, unit * np.sqrt(squares), y.min(axis=0))

    @classmethod
    def _of_blocks(cls, y, weights, step: int) -> Moments:
        found, total = None, 0.0
        for begin in range(0, len(y), step):
            block = y[begin : begin + step]
            some = None if weights is None else weights[begin : begin + step]
            size = float(len(block) if some is None else some.sum())
            total += size
            own = cls.of(block, some)
            found = own if found is None else found.add(own, size / total)
        return found

    def add(self, other: Moments, share: float) -> Moments:
        """Those of the rows of both; `share` is the other's part of all weight."""
        with np.errstate(over="ignore", invalid="ignore"):
            apart = other.mean - self.mean
            within = np.hypot(
                np.sqrt(1 - share) * self.deviation, np.sqrt(share) * other.deviation
            )
            return Moments(
                self.mean + share * apart,
                np.hypot(within, np.sqrt(share * (1 - share)) * apart),
                np.minimum(self.low, other.low),
            )


@dataclass
class Summary:
    """Facts of rows that can be added up.

    Attributes
    ----------
    rows : int
        How many there are that count.
    low, top : float
        Least and largest weight.
    mean : float
        Of the weights, divided by the largest: huge ones do not overflow it.
    labels : list of ndarray or None
        For each output of a classifier, in ascending order.
    totals : list of ndarray or None
        The weight of each label, divided by the largest weight of a row.
    moments : Moments or None
        Of a regressor's y.
    longest : int
        The most steps of a row's targets, where these are sequences.
    """

    rows: int
    low: float
    top: float
    mean: float
    labels: list[np.ndarray] | None = None
    totals: list[np.ndarray] | None = None
    moments: Moments | None = None
    longest: int = 0

    @classmethod
    def of(
        cls,
        target: np.ndarray,
        weights: np.ndarray | None,
        labels: list[np.ndarray] | None = None,
    ) -> Summary:
        """The facts of some rows.

        Parameters
        ----------
        target : ndarray of shape (n,) or (n, outputs), or Sequences
            Numbers, or codes of `labels`; those of a row's steps share its weight.
        weights : ndarray of shape (n,) or None
            Above 0.
        labels : list of ndarray or None
            For each output; None for numbers.
        """
        low = top = mean = 1.0
        if len(target) == 0:
            low, top, mean, weights = np.inf, 0.0, 0.0, None
        elif weights is not None:
            low, top = weights.min(), weights.max()
            weights = weights / top
            mean = weights.mean()
        found = cls(len(target), low, top, mean, labels)
        if isinstance(target, Sequences):
            weights = (1.0 if weights is None else weights) / target.lengths
            found.longest = int(target.lengths.max(initial=0))
            weights, target = np.repeat(weights, target.lengths), target.values
        if labels is not None:
            columns = target.T if target.ndim == 2 else [target]
            found.totals = [
                np.bincount(column, weights, len(own)).astype(np.float64)
                for column, own in zip(columns, labels)
            ]
        elif len(target):
            found.moments = Moments.of(target, weights)
        return found

    def add(self, other: Summary) -> Summary:
        """The facts of the rows of both."""
        top, rows = max(self.top, other.top), self.rows + other.rows
        mine, its = self.top / (top or 1.0), other.top / (top or 1.0)
        weights = self.rows * self.mean * mine, other.rows * other.mean * its
        total = sum(weights)
        both = Summary(rows, min(self.low, other.low), top, total / max(rows, 1))
        if self.labels is not None:
            both.labels, both.totals = [], []
            for a, b, x, y in zip(
                self.labels, other.labels, self.totals, other.totals, strict=True
            ):
                labels = _union(a, b)
                totals = np.zeros(len(labels))
                totals[np.searchsorted(labels, a)] += x * mine
                totals[np.searchsorted(labels, b)] += y * its
                both.labels.append(labels)
                both.totals.append(totals)
        elif self.moments is None or other.moments is None:
            both.moments = self.moments or other.moments
        else:
            both.moments = self.moments.add(other.moments, weights[1] / total)
        return both

    @property
    def uniform(self) -> bool:
        """Whether the weights say nothing."""
        return self.rows == 0 or self.low == self.top

    def scaled(self, weights: np.ndarray) -> np.ndarray:
        """Weights, as float64, in units of their mean over these rows."""
        return weights.astype(np.float64) / np.float64(self.top) / self.mean

    @property
    def counts(self) -> list[np.ndarray]:
        """The weight of each label of each output, the mean weight of a row being 1."""
        return [total / self.mean for total in self.totals]

    def counts_of(self, labels: list[np.ndarray]) -> list[np.ndarray]:
        """`counts` for all of `labels`, which may be more than the rows have."""
        found = []
        for all_labels, own, count in zip(labels, self.labels, self.counts):
            counts = np.zeros(len(all_labels))
            counts[np.searchsorted(all_labels, own)] = count
            found.append(counts)
        return found


def _union(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if np.array_equal(a, b):
        return a
    if _is_text(a) != _is_text(b):
        raise ValueError(
            f"y has labels of another kind than before: {b[:5].tolist()} after "
            f"{a[:5].tolist()}"
        )
    return np.union1d(a, b)


def _is_text(labels: np.ndarray) -> bool:
    return len(labels) > 0 and isinstance(labels.tolist()[0], (str, bytes))
