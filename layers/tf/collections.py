"""Variables and the lists of a network."""

from collections.abc import Callable, Sequence
from numbers import Real

from slimlearn.backend.graph import Parameter, current_graph
from slimlearn.layers import queries
from slimlearn.layers.registry import LOSSES
from slimlearn.layers.regularizers import REGULARIZATION_LOSSES
from slimlearn.layers.variables import MODEL_VARIABLES, variable


class GraphKeys:
    """The names of lists that TF-Slim's code speaks of.

    ``UPDATE_OPS`` stays empty: averages update by themselves.
    """

    LOSSES = LOSSES
    MODEL_VARIABLES = MODEL_VARIABLES
    REGULARIZATION_LOSSES = REGULARIZATION_LOSSES
    TRAINABLE_VARIABLES = queries.TRAINABLE_VARIABLES
    UPDATE_OPS = "update_ops"
    WEIGHTS = "weights"


def add_to_collection(name: str, value: object) -> None:
    """Add something to a list of the function that is being built.

    Parameters
    ----------
    name : str
        Of the list.
    value : object
    """
    current_graph().collection(name).append(value)


def get_collection(key: str, scope: str | None = None) -> list:
    """Return what stands in a list: variables of the model, or what was added.

    Parameters
    ----------
    key : str
        The list's name, such as one of `GraphKeys`.
    scope : str, optional
        A regular expression that variables' names match from their start.
    """
    found = list(current_graph().collection(key))
    return [*found, *queries.get_variables(scope, collection=key)]


def get_variable(
    name: str,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    initializer: Callable | Real | None = None,
    regularizer: Callable | None = None,
    trainable: bool = True,
    collections: Sequence[str] | None = None,
) -> Parameter:
    """Return the variable of this name in the current scope; see `layers.variable`.

    Parameters
    ----------
    name, shape, dtype, initializer, regularizer, trainable, collections
        As in `layers.variable`.
    """
    return variable(
        name, shape, dtype, initializer, regularizer, trainable, collections
    )
