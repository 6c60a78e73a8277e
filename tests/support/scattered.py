"""Programs whose nodes are dealt over devices at random."""

import numpy as np

from slimlearn.backend.graph import Graph, Model, absolute_scope, inside


def scattered(model: Model, devices, seed=0) -> Model:
    """Return the same program, its nodes on devices drawn from `devices`.

    Copies stand wherever a value is read on another device than it is computed on; what
    is sparse stays where it is.
    """
    rng = np.random.default_rng(seed)
    made = Model(model.precision, model.compute)
    made.declarations, made.slots = model.declarations, model.slots
    made.parameters, made.states, made.hypers = (
        model.parameters,
        model.states,
        model.hypers,
    )
    for name, graph in model.functions.items():
        if name == "init" or name.startswith(("update", "measure")):
            made.functions[name] = graph
            continue
        twin = made.functions[name] = Graph(name, model)
        twin.placed = True
        values = {}
        with inside(twin), absolute_scope(""):
            for node in graph.nodes:
                sparse = any(" " in v.dtype for v in (*node.operands, *node.results))
                fixed = sparse or node.op == "input"
                twin.device = "" if fixed else rng.choice(devices)
                copy = twin.append(
                    node.op,
                    tuple([values.get(o, o) for o in node.operands]),
                    node.attributes,
                    [r.type for r in node.results],
                    node.results[0].name,
                    node.regions,
                )
                for old, new in zip(node.results, copy.results, strict=True):
                    values[old] = new
        for table in ("sets", "grads"):
            moved = {k: values.get(v, v) for k, v in getattr(graph, table).items()}
            setattr(twin, table, moved)
        twin.returns = [values.get(v, v) for v in graph.returns]
    return made
