"""Named sources: the arrays a program reads, the rows it trains on, their weights."""

from __future__ import annotations

import copy

import numpy as np
from scipy import sparse

from slimlearn.backend.coded import Coded
from slimlearn.backend.graph import NUMPY_TYPES
from slimlearn.backend.resident import Resident

__all__ = [
    "as_source",
    "auto_batch_size",
    "holdout",
    "steps_per_epoch",
    "uniform",
]

# What the native gather converts by itself; the rest is converted here, once.
_NATIVE = frozenset(
    np.dtype(kind) for kind in ("float32", "float64", "uint8", "int32", "int64")
)
_CONVERSIONS = {
    np.dtype("float16"): np.float32,
    np.dtype("int8"): np.int32,
    np.dtype("int16"): np.int32,
    np.dtype("uint16"): np.int32,
    np.dtype("uint32"): np.int64,
}
# What the gather on a GPU does not convert by itself.
_CONVERSIONS_THERE = {
    np.dtype("float16"): np.float32,
    np.dtype("uint32"): np.int64,
    np.dtype("uint64"): np.float64,
}
# Elements of sparse matrices: exact in float32, or float64.
_CSR_TYPES = {
    np.dtype(kind): np.float32
    for kind in ("float32", "float16", "bool", "int8", "uint8", "int16", "uint16")
}


def as_source(
    array: np.ndarray | sparse.spmatrix | sparse.sparray | Coded | Resident,
    dtype: str | None = None,
) -> np.ndarray | sparse.csr_matrix | sparse.csr_array | Coded | Resident:
    """`array` as the runtime reads it, without a copy where it can.

    Parameters
    ----------
    array : ndarray or sparse matrix of numbers or booleans, Coded or Resident
        May be strided, read-only or a memory map.
    dtype : {"f32", "f64", "i32", "i64"} or None
        Convert to this type; None keeps every type that the runtime converts itself.

    Returns
    -------
    ndarray of float32, float64, uint8, int32 or int64 in native byte order, or CSR
    matrix of float32 or float64 whose columns rise within each row; Coded as it is;
    what is resident on a GPU is converted there

    Raises
    ------
    ValueError
        If the arrays of a sparse matrix do not fit each other or its shape.
    """
    if sparse.issparse(array):
        return _as_csr(array, dtype)
    if isinstance(array, Coded):
        return array
    if isinstance(array, Resident):
        plain = _CONVERSIONS_THERE.get(array.dtype, array.dtype)
        return array.astype(plain if dtype is None else NUMPY_TYPES[dtype])
    if dtype is not None:
        return np.asarray(array, dtype=NUMPY_TYPES[dtype])
    if array.dtype in _NATIVE and array.dtype.isnative:
        return array
    if array.dtype == bool:
        return array.view(np.uint8)
    plain = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
    if plain in _NATIVE:
        return array.astype(plain)
    return array.astype(_CONVERSIONS.get(plain, np.float64))


def _as_csr(matrix, dtype: str | None):
    """A sparse matrix in canonical CSR form: itself where it has that already."""
    csr = matrix.tocsr()
    if csr is matrix:
        _check_csr(csr)
    if not csr.has_canonical_format:
        csr = csr.copy() if csr is matrix else csr
        csr.sum_duplicates()
    wanted = NUMPY_TYPES[dtype] if dtype else _CSR_TYPES.get(csr.dtype, np.float64)
    parts = [csr.data, csr.indices, csr.indptr]
    plain = [
        np.require(part, kind, "CA")
        for part, kind in zip(
            parts, [wanted, *(_index_type(part) for part in parts[1:])], strict=True
        )
    ]
    if all(new is old for new, old in zip(plain, parts, strict=True)):
        return csr
    if csr is matrix:
        csr = copy.copy(csr)
    csr.data, csr.indices, csr.indptr = plain
    return csr


def _index_type(index: np.ndarray) -> type:
    return np.int32 if index.dtype.itemsize == 4 else np.int64


def _check_csr(csr) -> None:
    """Refuse a CSR matrix whose arrays SciPy must not follow."""
    rows, columns = csr.shape
    data, indices, indptr = csr.data, csr.indices, csr.indptr
    steps = indptr[1:] >= indptr[:-1]
    if len(indptr) != rows + 1 or indptr[0] < 0 or not steps.all():
        raise ValueError(
            f"the sparse matrix is broken: indptr must have {rows + 1} elements, start "
            "at 0 and never fall"
        )
    if len(data) != len(indices) or indptr[-1] > len(data):
        raise ValueError(
            f"the sparse matrix is broken: indptr ends at {indptr[-1]}, data has "
            f"{len(data)} elements, indices {len(indices)}"
        )
    if len(indices) and not 0 <= indices.min() <= indices.max() < columns:
        raise ValueError(
            f"the sparse matrix is broken: its columns run from {indices.min()} to "
            f"{indices.max()}, its shape is {csr.shape}"
        )


