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
    """A shape as Slim code expects it: a tuple with `as_list` and `ndims`.

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
