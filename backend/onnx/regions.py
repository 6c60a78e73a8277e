"""Ops with regions as ONNX: branches as If, steps as Scan and Loop."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.onnx.registry import converts, refusal
from slimlearn.backend.onnx.sources import positions, repeated
from slimlearn.backend.ops.loops import LoopForm

_FLAG = ("bool", ())
_COUNT = ("i64", ())


@converts("fused", "placed")
def inline(writer, node, operands):
    return writer.inline(node.regions[0], operands)


@converts("cond")
def cond(writer, node, operands):
    test, *read = operands
    bodies = []
    for word, region in zip(("then", "otherwise"), node.regions):
        with writer.subgraph() as nodes:
            made = writer.inline(region, read)
        outputs = [(name, v.type) for name, v in zip(made, region.returns)]
        bodies.append(writer.body(word, nodes, [], outputs))
    then, otherwise = bodies
    made = writer.add(
        "If",
        test,
        wish=node.results[0].name,
        outputs=len(node.results),
        then_branch=then,
        else_branch=otherwise,
    )
    return made if len(node.results) > 1 else [made]


def _parameters(writer, tensors) -> list[tuple[str, tuple]]:
    return [(writer.unique(tensor.name), tensor.type) for tensor in tensors]


@converts("scan")
def scan(writer, node, operands):
    form = LoopForm.of_node(node)
    if form.counted:
        raise refusal(node, "only gradients count their steps")
    [region], moved = node.regions, form.carried + form.scanned
    if form.length == 0:
        stacked = node.results[form.carried :]
        zeros = [repeated(writer, 0, *value.type, value.name) for value in stacked]
        return [*operands[: form.carried], *zeros]
    inputs = _parameters(writer, region.parameters[:moved])
    with writer.subgraph() as nodes:
        made = writer.inline(region, [*(n for n, _ in inputs), *operands[moved:]])
    outputs = [(name, v.type) for name, v in zip(made, region.returns)]
    given, axes = (
        list(operands[:moved]),
        [form.scanned_axis(i) for i in range(form.scanned)],
    )
    if not form.scanned:
        # Scan has something to cut: here the numbers of the steps.
        inputs.append((writer.unique("step"), _COUNT))
        given.append(positions(writer, form.length))
        axes = [0]
    stacked = [form.stacked_axis(i) for i in range(form.stacked)]
    made = writer.add(
        "Scan",
        *given,
        wish=node.results[0].name,
        outputs=len(node.results),
        body=writer.body("step", nodes, inputs, outputs),
        num_scan_inputs=len(axes),
        scan_input_axes=axes,
        scan_input_directions=[int(form.reverse)] * len(axes),
        **(
            {
                "scan_output_axes": stacked,
                "scan_output_directions": [int(form.reverse)] * len(stacked),
            }
            if stacked
            else {}
        ),
    )
    return made if len(node.results) > 1 else [made]


@converts("while_loop")
def while_loop(writer, node, operands):
    form = LoopForm.of_node(node)
    condition, region = node.regions
    starts, read = list(operands[: form.carried]), list(operands[form.carried :])
    [goes_on] = writer.inline(condition, [*starts, *read])
    zero, one = writer.constant(0, np.int64), writer.constant(1, np.int64)
    inputs = _parameters(writer, region.parameters[: form.carried])
    names = [name for name, _ in inputs]
    step, before, count = (writer.unique(w) for w in ("step", "goes_on", "count"))
    with writer.subgraph() as nodes:
        made = writer.inline(region, [*names, *read])
        carried = made[: form.carried]
        [after] = writer.inline(condition, [*carried, *read])
        counted = writer.add("Add", count, one)
    types = [value.type for value in region.returns]
    outputs = [(after, _FLAG), (counted, _COUNT), *zip(made, types)]
    body = writer.body(
        "step",
        nodes,
        [(step, _COUNT), (before, _FLAG), (count, _COUNT), *inputs],
        outputs,
    )
    most = writer.constant(form.length, np.int64) if form.length else ""
    found = writer.add(
        "Loop",
        most,
        goes_on,
        zero,
        *starts,
        wish=node.results[0].name,
        outputs=1 + len(types),
        body=body,
    )
    counted, *values = found
    for i in range(form.carried, len(types)):
        values[i] = _filled(writer, values[i], counted, form.length, *types[i])
    return [*values, writer.cast(counted, "i32")][: len(node.results)]


def _filled(writer, stacked: str, count: str, most: int, dtype: str, shape) -> str:
    """Return what was stacked with zeros behind, up to the most steps."""
    rest = writer.add("Sub", writer.constant(most, np.int64), count)
    rest = writer.add("Unsqueeze", rest, writer.ints(0))
    before = writer.ints(*[0] * (len(shape) + 1))
    behind = [rest, writer.ints(*[0] * len(shape))] if shape else [rest]
    widths = writer.add("Concat", before, *behind, axis=0)
    return writer.add("Pad", stacked, widths, writer.number(0, dtype))
