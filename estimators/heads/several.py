"""Heads of several numbers of the network for each target."""

from __future__ import annotations

import numpy as np

from slimlearn.backend import ops
from slimlearn.estimators.heads.base import Head, mean_of_targets
from slimlearn.estimators.heads.regression import RegressionHead, state_of
from slimlearn.estimators.losses import OwnLoss

__all__ = ["DistributionHead", "SeveralNumbersHead"]

# The state that brings the logarithms of densities to the units of y.
LOG_UNITS = "head/log_units"


class SeveralNumbersHead(RegressionHead):
    """Base: the network's numbers are those of the first target, then of the next.

    Attributes
    ----------
    numbers : int
        For each target.
    """

    flat = False
    numbers = 1
    decoded = Head.decoded  # which refuses

    @property
    def outputs(self) -> int:
        return self.targets * self.numbers

    @property
    def label_shape(self):
        return () if self.targets == 1 else (self.targets,)

    @property
    def key(self):
        key = super().key
        return key and (*key, self.targets)


class DistributionHead(SeveralNumbersHead):
    """Numbers of which the loss makes a distribution of each target.

    The loss of a row is the mean over its targets.

    Parameters
    ----------
    loss : str, loss object or callable
        With `numbers` of its own.
    shape : tuple
        Of y behind its rows: () or (k,).
    quantile : float, tuple of float or None
        Which quantiles of the distributions are predicted beside their means.
    """

    def __init__(self, loss, shape, quantile=None):
        super().__init__(loss, shape, quantile)
        self.numbers = self.formula.numbers
        self.has_deviations = self.formula.has_deviations

    def bias(self):
        start = self.formula.start()
        return None if start is None else np.tile(start, self.targets)

    def units(self):
        scale, center = np.ones(self.numbers), np.zeros(self.numbers)
        located = np.isin(np.arange(self.numbers), self.formula.locations)
        scales = np.where(located, np.reshape(self.scale, (-1, 1)), scale)
        centers = np.where(located, np.reshape(self.center, (-1, 1)), center)
        return scales.ravel(), centers.ravel()

    def by_target(self, raw: np.ndarray) -> np.ndarray:
        """The network's numbers, those of each target as the last axis."""
        return raw.reshape((len(raw), *self.shape, self.numbers))

    def decode(self, raw):
        """Means in y's units."""
        return self.formula.mean(self.by_target(raw)) * self.spread + self.center

    def deviations(self, raw: np.ndarray) -> np.ndarray:
        """Standard deviations in y's units."""
        return self.formula.deviations(self.by_target(raw)) * self.scale

    def quantiles(self, raw):
        found = self.formula.quantiles(
            self.by_target(raw), np.atleast_1d(self.quantile)
        )
        scale, center = np.asarray(self.scale), np.asarray(self.center)
        return found * scale[..., np.newaxis] + center[..., np.newaxis]

    def hypers(self):
        return self.formula.hypers()

    def with_deviations(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means, and standard deviations."""
        return self.decode(raw), self.deviations(raw)

    def states(self):
        if isinstance(self.formula, OwnLoss):
            return {}
        return {LOG_UNITS: np.reshape(np.mean(np.log(self.scale)), 1)}

    def losses(self, raw, y):
        shape = (raw.shape[0], *self.label_shape, self.numbers)
        raw = ops.reshape(raw, shape)
        if isinstance(self.formula, OwnLoss):
            loss = mean_of_targets(self.formula(raw, y))
            return loss, loss
        loss = mean_of_targets(self.formula.elementwise(raw, y))
        return loss, ops.add(loss, state_of(LOG_UNITS, 1))
