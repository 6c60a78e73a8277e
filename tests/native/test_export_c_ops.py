"""Ops in exported C, one by one, beside the reference; a table of which there are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from slimlearn.backend import ops, reference
from slimlearn.backend.export_c import NotExportable, Wish, fixed, write_c
from slimlearn.backend.export_c.families import EMITTERS, FORMULAS
from slimlearn.backend.graph import Model
from slimlearn.backend.op import OPS
from slimlearn.backend.shape import B
from tests.support.exported_c import COMPILERS, ON_ONE_ISA, Compiled

pytestmark = ON_ONE_ISA
SHAPES = {"x": (3, 4, 5), "y": (4, 6), "z": (2, 7, 6, 4)}
IDS = {"ids": ((3,), 9)}


def _twice(step, *, axis, reverse=False):
    """A loop that is within a loop, over an axis that cuts slices apart."""

    def run(t):
        total, rows = ops.scan(step, t["x"][:, 0, 0, 0], t["x"], axis=axis)
        return ops.concat([ops.reshape(total, (-1, 1)), _flat(rows)], 1)

    return run


def _flat(t):
    return ops.reshape(ops.cast(t, "f32"), (t.shape[0], -1))


def _nested(t):
    def outer(carry, row):
        inner, parts = ops.scan(
            lambda c, v: (c + ops.sin(v), c * v), carry, row, axis=1, reverse=True
        )
        return inner, ops.concat([parts, row], 1)

    last, rows = ops.scan(outer, t["y"][:, 0, 0], t["y"], axis=1)
    return ops.concat([_flat(rows), ops.reshape(last, (-1, 1))], 1)


def _branches(t):
    def deeper():
        return ops.cond(
            ops.reduce_sum(t["y"]) > 0.0, lambda: t["y"] + 1.0, lambda: t["y"] * 3.0
        )

    return ops.cond(ops.reduce_max(t["x"]) > 2.0, deeper, lambda: ops.exp(t["y"]))


CASES = {
    "argmax": lambda t: ops.argmax(t["x"], 2),
    "argmax_between": lambda t: ops.argmax(t["x"], 1),
    "sum_inside": lambda t: ops.reduce_sum(t["x"], [2]),
    "sum_all": lambda t: ops.reduce_sum(t["x"], [1, 2, 3], keepdims=True),
    "largest": lambda t: ops.reduce_max(t["x"], [1, 2]),
    "least": lambda t: ops.reduce_min(t["x"], [3], keepdims=True),
    "logsumexp": lambda t: ops.logsumexp(t["x"] * 30.0, [2]),
    "softmax": lambda t: ops.softmax(t["x"] * 30.0),
    "log_softmax": lambda t: ops.log_softmax(t["x"] * 30.0),
    "transposed": lambda t: ops.transpose(t["x"], [0, 3, 1, 2]),
    "broadcast": lambda t: ops.broadcast_to(t["y"][:, :1], (B, 5, 6)),
    "concat": lambda t: ops.concat([t["x"], t["x"][:, :, 1:3]], 2),
    "slices": lambda t: t["x"][:, 1:, 2:4, ::1],
    "pads": lambda t: ops.pad(t["x"], [[0, 0], [1, 0], [0, 2], [3, 1]]),
    "select": lambda t: ops.select(t["x"] > 0.0, t["x"], ops.floor(t["x"] * 2.0)),
    "cast": lambda t: ops.cast(ops.cast(t["x"] * 3.0, "i32"), "f32"),
    "iota": lambda t: t["y"] + ops.cast(ops.iota(6, "i32"), "f32"),
    "one_hot": lambda t: ops.one_hot(t["ids"], 9),
    "gather": lambda t: ops.gather(ops.constant_list(range(9), "f32"), t["ids"]),
    "gather_own": lambda t: ops.gather(
        ops.transpose(t["y"], [1, 0, 2])[0], t["ids"] * 0
    ),
    "product": lambda t: ops.matmul(t["x"], ops.transpose(t["x"], [0, 1, 3, 2])),
    "turned": lambda t: ops.matmul(t["x"], t["x"], transpose_a=True),
    "turned_too": lambda t: ops.matmul(t["x"], t["x"], transpose_b=True),
    "loop": _twice(lambda c, v: (c + ops.reduce_sum(v, [1, 2]), v * 2.0), axis=1),
    "loop_apart": _twice(
        lambda c, v: (c + ops.reduce_sum(v, [1, 2]), ops.tanh(v)), axis=3
    ),
    "loop_in_loop": _nested,
    "branches": _branches,
}


def network_of(build):
    model = Model("f32")
    with model.function("f") as graph:
        t = {n: ops.input_(n, (B, *s), "f32") for n, s in SHAPES.items()}
        t |= {n: ops.input_(n, (B, *s), "i32") for n, (s, _) in IDS.items()}
        graph.return_(_flat(build(t)))
    return model


@pytest.mark.skipif(not COMPILERS, reason="no C compiler here")
@pytest.mark.parametrize("name", CASES)
def test_rows_of_the_reference(tmp_path, name):
    network = fixed(network_of(CASES[name]), "f", {}, {"B": 1}, "f32")
    pages = write_c(network, Wish("net", "f", "result"), "net.h")
    (tmp_path / "net.c").write_text(pages.source)
    (tmp_path / "net.h").write_text(pages.header)
    rng = np.random.default_rng(0)
    sources = {n: rng.normal(size=(4, *s)) for n, s in SHAPES.items()}
    sources = {n: a.astype(np.float32) for n, a in sources.items()}
    sources |= {n: rng.integers(0, m, (4, *s), "i4") for n, (s, m) in IDS.items()}
    flags = "-O1 -fsanitize=undefined -fno-sanitize-recover=all"
    net = Compiled(tmp_path, COMPILERS[0], flags)
    _, parts = net.functions["net_f"]
    got = net.rows("f", *(sources[word] for _, word, _ in parts[:-1]))
    model = network_of(CASES[name])
    for i, row in enumerate(got):
        rows = {n: a[i : i + 1] for n, a in sources.items()}
        (want,) = reference.run(model, "f", rows, {}).returns
        assert_allclose(row, want[0], rtol=2e-6, atol=2e-6)


def test_which_ops_there_are():
    """An op of predictions that has no code in C stands here, and is refused."""
    without = set(OPS) - set(EMITTERS) - FORMULAS
    training = {n for n in without if "grad" in n or OPS[n].random}
    assert without - training == {
        *("input", "reshape", "identity", "recompute", "copy"),
        *("extent", "placed", "custom", "orthogonal", "scatter_add"),
        *("csr_matmul", "csr_transpose", "csr_one_hot"),
        *("max_with_argmax", "top_k", "max_pool_pick"),
        *("softmax_cross_entropy", "sparse_softmax_cross_entropy"),
    }


def test_axes_that_lie_apart_are_refused():
    model = network_of(lambda t: ops.reduce_sum(t["z"], [1, 3]))
    network = fixed(model, "f", {}, {"B": 1}, "f32")
    with pytest.raises(NotExportable, match="reduce neighbouring axes; reduce_sum of"):
        write_c(network, Wish("net", "f", "y"), "net.h")
