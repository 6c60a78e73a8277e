"""Random graphs: a device gives what the reference does, and their gradients."""

import random

import numpy as np
import pytest
from support.cuda import CUDA
from support.memory import check_disjoint
from support.random_graphs import random_model, random_params, random_sources

from slimlearn import _native
from slimlearn.backend import engine, reference
from slimlearn.backend.arena import allocate
from slimlearn.backend.program import Program
from slimlearn.backend.text import print_program

BEHIND = 1 << 14  # bytes that nobody writes to
ROWS = (1, 2, 5, 33)


def check(seed, device, size):
    """Return values and gradients, which lie where they belong and nowhere else."""
    model = random_model(random.Random(seed), "f64", size)
    text = print_program(model)
    rows = ROWS[seed % len(ROWS)]
    sources, params = random_sources("f64", rows), random_params(model)
    program = Program(text, model=model)
    for name, value in params.items():
        program.weights[name][...] = value
    compiled, told = engine.compile(text, device=device), {"seed": 3, "step": 4}

    def near(got, want, name):
        size = np.abs(want).max(initial=1e-3)
        np.testing.assert_allclose(got, want, 1e-7, 1e-7 * size, err_msg=name)

    for function in ("f", "g"):
        want = reference.run(model, function, sources, params, **told).returns
        found = compiled.run(function, sources, program, **told)
        for got, value in zip(found, want, strict=True):
            near(got, value, function)
    want = reference.run(model, "grad", sources, params, **told).grads
    arena = allocate(program.params.nbytes + BEHIND)
    gradient, behind = np.split(arena, [program.params.nbytes])
    compiled.run("grad", sources, program, gradient=gradient, **told)
    assert not behind.any()
    for name, value in want.items():
        place = program.weights[name].ctypes.data - program.params.ctypes.data
        got = gradient[place : place + value.nbytes].view("f8").reshape(value.shape)
        near(got, value, name)


@pytest.mark.parametrize("seed", range(60))
def test_a_processor_is_the_reference(seed):
    check(seed, "cpu", 10 + seed % 4 * 10)


@pytest.mark.parametrize("seed", range(60, 68))
def test_a_gpu_is_the_reference(seed):
    check(seed, CUDA, 10 + seed % 4 * 6)


@pytest.mark.parametrize("seed", range(70, 100))
def test_memory_of_random_graphs(seed):
    text = print_program(random_model(random.Random(seed), "f64", 30))
    for function in ("f", "g", "grad"):
        after = _native.optimize(text, function)
        sizes = {"B": 5}
        check_disjoint(after, function, _native.memory(after, function, sizes), sizes)
