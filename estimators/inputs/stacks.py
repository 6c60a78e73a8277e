"""Images in lists, columns and arrays as one array."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_array

from slimlearn.estimators.inputs.files import resized, size_text
from slimlearn.estimators.inputs.frames import is_frame

__all__ = ["stacked"]

_ANY = {"allow_nd": True, "ensure_2d": False}


def stacked(X, estimator, size: tuple[int, int] | None, name: str):
    """X as an array [n, height, width, channels] where it is images, else as it is.

    Parameters
    ----------
    X : object
        An array of images, or a list, a column or an array of objects of them.
    estimator : NetworkEstimator
    size : (height, width) or None
        What images of different sizes are brought to.
    name : str
        Of X, as the user knows it.

    Raises
    ------
    ValueError
        If they have different sizes, or are no images.
    """
    images = _apart(X)
    if images is not None:
        X = _together(images, size, name)
    if getattr(X, "ndim", 2) <= 2:
        return X
    if X.ndim > 4:
        raise ValueError(f"{name} has {X.ndim} axes: give images as N×H×W×C or N×H×W")
    X = check_array(X, input_name=name, estimator=estimator, **_ANY)
    X = X[..., None] if X.ndim == 3 else X
    if 0 in X.shape[1:]:
        raise ValueError(f"{name} has images without pixels, {size_text(X.shape[1:])}")
    return X


def _apart(X) -> list | None:
    """The images that X is a list, a column or an array of objects of."""
    if not isinstance(X, (list, tuple)):
        if is_frame(X):
            if getattr(X, "shape", (0, 0))[1] != 1:
                return None
        elif getattr(getattr(X, "dtype", None), "kind", None) != "O":
            return None
        X = np.asarray(X)
        if X.dtype != object or (X.ndim != 1 and X.shape[1:] != (1,)):
            return None
        X = X.ravel()
    return list(X) if len(X) and np.ndim(X[0]) > 1 else None


def _together(images: list, size: tuple[int, int] | None, name: str) -> np.ndarray:
    images = [np.asarray(image) for image in images]
    for i, image in enumerate(images):
        if image.ndim < 2:
            raise ValueError(
                f"{name} is a list of images, but number {i} is {image!r}: give H×W×C "
                "or H×W"
            )
    shapes = [image.shape for image in images]
    same = [shape[2:] if size is not None else shape for shape in shapes]
    odd = next((i for i, shape in enumerate(same) if shape != same[0]), None)
    if odd is not None:
        advice = ": resize them, or set resize_to=(height, width)"
        if shapes[odd][2:] != shapes[0][2:]:
            advice = ": give all the same channels"
        raise ValueError(
            f"{name} has images of different sizes: image 0 is {size_text(shapes[0])}, "
            f"image {odd} is {size_text(shapes[odd])}{advice}"
        )
    if len(set(shapes)) == 1:
        return np.stack(images)
    if len(shapes[0]) > 3 or any(0 in shape for shape in shapes):
        raise ValueError(f"{name} has images that are not H×W×C or H×W with pixels")
    kind = np.result_type(*images)
    images = [check_array(image, input_name=name, **_ANY) for image in images]
    if len(shapes[0]) == 2:
        images = [image[..., None] for image in images]
    return resized([image.astype(kind) for image in images], size)
