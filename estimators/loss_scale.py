"""Loss scaling: gradients that float16 would lose are kept in its range."""

from __future__ import annotations

from functools import reduce

from slimlearn.backend import ops
from slimlearn.backend.graph import Graph, Tensor, absolute_scope

__all__ = ["LOSS_SCALE", "LossScale"]

# The scale, and the steps since it last changed.
LOSS_SCALE = ("loss_scale/scale", "loss_scale/steps")
_START, _MOST, _LEAST = 2.0**16, 2.0**24, 1.0
_STEPS = 2000.0  # without an overflow: then the scale is doubled


class LossScale:
    """Dynamic loss scaling, written into the function ``grad``.

    The gradient of the loss starts ``scale`` times as large, and each parameter's ends
    as much smaller, in float32: a power of two, so no bit changes. Where one is not
    finite, the step counts for nothing but this: the scale is halved. After 2,000
    steps without that it is doubled. At a scale of 1 such a gradient is an error, as it
    is elsewhere. This is as in Micikevicius et al. 2018, "Mixed precision training".

    Parameters
    ----------
    graph : Graph
        Of ``grad``, which ops are being appended to.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        model = graph.model
        self.scale = model.state(LOSS_SCALE[0], (), initializer=_constant(_START))
        self.steps = model.state(LOSS_SCALE[1], (), initializer=_constant(0.0))

    def scaled(self, starts: list[Tensor]) -> list[Tensor]:
        """What the gradients of the ends start with, larger."""
        return [ops.mul(s, ops.cast(self.scale, s.dtype)) for s in starts]

    def unscaled(self, gradients: list[Tensor | None]) -> list[Tensor | None]:
        """The gradients of the parameters; says of the step whether it counts."""
        with absolute_scope("loss_scale"):
            share = ops.reciprocal(self.scale)
            found = [g if g is None else ops.mul(g, share) for g in gradients]
            self._judge([g for g in found if g is not None])
        return found

    def _judge(self, gradients: list[Tensor]) -> None:
        graph, scale = self.graph, self.scale
        # Zero times what is not finite is not a number.
        nothing = [ops.reduce_sum(ops.mul(g, 0.0)) for g in gradients]
        total = reduce(ops.add, nothing, ops.constant(0.0))
        finite = ops.is_finite(total)
        for name, value in graph.sets.items():
            former = graph.model.declarations[name]
            graph.sets[name] = ops.where(finite, value, former)
        steps = ops.add(self.steps, 1.0)
        grows = ops.greater_equal(steps, _STEPS)
        larger = ops.where(grows, ops.minimum(scale * 2.0, _MOST), scale)
        smaller = ops.maximum(scale * 0.5, _LEAST)
        steps = ops.where(ops.logical_and(finite, ops.logical_not(grows)), steps, 0.0)
        graph.set_(self.scale, ops.where(finite, larger, smaller))
        graph.set_(self.steps, steps)
        counts = ops.logical_or(finite, ops.less_equal(scale, _LEAST))
        graph.return_(ops.cast(counts, "f64"))


def _constant(value: float):
    def initializer(shape, dtype, name):
        return ops.constant(value, dtype, shape, name=name)

    return initializer
