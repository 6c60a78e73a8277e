"""Convolutions whose maps are pooled while they are hot, and their gradients.

Passes make these of a convolution, its bias, relu and the largest of windows that lie
side by side, so that no whole map is stored: of each window the largest element and
its place, in a byte, remain.
"""

import numpy as np

from slimlearn.backend.graph import FLOATS, is_symbolic, type_text
from slimlearn.backend.op import (
    Op,
    Refusal,
    check_count,
    check_dtype,
    describe,
    refuse_unless,
    takes,
)
from slimlearn.backend.ops.convolution import Geometry
from slimlearn.backend.ops.fused import infer_region
from slimlearn.backend.ops.windows import check_numbers

_WINDOWS = takes(dilations=list, groups=int, padding=list, pool=list, strides=list)
_MOST_PLACES = 256


def _pooled(x, filters, attributes, what):
    """Return a convolution's geometry and the shape of its pooling."""
    geometry = Geometry(x, filters, attributes, what)
    full = geometry.out
    check_numbers(attributes, "pool", 2, 1)
    pool = attributes["pool"]
    refuse_unless(len(full) == 4, f"needs [B, height, width, channels]: {what}")
    refuse_unless(
        pool[0] * pool[1] <= _MOST_PLACES and all(np.less_equal(pool, full[1:3])),
        f"pool={pool} is larger than {_MOST_PLACES} places or the map: {what}",
    )
    out = (full[0], full[1] // pool[0], full[2] // pool[1], full[3])
    return geometry, out


def _spread(d, places, shape, pool):
    """Return the numbers of windows at their places in a whole map."""
    whole = np.zeros(shape, d.dtype)
    for number in range(pool[0] * pool[1]):
        y, x = divmod(number, pool[1])
        part = whole[:, y :: pool[0], x :: pool[1]][:, : d.shape[1], : d.shape[2]]
        part[...] = np.where(places == number, d, 0)
    return whole


def _check_pooled(types, at, out, what):
    dtype = types[0][0]
    for index, wanted in zip(at, ((dtype, out), ("u8", out)), strict=True):
        refuse_unless(
            types[index] == wanted,
            f"d and places must be {type_text(dtype, out)} and "
            f"{type_text('u8', out)}: {what}",
        )


class _Pooled(Op):
    def grad(self, node, index, *output_gradients):
        raise NotImplementedError(
            f"[{self.name} {node.results[0].name}] has no gradient: differentiate "
            "before the passes fuse"
        )


class PooledConvolution(_Pooled):
    """The largest of each window of a convolution, and its place there; NaN is largest.

    With a bias as third operand added before, and with ``relu`` what is negative 0.
    """

    name = "pooled_convolution"
    attributes = takes(**_WINDOWS, relu=bool)
    results = 2

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(types) in (2, 3), f"takes 2 or 3 operands, got {len(types)}")
        check_dtype(types, FLOATS, "xfb")
        what = describe(types, "xfb")
        dtype = types[0][0]
        _, out = _pooled(types[0][1], types[1][1], attributes, what)
        refuse_unless(
            len(types) == 2 or types[2] == (dtype, (out[-1],)),
            f"the bias must be {type_text(dtype, (out[-1],))}: {what}",
        )
        return [(dtype, out), ("u8", out)]

    def reference(self, context, arrays, node):
        x, filters, *bias = arrays
        attributes, pool = node.attributes, node.attributes["pool"]
        geometry, out = _pooled(x.shape, filters.shape, attributes, "")
        y = geometry.forward(x, filters)
        for row in bias:
            y = y + row
        if attributes["relu"]:
            y = np.where(y <= 0, 0, y)
        y = y[:, : out[1] * pool[0], : out[2] * pool[1]]
        y = y.reshape(out[0], out[1], pool[0], out[2], pool[1], out[3])
        y = y.transpose(0, 1, 3, 5, 2, 4).reshape(*out, -1)
        places = y.argmax(-1)  # the first of equal ones; NaN is the largest
        largest = np.take_along_axis(y, places[..., None], -1)[..., 0]
        return [largest, places.astype(np.uint8)]

    def row_local(self, node):
        return not is_symbolic(node.operands[1].shape, "B")


class PooledConvolutionInputGrad(_Pooled):
    """What a pooled convolution's result gives back to its input."""

    name = "pooled_convolution_input_grad"
    attributes = takes(**_WINDOWS)
    results = None
    regions = 1
    tape_region = True

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(types) >= 3, f"takes 3 operands, got {len(types)}")
        check_dtype(types[:2], FLOATS, "df")
        what = describe(types[:3], "dfp")
        dtype = types[0][0]
        if regions:
            x = regions[0].parameters[0].shape
        else:
            refuse_unless(
                bool(declared) and len(declared) == 1 and declared[0][0] == dtype,
                "needs its one result type, of the operands' dtype",
            )
            x = declared[0][1]
        _, out = _pooled(x, types[1][1], attributes, what)
        _check_pooled(types, (0, 2), out, what)
        if not regions:
            check_count(types, 3)
            return [(dtype, tuple(x))]
        return infer_region(regions[0], [(dtype, tuple(x)), *types[3:]], tuple(x))

    def reference(self, context, arrays, node):
        d, filters, places = arrays[:3]
        attributes = node.attributes
        product = node.regions[0].parameters[0] if node.regions else node.results[0]
        x = context.type(product)[1]
        geometry, _ = _pooled(x, filters.shape, attributes, "")
        whole = _spread(d, places, geometry.out, attributes["pool"])
        y = geometry.input_grad(whole, filters)
        if not node.regions:
            return [y]
        return context.region(node.regions[0], [y, *arrays[3:]])

    def row_local(self, node):
        return not is_symbolic(node.operands[1].shape, "B")


class PooledConvolutionFilterGrad(_Pooled):
    """What a pooled convolution's result gives back to its filters."""

    name = "pooled_convolution_filter_grad"
    attributes = takes(**_WINDOWS)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 3)
        check_dtype(types[:2], FLOATS, "xd")
        what = describe(types, "xdp")
        if not declared or len(declared) != 1 or declared[0][0] != types[0][0]:
            raise Refusal("needs its one result type, of the operands' dtype")
        filters = declared[0][1]
        _, out = _pooled(types[0][1], filters, attributes, what)
        _check_pooled(types, (1, 2), out, what)
        return [(types[0][0], tuple(filters))]

    def reference(self, context, arrays, node):
        x, d, places = arrays
        filters = context.result(node)[1]
        geometry, _ = _pooled(x.shape, filters, node.attributes, "")
        whole = _spread(d, places, geometry.out, node.attributes["pool"])
        return [geometry.filter_grad(x, whole)]

    def row_local(self, node):
        return not is_symbolic(node.operands[0].shape, "B")
