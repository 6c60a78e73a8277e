"""libslim for 64-bit ARM, run by qemu: `make aarch64` cross-compiles it first."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.libslim import ROOT, build_programs, cmake, require
from support.training_case import Case, data, network

from slimlearn import DNNClassifier

BUILD = ROOT / "build/aarch64"
SYSTEM = "/usr/aarch64-linux-gnu"  # its libraries, of Debian's cross compiler


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """The programs of tests/native/cpp, for the other machine."""
    require("aarch64-linux-gnu-g++", "qemu-aarch64", "cmake")
    if not (BUILD / "libslim.a").exists():
        pytest.skip("make aarch64 builds libslim for it, which takes minutes")
    prefix = tmp_path_factory.mktemp("prefix")
    cmake("--install", BUILD, "--prefix", prefix)
    toolchain = ROOT / ".ci/aarch64.cmake"
    return build_programs(
        prefix,
        tmp_path_factory.mktemp("cpp"),
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
        f"-Dslim_DIR={prefix}/lib/cmake/slim",
    )


def run(program: Path, *words, text: str = "") -> str:
    command = ["qemu-aarch64", "-L", SYSTEM, program, *words]
    variables = {key: os.environ[key] for key in os.environ if key != "SLIM_ISA"}
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        capture_output=True,
        text=True,
        env=variables,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("library", ["slim", "slim_static"])
def test_it_trains_as_this_machine_does(programs, tmp_path, library):
    """With other bits, as another instruction-set level has them too."""
    case = Case(network("f64"), data(rows=50))
    case.program.save(tmp_path / "model.slim")
    for name, array in case.sources.items():
        array.tofile(tmp_path / name)
    words = [f"{name}={value!r}" for name, value in case.options["hypers"].items()]
    loss = run(programs / f"train_{library}", tmp_path, 50, 20, 2, 16, 1e-2, 7, *words)
    assert float.fromhex(loss) == pytest.approx(case.train(2)[-1], rel=1e-10)


def test_the_example_predicts(programs, tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 5))
    y = np.array(["low", "middle", "high"])[np.digitize(X[:, 0], [-0.4, 0.4])]
    clf = DNNClassifier((16, 8), max_iter=5, batch_norm=True, random_state=0).fit(X, y)
    clf.save(tmp_path / "model.slim")
    rows = "\n".join(" ".join(map(repr, row)) for row in X.tolist())
    lines = run(programs / "predict", tmp_path / "model.slim", text=rows).splitlines()
    answers = [line.split() for line in lines]
    assert [words[0] for words in answers] == clf.predict(X).tolist()
    found = np.array([words[1:] for words in answers], float)
    np.testing.assert_allclose(found, clf.predict_proba(X), rtol=1e-9)


def test_sessions_allocate_nothing_there(programs, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    clf = DNNClassifier((8,), max_iter=2, random_state=0).fit(X, X[:, 0] > 0)
    clf.save(tmp_path / "model.slim")
    X.tofile(tmp_path / "X")
    out = tmp_path / "out"
    words = tmp_path / "model.slim", "predict_proba", out, "dense", 0, 20, 5
    run(programs / "sessions_slim", *words, tmp_path / "X")
    found = np.fromfile(out).reshape(20, 2)
    np.testing.assert_allclose(found, clf.predict_proba(X), rtol=1e-5)
