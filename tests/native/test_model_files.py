"""The model file: what stands in it, who reads it, and what is refused."""

import hashlib
import json
import os
import random
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from support.disk import largest_file
from support.model_files import (
    mutated,
    program,
    put_together,
    resealed,
    same,
    saved,
    take_apart,
)

from slimlearn import _native
from slimlearn.backend import engine, files
from slimlearn.backend.arena import ALIGNMENT
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program

# A long run: SLIM_MUTATIONS=1000000 pytest -k mutated_files
MUTATIONS = int(os.environ.get("SLIM_MUTATIONS", 20_000))


def data_of(**more) -> bytes:
    return files.write(None, saved(**more))


# -- what stands in it -------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"slots": None, "fit": None, "arrays": {}}])
def test_a_file_gives_back_what_was_written(tmp_path, more):
    path = tmp_path / "model.slim"
    content = saved(**more)
    files.write(path, content)
    assert path.read_bytes() == files.write(None, content)
    assert same(files.read(path), content)
    assert same(files.read(path.read_bytes()), content)
    with open(path, "rb") as file:
        assert same(files.read(file), content)
    with open(tmp_path / "copy", "wb") as file:
        files.write(file, files.read(path))
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("bias", [1, 16, 333])
def test_arrays_are_aligned_and_have_slack(bias):
    header, arrays = take_apart(data_of(made=program(bias)))
    assert len(put_together(header, b"")) and len(arrays) > 0
    names = [name for name in header if name[0] != "#" and name != "__metadata__"]
    assert names == [
        *("fc/weights", "fc/biases", "bn/mean", "bn/seen", "bn/count"),
        *("fc/weights#adam/m", "fc/biases#adam/m"),
    ]
    for name in names:
        assert header[name]["data_offsets"][0] % ALIGNMENT == 0
    last = max(header["#array/0"]["data_offsets"])
    assert len(arrays) >= last + ALIGNMENT
    length = int.from_bytes(data_of(made=program(bias))[:8], "little")
    assert (8 + length) % ALIGNMENT == 0


def test_a_loaded_program_lies_in_the_file_s_pages(tmp_path):
    path = tmp_path / "model.slim"
    made = program(333, odd=False)
    made.save(path)
    loaded = Program.load(path)
    header, arrays = take_apart(path.read_bytes())
    start = path.stat().st_size - len(arrays)
    # Both arenas stand where they have stood in the file.
    for arena, first in ((loaded.params, "fc/weights"), (loaded.state, "bn/mean")):
        place = start + header[first]["data_offsets"][0]
        assert (arena.ctypes.data - place) % 4096 == 0
    # They run as they are, and what is written to them is no one else's.
    sources = {"X": np.ones((4, 5), np.float32)}
    [got] = engine.compile(made.text).run("predict", sources, loaded)
    [want] = engine.compile(made.text).run("predict", sources, made)
    assert got.tobytes() == want.tobytes()
    before = path.read_bytes()
    loaded.weights["fc/biases"][...] = 7
    assert path.read_bytes() == before
    assert Program.load(path).params.tobytes() == made.params.tobytes()


def test_a_replaced_file_leaves_its_readers_alone(tmp_path):
    path = tmp_path / "model.slim"
    made, other = program(333), program(334)
    made.save(path)
    loaded = Program.load(path)
    other.save(path)
    path.unlink()
    assert loaded.params.tobytes() == made.params.tobytes()


def test_arenas_outlive_the_program_and_the_file(tmp_path):
    path = tmp_path / "model.slim"
    program().save(path)
    params = Program.load(path).params
    path.unlink()
    assert params.tobytes() == program().params.tobytes()


@pytest.mark.parametrize("names", [(), ("w",)])
def test_programs_without_arrays(names, tmp_path):
    model = Model("f32")
    for name in names:
        model.parameter(name, (0, 5))
    made = Program(model=model)
    made.save(tmp_path / "empty.slim")
    assert Program.load(tmp_path / "empty.slim").text == made.text


