"""The gates of an LSTM and the way back through them have kernels: bits of a tape."""

import numpy as np
import pytest
from support.summed import Summed

from slimlearn import layers
from slimlearn.backend import ops

RNG = np.random.default_rng(0)


def capped(x):
    """Tanh, to the bit, but no LSTM that has a kernel."""
    return ops.minimum(ops.tanh(x), 2.0)


def summed(steps, units, **options):
    def network(x):
        return layers.lstm(x, units, **options, scope="a")

    return Summed(network, (steps, 3), ragged=False)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("units", [1, 5, 16, 40, 300])
def test_bits_are_those_of_a_tape(units, whole):
    kernel, tape = (
        summed(4, units, return_sequences=whole, activation_fn=act)
        for act in (ops.tanh, capped)
    )
    for rows in (1, 37):
        X = 3 * RNG.normal(size=(rows, 4, 3)).astype("f4")
        X[0, 0] = 1e3  # gates that are shut
        assert kernel.predict(X).tobytes() == tape.predict(X).tobytes()
        assert kernel.train(X) == tape.train(X)


@pytest.mark.parametrize("whole", [False, True])
def test_layers_find_their_kernels(whole):
    # Of one unit a tape takes 512 rows at once, the kernels 170.
    def count(function, act):
        made = summed(3, 1, return_sequences=whole, activation_fn=act)
        steps = made.compiled.info(function, 4096)["steps"]
        return sum(op == "fused" and tasks == 25 for _, op, tasks in steps)

    assert count("grad", ops.tanh) == 2
    assert count("predict", ops.tanh) == 1
    assert count("grad", capped) == 0
