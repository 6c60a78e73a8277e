"""Every schedule against its published formula, and its bounds."""

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from slimlearn.backend import schedule as s

PER_EPOCH, EPOCHS = 4, 20
TOTAL = PER_EPOCH * EPOCHS


def rates(schedule, start=0, stop=TOTAL, memory=None):
    return schedule.rates(
        0.1, start, stop, steps_per_epoch=PER_EPOCH, total_steps=TOTAL, memory=memory
    )


@pytest.mark.parametrize("name", s.SCHEDULES)
def test_rates_are_float64_bounded_and_the_same_in_pieces(name):
    schedule = s.make_schedule(name)
    whole = rates(schedule)
    assert whole.dtype == np.float64 and whole.shape == (TOTAL,)
    assert np.all(whole >= 0) and np.all(whole <= 0.1 * (1 + 1e-12))
    pieces = [rates(schedule, i, i + PER_EPOCH) for i in range(0, TOTAL, PER_EPOCH)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))
    clone(schedule).check()


@pytest.mark.parametrize("name", s.SCHEDULES)
def test_one_step_in_all(name):
    one = s.make_schedule(name).rates(0.1, 0, 1, steps_per_epoch=1, total_steps=1)
    assert np.all(np.isfinite(one))


def test_step():
    expected = [0.1 * 0.5 ** (t // (PER_EPOCH * 3)) for t in range(TOTAL)]
    np.testing.assert_allclose(rates(s.Step(3, 0.5)), expected, rtol=1e-15)


def test_exponential():
    expected = [0.1 * 0.9 ** (t / PER_EPOCH) for t in range(TOTAL)]
    np.testing.assert_allclose(rates(s.Exponential(0.9)), expected, rtol=1e-14)


def test_inverse_scaling():
    expected = [0.1 / (1 + t / PER_EPOCH) ** 0.5 for t in range(TOTAL)]
    np.testing.assert_allclose(rates(s.InverseScaling(0.5)), expected, rtol=1e-14)


def test_cosine_with_warm_up():
    got = rates(s.Cosine(final=0.1, warmup=0.25))
    for t in range(TOTAL):
        if t < 20:
            expected = 0.1 * (t + 1) / 20
        else:
            turn = math.cos(math.pi * (t - 20) / 60)
            expected = 0.1 * (0.1 + 0.9 * (1 + turn) / 2)
        assert got[t] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.7])
def test_flat_cosine(warmup):
    got = rates(s.FlatCosine(flat=0.6, final=0.1, warmup=warmup))
    rising, falling = warmup * 80, max(48, warmup * 80)
    for t in range(TOTAL):
        if t < rising:
            expected = 0.1 * (t + 1) / rising
        elif t < falling:
            expected = 0.1
        else:
            turn = math.cos(math.pi * (t - falling) / (80 - falling))
            expected = 0.1 * (0.1 + 0.9 * (1 + turn) / 2)
        assert got[t] == pytest.approx(expected, rel=1e-12)
    own = rates(s.FlatCosine(flat=0.6, epochs=5))
    assert own[11] == 0.1 > own[13] > own[18] > own[20] == own[-1] == 0.0


class OfTheUser(s.Schedule):
    """Two numbers, one of them an array."""

    def __init__(self, factors_of=(1.0,), power=1.0):
        self.factors_of = factors_of
        self.power = power

    def factors(self, step, steps_per_epoch, total_steps):
        place = (step // steps_per_epoch).astype(int) % len(self.factors_of)
        return np.asarray(self.factors_of)[place] ** self.power


def test_a_user_s_schedule_clones_compares_pickles_and_prints():
    made = OfTheUser(np.array([1.0, 0.5]), power=2.0)
    for twin in (clone(made), pickle.loads(pickle.dumps(made))):
        assert twin == made
        np.testing.assert_array_equal(rates(twin), rates(made))
    assert rates(made)[:12].tolist() == [0.1] * 4 + [0.025] * 4 + [0.1] * 4
    assert repr(OfTheUser(power=3)) == "OfTheUser(power=3)"
    assert made.goes_by == "epochs"


@pytest.mark.parametrize(
    "factors", [(-1.0,), (np.nan,), (np.inf,), (True, 0.5, -0.5)], ids=str
)
def test_a_user_s_factors_that_are_no_rates_are_told(factors):
    with pytest.raises((ValueError, TypeError), match="factors must give one finite"):
        rates(OfTheUser(factors))


def test_a_schedule_without_factors_says_what_to_define():
    class Nothing(s.Schedule):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing .* define factors"):
        rates(Nothing())

    class OneOnly(s.Schedule):
        def factors(self, step, steps_per_epoch, total_steps):
            return np.ones(2)

    with pytest.raises(ValueError, match="one finite number >= 0 for each of 80"):
        rates(OneOnly())


def test_warm_restarts_by_walking():
    got = rates(s.WarmRestarts(period=2, multiplier=2, final=0.01))
    begin, length = 0, 2 * PER_EPOCH
    for t in range(TOTAL):
        if t == begin + length:
            begin, length = t, 2 * length
        turn = math.cos(math.pi * (t - begin) / length)
        assert got[t] == pytest.approx(0.1 * (0.01 + 0.99 * (1 + turn) / 2), rel=1e-9)
    even = rates(s.WarmRestarts(period=5, multiplier=1))
    np.testing.assert_allclose(even[:20], even[20:40], rtol=1e-12)


def test_one_cycle():
    got = rates(s.OneCycle(peak=0.25, initial_divisor=10, final_divisor=100))
    assert got[0] == pytest.approx(0.01)
    assert got[-1] == pytest.approx(0.0001)
    top = 0.25 * (TOTAL - 1)
    assert abs(int(np.argmax(got)) - top) <= 1
    assert np.all(np.diff(got[: int(top)]) > 0) and np.all(np.diff(got[21:]) < 0)


def test_plateau_waits_then_drops():
    plateau, memory = s.Plateau(factor=0.5, n_iter_no_change=2, minimum=0.2), None
    seen = []
    for loss in [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]:
        memory = plateau.observe(loss, memory)
        seen.append(rates(plateau, 0, 1, memory)[0] / 0.1)
    expected = [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]
    np.testing.assert_allclose(seen, expected)


@pytest.mark.parametrize(
    "schedule",
    [
        s.Step(step_size=0),
        s.Step(gamma=2),
        s.Exponential(gamma="x"),
        s.Cosine(warmup=1.0),
        s.FlatCosine(flat=1.0),
        s.FlatCosine(final=2),
        s.FlatCosine(warmup=-0.1),
        s.FlatCosine(epochs=0),
        s.WarmRestarts(period=-1),
        s.OneCycle(peak=1.5),
        s.InverseScaling(power=0),
        s.Plateau(factor=1.0),
        s.Plateau(n_iter_no_change=0),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_named(schedule):
    with pytest.raises(ValueError, match=f"parameter of {type(schedule).__name__}"):
        s.make_schedule(schedule)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'linear' is not known.*'one_cycle'"):
        s.make_schedule("linear")
