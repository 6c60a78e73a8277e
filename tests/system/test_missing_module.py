"""A slimlearn without its native module says which folder that is and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import slimlearn

ROOT = Path(__file__).resolve().parents[2]
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Make a clone and an installed copy, of no more than the door to the module."""
    folders = tmp_path_factory.mktemp("clones"), tmp_path_factory.mktemp("site")
    for folder in folders:
        engine = folder / "slimlearn" / "backend" / "engine"
        engine.mkdir(parents=True)
        (engine.parents[1] / "__init__.py").write_text(
            "from slimlearn.backend.engine import native\n"
        )
        for name in ("native.py", "missing.py"):
            shutil.copyfile(ROOT / "backend" / "engine" / name, engine / name)
    (folders[0] / "slimlearn" / "setup.py").touch()
    return folders


@pytest.fixture
def installed(trees):
    module = trees[1] / "slimlearn" / f"_native{SUFFIX}"
    shutil.copyfile(slimlearn._native.__file__, module)
    yield module
    module.unlink()


def run(folder, *path):
    """Import slimlearn from ``folder`` with ``path`` and the other packages alone."""
    lent = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path + lent))}
    environment.pop("PYTHONSAFEPATH", None)
    # -S: no .pth files, by which an editable slimlearn would be found too.
    code = "import slimlearn; print(slimlearn.__file__)"
    command = [sys.executable, "-S", "-c", code]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment
    )


def test_a_clone_that_hides_the_installed_package_is_named(trees, installed):
    clones, site = trees
    said = run(clones, site).stderr
    assert f"is not built in {clones / 'slimlearn'}, a source tree that hides" in said
    assert f"installed in {site / 'slimlearn'}, because Python was started in" in said
    assert "start Python in another folder" in said


def test_a_clone_that_stands_first_on_the_path_is_named(trees, installed, tmp_path):
    clones, site = trees
    said = run(tmp_path, clones, site).stderr
    assert f"because {clones} is first" in said


def test_the_installed_package_is_found_elsewhere(trees, installed, tmp_path):
    done = run(tmp_path, trees[1])
    assert str(trees[1]) in done.stdout, done.stderr


def test_a_clone_alone_asks_for_a_build(trees):
    said = run(trees[0]).stderr
    assert "run `make build` there" in said and "hides" not in said


def test_an_installed_package_without_its_module_asks_to_be_reinstalled(
    trees, tmp_path
):
    said = run(tmp_path, trees[1]).stderr
    assert "--force-reinstall slimlearn" in said


def test_a_module_that_does_not_load_says_why(trees, tmp_path):
    module = trees[1] / "slimlearn" / f"_native{SUFFIX}"
    module.write_bytes(b"no library")
    try:
        said = run(tmp_path, trees[1]).stderr
    finally:
        module.unlink()
    assert "does not load (" in said and str(module) in said


def test_a_module_of_another_python_is_named(trees, tmp_path):
    module = trees[1] / "slimlearn" / "_native.cpython-38-x86_64-linux-gnu.so"
    module.touch()
    try:
        said = run(tmp_path, trees[1]).stderr
    finally:
        module.unlink()
    assert "no native module for Python" in said and module.name in said
