"""A text as a model, checked line by line."""

import math

# Ops register by being imported.
import slimlearn.backend.ops  # noqa: F401
from slimlearn.backend.graph import (
    ANYWHERE,
    DECLARATIONS,
    FLOATS,
    Declaration,
    Graph,
    Model,
    Node,
    Tensor,
    element_of,
    storage_of,
    type_text,
)
from slimlearn.backend.graph.rounding import COMPUTE_TYPES
from slimlearn.backend.op import OPS, Op, Refusal
from slimlearn.backend.text.cursor import Cursor, ProgramError
from slimlearn.backend.text.printer import VERSION, attribute_text

_MAX_DEPTH = 16


def parse_program(text: str) -> Model:
    """Read a program.

    Raises
    ------
    ProgramError
        If `text` is malformed, names an unknown op or value, or its types do not fit.
    """
    return _Parser(text).program()


def _precision_of_inputs(model: Model) -> str:
    """What a network without parameters computes in."""
    for graph in model.functions.values():
        for node in graph.nodes:
            dtype = element_of(node.results[0].dtype)
            if node.op == "input" and dtype in FLOATS:
                return dtype
    return "f32"


class _Parser(Cursor):
    """Recursive descent over lines; a statement is a line."""

    def program(self) -> Model:
        if not self.next_line() or self.peek() != "slim":
            self.fail(f"'slim {VERSION}'")
        self.mark("slim")
        version = self.token("number", f"'slim {VERSION}'")
        if not version.isdigit() or version.startswith("0"):
            self.fail("a version such as 1", 0)
        if version != str(VERSION):
            self.refuse(
                f"program text version {version} is newer than this slimlearn reads "
                f"({VERSION}): upgrade slimlearn"
            )
        self.end_of_line()
        model = Model()
        precision = None
        behind_header = True
        while self.next_line():
            word = self.peek()
            if word == "compute" and behind_header:
                model.compute = self.compute()
            elif word in DECLARATIONS and not model.functions:
                declared = self.declaration(model)
                known = declared.kind != "hyper" and declared.dtype in FLOATS
                if known and precision is None:
                    precision = declared.dtype
            elif word == "func":
                self.function(model)
            else:
                self.fail("'func'" if model.functions else "a declaration or 'func'")
            behind_header = False
        model.precision = precision or _precision_of_inputs(model)
        return model

    def compute(self) -> str:
        self.mark("compute")
        word = self.token("word", "bfloat16 or float16")
        if word not in COMPUTE_TYPES:
            self.refuse(f"expected {' or '.join(COMPUTE_TYPES)}, got {word!r}")
        self.end_of_line()
        return word

    def declaration(self, model: Model) -> Declaration:
        kind = self.token("word", "a declaration")
        name = self.token("name", "a name such as %fc1/weights")[1:]
        self.mark(":")
        dtype, shape = self.type()
        factors = self.factors(kind) if self.peek() == "(" else {}
        self.end_of_line()
        if name in model.declarations:
            self.refuse(f"%{name} is declared twice")
        if storage_of(dtype):
            self.refuse(
                f"{kind} %{name} is {type_text(dtype, shape)}, needs to be dense"
            )
        if kind == "hyper" and (dtype, shape) != ("f64", ()):
            self.refuse(f"hyper %{name} is {type_text(dtype, shape)}, needs f64[]")
        declared = model.declare(kind, name, dtype, shape)
        for key, factor in factors.items():
            setattr(declared, key, factor)
        return declared

    def factors(self, kind: str) -> dict[str, float]:
        """Take what the learning rate and the decay of a parameter are times."""
        if kind != "param":
            self.fail("the end of the line")
        found: dict[str, float] = {}
        self.mark("(")
        while not found or self.peek() != ")":
            if found:
                self.mark(",")
            key = self.peek()
            if key not in ("decay_factor", "learning_rate_factor"):
                self.fail("decay_factor or learning_rate_factor")
            self.mark(key)
            if key in found:
                self.refuse(f"{key} stands twice")
            self.mark("=")
            value = self.attribute()
            number = isinstance(value, float) and 0 <= value < math.inf
            if not number:
                self.refuse(
                    f"{key} is {attribute_text(value)}, needs a finite float >= 0"
                )
            found[key] = value
        self.mark(")")
        return found

    def function(self, model: Model) -> None:
        self.token("word", "'func'")
        name = self.bare_name("a function's name")
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
                for value in graph.returns:
                    if storage_of(value.dtype):
                        self.refuse(
                            f"%{value.name} is {type_text(*value.type)}: what a "
                            "function returns is dense"
                        )
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
        start, first_line = self.at, self.number
        word = self.token("word", "an op")
        if word not in OPS:
            self.fail("a known op", start)
        op = OPS[word]
        operands, attributes = self.arguments(scope)
        self.check_attributes(op, attributes)
        regions: list[Graph] = []
        while self.peek() == "{":
            if len(regions) == op.regions:
                most = op.regions or "no"
                self.fail(f"':' ({word} has {most} region)")
            self.mark("{")
            self.end_of_line()
            regions.append(self.region(depth + 1))
        types, device = self.result_types(len(names))
        if device and depth > 1:
            self.refuse(f"@{device} stands inside of a region, which has one device")
        try:
            inferred = op.checked(operands, attributes, types, regions)
        except Refusal as refusal:
            where = refusal.at(word, names[0])
            raise ProgramError(f"line {first_line}: {where}") from None
        for name, got, want in zip(names, types, inferred, strict=False):
            if tuple(got) != tuple(want):
                self.refuse(
                    f"[{word} {name}] the result is {type_text(*want)}, "
                    f"not {type_text(*got)}"
                )
        if len(inferred) != len(types):
            self.refuse(
                f"[{word} {names[0]}] has {len(inferred)} results, not {len(types)}"
            )
        node = Node(word, tuple(operands), attributes, tuple(regions), None, device)
        self.check_device(node, names[0])
        graph.placed = graph.placed or bool(device)
        results = []
        for name, (dtype, shape) in zip(names, types, strict=True):
            if name in scope:
                self.refuse(f"%{name} is defined twice")
            tensor = scope[name] = Tensor(name, dtype, shape, node, graph)
            graph.values[name] = tensor
            results.append(tensor)
        node.results = tuple(results)
        graph.nodes.append(node)

    def check_device(self, node: Node, name: str) -> None:
        if node.op == "copy" or node.op in ANYWHERE:
            return
        for operand in node.operands:
            made = operand.node
            if made is None or made.op in ANYWHERE or made.device == node.device:
                continue
            here, there = (
                f"@{d}" if d else "no device" for d in (node.device, made.device)
            )
            self.refuse(
                f"[{node.op} {name}] is on {here} and reads %{operand.name}, which is "
                f"on {there}: put a copy between"
            )

    def check_attributes(self, op: Op, attributes: dict) -> None:
        for key in attributes:
            if key not in op.attributes:
                self.refuse(f"{op.name} has no attribute {key!r}")
        for key, kind in op.attributes.items():
            if key not in attributes:
                if key not in op.optional:
                    self.refuse(f"{op.name} needs the attribute {key!r}")
            elif kind is not object and type(attributes[key]) is not kind:
                self.refuse(
                    f"{op.name}: {key} must be of type {kind.__name__}, "
                    f"got {attribute_text(attributes[key])}"
                )

    def result_types(self, count: int) -> tuple[list[tuple], str]:
        self.mark(":")
        types, devices = [self.type()], {self.device()}
        while self.peek() == ",":
            self.mark(",")
            types.append(self.type())
            devices.add(self.device())
        self.end_of_line()
        if len(types) != count:
            self.refuse(f"{count} results, but {len(types)} types")
        if len(devices) > 1:
            self.refuse("the results of one op stand on one device")
        return types, devices.pop()

    def device(self) -> str:
        """Take a device behind a type, "" where there is none."""
        if not self.peek().startswith("@"):
            return ""
        return self.token("device", "a device such as @cpu:1")[1:]

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
