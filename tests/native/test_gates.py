"""Steps of LSTMs and GRUs and the way back have kernels: bits of a tape."""

import numpy as np
import pytest
from support.summed import Summed

from slimlearn import layers
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.program import Program
from slimlearn.backend.text import parse_program

RNG = np.random.default_rng(0)


def capped(x):
    """Tanh, to the bit, but no layer of a kernel."""
    return ops.minimum(ops.tanh(x), 2.0)


def summed(layer, steps, units, ragged=False, **options):
    def network(x, n=None):
        return getattr(layers, layer)(x, units, sequence_length=n, **options, scope="a")

    return Summed(network, (steps, 3), ragged=ragged)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("units", [1, 5, 16, 40, 300])
@pytest.mark.parametrize("layer", ["lstm", "gru"])
def test_bits_are_those_of_a_tape(layer, units, whole, ragged):
    kernel, tape = (
        summed(layer, 4, units, ragged, return_sequences=whole, activation_fn=act)
        for act in (ops.tanh, capped)
    )
    for rows in (1, 37):
        X = 3 * RNG.normal(size=(rows, 4, 3)).astype("f4")
        X[0, 0] = 1e3  # gates that are shut
        data = [X]
        if ragged:
            data.append(RNG.integers(1, 5, rows).astype("i4"))
            data[1][0] = 4
        assert kernel.predict(*data).tobytes() == tape.predict(*data).tobytes()
        assert kernel.train(*data) == tape.train(*data)
        assert kernel.train(*data, threads=2) == tape.train(*data)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("layer", ["lstm", "gru"])
def test_layers_find_their_kernels(layer, whole, ragged, backwards):
    # Of one unit a tape takes 512 rows at once, the kernels 170.
    def count(function, act):
        options = {"return_sequences": whole, "go_backwards": backwards}
        made = summed(layer, 3, 1, ragged, **options, activation_fn=act)
        steps = made.compiled.info(function, 4096)["steps"]
        return sum(op == "fused" and tasks == 25 for _, op, tasks in steps)

    assert count("grad", ops.tanh) == 2
    assert count("predict", ops.tanh) == 1
    assert count("grad", capped) == 0


def test_gates_of_rows_at_rest_are_those_of_a_tape():
    def gated(act):
        def network(x, n):
            mask = layers.sequence_mask(x, n)

            def step(state, now):
                h, c = state
                x, used = now
                i, f, g, o = ops.split(x + ops.concat([h, h, h, h], 1), 4, axis=-1)
                gate = ops.sigmoid(i)
                new = gate * act(g)
                new = ops.add(ops.sigmoid(f) * c, new)
                shown = ops.sigmoid(o) * act(new)
                used = ops.reshape(used, (*used.shape, 1))
                return (ops.where(used, shown, h), ops.where(used, new, c)), gate

            start = ops.zeros((x.shape[0], 1))
            state, gates = ops.scan(step, (start, start), (x, mask), axis=1)
            gates = layers.linear(gates + ops.expand_dims(state[0], 1), 2, scope="a")
            return gates

        return Summed(network, (4, 4))

    kernel, tape = gated(ops.tanh), gated(capped)
    X = RNG.normal(size=(37, 4, 4)).astype("f4")
    n = RNG.integers(1, 5, 37).astype("i4")
    steps = kernel.compiled.info("predict", 4096)["steps"]
    assert any(op == "fused" and tasks == 25 for _, op, tasks in steps)
    assert kernel.predict(X, n).tobytes() == tape.predict(X, n).tobytes()
    assert kernel.train(X, n) == tape.train(X, n)


STEP = """slim 1

func f {{
  %x = input(source="x") : f32[B,4]
  %y = input(source="y") : f32[B,4]
  %n = input(source="n") : bool[B,1]
  %r, %s = fused(%x, %y, %n) {{
    (%a : f32[B,4], %b : f32[B,4], %m : bool[B,1])
    %i = sigmoid(%a) : f32[B,4]
    %g = tanh(%b) : f32[B,4]
    %new = mul(%i, %g) : f32[B,4]
    %f = sigmoid(%b) : f32[B,4]
    %kept = mul(%f, %a) : f32[B,4]
    %c = add(%kept, %new) : f32[B,4]
    %o = sigmoid(%a) : f32[B,4]
    %t = tanh(%c) : f32[B,4]
    %h = mul(%o, %t) : f32[B,4]
    %rest = select(%m, %h, %b) : f32[B,4]
    %state = select(%m, %c, %a) : f32[B,4]
    %zero = constant(value={zero}) : f32[]
    %shown = select(%m, %h, %zero) : f32[B,4]
    yield {left}
  }} : f32[B,4], f32[B,4]
  return %r, %s
}}
"""


# Left twice, as it came, and once each: the last two are a kernel's if zero is 0.0.
@pytest.mark.parametrize("zero", [-0.0, 0.0])
@pytest.mark.parametrize(
    "left", ["%h, %h", "%a, %h", "%b, %b", "%state, %rest", "%c, %shown"]
)
def test_regions_that_programs_write(left, zero):
    text = STEP.format(left=left, zero=zero)
    rng, model = np.random.default_rng(0), parse_program(text)
    sources = {name: rng.normal(size=(37, 4)).astype("f4") for name in "xy"}
    sources["n"] = rng.integers(2, size=(37, 1)).astype(bool)
    made = engine.compile(text).run("f", sources, Program(text, model=model))
    want = reference.run(model, "f", sources, {}).returns
    for one, other in zip(made, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(np.signbit(one), np.signbit(other))
