"""A cond as graph: what its branches capture, its text, its gradients, its refusals."""

import re

import numpy as np
import pytest
from support.conds import MALFORMED, WELL_FORMED

from slimlearn import layers
from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Graph, Model, inside
from slimlearn.backend.op import emit
from slimlearn.backend.shape import B
from slimlearn.backend.text import ProgramError, parse_program, print_program

TEXT = """\
slim 1
param %w : f64[3]

func f {
  %X = input(source="X") : f64[B,3]
  %p = input(source="p") : f64[]
  %constant = constant(value=0.0) : f64[]
  %greater = greater(%p, %constant) : bool[]
  %pick = cond(%greater, %X, %w) {
    (%X : f64[B,3], %w : f64[3])
    %pick/then/exp = exp(%X) : f64[B,3]
    %pick/then/mul = mul(%pick/then/exp, %w) : f64[B,3]
    yield %pick/then/mul
  } {
    (%X : f64[B,3], %w : f64[3])
    yield %X
  } : f64[B,3]
  %reduce_sum = reduce_sum(%pick, axes=[0, 1], keepdims=false) : f64[]
  %constant_1 = constant(value=1.0) : f64[]
  %pick.g/broadcast = broadcast(%constant_1) : f64[B,3]
  %pick.g/cond, %pick.g/cond_1 = cond(%greater, %X, %w, %pick.g/broadcast) {
    (%X : f64[B,3], %w : f64[3], %pick.g/broadcast : f64[B,3])
    %pick/then/exp = exp(%X) : f64[B,3]
    %pick/then/mul.g/mul = mul(%pick.g/broadcast, %w) : f64[B,3]
    %pick/then/mul.g/mul_1 = mul(%pick.g/broadcast, %pick/then/exp) : f64[B,3]
    %pick/then/mul.g/reduce_sum = reduce_sum(%pick/then/mul.g/mul_1, axes=[0], keepdims=false) : f64[3]
    %pick/then/exp.g/mul = mul(%pick/then/mul.g/mul, %pick/then/exp) : f64[B,3]
    yield %pick/then/exp.g/mul, %pick/then/mul.g/reduce_sum
  } {
    (%X : f64[B,3], %w : f64[3], %pick.g/broadcast : f64[B,3])
    %pick/otherwise.g/constant = constant(value=0.0) : f64[3]
    yield %pick.g/broadcast, %pick/otherwise.g/constant
  } : f64[B,3], f64[3]
  return %pick.g/cond
  grad
}
"""  # noqa: E501


def operands(dtype="f64"):
    return ops.input_("X", (B, 3), dtype), ops.input_("p", (), dtype)


def run(model, p, x=None, func="f", **params):
    x = np.arange(6.0).reshape(2, 3) if x is None else x
    return reference.run(model, func, {"X": x, "p": p}, params).returns


def test_text_of_a_cond_and_its_gradient():
    model = Model("f64")
    w = model.parameter("w", (3,))
    with model.function("f") as graph:
        x, p = operands()
        y = ops.cond(p > 0, lambda: ops.exp(x) * w, lambda: x, name="pick")
        dx, dw = gradients(ops.reduce_sum(y), [x, w])
        graph.return_(dx)
        graph.grad_(w, dw)
    want = TEXT.replace(
        "  return %pick.g/cond\n  grad\n",
        "  grad %w = %pick.g/cond_1\n  return %pick.g/cond\n",
    )
    assert print_program(model) == want
    assert print_program(parse_program(want)) == want


def test_only_the_chosen_branch_is_computed():
    model, seen = Model("f64"), []
    with model.function("f") as graph:
        x, p = operands()
        graph.return_(ops.cond(p > 0, lambda: ops.exp(x), lambda: ops.neg(x)))
    for p in (1.0, -1.0):
        sources = {"X": np.ones((2, 3)), "p": p}
        reference.run(model, "f", sources, {}, on_value=lambda n, _: seen.append(n.op))
    assert (seen.count("exp"), seen.count("neg"), seen.count("cond")) == (1, 1, 2)


