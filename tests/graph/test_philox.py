"""Philox: Random123's known answers, and the rules that programs rely on."""

import numpy as np
import pytest

from slimlearn.backend import philox

# From Random123's kat_vectors: philox4x32, 10 rounds: counter, key, result.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_known_answers(counter, key, result):
    got = philox.philox(tuple(words(key)), np.array(words(counter)))
    assert got.tolist() == words(result)


def test_counters_are_independent():
    counters = np.array([words(counter) for counter, _, _ in KNOWN])
    together = philox.philox((1, 2), counters)
    for one, counter in zip(together, counters, strict=True):
        np.testing.assert_array_equal(one, philox.philox((1, 2), counter))


def test_uniform_is_made_of_the_words_in_order():
    rows = np.array([5])
    counter = np.zeros((3, 4), np.int64)
    counter[:, 0], counter[:, 1], counter[:, 2] = np.arange(3), 5, 9
    raw = philox.philox((7, 8), counter).reshape(-1)
    got = philox.uniform(7, 8, 9, rows, (1, 10), np.float32)
    np.testing.assert_array_equal(got[0], (raw[:10] >> 8) * np.float32(2**-24))
    wide = philox.uniform(7, 8, 9, rows, (1, 5), np.float64)
    pairs = [(int(raw[2 * i + 1]) << 32 | int(raw[2 * i])) >> 11 for i in range(5)]
    np.testing.assert_array_equal(wide[0], np.array(pairs) * 2.0**-53)


def test_a_row_draws_the_same_numbers_in_every_batch():
    for draw in (philox.uniform, philox.normal):
        whole = draw(1, 2, 3, np.arange(9), (9, 7), np.float32)
        part = draw(1, 2, 3, np.arange(4, 6), (2, 7), np.float32)
        np.testing.assert_array_equal(whole[4:6], part)


def test_the_step_counts_beyond_32_bits():
    low = philox.uniform(1, 2, 3, None, (4,), np.float32)
    high = philox.uniform(1, 2, 3 + 2**32, None, (4,), np.float32)
    assert not np.array_equal(low, high)


def test_the_bits_above_the_step_are_the_iteration():
    last = 2**philox.STEP_BITS - 1
    times = [philox.time_of(step) for step in (0, last, last + 1)]
    draws = [philox.uniform(1, 2, t, None, (4,), "f4") for t in times]
    assert not np.array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(draws[0], draws[2])
    raw = philox.philox((1, 2), np.array([0, 0, last & 0xFFFFFFFF, 0xFF]))
    np.testing.assert_array_equal(draws[1][0], (raw >> 8) * np.float32(2**-24))
    raw = philox.philox((1, 2), np.array([0, 0, 5, 3 << 8]))
    third = philox.uniform(1, 2, philox.time_of(5, 3), None, (4,), "f4")
    np.testing.assert_array_equal(third[0], (raw >> 8) * np.float32(2**-24))


def test_where_loops_stand():
    turn = 2**24 - 1
    assert philox.loop_time(7, 5, 0) == (7, philox.time_of(5, 1))
    assert philox.loop_time(7, 5, turn - 1) == (7, philox.time_of(5, turn))
    assert philox.loop_time(7, 5, turn)[1] == philox.time_of(5, 1)
    outer = [philox.loop_time(7, 5, i) for i in range(300)]
    inner = [philox.loop_time(*time, j) for time in outer for j in range(300)]
    late = [philox.loop_time(7, 5, turn * i + 1) for i in range(300)]
    assert len({*inner, *late}) == 300 * 300 + 300


def test_moments():
    u = philox.uniform(0, 1, 0, None, (200_000,), np.float64)
    assert u.min() >= 0 and u.max() < 1
    assert u.mean() == pytest.approx(0.5, abs=0.003)
    z = philox.normal(0, 1, 0, None, (200_000,), np.float64)
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.std() == pytest.approx(1, abs=0.01)
    assert (z**4).mean() == pytest.approx(3, abs=0.1)


def test_keep_has_its_probability_and_its_ends():
    def kept(p):
        return philox.keep(3, 4, 5, np.arange(100), (100, 1001), p)

    assert kept(0.3).shape == (100, 1001)
    assert kept(0.3).mean() == pytest.approx(0.3, abs=0.01)
    assert kept(1.0).all()
    assert not kept(1e-9).any()
    # A larger probability keeps all that a smaller one kept.
    assert (kept(0.7) >= kept(0.3)).all()


def test_keep_uses_16_bits_an_element():
    raw = philox.philox((3, 4), np.array([0, 2, 5, 0]))
    bits = [int(raw[i // 2]) >> 16 * (i % 2) & 0xFFFF for i in range(8)]
    got = philox.keep(3, 4, 5, np.array([2]), (1, 8), 0.5)[0]
    assert got.tolist() == [b < 32768 for b in bits]


def test_permutation():
    order = philox.permutation(10, 1, 0)
    assert sorted(order) == list(range(10))
    np.testing.assert_array_equal(order, philox.permutation(np.arange(10), 1, 0))
    np.testing.assert_array_equal(
        philox.permutation(np.arange(10) * 3, 1, 0), order * 3
    )
    assert not np.array_equal(order, philox.permutation(10, 1, 1))
    assert not np.array_equal(order, philox.permutation(10, 2, 0))
    for n in range(4):
        assert sorted(philox.permutation(n, 5, 5)) == list(range(n))


def test_permutation_is_fisher_yates_from_the_end():
    raw = philox.philox((1, 0x53485546), np.array([[0, 0, 4, 0], [1, 0, 4, 0]]))
    draws = [int(word) for word in raw.reshape(-1)]
    order = list(range(7))
    for i in range(6, 0, -1):
        j = draws[i] * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    assert philox.permutation(7, 1, 4).tolist() == order


def test_permutations_are_uniform():
    counts = {}
    for epoch in range(1500):
        key = tuple(philox.permutation(3, 0, epoch))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 6
    assert all(190 < count < 310 for count in counts.values())
