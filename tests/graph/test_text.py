"""The program's text: exact bytes, round trips, and refusals that name the line."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.op_cases import CASES
from support.texts import REFUSED, TEXT

from slimlearn.backend import ops
from slimlearn.backend.graph import Graph, Model, inside, name_scope
from slimlearn.backend.op import emit
from slimlearn.backend.shape import B, symbol
from slimlearn.backend.text import ProgramError, parse_program, print_program


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
        first, _ = emit("fused", (y,), regions=[a], wish="both")
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
    root = Path(__file__).parents[2]
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
