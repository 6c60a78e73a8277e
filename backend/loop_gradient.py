"""Gradients of loops: a scan the other way, over what the steps left behind.

A joint region holds one step and its gradient. What the gradient reads of the step is
stacked by the forward loop, which so gets more results, and scanned by the other::

    h, ys = scan(h0, xs, w) {          h, ys, zs = scan(h0, xs, w) {
      z = …                              z = …
      yield h', y                        yield h', y, z
    }                            ==>   }
                                       dh, dw, dxs = scan(dh', 0, zs, dys, w) {
                                         yield dh, dw + …, dx
                                       }   and reverse=true

With ``recompute`` only the carried values are stacked, and a backward step computes its
forward step anew. Gradients of what all steps read are carried, as sums; but where a
step adds a product aᵀg (or a sum of g) to one, a and g are stacked, and one product of
all steps' rows follows the loop: `backend/loop_sums.py`.
"""

from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import (
    FLOATS,
    Graph,
    Node,
    Tensor,
    absolute_scope,
    copy_nodes,
    current_graph,
    inside,
)
from slimlearn.backend.loop_sums import LateSums
from slimlearn.backend.op import emit
from slimlearn.backend.ops import add, constant
from slimlearn.backend.ops.loops import LoopForm


def loop_gradients(node: Node, wanted, output_gradients) -> list[Tensor | None]:
    """Return the gradients for the operands of a loop whose indices are `wanted`.

    Parameters
    ----------
    node : Node
        A `scan` or `while_loop`. One of the current graph gets the results that its
        gradient reads.
    wanted : list of int
    output_gradients : sequence of Tensor or None
        For each result.
    """
    form = LoopForm.of_node(node)
    step = _Step(node, form, wanted, output_gradients)
    if not step.given:
        return [None] * len(wanted)
    if form.is_while and form.length == 0:
        name = node.results[0].name
        raise ValueError(
            f"[while_loop {name}] its gradient needs a bound, for which "
            "memory is kept: give maximum_iterations"
        )
    step.build()
    return step.backward(step.forward())


