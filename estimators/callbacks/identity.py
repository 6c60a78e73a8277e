"""A name for a fit: the same for the same data, network, settings and seed."""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
from scipy.sparse import issparse

from slimlearn.backend.resident import rows_on_host

__all__ = ["identity_of"]

# A few thousand rows tell two data sets apart; reading all would cost seconds.
_ROWS = 2048


def identity_of(fitting, last_epoch: int) -> str:
    """The name of a fit that has not begun.

    Parameters
    ----------
    fitting : Fitting
        Prepared, with its start values.
    last_epoch : int
        It counts only where the schedule's rates depend on it, so that a longer fit
        can go on from a shorter one.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    settings, program = fitting.settings, fitting.program
    facts = [
        *(type(fitting.estimator).__name__, program.text, fitting.progress.epoch),
        *(settings.optimizer, settings.schedule, settings.learning_rate),
        *(settings.segments, sorted(settings.hypers.items()), settings.shuffle),
        *(settings.clip_norm, settings.clip_value, settings.tol, settings.seed),
        *(settings.accumulate, settings.schedules, settings.scheduled),
        *(settings.batch_size, zlib.crc32(program.params), zlib.crc32(program.state)),
        *fitting.facts(),
    ]
    schedules = [settings.schedule, *settings.schedules.values()]
    if any(_depends_on_length(schedule, last_epoch) for schedule in schedules):
        facts.append(last_epoch)
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=8)
    for key, part in fitting.samples().items():
        index = np.arange(len(part)) if part.rows is None else part.rows
        some = index[:: max(1, len(index) // _ROWS)]
        digest.update(f"{key} {len(index)}".encode())
        for name, array in part.sources.items():
            rows = rows_on_host(array, some)
            digest.update(f"{name} {rows.dtype} {rows.shape}".encode())
            parts = [rows.data, rows.indices, rows.indptr] if issparse(rows) else [rows]
            for values in parts:
                digest.update(values.tobytes())
    return digest.hexdigest()


def _depends_on_length(schedule, last_epoch: int) -> bool:
    """Whether the schedule's rates depend on how many epochs there will be."""
    epochs = max(last_epoch, 1)
    first, second = (
        schedule.rates(1.0, 0, min(epochs, 1000), steps_per_epoch=1, total_steps=total)
        for total in (epochs, 2 * epochs)
    )
    return not np.array_equal(first, second)
