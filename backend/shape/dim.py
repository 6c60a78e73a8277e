"""Dimensions: integers, symbols (B the batch) and polynomials of them."""

import math
import operator
import os
import re
import threading
from collections import deque
from weakref import WeakValueDictionary

# A factor is a symbol ("B") or a floor division in parentheses ("((B+1)//2)"). A
# monomial is a sorted tuple of factors; a polynomial maps monomials to coefficients.
_Terms = dict[tuple[str, ...], int]

# By text, those that someone holds: a process of many networks keeps no old ones, but
# the last, since steps of a computation come again.
_DIMS: WeakValueDictionary[str, "Dim"] = WeakValueDictionary()
_LAST: deque["Dim"] = deque(maxlen=256)
_LOCK = threading.Lock()
# A child must not begin with a lock that another thread held in its parent.
os.register_at_fork(
    before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
)


class _Floor(str):
    """A floor division as a factor: its text, with what it divides by what."""

    __slots__ = ("denominator", "numerator")


class Dim:
    """A dimension that is not a plain integer, such as ``B``, ``2*B`` or ``(B+1)//2``.

    Dims are canonical and interned: two equal dims are the same object, so comparing
    and hashing cost nothing. Arithmetic that ends in a number returns an ``int``.
    Make one with `symbol` or `parse_dim`.
    """

    __slots__ = ("__weakref__", "_terms", "_text", "symbols")

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self):
        # The parser makes dims, so it cannot be imported before this module is.
        from slimlearn.backend.shape.parser import parse_dim

        return parse_dim, (self._text,)

    def __add__(self, other):
        return _add(self, other, 1)

    __radd__ = __add__

    def __sub__(self, other):
        return _add(self, other, -1)

    def __rsub__(self, other):
        return _add(other, self, -1)

    def __neg__(self):
        return _add(0, self, -1)

    def __mul__(self, other):
        if other.__class__ is int:
            return _make({m: c * other for m, c in self._terms.items()})
        if not _is_dim(other):
            return NotImplemented
        product: _Terms = {}
        for left, c in self._terms.items():
            for right, d in _terms_of(other).items():
                monomial = tuple(sorted(left + right))
                product[monomial] = product.get(monomial, 0) + c * d
        return _make(product)

    __rmul__ = __mul__

    def __floordiv__(self, other):
        return _floor_divide(self, other) if _is_dim(other) else NotImplemented

    def __rfloordiv__(self, other):
        return _floor_divide(other, self) if _is_dim(other) else NotImplemented

    # A loop or a branch over a dimension must say why it cannot be.

    def __index__(self):
        raise TypeError(
            f"the dimension {self} has no number while the network is being built: "
            "write it as it is in a shape, or as ops.extent(dim) in a computation"
        )

    def __lt__(self, other):
        return operator.index(self)

    __le__ = __gt__ = __ge__ = __lt__

    def evaluate(self, symbols: dict[str, int]) -> int:
        """Return the value with the given sizes, as in ``B.evaluate({"B": 32})``."""
        total = 0
        for monomial, coefficient in self._terms.items():
            for factor in monomial:
                coefficient *= _evaluate_factor(factor, symbols, self)
            total += coefficient
        return total

    def multiple_of(self, name: str) -> int | None:
        """Return c when this dim is ``c*name`` with c >= 1, else None."""
        if len(self._terms) == 1:
            ((monomial, coefficient),) = self._terms.items()
            if monomial == (name,) and coefficient >= 1:
                return coefficient
        return None


