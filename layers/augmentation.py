"""Layers that vary images in training only: flips, crops, brightness, cutout, mixup."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal

from scipy.special import betaincinv

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_graph, type_text
from slimlearn.backend.shape import B
from slimlearn.layers import images, utils
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope

# Where a function's graph keeps how its rows were mixed.
MIXED = "mixed"

_MODES = ("horizontal", "vertical", "horizontal_and_vertical")

# In so many steps of one probability the shares of mixup are drawn.
_STEPS = 256


@add_arg_scope
def random_flip(
    inputs: Tensor,
    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal",
    is_training: bool | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """In training, mirror each image with probability one half.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    mode : {"horizontal", "vertical", "horizontal_and_vertical"}, default="horizontal"
        Left and right are exchanged, or top and bottom, or each by a draw of its own.
    is_training : bool, optional
        By default as the network is being built.
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``RandomFlip`` by default; random numbers follow from it.
    seed : int, optional
        Moves the draw to another stream of random numbers.

    Returns
    -------
    Tensor
        As `inputs`; in inference `inputs` itself.

    Raises
    ------
    ValueError
        If there is no such mode, or inputs are no images.
    """
    where = "random_flip"
    images.check_space(where, inputs, 2)
    if mode not in _MODES:
        raise ValueError(f"{where}: mode must be one of {_MODES}, got {mode!r}")
    training = utils.in_training(where, is_training)
    with variable_scope(scope, "RandomFlip") as layer:
        outputs = inputs
        if training:
            places = [_places(size) for size in inputs.shape[1:3]]
            for axis, word in ((1, "horizontal"), (0, "vertical")):
                if word in mode:
                    last, here = inputs.shape[axis + 1] - 1, places[axis]
                    turned = _draw(inputs, word, seed) < 0.5
                    places[axis] = ops.where(turned, last - here, here)
            outputs = _pixels(inputs, *places)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def random_crop(
    inputs: Tensor,
    size: int | Sequence[int],
    padding: int | Sequence[int] = 0,
    is_training: bool | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """Cut a part out of each image: in training anywhere, else from the middle.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    size : int or (height, width)
        Of the part, at most that of the image.
    padding : int or (height, width), default=0
        Zeros that are put around the image in training, on each side, before it is
        cut.
    is_training, outputs_collections, scope, seed
        As in `random_flip`; the scope is ``RandomCrop`` by default.

    Returns
    -------
    Tensor
        ``[B, *size, channels]``

    Raises
    ------
    ValueError
        If the part is larger than the image, or a number is out of range.

    See Also
    --------
    random_shift : The same for a part as large as the image.
    """
    where = "random_crop"
    images.check_space(where, inputs, 2)
    size = images.sizes(where, "size", size, 2)
    padding = _widths(where, "padding", padding)
    given = inputs.shape[1:3]
    if size[0] > given[0] or size[1] > given[1]:
        raise ValueError(
            f"{where}: size={size} is larger than %{inputs.name}, "
            f"{type_text(*inputs.type)}: pad or resize it, or cut a smaller part"
        )
    training = utils.in_training(where, is_training)
    with variable_scope(scope, "RandomCrop") as layer:
        outputs = inputs
        if training:
            outputs = _cropped(inputs, size, padding, seed)
        elif size != given:
            top, left = ((have - want) // 2 for have, want in zip(given, size))
            outputs = inputs[:, top : top + size[0], left : left + size[1]]
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def random_shift(
    inputs: Tensor,
    pixels: int | Sequence[int],
    is_training: bool | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """In training, move each image by some pixels; zeros follow.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    pixels : int or (height, width)
        How far at most, up and down, and left and right; every place is as probable.
    is_training, outputs_collections, scope, seed
        As in `random_flip`; the scope is ``RandomShift`` by default.

    Returns
    -------
    Tensor
        As `inputs`; in inference `inputs` itself.

    Raises
    ------
    ValueError
        If inputs are no images, or a number is out of range.
    """
    where = "random_shift"
    images.check_space(where, inputs, 2)
    pixels = _widths(where, "pixels", pixels)
    training = utils.in_training(where, is_training)
    with variable_scope(scope, "RandomShift") as layer:
        outputs = inputs
        if training:
            outputs = _cropped(inputs, inputs.shape[1:3], pixels, seed)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def random_brightness(
    inputs: Tensor,
    max_delta: float,
    is_training: bool | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """In training, add one random number to all of an image.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    max_delta : float
        The number is uniform from ``-max_delta`` to ``max_delta``, in the units of
        `inputs`: fractions of 255 where X is uint8. Results are not clipped.
    is_training, outputs_collections, scope, seed
        As in `random_flip`; the scope is ``RandomBrightness`` by default.

    Returns
    -------
    Tensor
        As `inputs`; in inference `inputs` itself.

    Raises
    ------
    ValueError
        If max_delta is negative, or inputs are no images.
    """
    where = "random_brightness"
    images.check_space(where, inputs)
    if not (isinstance(max_delta, Real) and 0 <= max_delta < float("inf")):
        raise ValueError(f"{where}: max_delta must be at least 0, got {max_delta!r}")
    training = utils.in_training(where, is_training)
    with variable_scope(scope, "RandomBrightness") as layer:
        outputs = inputs
        if training:
            delta = _draw(inputs, "delta", seed, inputs.rank) * (2.0 * max_delta)
            outputs = ops.add(inputs, delta - max_delta)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def random_contrast(
    inputs: Tensor,
    lower: float,
    upper: float,
    is_training: bool | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """In training, stretch an image around the means of its channels.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    lower, upper : float
        Between them lies the factor, uniform, one an image.
    is_training, outputs_collections, scope, seed
        As in `random_flip`; the scope is ``RandomContrast`` by default.

    Returns
    -------
    Tensor
        (x - mean) · factor + mean, not clipped; in inference `inputs` itself.

    Raises
    ------
    ValueError
        Unless 0 <= lower <= upper, or inputs are no images.
    """
    where = "random_contrast"
    axes = images.check_space(where, inputs)
    numbers = isinstance(lower, Real) and isinstance(upper, Real)
    if not (numbers and 0 <= lower <= upper < float("inf")):
        raise ValueError(
            f"{where}: needed is 0 <= lower <= upper, got lower={lower!r}, "
            f"upper={upper!r}"
        )
    training = utils.in_training(where, is_training)
    with variable_scope(scope, "RandomContrast") as layer:
        outputs = inputs
        if training:
            factor = _draw(inputs, "factor", seed, inputs.rank) * (upper - lower)
            mean = ops.reduce_mean(inputs, list(range(1, axes + 1)), keepdims=True)
            outputs = (inputs - mean) * (factor + lower) + mean
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def cutout(
    inputs: Tensor,
    size: int | Sequence[int],
    fill: float = 0.0,
    is_training: bool | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """In training, hide a rectangle of each image.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    size : int or (height, width)
        Of the rectangle. Its middle is any pixel, so that a part of it may lie outside.
    fill : float, default=0.0
        What stands there instead.
    is_training, outputs_collections, scope, seed
        As in `random_flip`; the scope is ``Cutout`` by default.

    Returns
    -------
    Tensor
        As `inputs`; in inference `inputs` itself.

    Raises
    ------
    ValueError
        If inputs are no images, or a size is less than 1.

    References
    ----------
    DeVries and Taylor, "Improved regularization of convolutional neural networks with
    cutout", 2017.
    """
    where = "cutout"
    images.check_space(where, inputs, 2)
    size = images.sizes(where, "size", size, 2)
    training = utils.in_training(where, is_training)
    with variable_scope(scope, "Cutout") as layer:
        outputs = inputs
        if training:
            hidden = []
            for axis, word in enumerate(("height", "width")):
                given, rectangle = inputs.shape[axis + 1], size[axis]
                first = _whole(inputs, word, seed, given) - rectangle // 2
                from_first = _places(given) - first
                inside = (from_first >= 0) & (from_first < rectangle)
                shape = (-1, given, 1, 1) if axis == 0 else (-1, 1, given, 1)
                hidden.append(ops.reshape(inside, shape))
            blank = ops.constant(fill, inputs.dtype)
            outputs = ops.where(hidden[0] & hidden[1], blank, inputs)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def mixup(
    inputs: Tensor,
    alpha: float = 0.2,
    is_training: bool | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """In training, mix each row with another one of the batch, and their losses.

    Parameters
    ----------
    inputs : Tensor
        [B, ...]: images, or rows of features.
    alpha : float > 0, default=0.2
        A row's own share has the distribution Beta(alpha, alpha), in 256 steps of one
        probability: the smaller alpha, the less is mixed. The first row of a batch is
        mixed with the last one, the second with the last but one.
    is_training, outputs_collections, scope, seed
        As in `random_flip`; the scope is ``Mixup`` by default.

    Returns
    -------
    Tensor
        As `inputs`; in inference `inputs` itself.

    Raises
    ------
    ValueError
        If alpha is not above 0, or the network mixes its rows already.

    Notes
    -----
    The loss of a mixed row is that with its own target times its share, and that with
    the other row's target times the rest. For the log loss and the squared error that
    is the loss with the mixed target, but for a constant. The training loss is the
    mixed one then; validation is as ever.

    References
    ----------
    Zhang et al., "mixup: beyond empirical risk minimization", 2018.
    """
    where = "mixup"
    utils.check_float(where, inputs, min_rank=1)
    if inputs.shape[0] != B:
        raise ValueError(
            f"{where}: inputs must be [B, ...], %{inputs.name} is "
            f"{type_text(*inputs.type)}"
        )
    if not (isinstance(alpha, Real) and 0 < alpha < float("inf")):
        raise ValueError(f"{where}: alpha must be above 0, got {alpha!r}")
    training = utils.in_training(where, is_training)
    with variable_scope(scope, "Mixup") as layer:
        outputs = inputs
        if training:
            known = current_graph().root.layers
            if MIXED in known:
                raise ValueError(
                    f"{where}: the network mixes its rows already: call it once"
                )
            shares = betaincinv(
                alpha, alpha, [(i + 0.5) / _STEPS for i in range(_STEPS)]
            )
            step = ops.reshape(_whole(inputs, "share", seed, _STEPS), (B,))
            known[MIXED] = share = ops.gather(ops.array(shares, inputs.dtype), step)
            share = ops.reshape(share, (B,) + (1,) * (inputs.rank - 1))
            outputs = inputs * share + reversed_rows(inputs) * (1.0 - share)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def reversed_rows(rows: Tensor) -> Tensor:
    """Return the rows of a batch from the last to the first."""
    last = ops.cast(ops.extent(B) - 1.0, "i32")
    return ops.gather(rows, last - ops.iota(B))


def _widths(layer: str, word: str, given) -> tuple[int, int]:
    """Return a whole number of at least 0 for height and width."""
    pair = [given] * 2 if isinstance(given, Integral) else given
    if (
        not isinstance(pair, Sequence)
        or len(pair) != 2
        or not all(isinstance(number, Integral) and number >= 0 for number in pair)
    ):
        raise ValueError(
            f"{layer}: {word} must be a whole number of at least 0, or one for height "
            f"and one for width, got {given!r}"
        )
    return int(pair[0]), int(pair[1])


def _places(size: int) -> Tensor:
    return ops.reshape(ops.iota(size), (1, size))


def _draw(inputs: Tensor, word: str, seed: int | None, rank: int = 2) -> Tensor:
    """Return a number in [0, 1) for each image."""
    name = word if seed is None else f"{word}:{int(seed)}"
    shape = (inputs.shape[0],) + (1,) * (rank - 1)
    return ops.random_uniform(shape, inputs.dtype, name=name)


def _whole(inputs: Tensor, word: str, seed: int | None, count: int) -> Tensor:
    """Return 0 to ``count - 1`` for each image."""
    return ops.cast(ops.floor(_draw(inputs, word, seed) * float(count)), "i32")


def _cropped(inputs: Tensor, size, padding, seed: int | None) -> Tensor:
    """Return parts of images with zeros around, each from a place of its own."""
    widths = [(0, 0), *((width, width) for width in padding), (0, 0)]
    padded = ops.pad(inputs, widths) if any(padding) else inputs
    places = []
    for axis, word in enumerate(("top", "left")):
        free = padded.shape[axis + 1] - size[axis] + 1
        place = _places(size[axis])
        places.append(place + _whole(inputs, word, seed, free) if free > 1 else place)
    return _pixels(padded, *places)


def _pixels(inputs: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at rows [B, h] and columns [B, w] of each image."""
    batch, height, width, channels = inputs.shape
    image = ops.reshape(ops.iota(batch), (batch, 1, 1))
    rows = ops.reshape(rows, (*rows.shape, 1))
    columns = ops.reshape(columns, (columns.shape[0], 1, columns.shape[1]))
    pixels = ops.reshape(inputs, (batch * height * width, channels))
    return ops.gather(pixels, (image * height + rows) * width + columns)
