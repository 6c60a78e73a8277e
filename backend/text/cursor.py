"""A place in a text: reads one line, token by token, and says what it expected."""

import itertools
import json
import math
import re
import string
from typing import NoReturn

from slimlearn.backend.graph import DTYPES, STORAGES
from slimlearn.backend.shape import parse_dim

_MAX_RANK = 8
_TOKEN = re.compile(
    rf"""[ \t]*(?:(
      %[A-Za-z0-9_./:@-]+
    | [][(){{}}=,:]
    | "(?:[^"\\\n]|\\.)*"
    | @[a-z][a-z0-9_-]*(?::[0-9]+)?
    | -?(?:inf\b|nan\b|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    | (?:(?:{"|".join(STORAGES)})[ \t]+)?[a-z]+[0-9]*[ \t]*\[[^\]]*\]
    | [A-Za-z_][A-Za-z0-9_.]*
    )|[ \t\r]*(?:\#.*)?$|.+)""",
    re.VERBOSE | re.ASCII,
)
_SPACE = re.compile(r"[ \t\r]*(?:\#.*)?$")
_BARE_NAME = re.compile(r"[ \t]*([A-Za-z0-9_./:@-]+)", re.ASCII)
_TYPE = re.compile(r"(?:(\w+)[ \t]+)?([a-z]+[0-9]*)[ \t]*\[([^\]]*)\]")


class ProgramError(ValueError):
    """A text is no program; says the line, what was expected and what stands there."""


class Cursor:
    """Moves over the tokens of a line, and from line to line."""

    def __init__(self, text: str):
        self.lines = text.split("\n")
        self.number = 0  # of the current line, from 1
        self.line = ""
        # Of the current line; what is no token is "", and so is its end.
        self.tokens = [""]
        self.at = 0  # the next of them
        self._start = 0  # the column where they begin
        self._types: dict[str, tuple[str, tuple]] = {}

    def next_line(self) -> bool:
        """Move to the next line that is more than blanks and comment."""
        while self.number < len(self.lines):
            self.line = self.lines[self.number]
            self.number += 1
            self.at = self._start = 0
            self.tokens = _TOKEN.findall(self.line)
            if self.tokens[0] or not _SPACE.match(self.line):
                return True
        self.number, self.line, self.tokens = len(self.lines), "", [""]
        self.at = self._start = 0
        return False

    def fail(self, expected: str, at: int | None = None) -> NoReturn:
        """Raise with what was expected and what stands here (or at token `at`)."""
        rest = self.line[self._column(self.at if at is None else at) :].strip()
        got = "the end of the line" if self.line else "the end of the text"
        got = repr(rest if len(rest) <= 40 else rest[:40] + "…") if rest else got
        raise ProgramError(f"line {self.number}: expected {expected}, got {got}")

    def refuse(self, text: str) -> NoReturn:
        """Raise with the number of this line before `text`."""
        raise ProgramError(f"line {self.number}: {text}")

    def token(self, kind: str, expected: str) -> str:
        """Take a token of this kind: a name, a word, a number, a string or a type."""
        text = self.tokens[self.at]
        if _kind(text) != kind:
            self.fail(expected)
        self.at += 1
        return text

    def peek(self) -> str:
        """Return the next token, "" at the end of the line."""
        return self.tokens[self.at]

    def mark(self, text: str) -> None:
        """Take exactly `text`."""
        if self.tokens[self.at] != text:
            self.fail(repr(text))
        self.at += 1

    def end_of_line(self) -> None:
        """Take what may stand behind a statement: blanks and a comment."""
        ended = self.at == len(self.tokens) - 1
        if not ended and not _SPACE.match(self.line, self._column(self.at)):
            self.fail("the end of the line")

    def bare_name(self, expected: str) -> str:
        """Take a name without %, which may begin as other tokens do."""
        match = _BARE_NAME.match(self.line, self._column(self.at))
        if not match:
            self.fail(expected)
        self._start, self.at = match.end(), 0
        self.tokens = _TOKEN.findall(self.line, self._start)
        return match.group(1)

    def type(self) -> tuple[str, tuple]:
        """Take a type such as ``f32[B,64]`` or ``csr f32[B,64]``."""
        text = self.tokens[self.at]
        known = self._types.get(text)
        if known is None:
            known = self._types[text] = self._read_type(text)
        self.at += 1
        return known

    def _read_type(self, text: str) -> tuple[str, tuple]:
        if _kind(text) != "type":
            self.fail("a type such as f32[B,64]")
        storage, dtype, dims = _TYPE.fullmatch(text).groups()
        dims = dims.strip()
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
        return f"{storage} {dtype}" if storage else dtype, shape

    def _column(self, at: int) -> int:
        """Where token `at` of the line stands, or the blanks before it."""
        found = _TOKEN.finditer(self.line, self._start)
        return next(itertools.islice(found, at, None)).start()

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


_FIRST = {
    **dict.fromkeys(string.ascii_letters + "_", "word"),
    **dict.fromkeys(string.digits + "-.", "number"),
    **{"%": "name", '"': "string", "@": "device"},
}


def _kind(text: str) -> str:
    """Return what a token is, by its ends; "" for marks and for no token."""
    kind = _FIRST.get(text[:1], "")
    if kind != "word":
        return kind
    if text[-1] == "]":
        return "type"
    return "number" if text in ("inf", "nan") else "word"
