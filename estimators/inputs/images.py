"""X as images, one a row: arrays N×H×W×C or N×H×W, flat rows of a shape, or files."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from numbers import Integral

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.resident import Resident
from slimlearn.backend.telling import warn
from slimlearn.estimators.arrays import in_place, to_numpy
from slimlearn.estimators.inputs.base import Form, Input, in_order
from slimlearn.estimators.inputs.files import (
    paths_of,
    read_files,
    resized,
    size_text,
)
from slimlearn.estimators.inputs.matrix import SOURCE, MatrixInput, check_target
from slimlearn.estimators.inputs.stacks import stacked

__all__ = ["ImageInput", "image_shape_of"]

# Images of a fit that are looked at for fractions and their range, and of other rows.
_SOME, _FEW = 64, 8
# From this size on, rows of so many features are probably coloured squares.
_SIDE = 8
# So many times larger are numbers of another range.
_TIMES = 16


def image_shape_of(given, features: int | None) -> tuple[int, int, int]:
    """Return height, width and channels of images whose rows have so many numbers.

    Parameters
    ----------
    given : tuple of int or None
        (height, width) or (height, width, channels). None: a square of one channel
        where the number of features is a square, else one line.
    features : int or None
        None is any number.

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
    if features is not None and math.prod(shape) != features:
        raise ValueError(
            f"image_shape={given!r} has {math.prod(shape)} numbers, a row of X has "
            f"{features}"
        )
    return shape


def _as_bytes(X: np.ndarray, name: str, who: str) -> np.ndarray:
    """Whole numbers from 0 to 255 as uint8."""
    if X.dtype.kind == "b":
        raise ValueError(
            f"{name} is bool, but {who} was fitted on uint8 images, 0 to 255: give "
            "both alike, as np.where(X, 255, 0)"
        )
    whole = X.dtype.kind in "iu" or (X.size and (np.floor(X) == X).all())
    low, high = (X.min(), X.max()) if X.size else (0, 0)
    if not whole or low < 0 or high > 255:
        raise ValueError(
            f"{name} is {X.dtype} from {low:.4g} to {high:.4g}, but {who} was fitted "
            "on uint8 images, 0 to 255: give both alike"
        )
    return X.astype(np.uint8)


def _size_of(given) -> tuple[int, int] | None:
    """Height and width of `resize_to`, checked."""
    if given is None:
        return None
    size = tuple(given) if isinstance(given, Sequence) else ()
    if len(size) != 2 or not all(
        isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in size
    ):
        raise ValueError(f"resize_to={given!r} must be (height, width)")
    return int(size[0]), int(size[1])


