"""Ids and labels out of range: the error names the op that met them."""

import numpy as np
import pytest
from support.training_case import Case, data, network

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

LABEL = r"\[sparse_softmax_cross_entropy \S+\]: a label"


def lookup(precision="f64"):
    """Return a program that looks up ids and adds a source that has no rows."""
    model = Model(precision)
    table = model.parameter("table", (5, 2))
    with model.function("predict") as graph:
        rows = ops.gather(table, ops.input_("ids", (B,), "i64"), name="embed/rows")
        graph.return_(rows + ops.input_("shift", (2,), precision))
    return Program(model=model)


@pytest.mark.parametrize("count", [1, 9, 5000])
@pytest.mark.parametrize("bad", [-1, 5])
def test_a_call_names_the_lookup(count, bad):
    program = lookup()
    compiled = engine.compile(program.text)
    sources = {"ids": np.zeros(count, np.int64), "shift": np.ones(2)}
    (result,) = compiled.run("predict", sources, program)
    assert result.shape == (count, 2)
    sources["ids"][-1] = bad
    with pytest.raises(ValueError, match=r"^\[gather embed/rows\]: an index is out of"):
        compiled.run("predict", sources, program)
    rows = [count - 1]
    with pytest.raises(ValueError, match=r"^\[gather embed/rows\]: an index is out of"):
        compiled.run("predict", sources, program, rows=rows)


def test_an_epoch_names_the_loss():
    sources = data()
    sources["y"][40] = 3
    case = Case(
        network(dropout=True), sources, shuffle=False, hypers={"keep_prob": 0.5}
    )
    with pytest.raises(ValueError, match=rf"^epoch 1, step 3: {LABEL}"):
        case.train(1)


def test_lbfgs_names_the_loss():
    sources = data(1200)
    sources["y"][1100] = -1
    with pytest.raises(ValueError, match=rf"^{LABEL}"):
        Case(network(), sources).trainer().lbfgs()


def test_a_score_names_the_loss():
    sources = data(3000)
    sources["y"][2999] = 3
    case = Case(network(), sources)
    with pytest.raises(ValueError, match=rf"^{LABEL}"):
        case.compiled.run("score", sources, case.program)


def test_the_reference_names_the_op_too():
    program = lookup()
    sources = {"ids": np.array([7]), "shift": np.ones(2)}
    result = reference.run(program.model, "predict", sources, program.weights)
    assert result.status == 1 and result.raised_by == "[gather embed/rows]"
