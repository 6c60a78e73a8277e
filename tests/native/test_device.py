"""A device with a memory of its own gives the bits of the kernels it has."""

import functools
import gc
import os
import pickle
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from support.devices import LEVEL, MIRROR, facts
from support.op_cases import CASES
from support.training_case import Case, data, network

from slimlearn import DNNClassifier, DNNRegressor, NetworkClassifier, layers
from slimlearn.backend import engine
from slimlearn.backend.arena import allocate
from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import OPTIMIZERS, SGD, Adam, LazyAdam
from slimlearn.backend.program import Program
from slimlearn.backend.text import print_program

ALL = [case for cases in CASES.values() for case in cases]


def both(text: str):
    return engine.compile(text, device=MIRROR), engine.compile(text, isa=LEVEL)


def assert_same(got, want):
    for a, b in zip(got, want, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


# -- ops -------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("case", ALL, ids=str)
def test_every_op_runs_there(case, precision):
    model = case.model(precision)
    text = print_program(model)
    for rows, options in ((1, {}), (5, {}), (34, {"batch": 8, "n_threads": 2})):
        sources = case.sources(precision, rows)
        options |= {"rows": np.arange(rows), "seed": 7, "step": 3}
        got, want = (
            compiled.run("f", sources, Program(text, model=model), **options)
            for compiled in both(text)
        )
        assert_same(got, want)


# -- training --------------------------------------------------------------------------


def twins(model, sources, **options):
    """The same training on the device and on the level whose kernels it has."""
    cases = [Case(model, sources, **options) for _ in range(2)]
    for case, compiled in zip(cases, both(cases[0].program.text), strict=True):
        case.compiled = compiled
    assert cases[0].compiled.device == MIRROR
    return cases


def arenas(case):
    return case.program.params, case.program.state, case.slots


def assert_alike(there, here):
    for a, b in zip(arenas(there), arenas(here), strict=True):
        assert a.tobytes() == b.tobytes()


def train_alike(there, here, epochs=3, **changes):
    losses = there.train(epochs, **changes)
    assert losses == here.train(epochs, **changes)
    assert_alike(there, here)
    assert np.isfinite(losses).all()


ITERATIVE = {name: kind for name, kind in OPTIMIZERS.items() if kind().iterative}


@pytest.mark.parametrize("rows", [33, 100])
@pytest.mark.parametrize("name", ITERATIVE)
def test_every_optimizer_trains_there(name, rows):
    optimizer = ITERATIVE[name]()
    train_alike(
        *twins(
            network("f32", optimizer, dropout=True, center=True, l2=True),
            data(rows, "f32"),
            optimizer=optimizer,
            hypers={"keep_prob": 0.7},
            segments=[{"l2": 0.01}, {}, {"l2": 0.1}, {"frozen": True}],
        )
    )


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.05, "clip_value": 0.02}])
@pytest.mark.parametrize("optimizer", [Adam(), LazyAdam(), SGD(momentum=0.0)], ids=repr)
def test_gradients_that_are_rows(optimizer, clip, precision):
    sources = data(60, precision, features=50)
    wide = np.where(np.abs(sources["X"]) > 1.5, sources["X"], 0)
    sources["X"] = sparse.csr_matrix(wide)
    train_alike(
        *twins(
            network(
                *(precision, optimizer),
                **{"sparse": True, "rows": True, "clip": bool(clip)},
                sizes=(50, 24, 3),
            ),
            sources,
            optimizer=optimizer,
            **clip,
        )
    )


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("accumulate", [2, 3])
def test_steps_in_parts(accumulate, center):
    model = network("f32", split=True, center=center, dropout=True)
    options = {"accumulate": accumulate, "hypers": {"keep_prob": 0.7}}
    train_alike(*twins(model, data(100, "f32"), **options))


def test_branches_that_the_data_chooses():
    model = network("f32", branches=True, dropout=True)
    train_alike(*twins(model, data(300, "f32"), hypers={"keep_prob": 0.7}))


