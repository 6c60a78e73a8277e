"""Filters packed once for a sealed program: the same bits, never stale, bounded."""

import copy
import gc
import multiprocessing
import pickle
import threading

import numpy as np
import pytest
from support.native_run import ISAS

import slimlearn
from slimlearn import _native
from slimlearn.backend import engine, ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

BUDGET = 512 << 20


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    slimlearn.clear_cache()
    assert _native.packed_bytes() == 0
    yield
    slimlearn.clear_cache()


def sources(rows, size, channels, precision="f32"):
    shape = (rows, *(size if isinstance(size, tuple) else (size, size)), channels)
    kind = np.float32 if precision == "f32" else np.float64
    return {"X": np.random.default_rng(rows).normal(size=shape).astype(kind)}


class Net:
    """Convolutions in a row, by (filters' shape, keywords), on images of a size."""

    def __init__(self, size, layers, precision="f32", backward=False):
        channels = layers[0][0][-2] * layers[0][1].get("groups", 1)
        self.size, self.channels, self.precision = size, channels, precision
        model = Model(precision)
        size = size if isinstance(size, tuple) else (size, size)
        filters = [model.parameter(f"w{i}", layers[i][0]) for i in range(len(layers))]
        with model.function("f") as graph:
            x = y = ops.input_("X", (B, *size, channels), precision)
            for w, (_, how) in zip(filters, layers, strict=True):
                y = ops.relu(ops.convolution(y, w, **{"padding": "SAME", **how}))
            if backward:
                [y] = gradients([ops.sum(y * y)], [x])
            graph.return_(y)
        self.program = Program(model=model)
        rng = np.random.default_rng(0)
        for name, array in self.program.weights.items():
            array[...] = rng.normal(size=array.shape) / len(name)
        self.text = self.program.text

    def sources(self, rows):
        return sources(rows, self.size, self.channels, self.precision)

    def run(self, rows=3, isa=None, program=None, **options):
        compiled = engine.compile(self.text, isa=isa)
        program = program or self.program
        return compiled.run("f", self.sources(rows), program, **options)[0]


SMALL = (14, [((3, 3, 64, 64), {})])  # by minimal filtering
KINDS = {
    "direct": (9, [((3, 3, 5, 7), {}), ((5, 3, 7, 19), {})]),
    "strided": (
        15,
        [((7, 7, 3, 24), {"strides": 2}), ((1, 1, 24, 40), {"strides": 2})],
    ),
    "groups": (8, [((3, 3, 4, 24), {"groups": 3})]),
    "minimal": SMALL,
    "both": (14, [((3, 3, 32, 64), {}), ((3, 3, 64, 64), {}), ((2, 2, 64, 9), {})]),
    "one by one": (7, [((1, 1, 96, 80), {}), ((1, 1, 80, 33), {})]),
    "dilated": (12, [((3, 3, 6, 8), {"dilations": 2})]),
    "depthwise": (12, [((3, 3, 1, 16), {"groups": 16}), ((3, 3, 16, 8), {})]),
    "deep": (8, [((3, 3, 8, 8), {})] * 60),
    "one axis": ((1, 700), [((1, 9, 16, 24), {})]),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("precision", "backward"), [("f32", False), ("f64", False), ("f32", True)]
)
def test_the_bits_are_those_of_filters_packed_in_the_call(
    isa, kind, precision, backward
):
    net = Net(*kind, precision, backward)
    want = {rows: net.run(rows, isa) for rows in (1, 9)}
    assert _native.packed_bytes() == 0
    net.program.seal()
    for rows in want:
        for threads in (1, 2):
            got = net.run(rows, isa, n_threads=threads, batch=4)
            assert got.tobytes() == want[rows].tobytes()
    if kind is not KINDS["one by one"]:
        assert _native.packed_bytes() > 0


def test_each_level_packs_for_itself():
    net = Net(*KINDS["both"])
    want = {isa: net.run(2, isa) for isa in ISAS}
    net.program.seal()
    for _ in range(2):
        for isa in ISAS:
            assert net.run(2, isa).tobytes() == want[isa].tobytes()


def launches(net):
    compiled = engine.compile(net.text)
    rows = compiled.profile("f", net.sources(2), net.program, rounds=1)
    return [row for row in rows if row["op"] == "convolution"]


@pytest.mark.parametrize("kind", ["direct", "minimal", "deep"])
def test_a_sealed_program_packs_once(kind):
    net = Net(*KINDS[kind])
    layers = len(KINDS[kind][1])
    assert len(launches(net)) == 2 * layers
    net.program.seal()
    assert len(launches(net)) == layers
    net.run()
    bytes_, arenas = _native.packed_bytes(), _native.allocations()
    net.run()
    assert _native.packed_bytes() == bytes_ > 0
    assert _native.allocations() - arenas <= 1  # the values of the hypers


