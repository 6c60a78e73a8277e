"""Windows over spatial axes: their padding, their number, and what they read."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from slimlearn.backend.op import Refusal
from slimlearn.backend.shape import Dim

Padding: TypeAlias = (
    Literal["SAME", "VALID", "CAUSAL", "same", "valid", "causal"]
    | Sequence[Sequence[int]]
)

# Products of two of them fit 64 bits.
_MOST_REACH = 1 << 24
# Numbers of a row with its padding: kernels may copy some rows of it.
_MOST_PADDED = 1 << 40


def numbers_by_axis(given, axes: int, what: str, where: str) -> list[int]:
    """Return one whole number for each spatial axis; one stands for all.

    Raises
    ------
    ValueError, TypeError
        If it is neither, naming what it is.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        numbers = list(given)
    else:
        numbers = [given] * axes
    if len(numbers) != axes:
        raise ValueError(
            f"{where} {what}={given!r} needs one number, or one for each of "
            f"{axes} spatial axes"
        )
    for number in numbers:
        if not hasattr(number, "__index__") or isinstance(number, bool):
            raise TypeError(f"{where} {what}={given!r} must be whole numbers")
        if number < 1:
            raise ValueError(f"{where} {what}={given!r} must be 1 or more")
    return [int(number) for number in numbers]


def padding_of(padding, sizes, kernel, attributes, where: str) -> list[int]:
    """Return zeros before and after each spatial axis, one after the other."""
    if isinstance(padding, str):
        rule = padding.upper()
        if rule not in ("SAME", "VALID", "CAUSAL"):
            raise ValueError(
                f"{where} padding={padding!r} is none of 'SAME', 'VALID', 'CAUSAL' and "
                "pairs (before, after)"
            )
        if rule == "VALID":
            return [0, 0] * len(sizes)
        if rule == "CAUSAL":
            if len(sizes) != 1:
                raise ValueError(
                    f"{where} padding={padding!r} is for one spatial axis, time; there "
                    f"are {len(sizes)}"
                )
            return [(kernel[0] - 1) * attributes["dilations"][0], 0]
        steps = zip(
            sizes, kernel, attributes["strides"], attributes["dilations"], strict=False
        )
        return [zeros for step in steps for zeros in _same(*step)]
    pairs = [tuple(pair) for pair in padding]
    if len(pairs) != len(sizes) or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"{where} padding={padding!r} needs a pair (before, after) for each of "
            f"{len(sizes)} spatial axes"
        )
    return [int(zeros) for pair in pairs for zeros in pair]


def _same(size, kernel, stride, dilation) -> tuple[int, int]:
    if type(kernel) is not int:
        return 0, 0  # the op refuses it
    if type(size) is not int:
        # As many as stride 1 needs: where windows stand does not depend on the size.
        zeros = (kernel - 1) * dilation
        return zeros // 2, zeros - zeros // 2
    positions = -(-size // stride)
    needed = (positions - 1) * stride + (kernel - 1) * dilation + 1
    zeros = max(needed - size, 0)
    return zeros // 2, zeros - zeros // 2


def pad_widths(attributes) -> list[tuple[int, int]]:
    """Return (before, after) for each spatial axis."""
    padding = attributes["padding"]
    return list(zip(padding[::2], padding[1::2], strict=True))


def check_padded(x, attributes) -> None:
    """Refuse padding that makes more of a row of x than any memory holds."""
    numbers = x[-1]
    for size, (before, after) in zip(x[1:-1], pad_widths(attributes), strict=True):
        numbers *= size + before + after if type(size) is int else 1
    if numbers > _MOST_PADDED:
        raise Refusal(
            f"a row of x has {numbers} numbers with its padding, more than "
            f"{_MOST_PADDED}: pad less"
        )


def are_sizes(x) -> bool:
    """Whether the spatial axes are numbers or symbols but B, the channels a number."""
    spatial = all(type(s) is int or "B" not in s.symbols for s in x[1:-1])
    return spatial and type(x[-1]) is int


def out_size(
    size: int | Dim, kernel: int, attributes, axis: int, what: str
) -> int | Dim:
    """Return the number of windows along a spatial axis, or refuse."""
    before, after = pad_widths(attributes)[axis]
    dilation = attributes["dilations"][axis]
    reach = (kernel - 1) * dilation + 1
    room = size + before + after - reach
    if kernel < 1 or (type(room) is int and room < 0):
        raise Refusal(
            f"a kernel that reaches over {reach} does not fit spatial axis {axis} of "
            f"{size} and {before + after} of padding: {what}: make the kernel smaller "
            "or pad with 'SAME'"
        )
    return room // attributes["strides"][axis] + 1


def strided(padded, tap, out, attributes):
    """Return what a tap of every window reads of a padded array, as a view."""
    windows = zip(tap, out, attributes["strides"], attributes["dilations"], strict=True)
    return padded[
        (
            slice(None),
            *(
                slice(at * dilation, at * dilation + (count - 1) * stride + 1, stride)
                for at, count, stride, dilation in windows
            ),
        )
    ]


def check_numbers(attributes, key: str, count: int, least: int) -> None:
    """Refuse an attribute that is not `count` numbers of `least` or more."""
    given = attributes[key]
    if len(given) != count or any(
        not least <= number <= _MOST_REACH for number in given
    ):
        raise Refusal(
            f"{key}={list(given)} needs {count} numbers from {least} to {_MOST_REACH}"
        )
