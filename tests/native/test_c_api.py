"""slim.h: what estimators' methods give in C, in sessions, and from other languages."""

import ctypes
import io
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.libslim import EXAMPLES, call, environment, require, run, tool
from support.model_files import saved
from support.sanitizer import not_sanitized

import slimlearn
from slimlearn import (
    ConvNetClassifier,
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    NetworkClassifier,
    layers,
)
from slimlearn.backend import files

random = np.random.default_rng(0)
X = random.normal(size=(40, 5)).astype(np.float32)
CLASSES = random.integers(0, 3, 40)
WORDS = np.array(["nein", "ja", "vielleicht · ≥"])[CLASSES]
NUMBERS = 3 + 2 * X[:, 0] + 0.1 * random.normal(size=40)
FAST = {"max_iter": 2, "random_state": 0}
TYPES = {"f4": 0, "f8": 1, "i1": 2, "i2": 3, "i4": 4, "i8": 5, "u1": 6, "u2": 7}


def embedded(x, num_outputs):
    net = layers.flatten(layers.embedding(x, 7, 3))
    return layers.fully_connected(net, num_outputs, activation_fn=None)


def coded(classes):
    """Predictions as codes, of one output or several."""
    if isinstance(classes, list):
        return lambda y: np.stack(
            [np.searchsorted(c, col) for c, col in zip(classes, y.T)], 1
        )
    return lambda y: np.searchsorted(classes, y)


def models():
    """Name -> (fitted model, rows, {method: what Python gives})."""
    ids = random.integers(0, 7, (40, 4)).astype(np.int32)
    images = random.integers(0, 256, (40, 6, 6, 1)).astype(np.uint8)
    counts = sparse.random(40, 50, 0.1, "csr", np.float32, random)
    several = (random.random((40, 3)) > 0.5).astype(int)
    outputs = np.stack([CLASSES, CLASSES > 0], 1).astype(int)
    dnn, reg = DNNClassifier((8,), **FAST), DNNRegressor((8,), **FAST)
    two = np.stack([NUMBERS, -50 * NUMBERS], 1)
    return {
        "binary": (DNNClassifier((8,), **FAST), X, CLASSES > 0),
        "words": (dnn, X, WORDS),
        "float64": (DNNClassifier((8,), precision="float64", **FAST), X * 1.0, CLASSES),
        "deep": (DNNClassifier((4,) * 60, batch_norm=True, **FAST), X, CLASSES),
        "wide": (LinearClassifier(optimizer="adam", **FAST), X, np.arange(40)),
        "several": (DNNClassifier((8,), **FAST), X, several),
        "outputs": (DNNClassifier((8,), **FAST), X, outputs),
        "ordinal": (DNNClassifier((8,), loss="ordinal", **FAST), X, CLASSES),
        "sparse": (LinearClassifier(optimizer="adam", **FAST), counts, CLASSES),
        "ids": (NetworkClassifier(embedded, **FAST), ids, CLASSES),
        "images": (ConvNetClassifier(filters=(4,), **FAST), images, CLASSES),
        "numbers": (reg, X, NUMBERS),
        "targets": (DNNRegressor((8,), **FAST), X, two),
        "column": (DNNRegressor((8,), **FAST), X, NUMBERS[:, np.newaxis]),
        "constant": (DNNRegressor((8,), **FAST), X, np.full(40, 1e6)),
        "quantiles": (
            DNNRegressor((8,), loss="quantile", quantile=(0.9, 0.1, 0.4), **FAST),
            X,
            two,
        ),
        "one quantile": (
            DNNRegressor((8,), loss="quantile", quantile=0.9, **FAST),
            X,
            NUMBERS,
        ),
    }


