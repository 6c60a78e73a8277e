"""How much another kind of model counts beside an ensemble of networks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

__all__ = ["CLEARLY", "LIKELY", "best_share", "best_shares", "beyond", "parts_of"]

# Of the mean: something of the networks always stays.
_SHARES = np.append(np.linspace(0.0, 0.95, 20), 0.99)

# Deviations of what is lost by which a larger share of the simpler model may be worse,
# what may be rounding, and deviations by which it is worse for sure.
_CHANCE, _ROUNDING, _SURE = 0.25, 1e-9, 1.5

# Deviations by which a model must help that is not simpler and saw, when it was chosen,
# the rows that it tells: of noise it may seem better by two. By which networks must of
# another kind, which were not trained on them.
CLEARLY, LIKELY = 3.0, 1.0

# Of several models, how much of the mean is moved from one to another at a time.
_MOVES = (0.2, 0.05)


def best_share(
    losses: Callable[[np.ndarray], np.ndarray],
    nets: np.ndarray,
    line: np.ndarray,
    weights: np.ndarray | None,
    clearly: float | None = None,
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
    clearly : float or None
        Deviations by which it must help, or it has none. None is for a simpler model:
        a larger share is as good where it may be chance that it is worse, and none
        where it is clearly worse alone.
    """
    share = parts_of(weights, len(nets))

    def lost(part: float) -> np.ndarray:
        return losses((1 - part) * nets + part * line)

    if clearly is None:
        worse, apart = beyond(losses(line) - losses(nets), share)
        if worse > _SURE * apart:
            return 0.0
    best = int(np.argmin([share @ lost(part) for part in _SHARES]))
    least = lost(_SHARES[best])
    if clearly is not None:
        gain, apart = beyond(losses(nets) - least, share)
        return float(_SHARES[best]) if gain > clearly * apart else 0.0
    for part in _SHARES[:best:-1]:
        mean, apart = beyond(lost(part) - least, share)
        if mean <= _CHANCE * apart + _ROUNDING * (share @ least):
            return float(part)
    return float(_SHARES[best])


def best_shares(
    losses: Callable[[np.ndarray], np.ndarray],
    nets: np.ndarray,
    others: list[np.ndarray],
    weights: np.ndarray | None,
) -> list[float]:
    """The shares of several models in a mean; all 0 where they are no clear help.

    Something of the mean is moved from one to another where less is lost by it, until
    nothing is.

    Parameters
    ----------
    losses : callable
        Of predictions, each row's.
    nets : ndarray
        Predictions of rows that were held out.
    others : list of ndarray
        Of the same rows, by models that are not simpler.
    weights : ndarray or None
        Of the rows.
    """
    share = parts_of(weights, len(nets))
    told = [nets, *others]

    def lost(counts: np.ndarray) -> np.ndarray:
        return losses(sum(count * part for count, part in zip(counts, told) if count))

    counts = np.eye(len(told))[0]
    first = now = lost(counts)
    for move in _MOVES:
        moved = True
        while moved:
            moved = False
            for giving, taking in permutations(range(len(told)), 2):
                # Something of the networks always stays.
                rest = counts[giving] - (_MOVES[-1] if giving == 0 else 0.0)
                if rest < _MOVES[-1] / 2:
                    continue
                tried = counts.copy()
                tried[giving] -= min(move, rest)
                tried[taking] += min(move, rest)
                then = lost(tried)
                if share @ then < share @ now * (1 - _ROUNDING):
                    counts, now, moved = tried, then, True
    gain, apart = beyond(first - now, share)
    clearly = gain > CLEARLY * apart
    return np.round(counts[1:], 12).tolist() if clearly else [0.0] * len(others)


def parts_of(weights: np.ndarray | None, rows: int) -> np.ndarray:
    """What rows count, 1 together."""
    return np.full(rows, 1 / rows) if weights is None else weights / weights.sum()


def beyond(more: np.ndarray, share: np.ndarray) -> tuple[float, float]:
    """The mean of what is lost more, and its standard error."""
    mean = share @ more
    return mean, np.sqrt(np.sum((share * (more - mean)) ** 2))
