"""Windows whose sizes a text may give but no memory holds."""

import pytest

from slimlearn.backend import engine
from slimlearn.backend.text import parse_program

_TEXT = """slim 1

func f {{
  %x = input(source="x") : f32[B,2,2,2,1]
  {line}
  return %y
}}
"""
_NUMBERS = "dilations=[{n}, {n}, {n}], {{}}padding=[{n}, 0, {n}, 0, {n}, 0]"
_REACH = _NUMBERS.format(n=1 << 20)
LINES = {
    "convolution": f"%w = constant(value=1.0) : f32[2,2,2,1,1]\n"
    f"  %y = convolution(%x, %w, {_REACH.format('groups=1, ')}, strides=[1, 1, 1])"
    " : f32[B,2,2,2,1]",
    "pooling": f"%y = sum_pool(%x, {_REACH.format('kernel=[2, 2, 2], ')}, "
    "strides=[1, 1, 1]) : f32[B,2,2,2,1]",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_padding_beyond_all_memory_is_refused(line):
    text = _TEXT.format(line=line)
    with pytest.raises(ValueError, match="with its padding"):
        parse_program(text)
    with pytest.raises(ValueError, match="with its padding"):
        engine.compile(text)
