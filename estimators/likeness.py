"""Whether the rows of validation are in the units of those that are trained on."""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse

from slimlearn.backend.telling import warn

__all__ = ["warn_of_other_units"]

# Rows that are looked at.
_SOME = 4096
# Deviations from the mean, or ratios of deviations, that are no chance.
_FAR, _RATIO = 3.0, 10.0
# The share of columns that has to lie far away, as one may well drift, and that of
# columns that vary less, as a few rows of a kind do in some.
_SHARE, _MOST = 0.25, 0.9

_ADVICE = (
    "the steps of a pipeline do not transform what is passed to fit, but with "
    "Pipeline(..., transform_input=['X_val']), set_config(enable_metadata_routing=True)"
    " and set_fit_request(X_val=True, y_val=True) of the last step"
)
_ADVICE_OF_Y = "transform y_val as y is transformed"


def warn_of_other_units(estimator, input, rows, held) -> None:
    """Warn where X_val, or numbers to be predicted, were forgotten to be scaled.

    Parameters
    ----------
    estimator : NetworkEstimator
    input : Input
    rows, held : Rows
        That are trained on, and of validation.
    """
    pairs = zip(input.forms, input._arrays(rows.X), input._arrays(held.X), strict=True)
    for form, train, other in pairs:
        if form.dtype is None and not (issparse(train) or issparse(other)):

            def columns_of(far, form=form, other=other) -> list:
                return input.where(form, other[:1], lambda v: far.reshape(v.shape))

            _compare("X_val", train, other, columns_of, _ADVICE)
    if estimator._regression and rows.y is not rows.X:
        _compare("y_val", rows.y, held.y, np.flatnonzero, _ADVICE_OF_Y)


def _compare(name: str, train, held, columns_of, advice: str) -> None:
    train, held = _some(train), _some(held)
    with np.errstate(over="ignore", invalid="ignore"):
        far = _far(train, held)
        if far is None:
            return
        a, b = train[:, far.argmax()], held[:, far.argmax()]
        warn(
            f"{name} lies far from {name[0]} in columns {list(columns_of(far))}: the "
            f"first of them has mean {b.mean():.3g} and deviation {b.std():.3g}, in "
            f"{name[0]} it has {a.mean():.3g} and {a.std():.3g}: {advice}"
        )


def _some(array: np.ndarray) -> np.ndarray:
    """Evenly spaced rows as float64, (n, columns)."""
    step = -(-array.shape[0] // _SOME)
    some = np.asarray(array[:: max(step, 1)], dtype=np.float64)
    return some.reshape(len(some), -1)


def _far(train: np.ndarray, held: np.ndarray) -> np.ndarray | None:
    """The columns that are in other units, if these are no exceptions."""
    spread, own = train.std(axis=0), held.std(axis=0)
    varies = spread > 0
    moved = np.abs(held.mean(axis=0) - train.mean(axis=0))
    far = moved > (_FAR + 2 * _FAR / len(held) ** 0.5) * spread
    if len(held) >= _RATIO:
        far |= own > _RATIO * spread
        less = varies & (own > 0) & (own < spread / _RATIO)
        if np.count_nonzero(less) >= _MOST * np.count_nonzero(varies):
            far |= less
    far &= varies
    share = np.count_nonzero(far) / max(np.count_nonzero(varies), 1)
    return far if share >= _SHARE else None
