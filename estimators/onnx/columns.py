"""Columns by name as ONNX: those of feature columns, and categories of a frame."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.onnx import ML, Unsupported
from slimlearn.backend.shape import B
from slimlearn.estimators.features.categories import CategoryMatrix
from slimlearn.estimators.features.columns import (
    BucketizedColumn,
    Categorical,
    CrossedColumn,
    FeatureColumn,
    IdentityColumn,
    NumericColumn,
    VocabularyColumn,
)
from slimlearn.estimators.features.defaults import Standard
from slimlearn.estimators.features.input import INDICATORS, NUMBERS, FeatureInput
from slimlearn.estimators.tables.columns import CategoryColumn, kind_of

__all__ = ["category_inputs", "codes_of", "column_type", "feature_inputs"]

# ONNX's domain of machine learning has categories of these types alone.
_KEYS = {"str": "keys_strings", "i64": "keys_int64s", "f32": "keys_floats"}


def column_type(column: CategoryColumn) -> str:
    """The type in which ONNX has the levels of a category: one of `_KEYS`."""
    kinds = {kind_of(level) for level in column.levels}
    if len(kinds) > 1:
        raise Unsupported(
            f"column {column.name!r} has levels of several types, such as "
            f"{column.levels[0]!r} and {column.levels[-1]!r}, and an ONNX tensor has "
            "one: fit on texts, as of astype(str)"
        )
    if kinds == {"text"}:
        return "str"
    return "i64" if all(isinstance(v, int) for v in column.levels) else "f32"


def codes_of(writer, column: CategoryColumn, name: str) -> str:
    """The codes of a column's values, as int64; 0 of any other."""
    kind, levels = column_type(column), column.levels
    if kind == "f32" and writer.real != np.float32:
        name = writer.single(name)
    levels = [int(level) for level in levels] if kind == "i64" else levels
    return _numbered(writer, name, kind, levels, range(1, len(levels) + 1), 0)


def _numbered(writer, name: str, kind: str, keys, values, other: int) -> str:
    return writer.add(
        "LabelEncoder",
        name,
        domain=ML,
        **{_KEYS[kind]: list(keys)},
        values_int64s=list(values),
        default_int64=other,
    )


def _joined(writer, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=1)


def category_inputs(writer, estimator, input: CategoryMatrix) -> tuple[list, dict]:
    """Return the inputs of a model whose X has categories, and the source of them."""
    names = getattr(estimator, "feature_names_in_", None)
    categories = {c.position: c for c in [*input.leveled, *input.coded]}
    infos, given = [], {}
    for place in sorted([*input.numbers, *categories]):
        known = f"x{place}" if names is None else names[place]
        given[place] = name = writer.unique(known)
        kind = column_type(categories[place]) if place in categories else "f32"
        infos.append(writer.info(name, kind, (B, 1), rows="N"))
    if not given:
        raise Unsupported(
            f"no column of X told {type(estimator).__name__} anything in fit: there is "
            "nothing to write"
        )
    parts = [given[place] for place in input.numbers]
    for column, table in zip(input.leveled, input.tables):
        codes = codes_of(writer, column, given[column.position])
        codes = writer.add("Squeeze", codes, writer.ints(1))
        table = writer.constant(np.asarray(table, writer.real))
        parts.append(writer.add("Gather", table, codes, axis=0))
    for column in input.coded:
        codes = codes_of(writer, column, given[column.position])
        parts.append(writer.cast(codes, "f32"))
    [form] = input.forms
    whole = _joined(writer, parts)
    writer.know_shape(whole, (B,))
    return infos, {form.name: (whole, "f32")}


def feature_inputs(writer, estimator, input: FeatureInput) -> tuple[list, dict]:
    """Return the inputs of a model with feature columns, and the sources of them."""
    reader, sources = _Reader(writer, type(estimator).__name__), {}
    for form in input.forms:
        if form.name == NUMBERS:
            parts = [reader.numbers(column) for column in input.numeric]
        elif form.name == INDICATORS:
            parts = [
                reader.counts(getattr(column, "categorical_column", column), "sum")
                for column in input.indicators
            ]
        else:
            columns, combiner = input.sparse[form.name]
            parts = [reader.counts(column, combiner) for column in columns]
        whole = _joined(writer, parts)
        writer.know_shape(whole, (B,))
        sources[form.name] = whole, "f32"
    return reader.infos, sources


