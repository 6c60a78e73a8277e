"""Every op of the registry on every instruction set: native = reference."""

import itertools

import numpy as np
import pytest
from support.native_run import ISAS, run
from support.op_cases import CASES

from slimlearn.backend import ops, reference
from slimlearn.backend.graph import FLOATS, Model, is_symbolic
from slimlearn.backend.op import OPS
from slimlearn.backend.shape import B

ALL = [case for cases in CASES.values() for case in cases]
PRECISIONS = ("f32", "f64")
# Relative to the larger of an element and 1.
TOLERANCE = {"float32": 4e-6, "float64": 1e-13}

every_case = pytest.mark.parametrize("case", ALL, ids=str)


def expected(model, sources):
    return reference.run(model, "f", sources, {}, seed=7, step=3).returns


def native(model, sources, rows, isa, **keywords):
    # The rows are named, because not every case reads a source that has them.
    index = np.arange(rows)
    return run(model, sources, isa, rows=index, seed=7, step=3, **keywords)


def assert_near(got, want, where):
    for a, b in zip(got, want, strict=True):
        b = np.asarray(b)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        tolerance = TOLERANCE.get(a.dtype.name, 0)
        # A small sum of larger terms is as exact as the sums beside it.
        peak = np.max(np.abs(b[np.isfinite(b)]), initial=1) if tolerance else 0
        least = tolerance * min(peak, 4)
        np.testing.assert_allclose(a, b, tolerance, least, err_msg=where)


def assert_same(got, want, where):
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_array_equal(a, b, where)
        assert a.tobytes() == b.tobytes(), where


def row_local(model: Model) -> bool:
    graph = model.functions["f"]
    return all(OPS[node.op].row_local(node) for node in graph.nodes) and all(
        is_symbolic(value.shape[:1], "B") for value in graph.returns
    )


def random(model: Model) -> bool:
    return any(OPS[node.op].random for node in model.functions["f"].walk())


def is_row(shape) -> bool:
    return is_symbolic(shape[:1], "B")


@every_case
@pytest.mark.parametrize("precision", PRECISIONS)
def test_native_is_the_reference(case, precision):
    model = case.model(precision)
    for rows in (1, 5, 34):
        sources = case.sources(precision, rows)
        want = expected(model, sources)
        for isa in ISAS:
            assert_near(native(model, sources, rows, isa), want, f"{isa}, {rows} rows")


@every_case
def test_chunks_and_a_tail_are_one_batch(case):
    model = case.model("f32")
    if not row_local(model):
        pytest.skip("mixes rows: runs in one batch")
    sources = case.sources("f32", 11)
    for isa in ISAS:
        whole = native(model, sources, 11, isa)
        for batch in (1, 4, 10):
            chunks = native(model, sources, 11, isa, batch=batch)
            assert_same(chunks, whole, isa)


@every_case
def test_a_row_has_the_same_bits_anywhere(case):
    model = case.model("f32")
    per_row = [name for name, source in case.inputs.items() if is_row(source.shape)]
    one_each = all(v.shape[:1] == (B,) for v in model.functions["f"].returns)
    if not (row_local(model) and one_each and per_row) or random(model):
        pytest.skip("mixes rows or counts them")
    sources = case.sources("f32", 37)
    for isa in ISAS:
        whole = native(model, sources, 37, isa)
        for start, stop in ((0, 1), (5, 6), (3, 20), (36, 37)):
            part = slice(start, stop)
            some = {k: v[part] if k in per_row else v for k, v in sources.items()}
            got = native(model, some, stop - start, isa)
            assert_same(got, [value[part] for value in whole], isa)


@every_case
def test_in_a_chain_as_alone(case):
    alone = case.model("f32")
    floats = [value.dtype in FLOATS for value in alone.functions["f"].returns]
    if not any(floats) or random(alone):
        pytest.skip("gives no float, or a stream of its name's own")
    chain = Model("f32")
    with chain.function("f") as graph:
        tensors = {
            name: ops.neg(ops.neg(t)) * 2 * 0.5 if t.dtype in FLOATS else t
            for name, t in case.tensors("f32").items()
        }
        results = zip(case.outputs("f32", tensors), floats, strict=True)
        graph.return_(*(ops.neg(r) * 2 if is_float else r for r, is_float in results))
    for isa, rows in itertools.product(ISAS, (1, 5, 34)):
        sources = case.sources("f32", rows)
        pairs = zip(native(alone, sources, rows, isa), floats, strict=True)
        # Into an array: numpy before 2 makes float64 of a float32 scalar times 2.
        want = [
            np.multiply(value, -2, dtype=value.dtype) if is_float else value
            for value, is_float in pairs
        ]
        assert_same(native(chain, sources, rows, isa), want, f"{isa}, {rows} rows")


@every_case
def test_two_threads_give_the_bits_of_one(case):
    model = case.model("f32")
    sources = case.sources("f32", 300)
    one = native(model, sources, 300, ISAS[-1], n_threads=1)
    assert_same(native(model, sources, 300, ISAS[-1], n_threads=2), one, ISAS[-1])
