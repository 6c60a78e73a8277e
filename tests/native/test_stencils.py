"""Sums of many terms and slices: the bits of one operation after another."""

import itertools

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


CROSS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
SQUARE = tuple((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1))


def weighted(c, terms, margin, moves):
    """Sum what lies around each element but those of the margin, in this order."""
    rows, columns = c.shape[0] - 2, c.shape[1] - 2 * margin

    def near(i, j):
        return c[1 + i : 1 + i + rows, margin + j : margin + j + columns]

    total = None
    for point, factor in terms:
        term = near(*point) if factor == 1 else near(*point) * factor
        total = term if total is None else total + term
    return near(0, 0) + 0.1 * total if moves else total


# Widths on both sides of a vector, of a few and of many, and of a block of the tape;
# margins for which rows begin everywhere in a line of cache.
@pytest.mark.parametrize("columns", [1, 16, 64, 79, 113, 128, 143, 254, 520])
@pytest.mark.parametrize("points", [CROSS, SQUARE], ids=["cross", "square"])
def test_neighbours_in_any_order(points, columns):
    rng = np.random.default_rng(columns)
    for rows, margin in itertools.product((1, 2, 5), (1, 2, 15, 16)):
        order = [points[i] for i in rng.permutation(len(points))]
        factors = rng.choice([1.0, 1.0, 1.0, -1.0, 0.25, -4.0], len(points))
        terms = list(zip(order, factors.tolist(), strict=True))
        moves = bool(rng.integers(2))
        pads = [(1, 1), (margin, margin)]
        x = want = rng.normal(size=(rows + 2, columns + 2 * margin)).astype("f4")
        for _ in range(3):
            want = np.pad(weighted(want, terms, margin, moves), pads)

        def step(c, _, terms=terms, margin=margin, moves=moves, pads=pads):
            return ops.pad(weighted(c, terms, margin, moves), pads), None

        for n_threads in (1, 2):
            run = slimlearn.function(
                lambda x, step=step: ops.scan(step, x, length=3)[0],
                n_threads=n_threads,
            )
            assert run(x).tobytes() == want.tobytes()


# A wave that keeps its border, with a term for columns; while others keep nothing.
@pytest.mark.parametrize("keeps", [False, True])
def test_neighbours_beside_other_values(keeps):
    edges = [(1, 1), (1, 1)]

    def step(c, old, bias, pad):
        bend = c[2:, 1:-1] + c[:-2, 1:-1] + c[1:-1, 2:] + c[1:-1, :-2]
        if keeps:
            return old + pad(0.2 * (bend - c[1:-1, 1:-1] - c[1:-1, 1:-1]))
        return pad(old[1:-1, 1:-1] + 0.2 * (bend - c[1:-1, 1:-1] + bias))

    @slimlearn.function
    def run(c, old, bias):
        def body(carry):
            i, c, old = carry
            return i + 1, step(c, old, bias, lambda y: ops.pad(y, edges)), c

        start = (ops.constant(0), c, old)
        return ops.while_loop(lambda carry: carry[0] < 9, body, start)[1:]

    rng = np.random.default_rng(0)
    c, old = rng.normal(size=(2, 20, 130)).astype("f4")
    bias = rng.normal(size=128).astype("f4")
    got = run(c, old, bias)
    for _ in range(9):
        c, old = step(c, old, bias, lambda y: np.pad(y, 1)), c
    assert got[0].tobytes() == c.tobytes()
    assert got[1].tobytes() == old.tobytes()


def test_scipy_has_the_same_diffusion():
    ndimage = pytest.importorskip("scipy.ndimage")
    kernel = np.asarray([[0.05, 0.1, 0.05], [0.1, 0.4, 0.1], [0.05, 0.1, 0.05]])
    points = [((i - 1, j - 1), float(k)) for (i, j), k in np.ndenumerate(kernel)]

    @slimlearn.function
    def run(x):
        def step(c, _):
            return ops.pad(weighted(c, points, 1, False), [(1, 1), (1, 1)]), None

        return ops.scan(step, x, length=50)[0]

    x = np.random.default_rng(0).normal(size=(66, 200)).astype("f4")
    want = x.astype("f8")
    for _ in range(50):
        want = np.pad(ndimage.correlate(want, kernel)[1:-1, 1:-1], 1)
    np.testing.assert_allclose(run(x), want, atol=1e-6)
