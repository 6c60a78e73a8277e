"""Local response normalization: channels held back by their neighbours."""

from numbers import Integral, Real

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import utils
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope


@add_arg_scope
def local_response_normalization(
    inputs: Tensor,
    depth_radius: int = 5,
    bias: float = 1.0,
    alpha: float = 1.0,
    beta: float = 0.5,
    scope: str | None = None,
) -> Tensor:
    """Divide each channel by a power of the squares of the channels beside it.

    x / (bias + alpha · Σ x²)^beta, with the sum over a pixel's channels no further
    than `depth_radius` away; names and defaults are those of TensorFlow's function.

    Parameters
    ----------
    inputs : Tensor
        [B, …, channels]
    depth_radius : int, default=5
        At least 0: 2 · depth_radius + 1 channels are summed, fewer at the ends.
    bias : float, default=1.0
        Above 0; keeps 0 from being divided by.
    alpha : float, default=1.0
        At least 0, the weight of the sum. PyTorch and Caffe divide it by the number of
        channels summed.
    beta : float, default=0.5
        The power.
    scope : str, optional
        ``LRN`` by default.

    Returns
    -------
    Tensor
        As `inputs`.

    Raises
    ------
    ValueError
        If `depth_radius`, `bias` or `alpha` is none of the numbers above.

    References
    ----------
    Krizhevsky et al., "ImageNet classification with deep convolutional neural
    networks", 2012, section 3.3.
    """
    where = "local_response_normalization"
    utils.check_float(where, inputs, min_rank=2)
    if not isinstance(depth_radius, Integral) or depth_radius < 0:
        raise ValueError(
            f"{where}: depth_radius must be a whole number of at least 0, "
            f"got {depth_radius!r}"
        )
    if not isinstance(bias, Real) or not bias > 0:
        raise ValueError(f"{where}: bias must be a number above 0, got {bias!r}")
    if not isinstance(alpha, Real) or not alpha >= 0:
        raise ValueError(
            f"{where}: alpha must be a number of at least 0, got {alpha!r}"
        )
    channels = utils.feature_count(where, inputs)
    with variable_scope(scope, "LRN"):
        # Sums of neighbours are a product with a band of ones.
        ones = ops.ones([channels, channels], inputs.dtype)
        band = ops.triu(ops.tril(ones, depth_radius), -depth_radius)
        total = ops.matmul(ops.square(inputs), band)
        return ops.mul(
            inputs, ops.power(total * float(alpha) + float(bias), -float(beta))
        )
