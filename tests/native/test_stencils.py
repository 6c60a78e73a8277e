"""Sums of many terms and slices: the bits of one operation after another."""

import numpy as np
import pytest

import slimlearn
from slimlearn import ops


def summed(rng, terms, pieces, scale):
    """Add and subtract pieces, some of them scaled, mostly from the left."""
    pieces = list(pieces)
    total = pieces[rng.integers(len(pieces))]
    for _ in range(terms - 1):
        term = pieces[rng.integers(len(pieces))]
        kind = rng.integers(4)
        if kind == 0:
            term = term * 0.3
        elif kind == 1:
            term = -1.7 * term
        elif kind == 2:
            term = term * scale
        kind = rng.integers(8)
        if kind == 0:
            total = term - total
        elif kind == 1:
            total = term + total * 2.5
        elif kind < 4:
            total = total - term
        else:
            total = total + term
        if rng.integers(6) == 0:
            pieces.append(total)  # which others see
    return total


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("width", [1, 7, 63, 64, 70, 254, 700])
@pytest.mark.parametrize("terms", [2, 3, 5, 9, 10, 23])
def test_bits_are_those_of_single_operations(terms, width, dtype):
    x = np.random.default_rng(width).normal(size=(9, width + 2)).astype(dtype)
    scale = np.asarray(0.77, dtype)
    for seed in range(4):

        def compute(x, scale, seed=seed):
            rng = np.random.default_rng(seed)
            slices = [x[i : i + 7, j : j + width] for i in range(3) for j in range(3)]
            return summed(rng, terms, slices, scale)

        @slimlearn.function
        def f(x, scale):
            y = compute(x, scale)
            return y, ops.pad(y, [(1, 1), (1, 1)]), ops.concat([y, y * 2.0])

        # NumPy's Python numbers are doubles, which are rounded before they multiply.
        want = compute(x, scale)
        for n_threads in (1, 2):
            got = slimlearn.function(f._build, n_threads=n_threads)(x, scale)
            assert got[0].dtype == want.dtype == dtype
            assert got[0].tobytes() == want.tobytes()
            np.testing.assert_array_equal(got[1], np.pad(want, 1))
            np.testing.assert_array_equal(got[2], np.concatenate([want, 2 * want], 1))


@pytest.mark.parametrize("side", [8, 66, 256])
def test_a_stencil_in_a_loop(side):
    def step(c):
        bend = c[2:, 1:-1] + c[:-2, 1:-1] + c[1:-1, 2:] + c[1:-1, :-2]
        return c[1:-1, 1:-1] + 0.1 * (bend - 4.0 * c[1:-1, 1:-1])

    @slimlearn.function
    def run(x):
        pads = [(1, 1), (1, 1)]
        return ops.scan(lambda c, _: (ops.pad(step(c), pads), None), x, length=20)[0]

    x = want = np.random.default_rng(0).normal(size=(side, side)).astype("f4")
    for _ in range(20):
        want = np.pad(step(want), 1)
    assert run(x).tobytes() == want.tobytes()
