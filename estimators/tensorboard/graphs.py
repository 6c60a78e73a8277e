"""A function of a program as TensorBoard's graph, and its launches as times in it."""

from __future__ import annotations

from slimlearn.backend.graph import Graph, Model
from slimlearn.backend.graph.tensor import element_of
from slimlearn.estimators.tensorboard.messages import kinds

__all__ = ["graph_event", "node_name", "profile_event"]

_TYPES = {
    "f32": "DT_FLOAT",
    "f64": "DT_DOUBLE",
    "i32": "DT_INT32",
    "i64": "DT_INT64",
    "bool": "DT_BOOL",
    "u8": "DT_UINT8",
}
# TensorFlow's words where the meaning is theirs: its icons and filters know them.
_OPS = {
    "add": "AddV2",
    "constant": "Const",
    "constant_list": "Const",
    "convolution": "Conv2D",
    "div": "RealDiv",
    "input": "Placeholder",
    "matmul": "MatMul",
    "max_pool": "MaxPool",
    "reduce_max": "Max",
    "reduce_sum": "Sum",
}
# Where the nodes of gradients stand.
_GRADIENTS = "gradients/"


def node_name(name: str) -> str:
    """Return what a value is called there: gradients stand in a scope of their own."""
    if ".g/" in name or name.endswith(".g"):
        return _GRADIENTS + name.replace(".g/", "/")
    return name


def _op(word: str) -> str:
    return _OPS.get(word) or "".join(part.title() for part in word.split("_"))


def _shape(proto, attribute, tensors) -> None:
    for tensor in tensors:
        shape = attribute.list.shape.add()
        for size in tensor.shape:
            shape.dim.add(size=size if isinstance(size, int) else -1)


class _Nodes:
    """The nodes of one graph."""

    def __init__(self, device: str):
        self.proto = kinds()
        self.graph = self.proto.graph.GraphDef()
        self.graph.versions.producer = 22
        self._device = device
        self._names: dict = {}
        self._taken: set[str] = set()

    def add(self, name: str, op: str, inputs, results, device: str = "", **texts):
        node = self.graph.node.add(name=name, op=op)
        node.device = f"/device:{(device or self._device).upper()}"
        node.input.extend(inputs)
        if results:
            word = _TYPES[element_of(results[0].dtype)]
            node.attr["T"].type = getattr(self.proto.types, word)
            _shape(self.proto, node.attr["_output_shapes"], results)
        for key, value in texts.items():
            node.attr[key].s = str(value)[:200].encode()
        return node

    def write(self, graph: Graph, given=None) -> None:
        """Write the nodes of a function or a region; what a region is given by name."""
        names = self._names
        names.update(given or {})
        for node in graph.needed():
            name = self._unique(node_name(node.results[0].name))
            inputs = [self._read(value) for value in node.operands]
            self.add(
                name, _op(node.op), inputs, node.results, node.device, **node.attributes
            )
            for place, result in enumerate(node.results):
                names[result] = name if place == 0 else f"{name}:{place}"
            # What stands in a region has the scope of its node.
            for region in node.regions:
                self.write(region, dict(zip(region.parameters, inputs)))

    def _unique(self, wish: str) -> str:
        name, count = wish, 0
        while name in self._taken:
            count += 1
            name = f"{wish}_{count}"
        self._taken.add(name)
        return name

    def _read(self, value) -> str:
        name = self._names.get(value)
        if name is not None:
            return name
        name = self._names[value] = self._unique(node_name(value.name))
        kind = {"hyper": "Placeholder"}.get(getattr(value, "kind", ""), "VariableV2")
        self.add(name, kind, (), [value])
        return name


def graph_event(model: Model, function: str, device: str):
    """Return the event that holds a function's graph.

    Parameters
    ----------
    model : Model
    function : str
    device : str
        Where the nodes run that name no device themselves.
    """
    nodes, graph = _Nodes(device), model.functions[function]
    nodes.write(graph)
    for name, value in graph.sets.items():
        nodes.add(f"{name}/assign", "Assign", [nodes._read(value)], [value])
    return nodes.proto.event.Event(graph_def=nodes.graph.SerializeToString())


def profile_event(launches: list[dict], tag: str, device: str):
    """Return the event with the time and the bytes of each launch of a step.

    Parameters
    ----------
    launches : list of dict
        As ``profile`` gives them; a launch bears the name of its last node.
    tag : str
        What the user finds the step by.
    device : str
    """
    proto = kinds()
    metadata = proto.config.RunMetadata()
    stats = metadata.step_stats.dev_stats.add(device=f"/device:{device.upper()}")
    begin = 0
    for launch in launches:
        # The explorer counts in whole microseconds, and takes 0 for nothing.
        micros = max(1, round(launch["seconds"] * 1e6))
        node = stats.node_stats.add(
            node_name=node_name(launch["name"]),
            all_start_micros=begin,
            op_start_rel_micros=0,
            op_end_rel_micros=micros,
            all_end_rel_micros=micros,
            timeline_label=launch["op"],
        )
        node.memory.add(allocator_name="arena", total_bytes=int(launch["bytes"]))
        begin += micros
    event = proto.event.Event()
    event.tagged_run_metadata.tag = tag
    event.tagged_run_metadata.run_metadata = metadata.SerializeToString()
    return event
