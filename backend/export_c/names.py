"""Names of C for values that are called by scopes."""

from __future__ import annotations

import re

__all__ = ["Names", "is_identifier"]


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


# Of C99, C11, C++, and what functions of the file call their own.
_WORDS = _words("""
    auto break case char const continue default do double else enum extern float for
    goto if inline int long register restrict return short signed sizeof static struct
    switch typedef union unsigned void volatile while main
    alignas alignof and asm bool catch class constexpr delete explicit export false
    friend mutable namespace new not operator or private protected public
    static_assert template this throw true try typename using virtual xor
    arena step memcpy memset memory i j at
""")
# Functions of math.h, each for three types, and of string.h.
_MATH = _words("""
    acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2
    expm1 fabs fdim floor fma fmax fmin fmod frexp gamma hypot ilogb j0 j1 jn ldexp
    lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint
    nextafter nexttoward pow remainder remquo rint round scalb scalbln scalbn
    significand sin sinh sqrt tan tanh tgamma trunc y0 y1 yn
""")
_STRING = _words("""
    index memccpy memchr memcmp memmove mempcpy rindex strcat strchr strcmp strcoll
    strcpy strcspn strdup strerror strlen strncat strncmp strncpy strpbrk strrchr strsep
    strspn strstr strtok strxfrm
""")
_RESERVED = _WORDS | _STRING | {f"{n}{t}" for n in _MATH for t in ("", "f", "l")}


def is_identifier(name: str) -> bool:
    """Whether C and C++ take a name for what they call functions."""
    fits = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None
    return fits and name not in _RESERVED


class Names:
    """Identifiers that are no two the same."""

    def __init__(self, *taken: str):
        self._taken = {*_RESERVED, *taken}

    def take(self, wish: str) -> str:
        """An identifier that is like a name of the program."""
        name = re.sub(r"\W", "_", wish, flags=re.ASCII).strip("_") or "value"
        name = f"v{name}" if name[0].isdigit() else name
        free, count = name, 1
        while free in self._taken:
            free, count = f"{name}_{count}", count + 1
        self._taken.add(free)
        return free

    def copy(self) -> Names:
        """Names for a function, which hide none of these."""
        return Names(*self._taken)
