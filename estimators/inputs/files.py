"""Images in files: read by threads ahead of their use, and brought to one size."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from tempfile import TemporaryFile, gettempdir

import numpy as np

from slimlearn.estimators.inputs.frames import is_frame

__all__ = [
    "DEEP",
    "file_sizes",
    "paths_of",
    "pixels_of",
    "read_files",
    "reason",
    "resized",
    "shortened",
    "size_text",
    "stored",
]

# Bytes of images up to which they are kept in memory.
_IN_MEMORY = 2**28
_THREADS = min(8, os.cpu_count() or 1)
# What a path is, and the kinds of arrays that may hold some.
_PATH = (str, bytes, os.PathLike)
_TEXT = "OSUT"
# Characters of a value that errors show.
_LONGEST = 60
# The tag that says how a camera was held, and the values that turn by a quarter.
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
# Modes of Pillow by the number of channels, and those that are grey.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_GREY = ("1", "L", "LA", "La")
# The first letters of those of more than 8 bits.
DEEP = ("I", "F")


def size_text(shape) -> str:
    """Sizes as height×width×channels."""
    return "×".join(map(str, shape))


def paths_of(X, name: str) -> list[str] | None:
    """The paths that X is a list, a 1-d array or a column of; None if it is none.

    Raises
    ------
    TypeError
        If X is one path, or not everything in it is one.
    """
    if isinstance(X, _PATH):
        found, do = os.fsdecode(X), "a list of paths"
        if os.path.isdir(found):
            do = "a list of its files, as in sorted(Path(folder).glob('*.png'))"
        raise TypeError(f"{name} is one path, {found!r}: give {do}")
    if is_frame(X):
        if getattr(X, "shape", (0, 0))[1] != 1:
            return None
        X = np.asarray(X)
    elif not isinstance(X, (list, tuple)):
        if not hasattr(X, "__len__") or getattr(X, "ndim", 1) > 2:
            return None
        if getattr(X, "dtype", None) is not None and not _may_be_text(X):
            return None
        X = np.asarray(X)
    if isinstance(X, np.ndarray):
        if X.dtype.kind not in _TEXT or (X.ndim != 1 and X.shape[1:] != (1,)):
            return None
        X = X.ravel().tolist()
    if not any(isinstance(path, _PATH) for path in X) or np.ndim(X[0]) > 1:
        return None
    for i, path in enumerate(X):
        if not isinstance(path, _PATH):
            what = f"{shortened(path)} of type {type(path).__name__}"
            if isinstance(path, np.ndarray):
                what = f"an array of shape {path.shape}"
            raise TypeError(
                f"{name} has paths of images and, in row {i}, {what}: give a path for "
                "every row"
            )
    return [os.path.expanduser(os.fsdecode(path)) for path in X]


def shortened(value) -> str:
    """What a value looks like, in a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _may_be_text(X) -> bool:
    return getattr(X.dtype, "kind", "O") in _TEXT


def _pillow(why: str):
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{why} needs Pillow: install it with pip install 'slimlearn[images]'"
        ) from error
    return Image


def _pillow_ops():
    from PIL import ImageOps

    return ImageOps


def _ahead(function: Callable, items: Iterable) -> Iterator:
    """What `function` makes of items, in their order, some of them ahead."""
    waiting: deque = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 4 * _THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def read_files(
    paths: Sequence[str],
    name: str,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    skip: bool = False,
    advice: str = "",
) -> tuple[np.ndarray, dict[int, str]]:
    """Read images from files.

    Parameters
    ----------
    paths : sequence of str
    name : str
        Of X, as the user knows it.
    size : (height, width) or None
        What they are brought to.
    channels : int or None
        1 makes them grey, 3 coloured; None leaves them as they are, grey or coloured.
    skip : bool, default=False
        Whether files that cannot be read are left out.
    advice : str, default=""
        What else could be done about such a file.

    Returns
    -------
    images : uint8 array [n, height, width, channels]
        Zeros for those that were left out. Large ones are in a temporary file, which
        goes with the array.
    unread : dict
        What was wrong with the files that were left out, by row.

    Raises
    ------
    ImportError
        Without Pillow.
    ValueError
        If a file cannot be read, or the images have different sizes.
    OSError
        If there is no room for the temporary file.
    """
    image = _pillow(f"{name}, paths of images,")
    if channels is not None and channels not in _MODES:
        raise ValueError(
            f"{name} holds paths of images, which have 1, 3 or 4 channels, not "
            f"{channels}"
        )

    def read(path: str) -> np.ndarray | Exception:
        try:
            with image.open(path) as opened:
                return pixels_of(opened, size, channels)
        except MemoryError:
            raise
        except Exception as error:  # a broken file raises whatever its format does
            return error

    unread: dict[int, str] = {}

    def images() -> Iterator[np.ndarray]:
        first = None
        for i, found in enumerate(_ahead(read, paths)):
            if isinstance(found, Exception):
                unread[i] = f"{paths[i]!r}: {reason(found)}"
                if not skip:
                    raise ValueError(
                        f"{name}: image {i} cannot be read, {unread[i]}: mend or "
                        f"leave it out{advice}"
                    )
                if first is not None:
                    yield np.zeros_like(first[1])
                continue
            if first is None:
                first = i, found
                for _ in range(i):
                    yield np.zeros_like(found)
            elif found.shape != first[1].shape:
                before, shape = first[0], first[1].shape
                do = "set resize_to=(height, width)"
                if shape[:2] == found.shape[:2]:
                    do = "set image_shape=(height, width, 1), or 3 for colours"
                raise ValueError(
                    f"{name} has images of different sizes: {paths[before]!r} is "
                    f"{size_text(shape)}, {paths[i]!r} is {size_text(found.shape)}: "
                    f"{do}"
                )
            yield found

    found = stored(images(), len(paths))
    if found is None:
        raise ValueError(
            f"{name}: none of {len(paths)} images can be read, first {unread[0]}"
        )
    return found, unread


