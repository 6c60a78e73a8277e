"""Warnings that name the line of the user's code which they are about."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]

# Who stands between the user's call and the warning.
_PASSED = ("slimlearn", "sklearn", "contextlib")


def warn(text: str | Warning, kind: type[Warning] = UserWarning) -> None:
    """Warn of the line that called the estimator, alone or inside others."""
    level, frame = 1, sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _PASSED:
            break
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level + 1)