def test_plans_and_predictors_share_what_they_pack():
    net = Net(*KINDS["both"])
    net.program.seal()
    want = net.run(9)
    bytes_ = _native.packed_bytes()
    predictor = engine.compile(net.text).predictor("f", net.program)
    for rows in (1, 5, 9):
        x = net.sources(9)["X"][:rows]
        np.testing.assert_array_equal(predictor(x), want[:rows])
    assert net.run(1).shape[0] == 1
    assert _native.packed_bytes() == bytes_


def test_filters_used_twice_are_packed_for_each_use():
    model = Model("f32")
    w = model.parameter("w", (3, 3, 6, 6))
    with model.function("f") as graph:
        x = ops.input_("X", (B, 10, 10, 6), "f32")
        one, two = (ops.convolution(x, w, n, "SAME") for n in (1, 2))
        again = ops.convolution_transpose(two, w, 10, 2, "SAME")
        graph.return_(ops.convolution(one + again, w, 1, "VALID"))
    program = Program(model=model)
    rng = np.random.default_rng(0)
    program.weights["w"][...] = rng.normal(size=(3, 3, 6, 6))
    compiled, given = engine.compile(program.text), sources(4, 10, 6)
    want = compiled.run("f", given, program)[0]
    program.seal()
    assert compiled.run("f", given, program)[0].tobytes() == want.tobytes()


@pytest.mark.parametrize("kind", ["direct", "minimal", "one by one"])
def test_writes_to_a_program_that_is_not_sealed_are_seen(kind):
    net = Net(*KINDS[kind])
    predictor = engine.compile(net.text).predictor("f", net.program)
    x = net.sources(2)["X"]
    for scale in (1, 2, 4):
        net.program.weights["w0"][...] *= scale
        twin = net.program.copy().seal()
        want = net.run(2, program=twin)
        assert net.run(2).tobytes() == want.tobytes() == predictor(x).tobytes()


class Scaled:
    """Products of 1.2 MB, whose columns are scaled by what weights alone decide."""

    def __init__(self, depth=2):
        model = Model("f32")
        sizes = (1200, 256)
        w = [model.parameter(f"w{i}", sizes[:: (-1) ** i]) for i in range(depth)]
        g = [model.parameter(f"g{i}", w[i].shape[1:]) for i in range(depth)]
        v = [model.state(f"v{i}", w[i].shape[1:]) for i in range(depth)]
        for name, epsilon in (("f", 1.0), ("twice", 3.0)):  # of one name each
            with model.function(name) as graph:
                y = ops.input_("X", (B, 1200), "f32")
                for i in range(depth):
                    scale = ops.rsqrt(v[i] + epsilon) * g[i]
                    y = ops.relu(ops.matmul(y, w[i]) * scale)
                graph.return_(y)
        self.program = Program(model=model)
        rng = np.random.default_rng(0)
        for arrays in (self.program.weights, self.program.states):
            for array in arrays.values():
                array[...] = rng.uniform(size=array.shape) / 16
        self.compiled = engine.compile(self.program.text)
        self.x = rng.normal(size=(40, 1200)).astype(np.float32)

    def run(self, name, rows, program=None, **options):
        given = {"X": self.x[:rows]}
        program = program or self.program
        return self.compiled.run(name, given, program, **options)[0].tobytes()


