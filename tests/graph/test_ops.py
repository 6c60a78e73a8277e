"""Every op of the registry: values, types, text, gradients, rows, refusals."""

import re

import numpy as np
import pytest
from support.differences import check_gradients, gradient_model, run
from support.op_cases import CASES

from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model, is_symbolic
from slimlearn.backend.op import OPS, Op, emit
from slimlearn.backend.shape import B, symbol
from slimlearn.backend.text import parse_program, print_program

ALL = [case for cases in CASES.values() for case in cases]
SMOOTH = [case for case in ALL if case.smooth]


def test_every_op_has_a_case():
    assert set(CASES) == set(OPS)


def test_every_case_uses_its_op():
    for case in ALL:
        nodes = case.model().functions["f"].nodes
        assert case.op in {node.op for node in nodes}, str(case)


@pytest.mark.parametrize("case", ALL, ids=str)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_text_round_trip_and_same_values(case, precision):
    model = case.model(precision)
    text = print_program(model)
    again = parse_program(text)
    assert print_program(again) == text
    for rows in (1, 5):
        sources = case.sources(precision, rows)
        for a, b in zip(run(model, sources), run(again, sources), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


@pytest.mark.parametrize("case", [c for c in ALL if c.expect], ids=str)
def test_value_computed_another_way(case):
    sources = case.sources("f64", 6)
    expected = case.expect(**sources)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for got, want in zip(run(case.model("f64"), sources), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


def any_precision(case):
    """Return whether the case's values do not depend on the type by definition."""
    fixed = {"random_uniform", "random_normal", "constant_list", "is_finite"}
    wide = [source for source in case.inputs.values() if source.dtype == "f64"]
    return case.op not in fixed and not wide


@pytest.mark.parametrize("case", [c for c in ALL if any_precision(c)], ids=str)
def test_f32_is_near_f64(case):
    narrow = case.sources("f32", 5)
    wide = {k: v.astype("f8") if v.dtype == "f4" else v for k, v in narrow.items()}
    for a, b in zip(
        run(case.model("f32"), narrow), run(case.model("f64"), wide), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("case", SMOOTH, ids=str)
@pytest.mark.parametrize("order", [1, 2])
def test_gradient_is_the_difference_quotient(case, order):
    if case.op == "custom" and order == 2:
        with pytest.raises(NotImplementedError, match="has no gradient itself"):
            check_gradients(case, order)
    else:
        check_gradients(case, order)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_row_local_means_that_rows_do_not_mix(case):
    model = case.model("f64")
    graph = model.functions["f"]
    if not all(OPS[node.op].row_local(node) for node in graph.nodes):
        return
    sources = case.sources("f64", 6)
    part = {
        name: value[2:5] if is_symbolic(case.inputs[name].shape, "B") else value
        for name, value in sources.items()
    }
    whole = run(model, sources)
    some = run(model, part, first_row=2)
    for tensor, a, b in zip(graph.returns, whole, some, strict=True):
        if is_symbolic(tensor.shape, "B"):
            per_row = tensor.shape[0].multiple_of("B")
            a = a[2 * per_row : 5 * per_row]
        np.testing.assert_allclose(a, b, rtol=1e-12)


MIXES = {
    "sum over rows": lambda x: ops.reduce_sum(x, 0),
    "argmax over rows": lambda x: ops.argmax(x, 0),
    "transpose": lambda x: ops.transpose(x),
    "aᵀ·b": lambda x: ops.matmul(x, x, transpose_a=True),
    "a·bᵀ": lambda x: ops.matmul(x, x, transpose_b=True),
    "gather rows": lambda x: ops.gather(x, ops.constant_list([0])),
    "scatter": lambda x: ops.scatter_add(ops.cast(x, "i32"), x, (3,)),
    "extent": lambda x: ops.extent(B),
    "iota": lambda x: ops.iota(B),
    "concat rows": lambda x: ops.concat((x, x), 0),
    "pad rows": lambda x: ops.pad_axis(x, 0, 1, 0),
    "softmax over rows": lambda x: ops.softmax(ops.reshape(x, (B * 4,))),
    "flatten and turn": lambda x: ops.reshape(x, (4, B)),
    "broadcast": lambda x: ops.broadcast_to(ops.reshape(x, (1, B, 4)), (2, B, 4)),
}


@pytest.mark.parametrize("what", MIXES)
def test_ops_that_mix_rows_say_so(what):
    model = Model()
    with model.function("f") as graph:
        MIXES[what](ops.input_("x", (B, 4)))
    assert not all(OPS[node.op].row_local(node) for node in graph.nodes)


T = symbol("T")
REFUSED = {
    "[matmul fc1/matmul] inner dimensions differ: a is f32[B,20], b is f32[21,64]": (
        lambda i: ops.matmul(i(B, 20), i(21, 64), name="fc1/matmul")
    ),
    "a is f32[B,20], b is f32[B,64] (transposed b)": (
        lambda i: ops.matmul(i(B, 20), i(B, 64), transpose_b=True)
    ),
    "[matmul matmul] operands need at least 2 dimensions": (
        lambda i: ops.matmul(i(), i(3, 4))
    ),
    "[matmul matmul] leading dimensions differ": (
        lambda i: ops.matmul(i(2, 3, 4), i(3, 4, 5))
    ),
    "[matmul matmul] ranks differ": lambda i: ops.matmul(i(3, 4), i(2, 4, 5)),
    "[matmul matmul] operands differ in type: a is f32[3,4], b is f64[4,5]": (
        lambda i: ops.matmul(i(3, 4), i(4, 5, dtype="f64"))
    ),
    "[add add] shapes do not broadcast: a is f32[B,3], b is f32[T,3]": (
        lambda i: ops.add(i(B, 3), i(T, 3))
    ),
    "[add sum] operands differ in type: a is f32[3], b is i32[3]: cast one": (
        lambda i: ops.add(i(3), i(3, dtype="i32"), name="sum")
    ),
    "[div div] a is i32[3], needs f32 or f64": (
        lambda i: ops.div(i(3, dtype="i32"), i(3, dtype="i32"))
    ),
    "[exp exp] a is i64[3], needs f32 or f64: cast it": (
        lambda i: ops.exp(i(3, dtype="i64"))
    ),
    "[logical_not logical_not] a is f32[3], needs bool": lambda i: ops.logical_not(
        i(3)
    ),
    "[select select] the condition is f32[3], needs bool": (
        lambda i: ops.select(i(3), i(3), i(3))
    ),
    "[reshape reshape] element counts differ: a is f32[B,6], the result f32[B,5]": (
        lambda i: ops.reshape(i(B, 6), (B, 5))
    ),
    "[reshape flat] cannot work out": (
        lambda i: ops.reshape(i(B, 6), (-1, 4), name="flat")
    ),
    "[transpose transpose] perm=[0, 0]": lambda i: ops.transpose(i(2, 3), (0, 0)),
    "[broadcast broadcast] a is f32[3]: it does not broadcast to f32[B,4]": (
        lambda i: ops.broadcast_to(i(3), (B, 4))
    ),
    "[concat concat] operands differ beside axis 1": (
        lambda i: ops.concat((i(2, 3), i(3, 3)), 1)
    ),
    "[concat all] needs at least one tensor": lambda i: ops.concat((), 0, name="all"),
    "[slice slice] 2:9 is no range of axis 1": lambda i: ops.slice_(i(B, 5), 1, 2, 9),
    "[slice slice] axis 0 of a is f32[B,5] has no fixed size": (
        lambda i: ops.slice_(i(B, 5), 0, 0, 2)
    ),
    "[pad pad] before=-1, after=0 must be >= 0": lambda i: ops.pad_axis(i(B, 5), 1, -1),
    "[top_k top_k] there are no 4 largest elements: a is f32[B,3]": (
        lambda i: ops.top_k(i(B, 3), 4)
    ),
    "[max_with_argmax max_with_argmax] axis 1 is out of range or empty": (
        lambda i: ops.max_with_argmax(i(B, 0), 1)
    ),
    "[reduce_max reduce_max] axis 1 of f32[B,0] has no elements": (
        lambda i: ops.reduce_max(i(B, 0), 1)
    ),
    "[reduce_min reduce_min] axis 0 of f32[0,3] has no elements": (
        lambda i: ops.reduce_min(i(0, 3))
    ),
    "[argmax argmax] a is bool[3]": lambda i: ops.argmax(i(3, dtype="bool"), 0),
    "[gather gather] ids is f32[3], needs i32 or i64": (
        lambda i: ops.gather(i(4), i(3))
    ),
    "[scatter_add scatter_add] needs ids": (
        lambda i: ops.scatter_add(i(4, dtype="i32"), i(3), (7,))
    ),
    "[segment_sum segment_sum] num_segments is 0, needs at least 1": (
        lambda i: ops.segment_sum(i(4), i(4, dtype="i32"), 0)
    ),
    "[one_hot one_hot] ids is f32[3]": lambda i: ops.one_hot(i(3), 4),
    "[softmax softmax] needs at least one dimension": lambda i: ops.softmax(i()),
    "[softmax_cross_entropy softmax_cross_entropy] logits and labels differ": (
        lambda i: ops.softmax_cross_entropy(i(B, 3), i(B, 4))
    ),
    "logits are f32[B,3], labels are i64[B]": (
        lambda i: ops.sparse_softmax_cross_entropy(i(B, 3), i(B, dtype="i64"))
    ),
    "[dropout dropout] keep_prob must be a scalar": lambda i: ops.dropout(i(3), i(3)),
    "[dropout dropout] keep_prob must be in (0, 1], got 0": (
        lambda i: ops.dropout(i(3), 0)
    ),
    "[orthogonal orthogonal] needs a matrix": lambda i: ops.orthogonal(i(2, 3, 4)),
    "[input a] columns=[2, 9] needs": lambda i: ops.input_("a", (B, 3), columns=(2, 9)),
    "[iota iota] the result is i32[n] or i64[n], not f32[4]": (
        lambda i: ops.iota(4, "f32")
    ),
    "[constant constant] value 300 does not fit u8": lambda i: ops.constant(300, "u8"),
    "[constant_list constant_list] a value does not fit i32": (
        lambda i: ops.constant_list([2**31], "i32")
    ),
    "[reduce_sum reduce_sum] axes=[1, 0] must be sorted": (
        lambda i: emit("reduce_sum", (i(2, 3),), {"axes": [1, 0], "keepdims": False})
    ),
    "[reduce_sum reduce_sum] axis 2 is out of range: a is f32[2,3]": (
        lambda i: ops.reduce_sum(i(2, 3), 2)
    ),
    "[extent extent] spell the dimension as 'B+1'": (
        lambda i: emit("extent", (), {"dim": "1+B"}, [("f64", ())])
    ),
    "[add add] takes 2 operands, got 1": lambda i: emit("add", (i(3),)),
    "[reshape reshape] needs its one result type": lambda i: emit("reshape", (i(3),)),
    "[fused fused] needs a region": lambda i: emit("fused", (i(3),)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_operands_are_refused_by_name(message):
    def operand(*shape, dtype="f32"):
        return ops.input_("x", shape, dtype)

    model = Model()
    with model.function("f"):
        with pytest.raises(ValueError, match=re.escape(message)):
            REFUSED[message](operand)


def test_numbers_take_the_tensors_type_and_share_a_constant():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 3), "f64")
        y = 2 * x + np.float32(2.0) - 1
        graph.return_(y)
    constants = [n for n in graph.nodes if n.op == "constant"]
    assert [n.attributes["value"] for n in constants] == [2.0, 1.0]
    (got,) = run(model, {"x": np.ones((2, 3))})
    np.testing.assert_array_equal(got, np.full((2, 3), 3.0))


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_what_has_no_type_of_its_own_has_the_networks(precision):
    model = Model(precision)
    with model.function("f"):
        ids = ops.constant_list([0, 2])
        made = {
            "constant": ops.constant(2),
            "constant_list": ops.constant_list([0.5, 1]),
            "one_hot": ops.one_hot(ids, 3),
            "csr_one_hot": ops.csr_one_hot(ids, 3),
            "input": ops.input_("X", (B, 2)),
            "random_uniform": ops.random_uniform((2,)),
            "random_normal": ops.random_normal((2,)),
        }
        region = ops.cond(
            ops.constant(True, "bool"),
            lambda: ops.constant(1.0),
            lambda: ops.constant(0.0),
        )
    kinds = {name: value.dtype.split()[-1] for name, value in made.items()}
    assert kinds == dict.fromkeys(made, precision)
    assert ids.dtype == "i32" and region.dtype == precision
    with model.function("g"):
        assert ops.constant_list([1, 2], "f64").dtype == "f64"
        assert ops.one_hot(ops.constant_list([1]), 2, dtype="f32").dtype == "f32"


def test_wrong_python_values_are_type_errors():
    model = Model()
    with model.function("f"):
        i = ops.input_("i", (3,), "i32")
        with pytest.raises(TypeError, match=r"\[add add\] 1.5 is no whole number"):
            i + 1.5
        with pytest.raises(TypeError, match="needs a tensor or a number, got 'a'"):
            i + "a"
        with pytest.raises(TypeError, match=r"\[exp exp\] needs a tensor"):
            ops.exp(1.0)
        with pytest.raises(TypeError, match="no truth value"):
            bool(i > 0)
        with pytest.raises(TypeError, match="cannot be iterated"):
            list(i)
        with pytest.raises(IndexError, match="selects nothing"):
            i[7]


def test_powers_with_ops_of_their_own():
    model = Model()
    with model.function("f") as graph:
        x = ops.input_("x", (B,))
        assert x**1 is x
        assert [(x**e).node.op for e in (2, 0.5, -1, 3)] == [
            "square",
            "sqrt",
            "reciprocal",
            "pow",
        ]
        assert (x**x).node.op == (2**x).node.op == "pow"
        assert graph.values["square"].shape == (B,)


def test_out_of_range_ids_are_clamped_and_raise_the_status():
    model = Model()
    with model.function("f") as graph:
        table = ops.input_("table", (4, 2))
        ids = ops.input_("ids", (B,), "i32")
        graph.return_(ops.gather(table, ids))
    table = np.arange(8.0).reshape(4, 2)
    sources = {"table": table, "ids": np.array([-1, 3, 9])}
    result = reference.run(model, "f", sources, {})
    assert result.status == 1
    np.testing.assert_array_equal(result.returns[0], table[[0, 3, 3]])


def test_labels_out_of_range_raise_the_status():
    model = Model()
    with model.function("f") as graph:
        z, y = ops.input_("z", (B, 3)), ops.input_("y", (B,), "i32")
        graph.return_(ops.sparse_softmax_cross_entropy(z, y))
    sources = {"z": np.zeros((2, 3)), "y": np.array([1, 3])}
    assert reference.run(model, "f", sources, {}).status == 2


def test_one_hot_of_an_id_outside_is_off_everywhere():
    model = Model()
    with model.function("f") as graph:
        graph.return_(ops.one_hot(ops.input_("y", (B,), "i32"), 3))
    (got,) = run(model, {"y": np.array([1, -1, 3])})
    np.testing.assert_array_equal(got, [[0, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_stable_far_from_zero():
    model = Model()
    with model.function("f") as graph:
        z, y = ops.input_("z", (B,)), ops.input_("y", (B,))
        graph.return_(
            ops.sigmoid_cross_entropy(z, y),
            ops.softplus(z),
            ops.sigmoid(z),
            ops.log_softmax(ops.reshape(z, (1, B))),
            ops.logsumexp(z),
        )
    z = np.array([-1e4, 0, 1e4], np.float32)
    for values in run(model, {"z": z, "y": np.array([1.0, 0, 0])}):
        assert np.isfinite(values).all()


def test_orthogonal_has_orthonormal_columns_and_fixed_signs():
    model = Model("f64")
    with model.function("f") as graph:
        graph.return_(
            ops.orthogonal(ops.input_("a", (7, 4), "f64")),
            ops.orthogonal(ops.input_("b", (4, 7), "f64")),
        )
    a = np.random.default_rng(0).standard_normal((7, 4))
    tall, wide = run(model, {"a": a, "b": a.T})
    np.testing.assert_allclose(tall.T @ tall, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(wide, tall.T, atol=1e-12)
    assert (np.diagonal(tall.T @ a) > 0).all()


def test_relu_grad_and_extremes_at_ties():
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (3,), "f64")
        graph.return_(
            *gradients(ops.reduce_sum(ops.relu(x)), x),
            *gradients(ops.reduce_max(x), x),
            *gradients(ops.reduce_sum(ops.maximum(x, x * 1)), x),
        )
    relu, largest, both = run(model, {"x": np.array([0.0, 2, 2])})
    np.testing.assert_array_equal(relu, [0, 1, 1])
    np.testing.assert_array_equal(largest, [0, 0.5, 0.5])
    np.testing.assert_array_equal(both, [1, 1, 1])


def test_an_op_registers_once_and_by_being_defined():
    class Unnamed(Op):
        pass

    with pytest.raises(TypeError, match="'add' is defined twice"):

        class Again(Op):
            name = "add"

    assert Unnamed not in [type(op) for op in OPS.values()]


def test_fused_ops_refuse_what_is_not_elementwise():
    case = CASES["fused"][0]
    text = print_program(case.model()).replace("tanh(%add)", "softmax(%add)")
    with pytest.raises(ValueError, match="softmax is not elementwise"):
        parse_program(text)
    with pytest.raises(NotImplementedError, match="differentiate before"):
        gradient_model(
            type(case)(case.op, case.label, case.build, case.inputs, ("a",)), 1
        )
