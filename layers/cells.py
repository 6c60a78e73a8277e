"""What recurrent layers compute in one step."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import activation, utils
from slimlearn.layers.annotations import Activation
from slimlearn.layers.gates import ForgetOne, Gates, same
from slimlearn.layers.initializers import (
    orthogonal_initializer,
    xavier_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope

_XAVIER = xavier_initializer()
_ORTHOGONAL = orthogonal_initializer()
_ZEROS = zeros_initializer()


class Step(NamedTuple):
    """A cell whose variables are there."""

    project: Callable  # what it makes of inputs [B, …, features], of all steps at once
    step: Callable  # (what that is of one step, state) -> (output, state)


class Cell:
    """What `rnn` runs over sequences.

    Attributes
    ----------
    units : int
        The length of an output.
    state_size : int, or tuple of them, nested as the state is
        The lengths of what is handed on.
    """

    def __init__(
        self,
        units: int,
        state_size: Any,
        begin: Callable[..., Step],
        shown: Callable[[Any], Tensor],
    ):
        self.units = units
        self.state_size = state_size
        self.shown = shown  # from a state to the output of its step
        # From the number of features and a tensor [B, …], before all steps.
        self.begin = begin


@add_arg_scope
def simple_rnn_cell(
    units: int,
    activation_fn: Activation | None = activation.tanh,
    recurrent_dropout: float = 0.0,
    layer_norm: bool = False,
    weights_initializer: Callable = _XAVIER,
    recurrent_initializer: Callable = _ORTHOGONAL,
    biases_initializer: Callable | None = _ZEROS,
    weights_regularizer: Callable | None = None,
    recurrent_regularizer: Callable | None = None,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Cell:
    """Return the cell of a simple recurrent layer, for `rnn` and `stacked_cells`.

    Parameters
    ----------
    units, activation_fn, recurrent_dropout, layer_norm, weights_initializer, \
recurrent_initializer, biases_initializer, weights_regularizer, \
recurrent_regularizer, biases_regularizer, reuse, variables_collections, trainable
        As in `simple_rnn`.
    scope : str, optional
        Of the variables; ``simple_rnn_cell`` by default.

    Returns
    -------
    Cell
        Its state is a tensor [B, units], which is its output.
    """
    units = utils.check_size("simple_rnn_cell", "units", units)
    gates = Gates(
        "simple_rnn_cell",
        units,
        1,
        recurrent_dropout,
        layer_norm,
        weights_initializer,
        recurrent_initializer,
        biases_initializer,
        weights_regularizer,
        recurrent_regularizer,
        biases_regularizer,
        variables_collections,
        trainable,
    )
    act = activation.get(activation_fn)

    def begin(features: int, batch: Tensor) -> Step:
        with variable_scope(scope, "simple_rnn_cell", reuse=reuse):
            made = gates.make(features, batch)

        def step(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            h = act(ops.add(made.recurrent(h), x))
            return h, h

        return Step(made.project, step)

    return Cell(units, units, begin, same)


@add_arg_scope
def lstm_cell(
    units: int,
    activation_fn: Activation | None = activation.tanh,
    recurrent_dropout: float = 0.0,
    layer_norm: bool = False,
    unit_forget_bias: bool = True,
    weights_initializer: Callable = _XAVIER,
    recurrent_initializer: Callable = _ORTHOGONAL,
    biases_initializer: Callable | None = _ZEROS,
    weights_regularizer: Callable | None = None,
    recurrent_regularizer: Callable | None = None,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Cell:
    """Return the cell of `lstm`, for `rnn` and `stacked_cells`.

    Parameters
    ----------
    units, activation_fn, recurrent_dropout, layer_norm, unit_forget_bias, \
