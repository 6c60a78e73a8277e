"""`@network`: a network function as a parameter object that is cloned and searched."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from sklearn.base import BaseEstimator

from slimlearn.backend.graph import Tensor, current_graph

__all__ = ["END_POINTS", "Network", "as_network", "network"]

# Parameters that the builder gives; they are no hyper-parameters.
TRAINING = "is_training"
OUTPUTS = ("num_classes", "num_outputs")

# Where a function's graph keeps what its network returned beside the output.
END_POINTS = "end_points"


class Network(BaseEstimator):
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
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"@network decorates a function; got {function!r}")
    name = function.__name__
    rest = _parameters(function, name)[1:]
    searched = [p for p in rest if p.name not in (TRAINING, *OUTPUTS)]
    for parameter in searched:
        if parameter.default is parameter.empty:
            raise TypeError(
                f"@network {name}: parameter {parameter.name!r} has no default: give "
                f"one, so that {name}() can be made, cloned and searched"
            )
        if parameter.name in _RESERVED:
            raise TypeError(
                f"@network {name}: {parameter.name!r} is a name of every network "
                "object: choose another for the parameter"
            )

    positional = [p.name for p in searched if p.kind is not p.KEYWORD_ONLY]
    defaults = {p.name: p.default for p in searched}

    def __init__(self, *args, **kwargs):
        if len(args) > len(positional):
            raise TypeError(
                f"{name}() takes at most {len(positional)} positional arguments, "
                f"got {len(args)}"
            )
        values = dict(zip(positional, args))
        for given in kwargs:
            if given not in defaults:
                known = ", ".join(defaults) or "none"
                raise TypeError(f"{name}() has no parameter {given!r}; it has: {known}")
            if given in values:
                raise TypeError(f"{name}() got {given!r} twice")
        for parameter, default in defaults.items():
            value = values.get(parameter, kwargs.get(parameter, default))
            setattr(self, parameter, value)

    __init__.__signature__ = inspect.Signature(
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *searched]
    )
    made = type(
        name,
        (Network,),
        {
            "__init__": __init__,
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "_function": staticmethod(function),
            "_builder_parameters": tuple(
                p.name for p in rest if p.name in (TRAINING, *OUTPUTS)
            ),
        },
    )
    # Found by name, so that the function pickles by reference beside its class.
    function.__qualname__ = f"{function.__qualname__}._function"
    return made


_RESERVED = frozenset(dir(Network))


def _parameters(function, name):
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"@network {name}: {parameter} hides the hyper-parameters: write each "
                "as a parameter with a default"
            )
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise TypeError(
            f"@network {name}: the first parameter must be the input tensor, as in "
            f"def {name}(x, …)"
        )
    return parameters


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
        parameters = inspect.signature(function).parameters
        self._builder_parameters = tuple(
            n for n in (TRAINING, *OUTPUTS) if n in parameters
        )

    outputs_name = Network.outputs_name

    def __call__(self, x, **given):
        if TRAINING in self._builder_parameters:
            given.setdefault(TRAINING, current_graph().training)
        return first_output(self._function(x, **given), "net")
