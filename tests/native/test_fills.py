"""Zeros around a value in a loop, which are written until they are everywhere."""

import _thread
import os
import threading
import time

import numpy as np
import pytest

import slimlearn
from slimlearn import _native
from slimlearn.backend import engine, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.text import print_program

ROUND = [(1, 2), (3, 1)]


def inner(c):
    return c[1:-2, 3:-1]


def pad(c):
    return ops.pad(c, ROUND) if not isinstance(c, np.ndarray) else np.pad(c, ROUND)


def alone(c, _):
    return pad(inner(c) * 1.5), None


def kept(c, _):
    c = pad(inner(c) * 1.5)
    return c, c


def twice(c, _):  # of which one is read and gone before the other
    wide = pad(inner(c) - 1.0)
    return pad((inner(wide) + wide[:-3, :-4]) * 0.5), None


def reused(c, _):  # the memory of `wide` is free for what comes then
    wide = pad(inner(c) + 1.0)
    narrow = wide[:-3, 4:] + wide[3:, 4:]
    dense = ops.sin(c) if not isinstance(c, np.ndarray) else np.sin(c)
    return dense + pad(narrow) * 0.25, None


def changed(c, _):  # where the zeros were is something else in the end
    return pad(inner(c)) + 0.5, None


def deeper(c, _):
    for _ in range(3):
        c = pad(inner(c) + c[3:, 4:])
    return c * 0.5, None


def nested(c, _):
    if isinstance(c, np.ndarray):
        for _ in range(3):
            c, _ = alone(c, None)
    else:
        c = ops.scan(alone, c, length=3)[0]
    return c + 0.25, None


# Values that take turns and values that are too short for it; of odd and even lengths.
@pytest.mark.parametrize("length", [1, 2, 3, 6])
@pytest.mark.parametrize("width", [9, 300])
@pytest.mark.parametrize("step", [alone, kept, twice, reused, changed, deeper, nested])
def test_zeros_are_there_after_any_step(step, width, length):
    x = np.random.default_rng(width).normal(size=(40, width)).astype("f4")
    want, all_wanted = x, []
    for _ in range(length):
        want, stacked = step(want, None)
        all_wanted.append(stacked)
    for n_threads in (1, 2):
        run = slimlearn.function(
            lambda x: ops.scan(step, x, length=length), n_threads=n_threads
        )
        for _ in range(2):  # what the first call left must not help the second
            last, stacked = run(x)
            np.testing.assert_allclose(last, want, rtol=1e-6, atol=1e-6)
        if step is kept:
            np.testing.assert_array_equal(stacked, np.stack(all_wanted))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_zeros_of_a_loop_that_ends_by_its_values(n_threads):
    def body(carry):
        i, c = carry
        return i + 1, pad(inner(c) * 0.5)

    @(lambda f: slimlearn.function(f, n_threads=n_threads))
    def run(x, limit):
        start = (ops.constant(0), x)
        return ops.while_loop(
            lambda carry: ops.cast(carry[0], "f32") < limit, body, start
        )[1]

    x = np.random.default_rng(0).normal(size=(40, 300)).astype("f4")
    want = x
    for steps in range(6):
        np.testing.assert_array_equal(run(x, np.float32(steps)), want)
        want = pad(inner(want) * np.float32(0.5))


# In turns they lie in two places; `changed` loses them in each step.
@pytest.mark.parametrize(("step", "times"), [(alone, 2), (kept, 6), (changed, 6)])
def test_zeros_are_written_no_more_often_than_that(step, times):
    model = Model("f32")
    with model.function("f") as graph:
        graph.return_(ops.scan(step, ops.input_("X", (40, 300), "f32"), length=6)[0])
    text = print_program(model)
    launches = engine.compile(text).profile(
        "f", {"X": np.ones((40, 300), "f4")}, Program(text, model=model), rounds=1
    )
    pads = [one["calls"] for one in launches if one["op"] == "pad"]
    assert len(pads) == 2
    assert set(pads) == {times}


# Lanes meet once in each of such steps: what they read of each other is there.
@pytest.mark.parametrize("length", [1, 2, 7])
def test_lanes_that_meet_once_a_step(length):
    x = np.random.default_rng(0).normal(size=(640, 640)).astype("f4")
    pace = np.linspace(0.5, 1.5, length * 16).reshape(length, 16).astype("f4")

    def step(c, pace):
        c = pad(c[:-3, 4:] * pace[0] + c[3:, :-4])
        return c * 0.5, pad(inner(c))

    want, all_wanted = x, []
    for i in range(length):
        want, stacked = step(want, pace[i])
        all_wanted.append(stacked)
    before = _native.parallel_regions()
    run = slimlearn.function(lambda x, pace: ops.scan(step, x, pace), n_threads=2)
    last, stacked = run(x, pace)
    assert _native.parallel_regions() > before or os.cpu_count() == 1
    np.testing.assert_array_equal(last, want)
    np.testing.assert_array_equal(stacked, np.stack(all_wanted))


def test_lanes_that_meet_once_a_step_end_when_interrupted():
    x = np.ones((640, 640), "f4")
    run = slimlearn.function(
        lambda x: ops.scan(alone, x, length=10_000_000)[0], n_threads=2
    )
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        run(x)
    timer.join()
    assert time.perf_counter() - started < 5
