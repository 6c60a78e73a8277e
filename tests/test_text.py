"""The program's text: exact bytes, round trips, and refusals that name the line."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import CASES

from slimlearn.backend import ops
from slimlearn.backend.graph import Graph, Model, inside, name_scope
from slimlearn.backend.op import emit
from slimlearn.backend.shape import B, symbol
from slimlearn.backend.text import ProgramError, parse_program, print_program

TEXT = """\
slim 1
param %fc1/weights : f32[20,64]
param %fc1/biases : f32[64]
state %bn/moving_mean : f32[64]
hyper %learning_rate : f64[]
slot %adam/m : f32[P]

func predict {
  %x = input(source="X") : f32[B,20]
  %fc1/matmul = matmul(%x, %fc1/weights, transpose_a=false, transpose_b=false) : f32[B,64]
  %r = fused(%fc1/matmul, %fc1/biases) {
    (%a : f32[B,64], %b : f32[64])
    %t = add(%a, %b) : f32[B,64]
    %u = relu(%t) : f32[B,64]
    yield %u
  } : f32[B,64]
  return %r
}

func grad {
  %x = input(columns=[0, 20], source="X") : f32[B,20]
  %mean = reduce_sum(%bn/moving_mean, axes=[], keepdims=false) : f32[64]
  %constant = constant(value=0.1) : f32[20,64]
  set %bn/moving_mean = %mean
  grad %fc1/weights = %constant
  grad %fc1/biases = %mean
}

func update {
  %w = input(source="weight") : f32[P]
  set %adam/m = %w
  return %w, %adam/m, %learning_rate
}
"""  # noqa: E501


def test_prints_what_it_reads():
    model = parse_program(TEXT)
    assert print_program(model) == TEXT
    assert str(model) == TEXT
    assert list(model.functions) == ["predict", "grad", "update"]
    assert model.parameters.names() == ["fc1/weights", "fc1/biases"]
    assert model.precision == "f32"


def test_built_and_read_models_print_the_same():
    model = Model()
    weights = model.parameter("fc/weights", (4, 3))
    with model.function("predict") as graph:
        x = ops.input_("X", (B, 4))
        with name_scope("fc"):
            y = ops.relu(x @ weights)
        a = Graph("region")
        p = a.add_parameter("a", "f32", (B, 3))
        with inside(a):
            a.returns = [p * 2.5, p > 0]
        first, _ = emit("fused", (y,), region=a, wish="both")
        graph.return_(first)
    assert (
        print_program(model)
        == """\
slim 1
param %fc/weights : f32[4,3]

