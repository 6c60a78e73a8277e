"""What native code borrows: it stays alive, and it is as large as what is read."""

import gc
import mmap
import signal
import weakref

import numpy as np
import pytest
from support.training_case import Case, data, network

from slimlearn import _native
from slimlearn.backend import engine
from slimlearn.backend.arena import allocate
from slimlearn.backend.program import Program


class Watched(np.ndarray):
    """An array that a weak reference can watch."""


def watched(array):
    return array.view(Watched)


def test_a_trainer_keeps_its_sources_though_the_dict_changes():
    case = Case(network(), data(), shuffle=False)
    case.sources["X"] = watched(case.sources["X"])
    alive = weakref.ref(case.sources["X"])
    trainer = case.trainer()
    trainer.info()  # makes the native trainer
    del case.sources["X"]
    gc.collect()
    assert alive() is not None
    del trainer
    gc.collect()
    assert alive() is None


def test_a_callback_may_drop_the_sources():
    case = Case(network(), data())
    case.sources["X"] = watched(case.sources["X"])
    alive = weakref.ref(case.sources["X"])
    seen = []

    def drop(iteration, objective, loss):
        case.sources.clear()
        gc.collect()
        seen.append(alive() is not None)
        return iteration == 2

    case.trainer().lbfgs(callback=drop)
    assert seen and all(seen)


def test_a_trainer_runs_one_epoch_at_a_time():
    case = Case(network("f32"), data(200_000, precision="f32"), batch_size=1)
    trainer = case.trainer()
    rates = np.full(200_000, 1e-3)

    alarms = []

    def again(number, frame):
        if not alarms:  # it may come before a slow build has begun to train
            signal.setitimer(signal.ITIMER_REAL, 0.05)
        alarms.append(number)
        trainer.epoch(0, 0, rates)

    before = signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(engine.NativeError, match="training already"):
            trainer.epoch(0, 0, rates)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_batch_may_be_larger_than_any_data():
    case = Case(network(), data(30), batch_size=2**63 - 1)
    assert case.trainer().info()["steps"] == 1
    case.train(1)


@pytest.mark.parametrize(
    "rows", [np.ones(100, bool), np.ones(3), ["a"], np.ones((2, 2))]
)
def test_rows_are_numbers_of_rows(rows):
    case = Case(network(), data())
    with pytest.raises(ValueError, match="list of row numbers"):
        case.compiled.run("predict", case.sources, case.program, rows=rows)


def text_of(update="f32", loss="f64", shape="[P]"):
    return f"""slim 1
param %w : f32[4]
hyper %learning_rate : f64[]

func grad {{
  %x = input(source="X") : f32[B]
  %s = reduce_sum(%x, axes=[0], keepdims=false) : f32[]
  %l = cast(%s) : {loss}[]
  %g = identity(%w) : f32[4]
  grad %w = %g
  return %l, %l, %l
}}

func update {{
  %weight = input(source="weight") : {update}{shape}
  %gradient = input(source="gradient") : {update}{shape}
  %next = sub(%weight, %gradient) : {update}{shape}
  return %next
}}
"""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"update": "f64"}, r"\[update weight\] needs f32\[P\], declared as f64\[P\]"),
        ({"shape": "[P,2]"}, r"needs f32\[P\]|element by element"),
        ({"shape": "[2*P]"}, r"needs f32\[P\]|element by element"),
        ({"loss": "f32"}, r"each f64\[\]"),
    ],
)
def test_a_program_of_other_types_is_refused(changes, message):
    sources = {"X": np.ones(8, np.float32)}

    def trainer(text):
        program = Program(text)
        return engine.compile(text).trainer(program, sources, batch_size=4)

    trainer(text_of()).epoch(0, 0, np.ones(2))
    with pytest.raises(ValueError, match=message):
        trainer(text_of(**changes)).epoch(0, 0, np.ones(2))


@pytest.mark.parametrize(
    "which", range(4), ids=["params", "state", "gradient", "slots"]
)
def test_an_arena_needs_bytes_behind_it_that_may_be_read(which):
    case = Case(network(center=True), data())
    gradient = allocate(case.program.params.size)
    arenas = [case.program.params, case.program.state, gradient, case.slots]
    segments = [
        {"offset": offset, "length": length}
        for _, offset, length in case.compiled.native.parameters
    ]

    def lend(arena):
        lent = [*arenas[:which], arena, *arenas[which + 1 :]]
        native, hypers = case.compiled.native, case.options["hypers"]
        options = [], 0.0, 0.0, True, 0, 1, 1, None
        _native.Trainer(
            native, case.sources, None, 16, lent, segments, hypers, *options
        )

    size = arenas[which].size
    for slack in (48 + 64, 1000):
        room = np.zeros(size + slack, np.uint8)
        start = -room.ctypes.data % 64
        lend(room[start : start + size])
    room = np.zeros(size + 48, np.uint8)
    start = -room.ctypes.data % 64
    mapped = np.frombuffer(mmap.mmap(-1, size), np.uint8)
    for short in (room[start : start + size], mapped):
        with pytest.raises(ValueError, match="as 64 bytes behind it may be read"):
            lend(short)


def test_the_short_road_wants_rows():
    text = """slim 1

func predict {
  %x = input(source="X") : f64[4,3]
  %s = reduce_sum(%x, axes=[0, 1], keepdims=false) : f64[]
  %r = broadcast(%s) : f64[B]
  return %r
}
"""
    with pytest.raises(ValueError, match="must read whole dense rows"):
        engine.compile(text).predictor("predict", Program(text))