@not_sanitized
@pytest.mark.parametrize("name", models())
def test_sessions_have_the_bits_of_methods_and_allocate_nothing(
    programs, tmp_path, name
):
    """For one row, for seven and for all at a time, and in four threads."""
    model, rows, y = models()[name]
    model.fit(rows, y).save(tmp_path / "model.slim")
    words = _written(rows, tmp_path)
    methods = ["predict"]
    if name == "quantiles" or name == "one quantile":
        methods.append("predict_quantiles")
    elif hasattr(model, "classes_"):
        methods += ["predict_proba", "decision_function"][: 1 + (name != "outputs")]
    for method in methods:
        found = getattr(model, method)(rows)
        if method == "predict" and hasattr(model, "classes_"):
            found = found if name == "several" else coded(model.classes_)(found)
            found = found.astype(np.int64)
        if isinstance(found, list):
            found = np.concatenate(found, axis=1)
        out = tmp_path / method
        for library in ("slim", "slim_static")[: 1 + (name == "words")]:
            done = run(
                programs / f"sessions_{library}",
                tmp_path / "model.slim",
                method,
                out,
                *words,
            )
            assert done.returncode == 0, done.stderr
            assert out.read_bytes() == np.ascontiguousarray(found).tobytes(), method


def _written(rows, folder: Path) -> list:
    """The arguments that tell of rows, which are written to the folder."""
    if not sparse.issparse(rows):
        rows.tofile(folder / "X")
        return ["dense", TYPES[rows.dtype.str[1:]], *rows.shape, folder / "X"]
    parts = rows.data, rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    names = [folder / name for name in ("data", "ids", "offsets")]
    for part, path in zip(parts, names, strict=True):
        part.tofile(path)
    return ["csr", TYPES[rows.dtype.str[1:]], *rows.shape, *names]


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """A saved classifier of words, rows as text, and what Python answers."""
    folder = tmp_path_factory.mktemp("iris")
    rows, y = load_iris(return_X_y=True, as_frame=True)
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    clf = DNNClassifier((8,), max_iter=3, random_state=0).fit(rows, words)
    clf.save(folder / "iris.slim")
    rows = rows[::10]
    text = "\n".join(" ".join(map(repr, row)) for row in rows.to_numpy().tolist())
    return folder / "iris.slim", text, clf.predict(rows), clf.predict_proba(rows)


def _answers(text: str) -> tuple[list[str], np.ndarray]:
    lines = [line.split() for line in text.splitlines()]
    return [line[0] for line in lines], np.array([line[1:] for line in lines], float)