class _Step:
    """One step of a loop and its gradient."""

    def __init__(self, node: Node, form: LoopForm, wanted, output_gradients):
        self.node, self.form = node, form
        self.body: Graph = node.regions[-1]
        self.wanted = [i - form.first for i in wanted]  # of the parameters
        self.output_gradients = output_gradients
        self.active = self._active()
        self.carried = [
            i for i in range(form.carried) if self.body.parameters[i] in self.active
        ]
        path = _path(self.active, self.body)
        self.stacked = [
            j
            for j in range(form.stacked)
            if output_gradients[form.carried + j] is not None
            and self.body.returns[form.carried + j] in path
        ]
        self.given = bool(self.stacked) or any(
            output_gradients[i] is not None for i in self.carried
        )

    def _active(self) -> set[Tensor]:
        """Return the parameters that the gradient goes through."""
        body, active = self.body, {self.body.parameters[i] for i in self.wanted}
        while True:
            path = _path(active, body)
            more = {
                body.parameters[i]
                for i in range(self.form.carried)
                if body.returns[i] in path
            }
            if more <= active:
                return active
            active |= more

    def build(self) -> None:
        """Build the joint region: a step, and behind it what its gradient computes."""
        body, form = self.body, self.form
        self.joint = joint = Graph(body.name, outer=current_graph(), scope=body.scope)
        self.own = [joint.add_parameter(v.name, *v.type) for v in body.parameters]
        returns = [body.returns[i] for i in self.carried]
        returns += [body.returns[form.carried + j] for j in self.stacked]
        self.cotangents = [joint.add_parameter(f"{v.name}.g", *v.type) for v in returns]
        values = dict(zip(body.parameters, self.own, strict=True))
        with inside(joint):
            copy_nodes(body, joint, values)
            count = len(joint.nodes)
            active = [p for p in body.parameters if p in self.active]
            slopes = gradients(
                [values[v] for v in returns],
                [values[p] for p in active],
                self.cotangents,
            )
        found = dict(zip(active, slopes, strict=True))
        self.slopes = [found.get(p) for p in body.parameters]
        self.returns = [values[v] for v in body.returns]
        self.first, self.second = joint.nodes[:count], joint.nodes[count:]
        invariant = set(self.own[self.form.carried + self.form.scanned :])
        for node in joint.nodes:
            if invariant.issuperset(node.operands):
                invariant.update(node.results)
        first_read = form.carried + form.scanned
        read = {
            i: self.slopes[i]
            for i in self.wanted
            if i >= first_read and self.slopes[i] is not None
        }
        late = not (self.node.attributes["recompute"] or form.is_while or form.counted)
        self.late = LateSums(self.second, invariant)
        if late and form.length != 0:
            with inside(joint):
                self.slopes = list(self.slopes)
                for i, slope in read.items():
                    self.slopes[i] = self.late.take(i, slope)
            self.second = joint.nodes[count:]
        self._split(invariant)

    def _split(self, invariant: set[Tensor]) -> None:
        """Find what the backward step computes, and what it reads of the other."""
        again = self.node.attributes["recompute"]
        needed = {
            slope
            for i, slope in enumerate(self.slopes)
            if slope is not None and (i < self.form.carried or i in self.wanted)
        }
        mine = {result for node in self.second for result in node.results}
        self.outside = {v for v in self.late.values() if v not in mine}
        needed.update(v for v in self.late.values() if v in mine)
        kept: list[Node] = []
        for node in reversed(self.second):
            if not needed.isdisjoint(node.results):
                needed.update(node.operands)
                kept.append(node)
        residuals: list[Tensor] = []
        for node in reversed(self.first):
            wanted = [r for r in node.results if r in needed or r in self.outside]
            if not wanted:
                continue
            if again or node.results[0] in invariant:  # T copies would be alike
                needed.update(node.operands)
                kept.append(node)
            else:
                residuals += wanted
        self.second = kept[::-1]
        carried = [
            v for v in self.own[: self.form.carried] if v in needed or v in self.outside
        ]
        self.residuals = residuals[::-1] + carried
        self.read = needed

    def forward(self) -> list[Tensor]:
        """Make the loop stack what the gradient reads; return that, and the count."""
        node, form = self.node, self.form
        graph = current_graph()
        count = node.results[-1] if form.is_while else None
        if form.counted:
            count = node.operands[0]
        self.count = count
        if not self.residuals:
            return []
        region = Graph(self.body.name, outer=graph, scope=self.body.scope)
        own = [region.add_parameter(v.name, *v.type) for v in self.own]
        values = dict(zip(self.own, own, strict=True))
        copy_nodes(self.joint, region, values, self.first)
        region.returns = [values[v] for v in (*self.returns, *self.residuals)]
        attributes = dict(node.attributes)
        if not form.is_while:
            attributes["axes"] = [*form.axes, *([0] * len(self.residuals))]
        regions = (*node.regions[:-1], region)
        mine = all(r.node is node and r.graph is graph for r in node.results)
        if not mine:  # a step that is computed anew has results of two nodes
            results = emit(node.op, node.operands, attributes, regions=regions)
            results = results if isinstance(results, tuple) else (results,)
            at = len(results) - form.is_while
            return list(results[at - len(self.residuals) : at])
        stacks = []
        for v in self.residuals:
            name = graph.unique_name(f"{v.name}.kept")
            shape = (form.length, *v.shape)
            stacks.append(Tensor(name, v.dtype, shape, node, graph))
            graph.values[name] = stacks[-1]
        at = len(node.results) - form.is_while
        node.results = (*node.results[:at], *stacks, *node.results[at:])
        node.attributes, node.regions = attributes, regions
        return stacks

    def backward(self, stacks: list[Tensor]) -> list[Tensor | None]:
        """Append the loop that goes back; return the gradients."""
        node, form, given = self.node, self.form, self.output_gradients
        region = Graph(self.body.name, outer=current_graph(), scope=self.body.scope)
        values: dict[Tensor, Tensor] = {}

        def parameter(value: Tensor, name: str = "") -> Tensor:
            return region.add_parameter(name or value.name, *value.type)

        starts, inputs, axes, read = [], [], [], []
        first_read = form.carried + form.scanned
        for i, cotangent in zip(self.carried, self.cotangents, strict=False):
            values[cotangent] = parameter(cotangent)
            starts.append(given[i] if given[i] is not None else _zeros(cotangent))
        sums = {}
        for i in self.wanted:
            if i >= first_read and self.slopes[i] is not None:
                sums[i] = parameter(self.own[i], f"{self.own[i].name}.sum")
                starts.append(_zeros(self.own[i]))
        whole: dict[
            Tensor, tuple[Tensor, int]
        ] = {}  # of all steps, and along which axis
        for value, stack in zip(self.residuals, stacks, strict=True):
            whole[value] = stack, 0
            if value in self.read:
                values[value] = parameter(value)
                inputs.append(stack)
                axes.append(0)
        for i in range(form.scanned):
            value, axis = self.own[form.carried + i], form.scanned_axis(i)
            operand = node.operands[form.first + form.carried + i]
            whole[value] = operand, axis
            if value in self.read:
                values[value] = parameter(value)
                inputs.append(operand)
                axes.append(axis)
        cotangents = self.cotangents[len(self.carried) :]
        for j, cotangent in zip(self.stacked, cotangents, strict=True):
            values[cotangent] = parameter(cotangent)
            inputs.append(given[form.carried + j])
            axes.append(form.stacked_axis(j))
            whole[cotangent] = inputs[-1], axes[-1]
        for i in range(first_read, len(self.own)):
            if self.own[i] in self.read:
                values[self.own[i]] = parameter(self.own[i])
                read.append(node.operands[form.first + i])
        copy_nodes(self.joint, region, values, self.second)
        scanned = [
            i
            for i in self.wanted
            if form.carried <= i < first_read and self.slopes[i] is not None
        ]
        with inside(region), absolute_scope(f"{region.scope}.g"):
            region.returns = [
                _zeros(self.own[i])
                if self.slopes[i] is None
                else values[self.slopes[i]]
                for i in self.carried
            ]
            region.returns += [add(sums[i], values[self.slopes[i]]) for i in sums]
            region.returns += [values[self.slopes[i]] for i in scanned]
        outer = [form.scanned_axis(i - form.carried) for i in scanned]
        stacked = [self.slopes[i] for i in scanned]
        for value in self.late.values():
            if value not in whole and value not in stacked:
                stacked.append(value)
                outer.append(0)
                region.returns.append(values[value])
        axes += outer
        attributes = {
            "carried": len(starts),
            "scanned": len(inputs),
            "axes": axes,
            "length": str(form.length),
            "counted": self.count is not None,
            "reverse": not form.reverse,
            "recompute": node.attributes["recompute"],
        }
        operands = (*starts, *inputs, *read)
        if self.count is not None:
            operands = (self.count, *operands)
        made = ()
        if region.returns:
            made = emit("scan", operands, attributes, regions=[region])
            made = made if isinstance(made, tuple) else (made,)
        found = dict(zip([*self.carried, *sums, *scanned], made, strict=False))
        rest = made[len(made) - len(stacked) :]
        for value, stack, axis in zip(stacked, rest, outer, strict=True):
            whole[value] = stack, axis
        for i in self.late.sums:
            late = self.late.total(i, whole)
            found[i] = late if i not in found else add(found[i], late)
        return [found.get(i) for i in self.wanted]


def _path(start: set[Tensor], body: Graph) -> set[Tensor]:
    """Return `start` and all float values of a step computed from it."""
    path = set(start)
    for node in body.nodes:
        if not path.isdisjoint(node.operands):
            path.update(r for r in node.results if r.dtype in FLOATS)
    return path


def _zeros(value: Tensor) -> Tensor:
    return constant(0.0, *value.type)
