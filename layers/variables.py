"""Variables of a network, made by name.

One model is built twice, for prediction and for training. A variable is found again by
its full name, so training and inference share it; inside one function a name may
be taken once, unless the layer says that it reuses it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from slimlearn.layers.scope import add_arg_scope, arg_scope
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
    learning_rate_factor: Real | Mapping[str, Real] | None = None,
    decay_factor: Real | Mapping[str, Real] | None = None,
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
    learning_rate_factor : float or dict, default=None
        What the optimizer's learning rate is multiplied by for this variable, such as
        0.1; 0 keeps it. A dict says so by the variable's name, as in
        ``{"biases": 0.1}``, so that an `arg_scope` of ``[model_variable]`` can tell
        variables of one layer apart. None is 1. L-BFGS has no rate, and so no factors.
    decay_factor : float or dict, default=None
        What ``l2_regularization`` and the optimizer's ``weight_decay`` (or ``l1``) are
        multiplied by for this variable, given as `learning_rate_factor`. None is 1
        for two and more dimensions, and 0 for biases and other vectors.

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
    rate = _factor(where, "learning_rate_factor", learning_rate_factor, name)
    decay = _factor(where, "decay_factor", decay_factor, name)

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
            learning_rate_factor=1.0 if rate is None else rate,
            decay_factor=decay,
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
    learning_rate_factor: Real | Mapping[str, Real] | None = None,
    decay_factor: Real | Mapping[str, Real] | None = None,
) -> Parameter:
    """Return a variable as `variable` does, and count it as one of the model.

    Parameters
    ----------
    name, shape, dtype, initializer, regularizer, trainable, collections, \
learning_rate_factor, decay_factor
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
        learning_rate_factor=learning_rate_factor,
        decay_factor=decay_factor,
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


@contextmanager
def factors(
    layer: str, learning_rate_factor, decay_factor, names: Sequence[str] | None
) -> Iterator[None]:
    """Give the variables that a layer makes inside the block its factors.

    None leaves those of an `arg_scope`; a dict has no others than `names`, if given.
    """
    given = {
        "learning_rate_factor": learning_rate_factor,
        "decay_factor": decay_factor,
    }
    given = {word: value for word, value in given.items() if value is not None}
    for word, value in given.items():
        _factor(layer, word, value, "")
        if names is None or not isinstance(value, Mapping):
            continue
        others = sorted(set(value).difference(names))
        if others:
            raise ValueError(
                f"{layer}: {word} names {', '.join(map(repr, others))}, but the "
                f"layer's variables are {', '.join(map(repr, names))}"
            )
    if not given:
        yield
        return
    with arg_scope([model_variable], **given):
        yield


def _factor(where: str, word: str, value, name: str) -> float | None:
    """The factor for the variable `name`, if there is one."""
    for one in value.values() if isinstance(value, Mapping) else [value]:
        number = isinstance(one, Real) and not isinstance(one, bool)
        if one is not None and not (number and 0 <= one < math.inf):
            raise ValueError(
                f"{where}: {word} must be a number >= 0, or a dict of such numbers by "
                f"names of variables; got {value!r}"
            )
    if isinstance(value, Mapping):
        value = value.get(name)
    return None if value is None else float(value)


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
            f"this layer needs {type_text(known.dtype, tuple(shape))}: give it another "
            "scope, or inputs, sizes and a kernel that make the same shape"
        )
    notes.taken[full_name] = known
    return known


def variables_in_use() -> list[Declaration]:
    """Return the variables that the current function uses, in order of first use."""
    return list(current_notes().taken.values())