def uniform(weights: np.ndarray | None) -> bool:
    """Whether weights say nothing: absent, or all the same."""
    return weights is None or len(weights) == 0 or weights.min() == weights.max()


def auto_batch_size(rows: int) -> int:
    """The batch size that "auto" stands for.

    32 up to 1,600 rows, then the power of two nearest to rows / 50, at most 256.
    """
    if rows <= 1600:
        return 32
    return min(256, int(2 ** np.round(np.log2(rows / 50))))


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Batches in an epoch; a last batch of one row joins the one before it."""
    batch_size = min(batch_size, rows)
    steps = -(-rows // batch_size)
    return steps - 1 if steps > 1 and rows % batch_size == 1 else steps


def holdout(
    rows: np.ndarray,
    fraction: float,
    seed: int,
    classes: np.ndarray | None = None,
    *,
    groups: np.ndarray | None = None,
    last: bool = False,
    least: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and validation.

    Parameters
    ----------
    rows : index array of shape (n,)
    fraction : float in (0, 1)
        Of the rows that are held out: at least `least` rows, while one is left. Of
        groups, those that fit in; at least one group.
    seed : int
        Same seed, same split.
    classes : int array of shape (n,), optional
        Class codes of `rows`, from 0. Each class keeps its share (but with groups), and
        at least one row in training.
    groups : int array of shape (n,), optional
        Codes of `rows`, from 0: rows of one are held out together, or not at all.
    last : bool
        Whether the last rows are held out, or the groups that begin last, whatever
        their classes are.
    least : int

    Returns
    -------
    training, validation : index arrays, ascending

    Raises
    ------
    ValueError
        If there is no row, or no group, to hold out.
    """
    n = len(rows)
    wanted = max(least, round(fraction * n))
    draw = np.random.RandomState(seed % 2**32).permutation
    if groups is not None:
        held = _whole_groups(groups, wanted, classes, None if last else draw)
    elif last:
        held = np.arange(max(n - wanted, 1), n)
    elif classes is None:
        held = draw(n)[: min(wanted, n - 1)]
    else:
        held = _stratified(draw(n), classes, wanted)
    if len(held) == 0:
        what = f"a row of {n} sample{'s' * (n != 1)}"
        if groups is not None:
            count = len(np.unique(groups))
            what = (
                f"one of {count} group{'s' * (count != 1)}, which would leave too few"
            )
        raise ValueError(
            f"early_stopping cannot hold out {what}: give X_val and y_val, or set "
            "validation_fraction=None to watch the training loss"
        )
    mask = np.zeros(n, dtype=bool)
    mask[held] = True
    return rows[~mask], rows[mask]


def _whole_groups(groups, wanted: int, classes, draw) -> np.ndarray:
    """The rows of groups that have `wanted` rows together, or fewer; of one at least.

    Without `draw` these are the last ones, by where they begin. Else they are met in a
    random order, and a row of each class is left.
    """
    _, begins, groups = np.unique(groups, return_index=True, return_inverse=True)
    sizes = np.bincount(groups)
    if draw is None:
        turn = np.argsort(-begins)[:-1]
        inside = np.count_nonzero(np.cumsum(sizes[turn]) <= wanted)
        return np.flatnonzero(np.isin(groups, turn[: max(inside, 1)]))
    turn = draw(len(sizes))
    rows_of = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    classes = np.zeros(len(groups), dtype=np.intp) if classes is None else classes
    left, chosen, room = np.bincount(classes), [], wanted

    def take(group) -> None:
        nonlocal left, room
        rest = left - np.bincount(classes[rows_of[group]], minlength=len(left))
        if (rest > 0)[left > 0].all():
            left, room = rest, room - sizes[group]
            chosen.append(rows_of[group])

    for group in turn:
        if sizes[group] <= room:
            take(group)
    for group in turn[np.argsort(sizes[turn], kind="stable")]:
        if chosen:
            break
        take(group)
    return np.concatenate(chosen or [np.empty(0, dtype=np.intp)])


def _stratified(shuffled, groups, wanted):
    counts = np.bincount(groups)
    share = np.minimum(counts * (wanted / len(groups)), np.maximum(counts - 1, 0))
    quota = np.floor(share).astype(np.int64)
    # The largest remainders take what rounding down left over.
    for group in np.argsort(quota - share, kind="stable"):
        if quota.sum() >= wanted:
            break
        if quota[group] < counts[group] - 1:
            quota[group] += 1
    by_group = shuffled[np.argsort(groups[shuffled], kind="stable")]
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.concatenate(
        [by_group[b : b + q] for b, q in zip(begins, quota)]
        or [np.empty(0, dtype=np.int64)]
    )
