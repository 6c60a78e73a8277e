"""Sparse rows: their product with a matrix, their transpose, gradients kept as rows."""

import dataclasses

import numpy as np
from scipy.sparse import csr_array

from slimlearn.backend.graph import (
    FLOATS,
    INTEGERS,
    Tensor,
    current_graph,
    element_of,
    is_symbolic,
    storage_of,
)
from slimlearn.backend.op import (
    Op,
    check_count,
    check_dtype,
    check_tensor,
    describe,
    emit,
    internal,
    public,
    refuse_unless,
)
from slimlearn.backend.ops import slicing, structure, unary
from slimlearn.backend.ops.fused import infer_region
from slimlearn.backend.ops.indexing import BAD_INDEX, clamp


@dataclasses.dataclass(frozen=True)
class Rows:
    """A matrix of which only some rows are not zero.

    Attributes
    ----------
    ids : int array of shape (n,)
        The rows, ascending.
    values : ndarray of shape (n, width)
    shape : tuple of int
        Of the matrix.
    """

    ids: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype:
        """The type of an element."""
        return self.values.dtype


class CsrMatmul(Op):
    """Sparse rows times a matrix.

    An element is one chain of products and sums over the stored elements of its row, by
    rising column: the bits of the dense product. The result is dense, or the rows that
    can be anything but zero; a region finishes the dense one (epilogue).
    """

    name = "csr_matmul"
    sparse = True
    results = None
    regions = 1
    tape_region = True

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(types) >= 2, f"takes 2 operands, got {len(types)}")
        (a_dtype, a), (dtype, b) = types[:2]
        refuse_unless(
            storage_of(a_dtype) == "csr"
            and dtype in FLOATS
            and element_of(a_dtype) == dtype
            and len(b) == 2,
            f"multiplies csr [m,k] by a matrix [k,n] of its type: {describe(types)}",
        )
        refuse_unless(
            a[1] == b[0],
            f"inner dimensions differ: {describe(types)}: give b {a[1]} rows, or check "
            "what feeds a",
        )
        wanted = storage_of(declared[0][0]) if declared else ""
        if regions:
            dense = not wanted and not any(storage_of(dtype) for dtype, _ in types[2:])
            refuse_unless(dense, "a region finishes a dense product, with dense values")
            shape = (a[0], b[1])
            return infer_region(regions[0], [(dtype, shape), *types[2:]], shape)
        check_count(types, 2)
        refuse_unless(
            wanted == "" or (wanted == "rows" and type(a[0]) is int),
            "gives a dense matrix, or rows of a matrix of fixed height: "
            f"{describe(types)}",
        )
        return [(f"{wanted} {dtype}" if wanted else dtype, (a[0], b[1]))]

    def reference(self, context, arrays, node):
        a, b = arrays[:2]
        if node.regions:
            return context.region(node.regions[0], [a @ b, *arrays[2:]])
        if not storage_of(node.results[0].dtype):
            return [a @ b]
        ids = np.flatnonzero(np.diff(a.indptr))
        return [Rows(ids, a[ids] @ b, (a.shape[0], b.shape[1]))]

    def grad(self, node, index, *output_gradients):
        if node.regions:
            return super().grad(node, index, *output_gradients)
        (dy,) = output_gradients
        return csr_matmul(csr_transpose(node.operands[0]), dy)

    def row_local(self, node):
        a, b = node.operands[:2]
        return not is_symbolic(a.shape[1:] + b.shape, "B")


class CsrTranspose(Op):
    """Sparse rows as sparse columns."""

    name = "csr_transpose"
    sparse = True

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        ((dtype, shape),) = types
        refuse_unless(
            storage_of(dtype) == "csr", f"transposes csr [m,k]: {describe(types)}"
        )
        return [(dtype, shape[::-1])]

    def reference(self, context, arrays, node):
        return [arrays[0].T.tocsr()]

    def row_local(self, node):
        return False


class CsrOneHot(Op):
    """Sparse rows with one 1 each, at the numbered column."""

    name = "csr_one_hot"
    sparse = True

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, INTEGERS, ["ids"])
        ((_, ids),) = types
        refuse_unless(
            bool(declared) and len(declared) == 1, "needs its one result type"
        )
        ((dtype, shape),) = declared
        csr = storage_of(dtype) == "csr" and element_of(dtype) in FLOATS
        fits = csr and len(ids) == 1 and len(shape) == 2
        refuse_unless(
            fits and shape[0] == ids[0] and type(shape[1]) is int and shape[1] > 0,
            f"needs ids [n] and a result csr [n,k]: {describe([*types, declared[0]])}",
        )
        return [declared[0]]

    def reference(self, context, arrays, node):
        dtype, shape = context.result(node)
        ids = clamp(context, arrays[0], shape[1], BAD_INDEX)
        parts = np.ones(len(ids), dtype), ids, np.arange(len(ids) + 1)
        return [csr_array(parts, shape=shape)]

    def row_local(self, node):
        return structure.leads(node.results[0].shape)


