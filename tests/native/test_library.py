"""libslim without Python: C++ and C programs that load, run, train and save."""

import platform
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.libslim import ROOT, call, cmake, require, run, tool
from support.model_files import put_together, take_apart
from support.training_case import Case, data, network

from slimlearn.backend import engine
from slimlearn.backend.optimizer import AdamW, make_optimizer
from slimlearn.backend.program import Program

LEVELS = ["generic", "x86-64-v3", "x86-64-v4"]


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


def test_mistakes_have_words(programs, tmp_path):
    Case(network(sizes=(3, 4, 3)), data(features=3)).program.save(tmp_path / "model")
    whole = (tmp_path / "model").read_bytes()
    (tmp_path / "damaged").write_bytes(whole[:-1] + b"x")
    header, arrays = take_apart(whole)
    header["__metadata__"]["slimlearn.format"] = "3"
    (tmp_path / "newer").write_bytes(put_together(header, arrays))
    digest = header["__metadata__"]["slimlearn.sha256"].encode()
    (tmp_path / "other").write_bytes(whole.replace(digest, b"0" * 64))
    files = [tmp_path / name for name in ("model", "damaged", "newer", "other")]
    done = run(programs / "mistakes", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_libraries_export_the_header_and_need_no_python(prefix):
    header = (prefix / "include/slim.h").read_text()
    declared = set(re.findall(r"^SLIM_API .*?(slim_\w+)\(", header, re.M))
    library = prefix / "lib/libslim.so"
    listing = call("nm", "-D", "--defined-only", library)
    assert declared
    assert {line.split()[-1] for line in listing.splitlines()} == declared
    needed = set(re.findall(r"NEEDED.*\[(\w+)", call("readelf", "-d", library)))
    openmp = {"libgomp", "libomp"}  # GCC's, Clang's
    known = {"libstdc", "libm", "libgcc_s", "libc", "libpthread", "ld"}
    assert needed <= known | openmp
    for file, kind in (("libslim.so", ["-D"]), ("libslim.a", [])):
        undefined = call("nm", "-u", *kind, prefix / "lib" / file)
        assert not re.search(r"\bPy|pybind", undefined)


def test_the_library_is_small(prefix):
    library = prefix / "lib/libslim.so"
    levels = len(re.findall(r" slim_kernels_", call("readelf", "-SW", library)))
    packed = "RELR" in call("readelf", "-d", library)  # by a linker that can
    most = 1_000_000 + 2_000_000 * levels + (0 if packed else 100_000)
    assert levels and library.stat().st_size <= most


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


@pytest.mark.parametrize("program", ["thread/threads", "fuzzer/file", "fuzzer/text"])
def test_what_sanitizers_alone_build_compiles(program):
    """They are built by hand and by a job apart: what breaks them is seen here."""
    require("c++")
    words = "-std=c++20 -fsyntax-only -Wall -Wextra -Werror -Wno-psabi -DSLIM_SANITIZE"
    source = ROOT / "tests" / "native" / f"{program}.cpp"
    call("c++", *words.split(), f"-I{ROOT / 'native'}", source)