def test_types_of_further_arrays():
    kinds = [np.dtype(c) for c in "?bBhHiIlLefd"]
    arrays = {str(kind): np.arange(3).astype(kind) for kind in kinds}
    arrays["strided"] = np.arange(20.0).reshape(4, 5)[::2, ::2]
    arrays["number"] = np.float32(3)
    arrays["none"] = np.zeros((0, 4))
    content = saved(arrays={k: np.asarray(v) for k, v in arrays.items()})
    assert same(files.read(files.write(None, content)), content)
    for bad in (np.array(["text"]), np.array([1j]), np.array([None])):
        with pytest.raises(ValueError, match="holds no arrays of type"):
            data_of(arrays={"0": bad})


def test_what_is_written_is_checked():
    made = program()
    for what, wrong in (
        ("params", saved(made)),
        ("state", saved(made)),
        ("slots", saved(made)),
    ):
        setattr(wrong, what, getattr(wrong, what)[:-64])
        with pytest.raises(ValueError, match=f"{what} must be .* bytes"):
            files.write(None, wrong)
    with pytest.raises(ValueError, match="an input has no name"):
        data_of(inputs=[{"source": "X"}])
    with pytest.raises(ValueError, match="unknown key color"):
        data_of(inputs=[{"name": "num", "color": "red"}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        data_of(fit={"loss": float("nan")})


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.slim"
    files.write(path, saved())
    before = path.read_bytes()
    for size in (0, 100, len(before) - 1):
        with largest_file(size), pytest.raises(OSError, match="File too large"):
            files.write(path, saved())
        assert [p.name for p in tmp_path.iterdir()] == ["model.slim"]
        assert path.read_bytes() == before


def test_links_are_followed(tmp_path):
    content = files.write(None, saved())
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "near").symlink_to("folder/there")  # which is not there yet
    (tmp_path / "far").symlink_to(tmp_path / "near")
    (tmp_path / "way").symlink_to(folder)
    for name in ("near", "far", "way/there"):
        files.write(tmp_path / name, saved())
        assert (folder / "there").read_bytes() == content
        (folder / "there").unlink()
    assert all((tmp_path / name).is_symlink() for name in ("near", "far", "way"))
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=r"symbolic links: .*loop'"):
        files.write(tmp_path / "loop", saved())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("far", "folder", "loop", "near", "way"),
    ]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_new_file_may_be_read_by_those_who_read_the_old_one(mode, tmp_path):
    path = tmp_path / "model.slim"
    path.touch()
    path.chmod(mode)
    files.write(path, saved())
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.stat().st_size


def test_what_is_no_file_is_written_to_and_stays(tmp_path):
    path, came = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(
        target=lambda: came.append(path.read_bytes()), daemon=True
    )
    reader.start()
    files.write(path, saved())
    assert path.is_fifo()  # a device, such as /dev/null, is no other case
    reader.join()
    assert came == [files.write(None, saved())]
    with pytest.raises(IsADirectoryError):
        files.write(tmp_path, saved())
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "a b\n", os.fsdecode(b"\xff")])
def test_any_name_that_a_file_may_have(name, tmp_path):
    files.write(tmp_path / name, saved())
    files.write(tmp_path / name, saved())
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert files.read(tmp_path / name).text == saved().text


def test_the_home_is_known_by_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    program(3).save("~/model.slim")
    assert [p.name for p in tmp_path.iterdir()] == ["model.slim"]
    assert Program.load("~/model.slim").text == program(3).text


def test_names_that_are_none():
    with pytest.raises(ValueError, match="no null character"):
        program(3).save("model\0.slim")
    with pytest.raises(ValueError, match="no null character"):
        Program.load("model\0.slim")
    with pytest.raises(TypeError, match="needs a path"):
        program(3).save(None)


