"""What writes the code of each op, and what the functions of one file share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from slimlearn.backend.engine.source import Kernel
from slimlearn.backend.export_c.helpers import Helpers
from slimlearn.backend.export_c.names import Names
from slimlearn.backend.export_c.quantize import Quantized
from slimlearn.backend.graph import Graph, Node, Tensor
from slimlearn.backend.op import OPS

if TYPE_CHECKING:
    from slimlearn.backend.export_c.writing import Function

__all__ = [
    "ALIASES",
    "EMITTERS",
    "FORMULAS",
    "MEMBERS",
    "ROOMS",
    "File",
    "Part",
    "Room",
    "count_of",
    "emits",
]

# By op: what writes its steps, and what memory these need beside operands and results.
EMITTERS: dict[str, Callable[[Function, Node], None]] = {}
ROOMS: dict[str, Callable[[Function, Node], list[Room]]] = {}

# Members of the arena that cannot be called by their type.
MEMBERS = {"bool": "flags"}

# Their results are their operand's memory.
ALIASES = frozenset(("reshape", "identity"))
# Formulas of elements: their functions are printed by the engine.
FORMULAS = frozenset(n for n, op in OPS.items() if op.elementwise) - ALIASES | {"fused"}


class Room(NamedTuple):
    """Memory that a node needs while it runs."""

    dtype: str
    count: int


def emits(*ops: str, room: Callable | None = None):
    """Register a function of a `Function` and a node, which writes its steps.

    `room` says what memory these need for themselves.
    """

    def register(function):
        for op in ops:
            EMITTERS[op] = function
            if room is not None:
                ROOMS[op] = room
        return function

    return register


def count_of(value: Tensor) -> int:
    """The numbers of a value."""
    return math.prod(value.shape)


class Part(NamedTuple):
    """A function that becomes one of C: its graph, and its text for the formulas."""

    name: str
    graph: Graph
    text: str


class File:
    """What the functions of one file share.

    Parameters
    ----------
    name : str
        Of the network, with which all that others see begins.
    """

    def __init__(self, name: str):
        self.name = name
        self.helpers = Helpers()
        self.names = Names(*Helpers.names())
        self.arrays: dict[str, str] = {}  # what declarations are called in C
        self.used: set[str] = set()  # of these
        self.quantized: Mapping[str, Quantized] = {}  # those of 8 bits
        self.scales: dict[str, str] = {}  # what their scales are called
        self.constants: list[str] = []  # other definitions, such as of windows
        self.functions: list[str] = []
        self.parts: list[Part] = []
        self.kernels: dict[tuple[str, str], Kernel] = {}
        self.sizes: dict[str, int] = {}  # of the arena

    def array(self, declared: Tensor) -> str:
        """The name of a constant array."""
        self.used.add(declared.name)
        return self.arrays[declared.name]
