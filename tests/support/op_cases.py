"""Inputs for every op of the registry, for tests of any engine that runs programs.

``CASES[op]`` lists the cases of an op. A case builds a model whose function ``f``
applies the op to named sources and returns the results:

    model = case.model("f32")
    sources = case.sources("f32", rows=5)
    reference.run(model, "f", sources, {}, seed=3).returns
"""

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import (
    Graph,
    inside,
)
from slimlearn.backend.op import OPS, emit
from slimlearn.backend.ops.binary import Binary
from slimlearn.backend.ops.unary import Unary
from slimlearn.backend.shape import B

# Their cases register by being imported.
from support import loop_cases, window_cases  # noqa: F401
from support.case import CASES, Case, Source, case

__all__ = ["CASES", "Case", "Source"]

ROWS = Source((B, 7))
# Where an elementwise op takes other numbers than normal ones.
_UNARY = {
    "abs": "away",
    "sign": "away",
    "log": "positive",
    "log1p": "positive",
    "sqrt": "positive",
    "rsqrt": "positive",
    "reciprocal": "away",
    "sigmoid": "wide",
    "softplus": "wide",
    "erfinv": "unit",
    "floor": "fraction",
    "ceil": "fraction",
    "round": "fraction",
    "relu": "away",
}
_BINARY = {
    "div": ("normal", "away"),
    "pow": ("positive", "normal"),
    "relu_grad": ("normal", "away"),
    "sigmoid_cross_entropy": ("wide", "probability"),
}
_PAIRS = {
    "same": ((B, 5), (B, 5)),
    "row": ((B, 5), (5,)),
    "column": ((B, 5), (B, 1)),
    "outer": ((B, 1), (5,)),
    "scalar_left": ((), (B, 5)),
    "scalar_right": ((B, 5), ()),
    "rank3": ((B, 3, 4), (3, 1)),
    "fixed": ((3, 4), (3, 4)),
}


def _of_type(base):
    """Return the elementwise ops that give their operands' type, by name."""
    special = ("cast",)
    return {
        name: op
        for name, op in OPS.items()
        if isinstance(op, base) and not op.result_dtype and name not in special
        if "f32" in op.dtypes
    }


for _op, _class in _of_type(Unary).items():
    _sampler, _f = _UNARY.get(_op, "normal"), getattr(ops, _op)
    # stop_gradient's gradient is zero by definition, not by mathematics.
    # Steps so near each other meet any two numbers that differ.
    _stays = ("stop_gradient", "round_bfloat16", "round_float16")
    _smooth = () if _op in _stays else None
    for _label, _shape in {"": (B, 7), "scalar": (), "rank3": (B, 3, 2)}.items():
        case(_op, _f, _label, _smooth, a=Source(_shape, _sampler))
    for _kind in ("i32", "i64"):
        if _kind in _class.dtypes:
            case(_op, _f, _kind, a=Source((B, 5), "integer", _kind))
for _op, _class in _of_type(Binary).items():
    _left, _right = _BINARY.get(_op, ("normal", "normal"))
    _f = getattr(ops, _op)
    for _label, (_a, _b) in _PAIRS.items():
        case(_op, _f, _label, a=Source(_a, _left), b=Source(_b, _right))
    for _kind in ("i32", "i64"):
        if _kind in _class.dtypes:
            _s = Source((B, 5), "integer", _kind)
            case(_op, _f, _kind, a=_s, b=_s)

case(
    "is_finite",
    lambda a: ops.is_finite(a / (a - a)),
    smooth=(),
    a=Source((B, 3), "integer", "F"),
)
case("is_finite", lambda a: ops.is_finite(a), "finite", smooth=(), a=ROWS)
case("logical_not", ops.logical_not, a=Source((B, 5), "bool", "bool"))

_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
for _op in _COMPARISONS:
    _f = getattr(ops, _op)
    for _kind in ("F", "i32", "i64"):
        _s = Source((B, 9), "integer", _kind)
        case(_op, lambda a, b, f=_f: f(a, b), _kind, smooth=(), a=_s, b=_s)
    _row = Source((9,), "integer", "F")
    case(_op, lambda a, b, f=_f: f(a, b), "row", smooth=(), a=_row, b=Source((B, 9)))
