"""Gradients of embeddings kept as rows: what is trained is what dense ones train."""

import numpy as np
import pytest

from slimlearn import layers
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import SGD, Adagrad, Ftrl, LazyAdam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.layers.initializers import build_init

ROWS, VOCABULARY = 83, 50


def bag(x):
    vectors = layers.embedding(x["words"], VOCABULARY, 6, scope="words")
    return layers.linear(ops.reduce_mean(vectors, [1]), 1)


def one(x):
    return layers.linear(layers.embedding(x["word"], VOCABULARY, 1, scope="word"), 1)


def shared(x):
    """One table, read three times, by ids of two types and ranks."""

    def look(ids, reuse):
        return layers.embedding(ids, VOCABULARY, 5, scope="table", reuse=reuse)

    words = ops.reduce_sum(look(x["words"], None), [1])
    word = look(x["word"], True)
    return layers.linear(ops.concat([words * word, look(x["word"], True)], axis=1), 1)


def two_tables(x):
    first = layers.embedding(x["word"], VOCABULARY, 3, scope="first")
    second = layers.embedding(x["words"], VOCABULARY, 4, scope="second")
    return layers.linear(ops.concat([first, layers.flatten(second)], axis=1), 1)


def built(network, optimizer, keep: bool) -> Program:
    model = Model("f32")
    with model.function("grad", training=True) as graph:
        x = {
            "words": ops.input_("words", (B, 4), "i64"),
            "word": ops.input_("word", (B,), "i32"),
        }
        error = ops.square(network(x) - ops.input_("y", (B, 1)))
        total, rows = ops.reduce_sum(ops.cast(error, "f64")), ops.extent(B)
        graph.return_(total / rows, total, rows)
        parameters = list(model.parameters)
        for parameter, slope in zip(parameters, gradients(total, parameters)):
            table = parameter.name.endswith("embeddings")
            assert ops.can_be_rows(slope) == table
            graph.grad_(parameter, ops.rows(slope) if keep and table else slope)
    build_init(model)
    optimizer.build(model)
    return Program(model=model).initialize(5)


def sources():
    rng = np.random.default_rng(1)
    return {
        "words": rng.integers(0, 20, (ROWS, 4)) ** 2 % VOCABULARY,
        "word": rng.integers(0, VOCABULARY, ROWS).astype(np.int32),
        "y": rng.standard_normal((ROWS, 1)),
    }


def train(program, optimizer, n_threads=1, epochs=3):
    trainer = engine.compile(program.text).trainer(
        program,
        sources(),
        batch_size=16,
        hypers=optimizer.hypers(),
        n_threads=n_threads,
    )
    for epoch in range(epochs):
        steps = trainer.info()["steps"]
        trainer.epoch(epoch, epoch * steps, np.full(steps, 0.05))
    return program


NETWORKS = [bag, one, shared, two_tables]


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.0), Adagrad(), Ftrl()], ids=repr)
@pytest.mark.parametrize("network", NETWORKS)
def test_rows_train_what_dense_gradients_train(network, optimizer):
    assert optimizer.keeps_rows(False, False)
    dense = train(built(network, optimizer, keep=False), optimizer)
    rows = train(built(network, optimizer, keep=True), optimizer)
    assert "rows f32" in rows.text and "scatter_add" not in rows.text
    for name, want in dense.weights.items():
        np.testing.assert_allclose(rows.weights[name], want, 2e-5, 1e-6, err_msg=name)


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.0), LazyAdam()], ids=repr)
@pytest.mark.parametrize("network", NETWORKS)
def test_any_number_of_threads_trains_the_same(network, optimizer):
    one, two, three = (
        train(built(network, optimizer, keep=True), optimizer, n) for n in (1, 2, 3)
    )
    np.testing.assert_array_equal(one.params, two.params)
    np.testing.assert_array_equal(one.params, three.params)


@pytest.mark.parametrize("network", NETWORKS)
def test_native_training_is_the_reference_s(network):
    optimizer = LazyAdam()
    native = train(built(network, optimizer, keep=True), optimizer)
    program = built(network, optimizer, keep=True)
    slots = program.allocate_slots()
    trainer = reference.Trainer(
        program.model,
        program.weights,
        program.states,
        program.slot_views(slots),
        sources(),
        batch_size=16,
        hypers=optimizer.hypers(),
    )
    for epoch in range(3):
        trainer.epoch(epoch, epoch * 6, np.full(6, 0.05))
    for name, want in program.weights.items():
        np.testing.assert_allclose(native.weights[name], want, 2e-4, 2e-6, err_msg=name)


def test_lazy_adam_leaves_what_no_batch_holds():
    optimizer = LazyAdam()
    before = built(bag, optimizer, keep=True)
    after = train(built(bag, optimizer, keep=True), optimizer)
    table = "words/embeddings"
    moved = (before.weights[table] != after.weights[table]).any(axis=1)
    held = np.unique(sources()["words"])
    np.testing.assert_array_equal(np.flatnonzero(moved), held)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_id_out_of_range_is_told_and_moves_nothing(n_threads):
    optimizer = LazyAdam()
    program = built(bag, optimizer, keep=True)
    before, wrong = program.params.copy(), sources()
    wrong["words"][40, 2] = VOCABULARY
    trainer = engine.compile(program.text).trainer(
        program, wrong, batch_size=ROWS, hypers=optimizer.hypers(), n_threads=n_threads
    )
    with pytest.raises(ValueError, match=r"gather.*found 50 in row 40.*0 to 49"):
        trainer.epoch(0, 0, np.full(1, 0.05))
    np.testing.assert_array_equal(program.params, before)


def test_what_else_reads_the_table_keeps_its_gradient_dense():
    model = Model("f32")
    table = model.parameter("table", (VOCABULARY, 4))
    with model.function("grad"):
        ids = ops.input_("ids", (B,), "i64")
        found = ops.gather(table, ids)
        tied = ops.matmul(found, table, transpose_b=True)
        (slope,) = gradients(ops.reduce_sum(tied), [table])
        assert not ops.can_be_rows(slope)
        with pytest.raises(ValueError, match="no sum of updates by number"):
            ops.rows(slope)


def test_a_large_vocabulary_costs_what_is_touched():
    """Launches read neither the parameter nor its gradient as a whole."""
    model, optimizer = Model("f32"), LazyAdam()
    with model.function("grad", training=True) as graph:
        ids = ops.input_("ids", (B, 8), "i64")
        vectors = layers.embedding(ids, 1_000_000, 64, scope="words")
        total = ops.reduce_sum(ops.cast(ops.square(vectors), "f64"))
        graph.return_(total, total, ops.extent(B))
        (table,) = model.parameters
        (slope,) = gradients(total, [table])
        graph.grad_(table, ops.rows(slope))
    build_init(model)
    optimizer.build(model)
    info = engine.compile(Program(model=model).text).info("grad", 1024)
    assert info["arena_bytes"] < 64 << 20  # the gradient itself would be 256 MB
    assert not any(op == "scatter_add" for _, op, _ in info["steps"])
