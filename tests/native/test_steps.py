"""Steps cut into parts: rows accumulated, shared by ranks, hypers that change."""

import threading

import numpy as np
import pytest
from support.training_case import Case, data, network
from test_trainer import compare

from slimlearn import _native as native
from slimlearn.backend.optimizer import SGD, AdamW
from slimlearn.backend.progress import EpochResult


def trained(case, epochs=3, rate=1e-2, **changes):
    losses = case.train(epochs, rate, **changes)
    return np.array(losses), {n: w.copy() for n, w in case.program.weights.items()}


def close(mine, theirs, precision):
    tight = {"rtol": 1e-9, "atol": 1e-12} if precision == "f64" else {"rtol": 2e-3}
    if precision == "f32":
        tight["atol"] = 2e-5
    np.testing.assert_allclose(mine[0], theirs[0], **tight)
    for name, weights in theirs[1].items():
        np.testing.assert_allclose(mine[1][name], weights, err_msg=name, **tight)


def split(precision="f64", rows=100, dropout=False, **options):
    model = network(precision, split=True, dropout=dropout, clip=True)
    hypers = {"keep_prob": 0.6} if dropout else {}
    return Case(model, data(rows, precision), hypers=hypers, **options)


# -- accumulation ----------------------------------------------------------------------

TAILS = [96, 97, 100, 113, 49, 33, 16, 3]


@pytest.mark.parametrize("rows", TAILS)
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("precision", ["f64", "f32"])
def test_accumulated_steps_are_those_of_the_larger_batch(precision, dropout, rows):
    whole = split(precision, rows, dropout, batch_size=48, clip_norm=0.5)
    parts = split(precision, rows, dropout, batch_size=16, clip_norm=0.5)
    theirs = trained(whole)
    mine = trained(parts, accumulate=3)
    assert parts.step == whole.step
    close(mine, theirs, precision)


@pytest.mark.parametrize("rows", TAILS)
def test_accumulation_is_numpy_s_step_for_step(rows):
    compare(split(rows=rows, dropout=True, batch_size=16, accumulate=3), epochs=2)


def test_states_go_from_one_part_to_the_next():
    model = network(split=True, center=True)
    compare(Case(model, data(), batch_size=16, accumulate=3))


@pytest.mark.parametrize("threads", [1, 2])
def test_accumulation_has_the_same_bits_on_any_threads(threads):
    sizes = 200, 300, 10
    model = network("f32", split=True, sizes=sizes)
    sources = data(700, "f32", features=200, classes=10)
    cases = [Case(model, sources, batch_size=64) for _ in range(2)]
    for case, n in zip(cases, (1, threads), strict=True):
        case.train(2, accumulate=4, n_threads=n)
    np.testing.assert_array_equal(cases[0].program.params, cases[1].program.params)


def test_a_step_has_all_launches_of_its_parts_and_one_update():
    one = split(batch_size=16).trainer().info()
    four = split(batch_size=16).trainer(accumulate=4).info()
    whole = split(batch_size=64).trainer().info()
    assert four["steps"] == whole["steps"] == 2
    assert one["launches"] < four["launches"] < 4 * one["launches"]


def spoiled(row, value, precision="f32", **options):
    case = split(precision, 96, batch_size=16, shuffle=False, **options)
    case.sources["sample_weight"][row] = value
    return case


@pytest.mark.parametrize("row", [0, 20, 47])
def test_a_part_that_is_not_finite_refuses_the_whole_step(row):
    case = spoiled(48 + row, np.inf, accumulate=3)
    twin = split("f32", 48, batch_size=16, shuffle=False, accumulate=3)
    twin.sources.update({n: a[:48] for n, a in case.sources.items()})
    twin.train(1)
    with pytest.raises(ValueError, match=r"epoch 1, step 2: \[input sample_weight\]"):
        case.train(1)
    np.testing.assert_array_equal(case.program.params, twin.program.params)


@pytest.mark.parametrize("row", [0, 20, 47])
def test_a_refused_step_sets_nothing_whatever_its_parts_did(row):
    sources = data(96)
    case = Case(
        *(network(split=True, center=True), sources),
        **{"batch_size": 16, "accumulate": 3, "shuffle": False},
    )
    case.program.states["mean"][...] = 0.25
    before = case.program.state.copy()
    sources["y"][row] = 99
    with pytest.raises(ValueError, match="a label"):
        case.train(1)
    np.testing.assert_array_equal(case.program.state, before)


def test_a_gradient_that_counts_its_own_rows_is_refused():
    with pytest.raises(ValueError, match="global_rows"):
        Case(network(), data()).train(1, accumulate=2)


