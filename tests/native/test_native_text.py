"""Python and native code read, print and judge programs alike."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dims import build, dims
from support.op_cases import CASES
from support.texts import REFUSED, TEXT
from support.training_case import network

from slimlearn import _native
from slimlearn.backend import ops
from slimlearn.backend.graph import Model, is_symbolic
from slimlearn.backend.op import OPS
from slimlearn.backend.shape import Dim
from slimlearn.backend.text import ProgramError, parse_program, print_program

ALL = [case for cases in CASES.values() for case in cases]


def both_print(text: str) -> None:
    assert print_program(parse_program(text)) == text
    assert _native.roundtrip(text) == text


@pytest.mark.parametrize("case", ALL, ids=str)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_every_op_prints_the_same_and_is_accepted(case, precision):
    text = print_program(case.model(precision))
    both_print(text)
    _native.verify(text)


def test_a_whole_program_prints_the_same():
    both_print(TEXT)
    _native.verify(TEXT)


@pytest.mark.parametrize("rows", [False, True])
def test_training_on_sparse_rows_prints_the_same(rows):
    text = print_program(network(sparse=True, rows=rows))
    assert ("rows f64[20,24]" in text) == rows
    both_print(text)
    _native.verify(text)


@settings(max_examples=300, deadline=None)
@given(dims)
def test_dims_print_the_same(tree):
    dim = build(tree)
    if isinstance(dim, Dim):
        both_print(f'slim 1\n\nfunc f {{\n  %x = input(source="X") : f32[{dim}]\n}}\n')


@settings(max_examples=300, deadline=None)
@given(st.floats())
def test_floats_print_the_same(value):
    model = Model("f64")
    with model.function("f"):
        ops.constant(math.nan if math.isnan(value) else value, "f64")
    both_print(print_program(model))


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_strings_print_the_same(source):
    model = Model()
    with model.function("f"):
        ops.input_(source, (3,), name="x")
    both_print(print_program(model))


@pytest.mark.parametrize(("old", "new"), [r[:2] for r in REFUSED])
def test_both_refuse_the_same_texts(old, new):
    text = TEXT.replace(old, new, 1)
    with pytest.raises(ProgramError):
        parse_program(text)
    with pytest.raises(ValueError):
        _native.verify(text)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_both_say_the_same_of_rows(case):
    model = case.model()
    graph = model.functions["f"]
    if all(is_symbolic(value.shape[:1], "B") for value in graph.returns):
        local = all(OPS[node.op].row_local(node) for node in graph.nodes)
        assert _native.mixes_rows(print_program(model), "f") is not local


def native_rows():
    """Return attributes and traits of each op as the tables in native/ir write them."""
    ir = Path(__file__).parents[2] / "native/ir"
    names = re.findall(r"^[A-Z_]+\((\w+)", (ir / "elementwise.def").read_text(), re.M)
    rows = dict.fromkeys(names, ("1", "0", "", "kElementwise"))
    pattern = r'^OP\((\w+), \w+, \w+, (\w+), (\d), "([^"]*)", ([^,]*),'
    text = (ir / "ops.def").read_text()
    rows.update({name: rest for name, *rest in re.findall(pattern, text, re.M)})
    return rows


@pytest.mark.parametrize("name", sorted(OPS))
def test_attributes_and_traits_are_those_of_the_native_row(name):
    results, regions, attributes, traits = native_rows()[name]
    op = OPS[name]
    keys = [f"{k}?" if k in op.optional else k for k in op.attributes]
    assert sorted(keys) == sorted(item.split(":")[0] for item in attributes.split())
    assert op.random == ("kRandom" in traits)
    assert op.results == (None if results == "kMany" else int(results))
    assert op.regions == int(regions)
    assert op.tape_region == ("kTapeRegion" in traits)
    assert op.in_tape == ("kInTape" in traits)
    assert op.elementwise == ("kElementwise" in traits)
    assert op.product == ("kProduct" in traits)
