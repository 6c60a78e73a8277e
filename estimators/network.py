"""`@network`: a network function as a parameter object that is cloned and searched."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from slimlearn.backend.graph import Tensor, current_graph
from slimlearn.estimators.decorated import class_of
from slimlearn.estimators.sealing import UserFunction
from slimlearn.estimators.visible import Visible

__all__ = ["Network", "network"]

# Parameters that the builder gives; they are no hyper-parameters.
TRAINING = "is_training"
OUTPUTS = ("num_classes", "num_outputs")

# Where a function's graph keeps what its network returned beside the output.
END_POINTS = "end_points"


class Network(Visible, UserFunction):
    """Base of the classes that `network` makes from functions.

    An instance holds hyper-parameters; calling it on a tensor builds the network, so
    that networks compose.
    """

    _builder_parameters: tuple[str, ...] = ()

    def __call__(self, x: Tensor, **given) -> Tensor:
        """Build the network on `x` inside the function that is being built.

        Parameters
        ----------
        x : Tensor
        **given
            ``num_classes`` or ``num_outputs`` where the function has it. The function's
            ``is_training`` is filled in.

        Returns
        -------
        Tensor
            What the function returns; of a pair ``(net, end_points)`` its first part.
        """
        settings = self.get_params(deep=False)
        settings.update(given)
        if TRAINING in self._builder_parameters:
            settings.setdefault(TRAINING, current_graph().training)
        return first_output(self._function(x, **settings), type(self).__name__)

    @property
    def outputs_name(self) -> str | None:
        """The parameter that takes the number of outputs, or None."""
        return next((n for n in OUTPUTS if n in self._builder_parameters), None)


def network(function: Callable) -> type[Network]:
    """Make a network function a parameter object for estimators.

    The function's first parameter is the input tensor. Its further parameters are the
    hyper-parameters and need defaults; ``is_training`` and ``num_classes`` (or
    ``num_outputs``) are filled in by the builder and need none.

    Parameters
    ----------
    function : callable
        ``function(x, **hyper_parameters) -> Tensor`` or ``(Tensor, end_points)``, made
        of `slimlearn.layers`.

    Returns
    -------
    class
        A subclass of `Network` of the function's name: ``tower(units=(128,))`` has
        ``get_params``, clones and pickles, ``net__units`` is searchable, and
        ``tower(units=(128,))(x)`` uses it as a part of another network.

    Raises
    ------
    TypeError
        If the function takes ``*args``, ``**kwargs`` or a parameter without default.

    Examples
    --------
    >>> from slimlearn.estimators.network import network
    >>> from slimlearn import layers
    >>> @network
    ... def tower(x, units=(64, 32), keep_prob=0.9):
    ...     net = layers.stack(x, layers.fully_connected, units)
    ...     return layers.dropout(net, keep_prob)
    >>> tower(units=(16,)).get_params()
    {'keep_prob': 0.9, 'units': (16,)}
    """
    taken = inspect.signature(function).parameters if callable(function) else ()
    given = tuple(name for name in (TRAINING, *OUTPUTS) if name in taken)
    return class_of(
        function,
        Network,
        decorator="@network",
        tensors={"x": "the input tensor"},
        given=given,
        members={"_builder_parameters": given},
    )


def first_output(output, name: str) -> Tensor:
    """The tensor that a network function returned, alone or before its end points."""
    end_points = {}
    if isinstance(output, tuple) and len(output) == 2:
        output, end_points = output
    # The outermost network ends last, and its end points are those that count.
    current_graph().layers[END_POINTS] = end_points
    if not isinstance(output, Tensor):
        raise ValueError(
            f"network {name} must return a tensor, or a pair (net, end_points); "
            f"it returned {type(output).__name__}"
        )
    return output


@functools.lru_cache(maxsize=128)
def _from_function(function) -> type[Network]:
    """A plain function as a network class; its own qualname stays as it is."""
    qualname = function.__qualname__
    try:
        return network(function)
    finally:
        function.__qualname__ = qualname


def as_network(net) -> Network:
    """The network object that an estimator's `net` stands for.

    Parameters
    ----------
    net : Network, a class made by `network`, or a function

    Raises
    ------
    TypeError
        If it is none of them.
    """
    if isinstance(net, Network):
        return net
    if inspect.isclass(net) and issubclass(net, Network):
        return net()
    if callable(net) and not inspect.isclass(net):
        if not inspect.isfunction(net):
            return _Opaque(net)
        return _from_function(net)()
    raise TypeError(
        f"net must be a function decorated with @network, or an instance of it; "
        f"got {net!r}"
    )


class _Opaque:
    """A callable object, such as a functools.partial, behind a network's interface."""

    def __init__(self, function):
        self._function = function
        inner = getattr(function, "func", function)
        self.called = getattr(function, "__name__", None) or getattr(
            inner, "__name__", type(inner).__name__
        )
        parameters = inspect.signature(function).parameters
        self._builder_parameters = tuple(
            n for n in (TRAINING, *OUTPUTS) if n in parameters
        )

    outputs_name = Network.outputs_name

    def __call__(self, x, **given):
        if TRAINING in self._builder_parameters:
            given.setdefault(TRAINING, current_graph().training)
        return first_output(self._function(x, **given), self.called)
