"""The native passes: text before and after, and the same values from both."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from support.memory import check_disjoint

from slimlearn import _native, layers
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model, element_of, storage_of
from slimlearn.backend.optimizer import Adam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program, print_program

GOLDENS = sorted((Path(__file__).parent / "passes").glob("*.slim"))
PASSES = (
    "prune",
    "round_operands",
    "simplify",
    "hoist",
    "share",
    "legalize_broadcast",
    "turn_operands",
    "detach",
    "fuse_reduction",
    "fuse_epilogue",
    "fuse_pooling",
    "fuse_elementwise",
)


def read(path: Path) -> tuple[str, str, str, str]:
    """Return the pass, its function, and the text before and after of a golden."""
    before, after = path.read_text().split("\n# after\n")
    name = next(p for p in PASSES if path.stem.startswith(p + "_"))
    return name, re.search(r"^func (\w+)", before, re.MULTILINE)[1], before, after


@pytest.mark.parametrize("path", GOLDENS, ids=lambda p: p.stem)
def test_golden(path):
    name, function, before, after = read(path)
    assert _native.run_pass(before, function, name) == after
    assert _native.run_pass(after, function, name) == after, "a second run changes it"


def test_every_pass_has_a_golden():
    assert {read(path)[0] for path in GOLDENS} == set(PASSES)
    with pytest.raises(ValueError, match="there is no pass polish: there are prune"):
        _native.run_pass("slim 1\n\nfunc f {\n}\n", "f", "polish")


@pytest.mark.parametrize("path", GOLDENS, ids=lambda p: p.stem)
def test_values_before_are_values_after(path):
    """The reference computes both texts to the same bits."""
    _, function, before, after = read(path)
    results = [run(text, function) for text in (before, after, optimized(before))]
    for result in results[1:]:
        for first, second in zip(results[0].returns, result.returns, strict=True):
            np.testing.assert_array_equal(first, second)
        assert results[0].sets.keys() == result.sets.keys()
        for name, array in results[0].sets.items():
            np.testing.assert_array_equal(array, result.sets[name])


def run(text: str, function: str):
    model = parse_program(text)
    rng = np.random.default_rng(5)
    sizes = {"B": 6, "P": 12}

    def some(tensor):
        shape = [d if isinstance(d, int) else d.evaluate(sizes) for d in tensor.shape]
        values = rng.uniform(0.5, 1.5, shape)
        array = values.astype(reference.DTYPES[element_of(tensor.dtype)])
        return sparse.csr_array(array) if storage_of(tensor.dtype) else array

    declared = {d.name: some(d) for d in model.declarations.values()}
    of = {kind: {} for kind in ("param", "state", "slot", "hyper")}
    for d in model.declarations.values():
        of[d.kind][d.name] = declared[d.name]
    sources = {}
    rng = np.random.default_rng(6)
    shapes = {"X": 0, "g": 1, "l": 2, "sample_weight": 3, "y": 4, "weight": 5}
    for node in model.functions[function].nodes:
        if node.op == "input":
            name = node.attributes["source"]
            rng = np.random.default_rng(shapes.get(name, 7))
            sources[name] = some(node.results[0])
    hypers = {name: float(value) for name, value in of["hyper"].items()}
    return reference.run(
        model, function, sources, of["param"], of["state"], hypers, slots=of["slot"]
    )


def optimized(text: str) -> str:
    for function in re.findall(r"^func (\S+)", text, re.MULTILINE):
        text = _native.optimize(text, function)
    return text


def digits(weighted: bool, normalizer=None) -> Model:
    """The network 64-100-10 with its loss, gradients and Adam."""
    model = Model("f32")

    def logits():
        x = ops.input_("X", (B, 64), "f32")
        net = layers.fully_connected(x, 100, normalizer_fn=normalizer)
        return layers.fully_connected(net, 10, activation_fn=None)

    with model.function("predict") as graph:
        graph.return_(ops.cast(logits(), "f64"))
    with model.function("grad", training=True) as graph:
        w = ops.input_("sample_weight", (B,), "f32") if weighted else None
        raw = logits()
        loss = ops.sparse_softmax_cross_entropy(raw, ops.input_("y", (B,), "i32"))
        rows, start = ops.extent(B, "f64"), ops.reciprocal(ops.extent(B, "f32"))
        if weighted:
            total = ops.reduce_sum(ops.cast(ops.mul(loss, w), "f64"))
            weight, start = ops.reduce_sum(ops.cast(w, "f64")), ops.mul(w, start)
        else:
            total, weight = ops.reduce_sum(ops.cast(loss, "f64")), rows
            start = ops.broadcast_to(start, (B,))
        graph.return_(ops.div(total, rows), total, weight)
        trained = list(model.parameters)
        for p, g in zip(trained, gradients([loss], trained, [start]), strict=True):
            graph.grad_(p, g)
    Adam().build(model, l1=False, l2=False, clip=False)
    return model


def launches(text: str, function: str) -> int:
    """Count what is neither an input nor an alias in a function."""
    body = re.search(rf"^func {function} {{\n(.*?)^}}", text, re.M | re.S)[1]
    found = re.findall(r"^  %.* = (\w+)\(", body, re.M)
    return sum(op not in ("input", "reshape") for op in found)


@pytest.mark.parametrize("weighted", [False, True])
def test_launches_of_a_step(weighted):
    text = optimized(print_program(digits(weighted)))
    assert launches(text, "predict") == 3
    assert launches(text, "grad") == 10
    assert launches(text, "update") == 1


@pytest.mark.parametrize("depth", [1, 5])
def test_launches_of_convolutions_with_norms(depth):
    """In inference one each and one for all slopes; in training 7 each."""

    def network(name):
        model = Model("f32")
        with model.function(name, training=name == "grad") as graph:
            net = ops.input_("X", (B, 9, 9, 8), "f32")
            for _ in range(depth):
                net = layers.conv2d(net, 8, 3, normalizer_fn=layers.batch_norm)
            graph.return_(ops.reduce_sum(net))
            if name == "grad":
                for p, g in zip(
                    model.parameters,
                    gradients([graph.returns[0]], list(model.parameters)),
                    strict=True,
                ):
                    graph.grad_(p, g)
        return launches(optimized(print_program(model)), name)

    assert network("predict") == depth + 2  # slopes, convolutions, the sum
    assert network("grad") == 7 * depth + 1


@pytest.mark.parametrize("normalizer", [None, layers.batch_norm])
def test_fused_is_unfused(normalizer):
    """A step with all passes gives the reference's gradients, bit for bit in text."""
    model = digits(True, normalizer)
    text = print_program(model)
    fused = parse_program(optimized(text))
    rng = np.random.default_rng(0)
    sources = {
        "X": rng.standard_normal((7, 64)).astype("f4"),
        "y": rng.integers(0, 10, 7).astype("i4"),
        "sample_weight": rng.uniform(0.5, 2, 7).astype("f4"),
    }
    params = {
        p.name: rng.standard_normal(p.shape).astype("f4") for p in model.parameters
    }
    state = {s.name: np.ones(s.shape, "f4") for s in model.states}
    a, b = (
        reference.run(m, "grad", sources, params, state, {}) for m in (model, fused)
    )
    for name, gradient in a.grads.items():
        np.testing.assert_allclose(b.grads[name], gradient, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(a.returns, b.returns, rtol=1e-12)


def test_memory_keeps_live_values_apart():
    text = optimized(print_program(digits(True, layers.batch_norm)))
    sizes = {"B": 32, "P": 4096}
    for function in ("predict", "grad"):
        facts = _native.memory(text, function, sizes)
        check_disjoint(text, function, facts, sizes)
        assert facts["scratch_bytes"] % 64 == 0
    assert _native.memory(text, "update", sizes)["copies"] == []


def test_a_dying_operand_is_overwritten():
    text = """slim 1

func predict {
  %x = input(source="X") : f32[B,16]
  %a = softmax(%x) : f32[B,16]
  %b = exp(%a) : f32[B,16]
  %c = reshape(%b) : f32[16*B]
  %d = neg(%c) : f32[16*B]
  return %d
}
"""
    facts = _native.memory(text, "predict", {"B": 8})
    places = facts["places"]
    assert places["a"] == places["b"] == places["c"] == places["d"]
    assert facts["scratch_bytes"] == 2 * (8 * 16 * 4 + 64)


def test_an_assignment_is_written_where_it_belongs():
    text = """slim 1
param %w : f32[4]
state %s : f32[4]

func grad {
  %a = exp(%s) : f32[4]
  %b = neg(%w) : f32[4]
  %c = add(%s, %b) : f32[4]
  set %s = %a
  grad %w = %c
}
"""
    facts = _native.memory(text, "grad", {"B": 8})
    assert facts["copies"] == [("a", 2, 0)], "%s is still read after %a is computed"
    assert facts["places"]["c"] == (3, 0)
    assert facts["places"]["a"][0] == 0


def test_the_first_part_of_a_value_is_not_all_of_it():
    """What overwrites %a may lie at its gradient's place; the larger %c may not."""
    text = """slim 1
param %v : f32[4]
param %w : f32[4]

func grad {
  %a = softmax(%v) : f32[4]
  %c = concat(%a, %w, axis=0) : f32[8]
  %d = reduce_sum(%c, axes=[0], keepdims=false) : f32[]
  %e = mul(%a, %d) : f32[4]
  %f = neg(%w) : f32[4]
  grad %v = %e
  grad %w = %f
}
"""
    facts = _native.memory(text, "grad", {"B": 8})
    assert facts["places"]["a"] == facts["places"]["c"]
    assert facts["places"]["c"][0] == 0
    assert facts["places"]["e"] == (3, 0)


def test_what_does_not_fit_memory_is_refused():
    text = "slim 1\n\nfunc predict {\n  %x = iota() : i64[B]\n  return %x\n}\n"
    with pytest.raises(ValueError, match=r"%x : i64\[B\] is too large"):
        _native.memory(text, "predict", {"B": 2**62})


def test_a_pass_dumps_its_text(monkeypatch, capfd):
    monkeypatch.setenv("SLIM_DUMP", "1")
    text = "slim 1\n\nfunc predict {\n  %x = iota() : i64[B]\n  return %x\n}\n"
    _native.optimize(text, "predict")
    # The last is one for devices that know 16 bits: test_cuda_sixteen_bits.
    found = re.findall(r"# after (\w+)", capfd.readouterr().err)
    assert found == [*PASSES, "keep_rounded"]


# Shapes of random programs: every pair broadcasts or is left alone.
SHAPES = ["B,4", "4", "B,1", "B,2", "", "B", "4,4"]
UNARY = ["neg", "exp", "tanh", "square", "relu", "identity", "sigmoid", "softmax"]
BINARY = ["add", "mul", "sub", "maximum", "relu_grad", "div"]


def cond(draw, a, b) -> str:
    """A cond on %flag over two values, (name, shape), where b's broadcasts to a's."""
    (x, shape), (y, small) = a, b
    head = f"    (%a : f32[{shape}], %b : f32[{small}])\n"
    unary = st.sampled_from(UNARY[: -1 if shape == "" else None])
    branches = []
    for _ in range(2):
        lines, last = "", "a"
        for i in range(draw(st.integers(0, 3))):
            op, other = draw(st.sampled_from(BINARY)), draw(st.sampled_from("ab"))
            lines += f"    %t{i} = {draw(unary)}(%{last}) : f32[{shape}]\n"
            lines += f"    %u{i} = {op}(%t{i}, %{other}) : f32[{shape}]\n"
            last = f"u{i}"
        branches.append(f"{head}{lines}    yield %{last}\n")
    return f"cond(%flag, {x}, {y}) {{\n{branches[0]}  }} {{\n{branches[1]}  }}"


@st.composite
def programs(draw) -> str:
    """A function over X [B,4], y [B] and two parameters, of random nodes."""
    values = {"B,4": ["X"], "4": ["p"], "4,4": ["q"], "B": ["y"]}
    values |= {"": [], "B,1": [], "B,2": []}
    lines = []

    def emit(statement: str, shape: str) -> None:
        lines.append(f"  %v{len(lines)} = {statement} : f32[{shape}]")
        values[shape].append(f"v{len(lines) - 1}")

    def pick(shape: str) -> str:
        if not values[shape]:
            emit(
                f"constant(value={draw(st.sampled_from(['0.0', '1.0', '0.5']))})", shape
            )
        return "%" + draw(st.sampled_from(values[shape]))

    for _ in range(draw(st.integers(3, 22))):
        kind = draw(st.integers(0, 12))
        shape = draw(st.sampled_from(SHAPES))
        if kind <= 1:
            op = draw(st.sampled_from(UNARY[: -1 if shape == "" else None]))
            emit(f"{op}({pick(shape)})", shape)
        elif kind <= 4:
            op = draw(st.sampled_from(BINARY))
            small = draw(st.sampled_from(SMALLER[shape]))
            pair = draw(st.permutations([pick(shape), pick(small)]))
            emit(f"{op}({pair[0]}, {pair[1]})", shape)
        elif kind == 5:
            b = "transpose_b=" + draw(st.sampled_from(["true", "false"]))
            emit(f"matmul({pick('B,4')}, {pick('4,4')}, transpose_a=false, {b})", "B,4")
        elif kind == 6:
            emit(f"reduce_sum({pick('B,4')}, axes=[0], keepdims=false)", "4")
        elif kind == 7:
            to, axes, keep = draw(st.sampled_from(REDUCTIONS))
            from_ = "B" if axes == "0" else "B,4"
            emit(f"reduce_sum({pick(from_)}, axes=[{axes}], keepdims={keep})", to)
        elif kind == 8:
            small = draw(st.sampled_from(SMALLER[shape]))
            emit(cond(draw, (pick(shape), shape), (pick(small), small)), shape)
        elif kind == 9:
            width = draw(st.sampled_from([1, 2, 4]))
            start = draw(st.integers(0, 4 - width))
            at = f"axis=1, start={start}, stop={start + width}"
            emit(f"slice({pick('B,4')}, {at})", f"B,{width}")
        elif kind == 10:
            parts = draw(st.sampled_from([(2, 2), (1, 2, 1), (1, 1, 1, 1), (4,)]))
            joined = ", ".join(pick(f"B,{width}") for width in parts)
            emit(f"concat({joined}, axis=1)", "B,4")
        elif kind == 11:
            width = draw(st.sampled_from([1, 2]))
            before = draw(st.integers(0, 4 - width))
            widths = f"after={4 - width - before}, axis=1, before={before}"
            emit(f"pad({pick(f'B,{width}')}, {widths})", "B,4")
        else:
            emit(f"reshape({pick('B')})", "B,1")
            emit(f"broadcast({pick('')})", shape)
    names = draw(
        st.lists(
            st.sampled_from([v for some in values.values() for v in some]),
            min_size=1,
            max_size=4,
        )
    )
    returns = ", ".join("%" + name for name in names)
    body = "\n".join(lines)
    return f"""slim 1
param %p : f32[4]
param %q : f32[4,4]

func predict {{
  %X = input(source="X") : f32[B,4]
  %y = input(source="y") : f32[B]
  %flag = input(source="flag") : bool[]
{body}
  return %X, %y, {returns}
}}
"""


SMALLER = {
    "B,4": ["B,4", "4", "B,1", ""],
    "4": ["4", ""],
    "B,1": ["B,1", ""],
    "B,2": ["B,2", "B,1", ""],
    "": [""],
    "B": ["B", ""],
    "4,4": ["4,4", "4", ""],
}
REDUCTIONS = [("B,1", "1", "true"), ("B", "1", "false"), ("", "0", "false")]


@settings(deadline=None, max_examples=120)
@given(programs(), st.booleans())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_programs(text, flag):
    """Optimized is plain: in the reference exactly, natively within a tolerance."""
    text = _native.roundtrip(text)
    after = optimized(text)
    check_disjoint(
        after, "predict", _native.memory(after, "predict", {"B": 5}), {"B": 5}
    )
    rng = np.random.default_rng(8)
    x, y = rng.uniform(-1, 1, (5, 4)).astype("f4"), rng.uniform(-1, 1, 5).astype("f4")
    params = {"p": x[0].copy(), "q": rng.uniform(-1, 1, (4, 4)).astype("f4")}
    sources = {"X": x, "y": y, "flag": np.array(flag)}
    with np.errstate(all="ignore"):
        plain, fused = (
            reference.run(parse_program(t), "predict", sources, params, {}, {}).returns
            for t in (text, after)
        )
    for a, b in zip(plain, fused, strict=True):
        np.testing.assert_array_equal(a, b)
    program = Program(text)
    for name, array in params.items():
        program.weights[name][...] = array
    got = engine.compile(text).run("predict", sources, program)
    for a, b in zip(plain, got, strict=True):
        sane = np.isfinite(a) & (np.abs(a) < 1e6)
        np.testing.assert_allclose(b[sane], a[sane], rtol=2e-3, atol=2e-4)


# What broadcasts to [B,2,3,4], by the axes of it that are summed.
WIDE = {
    "B,2,3,4": "",
    "B,1,1,1": "1,2,3",
    "B,2,1,1": "2,3",
    "B,2,3,1": "3",
    "1,2,3,4": "0",
    "1,1,3,4": "0,1",
    "1,1,1,4": "0,1,2",
    "B,1,3,1": "1,3",
    "1,1,1,1": "0,1,2,3",
}


@st.composite
def wide_programs(draw) -> str:
    """Elementwise nodes over X [B,2,3,4] and sums of it along some of the axes."""
    lines = [
        f"  %{i} = reduce_sum(%X, axes=[{axes}], keepdims=true) : f32[{shape}]"
        for i, (shape, axes) in enumerate(WIDE.items())
        if axes
    ]
    small = [f"%{i}" for i, axes in enumerate(WIDE.values()) if axes]
    whole = ["%X"]
    for i in range(draw(st.integers(2, 9))):
        pair = [
            draw(st.sampled_from(whole)),
            draw(st.sampled_from(draw(st.sampled_from([whole, small])))),
        ]
        a, b = draw(st.permutations(pair))
        op = draw(st.sampled_from(BINARY[:5]))
        lines.append(f"  %w{i} = {op}({a}, {b}) : f32[B,2,3,4]")
        whole.append(f"%w{i}")
    lines.append(f"  return {whole[-1]}, {draw(st.sampled_from(whole))}")
    body = "\n".join(lines)
    return (
        "slim 1\n\nfunc predict {\n"
        f'  %X = input(source="X") : f32[B,2,3,4]\n{body}\n}}\n'
    )


@settings(deadline=None, max_examples=60)
@given(wide_programs(), st.integers(1, 9))
def test_random_broadcasts(text, rows):
    """Operands along any axes: exact in the reference, natively within a tolerance."""
    after = optimized(text)
    x = np.random.default_rng(rows).uniform(-1, 1, (rows, 2, 3, 4)).astype("f4")
    with np.errstate(all="ignore"):
        plain, fused = (
            reference.run(parse_program(t), "predict", {"X": x}, {}, {}, {}).returns
            for t in (text, after)
        )
    for a, b in zip(plain, fused, strict=True):
        np.testing.assert_array_equal(a, b)
    got = engine.compile(text).run("predict", {"X": x}, Program(text))
    for a, b in zip(plain, got, strict=True):
        sane = np.isfinite(a) & (np.abs(a) < 1e6)
        np.testing.assert_allclose(b[sane], a[sane], rtol=2e-3, atol=2e-4)


def test_native_runs_what_the_passes_made():
    model = digits(False)
    program = Program(model=model)
    for p in model.parameters:
        program.weights[p.name][...] = np.random.default_rng(2).normal(size=p.shape)
    x = np.random.default_rng(1).standard_normal((9, 64)).astype("f4")
    (got,) = engine.compile(str(program)).run("predict", {"X": x}, program)
    want = reference.run(model, "predict", {"X": x}, program.weights, {}, {})
    # Of sums near 100 that cancel.
    np.testing.assert_allclose(got, want.returns[0], rtol=1e-5, atol=1e-4)
