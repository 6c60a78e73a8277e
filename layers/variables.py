"""Variables of a network, made by name.

One model is built twice, for prediction and for training. A variable is found again by
its full name, so training and inference share it; inside one function a name may
be taken once, unless the layer says that it reuses it.
"""

from collections.abc import Callable, Sequence
from numbers import Real

from slimlearn.backend.graph import (
    Declaration,
    Model,
    Parameter,
    State,
    current_model,
    type_text,
)
from slimlearn.layers.initializers import constant_initializer, xavier_initializer
from slimlearn.layers.names import current_notes
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.utils import check_function

# The model's list of the variables that layers make.
MODEL_VARIABLES = "model_variables"


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
    where = f"variable {name!r}"
    check_function(where, "initializer", initializer, "xavier_initializer()")
    check_function(where, "regularizer", regularizer, "l2_regularizer(1e-4)")

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
    """Return a variable as `variable` does, and count it as one of the model.

    Parameters
    ----------
    name, shape, dtype, initializer, regularizer, trainable, collections
        As in `variable`.

    Returns
    -------
    Parameter
    """
    return variable(
        name,
        shape,
        dtype=dtype,
        initializer=initializer,
        regularizer=regularizer,
        trainable=trainable,
        collections=[*(collections or ()), MODEL_VARIABLES],
    )


def state_variable(
    name: str,
    shape: Sequence[int],
    initializer: Callable | Real,
    collections: Sequence[str] | None = None,
) -> State:
    """Return a state of this name in the current scope, made at its first use.

    A state is what a layer updates itself, such as a moving mean: it has no
    gradient and the optimizer leaves it alone.
    """
    model = current_model()
    if isinstance(initializer, Real):
        initializer = constant_initializer(initializer)

    def make(full_name: str) -> State:
        made = model.state(full_name, tuple(shape), initializer=initializer)
        for collection in dict.fromkeys([*(collections or ()), MODEL_VARIABLES]):
            model.collection(collection).append(made)
        return made

    return _get_or_make(model, State, name, shape, make)


def _get_or_make(model: Model, kind: type, name: str, shape, make: Callable):
    notes = current_notes()
    scope = notes.scope
    full_name = f"{scope.name}/{name}" if scope.name else name
    known = model.declarations.get(full_name)
    if scope.reuse:
        if known is None:
            raise ValueError(
                f"variable {full_name!r}: scope {scope.name!r} was entered with "
                "reuse=True, but holds no such variable yet: build the layer that "
                "makes it first, without reuse (training and inference share their "
                "variables by themselves)"
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
    return list(current_notes().taken.values())
