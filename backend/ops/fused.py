"""Several elementwise ops as one, in a region."""

from slimlearn.backend.graph import type_text
from slimlearn.backend.op import OPS, Op, Refusal, refuse_unless
from slimlearn.backend.shape import broadcast_shapes


class Fused(Op):
    """A region of elementwise ops, computed in one pass over the elements."""

    name = "fused"
    results = None
    regions = 1
    tape_region = True

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(regions) == 1, "needs a region")
        return infer_region(regions[0], types, None)

    def reference(self, context, arrays, node):
        return context.region(node.regions[0], arrays)

    def grad(self, node, index, *output_gradients):
        raise NotImplementedError(
            f"[fused {node.results[0].name}] fused ops have no gradient: "
            "differentiate before the passes fuse"
        )


def infer_region(region, types, shape) -> list[tuple]:
    """Return what a region yields, after checking that it is elementwise.

    Parameters
    ----------
    region : Graph
    types : list of (dtype, shape)
        What its parameters must be.
    shape : tuple or None
        What every result's shape must be; None if any will do.
    """
    check_parameters("the region", region.parameters, types)
    for node in region.nodes:
        op = OPS[node.op]
        refuse_unless(
            (op.elementwise or op.in_tape) and not node.regions,
            f"{node.op} is not elementwise and cannot stand in the region",
        )
    refuse_unless(bool(region.returns), "the region yields nothing")
    results = [value.type for value in region.returns]
    try:
        broadcast_shapes(*(s for _, s in results))
    except ValueError as error:
        raise Refusal(f"the region's results do not broadcast: {error}") from None
    for dtype, got_shape in results:
        refuse_unless(
            shape is None or got_shape == shape,
            f"the region yields {type_text(dtype, got_shape)}, not the product's shape",
        )
    return results


def check_parameters(name: str, parameters, types) -> None:
    """Refuse a region whose parameters are not the operands, of these types."""
    got = [parameter.type for parameter in parameters]
    if got != [tuple(t) for t in types]:
        raise Refusal(
            f"{name} takes ({_texts(got)}), the operands are ({_texts(types)})"
        )


def _texts(types) -> str:
    return ", ".join(type_text(*t) for t in types)
