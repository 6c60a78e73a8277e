"""From whole numbers to vectors."""

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_model
from slimlearn.layers import utils
from slimlearn.layers.initializers import (
    constant_initializer,
    truncated_normal_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import factors, model_variable


@add_arg_scope
def embedding(
    ids: Tensor,
    vocab_size: int,
    embed_dim: int,
    initializer: Callable | np.ndarray | None = None,
    regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    learning_rate_factor: float | None = None,
    decay_factor: float | None = None,
    padding_id: int | None = None,
) -> Tensor:
    """Look up a trained vector for each number.

    Parameters
    ----------
    ids : Tensor
        Whole numbers from 0 to `vocab_size` - 1, of any shape; floating ones, as
        the columns of X are, are cut to whole ones.
    vocab_size : int
        How many vectors there are.
    embed_dim : int
        Their length.
    initializer : callable or ndarray, optional
        By default truncated normal numbers of deviation 1 / sqrt(embed_dim). An array
        [vocab_size, embed_dim] holds vectors that were trained elsewhere; with
        ``trainable=False`` they stay as they are.
    regularizer : callable, optional
        The penalty on all vectors.
    reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    scope : str, optional
        ``embedding`` by default; the variable is ``<scope>/embeddings``.
    learning_rate_factor, decay_factor : float, optional
        As in `fully_connected`.
    padding_id : int, optional
        A number whose vector is zeros, and stays so.

    Returns
    -------
    Tensor
        The shape of `ids` with `embed_dim` appended.

    Raises
    ------
    ValueError
        If an array as `initializer` has another shape, or `padding_id` is no number
        of the vocabulary.
    """
    vocab_size = utils.check_size("embedding", "vocab_size", vocab_size)
    embed_dim = utils.check_size("embedding", "embed_dim", embed_dim)
    if initializer is None:
        initializer = truncated_normal_initializer(0.0, 1 / math.sqrt(embed_dim))
    elif isinstance(initializer, np.ndarray):
        if initializer.shape != (vocab_size, embed_dim):
            raise ValueError(
                f"embedding: initializer is an array of shape {initializer.shape}, "
                f"needs ({vocab_size}, {embed_dim})"
            )
        initializer = constant_initializer(initializer)
    if padding_id is not None and not (
        isinstance(padding_id, Integral) and 0 <= padding_id < vocab_size
    ):
        raise ValueError(
            f"embedding: padding_id must be a number from 0 to {vocab_size - 1}, got "
            f"{padding_id!r}"
        )
    own = factors("embedding", learning_rate_factor, decay_factor, ["embeddings"])
    with variable_scope(scope, "embedding", reuse=reuse) as layer, own:
        ids = utils.as_ids("embedding", ids)
        table = model_variable(
            "embeddings",
            [vocab_size, embed_dim],
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(
                variables_collections, "embeddings"
            ),
        )
        outputs = ops.gather(table, ids)
        if padding_id is not None:
            used = ops.not_equal(ids, ops.constant(int(padding_id), ids.dtype))
            outputs = ops.where(ops.expand_dims(used, -1), outputs, 0.0)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def one_hot_encoding(
    labels: Tensor,
    num_classes: int,
    on_value: float = 1.0,
    off_value: float = 0.0,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Return a vector with one entry on for each number.

    Parameters
    ----------
    labels : Tensor
        Whole numbers, of any shape; outside 0 … `num_classes` - 1 all entries are
        off. Floating ones are cut to whole ones.
    num_classes : int
        The length of the vectors.
    on_value, off_value : float
        The entries.
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``OneHotEncoding`` by default.

    Returns
    -------
    Tensor
        The shape of `labels` with `num_classes` appended, in the model's precision.
    """
    num_classes = utils.check_size("one_hot_encoding", "num_classes", num_classes)
    with variable_scope(scope, "OneHotEncoding") as layer:
        ids = utils.as_ids("one_hot_encoding", labels)
        outputs = ops.one_hot(
            ids,
            num_classes,
            on_value=on_value,
            off_value=off_value,
            dtype=current_model().precision,
        )
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)
