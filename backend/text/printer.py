"""A model as text."""

import json

from slimlearn.backend.graph import Graph, Model, Parameter, type_text

VERSION = 1


def print_program(model: Model) -> str:
    """Return the text of `model`; `parse_program` gives the model back."""
    lines = [f"slim {VERSION}"]
    if model.compute:
        lines.append(f"compute {model.compute}")
    for d in model.declarations.values():
        line = f"{d.kind} %{d.name} : {type_text(d.dtype, d.shape)}"
        factors = d.factors if isinstance(d, Parameter) else {}
        if factors:
            told = [f"{name}={value!r}" for name, value in factors.items()]
            line += f" ({', '.join(told)})"
        lines.append(line)
    for graph in model.functions.values():
        lines += ["", f"func {graph.name} {{"]
        _print_nodes(graph, "  ", lines)
        lines += [f"  set %{name} = %{v.name}" for name, v in graph.sets.items()]
        lines += [f"  grad %{name} = %{v.name}" for name, v in graph.grads.items()]
        if graph.returns:
            lines.append("  return " + _values(graph.returns))
        lines.append("}")
    lines.append("")
    return "\n".join(lines)


def _values(tensors) -> str:
    return ", ".join(["%" + t.name for t in tensors])


def _print_nodes(graph: Graph, indent: str, lines: list[str]) -> None:
    types: dict[tuple, str] = {}
    for node in graph.nodes:
        results = node.results
        arguments = ["%" + t.name for t in node.operands]
        for key in sorted(node.attributes):
            arguments.append(f"{key}={attribute_text(node.attributes[key])}")
        head = f"{indent}{_values(results)} = {node.op}({', '.join(arguments)})"
        texts = []
        for r in results:
            key = (r.dtype, r.shape)
            text = types.get(key)
            if text is None:
                text = types[key] = type_text(*key)
            texts.append(f"{text} @{node.device}" if node.device else text)
        for region in node.regions:
            lines.append(head + " {")
            _print_region(region, indent + "  ", lines)
            head = indent + "}"
        lines.append(f"{head} : {', '.join(texts)}")


def _print_region(region: Graph, indent: str, lines: list[str]) -> None:
    operands = [f"%{p.name} : {type_text(*p.type)}" for p in region.parameters]
    lines.append(f"{indent}({', '.join(operands)})")
    _print_nodes(region, indent, lines)
    lines.append(f"{indent}yield {_values(region.returns)}")


def attribute_text(value) -> str:
    """Return an attribute's value as it stands in the text."""
    kind = value.__class__
    if kind is bool:
        return "true" if value else "false"
    if kind is str:
        return json.dumps(value, ensure_ascii=False)
    if kind is list:
        return f"[{', '.join([attribute_text(v) for v in value])}]"
    return repr(value)
