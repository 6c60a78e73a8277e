"""Programs as source: their elementwise parts as functions of C99 or CUDA."""

from __future__ import annotations

import dataclasses

from slimlearn.backend.engine.native import native

__all__ = ["Argument", "Kernel", "Source", "source"]


@dataclasses.dataclass(frozen=True)
class Argument:
    """An operand or a result of a printed function.

    Attributes
    ----------
    name : str
        The value's name in the program.
    type : str
        As the text of a program has it: ``f32[B,20]``.
    row_stride : int
        Elements from row to row where rows lie apart, else 0.
    """

    name: str
    type: str
    row_stride: int


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A printed function: ``void name(int64_t rows, operands..., results...)``.

    Attributes
    ----------
    name : str
    op : str
        What it computes; of a contraction (``matmul``) it is what follows the products,
        which are its first operand and bear the name of the first result.
    operands, results : tuple of Argument
        In order: pointers to their elements, bool and u8 as ``uint8_t``.
    prefix : str
        Of the function that it belongs to.
    """

    name: str
    op: str
    operands: tuple[Argument, ...]
    results: tuple[Argument, ...]
    prefix: str


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of printed functions.

    Attributes
    ----------
    text : str
    kernels : tuple of Kernel
    refused : dict of str to str
        Why a function could not be printed, by the name it would have.
    """

    text: str
    kernels: tuple[Kernel, ...]
    refused: dict[str, str]


def source(
    functions: dict[str, tuple[str, str]], dialect: str = "c", *, fixed: bool = False
) -> Source:
    """Return the elementwise parts of functions as one file of C99 or CUDA.

    Each is a function of its own that loops over all elements of a batch of any number
    of rows. Compiled without contraction (``-std=c99`` or ``-ffp-contract=off``;
    ``nvcc --fmad=false``) it gives the bits of the kernels of a level with fused
    multiply-add; with ``-DSLIM_NO_FMA``, in C, those of the generic level. Kernels
    flush denormals; the bits of a NaN are anybody's.

    Parameters
    ----------
    functions : dict of str to (str, str)
        From a prefix of names to a program's text and the name of its function.
    dialect : {"c", "cuda"}
    fixed : bool
        Whether they are parts of a file of C: static, without ``rows`` as all sizes are
        numbers, called by their prefix and what they compute, and of values whose rows
        lie one behind the other.

    Raises
    ------
    ValueError
        If a text is no valid program, a prefix no identifier, or for another dialect.
    """
    for prefix in functions:
        if not (prefix.isascii() and prefix.isidentifier()):
            raise ValueError(
                f"a function of C cannot be named {prefix!r}: use letters, digits and _"
            )
    items = [(text, name, prefix) for prefix, (text, name) in functions.items()]
    made = native.source(items, dialect, fixed)
    kernels = [
        Kernel(
            kernel["name"],
            kernel["op"],
            *(
                tuple(Argument(*facts) for facts in kernel[part])
                for part in ("operands", "results")
            ),
            kernel["prefix"],
        )
        for kernel in made["kernels"]
    ]
    return Source(made["text"], tuple(kernels), made["refused"])
