"""A place in a text: reads one line, token by token, and says what it expected."""

import json
import math
import re
from typing import NoReturn

from slimlearn.backend.graph import DTYPES, STORAGES
from slimlearn.backend.shape import parse_dim

_MAX_RANK = 8
_TOKEN = re.compile(
    r"""[ \t]*(?:
      (?P<name>%[A-Za-z0-9_./:@-]+)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<number>-?(?:inf\b|nan\b|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?))
    | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
    | (?P<mark>[][(){}=,:])
    )""",
    re.VERBOSE | re.ASCII,
)
_SPACE = re.compile(r"[ \t\r]*(?:\#.*)?$")
_TYPE = re.compile(
    rf"[ \t]*(?:({'|'.join(STORAGES)})[ \t]+)?([a-z]+[0-9]*)[ \t]*\[([^\]]*)\]"
)


class ProgramError(ValueError):
    """A text is no program; says the line, what was expected and what stands there."""


class Cursor:
    """Moves over the tokens of a line, and from line to line."""

    def __init__(self, text: str):
        self.lines = text.split("\n")
        self.number = 0  # of the current line, from 1
        self.line = ""
        self.at = 0

    def next_line(self) -> bool:
        """Move to the next line that is more than blanks and comment."""
        while self.number < len(self.lines):
            self.line, self.at = self.lines[self.number], 0
            self.number += 1
            if not _SPACE.match(self.line):
                return True
        self.number, self.line, self.at = len(self.lines), "", 0
        return False

    def fail(self, expected: str, at: int | None = None) -> NoReturn:
        """Raise with what was expected and what stands here (or at column `at`)."""
        rest = self.line[self.at if at is None else at :].strip()
        got = "the end of the line" if self.line else "the end of the text"
        got = repr(rest if len(rest) <= 40 else rest[:40] + "…") if rest else got
        raise ProgramError(f"line {self.number}: expected {expected}, got {got}")

    def refuse(self, text: str) -> NoReturn:
        """Raise with the number of this line before `text`."""
        raise ProgramError(f"line {self.number}: {text}")

    def token(self, kind: str, expected: str) -> str:
        """Take a token of this kind (a group of `_TOKEN`)."""
        match = _TOKEN.match(self.line, self.at)
        if not match or match.lastgroup != kind:
            self.fail(expected)
        self.at = match.end()
        return match.group(kind)

    def peek(self) -> str:
        """Return the next token, "" at the end of the line."""
        match = _TOKEN.match(self.line, self.at)
        return match.group(match.lastgroup) if match else ""

    def mark(self, text: str) -> None:
        """Take exactly `text`."""
        match = _TOKEN.match(self.line, self.at)
        if not match or match.group(match.lastgroup) != text:
            self.fail(repr(text))
        self.at = match.end()

    def end_of_line(self) -> None:
        """Take what may stand behind a statement: blanks and a comment."""
        if not _SPACE.match(self.line, self.at):
            self.fail("the end of the line")

    def type(self) -> tuple[str, tuple]:
        """Take a type such as ``f32[B,64]`` or ``csr f32[B,64]``."""
        match = _TYPE.match(self.line, self.at)
        if not match:
            self.fail("a type such as f32[B,64]")
        storage, dtype, dims = match.group(1), match.group(2), match.group(3).strip()
        if dtype not in DTYPES:
            self.fail(f"one of {', '.join(DTYPES)}")
        try:
            shape = tuple(parse_dim(d.strip()) for d in dims.split(",")) if dims else ()
        except ValueError as error:
            self.refuse(str(error))
        if any(d.__class__ is int and d < 0 for d in shape):
            self.refuse(f"negative dimension in {dtype}[{dims}]")
        if len(shape) > _MAX_RANK:
            self.refuse(f"a type has at most {_MAX_RANK} dimensions: {dtype}[{dims}]")
        self.at = match.end()
        return f"{storage} {dtype}" if storage else dtype, shape

    def attribute(self):
        """Take the value of an attribute, as the Python value it prints from."""
        text = self.peek()
        if text == "[":
            return self.number_list()
        if text in ("true", "false"):
            self.token("word", "true or false")
            return text == "true"
        if text.startswith('"'):
            return self.string()
        return self.scalar("a number, true, false, a string or a list")

    def number_list(self) -> list:
        self.mark("[")
        values = []
        while self.peek() != "]":
            if values:
                self.mark(",")
            start = self.at
            values.append(self.scalar("a number or ']'"))
            if type(values[-1]) is not type(values[0]):
                self.fail("numbers of one kind", start)
        self.mark("]")
        return values

    def string(self) -> str:
        start = self.at
        try:
            value = json.loads(self.token("string", "a string"))
            value.encode()  # refuses half a surrogate pair
        except ValueError:
            self.fail("a JSON string", start)
        return value

    def scalar(self, expected: str) -> int | float:
        start = self.at
        text = self.token("number", expected)
        if text.lstrip("-").isdigit():
            value = int(text) if len(text) <= 20 else 2**63
            if not -(2**63) <= value < 2**63:
                self.fail("an integer of 64 bits", start)
            return value
        value = float(text)
        if math.isinf(value) and "inf" not in text:
            self.fail("a float of 64 bits", start)
        return value
