"""Arrays and figures as pixels, and a layer's filters as one picture."""

from __future__ import annotations

import numpy as np

__all__ = ["filters", "pixels_of"]

# Filters that one picture shows.
_MOST = 64


def pixels_of(value) -> list[np.ndarray]:
    """Return pictures [height, width, channels] of bytes.

    Parameters
    ----------
    value : array-like or matplotlib figure
        [height, width], with channels (1, 3 or 4) behind, and with several pictures
        before: bytes, or numbers that are stretched where they do not lie in 0 … 1.

    Raises
    ------
    ValueError
        If it has no such shape.
    """
    if hasattr(value, "savefig"):
        return [_drawn(value)]
    array = np.asarray(value)
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim == 3:
        array = array[np.newaxis]
    if array.ndim != 4 or array.shape[3] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            "a picture is a matplotlib figure or an array of height×width, with 1, 3 "
            "or 4 channels behind and several pictures before; got an array of shape "
            f"{np.shape(value)}"
        )
    if array.dtype == bool:
        array = array * np.uint8(255)
    if array.dtype != np.uint8:
        array = _stretched(array.astype(np.float64))
    return list(array)


def _stretched(array: np.ndarray) -> np.ndarray:
    array = np.nan_to_num(array, posinf=0.0, neginf=0.0)
    low, high = array.min(), array.max()
    if low < 0 or high > 1:
        array = (array - low) / max(high - low, np.finfo(np.float64).tiny)
    return np.round(array * 255).astype(np.uint8)


def _drawn(figure) -> np.ndarray:
    """The pixels of a figure of matplotlib, by a canvas of its own kind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    former = figure.canvas
    canvas = FigureCanvasAgg(figure)
    try:
        canvas.draw()
        return np.array(canvas.buffer_rgba())
    finally:
        figure.set_canvas(former)


def filters(weights: np.ndarray, image_shape: tuple[int, ...] | None = None):
    """A layer's filters side by side, or None where they are no pictures.

    Parameters
    ----------
    weights : ndarray
        [height, width, channels, filters] of a convolution, or [pixels, units] of a
        layer that reads a picture of `image_shape`, or a square one.
    image_shape : tuple of int, optional
        Height, width and perhaps channels.
    """
    if weights.ndim == 2:
        if image_shape is None:
            side = round(weights.shape[0] ** 0.5)
            image_shape = side, side
        image_shape = (*image_shape, 1)[:3]
        if np.prod(image_shape) != weights.shape[0]:
            return None
        weights = weights.reshape(*image_shape, -1)
    if weights.ndim != 4 or min(weights.shape[:2]) < 2:
        return None
    height, width, channels, count = weights.shape
    if channels != 3:
        weights = weights.mean(axis=2, keepdims=True)
    count = min(count, _MOST)
    across = int(np.ceil(count**0.5))
    down = -(-count // across)
    sheet = np.zeros((down, height + 1, across, width + 1, weights.shape[2]))
    for i in range(count):
        one = weights[..., i].astype(np.float64)
        spread = max(np.abs(one).max(), np.finfo(np.float64).tiny)
        sheet[i // across, :height, i % across, :width] = 0.5 + 0.5 * one / spread
    return sheet.reshape(down * (height + 1), across * (width + 1), -1)
