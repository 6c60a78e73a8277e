"""Reductions: arguments as TensorFlow has them, older words among them."""

from collections.abc import Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor


def _reduction(word: str, what: str):
    function = getattr(ops, word)

    def reduce(
        input_tensor: Tensor,
        axis: int | Sequence[int] | None = None,
        keepdims: bool | None = None,
        name: str | None = None,
        reduction_indices: int | Sequence[int] | None = None,
        keep_dims: bool | None = None,
    ) -> Tensor:
        axis = reduction_indices if axis is None else axis
        kept = keep_dims if keepdims is None else keepdims
        return function(input_tensor, axis, bool(kept), name)

    reduce.__name__ = reduce.__qualname__ = word
    reduce.__doc__ = f"""Return {what} of the elements along axes.

    Parameters
    ----------
    input_tensor : Tensor
    axis : int or sequence of int, optional
        The axes that are reduced, all of them by default. Axis 0 is the batch.
    keepdims : bool, optional
        Keep reduced axes with length 1.
    name : str, optional
        Of the result, inside the current scope.
    reduction_indices, keep_dims : optional
        The older words for `axis` and `keepdims`.
    """
    return reduce


reduce_max = _reduction("reduce_max", "the largest")
reduce_mean = _reduction("reduce_mean", "the mean")
reduce_min = _reduction("reduce_min", "the smallest")
reduce_sum = _reduction("reduce_sum", "the sum")


def argmax(input: Tensor, axis: int, name: str | None = None) -> Tensor:
    """Return the position of the largest element along an axis.

    Parameters
    ----------
    input : Tensor
    axis : int
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.argmax(input, axis, name)
