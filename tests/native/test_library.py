"""libslim without Python: C++ and C programs that load, run, train and save."""

import ctypes
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.model_files import put_together, take_apart
from support.training_case import Case, data, network

from slimlearn import DNNClassifier
from slimlearn.backend import engine
from slimlearn.backend.optimizer import AdamW, make_optimizer
from slimlearn.backend.program import Program

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SLIM_BUILD_DIR", ROOT / "build"))
BUILD /= f"native-{sys.implementation.cache_tag}"
LEVELS = ["generic", "x86-64-v3", "x86-64-v4"]


def tool(name: str) -> str | None:
    return shutil.which(
        name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )


def cmake(*words) -> None:
    done = subprocess.run(
        [tool("cmake"), *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """The programs of tests/native/cpp, linked with the objects of the build here."""
    if not (BUILD / "CMakeCache.txt").exists() or tool("cmake") is None:
        pytest.skip("no folder of a build stands beside these sources")
    folder = tmp_path_factory.mktemp("cpp")
    with open(BUILD / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cmake("--build", BUILD, "--target", "slim", "slim_static")
        for file in ("libslim.so", "libslim.a"):
            shutil.copy(BUILD / file, folder)
        options = [f"-Dslim_DIR={BUILD}", "-DCMAKE_BUILD_TYPE=Release"]
        cmake("-S", ROOT / "tests/native/cpp", "-B", folder, *options)
        cmake("--build", folder)
    return folder


def run(program: Path, *words) -> subprocess.CompletedProcess:
    environment = os.environ | {"SLIM_ISA": engine.isa()}
    command = [str(program), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("library", ["slim", "slim_static"])
@pytest.mark.parametrize("options", [{}, {"dropout": True, "center": True}])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_a_cpp_program_has_the_bits_of_python(
    programs, tmp_path, library, options, precision
):
    sources = data(rows=50)
    hypers = {"keep_prob": 0.5} if options else {}
    case = Case(network(precision, **options), sources, hypers=hypers)
    case.program.save(tmp_path / "model.slim")
    for name, array in sources.items():
        array.tofile(tmp_path / name)
    words = [f"{name}={value!r}" for name, value in case.options["hypers"].items()]
    before = predicted(case)
    done = run(programs / f"train_{library}", tmp_path, 50, 20, 2, 16, 1e-2, 7, *words)
    assert done.returncode == 0, done.stderr
    losses = case.train(2)
    assert float.fromhex(done.stdout) == losses[-1]
    assert (tmp_path / "before").read_bytes() == before
    assert (tmp_path / "after").read_bytes() == predicted(case) != before
    trained = Program.load(tmp_path / "trained.slim")
    assert trained.to_bytes() == case.program.to_bytes()


def test_variables_learn_at_their_own_rates_and_decays(programs, tmp_path):
    sources, model = data(rows=50), network(rates=True, optimizer=AdamW())
    factors = [(1.0, None), (0.0, None), (0.25, 0.0), (2.0, 3.0)]
    for parameter, (rate, decay) in zip(model.parameters, factors, strict=True):
        parameter.learning_rate_factor, parameter.decay_factor = rate, decay
    segments = [{"rate": rate, "decay": 0.1 * (decay or 0)} for rate, decay in factors]
    case = Case(model, sources, optimizer=AdamW(), segments=segments)
    case.program.save(tmp_path / "model.slim")
    for name, array in sources.items():
        array.tofile(tmp_path / name)
    words = [f"{name}={value!r}" for name, value in case.options["hypers"].items()]
    # Those without a factor take the number that is told, here that of one segment.
    segments[0]["decay"] = segments[1]["decay"] = 0.1
    words.append("segment.decay=0.1")
    done = run(programs / "train_slim", tmp_path, 50, 20, 2, 16, 1e-2, 7, *words)
    assert done.returncode == 0, done.stderr
    still = case.program.weights["fc1/biases"].copy()
    case.train(2)
    assert Program.load(tmp_path / "trained.slim").to_bytes() == case.program.to_bytes()
    np.testing.assert_array_equal(case.program.weights["fc1/biases"], still)


def test_several_optimizers_are_trained_from_python_alone(programs, tmp_path):
    """The text does not say whose a parameter is: the wrong one would train it."""
    deal = make_optimizer({"*": "adam", "fc2": "sgd"})
    case = Case(network(optimizer=deal), data(rows=50), optimizer=deal)
    case.program.save(tmp_path / "model.slim")
    for name, array in case.sources.items():
        array.tofile(tmp_path / name)
    words = [f"{name}={value!r}" for name, value in case.options["hypers"].items()]
    done = run(programs / "train_slim", tmp_path, 50, 20, 2, 16, 1e-2, 7, *words)
    assert done.returncode != 0
    assert "several optimizers" in done.stderr


def predicted(case) -> bytes:
    sources = {"X": case.sources["X"]}
    [values] = case.compiled.run("predict", sources, case.program)
    return values.tobytes()


def test_the_program_of_the_pages_predicts(programs, tmp_path):
    X = np.random.RandomState(0).normal(size=(5, 3)).astype(np.float32)
    clf = DNNClassifier((4,), max_iter=1, random_state=0).fit(X, [0, 1, 2, 0, 1])
    clf.program_.save(tmp_path / "model.slim")
    command = [str(programs / "predict"), str(tmp_path / "model.slim"), "3"]
    rows = "\n".join(" ".join(map(repr, row.tolist())) for row in X)
    environment = os.environ | {"SLIM_ISA": engine.isa()}
    text = subprocess.check_output(command, input=rows, text=True, env=environment)
    found = np.array([line.split() for line in text.splitlines()], dtype=float)
    np.testing.assert_array_equal(found, clf.predict_proba(X))


def test_mistakes_have_words(programs, tmp_path):
    Case(network(sizes=(3, 4, 3)), data(features=3)).program.save(tmp_path / "model")
    whole = (tmp_path / "model").read_bytes()
    (tmp_path / "damaged").write_bytes(whole[:-1] + b"x")
    header, arrays = take_apart(whole)
    header["__metadata__"]["slimlearn.format"] = "3"
    (tmp_path / "newer").write_bytes(put_together(header, arrays))
    files = [tmp_path / name for name in ("model", "damaged", "newer")]
    done = run(programs / "mistakes", *files)
    assert done.returncode == 0, done.stdout + done.stderr


class CArray(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("rank", ctypes.c_size_t),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
    )


def test_an_estimator_s_program_predicts_through_c(programs, tmp_path):
    sources = data(rows=50)
    clf = DNNClassifier((8,), max_iter=2, batch_norm=True, dropout=0.2, random_state=0)
    clf.fit(sources["X"], sources["y"]).program_.save(tmp_path / "model.slim")
    library = ctypes.CDLL(programs / "libslim.so")
    library.slim_result.restype = ctypes.POINTER(CArray)
    model, results = ctypes.c_void_p(), ctypes.c_void_p()
    path = str(tmp_path / "model.slim").encode()
    assert library.slim_load(path, ctypes.byref(model)) == 0
    shape = (ctypes.c_int64 * 2)(*sources["X"].shape)
    given = CArray(b"X", 1, sources["X"].ctypes.data, 2, shape)
    one = ctypes.c_size_t(1)
    arguments = model, b"predict_proba", ctypes.byref(given), one, 2
    assert library.slim_run(*arguments, ctypes.byref(results)) == 0
    found = library.slim_result(results, ctypes.c_size_t(0)).contents
    assert (found.type, list(found.shape[: found.rank])) == (1, [50, 3])
    values = ctypes.string_at(found.data, 50 * 3 * 8)
    assert values == clf.predict_proba(sources["X"]).astype("f8").tobytes()
    library.slim_free_results(results)
    library.slim_free(model)


def test_the_libraries_export_the_header_and_need_no_python(programs):
    header = (ROOT / "native/include/slim.h").read_text()
    declared = set(re.findall(r"^SLIM_API .*?(slim_\w+)\(", header, re.M))
    listing = subprocess.check_output(
        ["nm", "-D", "--defined-only", programs / "libslim.so"], text=True
    )
    assert declared
    assert {line.split()[-1] for line in listing.splitlines()} == declared
    command = ["readelf", "-d", programs / "libslim.so"]
    text = subprocess.check_output(command, text=True)
    needed = set(re.findall(r"NEEDED.*\[(\w+)", text)) - {"ld"}
    openmp = {"libgomp", "libomp"}  # GCC's, Clang's
    assert needed <= {"libstdc", "libm", "libgcc_s", "libc", "libpthread"} | openmp
    for file, kind in (("libslim.so", ["-D"]), ("libslim.a", [])):
        command = ["nm", "-u", *kind, programs / file]
        undefined = subprocess.check_output(command, text=True)
        assert not re.search(r"\bPy|pybind", undefined)


def planned(folder: Path, isas: str, *options: str) -> str:
    """Return the commands of a build that is configured and not run."""
    if tool("cmake") is None or tool("ninja") is None:
        pytest.skip("needs cmake and ninja")
    ninja = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"]
    cmake("-S", ROOT / "native", "-B", folder, f"-DSLIM_ISAS={isas}", *ninja, *options)
    command = [tool("ninja"), "-C", str(folder), "-t", "commands", "all"]
    return subprocess.check_output(command, text=True)


def test_the_libraries_are_configured_without_python_and_pybind11(tmp_path):
    without = [
        f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON"
        for name in ("Python", "Python3", "PythonInterp", "pybind11")
    ]
    text = planned(tmp_path, "generic", *without)
    assert "-o libslim.so" in text and "libslim.a" in text
    assert "_native" not in text and "pybind" not in text


@pytest.mark.skipif(platform.machine() != "x86_64", reason="levels are of x86-64")
def test_a_build_has_the_levels_that_are_asked_for(tmp_path):
    def levels(isas):
        text = planned(tmp_path, isas)
        return set(re.findall(r"SLIM_ISA_NAME=\W*([\w-]+)", text))

    assert levels("all") == {"generic", "x86-64-v3", "x86-64-v4"}
    assert levels("generic v3") == {"generic", "x86-64-v3"}
    (native,) = levels("native")
    # The kernels that stand here may be fewer; none is better than this machine.
    assert native == max(engine.available_isas() + [native], key=LEVELS.index)
    assert "avx512f" not in Path("/proc/cpuinfo").read_text() or native == LEVELS[-1]
    with pytest.raises(AssertionError, match=r"SLIM_ISAS needs native, all(.|\n)*v5"):
        levels("v5")


def test_headers_compiled_beforehand_are_not_linked(tmp_path):
    """As where there is no ccache; CMake counts them among the objects."""
    text = planned(tmp_path, "generic", "-DSLIM_CCACHE=OFF")
    links = [x for x in text.splitlines() if "-o libslim.so" in x or "-o slim.o" in x]
    assert re.search(r"cmake_pch\.hxx\.[gp]ch", text) and len(links) == 2
    assert not any(re.search(r"\.[gp]ch", link) for link in links)
