"""Named variables of a network, and the scopes that name them.

One model is built several times, once per function. A variable is found again by
its full name, so training and inference share it; inside one function a name may
be taken once, unless the layer says that it reuses it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real

from slimlearn.backend.graph import (
    Declaration,
    Model,
    Parameter,
    State,
    absolute_scope,
    current_graph,
    current_model,
    name_scope,
    type_text,
)
from slimlearn.layers.initializers import constant_initializer, xavier_initializer
from slimlearn.layers.scope import add_arg_scope

TRAINABLE = "trainable_variables"
MODEL = "model_variables"


class VariableScope:
    """Where variables get their names; yielded by `variable_scope`.

    Attributes
    ----------
    name : str
        The full name, such as ``"tower/fc1"``; "" at the top.
    reuse : bool
        Whether variables must be there already.
    """

    __slots__ = ("name", "reuse")

    def __init__(self, name: str, reuse: bool):
        self.name = name
        self.reuse = reuse

    @property
    def original_name_scope(self) -> str:
        """The name with a slash behind it."""
        return f"{self.name}/"

    def reuse_variables(self) -> None:
        """Make layers in this scope reuse variables from here on."""
        self.reuse = True


class _Notes:
    """What this module remembers of one function: its scopes and variables."""

    __slots__ = ("opened", "scope", "taken")

    def __init__(self):
        self.scope = VariableScope("", False)
        self.opened: dict[str, int] = {}
        self.taken: dict[str, Declaration] = {}


def _notes() -> _Notes:
    layers = current_graph().layers
    notes = layers.get("variables")
    if notes is None:
        notes = layers["variables"] = _Notes()
    return notes


def get_variable_scope() -> VariableScope:
    """Return the scope in which variables are being made."""
    return _notes().scope


@contextmanager
def variable_scope(
    name_or_scope: str | VariableScope | None,
    default_name: str | None = None,
    values: Sequence | None = None,
    *,
    reuse: bool | None = None,
) -> Iterator[VariableScope]:
    """Put variables and ops of a `with` block under a name.

    Parameters
    ----------
    name_or_scope : str, VariableScope or None
        A name inside the current scope, a scope to enter again, or None.
    default_name : str, optional
        The name where `name_or_scope` is None; numbered where it is taken
        (`fully_connected`, `fully_connected_1`, …).
    values : sequence of Tensor, optional
        Accepted for TF-Slim's sake; not needed.
    reuse : bool, optional
        True: variables must be there already. None: as the scope around says.

    Yields
    ------
    VariableScope
    """
    notes = _notes()
    outer = notes.scope
    prefix = f"{outer.name}/" if outer.name else ""
    if isinstance(name_or_scope, VariableScope):
        name = name_or_scope.name
        reuse = name_or_scope.reuse if reuse is None else reuse
        names = absolute_scope(name)
    else:
        if name_or_scope is None and default_name is None:
            raise ValueError("variable_scope: needs a name or a default_name")
        local = name_or_scope or _free_name(notes, prefix, default_name)
        name, names = prefix + local, name_scope(local)
    notes.opened[name] = notes.opened.get(name, 0) + 1
    scope = VariableScope(name, bool(outer.reuse if reuse is None else reuse))
    notes.scope = scope
    try:
        with names:
            yield scope
    finally:
        notes.scope = outer
        # Entered again to share its layers, the scope numbers them as before.
        inner = f"{name}/"
        for opened in [n for n in notes.opened if n.startswith(inner)]:
            del notes.opened[opened]


def _free_name(notes: _Notes, prefix: str, wish: str) -> str:
    name, count = wish, 0
    while prefix + name in notes.opened:
        count += 1
        name = f"{wish}_{count}"
    return name


@add_arg_scope
def variable(
    name: str,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    initializer: Callable | Real | None = None,
    regularizer: Callable | None = None,
    trainable: bool = True,
    collections: Sequence[str] | None = None,
) -> Parameter:
    """Return the variable of this name in the current scope, made at its first use.

    Parameters
    ----------
    name : str
        Inside the current variable scope.
    shape : sequence of int
        Its sizes; may be left out where the variable is reused.
    dtype : {"f32", "f64"}, optional
        The model's precision, and nothing else.
    initializer : callable or number, optional
        Called as ``initializer(shape, dtype, name)`` when weights are drawn; Xavier
        by default.
    regularizer : callable, optional
        The penalty on the variable: from `l2_regularizer` and its like, or any
        function from a tensor to a scalar tensor.
    trainable : bool, default=True
        False keeps the initial value.
    collections : sequence of str, optional
        Lists of the model that the variable is added to.

    Returns
    -------
    Parameter

    Raises
    ------
    ValueError
        The name is taken and the scope does not reuse, or it is not there and the
        scope does; or the variable has another shape.
    """
    model = current_model()
    if dtype is not None and dtype != model.precision:
        raise ValueError(
            f"variable {name!r}: variables of this model are {model.precision}, "
            f"not {dtype}: leave dtype out"
        )
    if isinstance(initializer, Real):
        initializer = constant_initializer(initializer)

    def make(full_name: str) -> Parameter:
        if shape is None:
            raise ValueError(f"variable {full_name!r} is new: give it a shape")
        return model.parameter(
            full_name,
            tuple(shape),
            initializer=initializer or xavier_initializer(),
            regularizer=regularizer,
            trainable=trainable,
            collections=tuple(dict.fromkeys(collections or ())),
        )

    return _get_or_make(model, Parameter, name, shape, make)


@add_arg_scope
def model_variable(
    name: str,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    initializer: Callable | Real | None = None,
    regularizer: Callable | None = None,
    trainable: bool = True,
    collections: Sequence[str] | None = None,
) -> Parameter:
    """Return a variable as `variable` does, and count it as one of the model."""
    return variable(
        name,
        shape,
        dtype=dtype,
        initializer=initializer,
        regularizer=regularizer,
        trainable=trainable,
        collections=[*(collections or ()), MODEL],
    )


def state_variable(
    name: str,
    shape: Sequence[int],
    initializer: Callable,
    collections: Sequence[str] | None = None,
) -> State:
    """Return a state of this name in the current scope, made at its first use.

    A state is what a layer updates itself, such as a moving mean: it has no
    gradient and the optimizer leaves it alone.
    """
    model = current_model()

    def make(full_name: str) -> State:
        made = model.state(full_name, tuple(shape), initializer=initializer)
        for collection in dict.fromkeys([*(collections or ()), MODEL]):
            model.collection(collection).append(made)
        return made

    return _get_or_make(model, State, name, shape, make)


def _get_or_make(model: Model, kind: type, name: str, shape, make: Callable):
    notes = _notes()
    scope = notes.scope
    full_name = f"{scope.name}/{name}" if scope.name else name
    known = model.declarations.get(full_name)
    if scope.reuse:
        if known is None:
            raise ValueError(
                f"variable {full_name!r}: scope {scope.name!r} was entered with "
                "reuse=True, but holds no such variable yet: build the layer that "
                "makes it first, without reuse"
            )
    elif full_name in notes.taken:
        raise ValueError(
            f"two layers of one name: scope {scope.name!r} holds a variable {name!r} "
            "already. Give the second layer another scope, or reuse=True to share "
            "the variables"
        )
    if known is None:
        known = make(full_name)
    elif not isinstance(known, kind):
        raise ValueError(
            f"variable {full_name!r} is declared as a {known.kind} already: choose "
            "another name or scope"
        )
    elif shape is not None and tuple(shape) != tuple(known.shape):
        raise ValueError(
            f"variable {full_name!r} is {type_text(*known.type)} in this model, but "
            f"this layer needs {type_text(known.dtype, tuple(shape))}"
        )
    notes.taken[full_name] = known
    return known


def variables_in_use() -> list[Declaration]:
    """Return the variables that the current function uses, in order of first use."""
    return list(_notes().taken.values())


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
    elif collection == TRAINABLE:
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
    """Return the variables that layers made; see `get_variables`."""
    return get_variables(scope, suffix, MODEL)


def get_trainable_variables(
    scope: str | VariableScope | None = None, suffix: str | None = None
) -> list[Parameter]:
    """Return the variables that training changes; see `get_variables`."""
    return get_variables(scope, suffix, TRAINABLE)


def get_variables_by_suffix(
    suffix: str, scope: str | VariableScope | None = None
) -> list[Declaration]:
    """Return the variables whose names end so; see `get_variables`."""
    return get_variables(scope, suffix)


def get_variables_by_name(
    given_name: str, scope: str | VariableScope | None = None
) -> list[Declaration]:
    """Return the variables whose last part, or last parts, are `given_name`."""
    return [
        variable
        for variable in get_variables(scope)
        if f"/{variable.name}".endswith(f"/{given_name}")
    ]


def get_unique_variable(var_op_name: str) -> Declaration:
    """Return the variable of this full name.

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
    """Return the name under which a variable is saved."""
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
