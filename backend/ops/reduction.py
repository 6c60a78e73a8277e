"""Ops that reduce axes: sums, extremes, log-sum-exp, argmax."""

import numpy as np
from scipy import special

from slimlearn.backend import ops
from slimlearn.backend.graph import FLOATS, NUMBERS, Tensor, is_symbolic, type_text
from slimlearn.backend.op import (
    OPS,
    Op,
    also,
    check_count,
    check_dtype,
    check_tensor,
    describe,
    described,
    emit,
    internal,
    public,
    refuse_unless,
    takes,
    types_text,
)
from slimlearn.backend.ops import structure
from slimlearn.backend.ops.source import extent
from slimlearn.backend.shape import product

_AXIS = """axis : int or sequence of int, optional
    The axes that are reduced, all of them by default. Axis 0 is the batch: a value over
    it depends on all rows that are computed at once.
keepdims : bool, default=False
    Keep reduced axes with length 1."""
_REDUCED = "Tensor\n    Of the type of `a`, without the reduced axes."


def _function(op: "Reduction"):
    """Return the public function of the op."""
    word = op.name

    def function(
        a: Tensor, axis=None, keepdims: bool = False, name: str | None = None
    ) -> Tensor:
        attributes = {
            "axes": axes_of(a, axis, word, name),
            "keepdims": bool(keepdims),
        }
        return emit(word, (a,), attributes, None, name)

    parameters = f"a : Tensor of {types_text(op.dtypes)}\n{_AXIS}"
    return described(op, function, parameters, _REDUCED)


class Reduction(Op):
    """Base: one value from all elements along the axes. Makes its public function."""

    attributes = takes(axes=list, keepdims=bool)
    dtypes = FLOATS

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        if "name" in cls.__dict__:
            _function(OPS[cls.name])

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, self.dtypes)
        dtype, shape = types[0]
        axes = attributes["axes"]
        ok = axes == sorted(set(axes)) and all(0 <= axis < len(shape) for axis in axes)
        refuse_unless(ok, f"axes={axes} must be sorted axes of {describe(types)}")
        return [(dtype, _reduced(shape, axes, attributes["keepdims"]))]

    def reference(self, context, arrays, node):
        axes, keepdims = node.attributes["axes"], node.attributes["keepdims"]
        return [self.compute(arrays[0], axis=tuple(axes), keepdims=keepdims)]

    def row_local(self, node):
        shape = node.operands[0].shape
        mixes = 0 in node.attributes["axes"] and is_symbolic(shape[:1], "B")
        return structure.leads(shape) and not mixes


class ReduceSum(Reduction):
    """The sum of the elements along axes."""

    name = "reduce_sum"
    called = "sum"
    in_tape = True
    dtypes = NUMBERS

    def compute(self, a, axis, keepdims):
        return np.sum(a, axis=axis, keepdims=keepdims, dtype=a.dtype)

    def grad(self, node, index, dy):
        return _keep(node, dy)


class _Extreme(Reduction):
    """Base: equal extremes share the gradient equally."""

    def infer(self, types, attributes, declared=None, regions=()):
        inferred = super().infer(types, attributes, declared, regions)
        dtype, shape = types[0]
        for axis in attributes["axes"]:
            refuse_unless(
                shape[axis] != 0,
                f"axis {axis} of {type_text(dtype, shape)} has no elements: there is "
                "no largest or smallest of none",
            )
        return inferred

    def grad(self, node, index, dy):
        a = node.operands[0]
        at = ops.cast(ops.equal(a, _keep(node, node.results[0])), a.dtype)
        ties = emit("reduce_sum", (at,), {**node.attributes, "keepdims": True})
        return at * (_keep(node, dy) / ties)


class ReduceMax(_Extreme):
    """The largest element along axes.

    Equal ones share the gradient equally; NaN is passed on.
    """

    name = "reduce_max"
    called = "max"

    def compute(self, a, axis, keepdims):
        return np.max(a, axis=axis, keepdims=keepdims)


class ReduceMin(_Extreme):
    """The smallest element along axes.

    Equal ones share the gradient equally; NaN is passed on.
    """

    name = "reduce_min"
    called = "min"

    def compute(self, a, axis, keepdims):
        return np.min(a, axis=axis, keepdims=keepdims)


