"""X as images, one a row: arrays N×H×W×C or N×H×W, or flat rows of a known shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_array

from slimlearn.backend import ops
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.inputs.base import Form, Input, in_order
from slimlearn.estimators.inputs.matrix import SOURCE, MatrixInput, check_target

__all__ = ["ImageInput", "image_shape_of"]


def image_shape_of(given, features: int) -> tuple[int, int, int]:
    """Return height, width and channels of images whose rows have so many numbers.

    Parameters
    ----------
    given : tuple of int or None
        (height, width) or (height, width, channels). None: a square of one channel
        where the number of features is a square, else one line.
    features : int

    Raises
    ------
    ValueError
        If they are no such tuple, or their product is another number.
    """
    if given is None:
        side = math.isqrt(features)
        return (side, side, 1) if side * side == features else (1, features, 1)
    shape = tuple(given) if isinstance(given, Sequence) else given
    whole = isinstance(shape, tuple) and all(
        isinstance(size, Integral) and not isinstance(size, bool) and size > 0
        for size in shape
    )
    if not whole or len(shape) not in (2, 3):
        raise ValueError(
            f"image_shape={given!r} must be (height, width) or (height, width, "
            "channels)"
        )
    shape = tuple(map(int, shape)) + (1,) * (3 - len(shape))
    if math.prod(shape) != features:
        raise ValueError(
            f"image_shape={given!r} has {math.prod(shape)} numbers, a row of X has "
            f"{features}"
        )
    return shape


def _size_text(shape) -> str:
    return "×".join(map(str, shape))


class ImageInput(Input):
    """Images that no fit has seen yet, or as a fit has seen them.

    Numbers of type uint8 stay so and are read as fractions of 255, a batch at a time;
    others are read as they are.

    Parameters
    ----------
    image_shape : tuple of int or None
        Of flat rows; see `image_shape_of`.
    """

    def __init__(self, image_shape=None):
        self.image_shape = image_shape
        self.shape: tuple[int, int, int] | None = None
        self.is_bytes = False

    # -- the door -------------------------------------------------------------------

    def check(self, estimator, X, *, reset=False, name="X"):
        X = self._array(X, name)
        if getattr(X, "ndim", 2) > 2:
            X = self._images(estimator, X, reset, name)
        else:
            X = self._rows(estimator, X, reset, name)
        return self._alike(X, estimator, name)

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        X = self.check(estimator, X, reset=reset, name=name)
        return X, check_target(estimator, X, y, regression, name)

    def _array(self, X, name: str):
        """X as an array where it can be more than rows, else as it is."""
        X = to_numpy(X)
        if isinstance(X, (list, tuple)) and len(X) and np.ndim(X[0]) > 1:
            shapes = [np.shape(image) for image in X]
            odd = next((i for i, s in enumerate(shapes) if s != shapes[0]), None)
            if odd is not None:
                raise ValueError(
                    f"{name} has images of different sizes: image 0 is "
                    f"{_size_text(shapes[0])}, image {odd} is "
                    f"{_size_text(shapes[odd])}: resize them"
                )
            X = np.asarray(X)
        return X

    def _images(self, estimator, X, reset: bool, name: str) -> np.ndarray:
        if X.ndim > 4:
            raise ValueError(
                f"{name} has {X.ndim} axes: give images as N×H×W×C or N×H×W"
            )
        X = check_array(
            X,
            allow_nd=True,
            ensure_2d=False,
            input_name=name,
            estimator=estimator,
        )
        X = X[..., None] if X.ndim == 3 else X
        shape = X.shape[1:]
        if 0 in shape:
            raise ValueError(f"{name} has images without pixels, {_size_text(shape)}")
        if reset:
            if self.image_shape is not None:
                image_shape_of(self.image_shape, math.prod(shape))
            estimator.__dict__.pop("feature_names_in_", None)
            estimator.n_features_in_ = math.prod(shape)
        elif self.shape is not None and shape != self.shape:
            raise ValueError(
                f"{name} has images of {_size_text(shape)}, but "
                f"{type(estimator).__name__} was fitted on {_size_text(self.shape)}: "
                "resize them"
            )
        return X

    def _rows(self, estimator, X, reset: bool, name: str) -> np.ndarray:
        X = MatrixInput(accept_sparse=False).check(estimator, X, reset=reset, name=name)
        shape = self.shape or image_shape_of(self.image_shape, X.shape[1])
        return X.reshape(len(X), *shape)

    def _alike(self, X, estimator, name: str) -> np.ndarray:
        """X in the range that the fit's numbers had."""
        if self.shape is None or not self.is_bytes or X.dtype == np.uint8:
            return X
        whole = X.dtype.kind in "iub" or (X.size and (np.floor(X) == X).all())
        if not whole or (X.size and (X.min() < 0 or X.max() > 255)):
            raise ValueError(
                f"{name} is {X.dtype}, but {type(estimator).__name__} was fitted on "
                "uint8 images, 0 to 255: give both alike"
            )
        return X.astype(np.uint8)

    def seen(self, X, former=None):
        new = ImageInput(self.image_shape)
        new.shape = X.shape[1:]
        new.kind = X.dtype
        new.is_bytes = X.dtype == np.uint8
        new.forms = (Form(SOURCE, new.shape),)
        return new

    def alike(self, X, name):
        return X

    def where(self, form, array, bad):
        found = np.argwhere(bad(array).any(axis=0))[:10]
        return [tuple(map(int, at)) for at in found]

    def take(self, X, index):
        return X if index is None else X[index]

    @property
    def bare(self):
        # Of bytes, others are no numbers of the same range.
        return self.shape is not None and not self.is_bytes

    @property
    def key(self):
        return (*super().key, self.is_bytes)

    # -- the program ----------------------------------------------------------------

    def tensors(self, precision):
        x = self.forms[0].tensor(precision)
        return ops.mul(x, 1 / 255, name="X/scaled") if self.is_bytes else x

    def _arrays(self, X):
        return [X]

    def plain(self, X, most):
        if X.__class__ is not np.ndarray or X.dtype.kind not in "fiub":
            return None
        forms = [self.shape, (math.prod(self.shape),)]
        if self.shape[2] == 1:
            forms.append(self.shape[:2])
        if X.shape[1:] not in forms or not 0 < X.size <= most:
            return None
        return in_order(X).reshape(len(X), *self.shape)
