"""Why a native call failed: its rows once more in NumPy, which names the op."""

from __future__ import annotations

import numpy as np

from slimlearn.backend import reference
from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import is_symbolic
from slimlearn.backend.program import Program
from slimlearn.backend.resident import rows_on_host

__all__ = ["explain_nonfinite", "explain_status", "raise_own"]


def raise_own(status: int) -> None:
    """Raise what a function of the user's raised, if that is what a status says."""
    if status & native.CUSTOM_FAILED:
        error = native.take_custom_error()
        if error is not None:
            raise error


def explain_status(
    status: int,
    program: Program,
    func: str,
    sources: dict[str, np.ndarray],
    rows: np.ndarray | None,
    hypers: dict[str, float],
    *,
    size: int | None = None,
    **counters: int,
) -> str:
    """Return what is wrong with ids or labels, led by the op that met them.

    Parameters
    ----------
    status : int
        Bits that the native call raised.
    program : Program
    func : str
    sources : dict of str to ndarray or CSR matrix
    rows : int array or None
        Row numbers; None for all.
    hypers : dict of str to float
    size : int, optional
        Rows to run at a time, until the op is found; all at once by default.
    **counters : int
        ``seed`` and ``step``.

    Raises
    ------
    BaseException
        What a function of the user's raised.
    """
    raise_own(status)
    by_row = _by_row(program, func, sources)
    if rows is None:
        rows = np.arange(max((a.shape[0] for a in by_row.values()), default=0))
    rows = np.asarray(rows)
    for start in range(0, max(len(rows), 1), size or max(len(rows), 1)):
        batch = rows[start : start + size] if size else rows
        result = reference.run(
            program.model,
            func,
            sources | {name: rows_on_host(a, batch) for name, a in by_row.items()},
            program.weights,
            program.states,
            _complete(program, hypers, len(batch)),
            **counters,
        )
        if result.status:
            return result.complaint(batch)
    return reference.status_text(status)


def explain_nonfinite(
    program: Program,
    func: str,
    sources: dict[str, np.ndarray],
    rows: np.ndarray,
    hypers: dict[str, float],
    **counters: int,
) -> str | None:
    """Return the first op, as ``[op name]``, whose result is infinite or NaN."""
    by_row = _by_row(program, func, sources)
    return reference.first_nonfinite(
        program.model,
        func,
        sources | {name: rows_on_host(a, rows) for name, a in by_row.items()},
        program.weights,
        program.states,
        _complete(program, hypers, len(rows)),
        **counters,
    )


def _by_row(program: Program, func: str, sources) -> dict[str, np.ndarray]:
    """Return the sources whose leading axis the function reads as the batch."""
    names = {
        node.attributes["source"]
        for node in program.model.functions[func].nodes
        if node.op == "input" and is_symbolic(node.results[0].shape[:1], "B")
    }
    return {name: array for name, array in sources.items() if name in names}


def _complete(
    program: Program, hypers: dict[str, float], rows: int
) -> dict[str, float]:
    """Return `hypers` and, for those that native code gives itself, neutral values."""
    own = {"gradient_scale": 1.0, "segment.rate": 1.0, "global_rows": float(rows)}
    return {name: own.get(name, 0.0) for name in program.model.hypers.names()} | hypers
