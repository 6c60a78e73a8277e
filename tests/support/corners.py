"""Op cases at corners: gradients of both engines, and one-sided differences."""

import functools
import inspect
import zlib

import numpy as np

from slimlearn import layers
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import FLOATS, Model, element_of, storage_of
from slimlearn.backend.program import Program
from slimlearn.backend.reference import DTYPES
from slimlearn.backend.shape import B, evaluate
from slimlearn.backend.text import print_program
from support.differences import weighted_sum
from support.op_cases import CASES, Case, Source

ROWS = 3
STEP = 2.0**-18  # exact beside small whole numbers


def _mix(*values):
    def draw(rng, shape, like):
        return rng.choice(np.array(values), shape)

    return draw


def _sprinkled(value):
    """The case's own numbers, some of them replaced."""

    def draw(rng, shape, like):
        return np.where(rng.random(shape) < 0.15, value, like)

    return draw


# What stands in all sources of floats.
FLAT = {
    "zeros": _mix(0.0),
    "ones": _mix(1.0),
    "ties": _mix(-1.0, 0.0, 1.0),
    "steps": _mix(-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0),
    "saturated": _mix(-800.0, 0.0, 800.0),
}
FAR = {
    "infinite": _sprinkled(np.inf),
    "minus_infinite": _sprinkled(-np.inf),
    "all_minus_infinite": _mix(-np.inf),
    "nan": _sprinkled(np.nan),
    "signed_zeros": _mix(-0.0, 0.0),
}
# What stands in sources of places: the same, the first and the last, repeated.
_PLACES = {
    "zeros": lambda rng, shape, below: np.zeros(shape, int),
    "ones": lambda rng, shape, below: np.full(shape, below - 1),
    "ties": lambda rng, shape, below: rng.choice([0, below - 1], shape),
}


def _composed():
    """Cases of what layers make of ops: norms, activations, losses, by name."""
    image = Source((B, 4, 3, 6))
    plain = {"center": False, "scale": False}
    norms = {
        "layer_norm": lambda x: layers.layer_norm(x, **plain),
        "instance_norm": lambda x: layers.instance_norm(x, **plain),
        "group_norm": lambda x: layers.group_norm(x, 3, **plain),
        "unit_norm": lambda x: layers.unit_norm(x, 3),
        "local_response": lambda x: layers.local_response_normalization(x, 2),
        "moments": lambda x: layers.normalization.standardized(
            x, [0, 1, 2], 1e-3, None, None
        ),
    }
    for name, build in norms.items():
        yield Case(name, "", build, {"x": image}, ("x",))
    for name in layers.activation.__all__:
        if name != "get":
            f = layers.activation.get(name)
            inputs = {"x": Source((B, 7))}
            yield Case(f"activation_{name}", "", lambda x, f=f: f(x), inputs, ("x",))
    further = {"axis": 1, "epsilon": 0.5, "gamma": 2.0, "power": 1.5, "quantile": 0.3}
    for name in layers.per_example.__all__:
        loss = getattr(layers.per_example, name)
        options = {
            key: further[key]
            for key in list(inspect.signature(loss).parameters)[2:]
            if key in further
        }
        by_id = name.startswith(("sparse_", "multiclass_"))
        labels = Source((B,) if by_id else (B, 4), dtype="i32", below=2)

        def build(raw, y, loss=loss, by_id=by_id, options=options):
            return loss(raw, y if by_id else ops.cast(y, raw.dtype), **options)

        inputs = {"raw": Source((B, 4)), "y": labels}
        yield Case(f"loss_{name}", "", build, inputs, ("raw",))


ALL = CASES | {case.op: [case] for case in _composed()}


def sources(case, corner, precision):
    """Arrays for the inputs of a case, of the kind that a corner is."""
    rng = np.random.default_rng(zlib.crc32(f"{case}{corner}".encode()))
    usual, found = case.sources(precision, ROWS), {}
    # What padding times a filter is that is not finite, no engine promises.
    windows = corner in FAR and case.op.startswith("convolution")
    for name, source in case.inputs.items():
        dtype = source.dtype.replace("F", precision)
        shape = tuple(evaluate(dim, {"B": ROWS}) for dim in source.shape)
        if source.below and corner in _PLACES:
            values = _PLACES[corner](rng, shape, source.below)
        elif source.dtype.endswith("F") and not (windows and name != "x"):
            draw = (FLAT | FAR)[corner]
            if storage_of(dtype):
                found[name] = usual[name].copy()
                data = found[name].data
                data[:] = draw(rng, data.shape, data)
                continue
            values = draw(rng, shape, usual[name])
        else:
            found[name] = usual[name]
            continue
        found[name] = np.asarray(values).astype(DTYPES[element_of(dtype)])
    return found


@functools.cache
def models(case, precision):
    """A program whose f gives the case's floats and g their gradients, or None."""
    model = Model(precision)
    with model.function("f") as graph:
        outputs = [t for t in case.outputs(precision) if t.dtype in FLOATS]
        graph.return_(*outputs)
    if not outputs:
        return None
    with model.function("g") as graph:
        tensors = case.tensors(precision)
        total = weighted_sum(case.outputs(precision, tensors))
        slopes = gradients(total, [tensors[name] for name in case.smooth])
        kept = [n for n, s in zip(case.smooth, slopes, strict=True) if s is not None]
        if not kept:
            return None
        graph.return_(*(slope for slope in slopes if slope is not None))
    return model, kept


def weights_of(case, precision, results):
    """The weights of `weighted_sum`, for each of the results."""
    made = Model(precision)
    with made.function("f"):
        outputs = case.outputs(precision)
    positions = [at for at, t in enumerate(outputs) if t.dtype in FLOATS]
    for position, result in zip(positions, results, strict=True):
        weight = np.full(result.shape, 1.0 + position)
        for axis, index in enumerate(np.indices(result.shape)):
            weight += np.sin(index * 1.7 + axis + position)
        yield weight


def one_sided(case, name, at, arrays):
    """Bounds of the slope of the weighted sum in one number, or None.

    They are the sums of the smaller and of the larger one-sided slopes of all results;
    None where one of these does not exist.
    """
    model, _ = models(case, "f64")
    moved = []
    for step in (0.0, STEP, STEP / 4, -STEP, -STEP / 4):
        array = arrays[name].copy()
        array[at] += step
        moved.append(by_numpy(model, "f", {**arrays, name: array}))
    low = high = size = 0.0
    weights = weights_of(case, "f64", moved[0])
    for weight, middle, *ends in zip(weights, *moved, strict=True):
        sides = []
        for (far, near), sign in ((ends[:2], 1), (ends[2:], -1)):
            with np.errstate(all="ignore"):
                coarse = (far - middle) / (sign * STEP)
                fine = (near - middle) / (sign * STEP / 4)
                settled = np.abs(fine - coarse) <= 1e-3 * (1 + np.abs(fine))
            if not np.all(settled):
                return None
            sides.append(weight * fine)
        low += np.minimum(*sides).sum()
        high += np.maximum(*sides).sum()
        size += np.abs(sides).sum()
    return low, high, size


def by_numpy(model, function, arrays):
    with np.errstate(all="ignore"):
        return reference.run(model, function, arrays, {}, seed=7, step=3).returns


@functools.cache
def _compiled(case, precision):
    model, _ = models(case, precision)
    return engine.compile(print_program(model)), Program(model=model)


def by_kernels(case, precision, function, arrays):
    compiled, program = _compiled(case, precision)
    return compiled.run(function, arrays, program, seed=7, step=3)