def test_both_branches_take_what_one_of_them_reads():
    model = Model("f64")
    a, b = model.parameter("a", (3,)), model.parameter("b", (3,))
    with model.function("f") as graph:
        x, p = operands()
        y = ops.neg(x)
        z = ops.cond(p > 0, lambda: y * b + y, lambda: y * a * b)
        graph.return_(z)
    node = z.node
    assert node.operands[1:] == (y, b, a)
    for region in node.regions:
        assert [v.name for v in region.parameters] == ["neg", "b", "a"]
        assert {n.op for n in region.nodes} <= {"mul", "add"}


def test_an_inner_cond_captures_through_the_outer_one():
    model = Model("f64")
    w = model.parameter("w", (3,))
    with model.function("f") as graph:
        x, p = operands()

        def then():
            y = ops.exp(x)
            return ops.cond(p > 1, lambda: y * w + x, lambda: y)

        z = ops.cond(p > 0, then, lambda: x)
        graph.return_(z)
    (inner,) = (n for n in z.node.regions[0].nodes if n.op == "cond")
    assert z.node.operands[1:] == (x, p, w)
    assert [v.name for v in inner.operands] == [
        "cond/then/greater",
        "cond/then/exp",
        "w",
        "X",
    ]
    x = np.linspace(0, 1, 6).reshape(2, 3)
    w = np.array([1.0, 2, 3])
    for p, want in ((2.0, np.exp(x) * w + x), (0.5, np.exp(x)), (-1.0, x)):
        np.testing.assert_allclose(run(model, p, x, w=w)[0], want)


def test_numbers_have_a_constant_in_each_region():
    model = Model("f64")
    with model.function("f") as graph:
        x, p = operands()
        z = ops.cond(
            p > 2, lambda: x * 2 + 2, lambda: ops.cond(p > 1, lambda: x * 2, lambda: x)
        )
        graph.return_(z * 2)
    assert [n.op for n in graph.nodes].count("constant") == 1
    assert [n.op for n in z.node.regions[0].nodes].count("constant") == 1


# Layers in branches.


def two_towers(training=True, keep=0.5):
    """Return a model whose predict and grad choose one of two towers."""
    model = Model("f64")
    for name in ("predict", "grad"):
        with model.function(name, training=training and name == "grad") as graph:
            x, p = operands()

            def deep(x=x):
                net = layers.fully_connected(x, 4)
                return layers.fully_connected(layers.dropout(net, keep), 2)

            shared = layers.fully_connected(x, 3, scope="shared")
            y = ops.cond(
                p > 0,
                lambda: deep(shared),  # noqa: B023
                lambda: layers.fully_connected(x, 2),  # noqa: B023
            )
            graph.return_(y)
    return model


def test_layers_make_the_network_s_variables():
    model = two_towers()
    assert model.parameters.names() == [
        f"{layer}/{part}"
        for layer in (
            "shared",
            "fully_connected",
            "fully_connected_1",
            "fully_connected_2",
        )
        for part in ("weights", "biases")
    ]
    grad, predict = (model.functions[n] for n in ("grad", "predict"))
    assert [n.op for n in grad.walk()].count("dropout") == 1
    assert [n.op for n in predict.walk()].count("dropout") == 0
    assert print_program(parse_program(str(model))) == str(model)


def test_a_variable_belongs_to_one_layer_in_whatever_branch():
    def layer():
        return layers.fully_connected(x, 2, scope="same")

    with Model("f64").function("f"):
        x, p = operands()
        with pytest.raises(ValueError, match="two layers of one name"):
            ops.cond(p > 0, layer, layer)
    with Model("f64").function("f") as graph:
        x, p = operands()
        ops.cond(
            p > 0, layer, lambda: layers.fully_connected(x, 2, scope="same", reuse=True)
        )
        assert graph.model.parameters.names() == ["same/weights", "same/biases"]


