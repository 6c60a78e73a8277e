"""What to say where the native module is missing or does not load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]


def advice(error: ImportError) -> str:
    """Say why slimlearn's native module is not there, and what to do.

    Parameters
    ----------
    error : ImportError
        What the import said; told where a module is there but does not load.

    Returns
    -------
    str
        The cause, and the way out.
    """
    if _has_module(PACKAGE):
        cause = f"slimlearn's native module in {PACKAGE} does not load ({error})"
    elif there := sorted(file.name for file in PACKAGE.glob("_native.*.so")):
        version = "{}.{}".format(*sys.version_info)
        cause = f"{PACKAGE} has no native module for Python {version} ({there[0]})"
    else:
        cause = f"slimlearn's native module is not built in {PACKAGE}"
    if not (PACKAGE / "setup.py").exists():
        return f"{cause}: reinstall it, pip install --force-reinstall slimlearn"
    for folder in _found():
        if folder != PACKAGE and _has_module(folder):
            return (
                f"{cause}, a source tree that hides the slimlearn installed in "
                f"{folder}, because {_why_first()}: start Python in another folder, or "
                "run `make build` in the source tree"
            )
    return (
        f"{cause}, a source tree: run `make build` there, or install it with pip and "
        "start Python in another folder"
    )


def _has_module(package: Path) -> bool:
    return any((package / f"_native{suffix}").exists() for suffix in EXTENSION_SUFFIXES)


def _found() -> Iterator[Path]:
    """Yield every folder where Python would find a slimlearn, the first one first."""
    specs = [PathFinder.find_spec("slimlearn", [entry]) for entry in sys.path]
    specs += [finder.find_spec("slimlearn", None) for finder in sys.meta_path]
    for spec in specs:
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).resolve().parent


def _why_first() -> str:
    for entry in sys.path:
        if Path(entry).resolve() == PACKAGE.parent:
            here = Path(entry).resolve() == Path.cwd()
            return "Python was started in its parent" if here else f"{entry} is first"
    return "Python finds it first"
