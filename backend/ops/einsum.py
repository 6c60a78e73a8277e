"""Sums of products that are named by letters, as matrix products."""

import re

from slimlearn.backend import ops
from slimlearn.backend.graph import FLOATS, Tensor, type_text
from slimlearn.backend.op import check_tensor, public
from slimlearn.backend.shape import product

_FORM = re.compile(r"[A-Za-z]*(,[A-Za-z]*)*(->[A-Za-z]*)?")


@public
def einsum(subscripts: str, *operands: Tensor, name: str | None = None) -> Tensor:
    """Return the sum of products that letters say, as NumPy's.

    Parameters
    ----------
    subscripts : str
        A letter for each axis, such as ``"bij,jk->bik"``: those that are not in the
        result are summed over. Without ``->`` the result has the letters that stand
        once, in alphabetical order. No letter stands twice in one operand, and there is
        no ``...``.
    *operands : Tensor of floats
        Multiplied from left to right, each time by one matrix product.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        If an operand is no tensor.
    ValueError
        If letters and shapes do not fit.

    Examples
    --------
    Scores of queries and keys [B, T, heads, d]::

        scores = ops.einsum("bqhd,bkhd->bhqk", queries, keys)
    """
    where = f"[einsum {name or 'einsum'}]"
    text = subscripts.replace(" ", "")
    if not _FORM.fullmatch(text):
        raise ValueError(
            f"{where} {subscripts!r} is no form such as 'ij,jk->ik': letters, commas "
            "and one ->"
        )
    inputs, arrow, result = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(
            f"{where} {subscripts!r} names {len(terms)} operands, got {len(operands)}"
        )
    if not arrow:
        result = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    sizes: dict = {}
    for term, operand in zip(terms, operands, strict=True):
        check_tensor(operand, "einsum", name)
        if len(terms) > 1 and operand.dtype not in FLOATS:
            raise ValueError(
                f"{where} {term!r} is {type_text(*operand.type)}: products are of f32 "
                "or f64, cast it"
            )
        if len(term) != operand.rank or len(set(term)) != len(term):
            raise ValueError(
                f"{where} {term!r} does not fit {type_text(*operand.type)}: one letter "
                "for each axis, each once"
            )
        for letter, size in zip(term, operand.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(
                    f"{where} {letter!r} is {sizes[letter]} and {size} long in "
                    f"{subscripts!r}"
                )
    if len(set(result)) != len(result) or not set(result) <= set(sizes):
        raise ValueError(
            f"{where} the result {result!r} needs letters of the operands, each once"
        )
    term, value = terms[0], operands[0]
    for i in range(1, len(terms)):
        kept = set(result).union(*terms[i + 1 :])
        term, value = _multiply(term, value, terms[i], operands[i], kept, sizes)
    term, value = _summed(term, value, set(result))
    order = [term.index(letter) for letter in result]
    value = value if order == sorted(order) else ops.transpose(value, order)
    return value if name is None else ops.identity(value, name)


def _summed(term: str, value: Tensor, kept: set) -> tuple[str, Tensor]:
    """Sum over the letters that are not kept."""
    axes = [i for i, letter in enumerate(term) if letter not in kept]
    if axes:
        value = ops.reduce_sum(value, axes)
    return "".join(letter for letter in term if letter in kept), value


def _multiply(a: str, x: Tensor, b: str, y: Tensor, kept: set, sizes: dict):
    """Return the product of two terms, over the letters that are kept after it."""
    a, x = _summed(a, x, kept | set(b))
    b, y = _summed(b, y, kept | set(a))
    both = [letter for letter in a if letter in b]
    stacks = [letter for letter in both if letter in kept]
    inner = [letter for letter in both if letter not in kept]
    left = [letter for letter in a if letter not in b]
    right = [letter for letter in b if letter not in a]

    def matrix(term: str, value: Tensor, letters, groups) -> Tensor:
        order = [term.index(letter) for letter in letters]
        if order != sorted(order):
            value = ops.transpose(value, order)
        shape = [sizes[letter] for letter in stacks]
        shape += [product([sizes[letter] for letter in group]) for group in groups]
        return ops.reshape(value, shape)

    x = matrix(a, x, [*stacks, *left, *inner], (left, inner))
    y = matrix(b, y, [*stacks, *inner, *right], (inner, right))
    letters = [*stacks, *left, *right]
    value = ops.reshape(ops.matmul(x, y), [sizes[letter] for letter in letters])
    return "".join(letters), value
