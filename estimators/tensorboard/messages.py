"""What TensorBoard's plugins read, as its own protocol messages."""

from __future__ import annotations

import io
import struct
import zlib
from importlib import import_module

import numpy as np

__all__ = [
    "Kinds",
    "audio",
    "histogram",
    "image",
    "kinds",
    "pr_curve",
    "scalar",
    "text",
]

# Bars of a histogram, and thresholds of a precision-recall curve.
BARS = 30
_THRESHOLDS = 201


class Kinds:
    """The modules of the tensorboard package that messages are made by.

    Raises
    ------
    ImportError
        If the package is not installed.
    """

    def __init__(self):
        try:
            proto = "tensorboard.compat.proto"
            self.event = import_module(f"{proto}.event_pb2")
            self.summary = import_module(f"{proto}.summary_pb2")
            self.graph = import_module(f"{proto}.graph_pb2")
            self.types = import_module(f"{proto}.types_pb2")
            self.versions = import_module(f"{proto}.versions_pb2")
            self.config = import_module(f"{proto}.config_pb2")
            self.tensor = import_module(f"{proto}.tensor_pb2")
            self.hparams = import_module("tensorboard.plugins.hparams.plugin_data_pb2")
            self.hparams_api = import_module("tensorboard.plugins.hparams.api_pb2")
            for plugin in ("scalar", "histogram", "image", "audio", "text", "hparams"):
                name = f"tensorboard.plugins.{plugin}.metadata"
                setattr(self, f"{plugin}_plugin", import_module(name))
            name = "tensorboard.plugins.pr_curve.metadata"
            self.pr_curve_plugin = import_module(name)
        except ImportError as error:
            raise ImportError(
                f"files for TensorBoard need the tensorboard package, which could not "
                f'be imported ({error}): pip install "slimlearn[tensorboard]"'
            ) from error


_known: list[Kinds] = []


def kinds() -> Kinds:
    """Return the modules, imported once."""
    if not _known:
        _known.append(Kinds())
    return _known[0]


def _tensor(array: np.ndarray):
    """Return an array of numbers as a message."""
    proto = kinds()
    words = {"f4": "DT_FLOAT", "f8": "DT_DOUBLE", "i8": "DT_INT64"}
    made = proto.tensor.TensorProto(
        dtype=getattr(proto.types, words[array.dtype.str[1:]]),
        tensor_content=array.tobytes(),
    )
    for size in array.shape:
        made.tensor_shape.dim.add(size=size)
    return made


def _strings(parts: list[bytes], shape: tuple[int, ...]):
    proto = kinds()
    made = proto.tensor.TensorProto(dtype=proto.types.DT_STRING, string_val=parts)
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


def _value(tag: str, metadata, tensor):
    return kinds().summary.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def scalar(tag: str, value: float):
    """A number of the scalars dashboard."""
    metadata = kinds().scalar_plugin.create_summary_metadata("", "")
    return _value(tag, metadata, _tensor(np.array(value, np.float32)))


def bars(values: np.ndarray) -> np.ndarray:
    """Count numbers in bars of equal width: [bars, 3] of left, right and count.

    Numbers that are not finite are left out; of none there is nothing.
    """
    values = np.asarray(values).ravel()
    low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        values = values[np.isfinite(values)]
        low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
    if not values.size:
        return np.zeros((0, 3))
    low, high = float(low), float(high)
    if low == high:
        return np.array([[low, high, values.size]])
    if not np.isfinite(high - low):
        return bars(values / 4) * [4, 4, 1]
    edges = np.linspace(low, high, BARS + 1)
    scale = values.dtype.type(BARS / (high - low)) if values.dtype.kind == "f" else None
    if scale is None or not np.isfinite(scale):
        counts, edges = np.histogram(values.astype(np.float64), BARS, (low, high))
    else:
        places = ((values - values.dtype.type(low)) * scale).astype(np.intp)
        counts = np.bincount(np.minimum(places, BARS - 1), minlength=BARS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def histogram(tag: str, values: np.ndarray):
    """Numbers of the histograms and the distributions dashboard."""
    metadata = kinds().histogram_plugin.create_summary_metadata("", "")
    return _value(tag, metadata, _tensor(bars(values).astype(np.float64)))


def png(pixels: np.ndarray) -> bytes:
    """Return pixels [height, width, 1, 3 or 4] of bytes as a PNG file."""
    height, width, channels = pixels.shape
    colour = {1: 0, 3: 2, 4: 6}[channels]
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return (
            struct.pack(">I", len(data))
            + checked
            + struct.pack(">I", zlib.crc32(checked))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    packed = zlib.compress(rows.tobytes(), 1)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def image(tag: str, pictures: list[np.ndarray]):
    """Pictures of the images dashboard: pixels [height, width, channels] of bytes."""
    height, width, _ = pictures[0].shape
    parts = [str(width).encode(), str(height).encode(), *map(png, pictures)]
    metadata = kinds().image_plugin.create_summary_metadata("", "")
    return _value(tag, metadata, _strings(parts, (len(parts),)))


def audio(tag: str, samples: np.ndarray, rate: int):
    """A sound of the audio dashboard: samples [n, channels] from -1 to 1."""
    import wave  # few write sounds

    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    plugin = kinds().audio_plugin
    wav = plugin.Encoding.Value("WAV")
    metadata = plugin.create_summary_metadata("", "", wav)
    return _value(tag, metadata, _strings([data.getvalue(), b""], (1, 2)))


def text(tag: str, words: str):
    """Words of the text dashboard, as Markdown."""
    metadata = kinds().text_plugin.create_summary_metadata("", "")
    return _value(tag, metadata, _strings([words.encode()], ()))


def pr_curve(tag: str, truth: np.ndarray, scores: np.ndarray, weights=None):
    """Precision and recall at thresholds from 0 to 1."""
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    places = np.clip(np.floor(scores * (_THRESHOLDS - 1)), 0, _THRESHOLDS - 1)
    places, least = places.astype(np.intp), 1e-7
    positive = np.bincount(places, weights * truth, _THRESHOLDS)
    negative = np.bincount(places, weights * ~truth, _THRESHOLDS)
    tp, fp = np.cumsum(positive[::-1])[::-1], np.cumsum(negative[::-1])[::-1]
    tn, fn = fp[0] - fp, tp[0] - tp
    precision, recall = tp / np.maximum(least, tp + fp), tp / np.maximum(least, tp + fn)
    data = np.stack([tp, fp, tn, fn, precision, recall]).astype(np.float32)
    metadata = kinds().pr_curve_plugin.create_summary_metadata("", "", _THRESHOLDS)
    return _value(tag, metadata, _tensor(data))
