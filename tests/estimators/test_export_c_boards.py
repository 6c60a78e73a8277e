"""Exported C where it goes: sanitizers, boards and phones in an emulator, threads."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose

from slimlearn import ConvNetClassifier, DNNRegressor, SequenceClassifier
from tests.support.exported_c import (
    ON_ONE_ISA,
    WARNINGS,
    build,
    compiled,
    run_program,
)

pytestmark = ON_ONE_ISA
RNG = np.random.default_rng(0)
ROWS = 6
CLASSES = np.arange(60) % 3


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=(60, *shape)).astype(np.float32)


@pytest.fixture(scope="module")
def networks():
    """Of each kind a fitted estimator and its rows."""
    once = {"max_iter": 1, "random_state": 0}
    table, images, steps = normal(4), normal(9, 7, 2), normal(5, 3)
    dense = DNNRegressor((16, 16), activation="tanh", **once).fit(table, table[:, 0])
    convolved = ConvNetClassifier(**once).fit(images, CLASSES)
    recurrent = SequenceClassifier(cell="gru", **once).fit(steps, CLASSES)
    return {
        "dense": (dense, table[:ROWS], {}),
        "convolved": (convolved, images[:ROWS], {}),
        "recurrent": (recurrent, steps[:ROWS], {"length": 5}),
    }


def want_of(estimator, X) -> np.ndarray:
    if hasattr(estimator, "classes_"):
        return estimator.predict_proba(X)
    return estimator.predict(X)[:, np.newaxis]


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")


@pytest.mark.parametrize("kind", ["dense", "convolved", "recurrent"])
@pytest.mark.parametrize(
    ("compiler", "runner"),
    [
        ("gcc -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all", ""),
        ("clang -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all", ""),
        ("arm-linux-gnueabihf-gcc -O2 -static", "qemu-arm"),
        ("aarch64-linux-gnu-gcc -O2 -static", "qemu-aarch64"),
    ],
    ids=["gcc-sanitized", "clang-sanitized", "arm", "aarch64"],
)
def test_programs(tmp_path, networks, kind, compiler, runner):
    needs(compiler.split()[0], *runner.split())
    estimator, X, options = networks[kind]
    estimator.export_c(tmp_path / "net.c", **options)
    got = run_program(tmp_path, compiler, runner, X)
    assert_allclose(got, want_of(estimator, X), rtol=0, atol=1e-6)


def test_a_small_network_on_a_cortex_m4(tmp_path):
    needs("arm-none-eabi-gcc")
    X = normal(4)
    estimator = DNNRegressor((16, 16), max_iter=1, random_state=0).fit(X, X[:, 0])
    estimator.export_c(tmp_path / "net.c")
    board = "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard"
    build(f"arm-none-eabi-gcc {board} -Os {WARNINGS} -c net.c -o net.o", tmp_path)
    command = ["arm-none-eabi-size", "-A", "net.o"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    sizes = dict(re.findall(r"^(\.\w+) +(\d+)", told, re.M))
    assert int(sizes[".text"]) <= 3 * 1024
    # The weights, and little more.
    assert int(sizes[".rodata"]) <= 4 * (4 * 16 + 16 + 16 * 16 + 16 + 16 + 1 + 8)
    # Such a board multiplies floats, and doubles by a library.
    command = ["arm-none-eabi-nm", "-u", "net.o"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert not re.findall(r"__aeabi_\w+", told)


def test_the_header_is_c_plus_plus(tmp_path, networks):
    needs("g++")
    estimator, _, _ = networks["convolved"]
    estimator.export_c(tmp_path / "net.c", arena="caller")
    build("g++ -Wall -Wextra -Werror -pedantic -fsyntax-only -x c++ net.h", tmp_path)


def test_threads_have_arenas_of_their_own(tmp_path, networks):
    estimator, X, _ = networks["convolved"]
    net = compiled(estimator, tmp_path, arena="caller")
    many = np.repeat(X, 50, axis=0)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: net.rows("predict_proba", many), range(4)))
    for got in found:
        assert_allclose(got, estimator.predict_proba(many), rtol=0, atol=1e-6)