def test_draws_inside_and_outside_have_streams_of_their_own():
    model = Model("f64")
    with model.function("f") as graph:
        x, p = operands()

        def draw():
            return ops.dropout(x, 0.5) + ops.random_normal(x.shape, "f64")

        y = draw() + ops.cond(
            p > 0, lambda: ops.cond(p > 1, draw, draw), lambda: layers.dropout(x, 0.5)
        )
        graph.return_(y)
    streams = [n.attributes["stream"] for n in graph.walk() if "stream" in n.attributes]
    assert len(set(streams)) == len(streams) >= 6


def test_names_inside_begin_with_the_branch_s():
    model = Model("f64")
    with model.function("f") as graph:
        x, p = operands()
        with layers.variable_scope("tower") as scope:
            pass

        def then():
            with layers.variable_scope(scope):  # entered again: an absolute name scope
                return ops.exp(x)

        y = ops.cond(p > 0, then, lambda: x, name="pick")
        graph.return_(y)
    assert [n.results[0].name for n in y.node.regions[0].nodes] == [
        "pick/then/tower/exp"
    ]


def test_batch_norm_runs_inside_and_trains_outside():
    model = Model("f64")
    with model.function("predict") as graph:
        x, p = operands()
        graph.return_(ops.cond(p > 0, lambda: layers.batch_norm(x), lambda: x))
    assert len(model.states) == 3
    with model.function("grad", training=True) as graph:
        x, p = operands()
        with pytest.raises(
            ValueError, match=r"\[set BatchNorm/moving_mean\] branch th"
        ):
            ops.cond(p > 0, lambda: layers.batch_norm(x), lambda: x)


def test_a_loss_added_in_a_branch_is_not_lost():
    with Model().function("f", training=True) as graph:
        x, p = operands("f32")

        def then():
            layers.losses.add_loss(ops.reduce_sum(x))
            return x

        ops.cond(p > 0, then, lambda: x)
        with pytest.raises(ValueError, match="was computed in branch then of"):
            graph.return_(layers.losses.get_total_loss())


# Gradients.


def test_gradients_of_a_parameter_inside_and_outside_add_up():
    model = Model("f64")
    w = model.parameter("w", (3,))
    with model.function("f") as graph:
        x, p = operands()
        y = ops.cond(p > 0, lambda: ops.exp(x * w), lambda: x * ops.square(w))
        graph.return_(*gradients(ops.reduce_sum(y * w), [w]))
    x, w = np.linspace(0, 1, 6).reshape(2, 3), np.array([0.5, -1, 2])
    e = np.exp(x * w)
    for p, want in ((1.0, (e + e * x * w).sum(0)), (-1.0, (3 * x * w**2).sum(0))):
        np.testing.assert_allclose(run(model, p, x, w=w)[0], want)


def test_all_gradients_are_one_cond():
    model = Model("f64")
    ws = [model.parameter(f"w{i}", (3,)) for i in range(5)]
    with model.function("f") as graph:
        x, p = operands()

        def product():
            y = x
            for w in ws:
                y = ops.tanh(y * w)
            return y

        before = ops.cond(p > 0, product, lambda: x)
        slopes = gradients(ops.reduce_sum(before), [*ws, x])
    assert [n.op for n in graph.nodes].count("cond") == 2
    assert len({slope.node for slope in slopes}) == 1


def test_a_gradient_takes_and_computes_what_it_needs_only():
    model = Model("f64")
    a, b = model.parameter("a", (3,)), model.parameter("b", (3,))
    with model.function("f"):
        x, p = operands()
        y = ops.cond(p > 0, lambda: (x * a + b, ops.exp(b)), lambda: (x + b, b))
        (slope,) = gradients(ops.reduce_sum(y[0]), [x])
    node = slope.node
    assert [v.name for v in node.operands[1:]] == ["a", "cond.g/broadcast"]
    assert [[n.op for n in r.nodes] for r in node.regions] == [["mul"], []]


def test_what_no_branch_depends_on_has_no_gradient():
    model = Model("f64")
    w = model.parameter("w", (3,))
    with model.function("f") as graph:
        x, p = operands()
        y = ops.cond(p > 0, lambda: x + ops.stop_gradient(w), lambda: x)
        count = len(graph.nodes)
        assert gradients(y, [w]) == [None]
        assert "cond" not in [n.op for n in graph.nodes[count:]]
        z = ops.cond(p > 0, lambda: ops.cast(x, "i32"), lambda: ops.cast(-x, "i32"))
        assert gradients(ops.cast(z, "f64"), [x]) == [None]