def test_accumulation_of_gradients_that_are_rows_is_refused():
    from scipy import sparse

    sources = data()
    sources["X"] = sparse.csr_array(sources["X"])
    case = Case(
        network(sparse=True, rows=True, split=True, optimizer=SGD(0.0)),
        sources,
        optimizer=SGD(0.0),
    )
    with pytest.raises(ValueError, match="rows cannot be added up"):
        case.train(1, accumulate=2)


@pytest.mark.parametrize("value", [0, -1])
def test_accumulate_is_positive(value):
    with pytest.raises(ValueError, match="accumulate must be 1 or more"):
        split().train(1, accumulate=value)


# -- ranks -----------------------------------------------------------------------------


def on_ranks(cases, work):
    """Run ``work(case, exchange)`` of all ranks at once; their results or errors."""
    found = [None] * len(cases)

    def run(rank, exchange):
        try:
            found[rank] = work(cases[rank], exchange)
        except Exception as error:
            found[rank] = error

    exchanges = native.thread_ranks(len(cases))
    threads = [
        threading.Thread(target=run, args=(rank, exchange))
        for rank, exchange in enumerate(exchanges)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a rank waits for another one"
    return found


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("rows", [96, 97, 100, 33])
@pytest.mark.parametrize("dropout", [False, True])
def test_ranks_together_train_as_one(dropout, rows, ranks):
    theirs = trained(split(rows=rows, dropout=dropout, batch_size=32))
    cases = [split(rows=rows, dropout=dropout, batch_size=32) for _ in range(ranks)]
    results = on_ranks(cases, lambda case, rank: trained(case, exchange=rank))
    for mine in results:
        assert not isinstance(mine, Exception), mine
        close(mine, theirs, "f64")
    for case in cases[1:]:
        np.testing.assert_array_equal(case.program.params, cases[0].program.params)
        np.testing.assert_array_equal(case.slots, cases[0].slots)


def test_ranks_accumulate_too():
    theirs = trained(split(batch_size=48))
    cases = [split(batch_size=8) for _ in range(2)]
    for mine in on_ranks(
        cases, lambda case, rank: trained(case, exchange=rank, accumulate=6)
    ):
        close(mine, theirs, "f64")


def test_a_rank_whose_part_of_the_last_batch_is_empty_takes_part():
    theirs = trained(split(rows=34, batch_size=16))
    cases = [split(rows=34, batch_size=16) for _ in range(3)]
    for mine in on_ranks(cases, lambda case, rank: trained(case, exchange=rank)):
        close(mine, theirs, "f64")


@pytest.mark.parametrize("row", [2, 13])
def test_what_one_rank_refuses_no_rank_does(row):
    twin = split(rows=96, batch_size=16, shuffle=False)
    twin.options["index"] = np.arange(16)
    twin.train(1)
    cases = [spoiled(16 + row, np.inf, "f64") for _ in range(2)]
    errors = on_ranks(cases, lambda case, rank: case.train(1, exchange=rank))
    for case, error in zip(cases, errors, strict=True):
        assert "epoch 1, step 2: [input sample_weight]" in str(error)
        np.testing.assert_array_equal(case.program.params, cases[0].program.params)
        np.testing.assert_allclose(
            case.program.weights["fc1/weights"],
            twin.program.weights["fc1/weights"],
            rtol=1e-9,
            atol=1e-12,
        )


def test_a_bad_label_on_one_rank_is_told_on_all():
    cases = [split(batch_size=16, shuffle=False) for _ in range(2)]
    cases[0].sources["y"][3] = 99
    cases[1].sources["y"] = cases[0].sources["y"]
    before = cases[0].program.params.copy()
    for error in on_ranks(cases, lambda case, rank: case.train(1, exchange=rank)):
        assert "epoch 1, step 1: [sparse" in str(error)
    for case in cases:
        np.testing.assert_array_equal(case.program.params, before)


def test_ranks_of_different_batches_are_told_so():
    cases = [split(rows=96, batch_size=16), split(rows=100, batch_size=32)]
    cases[1].options["index"] = np.arange(96)
    for error in on_ranks(cases, lambda case, rank: case.train(1, exchange=rank)):
        assert "parts of one batch" in str(error)


def test_what_ranks_cannot_do_is_refused():
    [exchange, _] = native.thread_ranks(2)
    centred = Case(network(split=True, center=True), data())
    with pytest.raises(ValueError, match="batch normalization"):
        centred.train(1, exchange=exchange)
    with pytest.raises(ValueError, match="batch of 1 rows is too small for 2 ranks"):
        split(batch_size=1).train(1, exchange=exchange)


# -- hypers that change ----------------------------------------------------------------


def table(case, *columns, rate=1e-2, **changes):
    steps = case.trainer(**changes).info()["steps"]
    ramp = np.linspace(0.0, 1.0, steps)
    return np.column_stack([np.full(steps, rate), *(c(ramp) for c in columns)])


def test_scheduled_hypers_are_numpy_s_step_for_step():
    scheduled = [("keep_prob", 1, 1.0, -0.5), ("beta1", 2, 0.0, 0.9)]
    segments = [
        {"l2": 0.01, "scheduled": [("l2", 1, 0.1)]},
        {},
        {"scheduled": [("l2", 2, 0.3)]},
        {"frozen": True},
    ]
    model = network(l2=True, dropout=True)
    case = Case(
        *(model, data()),
        hypers={"keep_prob": 0.5},
        segments=segments,
        scheduled=scheduled,
    )
    oracle, twin = case.oracle()
    trainer = case.trainer()
    rates = table(case, np.square, np.cos)
    for epoch in range(2):
        mine = trainer.epoch(epoch, 7 * epoch, rates)
        theirs = oracle.epoch(epoch, 7 * epoch, rates)
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=1e-9)
    for name, weights in case.program.weights.items():
        np.testing.assert_allclose(weights, twin.weights[name], rtol=1e-8, atol=1e-11)


