"""Parts of a network on devices of their own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from slimlearn.backend.graph import current_graph

_NAME = re.compile(r"[a-z][a-z0-9_-]*(:[0-9]+)?", re.ASCII)


@contextmanager
def device(name: str) -> Iterator[str]:
    """Compute what is built in the block on this device.

    Everything else of the network runs where the estimator's parameter `device` says.
    What a layer of the block reads from outside is copied there, what is read of it
    outside is copied back; a layer's gradients are computed where the layer is. The
    numbers are the same as without the block, but for the last digits where two devices
    add in other orders.

    Parameters
    ----------
    name : str
        "cpu"; "cuda" or "cuda:0" for the first NVIDIA GPU, "cuda:1" for the next; or
        "cpu:1" to "cpu:7", the processor again, which try a network out, with its
        copies, where there is no GPU.

    Yields
    ------
    str
        The name.

    Raises
    ------
    ValueError
        If the name is no device's; or inside the body of a loop or a branch, which run
        on one device: open the block around the loop.

    Notes
    -----
    A network whose parts are on several devices is run by the host, which keeps its
    parameters and the optimizer's: at each step a device is sent the parameters of its
    layers and returns their gradients. So it is a way to compute a large part where it
    is fast, or one that does not fit where there is room, not to make a small network
    faster. Random numbers (dropout) are the same on all devices. Sparse rows stay
    on the processor.

    Where a device is not there, `fit` says so. What was fitted with it predicts
    anywhere: its part then runs with the rest, with a warning.

    Examples
    --------
    ::

        def network(x, num_outputs):
            with slim.device("cpu"):
                x = slim.fully_connected(x, 1024, scope="wide")
            return slim.fully_connected(x, num_outputs, None, scope="logits")

        NetworkClassifier(network, device="cuda")
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"layers.device: a device is 'cpu', 'cuda', 'cuda:1', …; got {name!r}"
        )
    graph = current_graph()
    if graph.outer is not None:
        raise ValueError(
            f"layers.device({name!r}) inside of {graph.name}: a loop or a branch runs "
            "on one device; open the block around it"
        )
    outer = graph.device
    graph.device, graph.placed = name, True
    try:
        yield name
    finally:
        graph.device = outer