@pytest.mark.parametrize("depth", [2, 9])
def test_what_weights_alone_decide_is_computed_once(depth):
    net = Scaled(depth)
    cases = [(name, rows) for name in ("f", "twice") for rows in (1, 40)]
    want = [net.run(*case) for case in cases]
    assert want[0] != want[2]

    def launches():
        rows = net.compiled.profile("f", {"X": net.x[:1]}, net.program, rounds=1)
        return sum(row["op"] == "fused" for row in rows)

    assert launches() == 2  # one for each length
    net.program.seal()
    assert launches() == 0
    for threads in (1, 2):
        for case, bits in zip(cases, want, strict=True):
            assert net.run(*case, n_threads=threads) == bits
    twin = net.program.copy()
    twin.states["v0"][...] += 1
    assert net.run("f", 40, twin) != want[1]
    assert net.run("f", 40, twin) == net.run("f", 40, twin.seal())


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_lanes_that_share_a_batch_refuse_it_wherever_it_is_not_finite(kind):
    net = Scaled()
    net.program.seal()
    predictor = net.compiled.predictor("f", net.program, n_threads=2)
    x = net.x.astype(kind)
    assert predictor(x).tobytes() == net.run("f", 40)
    for place in (0, x.size // 2 - 1, x.size // 2, x.size - 1):
        for value in (np.nan, -np.inf):
            bad = x.copy()
            bad.flat[place] = value
            assert predictor(bad) is None
    assert predictor(x).tobytes() == net.run("f", 40)


def test_a_sealed_program_refuses_writes_of_every_kind():
    net = Net(*SMALL)
    program = net.program.seal()
    assert program.sealed
    assert program.seal() is program
    view = program.weights["w0"]
    with pytest.raises(ValueError, match="read-only"):
        view[...] = 0
    with pytest.raises(ValueError, match="read-only"):
        program.params[:4] = 0
    for array in (view, program.params, program.state):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    model = Model("f32")
    w = model.parameter("w", (3,))
    with model.function("init") as graph:
        graph.set_(w, ops.constant(1.0, "f32", (3,)))
    sealed = Program(model=model).seal()
    with pytest.raises(ValueError, match=r"params are read-only.*copy\(\) has"):
        sealed.initialize()
    assert not sealed.weights["w"].any()
    assert sealed.copy().initialize().weights["w"].all()


@pytest.mark.parametrize("held", ["weights", "params", "all"])
def test_views_from_before_the_sealing_write_to_arrays_of_their_own(held):
    net = Net(*SMALL)
    want = net.run()
    if held == "weights":
        views = [net.program.weights["w0"]]
    elif held == "params":
        views = [net.program.params[:64], net.program.params.view("f4")]
    else:
        views = list(net.program.weights.values())
    net.program.seal()
    assert net.run().tobytes() == want.tobytes()
    for view in views:
        view[...] = 1
    assert net.run().tobytes() == want.tobytes()


def test_sealing_copies_nothing_that_nobody_holds():
    net = Net(*SMALL)
    assert net.program.weights["w0"].shape == (3, 3, 64, 64)
    where = net.program.params.ctypes.data
    assert net.program.seal().params.ctypes.data == where
    loaded = Program.from_bytes(net.program.to_bytes())
    where = loaded.params.ctypes.data
    assert loaded.seal().params.ctypes.data == where
    with pytest.raises(ValueError, match="read-only"):
        loaded.weights["w0"][...] = 1


def test_copies_and_pickles_have_nothing_packed():
    net = Net(*SMALL)
    net.program.seal()
    want, size = net.run(), len(pickle.dumps(net.program.copy()))
    kept = _native.packed_bytes()
    assert len(pickle.dumps(net.program)) == size
    twin = net.program.copy()
    assert not twin.sealed
    twin.weights["w0"][...] *= 2
    np.testing.assert_allclose(net.run(program=twin), 2 * want, rtol=1e-5)
    assert copy.deepcopy(net.program).sealed
    assert copy.copy(net.program).sealed
    again = pickle.loads(pickle.dumps(net.program)).seal()
    assert net.run(program=again).tobytes() == want.tobytes()
    assert _native.packed_bytes() == 2 * kept
    del again
    gc.collect()
    assert _native.packed_bytes() == kept


def test_other_arrays_in_a_program_are_not_taken_for_the_sealed_ones():
    net, other = Net(*SMALL), Net(*SMALL)
    net.program.seal()
    first = net.run()
    other.program.weights["w0"][...] = 0.5
    net.program.params = other.program.params
    assert not net.program.sealed
    assert net.run().tobytes() == other.run().tobytes() != first.tobytes()


def test_clear_cache_gives_it_back_and_it_is_made_anew():
    net = Net(*SMALL)
    net.program.seal()
    predictor = engine.compile(net.text).predictor("f", net.program)
    x = net.sources(2)["X"]
    want = predictor(x)
    assert _native.packed_bytes() > 0
    slimlearn.clear_cache()
    assert _native.packed_bytes() == 0
    assert predictor(x).tobytes() == want.tobytes()
    assert _native.packed_bytes() > 0


def test_all_programs_share_a_budget():
    nets = [Net(4, [((3, 3, 1100, 1100), {})]) for _ in range(14)]
    want = [net.run(1).tobytes() for net in nets]
    for net in nets:
        net.program.seal()
        net.run(1)
        assert _native.packed_bytes() <= BUDGET
    assert _native.packed_bytes() > BUDGET - 90 * 10**6
    for net, bits in zip(nets, want, strict=True):
        assert net.run(1).tobytes() == bits


def test_threads_may_pack_at_once():
    for _ in range(5):
        net = Net(*KINDS["both"])
        want = net.run(2).tobytes()
        net.program.seal()
        found, barrier = [], threading.Barrier(4)

        def predict(net=net, found=found, barrier=barrier):
            barrier.wait()
            found.extend(net.run(2, n_threads=2).tobytes() for _ in range(3))

        workers = [threading.Thread(target=predict) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert found == [want] * 12


def _predict_in_child(net, queue):
    queue.put((net.run(2).tobytes(), _native.packed_bytes()))


# From Python 3.12 on a fork beside other threads warns.
@pytest.mark.filterwarnings("ignore:This process .*multi-threaded:DeprecationWarning")
def test_a_forked_child_reads_what_its_parent_packed():
    net = Net(*KINDS["both"])
    net.program.seal()
    want = net.run(2).tobytes()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_predict_in_child, args=(net, queue))
    child.start()
    assert queue.get(timeout=60) == (want, _native.packed_bytes())
    child.join(60)
    assert child.exitcode == 0