@internal
def csr_one_hot(
    ids: Tensor, depth: int, dtype: str | None = None, name: str | None = None
) -> Tensor:
    """Return sparse rows [n, depth] with a 1 at column ``ids`` [n], and nothing else.

    An id outside 0 … `depth` - 1 is an error. The type is the network's precision,
    unless `dtype` says another.
    """
    check_tensor(ids, "csr_one_hot", name)
    dtype = dtype or current_graph().precision
    shape = (*ids.shape, int(depth))
    return emit("csr_one_hot", (ids,), None, [(f"csr {dtype}", shape)], name)


@public
def csr_matmul(x: Tensor, w: Tensor, name: str | None = None) -> Tensor:
    """Return the product of sparse rows and a matrix.

    Parameters
    ----------
    x : Tensor of sparse rows, of shape [m, k]
        Has no gradient: it is data.
    w : Tensor of shape [k, n]
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [m, n]
        Dense.

    Raises
    ------
    ValueError
        If types or shapes do not fit.
    """
    return emit("csr_matmul", (x, w), None, None, name)


@internal
def csr_transpose(x: Tensor, name: str | None = None) -> Tensor:
    """Return the transpose of sparse rows `x`; that of a transpose is `x` itself."""
    check_tensor(x, "csr_transpose", name)
    if x.node is not None and x.node.op == "csr_transpose":
        return x.node.operands[0]
    return emit("csr_transpose", (x,), None, None, name)


@internal
def can_be_rows(gradient: Tensor) -> bool:
    """Return whether `rows` can keep this gradient compact.

    It can where the parameter is a matrix that is read in one way only: it multiplies
    sparse rows, once, or its rows are gathered by number, any number of times.
    """
    if type(gradient.shape[0]) is not int or gradient.rank != 2:
        return False
    return _is_product(gradient) or _scattered(gradient) is not None


@internal
def rows(gradient: Tensor) -> Tensor:
    """Return a gradient as the rows that the batch touches, for `grad_`.

    Training then touches those rows of the parameter and of the optimizer's slots, and
    no others.

    Raises
    ------
    ValueError
        If it is no gradient for which `can_be_rows`.
    """
    if not can_be_rows(check_tensor(gradient, "rows")):
        raise ValueError(
            f"%{gradient.name} is no product of transposed sparse rows and no sum of "
            "updates by number: only the gradient of a matrix that multiplies sparse "
            "rows, or whose rows are gathered, can be kept as rows"
        )
    graph = current_graph()
    if _is_product(gradient):
        operands = gradient.node.operands
    else:
        operands = _as_product(_scattered(gradient), gradient)
    kept = [("rows " + gradient.dtype, gradient.shape)]
    made = graph.append("csr_matmul", operands, {}, kept).results[0]
    _drop(graph, gradient)
    return made


def _is_product(gradient: Tensor) -> bool:
    node = gradient.node
    return (
        node is not None
        and node.op == "csr_matmul"
        and node.operands[0].node.op == "csr_transpose"
    )


def _scattered(total: Tensor) -> list[tuple[Tensor, Tensor]] | None:
    """Return the ids and updates of a sum of `scatter_add`s; None for anything else."""
    terms, pending = [], [total]
    while pending:
        node = pending.pop().node
        if node is None or node.op not in ("add", "scatter_add"):
            return None
        if node.op == "add":
            pending += reversed(node.operands)
        else:
            terms.append(tuple(node.operands))
    return terms


def _as_product(terms, total: Tensor) -> tuple[Tensor, Tensor]:
    """Return what multiplies to the sum of the terms, whose ids are columns then."""
    count, width = total.shape
    ids = [structure.reshape(ids, (-1,)) for ids, _ in terms]
    updates = [structure.reshape(updates, (-1, width)) for _, updates in terms]
    if len(terms) > 1:
        wide = "i64" if any(one.dtype == "i64" for one in ids) else "i32"
        ids = [slicing.concat([unary.cast(one, wide) for one in ids], axis=0)]
        updates = [slicing.concat(updates, axis=0)]
    return csr_transpose(csr_one_hot(ids[0], count, total.dtype)), updates[0]


def _drop(graph, value: Tensor) -> None:
    """Drop what was computed for `value` alone."""
    pending = [value]
    while pending:
        node = pending.pop().node
        if node is None or any(
            r in n.operands for n in graph.nodes for r in node.results
        ):
            continue
        if node in graph.nodes and node.op in ("add", "csr_matmul", "scatter_add"):
            graph.nodes.remove(node)
            for result in node.results:
                del graph.values[result.name]
            pending += node.operands
