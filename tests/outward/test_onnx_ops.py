"""Every op of the registry in ONNX Runtime, against the reference; or refused."""

import numpy as np
import pytest
from scipy.sparse import issparse
from support.differences import run
from support.op_cases import CASES

from slimlearn.backend.op import OPS
from slimlearn.backend.program import Program

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
rt = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from slimlearn.backend.onnx import (  # noqa: E402
    Unsupported,
    Writer,
    finish,
    write_function,
)
from slimlearn.backend.onnx.registry import CONVERTERS, NO_OPERATOR  # noqa: E402

# Numbers beyond float32; the rows of a program that has no input.
ELSE = ("constant_list-f64", "extent-f32", "extent-f64", "iota-rows")
WRITTEN = [case for op in CONVERTERS for case in CASES[op] if str(case) not in ELSE]


def test_every_op_is_written_or_refused():
    assert not set(CONVERTERS) & set(NO_OPERATOR)
    assert set(CONVERTERS) | set(NO_OPERATOR) == set(OPS)


def written(model, opset=17, precision="float32"):
    """The function f of a model as ONNX, and which of its results are there."""
    program, graph = Program(model=model), model.functions["f"]
    writer, infos, inputs = Writer(opset, precision), [], {}
    for node in graph.nodes:
        if node.op == "input" and node.attributes["source"] not in inputs:
            source, [value] = node.attributes["source"], node.results
            shape = value.shape
            if node.attributes.get("columns") is not None:
                shape = (*shape[:-1], None)
            inputs[source] = writer.unique(source), value.dtype
            infos.append(writer.info(*inputs[source], shape))
    write_function(writer, program, "f", inputs)
    outputs, there = [], []
    for place, value in enumerate(graph.returns):
        if writer.values[value]:
            name = writer.add("Identity", writer.values[value])
            outputs.append(writer.info(name, *value.type))
            there.append(place)
    return finish(writer, "f", infos, outputs, "0"), there


def compute(model, sources):
    """What ONNX Runtime makes of sources; sparse rows are given dense."""
    options = rt.SessionOptions()
    options.log_severity_level = 3
    session = rt.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    wanted = {
        info.name: onnx.helper.tensor_dtype_to_np_dtype(
            model.graph.input[i].type.tensor_type.elem_type
        )
        for i, info in enumerate(session.get_inputs())
    }
    feeds = {
        name: (a.toarray() if issparse(a) else a).astype(wanted[name])
        for name, a in sources.items()
        if name in wanted
    }
    return session.run(None, feeds)


def is_counted(graph):
    """Whether a loop counts its steps, as those of gradients do."""
    return any(node.attributes.get("counted") for node in graph.walk())


@pytest.mark.parametrize("case", WRITTEN, ids=str)
def test_onnxruntime_computes_what_the_reference_does(case):
    model = case.model("f32")
    graph = model.functions["f"]
    try:
        made, there = written(model)
    except Unsupported:
        assert any(node.op in NO_OPERATOR for node in graph.walk()) or is_counted(graph)
        return
    assert made.ir_version == 8
    compare(case, model, made, there, (1, 5))


# Operators whose form changed in one of the versions since.
NEWER = ("reduce_max", "reduce_min", "max_with_argmax", "logsumexp", "reduce_sum")
NEWER += ("sum_pool", "scatter_add", "pad", "convolution_input_grad", "scan")


@pytest.mark.parametrize("op", NEWER)
def test_newer_operators(op):
    for case in CASES[op]:
        if not is_counted(case.model().functions["f"]):
            made, there = written(case.model(), 21)
            compare(case, case.model(), made, there, (5,))


def compare(case, model, made, there, sizes):
    for rows in sizes:
        sources = case.sources("f32", rows)
        expected = run(model, sources)
        for place, got in zip(there, compute(made, sources)):
            want = expected[place]
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-5)
            assert got.dtype.kind == want.dtype.kind


@pytest.mark.parametrize("op", NO_OPERATOR)
def test_what_has_no_form_is_named(op):
    if op == "custom":
        pattern = r"\[custom .*a function of Python or C.*slimlearn's ops"
    else:
        pattern = rf"\[{op} .*cannot be written as ONNX: .*[a-z]"
    with pytest.raises(Unsupported, match=pattern):
        written(CASES[op][0].model("f32"))
