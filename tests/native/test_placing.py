"""Parts of a network on several devices: the numbers of one."""

import pickle
import re

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris
from support.cuda import CUDA
from support.devices import MIRROR
from support.op_cases import CASES
from support.scattered import scattered
from support.training_case import Case, data, network

from slimlearn import NetworkClassifier, layers, ops
from slimlearn.backend import engine
from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import SGD, Adam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program, print_program

# The best level's kernels, in a memory that the host must not touch.
OTHER = "othermemory"
native.register_test_device(OTHER, engine.isa())
TWO = ("", "cpu:1")
PLACES = {
    "processors": ("", "cpu:1", "cpu:2"),
    "memories": ("cpu", OTHER, "cpu:1"),
}
ALL = [case for cases in CASES.values() for case in cases]
X, Y = load_iris(return_X_y=True)


# -- two layers ------------------------------------------------------------------------


def two_layers(first="", second="cpu:1"):
    model = Model("f32")
    w, v = model.parameter("w", (4, 8)), model.parameter("v", (8, 3))
    with model.function("predict") as graph:
        x = ops.input_("X", (B, 4), "f32")
        graph.device, graph.placed = first, True
        hidden = ops.relu(x @ w)
        graph.device = second
        graph.return_(hidden @ v)
    return model


def test_predict_of_two_layers():
    model = two_layers()
    text = print_program(model)
    assert "%relu.there = copy(%relu) : f32[B,8] @cpu:1" in text
    assert print_program(parse_program(text)) == text
    program = Program(text, model=model)
    rng = np.random.default_rng(0)
    for array in program.weights.values():
        array[...] = rng.normal(size=array.shape)
    rows = X.astype(np.float32)
    compiled = engine.compile(text)
    assert compiled.devices == ["cpu", "cpu:1"]
    [got] = compiled.run("predict", {"X": rows}, program)
    plain = print_program(two_layers("", ""))
    [want] = engine.compile(plain).run("predict", {"X": rows}, program)
    assert got.tobytes() == want.tobytes()
    assert compiled.predictor("predict", program)(rows).tobytes() == want.tobytes()
    expected = np.maximum(rows @ program.weights["w"], 0) @ program.weights["v"]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    dump = compiled.dump("predict", 5)
    assert "copy" not in dump
    assert 'placed(%relu, %v, device="cpu:1")' in dump and "# on cpu:1" in dump
    names = [name for name, _, _ in compiled.info("predict", 5)["steps"]]
    assert len(names) == compiled.info("predict", 5)["launches"] == 2


def test_one_device_by_several_names_is_not_cut():
    compiled = engine.compile(print_program(two_layers("cpu", "cpu:0")))
    assert compiled.devices == ["cpu"]
    assert "placed" not in compiled.dump("predict")
    there = engine.compile(print_program(two_layers("", MIRROR)), device=MIRROR)
    assert there.devices == [MIRROR] and "placed" not in there.dump("predict")


def test_what_lies_between_two_copies_is_one_stretch():
    """A chain back and forth, and two branches that do not wait for each other."""
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("X", (B, 4), "f32")
        graph.placed = True
        ends = []
        for kind in (ops.exp, ops.tanh):
            graph.device = "cpu:1"
            y = kind(x)
            graph.device = ""
            y = ops.sqrt(ops.abs(y))
            graph.device = "cpu:1"
            ends.append(ops.sin(y))
        graph.device = ""
        graph.return_(*ends)
    text = print_program(model)
    assert engine.compile(text).dump("f", 3).count("# on cpu:1") == 2
    program = Program(text, model=model)
    x = X.astype(np.float32)
    for got, kind in zip(
        engine.compile(text).run("f", {"X": x}, program), (np.exp, np.tanh), strict=True
    ):
        want = np.sin(np.sqrt(np.abs(kind(x))))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


# -- all ops ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALL, ids=str)
def test_every_op(case):
    """Rows, chunks and lanes; a program that is read back is the same."""
    model = case.model("f32")
    text = print_program(scattered(model, PLACES["memories"]))
    assert print_program(parse_program(text)) == text
    plain = print_program(model)
    for rows, options in ((1, {}), (5, {}), (34, {"batch": 8, "n_threads": 2})):
        sources = case.sources("f32", rows)
        options |= {"rows": np.arange(rows), "seed": 7, "step": 3}
        got, want = (
            engine.compile(one).run("f", sources, Program(one, model=model), **options)
            for one in (text, plain)
        )
        for a, b in zip(got, want, strict=True):
            # Sums that stand apart are not fused, and so added in another order.
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


