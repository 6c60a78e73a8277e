"""Small things that layers share: end points, collections, checks of arguments."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real

from slimlearn.backend import ops
from slimlearn.backend.graph import (
    FLOATS,
    Tensor,
    current_graph,
    element_of,
    storage_of,
    type_text,
)
from slimlearn.backend.op import not_dense

__all__ = [
    "collect_named_outputs",
    "convert_collection_to_dict",
    "last_dimension",
]


def __dir__() -> list[str]:
    return __all__


def collect_named_outputs(
    collections: str | Sequence[str] | None, alias: str, outputs: Tensor
) -> Tensor:
    """Add a layer's output, under a name, to lists of the function being built.

    Parameters
    ----------
    collections : str, sequence of str, or None
        The lists; None for none.
    alias : str
        The name, as a rule the layer's scope; see `convert_collection_to_dict`.
    outputs : Tensor

    Returns
    -------
    Tensor
        `outputs`.
    """
    if collections:
        graph = current_graph()
        if isinstance(collections, str):
            collections = [collections]
        for collection in collections:
            graph.collection(collection).append(outputs)
            aliases = graph.layers.setdefault(("aliases", collection), [])
            aliases.append((alias.rstrip("/"), outputs))
    return outputs


def convert_collection_to_dict(
    collection: str, clear_collection: bool = False
) -> dict[str, Tensor]:
    """Return a list that layers put their outputs in as ``{alias: output}``.

    Parameters
    ----------
    collection : str
    clear_collection : bool, default=False
        Empty the list afterwards.
    """
    graph = current_graph()
    aliases = graph.layers.get(("aliases", collection), [])
    named = {id(tensor) for _, tensor in aliases}
    found = dict(aliases)
    for tensor in graph.collection(collection):
        if id(tensor) not in named:
            found[tensor.name] = tensor
    if clear_collection:
        graph.collection(collection).clear()
        aliases.clear()
    return found


def last_dimension(shape: Sequence, min_rank: int = 1) -> int:
    """Return the size of a shape's last axis: the channels, or features.

    Parameters
    ----------
    shape : sequence of int or dimensions
        Such as ``inputs.get_shape()``.
    min_rank : int, default=1
        How many dimensions it must have at least.

    Raises
    ------
    ValueError
        If it has fewer, or the last has no fixed size.
    """
    shape = tuple(shape)
    if len(shape) < min_rank or not shape or not isinstance(shape[-1], int):
        raise ValueError(
            f"last_dimension: needs a shape of at least {max(min_rank, 1)} dimensions, "
            f"the last of fixed size, got [{', '.join(map(str, shape))}]"
        )
    return shape[-1]


def get_variable_collections(
    variables_collections: Sequence[str] | Mapping[str, Sequence[str]] | None, name: str
) -> Sequence[str] | None:
    """Return the collections meant for the variable `name` of a layer."""
    if isinstance(variables_collections, Mapping):
        return variables_collections.get(name)
    return variables_collections


def check_tensor(layer: str, inputs, min_rank: int = 0, sparse: bool = False) -> Tensor:
    """Return `inputs` if a tensor of at least `min_rank` dimensions.

    Sparse rows are refused unless the layer takes them.
    """
    if not isinstance(inputs, Tensor):
        raise TypeError(
            f"{layer}: inputs must be a tensor of the network being built, got "
            f"{type(inputs).__name__}"
        )
    if storage_of(inputs.dtype) and not sparse:
        raise TypeError(f"{layer}: {not_dense(inputs)}")
    if inputs.rank < min_rank:
        raise ValueError(
            f"{layer}: inputs must have at least {min_rank} dimensions, "
            f"%{inputs.name} is {type_text(*inputs.type)}: reshape it to rows, as in "
            "ops.reshape(x, (-1, 1))"
        )
    return inputs


def check_float(layer: str, inputs, min_rank: int = 0, sparse: bool = False) -> Tensor:
    """Return `inputs` if a tensor of floating numbers."""
    check_tensor(layer, inputs, min_rank, sparse)
    if element_of(inputs.dtype) not in FLOATS:
        raise TypeError(
            f"{layer}: inputs must be f32 or f64, %{inputs.name} is "
            f"{type_text(*inputs.type)}: cast it"
        )
    return inputs


def check_function(where: str, word: str, value, hint: str) -> None:
    """Refuse what is neither a function nor None; `hint` names a function that fits."""
    if value is not None and not callable(value):
        raise TypeError(
            f"{where}: {word} must be a function such as {hint}, or None; got {value!r}"
        )


def check_size(layer: str, word: str, value) -> int:
    """Return `value` if a whole number of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"{layer}: {word} must be a whole number of at least 1, got {value!r}"
        )
    return int(value)


def check_positive(layer: str, word: str, value) -> None:
    """Refuse what is no finite number > 0."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 0 < value < math.inf):
        raise ValueError(f"{layer}: {word} must be a number > 0, got {value!r}")


def check_probability(layer: str, word: str, value) -> None:
    """Refuse what is no probability of dropping: at least 0 and below 1."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 0 <= value < 1):
        raise ValueError(
            f"{layer}: {word}, the probability of dropping, must be at least 0 and "
            f"below 1, got {value!r}"
        )


def feature_count(layer: str, inputs: Tensor) -> int:
    """Return the size of the last axis, which must be fixed."""
    size = inputs.shape[-1]
    if not isinstance(size, int):
        raise ValueError(
            f"{layer}: the last dimension of inputs must be a number, "
            f"%{inputs.name} is {type_text(*inputs.type)}: keep the batch in the first"
        )
    return size


def check_axis(layer: str, word: str, axis, rank: int) -> int:
    """Return `axis` counted from the front, if there is such an axis."""
    if not isinstance(axis, Integral) or not -rank <= axis < rank:
        raise ValueError(
            f"{layer}: {word}={axis!r} is no axis of inputs of {rank} dimensions"
        )
    return int(axis) % rank


def as_ids(layer: str, ids) -> Tensor:
    """Return whole numbers for `ids`; columns of X arrive as floating ones."""
    check_tensor(layer, ids)
    if ids.dtype in ("i32", "i64"):
        return ids
    return ops.cast(ids, "i32", name="ids")


def in_training(layer: str, is_training: bool | None) -> bool:
    """Return the mode that a layer builds: as told, else as the function is built."""
    if is_training is None:
        return current_graph().training
    if not isinstance(is_training, bool):
        raise TypeError(
            f"{layer}: is_training must be True, False or None (as the network is "
            f"being built), got {is_training!r}"
        )
    return is_training
