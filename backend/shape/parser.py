"""The text of a dimension as a dimension."""

import re

from slimlearn.backend.shape.dim import Dim, known_dim, symbol

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|(//|[-+*()]))", re.ASCII)
_INT64_MAX = 2**63 - 1


def parse_dim(text: str) -> int | Dim:
    """Read a dimension as `str` prints it; any arithmetic of ``+ - * //`` is accepted.

    Raises
    ------
    ValueError
        If `text` is no dimension expression.
    """
    known = known_dim(text)
    return known if known is not None else _Parser(text).parse()


class _Parser:
    """Reads ``sum = product (± product)*``, ``product = factor ((* | //) factor)*``."""

    def __init__(self, text: str):
        self.text = text
        self.position = 0
        self.depth = 0

    def parse(self) -> int | Dim:
        value = self.sum()
        if self.peek() is not None or self.text[self.position :].strip():
            self.fail("end of the dimension")
        return value

    def peek(self):
        match = _TOKEN.match(self.text, self.position)
        return match.group(match.lastindex) if match else None

    def take(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        if not match:
            self.fail("a number, a symbol or '('")
        self.position = match.end()
        return match.group(match.lastindex)

    def fail(self, expected: str):
        rest = self.text[self.position :] or "the end"
        raise ValueError(f"dimension {self.text!r}: expected {expected}, got {rest!r}")

    def deepen(self):
        self.depth += 1
        if self.depth > 16:
            self.fail("at most 16 levels of nesting")

    def sum(self) -> int | Dim:
        value = self.product()
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            value = value + sign * self.product()
        return value

    def product(self) -> int | Dim:
        value = self.factor()
        while self.peek() in ("*", "//"):
            if self.take() == "*":
                value = value * self.factor()
            else:
                divisor = self.factor()
                if divisor.__class__ is int and divisor <= 0:
                    self.fail("a positive divisor before this")
                value = value // divisor
        return value

    def factor(self) -> int | Dim:
        token = self.peek()
        if token == "-":
            self.deepen()
            self.take()
            value = -self.factor()
            self.depth -= 1
            return value
        if token == "(":
            self.deepen()
            self.take()
            value = self.sum()
            if self.peek() != ")":
                self.fail("')'")
            self.take()
            self.depth -= 1
            return value
        if token is None or token in "+*//)":
            self.fail("a number, a symbol or '('")
        self.take()
        if token.isdigit():
            number = int(token) if len(token) <= 19 else _INT64_MAX + 1
            if number > _INT64_MAX:
                self.fail("a number below 2**63 before this")
            return number
        return symbol(token)
