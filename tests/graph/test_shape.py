"""Dimensions: canonical polynomials, their text, and broadcasting."""

import copy
import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dims import build, dims

from slimlearn.backend import shape
from slimlearn.backend.shape import B, Dim, Shape, dim, parse_dim, parser, symbol

T = symbol("T")

PRINTED = [
    (B, "B"),
    (2 * B, "2*B"),
    (B * 2 + 3 - 3, "2*B"),
    (B * T + 3, "B*T+3"),
    (3 + T * B, "B*T+3"),
    (T + B + B * B, "B*B+B+T"),
    ((B + 1) // 2, "(B+1)//2"),
    ((B + 1) // 2 + 3, "(B+1)//2+3"),
    (2 * ((B + 1) // 2), "2*((B+1)//2)"),
    (-(B // 2), "-(B//2)"),
    (3 - B, "-B+3"),
    (B - 1, "B-1"),
    ((B // 2) * T, "(B//2)*T"),
    (B * T // 2, "B*T//2"),
    (B // 2 // 3, "B//2//3"),
    ((2 * B + 5) // 2, "B+2"),
    (2 * B // 4, "B//2"),
    ((3 * B + 1) // 2, "(B+1)//2+B"),
    (2 * B // 3, "(2*B)//3"),
    ((B - 1) // 2 + 1, "(B+1)//2"),
    (B // T, "B//T"),
    (B * T // T, "B"),
    (B // (T + 1), "B//(T+1)"),
    ((B + 3) // (B * T), "(B+3)//(B*T)"),
    (7 // B, "7//B"),
]


@pytest.mark.parametrize(("dim", "text"), PRINTED, ids=[t for _, t in PRINTED])
def test_text_is_canonical_and_read_back(dim, text):
    assert str(dim) == text
    assert parse_dim(text) is dim
    # Not from the table of known dims, but by parsing.
    assert parser._Parser(text).parse() is dim


def test_arithmetic_that_ends_in_a_number_is_an_int():
    assert type(B - B + 4) is int
    assert type(B * 0) is int
    assert (B * 6 // B) == 6
    assert parse_dim("3*4-2") == 10
    assert B * np.int64(2) is 2 * B


def test_equal_dims_are_one_object():
    assert (B + 1) * 2 is 2 * B + 2
    assert pickle.loads(pickle.dumps(B * T)) is B * T
    assert copy.deepcopy((B, 3)) == (B, 3)
    assert {B + 1: "x"}[1 + B] == "x"
    assert B != 1 and B != T


def test_dims_that_nobody_holds_are_forgotten():
    gc.collect()
    before = len(dim._DIMS)
    for number in range(10_000):
        assert ((B + number) // 3 * T).evaluate({"B": 1, "T": 2}) >= 0
    gc.collect()
    assert len(dim._DIMS) <= before + dim._LAST.maxlen


def test_a_dim_that_is_held_stays_the_one():
    held = (B + 123_457) // 2 + 1
    text = str(held)
    gc.collect()
    assert parse_dim(text) is held
    assert pickle.loads(pickle.dumps(held)) is held
    assert [(B + 123_457) // 2 + 1 is held for _ in range(3)] == [True] * 3
    saved = pickle.dumps(held)
    del held
    gc.collect()
    again = pickle.loads(saved)
    assert str(again) == text and again.evaluate({"B": 1}) == 61_730


def test_threads_that_make_a_dim_at_once_get_one():
    def make(turn):
        start.wait(10)
        return [(B + 1_000 * turn + i) // 7 for i in range(200)]

    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        for turn in range(5):
            first, *others = pool.map(make, [turn] * 4)
            assert all(a is b for o in others for a, b in zip(first, o, strict=True))


def test_evaluate_and_symbols():
    dim = 2 * ((B + T) // 3) - 1
    assert dim.evaluate({"B": 10, "T": 4}) == 7
    assert dim.symbols == {"B", "T"}
    with pytest.raises(ValueError, match=r"the size of T in .* is unknown"):
        dim.evaluate({"B": 10})
    with pytest.raises(ValueError, match="cannot divide"):
        (B // T).evaluate({"B": 1, "T": 0})


def test_multiple_of():
    assert B.multiple_of("B") == 1
    assert (3 * B).multiple_of("B") == 3
    assert (B + 1).multiple_of("B") is None
    assert (B * T).multiple_of("B") is None
    assert (-B).multiple_of("B") is None


MALFORMED = ["", "B+", "*B", "B//0", "(B", "B)", "B B", "2B", "B//-1", "B$"]
MALFORMED += ["9" * 30, "((" * 20, "--" * 20 + "B"]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_dims_are_refused(text):
    with pytest.raises(ValueError, match=r"dimension .*expected|positive"):
        parse_dim(text)


def test_dims_are_no_numbers():
    with pytest.raises(ValueError, match="positive number"):
        B // 0
    with pytest.raises(TypeError):
        B + 0.5
    with pytest.raises(TypeError, match="a dimension is an integer"):
        shape.as_dim(2.0)
    with pytest.raises(ValueError, match="a symbol is a letter"):
        symbol("2b")


def value(tree, sizes):
    if not isinstance(tree, tuple):
        return shape.evaluate(tree, sizes)
    sign, left, right = tree[0], value(tree[1], sizes), value(tree[2], sizes)
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    return left * right if sign == "*" else left // right


@settings(deadline=None)
@given(dims, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_canonical_form_keeps_the_value(tree, b, t, h):
    sizes = {"B": b, "T": t, "H_in": h}
    dim = build(tree)
    assert shape.evaluate(dim, sizes) == value(tree, sizes)
    assert parser._Parser(str(dim)).parse() == dim


def test_broadcast_shapes():
    assert shape.broadcast_shapes((B, 3), (3,)) == (B, 3)
    assert shape.broadcast_shapes((B, 1), (1, 4), ()) == (B, 4)
    assert shape.broadcast_shapes((B, 3)) == (B, 3)
    with pytest.raises(ValueError, match="dimensions B and T differ at axis -2"):
        shape.broadcast_shapes((B, 3), (T, 3))
    with pytest.raises(ValueError, match="dimensions 3 and 4 differ at axis -1"):
        shape.broadcast_shapes((B, 3), (4,))


def test_exact_divide():
    assert shape.exact_divide(6 * B * T, 2 * B) is 3 * T
    assert shape.exact_divide(6 * B, 4) is None
    assert shape.exact_divide(B + 1, B) is None
    assert shape.exact_divide(B + 1, B + 1) == 1
    assert shape.exact_divide(12, 4) == 3


def test_shape_is_a_tuple_that_slim_code_can_read():
    s = Shape((B, 3))
    assert s == (B, 3) and s[-1] == 3 and s.ndims == 2
    assert s.as_list() == [None, 3]
    assert s[1:].as_list() == [3] and s[1:] == (3,)
    assert isinstance(s[0], Dim)