class ImageInput(Input):
    """Images that no fit has seen yet, or as a fit has seen them.

    Numbers of type uint8 stay so and are read as fractions of 255, a batch at a time;
    others are read as they are.

    Parameters
    ----------
    image_shape : tuple of int or None
        Of flat rows; see `image_shape_of`. Of files the number of channels.
    resize_to : (height, width) or None
        What all images are brought to.
    on_error : {"raise", "skip"}
        Whether a fit goes without files that cannot be read.

    Attributes
    ----------
    shape : tuple of int or None
        Of the images that the network reads; known once X was seen.
    row_shape : tuple of int or None
        Of those that flat rows are.
    is_bytes : bool
        Whether the numbers are read as fractions of 255.
    has_fractions : bool
        Whether the fit's numbers were no whole ones.
    range : tuple of float or None
        The least and the largest of them, of some images; None of bytes.
    """

    def __init__(self, image_shape=None, resize_to=None, on_error="raise"):
        self.image_shape = image_shape
        self.resize_to = resize_to
        self.on_error = on_error
        self.shape: tuple[int, int, int] | None = None
        self.row_shape: tuple[int, int, int] | None = None
        self.is_bytes = False
        self.has_fractions = False
        self.range: tuple[float, float] | None = None

    # -- the door -------------------------------------------------------------------

    def check(self, estimator, X, *, reset=False, name="X"):
        return self._checked(estimator, X, reset, name, fits=False)

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        X = self._checked(estimator, X, reset, name, fits=True)
        return X, check_target(estimator, X, y, regression, name)

    def _checked(self, estimator, X, reset: bool, name: str, fits: bool):
        size = _size_of(self.resize_to)
        self.absent = None
        there = self._in_place(estimator, X, size)
        if there is not None:
            self._no_whole_numbers(there, name, type(estimator).__name__)
            if not fits:
                self.glance(there, name, flat=False)
            return self._images(estimator, there, reset, name, files=False)
        X = to_numpy(X)
        paths = paths_of(X, name)
        if paths is not None:
            X = self._read(estimator, paths, size, name, fits)
        else:
            X = stacked(X, estimator, size, name)
            flat = getattr(X, "ndim", 2) <= 2
            if flat:
                X = self._rows(estimator, X, reset, name)
                reset = False
            X = self._alike(X, estimator, name)
            if not fits:  # of X_val more is told elsewhere
                self.glance(X, name, flat)
            if X.ndim == 4 and size is not None and X.shape[1:3] != size:
                X = resized(X, size)
        return self._images(estimator, X, reset, name, paths is not None)

    def _in_place(self, estimator, X, size) -> Resident | None:
        """Images on the estimator's GPU, if the network reads them as they are."""
        there = in_place(X, estimator.device)
        if there is None or there.ndim not in (3, 4) or not there.is_finite:
            return None
        there = there if there.ndim == 4 else there.with_axis()
        others = self.is_bytes and there.dtype != np.uint8
        return None if others or size not in (None, there.shape[1:3]) else there

    def _read(self, estimator, paths: list[str], size, name: str, fits: bool):
        """The images in files; rows that could not be read are absent."""
        who, channels = type(estimator).__name__, None
        if self.shape is not None:
            channels = self.shape[2]
            if not self.is_bytes:
                raise ValueError(
                    f"{name} holds paths of images, whose numbers are 0 to 255, but "
                    f"{who} was fitted on an array of {self.kind}: give an array like "
                    "it"
                )
        elif self.image_shape is not None:
            channels = image_shape_of(self.image_shape, None)[2]
        advice = ", or set on_error='skip' to fit without it"
        if not fits:
            # What others give has a row for each image.
            advice = " and ask for the others; only fit goes without images"
            advice *= self.on_error == "skip"
        X, unread = read_files(
            paths,
            name,
            size=size,
            channels=channels,
            skip=fits and self.on_error == "skip",
            advice=advice,
        )
        if unread:
            self.absent = np.fromiter(unread, dtype=np.intp)
            some = "; ".join(list(unread.values())[:3])
            warn(
                f"{who} goes without {len(unread)} of {len(paths)} images of {name}, "
                f"which cannot be read: {some}" + "; …" * (len(unread) > 3)
            )
        return X

    def _images(self, estimator, X, reset: bool, name: str, files: bool) -> np.ndarray:
        """Images that fit those that are known, or now are."""
        shape = X.shape[1:]
        if reset:
            if self.image_shape is not None and self.resize_to is None:
                wanted = image_shape_of(self.image_shape, None)
                if shape != wanted:
                    raise ValueError(
                        f"image_shape={self.image_shape!r}, but {name} has images of "
                        f"{size_text(shape)}: leave it out, or resize them"
                    )
            if not files and shape[0] in (1, 3) and shape[1] == shape[2] > 4:
                warn(
                    f"{name} has images of {size_text(shape)}: if channels stand "
                    f"first, give {name}.transpose(0, 2, 3, 1)"
                )
            estimator.__dict__.pop("feature_names_in_", None)
            estimator.n_features_in_ = math.prod(shape)
        elif self.shape is not None and shape != self.shape:
            advice = self.advice(shape, name)
            if X.shape[:-1] == self.shape or X.shape == self.shape:
                advice = f"give {name}[None] if it is one image"
            raise ValueError(self.refusal(estimator, shape, name) + advice)
        return X

    def refusal(self, estimator, shape: tuple[int, ...], name: str = "X") -> str:
        """That images of another shape than the fit's are none of this network."""
        return (
            f"{name} has images of {size_text(shape)}, but {type(estimator).__name__} "
            f"was fitted on {size_text(self.shape)}: "
        )

    def advice(
        self, shape: tuple[int, ...], name: str = "X", other: str = "fit with"
    ) -> str:
        """What to do with images of another shape; `other` is what else there is."""
        height, width, channels = self.shape
        if shape == (channels, height, width):
            return f"if channels stand first, give {name}.transpose(0, 2, 3, 1)"
        if shape[2] != channels:
            return f"give images of {channels} channel" + "s" * (channels > 1)
        return f"resize them, or {other} resize_to={height, width}"

    def of_size(self, shape: tuple[int, int, int]) -> ImageInput:
        """The same for images of another size."""
        twin = copy.copy(self)
        twin.shape, twin.row_shape = shape, None
        twin.forms = (Form(SOURCE, shape),)
        return twin

    def _rows(self, estimator, X, reset: bool, name: str) -> np.ndarray:
        if (
            self.shape is not None
            and getattr(X, "shape", None) == self.shape[:2]
            and X.shape[1] != estimator.n_features_in_
        ):
            raise ValueError(
                f"{name} is one image of {size_text(X.shape)}, or rows of "
                f"{X.shape[1]} features, but {type(estimator).__name__} is expecting "
                f"{estimator.n_features_in_} features as input: give {name}[None] if "
                "it is one image"
            )
        X = MatrixInput(accept_sparse=False).check(estimator, X, reset=reset, name=name)
        shape = self.row_shape or self.shape
        shape = shape or image_shape_of(self.image_shape, X.shape[1])
        if self.shape is None:
            self.row_shape = shape
            side = math.isqrt(X.shape[1] // 3)
            if (
                self.image_shape is None
                and side >= _SIDE
                and 3 * side * side == X.shape[1]
            ):
                warn(
                    f"{name} has rows of {X.shape[1]} features, which are read as one "
                    f"line: if they are coloured images of {side}×{side}, set "
                    f"image_shape=({side}, {side}, 3), with channels last; for lines "
                    f"image_shape=(1, {X.shape[1]})"
                )
        return X.reshape(len(X), *shape)

    def _alike(self, X, estimator, name: str) -> np.ndarray:
        """X in the range that the fit's numbers had."""
        self._no_whole_numbers(X, name, type(estimator).__name__)
        if self.shape is None or not self.is_bytes or X.dtype == np.uint8:
            return X
        return _as_bytes(X, name, type(estimator).__name__)

    def _no_whole_numbers(self, X, name: str, who: str) -> None:
        """Refuse whole numbers where the fit's images had fractions."""
        if not (self.has_fractions and X.dtype.kind in "iu" and X.size):
            return
        most = int(X.range[1]) if isinstance(X, Resident) else X.max()
        if most > 1:
            raise ValueError(
                f"{name} is {X.dtype} up to {most}, but {who} was fitted on "
                f"{self.kind} images with fractions: give both alike, as in "
                f"{name} / 255"
            )

    def glance(self, X, name: str = "X", flat: bool | None = None) -> None:
        if self.range is None or not len(X):
            return
        some = np.asarray(X[:: -(-len(X) // _FEW)])
        least, most = self.range
        limit, high = _TIMES * max(most, -least), float(some.max())
        if high <= limit and (self.has_fractions or high > 1):
            return  # as most calls, which this costs little
        low = float(some.min())
        # Of pixels that were scaled each on its own some lie far from the others.
        flat = X.ndim <= 2 if flat is None else flat
        beyond = high > limit and (least >= 0 or (low >= 0 and not flat))
        within = (
            not self.has_fractions
            and most > _TIMES
            and low >= 0
            and 0 < high <= 1
            and bool((np.floor(some) != some).any())
        )
        if beyond or within:
            warn(
                f"{name} has numbers from {low:.4g} to {high:.4g}, but those that the "
                f"network was trained on went from {least:.4g} to {most:.4g}: scale "
                "both alike"
            )

    def seen(self, X, former=None):
        new = ImageInput(self.image_shape, self.resize_to, self.on_error)
        new.shape, new.row_shape = X.shape[1:], self.row_shape
        new.kind = X.dtype
        new.is_bytes = X.dtype == np.uint8
        some = np.asarray(X[:: -(-len(X) // _SOME)] if X.dtype.kind == "f" else X[:0])
        new.has_fractions = bool((np.floor(some) != some).any())
        if not new.is_bytes and X.dtype.kind != "b":
            some = np.asarray(X[:: -(-len(X) // _SOME)])
            new.range = float(some.min()), float(some.max())
        if former is not None:
            former._no_whole_numbers(X, "X", "the network")
            if former.shape != new.shape:
                advice = former.advice(new.shape, other="begin anew with")
                if not self.partial:
                    advice = f"{former.advice(new.shape)}, or set warm_start=False"
                raise ValueError(
                    f"X has images of {size_text(new.shape)}, but those of the fit "
                    f"that goes on were {size_text(former.shape)}: {advice}"
                )
            new.row_shape, new.is_bytes = former.row_shape, former.is_bytes
            new.has_fractions = former.has_fractions
            if former.is_bytes:
                new.range = None
            elif former.range is not None and new.range is not None:
                former.glance(X, flat=self.row_shape is not None)
                least, most = zip(former.range, new.range)
                new.range = min(least), max(most)
        new.forms = (Form(SOURCE, new.shape),)
        return new

    def alike(self, X, name):
        self._no_whole_numbers(X, name, "the network")
        if self.is_bytes and X.dtype != np.uint8:
            return _as_bytes(np.asarray(X), name, "the network")
        return X

    def where(self, form, array, bad):
        found = np.argwhere(bad(np.asarray(array)).any(axis=0))[:10]
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
        if self.has_fractions and X.dtype.kind in "iu":
            return None
        forms = [self.shape]
        if self.row_shape in (None, self.shape):
            forms.append((math.prod(self.shape),))
        if self.shape[2] == 1:
            forms.append(self.shape[:2])
        if X.shape[1:] not in forms or not 0 < X.size <= most:
            return None
        return in_order(X).reshape(len(X), *self.shape)
