"""Ensembles of tables as ONNX: columns by name, categories as texts or numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimlearn.backend.onnx import Unsupported, write_function
from slimlearn.backend.shape import B
from slimlearn.estimators.onnx.columns import codes_of, column_type
from slimlearn.estimators.onnx.heads import Output, chosen, labels_of_parts
from slimlearn.estimators.tables.columns import CategoryColumn, Column, DateColumn
from slimlearn.estimators.tables.dates import shift_of
from slimlearn.estimators.tables.program import (
    FUNCTION,
    SOURCE,
    program_of,
    read_columns,
)
from slimlearn.estimators.tables.reading import DAY

__all__ = ["classes_of_table", "numbers_of_table", "table_inputs", "table_sources"]


def _read(ensemble) -> list[Column]:
    who = type(ensemble).__name__
    try:
        found = read_columns(ensemble.encoder_._encoding, who)
    except ValueError as error:
        raise Unsupported(str(error)) from None
    if not found:
        raise Unsupported(
            f"no column of X told {who} anything in fit: there is nothing to write"
        )
    return found


def table_inputs(writer, ensemble) -> tuple[list, dict]:
    """Return the inputs of a model, and the source that they become.

    X is one matrix where it had no names and numbers alone, else each column that tells
    something is an input [rows, 1] of its name; dates are microseconds since 1970.
    """
    columns, named = _read(ensemble), ensemble.encoder_._encoding.named
    odd = CategoryColumn, DateColumn
    if named is None and not any(isinstance(c, odd) for c in columns):
        shape = (B, ensemble.n_features_in_)
        name = writer.unique(SOURCE)
        sources = table_sources(writer, ensemble, [name], [writer.real])
        return [writer.info(name, "f32", shape, rows="N")], sources
    infos, parts = [], []
    for column in columns:
        known = f"x{column.position}" if named is None else str(column.name)
        name, kind = writer.unique(known), "f32"
        if isinstance(column, CategoryColumn):
            kind = column_type(column)
        elif isinstance(column, DateColumn):
            kind = "i64"
        infos.append(writer.info(name, kind, (B, 1), rows="N"))
        if isinstance(column, CategoryColumn):
            name = writer.cast(codes_of(writer, column, name), "f32")
        elif isinstance(column, DateColumn):
            name = _date(writer, column, name)
        parts.append(name)
    return infos, _source(writer, parts)


def _date(writer, column: DateColumn, name: str) -> str:
    """Day and hour [rows, 2] of microseconds since 1970 in UTC; NaN where missing."""
    gone = writer.add("Equal", name, writer.ints(np.iinfo(np.int64).min))
    local = writer.add("Add", name, writer.ints(shift_of(column)))
    rest = writer.add("Mod", local, writer.ints(DAY))
    days = writer.add("Div", writer.add("Sub", local, rest), writer.ints(DAY))
    hour = writer.constant(writer.real.type(3.6e9))
    hours = writer.add("Div", writer.cast(rest, "f32"), hour)
    both = writer.add("Concat", writer.cast(days, "f32"), hours, axis=1)
    return writer.add("Where", gone, writer.constant(writer.real.type(np.nan)), both)


def table_sources(
    writer, ensemble, names: Sequence[str], kinds: Sequence[np.dtype]
) -> dict:
    """Return the source that the columns of a matrix become, or of some side by side.

    Parameters
    ----------
    writer : Writer
    ensemble : TabularEnsemble
    names, kinds : sequence
        Values [rows, columns] and their types, which are numbers.
    """
    columns = _read(ensemble)
    parts = [
        name if kind == writer.real else writer.cast(name, "f32")
        for name, kind in zip(names, kinds)
    ]
    whole = parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=1)
    places = [column.position for column in columns]
    for column in columns:
        if isinstance(column, DateColumn):
            raise Unsupported(
                f"column {column.name!r} of {type(ensemble).__name__} has dates, and "
                "the step before it gives numbers alone: write the estimator by its "
                "own to_onnx"
            )
    if not any(isinstance(column, CategoryColumn) for column in columns):
        if places != list(range(ensemble.n_features_in_)):
            whole = writer.add("Gather", whole, writer.ints(*places), axis=1)
        return _source(writer, [whole])
    parts = []
    for column in columns:
        part = writer.add("Gather", whole, writer.ints(column.position), axis=1)
        if isinstance(column, CategoryColumn):
            if column_type(column) == "str":
                raise Unsupported(
                    f"column {column.name!r} of {type(ensemble).__name__} has texts, "
                    "and the step before it gives numbers alone: write the estimator "
                    "by its own to_onnx"
                )
            part = writer.cast(part, "i64") if column_type(column) == "i64" else part
            part = writer.cast(codes_of(writer, column, part), "f32")
        parts.append(part)
    return _source(writer, parts)


def _source(writer, parts: list[str]) -> dict:
    whole = parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=1)
    writer.know_shape(whole, (B,))
    return {SOURCE: (whole, "f32")}


def _told(writer, ensemble, sources: dict) -> tuple[str, tuple]:
    """The value that the ensemble's program returns, and its shape behind the rows."""
    precision = "f32" if writer.real == np.float32 else "f64"
    positions = [column.position for column in _read(ensemble)]
    program = program_of(ensemble, positions, precision)
    [returned] = program.model.functions[FUNCTION].returns
    values = write_function(writer, program, FUNCTION, sources)
    return values[returned.name], returned.shape[1:]


def classes_of_table(writer, ensemble, sources: dict, raw: bool) -> list[Output]:
    """Write labels and probabilities; `raw` asks for scores in their place."""
    told, shape = _told(writer, ensemble, sources)
    second = Output("probabilities", told, writer.real, shape)
    if ensemble._is_indicator:
        label = writer.cast(writer.add("Greater", told, writer.number(0.5)), "i64")
        return [Output("label", label, np.dtype(np.int64), shape), second]
    if ensemble._several:
        label, dtype = labels_of_parts(writer, ensemble.classes_, told)
        return [Output("label", label, dtype, (len(ensemble.classes_),)), second]
    code = writer.add("ArgMax", told, axis=1, keepdims=0)
    label, dtype = chosen(writer, ensemble.classes_, code)
    if raw:
        scores = writer.add("Log", told)
        if shape == (2,):
            other = writer.add("Gather", scores, writer.ints(1, 0), axis=1)
            scores = writer.add("Sub", scores, other)
        second = Output("scores", scores, writer.real, shape)
    return [Output("label", label, dtype, ()), second]


def numbers_of_table(writer, ensemble, sources: dict) -> list[Output]:
    """Write what is predicted, and the quantiles where there are several."""
    told, shape = _told(writer, ensemble, sources)
    if len(shape) == 1:
        return [Output("variable", told, writer.real, shape)]
    head = ensemble.members_[0]._head
    middle = writer.constant(head.middle, np.int64)
    median = writer.add("Gather", told, middle, axis=2)
    if not head.shape:
        shape = shape[1:]
        told = writer.add("Reshape", told, writer.ints(-1, *shape))
    return [
        Output("variable", median, writer.real, (head.targets,)),
        Output("quantiles", told, writer.real, shape),
    ]
