"""Programs from elsewhere: refused with a reason, never an abort or a bad access."""

import random
import re

import numpy as np
import pytest
from scipy import sparse
from support.op_cases import CASES
from support.texts import predict
from support.training_case import network

from slimlearn import _native
from slimlearn.backend import engine
from slimlearn.backend.program import Program
from slimlearn.backend.text import ProgramError, parse_program, print_program

X = np.ones((3, 4))


NOTHING = "%z = constant(value=0.0) : f32[]\n  %a = broadcast(%z) : f32[B,0]\n"

# Refused by both readers.
REFUSED = {
    "reads itself": "%r = relu(%r) : f32[B,4]",
    "reads a later value": "%r = relu(%s) : f32[B,4]\n  %s = relu(%x) : f32[B,4]",
    "no such op": "%r = explode(%x) : f32[B,4]",
    "too few operands": "%r = add(%x) : f32[B,4]",
    "too many results": "%r, %s = relu(%x) : f32[B,4], f32[B,4]",
    "NaN for axes": "%r = reduce_sum(%x, axes=[nan], keepdims=false) : f32[]",
    "an axis too many": "%r = reduce_sum(%x, axes=[7], keepdims=false) : f32[]",
    "a number of 65 bits": f"%r = reduce_sum(%x, axes=[{2**63}], keepdims=false) : f32",
    "perm out of range": "%r = transpose(%x, perm=[0, 5]) : f32[B,4]",
    "a table of no rows": f"{NOTHING}  %t = transpose(%a, perm=[1, 0]) : f32[0,B]\n"
    "  %i = constant(value=0) : i32[]\n  %r = gather(%t, %i) : f32[B]",
    "a sum into no rows": "%i = constant(value=0) : i32[]\n"
    "  %r = scatter_add(%i, %x) : f32[0,B,4]",
    "a softmax of no classes": f"{NOTHING}  %r = softmax(%a) : f32[B,0]",
    "a loss of no classes": f"{NOTHING}  %r = softmax_cross_entropy(%a, %a) : f32[B]",
    "the largest of nothing": f"{NOTHING}"
    "  %r, %s = max_with_argmax(%a, axis=1) : f32[B], i64[B]",
    "no largest elements": "%r, %s = top_k(%x, k=0) : f32[B,0], i64[B,0]",
    "five largest of four": "%r, %s = top_k(%x, k=5) : f32[B,5], i64[B,5]",
    "positions of another type": "%r, %s = top_k(%x, k=2) : f32[B,2], i32[B,2]",
    "top_k with one result": "%r = top_k(%x, k=2) : f32[B,2]",
    "slice out of range": "%r = slice(%x, axis=1, start=2, stop=9) : f32[B,7]",
    "negative padding": "%r = pad(%x, after=0, axis=1, before=-2) : f32[B,2]",
    "overflowing padding": f"%r = pad(%x, after={2**62}, axis=1, before={2**62}) : "
    "f32[B,4]",
    "constant beyond i32": "%r = constant(value=99999999999) : i32[]",
    "constant beyond u8": "%r = constant(value=300) : u8[]",
    "list beyond i32": f"%r = constant_list(values=[{2**40}]) : i32[1]",
    "a hundred regions": "%r = fused(%x) {\n  (%a : f32[B,4])\n" * 100,
    "ten thousand brackets": f"%r = relu(%x) : f32[{'(' * 9999}B{')' * 9999},4]",
    "ten thousand digits": f"%r = relu(%x) : f32[{'9' * 9999},4]",
    "an unknown storage": "%r = relu(%x) : csc f32[B,4]",
    "two storages": "%r = relu(%x) : csr rows f32[B,4]",
    "sparse for nothing": "%r = relu(%x) : csr f32[B,4]",
    "sparse rows of integers": '%r = input(source="X") : csr i32[B,4]',
    "sparse rows of three axes": '%r = input(source="X") : csr f32[B,4,4]',
    "sparse rows of a fixed number": '%r = input(source="X") : csr f32[4,4]',
    "sparse rows of any width": '%r = input(source="X") : csr f32[B,B]',
    "some sparse columns": '%r = input(columns=[0, 2], source="X") : csr f32[B,2]',
    "more columns than 32 bits": f'%r = input(source="X") : csr f32[B,{2**31}]',
    "rows from outside": '%r = input(source="X") : rows f32[B,4]',
    "a dense transpose": "%r = csr_transpose(%x) : csr f32[4,B]",
    "sparse times nothing": "%r = csr_matmul(%x, %x) : f32[B,4]",
    "a sparse result": '%r = input(source="X") : csr f32[B,4]',
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED)
def test_both_readers_refuse(line):
    text = predict(line)
    with pytest.raises(ProgramError):
        parse_program(text)
    with pytest.raises(ValueError):
        _native.verify(text)


