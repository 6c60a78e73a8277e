"""Matrix products and factorizations."""

import numpy as np

from slimlearn.backend.graph import FLOATS, Tensor, current_graph, is_symbolic
from slimlearn.backend.op import (
    Op,
    Refusal,
    check_count,
    check_dtype,
    check_tensor,
    describe,
    emit,
    public,
    refuse_unless,
    takes,
)
from slimlearn.backend.ops import structure
from slimlearn.backend.ops.fused import infer_region
from slimlearn.backend.shape import product


class Matmul(Op):
    """The matrix product, also of stacks; its region finishes each tile (epilogue)."""

    name = "matmul"
    attributes = takes(transpose_a=bool, transpose_b=bool)
    results = None
    regions = 1
    tape_region = True
    product = True

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(types) >= 2, f"takes 2 operands, got {len(types)}")
        check_dtype(types[:2], FLOATS)
        (dtype, a), (_, b) = types[:2]
        what = describe(types[:2])
        if len(a) < 2 or len(b) < 2:
            raise Refusal(f"operands need at least 2 dimensions: {what}")
        transpose_a, transpose_b = attributes["transpose_a"], attributes["transpose_b"]
        if len(a) != len(b):
            refuse_unless(
                len(b) == 2 and not transpose_a and not transpose_b,
                f"ranks differ: {what}: b must have rank 2, and neither be transposed",
            )
        elif a[:-2] != b[:-2]:
            raise Refusal(f"leading dimensions differ: {what}")
        m, k = (a[-1], a[-2]) if transpose_a else (a[-2], a[-1])
        k2, n = (b[-1], b[-2]) if transpose_b else (b[-2], b[-1])
        if k != k2:
            note = "".join(
                f" (transposed {letter})"
                for letter, flag in (("a", transpose_a), ("b", transpose_b))
                if flag
            )
            raise Refusal(
                f"inner dimensions differ: {what}{note}: give b {k} rows, "
                "or check what feeds a"
            )
        shape = a[:-2] + (m, n)
        if not regions:
            check_count(types, 2)
            return [(dtype, shape)]
        return infer_region(regions[0], [(dtype, shape), *types[2:]], shape)

    def reference(self, context, arrays, node):
        a, b = arrays[:2]
        if node.attributes["transpose_a"]:
            a = np.swapaxes(a, -1, -2)
        if node.attributes["transpose_b"]:
            b = np.swapaxes(b, -1, -2)
        y = np.matmul(a, b)
        if not node.regions:
            return [y]
        return context.region(node.regions[0], [y, *arrays[2:]])

    def grad(self, node, index, *output_gradients):
        if node.regions:
            return super().grad(node, index, *output_gradients)
        (dy,) = output_gradients
        a, b = node.operands
        transpose_a = node.attributes["transpose_a"]
        transpose_b = node.attributes["transpose_b"]
        if len(a.shape) != len(b.shape):
            rows = product(a.shape[:-1])
            dy = structure.reshape(dy, (rows, dy.shape[-1]))
            if index == 0:
                return structure.reshape(matmul(dy, b, transpose_b=True), a.shape)
            flat = structure.reshape(a, (rows, a.shape[-1]))
            return matmul(flat, dy, transpose_a=True)
        if index == 0:
            if transpose_a:
                return matmul(b, dy, transpose_b, True)
            return matmul(dy, b, False, not transpose_b)
        if transpose_b:
            return matmul(dy, a, True, transpose_a)
        return matmul(a, dy, not transpose_a, False)

    def row_local(self, node):
        a, b = node.operands[:2]
        if is_symbolic(b.shape, "B") and len(b.shape) == 2:
            return False
        contracts_rows = len(a.shape) == 2 and node.attributes["transpose_a"]
        return not (contracts_rows and is_symbolic(a.shape[:1], "B"))


