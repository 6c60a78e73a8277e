"""Softmax and the cross entropies that need it inside for their stability."""

import numpy as np
from scipy import special

from slimlearn.backend import ops
from slimlearn.backend.graph import FLOATS, Tensor, is_symbolic, type_text
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
)
from slimlearn.backend.ops import structure
from slimlearn.backend.ops.indexing import clamp
from slimlearn.backend.ops.source import as_tensor

BAD_LABEL = 2


class _LastAxis(Op):
    """Base: works along the last axis of its first operand."""

    def row_local(self, node):
        shape = node.operands[0].shape
        return structure.leads(shape) and not (
            len(shape) == 1 and is_symbolic(shape, "B")
        )


class _Softmax(_LastAxis):
    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, FLOATS)
        refuse_unless(len(types[0][1]) >= 1, "needs at least one dimension")
        refuse_unless(types[0][1][-1] != 0, f"there are no classes: {describe(types)}")
        return [types[0]]


class Softmax(_Softmax):
    """exp(a) / sum(exp(a)) along the last axis."""

    name = "softmax"

    def reference(self, context, arrays, node):
        return [special.softmax(arrays[0], axis=-1)]

    def grad(self, node, index, dy):
        y = node.results[0]
        # Nothing else reads the products: they are summed as they are computed.
        return y * (dy - ops.reduce_sum(dy * y, -1, keepdims=True))


class LogSoftmax(_Softmax):
    """log(softmax(a)) along the last axis."""

    name = "log_softmax"

    def reference(self, context, arrays, node):
        return [special.log_softmax(arrays[0], axis=-1)]

    def grad(self, node, index, dy):
        total = ops.reduce_sum(dy, -1, keepdims=True)
        return dy - ops.exp(node.results[0]) * total


class SparseSoftmaxCrossEntropy(_LastAxis):
    """-log(softmax(logits))[label], labels as class numbers."""

    name = "sparse_softmax_cross_entropy"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        _check_sparse(types)
        return [(types[0][0], types[1][1])]

    def reference(self, context, arrays, node):
        logits, labels = arrays
        labels = clamp(context, labels, logits.shape[-1], BAD_LABEL)
        log_p = special.log_softmax(logits, axis=-1)
        return [-np.take_along_axis(log_p, labels[..., None], -1)[..., 0]]

    def grad(self, node, index, dy):
        if index:
            return None
        return emit("sparse_softmax_cross_entropy_grad", (*node.operands, dy))


class SparseSoftmaxCrossEntropyGrad(_LastAxis):
    """(softmax(logits) - one_hot(labels))·g."""

    name = "sparse_softmax_cross_entropy_grad"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 3)
        _check_sparse(types)
        refuse_unless(
            types[2] == (types[0][0], types[1][1]),
            f"g must be {type_text(types[0][0], types[1][1])}: {describe(types)}",
        )
        return [types[0]]

    def reference(self, context, arrays, node):
        logits, labels, g = arrays
        labels = clamp(context, labels, logits.shape[-1], BAD_LABEL)
        p = special.softmax(logits, axis=-1)
        hot = np.arange(logits.shape[-1]) == labels[..., None]
        return [(p - hot.astype(p.dtype)) * g[..., None]]

    def grad(self, node, index, dy):
        logits, labels, g = node.operands
        if index == 1:
            return None
        column = g.shape + (1,)
        if index == 2:
            one = emit("broadcast", (as_tensor(1.0, g.dtype),), None, [g.type])
            slope = emit(self.name, (logits, labels, one))
            return ops.reduce_sum(dy * slope, -1)
        p = softmax(logits)
        weighted = p * (dy * structure.reshape(g, column))
        return weighted - p * ops.reduce_sum(weighted, -1, keepdims=True)


class SoftmaxCrossEntropy(_LastAxis):
    """-sum(labels·log(softmax(logits))) along the last axis."""

    name = "softmax_cross_entropy"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        check_dtype(types, FLOATS)
        if types[0][1] != types[1][1] or not types[0][1] or types[0][1][-1] == 0:
            raise Refusal(f"logits and labels differ in shape: {describe(types)}")
        return [(types[0][0], types[0][1][:-1])]

    def reference(self, context, arrays, node):
        logits, labels = arrays
        return [-np.sum(labels * special.log_softmax(logits, axis=-1), axis=-1)]

    def grad(self, node, index, dy):
        logits, labels = node.operands
        column = structure.reshape(dy, dy.shape + (1,))
        if index:
            return ops.neg(column) * log_softmax(logits)
        mass = ops.reduce_sum(labels, -1, keepdims=True)
        return (softmax(logits) * mass - labels) * column


def _check_sparse(types) -> None:
    (dtype, logits), (label_dtype, labels) = types[:2]
    ok = dtype in FLOATS and label_dtype == "i32" and logits and logits[:-1] == labels
    if not ok or logits[-1] == 0:
        raise Refusal(
            "needs float logits [..,k] and i32 labels [..]: "
            f"logits are {type_text(dtype, logits)}, "
            f"labels are {type_text(label_dtype, labels)}"
        )


@public
def softmax(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return exp(a) / sum(exp(a)) along an axis.

    Parameters
    ----------
    a : Tensor of f32 or f64
        The logits.
    axis : int, default=-1
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of the shape of `a`; probabilities that sum to 1 along the axis.

    Raises
    ------
    ValueError
        If `a` has no such axis, or nothing along it.
    """
    return _along("softmax", a, axis, name)


@public
def log_softmax(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return log(softmax(a)) along an axis, without overflow.

    Parameters
    ----------
    a : Tensor of f32 or f64
        The logits.
    axis : int, default=-1
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of the shape of `a`.

    Raises
    ------
    ValueError
        If `a` has no such axis, or nothing along it.
    """
    return _along("log_softmax", a, axis, name)


def _along(word: str, a: Tensor, axis: int, name: str | None) -> Tensor:
    """Return a function along the last axis along any."""
    last = len(check_tensor(a, word, name).shape) - 1
    if axis != -1 and last >= 0:
        at = structure.axis_of(a, axis, word, name)
        if at != last:
            turned = ops.swapaxes(a, at, last)
            return ops.swapaxes(emit(word, (turned,)), at, last, name)
    return emit(word, (a,), None, None, name)


@public
def sparse_softmax_cross_entropy(
    logits: Tensor, labels: Tensor, name: str | None = None
) -> Tensor:
    """Return the loss -log(softmax(logits))[label] of each example.

    Parameters
    ----------
    logits : Tensor of shape [..., k]
    labels : Tensor of i32, of shape [...]
        Class numbers from 0 to k - 1; another number is an error when it comes.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [...]

    Raises
    ------
    ValueError
        If types or shapes do not fit.
    """
    return emit("sparse_softmax_cross_entropy", (logits, labels), None, None, name)


@public
def softmax_cross_entropy(
    logits: Tensor, labels: Tensor, name: str | None = None
) -> Tensor:
    """Return the loss -sum(labels · log(softmax(logits))) of each example.

    Parameters
    ----------
    logits, labels : Tensor of shape [..., k]
        Labels are probabilities.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [...]

    Raises
    ------
    ValueError
        If types or shapes do not fit.
    """
    return emit("softmax_cross_entropy", (logits, labels), None, None, name)