for _op in ("equal", "not_equal", "logical_and", "logical_or"):
    _f = getattr(ops, _op)
    _s = Source((B, 9), "bool", "bool")
    case(_op, lambda a, b, f=_f: f(a, b), "bool", a=_s, b=_s)

_condition = Source((B, 5), "bool", "bool")
case("select", ops.select, condition=_condition, a=Source((B, 5)), b=Source((B, 5)))
case(
    "select",
    ops.select,
    "broadcast",
    condition=Source((B, 1), "bool", "bool"),
    a=Source((5,)),
    b=Source(()),
)
case(
    "select",
    ops.select,
    "i64",
    condition=_condition,
    a=Source((B, 5), "integer", "i64"),
    b=Source((5,), "integer", "i64"),
)

for _from in ("f32", "f64", "i32", "i64", "bool", "u8"):
    for _to in ("f32", "f64", "i32", "i64", "bool", "u8"):
        if _from == _to:
            continue
        # u8 is unsigned: other types give it nothing negative.
        _unsigned = "u8" in (_from, _to)
        _s = Source((B, 5), "positive" if _unsigned else "fraction", _from)
        case("cast", lambda a, t=_to: ops.cast(a, t), f"{_from}_{_to}", smooth=(), a=_s)
case("cast", lambda a: ops.cast(ops.cast(a, "f64") * 3, "f64"), "there", a=ROWS)

for _to, _value in (("f32", 1.5), ("f64", -0.1), ("i32", -7), ("i64", 2**40)):
    case(
        "constant",
        lambda t=_to, v=_value: ops.constant(v, t, (3, 2)),
        f"{_to}",
    )
