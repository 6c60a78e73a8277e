"""What is computed anew for the backward pass instead of being kept."""

from collections.abc import Iterator
from contextlib import contextmanager

from slimlearn.backend.graph import current_graph


@contextmanager
def recompute() -> Iterator[None]:
    """Compute the block's values anew in training instead of keeping them.

    The backward pass needs what the forward pass computed. Of a block it keeps what
    goes in and what comes out, and computes what is between once more when the
    gradient arrives: less memory for more time, as JAX's ``checkpoint`` (remat),
    PyTorch's ``checkpoint`` and TensorFlow's ``recompute_grad``. The numbers have the
    same bits: dropout draws the same elements again, batch norm's averages are updated
    once. Predictions are not concerned.

    Every layer (and every function decorated with `add_arg_scope`) also takes
    ``recompute=True``, itself or from `arg_scope`.

    Yields
    ------
    None
        A block inside another belongs to that one.

    Examples
    --------
    A part of a network, or every unit of a network from ``layers.nets``::

        with slim.recompute():
            net = slim.repeat(net, 3, slim.conv2d, 64, 3, scope="conv3")

        with slim.arg_scope([resnet_v1.bottleneck], recompute=True):
            logits, _ = resnet_v1.resnet_v1_50(images, num_classes)

    Notes
    -----
    Blocks of several layers save the most: with one block for each unit of a ResNet
    the memory is that of the units' outputs and of one unit. A block around one
    convolution saves what stands between it and its activation, such as what batch
    norm reads.

    References
    ----------
    Chen et al., "Training deep nets with sublinear memory cost", 2016.
    """
    graph = current_graph()
    outer = graph.block
    graph.block = object() if outer is None else outer
    try:
        yield
    finally:
        graph.block = outer
