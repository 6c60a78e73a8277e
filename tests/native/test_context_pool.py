"""Working memory between calls: pooled whatever its size, bounded for the process."""

import gc
import threading

import numpy as np
import pytest

import slimlearn
from slimlearn import _native
from slimlearn.backend import engine, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

BUDGET = 256 << 20
WIDTH = 2500


class Wide:
    """A network of one wide layer: a row takes 10,000 bytes of scratch."""

    def __init__(self, name="f"):
        model = Model("f32")
        first = model.parameter("first", (1, WIDTH))
        last = model.parameter("last", (WIDTH, 1))
        with model.function(name) as graph:
            graph.return_(ops.input_("X", (B, 1), "f32") @ first @ last)
        self.name, self.program = name, Program(model=model)
        self.compiled = engine.NativeModel(print_program(model))

    def run(self, megabytes, **options):
        rows = megabytes * 10**6 // (4 * WIDTH)
        x = np.ones((rows, 1), np.float32)
        self.compiled.run(self.name, {"X": x}, self.program, batch=rows, **options)

    def makes_a_context(self, megabytes):
        """Run; return whether no idle one served."""
        before = _native.allocations()
        self.run(megabytes)
        return _native.allocations() - before > 1  # the values of the hypers


@pytest.fixture(autouse=True)
def nothing_idle():
    gc.collect()
    slimlearn.clear_cache()
    yield
    slimlearn.clear_cache()


@pytest.mark.parametrize("megabytes", [1, 63, 100, 200])
def test_a_context_of_any_size_is_used_again(megabytes):
    wide = Wide()
    assert wide.makes_a_context(megabytes)
    assert _native.idle_bytes() > megabytes * 10**6
    for _ in range(2):
        assert not wide.makes_a_context(megabytes)


def initialized(rows):
    """Return a program whose initial values need working memory."""
    model = Model("f32")
    weights = model.parameter("weights", (rows, 1000))
    with model.function("init") as graph:
        drawn = ops.random_uniform((1000, rows), "f32")
        graph.set_(weights, ops.transpose(drawn))
    return Program(model=model).initialize()


def test_initial_values_leave_no_large_memory_idle():
    small = initialized(900)
    kept = _native.idle_bytes()
    assert small.params.any() and 3 * 10**6 <= kept < 5 * 10**6
    assert initialized(4_000).params.any()
    assert _native.idle_bytes() == kept  # what others keep, and no more


def test_what_was_not_used_for_the_longest_goes_first():
    first, second, third = Wide("a"), Wide("b"), Wide("c")
    for wide in (first, second, first, third):
        wide.run(100)
    assert not third.makes_a_context(100)
    assert not first.makes_a_context(100)
    assert second.makes_a_context(100)
    assert BUDGET - 110 * 10**6 < _native.idle_bytes() <= BUDGET


def test_what_is_larger_than_the_budget_pushes_nothing_out():
    small, large = Wide("small"), Wide("large")
    small.run(10)
    large.run(300)
    assert _native.idle_bytes() < 20 * 10**6
    assert not small.makes_a_context(10)


def test_idle_memory_ends_with_its_plan():
    kept, gone = Wide("kept"), Wide("gone")
    kept.run(10)
    before = _native.idle_bytes()
    gone.run(50)
    gone.run(20)
    assert _native.idle_bytes() > before + 70 * 10**6
    del gone
    gc.collect()
    assert _native.idle_bytes() == before
    assert not kept.makes_a_context(10)


def test_clear_cache_gives_all_of_it_back():
    wide = Wide()
    wide.run(50)
    program = engine.compile(wide.compiled.text)
    assert engine.compile(wide.compiled.text) is program
    slimlearn.clear_cache()
    assert _native.idle_bytes() == 0
    assert engine.compile(wide.compiled.text) is not program
    wide.run(50)


def test_calls_at_once_keep_to_the_budget():
    networks = [Wide(str(i)) for i in range(4)]
    seen = []

    def work(own):
        for i in range(6):
            networks[(own + i) % 4].run(30 + 30 * (i % 3))
            seen.append(_native.idle_bytes())
            if i == 3:
                slimlearn.clear_cache()

    threads = [threading.Thread(target=work, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < max(seen) <= BUDGET


def test_fits_of_many_networks_keep_little_memory():
    X = np.random.default_rng(0).normal(size=(4000, 4))
    y = np.arange(4000) % 3
    for i in range(20):
        clf = slimlearn.DNNClassifier((1000 + i,), max_iter=1, batch_size=4000)
        clf.fit(X, y)
    del clf
    assert 0 < _native.idle_bytes() <= BUDGET