@pytest.mark.parametrize("version", ["x", "1x", ""])
def test_no_version(version):
    with pytest.raises(ValueError, match="line 1"):
        _native.verify(f"slim {version}\n")
    with pytest.raises(ValueError, match="line 1"):
        parse_program(f"slim {version}\n")


HUGE = {
    "a parameter": predict(
        "%r = relu(%x) : f32[B,4]", declared="param %w : f32[1000000000,1000000000]\n"
    ),
    "ten parameters": predict(
        "%r = relu(%x) : f32[B,4]",
        declared="".join(
            f"param %w{i} : f32[1000000000,1000000000]\n" for i in range(10)
        ),
    ),
    "a bigger one": predict(
        "%r = relu(%x) : f32[B,4]", declared=f"param %w : f32[{10**10},{10**10}]\n"
    ),
    "a constant": predict("%r = constant(value=1.0) : f32[1000000000000]"),
    "overflow": predict("%r = constant(value=1.0) : f32[4000000000,4000000000]"),
    "iota": predict("%r = iota() : i64[100000000000000]"),
    "by rows": predict(
        "%c = constant(value=1.0) : f32[]",
        "%r = broadcast(%c) : f32[B,1000000,1000000]",
    ),
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_huge_sizes_are_refused_before_they_are_allocated(text):
    with pytest.raises((ValueError, MemoryError), match=r"larg|more than|alloc|too"):
        engine.compile(text).run("predict", {"X": X}, Program(text))


@pytest.mark.parametrize("dims", ["B-10", "(B-10)//3", "B//(B-3)", "T"])
def test_sizes_that_rows_make_impossible(dims):
    text = predict(
        "%c = constant(value=1.0) : f32[]", f"%r = broadcast(%c) : f32[{dims}]"
    )
    with pytest.raises(ValueError, match="dimension"):
        engine.compile(text).run("predict", {"X": X}, Program(text))


def test_columns_beyond_the_source():
    text = (
        "slim 1\n\nfunc predict {\n"
        '  %x = input(columns=[2, 6], source="X") : f32[B,4]\n'
        "  return %x\n}\n"
    )
    with pytest.raises(ValueError, match=r"\(3, 4\), needed are columns 2 to 6"):
        engine.compile(text).run("predict", {"X": X}, Program(text))


def test_long_chains():
    lines = [
        f"%r{i} = relu(%{f'r{i - 1}' if i else 'x'}) : f32[B,4]" for i in range(5000)
    ]
    text = predict(*lines).replace("return %r\n", "return %r4999\n")
    engine.compile(text).run("predict", {"X": X}, Program(text))
    parse_program(text)


TOKENS = re.compile(r"%[\w./:@-]+|\d+|\w+|\S|\s+")
NUMBERS = [
    "0",
    "1",
    "2",
    "3",
    "5",
    "7",
    "B",
    "2*B",
    "B+1",
    "B//2",
    "-1",
    "100000",
    "2147483648",
    "9223372036854775807",
]


def damaged(text: str, chance: random.Random) -> str:
    tokens = TOKENS.findall(text)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(tokens))
        if tokens[at].isdigit() or tokens[at] == "B":
            tokens[at] = chance.choice(NUMBERS)
        elif chance.random() < 0.2:
            del tokens[at]
        else:
            tokens[at] = chance.choice(tokens)
    return "".join(tokens)


