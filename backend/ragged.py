"""Sources whose rows have different lengths, and what runs over rows of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

__all__ = ["Ragged", "by_length"]


class Ragged:
    """Rows of different length, as values and offsets that are never copied.

    Parameters
    ----------
    values : ndarray of shape (steps, ...)
        In C order.
    offsets : int64 array of shape (rows + 1,)
        Row i has the steps ``offsets[i]`` to ``offsets[i + 1]``.
    sizes : sequence of int
        Steps that a batch may have, rising: it has the fewest that hold its rows.
    padding : float, default=0.0
        What stands behind a row in a batch; no result depends on it.
    """

    __slots__ = ("offsets", "padding", "sizes", "values")

    def __init__(
        self,
        values: np.ndarray,
        offsets: np.ndarray,
        sizes: Sequence[int],
        padding: float = 0.0,
    ):
        self.values = values
        self.offsets = offsets
        self.sizes = tuple(map(int, sizes))
        self.padding = padding

    def __repr__(self) -> str:
        return f"<Ragged: {len(self)} rows of up to {self.sizes[-1]} steps>"

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a batch of all rows."""
        return (len(self), self.sizes[-1], *self.values.shape[1:])

    @property
    def ndim(self) -> int:
        return self.values.ndim + 1

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def lengths(self) -> np.ndarray:
        """The steps of each row."""
        return np.diff(self.offsets)

    @property
    def buckets(self) -> np.ndarray:
        """Which of the sizes each row needs at least."""
        return np.searchsorted(self.sizes[:-1], self.lengths)

    def of_size(self, size: int) -> Ragged:
        """The same for batches of one size."""
        return Ragged(self.values, self.offsets, (size,), self.padding)

    def __getitem__(self, rows) -> np.ndarray:
        """Rows as a batch has them, padded."""
        rows = np.arange(len(self))[rows]
        size = self.sizes[int(self.buckets[rows].max(initial=0))]
        shape = (len(rows), size, *self.values.shape[1:])
        batch = np.full(shape, self.padding, self.values.dtype)
        for at, row in enumerate(rows):
            own = self.values[self.offsets[row] : self.offsets[row + 1]][:size]
            batch[at, : len(own)] = own
        return batch


def _several(sources: Mapping) -> dict[str, Ragged]:
    return {
        name: source
        for name, source in sources.items()
        if isinstance(source, Ragged) and len(source.sizes) > 1
    }


def _groups(
    ragged: dict[str, Ragged], rows: np.ndarray | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Each bucket and where its rows stand in `rows`."""
    buckets = np.max([source.buckets for source in ragged.values()], axis=0)
    if rows is not None:
        buckets = buckets[rows]
    for bucket in np.unique(buckets):
        yield int(bucket), np.flatnonzero(buckets == bucket)


def by_length(
    sources: dict,
    rows: np.ndarray | None,
    sums: Callable[[], Sequence[bool] | None],
    run: Callable[[dict, np.ndarray | None], tuple[np.ndarray, ...]],
) -> tuple[np.ndarray, ...]:
    """Run over rows of like length at a time, results in the order of the rows.

    Parameters
    ----------
    sources : dict of str to ndarray, CSR matrix or Ragged
    rows : int array or None
        Row numbers; None for all.
    sums : callable
        ``sums()`` says which results are sums over rows. None: rows must run together.
    run : callable
        ``run(sources, rows) -> results``.
    """
    ragged = _several(sources)
    if not ragged:
        return run(sources, rows)
    adds_up = sums()
    if rows is not None:
        rows = np.asarray(rows)
    groups = list(_groups(ragged, rows))
    if adds_up is None and groups:
        groups = [(groups[-1][0], slice(None))]
    if not groups:  # there are no rows
        groups = [(-1, slice(None))]
    count = len(next(iter(ragged.values()))) if rows is None else len(rows)
    pieces = []
    for bucket, places in groups:
        sized = {n: s.of_size(s.sizes[bucket]) for n, s in ragged.items()}
        own = places if rows is None else rows[places]
        if isinstance(places, slice):
            return run({**sources, **sized}, rows)
        pieces.append((places, run({**sources, **sized}, own)))
    results = []
    for i, adds in enumerate(adds_up):
        parts = [(places, found[i]) for places, found in pieces]
        if adds:
            total = parts[0][1]
            for _, part in parts[1:]:
                total = total + part
            results.append(total)
        else:
            results.append(_scattered(parts, count))
    return tuple(results)


def _scattered(parts: list[tuple[np.ndarray, np.ndarray]], count: int) -> np.ndarray:
    """Rows of all parts in their places; axes that differ end in zeros."""
    shape = tuple(np.max([part.shape[1:] for _, part in parts], axis=0, initial=0))
    shape = tuple(map(int, np.atleast_1d(shape)[: parts[0][1].ndim - 1]))
    result = np.zeros((count, *shape), parts[0][1].dtype)
    for places, part in parts:
        result[(places, *(slice(size) for size in part.shape[1:]))] = part
    return result
