"""A new op touches the places that backend/ops/README.md names, and no more.

One op of each kind is added to a copy of the tree; what the edits reach is compiled
again, without optimisation and for one instruction-set level, and linked with the
objects of the build that stands; then the registry's checks run on the two ops.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SLIM_BUILD_DIR", ROOT / "build"))
BUILD /= f"native-{sys.implementation.cache_tag}"

# Each place: what stands there, and the new text before it; "" for a new file.
ELEMENTWISE = {
    "backend/ops/unary.py": (
        "class Erf(Unary):",
        '''
class Cube(Unary):
    """a * a * a."""

    name = "cube"

    def reference(self, context, arrays, node):
        return [arrays[0] * arrays[0] * arrays[0]]

    def grad(self, node, index, dy):
        return dy * 3 * ops.square(node.operands[0])


''',
    ),
    "native/ir/elementwise.def": ("UNARY(relu,", "UNARY(cube, F, light, cube(x))\n"),
    "native/kernels/formulas/circular.h": (
        "// <= 2.4 ulp, of any x",
        "template <class V>\nSLIM_INLINE V cube(V x) {\n  return x * x * x;\n}\n\n",
    ),
    "tests/support/op_cases.py": ('    "abs": "away"', '    "cube": "away",\n'),
}
HEAVY = {
    "backend/ops/reduction.py": (
        "class Argmax(Op):",
        '''
class PrefixSum(Op):
    """The sum of the elements up to each, along the last axis."""

    name = "prefix_sum"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, FLOATS)
        refuse_unless(len(types[0][1]) >= 2, f"needs two axes: {describe(types)}")
        return [types[0]]

    def reference(self, context, arrays, node):
        return [np.cumsum(arrays[0], -1)]

    def grad(self, node, index, dy):
        total = ops.reduce_sum(dy, -1, keepdims=True)
        return total - prefix_sum(dy) + dy


@public
def prefix_sum(a: Tensor, name: str | None = None) -> Tensor:
    """Return the sum of the elements up to each, along the last axis."""
    return emit("prefix_sum", (a,), None, None, name)


''',
    ),
    "native/ir/ops.def": (
        "OP(softmax,",
        'OP(prefix_sum, 1, 1, 1, 0, "", 0, type_prefix_sum, rows_prefix_sum)\n',
    ),
    "native/ir/type_rules.cpp": (
        "void type_softmax(",
        """void type_prefix_sum(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kFloats);
  need_rank(v, 0, 2);
  need_result(v, v.operand(0).dtype, v.operand(0).dims);
}

""",
    ),
    "native/ir/row_rules.cpp": (
        "Rows rows_transpose(",
        """Rows rows_prefix_sum(const NodeView& v, const std::vector<Rows>& operands,
                     const std::string& symbol) {
  return carried(v, operands, symbol);
}

""",
    ),
    "native/cpu/reduce/prefix_sum.cpp": (
        "",
        """// Kernel of prefix_sum: the sum of the elements up to each of a row.
#include "cpu/kernel_set.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

template <class T>
class PrefixSum final : public Launch {
 public:
  explicit PrefixSum(const Binding& binding)
      : src_(binding.operands[0]), dst_(binding.results[0]), width_(src_.dims.back()) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    const T* src = src_.in<T>(context);
    T* dst = dst_.in<T>(context);
    for (int64_t i = 0; i < src_.count(context.rows); ++i) {
      dst[i] = i % width_ == 0 ? src[i] : dst[i - 1] + src[i];
    }
  }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(src_.count(rows));
    return {n, 2 * n * sizeof(T)};
  }

 private:
  Buffer src_, dst_;
  int64_t width_;
};

Prepared prepare_prefix_sum(const Binding& binding) {
  if (binding.operands[0].dtype == DType::f32) {
    return std::make_unique<PrefixSum<float>>(binding);
  }
  return std::make_unique<PrefixSum<double>>(binding);
}

}  // namespace

