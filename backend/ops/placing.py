"""What is computed on another device: copies, and regions that run there."""

from slimlearn.backend.op import Op, check_count, refuse_unless, takes
from slimlearn.backend.ops.fused import check_parameters


class Copy(Op):
    """The same elements in the memory of the device that the node is on."""

    name = "copy"
    alias = True
    own = True

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        return [types[0]]

    def reference(self, context, arrays, node):
        return [arrays[0]]

    def grad(self, node, index, dy):
        return dy


class Placed(Op):
    """A region that a device runs: its operands are sent there, its results come back.

    Native code makes them of what lies between two copies.
    """

    name = "placed"
    attributes = takes(device=str)
    results = None
    regions = 1

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(regions) == 1, "needs a region")
        check_parameters("the region", regions[0].parameters, types)
        refuse_unless(bool(regions[0].returns), "the region yields nothing")
        return [value.type for value in regions[0].returns]

    def reference(self, context, arrays, node):
        return context.region(node.regions[0], arrays)

    def grad(self, node, index, *output_gradients):
        raise NotImplementedError(
            f"[placed {node.results[0].name}] has no gradient: differentiate before "
            "native code cuts the function up"
        )
