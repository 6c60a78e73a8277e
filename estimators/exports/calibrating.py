"""Rows that tell how large a network's numbers are, and what 8 bits lose on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import column_or_1d

from slimlearn.backend.export_c import (
    Network,
    quantize,
    run_rows,
    with_integers,
)
from slimlearn.backend.graph import NUMPY_TYPES
from slimlearn.backend.ragged import Ragged
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.heads import ClassifierHead
from slimlearn.estimators.labels import codes_of
from slimlearn.estimators.missing import present_target

if TYPE_CHECKING:
    from slimlearn.estimators.exports.networks import Exported

__all__ = ["Loss", "calibrate"]


class Loss(NamedTuple):
    """What integers of 8 bits lose on the calibration rows.

    Attributes
    ----------
    rows : int
    difference : float
        The largest difference of a result.
    agreement : float or None
        The share of rows whose class stays; None of regressors.
    score_before, score : float or None
        Accuracy or R² of real numbers, and of integers; None without targets.
    real : int
        Arrays that stay real numbers: integers would tell their products badly.
    """

    rows: int
    difference: float
    agreement: float | None
    score_before: float | None
    score: float | None
    real: int = 0

    def __str__(self) -> str:
        words = [f"8 bits on {self.rows} rows: results differ by {self.difference:.3g}"]
        if self.agreement is not None:
            words.append(f"{self.agreement:.1%} of the classes stay")
        if self.score is not None:
            what = "R²" if self.agreement is None else "accuracy"
            words.append(f"{what} {self.score:.4f}, it was {self.score_before:.4f}")
        if self.real:
            words.append(f"{self.real} of the arrays stay real numbers")
        return "; ".join(words)


def calibrate(
    made: Exported, network: Network, sources: Mapping, y
) -> tuple[dict, Loss]:
    """The network's arrays of 8 bits, and what they lose.

    Parameters
    ----------
    made : Exported
        Tells what results mean.
    network : Network
        Of one row, in f32.
    sources : mapping of str to array
        What it reads of calibration rows.
    y : array-like of shape (n_samples,) or None
        To tell scores.
    """
    rows = _rows(network, sources)
    if y is not None and len(y) != len(rows):
        raise ValueError(
            f"y_calibration has {len(y)} rows and X_calibration {len(rows)}: they need "
            "as many"
        )
    quantized, real = quantize(network, rows)
    before = _results(network, rows)
    after = _results(with_integers(network, quantized), rows)
    difference = float(np.abs(after - before).max(initial=0))
    agreement, scores = None, (None, None)
    if isinstance(made.head, ClassifierHead):
        chosen = [_choice(made.head, values) for values in (before, after)]
        agreement = float(np.mean(chosen[0] == chosen[1]))
        if y is not None and not made.head.several:
            codes = _codes(made.classes, y)
            scores = tuple(float(np.mean(labels == codes)) for labels in chosen)
    elif y is not None and made.head is not None:
        target = np.asarray(y, float).reshape(before.shape)
        spread = np.sum((target - target.mean(0)) ** 2) or 1.0
        scores = tuple(
            float(1 - np.sum((target - values) ** 2) / spread)
            for values in (before, after)
        )
    told = Loss(len(rows), difference, agreement, *scores, len(real))
    return quantized, told


def _choice(head, values: np.ndarray) -> np.ndarray:
    """The classes that results mean, or whether a label is there."""
    if head.several:
        return values > (0.5 if head.probabilistic else 0)
    if values.shape[1] == 1:
        return (values[:, 0] > 0).astype(int)
    return values.argmax(axis=1)


def _codes(classes, y) -> np.ndarray:
    """Of labels, which must be some of the classes."""
    y = present_target(to_numpy(y), "y_calibration", regression=False)
    labels = np.array(column_or_1d(y).tolist())  # objects are numbers or words
    try:
        return codes_of(classes, labels)
    except ValueError as error:
        raise ValueError(f"y_calibration: {error}") from None


def _results(network: Network, rows) -> np.ndarray:
    return np.array([found[0].reshape(-1) for found in run_rows(network, rows)])


def _rows(network: Network, sources: Mapping) -> list[Mapping[str, np.ndarray]]:
    """The sources of single rows, as the network of one row reads them."""
    inputs = {
        node.attributes["source"]: node.results[0]
        for node in network.graph.nodes
        if node.op == "input"
    }
    arrays = {name: _fixed(sources[name], value) for name, value in inputs.items()}
    count = len(next(iter(arrays.values())))
    return [
        {name: array[i : i + 1] for name, array in arrays.items()} for i in range(count)
    ]


def _fixed(source, value) -> np.ndarray:
    """A source with as many steps as the network has, and dense."""
    array = source[:] if isinstance(source, Ragged) else source
    array = array.toarray() if issparse(array) else np.asarray(array)
    array = array.astype(NUMPY_TYPES[value.dtype])
    steps = value.shape[1] if value.rank > 1 else 0
    if array.ndim > 1 and array.shape[1] != steps:
        if array.shape[1] > steps:
            raise ValueError(
                f"X_calibration has sequences of {array.shape[1]} steps, and the "
                f"exported network {steps}: say more by length="
            )
        room = [(0, 0)] * array.ndim
        room[1] = (0, steps - array.shape[1])
        array = np.pad(array, room)
    return array
