"""What recurrent layers compute in one step."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.backend.ops.nested import flatten, rebuild
from slimlearn.layers import activation, utils
from slimlearn.layers.annotations import Activation
from slimlearn.layers.initializers import (
    ones_initializer,
    orthogonal_initializer,
    xavier_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.normalization import offset_and_factor, standardized
from slimlearn.layers.regularization import dropout
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import model_variable

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
    gates = _Gates(
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

    return Cell(units, units, begin, _same)


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
    gates = _Gates(
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
            norm = gates.norm("state_norm", units) if layer_norm else _same

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
    gates = _Gates(
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

    return Cell(units, units, begin, _same)


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


@dataclass(frozen=True)
class ForgetOne:
    """Biases of an LSTM, those of the forget gate ones."""

    initializer: Callable

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        """Build the value."""
        units = shape[0] // 4
        drawn = self.initializer(shape, dtype, f"{name}/drawn")
        ones = ones_initializer()((units,), dtype, f"{name}/ones")
        return ops.concat([drawn[:units], ones, drawn[2 * units :]], 0, name=name)


def _same(x: Tensor) -> Tensor:
    return x


class _Made(NamedTuple):
    project: Callable
    recurrent: Callable  # what a step makes of the state h


class _Gates(NamedTuple):
    """The variables that the cells have in common: of so many gates in one product."""

    layer: str
    units: int
    count: int
    recurrent_dropout: float
    layer_norm: bool
    weights_initializer: Callable
    recurrent_initializer: Callable
    biases_initializer: Callable | None
    weights_regularizer: Callable | None
    recurrent_regularizer: Callable | None
    biases_regularizer: Callable | None
    variables_collections: Sequence[str] | Mapping | None
    trainable: bool

    def make(self, features: int, batch: Tensor, recurrent_biases=False) -> _Made:
        """Return products of inputs and of the state with weights made here."""
        width = self.units * self.count
        weights = self._variable(
            "weights",
            [features, width],
            self.weights_initializer,
            self.weights_regularizer,
        )
        recurrent = self._variable(
            "recurrent_weights",
            [self.units, width],
            self.recurrent_initializer,
            self.recurrent_regularizer,
        )
        biases = [None, None]
        if self.biases_initializer is not None:
            names = ["biases", *(["recurrent_biases"] if recurrent_biases else [])]
            biases[: len(names)] = [
                self._variable(
                    name, [width], self.biases_initializer, self.biases_regularizer
                )
                for name in names
            ]
        norms = [_same, _same]
        if self.layer_norm:
            norms = [
                self.norm(f"{of}_norm", width, center=False)
                for of in ("input", "recurrent")
            ]
        mask = self._mask(batch)

        def project(x: Tensor) -> Tensor:
            return _plus(norms[0](ops.matmul(x, weights)), biases[0])

        def state(h: Tensor) -> Tensor:
            h = h if mask is None else ops.mul(h, mask)
            return _plus(norms[1](ops.matmul(h, recurrent)), biases[1])

        return _Made(project, state)

    def norm(self, name: str, size: int, center: bool = True) -> Callable:
        """Return a layer norm of vectors whose variables are made here."""
        with variable_scope(name):
            offset, factor = offset_and_factor(
                [size], center, True, self.trainable, self.variables_collections
            )
        return functools.partial(_normed, offset=offset, factor=factor)

    def _variable(self, name, shape, initializer, regularizer) -> Tensor:
        return model_variable(
            name,
            shape,
            initializer=initializer,
            regularizer=regularizer,
            trainable=self.trainable,
            collections=utils.get_variable_collections(
                self.variables_collections, name
            ),
        )

    def _mask(self, batch: Tensor) -> Tensor | None:
        """Return what the state's product reads of h: one draw for all steps."""
        rate = self.recurrent_dropout
        utils.check_probability(self.layer, "recurrent_dropout", rate)
        if rate == 0:
            return None
        ones = ops.ones((batch.shape[0], self.units), batch.dtype)
        kept = dropout(ones, 1 - rate)
        return None if kept is ones else kept


def _plus(product: Tensor, biases: Tensor | None) -> Tensor:
    return product if biases is None else ops.add(product, biases)


def _normed(x: Tensor, offset: Tensor | None, factor: Tensor) -> Tensor:
    return standardized(x, [x.rank - 1], 1e-6, offset, factor)


def zero_state(sizes: Any, batch: Tensor) -> Any:
    """Return zeros [B, size] for each size of a nested tuple."""
    if isinstance(sizes, (tuple, list)):
        return tuple(zero_state(size, batch) for size in sizes)
    return ops.zeros((batch.shape[0], sizes), batch.dtype)


def check_state(where: str, state: Any, sizes: Any, batch: Tensor) -> None:
    """Refuse what is no state of these sizes, nested as they are."""
    if _is_state(state, sizes, batch):
        return
    got = type_text(*state.type) if isinstance(state, Tensor) else repr(state)
    raise ValueError(
        f"{where}: initial_state must be {_state_text(sizes, batch)}, got {got}"
    )


def _is_state(state: Any, sizes: Any, batch: Tensor) -> bool:
    if not isinstance(sizes, (tuple, list)):
        wanted = batch.dtype, (batch.shape[0], sizes)
        return isinstance(state, Tensor) and state.type == wanted
    if not isinstance(state, (tuple, list)) or len(state) != len(sizes):
        return False
    return all(map(_is_state, state, sizes, [batch] * len(sizes)))


def _state_text(sizes: Any, batch: Tensor) -> str:
    if isinstance(sizes, (tuple, list)):
        return f"({', '.join(_state_text(size, batch) for size in sizes)})"
    return type_text(batch.dtype, (batch.shape[0], sizes))


def choose(condition: Tensor, new: Any, old: Any, where: str) -> Any:
    """Return `new` of the rows where a condition [B] holds, else `old`."""
    values, like = flatten(new, where, "rnn", "the state")
    before, _ = flatten(old, where, "rnn", "the state")
    pairs = zip(values, before, strict=True)
    return rebuild([rows_where(condition, a, b) for a, b in pairs], like)


def rows_where(condition: Tensor, a: Tensor, b: Any) -> Tensor:
    """Return `a` where a condition holds of its first axes, else `b`."""
    shape = (*condition.shape, *[1] * (a.rank - condition.rank))
    return ops.where(ops.reshape(condition, shape), a, b)
