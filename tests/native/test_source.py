"""Tapes printed as C and CUDA: the C gives the bits of the kernels.

Every elementwise op of the registry, chains and optimizers stand in one file, which the
system's compiler turns into one library a level.
"""

import functools
import os
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from support.c_source import Library, assert_same_bits, compiler, empty
from support.native_run import ISAS
from support.op_cases import CASES

from slimlearn import _native
from slimlearn.backend import engine, ops
from slimlearn.backend import optimizer as o
from slimlearn.backend.graph import Graph, Model, inside
from slimlearn.backend.op import OPS, emit
from slimlearn.backend.ops.binary import Binary
from slimlearn.backend.ops.unary import Unary
from slimlearn.backend.program import Program
from slimlearn.backend.reference import DTYPES
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler here")

FLOATS = ("f32", "f64")
ROOT = Path(__file__).resolve().parents[2]
ELEMENTWISE = sorted(n for n, c in OPS.items() if isinstance(c, Unary | Binary))
MEMORY = ("identity", "stop_gradient")  # moves at most, nothing to compute


class Job:
    """A function ``f`` whose nodes are all tapes, and its sources by value's name."""

    def __init__(self, model: Model | str, make_sources, rows: int):
        self.text = model if isinstance(model, str) else print_program(model)
        self.make_sources = make_sources
        self.rows = rows

    def want(self, isa: str) -> tuple:
        program = Program(self.text)
        model = engine.compile(self.text, isa=isa)
        return model.run("f", self.make_sources(), program)


JOBS: dict[str, Job] = {}


def add(prefix: str, build, arrays, fixed=()) -> None:
    """A job whose function applies `build` to the tensors of named arrays."""
    made = arrays()
    words = {np.dtype(numpy): word for word, numpy in DTYPES.items()}
    model = Model("f32")
    with model.function("f") as graph:
        tensors = {
            name: ops.input_(
                name,
                array.shape if name in fixed else (B, *array.shape[1:]),
                words[array.dtype],
            )
            for name, array in made.items()
        }
        out = build(**tensors)
        graph.return_(*(out if isinstance(out, tuple) else (out,)))
    rows = [len(a) for name, a in made.items() if name not in fixed]
    JOBS[prefix] = Job(model, arrays, rows[0] if rows else 1)


# The registry's cases: shapes, broadcasts, all types.
for _op in (*ELEMENTWISE, "select", "cast", "fused"):
    for _i, _case in enumerate(CASES[_op]):
        _sources = functools.partial(_case.sources, "f32", rows=37)
        JOBS[f"case_{_op}_{_i}"] = Job(_case.model("f32"), _sources, 37)


# Every op over special numbers, against each other, and a sweep over all magnitudes.
def special(dtype: str) -> np.ndarray:
    numpy = np.dtype(DTYPES[dtype])
    if numpy.kind == "b":
        return np.array([False, True])
    if numpy.kind == "i":
        info = np.iinfo(numpy)
        return np.array([0, 1, -1, 2, -7, info.max, info.min, info.min + 1], numpy)
    info = np.finfo(numpy)
    steps = [0.5, 1, 1.5, 2, 2.5, 3, 17, 44, 87, 89, 104, 700, 720, 1e4, 1.5e6, 1e7]
    edges = [0, info.smallest_subnormal, info.tiny / 2, info.tiny, info.max, np.inf]
    near = [np.nextafter(numpy.type(1), numpy.type(to)) for to in (0, 2)]
    some = np.array([*edges, *steps, *near, 1e-30, 1e30, np.pi / 2], numpy)
    return np.concatenate([some, -some, np.array([np.nan], numpy)])