def symbol(name: str) -> Dim:
    """Return the dimension called `name`.

    Parameters
    ----------
    name : str
        A letter or underscore, then letters, digits or underscores.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(
            f"a symbol is a letter followed by letters, digits or _; got {name!r}"
        )
    return _make({(name,): 1})


def known_dim(text: str) -> Dim | None:
    """Return the dim that prints as `text`, if there is one already."""
    return _DIMS.get(text)


def evaluate(dim: int | Dim, symbols: dict[str, int]) -> int:
    """Return the number that `dim` stands for."""
    return dim if dim.__class__ is int else dim.evaluate(symbols)


def as_dim(value) -> int | Dim:
    """Return `value` (an integer of any kind, or a Dim) as ``int`` or `Dim`."""
    if value.__class__ is int or value.__class__ is Dim:
        return value
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"a dimension is an integer or a Dim; got {value!r} "
            f"of type {type(value).__name__}"
        ) from None


def exact_divide(a: int | Dim, b: int | Dim) -> int | Dim | None:
    """Return a / b when b is one term and divides every term of a, else None."""
    divisor = _terms_of(b)
    if len(divisor) != 1:
        return 1 if a == b else None
    ((divided_by, d),) = divisor.items()
    quotient: _Terms = {}
    for monomial, c in _terms_of(a).items():
        rest = list(monomial)
        for factor in divided_by:
            if factor not in rest:
                return None
            rest.remove(factor)
        if c % d:
            return None
        quotient[tuple(rest)] = c // d
    return _make(quotient)


def _is_dim(value) -> bool:
    return isinstance(value, (Dim, int)) or hasattr(value, "__index__")


def _terms_of(value) -> _Terms:
    if value.__class__ is Dim:
        return value._terms
    number = operator.index(value)
    return {(): number} if number else {}


def _add(left, right, sign: int):
    if not (_is_dim(left) and _is_dim(right)):
        return NotImplemented
    total = dict(_terms_of(left))
    for monomial, coefficient in _terms_of(right).items():
        total[monomial] = total.get(monomial, 0) + sign * coefficient
    return _make(total)


def _make(terms: _Terms) -> int | Dim:
    """Return the one object of this polynomial (an int when it has no symbol)."""
    kept = {monomial: c for monomial, c in terms.items() if c}
    if not kept or (len(kept) == 1 and () in kept):
        return kept.get((), 0)
    text = _text(kept)
    dim = _DIMS.get(text)
    if dim is None:
        dim = Dim()
        dim._terms = kept
        dim._text = text
        dim.symbols = frozenset().union(
            *(_symbols_of_factor(f) for monomial in kept for f in monomial)
        )
        with _LOCK:
            dim = _DIMS.setdefault(text, dim)
            _LAST.append(dim)
    return dim


def _text(terms: _Terms) -> str:
    order = sorted(terms, key=lambda m: (-len(m), "*".join(m)))
    return "".join(_term_text(terms[m], m, i == 0) for i, m in enumerate(order))


def _term_text(coefficient: int, monomial: tuple[str, ...], first: bool) -> str:
    sign = "-" if coefficient < 0 else "" if first else "+"
    size = abs(coefficient)
    if not monomial:
        return f"{sign}{size}"
    if size != 1:
        return f"{sign}{size}*{'*'.join(monomial)}"
    # A floor division alone needs no outer parentheses: nothing binds tighter.
    if coefficient == 1 and len(monomial) == 1 and monomial[0][0] == "(":
        return sign + monomial[0][1:-1]
    return sign + "*".join(monomial)


def _floor_divide(a: int | Dim, b: int | Dim) -> int | Dim:
    """Return a // b in canonical form.

    For an integer b, whole multiples of b leave the numerator and the common divisor
    of the rest and b is cancelled; so (2*B+5)//2 is B+2 and (2*B)//4 is B//2.
    """
    if b.__class__ is not Dim:
        b = operator.index(b)
        if b <= 0:
            raise ValueError(f"a dimension is divided by a positive number; got {b}")
        whole = _make({m: c // b for m, c in _terms_of(a).items()})
        rest = {m: c % b for m, c in _terms_of(a).items() if c % b}
        if not rest or (len(rest) == 1 and () in rest):
            return whole
        common = math.gcd(b, *rest.values())
        atom = _floor_atom(
            _make({m: c // common for m, c in rest.items()}), b // common
        )
        return whole + atom
    exact = exact_divide(a, b)
    return exact if exact is not None else _floor_atom(a, b)


def _floor_atom(numerator: int | Dim, denominator: int | Dim) -> Dim:
    atom = _Floor(f"({_wrap(numerator, True)}//{_wrap(denominator, False)})")
    atom.numerator, atom.denominator = numerator, denominator
    return _make({(atom,): 1})


def _wrap(value: int | Dim, is_numerator: bool) -> str:
    """Return the text of an operand of //, in parentheses unless it reads the same."""
    if value.__class__ is not Dim:
        return str(value) if value >= 0 else f"({value})"
    ((monomial, coefficient), *others) = value._terms.items()
    # * and // group from the left, so a product may stand before // but not after it.
    simple = len(monomial) == 1 and monomial[0][0] != "("
    if not others and coefficient == 1 and (is_numerator or simple):
        return str(value)
    return f"({value})"


def _evaluate_factor(factor: str, symbols: dict[str, int], whole: Dim) -> int:
    if factor.__class__ is _Floor:
        divisor = evaluate(factor.denominator, symbols)
        if divisor <= 0:
            raise ValueError(
                f"{whole}: {factor.denominator} is {divisor}, cannot divide by it"
            )
        return evaluate(factor.numerator, symbols) // divisor
    if factor not in symbols:
        raise ValueError(
            f"the size of {factor} in {whole} is unknown; known: {sorted(symbols)}"
        )
    return symbols[factor]


def _symbols_of_factor(factor: str) -> frozenset[str]:
    if factor.__class__ is not _Floor:
        return frozenset((factor,))
    parts = (factor.numerator, factor.denominator)
    return frozenset().union(*(p.symbols for p in parts if p.__class__ is Dim))


B = symbol("B")
