"""Numbers read from codes along curves: the bits of the numbers themselves."""

import numpy as np
import pytest
from support.coded_rows import coded_rows

from slimlearn import layers
from slimlearn.backend import engine, ops
from slimlearn.backend.coded import Coded
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.layers.initializers import build_init

rng = np.random.default_rng(0)


def program(width, precision="f32"):
    model = Model(precision)
    with model.function("predict") as graph:
        x = ops.input_("X", (B, width), precision)
        graph.return_(x, layers.linear(x, 3))
    build_init(model)
    return Program(model=model).initialize(0)


def test_numbers_along_curves():
    knots = np.array([1, 3, 7, 0], dtype=np.float32)
    codes = np.array([[0], [32], [64], [80], [128]], dtype=np.uint16)
    rows = Coded(codes, np.array([[0, 0, 6]]), knots)
    assert rows.shape == (5, 1) and rows[:].dtype == np.float32
    assert rows[:].ravel().tolist() == [1, 2, 3, 4, 7]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rows", [1, 70, 700])
def test_a_program_reads_the_bits_of_the_numbers(rows, threads):
    coded = coded_rows(rows)
    net = program(5)
    native = engine.compile(net.text)
    for index in (None, rng.permutation(rows)[: rows // 2 + 1]):
        given = {"rows": index, "n_threads": threads}
        found = native.run("predict", {"X": coded}, net, **given)
        dense = native.run("predict", {"X": coded[:]}, net, **given)
        np.testing.assert_array_equal(
            found[0], coded[:][slice(None) if index is None else index]
        )
        np.testing.assert_array_equal(found[1], dense[1])


def test_codes_that_lie_nowhere_are_refused():
    good, net = coded_rows(), program(5)
    native = engine.compile(net.text)

    def refused(codes=good.codes, numbers=good.numbers, knots=good.knots, match="lie"):
        with pytest.raises((ValueError, TypeError), match=match):
            native.run("predict", {"X": Coded(codes, numbers, knots)}, net)

    beyond = good.codes.copy()
    beyond[-1] = 65535
    refused(codes=beyond)
    refused(knots=good.knots[:-1][:300])
    for bad in ((2, 0, 6), (-1, 0, 6), (0, -1, 6), (0, 0, 16), (0, 0, -1), (0, 400, 6)):
        refused(numbers=np.array([bad] * 5))
    refused(codes=good.codes.astype(np.int64), match="uint16")
    refused(codes=np.asfortranarray(good.codes), match="C order")
    refused(knots=good.knots.astype(np.float64), match="float32")
    refused(numbers=good.numbers[:4], match="needed is")
    other = program(5, "f64")
    with pytest.raises(ValueError, match="float32"):
        engine.compile(other.text).run("predict", {"X": good}, other)