SLIM_KERNEL(prefix_sum, prepare_prefix_sum);

}  // namespace slim::SLIM_ISA_NAMESPACE
""",
    ),
    "tests/support/op_cases.py": (
        "_COMPARISONS =",
        'case("prefix_sum", ops.prefix_sum, a=ROWS)\n'
        'case("prefix_sum", ops.prefix_sum, "rank3", a=Source((B, 3, 4)))\n',
    ),
}


def named_places(title: str) -> list[set[str]]:
    """Return the files that the README names at each of its numbered places."""
    text = (ROOT / "backend/ops/README.md").read_text()
    section = text.split(title)[1].split("\n## ")[0]
    places = re.split(r"^\d\. ", section, flags=re.M)[1:]
    assert len(places) <= (4 if "Elementwise" in title else 6)
    found = []
    for place in places:
        files = re.findall(r"`([\w./<>]+)`", place.split(":")[0])
        folder = str(Path(files[0]).parent)
        found.append({f if "/" in f else f"{folder}/{f}" for f in files})
    return found


@pytest.mark.parametrize(
    ("title", "edits"),
    [("## Elementwise", ELEMENTWISE), ("## Any other op", HEAVY)],
)
def test_the_edits_are_those_the_readme_names(title, edits):
    for path, files in zip(edits, named_places(title), strict=True):
        patterns = [re.escape(f).replace(r"<family>", r"\w+") for f in files]
        patterns = [p.replace("<op>", r"\w+") for p in patterns]
        assert any(re.fullmatch(p, path) for p in patterns), path


def edit(copy: Path, edits: dict) -> None:
    for name, (before, new) in edits.items():
        path = copy / name
        if not before:
            path.write_text(new)
            continue
        text = path.read_text()
        assert text.count(before) == 1, f"{name} has no single {before!r}"
        path.write_text(text.replace(before, new + before))


def ninja(*arguments) -> list[str]:
    command = [shutil.which("ninja", path=tools()), "-C", BUILD, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def tools() -> str:
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def objects_that_read(files: set[Path]) -> set[str]:
    """Return the objects that depend on any of these sources."""
    found, target = set(), ""
    for line in ninja("-t", "deps"):
        if line.startswith("    "):
            if Path(os.path.normpath(BUILD / line.strip())) in files:
                found.add(target)
        else:
            target = line.split(":")[0]
    return found


def build(copy: Path, edited: set[str]) -> None:
    """Compile what the edits reach, for one level, and link it with what stands."""
    *compiles, link = ninja("-t", "commands", f"_native{module_suffix()}")
    if any("cmake_pch" in command for command in compiles):
        pytest.skip("headers are compiled beforehand: build with SLIM_WERROR=ON")
    command_of = {after(c.split(), "-o"): c for c in compiles}
    levels = {
        m[0] for o in command_of if (m := re.match(r"CMakeFiles/slim_cpu_[a-z0-9]+", o))
    }
    level = min(levels)
    stale = objects_that_read({ROOT / name for name in edited})
    jobs = {
        target: command_of[target]
        for target in sorted(stale & command_of.keys())
        if target.startswith(level) or "slim_cpu_" not in target
    }
    # A new file is compiled as its neighbour is.
    neighbour = f"{level}_small.dir/cpu/reduce/argmax.cpp.o"
    new = [
        name.removeprefix("native/") for name in edited if not (ROOT / name).exists()
    ]
    for name in new:
        command = command_of[neighbour].replace("cpu/reduce/argmax.cpp", name)
        jobs[f"{level}_small.dir/{name}.o"] = command
    environment = os.environ | {"CCACHE_BASEDIR": str(copy), "CCACHE_NOHASHDIR": "1"}
    place = {}
    for target, command in jobs.items():
        place[target] = str(copy / target.replace("/", "_"))
        command = command.replace(str(ROOT / "native"), str(copy / "native"))
        words = shlex.split(command.replace(target, place[target]))
        subprocess.run([*words, "-O0"], cwd=BUILD, env=environment, check=True)
    words = [
        place.pop(word, word)
        for word in shlex.split(link.strip(": &"))
        if word.startswith(level) or "slim_cpu_" not in word
    ]
    words[words.index("-o") + 1] = str(copy / f"_native{module_suffix()}")
    subprocess.run([*words, *place.values()], cwd=BUILD, check=True)


def after(words: list[str], word: str) -> str:
    return words[words.index(word) + 1]


def module_suffix() -> str:
    from slimlearn import _native

    return Path(_native.__file__).name.removeprefix("_native")


def test_ops_added_at_these_places_pass_the_registry_s_checks(tmp_path):
    if not (BUILD / "build.ninja").exists():
        pytest.skip("no folder of a build by ninja stands beside these sources")
    copy = tmp_path / "slimlearn"
    copy.mkdir()
    for folder in ("backend", "layers", "estimators", "native", "tests", "examples"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignore)
    for path in (*ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy(path, copy)
    edit(copy, ELEMENTWISE)
    edit(copy, HEAVY)
    build(copy, {*ELEMENTWISE, *HEAVY})
    tests = [
        "tests/graph/test_ops.py",
        "tests/native/test_native_ops.py",
        "tests/native/test_native_text.py",
        "tests/system/test_architecture.py",
    ]
    which = "cube or prefix_sum or every_op_has or native_rows or reduction.py"
    # The copy has one level, whichever these tests run on.
    environment = {key: os.environ[key] for key in os.environ if key != "SLIM_ISA"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *tests,
            "-k",
            which,
        ],
        cwd=copy,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert int(passed[1]) > 50
