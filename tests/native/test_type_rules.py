"""What kernels trust: types and shapes that both readers refuse."""

import numpy as np
import pytest
from support.texts import predict

from slimlearn import _native
from slimlearn.backend import engine
from slimlearn.backend.program import Program
from slimlearn.backend.text import ProgramError, parse_program

DECLARED = "param %w : f32[4,3]\nparam %v : f32[3]\n"
MADE = {
    "i": 'input(source="i") : i32[B]',
    "j": 'input(source="j") : i64[B]',
    "k": "constant(value=2) : i32[4]",
    "d": "cast(%x) : f64[B,4]",
    "n": "cast(%x) : i32[B,4]",
    "b": "less(%x, %x) : bool[B,4]",
    "s": "reshape(%x) : f32[B,2,2]",
    "c": "constant(value=0.5) : f32[]",
    "e": "constant(value=1.0) : f32[B,0]",
    "g": "reduce_sum(%x, axes=[1], keepdims=false) : f32[B]",
}
PLAIN = "transpose_a=false, transpose_b=false"

REFUSED = {
    "product": [
        f"matmul(%x, {PLAIN}) : f32[B,4]",
        f"matmul(%d, %w, {PLAIN}) : f64[B,3]",
        "matmul(%n, %n, transpose_a=false, transpose_b=true) : i32[B,B]",
        f"matmul(%x, %w, {PLAIN}) : f64[B,3]",
        f"matmul(%x, %v, {PLAIN}) : f32[B]",
        f"matmul(%x, %x, {PLAIN}) : f32[B,4]",
        f"matmul(%x, %w, {PLAIN}) : f32[B,4]",
        f"matmul(%x, %w, {PLAIN}) : f32[4,3]",
        f"matmul(%x, %s, {PLAIN}) : f32[B,2]",
        f"matmul(%s, %w, {PLAIN}) : f32[B,2,3]",
        "matmul(%s, %w, transpose_a=true, transpose_b=false) : f32[B,2,3]",
        "matmul(%x, %w, transpose_a=false) : f32[B,3]",
    ],
    "orthogonal": [
        "orthogonal(%s) : f32[B,2,2]",
        "orthogonal(%n) : i32[B,4]",
        "orthogonal(%x) : f32[4,B]",
        "orthogonal(%x, %x) : f32[B,4]",
    ],
    "copies": [
        "reshape(%x) : f32[B,5]",
        "reshape(%x) : f32[4]",
        "reshape(%x) : i32[B,4]",
        "reshape(%x, %x) : f32[B,4]",
        "concat(axis=1) : f32[B,4]",
        "concat(%x, %d, axis=1) : f32[B,8]",
        "concat(%x, %s, axis=1) : f32[B,8]",
        "concat(%x, %w, axis=1) : f32[B,7]",
        "concat(%x, %x, axis=1) : f32[B,9]",
        "concat(%x, %x, axis=0) : f32[B,4]",
        "concat(%x, %x, axis=2) : f32[B,8]",
        "concat(%x, %x, axis=-1) : f32[B,8]",
        "slice(%x, axis=1, start=-1, stop=2) : f32[B,3]",
        "slice(%x, axis=1, start=3, stop=2) : f32[B,0]",
        "slice(%x, axis=1, start=1, stop=3) : f32[B,3]",
        "slice(%x, axis=1, start=1) : f32[B,3]",
        "slice(%x, axis=1, start=1, stop=3) : f64[B,2]",
        "slice(%x, axis=2, start=0, stop=1) : f32[B,4]",
        "slice(%x, axis=-2, start=0, stop=1) : f32[1,4]",
        "pad(%x, after=1, axis=1, before=1) : f32[B,5]",
        "pad(%x, after=-1, axis=1, before=1) : f32[B,4]",
        "pad(%x, after=1, axis=3, before=1) : f32[B,4]",
        "pad(%x, after=0, axis=0, before=2) : f32[B,4]",
    ],
    "values": [
        "constant() : f32[]",
        "constant(value=0.5) : i32[]",
        "constant(value=1) : f32[]",
        "constant(value=true) : f32[]",
        "constant(value=1) : bool[]",
        'constant(value="one") : f32[]',
        "constant(value=[1]) : i32[]",
        "constant(%x, value=1.0) : f32[]",
        "constant_list() : f32[1]",
        "constant_list(values=[0.5]) : i32[1]",
        "constant_list(values=[1]) : f32[1]",
        "constant_list(values=[1, 2]) : i32[3]",
        "constant_list(values=[1]) : i32[1,1]",
        "constant_list(values=[1]) : i32[]",
        "constant_list(values=[1, 0]) : bool[2]",
        "constant_list(values=[1, 2]) : i32[B]",
        "iota() : f32[4]",
        "iota() : i32[]",
        "iota() : i32[4,4]",
        "extent() : f32[]",
        'extent(dim="B") : i32[]',
        'extent(dim="B") : f32[1]',
        'extent(dim="B+") : f32[]',
        'extent(%x, dim="B") : f32[]',
        "random_uniform(stream=1) : i32[B,4]",
        "random_uniform(%x, stream=1) : f32[B,4]",
        "random_normal(stream=1) : bool[4]",
        "random_normal(stream=1) {\n    (%r : i32[4])\n    yield %r\n  } : i32[4]",
        "random_normal(stream=1) {\n    (%r : f32[B,4])\n    yield %r\n  } : f32[B,4]",
        "random_normal(stream=1) {\n    (%r : f32[])\n    yield %r\n  } : f32[]",
        "random_uniform(%c, stream=1) {\n    (%r : f32[4])\n    yield %r\n  } : f32[4]",
        "dropout(%x, stream=1) : f32[B,4]",
        "dropout(%x, %v, stream=1) : f32[B,4]",
        "dropout(%d, %c, stream=1) : f64[B,4]",
        "dropout(%n, %c, stream=1) : i32[B,4]",
        "dropout(%x, %c, stream=1) : f32[B]",
    ],
    "index": [
        "gather(%c, %i) : f32[B]",
        "gather(%w, %x) : f32[B,4,3]",
        "gather(%w, %b) : f32[B,4,3]",
        "gather(%w, %i) : f64[B,3]",
        "gather(%w, %i) : f32[B,4]",
        "gather(%w, %i) : f32[B]",
        "gather(%w, %i) : f32[4,3]",
        "scatter_add(%i, %n) : i32[5,4]",
        "scatter_add(%x, %x) : f32[5]",
        "scatter_add(%i, %x) : f64[5,4]",
        "scatter_add(%i, %x) : f32[5,3]",
        "scatter_add(%i, %x) : f32[5]",
        "scatter_add(%i, %x) : f32[]",
        "scatter_add(%k, %x) : f32[5,4]",
        "one_hot(%x, off_value=0.0, on_value=1.0) : f32[B,4,3]",
        "one_hot(%i, off_value=0.0, on_value=1.0) : i32[B,3]",
        "one_hot(%i, off_value=0.0, on_value=1.0) : f32[B]",
        "one_hot(%i, off_value=0.0, on_value=1.0) : f32[4,3]",
        "one_hot(%i, off_value=0.0, on_value=1.0) : f32[]",
    ],
    "axes": [
        "transpose(%x, perm=[0, 0]) : f32[B,B]",
        "transpose(%x, perm=[1]) : f32[4]",
        "transpose(%x, perm=[-1, 0]) : f32[4,B]",
        "transpose(%x, perm=[1, 0]) : f32[B,4]",
        "transpose(%x, perm=[1, 0]) : f64[4,B]",
        "broadcast(%x) : f32[B,5]",
        "broadcast(%x) : f32[4,4]",
        "broadcast(%x) : f32[B]",
        "broadcast(%x) : f64[B,4]",
        "broadcast(%v) : f32[3,B]",
    ],
    "reductions": [
        "reduce_sum(%x, axes=[0, 0], keepdims=false) : f32[4]",
        "reduce_sum(%x, axes=[1, 0], keepdims=false) : f32[]",
        "reduce_sum(%x, axes=[-1], keepdims=false) : f32[B]",
        "reduce_sum(%x, axes=[2], keepdims=false) : f32[B,4]",
        "reduce_sum(%x, axes=[1], keepdims=true) : f32[B]",
        "reduce_sum(%x, axes=[1], keepdims=false) : f32[B,1]",
        "reduce_sum(%x, axes=[1], keepdims=false) : f64[B]",
        "reduce_sum(%b, axes=[1], keepdims=false) : bool[B]",
        "reduce_sum(%x, %x, axes=[1], keepdims=false) : f32[B]",
        "reduce_max(%n, axes=[1], keepdims=false) : i32[B]",
        "reduce_min(%b, axes=[1], keepdims=false) : bool[B]",
        "logsumexp(%n, axes=[1], keepdims=false) : i32[B]",
        "reduce_max(%e, axes=[1], keepdims=false) : f32[B]",
        "reduce_min(%e, axes=[0, 1], keepdims=true) : f32[1,1]",
        "argmax(%x, axis=2) : i64[B,4]",
        "argmax(%x, axis=-1) : i64[B]",
        "argmax(%x, axis=1) : i32[B]",
        "argmax(%b, axis=1) : i64[B]",
        "argmax(%x, axis=1) : i64[4]",
    ],
    "classes": [
        "softmax(%c) : f32[]",
        "softmax(%n) : i32[B,4]",
        "softmax(%x) : f64[B,4]",
        "log_softmax(%x) : f32[B]",
        "log_softmax(%x, %x) : f32[B,4]",
        "sparse_softmax_cross_entropy(%x) : f32[B]",
        "sparse_softmax_cross_entropy(%n, %i) : i32[B]",
        "sparse_softmax_cross_entropy(%x, %j) : f32[B]",
        "sparse_softmax_cross_entropy(%x, %k) : f32[B]",
        "sparse_softmax_cross_entropy(%x, %n) : f32[B,4]",
        "sparse_softmax_cross_entropy(%x, %i) : f64[B]",
        "sparse_softmax_cross_entropy(%x, %i) : f32[B,1]",
        "sparse_softmax_cross_entropy_grad(%x, %i) : f32[B,4]",
        "sparse_softmax_cross_entropy_grad(%x, %i, %c) : f32[B,4]",
        "sparse_softmax_cross_entropy_grad(%d, %i, %g) : f64[B,4]",
        "sparse_softmax_cross_entropy_grad(%x, %i, %g) : f32[B]",
        "softmax_cross_entropy(%x, %w) : f32[B]",
        "softmax_cross_entropy(%x, %d) : f32[B]",
        "softmax_cross_entropy(%x, %x) : f32[B,4]",
    ],
    "regions": [
        "fused(%x) : f32[B,4]",
        "fused(%x) {\n(%a : f32[B,4])\nyield %a\n} {\n(%a : f32[B,4])\nyield %a\n}"
        " : f32[B,4]",
        "fused(%x) {\n(%a : f64[B,4])\nyield %a\n} : f64[B,4]",
        "fused(%x) {\n()\nyield %x\n} : f32[B,4]",
        "fused(%x) {\n(%a : f32[B,4])\nyield %a\n} : f32[B]",
        "fused(%x) {\n(%a : f32[B,4])\n%t = transpose(%a, perm=[1, 0]) : f32[4,B]\n"
        "yield %t\n} : f32[4,B]",
    ],
}