def test_a_constant_column_has_the_bits_of_the_constant():
    decayed = {"optimizer": AdamW(), "segments": [{"decay": 0.02}, {}, {}, {}]}
    plain = Case(network(optimizer=AdamW(), dropout=True), data(), **decayed)
    plain.options["hypers"]["keep_prob"] = 0.7
    plain.train(2)
    decayed["segments"] = [{"scheduled": [("decay", 1, 0.02)]}, {}, {}, {}]
    case = Case(
        *(network(optimizer=AdamW(), dropout=True), data()),
        **decayed,
        scheduled=[("keep_prob", 2, 0.0, 0.7)],
        hypers={"keep_prob": 0.1},
    )
    trainer = case.trainer()
    for epoch in range(2):
        trainer.epoch(epoch, 7 * epoch, table(case, np.ones_like, np.ones_like))
    np.testing.assert_array_equal(case.program.params, plain.program.params)


def test_an_unknown_hyper_cannot_be_scheduled():
    case = Case(network(), data(), scheduled=[("gamma", 1, 0.0, 1.0)])
    with pytest.raises(ValueError, match="no hyper gamma"):
        case.trainer().info()
    case = Case(
        network(), data(), segments=[{"scheduled": [("l2", 1, 1.0)]}, {}, {}, {}]
    )
    with pytest.raises(ValueError, match=r"no hyper segment\.l2"):
        case.trainer().info()


def test_rates_have_the_columns_that_are_scheduled():
    case = Case(network(dropout=True), data(), hypers={"keep_prob": 0.5})
    trainer = case.trainer(scheduled=[("keep_prob", 1, 1.0, -0.5)])
    with pytest.raises(ValueError, match=r"rates must be \[steps, 2\]"):
        trainer.epoch(0, 0, np.ones(7))


# -- runs of steps ---------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("run", [1, 3, 5, 100])
def test_an_epoch_in_runs_of_steps_has_its_bits(run, accumulate):
    options = {"batch_size": 8, "hypers": {"keep_prob": 0.6}, "accumulate": accumulate}
    whole = Case(network(dropout=True, split=True), data(), **options)
    want = whole.train(3)
    case = Case(network(dropout=True, split=True), data(), **options)
    trainer, losses = case.trainer(), []
    steps, so_far = trainer.info()["steps"], None
    for begin in range(0, 3 * steps, run):
        rates = np.full(min(run, 3 * steps - begin), 1e-2)
        epoch = len(losses)
        for result in trainer.epochs(epoch, epoch * steps, rates, so_far=so_far):
            so_far = None if result.ended else result
            if result.ended:
                losses.append(result.loss)
    assert losses == want
    np.testing.assert_array_equal(case.program.params, whole.program.params)
    np.testing.assert_array_equal(case.slots, whole.slots)


def test_a_run_begins_within_an_epoch_and_says_how_far_it_came():
    trainer = Case(network(), data()).trainer()
    [first] = trainer.epochs(0, 0, np.full(3, 1e-2))
    assert (first.steps, first.ended) == (3, False)
    second, third = trainer.epochs(0, 0, np.full(6, 1e-2), so_far=first)
    assert (second.steps, second.ended, third.steps, third.ended) == (7, True, 2, False)
    with pytest.raises(ValueError, match="steps 0 to 6, not 7"):
        list(trainer.epochs(0, 0, np.ones(1), so_far=EpochResult(steps=7)))
