"""Programs from elsewhere: refused with a reason, never an abort or a bad access."""

import random
import re

import numpy as np
import pytest
from op_cases import CASES

from slimlearn import _native
from slimlearn.backend import engine
from slimlearn.backend.program import Program
from slimlearn.backend.text import ProgramError, parse_program, print_program

X = np.ones((3, 4))


def predict(*lines: str, declared: str = "") -> str:
    """Return a program whose predict computes %r from four columns."""
    body = "".join(f"  {line}\n" for line in lines)
    return (
        f"slim 1\n{declared}\nfunc predict {{\n"
        f'  %x = input(source="X") : f32[B,4]\n{body}  return %r\n}}\n'
    )


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
