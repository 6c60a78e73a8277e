"""What a NumPy user calls: values as NumPy's, on the reference and native kernels."""

import inspect
import math
import operator
import re
import types

import numpy as np
import pytest
from support import native_run
from support.differences import check_gradients, run
from support.op_cases import Case, Source

from slimlearn import ops
from slimlearn.backend.graph import Model, is_symbolic
from slimlearn.backend.op import FUNCTIONS, OPS, PUBLIC
from slimlearn.backend.shape import B

ROWS = Source((B, 7))
CUBE = Source((B, 3, 4))
FIXED = Source((3, 5))
SHORT = Source((B, 1))
NAMED: dict[str, Case] = {}


def case(label, build, expect, smooth=None, **inputs):
    """Add a case that is computed by NumPy, too; `smooth` as in `support.op_cases`."""
    if smooth is None:
        smooth = tuple(name for name, s in inputs.items() if s.dtype == "F")
    assert label not in NAMED, label
    NAMED[label] = Case("numpy", label, build, inputs, smooth, expect)


# -- elementwise -----------------------------------------------------------------------

for _name, _sampler in {
    "absolute": "away", "negative": "normal", "exp": "normal", "exp2": "normal",
    "log2": "positive", "log10": "positive", "tan": "unit", "sinh": "normal",
    "cosh": "normal", "rint": "fraction",
}.items():  # fmt: skip
    _function = "abs" if _name == "absolute" else "round" if _name == "rint" else _name
    case(
        f"ufunc-{_name}",
        lambda a, f=_function: getattr(ops, f)(a),
        getattr(np, _name),
        a=Source((B, 7), _sampler),
    )
for _name in ("subtract", "multiply", "divide", "power", "maximum", "minimum"):
    case(
        f"ufunc-{_name}",
        lambda a, b, f=_name: getattr(ops, f)(a, b),
        getattr(np, _name),
        a=Source((B, 7), "positive"),
        b=Source((7,), "away"),
    )
case("sinh-small", lambda a: ops.sinh(a * 1e-9), lambda a: np.sinh(a * 1e-9), a=ROWS)
case("clip", lambda a: ops.clip(a, -0.5, 1), lambda a: np.clip(a, -0.5, 1), a=ROWS)
case("clip-low", lambda a: ops.clip(a, 0.1), lambda a: np.clip(a, 0.1, None), a=ROWS)
case(
    "clip-high",
    lambda a: ops.clip(a, a_max=0.1),
    lambda a: np.clip(a, None, 0.1),
    a=ROWS,
)
case("where", lambda a: ops.where(a > 0, a, 1), lambda a: np.where(a > 0, a, 1), a=ROWS)
_NAN = {"a": Source((B, 9), "integer")}


def _holes(a):
    """NaN and both infinities among numbers."""
    a = a.copy()
    a[:, 0], a[:, 1], a[:, 2] = np.nan, np.inf, -np.inf
    return a


def _made_holes(a):
    column = ops.arange(9)
    nan = ops.where(ops.equal(column, 0), math.nan, a)
    high = ops.where(ops.equal(column, 1), math.inf, nan)
    return ops.where(ops.equal(column, 2), -math.inf, high)


for _name in ("isnan", "isinf", "isfinite"):
    case(
        _name,
        lambda a, f=_name: getattr(ops, f)(_made_holes(a)),
        lambda a, f=_name: getattr(np, f)(_holes(a)),
        smooth=(),
        **_NAN,
    )
case(
    "nan_to_num",
    lambda a: ops.nan_to_num(_made_holes(a), 7.0),
    lambda a: np.nan_to_num(_holes(a), nan=7.0, posinf=np.inf, neginf=-np.inf),
    smooth=(),
    **_NAN,
)

# -- operators -------------------------------------------------------------------------

for _label, _sign in {"mod": 1, "mod-negative": -1}.items():
    _side = Source((7,), "positive" if _sign > 0 else "negative")
    case(f"{_label}", lambda a, b: a % b, np.mod, a=Source((B, 7), "wide"), b=_side)
    case(
        f"{_label}-floor",
        lambda a, b: a // b,
        np.floor_divide,
        smooth=(),
        a=Source((B, 7), "wide"),
        b=_side,
    )
