"""Native training against NumPy's, step for step, and the facts of its loop."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from support.training_case import Case, data, network

from slimlearn.backend import engine, ops
from slimlearn.backend.optimizer import SGD, Adam, RMSProp
from slimlearn.backend.shape import symbol

OPTIMIZERS = [Adam(), SGD(), SGD(momentum=0.0), RMSProp()]


def compare(case, epochs=3, rate=1e-2, rtol=1e-9, atol=1e-11, **changes):
    oracle, twin = case.oracle()
    steps = case.trainer().info()["steps"]
    trainer = case.trainer(**changes)
    for epoch in range(epochs):
        rates = np.linspace(rate, rate / 2, steps)
        mine = trainer.epoch(epoch, epoch * steps, rates)
        theirs = oracle.epoch(epoch, epoch * steps, rates)
        assert mine.steps == theirs.steps == steps
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=rtol, atol=atol)
        np.testing.assert_allclose(mine.weight_sum, theirs.weight_sum, rtol=1e-12)
        for name, weights in case.program.weights.items():
            np.testing.assert_allclose(
                weights, twin.weights[name], rtol=rtol, atol=atol, err_msg=name
            )
        for name, state in case.program.states.items():
            np.testing.assert_allclose(state, twin.states[name], rtol=rtol, atol=atol)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_training_is_numpy_s_step_for_step(optimizer):
    compare(Case(network(optimizer=optimizer), data(), optimizer=optimizer))


def test_training_in_float32_is_close_to_numpy_s():
    compare(Case(network("f32"), data(precision="f32")), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("rows", [16, 17, 33, 15, 3, 97])
def test_a_last_batch_of_one_row_joins_the_one_before(rows):
    compare(Case(network(), data(rows)), epochs=2)


def test_batch_statistics_and_states():
    compare(Case(network(center=True), data()))


def test_dropout_draws_numpy_s_numbers():
    case = Case(network(dropout=True), data(), hypers={"keep_prob": 0.6})
    compare(case)


def test_penalties_of_segments_and_frozen_ones():
    segments = [{"l2": 0.1}, {}, {"l2": 0.02}, {"frozen": True}]
    case = Case(network(l2=True), data(), segments=segments)
    before = case.program.weights["fc2/biases"].copy()
    compare(case)
    np.testing.assert_array_equal(case.program.weights["fc2/biases"], before)


def test_a_penalty_that_update_does_not_read_is_refused():
    case = Case(network(), data(), segments=[{"l2": 0.1}, {}, {}, {}])
    with pytest.raises(ValueError, match=r"segment\.l2"):
        case.train(1)


MIXES = {
    "reduce_sum": lambda u: ops.reduce_sum(u.gradient, name="mix"),
    "reduce_max": lambda u: ops.reduce_max(u.slot("m"), name="mix"),
    "softmax": lambda u: ops.softmax(u.weight, name="mix"),
    "extent": lambda u: ops.extent(symbol("P"), u.precision, name="mix"),
    "random_uniform": lambda u: ops.random_uniform(
        (symbol("P"),), u.precision, name="mix"
    ),
}


@pytest.mark.parametrize("op", MIXES)
def test_an_update_that_mixes_elements_is_refused_by_name(op):
    class Mixed(SGD):
        def _rule(self, u):
            return ops.sub(u.weight, MIXES[op](u))

    case = Case(network(optimizer=Mixed()), data(), optimizer=Mixed())
    with pytest.raises(ValueError, match=rf"\[{op} mix\].*blocks"):
        case.train(1)


@pytest.mark.parametrize("limits", [{"clip_norm": 0.05}, {"clip_value": 0.01}])
def test_clipping(limits):
    compare(Case(network(clip=True), data(), **limits))


@pytest.mark.parametrize("limits", [{"clip_norm": 0.05}, {"clip_value": 0.01}, {}])
@pytest.mark.parametrize("frozen", [False, True])
def test_penalties_are_a_part_of_what_is_clipped(limits, frozen):
    segments = [{"l2": 0.1}, {}, {"scheduled": [("l2", 0, 5.0)]}, {"frozen": frozen}]
    compare(Case(network(clip=True, l2=True), data(), segments=segments, **limits))


def test_an_index_of_rows_and_no_shuffle():
    rows = np.random.default_rng(0).permutation(100)[:49]
    compare(Case(network(), data(), index=rows, shuffle=False))


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i1", "i2", "u2", "i4", "i8", "?"])
@pytest.mark.parametrize("view", ["plain", "fortran", "strided", "reversed", "locked"])
def test_sources_of_any_type_and_stride(dtype, view):
    sources = data()
    x = (np.abs(sources["X"]) * 3).astype(dtype)
    if view == "fortran":
        x = np.asfortranarray(x)
    elif view == "strided":
        wide = np.zeros((200, 60), dtype)
        wide[::2, ::3] = x
        x = wide[::2, ::3]
    elif view == "reversed":
        x = x[::-1, ::-1]
    elif view == "locked":
        x.flags.writeable = False
    compare(Case(network(), {**sources, "X": x}), epochs=1)


def test_labels_of_any_integer_type():
    sources = data()
    sources["y"] = sources["y"].astype(np.uint8)
    compare(Case(network(), sources), epochs=1)


def test_a_label_out_of_range_stops_before_the_update():
    sources = data()
    sources["y"][5] = 2**31 - 1
    case = Case(network(), sources, shuffle=False)
    before = case.program.params.copy()
    with pytest.raises(ValueError, match=r"epoch 1, step 1: \[sparse.*: a label"):
        case.train(1)
    np.testing.assert_array_equal(case.program.params, before)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_non_finite_loss_stops_and_names_the_op(value):
    sources = data()
    sources["sample_weight"][40] = value
    case = Case(network(), sources, shuffle=False)
    with pytest.raises(ValueError, match=r"epoch 1, step 3: \[input sample_weight\]"):
        case.train(1)
    assert np.isfinite(case.program.params.view(np.float64)).all()


def test_a_non_finite_gradient_keeps_the_weights():
    sources = data(precision="f32")
    sources["X"][:, 0] = 3e38
    sources["sample_weight"][:] = 100
    case = Case(network("f32"), sources, shuffle=False)
    case.program.weights["fc1/weights"][0] = 0
    before = case.program.params.copy()
    with pytest.raises(ValueError, match=r"epoch 1, step 1: .* not finite"):
        case.train(1, rate=1.0)
    np.testing.assert_array_equal(case.program.params, before)


def label(sources, row):
    sources["y"][row] = 2**31 - 1


def loss(sources, row):
    sources["sample_weight"][row] = np.inf


def gradient(sources, row):
    """Too large for float32 only when it is multiplied by a slope."""
    sources["X"][:, 0] = 0
    sources["X"][row : row + 16, 0] = 3e38
    sources["sample_weight"][row : row + 16] = 100


@pytest.mark.parametrize("good", [0, 2], ids=["first", "third"])
@pytest.mark.parametrize("spoil", [label, loss, gradient])
def test_a_refused_step_sets_nothing(spoil, good):
    sources = data(precision="f32")
    case = Case(network("f32", center=True), sources, shuffle=False)
    case.program.weights["fc1/weights"][0] = 0
    case.program.states["mean"][...] = 0.25
    options = {**case.options, "index": np.arange(16 * good)}
    want = case.program.state.copy()
    if good:
        twin = Case(case.model, data(precision="f32"), **options)
        if spoil is gradient:
            twin.sources["X"][:, 0] = 0
        twin.program.params[...] = case.program.params
        twin.program.state[...] = case.program.state
        twin.train(1)
        want = twin.program.state
        assert (want != case.program.state).any()
    spoil(sources, 16 * good)
    with pytest.raises(ValueError, match=f"epoch 1, step {good + 1}: "):
        case.train(1)
    np.testing.assert_array_equal(case.program.state, want)


@pytest.mark.parametrize("hidden", [1, 5, 300])
def test_states_are_set_step_by_step_on_any_lanes(hidden):
    sizes = (20, hidden, 3)
    threads = [
        Case(
            network("f32", center=True, sizes=sizes),
            data(9000, precision="f32"),
            batch_size=3000,
            n_threads=n_threads,
        )
        for n_threads in (1, 3)
    ]
    for case in threads:
        case.train(4)
    assert threads[0].program.state.tobytes() == threads[1].program.state.tobytes()
    assert threads[0].program.params.tobytes() == threads[1].program.params.tobytes()


def test_wrong_sources_are_refused_by_name():
    sources = data()
    with pytest.raises(ValueError, match=r"source y is missing: given are X"):
        Case(network(), {"X": sources["X"]}).train(1)
    with pytest.raises(ValueError, match=r"\(100, 19\), needed is \(100, 20\)"):
        Case(network(), {**sources, "X": sources["X"][:, 1:]}).train(1)
    with pytest.raises(ValueError, match="sources differ in rows"):
        Case(network(), {**sources, "y": sources["y"][:50]}).train(1)
    with pytest.raises(ValueError, match="asks for row 100"):
        Case(network(), sources, index=np.arange(101)).train(1)
    with pytest.raises(ValueError, match="float16"):
        Case(network(), {**sources, "X": sources["X"].astype("f2")}).train(1)
    with pytest.raises(ValueError, match="one learning rate a step: 7, got 3"):
        Case(network(), sources).trainer().epoch(0, 0, np.ones(3))
    with pytest.raises(ValueError, match="reads the hyper beta1"):
        case = Case(network(), sources)
        case.options["hypers"] = {}
        case.train(1)


def test_the_loop_allocates_nothing_and_enters_no_parallel_region():
    case = Case(network("f32"), data(precision="f32"))
    trainer = case.trainer(n_threads=1)
    before = trainer.info()
    case.train(3, trainer=trainer)
    after = trainer.info()
    assert after["allocations"] == before["allocations"]
    assert after["parallel_regions"] == before["parallel_regions"]


def test_a_step_is_few_launches():
    trainer = Case(network("f32"), data(precision="f32")).trainer()
    assert trainer.info()["launches"] <= 12


def test_plans_are_shared_by_fits():
    case = Case(network("f32"), data(precision="f32"))
    case.train(1)
    before = case.compiled.cache_info()
    Case(case.model, case.sources, seed=1).train(1)
    after = case.compiled.cache_info()
    assert after["misses"] == before["misses"]
    assert after["hits"] > before["hits"]


def test_padding_stays_zero():
    case = Case(network("f32"), data(precision="f32"))
    case.train(2)
    arena = case.program.params.copy()
    for name, view in case.program.weights.items():
        start = case.program.offsets[name]
        arena[start : start + view.nbytes] = 0
    assert not arena.any()


def test_ctrl_c_ends_an_epoch():
    case = Case(network("f32"), data(200_000, precision="f32"), batch_size=1)
    trainer = case.trainer()
    rates = np.full(200_000, 1e-3)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for epoch in range(100):
            list(trainer.epochs(epoch, 0, rates, begin=lambda: True))
    timer.join()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_inside_a_step_leaves_it_undone(n_threads):
    """Between two launches: the step, the epoch's only one, takes seconds."""
    rows, sizes = 60_000, (20, 1500, 3)
    case = Case(network("f32", center=True, sizes=sizes), data(rows, "f32"))
    case.options["batch_size"] = rows
    before = case.program.params.copy(), case.program.state.copy(), case.slots.copy()
    trainer = case.trainer(n_threads=n_threads)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    told = []
    trainer.info()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        told.extend(trainer.epochs(0, 0, np.full(20, 1e-3), begin=lambda: True))
    timer.join()
    assert told == []
    for arena, old in zip(
        (case.program.params, case.program.state, case.slots), before
    ):
        np.testing.assert_array_equal(arena, old)
    assert trainer.epoch(0, 0, np.full(1, 1e-3)).steps == 1


