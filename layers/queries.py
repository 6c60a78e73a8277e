"""Variables of a network, found by name, scope, suffix or list."""

import re
from collections.abc import Sequence

from slimlearn.backend.graph import Declaration, Parameter, State, current_model
from slimlearn.layers.names import VariableScope
from slimlearn.layers.variables import MODEL_VARIABLES

TRAINABLE_VARIABLES = "trainable_variables"


def get_variables(
    scope: str | VariableScope | None = None,
    suffix: str | None = None,
    collection: str | None = None,
) -> list[Declaration]:
    """Return the model's parameters and states, filtered by scope and suffix.

    Parameters
    ----------
    scope : str or VariableScope, optional
        A regular expression that names must match from their start.
    suffix : str, optional
        The end of the name, such as ``"weights"``.
    collection : str, optional
        Which list of the model to look in; all variables by default.
    """
    model = current_model()
    if collection is None:
        found = model.declarations.values()
    elif collection == TRAINABLE_VARIABLES:
        found = [p for p in model.parameters if p.trainable]
    else:
        found = model.collection(collection)
    if isinstance(scope, VariableScope):
        scope = scope.name
    pattern = re.compile(scope or "")
    return [
        variable
        for variable in found
        if isinstance(variable, (Parameter, State))
        and pattern.match(variable.name)
        and variable.name.endswith(suffix or "")
    ]


def get_model_variables(
    scope: str | VariableScope | None = None, suffix: str | None = None
) -> list[Declaration]:
    """Return the variables that layers made; see `get_variables`.

    Parameters
    ----------
    scope : str or VariableScope, optional
        A regular expression that names must match from their start.
    suffix : str, optional
        The end of the name.

    Returns
    -------
    list of variables
    """
    return get_variables(scope, suffix, MODEL_VARIABLES)


def get_trainable_variables(
    scope: str | VariableScope | None = None, suffix: str | None = None
) -> list[Parameter]:
    """Return the variables that training changes; see `get_variables`.

    Parameters
    ----------
    scope : str or VariableScope, optional
        A regular expression that names must match from their start.
    suffix : str, optional
        The end of the name.

    Returns
    -------
    list of variables
    """
    return get_variables(scope, suffix, TRAINABLE_VARIABLES)


def get_variables_by_suffix(
    suffix: str, scope: str | VariableScope | None = None
) -> list[Declaration]:
    """Return the variables whose names end so; see `get_variables`.

    Parameters
    ----------
    suffix : str
    scope : str or VariableScope, optional
        A regular expression that names must match from their start.

    Returns
    -------
    list of variables
    """
    return get_variables(scope, suffix)


def get_variables_by_name(
    given_name: str, scope: str | VariableScope | None = None
) -> list[Declaration]:
    """Return the variables whose last part, or last parts, are `given_name`.

    Parameters
    ----------
    given_name : str
    scope : str or VariableScope, optional
        A regular expression that names must match from their start.

    Returns
    -------
    list of variables
    """
    return [
        variable
        for variable in get_variables(scope)
        if f"/{variable.name}".endswith(f"/{given_name}")
    ]


def get_unique_variable(var_op_name: str) -> Declaration:
    """Return the variable of this full name.

    Parameters
    ----------
    var_op_name : str

    Returns
    -------
    Parameter or State

    Raises
    ------
    ValueError
        There is none.
    """
    found = current_model().declarations.get(var_op_name)
    if not isinstance(found, (Parameter, State)):
        raise ValueError(
            f"no variable is called {var_op_name!r}: there are "
            f"{', '.join(v.name for v in get_variables()) or 'none yet'}"
        )
    return found


def get_variable_full_name(var: Declaration) -> str:
    """Return the name under which a variable is saved.

    Parameters
    ----------
    var : Parameter or State

    Returns
    -------
    str
    """
    return var.name


def filter_variables(
    var_list: Sequence[Declaration],
    include_patterns: Sequence[str] | None = None,
    exclude_patterns: Sequence[str] | None = None,
    reg_search: bool = True,
) -> list[Declaration]:
    """Return the variables whose names fit some patterns and not others.

    Parameters
    ----------
    var_list : sequence of variables
    include_patterns : sequence of str, optional
        Regular expressions, one of which must fit; without them every name does.
    exclude_patterns : sequence of str, optional
        Regular expressions, none of which may fit.
    reg_search : bool, default=True
        Fit anywhere in the name; False: from its start.
    """
    fits = re.search if reg_search else re.match

    def some(patterns, name):
        return any(fits(pattern, name) for pattern in patterns)

    return [
        var
        for var in var_list
        if (include_patterns is None or some(include_patterns, var.name))
        and not some(exclude_patterns or (), var.name)
    ]
