"""Linear models of encoded rows, solved, with the penalty that tells others best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

__all__ = [
    "Basis",
    "Model",
    "classes_path",
    "numbers_left_out",
    "numbers_path",
    "probabilities",
]

# Penalties of a row, for numbers of deviation 1, from the strongest on.
_OF_NUMBERS = np.logspace(3, -5, 25)
_OF_CLASSES = np.logspace(1, -4, 8)

# Eigenvalues below this part of the largest are rounding.
_RANK = 1e-10

# What other rows tell of one that only itself tells of.
_ALONE = 1e-9

# Rows whose products are summed together.
_ROWS = 256

# Steps of L-BFGS for a penalty; it begins at the solution of the one before.
_STEPS = 100


class Model(NamedTuple):
    """A linear model: coefficients (columns, outputs), and what is added to them."""

    coefficients: np.ndarray
    intercept: np.ndarray


class Basis:
    """Rows turned to directions in which they vary one by one.

    Parameters
    ----------
    X : ndarray of shape (n, columns)
        Is written over.
    weights : ndarray of shape (n,)
        All above 0.

    Attributes
    ----------
    share : ndarray of shape (n,)
        The weights, 1 together.
    centre : ndarray of shape (columns,)
    variances : ndarray of shape (directions,)
    directions : ndarray of shape (columns, directions)
    rows : ndarray of shape (n, directions)
    """

    def __init__(self, X: np.ndarray, weights: np.ndarray):
        self.share = share = weights / weights.sum()
        self.centre = share @ X
        X -= self.centre
        root = np.sqrt(share)[:, None]
        if X.shape[1] > X.shape[0]:
            X *= root
            variances, vectors = _varying(X @ X.T)
            self.directions = X.T @ (vectors / np.sqrt(variances))
            X /= root
        else:
            parts = (root[i : i + _ROWS] * X[i : i + _ROWS] for i in _begins(X))
            product = sum(part.T @ part for part in parts)
            variances, self.directions = _varying(product)
        self.variances = variances
        self.rows = X[:, : len(variances)]
        for i in _begins(X):
            self.rows[i : i + _ROWS] = X[i : i + _ROWS] @ self.directions

    def model(self, coefficients: np.ndarray, intercept: np.ndarray) -> Model:
        """What coefficients of the directions are of the columns."""
        found = self.directions @ coefficients
        return Model(found, intercept - self.centre @ found)


def _begins(X: np.ndarray) -> range:
    return range(0, len(X), _ROWS)


def _varying(product: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues that are not 0, and their vectors."""
    variances, vectors = np.linalg.eigh(product)
    there = variances > _RANK * max(variances.max(initial=0.0), 1e-300)
    return variances[there], vectors[:, there]


def numbers_path(basis: Basis, targets: np.ndarray) -> Iterator[Model]:
    """The constant, and ridge regressions from the strongest penalty on.

    Parameters
    ----------
    basis : Basis
    targets : ndarray of shape (n, outputs)

    References
    ----------
    Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems",
    1970.
    """
    mean = basis.share @ targets
    product = basis.rows.T @ (basis.share[:, None] * (targets - mean))
    yield basis.model(np.zeros_like(product), mean)
    for penalty in _OF_NUMBERS:
        yield basis.model(product / (basis.variances + penalty)[:, None], mean)


def numbers_left_out(basis: Basis, targets: np.ndarray) -> Iterator[np.ndarray]:
    """What the models of `numbers_path` tell of each row if all others made them.

    Parameters
    ----------
    basis : Basis
    targets : ndarray of shape (n, outputs)

    References
    ----------
    Allen, "The relationship between variable selection and data augmentation and a
    method for prediction", 1974.
    """
    apart = targets - basis.share @ targets
    product = basis.rows.T @ (basis.share[:, None] * apart)
    every = 1 / (np.append(np.inf, _OF_NUMBERS)[:, None] + basis.variances)
    parts = [basis.rows[i : i + _ROWS] ** 2 @ every.T for i in _begins(basis.rows)]
    for shrunk, own in zip(every, np.concatenate(parts).T):
        left = apart - basis.rows @ (product * shrunk[:, None])
        rest = 1 - basis.share * (1 + own)
        yield targets - left / np.maximum(rest, _ALONE)[:, None]


def classes_path(basis: Basis, targets: np.ndarray) -> Iterator[Model]:
    """The prior, and logistic regressions from the strongest penalty on.

    Parameters
    ----------
    basis : Basis
    targets : ndarray of shape (n, classes)
        1 where a row has the class. Of two classes the models tell the log-odds of the
        second, of more a logit of each.
    """
    log_prior = np.log(np.maximum(basis.share @ targets, 1e-9))
    two = len(log_prior) == 2
    prior = log_prior[1:] - log_prior[:1] if two else log_prior
    loss = _two if two else _many
    # Rows are last where classes are summed over: numpy is slow with few of these last.
    targets = np.ascontiguousarray((targets[:, 1:] if two else targets).T)
    found = np.zeros((1 + len(basis.variances), len(prior)))
    yield basis.model(found[1:], prior)
    for penalty in _OF_CLASSES:
        # A quarter is the most that a logit curves: the problem is round in these.
        units = 1 / np.sqrt(np.append(0.25, 0.25 * basis.variances + penalty))[:, None]

        def value(scaled, penalty=penalty, units=units):
            now = scaled.reshape(len(units), -1) * units
            logits = now[1:].T @ basis.rows.T + (now[0] + prior)[:, None]
            total, slopes = loss(logits, targets, basis.share)
            total += 0.5 * penalty * np.sum(now[1:] ** 2)
            inner = (slopes @ basis.rows).T + penalty * now[1:]
            return total, (np.vstack([slopes.sum(axis=1), inner]) * units).ravel()

        options = {"gtol": 1e-3, "ftol": 1e-5, "maxiter": _STEPS}
        start = (found / units).ravel()
        told = minimize(value, start, jac=True, method="L-BFGS-B", options=options)
        found = told.x.reshape(found.shape) * units
        yield basis.model(found[1:], found[0] + prior)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Of all classes, by what a model of `classes_path` tells."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    return softmax(logits, axis=1)


def _two(logits, targets, share) -> tuple[float, np.ndarray]:
    """The log loss of two classes, and its slopes; all of shape (1, rows)."""
    small = np.exp(-np.abs(logits))
    losses = np.maximum(logits, 0.0) - logits * targets + np.log1p(small)
    p = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return float(losses[0] @ share), share * (p - targets)


def _many(logits, targets, share) -> tuple[float, np.ndarray]:
    """The log loss of several classes, and its slopes; all of shape (classes, rows)."""
    logits = logits - logits.max(axis=0)
    p = np.exp(logits)
    total = p.sum(axis=0)
    losses = np.log(total) - np.sum(logits * targets, axis=0)
    return float(losses @ share), share * (p / total - targets)