@pytest.mark.parametrize("line", [line for some in REFUSED.values() for line in some])
def test_both_readers_refuse(line):
    made = [f"%{name} = {value}" for name, value in MADE.items()]
    text = predict(*made, f"%r = {line}", declared=DECLARED)
    good = predict(*made, "%r = relu(%x) : f32[B,4]", declared=DECLARED)
    parse_program(good)
    _native.verify(good)
    with pytest.raises(ProgramError, match=r"^line \d+: "):
        parse_program(text)
    with pytest.raises(
        ValueError, match=rf"^\[{line[: line.index('(')]} r\]|^line |a region of"
    ):
        _native.verify(text)


def test_results_without_a_region_are_one():
    text = predict(
        f"%r, %q = matmul(%x, %w, {PLAIN}) : f32[B,3], f32[B,3]", declared=DECLARED
    )
    with pytest.raises(ProgramError, match="2"):
        parse_program(text)
    with pytest.raises(ValueError, match="has 1 result, got 2"):
        _native.verify(text)


# Types fit for any number of rows; only these rows leave an axis without elements.
EMPTY = {
    "reduce_max": "reduce_max(%a, axes=[0], keepdims=false) : f32[2]",
    "reduce_min": "reduce_min(%a, axes=[0, 1], keepdims=true) : f32[1,1]",
    "argmax": "argmax(%a, axis=0) : i64[2]",
    "gather": "gather(%a, %i) : f32[2]",
}