def file_sizes(paths: Sequence[str]) -> list[tuple[int, int]] | None:
    """The (height, width) in the heads of image files; None if one cannot be read."""
    image = _pillow("X, paths of images,")

    def size(path: str) -> tuple[int, int] | None:
        try:
            with image.open(path) as opened:
                turned = opened.getexif().get(_ORIENTATION) in _TURNED
                return opened.size if turned else opened.size[::-1]
        except Exception:  # a broken file raises whatever its format does
            return None

    found = list(_ahead(size, paths))
    return None if None in found else found


def reason(error: Exception) -> str:
    """Why a file was not read, without its name, which stands before."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is no image, or of a format that Pillow does not read"
    if isinstance(error, _Deep):
        return str(error)
    return f"{type(error).__name__}: {error}"


class _Deep(ValueError):
    """Of images whose pixels have more than 8 bits."""


def pixels_of(image, size=None, channels: int | None = None) -> np.ndarray:
    """What Pillow opened as bytes [height, width, channels], as it is to be shown."""
    if image.mode.startswith(DEEP):
        raise _Deep(
            f"its pixels have more than 8 bits (Pillow's mode {image.mode}), which are "
            "read from arrays alone, as of np.asarray(Image.open(path))"
        )
    mode = _MODES[channels or (1 if image.mode in _GREY else 3)]
    image.load()
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = _pillow_ops().exif_transpose(image)
    image = image if image.mode == mode else image.convert(mode)
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], _pillow("").Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def resized(images: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Bring arrays [height, width, channels] to one size, as `read_files` does files.

    Parameters
    ----------
    images : sequence of ndarray, or ndarray [n, height, width, channels]
    size : (height, width)

    Returns
    -------
    ndarray [n, *size, channels]
        Of their type, whole numbers rounded; truth values as float32.
    """
    pillow = _pillow("resize_to")

    def plane(pixels: np.ndarray) -> np.ndarray:
        kind = np.uint8 if pixels.dtype == np.uint8 else np.float32
        image = pillow.fromarray(np.ascontiguousarray(pixels, dtype=kind))
        return np.asarray(image.resize(size[::-1], pillow.Resampling.BILINEAR))

    def bring(image: np.ndarray) -> np.ndarray:
        planes = [plane(image[..., i]) for i in range(image.shape[2])]
        found = np.stack(planes, axis=-1)
        if image.dtype.kind in "iu":
            found = np.rint(found)
        return found if image.dtype.kind == "b" else found.astype(image.dtype)

    return stored(_ahead(bring, images), len(images))


def stored(images: Iterator[np.ndarray], count: int) -> np.ndarray | None:
    """So many images of one shape and type, one behind the other; None if none come.

    Raises
    ------
    OSError
        If they are too large for memory, and there is no room for them on the disk.
    """
    first = next(images, None)
    if first is None:
        return None
    shape, images = (count, *first.shape), chain([first], images)
    if count * first.nbytes <= _IN_MEMORY:
        found = np.empty(shape, first.dtype)
        for i, image in enumerate(images):
            found[i] = image
        return found
    with TemporaryFile() as file:
        for image in images:
            _write(file, np.ascontiguousarray(image), count)
        _write(file, None, count)
        return np.memmap(file, first.dtype, "r", shape=shape)


def _write(file, image: np.ndarray | None, count: int) -> None:
    try:
        file.flush() if image is None else file.write(image)
    except OSError as error:
        size = "" if image is None else f"of {image.nbytes * count / 1e9:.1f} GB "
        raise OSError(
            error.errno,
            f"{count} images {size}do not fit into {gettempdir()} ({error.strerror}): "
            "set TMPDIR to a folder with room, make them smaller by resize_to, or use "
            "fit_chunks, which reads a chunk at a time",
        ) from error