case("mod-number", lambda a: a % 0.75, lambda a: np.mod(a, 0.75), a=ROWS)
case(
    "mod-reflected",
    lambda a: 5.0 % a,
    lambda a: np.mod(5.0, a),
    a=Source((B, 7), "away"),
)
case("divmod", lambda a: divmod(a, 0.3), lambda a: np.divmod(a, 0.3), a=ROWS)
for _kind in ("i32", "i64"):
    _whole = {
        "a": Source((B, 9), "integer", _kind),
        "b": Source((9,), "integer", _kind),
    }
    case(f"mod-{_kind}", lambda a, b: a % b, np.mod, **_whole)
    case(f"floor-{_kind}", lambda a, b: a // b, np.floor_divide, **_whole)
    case(
        f"floor-number-{_kind}",
        lambda a, b: a // 3 + b,
        lambda a, b: a // 3 + b,
        **_whole,
    )
case("abs", lambda a: abs(a) + +a, lambda a: abs(a) + a, a=Source((B, 7), "away"))
case("round", lambda a: round(a), np.rint, a=Source((B, 7), "fraction"))
case("round-digits", lambda a: round(a, 2), lambda a: a.round(2), smooth=(), a=ROWS)
for _decimals in (0, 1, 3, -1):
    case(
        f"round-{_decimals}",
        lambda a, d=_decimals: ops.round(a * 37, d),
        lambda a, d=_decimals: np.round(a * 37, d),
        smooth=(),
        a=ROWS,
    )
case("dot", ops.dot, np.dot, a=ROWS, b=Source((7, 3)))
case("dot-vectors", ops.dot, np.dot, a=Source((4,)), b=Source((4,)))
case("math-floor", lambda a: math.floor(a), np.floor, a=Source((B, 7), "fraction"))
case("math-ceil", lambda a: math.ceil(a), np.ceil, a=Source((B, 7), "fraction"))
_BITS = {"a": Source((B, 5), "bool", "bool"), "b": Source((5,), "bool", "bool")}
case("logic", lambda a, b: ~a & b | a ^ b, lambda a, b: ~a & b | a ^ b, **_BITS)
case("xor-true", lambda a, b: True ^ a, lambda a, b: True ^ a, **_BITS)
for _name in ("lt", "le", "gt", "ge"):
    _compare = getattr(operator, _name)
    case(
        f"compare-{_name}",
        lambda a, b, f=_compare: f(a, b),
        _compare,
        smooth=(),
        a=ROWS,
        b=ROWS,
    )
case("matvec", lambda a, b: a @ b, lambda a, b: a @ b, a=ROWS, b=Source((7,)))
case("matvec-stack", lambda a, b: a @ b, lambda a, b: a @ b, a=CUBE, b=Source((4,)))
case("vecmat", lambda a, b: a @ b, lambda a, b: a @ b, a=Source((3,)), b=FIXED)
case("vecvec", lambda a, b: a @ b, lambda a, b: a @ b, a=Source((4,)), b=Source((4,)))
for _name in ("float32", "float64"):
    _scalar = getattr(np, _name)(2)
    case(
        f"scalar-{_name}",
        lambda a, s=_scalar: (s + a, s - a, s * a, s / a, s**a, s % a, s // a, s < a),
        lambda a: (2 + a, 2 - a, 2 * a, 2 / a, 2**a, np.mod(2, a), 2 // a, a > 2),
        smooth=(),
        a=Source((B, 3), "away"),
    )

# -- reductions ------------------------------------------------------------------------

for _name in ("sum", "mean", "max", "min", "var", "std", "any", "all", "count_nonzero"):
    for _axis in (None, 0, -1, (1, 2)):
        for _keep in (False, True):
            if _name in ("max", "min") and _axis == 0:
                continue  # what is largest changes with the rows
            case(
                f"{_name}-{_axis}-{_keep}",
                lambda a, f=_name, x=_axis, k=_keep: getattr(ops, f)(a, x, k),
                lambda a, f=_name, x=_axis, k=_keep: getattr(np, f)(
                    a, axis=x, keepdims=k
                ),
                smooth=() if _name in ("any", "all", "count_nonzero") else None,
                a=CUBE,
            )
for _name in ("any", "all", "count_nonzero"):
    case(
        f"{_name}-bool",
        lambda a, f=_name: getattr(ops, f)(a, 1),
        lambda a, f=_name: getattr(np, f)(a, axis=1),
        a=Source((B, 2), "bool", "bool"),
    )
for _size in (1, 2, 5, 8, 13):
    _wide = Source((B, _size, 2))
    case(
        f"prod-{_size}",
        lambda a: ops.prod(a, 1),
        lambda a: np.prod(a, axis=1),
        a=_wide,
    )
    case(
        f"cumprod-{_size}",
        lambda a: ops.cumprod(a, 1),
        lambda a: np.cumprod(a, axis=1),
        a=_wide,
    )
    case(
        f"sort-{_size}",
        lambda a: ops.sort(a, 1),
        lambda a: np.sort(a, axis=1),
        a=Source(_wide.shape, "distinct"),
    )
    case(
        f"argsort-{_size}",
        lambda a: ops.argsort(ops.round(a * 2), 1),
        lambda a: np.argsort(np.round(a * 2), axis=1, kind="stable"),
        smooth=(),
        a=_wide,
    )
    case(
        f"unstack-{_size}",
        lambda a: ops.stack(ops.unstack(a, 1)[::-1], 1),
        lambda a: np.flip(a, 1),
        a=_wide,
    )
    case(
        f"cumsum-{_size}",
        lambda a: ops.cumsum(a, 1),
        lambda a: np.cumsum(a, axis=1),
        a=_wide,
    )
for _form, _shapes in {
    "bi,ij->bj": ((B, 3), (3, 4)),
    "bqhd,bkhd->bhqk": ((B, 2, 3, 4), (B, 5, 3, 4)),
    "bi,bj->bij": ((B, 3), (B, 4)),
    "bi,i,ij->jb": ((B, 3), (3,), (3, 4)),
    "bij,bij": ((B, 3, 4), (B, 3, 4)),
    "bij->bj": ((B, 3, 4),),
    "bij": ((B, 3, 4),),
}.items():
    case(
        f"einsum-{_form}",
        lambda form=_form, **v: ops.einsum(form, *v.values()),
        lambda *v, form=_form: np.einsum(form, *v),
        **{letter: Source(s) for letter, s in zip("abc", _shapes, strict=False)},
    )
case(
    "segment_sum",
    lambda a, i: ops.segment_sum(a, i, 4),
    lambda a, i: np.stack([a[i == k].sum(0) for k in range(4)]),
    a=Source((B, 3)),
    i=Source((B,), dtype="i32", below=4),
)
case(
    "prod-zero",
    lambda a: ops.prod(a * ops.array([1.0, 0.0, 2.0])),
    lambda a: np.prod(a * [1.0, 0.0, 2.0], axis=-1),
    a=Source((B, 3)),
)
case(
    "prod-keep",
    lambda a: ops.prod(a, (1, 2), True),
    lambda a: np.prod(a, axis=(1, 2), keepdims=True),
    a=CUBE,
)
case("argmax", lambda a: ops.argmax(a, 1), lambda a: np.argmax(a, 1), smooth=(), a=CUBE)
for _kind in ("F", "i32", "i64"):
    case(
        f"argmin-{_kind}",
        lambda a: ops.argmin(a, 1),
        lambda a: np.argmin(a, 1),
        smooth=(),
        a=Source((B, 9), "integer", _kind),
    )
for _name in ("softmax", "log_softmax"):
    for _axis in (1, -1):
        case(
            f"{_name}-{_axis}",
            lambda a, f=_name, x=_axis: getattr(ops, f)(a, x),
            lambda a, f=_name, x=_axis: getattr(__import__("scipy.special").special, f)(
                a, x
            ),
            a=CUBE,
        )

# -- indices ---------------------------------------------------------------------------

_INDICES = {
    "range": np.s_[:, 1:5],
    "every-second": np.s_[:, ::2],
    "every-third-from-1": np.s_[:, 1::3],
    "every-second-within": np.s_[:, 1:6:2],
    "beyond": np.s_[:, 3:100],
    "negative-range": np.s_[:, -3:-1],
    "every-third": np.s_[:, ::3],
    "step-as-size": np.s_[:, 2::7],
    "step-past-size": np.s_[:, ::50],
    "reversed": np.s_[:, ::-1],
    "reversed-every-second": np.s_[:, 5::-2],
    "reversed-range": np.s_[:, 5:1:-1],
    "integer": np.s_[:, 3],
    "negative-integer": np.s_[:, -2],
    "numpy-integer": (slice(None), np.int64(1)),
    "new-last": np.s_[..., None],
    "new-first": np.s_[None],
    "new-middle": np.s_[:, None, ::2],
    "dots-integer": np.s_[..., 0],
    "dots": np.s_[...],
    "list": np.s_[:, [0, 2, 3, 4, -1, 0]],
    "list-of-one": np.s_[:, [5]],
}
for _label, _key in _INDICES.items():
    case(f"index-{_label}", lambda a, k=_key: a[k], lambda a, k=_key: a[k], a=ROWS)
for _label, _key in {
    "rank3": np.s_[:, 1:, ::2],
    "rank3-turned": np.s_[:, ::-1, ::-2],
    "rank3-integer": np.s_[:, 1, ::3],
    "rank3-list": np.s_[:, [2, 0], 1:],
    "rank3-dots": np.s_[..., -1, None, :],
}.items():
    case(f"index-{_label}", lambda a, k=_key: a[k], lambda a, k=_key: a[k], a=CUBE)
for _label, _key in {
    "rows": np.s_[::2],
    "row": np.s_[-1],
    "both": np.s_[::-1, 1:4:2],
}.items():
    case(
        f"index-fixed-{_label}", lambda a, k=_key: a[k], lambda a, k=_key: a[k], a=FIXED
    )
for _size in (1, 2, 8, 9, 17, 64, 65, 600):
    case(
        f"flip-{_size}",
        lambda a: ops.flip(a, 1),
        lambda a: np.flip(a, 1),
        a=Source((B, _size, 2)),
    )
for _kind in ("bool", "u8", "i64"):
    _sampler = "bool" if _kind == "bool" else "integer" if _kind == "i64" else "one"
    case(
        f"index-{_kind}",
        lambda a: (a[:, ::2], a[:, ::-1], a[:, ::-3], a[:, 4]),
        lambda a: (a[:, ::2], a[:, ::-1], a[:, ::-3], a[:, 4]),
        a=Source((B, 11), _sampler, _kind),
    )
for _shift in (0, 1, -2, 9, 7):
    case(
        f"roll-{_shift}",
        lambda a, s=_shift: ops.roll(a, s, 1),
        lambda a, s=_shift: np.roll(a, s, 1),
        a=ROWS,
    )
case(
    "take-list",
    lambda a: ops.take(a, [2, 0, -1], 1),
    lambda a: np.take(a, [2, 0, -1], 1),
    a=CUBE,
)
case("take-one", lambda a: ops.take(a, 2), lambda a: np.take(a, 2, -1), a=CUBE)
for _axis in (0, 1, 2):
    case(
        f"take-tensor-{_axis}",
        lambda a, ids, x=_axis: ops.take(a, ids, x),
        lambda a, ids, x=_axis: np.take(a, ids, x),
        a=Source((5, 6, 7)),
        ids=Source((B, 2), "normal", "i32", 5),
    )
case("split", lambda a: tuple(ops.split(a, 2)), lambda a: np.split(a, 2, -1), a=CUBE)
case(
    "split-at",
    lambda a: tuple(ops.split(a, [1, 4], 1)),
    lambda a: np.split(a, [1, 4], 1),
    a=ROWS,
)

# -- shapes ----------------------------------------------------------------------------

case("reshape", lambda a: ops.reshape(a, (-1, 12)), lambda a: a.reshape(-1, 12), a=CUBE)
case("ravel", ops.ravel, np.ravel, a=CUBE)
case(
    "transpose",
    lambda a: ops.transpose(a, (0, 2, 1)),
    lambda a: a.swapaxes(1, 2),
    a=CUBE,
)
case("swapaxes", lambda a: ops.swapaxes(a, 1, -1), lambda a: a.swapaxes(1, 2), a=CUBE)
for _from, _to in ((1, 2), (2, 1), (0, 2), (2, 0), (1, 1)):
    case(
        f"moveaxis-{_from}-{_to}",
        lambda a, f=_from, t=_to: ops.moveaxis(a, f, t),
        lambda a, f=_from, t=_to: np.moveaxis(a, f, t),
        a=CUBE,
    )
for _axis in (0, 1, -1, -2):
    case(
        f"expand_dims-{_axis}",
        lambda a, x=_axis: ops.expand_dims(a, x),
        lambda a, x=_axis: np.expand_dims(a, x),
        a=ROWS,
    )
    case(
        f"stack-{_axis}",
        lambda a, b, x=_axis: ops.stack([a, b, a], x),
        lambda a, b, x=_axis: np.stack([a, b, a], x),
        a=ROWS,
        b=ROWS,
    )
case("squeeze", ops.squeeze, lambda a: a.squeeze(1).squeeze(2), a=Source((B, 1, 3, 1)))
case("squeeze-one", lambda a: ops.squeeze(a, -1), lambda a: a.squeeze(-1), a=SHORT)
case(
    "concat",
    lambda a, b: ops.concat([a, b]),
    lambda a, b: np.concatenate([a, b], 1),
    a=ROWS,
    b=SHORT,
)
case(
    "pad",
    lambda a: ops.pad(a, [(0, 0), (1, 2), (0, 3)]),
    lambda a: np.pad(a, [(0, 0), (1, 2), (0, 3)]),
    a=CUBE,
)
case(
    "broadcast_to",
    lambda a: ops.broadcast_to(a, (B, 4)),
    lambda a: np.broadcast_to(a, (len(a), 4)),
    a=SHORT,
)
for _reps in (3, (1, 3), (2, 1), (2, 3), (2, 1, 3)):
    case(
        f"tile-{_reps}",
        lambda a, r=_reps: ops.tile(a, r),
        lambda a, r=_reps: np.tile(a, r),
        a=ROWS,
    )
for _axis in (0, 1, 2):
    case(
        f"repeat-{_axis}",
        lambda a, x=_axis: ops.repeat(a, 3, x),
        lambda a, x=_axis: np.repeat(a, 3, x),
        a=CUBE,
    )
for _k in (-1, 0, 1, 9):
    case(
        f"tril-{_k}",
        lambda a, k=_k: (ops.tril(a, k), ops.triu(a, k)),
        lambda a, k=_k: (np.tril(a, k), np.triu(a, k)),
        a=CUBE,
    )
case(
    "tril-bool",
    lambda a: (ops.tril(a), ops.triu(a)),
    lambda a: (np.tril(a), np.triu(a)),
    a=Source((3, 5), "bool", "bool"),
)

# -- new tensors -----------------------------------------------------------------------

case("zeros", lambda a: ops.zeros((B, 3)) + a, lambda a: a, a=Source((B, 3)))
case("ones", lambda a: ops.ones(3) * a, lambda a: a, a=Source((B, 3)))
case("full", lambda a: ops.full((3,), 2.5) * a, lambda a: a * 2.5, a=Source((B, 3)))
case(
    "like",
    lambda a: ops.zeros_like(a) + ops.ones_like(a) * a + ops.full_like(a, 0.5),
    lambda a: a + 0.5,
    a=ROWS,
)
case("eye", lambda a: a @ ops.eye(7, 9), lambda a: a @ np.eye(7, 9), a=ROWS)
for _arguments in ((5,), (2, 9), (2, 9, 3), (9, 2, -2), (0.0, 1.0, 0.25)):
    case(
        f"arange-{_arguments}",
        lambda x=_arguments: ops.arange(*x),
        lambda x=_arguments: np.arange(*x),
    )
case(
    "arange-rows",
    lambda a: ops.arange(a.shape[0]),
    lambda a: np.arange(len(a)),
    smooth=(),
    a=ROWS,
)
for _label, _values in {
    "floats": [0.5, -1.25], "matrix": [[1, 2, 3], [4, 5, 6]], "bools": [True, False],
    "scalar": 3, "cube": np.arange(24).reshape(2, 3, 4),
}.items():  # fmt: skip
    case(
        f"array-{_label}", lambda v=_values: ops.array(v), lambda v=_values: np.array(v)
    )

ALL = list(NAMED.values())


def several(values):
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_values_are_numpys(case):
    for rows in (1, 5) if any(B in s.shape for s in case.inputs.values()) else (5,):
        sources = case.sources("f64", rows)
        with np.errstate(all="ignore"):
            wanted = several(case.expect(*sources.values()))
        model = case.model("f64")
        native = native_run.run(model, sources, native_run.ISAS[-1])
        for got, fast, want in zip(run(model, sources), native, wanted, strict=True):
            assert got.shape == np.shape(want)
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(fast, got, rtol=1e-12, atol=1e-14)
            assert got.dtype == fast.dtype


@pytest.mark.parametrize("case", [c for c in ALL if c.smooth], ids=str)
def test_gradients_are_difference_quotients(case):
    check_gradients(case, 1)


LOCAL = [
    c
    for c in ALL
    if c.label.startswith(("index-", "flip", "roll", "take-list", "split", "prod"))
]


@pytest.mark.parametrize("case", LOCAL, ids=str)
def test_what_keeps_rows_apart_is_known_to(case):
    graph = case.model("f64").functions["f"]
    if not all(is_symbolic(t.shape[:1], "B") for t in graph.returns):
        return
    mixing = [n.op for n in graph.nodes if not OPS[n.op].row_local(n)]
    assert mixing == []


def test_slices_cost_few_ops():
    model = Model()
    with model.function("f") as graph:
        x = ops.input_("x", (B, 64))
        x[:, ::2]
        assert [n.op for n in graph.nodes] == ["input", "reshape", "slice", "reshape"]
        before = len(graph.nodes)
        x[:, 3:40]
        assert len(graph.nodes) == before + 1


def test_a_remainder_has_the_sign_of_its_divisor_where_quotients_round():
    model = Model("f32")
    with model.function("f") as graph:
        a, b = ops.input_("a", (B,)), ops.input_("b", (B,))
        graph.return_(a % b)
    b = np.float32([5.481887340545654, 9.357216835021973, -5.481887340545654])
    a = np.float32([252.16680908203125, 383.6458740234375, -252.16680908203125])
    plain = a - b * np.floor(a / b)
    assert (plain * b < 0).all()
    for got in (
        run(model, {"a": a, "b": b})[0],
        native_run.run(model, {"a": a, "b": b}, native_run.ISAS[-1])[0],
    ):
        assert (got * b >= 0).all()


def test_whole_numbers_divided_by_zero_are_zero_and_small_ones_have_a_minimum():
    model = Model()
    with model.function("f") as graph:
        a = ops.input_("a", (B, 3), "i32")
        graph.return_(a // 0, a % 0, ops.argmin(a))
    a = np.array([[5, -(2**31), 2**31 - 1]], "i4")
    for q, r, at in (
        run(model, {"a": a}),
        native_run.run(model, {"a": a}, native_run.ISAS[-1]),
    ):
        assert not q.any() and not r.any() and at == [1]


def test_types_are_spelt_as_numpy_does():
    model = Model("f64")
    with model.function("f"):
        x = ops.zeros(3)
        assert x.dtype == "f64"
        for spelling in ("float32", np.float32, np.dtype("f4"), "f32"):
            assert ops.cast(x, spelling).dtype == "f32"
        assert ops.cast(x, bool).dtype == "bool"
        assert ops.astype(x, int).dtype == "i64"
        assert ops.array([1, 2], "u8").dtype == "u8"
        with pytest.raises(TypeError, match="no type is called 'f16'; there are f32"):
            ops.cast(x, "f16")
        with pytest.raises(TypeError, match="complex"):
            ops.cast(x, complex)


REFUSED = {
    "[clip clip] give a_min, a_max or both": lambda x: ops.clip(x),
    "[split split] 5 elements of axis -1 have no 2 equal": lambda x: ops.split(x, 2),
    "[split split] the places [3, 3] must rise": lambda x: ops.split(x, [3, 3]),
    "[squeeze squeeze] axis 1 of f32[B,5] is not of length 1": (
        lambda x: ops.squeeze(x, 1)
    ),
    "[stack stack] needs at least one tensor": lambda x: ops.stack([]),
    "[stack stack] a new axis 3 is out of range": lambda x: ops.stack([x], 3),
    "[tile many] repeats a whole number of times": lambda x: ops.tile(x, 0, "many"),
    "[repeat repeat] repeats a whole number of times": lambda x: ops.repeat(x, 1.5),
    "[prod prod] axis 0 of f32[B,5] has no fixed size": lambda x: ops.prod(x, 0),
    "[cumsum cumsum] axis 0 of f32[B,5] has no fixed": lambda x: ops.cumsum(x, 0),
    "[cumsum cumsum] a is bool[B,5], needs numbers": lambda x: ops.cumsum(x > 0),
    "[sort sort] axis 0 of f32[B,5] has no fixed size": lambda x: ops.sort(x, 0),
    "[argsort argsort] axis 0 of f32[B,5] has no": lambda x: ops.argsort(x, 0),
    "[unstack unstack] axis 0 of f32[B,5] has no": lambda x: ops.unstack(x, 0),
    "[einsum einsum] 'b..' is no form such as": lambda x: ops.einsum("b..", x),
    "[einsum einsum] 'bi,i' names 2 operands, got 1": lambda x: ops.einsum("bi,i", x),
    "[einsum einsum] 'b' does not fit f32[B,5]": lambda x: ops.einsum("b", x),
    "[einsum einsum] 'bb' does not fit f32[B,5]": lambda x: ops.einsum("bb", x),
    "[einsum einsum] 'i' is 5 and B long": lambda x: ops.einsum("bi,ib", x, x),
    "[einsum einsum] the result 'bk' needs": lambda x: ops.einsum("bi->bk", x),
    "[pad pad] pad_width has 1 pairs, a is f32[B,5]": lambda x: ops.pad(x, [(1, 1)]),
    "[isnan isnan] a is i64[3], needs f32 or f64": lambda x: ops.isnan(ops.arange(3)),
    "[logical_xor logical_xor] a is f32[B,5], needs bool": lambda x: x ^ (x > 0),
    "[dot dot] multiplies vectors and matrices: a is f32[B,5,1], b is f32[1,2]: use": (
        lambda x: ops.dot(x[..., None], ops.ones((1, 2)))
    ),
    "[tril tril] needs at least two axes": lambda x: ops.tril(x[:, 0]),
    "[arange arange] steps of 1 from 5 do not reach 2": lambda x: ops.arange(5, 2),
    "[mod mod] a is bool[B,5], needs f32": lambda x: (x > 0) % 2,
}


def refuses(error, message, build):
    model = Model()
    with model.function("f"):
        x = ops.input_("x", (B, 5))
        with pytest.raises(error, match=re.escape(message)):
            build(x)


@pytest.mark.parametrize("message", REFUSED)
def test_values_that_do_not_fit(message):
    refuses(ValueError, message, REFUSED[message])


WRONG_TYPES = {
    "has no truth value while the network is being built: use ops.where(": (
        lambda x: 1 if x > 0 else 2
    ),
    "cannot be iterated: ops compute with all rows at once": list,
    "== and != do not compare the elements of %x: use ops.equal": lambda x: x == 3,
    "np.exp cannot compute with %x, which has no value while the network is being "
    "built: use ops.exp (from slimlearn import ops)": np.exp,
    "np.mean cannot compute with %x": np.mean,
    "use ops.multiply (from slimlearn import ops), and ops.array for the array": (
        lambda x: np.ones(5) * x
    ),
    "use ops.concatenate (": lambda x: np.concatenate([x, x]),
    "use ops.where (": lambda x: np.where(x > 0, x, x),
    "np.median cannot compute with %x, which has no value while the network is being "
    "built: compute with the functions of ops": np.median,
    "[concat concat] needs a list of tensors": lambda x: ops.concat(x),
    "[stack stack] needs a tensor of the network being built, got 1": (
        lambda x: ops.stack([x, 1])
    ),
    "write numbers into the network as ops.array(values, dtype)": (
        lambda x: x + np.ones(5)
    ),
    "== and != compare no elements": lambda x: ops.where(x == x, x, 0.0),
    "[round round] decimals is a whole number, got 'r'": lambda x: ops.round(x, "r"),
    "built: use ops.abs (": np.abs,
    "[pad pad] pad_width has a pair of whole numbers": lambda x: ops.pad(x, 3),
    "[mod mod] needs a tensor and a tensor or number": lambda x: ops.mod(x, "a"),
    "an index is a whole number, a slice, a list": lambda x: x[x > 0],
    "got 1.5: ops.gather(table, ids) picks rows": lambda x: x[:, 1.5],
    "got True: ops.gather": lambda x: x[:, True],
    "%x cannot be changed: make a new tensor, as in ops.where": (
        lambda x: x.__setitem__(0, 1)
    ),
    "has no length": len,
    "%x has no value": float,
    "[array array] needs numbers, got list": lambda x: ops.array(["a"]),
}


@pytest.mark.parametrize("message", WRONG_TYPES)
def test_what_makes_no_sense_names_the_alternative(message):
    refuses(TypeError, message, WRONG_TYPES[message])


INDICES = {
    "%x: 0 cannot select from the dimension B": lambda x: x[0],
    "cannot select from the dimension B, which has no fixed size": lambda x: x[::2],
    "%x: slice(3, 3, None) selects nothing of a dimension of 5": lambda x: x[:, 3:3],
    "%x: 5 selects nothing of a dimension of 5": lambda x: x[:, 5],
    "%x: -6 selects nothing": lambda x: x[:, [0, -6]],
    "%x: 3 indices, but the tensor is f32[B,5]": lambda x: x[:, 0, 0],
    "an index has one list of numbers at most": lambda x: x[..., None][:, [0], [0]],
    "an index has one ... at most": lambda x: x[..., ...],
    "flip cannot select from the dimension B": lambda x: ops.flip(x, 0),
}


@pytest.mark.parametrize("message", INDICES)
def test_indices_that_select_nothing(message):
    refuses(IndexError, message, INDICES[message])


METHODS = ["sum", "reshape", "astype", "T", "view", "permute", "unsqueeze", "ndim"]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_arrays_names_the_function(name):
    model = Model()
    with model.function("f"):
        x = ops.input_("x", (B, 5))
        with pytest.raises(
            AttributeError, match=f"no attribute '{name}': use (ops|x)."
        ):
            getattr(x, name)
        assert not hasattr(x, "nothing_of_this_kind")


def test_public_functions_are_described():
    assert ops.__all__ == dir(ops) == sorted(PUBLIC)
    assert set(FUNCTIONS) > PUBLIC
    for name in ops.__all__:
        function = getattr(ops, name)
        assert isinstance(function, types.FunctionType), name
        text = inspect.getdoc(function)
        for parameter in inspect.signature(function).parameters:
            line = rf"^(.*, )?\*?{parameter}(, .*)?( : .*)?$"
            assert re.search(line, text, re.M), (name, parameter)
        assert "\nReturns\n-------\n" in text, name
        assert text.splitlines()[0].endswith("."), name
        assert max(map(len, text.splitlines())) <= 88, name


@pytest.mark.parametrize(
    "numpy_name, others",
    {
        "where": ["select"], "sum": ["reduce_sum"], "mean": ["reduce_mean"],
        "max": ["reduce_max"], "min": ["reduce_min"], "negative": ["neg"],
        "subtract": ["sub"], "multiply": ["mul"], "divide": ["div"], "power": ["pow"],
        "isfinite": ["is_finite"], "concat": ["concatenate"], "mod": ["remainder"],
        "flip": ["reverse"], "arange": ["range"],
    }.items(),
)  # fmt: skip
def test_words_of_slim_and_tensorflow_are_aliases(numpy_name, others):
    for other in others:
        assert getattr(ops, other) is getattr(ops, numpy_name)
        assert hasattr(np, numpy_name)
    assert getattr(ops, numpy_name).__name__ == numpy_name


def test_names_are_given_to_results():
    model = Model()
    with model.function("f"):
        x = ops.input_("x", (B, 6))
        for name in ops.__all__:
            parameters = inspect.signature(getattr(ops, name)).parameters
            given = set(parameters) - {"name", "axis", "keepdims"}
            needed = [
                p.name
                for p in parameters.values()
                if p.default is inspect.Parameter.empty
            ]
            if needed != ["a"] or "name" not in parameters or given - {"a", "k", "nan"}:
                continue
            takes_bool = name == "logical_not"
            made = getattr(ops, name)(x > 0 if takes_bool else x, name=f"my_{name}")
            made = made[0] if isinstance(made, tuple) else made
            assert made.name.startswith(f"my_{name}"), name