@pytest.mark.parametrize("line", EMPTY.values(), ids=EMPTY)
def test_rows_that_leave_an_axis_empty(line):
    text = predict(
        "%c = constant(value=1.0) : f32[]",
        "%i = constant(value=0) : i32[]",
        "%a = broadcast(%c) : f32[B-1,2]",
        f"%r = {line}",
    )
    model, program = engine.compile(text), Program(text)
    model.run("predict", {"X": np.ones((2, 4))}, program)
    with pytest.raises(ValueError, match=r"axis 0 of .*f32\[.*has no elements"):
        model.run("predict", {"X": np.ones((1, 4))}, program)


# Shapes that grow with the rows along an axis on which kernels have no rows to count.
GROWING = {
    "columns": (
        "matmul(%w, %x, transpose_a=true, transpose_b=true) : f32[3,B]",
        lambda w, x: w.T @ x.T,
    ),
    "joined": ("concat(%x, %x, axis=0) : f32[2*B,4]", lambda w, x: np.vstack([x, x])),
    "joined to fixed": (
        "concat(%w, %t, axis=0) : f32[B+4,3]",
        lambda w, x: np.vstack([w, x[:, :3]]),
    ),
    "joined to nothing": (
        "concat(%o, %x, axis=0) : f32[B,4]",
        lambda w, x: x,
    ),
    "padded by nothing": (
        "pad(%x, after=0, axis=0, before=0) : f32[B,4]",
        lambda w, x: x,
    ),
    "padded": (
        "pad(%x, after=1, axis=0, before=2) : f32[B+3,4]",
        lambda w, x: np.pad(x, ((2, 1), (0, 0))),
    ),
}


@pytest.mark.parametrize("case", GROWING.values(), ids=GROWING)
@pytest.mark.parametrize("rows", [2, 7, 150])
def test_axes_that_grow_with_the_rows(case, rows):
    line, expected = case
    text = predict(
        "%t = slice(%x, axis=1, start=0, stop=3) : f32[B,3]",
        "%o = constant(value=0.0) : f32[0,4]",
        f"%r = {line}",
        declared=DECLARED,
    )
    parse_program(text)
    model, program = engine.compile(text), Program(text)
    generator = np.random.default_rng(rows)
    w = generator.normal(size=(4, 3)).astype("f4")
    program.weights["w"][...] = w
    for count in (rows, rows - 1 if rows > 2 else rows):
        x = generator.normal(size=(count, 4)).astype("f4")
        got = model.run("predict", {"X": x}, program)[0]
        np.testing.assert_allclose(got, expected(w, x), rtol=1e-5, atol=1e-6)
