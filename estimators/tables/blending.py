"""How much another kind of model counts beside an ensemble of networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["best_share"]

# Of the mean: something of the networks always stays.
_SHARES = np.append(np.linspace(0.0, 0.95, 20), 0.99)

# Deviations of what is lost by which a larger share of the simpler model may be worse,
# what may be rounding, and deviations by which it is worse for sure.
_CHANCE, _ROUNDING, _SURE = 0.25, 1e-9, 1.5

# Deviations by which a model must help that is not simpler and saw, when it was chosen,
# the rows that it tells: of noise it may seem better by two.
_CLEARLY = 3.0


def best_share(
    losses: Callable[[np.ndarray], np.ndarray],
    nets: np.ndarray,
    line: np.ndarray,
    weights: np.ndarray | None,
    simpler: bool = True,
) -> float:
    """The share of another model in a mean, to 0.99; 0 where it is no help.

    Networks are told by members one by one, as only one of them did not see a row; all
    together they are better than one, the other model is not: shares that are best by
    such rows would be too large where it is worse.

    Parameters
    ----------
    losses : callable
        Of predictions, each row's.
    nets, line : ndarray
        Predictions of rows that were held out.
    weights : ndarray or None
        Of the rows.
    simpler : bool
        Whether a larger share is as good where it may be chance that it is worse, and
        none where it is clearly worse alone. If not, it must help clearly, or has none.
    """
    share = np.full(len(nets), 1 / len(nets))
    if weights is not None:
        share = weights / weights.sum()

    def lost(part: float) -> np.ndarray:
        return losses((1 - part) * nets + part * line)

    def beyond(more: np.ndarray) -> tuple[float, float]:
        mean = share @ more
        return mean, np.sqrt(np.sum((share * (more - mean)) ** 2))

    if simpler:
        worse, apart = beyond(losses(line) - losses(nets))
        if worse > _SURE * apart:
            return 0.0
    best = int(np.argmin([share @ lost(part) for part in _SHARES]))
    least = lost(_SHARES[best])
    if not simpler:
        gain, apart = beyond(losses(nets) - least)
        return float(_SHARES[best]) if gain > _CLEARLY * apart else 0.0
    for part in _SHARES[:best:-1]:
        mean, apart = beyond(lost(part) - least)
        if mean <= _CHANCE * apart + _ROUNDING * (share @ least):
            return float(part)
    return float(_SHARES[best])
