"""Deep networks in Python: work grows as they do, and nothing recurses into them."""

import sys

import numpy as np
import pytest
from support import deep
from support.work import calls

from slimlearn import layers
from slimlearn.backend import reference
from slimlearn.backend.program import Program
from slimlearn.backend.text import parse_program, print_program


def unnamed(x, depth, width):
    """Layers that all wish for one name."""
    for _ in range(depth):
        x = layers.fully_connected(x, width)
    return x


def shared(x, depth, width):
    """Layers in a scope that is entered again and again."""
    x = layers.fully_connected(x, width, scope="first")
    with layers.variable_scope("tower") as tower:
        x = layers.fully_connected(x, width, scope="fc")
    for _ in range(depth):
        with layers.variable_scope(tower, reuse=True):
            x = layers.fully_connected(x, width, scope="fc")
    return x


TOWERS = [t for t in deep.TOWERS if t != "resnet"]


@pytest.fixture(params=[*TOWERS, unnamed, shared])
def tower(request, monkeypatch):
    if not isinstance(request.param, str):
        monkeypatch.setitem(deep.TOWERS, request.param.__name__, request.param)
        return request.param.__name__
    return request.param


def test_a_layer_takes_as_many_calls_at_any_depth(tower):
    def work(depth):
        made = deep.model(tower, depth, width=4)
        return np.array(
            [
                calls(deep.model, tower, depth, width=4),
                calls(print_program, made),
                calls(parse_program, print_program(made)),
            ]
        )

    first, later = work(20) - work(10), work(110) - work(100)
    np.testing.assert_array_less(later, 1.05 * first)


@pytest.mark.parametrize(("tower", "depth"), [("dense", 1000), ("concatenating", 250)])
def test_a_thousand_layers_are_built_read_and_run(tower, depth):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        made = deep.model(tower, depth, width=2, features=3)
        text = print_program(made)
        assert print_program(parse_program(text)) == text
        program = Program(text).initialize(engine="reference")
        sources = deep.data(4, 3)
        params = program.weights, program.states
        result = reference.run(program.model, "grad", sources, *params)
    finally:
        sys.setrecursionlimit(limit)
    assert set(result.grads) == set(program.weights)
    assert np.isfinite(result.returns[0])


def test_the_graph_of_a_resnet152_takes_few_calls():
    made = deep.resnet152()
    text = print_program(made)
    nodes = sum(len(graph.nodes) for graph in made.functions.values())
    # Measured: 88, 23 and 94; a call is some 50 to 100 ns.
    assert calls(deep.resnet152) < 100 * nodes
    assert calls(print_program, made) < 30 * nodes
    assert calls(parse_program, text) < 110 * nodes


def test_declarations_are_found_by_name_without_a_search():
    few, many = (deep.model("dense", depth).parameters for depth in (5, 80))
    for declarations in (few, many):
        last = declarations[-1]
        assert declarations[last.name] is last
        assert last in declarations and last.name in declarations
        assert "nothing" not in declarations and few is not declarations[0]
        assert calls(declarations.__getitem__, last.name) < 10
        assert calls(declarations.__contains__, "nothing") < 10
    assert few[0] not in many
