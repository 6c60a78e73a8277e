"""What C cannot be made of: errors that name the op, the layer and what to do."""

from __future__ import annotations

__all__ = ["NotExportable", "place_of"]


class NotExportable(ValueError):
    """A network has something that C exports have no code for."""


def place_of(node) -> str:
    """The op and the layer of a node, as errors name them."""
    name = node.results[0].name if node.results else ""
    layer = name.rpartition("/")[0]
    where = f"layer {layer!r} ({name})" if layer else f"{name!r}"
    return f"{node.op} of {where}"
