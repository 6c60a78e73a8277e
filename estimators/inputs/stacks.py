"""Images in lists, columns and arrays as one array."""

from __future__ import annotations

import sys

import numpy as np
from sklearn.utils.validation import check_array

from slimlearn.estimators.inputs.files import (
    DEEP,
    file_sizes,
    paths_of,
    pixels_of,
    reason,
    resized,
    shortened,
    size_text,
)
from slimlearn.estimators.inputs.frames import is_frame

__all__ = ["sizes_of", "stacked"]

_ANY = {"allow_nd": True, "ensure_2d": False}


def sizes_of(X, name: str) -> list[tuple[int, int]] | None:
    """The (height, width) of each of X's images, one if all are alike.

    None where X is rows of numbers, or what cannot be read: `stacked` and `read_files`
    say what is wrong with it.
    """
    if getattr(X, "ndim", 2) in (3, 4):
        return [tuple(X.shape[1:3])]
    paths = paths_of(X, name)
    if paths is not None:
        return file_sizes(paths)
    images = _apart(X, name)
    if images is None:
        return None
    shapes = [np.shape(image) for image in images]
    return [s[:2] for s in shapes] if all(len(s) in (2, 3) for s in shapes) else None


def stacked(X, estimator, size: tuple[int, int] | None, name: str):
    """X as an array [n, height, width, channels] where it is images, else as it is.

    Parameters
    ----------
    X : object
        An array of images, or a list, a column or an array of objects of them; what
        Pillow opened, too.
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
    images = _apart(X, name)
    if images is not None:
        X = _together(images, estimator, size, name)
    if getattr(X, "ndim", 2) <= 2:
        return X
    if X.ndim > 4:
        raise ValueError(f"{name} has {X.ndim} axes: give images as N×H×W×C or N×H×W")
    X = _checked(X, name, estimator)
    X = X[..., None] if X.ndim == 3 else X
    if 0 in X.shape[1:]:
        raise ValueError(f"{name} has images without pixels, {size_text(X.shape[1:])}")
    return X


def _checked(X, name: str, estimator, first: int = 0) -> np.ndarray:
    """Images as scikit-learn takes arrays; `first` is the number of the first one.

    Raises
    ------
    ValueError
        If numbers in them are not finite, naming the image; or they are no numbers.
    """
    try:
        return check_array(X, input_name=name, estimator=estimator, **_ANY)
    except ValueError:
        if not isinstance(X, np.ndarray) or X.dtype.kind != "f":
            raise
        bad = ~np.isfinite(X).reshape(len(X), -1).all(axis=1)
        if not bad.any():
            raise
        at = int(bad.argmax())
        what = "NaN" if np.isnan(X[at]).any() else "infinity"
        count = f" ({np.count_nonzero(bad)} of {len(X)} images)" if len(X) > 1 else ""
        raise ValueError(
            f"Input {name} contains {what} in image {first + at}{count}: mend or leave "
            "out such images"
        ) from None


def _opened(name: str, images: list) -> list:
    """Those that Pillow opened as arrays, as files are read."""
    kind = _of_pillow()
    images = list(images)
    for i, image in enumerate(images):
        if kind is None or not isinstance(image, kind):
            continue
        try:
            deep = image.mode.startswith(DEEP)
            images[i] = np.asarray(image) if deep else pixels_of(image)
        except OSError as error:
            raise ValueError(
                f"{name}: image {i} cannot be read, {reason(error)}: mend or leave it "
                "out"
            ) from error
    return images


def _of_pillow() -> type | None:
    """The class of Pillow's images; None where nobody imported it."""
    return getattr(sys.modules.get("PIL.Image"), "Image", None)


def _apart(X, name: str) -> list | None:
    """The images that X is a list, a column or an array of objects of."""
    kind = _of_pillow()
    if kind is not None and isinstance(X, kind):
        raise ValueError(f"{name} is one image: give a list of images, [{name}]")
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
    X = _opened(name, X)
    if X and not hasattr(X[0], "__len__"):  # None or NaN, where others are images
        return X if any(getattr(image, "ndim", 0) > 1 for image in X) else None
    return X if X and np.ndim(X[0]) > 1 else None


def _together(
    images: list, estimator, size: tuple[int, int] | None, name: str
) -> np.ndarray:
    given, images = images, [np.asarray(image) for image in images]
    for i, image in enumerate(images):
        if image.ndim < 2:
            raise ValueError(
                f"{name} is a list of images, but number {i} is {shortened(given[i])}: "
                "give H×W×C or H×W"
            )
    kinds = [image.dtype for image in images]
    if np.uint8 in kinds and "f" in (floats := [kind.kind for kind in kinds]):
        at, other = kinds.index(np.uint8), floats.index("f")
        raise ValueError(
            f"{name} has images of different types: image {at} is uint8, image {other} "
            f"is {kinds[other]}: give all alike, as bytes from 0 to 255 or as fractions"
        )
    if len({image.ndim for image in images}) > 1:
        images = [i[..., None] if i.ndim == 2 else i for i in images]
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
    images = [
        _checked(image[None], name, estimator, i)[0] for i, image in enumerate(images)
    ]
    if len(shapes[0]) == 2:
        images = [image[..., None] for image in images]
    return resized([image.astype(kind) for image in images], size)