def test_gradients_inside_a_branch():
    model = Model("f64")
    w = model.parameter("w", (3,))
    with model.function("f") as graph:
        x, p = operands()

        def slope():
            inner, outer = gradients(ops.reduce_sum(ops.sin(x * w)), [w, x])
            return inner + ops.reduce_sum(outer, 0)

        graph.return_(ops.cond(p > 0, slope, lambda: w))
    x, w = np.linspace(0, 1, 6).reshape(2, 3), np.array([0.5, -1, 2])
    want = (np.cos(x * w) * (x + w)).sum(0)
    np.testing.assert_allclose(run(model, 1.0, x, w=w)[0], want)


def test_a_read_program_is_differentiated_too():
    """Two operands of one value, and no graph around that was being built."""
    text = """slim 1

func f {
  %X = input(source="X") : f64[B,3]
  %p = input(source="p") : bool[]
  %y = cond(%p, %X, %X) {
    (%a : f64[B,3], %b : f64[B,3])
    %c = mul(%a, %b) : f64[B,3]
    yield %c
  } {
    (%a : f64[B,3], %b : f64[B,3])
    yield %b
  } : f64[B,3]
  return %y
}
"""
    model = parse_program(text)
    graph = model.functions["f"]
    with model.function("f"):
        graph.return_(*gradients(graph.returns[0], [graph.values["X"]]))
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(run(model, True, x)[1], 2 * x)
    np.testing.assert_array_equal(run(model, False, x)[1], np.ones((2, 3)))


# What is refused.


def refusals():
    return {
        "[cond pick] the predicate is the Python value True, which is known": (
            TypeError,
            lambda x, p: ops.cond(True, lambda: x, lambda: x, name="pick"),
        ),
        "[cond cond] needs a tensor of the network being built, got 1.5": (
            TypeError,
            lambda x, p: ops.cond(1.5, lambda: x, lambda: x),
        ),
        "[cond cond] the predicate is f32[], needs bool[]": (
            ValueError,
            lambda x, p: ops.cond(p, lambda: x, lambda: x),
        ),
        "[cond cond] the predicate is bool[B,3], needs bool[]: one value": (
            ValueError,
            lambda x, p: ops.cond(x > 0, lambda: x, lambda: x),
        ),
        "[cond tower/pick] then is a function without arguments that returns tensors, "
        "got Tensor of shape (B, 3): write lambda: value": (
            TypeError,
            lambda x, p: scoped(lambda: ops.cond(p > 0, x, lambda: x, name="pick")),
        ),
        "[cond cond] otherwise is a function without arguments": (
            TypeError,
            lambda x, p: ops.cond(p > 0, lambda: x, 0.0),
        ),
        "[cond cond: then returns] needs a tensor of the network being built, got 0.0 "
        "of type float: write a number as ops.constant(value, dtype)": (
            TypeError,
            lambda x, p: ops.cond(p > 0, lambda: 0.0, lambda: x),
        ),
        "[cond cond: otherwise returns] needs a tensor": (
            TypeError,
            lambda x, p: ops.cond(p > 0, lambda: x, lambda: None),
        ),
        "[cond cond] then gives nothing": (
            ValueError,
            lambda x, p: ops.cond(p > 0, lambda: (), lambda: ()),
        ),
        "[cond cond] then gives (f32[B,3]), otherwise gives (f32[B,3], f32[]): both": (
            ValueError,
            lambda x, p: ops.cond(p > 0, lambda: x, lambda: (x, p)),
        ),
        "[cond cond] then gives (f32[B,3]), otherwise gives (f64[B,3])": (
            ValueError,
            lambda x, p: ops.cond(p > 0, lambda: x, lambda: ops.cast(x, "f64")),
        ),
        "[cond cond] then gives (f32[B,3]), otherwise gives (f32[3])": (
            ValueError,
            lambda x, p: ops.cond(p > 0, lambda: x, lambda: ops.reduce_sum(x, 0)),
        ),
        "[cond cond] then computes [input cond/then/Z]: inputs are read outside": (
            ValueError,
            lambda x, p: ops.cond(p > 0, lambda: ops.input_("Z", (B, 3)), lambda: x),
        ),
        "[csr_matmul] %S is csr f32[B,5]: sparse rows cannot be read in branch then of "
        "[cond cond]": (
            ValueError,
            lambda x, p: sparse(x, p),
        ),
        "[set s] branch then of [cond cond] cannot assign": (
            ValueError,
            lambda x, p: ops.cond(p > 0, lambda: inside_set(x), lambda: x),
        ),
    }


