"""A case of an op: its inputs, its model, what it should give."""

import dataclasses
import zlib
from collections.abc import Callable

import numpy as np
from scipy import sparse

from slimlearn.backend import ops
from slimlearn.backend.graph import (
    Model,
    Tensor,
    element_of,
    storage_of,
)
from slimlearn.backend.reference import DTYPES
from slimlearn.backend.shape import evaluate

# What a source's numbers look like; all ranges keep clear of kinks and poles.
_SAMPLERS = {
    "normal": lambda r, s: r.standard_normal(s),
    "positive": lambda r, s: r.uniform(0.5, 2.5, s),
    "negative": lambda r, s: -r.uniform(0.5, 2.5, s),
    "one": lambda r, s: np.ones(s),
    "minus_one": lambda r, s: -np.ones(s),
    "unit": lambda r, s: r.uniform(-0.85, 0.85, s),
    "away": lambda r, s: r.choice([-1, 1], s) * r.uniform(0.3, 2.0, s),
    "wide": lambda r, s: r.standard_normal(s) * 8,
    "fraction": lambda r, s: r.integers(-4, 4, s) + r.uniform(0.1, 0.4, s),
    "probability": lambda r, s: r.uniform(0.05, 0.95, s),
    "distinct": lambda r, s: (
        r.permutation(int(np.prod(s))).reshape(s) * 0.25 - np.prod(s) / 8
    ),
    "small": lambda r, s: r.standard_normal(s) / 16,
    "integer": lambda r, s: r.integers(-9, 9, s),
    "bool": lambda r, s: r.random(s) < 0.5,
}


@dataclasses.dataclass(frozen=True)
class Source:
    """A named input: its shape, its numbers, its type ("F" is the precision).

    Of the type "csr F" it is a sparse matrix: two full columns, scattered numbers,
    some of them explicit zeros; its first row is empty.
    """

    shape: tuple
    sampler: str = "normal"
    dtype: str = "F"
    below: int = 0  # for dtype i32 and i64: integers 0 … below - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One use of an op.

    Attributes
    ----------
    op, label : str
    build : callable
        From the tensors of the sources, by name, to a result or several.
    inputs : dict of str to Source
    smooth : tuple of str
        The sources whose gradient is compared with differences; by default all floats.
    expect : callable or None
        From the sources' arrays to the result, computed another way.
    """

    op: str
    label: str
    build: Callable
    inputs: dict
    smooth: tuple = ()
    expect: Callable | None = None

    def __str__(self) -> str:
        return f"{self.op}-{self.label}" if self.label else self.op

    def model(self, precision: str = "f32") -> Model:
        """Return a model with the function ``f``."""
        model = Model(precision)
        with model.function("f") as graph:
            graph.return_(*self.outputs(precision))
        return model

    def tensors(self, precision: str) -> dict[str, Tensor]:
        """Append the inputs to the current function."""
        return {
            name: ops.input_(name, source.shape, _dtype(source, precision))
            for name, source in self.inputs.items()
        }

    def outputs(self, precision: str, tensors=None) -> tuple[Tensor, ...]:
        """Append the case to the current function."""
        tensors = self.tensors(precision) if tensors is None else tensors
        out = self.build(**tensors)
        return out if isinstance(out, tuple) else (out,)

    def sources(self, precision: str = "f32", rows: int = 5, seed: int = 0) -> dict:
        """Return arrays for the inputs, with `rows` rows where the shape says B."""
        rng = np.random.default_rng([zlib.crc32(str(self).encode()), rows, seed])
        result = {}
        for name, source in self.inputs.items():
            shape = tuple(evaluate(dim, {"B": rows}) for dim in source.shape)
            if source.below:
                values = rng.integers(0, source.below, shape)
            else:
                values = _SAMPLERS[source.sampler](rng, shape)
            dtype = _dtype(source, precision)
            result[name] = np.asarray(values).astype(DTYPES[element_of(dtype)])
            if storage_of(dtype):
                result[name] = _sparse(rng, result[name])
        return result


def _dtype(source: Source, precision: str) -> str:
    return source.dtype.replace("F", precision)


def _sparse(rng, values: np.ndarray) -> sparse.csr_array:
    kept = rng.random(values.shape) < 0.3
    kept[:, :2] = True
    kept[:1] = False
    csr = sparse.csr_array(np.where(kept, values, 0))
    csr.data[::5] = 0
    return csr


CASES: dict[str, list[Case]] = {}


def case(op, build, label="", smooth=None, expect=None, **inputs):
    if smooth is None:
        smooth = tuple(name for name, s in inputs.items() if s.dtype == "F")
    made = Case(op, label, build, inputs, smooth, expect)
    CASES.setdefault(op, []).append(made)
