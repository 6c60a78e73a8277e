"""The house rules that a machine can check: who imports whom, and first lines."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("estimators", "layers", "backend")
PYTHON = sorted(p for name in PACKAGES for p in ROOT.glob(f"{name}/**/*.py"))
NATIVE = sorted(p for p in ROOT.glob("native/**/*.*") if p.suffix != ".txt")

# Importer -> what it may import; the longest matching row counts.
PYTHON_RULES = {
    "estimators": ("estimators", "layers", "backend"),
    # keywords: errors of names that others have
    "layers": (
        "layers",
        "backend.shape",
        "backend.graph",
        "backend.op",
        "backend.ops",
        "backend.keywords",
    ),
    "backend.shape": ("backend.shape",),
    # text: str() of a model
    "backend.graph": ("backend.shape", "backend.graph", "backend.text"),
    "backend.op": ("backend.shape", "backend.graph"),
    # autodiff: a region's gradient is the gradient of what stands in it
    "backend.ops": (
        "backend.shape",
        "backend.graph",
        "backend.op",
        "backend.ops",
        "backend.autodiff",
        "backend.loop_gradient",
        "backend.philox",
    ),
    "backend.remade": ("backend.graph", "backend.op"),
    "backend.autodiff": (
        "backend.shape",
        "backend.graph",
        "backend.op",
        "backend.ops",
        "backend.remade",
    ),
    "backend.loop_gradient": (
        "backend.graph",
        "backend.op",
        "backend.ops",
        "backend.autodiff",
        "backend.loop_sums",
    ),
    # what an op of the program is in ONNX; models are finished with a program's arrays
    "backend.onnx": (
        "backend.shape",
        "backend.graph",
        "backend.op",
        "backend.ops",
        "backend.program",
        "backend.onnx",
    ),
    "backend.loop_sums": ("backend.shape", "backend.graph", "backend.ops"),
    "backend": ("backend",),
}
# What a network means; these modules know no device.
MEANING = (
    "shape",
    "graph",
    "op",
    "ops",
    "remade",
    "autodiff",
    "loop_gradient",
    "loop_sums",
    "text",
    "reference",
    "philox",
)

DOOR = "backend.engine.native"

# Third-party packages beyond numpy and the standard library, and who may see them.
THIRD_PARTY = {
    "sklearn": ("estimators",),
    "joblib": ("estimators",),
    "onnx": ("backend.onnx",),
    "skl2onnx": ("estimators.onnx",),
    "tensorboard": ("estimators.tensorboard",),
    "scipy": ("estimators", "layers", "backend"),
}

NATIVE_RULES = {
    "ir": {"ir"},
    "passes": {"passes", "ir"},
    "kernels": {"kernels", "ir"},
    "cpu": {"cpu", "kernels", "ir"},
    "runtime": {"runtime", "passes", "kernels", "ir"},
    "cuda": {"cuda", "file", "runtime", "passes", "kernels", "ir"},
    "file": {"file", "runtime", "kernels", "ir"},
    "include": set(),
    "api": {"api", "include", "file", "cuda", "runtime", "passes", "kernels", "ir"},
}


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> list[str]:
    """Return every imported module, `from a import b` as `a.b`, lazily or not."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("path", PYTHON, ids=_dotted)
def test_python_imports_follow_the_rules(path):
    importer = _dotted(path)
    row = max((r for r in PYTHON_RULES if _under(importer, r)), key=len)
    for name in _imports(path):
        top, _, rest = name.partition(".")
        if top == "slimlearn":
            assert any(_under(rest, ok) for ok in PYTHON_RULES[row]) or (
                rest == "_native" and importer == DOOR
            ), f"{importer} may not import {name}"
            door = _under(rest, "backend.engine") or rest == "_native"
            meaning = any(_under(importer, f"backend.{m}") for m in MEANING)
            assert not (door and meaning), f"{importer} knows no device: {name}"
        elif top in THIRD_PARTY:
            assert importer.startswith(THIRD_PARTY[top]), f"{importer} imports {top}"


def test_only_the_engine_s_door_opens_the_native_module():
    users = [_dotted(p) for p in PYTHON if "slimlearn._native" in _imports(p)]
    assert users == [DOOR]


@pytest.mark.parametrize("path", NATIVE, ids=lambda p: str(p.relative_to(ROOT)))
def test_native_includes_follow_the_rules(path):
    folder = path.relative_to(ROOT / "native").parts[0]
    text = path.read_text()
    for include in re.findall(r'#include "([^"]+)"', text):
        top = include.split("/")[0]
        assert (ROOT / "native" / include).exists(), "write paths from native/"
        assert top in NATIVE_RULES[folder], f"{folder}/ may not include {include}"


@pytest.mark.parametrize("path", NATIVE, ids=lambda p: str(p.relative_to(ROOT)))
def test_native_files_say_what_they_are_for(path):
    first = path.read_text().split("\n", 1)[0]
    assert re.match(r"// \S.{15,}", first), "the first line says what the file is for"


