"""Functions of C that exported files call: each once, where it is needed."""

from __future__ import annotations

import re

__all__ = ["C_TYPES", "Helpers"]

C_TYPES = {
    "f32": "float",
    "f64": "double",
    "i8": "int8_t",
    "i32": "int32_t",
    "i64": "int64_t",
    "bool": "uint8_t",
    "u8": "uint8_t",
}

# Of each family a file; a helper of it is registered by `Helpers.define`.
_TEXTS: dict[str, str] = {}


class Helpers:
    """The helpers that one file needs, each behind those that it calls."""

    def __init__(self):
        self._texts: dict[str, str] = {}

    @staticmethod
    def define(text: str) -> None:
        """Register the C function, or type, of a text, called by its first line.

        ``TYPE`` is a type of numbers, ``NAME`` how this one is called.
        """
        name = re.match(r"/\* (\w+)", text.lstrip())
        assert name is not None, text
        _TEXTS[name[1]] = re.sub(r"/\* \w+: ", "/* ", text.strip(), count=1) + "\n"

    @staticmethod
    def names() -> set[str]:
        """All that they may be called."""
        types = ("", *(f"_{dtype}" for dtype in C_TYPES))
        return {f"{name}{dtype}" for name in _TEXTS for dtype in types}

    def use(self, name: str, dtype: str = "") -> str:
        """What the helper is called for numbers of a type."""
        called = f"{name}_{dtype}" if dtype else name
        if called not in self._texts:
            text = _TEXTS[name]
            for other in re.findall(r"USE\((\w+)\)", text):
                typed = dtype if "TYPE" in _TEXTS[other] else ""
                text = text.replace(f"USE({other})", self.use(other, typed))
            if dtype:
                text = text.replace("TYPE", C_TYPES[dtype])
                for word in ("exp", "log", "fabs"):
                    single = f"{word}f" if dtype == "f32" else word
                    text = re.sub(rf"\b{word.upper()}\b", single, text)
            self._texts[called] = text.replace("NAME", called)
        return called

    def text(self) -> str:
        """All of them."""
        return "\n".join(self._texts.values())
