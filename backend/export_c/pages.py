"""The file of C and its header: what users of the network see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from slimlearn.backend.engine import source
from slimlearn.backend.export_c.errors import NotExportable
from slimlearn.backend.export_c.families import MEMBERS, File, count_of
from slimlearn.backend.export_c.helpers import C_TYPES
from slimlearn.backend.export_c.literals import definition
from slimlearn.backend.export_c.network import Network, optimized
from slimlearn.backend.export_c.quantize import Quantized
from slimlearn.backend.export_c.writing import Function
from slimlearn.backend.graph import NUMPY_TYPES, type_text

__all__ = ["Pages", "Wish", "write_c"]


class Wish(NamedTuple):
    """What a file is to offer.

    Attributes
    ----------
    name : str
        Of the network: an identifier, with which all other names begin.
    compute : str
        What the function is called that gives the network's numbers.
    says : str
        What these are, for the header.
    labels : sequence of str or of numbers, or None
        Of the classes: then there is ``NAME_predict``, the place of the chosen one.
    own_arena : bool
        Whether the file has an arena, so that one call runs at a time.
    about : sequence of str
        Lines for the header's beginning.
    """

    name: str
    compute: str
    says: str
    labels: Sequence | None = None
    own_arena: bool = True
    about: Sequence[str] = ()


class Pages(NamedTuple):
    """A network in C.

    Attributes
    ----------
    source, header : str
    arena_bytes, weight_bytes : int
        What it takes of memory that is written, and of memory that is not.
    """

    source: str
    header: str
    arena_bytes: int
    weight_bytes: int


def write_c(
    network: Network,
    wish: Wish,
    header_name: str,
    quantized: Mapping[str, Quantized] | None = None,
) -> Pages:
    """The text of both files; `quantized` are the arrays that are of 8 bits.

    Raises
    ------
    NotExportable
        If something in the network has no code in C; the error names it.
    """
    text, graph = optimized(network.model, network.function)
    file = File(wish.name)
    file.quantized = quantized or {}
    for public in ("arena", "predict", "labels", "ARENA_BYTES", wish.compute):
        file.names.take(f"{wish.name}_{public}")
    run = Function(file, file.names.take(f"{wish.name}_run"), graph, text)
    formulas = _formulas(file)
    file.arrays = {name: file.names.take(name) for name in network.arrays}
    file.scales = {n: file.names.take(f"{n}_scales") for n in file.quantized}
    names = file.names.copy()
    inputs = [names.take(value.name) for value in run.inputs]
    outputs = [names.take(wish.says) for _ in graph.returns]
    run.write({}, inputs, outputs)
    return _Assembly(network, wish, file, run, inputs, outputs, formulas).pages(
        header_name
    )


def _formulas(file: File) -> str:
    """The functions of elements that all functions of the file call."""
    parts = {part.name: (part.text, part.graph.name) for part in file.parts}
    made = source(parts, fixed=True)
    for name, why in made.refused.items():
        raise NotExportable(f"C exports have no code for {name}: {why}")
    for kernel in made.kernels:
        file.kernels[kernel.prefix, kernel.results[0].name] = kernel
        file.names.take(kernel.name)
    return made.text


class _Assembly:
    """The parts of both files, and their order."""

    def __init__(self, network, wish, file, run, inputs, outputs, formulas):
        self.network, self.wish, self.file, self.run = network, wish, file, run
        self.inputs, self.outputs, self.formulas = inputs, outputs, formulas
        sizes = file.sizes or {"u8": 1}
        self.arena = {dtype: sizes[dtype] for dtype in _BY_SIZE if dtype in sizes}

    def pages(self, header_name: str) -> Pages:
        used = [name for name in self.network.arrays if name in self.file.used]
        arrays = [array for name in used for array in self._arrays(name)]
        weights = sum(array.nbytes for _, array, _ in arrays)
        arena = _bytes_of(self.arena)
        formulas = self.formulas[self.formulas.index("#include") :]
        includes, _, functions = formulas.partition("\n\n")
        source_text = "\n".join(
            [
                f"/* {self.wish.name}: see {header_name}. */",
                f'#include "{header_name}"\n',
                f"{includes}\n",
                f"{_FMA}\n{functions}",
                *[definition(*array) for array in arrays],
                self.file.helpers.text(),
                *self.file.constants,
                *self.file.functions,
                self._public(),
            ]
        )
        return Pages(source_text, self._header(arena, weights), arena, weights)

    def _arrays(self, name: str) -> list[tuple[str, np.ndarray, str]]:
        """What stands in the file for an array of the program."""
        word, one = self.file.arrays[name], self.file.quantized.get(name)
        dtype = self.network.model.declarations[name].dtype
        if one is None:
            return [(word, self.network.arrays[name], dtype)]
        return [(word, one.values, "i8"), (self.file.scales[name], one.scales, dtype)]

    # -- what users call --------------------------------------------------------------

    def _signature(self, name: str, result: str, outputs: bool) -> str:
        name = f"{self.wish.name}_{name}"
        words = [
            f"const {C_TYPES[value.dtype]} {word}[{count_of(value)}]"
            for value, word in zip(self.run.inputs, self.inputs, strict=True)
        ]
        if outputs:
            words += [
                f"{C_TYPES[value.dtype]} {word}[{max(count_of(value), 1)}]"
                for value, word in zip(
                    self.run.graph.returns, self.outputs, strict=True
                )
            ]
        if not self.wish.own_arena:
            words.append(f"{self.wish.name}_arena *arena")
        return f"{result} {name}({', '.join(words)})"

    def _public(self) -> str:
        name, arena = self.wish.name, "arena"
        lines = []
        if self.wish.own_arena and self.run.needs_arena:
            lines, arena = [f"static {name}_arena memory;\n"], "&memory"
        more = [arena] if self.run.needs_arena else []
        words = ", ".join([*self.inputs, *self.outputs, *more])
        unused = [] if more or self.wish.own_arena else ["  (void)arena;"]
        lines += [
            self._signature(self.wish.compute, "void", True) + " {",
            *unused,
            f"  {self.run.name}({words});",
            "}\n",
        ]
        if self.wish.labels is not None:
            (value,), (word,) = self.run.graph.returns, self.outputs
            kind, count = C_TYPES[value.dtype], count_of(value)
            lines += [
                self._signature("predict", "int32_t", False) + " {",
                f"  {kind} {word}[{count}];",
                *unused,
                f"  {self.run.name}({words});",
                *_CHOICES[count > 1].format(word=word, count=count).splitlines(),
                "}\n",
                self._labels(f" = {{{', '.join(map(_label, self.wish.labels))}}};"),
            ]
        return "\n".join(lines)

    def _labels(self, end: str) -> str:
        labels, kind = self.wish.labels, "const double "
        if all(isinstance(label, str) for label in labels):
            kind = "const char *const "
        elif all(isinstance(label, int) for label in labels):
            small = all(abs(label) < 2**31 for label in labels)
            kind = "const int32_t " if small else "const int64_t "
            if max(labels) >= 2**63:
                kind = "const uint64_t "
        return f"{kind}{self.wish.name}_labels[{len(labels)}]{end}\n"

    def _header(self, arena: int, weights: int) -> str:
        wish = self.wish
        guard = f"{wish.name.upper()}_H"
        threads = (
            "One call at a time: the file has the memory that calls write to."
            if wish.own_arena
            else "Threads may call at once, each with an arena of its own."
        )
        lines = [
            f"/* {wish.name}: a network as C99, which calls no function but those of",
            " * math.h and string.h, and allocates nothing.",
            *[f" * {line}".rstrip() for line in ("", *wish.about)],
            " *",
            f" * Constants {weights} bytes; memory {arena} bytes ({wish.name}_arena).",
            f" * {threads}",
            " */",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <stdint.h>",
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            f"#define {wish.name.upper()}_ARENA_BYTES {arena}",
            "",
            "typedef struct {",
            *[
                f"  {C_TYPES[d]} {MEMBERS.get(d, d)}[{n}];"
                for d, n in self.arena.items()
            ],
            f"}} {wish.name}_arena;",
            "",
            f"/* {self._described()} */",
            self._signature(wish.compute, "void", True) + ";",
            "",
        ]
        if wish.labels is not None:
            lines += [
                "/* The place of the most likely class in the table of labels. */",
                self._signature("predict", "int32_t", False) + ";",
                "extern " + self._labels(";"),
            ]
        lines += ["#ifdef __cplusplus", "}", "#endif", "", f"#endif /* {guard} */", ""]
        return "\n".join(lines)

    def _described(self) -> str:
        words = [
            f"{word}: {type_text(value.dtype, value.shape[1:])}"
            for values, names in (
                (self.run.inputs, self.inputs),
                (self.run.graph.returns, self.outputs),
            )
            for value, word in zip(values, names, strict=True)
        ]
        return f"Of one row. {'; '.join(words)}."


# The widest first: then none of them is followed by a gap.
_BY_SIZE = ("f64", "i64", "f32", "i32", "u8", "bool", "i8")

_FMA = """/* Where a processor cannot multiply and add at once, it does both. */
#ifndef FP_FAST_FMAF
#define SLIM_NO_FMA
#endif
"""

_CHOICES = {
    True: """  int32_t best = 0;
  for (int32_t i = 1; i < {count}; ++i) {{
    if ({word}[i] > {word}[best]) best = i;
  }}
  return best;""",
    False: "  return {word}[0] > 0;",
}


def _bytes_of(arena: dict[str, int]) -> int:
    sizes = {d: NUMPY_TYPES[d].itemsize if d in NUMPY_TYPES else 1 for d in arena}
    widest = max(sizes.values())
    total = sum(sizes[dtype] * count for dtype, count in arena.items())
    return -(-total // widest) * widest


def _label(label) -> str:
    if isinstance(label, int) and not -(2**63) < label < 2**63:
        return f"{label}u" if label > 0 else "INT64_MIN"
    if not isinstance(label, str):
        return repr(label)
    plain = "".join(
        chr(c) if 32 <= c < 127 and c not in b'"\\?' else f"\\{c:03o}"
        for c in label.encode("utf-8", "surrogatepass")
    )
    return f'"{plain}"'