# Folders whose files a build compiles as one where no compiler cache helps it
# (native/CMakeLists.txt): what others build does not show that they share a name.
TOGETHER = (
    ("ir", "passes", "kernels", "file"),
    ("runtime", "file"),
    ("cuda",),
    ("api",),
    *((f"cpu/{name}",) for name in ("index", "reduce", "sparse", "tape")),
)
NAMED = re.compile(
    r"^(?:static )?const(?:expr)? .*?(\w+)(?:\[\w*\])* ?[={]"
    r"|^(?:struct|class|enum(?: class)?) (\w+)[^;]*$"
    r"|^\} (\w+);$"
    r"|^(\w[\w:<>,&* ]* [*&]?\w+\(.*\)(?: noexcept)?) \{",
    re.MULTILINE,
)


TYPE = re.compile(r"^(?:struct|class|enum(?: class)?) (\w+)[^;]*$", re.MULTILINE)
FUNCTION = re.compile(r"^[A-Za-z][\w:<>,&*\[\] ]* [*&]?(\w+)\(", re.MULTILINE)


def _together(folders: tuple) -> dict[Path, str]:
    """Of files that a build compiles as one, what each keeps to itself."""
    own = {}
    for path in NATIVE:
        folder = path.parent.relative_to(ROOT / "native").as_posix()
        if path.suffix != ".cpp" or folder == "api/c":
            continue
        if not any(f"{folder}/".startswith(f"{name}/") for name in folders):
            continue
        spaces = r"^namespace \{$.*?^\}  // namespace$"
        own[path] = "\n".join(re.findall(spaces, path.read_text(), re.M | re.S))
    return own


@pytest.mark.parametrize("folders", TOGETHER, ids=" ".join)
def test_files_that_are_compiled_as_one_share_no_name_of_their_own(folders):
    places, files = {}, _together(folders)
    meant = {}
    for path, own in files.items():
        for name, text in re.findall(r"^using (\w+) = (.+);$", own, re.MULTILINE):
            assert meant.setdefault(name, text) == text, f"{name} of {path.name}"
    for path, own in files.items():
        for found in NAMED.finditer(own):
            name = next(filter(None, found.groups()))
            assert places.setdefault(name, path) == path, f"{name}: {path.name} too"
    for path, own in files.items():
        for name in FUNCTION.findall(
            own
        ):  # which others may have with other parameters
            assert places.get(name, path) == path, f"{name}: {path.name} too"
    assert places


@pytest.mark.parametrize(
    "folders", [f for f in TOGETHER if f[0].startswith(("cuda", "cpu"))], ids=" ".join
)
def test_files_that_are_compiled_as_one_hide_no_function_from_each_other(folders):
    """A function of a header's name, in a namespace further in, hides the header's."""
    files, top = _together(folders), folders[0].split("/")[0]
    headers = {
        name
        for path in NATIVE
        if path.suffix == ".h" and path.relative_to(ROOT / "native").parts[0] != top
        for name in FUNCTION.findall(path.read_text())
    }
    for path, own in files.items():
        for name in headers.intersection(FUNCTION.findall(own)):
            called = re.compile(rf"(?<![\w.>:]){name}\(")
            users = [
                p.name for p in files if p != path and called.search(p.read_text())
            ]
            assert not users, f"{name} of {path.name} is not that of {users[0]}"


@pytest.mark.parametrize("folders", TOGETHER, ids=" ".join)
def test_files_that_are_compiled_as_one_hide_no_type_from_each_other(folders):
    """A file's own type of a header's name leaves others unsure which is meant."""
    files = _together(folders)
    included = {
        name
        for path in files
        for name in re.findall(r'^#include "(.+)"', path.read_text(), re.MULTILINE)
    }
    headers = {
        name
        for header in included
        for name in TYPE.findall((ROOT / "native" / header).read_text())
    }
    for path, own in files.items():
        for name in headers.intersection(TYPE.findall(own)):
            # Those that come after it, and itself outside its own namespace.
            rest = {p: p.read_text() for p in files if p > path}
            rest[path] = path.read_text().replace(own, "")
            users = [
                p.name for p, text in rest.items() if re.search(rf"\b{name}\b", text)
            ]
            assert not users, f"{name} of {path.name} is not that of {users[0]}"


def test_no_two_files_of_tests_have_one_name():
    """Their folders are no packages: pytest imports each by its name alone."""
    names = [path.name for path in ROOT.glob("tests/**/test_*.py")]
    assert not [name for name in set(names) if names.count(name) > 1]


def test_only_the_team_sees_openmp():
    users = [p for p in NATIVE if re.search(r"omp\.h|#pragma omp", p.read_text())]
    names = [str(p.relative_to(ROOT / "native")) for p in users]
    assert names == ["runtime/call/team.cpp"]


def test_python_ops_are_the_native_rows():
    from slimlearn.backend import op, ops  # noqa: F401  (ops registers by being imported)

    tables = [ROOT / f"native/ir/{name}.def" for name in ("elementwise", "ops")]
    text = "".join(table.read_text() for table in tables)
    rows = re.findall(r"^[A-Z][A-Z_]*\((\w+)", text, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(op.OPS) == set(rows)
