"""Which parameters a user means by names with wildcards."""

from __future__ import annotations

from fnmatch import fnmatchcase

__all__ = ["matches"]


def matches(name: str, patterns) -> bool:
    """Whether a parameter's name, or the layer above it, fits one of the patterns."""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    layer = name.rpartition("/")[0]
    return any(fnmatchcase(name, p) or fnmatchcase(layer, p) for p in patterns)
