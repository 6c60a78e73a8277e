"""Tapes carry elements of any type beside f32 arithmetic: not a bit is lost."""

import numpy as np
import pytest
from support.native_run import ISAS

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

pytestmark = pytest.mark.parametrize("isa", ISAS)

NUMPY = {"i32": "i4", "i64": "i8", "bool": "?", "f32": "f4", "f64": "f8"}
# How an operand lies in the space [B, 3, n] of its tape.
PLACES = {
    "full": (B, 3, "n"),
    "row": ("n",),
    "column": (B, 3, 1),
    "repeated": (B, 1, 1),
    "between": (B, 1, "n"),
    "scalar": (),
}
# As f32: not exact, a signalling NaN, a denormal, infinity.
SPECIAL = [2**24 + 1, 2**31 - 1, -(2**31), 0x7F800001, 0x007FFFFF, 0x7F800000, -1, 0]


def sized(shape, rows, n):
    return tuple(rows if dim is B else n if dim == "n" else dim for dim in shape)


def any_bits(rng, dtype, shape):
    """Return elements of all bits that the type has."""
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    size = np.dtype(NUMPY[dtype]).itemsize
    values = rng.bytes(size * int(np.prod(shape)))
    values = np.frombuffer(values, NUMPY[dtype]).reshape(shape).copy()
    if dtype == "i32":
        flat = values.reshape(-1)
        flat[: len(SPECIAL)] = SPECIAL[: flat.size]
    return values


def same_everywhere(build, arrays, isa, batch=None):
    """Run natively and by NumPy, and compare bytes."""
    model = Model("f32")
    with model.function("f") as graph:
        graph.return_(*build())
    text = print_program(model)
    compiled = engine.compile(text, isa=isa)
    assert "fused(" in compiled.dump("f", 4)
    got = compiled.run("f", arrays, Program(text, model=model), batch=batch)
    want = reference.run(model, "f", arrays, {}).returns
    for one, other in zip(got, want, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("n", [1, 33, 700])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", NUMPY)
def test_what_is_chosen_keeps_its_bits(isa, dtype, place, n):
    rng = np.random.default_rng(n)
    rows = 17
    arrays = {
        "x": rng.standard_normal((rows, 3, n)).astype("f4"),
        "a": any_bits(rng, dtype, sized(PLACES[place], rows, n)),
        "b": any_bits(rng, dtype, (rows, 3, n)),
    }

    def build():
        x = ops.input_("x", (B, 3, n))
        a = ops.input_("a", sized(PLACES[place], B, n), dtype)
        b = ops.input_("b", (B, 3, n), dtype)
        y = ops.relu(x) - 0.25
        return ops.select(y > 0, a, b), ops.select(y > 0, b, a), y * y

    for batch in (None, 4):
        same_everywhere(build, arrays, isa, batch)


@pytest.mark.parametrize("n", [1, 33, 700])
@pytest.mark.parametrize("place", PLACES)
def test_whole_numbers_are_converted_exactly(isa, place, n):
    """Through f64 and i64 and back, beside f32 values of the same tape."""
    rng = np.random.default_rng(n)
    rows = 17
    shape = sized(PLACES[place], rows, n)
    arrays = {
        "x": rng.standard_normal((rows, 3, n)).astype("f4"),
        "a": any_bits(rng, "i32", shape),
        "flag": any_bits(rng, "bool", shape),
    }

    def build():
        x = ops.input_("x", (B, 3, n))
        a = ops.input_("a", sized(PLACES[place], B, n), "i32")
        flag = ops.input_("flag", sized(PLACES[place], B, n), "bool")
        keep = x > 0
        wide = ops.cast(a, "i64") * 3
        exact = ops.cast(ops.cast(a, "f64"), "i32")
        bits = ops.select(keep, flag, ops.logical_not(flag))
        counted = ops.cast(bits, "i32") + ops.constant(2**24 + 1, "i32")
        return (
            ops.select(keep, exact, ops.constant(2**24 + 1, "i32")),
            ops.select(keep, wide, ops.constant(2**53 + 1, "i64")),
            ops.select(keep, ops.equal(exact, a), bits),
            counted,
            ops.select(bits, x, x * 0.5),
        )

    for batch in (None, 4):
        same_everywhere(build, arrays, isa, batch)


def test_an_operand_may_come_twice(isa):
    text = """slim 1

func f {
  %i = input(source="i") : f32[B,3,4]
  %x = transpose(%i, perm=[0, 2, 1]) : f32[B,4,3]
  %r, %s = fused(%x, %x) {
    (%p : f32[B,4,3], %q : f32[B,4,3])
    %u = neg(%p) : f32[B,4,3]
    %v = mul(%u, %q) : f32[B,4,3]
    yield %u, %v
  } : f32[B,4,3], f32[B,4,3]
  %t = transpose(%r, perm=[0, 2, 1]) : f32[B,3,4]
  %w = transpose(%s, perm=[0, 2, 1]) : f32[B,3,4]
  return %t, %w
}
"""
    i = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("f4")
    program = Program(text)
    negative, product = engine.compile(text, isa=isa).run("f", {"i": i}, program)
    np.testing.assert_array_equal(negative, -i)
    np.testing.assert_array_equal(product, -i * i)
