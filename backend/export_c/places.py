"""Where values lie in the arena: by type, packed by when they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Arena", "Block"]


@dataclass(eq=False)
class Block:
    """Room for numbers of one type, from a step to another.

    Attributes
    ----------
    dtype : str
    count : int
    first, last : int
        The steps of the function at which it is needed, both included.
    offset : int
        In numbers, once `Arena.pack` has placed it.
    """

    dtype: str
    count: int
    first: int
    last: int
    offset: int = -1


@dataclass
class Arena:
    """The blocks of one function, and of those that it calls while it runs.

    Attributes
    ----------
    sizes : dict of str to int
        Numbers of each type.
    """

    blocks: list[Block] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, dtype: str, count: int, first: int, last: int) -> Block:
        """A new block."""
        block = Block(dtype, count, first, last)
        self.blocks.append(block)
        return block

    def pack(self) -> None:
        """Give each block a place that none has at the same time; the largest first."""
        placed: dict[str, list[Block]] = {}
        for block in sorted(self.blocks, key=lambda b: (-b.count, b.first)):
            same = placed.setdefault(block.dtype, [])
            block.offset = _gap(block, same)
            same.append(block)
            end = block.offset + block.count
            self.sizes[block.dtype] = max(self.sizes.get(block.dtype, 0), end)


def _gap(block: Block, placed: Iterable[Block]) -> int:
    at = 0
    for other in sorted(placed, key=lambda b: b.offset):
        apart = other.last < block.first or other.first > block.last
        if apart or other.offset + other.count <= at:
            continue
        if other.offset >= at + block.count:
            break
        at = other.offset + other.count
    return at