# With %s, sparse rows; refused by both readers.
SPARSE = {
    "arithmetic": "%r = add(%s, %s) : f32[B,4]",
    "a cast": "%r = cast(%s) : f64[B,4]",
    "an alias": "%r = reshape(%s) : csr f32[B,2,2]",
    "a dense product": "%r = matmul(%s, %w, transpose_a=false, transpose_b=false) : "
    "f32[B,3]",
    "a region": "%r = fused(%s) {\n  (%a : csr f32[B,4])\n  yield %a\n  } : "
    "csr f32[B,4]",
    "other inner sizes": "%r = csr_matmul(%s, %x) : f32[B,4]",
    "another type": "%r = csr_matmul(%s, %w) : f64[B,3]",
    "rows of the batch": "%r = csr_matmul(%s, %w) : rows f32[B,3]",
    "a sparse product": "%r = csr_matmul(%s, %w) : csr f32[B,3]",
    "a third matrix": "%r = csr_matmul(%s, %w, %w) : f32[B,3]",
    "another product inside": "%r = csr_matmul(%s, %w) {\n  (%p : f32[B,4])\n"
    "  %q = relu(%p) : f32[B,4]\n  yield %q\n} : f32[B,4]",
    "a region that sums": "%r = csr_matmul(%s, %w) {\n  (%p : f32[B,3])\n"
    "  %q = reduce_sum(%p, axes=[1], keepdims=false) : f32[B]\n  yield %q\n} : f32[B]",
    "a sparse value inside": "%r = csr_matmul(%s, %w, %s) {\n"
    "  (%p : f32[B,3], %q : csr f32[B,4])\n  yield %p\n} : f32[B,3]",
    "a region over rows": "%c = csr_transpose(%s) : csr f32[4,B]\n"
    "  %r = csr_matmul(%c, %x) {\n  (%p : rows f32[4,4])\n"
    "  %q = relu(%p) : rows f32[4,4]\n  yield %q\n} : rows f32[4,4]",
    "the other way round": "%r = csr_matmul(%w, %s) : f32[4,4]",
    "rows of dense ids": "%i = constant(value=0) : i32[4]\n"
    "  %r = scatter_add(%i, %w) : rows f32[5,3]",
    "rows of dense rows": "%r = csr_matmul(%w, %w) : rows f32[4,3]",
    "rows of a product": "%r = matmul(%w, %w, transpose_a=false, transpose_b=true) : "
    "rows f32[4,4]",
    "a transpose of its shape": "%r = csr_transpose(%s) : csr f32[B,4]",
    "a dense transpose": "%r = csr_transpose(%s) : f32[4,B]",
    "a sum": "%r = reduce_sum(%s, axes=[0], keepdims=false) : f32[4]",
    "a returned transpose": "%r = csr_transpose(%s) : csr f32[4,B]",
}


@pytest.mark.parametrize("line", SPARSE.values(), ids=SPARSE)
def test_both_readers_refuse_of_sparse_rows(line):
    text = predict(
        '%s = input(source="S") : csr f32[B,4]',
        line,
        declared="param %w : f32[4,3]",
    )
    with pytest.raises(ProgramError):
        parse_program(text)
    with pytest.raises(ValueError):
        _native.verify(text)


def test_declarations_are_dense():
    text = predict("%r = relu(%x) : f32[B,4]", declared="param %w : csr f32[4,3]")
    with pytest.raises(ProgramError, match=r"needs to be dense"):
        parse_program(text)
    with pytest.raises(ValueError, match="is dense, declared as csr"):
        _native.verify(text)


def test_damaged_programs_run_or_are_refused():
    chance = random.Random(0)
    texts = [print_program(case.model()) for cases in CASES.values() for case in cases]
    compiled = 0
    for _ in range(3000):
        text = damaged(chance.choice(texts), chance)
        names = re.findall(r'source="([^"]*)"', text)
        sources = dict.fromkeys(names, X)
        try:
            model, program = engine.compile(text), Program(text)
            compiled += 1
            for func in re.findall(r"^func (\S+) ", text, re.MULTILINE):
                model.run(func, sources, program)
        except (ValueError, MemoryError):
            continue
    assert compiled > 100


def test_damaged_training_on_sparse_rows_runs_or_is_refused():
    chance = random.Random(1)
    options = {"sizes": (4, 3, 2), "sparse": True, "center": True}
    texts = [
        print_program(network("f32", rows=rows, **options)) for rows in (True, False)
    ]
    sources = {
        "X": sparse.csr_array(X.astype("f4")),
        "y": np.array([0, 1, 0], "i4"),
        "sample_weight": np.ones(3, "f4"),
    }
    hypers = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    trained = 0
    for _ in range(1500):
        text = damaged(chance.choice(texts), chance)
        try:
            program = Program(text)
            trainer = engine.compile(text).trainer(
                program, sources, batch_size=2, hypers=hypers
            )
            trainer.epoch(0, 0, np.full(trainer.info()["steps"], 0.1))
            trained += 1
        except (ValueError, MemoryError):
            continue
    assert trained > 50