def sweep(rng, dtype: str, count: int) -> np.ndarray:
    """Numbers of all magnitudes, most of them near 1; integers of all sizes."""
    numpy = np.dtype(DTYPES[dtype])
    if numpy.kind == "b":
        return rng.random(count) < 0.5
    if numpy.kind == "i":
        shift = rng.integers(0, 8 * numpy.itemsize, count)
        return rng.integers(-(2**63), 2**63 - 1, count).astype(numpy) >> shift
    info = np.finfo(numpy)
    wide = np.exp2(rng.uniform(info.minexp - 3, info.maxexp, count // 3))
    near = np.exp2(rng.uniform(-6, 8, count // 3))
    unit = rng.uniform(0, 1, count - len(wide) - len(near))
    values = np.concatenate([wide, near, unit]) * rng.choice([-1, 1], count)
    return rng.permutation(values).astype(numpy)


def numbers(dtype: str, operands: int) -> dict:
    rng = np.random.default_rng(operands)
    some, many = special(dtype), 3000
    if operands == 1:
        return {"a": np.concatenate([some, sweep(rng, dtype, many)])}
    left, right = np.repeat(some, len(some)), np.tile(some, len(some))
    return {
        "a": np.concatenate([left, sweep(rng, dtype, many)]),
        "b": np.concatenate([right, sweep(rng, dtype, many)]),
    }


for _op in ELEMENTWISE:
    if _op == "cast" or _op in MEMORY:
        continue
    _count = 1 if isinstance(OPS[_op], Unary) else 2
    for _dtype in sorted(OPS[_op].dtypes):
        if _dtype != "u8":
            add(
                f"all_{_op}_{_dtype}",
                lambda op=_op, **tensors: emit(op, tuple(tensors.values())),
                functools.partial(numbers, _dtype, _count),
            )


# Chains: shapes that broadcast in every way, types that change, totals.
SHAPES = ((B, 6), (6,), (B, 1), (), (B, 3, 6), (B, 3, 1), (3, 1), (B, 1, 6), (3, 6))
ONE = (ops.tanh, ops.sigmoid, ops.softplus, ops.sin, ops.exp, ops.erf, ops.neg, ops.abs)
TWO = (ops.add, ops.sub, ops.mul, ops.div, ops.maximum, ops.sigmoid_cross_entropy)


def chain(seed: int, precision: str, rows: int) -> Job:
    rng = random.Random(seed)
    model = Model(precision)
    with model.function("f") as graph:
        values = [ops.input_(f"x{i}", s, precision) for i, s in enumerate(SHAPES)]
        for _ in range(14):
            a = rng.choice(values)
            partners = [b for b in values if fit(a, b)]
            kind = rng.randrange(5)
            if kind == 0:
                made = rng.choice(ONE)(a)
            elif kind == 1:
                b = rng.choice(partners)
                made = ops.select(
                    ops.less(a, b), ops.cast(ops.cast(a, "i32"), precision), a
                )
            elif kind == 2:
                made = ops.cast(a, "f64") * 0.1
                made = ops.cast(made, precision)
            else:
                made = rng.choice(TWO)(a, rng.choice(partners))
            values.append(made)
        used = {v for node in graph.nodes for v in node.operands}
        graph.return_(*(v for v in values[len(SHAPES) :] if v not in used))

    def sources():
        draw = np.random.default_rng(seed)
        shapes = [tuple(rows if d is B else d for d in s) for s in SHAPES]
        return {
            f"x{i}": draw.standard_normal(shape).astype(DTYPES[precision])
            for i, shape in enumerate(shapes)
        }

    return Job(model, sources, rows)


def fit(a, b) -> bool:
    """Whether the shapes broadcast, the batch against the batch alone."""
    few = min(a, b, key=lambda v: v.rank)
    if a.rank != b.rank and B in few.shape:
        return False
    pairs = zip(reversed(a.shape), reversed(b.shape), strict=False)
    return all(x == y or 1 in (x, y) for x, y in pairs)


for _seed in range(12):
    for _precision in FLOATS:
        _rows = (1, 2, 37, 150)[_seed % 4]
        JOBS[f"chain_{_seed}_{_precision}"] = chain(_seed, _precision, _rows)


def region_of(tensors: tuple, build) -> tuple:
    """The results of a fused node that applies `build` to these tensors."""
    region = Graph("region")
    inner = [
        region.add_parameter(f"p{i}", t.dtype, t.shape) for i, t in enumerate(tensors)
    ]
    with inside(region):
        region.returns = list(build(*inner))
    return emit("fused", tensors, regions=[region])


# Operands of one region that vary along some axes only, and results of every extent.
def spread(rows: int, precision: str) -> None:
    def arrays():
        rng = np.random.default_rng(rows)
        shapes = {"a": (rows, 3, 6), "b": (rows, 1, 6), "c": (rows, 1, 1), "d": (3, 1)}
        shapes |= {"e": (rows, 3, 1), "g": (6,), "h": ()}
        kind = DTYPES[precision]
        return {n: rng.standard_normal(s).astype(kind) for n, s in shapes.items()}

    def build(a, b, c, d, e, g, h):
        def inner(a, b, c, d, e, g, h):
            return a * b + c - d * e, ops.tanh(e), ops.tanh(g), ops.tanh(h), e, h

        return region_of((a, b, c, d, e, g, h), inner)

    add(f"spread_{rows}_{precision}", build, arrays, fixed=("d", "g", "h"))


for _precision in FLOATS:
    for _rows in (1, 5, 400):
        spread(_rows, _precision)


# Totals: blocks of whole rows and of parts of one, several runs of blocks.
def totals(width: int, rows: int, precision: str) -> None:
    def arrays():
        rng = np.random.default_rng(width)
        a = rng.standard_normal((rows, width)).astype(DTYPES[precision])
        return {"a": a, "w": rng.standard_normal(width).astype(a.dtype)}

    def build(a, w):
        def inner(a, w):
            z = ops.square(a) * w
            return z, ops.reduce_sum(z) * 2.0, ops.reduce_sum(ops.abs(a))

        return region_of((a, w), inner)

    add(f"total_{width}_{rows}_{precision}", build, arrays, fixed=("w",))


for _precision in FLOATS:
    for _width, _rows in ((1, 700), (7, 300), (700, 5), (512, 70), (5, 1), (3, 3000)):
        totals(_width, _rows, _precision)


# Optimizers: slots and hypers become inputs, what is set is returned.
RULES = {
    **{
        name: (make(), {})
        for name, make in o.named.OPTIMIZERS.items()
        if make.iterative or name == "sgd"
    },
    "sgd_plain": (o.SGD(momentum=0.0), {}),
    "sgd_classic": (o.SGD(0.8, nesterov=False), {}),
    "rmsprop_momentum": (o.RMSProp(momentum=0.5), {}),
    "ftrl_l1": (o.Ftrl(0.5, 0.2, 1.0), {}),
    "adam_all": (o.Adam(), {"l1": True, "l2": True, "clip": True, "rate": True}),
    "adamw_all": (o.AdamW(weight_decay=0.1), {"l1": True, "l2": True, "rate": True}),
}


def update(optimizer, keywords: dict, precision: str) -> Job:
    model = Model(precision)
    optimizer.build(model, **keywords)
    text = print_program(model).replace("[P]", "[B]").replace("func update", "func f")
    inputs, lines, sets, hypers, slots = [], [], [], [], []
    for line in text.splitlines():
        if found := re.fullmatch(r"(hyper|slot) %(\S+) : (.*)", line):
            kind, name, kind_of = found.groups()
            (hypers if kind == "hyper" else slots).append(name)
            inputs.append(f'  %{name} = input(source="{name}") : {kind_of}')
        elif found := re.fullmatch(r"  set %\S+ = (%\S+)", line):
            sets.append(found[1])
        elif line.startswith("  return "):
            lines.append(", ".join([line, *sets]))
        else:
            lines.append(line)
    lines[lines.index("func f {") + 1 : 0] = []
    at = lines.index("func f {") + 1
    text = "\n".join([*lines[:at], *inputs, *lines[at:]]) + "\n"

    def sources():
        rng = np.random.default_rng(len(slots))
        numpy = DTYPES[precision]
        values = {
            **{name: np.float64(rng.uniform(0.1, 0.9)) for name in hypers},
            **{name: rng.uniform(0, 2, 1500).astype(numpy) for name in slots},
            "weight": rng.standard_normal(1500).astype(numpy),
            "gradient": rng.standard_normal(1500).astype(numpy),
        }
        values["weight"][::7] = 0
        if "step" in values:
            values["step"] = np.float64(3)
        return {name: np.asarray(value) for name, value in values.items()}

    return Job(text, sources, 1500)


for _name, (_rule, _keywords) in RULES.items():
    for _precision in FLOATS:
        JOBS[f"update_{_name}_{_precision}"] = update(_rule, _keywords, _precision)


def functions() -> dict:
    return {prefix: (job.text, "f") for prefix, job in JOBS.items()}


@functools.cache
def library(isa: str) -> Library:
    folder = Path(tempfile.mkdtemp(prefix="slim-source-"))
    try:
        return Library(functions(), isa, folder)
    finally:
        shutil.rmtree(folder)


@needs_compiler
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("prefix", JOBS)
def test_bits_of_the_kernels(prefix, isa):
    job = JOBS[prefix]
    text = _native.optimize(job.text, "f")
    got = library(isa).run(prefix, text, job.make_sources(), job.rows)
    for one, want in zip(got, job.want(isa), strict=True):
        assert_same_bits(one, want)


def tape_of(build, shape=(B, 12)) -> str:
    """The text of a function of one input."""
    model = Model("f32")
    with model.function("f") as graph:
        out = build(ops.input_("x", shape, "f32"))
        graph.return_(*(out if isinstance(out, tuple) else (out,)))
    return print_program(model)


@needs_compiler
def test_columns_of_wider_values_are_read_and_stored_where_they_lie(tmp_path):
    def build(x):
        return ops.concat((ops.tanh(x[..., 3:8]), ops.exp(x[..., 8:])))

    text = tape_of(build)
    made = Library({"f": (text, "f")}, ISAS[-1], tmp_path)
    x = np.random.default_rng(0).standard_normal((37, 12)).astype(np.float32)
    (want,) = engine.compile(text, isa=ISAS[-1]).run("f", {"x": x}, Program(text))
    got = np.zeros((37, 9), np.float32)
    parts = {"tanh": (x[:, 3:8], got[:, :5]), "exp": (x[:, 8:], got[:, 5:])}
    assert [k.op for k in made.kernels("f")] == list(parts)
    for kernel in made.kernels("f"):
        assert kernel.operands[0].row_stride == 12
        assert kernel.results[0].row_stride == 9
        src, dst = parts[kernel.op]
        made.call(kernel, 37, [src], [dst])
    assert_same_bits(got, want)


@needs_compiler
def test_what_follows_a_product_is_a_function_of_the_product(tmp_path):
    model = Model("f32")
    with model.function("f") as graph:
        x, w = ops.input_("x", (B, 4), "f32"), ops.input_("w", (4, 9), "f32")
        b = ops.input_("b", (9,), "f32")
        graph.return_(ops.matmul(x, w), ops.tanh(ops.matmul(x, w * 2) + b))
    text = print_program(model)
    made = Library({"f": (text, "f")}, ISAS[-1], tmp_path)
    rng = np.random.default_rng(0)
    shapes = {"x": (37, 4), "w": (4, 9), "b": (9,)}
    sources = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    run = engine.compile(text, isa=ISAS[-1]).run
    plain, want = run("f", sources, Program(text))
    (kernel,) = [k for k in made.kernels("f") if k.op == "matmul"]
    assert kernel.operands[0].name == kernel.results[0].name
    got = empty(kernel.results[0], 37)
    # Twice the weights: twice the product, exactly.
    made.call(kernel, 37, [plain * 2, sources["b"]], [got])
    assert_same_bits(got, want)


@needs_compiler
def test_results_may_lie_where_operands_do(tmp_path):
    job = JOBS["update_adam_f32"]
    made = Library({"f": (job.text, "f")}, ISAS[-1], tmp_path)
    (kernel,) = made.kernels("f")
    values = job.make_sources()
    operands = [values[operand.name] for operand in kernel.operands]
    apart = [empty(result, job.rows) for result in kernel.results]
    made.call(kernel, job.rows, operands, apart)
    full = [a for a in operands if a.ndim]
    assert len(full) == len(apart) + 1  # the gradient
    places = [values[name] for name in ("weight", "adam/m", "adam/v")]
    order = [r.name for r in kernel.results]
    text = _native.optimize(job.text, "f")
    names = re.search(r"return (.*)", text)[1].replace("%", "").split(", ")
    place = dict(zip(names, places, strict=True))
    made.call(kernel, job.rows, operands, [place[name] for name in order])
    for name, array in zip(order, apart, strict=True):
        assert_same_bits(place[name], array)


def test_every_elementwise_row_has_a_formula_in_both_dialects():
    rows = (ROOT / "native/ir/elementwise.def").read_text()
    rows = set(re.findall(r"^[A-Z_]+\((\w+)", rows, re.M)) - set(MEMORY)
    for dialect in ("c", "cuda"):
        made = engine.source(functions(), dialect)
        printed = {k.op for k in made.kernels}
        assert rows <= printed
        of = {k.name.split("_", 1)[1] for k in made.kernels if k.name.startswith("all")}
        for op in rows - {"select", "cast"}:
            types = [t for t in OPS[op].dtypes if t != "u8"]
            assert {f"{op}_{t}_0" for t in types} <= of
        refused = {name.split("_")[0] for name in made.refused}
        assert refused == ({"total"} if dialect == "cuda" else set())


def test_only_the_functions_that_a_tape_uses_are_printed():
    plain = engine.source({"f": (tape_of(ops.relu), "f")}).text
    assert "slim_" not in plain
    text = engine.source({"f": (tape_of(lambda x: ops.exp(ops.exp(x))), "f")}).text
    assert re.findall(r"static float (\w+)", text) == ["slim_as_f32", "slim_exp_f32"]


def test_what_cannot_be_printed_is_refused():
    text = tape_of(ops.tanh)
    with pytest.raises(ValueError, match="c and cuda, not fortran"):
        engine.source({"f": (text, "f")}, "fortran")
    with pytest.raises(ValueError, match="cannot be named 'f/x': use letters"):
        engine.source({"f/x": (text, "f")})
    with pytest.raises(ValueError, match="no function g"):
        engine.source({"f": (text, "g")})
    total = JOBS["total_7_300_f32"]
    (why,) = engine.source({"f": (total.text, "f")}, "cuda").refused.values()
    assert why.startswith("[fused ")
    assert "the work of one block" in why


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc here")
def test_cuda_compiles(tmp_path):
    chosen = ("all_", "spread_5", "chain_1_", "update_")
    some = {name: f for name, f in functions().items() if name.startswith(chosen)}
    made = engine.source(some, "cuda")
    (tmp_path / "tapes.cu").write_text(made.text)
    command = "nvcc -ptx --fmad=false --ftz=true -Werror all-warnings tapes.cu"
    # The libraries of a sanitizer are for Python alone.
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    options = {"cwd": tmp_path, "env": environment}
    done = subprocess.run(command.split(), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    entries = re.findall(r"\.entry (\w+)\(", (tmp_path / "tapes.ptx").read_text())
    assert set(entries) == {kernel.name for kernel in made.kernels}