def test_writers_of_one_name_do_not_meet(tmp_path):
    path = tmp_path / "model.slim"
    contents = [saved(program(bias)) for bias in (3, 400)]
    whole = {files.write(None, content) for content in contents}
    seen = []

    def write(content):
        for _ in range(20):
            files.write(path, content)
            seen.append(path.read_bytes())

    threads = [threading.Thread(target=write, args=(c,)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 40 and set(seen) <= whole
    assert [p.name for p in tmp_path.iterdir()] == ["model.slim"]


WRITER = """
import sys
import numpy as np
from slimlearn.backend import files
saved = files.read(sys.argv[1])
saved.arrays["wide"] = np.zeros(1_000_000)
files.write(sys.argv[2], saved)
print(flush=True)
while True:
    files.write(sys.argv[2], saved)
"""


def test_writers_that_are_killed_leave_nothing_torn(tmp_path):
    first = tmp_path / "first.slim"
    program(3).save(first)
    folder = tmp_path / "folder"
    folder.mkdir()
    words = [sys.executable, "-c", WRITER, first, folder / "model.slim"]
    for turn in range(2):
        with subprocess.Popen(words, stdout=subprocess.PIPE) as writer:
            writer.stdout.readline()
            time.sleep(0.2 + 0.25 * turn)
            writer.kill()
    # A kill between the new file's name and its move leaves it beside the old, whole.
    left = list(folder.iterdir())
    assert left and len([p for p in left if p.suffix == ".tmp"]) <= 2
    assert all(files.read(path).arrays["wide"].size == 1_000_000 for path in left)


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
        (bytes(range(101)), 0xE99038495F85381E),
    ],
)
def test_checksums_are_those_of_xxhash(data, known):
    assert _native.checksum(data) == known


