"""``tf.image``: images of another size."""

from collections.abc import Sequence

from slimlearn.backend.graph import Tensor
from slimlearn.layers import resizing

__all__ = ["resize_bilinear", "resize_nearest_neighbor"]


def __dir__() -> list[str]:
    return __all__


def resize_bilinear(
    images: Tensor,
    size: Sequence[int],
    align_corners: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return images of another size, between pixels by straight lines.

    Parameters
    ----------
    images : Tensor
        [B, height, width, channels]
    size : sequence of int
        Height and width.
    align_corners : bool, default=False
        As in `layers.resize`.
    name : str, optional
        The scope of what it is made of.
    """
    return resizing.resize(images, size, "bilinear", align_corners, scope=name)


def resize_nearest_neighbor(
    images: Tensor,
    size: Sequence[int],
    align_corners: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return images of another size, each pixel the nearest one's.

    Parameters
    ----------
    images : Tensor
        [B, height, width, channels]
    size : sequence of int
        Height and width.
    align_corners : bool, default=False
        As in `layers.resize`.
    name : str, optional
        The scope of what it is made of.
    """
    return resizing.resize(images, size, "nearest", align_corners, scope=name)