case("constant", lambda: ops.constant(True, "bool"), "bool")
case("constant", lambda: ops.constant(200, "u8", (2,)), "u8")
case(
    "constant",
    lambda a: ops.constant(2.5, a.dtype, (B, 3)) * a,
    "rows",
    a=Source((B, 3)),
)
case("constant_list", lambda: ops.constant_list([3, -1, 4], "i32"), "i32")
case("constant_list", lambda: ops.constant_list([3, 2**50], "i64"), "i64")
case("constant_list", lambda: ops.constant_list([0.1, -2.0], "f32"), "f32")
case("constant_list", lambda: ops.constant_list([0.1, 1e300], "f64"), "f64")
case("input", lambda a: a, a=ROWS, expect=lambda a: a)
case(
    "input",
    lambda a: ops.input_("a", (B, 3), a.dtype, columns=(2, 5)),
    "columns",
    smooth=(),
    expect=lambda a: a[:, 2:5],
    a=ROWS,
)
case("input", lambda a: ops.input_("a", (B, 7), "i32"), "converted", smooth=(), a=ROWS)
for _to in ("f32", "f64"):
    case(
        "extent",
        lambda a, t=_to: ops.extent((B + 1) // 2 + 3, t),
        _to,
        smooth=(),
        expect=lambda a: (len(a) + 1) // 2 + 3,
        a=ROWS,
    )
for _to in ("i32", "i64"):
    case("iota", lambda t=_to: ops.iota(9, t), f"{_to}", expect=lambda: np.arange(9))
case(
    "iota",
    lambda a: ops.iota(B),
    "rows",
    smooth=(),
    expect=lambda a: np.arange(len(a)),
    a=ROWS,
)

for _ta in (False, True):
    for _tb in (False, True):
        case(
            "matmul",
            lambda a, b, ta=_ta, tb=_tb: ops.matmul(a, b, ta, tb),
            f"fixed_{'t' if _ta else 'n'}{'t' if _tb else 'n'}",
            expect=lambda a, b, ta=_ta, tb=_tb: (a.T if ta else a) @ (b.T if tb else b),
            a=Source((5, 3) if _ta else (3, 5)),
            b=Source((7, 5) if _tb else (5, 7)),
        )
        case(
            "matmul",
            lambda a, b, ta=_ta, tb=_tb: ops.matmul(a, b, ta, tb),
            f"stack_{'t' if _ta else 'n'}{'t' if _tb else 'n'}",
            a=Source((B, 2, 4, 3) if _ta else (B, 2, 3, 4)),
            b=Source((B, 2, 5, 4) if _tb else (B, 2, 4, 5)),
        )
case("matmul", ops.matmul, "rows", a=Source((B, 17)), b=Source((17, 19)))
case("matmul", ops.matmul, "column", a=Source((B, 17)), b=Source((17, 1)))
case("matmul", ops.matmul, "one", a=Source((B, 1)), b=Source((1, 3)))
case("matmul", ops.matmul, "rank3", a=Source((B, 3, 4)), b=Source((4, 5)))
case(
    "matmul",
    lambda a, b: ops.matmul(a, b, transpose_a=True),
    "over_rows",
    a=Source((B, 6)),
    b=Source((B, 9)),
)
for _n in (1, 3, 19, 150):
    case(
        "csr_matmul",
        ops.csr_matmul,
        f"by_{_n}",
        expect=lambda x, w: x.toarray() @ w,
        x=Source((B, 17), dtype="csr F"),
        w=Source((17, _n)),
    )
    case(
        "csr_transpose",
        lambda x, w: ops.csr_matmul(ops.csr_transpose(x), w),
        f"by_{_n}",
        expect=lambda x, w: x.toarray().T @ w,
        x=Source((B, 5000), dtype="csr F"),
        w=Source((B, _n)),
    )


def _hot(ids, depth, like):
    return ops.csr_one_hot(ids, depth, like.dtype)


def _epilogue(a, b, c):
    """relu(a·b + c) and its square, as one matmul with a region."""
    shape = (a.shape[0], b.shape[1])
    region = Graph("region")
    acc = region.add_parameter("acc", a.dtype, shape)
    bias = region.add_parameter("bias", c.dtype, c.shape)
    with inside(region):
        y = ops.relu(ops.add(acc, bias))
        region.returns = [y, ops.square(y)]
    attributes = {"transpose_a": False, "transpose_b": False}
    return emit("matmul", (a, b, c), attributes, regions=[region])


def _epilogue_expected(a, b, c):
    y = np.maximum(a @ b + c, 0)
    return y, y * y


case(
    "matmul",
    _epilogue,
    "epilogue",
    smooth=(),
    expect=_epilogue_expected,
    a=Source((B, 8)),
    b=Source((8, 5)),
    c=Source((5,)),
)


def _fused(a, b):
    """tanh(a·b + 2) and whether it is positive, in one region."""
    region = Graph("region")
    x = region.add_parameter("x", a.dtype, a.shape)
    w = region.add_parameter("w", b.dtype, b.shape)
    with inside(region):
        y = ops.tanh(x * w + 2)
        region.returns = [y, y > 0]
    return emit("fused", (a, b), regions=[region])


def _fused_expected(a, b):
    y = np.tanh(a * b + 2)
    return y, y > 0


case(
    "fused",
    _fused,
    smooth=(),
    expect=_fused_expected,
    a=Source((B, 9)),
    b=Source((9,)),
)


def _placed(a, b):
    """tanh(a @ b + 2) and its largest of each row, by the processor once more."""
    region = Graph("region")
    x = region.add_parameter("x", a.dtype, a.shape)
    w = region.add_parameter("w", b.dtype, b.shape)
    with inside(region):
        y = ops.tanh(x @ w + 2)
        region.returns = [y, ops.reduce_max(y, axis=1)]
    return emit("placed", (a, b), {"device": "cpu:1"}, regions=[region])


def _placed_expected(a, b):
    y = np.tanh(a @ b + 2)
    return y, y.max(1)


case(
    "placed",
    _placed,
    smooth=(),
    expect=_placed_expected,
    a=Source((B, 9)),
    b=Source((9, 4)),
)


def _dense(p, x, w, b):
    """One of two layers, which share their weights."""
    return ops.cond(
        p > 0,
        lambda: ops.tanh(x @ w + b),
        lambda: ops.relu(ops.square(x) @ w - 0.5),
    )


def _dense_expected(p, x, w, b):
    return np.tanh(x @ w + b) if p > 0 else np.maximum(x * x @ w - 0.5, 0)


def _several(p, x, y):
    """Values as they are, one twice, and types that differ."""
    return ops.cond(
        p > 0,
        lambda: (x, x, y > 0, ops.reshape(y, (B, 1, 5)), ops.cast(x, "i32")),
        lambda: (y, x * y, x > y, ops.reshape(x, (B, 1, 5)), ops.cast(y, "i32")),
    )


def _several_expected(p, x, y):
    if p > 0:
        return x, x, y > 0, y[:, None], x.astype("i4")
    return y, x * y, x > y, x[:, None], y.astype("i4")


def _nested(p, x, w, v):
    """A cond in each branch; the inner ones read values of all levels."""

    def then():
        z = ops.exp(x * 0.5)
        return ops.cond(
            p > 1.2, lambda: z @ w, lambda: z - ops.reduce_sum(z * v, 1, True)
        )

    def otherwise():
        z = ops.sin(x)
        return ops.cond(p > -1.2, lambda: ops.neg(x), lambda: z * v) @ w

    wide = ops.cond(p > 0, then, otherwise)
    return wide + x


def _nested_expected(p, x, w, v):
    if p > 0:
        z = np.exp(x * 0.5)
        return x + (z @ w if p > 1.2 else z - (z * v).sum(1, keepdims=True))
    return x + (-x if p > -1.2 else np.sin(x) * v) @ w


def _over_rows(p, x):
    """Sums over the rows, their number, and where each row stands."""

    def then():
        order = ops.reshape(ops.cast(ops.iota(B), x.dtype), (B, 1))
        return x - ops.reduce_mean(x, 0), ops.reduce_sum(x * order)

    return ops.cond(p > 0, then, lambda: (x, ops.extent(B, x.dtype)))


def _broadcasts(p, x, c):
    """Operands whose rows and columns broadcast apart, as passes must make legal."""
    return ops.cond(p > 0, lambda: x * c + c, lambda: x - ops.softmax(c * x))


for _label, _sign in (("then", "positive"), ("otherwise", "negative")):
    _p = Source((), _sign)
    case(
        "cond",
        _dense,
        _label,
        smooth=("x", "w", "b"),
        expect=_dense_expected,
        p=_p,
        x=Source((B, 4)),
        w=Source((4, 3)),
        b=Source((3,)),
    )
    case(
        "cond",
        _several,
        f"several_{_label}",
        smooth=("x", "y"),
        expect=_several_expected,
        p=_p,
        x=Source((B, 5), "fraction"),
        y=Source((B, 5), "fraction"),
    )
    case(
        "cond",
        lambda p, x: ops.cond(
            p > 0, lambda: ops.dropout(ops.exp(x), 0.5), lambda: ops.dropout(x, 0.3)
        ),
        f"dropout_{_label}",
        smooth=("x",),
        p=_p,
        x=Source((B, 9)),
    )
    case(
        "cond", _over_rows, f"over_rows_{_label}", smooth=("x",), p=_p, x=Source((B, 3))
    )
    case(
        "cond",
        _broadcasts,
        f"broadcasts_{_label}",
        smooth=("x", "c"),
        p=_p,
        x=Source((B, 2, 3)),
        c=Source((B, 1, 3)),
    )
    for _far in (1.0, 2.5):
        case(
            "cond",
            lambda p, x, w, v, far=_far: _nested(p * far, x, w, v),
            f"nested_{_label}_{'far' if _far > 1 else 'near'}",
            smooth=("x", "w", "v"),
            expect=lambda p, x, w, v, far=_far: _nested_expected(p * far, x, w, v),
            p=Source((), "one" if _label == "then" else "minus_one"),
            x=Source((B, 4)),
            w=Source((4, 4)),
            v=Source((4,)),
        )
case(
    "cond",
    lambda x: ops.cond(
        ops.reduce_mean(x) > 0, lambda: x * 2, lambda: ops.square(x) - x
    ),
    "rows_decide",
    expect=lambda x: x * 2 if x.mean() > 0 else x * x - x,
    x=Source((B, 3)),
)
case("orthogonal", ops.orthogonal, "tall", smooth=(), a=Source((7, 4)))
case("orthogonal", ops.orthogonal, "wide", smooth=(), a=Source((3, 8)))
case("orthogonal", ops.orthogonal, "square", smooth=(), a=Source((5, 5)))

_AXES = {
    "all": None,
    "rows": 0,
    "last": -1,
    "middle": 1,
    "outer": (0, 2),
    "inner": (1, 2),
    "none": (),
}
for _op in ("reduce_sum", "reduce_max", "reduce_min", "logsumexp"):
    _f = getattr(ops, _op)
    _s = "distinct" if _op in ("reduce_max", "reduce_min") else "normal"
    for _label, _axes in _AXES.items():
        for _keep in (False, True):
            case(
                _op,
                lambda a, f=_f, x=_axes, k=_keep: f(a, x, k),
                f"{_label}{'_kept' if _keep else ''}",
                a=Source((B, 3, 4), _s),
            )
    case(_op, lambda a, f=_f: f(a, 1), "matrix_last", a=Source((B, 37), _s))
    case(_op, lambda a, f=_f: f(a, 0), "matrix_rows", a=Source((B, 37), _s))
    case(_op, lambda a, f=_f: f(a, 2), "one", a=Source((B, 3, 1), _s))
    case(_op, lambda a, f=_f: f(a, 1, True), "matrix_one", a=Source((B, 1), _s))
for _kind in ("i32", "i64"):
    case(
        "reduce_sum",
        lambda a: ops.reduce_sum(a, 0),
        _kind,
        a=Source((B, 5), "integer", _kind),
    )
case(
    "reduce_sum",
    lambda a: ops.reduce_mean(a, (0, 1)),
    "mean",
    expect=lambda a: a.mean((0, 1)),
    a=Source((B, 3, 4)),
)
for _axis in (0, 1, 2):
    case(
        "argmax",
        lambda a, x=_axis: ops.argmax(a, x),
        f"axis{_axis}",
        smooth=(),
        expect=lambda a, x=_axis: a.argmax(x),
        a=Source((B, 3, 4)),
    )
case(
    "argmax",
    lambda a: ops.argmax(ops.round(a * 0.3)),
    "ties",
    smooth=(),
    a=Source((B, 40)),
)
for _axis in (0, 1, 2):
    case(
        "max_with_argmax",
        lambda a, x=_axis: ops.max_with_argmax(a, x),
        f"axis{_axis}",
        expect=lambda a, x=_axis: (a.max(x), a.argmax(x)),
        a=Source((B, 3, 4), "distinct"),
    )
for _kind in ("i32", "i64"):
    _s = Source((B, 40), "integer", _kind)
    case("max_with_argmax", ops.max_with_argmax, _kind, a=_s)
    case("top_k", lambda a: ops.top_k(a, 7), _kind, a=_s)
for _label, _shape in {"matrix": (B, 11), "rank3": (B, 2, 6), "vector": (6,)}.items():
    case(
        "top_k",
        lambda a: ops.top_k(a, 3),
        _label,
        expect=lambda a: (-np.sort(-a)[..., :3], np.argsort(-a)[..., :3]),
        a=Source(_shape, "distinct"),
    )
case("top_k", lambda a: ops.top_k(a, 5), "all", a=Source((B, 5), "distinct"))
case(
    "top_k",
    lambda a: ops.top_k(ops.round(a * 0.3), 30),
    "ties",
    smooth=(),
    a=Source((B, 40)),
)


def _np_log_softmax(a):
    z = a - a.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


for _label, _shape in {"matrix": (B, 11), "rank3": (B, 2, 3), "vector": (6,)}.items():
    case(
        "softmax",
        ops.softmax,
        _label,
        expect=lambda a: np.exp(_np_log_softmax(a)),
        a=Source(_shape),
    )
    case(
        "log_softmax", ops.log_softmax, _label, expect=_np_log_softmax, a=Source(_shape)
    )
    case(
        "softmax_cross_entropy",
        ops.softmax_cross_entropy,
        _label,
        expect=lambda logits, labels: -(labels * _np_log_softmax(logits)).sum(-1),
        logits=Source(_shape),
        labels=Source(_shape, "probability"),
    )
case("softmax", ops.softmax, "wide", a=Source((B, 5), "wide"))
for _label, _shape in {"matrix": (B, 11), "rank3": (B, 2, 3)}.items():
    _labels = Source(_shape[:-1], dtype="i32", below=3)
    case(
        "sparse_softmax_cross_entropy",
        ops.sparse_softmax_cross_entropy,
        _label,
        expect=lambda logits, labels: (
            -np.take_along_axis(_np_log_softmax(logits), labels[..., None], -1)[..., 0]
        ),
        logits=Source(_shape),
        labels=_labels,
    )
    case(
        "sparse_softmax_cross_entropy_grad",
        lambda logits, labels, g: emit(
            "sparse_softmax_cross_entropy_grad", (logits, labels, g)
        ),
        _label,
        logits=Source(_shape),
        labels=_labels,
        g=Source(_shape[:-1]),
    )

case("reshape", lambda a: ops.reshape(a, (-1, 6)), a=Source((B, 3, 2)))
case("reshape", lambda a: ops.reshape(a, (B * 3, 2)), "rows", a=Source((B, 3, 2)))
case("reshape", lambda a: ops.reshape(a, (B, 1)), "column", a=Source((B,)))
case("reshape", lambda a: ops.reshape(a, ()), "scalar", a=Source((1, 1)))
case(
    "recompute",
    lambda a, b: ops.exp(emit("recompute", (a, b))),
    a=Source((B, 3, 2)),
    b=Source((B,)),
    smooth=("a",),
)
case("copy", lambda a: ops.exp(emit("copy", (a,))), a=Source((B, 3)), smooth=("a",))
for _label, _perm in {"swap": (1, 0, 2), "last": (0, 2, 1), "turn": (2, 0, 1)}.items():
    case(
        "transpose",
        lambda a, p=_perm: ops.transpose(a, p),
        _label,
        expect=lambda a, p=_perm: a.transpose(p),
        a=Source((B, 3, 4)),
    )
case("transpose", lambda a: ops.transpose(a), "matrix", a=Source((B, 5)))
case("transpose", lambda a: ops.transpose(a), "i32", a=Source((4, 3), "integer", "i32"))
case(
    "broadcast",
    lambda a, b: ops.broadcast_to(a, (B, 3, 5)) + b,
    "column",
    a=Source((3, 1)),
    b=Source((B, 1, 1)),
)
case(
    "broadcast",
    lambda a, b: ops.broadcast_to(a, (B, 5)) + b,
    "row",
    a=Source((5,)),
    b=Source((B, 1)),
)
case("broadcast", lambda a: ops.broadcast_to(a, (B, 5)), "rows", a=Source((B, 1)))
case("broadcast", lambda a: ops.broadcast_to(a, (4, 3)), "scalar", a=Source(()))
for _axis in (0, 1, 2):
    case(
        "concat",
        lambda a, b, x=_axis: ops.concat((a, b, a), x),
        f"axis{_axis}",
        expect=lambda a, b, x=_axis: np.concatenate((a, b, a), x),
        a=Source((2, 3, 4)),
        b=Source((2, 3, 4)),
    )
case(
    "concat",
    lambda a, b: ops.concat((a, b)),
    "rows",
    a=Source((B, 3)),
    b=Source((B, 4)),
)
case(
    "concat",
    lambda a, b: ops.concat((a, b)),
    "i64",
    a=Source((B, 3), "integer", "i64"),
    b=Source((B, 4), "integer", "i64"),
)
case(
    "slice",
    lambda a: a[:, 2:5],
    "columns",
    expect=lambda a: a[:, 2:5],
    a=Source((B, 7)),
)
case(
    "slice",
    lambda a: a[..., -1],
    "pick",
    expect=lambda a: a[..., -1],
    a=Source((B, 3, 4)),
)
case(
    "slice",
    lambda a: a[1:3, None, 2:],
    "leading",
    expect=lambda a: a[1:3, None, 2:],
    a=Source((4, 5, 2)),
)
case(
    "pad",
    lambda a: ops.pad_axis(a, 1, 2, 3),
    "columns",
    expect=lambda a: np.pad(a, ((0, 0), (2, 3))),
    a=Source((B, 4)),
)
case("pad", lambda a: ops.pad_axis(a, 0, 1, 0), "leading", a=Source((3, 4)))
case("pad", lambda a: ops.pad_axis(a, 1, 0, 2), "rank3", a=Source((B, 3, 2)))

for _kind in ("i32", "i64"):
    case(
        "gather",
        ops.gather,
        _kind,
        expect=lambda table, ids: table[ids],
        table=Source((6, 3)),
        ids=Source((B, 4), dtype=_kind, below=6),
    )
    case(
        "scatter_add",
        lambda ids, updates: ops.scatter_add(ids, updates, (6, 3)),
        _kind,
        ids=Source((B, 4), dtype=_kind, below=6),
        updates=Source((B, 4, 3)),
    )
    case(
        "csr_one_hot",
        lambda ids, w: ops.csr_matmul(_hot(ids, 7, w), w),
        f"{_kind}_times",
        expect=lambda ids, w: w[ids],
        ids=Source((B,), dtype=_kind, below=7),
        w=Source((7, 5)),
    )
    case(
        "csr_one_hot",
        lambda ids, updates: ops.csr_matmul(
            ops.csr_transpose(_hot(ops.reshape(ids, (-1,)), 3000, updates)),
            ops.reshape(updates, (-1, 3)),
        ),
        f"{_kind}_transposed",
        ids=Source((B, 4), dtype=_kind, below=3000),
        updates=Source((B, 4, 3)),
    )
    case(
        "one_hot",
        lambda ids: ops.one_hot(ids, 4, 0.9, 0.1),
        _kind,
        ids=Source((B,), dtype=_kind, below=6),
    )
case(
    "gather",
    ops.gather,
    "vector",
    table=Source((9,)),
    ids=Source((B,), dtype="i32", below=9),
)
case(
    "scatter_add",
    lambda ids, updates: ops.scatter_add(ids, updates, (5,)),
    "vector",
    ids=Source((B,), dtype="i32", below=5),
    updates=Source((B,)),
)
case(
    "one_hot",
    lambda ids: ops.one_hot(ids, 5, dtype="f64"),
    "f64",
    ids=Source((B, 2), dtype="i32", below=5),
)

for _to in ("f32", "f64"):
    _shapes = {"rows": (B, 9), "fixed": (5, 7), "odd": (B, 3, 3), "two": (B * 2, 5)}
    for _label, _shape in _shapes.items():
        case(
            "random_uniform",
            lambda a, t=_to, s=_shape: ops.random_uniform(s, t, name="draw"),
            f"{_to}_{_label}",
            smooth=(),
            a=Source((B,)),
        )
        case(
            "random_normal",
            lambda a, t=_to, s=_shape: ops.random_normal(s, t, name="draw"),
            f"{_to}_{_label}",
            smooth=(),
            a=Source((B,)),
        )
for _keep in (0.2, 0.5, 1.0):
    case("dropout", lambda a, k=_keep: ops.dropout(a, k), f"{_keep}", a=Source((B, 19)))
case("dropout", lambda a: ops.dropout(a, 0.7), "fixed", a=Source((4, 5)))
case(
    "dropout",
    lambda a: ops.dropout(ops.reshape(a, (B * 2, 3)), 0.7),
    "two",
    a=Source((B, 6)),
)
case("dropout", lambda a: ops.dropout(a, 0.7), "rank3", a=Source((B, 2, 5)))


# Nodes of a user's.
_softsign = ops.custom(
    lambda x: x / (1 + np.abs(x)),
    lambda dy, y, x: dy / np.square(1 + np.abs(x)),
    by_row=True,
    name="op_cases:softsign",
)
_outer_sum = ops.custom(
    lambda x, w: (x @ w).sum(0),
    lambda dy, y, x, w: (np.tile(w @ dy, (len(x), 1)), np.outer(x.sum(0), dy)),
    shape=lambda x, w: (w[1],),
    name="op_cases:outer_sum",
)
_places = ops.custom(
    lambda x: np.argsort(x, axis=1).astype(np.int64),
    dtype="i64",
    by_row=True,
    name="op_cases:places",
)
case("custom", lambda a: _softsign(a), a=ROWS, expect=lambda a: a / (1 + np.abs(a)))
case("custom", lambda a: _softsign(a), "scalar", a=Source(()))
case("custom", lambda a, w: _outer_sum(a, w), "mixes", a=ROWS, w=Source((7, 4)))
case("custom", lambda a: _places(a), "i64", smooth=(), a=ROWS)
