"""Towers of layers: native training is NumPy's, of every kind of tower."""

import numpy as np
import pytest
from support import deep

from slimlearn import _native
from slimlearn.backend import engine
from slimlearn.backend.text import print_program

CASES = {
    "dense": {"depth": 20, "width": 16},
    "normed": {"depth": 6, "width": 16},
    "residual": {"depth": 3, "width": 16},
    "concatenating": {"depth": 6, "width": 4},
    "resnet": {"depth": 26, "width": 2, "size": 8, "features": 192},
}


@pytest.mark.parametrize("tower", deep.TOWERS)
def test_two_epochs_are_those_of_the_reference(tower):
    case = deep.case(tower, rows=20, precision="f64", batch_size=8, **CASES[tower])
    trainer = case.trainer(n_threads=2)
    oracle, twin = case.oracle()
    steps = trainer.info()["steps"]
    rates = np.full(steps, 1e-3)
    for epoch in range(2):
        mine = trainer.epoch(epoch, epoch * steps, rates)
        theirs = oracle.epoch(epoch, epoch * steps, rates)
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=1e-7)
    for name, weights in case.program.weights.items():
        np.testing.assert_allclose(
            weights, twin.weights[name], rtol=1e-6, atol=1e-8, err_msg=name
        )


def test_resnet152_has_the_nodes_that_budgets_of_compile_time_count():
    nodes = len(deep.resnet152().functions["grad"].nodes)
    assert 10_000 <= nodes <= 11_000


# Launches of a layer's gradient.
BUDGETS = {"dense": 4, "normed": 7, "residual": 14, "concatenating": 8}


@pytest.mark.parametrize("tower", BUDGETS)
def test_launches_of_a_layer_are_the_same_at_any_depth(tower):
    depths = 5, 10, 200
    counts = []
    for depth in depths:
        text = print_program(deep.model(tower, depth, width=8))
        counts.append(engine.compile(text).info("grad", 32)["launches"])
    first = counts[0] - BUDGETS[tower] * depths[0]
    assert counts == [first + BUDGETS[tower] * depth for depth in depths]
    assert first <= 12


@pytest.mark.parametrize("tower", BUDGETS)
def test_work_of_compiling_grows_with_the_nodes(tower):
    """What a node costs is the same at any depth; packing is a search, n log n."""

    def work(depth):
        model = deep.model(tower, depth, width=8)
        nodes = len(model.functions["grad"].nodes)
        done = _native.work(print_program(model), "grad", {"B": 32, "P": 1})
        return {what: count / nodes for what, count in done.items()}

    small, large = work(30), work(240)
    assert small["joins"] > 1 and small["packing"] > 0
    assert large["joins"] <= 1.2 * small["joins"]
    assert large["packing"] <= 1.5 * small["packing"]


@pytest.mark.parametrize("tower, depth", [("dense", 1000), ("residual", 500)])
def test_a_thousand_layers_compile(tower, depth):
    compiled = engine.compile(print_program(deep.model(tower, depth, width=4)))
    assert compiled.info("grad", 2)["launches"] >= 4000