@pytest.mark.parametrize("portable", [False, True])
def test_sha256_is_that_of_the_standard(portable):
    data = bytes(range(256)) * 3
    for size in (0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 700):
        known = hashlib.sha256(data[:size]).hexdigest()
        for cut in {0, size // 3, size}:
            parts = [data[:cut], data[cut:size]]
            assert _native.sha256(parts, portable) == known
        assert _native.sha256([data[i : i + 1] for i in range(size)], portable) == known


# -- the safetensors package ---------------------------------------------------------


def test_safetensors_reads_it(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "model.slim"
    made = program(precision="f64")
    files.write(path, saved(made))
    found = numpy.load_file(path)
    for name, view in {**made.weights, **made.states}.items():
        assert found[name].dtype == view.dtype
        np.testing.assert_array_equal(found[name], view)
    np.testing.assert_array_equal(found["fc/biases#adam/m"], [1, 2, 3])
    extra = {name for name in found if not name.startswith("#")}
    assert extra == {
        *made.weights,
        *made.states,
        "fc/weights#adam/m",
        "fc/biases#adam/m",
    }


def test_what_safetensors_writes_is_read(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "model.slim"
    content = saved(program(333, odd=False))
    files.write(path, content)
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    arrays = numpy.load_file(path)
    # In an order of its own, with the padding, and without it.
    for kept in (arrays, {k: v for k, v in arrays.items() if "#padding" not in k}):
        numpy.save_file(kept, path, {**metadata, "format": "np"})
        assert path.read_bytes() != files.write(None, content)
        loaded = files.read(path)
        assert same(loaded, content)
        [got] = engine.compile(content.text).run(
            "predict", {"X": np.ones((4, 5), np.float32)}, Program.of(loaded)
        )
        assert got.shape == (4, 333)
    # Other weights under the old checksums are no longer what was saved.
    arrays["fc/biases"] = arrays["fc/biases"] + 1
    numpy.save_file(arrays, path, metadata)
    with pytest.raises(ValueError, match=r"model\.slim.*checksum of fc/biases differs"):
        Program.load(path)
    numpy.save_file(arrays, path)
    with pytest.raises(ValueError, match="no saved slimlearn program: a safetensors"):
        Program.load(path)


# -- what is refused -----------------------------------------------------------------


def test_files_that_are_no_files_of_slimlearn(tmp_path):
    path = tmp_path / "model"
    for data, message in (
        (b"", "cut short"),
        (b"PK\3\4 an archive of zip", "no saved slimlearn program"),
        (b"\x93NUMPY" + bytes(100), "no saved slimlearn program"),
        (b"\xff" * 8 + b"{}", "longer than 100 MB"),
        (put_together({}, b""), "no saved slimlearn program"),
        (put_together({"__metadata__": {}}, b""), "no saved slimlearn program"),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"model: .*{message}"):
            Program.load(path)
        with pytest.raises(ValueError, match=message):
            Program.from_bytes(data)
    with pytest.raises(OSError, match="No such device"):
        Program.load("/dev/zero")


def test_a_file_of_a_newer_format(tmp_path):
    header, arrays = take_apart(data_of())
    header["__metadata__"]["slimlearn.format"] = "3"
    path = tmp_path / "new.slim"
    path.write_bytes(put_together(header, arrays))
    message = (
        r"new\.slim: saved with file format 3, .* reads 1 and 2: upgrade slimlearn"
    )
    with pytest.raises(ValueError, match=message):
        Program.load(path)


def test_a_cut_file_is_refused_at_every_length():
    data = data_of()
    for size in range(len(data)):
        with pytest.raises(ValueError, match=r"cut short|is damaged|no saved"):
            files.read(data[:size])
    with pytest.raises(ValueError, match="1 bytes too many"):
        files.read(data + b"x")


def test_every_flipped_bit_is_refused_or_means_nothing():
    data, content, equal = data_of(), saved(), 0
    digest = data.index(b'"slimlearn.sha256":"') + len(b'"slimlearn.sha256":"')
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(ValueError):
            files.read_parts(bytes(flipped), sealed=True)
        try:
            loaded = files.read(bytes(flipped))
        except ValueError:
            continue
        assert same(loaded, content), place
        equal += not digest <= place < digest + 64  # these are read by who asks
    assert equal < 20  # such as a space of the header that becomes a tab


def test_mutated_files_are_refused_or_equal():
    chance, content = random.Random(0), saved()
    data, equal = files.write(None, content), 0
    for i in range(MUTATIONS):
        try:
            loaded = files.read(mutated(data, chance))
        except ValueError:
            continue
        equal += 1
        assert same(loaded, content), i
    assert equal < MUTATIONS / 10


def edited(edit) -> bytes:
    header, arrays = take_apart(data_of())
    changed = edit(header)
    return resealed(header, arrays if changed is None else changed)


def set_in(*path_and_value):
    *path, key, value = path_and_value

    def edit(header):
        for step in path:
            header = header[step]
        header[key] = value

    return edit


def swap_offsets(header):
    a, b = header["fc/weights"], header["fc/biases"]
    a["data_offsets"], b["data_offsets"] = b["data_offsets"], a["data_offsets"]


def overlap(header):
    header["fc/biases"]["data_offsets"] = [0, 12]


def beyond(header):
    header["#padding/99"] = {
        "dtype": "U8",
        "shape": [100],
        "data_offsets": [2**62, 2**62 + 100],
    }


def rename(old, new):
    def edit(header):
        header[new] = header.pop(old)

    return edit


def drop_slot(header):
    header["#array/1"] = header.pop("fc/biases#adam/m")


def weights(key, value):
    return set_in("fc/weights", key, value)


def metadata(key, text):
    return set_in("__metadata__", f"slimlearn.{key}", text)


LIES = {
    "another shape": (
        weights("shape", [3, 5]),
        r"F32\[3,5\], .*F32\[5,3\]",
    ),
    "another type": (weights("dtype", "I32"), r"I32\[5,3\], its program"),
    "a longer shape": (
        weights("shape", [5, 4]),
        "not as long as its shape",
    ),
    "an overflow": (weights("shape", [2**61, 2**61]), "larger than any"),
    "an overflow to 60": (weights("shape", [2**62, 4, 15]), "larger than"),
    "too many axes": (
        weights("shape", [15] + [1] * 9),
        "more than 8 axes",
    ),
    "no such type": (weights("dtype", "F31"), "unknown type F31"),
    "negative": (weights("shape", [-5, -3]), "in its header"),
    "a float": (weights("shape", [5.0, 3]), "in its header"),
    "a further key": (weights("device", "cpu"), "unknown key device"),
    "three offsets": (weights("data_offsets", [0, 60, 60]), "two offsets"),
    "swapped": (swap_offsets, "not as long as its shape"),
    "overlapping": (overlap, "does not begin where"),
    "beyond the end": (beyond, "does not begin where"),
    "backwards": (
        weights("data_offsets", [60, 0]),
        "does not begin|not as",
    ),
    "a missing array": (rename("fc/weights", "fc/wights"), "fc/weights is missing"),
    "an undeclared array": (rename("#array/0", "x"), "does not declare the array x"),
    "half the slots": (drop_slot, "some of its optimizer's arrays are missing"),
    "no bool": (set_in("#array/0", "dtype", "BOOL"), "not as long|neither true"),
    "a key of ours": (metadata("code", "x"), "slimlearn.code"),
    "no text": (lambda h: h["__metadata__"].pop("slimlearn.program") and None, "lacks"),
    "a bad text": (metadata("program", "slim 1\nx"), "line 2"),
    "an open shape": (
        metadata("program", "slim 1\nparam %w : f32[B]\n"),
        "B",
    ),
    "a huge shape": (
        set_in(
            "__metadata__", "slimlearn.program", f"slim 1\nparam %w : f32[{2**62}]\n"
        ),
        "larger than any memory",
    ),
    "an absent shape": (
        set_in(
            "__metadata__", "slimlearn.program", f"slim 1\nparam %w : f32[{2**40}]\n"
        ),
        "w is missing",
    ),
    "an unknown meta": (metadata("meta", '{"a":1}'), "key a"),
    "a list as meta": (metadata("meta", "[]"), "expected '{'"),
    "a fit that is no JSON": (
        metadata("fit", '{"a":01}'),
        "01",
    ),
    "a deep fit": (
        metadata("fit", '{"a":' + "[" * 99 + "]" * 99 + "}"),
        "64 levels",
    ),
    "a fit with a key twice": (
        metadata("fit", '{"a":1,"a":1}'),
        "key a stands twice",
    ),
}


@pytest.mark.parametrize(("edit", "message"), LIES.values(), ids=LIES)
def test_lies_under_right_checksums_are_refused(edit, message):
    with pytest.raises(ValueError, match=message):
        files.read(edited(edit))


def test_bools_are_true_or_false():
    header, arrays = take_apart(data_of())
    wrong = bytearray(arrays)
    wrong[header["bn/seen"]["data_offsets"][0]] = 2
    with pytest.raises(ValueError, match="bn/seen holds what is neither"):
        files.read(resealed(header, bytes(wrong)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{" * 70, "key in quotes"),
        (b'{"a":' * 70, "unknown key a|expected"),
        (b'{"__metadata__":{"a":"b","a":"b"}}', "key a stands twice"),
        (b'{"__metadata__":{"a":1}}', "a string"),
        (b'{"__metadata__":{}} x', "the end"),
        (b'{"a":{"dtype":"F32"},"a":{}}', "needs dtype, shape and data_offsets"),
        (b'{"a\xff":{}}', "not UTF-8"),
        (b'{"a\\ud800":{}}', "half a surrogate"),
        (b'{"a\n":{}}', "control character"),
    ],
)
def test_headers_that_are_no_json_of_arrays(text, message):
    with pytest.raises(ValueError, match=f"is damaged: in its header, .*({message})"):
        files.read(put_together(text, b""))


def test_edited_headers_load_or_are_refused_and_what_loads_runs():
    chance = random.Random(1)
    header, arrays = take_apart(data_of(made=program(odd=False)))
    numbers = [0, 1, 3, 5, 12, 60, 64, 2**31, 2**62, 2**63 - 1, -1, 1.5, None, "F64"]
    loaded = 0
    for _ in range(2000):
        made = json.loads(json.dumps(header))
        for _ in range(chance.choice((1, 1, 2, 4))):
            entry = made[chance.choice([k for k in made if k != "__metadata__"])]
            key = chance.choice(("dtype", "shape", "data_offsets"))
            if key == "dtype":
                entry[key] = chance.choice(["F32", "I32", "U8", "I64", "BOOL", "F64"])
            elif entry[key] and chance.random() < 0.8:
                entry[key][chance.randrange(len(entry[key]))] = chance.choice(numbers)
            else:
                entry[key] = entry[key] + [chance.choice(numbers)]
        try:
            found = files.read(resealed(made, arrays))
        except (ValueError, TypeError):
            continue
        loaded += 1
        sources = {"X": np.ones((2, 5), np.float32)}
        engine.compile(found.text).run("predict", sources, Program.of(found))
    assert 0 < loaded < 1000


def test_a_big_file_is_read_without_memory_of_its_own(tmp_path):
    model = Model("f32")
    model.parameter("w", (64, 2**18))  # 64 MiB
    Program(model=model).save(tmp_path / "big.slim")
    code = f"""
import resource
from slimlearn.backend.program import Program
import slimlearn.backend.engine
def anonymous():
    [line] = [l for l in open("/proc/self/status") if l.startswith("RssAnon")]
    return int(line.split()[1]) / 1024
before = anonymous()
kept = Program.load({str(tmp_path / "big.slim")!r})
print(anonymous() - before)
"""
    used = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert float(used) < 16