# -- training --------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [33, 100])
@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("optimizer", [Adam(), SGD(momentum=0.9)], ids=repr)
def test_training_with_dropout_and_state(places, optimizer, rows):
    model = network("f32", optimizer, dropout=True, center=True, l2=True)
    options = {"optimizer": optimizer, "hypers": {"keep_prob": 0.7}}
    segments = [{"l2": 0.01}, {}, {"l2": 0.1}, {"frozen": True}]
    sources = data(rows, "f32")
    there, here = (
        Case(one, sources, segments=segments, **options)
        for one in (scattered(model, PLACES[places], seed=rows), model)
    )
    assert len(there.compiled.devices) == len(PLACES[places])
    for _ in range(3):
        np.testing.assert_allclose(there.train(1), here.train(1), rtol=1e-5)
    for got, want in zip(
        there.program.weights.values(), here.program.weights.values(), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_threads_and_parts_of_steps():
    """The bits do not depend on lanes; a step's gradients add up from its parts."""
    model = network("f32", dropout=True, split=True, sizes=(20, 200, 3))
    cases = [
        Case(
            scattered(model, TWO, seed=3),
            data(200, "f32"),
            hypers={"keep_prob": 0.7},
            batch_size=40,
            accumulate=2,
            n_threads=threads,
        )
        for threads in (1, 2)
    ]
    assert cases[0].train(2) == cases[1].train(2)
    assert cases[0].program.params.tobytes() == cases[1].program.params.tobytes()


@pytest.mark.parametrize("branches", [False, True])
def test_branches_and_sparse_rows_stay_whole(branches):
    """A cond lies on one device as a whole; sparse rows lie where the data are."""
    model = network("f32", branches=branches, dropout=True, sparse=not branches)
    sources = data(60, "f32")
    if not branches:
        sources["X"] = sparse.csr_matrix(np.where(sources["X"] > 0.5, sources["X"], 0))
    there, here = (
        Case(one, sources, hypers={"keep_prob": 0.7})
        for one in (scattered(model, TWO, seed=2), model)
    )
    assert len(there.compiled.devices) == 2
    np.testing.assert_allclose(there.train(3), here.train(3), rtol=1e-5)


def test_bad_data_are_told_by_their_node():
    """What a guest raises ends the step, and the reference finds the op."""
    model = Model("f32")
    w = model.parameter("w", (10, 4))
    with model.function("predict") as graph:
        ids = ops.input_("X", (B,), "i32")
        graph.placed, graph.device = True, "cpu:1"
        graph.return_(ops.gather(w, ids, name="look"))
    program = Program(model=model)
    with pytest.raises(ValueError, match=r"\[gather look\]"):
        engine.compile(program.text).run(
            "predict", {"X": np.array([3, 10], np.int32)}, program
        )


# -- layers and estimators -------------------------------------------------------------


def tower(first="cpu:1", second="cpu:2"):
    def network(x, num_outputs):
        with layers.device(first):
            x = layers.fully_connected(x, 16, scope="a")
            x = layers.dropout(x, 0.8)
        with layers.device(second):
            x = layers.batch_norm(layers.fully_connected(x, 12, scope="b"))
        return layers.linear(x, num_outputs, scope="c")

    return network


@pytest.mark.parametrize("places", [("cpu:1", "cpu:2"), ("cpu", OTHER), (CUDA, "cpu")])
def test_an_estimator_on_several_devices(places):
    settings = {"max_iter": 15, "random_state": 0}
    plain = NetworkClassifier(tower("cpu", "cpu"), **settings).fit(X, Y)
    there = NetworkClassifier(tower(*places), **settings).fit(X, Y)
    assert set(places) <= {*there._handle.native.devices}
    np.testing.assert_allclose(there.loss_curve_, plain.loss_curve_, rtol=1e-3)
    got, want = there.predict_proba(X), plain.predict_proba(X)
    np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-3)
    dump = there._handle.native.dump("predict", 4)
    assert dump.count("\n# on ") == len({*places} - {"cpu"})
    again = clone(there).fit(X, Y)
    assert again.predict_proba(X).tobytes() == got.tobytes()
    assert there.predict_proba(X[7:8]).tobytes() == got[7:8].tobytes()


