"""A model as text, and back: the one form in which programs travel and rest."""

import json
import math
import re

from slimlearn.backend.graph import (
    DECLARATIONS,
    DTYPES,
    FLOATS,
    Declaration,
    Graph,
    Model,
    Node,
    Tensor,
    type_text,
)
from slimlearn.backend.op import OPS, infer
from slimlearn.backend.shape import parse_dim

VERSION = 1
_MAX_DEPTH = 16
_MAX_RANK = 8


class ProgramError(ValueError):
    """A text is no program; says the line, what was expected and what stands there."""


def print_program(model: Model) -> str:
    """Return the text of `model`; `parse_program` gives the model back."""
    lines = [f"slim {VERSION}"]
    for d in model.declarations.values():
        lines.append(f"{d.kind} %{d.name} : {type_text(d.dtype, d.shape)}")
    for graph in model.functions.values():
        lines += ["", f"func {graph.name} {{"]
        _print_nodes(graph, "  ", lines)
        lines += [f"  set %{name} = %{v.name}" for name, v in graph.sets.items()]
        lines += [f"  grad %{name} = %{v.name}" for name, v in graph.grads.items()]
        if graph.returns:
            lines.append("  return " + _values(graph.returns))
        lines.append("}")
    lines.append("")
    return "\n".join(lines)


def _values(tensors) -> str:
    return ", ".join(["%" + t.name for t in tensors])


def _print_nodes(graph: Graph, indent: str, lines: list[str]) -> None:
    types: dict[tuple, str] = {}
    for node in graph.nodes:
        results = node.results
        arguments = ["%" + t.name for t in node.operands]
        for key in sorted(node.attributes):
            arguments.append(f"{key}={_attribute(node.attributes[key])}")
        head = f"{indent}{_values(results)} = {node.op}({', '.join(arguments)})"
        texts = []
        for r in results:
            key = (r.dtype, r.shape)
            text = types.get(key)
            if text is None:
                text = types[key] = type_text(*key)
            texts.append(text)
        if node.region is not None:
            lines.append(head + " {")
            _print_region(node.region, indent + "  ", lines)
            head = indent + "}"
        lines.append(f"{head} : {', '.join(texts)}")


def _print_region(region: Graph, indent: str, lines: list[str]) -> None:
    operands = [f"%{p.name} : {type_text(*p.type)}" for p in region.parameters]
    lines.append(f"{indent}({', '.join(operands)})")
    _print_nodes(region, indent, lines)
    lines.append(f"{indent}yield {_values(region.returns)}")


def _attribute(value) -> str:
    kind = value.__class__
    if kind is bool:
        return "true" if value else "false"
    if kind is str:
        return json.dumps(value, ensure_ascii=False)
    if kind is list:
        return f"[{', '.join([_attribute(v) for v in value])}]"
    return repr(value)


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
_TYPE = re.compile(r"[ \t]*([a-z]+[0-9]*)[ \t]*\[([^\]]*)\]")
_FUNCTION_NAME = re.compile(r"[ \t]*([A-Za-z0-9_./:@-]+)", re.ASCII)


def parse_program(text: str) -> Model:
    """Read a program.

    Raises
    ------
    ProgramError
        If `text` is malformed, names an unknown op or value, or its types do not fit.
    """
    return _Parser(text).program()


