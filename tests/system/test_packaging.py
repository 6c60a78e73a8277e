"""The wheel: what is in it, what it needs, and that it works away from the sources."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import slimlearn
from slimlearn.estimators.diagram import PAGES

ROOT = Path(__file__).resolve().parents[2]
# That an import may read beside sklearn's own and ours, in any version of sklearn.
OTHER_MODULES = 200
FIT = """
import numpy as np, slimlearn, sys
X = np.random.default_rng(0).normal(size=(40, 3))
model = slimlearn.DNNClassifier((4,), max_iter=2, random_state=0).fit(X, X[:, 0] > 0)
assert model.predict_proba(X).shape == (40, 2)
print(slimlearn.__file__)
"""


def described() -> dict:
    """Return pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="reading TOML needs Python 3.11")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    return next(folder.glob("slimlearn-*.whl"))


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size <= 10 * 2**20  # a third of it libslim


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        "slimlearn" / path.relative_to(ROOT)
        for folder in ("estimators", "layers", "backend")
        for path in ROOT.glob(f"{folder}/**/*.py")
    }
    top = ("__init__.py", "callbacks.py", "feature_column.py", "losses.py", "py.typed")
    sources |= {Path("slimlearn") / name for name in top}
    sources |= {Path("slimlearn/_native" + sysconfig.get_config_var("EXT_SUFFIX"))}
    library = "include/slim.h include/slim.hpp lib/libslim.so lib/libslim.so.1"
    for name in (*library.split(), "lib/pkgconfig/slim.pc"):
        sources.add(Path("slimlearn") / name)
    info = f"slimlearn-{slimlearn.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == set(
        map(str, sources)
    )
    assert info + "licenses/LICENSE" in names


def test_the_wheel_needs_four_packages(wheel):
    info = f"slimlearn-{slimlearn.__version__}.dist-info/METADATA"
    metadata = Parser().parsestr(zipfile.ZipFile(wheel).read(info).decode())
    assert metadata["Version"] == slimlearn.__version__
    needed = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in needed}
    assert names == {"numpy", "scipy", "scikit-learn", "joblib"}


def test_the_native_module_needs_only_the_compiler_s_libraries(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    module = next(tmp_path.glob("slimlearn/_native*"))
    text = subprocess.check_output(["readelf", "-d", module], text=True)
    needed = set(re.findall(r"NEEDED.*\[(\w+)", text)) - {"ld"}
    assert needed <= {"libstdc", "libm", "libgomp", "libgcc_s", "libc", "libpthread"}


def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    environment = tmp_path / "environment"
    make = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(make, check=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    install += ["--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True)
    # The four packages are lent by this environment, behind the new one's own folder.
    own = next(environment.glob("lib/python*/site-packages"))
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "lent.pth").write_text("\n".join(lent))
    for place in (tmp_path, ROOT):
        run = [str(python), "-W", "error", "-c", FIT]
        output = subprocess.check_output(run, cwd=place, text=True)
        assert Path(output.strip()).parent == own / "slimlearn"


def test_the_source_archive_is_complete(tmp_path):
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base"]
    command += [str(tmp_path), "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    archive = next(tmp_path.glob("slimlearn-*.tar.gz"))
    listing = subprocess.check_output(["tar", "tzf", archive], text=True)
    names = {line.partition("/")[2] for line in listing.splitlines()}
    native = {str(p.relative_to(ROOT)) for p in ROOT.glob("native/**/*.*")}
    assert native <= names
    top = {"LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "py.typed", "setup.py"}
    assert top | {"pyproject.toml", "callbacks.py"} <= names
    packages = {
        str(path.relative_to(ROOT))
        for folder in ("estimators", "layers", "backend")
        for path in ROOT.glob(f"{folder}/**/*.py")
    }
    assert packages <= names


def test_the_build_s_needs_stand_twice_and_agree():
    project = described()
    assert project["dependency-groups"]["build"] == project["build-system"]["requires"]


def test_addresses_stand_in_several_places_and_agree():
    urls = described()["project"]["urls"]
    assert urls["Documentation"] == PAGES
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^repository-code: (.+)$", citation, re.M)[1] == urls["Source"]
    assert all(
        urls[name].startswith(urls["Source"]) for name in ("Issues", "Changelog")
    )


def test_the_version_stands_thrice_and_agrees():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == slimlearn.__version__
    released = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0] == slimlearn.__version__


def test_pythons_and_oldest_versions_are_the_same_everywhere():
    project = described()
    prefix = "Programming Language :: Python :: 3."
    classifiers = project["project"]["classifiers"]
    pythons = [c[len(prefix) - 2 :] for c in classifiers if c.startswith(prefix)]
    assert project["project"]["requires-python"] == f">={pythons[0]}"
    tests = (ROOT / ".github/workflows/tests.yml").read_text()
    matrix = re.search(r"python: \[(.*)\]", tests)[1]
    assert re.findall(r"[\d.]+", matrix) == pythons
    built = [f"cp{python.replace('.', '')}-*" for python in pythons]
    assert project["tool"]["cibuildwheel"]["build"].split() == built
    oldest = re.findall(r"^(\S+)==(\S+)$", (ROOT / ".ci/oldest.txt").read_text(), re.M)
    needed = [n.split(">=") for n in project["project"]["dependencies"]]
    assert {name for name, _ in needed} <= {name for name, _ in oldest}
    for name, version in needed:
        assert f"{dict(oldest)[name]}.".startswith(f"{version}."), name


def test_the_wheels_tool_finds_pythons_that_start(tmp_path):
    dead = tmp_path / "python3.10"  # as a shim of pyenv that has no version chosen
    dead.write_text("#!/bin/sh\nexit 127\n")
    dead.chmod(0o755)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import wheels; "
        "print(*wheels.pythons(sys.argv[2:]))"
    )
    names = [str(dead), str(tmp_path / "absent"), sys.executable]
    command = [sys.executable, "-c", code, str(ROOT / ".ci"), *names]
    found = subprocess.check_output(command, text=True).split()
    assert found == ["{}.{}".format(*sys.version_info)]


def test_import_is_frugal():
    """It reads its own modules and next to nothing else; no clock is asked."""
    code = """
import sklearn, sys
before = set(sys.modules)
import slimlearn
print(*set(sys.modules) - before)
"""
    environment = {k: v for k, v in os.environ.items() if k != "SCIPY_ARRAY_API"}
    command = [sys.executable, "-c", code]
    text = subprocess.check_output(command, text=True, env=environment)
    found = text.split()
    heavy = {"pandas", "matplotlib", "torch", "polars", "IPython", "hypothesis", "tqdm"}
    assert heavy.isdisjoint(found)
    others = [name for name in found if not name.startswith("slimlearn")]
    assert "slimlearn" in found and len(others) < OTHER_MODULES, sorted(others)