func predict {
  %X = input(source="X") : f32[B,4]
  %fc/matmul = matmul(%X, %fc/weights, transpose_a=false, transpose_b=false) : f32[B,3]
  %fc/relu = relu(%fc/matmul) : f32[B,3]
  %both, %both_1 = fused(%fc/relu) {
    (%a : f32[B,3])
    %constant = constant(value=2.5) : f32[]
    %mul = mul(%a, %constant) : f32[B,3]
    %constant_1 = constant(value=0.0) : f32[]
    %greater = greater(%a, %constant_1) : bool[B,3]
    yield %mul, %greater
  } : f32[B,3], bool[B,3]
  return %both
}
"""
    )
    assert print_program(parse_program(str(model))) == str(model)


def test_comments_blanks_and_spaces_are_skipped():
    noisy = TEXT.replace("\n", '  # a comment with %x = and "quotes\n\n\t\r\n')
    noisy = noisy.replace(" : ", "   :\t").replace(", ", " , ")
    assert print_program(parse_program(noisy)) == TEXT


def test_a_hash_inside_a_string_is_no_comment():
    text = TEXT.replace('"X"', '"#X # \\" \\\\ é \\u001f"')
    assert print_program(parse_program(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.5e-7, "1.5e-07"),
        (5e-324, "5e-324"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
    ],
)
def test_floats_have_one_spelling(value, text):
    model = Model("f64")
    with model.function("f"):
        ops.constant(value, "f64")
    printed = print_program(model)
    assert f"constant(value={text}) : f64[]" in printed
    assert print_program(parse_program(printed)) == printed


REFUSED = [
    (
        "slim 1",
        "slim 2",
        r"version 2 is newer than this slimlearn reads \(1",
    ),
    ("slim 1", "slim 0", r"line 1: expected a version such as 1, got 'slim 0'"),
    ("slim 1", "slim 01", r"line 1: expected a version such as 1, got 'slim 01'"),
    ("slim 1", "slam 1", r"line 1: expected 'slim 1', got 'slam 1'"),
    ("slim 1", "", r"line 2: expected 'slim 1', got 'param"),
    ("f32[20,64]", "f16[20,64]", r"line 2: expected one of f32, f64, .* got 'f16"),
    ("f32[20,64]", "f32[20,64", r"line 2: expected a type such as f32\[B,64\]"),
    ("f32[20,64]", "f32[20,B+]", r"line 2: dimension 'B\+': expected"),
    ("f32[20,64]", "f32[20,-64]", r"line 2: negative dimension"),
    ("f32[20,64]", "f32[1,1,1,1,1,1,1,1,1]", "line 2: a type has at most 8 dim"),
    ("%fc1/biases :", "%fc1/weights :", r"line 3: %fc1/weights is declared twice"),
    ("rate : f64[]", "rate : f32[]", r"line 5: hyper %learning_rate is f32\[\], needs"),
    ("func grad {", "func predict {", r"line 20: function predict is defined twice"),
    ("func grad {", "func grad", r"line 20: expected '{', got the end of the line"),
    ("func grad {", "param %q : f32[]", r"line 20: expected 'func', got 'param %q"),
    ("relu(%t)", "rélu(%t)", r"line 14: expected a known op, got 'rélu"),
    ("relu(%t)", "relo(%t)", r"line 14: expected a known op, got 'relo"),
    ("relu(%t)", "relu(%x)", r"line 14: %x is used before it is defined"),
    ("relu(%t)", "relu(%t, %t)", r"line 14: \[relu u\] takes 1 operands, got 2"),
    ("relu(%t)", "relu(%t, a=1)", r"line 14: relu has no attribute 'a'"),
    ("relu(%t) :", "relu(%t) { :", r"line 14: expected ':' \(relu has no region\)"),
    ("%u = relu", "%t = relu", r"line 14: %t is defined twice"),
    (
        "%u = relu(%t) : f32[B,64]",
        "%u = relu(%t) : f64[B,64]",
        r"14: \[relu u\]",
    ),
    ("yield %u", "yield", r"line 15: expected a value such as %x"),
    ("    yield %u\n", "", r"line 15: expected a statement, got '} : f32"),
    ("} : f32[B,64]", "} : f32[B,64], f32[B,64]", r"line 16: 1 results, but 2 types"),
    ("%r = fused", "%r, %s = fused", r"line 16: 2 results, but 1 types"),
    ("(%a : f32[B,64],", "(%a : f32[B,63],", r"line 13: \[add t\] shapes do not broad"),
    ("return %r\n", "return %r\n  return %r\n", r"line 18: expected '}' after return"),
    ("transpose_a=false, ", "", r"line 10: matmul needs the attribute 'transpose_a'"),
    (
        "transpose_a=false",
        "transpose_a=0",
        r"line 10: matmul: transpose_a must be",
    ),
    ("transpose_b", "transpose_a", r"line 10: attribute 'transpose_a' stands twice"),
    ("20,64]", "21,64]", r"line 10: .* inner dimensions differ"),
    ("[0, 20]", "[0, 2.0]", r"line 21: expected numbers of one kind, got '2.0"),
    ("[0, 20]", "[[0], 2]", r"line 21: expected a number or '\]'"),
    ("[0, 20]", f"[0, {2**63}]", r"line 21: expected an integer of 64 bits"),
    ("value=0.1", "value=1e999", r"line 23: expected a float of 64 bits"),
    (
        "value=0.1",
        "value=1",
        r"line 23: .* value is 1, needs a float",
    ),
    ('"X"', '"X', r"line 9: expected a number, true, false, a string"),
    ('"X"', '"\\ud800"', r"line 9: expected a JSON string"),
    ('"X"', '"\t"', r"line 9: expected a JSON string"),
    ("set %bn/moving_mean", "set %mean", r"line 24: set %mean: this is no declaration"),
    ("grad %fc1/biases", "grad %bn/moving_mean", r"26: .* cannot assign to a state"),
    (
        "grad %fc1/biases",
        "grad %fc1/weights",
        r"26: \[grad fc1/weights\] needs f32",
    ),
    ("grad %fc1/biases", "set %fc1/biases", r"26: .* must stand before the first grad"),
    (
        "set %adam/m = %w",
        "set %adam/m = %learning_rate",
        r"31: \[set adam/m\] needs",
    ),
    ("set %adam/m = %w", "%y = neg(%w) : f32[P], q", r"line 31: expected a type such"),
    (
        "%learning_rate\n}\n",
        "%learning_rate\n",
        r"line 33: expected '}' that ends func up",
    ),
    ("return %w, ", "return %w ", r"line 32: expected the end of the line"),
]


@pytest.mark.parametrize(
    ("old", "new", "message"), REFUSED, ids=[m for *_, m in REFUSED]
)
def test_malformed_texts_are_refused_with_their_line(old, new, message):
    assert old in TEXT
    with pytest.raises(ProgramError, match=message):
        parse_program(TEXT.replace(old, new, 1))


def test_regions_nest_only_so_deep():
    head = 'slim 1\nfunc f {\n%x = input(source="X") : f32[2]\n'
    with pytest.raises(ProgramError, match="deeper than 16"):
        parse_program(head + "%a = fused(%x) {\n(%x : f32[2])\n" * 40)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_texts_are_refused_or_read_never_worse(data):
    at = data.draw(st.integers(0, len(TEXT) - 1))
    size = data.draw(st.integers(0, 12))
    noise = data.draw(st.text('%#{}[]()=,:\n"-+/ 0aBé.\\', max_size=6))
    text = TEXT[:at] + noise + TEXT[at + size :]
    try:
        model = parse_program(text)
    except ProgramError as error:
        assert re.search(r"line \d+|version", str(error))
        return
    printed = print_program(model)
    assert print_program(parse_program(printed)) == printed


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_refused_in_order(text):
    with pytest.raises(ProgramError):
        parse_program(text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(CASES)), min_size=1, max_size=12),
    st.sampled_from(["f32", "f64"]),
    st.text(min_size=1, max_size=8),
)
def test_random_graphs_print_and_read_back(names, precision, source):
    model = Model(precision)
    with model.function("f") as graph:
        ops.input_(source.encode("utf8", "replace").decode(), (B,), precision)
        for i, name in enumerate(names):
            case = CASES[name][i % len(CASES[name])]
            with name_scope(f"part{i % 3}"):
                graph.return_(*case.outputs(precision))
    text = print_program(model)
    assert print_program(parse_program(text)) == text


def test_names_never_collide():
    model = Model()
    with model.function("f") as graph:
        x = ops.input_("w", (3,))
        y = ops.neg(x, name="w")
        assert (x.name, y.name) == ("w", "w_1")
        w = model.parameter("w", (3,))
        assert (w.name, x.name) == ("w", "w_2")
        graph.return_(ops.add(w, x, name="w_1"), y)
    assert print_program(parse_program(str(model))) == str(model)
    with pytest.raises(ValueError, match=r"%w is already declared as param"):
        model.parameter("w", (4,))
    with pytest.raises(ValueError, match="a name consists of letters"):
        model.state("é", (4,))
    with pytest.raises(ValueError, match="a name consists of letters"):
        with name_scope("a b"):
            pass


def test_values_belong_to_one_function():
    model = Model()
    with model.function("f"):
        x = ops.input_("X", (3,))
    with model.function("g") as g:
        with pytest.raises(ValueError, match=r"%X was computed in function 'f'"):
            ops.neg(x)
        with pytest.raises(ValueError, match="return: %X was computed in function 'f'"):
            g.return_(x)
    with pytest.raises(RuntimeError, match="no function is being built"):
        ops.input_("X", (3,))


def test_assignments_fit_their_declarations():
    model = Model()
    w = model.parameter("w", (3,))
    with model.function("f") as graph:
        x = ops.input_("X", (3,))
        with pytest.raises(ValueError, match=r"\[set w\] needs f32\[3\], %cast is f64"):
            graph.set_(w, ops.cast(x, "f64"))
        with pytest.raises(TypeError, match="is no parameter, state or slot"):
            graph.set_(x, x)
        graph.set_(w, x)
        with pytest.raises(ValueError, match=r"\[set w\] is assigned twice"):
            graph.set_(w, x)


def test_symbols_other_than_the_batch():
    time = symbol("T")
    model = Model()
    with model.function("f") as graph:
        x = ops.input_("X", (B, time, 4))
        graph.return_(ops.reshape(x, (B * time, 4)), ops.reshape(x, (-1, 4)))
    text = print_program(model)
    assert "reshape(%X) : f32[B*T,4]" in text
    assert print_program(parse_program(text)) == text


@pytest.mark.parametrize("first", ["text", "reference", "program"])
def test_whoever_reads_programs_knows_the_ops(first):
    # A package without its __init__, which would import everything.
    root = Path(__file__).parents[1]
    code = (
        "import sys, types\n"
        "package = types.ModuleType('slimlearn')\n"
        f"package.__path__ = [{str(root)!r}]\n"
        "sys.modules['slimlearn'] = package\n"
        f"import slimlearn.backend.{first}\n"
        "from slimlearn.backend.op import OPS\n"
        "assert 'matmul' in OPS\n"
        "assert 'slimlearn._native' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