def scoped(build):
    with layers.variable_scope("tower"):
        return build()


def sparse(x, p):
    rows = ops.input_("S", (B, 5), "csr f32")
    w = ops.constant(1.0, "f32", (5, 3))
    return ops.cond(p > 0, lambda: ops.csr_matmul(rows, w), lambda: x)


def inside_set(x):
    from slimlearn.backend.graph import current_graph, current_model

    current_graph().set_(current_model().states["s"], ops.reduce_sum(x))
    return x


@pytest.mark.parametrize("message", refusals())
def test_a_bad_cond_is_refused_by_name(message):
    error, build = refusals()[message]
    model = Model()
    model.state("s", ())
    with model.function("f"):
        x, p = operands("f32")
        with pytest.raises(error, match=re.escape(message)):
            build(x, p)


def test_what_a_branch_computes_is_not_known_elsewhere():
    kept = {}

    def then():
        kept["y"] = ops.exp(x)
        return ops.cond(p > 1, inner, lambda: x)

    def inner():
        kept["z"] = ops.neg(x)
        return x

    model = Model("f64")
    with model.function("f") as graph:
        x, p = operands()
        ops.cond(p > 0, then, lambda: x, name="first")
        leak = r"%first/then/exp was computed in branch then of \[cond first\]"
        with pytest.raises(ValueError, match=r"^\[neg\] " + leak):
            ops.neg(kept["y"])
        with pytest.raises(ValueError, match="^return: " + leak):
            graph.return_(kept["y"])
        with pytest.raises(ValueError, match=leak + ".*return it from there"):
            ops.cond(p > 0, lambda: x, lambda: kept["y"] + x)
        with pytest.raises(
            ValueError, match=r"in branch then of \[cond first/then/con"
        ):
            ops.neg(kept["z"])
    with model.function("g"):
        with pytest.raises(
            ValueError, match="was computed in function 'f', not in 'g'"
        ):
            ops.neg(kept["y"])


def test_a_value_of_another_function_is_refused_inside_too():
    model = Model("f64")
    with model.function("f"):
        x, _ = operands()
    with model.function("g"):
        y, p = operands()
        with pytest.raises(ValueError, match="%X was computed in function 'f'"):
            ops.cond(p > 0, lambda: x, lambda: y)
    with Model("f64").function("g"):
        y, p = operands()
        with pytest.raises(ValueError, match="%X belongs to another network"):
            ops.cond(p > 0, lambda: x + y, lambda: y)


def test_a_region_made_by_hand_captures_nothing():
    """A declaration read inside a region used to pass the builder, and no reader."""
    model = Model()
    w = model.parameter("w", (3,))
    with model.function("f"):
        x, _ = operands("f32")
        region = Graph("region")
        a = region.add_parameter("a", "f32", (B, 3))
        with inside(region):
            with pytest.raises(
                ValueError, match=r"^\[mul\] %w is a param, no value of"
            ):
                ops.mul(a, w)
            with pytest.raises(ValueError, match="%X was computed in function 'f'"):
                ops.mul(a, x)
            region.returns = [ops.neg(a)]
        emit("fused", (x,), regions=[region])
    parse_program(str(model))


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_text_is_refused(name):
    old, new, message = MALFORMED[name]
    assert old in WELL_FORMED
    parse_program(WELL_FORMED)
    with pytest.raises(ProgramError, match=re.escape(message)):
        parse_program(WELL_FORMED.replace(old, new, 1))