def _command(language: str, prefix: Path, programs: Path, folder: Path) -> tuple:
    """The command of an example, compiled, and the variables it needs."""
    lib = {"LD_LIBRARY_PATH": str(prefix / "lib")}
    if language == "c":
        return [programs / "predict"], {}
    if language == "c++":
        return [programs / "predict_cpp"], {}
    if language == "python":
        script = EXAMPLES / "predict.py"
        return [sys.executable, "-S", script, prefix / "lib/libslim.so"], {}
    if language == "pkg-config":
        require("cc", "pkg-config")
        path = {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
        words = call(
            "pkg-config", "--cflags", "--libs", "slim", env=os.environ | path
        ).split()
        source = EXAMPLES / "predict.c"
        call("cc", "-std=c99", source, *words, "-o", folder / "predict")
        return [folder / "predict"], lib
    if language == "go":
        require("go", "pkg-config")
        shutil.copytree(EXAMPLES / "go", folder / "go")
        path = {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"), "GO111MODULE": "on"}
        path |= {"GOPATH": str(folder / "path"), "GOCACHE": str(folder / "cache")}
        call(
            *("go", "build", "-o", folder / "predict"),
            cwd=folder / "go",
            env=os.environ | path,
        )
        return [folder / "predict"], lib
    require("java", "javac", "cc")
    home = Path(tool("javac")).resolve().parents[1]
    if not (home / "include/jni.h").exists():
        pytest.skip("needs jni.h, of a JDK")
    java = EXAMPLES / "java"
    call("javac", "-d", folder, java / "Slim.java", java / "Predict.java")
    call(
        *("cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"),
        *(f"-I{home}/include", f"-I{home}/include/linux", f"-I{prefix}/include"),
        *(java / "slim_jni.c", f"-L{prefix}/lib", "-lslim"),
        *("-o", folder / "libslim_jni.so"),
    )
    program = home / "bin/java"
    return [program, "-Xshare:auto", f"-Djava.library.path={folder}", "-cp", folder] + [
        "Predict"
    ], lib


@pytest.mark.parametrize("language", ["c", "c++", "pkg-config", "python", "go", "java"])
def test_examples_have_the_bits_of_python(prefix, programs, iris, tmp_path, language):
    path, rows, labels, probabilities = iris
    command, variables = _command(language, prefix, programs, tmp_path)
    text = call(*command, path, input=rows, env=environment(**variables))
    found, numbers = _answers(text)
    assert found == labels.tolist()
    assert numbers.tobytes() == probabilities.tobytes()
    done = subprocess.run(
        [*map(str, command), str(tmp_path / "none")],
        input=rows,
        text=True,
        capture_output=True,
        env=environment(**variables),
    )
    assert done.returncode == 1
    assert "No such file" in done.stderr


class Value(ctypes.Structure):
    """slim_value."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("sparse", ctypes.c_int),
        ("rank", ctypes.c_size_t),
        ("shape", ctypes.c_int64 * 8),
    )


class Library:
    """What of libslim tells of a model, by ctypes."""

    def __init__(self, prefix: Path, path: Path):
        self.slim = ctypes.CDLL(prefix / "lib/libslim.so")
        for name in ("message", "method", "label", "column"):
            getattr(self.slim, f"slim_{name}").restype = ctypes.c_char_p
        self.model = ctypes.c_void_p()
        name = str(path).encode()
        status = self.slim.slim_load(name, None, ctypes.byref(self.model))
        assert status == 0, self.slim.slim_message()

    def listed(self, name: str, *words) -> list[str]:
        ask, found = getattr(self.slim, f"slim_{name}"), []
        while (
            text := ask(self.model, *words, ctypes.c_size_t(len(found)))
        ) is not None:
            found.append(text.decode())
        return found

    def told(self, which: str, method: str, index: int = 0) -> tuple:
        value, ask = Value(), getattr(self.slim, f"slim_{which}")
        index = ctypes.c_size_t(index)
        assert ask(self.model, method.encode(), index, ctypes.byref(value)) == 0
        name = value.name and value.name.decode()
        return name, value.type, value.sparse, list(value.shape[: value.rank])

    def refusal(self, method: str) -> str:
        made = ctypes.c_void_p()
        ask = self.slim.slim_session_new
        assert ask(self.model, method.encode(), None, ctypes.byref(made)) == 1
        return self.slim.slim_message().decode()


def test_a_model_tells_what_it_reads_and_gives(prefix, iris):
    library = Library(prefix, iris[0])
    methods = ["decision_function", "predict", "predict_proba"]
    assert [m for m in library.listed("method") if "/" not in m] == methods
    assert library.listed("label", ctypes.c_size_t(0)) == [
        "setosa",
        "versicolor",
        "virginica",
    ]
    names = load_iris(as_frame=True).data.columns.tolist()
    assert library.listed("column", b"X") == names
    rows = -1
    assert library.told("input", "predict") == ("X", 1, 0, [rows, 4])
    assert library.told("output", "predict") == (None, 5, 0, [rows])
    assert library.told("output", "predict_proba") == (None, 1, 0, [rows, 3])
    assert library.told("output", "program/predict") == (None, 1, 0, [rows, 3])


def test_sparse_rows_and_quantiles_are_told(prefix, tmp_path):
    for name in ("sparse", "quantiles"):
        model, rows, y = models()[name]
        model.fit(rows, y).save(tmp_path / "model.slim")
        library = Library(prefix, tmp_path / "model.slim")
        if name == "sparse":
            assert library.told("input", "predict") == ("X", 0, 1, [-1, 50])
        else:
            told = library.told("output", "predict_quantiles")
            assert told == (None, 1, 0, [-1, 2, 3])


def test_what_runs_in_python_alone_is_refused(prefix, tmp_path):
    """A network after a scaler would silently predict from rows that are not scaled."""
    pipe = make_pipeline(StandardScaler(), DNNClassifier((4,), **FAST))
    slimlearn.save(pipe.fit(X, WORDS), tmp_path / "pipeline.slim")
    gauss = DNNRegressor((4,), loss="gaussian", **FAST).fit(X, NUMBERS)
    gauss.save(tmp_path / "gauss.slim")
    for name in ("pipeline", "gauss"):
        library = Library(prefix, tmp_path / f"{name}.slim")
        assert "save the network's estimator alone" in library.refusal("predict")
        assert library.told("output", "program/predict")[1] == 1


OUTPUTS = {
    "unknown kind": {"kind": "more"},
    "unknown key": {"kind": "positive", "code": "import os"},
    "labels where they are classes": {"kind": "classes"},
    "another number of labels": {"kind": "binary", "labels": [["one"]]},
    "have one output": {"kind": "binary", "labels": [["a", "b"]] * 2},
    "more than one extent": {"kind": "positive", "shape": [2, 2]},
    "are too many": {"kind": "positive", "shape": [2**40]},
    "whole number below": {"kind": "positive", "shape": [2**64]},
    "scales than of targets": {"kind": "numbers", "scale": [1.0], "center": []},
    "that nothing reads": {"kind": "positive", "scale": [1.0]},
    "no finite number": {"kind": "numbers", "scale": [10**400], "center": [0.0]},
    "places than of quantiles": {
        "kind": "numbers",
        "scale": [1.0],
        "center": [0.0],
        "quantiles": 2,
        "place": [0],
    },
    "no order": {
        "kind": "numbers",
        "scale": [1.0],
        "center": [0.0],
        "quantiles": 2,
        "place": [1, 1],
    },
    "in the middle": {
        "kind": "numbers",
        "scale": [1.0],
        "center": [0.0],
        "quantiles": 2,
        "place": [1, 0],
        "middle": 2,
    },
}


@pytest.mark.parametrize("why", OUTPUTS)
def test_outputs_of_strangers_are_refused(why):
    found = files.read(files.write(None, saved()))
    stored = files.Stored(found.text, found.params, found.state)
    with pytest.raises(ValueError, match=why):
        files.write_parts(
            None, files.Parts([stored], [], None, None, {}, outputs=OUTPUTS[why])
        )


def test_outputs_are_those_of_the_program(prefix, tmp_path):
    clf = DNNClassifier((4,), **FAST).fit(X, CLASSES)
    parts = files.read_parts(slimlearn_bytes(clf))
    more = {"kind": "classes", "labels": [list("abcd")]}
    files.write_parts(tmp_path / "more.slim", parts._replace(outputs=more))
    with pytest.raises(AssertionError, match="outputs are not those of its program"):
        Library(prefix, tmp_path / "more.slim")


def slimlearn_bytes(model) -> bytes:
    stream = io.BytesIO()
    slimlearn.save(model, stream)
    return stream.getvalue()


def test_files_of_others_are_told_apart(prefix, tmp_path):
    """A pickle with another suffix; what was cut short; what was changed."""
    clf = DNNClassifier((4,), **FAST).fit(X, CLASSES)
    whole = slimlearn_bytes(clf)
    changed = bytearray(whole)
    changed[-200] ^= 1
    for wrong, why in (
        (pickle.dumps(clf), "no saved slimlearn program"),
        (whole[:-100], "cut short"),
        (bytes(changed), "damaged"),
        (whole + b"more", "too many"),
    ):
        (tmp_path / "wrong.slim").write_bytes(wrong)
        with pytest.raises(AssertionError, match=why):
            Library(prefix, tmp_path / "wrong.slim")


def test_a_model_trained_in_c_is_an_estimator_again(prefix, tmp_path):
    model, rows, y = models()["words"]
    path = tmp_path / "model.slim"
    model.fit(rows, y).save(path)
    library = Library(prefix, path)
    again = str(tmp_path / "again.slim").encode()
    assert library.slim.slim_save(library.model, again) == 0
    loaded = slimlearn.load(again.decode())
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert slimlearn.load(path).get_params().keys() == loaded.get_params().keys()