class LogSumExp(Reduction):
    """log(sum(exp(a))) along axes, without overflow."""

    name = "logsumexp"

    def compute(self, a, axis, keepdims):
        if not axis:
            return a.copy()
        return special.logsumexp(a, axis=axis, keepdims=keepdims).astype(a.dtype)

    def grad(self, node, index, dy):
        share = ops.exp(node.operands[0] - _keep(node, node.results[0]))
        return share * _keep(node, dy)


class Argmax(Op):
    """The position of the largest element; the first of equals."""

    name = "argmax"
    attributes = takes(axis=int)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, NUMBERS)
        shape, axis = types[0][1], attributes["axis"]
        ok = 0 <= axis < len(shape) and shape[axis] != 0
        refuse_unless(ok, f"axis {axis} is out of range or empty: {describe(types)}")
        return [("i64", shape[:axis] + shape[axis + 1 :])]

    def reference(self, context, arrays, node):
        return [np.argmax(arrays[0], axis=node.attributes["axis"])]

    def row_local(self, node):
        shape = node.operands[0].shape
        mixes = node.attributes["axis"] == 0 and is_symbolic(shape[:1], "B")
        return structure.leads(shape) and not mixes


def _reduced(shape: tuple, axes, keepdims: bool) -> tuple:
    if keepdims:
        return tuple(1 if i in axes else dim for i, dim in enumerate(shape))
    return tuple(dim for i, dim in enumerate(shape) if i not in axes)


def _keep(node, value: Tensor) -> Tensor:
    """Return a reduced `value` in a shape that broadcasts against the operand."""
    axes = node.attributes["axes"]
    leading = axes == list(range(len(axes)))
    if node.attributes["keepdims"] or leading or value.shape == ():
        return value
    return structure.reshape(value, _reduced(node.operands[0].shape, axes, True))


def axes_of(a: Tensor, axes, op: str, name: str | None = None) -> list[int]:
    """Return `axes` (None for all, an int or several) as a sorted list of positions."""
    check_tensor(a, op, name)
    if axes is None:
        return list(range(len(a.shape)))
    axes = [axes] if hasattr(axes, "__index__") else axes
    return sorted({structure.axis_of(a, axis, op, name) for axis in axes})


@also("reduce_mean")
def mean(
    a: Tensor, axis=None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Return the mean of the elements along axes.

    Parameters
    ----------
    a : Tensor of f32 or f64
    axis : int or sequence of int, optional
        The axes that are reduced, all of them by default. Axis 0 is the batch: a value
        over it depends on all rows that are computed at once.
    keepdims : bool, default=False
        Keep reduced axes with length 1.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of the type of `a`, without the reduced axes.

    Raises
    ------
    TypeError
        If `a` is no tensor, or an axis no whole number.
    ValueError
        If there is no such axis, or `a` has whole numbers: cast it.
    """
    positions = axes_of(a, axis, "reduce_mean", name)
    size = product(a.shape[axis] for axis in positions)
    total = ops.sum(a, positions, keepdims)
    if size == 1 and name is None:
        return total
    return ops.div(total, size if type(size) is int else extent(size, a.dtype), name)


@public
def argmax(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return the position of the largest element along an axis.

    Parameters
    ----------
    a : Tensor of numbers
    axis : int, default=-1
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of i64
        Of the shape of `a` without the axis. Of equals the first counts, NaN as the
        largest; there is no gradient.

    Raises
    ------
    ValueError
        If there is no such axis, or nothing along it.
    """
    axis = structure.axis_of(a, axis, "argmax", name)
    return emit("argmax", (a,), {"axis": axis}, None, name)


@internal
def sum_to(a: Tensor, shape: tuple) -> Tensor:
    """Return `a` summed over the axes along which `shape` would broadcast to it."""
    if a.shape == shape:
        return a
    extra = len(a.shape) - len(shape)
    ones = [
        axis
        for axis in range(extra, len(a.shape))
        if shape[axis - extra] == 1 and a.shape[axis] != 1
    ]
    axes = [*range(extra), *ones]
    if ones and not extra:
        return ops.reduce_sum(a, axes, keepdims=True)
    summed = ops.reduce_sum(a, axes)
    return structure.reshape(summed, shape)
