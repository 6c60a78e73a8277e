"""Tensors in tuples, lists and dicts, as functions take and return them."""

from collections.abc import Sequence

from slimlearn.backend.graph import Tensor
from slimlearn.backend.op import check_tensor

# A structure without its tensors: None, "*" for a tensor, (type, keys, parts) else.


def flatten(value, scope: str, op: str, what: str) -> tuple[list[Tensor], object]:
    """Return the tensors of a structure and what `rebuild` needs to build it again."""
    if value is None:
        return [], None
    if isinstance(value, dict):
        kind, keys, parts = dict, tuple(value), list(value.values())
    elif isinstance(value, (tuple, list)):
        kind, keys, parts = type(value), None, list(value)
    else:
        return [check_tensor(value, op, f"{scope}: {what}")], "*"
    pairs = [flatten(part, scope, op, what) for part in parts]
    tensors = [tensor for some, _ in pairs for tensor in some]
    return tensors, (kind, keys, tuple(like for _, like in pairs))


def rebuild(tensors: Sequence[Tensor], like):
    """Return `tensors` in the structure that `flatten` took them from."""
    tensors = iter(tensors)

    def build(part):
        if part is None:
            return None
        if part == "*":
            return next(tensors)
        kind, keys, parts = part
        values = [build(inner) for inner in parts]
        if keys is not None:
            return dict(zip(keys, values, strict=True))
        return kind(*values) if hasattr(kind, "_fields") else kind(values)

    return build(like)


def structure_text(like) -> str:
    if like is None:
        return "None"
    if like == "*":
        return "a tensor"
    kind, _, parts = like
    return f"{kind.__name__} of {len(parts)}"
