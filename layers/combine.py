"""Layers made of several calls of another layer."""

from collections.abc import Callable, Sequence

from slimlearn.backend.graph import Tensor
from slimlearn.layers import utils
from slimlearn.layers.names import variable_scope


def repeat(
    inputs: Tensor, repetitions: int, layer: Callable, *args, **kwargs
) -> Tensor:
    """Apply a layer several times with the same arguments.

    ``repeat(x, 2, fully_connected, 64, scope="fc1")`` is a layer ``fc1/fc1_1``
    followed by ``fc1/fc1_2``.

    Parameters
    ----------
    inputs : Tensor
    repetitions : int
    layer : callable
        Called as ``layer(inputs, *args, scope=…, **kwargs)``.
    *args, **kwargs
        Arguments of the layer. `scope` names the whole; by default it is ``Repeat``
        and the layers are called after the function.

    Returns
    -------
    Tensor
        The output of the last layer.
    """
    repetitions = utils.check_size("repeat", "repetitions", repetitions)
    return _chain(inputs, layer, "Repeat", [args] * repetitions, kwargs)


def stack(inputs: Tensor, layer: Callable, stack_args: Sequence, **kwargs) -> Tensor:
    """Apply a layer several times with changing arguments.

    ``stack(x, fully_connected, [64, 32], scope="fc")`` is a layer ``fc/fc_1`` of 64
    units followed by ``fc/fc_2`` of 32.

    Parameters
    ----------
    inputs : Tensor
    layer : callable
        Called as ``layer(inputs, *stack_args[i], scope=…, **kwargs)``.
    stack_args : list or tuple
        One entry a layer: a list or tuple of arguments, or the only argument.
    **kwargs
        Further arguments of the layer. `scope` names the whole; by default it is
        ``Stack`` and the layers are called after the function.

    Returns
    -------
    Tensor
        The output of the last layer.
    """
    if not isinstance(stack_args, (list, tuple)):
        raise ValueError(
            "stack: stack_args must be a list or tuple, one entry a layer, got "
            f"{stack_args!r}"
        )
    entries = [a if isinstance(a, (list, tuple)) else (a,) for a in stack_args]
    return _chain(inputs, layer, "Stack", entries, kwargs)


def _chain(inputs, layer, title, arguments, kwargs) -> Tensor:
    utils.check_tensor(title.lower(), inputs, sparse=True)
    scope = kwargs.pop("scope", None)
    with variable_scope(scope, title):
        function = getattr(layer, "func", layer)
        scope = scope or getattr(function, "__name__", title.lower())
        outputs = inputs
        for i, args in enumerate(arguments, 1):
            outputs = layer(outputs, *args, scope=f"{scope}_{i}", **kwargs)
        return outputs