class _Parser:
    """Recursive descent over lines; a statement is a line."""

    def __init__(self, text: str):
        self.lines = text.split("\n")
        self.number = 0  # of the current line, from 1
        self.line = ""
        self.at = 0

    # --- lines and tokens

    def next_line(self) -> bool:
        """Move to the next line that is more than blanks and comment."""
        while self.number < len(self.lines):
            self.line, self.at = self.lines[self.number], 0
            self.number += 1
            if not _SPACE.match(self.line):
                return True
        self.number, self.line, self.at = len(self.lines), "", 0
        return False

    def fail(self, expected: str, at: int | None = None):
        rest = self.line[self.at if at is None else at :].strip()
        got = "the end of the line" if self.line else "the end of the text"
        got = repr(rest if len(rest) <= 40 else rest[:40] + "…") if rest else got
        raise ProgramError(f"line {self.number}: expected {expected}, got {got}")

    def refuse(self, text: str):
        raise ProgramError(f"line {self.number}: {text}")

    def token(self, kind: str, expected: str) -> str:
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
        match = _TOKEN.match(self.line, self.at)
        if not match or match.group(match.lastgroup) != text:
            self.fail(repr(text))
        self.at = match.end()

    def end_of_line(self) -> None:
        if not _SPACE.match(self.line, self.at):
            self.fail("the end of the line")

    # --- the grammar

    def program(self) -> Model:
        if not self.next_line() or self.peek() != "slim":
            self.fail(f"'slim {VERSION}'")
        self.at = _TOKEN.match(self.line, self.at).end()
        version = self.token("number", f"'slim {VERSION}'")
        if not version.isdigit():
            self.fail("a version number", 0)
        if int(version) != VERSION:
            self.refuse(
                f"program text version {version} is newer than this slimlearn reads "
                f"({VERSION}): upgrade slimlearn"
            )
        self.end_of_line()
        model = Model()
        precision = None
        while self.next_line():
            word = self.peek()
            if word in DECLARATIONS and not model.functions:
                declared = self.declaration(model)
                if declared.kind in ("param", "slot") and precision is None:
                    precision = declared.dtype
            elif word == "func":
                self.function(model)
            else:
                self.fail("'func'" if model.functions else "a declaration or 'func'")
        model.precision = precision if precision in FLOATS else "f32"
        return model

    def declaration(self, model: Model) -> Declaration:
        kind = self.token("word", "a declaration")
        name = self.token("name", "a name such as %fc1/weights")[1:]
        self.mark(":")
        dtype, shape = self.type()
        self.end_of_line()
        if name in model.declarations:
            self.refuse(f"%{name} is declared twice")
        if kind == "hyper" and (dtype, shape) != ("f64", ()):
            self.refuse(f"hyper %{name} is {type_text(dtype, shape)}, needs f64[]")
        return model.declare(kind, name, dtype, shape)

    def type(self) -> tuple[str, tuple]:
        match = _TYPE.match(self.line, self.at)
        if not match:
            self.fail("a type such as f32[B,64]")
        dtype, dims = match.group(1), match.group(2).strip()
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
        return dtype, shape

    def function(self, model: Model) -> None:
        self.token("word", "'func'")
        match = _FUNCTION_NAME.match(self.line, self.at)
        if not match:
            self.fail("a function's name")
        name, self.at = match.group(1), match.end()
        if name in model.functions:
            self.refuse(f"function {name} is defined twice")
        self.mark("{")
        self.end_of_line()
        graph = model.functions[name] = Graph(name, model)
        scope = dict(model.declarations)
        while True:
            if not self.next_line():
                self.fail(f"'}}' that ends func {name}")
            word = self.peek()
            if word == "}":
                self.mark("}")
                self.end_of_line()
                return
            if graph.returns:
                self.fail("'}' after return")
            if word in ("set", "grad"):
                self.assignment(graph, scope, word)
            elif word == "return":
                graph.returns = self.value_list(scope, "return")
            elif graph.sets or graph.grads:
                self.fail("set, grad, return or '}'")
            else:
                self.node(graph, scope, 1)

    def assignment(self, graph: Graph, scope: dict, word: str) -> None:
        self.token("word", word)
        target = self.value(scope)
        if not isinstance(target, Declaration):
            self.refuse(f"{word} %{target.name}: this is no declaration")
        self.mark("=")
        value = self.value(scope)
        self.end_of_line()
        kinds = ("param",) if word == "grad" else ("param", "state", "slot")
        if target.kind not in kinds:
            self.refuse(f"{word} %{target.name}: cannot assign to a {target.kind}")
        if word == "set" and graph.grads:
            self.refuse(f"set %{target.name} must stand before the first grad")
        try:
            (graph.set_ if word == "set" else graph.grad_)(target, value)
        except ValueError as error:
            self.refuse(str(error))

    def value(self, scope: dict) -> Tensor:
        name = self.token("name", "a value such as %x")[1:]
        if name not in scope:
            self.refuse(f"%{name} is used before it is defined")
        return scope[name]

    def value_list(self, scope: dict, word: str) -> list[Tensor]:
        self.token("word", word)
        values = [self.value(scope)]
        while self.peek() == ",":
            self.mark(",")
            values.append(self.value(scope))
        self.end_of_line()
        return values

    def node(self, graph: Graph, scope: dict, depth: int) -> None:
        names = [self.token("name", "a statement")[1:]]
        while self.peek() == ",":
            self.mark(",")
            names.append(self.token("name", "a name such as %x")[1:])
        self.mark("=")
        start = self.at
        word = self.token("word", "an op")
        if word not in OPS:
            self.fail("a known op", start)
        op = OPS[word]
        operands, attributes = self.arguments(scope)
        for key in attributes:
            if key not in op.attributes:
                self.refuse(f"{word} has no attribute {key!r}")
        for key, kind in op.attributes.items():
            if key not in attributes:
                if key not in op.optional:
                    self.refuse(f"{word} needs the attribute {key!r}")
            elif kind is not object and type(attributes[key]) is not kind:
                self.refuse(
                    f"{word}: {key} must be of type {kind.__name__}, "
                    f"got {_attribute(attributes[key])}"
                )
        region = None
        first_line = self.number
        if self.peek() == "{":
            if not op.has_region:
                self.fail(f"':' ({word} has no region)")
            self.mark("{")
            self.end_of_line()
            region = self.region(depth + 1)
        self.mark(":")
        types = [self.type()]
        while self.peek() == ",":
            self.mark(",")
            types.append(self.type())
        self.end_of_line()
        if len(types) != len(names):
            self.refuse(f"{len(names)} results, but {len(types)} types")
        try:
            inferred = infer(op, operands, attributes, types, region, names[0])
        except ValueError as error:
            raise ProgramError(f"line {first_line}: {error}") from None
        for name, type_, want in zip(names, types, inferred, strict=False):
            if tuple(type_) != tuple(want):
                self.refuse(
                    f"[{word} {name}] the result is {type_text(*want)}, "
                    f"not {type_text(*type_)}"
                )
        if len(inferred) != len(types):
            self.refuse(
                f"[{word} {names[0]}] has {len(inferred)} results, not {len(types)}"
            )
        node = Node(word, tuple(operands), attributes, region)
        results = []
        for name, (dtype, shape) in zip(names, types, strict=True):
            if name in scope:
                self.refuse(f"%{name} is defined twice")
            tensor = scope[name] = Tensor(name, dtype, shape, node, graph)
            graph.values[name] = tensor
            results.append(tensor)
        node.results = tuple(results)
        graph.nodes.append(node)

    def arguments(self, scope: dict) -> tuple[list[Tensor], dict]:
        operands, attributes = [], {}
        self.mark("(")
        while self.peek() != ")":
            if operands or attributes:
                self.mark(",")
            if not attributes and self.peek().startswith("%"):
                operands.append(self.value(scope))
                continue
            key = self.token("word", "an operand or an attribute")
            if key in attributes:
                self.refuse(f"attribute {key!r} stands twice")
            self.mark("=")
            attributes[key] = self.attribute()
        self.mark(")")
        return operands, attributes

    def attribute(self):
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

    def region(self, depth: int) -> Graph:
        if depth > _MAX_DEPTH:
            self.refuse(f"regions nest deeper than {_MAX_DEPTH}")
        region = Graph("region")
        scope: dict[str, Tensor] = {}
        if not self.next_line():
            self.fail("the region's operands in parentheses")
        self.mark("(")
        while self.peek() != ")":
            if region.parameters:
                self.mark(",")
            name = self.token("name", "an operand such as %a : f32[B]")[1:]
            if name in scope:
                self.refuse(f"%{name} is defined twice")
            self.mark(":")
            scope[name] = region.add_parameter(name, *self.type())
        self.mark(")")
        self.end_of_line()
        while self.next_line():
            word = self.peek()
            if word == "yield":
                region.returns = self.value_list(scope, "yield")
                if not self.next_line():
                    break
                self.mark("}")
                return region
            self.node(region, scope, depth)
        self.fail("'yield' and '}' that end the region")