def heard_in_a_step(rows: int, n_threads: int) -> tuple[int, int, float]:
    """Launches of a large step, how often signals were heard in it, and its seconds."""
    sources = data(rows, "f32", features=1500)
    case = Case(network("f32", sizes=(1500, 3000, 3)), sources, batch_size=rows)
    trainer, heard = case.trainer(n_threads=n_threads), []
    former = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    begun = time.monotonic()
    try:
        [result] = trainer.epochs(0, 0, np.full(1, 1e-3), begin=lambda: True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert result.steps == 1
    seconds = time.monotonic() - begun
    return case.compiled.info("grad", rows)["launches"], len(heard), seconds


@pytest.mark.parametrize("n_threads", [1, 2])
def test_signals_are_heard_inside_a_launch(n_threads):
    """A launch that takes long is cut: there are more looks than launches."""
    looks_apart = 0.05  # seconds, of a machine with nothing else to do
    for rows in (6_000, 12_000, 24_000, 48_000):
        launches, heard, seconds = heard_in_a_step(rows, n_threads)
        wanted = launches + 5  # after the last one, and before
        if seconds > 2 * looks_apart * wanted or heard > wanted:
            break  # a faster machine needs more rows for as many looks
    assert heard > wanted


def test_an_interrupt_waits_for_the_end_of_an_epoch():
    case = Case(network("f32"), data(50_000, precision="f32"), batch_size=5)
    trainer, twin = case.trainer(), Case(case.model, case.sources, batch_size=5)
    steps = trainer.info()["steps"]
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    told = []
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for result in trainer.epochs(0, 0, np.full(100 * steps, 1e-3)):
            told.append(result.steps)
    timer.join()
    assert told and set(told) == {steps}
    twin.train(len(told), rate=1e-3)
    assert twin.program.params.tobytes() == case.program.params.tobytes()


def test_epochs_in_one_go_are_epochs_one_by_one():
    one_by_one, in_one_go = (
        Case(network("f32"), data(precision="f32"), batch_size=9) for _ in range(2)
    )
    losses = one_by_one.train(5)
    trainer = in_one_go.trainer()
    steps = trainer.info()["steps"]
    results = list(trainer.epochs(0, 0, np.full(5 * steps, 1e-2)))
    assert [result.loss for result in results] == losses
    assert [result.steps for result in results] == [steps] * 5
    assert in_one_go.program.params.tobytes() == one_by_one.program.params.tobytes()
    assert in_one_go.slots.tobytes() == one_by_one.slots.tobytes()


def test_epochs_before_a_bad_one_are_told():
    case = Case(network("f32", optimizer=SGD()), data(), optimizer=SGD())
    trainer = case.trainer()
    steps = trainer.info()["steps"]
    rates = np.repeat([1e-3, 1e-3, 1e38, 1e-3], steps)
    told = []
    with pytest.raises(ValueError, match=rf"epoch 3, step {2 * steps + 2}: \["):
        told.extend(trainer.epochs(0, 0, rates))
    # `extend` has taken what came before the error.
    assert len(told) == 2


def test_profile_names_the_launches():
    case = Case(network("f32"), data(precision="f32"))
    launches = case.trainer().profile(20)
    assert {"input", "matmul", "update"} <= {launch["op"] for launch in launches}
    assert all(launch["seconds"] > 0 for launch in launches)
    predict = {"X": case.sources["X"]}
    launches = case.compiled.profile("predict", predict, case.program)
    assert launches[0]["op"] == "input"
    assert all(launch["roofline"] >= 0 for launch in launches)


def test_fits_run_at_once_in_threads():
    sources = data(precision="f32")
    cases = [Case(network("f32"), sources) for _ in range(4)]
    threads = [threading.Thread(target=case.train, args=(5,)) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({case.program.params.tobytes() for case in cases}) == 1
    assert engine.compile(cases[0].program.text) is cases[0].compiled