weights_initializer, recurrent_initializer, biases_initializer, weights_regularizer, \
recurrent_regularizer, biases_regularizer, reuse, variables_collections, trainable
        As in `lstm`.
    scope : str, optional
        Of the variables; ``lstm_cell`` by default.

    Returns
    -------
    Cell
        Its state is the pair h, c of tensors [B, units]; h is its output.
    """
    units = utils.check_size("lstm_cell", "units", units)
    if unit_forget_bias and biases_initializer is not None:
        biases_initializer = ForgetOne(biases_initializer)
    gates = Gates(
        "lstm_cell",
        units,
        4,
        recurrent_dropout,
        layer_norm,
        weights_initializer,
        recurrent_initializer,
        biases_initializer,
        weights_regularizer,
        recurrent_regularizer,
        biases_regularizer,
        variables_collections,
        trainable,
    )
    act = activation.get(activation_fn)

    def begin(features: int, batch: Tensor) -> Step:
        with variable_scope(scope, "lstm_cell", reuse=reuse):
            made = gates.make(features, batch)
            norm = gates.norm("state_norm", units) if layer_norm else same

        def step(x: Tensor, state: tuple) -> tuple[Tensor, tuple]:
            h, c = state
            i, f, g, o = ops.split(ops.add(made.recurrent(h), x), 4, axis=-1)
            new = ops.sigmoid(i) * act(g)
            c = ops.add(ops.sigmoid(f) * c, new)
            h = ops.sigmoid(o) * act(norm(c))
            return h, (h, c)

        return Step(made.project, step)

    return Cell(units, (units, units), begin, operator.itemgetter(0))


@add_arg_scope
def gru_cell(
    units: int,
    activation_fn: Activation | None = activation.tanh,
    recurrent_dropout: float = 0.0,
    layer_norm: bool = False,
    weights_initializer: Callable = _XAVIER,
    recurrent_initializer: Callable = _ORTHOGONAL,
    biases_initializer: Callable | None = _ZEROS,
    weights_regularizer: Callable | None = None,
    recurrent_regularizer: Callable | None = None,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Cell:
    """Return the cell of `gru`, for `rnn` and `stacked_cells`.

    Parameters
    ----------
    units, activation_fn, recurrent_dropout, layer_norm, weights_initializer, \
recurrent_initializer, biases_initializer, weights_regularizer, \
recurrent_regularizer, biases_regularizer, reuse, variables_collections, trainable
        As in `gru`.
    scope : str, optional
        Of the variables; ``gru_cell`` by default.

    Returns
    -------
    Cell
        Its state is a tensor [B, units], which is its output.
    """
    units = utils.check_size("gru_cell", "units", units)
    gates = Gates(
        "gru_cell",
        units,
        3,
        recurrent_dropout,
        layer_norm,
        weights_initializer,
        recurrent_initializer,
        biases_initializer,
        weights_regularizer,
        recurrent_regularizer,
        biases_regularizer,
        variables_collections,
        trainable,
    )
    act = activation.get(activation_fn)

    def begin(features: int, batch: Tensor) -> Step:
        with variable_scope(scope, "gru_cell", reuse=reuse):
            made = gates.make(features, batch, recurrent_biases=True)

        def step(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            xz, xr, xn = ops.split(x, 3, axis=-1)
            hz, hr, hn = ops.split(made.recurrent(h), 3, axis=-1)
            z, r = ops.sigmoid(xz + hz), ops.sigmoid(xr + hr)
            n = act(xn + r * hn)
            h = ops.add(n, z * (h - n))
            return h, h

        return Step(made.project, step)

    return Cell(units, units, begin, same)


def stacked_cells(cells: Sequence[Cell], scope: str | None = None) -> Cell:
    """Return a cell made of several, each of which reads what the one before it yields.

    Layers one after the other, as `stack` calls them, compute the same and are faster,
    and may have `dropout` between them; a cell is what is run step by step.

    Parameters
    ----------
    cells : list of Cell
        From `lstm_cell` and its like.
    scope : str, optional
        ``stacked_cells`` by default; the cells' own scopes stand inside.

    Returns
    -------
    Cell
        Its state is a tuple of theirs, its output the last one's.

    Examples
    --------
    >>> from slimlearn import layers
    >>> cell = layers.stacked_cells([layers.gru_cell(64), layers.gru_cell(32)])
    >>> cell.units, cell.state_size
    (32, (64, 32))
    """
    cells = list(cells)
    if not cells or not all(isinstance(cell, Cell) for cell in cells):
        raise TypeError(
            f"stacked_cells: needs a list of cells such as lstm_cell(64), got {cells!r}"
        )

    def begin(features: int, batch: Tensor) -> Step:
        made, size = [], features
        with variable_scope(scope, "stacked_cells"):
            for cell in cells:
                made.append(cell.begin(size, batch))
                size = cell.units

        def step(x: Tensor, state: tuple) -> tuple[Tensor, tuple]:
            after = []
            for k, (one, before) in enumerate(zip(made, state, strict=True)):
                x, new = one.step(one.project(x) if k > 0 else x, before)
                after.append(new)
            return x, tuple(after)

        return Step(made[0].project, step)

    sizes = tuple(cell.state_size for cell in cells)
    return Cell(cells[-1].units, sizes, begin, lambda state: cells[-1].shown(state[-1]))