class _Reader:
    """The inputs of columns, and what feature columns make of them; each once."""

    def __init__(self, writer, who: str):
        self.writer, self.who = writer, who
        self.infos: list = []
        self._given: dict = {}
        self._ids: dict = {}

    def _input(self, key, kind: str, width: int) -> str:
        if key in self._given:
            name, known = self._given[key]
            if known != (kind, width):
                raise Unsupported(
                    f"{self.who} reads column {key!r} in two ways, as {known[0]} and "
                    f"as {kind}, and an ONNX input has one: give it twice, by two names"
                )
            return name
        name = self.writer.unique(f"x{key}" if isinstance(key, int) else str(key))
        self._given[key] = name, (kind, width)
        self.infos.append(self.writer.info(name, kind, (B, width), rows="N"))
        return name

    def numbers(self, column: NumericColumn) -> str:
        """Floats [rows, width]."""
        writer, real = self.writer, self.writer.real
        found = self._input(column.key, "f32", column.width)
        if column.default_value is not None:
            fill = np.broadcast_to(np.ravel(column.default_value), (column.width,))
            fill = writer.constant(fill.astype(real))
            found = writer.add("Where", writer.add("IsNaN", found), fill, found)
        normal = column.normalizer_fn
        if isinstance(normal, Standard):
            mean = np.float64(normal.mean)
            # In two parts, so that large numbers lose no digits.
            parts = real.type(mean), real.type(mean - np.float64(real.type(mean)))
            for part in parts:
                if part:
                    found = writer.add("Sub", found, writer.constant(part))
            scale = writer.constant(real.type(normal.scale))
            return writer.add("Div", found, scale)
        if normal is not None:
            raise Unsupported(
                f"numeric_column({column.key!r}) has a normalizer_fn, a function of "
                "Python that ONNX cannot hold: scale the column before, or let a layer "
                "of the network do it"
            )
        return found

    def counts(self, column: Categorical, combiner: str) -> str:
        """How much each category counts [rows, num_buckets]."""
        writer, real = self.writer, self.writer.real
        ids, several = self.ids(column)
        every = writer.constant(np.arange(column.num_buckets))
        ids = writer.add("Unsqueeze", ids, writer.ints(2))
        found = writer.cast(writer.add("Equal", ids, every), "f32")
        if several == 1:
            return writer.add("Squeeze", found, writer.ints(1))
        found = writer.add("ReduceSum", found, writer.ints(1), keepdims=0)
        share = {"sum": 1.0, "mean": 1 / several, "sqrtn": several**-0.5}[combiner]
        share = writer.constant(real.type(share))
        return found if combiner == "sum" else writer.add("Mul", found, share)

    def ids(self, column: Categorical) -> tuple[str, int]:
        """Categories by number [rows, n] and n; -1 where there is none."""
        if column not in self._ids:
            self._ids[column] = self._made_ids(column)
        return self._ids[column]

    def _made_ids(self, column: Categorical) -> tuple[str, int]:
        writer = self.writer
        if isinstance(column, BucketizedColumn):
            numbers, width = (
                self.numbers(column.source_column),
                column.source_column.width,
            )
            edges = writer.constant(np.asarray(column.boundaries, writer.real))
            numbers = writer.add("Unsqueeze", numbers, writer.ints(2))
            beyond = writer.cast(writer.add("GreaterOrEqual", numbers, edges), "i64")
            ids = writer.add("ReduceSum", beyond, writer.ints(2), keepdims=0)
            starts = np.arange(width) * (len(column.boundaries) + 1)
            return writer.add("Add", ids, writer.constant(starts)), width
        if isinstance(column, VocabularyColumn) and not column.num_oov_buckets:
            known = list(column.vocabulary_list)
            texts = isinstance(known[0], str)
            kind, nothing = ("str", "") if texts else ("i64", -1)
            numbers = dict(zip(known, range(len(known))))
            # What is missing has no category, even where what is unknown has one.
            numbers[nothing] = -1
            name = self._input(column.key, kind, 1)
            other = column.default_value
            return _numbered(writer, name, kind, numbers, numbers.values(), other), 1
        if isinstance(column, IdentityColumn):
            name = self._input(column.key, "i64", 1)
            kept = {i: i for i in (-1, *range(column.num_buckets))}
            other = -1 if column.default_value is None else column.default_value
            return _numbered(writer, name, "i64", kept, kept.values(), other), 1
        if isinstance(column, CrossedColumn):
            return self._crossed(column), 1
        self._refuse(column)

    def _crossed(self, column: CrossedColumn) -> str:
        """The category of a combination, by a table of all of them."""
        writer, table = self.writer, column.table()
        if table is None:
            self._refuse(column)
        place = None
        for key, size in zip(column.keys, table.shape):
            ids, several = self.ids(key)
            if several != 1:
                self._refuse(column)
            ids = writer.add("Add", ids, writer.ints(1))
            if place is not None:
                place = writer.add("Mul", place, writer.ints(size))
                ids = writer.add("Add", place, ids)
            place = ids
        return writer.add("Gather", writer.constant(table.ravel()), place, axis=0)

    def _refuse(self, column: FeatureColumn) -> None:
        raise Unsupported(
            f"{type(column).__name__} {column.name!r} of {self.who} numbers categories "
            "by a hash, or weighs them, which ONNX has no operator for: name the "
            "categories by categorical_column_with_vocabulary_list, cross such columns "
            "and not keys of X, or serve the estimator by est.save"
        )
