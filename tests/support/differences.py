"""Gradients of op cases against difference quotients, on the reference in float64."""

import numpy as np
import pytest

from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import FLOATS, Model

STEP = 1e-5


def run(model, sources, func="f", **keywords):
    return reference.run(model, func, sources, {}, seed=7, step=3, **keywords).returns


def gradient_model(case, order):
    """Return a model whose f gives a scalar, and g its gradients of that order."""
    model = Model("f64")
    for name in ("f", "g"):
        with model.function(name) as graph:
            tensors = case.tensors("f64")
            xs = [tensors[n] for n in case.smooth]
            total = weighted_sum(case.outputs("f64", tensors))
            for _ in range(order - 1):
                slopes = [s for s in gradients(total, xs) if s is not None]
                if not slopes:
                    return None
                total = weighted_sum(slopes)
            if name == "f":
                graph.return_(total)
            else:
                slopes = gradients(total, xs)
                graph.return_(*(s for s in slopes if s is not None))
                pairs = zip(case.smooth, slopes, strict=True)
                kept = [name for name, slope in pairs if slope is not None]
    return model, kept


def weighted_sum(tensors):
    """Return Σ wᵢ·tᵢ with weights that differ from element to element."""
    total = None
    for position, t in enumerate(tensors):
        if t.dtype not in FLOATS:
            continue
        weight = ops.constant(1.0 + position, t.dtype)
        for axis, size in enumerate(t.shape):
            ramp = ops.sin(ops.cast(ops.iota(size), t.dtype) * 1.7 + axis + position)
            ones = (1,) * (len(t.shape) - axis - 1)
            weight = weight + ops.reshape(ramp, (size, *ones))
        part = ops.reduce_sum(ops.cast(t * weight, "f64"))
        total = part if total is None else total + part
    return total


def check_gradients(case, order):
    """Assert that a case's gradients are difference quotients in three directions."""
    made = gradient_model(case, order)
    if made is None:
        return
    model, names = made
    sources = case.sources("f64", 3)
    slopes = run(model, sources, "g")
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = {n: rng.standard_normal(sources[n].shape) for n in case.smooth}
        got = sum(
            float(np.sum(s * direction[n])) for n, s in zip(names, slopes, strict=True)
        )
        ahead = {n: sources[n] + STEP * direction.get(n, 0) for n in case.smooth}
        behind = {n: sources[n] - STEP * direction.get(n, 0) for n in case.smooth}
        (plus,) = run(model, {**sources, **ahead})
        (minus,) = run(model, {**sources, **behind})
        want = float(plus - minus) / (2 * STEP)
        assert got == pytest.approx(want, rel=2e-6, abs=2e-7), str(case)
