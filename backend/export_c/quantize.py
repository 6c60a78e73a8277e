"""Weights of 8 bits: scales of each column, and of what products read on given rows.

A product of x and constant weights w is computed of integers q:

    x ~ (q_x - zero) * scale,   w[:, j] ~ q_w[:, j] * scales[j]
    y[:, j] = (q_x - zero) q_w[:, j] * (scale * scales[j])

Where x is met inside a loop, its scale is that of its own largest number in each step.

Weights stay real numbers where sums cancel so far that integers would not tell them:
the differences of large summands, such as what a Gaussian process makes of its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from slimlearn.backend import engine, ops
from slimlearn.backend.export_c.network import Network
from slimlearn.backend.graph import Declaration, Graph, Node, Tensor, inside
from slimlearn.backend.ops.loops import LoopForm
from slimlearn.backend.program import Program
from slimlearn.backend.text import parse_program, print_program

__all__ = ["Quantized", "quantize", "run_rows", "with_integers"]

_LEAST = 1e-30  # a scale of zeros alone
_PRODUCTS = frozenset(("matmul", "convolution"))

# How far sums of integers may be off, in deviations of the sums over the given rows:
# hidden layers are off by 0.003 to 0.05, and what cancels by 0.07 to 20. Weights of
# less than a part of all numbers are to be told better, as they take little room.
_OFF, _OFF_OF_FEW, _FEW = 1 / 16, 1 / 64, 1 / 128


class Quantized(NamedTuple):
    """An array of 8 bits.

    Attributes
    ----------
    values : ndarray of int8
    scales : ndarray of float32
        Of the last axis of weights, or of the rows of a table.
    table : bool
        Whether it is one whose rows are gathered.
    x_scale : float or None
        Of what it is multiplied by; None where that is seen in each step.
    x_zero : int
        What stands for 0 there.
    """

    values: np.ndarray
    scales: np.ndarray
    table: bool
    x_scale: float | None = None
    x_zero: int = 0

    def real(self) -> np.ndarray:
        """The numbers that the integers stand for."""
        scales = self.scales[:, np.newaxis] if self.table else self.scales
        return self.values.astype(np.float32) * scales


class _Use(NamedTuple):
    """Where an array is read."""

    node: Node
    index: int
    inner: bool  # inside a region


def quantize(
    network: Network, rows: Sequence[Mapping[str, np.ndarray]]
) -> tuple[dict[str, Quantized], list[str]]:
    """The arrays that can be of 8 bits, by name, and those that would lose too much.

    Parameters
    ----------
    network : Network
        Of f32.
    rows : sequence of mapping of str to ndarray
        Sources of single rows, whose values tell how large those of others are.
    """
    uses: dict[str, list[_Use]] = {}
    for declared, use in _uses(network.graph, {}, inner=False):
        uses.setdefault(declared.name, []).append(use)
    found, outer = {}, {}
    for name, where in uses.items():
        array = network.arrays[name]
        kinds = {_kind(use, array) for use in where}
        if kinds == {"table"} and array.ndim == 2:
            found[name] = _of_array(array, table=True)
        elif kinds == {"product"}:
            found[name] = _of_array(array, table=False)
            if not any(use.inner for use in where):
                outer[name] = [use.node.operands[0] for use in where]
    values = list(dict.fromkeys(v for read in outer.values() for v in read))
    ranges = _ranges(network, values, rows)
    for name, read in outer.items():
        low = min(ranges[v][0] for v in read)
        high = max(ranges[v][1] for v in read)
        scale = float(np.float32(max((high - low) / 255, _LEAST)))
        zero = int(np.clip(np.rint(-128 - low / scale), -128, 127))
        found[name] = found[name]._replace(x_scale=scale, x_zero=zero)
    real = _untold(network, found, outer, rows)
    for name in real:
        del found[name]
    return found, real


def _kind(use: _Use, array: np.ndarray) -> str:
    """What a use of an array is: "product" and "table" may read integers."""
    op = use.node.op
    if op == "gather" and use.index == 0:
        return "table"
    if op not in _PRODUCTS or use.index != 1:
        return op
    if isinstance(use.node.operands[0], Declaration):
        return op
    if op == "matmul" and (
        array.ndim != 2
        or use.node.attributes["transpose_a"]
        or use.node.attributes["transpose_b"]
    ):
        return op
    return "product"


def _uses(
    graph: Graph, known: Mapping[Tensor, Tensor], inner: bool
) -> Iterator[tuple[Tensor, _Use]]:
    """All that read declarations; `known` are the parameters that stand for some."""
    for node in graph.nodes:
        read = [known.get(value, value) for value in node.operands]
        first = len(node.operands)
        if node.op in ("scan", "while_loop"):
            form = LoopForm.of_node(node)
            first = form.first + form.carried + form.scanned
        elif node.op == "cond":
            first = 1
        for i, value in enumerate(read[:first]):
            if isinstance(value, Declaration):
                yield value, _Use(node, i, inner)
        for region in node.regions:
            last = region.parameters[len(region.parameters) - len(read) + first :]
            pairs = zip(last, read[first:], strict=True)
            constant = {p: v for p, v in pairs if isinstance(v, Declaration)}
            yield from _uses(region, constant, True)


def _of_array(array: np.ndarray, table: bool) -> Quantized:
    axes = (1,) if table else tuple(range(array.ndim - 1))
    scales = np.maximum(np.abs(array).max(axis=axes, initial=0) / 127, _LEAST)
    scales = scales.astype(np.float32)
    whole = np.rint(array / (scales[:, np.newaxis] if table else scales))
    return Quantized(np.clip(whole, -127, 127).astype(np.int8), scales, table)


def _ranges(network: Network, values: Sequence[Tensor], rows) -> dict:
    """The least and the largest number of each value, and 0."""
    ranges = dict.fromkeys(values, (0.0, 0.0))
    for found in _given(network, values, rows):
        for value, array in zip(values, found, strict=True):
            low, high = ranges[value]
            ranges[value] = (
                min(low, float(array.min(initial=0))),
                max(high, float(array.max(initial=0))),
            )
    return ranges


def _given(network: Network, values: Sequence[Tensor], rows) -> Iterator[tuple]:
    """What some values of a network are, row by row."""
    if not values:
        return
    returns, network.graph.returns = network.graph.returns, list(values)
    try:
        yield from run_rows(network, rows)
    finally:
        network.graph.returns = returns


def _untold(network: Network, found, outer, rows) -> list[str]:
    """Weights of `found` whose products integers tell too badly."""
    names = [name for name in outer if network.arrays[name].ndim == 2]
    spreads = [_Spread() for _ in names]
    for read in _given(network, [outer[name][0] for name in names], rows):
        for name, spread, x in zip(names, spreads, read, strict=True):
            x = x.reshape(-1, x.shape[-1])
            rough = _integers(x, found[name]) @ found[name].real()
            spread.add(x @ network.arrays[name], rough)
    few = _FEW * sum(network.arrays[name].size for name in found)
    sizes = [network.arrays[name].size for name in names]
    allowed = [_OFF_OF_FEW if size < few else _OFF for size in sizes]
    trios = zip(names, spreads, allowed, strict=True)
    return [name for name, spread, most in trios if spread.is_off(most)]


def _integers(x: np.ndarray, one: Quantized) -> np.ndarray:
    """What the integers of x stand for."""
    whole = np.rint(x * (1 / one.x_scale)) + one.x_zero
    return ((np.clip(whole, -128, 127) - one.x_zero) * one.x_scale).astype(x.dtype)


class _Spread:
    """How far sums are off, beside how far they are apart."""

    def __init__(self):
        self._first, self._count = None, 0
        self._off = self._total = self._squares = 0.0

    def add(self, sums: np.ndarray, rough: np.ndarray) -> None:
        """Take rows of sums, and what integers tell of them."""
        sums = sums.astype(np.float64)
        self._off += np.square(rough - sums).sum()
        if self._first is None:
            self._first = sums[0]  # which squares of deviations lose less from
        sums -= self._first
        self._count += len(sums)
        self._total += sums.sum(axis=0)
        self._squares += np.square(sums).sum()

    def is_off(self, most: float) -> bool:
        """Whether they are off by more than a part of their deviation."""
        if self._first is None:
            return False
        apart = self._squares - np.square(self._total).sum() / self._count
        return apart > 0 and self._off > most * most * apart


def run_rows(network: Network, rows: Iterable[Mapping]) -> Iterator[tuple]:
    """What a network gives for single rows."""
    text = print_program(network.model)
    program = Program(text)
    for name, array in network.arrays.items():
        program.weights[name][...] = array
    model = engine.compile(text)
    for sources in rows:
        yield model.run(network.function, dict(sources), program)


def with_integers(network: Network, quantized: Mapping[str, Quantized]) -> Network:
    """A network that computes in real numbers what the one of integers does."""
    model = parse_program(print_program(network.model))
    arrays = {
        name: quantized[name].real() if name in quantized else array
        for name, array in network.arrays.items()
    }
    _round_operands(model.functions[network.function], {}, quantized)
    return Network(model, network.function, arrays)


def _round_operands(graph: Graph, known, quantized) -> None:
    nodes, graph.nodes = graph.nodes, []
    for node in nodes:
        read = [known.get(value, value) for value in node.operands]
        if node.op in _PRODUCTS and isinstance(read[1], Declaration):
            one = quantized.get(read[1].name)
            if one is not None:
                with inside(graph):
                    rounded = _rounded(node.operands[0], one)
                node.operands = (rounded, *node.operands[1:])
        for region in node.regions:
            count = min(len(read), len(region.parameters))
            last = zip(region.parameters[-count:], read[-count:], strict=True)
            constant = {p: v for p, v in last if isinstance(v, Declaration)}
            _round_operands(region, constant, quantized)
        graph.nodes.append(node)


def _rounded(x: Tensor, one: Quantized) -> Tensor:
    if one.x_scale is None:
        largest = ops.reduce_max(ops.abs(x), list(range(x.rank)))
        scale = ops.maximum(largest * (1 / 127), _LEAST)
        return ops.round(x / scale) * scale
    whole = ops.round(x * (1 / one.x_scale)) + float(one.x_zero)
    whole = ops.minimum(ops.maximum(whole, -128.0), 127.0)
    return (whole - float(one.x_zero)) * one.x_scale
