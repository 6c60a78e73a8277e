"""Dropout."""

from collections.abc import Sequence
from numbers import Real

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_graph, current_model
from slimlearn.layers import utils
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope


@add_arg_scope
def dropout(
    inputs: Tensor,
    keep_prob: float | Tensor = 0.5,
    noise_shape: Sequence[int | None] | None = None,
    is_training: bool | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """In training, keep each element with a probability, scaled up, else 0.

    Parameters
    ----------
    inputs : Tensor
    keep_prob : float or Tensor, default=0.5
        The probability of *keeping*, above 0 and at most 1 (estimators' `dropout`
        is the probability of dropping). A number becomes the run-time scalar
        ``<scope>/keep_prob``, so that a search over it shares one plan.
    noise_shape : sequence of int or None, optional
        The shape in which elements are drawn: 1 along an axis drops it as a whole,
        None stands for the size of `inputs`.
    is_training : bool, optional
        By default as the network is being built.
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``Dropout`` by default.
    seed : int, optional
        Moves the draw to another stream of random numbers.

    Returns
    -------
    Tensor
        As `inputs`; in inference `inputs` itself.

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014.
    """
    utils.check_float("dropout", inputs)
    number = not isinstance(keep_prob, Tensor)
    if number and not (isinstance(keep_prob, Real) and 0 < keep_prob <= 1):
        raise ValueError(
            "dropout: keep_prob, the probability of keeping, must be above 0 and at "
            f"most 1, got {keep_prob!r}"
        )
    training = utils.in_training("dropout", is_training)
    with variable_scope(scope, "Dropout") as layer:
        outputs = inputs
        if training and not (number and keep_prob == 1):
            if number:
                keep_prob = _hyper(f"{layer.name}/keep_prob", float(keep_prob))
            if keep_prob.dtype != inputs.dtype:
                keep_prob = ops.cast(keep_prob, inputs.dtype)
            name = "dropout" if seed is None else f"dropout:{int(seed)}"
            if noise_shape is None:
                outputs = ops.dropout(inputs, keep_prob, name=name)
            else:
                ones = ops.constant(1.0, inputs.dtype, _shape(inputs, noise_shape))
                outputs = ops.mul(inputs, ops.dropout(ones, keep_prob, name=name))
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def _hyper(name: str, value: float) -> Tensor:
    """The run-time scalar of this layer; a second layer of one scope has its own."""
    used = current_graph().root.layers.setdefault("keep_prob", {})
    used[name] = used.get(name, 0) + 1
    if used[name] > 1:
        name = f"{name}_{used[name] - 1}"
    return current_model().hyper(name, value)


def _shape(inputs: Tensor, noise_shape: Sequence[int | None]) -> tuple:
    if len(noise_shape) != inputs.rank:
        raise ValueError(
            f"dropout: noise_shape must have {inputs.rank} entries, one an axis of "
            f"inputs, got {list(noise_shape)}"
        )
    shape = tuple(
        size if noise is None else noise
        for size, noise in zip(inputs.shape, noise_shape, strict=True)
    )
    for size, noise in zip(inputs.shape, shape, strict=True):
        if noise not in (1, size):
            raise ValueError(
                f"dropout: noise_shape {list(noise_shape)} does not fit inputs of "
                f"shape {list(inputs.shape)}: each entry is 1, None or the size"
            )
    return shape