class Orthogonal(Op):
    """The Q of a QR factorization, its signs fixed so that R's diagonal is positive.

    Columns are orthonormal (rows, where there are fewer of them), as in Saxe et al.
    2013, "Exact solutions to the nonlinear dynamics of learning".
    """

    name = "orthogonal"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, FLOATS)
        refuse_unless(
            len(types[0][1]) == 2, f"needs a matrix: {describe(types)}: reshape it"
        )
        return [types[0]]

    def reference(self, context, arrays, node):
        (a,) = arrays
        tall = a if a.shape[0] >= a.shape[1] else a.T
        q, r = np.linalg.qr(tall)
        q = q * np.where(np.diagonal(r) < 0, -1, 1).astype(a.dtype)
        return [q if tall is a else q.T]

    def row_local(self, node):
        return not is_symbolic(node.operands[0].shape, "B")


@public
def matmul(
    a: Tensor,
    b: Tensor,
    transpose_a: bool = False,
    transpose_b: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return the matrix product.

    Parameters
    ----------
    a : Tensor of shape [..., m, k], or [k]
    b : Tensor of shape [..., k, n], or [k]
        Of the leading dimensions of `a`, or of rank 2 for any `a`. A vector stands for
        a row of `a`, a column of `b`, and gives no axis to the result.
    transpose_a, transpose_b : bool, default=False
        Read the last two dimensions the other way round.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [..., m, n]

    Raises
    ------
    TypeError
        If an operand is no tensor.
    ValueError
        If types or shapes do not fit.
    """
    check_tensor(a, "matmul", name)
    check_tensor(b, "matmul", name)
    attributes = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    a_shape, b_shape = a.shape, b.shape
    if (
        len(a_shape) == len(b_shape) == 2
        and a.dtype == b.dtype
        and a.dtype in FLOATS
        and a_shape[0 if transpose_a else 1] == b_shape[1 if transpose_b else 0]
    ):
        shape = (a_shape[1 if transpose_a else 0], b_shape[0 if transpose_b else 1])
        node = current_graph().append(
            "matmul", (a, b), attributes, ((a.dtype, shape),), name
        )
        return node.results[0]
    if 1 in (len(a_shape), len(b_shape)) and not (transpose_a or transpose_b):
        return _with_vector(a, b, name)
    return emit("matmul", (a, b), attributes, None, name)


def _with_vector(a: Tensor, b: Tensor, name: str | None) -> Tensor:
    """Return the product where an operand has one axis, which the result lacks."""
    shape = (*a.shape[:-1], *(b.shape[:-2] + b.shape[-1:] if b.rank > 1 else ()))
    if a.rank == 1:
        a = structure.reshape(a, (1, *a.shape))
    if b.rank == 1:
        b = structure.reshape(b, (*b.shape, 1))
    return structure.reshape(matmul(a, b), shape, name)


@public
def dot(a: Tensor, b: Tensor, name: str | None = None) -> Tensor:
    """Return the product of vectors and matrices; `matmul` takes stacks, too.

    Parameters
    ----------
    a : Tensor of shape [m, k] or [k]
    b : Tensor of shape [k, n] or [k]
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [m, n]
        Without the axes that vectors lack.

    Raises
    ------
    TypeError
        If an operand is no tensor.
    ValueError
        If types or shapes do not fit, or an operand has more than two axes.
    """
    for operand in (a, b):
        if len(check_tensor(operand, "dot", name).shape) > 2:
            raise ValueError(
                f"[dot {name or 'dot'}] multiplies vectors and matrices: "
                f"{describe([a.type, b.type])}: use matmul"
            )
    return matmul(a, b, name=name)


@public
def orthogonal(a: Tensor, name: str | None = None) -> Tensor:
    """Return the matrix with orthonormal columns that QR finds in another.

    Parameters
    ----------
    a : Tensor of shape [m, n]
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [m, n]
        Its rows are orthonormal where there are fewer of them. It has no gradient.
    """
    return emit("orthogonal", (a,), None, None, name)