def test_lanes_that_share_a_step():
    sizes = (500, 300, 3)
    model = network("f32", center=True, sizes=sizes)
    sources = data(4000, "f32", features=500)
    there, here = twins(model, sources, batch_size=2000)
    assert there.trainer(n_threads=2).info()["lanes"] in (1, 2)  # what OpenMP allows
    train_alike(there, here, n_threads=2)


def test_ranks_sum_their_gradients_there():
    cases = [twins(network("f32", split=True), data(96, "f32"))[0] for _ in range(2)]
    exchanges = native.thread_ranks(2)
    threads = [
        threading.Thread(target=case.train, args=(3,), kwargs={"exchange": exchange})
        for case, exchange in zip(cases, exchanges, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_alike(*cases)
    alone = twins(cases[0].model, cases[0].sources)[1]
    alone.train(3)
    got, want = (c.program.params.view(np.float32) for c in (cases[0], alone))
    np.testing.assert_allclose(got, want, 1e-4, 1e-5)


def test_weights_are_there_for_every_epoch():
    """Each run of steps begins with the host's arrays and ends in them."""
    there, here = twins(network("f32"), data(100, "f32"))
    trainers = there.trainer(), here.trainer()
    for _ in range(3):
        for case, trainer in zip((there, here), trainers, strict=True):
            case.train(1, trainer=trainer)
            case.program.weights["fc1/biases"][0] = 0.5
            case.slots[:4] = 0
        assert_alike(there, here)


def test_a_part_of_an_epoch():
    there, here = twins(network("f32"), data(100, "f32"))
    for case in (there, here):
        trainer = case.trainer()
        [half] = trainer.epochs(0, 0, np.full(3, 1e-2))
        assert not half.ended
        [end] = trainer.epochs(0, 0, np.full(4, 1e-2), so_far=half)
        assert end.ended
    assert_alike(there, here)


def counted(goes):
    goes.append(1)
    return False  # none is broken off


def test_the_loop_copies_batches_and_nothing_else():
    """Parameters travel once a go, and the device gets no memory in the loop."""
    case, _ = twins(network("f32"), data(320, "f32"))
    trainer = case.trainer()
    trainer.epoch(0, 0, np.full(20, 1e-2))
    lent = 2 * len(["params", "gradient", "slots"])
    gc.collect()  # what earlier tests left there
    for epochs in (1, 3):
        goes = []  # after an epoch that took long there is another one
        before, pieces = facts()
        rates = np.full(20 * epochs, 1e-2)
        list(trainer.epochs(1, 20, rates, begin=functools.partial(counted, goes)))
        after, now = facts()
        assert now == pieces
        assert after - before == 20 * epochs * len(case.sources) + lent * len(goes)
        assert 1 <= len(goes) <= epochs


# -- refusals --------------------------------------------------------------------------


def label(sources):
    sources["y"][40] = 2**31 - 1


def loss(sources):
    sources["sample_weight"][40] = np.inf


def gradient(sources):
    sources["X"][:, 0] = 0
    sources["X"][32:48, 0] = 3e38
    sources["sample_weight"][32:48] = 100


@pytest.mark.parametrize("spoil", [label, loss, gradient])
def test_a_refused_step_is_refused_there(spoil):
    sources = data(precision="f32")
    spoil(sources)
    there, here = twins(network("f32", center=True), sources, shuffle=False)
    told = []
    for case in (there, here):
        case.program.weights["fc1/weights"][0] = 0
        with pytest.raises(ValueError, match="epoch 1, step 3: ") as error:
            case.train(1)
        told.append(str(error.value))
    assert told[0] == told[1]
    assert_alike(there, here)
    if spoil is label:
        with pytest.raises(ValueError, match="a label"):
            there.compiled.run("score", sources, there.program)


@pytest.mark.parametrize("breaks", [False, True])
def test_an_interrupt_publishes_whole_epochs(breaks):
    there, here = twins(network("f32"), data(5000, "f32"), batch_size=5)
    trainer, told, kept = there.trainer(), [], [None]
    steps = trainer.info()["steps"]

    def begin():
        kept[0] = [arena.copy() for arena in arenas(there)]
        return breaks

    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for result in trainer.epochs(0, 0, np.full(500 * steps, 1e-3), begin=begin):
            told.append(result.steps)
    timer.join()
    assert set(told) <= {steps}
    if not breaks:
        assert told
        here.train(len(told), rate=1e-3)
        assert_alike(there, here)


def test_lbfgs_minimises_there():
    there, here = twins(network(), data(700))
    results = [case.trainer().lbfgs(max_iter=15) for case in (there, here)]
    assert results[0] == results[1]
    assert_alike(there, here)
    watched = []
    there.trainer().lbfgs(
        1, callback=lambda *_: watched.append(there.program.params.copy())
    )
    assert watched and watched[-1].tobytes() == there.program.params.tobytes()


# -- calls -----------------------------------------------------------------------------


def test_what_a_function_sets_is_published():
    model = network("f32", center=True)
    text = print_program(model)
    programs = []
    for compiled in both(text):
        program = Program(text, model=model)
        compiled.run("init", {}, program, seed=5)
        programs.append(program)
    assert programs[0].params.any()
    assert programs[0].params.tobytes() == programs[1].params.tobytes()


def test_padding_between_states_stays_zero():
    model = Model("f32")
    states = [model.state(name, (size,)) for name, size in (("a", 3), ("b", 17))]
    with model.function("grad") as graph:
        for state in states:
            graph.set_(state, state + 1.0)
        graph.return_(states[0])
    program = Program(model=model)
    engine.compile(program.text, device=MIRROR).run("grad", {}, program)
    assert program.state.view("f4").sum() == 20


def test_gradients_of_a_call():
    there, here = twins(network("f32", center=True), data(precision="f32"))
    found = []
    for case in (there, here):
        gradient = allocate(case.program.params.size)
        results = case.compiled.run(
            "grad", case.sources, case.program, gradient=gradient
        )
        found.append([*results, gradient])
    assert_same(*found)
    assert_alike(there, here)


def test_calls_at_once_share_it():
    there, here = twins(network("f32"), data(3000, "f32"))
    want = here.compiled.run("predict", here.sources, here.program)
    found = [None] * 4

    def predict(at):
        for _ in range(5):
            found[at] = there.compiled.run("predict", there.sources, there.program)

    threads = [threading.Thread(target=predict, args=(at,)) for at in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got in found:
        assert_same(got, want)


def test_the_short_road_leads_there():
    there, here = twins(network("f32"), data(900, "f32"))
    roads = [case.compiled.predictor("predict", case.program) for case in (there, here)]
    for rows in (1, 7, 900):
        x = np.ascontiguousarray(there.sources["X"][:rows])
        got, want = (road(x) for road in roads)
        assert_same([got], [want])
        for case in (there, here):  # they read the weights of the moment
            case.program.weights["fc2/biases"][...] += rows
    assert roads[0](np.full((2, 20), np.nan, np.float32)) is None


def test_profiles():
    there, _ = twins(network("f32", center=True), data(precision="f32"))
    launches = there.compiled.profile("predict", there.sources, there.program, rounds=3)
    assert {"X", "fc1/matmul"} & {launch["name"] for launch in launches}
    assert there.trainer().profile(5)[-1]["name"] == "update"


def test_its_idle_memory_is_given_back():
    there, _ = twins(network("f32"), data(precision="f32"))
    there.compiled.run("predict", there.sources, there.program)
    _, before = facts()
    native.free_idle()
    _, after = facts()
    assert after < before


# -- estimators ------------------------------------------------------------------------


@pytest.fixture(params=["classifier", "regressor", "batch_norm", "lbfgs", "sparse"])
def estimators(request, monkeypatch):
    """One estimator on the device, one on its level, and what they fit."""
    monkeypatch.setenv("SLIM_ISA", LEVEL)
    X, y = load_digits(return_X_y=True)
    X, y = X[:400] / 16, y[:400]
    options = {"hidden_units": (16, 8), "max_iter": 4, "random_state": 3}
    kind = DNNClassifier
    if request.param == "regressor":
        kind, y = DNNRegressor, y.astype(float)
        options["early_stopping"] = True
    elif request.param == "batch_norm":
        options |= {"batch_norm": True, "dropout": 0.2, "scoring": "accuracy"}
        options["early_stopping"] = True
    elif request.param == "lbfgs":
        options["optimizer"] = "lbfgs"
    elif request.param == "sparse":
        X = sparse.csr_matrix(X)
    made = [kind(**options, device=device) for device in (MIRROR, "cpu")]
    return *made, X, y


@pytest.mark.filterwarnings("ignore:.*without converging")
def test_an_estimator_lives_there(estimators):
    there, here, X, y = estimators
    for fitted in (there.fit(X, y), here.fit(X, y)):
        assert fitted.score(X, y) > 0
    assert there._handle.native.device == MIRROR
    np.testing.assert_array_equal(there.predict(X), here.predict(X))
    np.testing.assert_array_equal(there.predict(X[:1]), here.predict(X[:1]))
    assert there.score(X, y) == here.score(X, y)
    assert there.loss_curve_ == here.loss_curve_
    if hasattr(there, "predict_proba"):
        assert_same([there.predict_proba(X)], [here.predict_proba(X)])
    again = pickle.loads(pickle.dumps(there))
    assert again._handle.native.device == MIRROR
    np.testing.assert_array_equal(again.predict(X), there.predict(X))
    for one in (there, here):
        one.set_params(warm_start=True).fit(X, y)
    assert there.program_.params.tobytes() == here.program_.params.tobytes()
    if hasattr(there, "partial_fit"):
        for one in (there, here):
            one.partial_fit(X, y)
        assert there.program_.params.tobytes() == here.program_.params.tobytes()
    # What was fitted on one device goes on and predicts on another.
    moved = pickle.loads(pickle.dumps(there.set_params(device="cpu")))
    assert moved._handle.native.device == "cpu"
    np.testing.assert_array_equal(moved.predict(X), here.predict(X))
    assert clone(again).device == MIRROR


def test_a_network_function_there():
    X, y = load_digits(return_X_y=True)

    def net(x):
        return layers.fully_connected(layers.fully_connected(x, 12), 10, None)

    clf = NetworkClassifier(net, device=MIRROR, max_iter=5, random_state=0)
    assert clf.fit(X / 16, y).score(X / 16, y) > 0.5
    assert clf.summary()


# -- names -----------------------------------------------------------------------------


def test_devices_are_found_by_name():
    assert engine.devices()[0] == "cpu"
    assert MIRROR in engine.devices()
    text = print_program(network())
    assert engine.compile(text).device == "cpu"
    assert engine.compile(text, device=MIRROR).isa == LEVEL
    again = pickle.loads(pickle.dumps(engine.compile(text, device=MIRROR)))
    assert again.device == MIRROR
    with pytest.raises(ValueError, match=f"a device {MIRROR} already"):
        native.register_test_device(MIRROR, LEVEL)
    for name in ("cpu", LEVEL):
        with pytest.raises(ValueError, match=f"a device {name} already"):
            native.register_test_device(name, LEVEL)


@pytest.mark.parametrize("name", ["cuda:99", "tpu", ""])
def test_a_device_that_is_not_there_is_refused(name):
    text = print_program(network())
    with pytest.raises(ValueError, match=f"device {name} is not there") as error:
        engine.compile(text, device=name)
    assert "there are cpu" in str(error.value)
    assert LEVEL in str(error.value)
    told = f"The 'device' parameter of DNNClassifier must be .*'cpu'.* Got '{name}'"
    with pytest.raises(ValueError, match=told) as told:
        DNNClassifier(device=name).fit([[0.0], [1.0]], [0, 1])
    if name == "cuda:99":
        for error_ in (error, told):
            assert re.search("NVIDIA|GPU", str(error_.value))


def test_the_host_cannot_touch_it():
    """The seam is real: a source that lies in the device's memory ends the process."""
    code = f"""
from slimlearn.backend import engine
from slimlearn.backend.arena import allocate
from slimlearn.backend.engine.native import native
native.register_test_device("mirror", {LEVEL!r})
print("before", flush=True)
native.touch_test_device("mirror")
print("after", flush=True)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "before\n"
    # A sanitizer tells of it and ends the process itself.
    assert run.returncode == -signal.SIGSEGV or "Sanitizer: SEGV" in run.stderr
