"""Philox4x32-10 in NumPy: the random numbers of programs.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
(SC 2011). The key is (seed, stream), the counter (column block, row, time low, time
high), so a number depends on where it stands and on nothing else. The time is 40 bits
of step and above them 24 bits for the iteration of the loop around the op, 0 outside of
loops. Where loops are nested, those around that one change the seed.
"""

import math

import numpy as np

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
STEP_BITS = 40
ROW_STREAM = 0x53485546


def philox(key: tuple[int, int], counter: np.ndarray) -> np.ndarray:
    """Return four random words for each counter.

    Parameters
    ----------
    key : (int, int)
        Two 32-bit words.
    counter : ndarray of shape (..., 4)
        Four 32-bit words each.

    Returns
    -------
    ndarray of uint32, shape (..., 4)
    """
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter).astype(np.uint64), -1, 0)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (
            (p1 >> _HALF) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _HALF) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3), -1).astype(np.uint32)


def time_of(step: int, iteration: int = 0) -> int:
    """Return what `uniform`, `normal` and `keep` take as the step inside of a loop."""
    return (step & ((1 << STEP_BITS) - 1)) | iteration << STEP_BITS


def loop_time(seed: int, time: int, step: int) -> tuple[int, int]:
    """Return seed and time in a step of a loop around which they are as given."""
    around = time >> STEP_BITS
    if around:
        seed = _mixed(seed, around)
    turn, iteration = divmod(step, (1 << 64 - STEP_BITS) - 1)
    if turn:
        seed = _mixed(seed, ~turn & 0xFFFFFFFF)
    return seed, time_of(time, iteration + 1)


def _mixed(key: int, number: int) -> int:
    """Return 32 bits of both: the finalizer of MurmurHash3."""
    h = (key ^ number) * 0x9E3779B1 & 0xFFFFFFFF
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def _words(seed, stream, step, rows, columns, lanes) -> np.ndarray:
    """Return the words of every row: shape (rows, ceil(columns / lanes), 4)."""
    blocks = -(-columns // lanes)
    counter = np.zeros((len(rows), blocks, 4), np.uint32)
    counter[..., 0] = np.arange(blocks)
    counter[..., 1] = np.asarray(rows)[:, None]
    counter[..., 2] = step & 0xFFFFFFFF
    counter[..., 3] = step >> 32
    return philox((seed & 0xFFFFFFFF, stream), counter)


def _layout(rows, shape) -> tuple:
    """Return the row counters and the columns of each for a result of `shape`."""
    if rows is None:
        return np.zeros(1, np.int64), math.prod(shape)
    return rows, math.prod(shape[1:])


def _flat(values: np.ndarray) -> np.ndarray:
    """Return one line per row counter, of which there may be none."""
    return values.reshape(len(values), math.prod(values.shape[1:]))


def _wide(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return uniforms with 53 random bits from two words each."""
    both = (high.astype(np.uint64) << _HALF) | low.astype(np.uint64)
    return (both >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniform(seed, stream, step, rows, shape, dtype) -> np.ndarray:
    """Return uniforms in [0, 1), one line per row counter.

    Parameters
    ----------
    seed, stream, step : int
        Inside of a loop the step is `time_of` its iteration.
    rows : ndarray of int, or None
        The row counter of each leading index; None counts all elements as columns.
    shape : tuple of int
    dtype : {float32, float64}
    """
    rows, columns = _layout(rows, shape)
    if np.dtype(dtype) == np.float32:
        words = _words(seed, stream, step, rows, columns, 4)
        values = (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    else:
        words = _words(seed, stream, step, rows, columns, 2)
        values = _wide(words[..., 0::2], words[..., 1::2])
    return _flat(values)[:, :columns]


def normal(seed, stream, step, rows, shape, dtype) -> np.ndarray:
    """Return standard normals (Box-Muller), laid out as `uniform`."""
    rows, columns = _layout(rows, shape)
    words = _words(seed, stream, step, rows, columns, 2)
    radius = np.sqrt(-2.0 * np.log(1.0 - _wide(words[..., 0], words[..., 1])))
    angle = 2.0 * np.pi * _wide(words[..., 2], words[..., 3])
    pair = np.stack((radius * np.cos(angle), radius * np.sin(angle)), -1)
    return _flat(pair)[:, :columns].astype(dtype)


def keep(seed, stream, step, rows, shape, keep_prob: float) -> np.ndarray:
    """Return which elements dropout keeps, as bool laid out as `uniform`.

    One 128-bit draw decides eight elements, 16 bits each; where these stand right at
    the edge, 53 bits of another stream decide, so that any `keep_prob` is met.
    """
    rows, columns = _layout(rows, shape)
    words = _words(seed, stream, step, rows, columns, 8)
    bits = np.stack((words & np.uint32(0xFFFF), words >> np.uint32(16)), -1)
    bits = _flat(bits)[:, :columns]
    rest, edge = math.modf(keep_prob * 65536)
    at_edge = bits == edge
    if rest == 0 or not at_edge.any():
        return bits < edge
    words = _words(seed, stream ^ 0xFFFFFFFF, step, rows, columns, 1)
    return (bits < edge) | (at_edge & (_wide(words[..., 0], words[..., 1]) < rest))


def permutation(order, seed: int, epoch: int, stream: int = ROW_STREAM) -> np.ndarray:
    """Return `order` shuffled for one epoch (Fisher-Yates from the end).

    Parameters
    ----------
    order : array-like of int, or int
        The rows to shuffle; a number n stands for 0 … n - 1.
    seed, epoch, stream : int
    """
    order = np.arange(order) if np.ndim(order) == 0 else np.array(order)
    n = len(order)
    counter = np.zeros((n // 4 + 1, 4), np.uint32)
    counter[:, 0] = np.arange(len(counter))
    counter[:, 2] = epoch & 0xFFFFFFFF
    counter[:, 3] = epoch >> 32
    draws = philox((seed & 0xFFFFFFFF, stream), counter).reshape(-1)
    places = draws[:n].astype(np.uint64) * np.arange(1, n + 1, dtype=np.uint64)
    places = (places >> _HALF).tolist()
    mixed = order.tolist()
    for i in range(n - 1, 0, -1):
        j = places[i]
        mixed[i], mixed[j] = mixed[j], mixed[i]
    return np.array(mixed, order.dtype)
