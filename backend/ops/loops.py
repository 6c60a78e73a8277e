"""Ops that run a region step after step: what they take, and what they compute."""

import dataclasses

import numpy as np

from slimlearn.backend.graph import Graph, Tensor, storage_of, type_text
from slimlearn.backend.op import OPS, Op, Refusal, refuse_unless, takes
from slimlearn.backend.shape import evaluate, parse_dim

COUNT = ("i32", ())


@dataclasses.dataclass(frozen=True)
class LoopForm:
    """What the operands, results and regions of a loop's node are, in order.

    Operands: [count] carried… scanned… read…; a region's parameters: carried…, a slice
    of each scanned…, read…. The body yields carried… and a slice of each stacked…; the
    results are carried… and stacked…, and of a `while_loop` how many steps ran.
    """

    is_while: bool
    carried: int
    scanned: int
    stacked: int
    axes: list[int]  # of scanned, then of stacked: which one is cut into slices
    length: object  # of these axes; of a while_loop the most steps, 0: no bound
    counted: bool = False
    reverse: bool = False

    @classmethod
    def of(cls, name: str, attributes: dict, operands: int, yields: int) -> "LoopForm":
        """Return that of a node, refusing numbers that do not fit together."""
        carried = attributes["carried"]
        counted = attributes.get("counted", False)
        _check_part("carried", carried, min(operands - counted, yields))
        if name == "while_loop":
            most = attributes["maximum"]
            stacked = yields - carried
            refuse_unless(
                (1 if stacked else 0) <= most < 2**31,
                f"maximum is {most}, needs 0 (no bound, where nothing is stacked) or a "
                "positive number below 2^31",
            )
            return cls(True, carried, 0, stacked, [0] * stacked, most)
        scanned = attributes["scanned"]
        _check_part("scanned", scanned, operands - counted - carried)
        axes, stacked = attributes["axes"], yields - carried
        try:
            length = parse_dim(attributes["length"])
        except ValueError as error:
            raise Refusal(f"length: {error}") from None
        refuse_unless(not isinstance(length, int) or length >= 0, f"length is {length}")
        refuse_unless(
            len(axes) == scanned + stacked and all(type(a) is int for a in axes),
            f"needs an axis for each scanned and each stacked value, got {axes}",
        )
        refuse_unless(
            not (counted and any(axes)),
            "needs axis 0 where the number of steps is counted",
        )
        form = cls(False, carried, scanned, stacked, axes, length, counted)
        return dataclasses.replace(form, reverse=attributes["reverse"])

    @classmethod
    def of_node(cls, node) -> "LoopForm":
        """Return that of a node that was checked."""
        yields = len(node.regions[-1].returns)
        return cls.of(node.op, node.attributes, len(node.operands), yields)

    @property
    def first(self) -> int:
        """The first carried operand."""
        return int(self.counted)

    def scanned_axis(self, i: int) -> int:
        return self.axes[i]

    def stacked_axis(self, i: int) -> int:
        return self.axes[self.scanned + i]


