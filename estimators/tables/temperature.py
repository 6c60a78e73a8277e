"""One temperature for all probabilities of a classifier."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor

__all__ = ["best_temperature", "tempered", "tempered_parts", "tempered_shares"]

# Deviations of what is lost by which a temperature nearer to 1 may be worse, and how
# many are tried.
_CHANCE, _STEPS = 0.5, 20


def tempered_parts(probabilities: Tensor, power: float, sizes: list[int]) -> Tensor:
    """`tempered` as graph, of several outputs side by side."""
    raised = ops.power(probabilities, power)
    parts = ops.split(raised, np.cumsum(sizes)[:-1].tolist(), axis=1)
    parts = [part / ops.reduce_sum(part, [1], keepdims=True) for part in parts]
    return parts[0] if len(parts) == 1 else ops.concat(parts, 1)


def tempered_shares(probabilities: Tensor, power: float) -> Tensor:
    """Probabilities of having each label, as graph."""
    raised = ops.power(probabilities, power)
    return raised / (raised + ops.power(1.0 - probabilities, power))


def tempered(probabilities: np.ndarray, power: float) -> np.ndarray:
    raised = probabilities**power
    return raised / raised.sum(axis=-1, keepdims=True)


def best_temperature(found, codes: np.ndarray, weights, surely: bool = False) -> float:
    """What makes the log loss least.

    Parameters
    ----------
    found : ndarray, or list of ndarray
        Probabilities; of several outputs a list.
    codes : ndarray of int
    weights : ndarray or None
    surely : bool
        Whether one below 1, by which probabilities become surer, is as near to 1 as it
        may be by chance: of few rows of noise the best is surer than is to be known.
    """
    if not isinstance(found, list):
        if codes.ndim == 2:
            found = np.stack((1.0 - found, found), axis=-1)
            found, codes = found.reshape(-1, 2), codes.ravel()
            shares = len(codes) // max(1, 0 if weights is None else len(weights))
            weights = None if weights is None else np.repeat(weights, shares)
        found, codes = [found], codes[:, None]
    logs = [np.log(np.clip(part, 1e-12, 1.0)) for part in found]
    share = np.full(len(codes), 1.0) if weights is None else weights
    share = share / share.sum()

    def losses(log_power: float) -> np.ndarray:
        total = np.zeros(len(codes))
        for part, own in zip(logs, codes.T):
            raised = part * np.exp(log_power)
            top = raised.max(axis=1)
            norm = top + np.log(np.exp(raised - top[:, None]).sum(axis=1))
            total += norm - raised[np.arange(len(own)), own]
        return total

    best = minimize_scalar(
        lambda log_power: share @ losses(log_power),
        bounds=(-1.5, 1.5),
        method="bounded",
    ).x
    if surely and best > 0:
        least = losses(best)
        for nearer in np.linspace(0.0, best, _STEPS, endpoint=False):
            more = losses(nearer) - least
            mean = share @ more
            if mean <= _CHANCE * np.sqrt(np.sum((share * (more - mean)) ** 2)):
                return float(np.exp(-nearer))
    return float(np.exp(-best))
