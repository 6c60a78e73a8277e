"""Programs: layout of the arenas, start values, copies, saving and loading."""

import copy
import io
import pickle
import sys
import zlib

import numpy as np
import pytest
from support.disk import largest_file

from slimlearn.backend import ops, reference
from slimlearn.backend.arena import ALIGNMENT, allocate
from slimlearn.backend.graph import Model, current_graph
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program


def model(precision="f32"):
    m = Model(precision)
    a, b = m.parameter("fc/weights", (5, 3)), m.parameter("fc/biases", (3,))
    mean = m.state("bn/moving_mean", (17,))
    count = m.state("bn/count", (), dtype="i64")
    m.slot("adam/m")
    m.slot("adam/v")
    with m.function("init") as graph:
        graph.set_(a, ops.random_normal((5, 3), precision, stddev=0.5, name="start"))
        graph.set_(b, ops.constant(0.25, precision, (3,)))
        graph.set_(mean, ops.constant(1.0, precision, (17,)))
        graph.set_(count, ops.constant(7, "i64"))
    with m.function("predict") as graph:
        graph.return_(ops.input_("X", (B, 5), precision) @ a + b)
    return m


def started(precision="f32", seed=1):
    return Program(model=model(precision)).initialize(seed, engine="reference")


@pytest.mark.parametrize(("precision", "size"), [("f32", 4), ("f64", 8)])
def test_layout(precision, size):
    program = Program(model=model(precision))
    first = -(-15 * size // 64) * 64
    assert program.offsets == {"fc/weights": 0, "fc/biases": first}
    assert program.params.shape == (first + 64,)
    assert program.state_layout.offsets["bn/count"] == -(-17 * size // 64) * 64
    assert program.states["bn/count"].dtype == np.int64
    for arena in (program.params, program.state, program.allocate_slots()):
        assert arena.dtype == np.uint8
        assert arena.ctypes.data % ALIGNMENT == 0
        assert arena.size % ALIGNMENT == 0
        # 64 readable bytes behind the arena belong to the same buffer.
        end = arena.base.ctypes.data + arena.base.nbytes
        assert arena.ctypes.data + arena.size + ALIGNMENT <= end
        assert not arena.any()


def test_views_share_the_arena():
    program = started()
    program.weights["fc/biases"][:] = [1, 2, 3]
    start = program.offsets["fc/biases"]
    raw = program.params[start : start + 12].view(np.float32)
    np.testing.assert_array_equal(raw, [1, 2, 3])
    assert program.weights["fc/weights"].shape == (5, 3)


def test_slots_follow_each_other_as_long_as_the_parameters():
    program = Program(model=model())
    arena = program.allocate_slots()
    assert arena.size == 2 * program.params.size
    views = program.slot_views(arena)
    views["adam/v"]["fc/biases"][:] = 9
    at = program.params.size + program.offsets["fc/biases"]
    np.testing.assert_array_equal(arena[at : at + 12].view(np.float32), [9, 9, 9])


def test_initialize_runs_init_with_the_seed():
    program = started()
    np.testing.assert_array_equal(program.weights["fc/biases"], [0.25] * 3)
    np.testing.assert_array_equal(program.states["bn/moving_mean"], np.ones(17))
    assert program.states["bn/count"] == 7
    same, other = started(), started(seed=2)
    np.testing.assert_array_equal(program.params, same.params)
    assert not np.array_equal(program.params, other.params)
    padding = program.params[60:64]
    assert not padding.any()
    with pytest.raises(ValueError, match="'native' or 'reference'; got 'gpu'"):
        program.initialize(engine="gpu")


def test_initialize_never_falls_back_to_numpy(monkeypatch):
    program = Program(model=model())
    monkeypatch.setitem(sys.modules, "slimlearn.backend.engine", None)
    with pytest.raises(ImportError):
        program.initialize(1)
    assert not program.params.any()


def test_a_program_without_init_says_so():
    with pytest.raises(ValueError, match="no function 'init'"):
        Program("slim 1\n").initialize(engine="reference")


def test_text_and_model():
    m = model()
    program = Program(model=m)
    assert str(program) == program.text == print_program(m)
    assert program.model is m
    again = Program(program.text)
    assert print_program(again.model) == program.text
    assert repr(program) == "<Program: 2 parameters, 18 numbers>"
    with pytest.raises(TypeError, match="needs a text or a model"):
        Program()


@pytest.mark.parametrize(
    "duplicate",
    [
        Program.copy,
        copy.copy,
        copy.deepcopy,
        lambda p: pickle.loads(pickle.dumps(p)),
        lambda p: Program.from_bytes(p.to_bytes()),
    ],
    ids=["copy", "copy.copy", "deepcopy", "pickle", "bytes"],
)
def test_copies_are_equal_and_independent(duplicate):
    program = started()
    twin = duplicate(program)
    assert twin.text == program.text
    np.testing.assert_array_equal(twin.params, program.params)
    np.testing.assert_array_equal(twin.state, program.state)
    before = program.params.copy()
    twin.weights["fc/weights"][:] = 0
    twin.states["bn/moving_mean"][:] = 0
    np.testing.assert_array_equal(program.params, before)
    assert program.states["bn/moving_mean"].any()
    assert twin.params.ctypes.data % ALIGNMENT == 0


def test_given_arenas_are_copied_and_checked():
    program = started()
    frozen = program.params.copy()
    frozen.flags.writeable = False
    other = Program(program.text, params=frozen)
    other.weights["fc/biases"][:] = 5
    assert not other.state.any()
    with pytest.raises(
        ValueError, match=r"params must be 128 bytes \(uint8\), got uint8"
    ):
        Program(program.text, params=allocate(64))


def test_save_and_load(tmp_path):
    program = started("f64")
    path = tmp_path / "model.slim"
    program.save(path)
    program.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.slim"]
    loaded = Program.load(path)
    np.testing.assert_array_equal(loaded.params, program.params)
    buffer = io.BytesIO()
    loaded.save(buffer)
    assert buffer.getvalue() == path.read_bytes() == program.to_bytes()
    buffer.seek(0)
    sources = {"X": np.ones((2, 5))}
    outputs = [
        reference.run(p.model, "predict", sources, p.weights).returns[0]
        for p in (program, Program.load(buffer))
    ]
    np.testing.assert_array_equal(*outputs)
    # The text is readable in the file.
    assert rb'"slim 1\nparam %fc/weights : f64[5,3]\n' in path.read_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path):
    program = started()
    path = tmp_path / "model.slim"
    program.save(path)
    before = path.read_bytes()
    with largest_file(100), pytest.raises(OSError, match="File too large") as caught:
        started(seed=2).save(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.slim"]
    for wrong, kind in (
        (tmp_path, IsADirectoryError),
        (tmp_path / "missing" / "file", FileNotFoundError),
    ):
        with pytest.raises(kind):
            program.save(wrong)
        with pytest.raises(kind):
            Program.load(wrong)
    assert [p.name for p in tmp_path.iterdir()] == ["model.slim"]


# -- format 1 --------------------------------------------------------------


def format_1(program):
    parts = [program.text.encode(), program.params.tobytes(), program.state.tobytes()]
    sizes = "".join(f" {len(part)}:{zlib.crc32(part):08x}" for part in parts)
    return b"".join([f"slimlearn program 1{sizes}\n".encode(), *parts])


def test_format_1_is_read(tmp_path):
    program = started()
    path = tmp_path / "old.slim"
    path.write_bytes(format_1(program))
    for loaded in (Program.load(path), Program.from_bytes(path.read_bytes())):
        assert loaded.to_bytes() == program.to_bytes()


def test_damaged_files_of_format_1_are_refused():
    data = format_1(started())
    for size in range(0, len(data), 29):
        with pytest.raises(ValueError, match=r"cut short|damaged"):
            Program.from_bytes(data[:size])
    for place in range(0, len(data), 17):
        damaged = bytearray(data)
        damaged[place] ^= 4
        with pytest.raises(
            ValueError, match=r"damaged|no saved|cut short|too many|format"
        ):
            Program.from_bytes(bytes(damaged))
    with pytest.raises(ValueError, match="1 bytes too many"):
        Program.from_bytes(data + b"x")
    with pytest.raises(ValueError, match="file format 3, this slimlearn reads 1 and 2"):
        Program.from_bytes(data.replace(b"program 1", b"program 3", 1))
    head = data.index(b"\n") + 1
    lying = b"slimlearn program 1 99999999999999:00000000 0:00000000 0:00000000\n"
    with pytest.raises(ValueError, match="cut short"):
        Program.from_bytes(lying + data[head:])


def test_a_text_that_lies_about_its_sizes_is_refused():
    program = started()
    text = program.text.replace("f32[5,3]", "f32[5,4]")
    with pytest.raises(ValueError, match="params must be 192 bytes"):
        Program(text, params=program.params, state=program.state)
    program.text = text
    with pytest.raises(ValueError, match="params must be 192 bytes, got 128"):
        program.to_bytes()
    with pytest.raises(ValueError, match="params must be 192 bytes"):
        Program.from_bytes(format_1(program))


def test_parameters_have_fixed_shapes():
    with pytest.raises(ValueError, match="param 'w' has the unknown size 3\\*B"):
        Program("slim 1\nparam %w : f32[B,3]\n")


# -- a function that begins as another stands ------------------------------


def branched():
    model = Model()
    w = model.parameter("w", (3, 2))
    with model.function("predict") as graph:
        y = ops.input_("X", (B, 3), "f32") @ w * 2.0
        graph.collection("losses").append(ops.reduce_sum(y))
        graph.layers["named"] = {"y": y, "all": [y, (y, "word")]}
    return model, y, model.branch("score", "predict")


def test_a_branch_has_nodes_of_its_own():
    model, y, graph = branched()
    mine = graph.values[y.name]
    assert mine is not y and mine.graph is graph and mine.node in graph.nodes
    assert mine.node.operands[0].graph is graph
    assert graph.collection("losses")[0].graph is graph
    assert graph.layers["named"] == {"y": mine, "all": [mine, (mine, "word")]}
    with model.function("predict") as first:
        first.return_(ops.relu(y))
    with model.function("score"):
        # The constant 2 is there already, and names go on as they would have.
        graph.return_(ops.relu(mine + 2.0))
    parts = print_program(model).split("func ")[1:]
    assert parts[0].count("constant(") == parts[1].count("constant(") == 1
    assert parts[0].splitlines()[1:5] == parts[1].splitlines()[1:5]
    assert "add" not in parts[0]


def test_a_branch_refuses_values_of_the_function_it_began_as():
    model, y, _ = branched()
    with (
        model.function("score"),
        pytest.raises(ValueError, match="computed in function 'predict'"),
    ):
        ops.relu(y)
    with pytest.raises(ValueError, match="function score is there already"):
        model.branch("score", "predict")


@pytest.mark.parametrize("what", ["training", "sample_weight"])
def test_a_function_notes_that_it_was_asked_what_differs_in_training(what):
    model = Model()
    with model.function("f", training=True) as graph:
        graph.sample_weight = weights = ops.input_("sample_weight", (B,))
        known = {"training": True, "sample_weight": weights}
        assert not graph.asked

        def inside():
            assert getattr(current_graph(), what) is known[what]
            return ops.constant(1.0)

        ops.cond(ops.constant(True, "bool"), inside, lambda: ops.constant(0.0))
    assert graph.asked and model.functions["f"].training