class _Loop(Op):
    """What `scan` and `while_loop` have in common."""

    results = None

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(
            len(regions) == self.regions,
            "needs two regions" if self.regions == 2 else "needs a region",
        )
        body = regions[-1]
        form = LoopForm.of(self.name, attributes, len(types), len(body.returns))
        if form.counted:
            refuse_unless(
                tuple(types[0]) == COUNT,
                f"the number of steps is {type_text(*types[0])}, needs i32[]",
            )
        inside = list(types[form.first :])
        for i in range(form.scanned):
            inside[form.carried + i] = _slice_type(
                f"scanned value {i}",
                inside[form.carried + i],
                form.scanned_axis(i),
                form.length,
            )
        for region in regions:
            _check_region(region, inside)
        results = []
        for i, value in enumerate(body.returns):
            dtype, shape = value.type
            if i < form.carried:
                refuse_unless(
                    value.type == tuple(inside[i]),
                    f"carried value {i} is {type_text(dtype, shape)} after a step, "
                    f"needs {type_text(*inside[i])} as before it",
                )
            else:
                axis = form.stacked_axis(i - form.carried)
                refuse_unless(
                    0 <= axis <= len(shape),
                    f"a step's {type_text(dtype, shape)} cannot be stacked along axis "
                    f"{axis}",
                )
                shape = (*shape[:axis], form.length, *shape[axis:])
            results.append((dtype, shape))
        if form.is_while:
            refuse_unless(form.carried > 0, "carries nothing")
            decided = [value.type for value in regions[0].returns]
            refuse_unless(
                decided == [("bool", ())],
                f"the condition yields {', '.join(type_text(*t) for t in decided)}, "
                "needs bool[]: one value that decides for all rows",
            )
            results.append(COUNT)
        refuse_unless(bool(results), "the region yields nothing")
        return results

    def reference(self, context, arrays, node):
        form = LoopForm.of_node(node)
        length = evaluate(form.length, context.symbols)
        carried = arrays[form.first : form.first + form.carried]
        scanned = arrays[form.first + form.carried :][: form.scanned]
        read = arrays[form.first + form.carried + form.scanned :]
        body = node.regions[-1]
        types = [context.type(result) for result in node.results]
        stacked = [
            np.zeros(shape, dtype)
            for dtype, shape in types[form.carried : form.carried + form.stacked]
        ]
        steps = int(np.clip(arrays[0], 0, length)) if form.counted else length
        count = 0
        while (form.is_while and length == 0) or count < steps:
            at = steps - 1 - count if form.reverse else count
            if form.is_while:
                with context.iteration(at):
                    (goes_on,) = context.region(node.regions[0], [*carried, *read])
                if not goes_on:
                    break
            slices = [
                array.take(at, form.scanned_axis(i)) for i, array in enumerate(scanned)
            ]
            with context.iteration(at):
                yields = context.region(body, [*carried, *slices, *read])
            carried = yields[: form.carried]
            for i, value in enumerate(yields[form.carried :]):
                where = (slice(None),) * form.stacked_axis(i)
                stacked[i][(*where, at)] = value
            count += 1
        return [*carried, *stacked, *([np.int32(count)] if form.is_while else [])]

    def grads(self, node, wanted, *output_gradients):
        # It knows autodiff, which knows all ops.
        from slimlearn.backend.loop_gradient import loop_gradients

        return loop_gradients(node, wanted, output_gradients)

    def row_local(self, node):
        form = LoopForm.of_node(node)
        if 0 in form.axes:
            return False
        nodes = (inner for region in node.regions for inner in region.walk())
        return all(OPS[inner.op].row_local(inner) for inner in nodes)


class Scan(_Loop):
    """A region for each slice of values, from one to the next with what is carried."""

    name = "scan"
    regions = 1
    attributes = takes(
        carried=int,
        scanned=int,
        axes=list,
        length=str,
        counted=bool,
        reverse=bool,
        recompute=bool,
    )


class WhileLoop(_Loop):
    """A region again and again, as long as another one says so of what is carried."""

    name = "while_loop"
    regions = 2
    attributes = takes(carried=int, maximum=int, recompute=bool)


def _check_part(key: str, number: int, most: int) -> None:
    refuse_unless(0 <= number <= most, f"{key} is {number}, needs 0 to {most}")


def _slice_type(what: str, whole, axis: int, length) -> tuple:
    dtype, shape = whole
    refuse_unless(
        0 <= axis < len(shape),
        f"{what} is {type_text(dtype, shape)}, which has no axis {axis}",
    )
    refuse_unless(
        shape[axis] == length,
        f"{what} is {type_text(dtype, shape)}, needs the length {length} along axis "
        f"{axis}",
    )
    return dtype, (*shape[:axis], *shape[axis + 1 :])


def _check_region(region: Graph, types) -> None:
    got = [parameter.type for parameter in region.parameters]
    refuse_unless(
        got == [tuple(t) for t in types],
        f"the region takes ({_texts(got)}), needs ({_texts(types)})",
    )
    for node in region.walk():
        where = f"a step computes [{node.op} {node.results[0].name}]"
        refuse_unless(
            node.op != "input",
            f"{where}: inputs are read outside; use the tensor inside",
        )
        for value in node.results:
            _check_dense(where, value)


def _check_dense(where: str, value: Tensor) -> None:
    refuse_unless(
        not storage_of(value.dtype),
        f"{where}, {type_text(*value.type)}: what is not dense stands outside",
    )


def _texts(types) -> str:
    return ", ".join(type_text(*t) for t in types)
