"""Shapes: tuples of dimensions, their sizes and how they broadcast."""

import math
from collections.abc import Iterable, Sequence

from slimlearn.backend.shape.dim import Dim


def product(dims: Iterable[int | Dim]) -> int | Dim:
    """Return the number of elements of a shape."""
    return math.prod(dims)


def broadcast_shapes(*shapes: Sequence[int | Dim]) -> tuple[int | Dim, ...]:
    """Return the shape that NumPy's rule gives; symbols must be equal or meet a 1.

    Raises
    ------
    ValueError
        If two dimensions differ and neither is 1.
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return tuple(first)
    result = []
    for axis in range(-max(map(len, shapes)), 0):
        dim: int | Dim = 1
        for shape in shapes:
            if len(shape) >= -axis and shape[axis] != 1 and shape[axis] != dim:
                if dim != 1:
                    raise ValueError(
                        f"dimensions {dim} and {shape[axis]} differ at axis {axis}"
                    )
                dim = shape[axis]
        result.append(dim)
    return tuple(result)


class Shape(tuple):
    """A shape as Slim code expects it: a tuple with TensorFlow's methods.

    Its slices are shapes, too.
    """

    __slots__ = ()

    def __getitem__(self, key):
        found = super().__getitem__(key)
        return Shape(found) if key.__class__ is slice else found

    def as_list(self) -> list[int | None]:
        """Return the sizes, with None where a dimension is known only at run time."""
        return [dim if dim.__class__ is int else None for dim in self]

    @property
    def ndims(self) -> int:
        """The rank."""
        return len(self)

    @property
    def rank(self) -> int:
        """The rank, by its newer word."""
        return len(self)

    def is_fully_defined(self) -> bool:
        """Return whether all sizes are known while the network is built."""
        return all(dim.__class__ is int for dim in self)

    def num_elements(self) -> int | None:
        """Return the number of elements, None if it is known only at run time."""
        return product(self) if self.is_fully_defined() else None

    def assert_has_rank(self, rank: int) -> None:
        """Refuse another rank.

        Raises
        ------
        ValueError
            If this is no shape of so many axes.
        """
        if len(self) != rank:
            raise ValueError(f"shape {self} must have rank {rank}, not {len(self)}")

    def assert_is_fully_defined(self) -> None:
        """Refuse sizes that are known only at run time.

        Raises
        ------
        ValueError
            If there is one.
        """
        if not self.is_fully_defined():
            raise ValueError(f"shape {self} has sizes that are known only at run time")

    def assert_is_compatible_with(self, other: Sequence[int | None]) -> None:
        """Refuse a shape that cannot be the other one.

        Parameters
        ----------
        other : sequence of int or None
            None is any size, as a size is that is known only at run time.

        Raises
        ------
        ValueError
            If they differ in rank or in a known size.
        """
        pairs = zip(self.as_list(), other)
        if len(self) != len(other) or any(
            None not in pair and pair[0] != pair[1] for pair in pairs
        ):
            raise ValueError(f"shape {self} must be {list(other)}")
