"""How much linear models count beside an ensemble of networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["best_share"]

# Of the mean. Networks keep a tenth, or a half where it may be chance that they are
# worse.
_SHARES, _SURE = (0.0, 0.25, 0.5, 0.75, 0.9), 0.5

# Deviations by which linear models may be worse, so that it may be chance.
_CHANCE = 1.5


def best_share(
    losses: Callable[[np.ndarray], np.ndarray],
    nets: np.ndarray,
    lines: np.ndarray,
    weights: np.ndarray | None,
) -> float:
    """The share of linear models in a mean; 0 where they alone are clearly worse.

    What is compared are members one by one, as only one of them did not see a row. All
    networks together are better than one, linear models are not: shares that are best
    by such rows would be too large where linear models are worse.

    Parameters
    ----------
    losses : callable
        Of predictions, each row's.
    nets, lines : ndarray
        Predictions of rows that were held out.
    weights : ndarray or None
        Of the rows.
    """
    gain = losses(nets) - losses(lines)
    mean = np.average(gain, weights=weights)
    share = np.full(len(gain), 1 / len(gain))
    if weights is not None:
        share = weights / weights.sum()
    deviation = np.sqrt(np.sum((share * (gain - mean)) ** 2))
    if mean < -_CHANCE * deviation:
        return 0.0
    parts = [part for part in _SHARES if part <= _SURE or mean > deviation]
    found = [
        np.average(losses((1 - part) * nets + part * lines), weights=weights)
        for part in parts
    ]
    return parts[int(np.argmin(found))]