def test_recomputed_parts_stay_where_they_are():
    def network(x, num_outputs):
        with layers.device("cpu:1"), layers.recompute():
            x = layers.stack(x, layers.fully_connected, [16, 8])
            x = layers.dropout(x, 0.7)
        return layers.linear(x, num_outputs)

    def plain(x, num_outputs):
        x = layers.stack(x, layers.fully_connected, [16, 8])
        return layers.linear(layers.dropout(x, 0.7), num_outputs)

    first, second = (
        NetworkClassifier(one, max_iter=5, random_state=0).fit(X, Y)
        for one in (network, plain)
    )
    assert re.search(r"again.* = matmul\(.* @cpu:1", first.program_.text)
    np.testing.assert_allclose(first.loss_curve_, second.loss_curve_, rtol=1e-4)


# -- refusals --------------------------------------------------------------------------


def test_a_device_that_is_not_there_is_refused_by_fit():
    clf = NetworkClassifier(tower("cpu:1", "tpu:3"), max_iter=1)
    with pytest.raises(ValueError, match=r'layers.device\("tpu:3"\).* is not there'):
        clf.fit(X, Y)


def _elsewhere(x, num_outputs):
    return tower("cpu:1", OTHER)(x, num_outputs)


def test_pickles_predict_where_a_device_is_missing():
    """Its part runs with the rest, with a warning; a new fit refuses."""
    clf = NetworkClassifier(_elsewhere, max_iter=3, random_state=0).fit(X, Y)
    want = clf.predict_proba(X)
    there = pickle.dumps(clf)
    assert pickle.loads(there).predict_proba(X).tobytes() == want.tobytes()
    gone = there.replace(OTHER.encode(), b"nosuchplace")
    assert len(OTHER) == len("nosuchplace") and gone != there
    with pytest.warns(UserWarning, match="layers.device.'nosuchplace'.* is not here"):
        got = pickle.loads(gone).predict_proba(X)
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("name", ["", "CUDA", "cuda:", "cuda:x", "cpu 1", None, 0])
def test_names_that_no_device_has(name):
    def network(x, num_outputs):
        with layers.device(name):
            return layers.linear(x, num_outputs)

    with pytest.raises(ValueError, match="a device is 'cpu', 'cuda', 'cuda:1'"):
        NetworkClassifier(network, max_iter=1).fit(X, Y)


def test_the_inside_of_a_loop_is_on_one_device():
    def network(x, num_outputs):
        def step(carried, _):
            with layers.device("cpu:1"):
                return ops.tanh(carried), None

        x, _ = ops.scan(step, x, None, length=2)
        return layers.linear(x, num_outputs)

    with pytest.raises(ValueError, match=r"inside of .* runs on one device"):
        NetworkClassifier(network, max_iter=1).fit(X, Y)


def test_sparse_rows_are_not_copied():
    def network(x, num_outputs):
        with layers.device("cpu:1"):
            return layers.linear(x, num_outputs)

    clf = NetworkClassifier(network, max_iter=1)
    with pytest.raises(ValueError, match=r"take this layer out of layers\.device"):
        clf.fit(sparse.csr_matrix(X), Y)


def test_a_part_within_a_part_is_refused():
    """Only the host sends to devices; a text may say otherwise."""
    case = CASES["placed"][0].model("f32")
    text = print_program(case).replace('"cpu:1"', f'"{MIRROR}"')
    assert engine.compile(text).devices == ["cpu", MIRROR]
    with pytest.raises(ValueError, match=rf"stands within what {MIRROR} computes"):
        engine.compile(text, device=MIRROR).info("f", 3)


TEXT = """slim 1

func f {
  %x = input(source="X") : f32[B,4]
  %y = exp(%x) : f32[B,4] @cpu:1
  return %y
}
"""


@pytest.mark.parametrize(
    "device, message",
    [
        ("@cpu:1", r"\[exp y\] is on @cpu:1 and reads %x, which is on no device"),
        ("@", "a device|the end of the line"),
    ],
)
@pytest.mark.parametrize("read", [parse_program, engine.compile])
def test_texts_that_are_refused(device, message, read):
    with pytest.raises(ValueError, match=message):
        read(TEXT.replace("@cpu:1", device))
