"""What ops know while they run, and running them one by one."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy import sparse

# Ops register by being imported.
import slimlearn.backend.ops  # noqa: F401
from slimlearn.backend.coded import Coded
from slimlearn.backend.graph import (
    NUMPY_TYPES,
    Graph,
    Node,
    Tensor,
    element_of,
    is_symbolic,
    storage_of,
    type_text,
)
from slimlearn.backend.graph.rounding import rounded
from slimlearn.backend.op import OPS
from slimlearn.backend.ops.sparse import Rows
from slimlearn.backend.philox import loop_time
from slimlearn.backend.ragged import Ragged
from slimlearn.backend.shape import Dim, evaluate

_STATUS = {
    1: "an index is out of range: embeddings and gather take ids from 0 to their "
    "number of rows - 1",
    2: "a label is negative or not below the number of classes",
    8: "the ranks do not take parts of one batch: give all of them the same rows, "
    "batch_size and accumulate",
}


class Context:
    """What ops may know while they run: sizes, sources, random counters, precision."""

    def __init__(self, sources, seed, step, first_row, on_value, compute):
        self.sources = sources
        self.symbols: dict[str, int] = {}
        self.seed = seed
        self.step = step
        self.first_row = first_row
        self.on_value = on_value
        self.compute = compute
        self.status = 0
        self.raised_by: str | None = None
        # The first index out of range: itself, how many there may be, where it stood.
        self.misplaced: tuple[int, int, tuple[int, ...]] | None = None

    def result(self, node: Node) -> tuple[np.dtype, tuple[int, ...]]:
        """Return the NumPy type and the shape, in numbers, of a node's only result."""
        return self.type(node.results[0])

    def type(self, tensor: Tensor) -> tuple[np.dtype, tuple[int, ...]]:
        """Return the NumPy type and the shape, in numbers, of `tensor`."""
        shape = tuple(evaluate(dim, self.symbols) for dim in tensor.shape)
        return NUMPY_TYPES[element_of(tensor.dtype)], shape

    def rows(self, tensor: Tensor) -> np.ndarray | None:
        """Return the random row counter of each leading index, None without rows."""
        if not is_symbolic(tensor.shape[:1], "B"):
            return None
        lead = tensor.shape[0]
        per_row = lead.multiple_of("B") or 1
        return self.first_row * per_row + np.arange(evaluate(lead, self.symbols))

    def random_key(self, node: Node) -> tuple[int, int, int]:
        """Return the seed, the stream and the time of what a node draws."""
        return self.seed, node.attributes["stream"], self.step

    @contextmanager
    def iteration(self, step: int) -> Iterator[None]:
        """Draw random numbers as in a step of a loop."""
        outside = self.seed, self.step
        self.seed, self.step = loop_time(*outside, step)
        yield
        self.seed, self.step = outside

    def source(self, node: Node) -> np.ndarray:
        """Return the rows of an input, converted to its type."""
        array = self.sources[node.attributes["source"]]
        wanted = storage_of(node.results[0].dtype)
        if bool(wanted) != sparse.issparse(array):
            raise ValueError(
                f"[input {node.results[0].name}] source {node.attributes['source']} is "
                f"{'dense' if wanted else 'a sparse matrix'}, needed is "
                f"{type_text(*node.results[0].type)}"
            )
        if wanted:
            return sparse.csr_array(array).astype(self.result(node)[0])
        columns = node.attributes.get("columns")
        if columns is not None:
            array = array[:, columns[0] : columns[1]]
        return array.astype(self.result(node)[0])

    def region(self, region: Graph, arrays) -> list[np.ndarray]:
        """Run a region on its operands."""
        values = dict(zip(region.parameters, arrays, strict=True))
        run_nodes(region, values, self)
        return [values[value] for value in region.returns]

    def bind(self, name: str, declared: Tensor, actual: tuple[int, ...]):
        """Learn the sizes of symbols from an array of known shape."""
        fits = len(declared.shape) == len(actual)
        for dim, size in zip(declared.shape, actual, strict=False):
            if dim.__class__ is Dim and len(dim.symbols) == 1:
                (symbol,) = dim.symbols
                factor = dim.multiple_of(symbol)
                if factor and size % factor == 0:
                    self.symbols.setdefault(symbol, size // factor)
            fits = fits and evaluate(dim, self.symbols) == size
        if not fits:
            sizes = ", ".join(f"{k}={v}" for k, v in sorted(self.symbols.items()))
            raise ValueError(
                f"[{name}] the program declares {type_text(*declared.type)}"
                f"{f' with {sizes}' if sizes else ''}, the array has shape {actual}"
            )


def run_nodes(graph: Graph, values: dict, context: Context) -> None:
    """Compute every node of `graph` into `values`, checking shapes as declared."""
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            arrays = [values[operand] for operand in node.operands]
            op = OPS[node.op]
            if context.compute and op.product and arrays[0].dtype == np.float32:
                arrays[:2] = [rounded(array, context.compute) for array in arrays[:2]]
            results = op.reference(context, arrays, node)
            if context.status and context.raised_by is None:
                context.raised_by = f"[{node.op} {node.results[0].name}]"
            for tensor, array in zip(node.results, results, strict=True):
                dtype, shape = context.type(tensor)
                if not storage_of(tensor.dtype):
                    array = np.asarray(array, dtype)
                if array.shape != shape:
                    raise ValueError(
                        f"[{node.op} {tensor.name}] computed shape {array.shape}, "
                        f"declared {type_text(*tensor.type)} = {shape}"
                    )
                values[tensor] = array
                if context.on_value is not None:
                    context.on_value(node, array)


def stored(array) -> np.ndarray:
    """Return the elements that an array of any storage has in memory."""
    if isinstance(array, Rows):
        return array.values
    return array.data if sparse.issparse(array) else array


def as_array(source):
    """Return a source as an ndarray, or as the sparse or ragged rows that it is."""
    if isinstance(source, Coded):
        return source[:]
    kept = sparse.issparse(source) or isinstance(source, Ragged)
    return source if kept else np.asarray(source)


def status_text(status: int) -> str:
    """Return what the bits of a status mean."""
    return "; ".join(text for bit, text in _STATUS.items() if status & bit)
